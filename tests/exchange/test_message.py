from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.exchange import message
from firmware.exchange.message import SipSyntaxError, Uri, elements, parameters, parse, parse_uri, tag

INVITE = (
    b"INVITE sip:3699@127.0.0.1:5070 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:4000;branch=z9hG4bK1, SIP/2.0/UDP 127.0.0.1:4001;branch=z9hG4bK2\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:4002;branch=z9hG4bK3\r\n"
    b'f: "Jeanne, ;tag=no" <sip:allobox@127.0.0.1;tag=neither>;tag=yes\r\n'
    b"To: <sip:3699@127.0.0.1>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n"
    b"Subject: folded\r\n  over lines\r\nContent-Length: 4\r\n\r\nbodyrest"
)


def test_a_request_is_read_with_compact_and_folded_headers_and_its_body_as_long_as_said() -> None:
    read = parse(INVITE)
    assert (read.method, read.uri, read.body) == ("INVITE", "sip:3699@127.0.0.1:5070", b"body")
    assert len(elements(read.all("via"))) == 3
    assert read.get("subject") == "folded over lines"
    assert tag(read.get("from")) == "yes"
    assert tag(read.get("to")) == ""


def test_what_is_not_touched_passes_through() -> None:
    again = parse(parse(INVITE).encode())
    assert again.headers[:-1] == tuple(pair for pair in parse(INVITE).headers if pair[0] != "Content-Length")
    assert again.body == b"body"


def test_values_are_replaced_where_the_first_one_stood() -> None:
    read = parse(INVITE).with_values("via", ["a", "b"])
    assert [name for name, _ in read.headers[:3]] == ["Via", "Via", "f"]
    assert parse(INVITE).with_values("route", ["x"]).headers[0] == ("Route", "x")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "first line"),
        (b"INVITE sip:a SIP/2.0\r\n", "no empty line"),
        (b"INVITE sip:a SIP/2.0\r\n\r\n", "no via"),
        (INVITE.replace(b"Call-ID: one\r\n", b""), "no call-id"),
        (INVITE.replace(b"Content-Length: 4", b"Content-Length: 400"), "Content-Length"),
        (INVITE.replace(b"Content-Length: 4", b"Content-Length: -4"), "Content-Length"),
        (INVITE.replace(b"Subject:", b"Sub ject"), "without a name"),
        (INVITE.replace(b"Subject", b"S: x\r\n" * 200 + b"Subject"), "headers"),
        (b"x" * 20000, "datagram"),
    ],
)
def test_what_is_no_sip_is_refused_with_the_reason(bad: bytes, why: str) -> None:
    with pytest.raises(SipSyntaxError, match=why):
        parse(bad)


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ('"A" <sip:bob@example.org:5061;lr>', Uri("bob", "example.org", 5061)),
        ("sip:127.0.0.1", Uri("", "127.0.0.1", 5060)),
        ("<sips:+33199000001:secret@h>", Uri("+33199000001", "h", 5060)),
    ],
)
def test_uris_are_read(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri


@pytest.mark.parametrize("text", ["", "tel:112", "sip:", "sip:a@b:0", "sip:a@b:99999", "<>"])
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_uri(text)


def test_parameters_inside_the_angle_brackets_belong_to_the_uri() -> None:
    assert parameters('<sip:a@b;x=1>;expires=60;q="0.5"') == {"expires": "60", "q": "0.5"}


@given(st.binary(max_size=600))
def test_no_datagram_ends_in_anything_but_a_message_or_a_reason(data: bytes) -> None:
    with contextlib.suppress(SipSyntaxError):
        message.parse(data)


@given(st.lists(st.sampled_from(list(INVITE.decode().splitlines())), max_size=12), st.binary(max_size=20))
def test_shuffled_headers_end_in_a_message_or_a_reason(lines: list[str], body: bytes) -> None:
    with contextlib.suppress(SipSyntaxError):
        read = message.parse("\r\n".join(["OPTIONS sip:x SIP/2.0", *lines, "", ""]).encode() + body)
        message.parse(read.encode())
