"""The SIP agent against a scripted provider on loopback: registration and calls out."""

from __future__ import annotations

import itertools
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from firmware.telephony.agent import Transport
from firmware.telephony.sip import reasons
from tests.fakes.agent_calls import hang_up, home
from tests.fakes.agent_process import AgentProcess, agent_that_ends_well
from tests.fakes.sip_peer import Dialog, Packet, RegistrarRules, RtpEcho, SipPeer

_keys = itertools.count(1)


@pytest.fixture
def box(shared: AgentProcess) -> Iterator[AgentProcess]:
    shared.drain()
    yield shared
    shared.accounts()
    time.sleep(0.1)


@pytest.fixture
def fresh() -> Iterator[AgentProcess]:
    """One whose slots no other test's calls hold."""
    with agent_that_ends_well() as agent:
        yield agent


def registered(box: AgentProcess, peer: SipPeer, **changes: object) -> None:
    box.accounts(home(peer, **changes))
    box.expect("RegistrationChanged", account="home", registered=True, sip_code=200)


def dial(box: AgentProcess, peer: SipPeer, **options: object) -> tuple[int, Packet]:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300", **options)
    return key, peer.expect("INVITE")


def talk(box: AgentProcess, peer: SipPeer, **options: object) -> tuple[int, Packet, Dialog]:
    """A call out that is answered with sound."""
    key, invite = dial(box, peer, **options)
    peer.reply(invite, 200, "OK", body=peer.sdp(40_000))
    peer.expect("ACK")
    box.expect("CallConfirmed", call=key)
    return key, invite, peer.callee_dialog(invite)


# --- registration


def test_an_account_registers_with_the_realm_that_its_registrar_asks_for(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    digests = [p.raw("authorization") for p in provider.registrations]
    assert not digests[0]
    assert 'realm="provider.example"' in digests[-1]


def test_a_wrong_password_is_told_in_words_and_not_tried_again_at_once(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, password="wrong"))
    event = box.expect("RegistrationChanged", sip_code=401, timeout=15)
    assert event["reason"] == reasons.BAD_PASSWORD
    before = len(provider.registrations)
    assert before <= 6
    time.sleep(1.0)
    assert len(provider.registrations) == before


def test_an_interval_too_brief_is_honoured(box: AgentProcess, provider: SipPeer) -> None:
    provider.rules = RegistrarRules(min_expires=900)
    registered(box, provider)
    assert provider.registrations[-1].raw("expires") == "900"


def test_a_new_realm_of_the_registrar_is_followed_when_none_was_set(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    provider.rules.realm = "moved.example"
    box.call("register_now", "home")
    box.expect("RegistrationChanged", registered=True, sip_code=200)
    assert 'realm="moved.example"' in provider.registrations[-1].raw("authorization")


def test_a_realm_that_was_set_is_the_only_one_answered(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, realm="other.example"))
    event = box.expect("RegistrationChanged", sip_code=401)
    assert event["reason"] == reasons.WRONG_REALM
    assert not any(p.raw("authorization") for p in provider.registrations)


def test_a_registrar_out_of_order_is_tried_again_within_seconds(box: AgentProcess, provider: SipPeer) -> None:
    provider.rules.answer = 503
    box.accounts(home(provider))
    assert box.expect("RegistrationChanged", sip_code=503)["reason"] == reasons.TRY_LATER
    provider.rules.answer = 0
    box.expect("RegistrationChanged", registered=True, timeout=10)


