"""Reading messages: what the box looks at itself, and that nothing a stranger sends makes it stumble."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony.events import AbsenceReason, Caller
from firmware.telephony.sip.identity import caller_of, clean
from firmware.telephony.sip.message import (
    Uri,
    challenge_realm,
    parse_message,
    parse_name_address,
    parse_uri,
    q850_cause,
    sdp_holds,
    split_host_port,
)


def invite(*headers: str) -> str:
    lines = ["INVITE sip:bob@box SIP/2.0", *headers, "", ""]
    return "\r\n".join(lines)


def caller(*headers: str) -> Caller:
    message = parse_message(invite(*headers))
    assert message is not None
    return caller_of(message)


def test_a_request_is_read_with_compact_and_folded_headers() -> None:
    message = parse_message(invite("f: <sip:a@b>;tag=1", "i: call-1", "Subject: one", "\ttwo", "CSeq: 7 INVITE"))
    assert message is not None
    assert message.is_request
    assert message.uri == Uri("sip", "bob", "box")
    assert message.call_id == "call-1"
    assert message.first("subject") == "one two"
    assert message.cseq_method == "INVITE"
    origin = message.address("from")
    assert origin is not None
    assert origin.tag == "1"


def test_an_answer_is_read() -> None:
    message = parse_message("SIP/2.0 486 Busy Here\r\nCall-ID: x\r\n\r\n")
    assert message is not None
    assert (message.is_request, message.status, message.phrase) == (False, 486, "Busy Here")


@pytest.mark.parametrize("text", ["", "\r\n\r\n", "hello", "GET / HTTP/1.1\r\n\r\n", "SIP/2.0 abc x", "SIP/2.0 ²²² x"])
def test_what_is_no_message_is_none(text: str) -> None:
    assert parse_message(text) is None


@given(st.text(max_size=2000))
def test_no_text_makes_the_reader_stumble(text: str) -> None:
    for whole in (text, "INVITE sip:x SIP/2.0\r\n" + text, "INVITE sip:x SIP/2.0\r\nFrom: " + text):
        message = parse_message(whole)
        if message is not None:
            caller_of(message)
            q850_cause(message)
            challenge_realm(message)
            sdp_holds(message.body)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:bob@example.org", Uri("sip", "bob", "example.org")),
        ("sips:+33142685300;npdi@[2001:db8::1]:5061;transport=tls", Uri("sips", "+33142685300", "2001:db8::1", 5061)),
        ("sip:bob:secret@host:99999", Uri("sip", "bob", "host")),
        ("tel:+33-1-42;phone-context=x", Uri("tel", "+33-1-42", "")),
        ("sip:%62ob@HOST", Uri("sip", "bob", "host")),
        ("sip:host", Uri("sip", "", "host")),
        ("http://x", None),
    ],
)
def test_uris(text: str, uri: Uri | None) -> None:
    assert parse_uri(text) == uri


def test_hosts_and_ports() -> None:
    assert split_host_port("a.b:5070") == ("a.b", 5070)
    assert split_host_port("[::1]:5070") == ("::1", 5070)
    assert split_host_port("::1") == ("::1", None)
    assert split_host_port("a:x") == ("a", None)


def test_a_quoted_name_may_hold_brackets_and_quotes() -> None:
    address = parse_name_address(r'"A \"<b>\" c" <sip:1@h>;tag=t')
    assert address is not None
    assert (address.name, address.uri.user, address.tag) == ('A "<b>" c', "1", "t")


def test_a_q850_cause_is_found_among_reasons() -> None:
    message = parse_message(invite('Reason: SIP;cause=480, Q.850;cause=17;text="busy"'))
    assert message is not None
    assert q850_cause(message) == 17
    message = parse_message(invite("Reason: Q.850;cause=999"))
    assert message is not None
    assert q850_cause(message) is None


@pytest.mark.parametrize(("cause", "found"), [("016", 16), ("0000999", None), ("128", None), ("0" * 5000 + "1", None)])
def test_a_q850_cause_is_a_number_of_seven_bits_however_it_is_written(cause: str, found: int | None) -> None:
    message = parse_message(f"BYE sip:x@y SIP/2.0\r\nReason: Q.850;cause={cause}\r\n\r\n")
    assert message is not None
    assert q850_cause(message) == found


def test_asserted_identities_are_sought_at_the_beginning_of_their_line_only() -> None:
    """The search takes the square of the length, and a message may be 16 KB of commas and quotes."""
    for commas, number in ((500, "+33999"), (600, "0142685300")):
        line = f"P-Asserted-Identity: {',' * commas}<sip:+33999@y>"
        message = parse_message(invite("From: <sip:0142685300@y>", line))
        assert message is not None
        assert caller_of(message) == Caller(number, None)


def test_the_digest_realm_is_found_beside_others() -> None:
    message = parse_message(
        'SIP/2.0 401 No\r\nWWW-Authenticate: Bearer realm="b"\r\n'
        'WWW-Authenticate: Digest nonce="n", realm="a, b"\r\n\r\n'
    )
    assert message is not None
    assert challenge_realm(message) == "a, b"


@pytest.mark.parametrize(
    ("media", "held"),
    [
        ("a=sendonly\r\n", True),
        ("a=inactive\r\n", True),
        ("a=recvonly\r\n", False),
        ("", False),
        ("c=IN IP4 0.0.0.0\r\n", True),
    ],
)
def test_hold_is_read_from_the_description(media: str, held: bool) -> None:  # noqa: FBT001
    body = f"v=0\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n{media}"
    assert sdp_holds(body.replace("\r\n", "\n")) is held
    assert sdp_holds("v=0\n") is None


# --- who calls


def test_the_asserted_identity_comes_before_from() -> None:
    assert caller('From: "Me" <sip:1@x>', 'P-Asserted-Identity: "Anne" <sip:+33142685300@x>') == Caller(
        "+33142685300", "Anne"
    )
    assert caller('From: "Me" <sip:0199@x>', "P-Asserted-Identity: <tel:+33-1-42>, <sip:x@y>") == Caller("+33142", "Me")


@pytest.mark.parametrize(
    "headers",
    [
        ["From: <sip:anonymous@anonymous.invalid>"],
        ['From: "Anonymous" <sip:anonymous@anonymous.invalid>', "P-Asserted-Identity: <sip:+33142685300@x>"],
        ["From: <sip:0142685300@x>", "Privacy: id;critical"],
        ['From: "Anonymous" <sip:anonymous@provider.fr>'],
    ],
)
def test_a_withheld_number_is_private(headers: list[str]) -> None:
    assert caller(*headers) == Caller(None, None, AbsenceReason.PRIVATE)


def test_a_caller_without_a_number_is_unavailable() -> None:
    assert caller('From: "Fax" <sip:gateway@x>') == Caller(None, "Fax", AbsenceReason.UNAVAILABLE)
    assert caller("From: <sip:unknown@x>") == Caller(None, None, AbsenceReason.UNAVAILABLE)
    assert caller() == Caller(None, None, AbsenceReason.UNAVAILABLE)


def test_a_name_that_repeats_the_number_is_none() -> None:
    assert caller('From: "01 42 68 53 00" <sip:0142685300@x>') == Caller("0142685300")


def test_text_is_cleaned_and_bounded() -> None:
    assert clean("a\x00\x1b[31m\u202eb\u200b\r\n c") == "a[31mb c"
    assert len(clean("x" * 5000)) == 128
