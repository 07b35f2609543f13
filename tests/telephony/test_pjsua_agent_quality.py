"""The SIP agent's measure of real calls over loopback, with a far end that answers RTCP as it is told."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from firmware.telephony.agent import SipAccount
from tests.fakes.agent_process import AgentProcess
from tests.fakes.rtcp_far_end import FarEnd
from tests.fakes.sip_peer import Packet, SipPeer

_keys = itertools.count(1)


@pytest.fixture(scope="module")
def box() -> Iterator[AgentProcess]:
    agent = AgentProcess()
    yield agent
    try:
        assert agent.call("errors") == 0
        agent.close()
    finally:
        agent.kill()


@pytest.fixture
def provider(box: AgentProcess) -> Iterator[SipPeer]:
    peer = SipPeer()
    box.accounts(SipAccount(name="home", server=peer.server, user="bob", password="secret"))
    box.expect("RegistrationChanged", registered=True, sip_code=200)
    yield peer
    box.call("voice", False)  # noqa: FBT003 a method's name and argument as JSON
    box.accounts()
    peer.close()


def talk(box: AgentProcess, peer: SipPeer, far: FarEnd) -> tuple[int, Packet]:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    invite = peer.expect("INVITE")
    peer.reply(invite, 200, "OK", body=peer.sdp(far.port))
    peer.expect("ACK")
    box.expect("CallConfirmed", call=key)
    box.call("voice", True)  # noqa: FBT003
    box.call("connect", key, 1)
    return key, invite


def test_a_call_over_loopback_is_measured_with_losses_both_ways_and_its_round_trip(
    box: AgentProcess, provider: SipPeer
) -> None:
    with FarEnd(lose_every=20, missing=7, wait=0.08) as far:
        key, _ = talk(box, provider, far)
        limit = time.monotonic() + 20
        while far.reports < 2 and time.monotonic() < limit:
            time.sleep(0.1)
        time.sleep(1.0)
        box.call("end", key)
        # Before the far end has answered the BYE: the record must not wait for it.
        found = box.expect("CallMeasured", call=key)["quality"]
        provider.reply(provider.expect("BYE"), 200)
        box.expect("CallDisconnected", call=key)
    total = found["total"]
    assert (total["codec"], total["packet_ms"]) == ("PCMA/8000", 20.0)
    assert total["sent"] >= 100
    assert total["received"] + total["lost_here"] == pytest.approx(total["sent"], abs=10)
    assert 100 * total["lost_here"] / total["sent"] == pytest.approx(5.0, abs=1.5)
    assert total["lost_there"] == 7
    assert 80 <= total["round_trip_ms"] < 1000
    assert total["jitter_max_ms"] >= total["jitter_ms"] >= 0
    assert 0 < total["buffer_ms"] <= 500
    assert len(found["points"]) >= 2
    assert found["points"][-1]["delay_ms"] >= 80


def test_packets_that_come_twice_are_neither_lost_nor_late(box: AgentProcess, provider: SipPeer) -> None:
    with FarEnd(double_every=10) as far:
        key, _ = talk(box, provider, far)
        time.sleep(6.0)
        box.call("end", key)
        total = box.expect("CallMeasured", call=key)["quality"]["total"]
        provider.reply(provider.expect("BYE"), 200)
        box.expect("CallDisconnected", call=key)
    assert total["sent"] >= 250
    assert total["received"] == pytest.approx(total["sent"], abs=8), "one in ten came twice"
    assert total["discarded"] <= 2
    assert total["lost_here"] == 0


def test_a_call_that_the_far_end_holds_and_ends_keeps_what_was_counted_before(
    box: AgentProcess, provider: SipPeer
) -> None:
    with FarEnd() as far:
        key, invite = talk(box, provider, far)
        time.sleep(1.5)
        dialog = provider.callee_dialog(invite)
        provider.request("INVITE", box.address, dialog, body=provider.sdp(far.port, direction="sendonly", version=2))
        held = provider.expect(200)
        provider.ack(box.address, dialog, cseq=dialog.cseq)
        assert "recvonly" in held.text or "inactive" in held.text
        box.expect("CallMedia", call=key, held=True)
        provider.request("BYE", box.address, dialog)
        provider.expect(200)
        total = box.expect("CallMeasured", call=key)["quality"]["total"]
        box.expect("CallDisconnected", call=key)
    assert total["received"] >= 50


def test_a_call_that_was_never_answered_is_not_measured(box: AgentProcess, provider: SipPeer) -> None:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    provider.reply(provider.expect("INVITE"), 486)
    box.expect("CallDisconnected", call=key)
    assert not [event for event in box.drain() if event["kind"] == "CallMeasured" and event["call"] == key]
