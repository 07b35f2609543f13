"""What an account's packets and digits are on the wire: the SIP agent against a scripted provider on loopback."""

from __future__ import annotations

import itertools
import re
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from firmware.telephony.agent import DigitWay, SipAccount
from tests.fakes.agent_calls import hang_up, home
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import Packet, RtpEcho, SipPeer

_keys = itertools.count(1)
_RTP_HEADER = 12
_LISTEN_SECONDS = 8.0


@pytest.fixture(scope="module")
def shared() -> Iterator[AgentProcess]:
    agent = AgentProcess()
    yield agent
    try:
        assert agent.close() < 3.0
    finally:
        agent.kill()


@pytest.fixture
def box(shared: AgentProcess) -> Iterator[AgentProcess]:
    shared.drain()
    yield shared
    shared.call("voice", "")
    shared.accounts()
    time.sleep(0.1)


def registered(box: AgentProcess, *accounts: SipAccount) -> None:
    box.accounts(*accounts)
    for account in accounts:
        box.expect("RegistrationChanged", account=account.name, registered=True, sip_code=200)


def dial(box: AgentProcess, peer: SipPeer, account: str = "home") -> tuple[int, Packet]:
    key = next(_keys)
    box.call("invite", key, account, "0142685300")
    return key, peer.expect("INVITE")


def answer(box: AgentProcess, peer: SipPeer, invite: Packet, key: int, body: str) -> None:
    peer.reply(invite, 200, "OK", body=body)
    peer.expect("ACK")
    box.expect("CallConfirmed", call=key)
    box.call("voice", "on")
    box.call("connect", key)


def without_events(sdp: str) -> str:
    return sdp.replace(" 101\r\n", "\r\n").replace("a=rtpmap:101 telephone-event/8000\r\n", "")


def sizes(echo: RtpEcho, least: int = 8) -> set[int]:
    """The lengths of the voice packets' payloads, in bytes, once so many have come."""
    limit = time.monotonic() + _LISTEN_SECONDS
    while time.monotonic() < limit and len(echo.seen) < least:
        time.sleep(0.02)
    assert len(echo.seen) >= least, "no sound came"
    return {len(packet) - _RTP_HEADER for packet in echo.seen if packet[1] & 0x7F == 8}


# --- packets


def test_a_packet_holds_as_much_sound_as_its_account_wants(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider, packet_ms=40))
    with RtpEcho() as echo:
        key, invite = dial(box, provider)
        assert re.findall(r"^a=ptime:(\d+)\s*$", invite.message.body, re.MULTILINE) == ["40"]
        answer(box, provider, invite, key, provider.sdp(echo.port))
        assert sizes(echo) == {320}
        hang_up(box, provider, key)


def test_two_calls_at_once_have_each_its_own_accounts_packets(box: AgentProcess, provider: SipPeer) -> None:
    short = SipPeer()
    short.rules.user = "al"
    try:
        registered(box, home(provider, packet_ms=30), home(short, name="work", user="al", packet_ms=10))
        with RtpEcho() as long_echo, RtpEcho() as short_echo:
            first, one = dial(box, provider)
            second, two = dial(box, short, "work")  # written while the first is not answered yet
            short.reply(two, 180, "Ringing")
            answer(box, provider, one, first, provider.sdp(long_echo.port))
            answer(box, short, two, second, short.sdp(short_echo.port))
            assert sizes(long_echo) == {240}
            assert sizes(short_echo) == {80}
            hang_up(box, short, second)
            hang_up(box, provider, first)
    finally:
        short.close()


@pytest.mark.parametrize(
    ("asked", "bytes_each"),
    [("30", 240), ("0", 160), ("4294967306", 160), ("999", 160), ("1e1", 160)],
)
def test_the_far_end_may_ask_for_another_length_and_nonsense_does_no_harm(
    box: AgentProcess, provider: SipPeer, asked: str, bytes_each: int
) -> None:
    registered(box, home(provider))
    with RtpEcho() as echo:
        key, invite = dial(box, provider)
        answer(box, provider, invite, key, provider.sdp(echo.port) + f"a=ptime:{asked}\r\n")
        assert sizes(echo, 3) == {bytes_each}
        hang_up(box, provider, key)


def test_silence_is_sent_unless_the_account_wants_none(box: AgentProcess, provider: SipPeer) -> None:
    for suppress in (False, True):
        registered(box, home(provider, suppress_silence=suppress))
        with RtpEcho() as echo:
            key, invite = dial(box, provider)
            offered = re.search(r"^m=audio .* 13( |\s*$)", invite.message.body, re.MULTILINE)
            assert (offered is not None) is suppress, "comfort noise is offered with it"
            answer(box, provider, invite, key, provider.sdp(echo.port))
            sizes(echo)  # the handset hums
            box.call("disconnect", key)
            time.sleep(0.5)  # what is under way, and the detector's hangover
            before = len(echo.seen)
            time.sleep(0.6)
            if suppress:
                assert len(echo.seen) - before <= 3, "a keep-alive at most"
            else:
                assert len(echo.seen) - before >= 15
            hang_up(box, provider, key)
        box.accounts()


def test_codecs_that_the_build_lacks_never_leave_a_call_without_sound(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider, codecs=("opus",)))
    key, invite = dial(box, provider)
    assert "PCMA/8000" in invite.message.body
    provider.reply(invite, 486)
    box.expect("CallDisconnected", call=key)


# --- digits


def test_where_the_far_end_takes_no_events_the_tones_are_wanted(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider))
    key, invite = dial(box, provider)
    assert "telephone-event" in invite.message.body
    provider.reply(invite, 200, "OK", body=without_events(provider.sdp(40_000)))
    box.expect("CallMedia", call=key, tones=True)
    box.call("send_digit", key, "5")
    box.expect("DigitRefused", call=key, digit="5")
    hang_up(box, provider, key)


