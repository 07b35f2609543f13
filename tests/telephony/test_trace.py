"""The trace: which log lines are messages, what is covered, how a ladder reads."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from firmware.clock import ManualClock
from firmware.telephony.trace import TraceRing, ladder, redact

INVITE = (
    "INVITE sip:3699@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060\r\nCall-ID: abc\r\nCSeq: 1 INVITE\r\n"
    "Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
)
BUSY = "SIP/2.0 486 Busy Here\r\nCall-ID: abc\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"


def logged(text: str, *, sent: bool = True) -> str:
    way, to = ("TX", "to") if sent else ("RX", "from")
    return f"{way} {len(text)} bytes Request msg INVITE/cseq=1 (tdta) {to} UDP 127.0.0.1:5070:\n{text}\n--end msg--"


def test_a_logged_message_is_kept_and_a_log_line_is_not() -> None:
    clock = ManualClock(start=datetime(2026, 7, 1, 12, tzinfo=UTC))
    ring = TraceRing(clock)
    assert ring.feed(logged(INVITE))
    assert not ring.feed("pjsua_core.c  .PJSUA state changed: NULL --> CREATED")
    (message,) = ring.last(10)
    assert message.outgoing
    assert message.peer == "udp:127.0.0.1:5070"
    assert message.call_id == "abc"
    assert message.summary == "INVITE sip:3699@127.0.0.1:5070 +SDP"
    assert message.at == "2026-07-01T12:00:00.000+00:00"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "TX 12 bytes to UDP",
        "TX many bytes Request msg INVITE/cseq=1 to UDP 127.0.0.1:5070:\nINVITE",
        "RX 12 bytes Request msg INVITE/cseq=1 at UDP 127.0.0.1:5070:\nINVITE",
        "a line about TX 12 bytes Request msg x from UDP 127.0.0.1:5070:\nINVITE",
        "TX 12 bytes\nRequest msg INVITE/cseq=1 (tdta) to UDP 127.0.0.1:5070:\nINVITE",
    ],
)
def test_what_only_resembles_a_logged_message_is_not_kept(line: str) -> None:
    assert not TraceRing(ManualClock()).feed(line)


def test_a_logged_messages_text_ends_where_the_message_ends() -> None:
    ring = TraceRing(ManualClock())
    ring.feed("  " + logged(INVITE + "k:\n  v  \n") + "\n")
    ring.feed(logged(INVITE).removesuffix("--end msg--"))
    first, second = (m.text for m in ring.last(2))
    assert first.endswith("v=0\r\nk:\n  v")
    assert second.endswith("v=0")


@pytest.mark.parametrize("body", [" ", "\n", "\r\n ", "sip:a:", "sipsip:", "cseq:1 ", "\ni:", "--end msg--"])
def test_a_strangers_body_costs_time_in_proportion_to_its_length(body: str) -> None:
    """60 kB of what an expression may stumble over, beside as much plain text: squared it is 100 times and more."""

    def seconds(text: str) -> float:
        ring = TraceRing(ManualClock())
        spent = []
        for _ in range(3):
            began = time.thread_time()
            assert ring.feed(logged(INVITE.replace("INVITE", "INFO") + text, sent=False))
            spent.append(time.thread_time() - began)
        return min(spent)

    length = 60_000
    plain = seconds("a word or two, " * (length // 15))
    assert seconds(body * (length // len(body)) + "x") < 20 * plain


def test_the_ring_is_bounded_and_gives_the_last_ones_oldest_first() -> None:
    ring = TraceRing(ManualClock(), capacity=3)
    for number in range(5):
        ring.feed(logged(INVITE.replace("abc", f"call{number}")))
    assert [m.call_id for m in ring.last(10)] == ["call2", "call3", "call4"]
    assert [m.call_id for m in ring.last(1)] == ["call4"]
    assert ring.last(0) == []


def test_secrets_are_covered_and_the_realm_stays() -> None:
    text = redact(
        "REGISTER sip:x SIP/2.0\r\n"
        'Authorization: Digest username="bob", realm="x.org",\r\n nonce="n1", response="0123456789abcdef"\r\n'
        'proxy-authorization: Digest realm="y.org", response="deadbeef"\r\n'
        "Authorization: Bearer eyJhbGciOi\r\n"
        "Contact: <sip:bob:hunter2@127.0.0.1;password=tell>\r\n\r\n"
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
    )
    for secret in ("0123456789abcdef", "deadbeef", "eyJhbGciOi", "hunter2", "tell", "d0Rmdm", "n1"):
        assert secret not in text
    assert 'realm="x.org"' in text
    assert "<sip:bob:[redacted]@127.0.0.1;" in text
    assert "REGISTER sip:x SIP/2.0" in text


def test_a_ladder_shows_each_call_apart_with_its_times() -> None:
    clock = ManualClock(start=datetime(2026, 7, 1, 12, tzinfo=UTC))
    ring = TraceRing(clock)
    ring.feed(logged(INVITE))
    clock.advance(0.25)
    ring.feed(logged(BUSY, sent=False))
    ring.feed(logged(INVITE.replace("abc", "other")))
    drawn = ladder(ring.last(10))
    first, second = drawn.split("\n\n")
    lines = first.splitlines()
    assert lines[0] == "Call-ID abc  2026-07-01T12:00:00.000+00:00"
    assert lines[2].startswith("+   0.000  |-")
    assert lines[2].endswith(">|")
    assert "486 Busy Here (INVITE)" in lines[3]
    assert lines[3].startswith("+   0.250  |<-")
    assert "Call-ID other" in second
    assert ladder([]) == ""