def test_a_removed_account_unregisters(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    box.accounts()
    limit = time.monotonic() + 5
    while time.monotonic() < limit and provider.registrations[-1].raw("expires") != "0":
        time.sleep(0.05)
    assert provider.registrations[-1].raw("expires") == "0"


def test_a_ninth_account_is_refused_in_words(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(*[home(provider, name=f"a{n}", register=False) for n in range(9)])
    event = box.expect("RegistrationChanged", account="a8")
    assert event["reason"] == reasons.TOO_MANY_ACCOUNTS


@pytest.mark.parametrize("name", ["é" * 128, "数" * 128, "a" * 255])
def test_a_long_display_name_keeps_nobody_from_registering_and_calling(
    box: AgentProcess, provider: SipPeer, name: str
) -> None:
    registered(box, provider, display_name=name)
    key, invite = dial(box, provider, emergency=True)
    assert f'"{name[:40]}' in invite.raw("from"), "what fits is shown"
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=key, sip_code=486)


def test_a_long_user_leaves_no_room_for_a_name_but_registers(box: AgentProcess, provider: SipPeer) -> None:
    provider.rules = RegistrarRules(user="b" * 128)
    registered(box, provider, user="b" * 128, display_name="é" * 128)


def test_an_emergency_copy_calls_and_neither_registers_nor_is_called(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, emergency_only=True))
    assert box.expect("RegistrationChanged")["reason"] == reasons.DISABLED
    key, invite = dial(box, provider, emergency=True)
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=key, sip_code=486)
    provider.invite(box.address)
    assert [p for p in provider.nothing(0.7) if p.message.status] == []
    assert provider.registrations == []


def test_a_server_that_is_no_host_is_refused_in_words(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, server="exa mple>;tag"))
    assert box.expect("RegistrationChanged")["reason"] == reasons.BAD_ACCOUNT


def test_an_unknown_name_is_told_as_such(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, server="no-such-host.invalid"))
    limit = time.monotonic() + 20
    reason = ""
    while reason != reasons.NO_NAME and time.monotonic() < limit:
        reason = str(box.expect("RegistrationChanged", timeout=20)["reason"])
    assert reason == reasons.NO_NAME


def test_over_tcp_a_refused_connection_is_told_in_words(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, server="127.0.0.1:9", transport=Transport.TCP))
    event = box.expect("RegistrationChanged", sip_code=503)
    assert event["reason"] == reasons.REFUSED_CONNECTION


# --- names


def test_a_silent_dns_holds_up_no_call_by_another_account(fresh: AgentProcess, provider: SipPeer) -> None:
    box = fresh
    named = home(provider, name="named", server=f"sip.silent.test:{provider.port}")
    box.accounts(named, home(provider))
    box.expect("RegistrationChanged", account="home", registered=True, timeout=3)
    began = time.monotonic()
    box.call("invite", 800, "named", "112", emergency=True)
    over = box.expect("CallDisconnected", call=800)
    assert (over["sip_code"], over["reason"]) == (503, reasons.NO_NAME)
    box.call("invite", 801, "home", "112", emergency=True)
    invite = provider.expect("INVITE", timeout=3)
    assert time.monotonic() - began < 1.0
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=801)
    # The DNS is back: the account registers and calls, and goes on when the DNS is gone again.
    box.call("names", {"sip.silent.test": ["127.0.0.1"]})
    box.expect("RegistrationChanged", account="named", registered=True, timeout=20)
    assert any("sip.silent.test" in p.raw("to") for p in provider.registrations), "the name stays in the URI"
    box.call("names", {"sip.silent.test": []})
    box.call("register_now", "named")
    box.expect("RegistrationChanged", account="named", registered=True)
    box.call("invite", 802, "named", "3699")
    invite = provider.expect("INVITE")
    assert "sip:3699@sip.silent.test" in invite.text
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=802)


def test_a_name_that_the_dns_never_answers_is_told(fresh: AgentProcess, provider: SipPeer) -> None:
    fresh.accounts(home(provider, server="sip.silent.test"))
    reason = ""
    while reason != reasons.NO_NAME:
        reason = str(fresh.expect("RegistrationChanged", timeout=20)["reason"])


# --- calls out


