"""The session descriptions, as accounts want them: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony.sip.sdp import adapted, misleading

WRITTEN = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=pjmedia\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 8 0 120 121\r\nc=IN IP4 127.0.0.1\r\na=sendrecv\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:120 telephone-event/16000\r\na=fmtp:120 0-16\r\n"
    "a=rtpmap:121 telephone-event/8000\r\na=fmtp:121 0-16\r\n"
)


def test_the_packet_length_is_said_once() -> None:
    once = adapted(WRITTEN, packet_ms=30)
    assert once == WRITTEN + "a=ptime:30\r\n"
    assert adapted(once, packet_ms=10) == WRITTEN + "a=ptime:10\r\n"


def test_without_events_nothing_of_them_is_left() -> None:
    told = adapted(WRITTEN, packet_ms=20, events=False)
    assert "m=audio 4000 RTP/AVP 8 0\r\n" in told
    assert "120" not in told
    assert "121" not in told


def test_comfort_noise_is_added_once() -> None:
    told = adapted(adapted(WRITTEN, packet_ms=20, comfort_noise=True), packet_ms=20, comfort_noise=True)
    assert "m=audio 4000 RTP/AVP 8 0 120 121 13\r\n" in told
    assert told.count("a=rtpmap:13 CN/8000\r\n") == 1


def test_other_sections_stay_as_they_are() -> None:
    video = "m=video 0 RTP/AVP 31\r\na=ptime:7\r\n"
    assert adapted(WRITTEN + video, packet_ms=20) == WRITTEN + "a=ptime:20\r\n" + video
    assert adapted(video, packet_ms=20) == video


def test_a_refused_stream_keeps_its_one_format() -> None:
    refused = "v=0\r\nm=audio 0 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    assert "m=audio 0 RTP/AVP 101\r\n" in adapted(refused, packet_ms=20, events=False)


@pytest.mark.parametrize(
    ("line", "hidden"),
    [("20", False), ("10", False), ("100", False), ("60 ", False), ("9", True), ("101", True), ("0", True),
     ("-20", True), ("", True), ("4294967306", True), ("twenty", True)],
)  # fmt: skip
def test_a_length_that_would_make_the_far_end_deaf_is_hidden(line: str, hidden: bool) -> None:  # noqa: FBT001
    text = f"INVITE sip:a@b SIP/2.0\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 8\r\na=ptime:{line}\r\na=sendrecv\r\n".encode()
    found = misleading(text)
    assert bool(found) is hidden
    assert all(text[at : at + 5] == b"ptime" for at in found)


@given(st.binary(max_size=300), st.text(max_size=300))
def test_any_text_is_read_without_harm(message: bytes, sdp: str) -> None:
    assert all(message[at : at + 5] == b"ptime" for at in misleading(message))
    assert isinstance(adapted(sdp, packet_ms=20, events=False, comfort_noise=True), str)