def test_an_account_of_tones_offers_no_events_and_answers_with_none(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider, digits=DigitWay.TONES))
    key, invite = dial(box, provider)
    assert "telephone-event" not in invite.message.body
    assert re.search(r"^m=audio \d+ RTP/AVP 8 0 9\s*$", invite.message.body, re.MULTILINE)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
    box.expect("CallMedia", call=key, tones=True)
    hang_up(box, provider, key)
    dialog = provider.invite(box.address)
    call = box.expect("IncomingCall")["call"]
    box.call("answer", call)
    answered = provider.expect(200)
    dialog.remote = answered.raw("to")
    assert "m=audio" in answered.message.body
    assert "telephone-event" not in answered.message.body
    provider.ack(box.address, dialog)
    box.expect("CallMedia", call=call, tones=True)
    hang_up(box, provider, call)


def test_digits_go_as_info_to_an_account_that_wants_it(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider, digits=DigitWay.INFO))
    key, invite = dial(box, provider)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
    box.expect("CallMedia", call=key, tones=False)
    for digit in "7#":
        box.call("send_digit", key, digit)
        info = provider.expect("INFO")
        assert info.raw("content-type") == "application/dtmf-relay"
        assert re.search(rf"^Signal={re.escape(digit)}\s*$", info.message.body, re.MULTILINE)
        provider.reply(info, 200)
    infos = [m for m in box.call("trace", 50) if m["summary"].startswith("INFO ")]
    assert len(infos) >= 2
    assert not any("Signal" in m["text"] for m in infos), "a digit may be one of a bank's code"
    hang_up(box, provider, key)
    assert not [e for e in box.drain() if e["kind"] == "DigitRefused"]


@pytest.mark.parametrize("code", [405, 481, 0])
def test_a_far_end_that_takes_no_info_gets_tones_and_keeps_the_call(
    box: AgentProcess, provider: SipPeer, code: int
) -> None:
    """0: it does not even answer."""
    registered(box, home(provider, digits=DigitWay.INFO))
    key, invite = dial(box, provider)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
    provider.expect("ACK")
    box.expect("CallMedia", call=key, tones=False)
    box.call("send_digit", key, "4")
    info = provider.expect("INFO")
    if code:
        provider.reply(info, code, "No")
    box.expect("CallMedia", call=key, tones=True, timeout=15)
    box.expect("DigitRefused", call=key, digit="4")
    box.call("send_digit", key, "2")
    box.expect("DigitRefused", call=key, digit="2")
    assert not [p for p in provider.nothing(0.3) if p.message.method == "BYE"]
    hang_up(box, provider, key)


def test_an_info_that_is_challenged_is_sent_with_a_digest_and_counts(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider, digits=DigitWay.INFO))
    key, invite = dial(box, provider)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000))
    provider.expect("ACK")
    box.expect("CallMedia", call=key)
    box.call("send_digit", key, "9")
    info = provider.expect("INFO")
    provider.reply(info, 407, "Proxy", headers=f"Proxy-Authenticate: {provider.challenge()}\r\n")
    again = provider.expect("INFO")
    assert provider.authorized(again, "proxy-authorization")
    provider.reply(again, 415)
    box.expect("DigitRefused", call=key, digit="9")
    hang_up(box, provider, key)


def test_an_account_of_events_only_never_asks_for_a_tone(box: AgentProcess, provider: SipPeer) -> None:
    registered(box, home(provider, digits=DigitWay.EVENTS))
    key, invite = dial(box, provider)
    provider.reply(invite, 200, "OK", body=without_events(provider.sdp(40_000)))
    box.expect("CallMedia", call=key, tones=False)
    box.call("send_digit", key, "5")
    hang_up(box, provider, key)
    assert not [e for e in box.drain() if e["kind"] == "DigitRefused"]


# --- packets beside the bridge's ticks


def test_of_two_calls_whose_packets_come_with_the_ticks_one_is_read_at_another(
    box: AgentProcess, provider: SipPeer
) -> None:
    """Packets of both come with a tick, of the one with a tick that reads them: which it is nobody knows."""
    box.call("hush")
    for _ in range(5):  # a machine that stalls in one call shows nothing
        registered(box, home(provider))
        before = box.call("ticks")["skipped"]
        for ticks_later in (0, 1):
            _call_with_packets_at_ticks(box, provider, ticks_later)
        box.accounts()
        if box.call("ticks")["skipped"] - before == 1:
            return
    raise AssertionError("the reading was moved in both calls, or in none")


def _call_with_packets_at_ticks(box: AgentProcess, provider: SipPeer, ticks_later: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        key, invite = dial(box, provider)
        rtp = re.search(r"^m=audio (\d+)", invite.message.body, re.MULTILINE)
        assert rtp is not None
        answer(box, provider, invite, key, provider.sdp(far.getsockname()[1]))
        limit = time.monotonic() + _LISTEN_SECONDS
        while not (state := box.call("ticks"))["ticks"] and time.monotonic() < limit:
            time.sleep(0.01)
        # Each call's first reading is at its own first tick: counted from the same parity for both.
        begin = state["ticked_at"] + 0.01 * (state["ticks"] % 2 + ticks_later) + 0.02
        for number in range(70):
            due = begin + 0.02 * number
            time.sleep(max(0.0, due - time.monotonic()))
            header = struct.pack("!BBHII", 0x80, 8, number, number * 160, 77)
            far.sendto(header + b"\xd5" * 160, ("127.0.0.1", int(rtp[1])))
        hang_up(box, provider, key)