def test_ringing_without_sound_then_answer_then_hang_up(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    assert invite.message.uri is not None
    assert invite.message.uri.user == "0142685300"
    provider.reply(invite, 180, "Ringing")
    progress = box.expect("CallProgress", call=key)
    assert (progress["sip_code"], progress["media"]) == (180, False)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
    provider.expect("ACK")
    assert box.expect("CallConfirmed", call=key)["call_id"] == invite.message.call_id
    box.call("end", key)
    provider.reply(provider.expect("BYE"), 200)
    over = box.expect("CallDisconnected", call=key)
    assert (over["sip_code"], over["by_us"], over["codec"]) == (200, True, "PCMA/8000")


def test_a_183_with_sound_is_early_media_and_one_without_is_not(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    provider.reply(invite, 183, "Session Progress")
    assert box.expect("CallProgress", call=key)["media"] is False
    provider.reply(invite, 183, "Session Progress", body=provider.sdp(40_000))
    assert box.expect("CallProgress", call=key)["media"] is True
    box.call("end", key)
    provider.reply(provider.expect("CANCEL"), 200)
    provider.reply(invite, 487, "Request Terminated")
    over = box.expect("CallDisconnected", call=key)
    assert (over["sip_code"], over["by_us"]) == (487, True)


@pytest.mark.parametrize(("code", "cause"), [(486, 17), (404, 1), (503, 34), (480, None)])
def test_a_refusal_comes_with_its_code_and_q850_cause(
    box: AgentProcess, provider: SipPeer, code: int, cause: int | None
) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    reason = f'Reason: Q.850;cause={cause};text="x"\r\n' if cause else ""
    provider.reply(invite, code, "No", headers=reason)
    over = box.expect("CallDisconnected", call=key)
    assert (over["sip_code"], over["q850"], over["by_us"]) == (code, cause, False)


def test_a_bye_from_the_far_end_brings_its_q850_cause(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, _, dialog = talk(box, provider)
    provider.request("BYE", box.address, dialog, headers="Reason: Q.850;cause=16\r\n")
    provider.expect(200)
    over = box.expect("CallDisconnected", call=key)
    assert (over["sip_code"], over["q850"], over["by_us"]) == (200, 16, False)


def test_the_first_of_forked_answers_wins_and_the_second_is_hung_up(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    provider.reply(invite, 180, "Ringing", tag="one")
    provider.reply(invite, 180, "Ringing", tag="two")
    provider.reply(invite, 200, "OK", tag="two", body=provider.sdp(40_000))
    provider.reply(invite, 200, "OK", tag="one", body=provider.sdp(40_002))
    box.expect("CallConfirmed", call=key)
    bye = provider.expect("BYE")
    assert "tag=one" in bye.raw("to")
    provider.reply(bye, 200)
    hang_up(box, provider, key)


def test_remote_hold_and_resume_are_told(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, _, dialog = talk(box, provider)
    box.expect("CallMedia", call=key, held=False)
    for version, (direction, ip, held) in enumerate(
        [
            ("sendonly", "", True),
            ("sendrecv", "", False),
            ("inactive", "", True),
            ("sendrecv", "", False),
            ("sendrecv", "0.0.0.0", True),  # noqa: S104 RFC 2543 hold
            ("sendrecv", "", False),
        ],
        start=2,
    ):
        body = provider.sdp(40_000, direction=direction, version=version, ip=ip)
        provider.request("INVITE", box.address, dialog, body=body)
        provider.expect(200)
        provider.ack(box.address, dialog, cseq=dialog.cseq)
        box.expect("CallMedia", call=key, held=held)
    hang_up(box, provider, key)


def test_a_reinvite_may_change_the_codec(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, _, dialog = talk(box, provider)
    box.expect("CallMedia", call=key, codec="PCMA/8000")
    provider.request("INVITE", box.address, dialog, body=provider.sdp(40_000, codecs="0", version=2))
    provider.expect(200)
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    box.expect("CallMedia", call=key, codec="PCMU/8000")
    hang_up(box, provider, key)


def test_codecs_are_offered_as_the_account_wants_them(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider, codecs=("G722", "PCMA"))
    key, invite = dial(box, provider)
    assert "RTP/AVP 9 8 " in invite.message.body
    assert "PCMU" not in invite.message.body
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=key)


def test_ilbc_is_offered_in_its_place_to_an_account_that_wants_it(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider, codecs=("PCMA", "iLBC"))
    key, invite = dial(box, provider)
    offered = re.search(r"RTP/AVP ([\d ]+)", invite.message.body)
    named = re.search(r"a=rtpmap:(\d+) iLBC/8000", invite.message.body)
    assert offered is not None
    assert named is not None
    assert offered[1].split()[:2] == ["8", named[1]]
    body = provider.sdp(40_000, codecs="8").replace("AVP 8 ", f"AVP {named[1]} ")
    provider.reply(invite, 200, body=body.replace("rtpmap:8 PCMA/8000", f"rtpmap:{named[1]} iLBC/8000"))
    provider.expect("ACK")
    box.expect("CallMedia", call=key, codec="iLBC/8000")
    hang_up(box, provider, key)


def test_an_anonymous_call_hides_the_number(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider, anonymous=True)
    assert "anonymous@anonymous.invalid" in invite.raw("from")
    assert "bob" not in invite.raw("from")
    assert invite.raw("privacy") == "id"
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=key)


def test_a_challenged_invite_is_answered_for_our_realm_only(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    header = f"Proxy-Authenticate: {provider.challenge()}\r\n"
    provider.reply(invite, 407, "Proxy Authentication Required", headers=header)
    provider.expect("ACK")
    again = provider.expect("INVITE")
    assert provider.authorized(again, "proxy-authorization")
    provider.reply(again, 486)
    box.expect("CallDisconnected", call=key, sip_code=486)

    key, invite = dial(box, provider)
    header = f"Proxy-Authenticate: {provider.challenge('evil.example')}\r\n"
    provider.reply(invite, 407, "Proxy Authentication Required", headers=header)
    box.expect("CallDisconnected", call=key, sip_code=407)
    assert not any("evil.example" in p.text for p in provider.received if p.message.is_request)


def test_our_bye_challenged_from_a_strangers_address_brings_no_digest(box: AgentProcess, provider: SipPeer) -> None:
    """The 200 sends our BYE to its Contact, which asks in the provider's name."""
    registered(box, provider)
    evil = SipPeer("127.0.0.7")
    try:
        key, invite = dial(box, provider)
        provider.reply(invite, 200, "OK", body=provider.sdp(40_000), contact=f"sip:evil@{evil.server}")
        box.expect("CallConfirmed", call=key)
        box.call("end", key)
        bye = evil.expect("BYE")
        header = f"Proxy-Authenticate: {evil.challenge()}\r\n"
        evil.reply(bye, 407, "Proxy Authentication Required", headers=header)
        box.expect("CallDisconnected", call=key)
        evil.nothing(1.0)
        assert not [p for p in evil.received if "authorization" in p.text.lower()]
        assert len([p for p in evil.received if p.message.method == "BYE"]) == 1, "denied, hence over: not repeated"
    finally:
        evil.close()


def test_our_bye_challenged_by_the_provider_itself_is_answered(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, _, _ = talk(box, provider)
    box.call("end", key)
    header = f"Proxy-Authenticate: {provider.challenge()}\r\n"
    provider.reply(provider.expect("BYE"), 407, "Proxy Authentication Required", headers=header)
    again = provider.expect("BYE")
    assert provider.authorized(again, "proxy-authorization")
    provider.reply(again, 200)
    box.expect("CallDisconnected", call=key)


def test_without_registration_the_realm_comes_from_the_first_challenge(box: AgentProcess, provider: SipPeer) -> None:
    box.accounts(home(provider, name="trunk", register=False))
    assert box.expect("RegistrationChanged", account="trunk")["reason"] == reasons.DISABLED
    key = next(_keys)
    box.call("invite", key, "trunk", "0142685300")
    invite = provider.expect("INVITE")
    assert "authorization" not in invite.text.lower()
    header = f"WWW-Authenticate: {provider.challenge()}\r\n"
    provider.reply(invite, 401, "Unauthorized", headers=header)
    # The new attempt is challenged like the first, for the stack knows no nonce yet.
    again = provider.expect("INVITE")
    provider.reply(again, 401, "Unauthorized", headers=header)
    third = provider.expect("INVITE")
    assert provider.authorized(third, "authorization")
    provider.reply(third, 486)
    assert box.expect("CallDisconnected", call=key)["sip_code"] == 486


def test_a_redirection_is_not_followed(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    provider.reply(invite, 302, "Moved", headers=f"Contact: <sip:0899000000@{provider.server}>\r\n")
    box.expect("CallDisconnected", call=key, sip_code=302)
    assert not [p for p in provider.nothing(0.5) if p.message.method == "INVITE"]


def test_a_refer_is_refused_and_dials_nothing(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, _, dialog = talk(box, provider)
    headers = f"Refer-To: <sip:0899000000@{provider.server}>\r\n"
    provider.request("REFER", box.address, dialog, headers=headers)
    provider.expect(603)
    assert not [p for p in provider.nothing(0.5) if p.message.method == "INVITE"]
    hang_up(box, provider, key)


def test_a_call_by_no_account_fails_at_once(box: AgentProcess) -> None:
    box.call("invite", 900, "nobody", "3699")
    over = box.expect("CallDisconnected", call=900)
    assert over["reason"] == reasons.NO_ACCOUNT


def test_the_last_slot_is_kept_for_emergencies(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    ringing = [dial(box, provider) for _ in range(3)]
    for _, invite in ringing:
        provider.reply(invite, 180, "Ringing")
    box.call("invite", 901, "home", "0142685300")
    refused = box.expect("CallDisconnected", call=901)
    assert (refused["sip_code"], refused["reason"]) == (503, reasons.NO_SLOT)

    urgent, invite = dial(box, provider, emergency=True)
    provider.reply(invite, 180, "Ringing")
    ringing.append((urgent, invite))
    # A second one finds no slot: an ordinary call gives way.
    box.call("invite", 902, "home", "0142685301", emergency=True)
    cancel = provider.expect("CANCEL")
    provider.reply(cancel, 200)
    loser = next(pair for pair in ringing if pair[1].message.call_id == cancel.message.call_id)
    assert loser[0] != urgent
    provider.reply(loser[1], 487, "Request Terminated")
    second = provider.expect("INVITE")
    assert second.message.uri is not None
    assert second.message.uri.user == "0142685301"
    for key, open_invite in [*ringing, (902, second)]:
        if key != loser[0]:
            provider.reply(open_invite, 486)
            box.expect("CallDisconnected", call=key)


def test_a_dead_servers_given_up_calls_do_not_keep_an_emergency_waiting(fresh: AgentProcess, provider: SipPeer) -> None:
    box = fresh
    dead = SipPeer("127.0.0.3")
    try:
        silent = replace(home(dead, name="dead"), register=False)
        box.accounts(home(provider), silent)
        box.expect("RegistrationChanged", account="home", registered=True)
        given_up = [next(_keys) for _ in range(4)]
        for key in given_up:
            box.call("invite", key, "dead", "112", emergency=key == given_up[-1])
            dead.expect("INVITE")
            box.call("end", key)
            box.expect("CallDisconnected", call=key)
        began = time.monotonic()
        key = next(_keys)
        box.call("invite", key, "home", "112", emergency=True)
        invite = provider.expect("INVITE", timeout=2.0)
        assert time.monotonic() - began < 1.0
        provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
        box.expect("CallConfirmed", call=key)
        hang_up(box, provider, key)
    finally:
        dead.close()


@pytest.mark.parametrize("progress", [180, 200])
def test_a_server_that_dies_during_a_call_keeps_no_slot_from_an_emergency(
    fresh: AgentProcess, provider: SipPeer, progress: int
) -> None:
    """Neither its unanswered CANCEL nor its unanswered BYE does; both are still repeated."""
    box = fresh
    dead = SipPeer("127.0.0.3")
    try:
        box.accounts(home(provider), replace(home(dead, name="dead"), register=False))
        box.expect("RegistrationChanged", account="home", registered=True)
        keys = [next(_keys) for _ in range(4)]
        for key in keys:
            box.call("invite", key, "dead", "112", emergency=True)
            dead.reply(dead.expect("INVITE"), progress, body=dead.sdp(40_000), tag=f"far{key}")
            box.expect("CallConfirmed" if progress == 200 else "CallProgress", call=key)
        for key in keys:
            box.call("end", key)
            box.expect("CallDisconnected", call=key)
        began = time.monotonic()
        key = next(_keys)
        box.call("invite", key, "home", "112", emergency=True)
        invite = provider.expect("INVITE", timeout=2.0)
        assert time.monotonic() - began < 1.0
        method = "BYE" if progress == 200 else "CANCEL"
        dead.nothing(0.1)
        assert dead.expect(method, timeout=5).message.method == method
        provider.reply(invite, 486)
        box.expect("CallDisconnected", call=key)
    finally:
        dead.close()


def test_voice_flows_both_ways_once_connected(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    with RtpEcho() as echo:
        key, invite = dial(box, provider)
        provider.reply(invite, 200, "OK", body=provider.sdp(echo.port))
        provider.expect("ACK")
        box.call("voice", "on")
        box.expect("CallConfirmed", call=key)
        assert _heard(box, 1.0, more_than=0) < 1.0, "not connected yet: silence"
        box.call("connect", key)
        # The tone of 8000 peak comes back through two A-law passes: mean square 32 million.
        assert _heard(box, 8.0, more_than=20e6) > 20e6
        box.call("disconnect", key)
        assert _heard(box, 5.0, less_than=1.0) < 1.0
        box.call("voice", "")
        assert {b[0] & 0xC0 for b in echo.seen} == {0x80}, "RTP version 2"
        hang_up(box, provider, key)


def test_digits_leave_as_telephone_events(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    with RtpEcho() as echo:
        key, invite = dial(box, provider)
        provider.reply(invite, 200, "OK", body=provider.sdp(echo.port))
        provider.expect("ACK")
        box.expect("CallConfirmed", call=key)
        box.call("voice", "on")
        box.call("connect", key)
        box.call("send_digit", key, "5")
        limit = time.monotonic() + 8
        while time.monotonic() < limit and not any(p[1] & 0x7F == 101 and p[12] == 5 for p in list(echo.seen)):
            time.sleep(0.05)
        assert any(p[1] & 0x7F == 101 and p[12] == 5 for p in echo.seen)
        box.call("voice", "")
        hang_up(box, provider, key)


def test_the_trace_shows_the_call_and_no_secret(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    key, invite = dial(box, provider)
    provider.reply(invite, 486, "Busy Here")
    box.expect("CallDisconnected", call=key)
    messages = box.call("trace", 100)
    mine = [m for m in messages if m["call_id"] == invite.message.call_id]
    assert [m["summary"].split()[0] for m in mine] == ["INVITE", "486", "ACK"]
    text = "".join(m["text"] for m in messages)
    assert "response=" not in text
    assert "[redacted]" in text


def _heard(box: AgentProcess, seconds: float, *, more_than: float = 0.0, less_than: float = -1.0) -> float:
    """The mean square at the telephone, read until it passes the mark or the time is over."""
    limit = time.monotonic() + seconds
    heard = float(box.call("heard"))
    while time.monotonic() < limit and not (0 < more_than < heard or heard < less_than):
        time.sleep(0.05)
        heard = float(box.call("heard"))
    return heard


def test_signalling_is_marked_cs3_and_voice_ef(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, provider)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(8)
        far.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        key, invite = dial(box, provider)
        provider.reply(invite, 200, "OK", body=provider.sdp(far.getsockname()[1]))
        provider.expect("ACK")
        box.call("voice", "on")
        box.call("connect", key)
        _, ancillary, _, _ = far.recvmsg(2000, 64)
        assert ancillary[0][2][0] >> 2 == 46
        box.call("voice", "")
        hang_up(box, provider, key)
    assert provider.dscp == 24
