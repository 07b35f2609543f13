"""The SIP agent holding: re-INVITEs on the wire, refused, crossed and taken back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from firmware.telephony.agent import SipAccount
from firmware.telephony.sip.message import sdp_holds
from tests.fakes.agent_calls import hang_up
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import Dialog, Packet, SipPeer

_keys = itertools.count(1)


@pytest.fixture
def box(shared: AgentProcess, provider: SipPeer) -> Iterator[AgentProcess]:
    shared.drain()
    shared.accounts(SipAccount("home", provider.server, "bob", "secret"))
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    yield shared
    shared.accounts()


def talk(box: AgentProcess, peer: SipPeer) -> tuple[int, Dialog]:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    invite = peer.expect("INVITE")
    peer.reply(invite, 200, "OK", body=peer.sdp(40_000))
    box.expect("CallConfirmed", call=key)
    peer.expect("ACK")
    return key, peer.callee_dialog(invite)


def asked(peer: SipPeer, *, hold: bool) -> Packet:
    """A re-INVITE that holds, or that takes back."""
    invite = peer.expect("INVITE")
    assert ";tag=" in invite.raw("to")
    assert sdp_holds(invite.message.body) is hold, invite.message.body
    return invite


def agree(peer: SipPeer, invite: Packet, version: int, direction: str) -> None:
    peer.reply(invite, 200, "OK", body=peer.sdp(40_000, direction=direction, version=version))
    peer.expect("ACK")


def test_hold_is_a_reinvite_with_sendonly_and_resume_one_with_sendrecv(box: AgentProcess, provider: SipPeer) -> None:
    key, _ = talk(box, provider)
    box.call("hold", key)
    invite = asked(provider, hold=True)
    assert "a=sendonly" in invite.message.body
    agree(provider, invite, 2, "recvonly")
    box.call("resume", key)
    invite = asked(provider, hold=False)
    assert "a=sendrecv" in invite.message.body
    agree(provider, invite, 3, "sendrecv")
    assert not [event for event in box.drain() if event.get("held")], "our own hold is not the far end's"
    hang_up(box, provider, key)


def test_a_call_held_before_its_ack_is_held_after_it(box: AgentProcess, provider: SipPeer) -> None:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    invite = provider.expect("INVITE")
    box.call("hold", key)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
    agree(provider, asked(provider, hold=True), 2, "recvonly")
    hang_up(box, provider, key)


def test_hands_that_change_their_mind_end_where_they_wanted(box: AgentProcess, provider: SipPeer) -> None:
    key, _ = talk(box, provider)
    for name in ("hold", "resume", "hold", "resume"):
        box.call(name, key)
    agree(provider, asked(provider, hold=True), 2, "recvonly")
    agree(provider, asked(provider, hold=False), 3, "sendrecv")
    provider.nothing(0.5)
    assert not [p for p in provider.received if p.message.method == "INVITE"][3:]
    hang_up(box, provider, key)


def test_a_reinvite_that_crosses_theirs_is_sent_again(box: AgentProcess, provider: SipPeer) -> None:
    key, _ = talk(box, provider)
    box.call("hold", key)
    first = asked(provider, hold=True)
    provider.reply(first, 491, "Request Pending")
    agree(provider, asked(provider, hold=True), 2, "recvonly")
    hang_up(box, provider, key)


def test_a_far_end_that_will_not_be_held_keeps_its_call(box: AgentProcess, provider: SipPeer) -> None:
    key, _ = talk(box, provider)
    box.call("hold", key)
    provider.reply(asked(provider, hold=True), 488, "Not Acceptable Here")
    box.call("resume", key)
    provider.nothing(0.5)
    assert not [p for p in provider.received if p.message.method == "BYE"]
    hang_up(box, provider, key)


def test_a_held_far_end_may_hang_up(box: AgentProcess, provider: SipPeer) -> None:
    key, dialog = talk(box, provider)
    box.call("hold", key)
    agree(provider, asked(provider, hold=True), 2, "recvonly")
    provider.request("BYE", box.address, dialog)
    provider.expect(200)
    assert box.expect("CallDisconnected", call=key)["by_us"] is False
