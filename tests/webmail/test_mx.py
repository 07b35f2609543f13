"""Mail exchangers from DNS: a real question over UDP on loopback, and answers made to harm."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.webmail.mx import DnsError, answers, exchangers, question


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def record(preference: int, host: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIHH", 15, 1, 300, 2 + len(host), preference) + host


def answer(asked: bytes, *records: bytes, flags: int = 0x8180) -> bytes:
    return asked[:2] + struct.pack("!5H", flags, 1, len(records), 0, 0) + asked[12:] + b"".join(records)


@contextmanager
def resolver(reply: Callable[[bytes], list[bytes]], folder: Path) -> Iterator[tuple[Path, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))

        def serve() -> None:
            try:
                asked, client = line.recvfrom(512)
                for packet in reply(asked):
                    line.sendto(packet, client)
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        (folder / "resolv.conf").write_text("# ours\nsearch home\nnameserver 127.0.0.1\n")
        yield folder / "resolv.conf", line.getsockname()[1]
        thread.join(5)


def test_exchangers_come_best_first(tmp_path: Path) -> None:
    def reply(asked: bytes) -> list[bytes]:
        return [answer(asked, record(50, name("mx2.mail.ovh.net")), record(1, name("mx1.mail.ovh.net")))]

    with resolver(reply, tmp_path) as (conf, port):
        assert exchangers("example.org", conf, port) == ["mx1.mail.ovh.net", "mx2.mail.ovh.net"]


def test_a_packet_for_another_question_is_passed_over(tmp_path: Path) -> None:
    def reply(asked: bytes) -> list[bytes]:
        forged = question("example.net", 1)
        good = answer(asked, record(1, name("mx.gandi.net")))
        return [answer(forged, record(1, name("evil.example"))), b"", good]

    with resolver(reply, tmp_path) as (conf, port):
        assert exchangers("example.org", conf, port) == ["mx.gandi.net"]


def test_no_resolver_is_no_exchanger(tmp_path: Path) -> None:
    assert exchangers("example.org", tmp_path / "absent") == []
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        port = line.getsockname()[1]
    assert exchangers("example.org", tmp_path / "resolv.conf", port) == []  # refused at once


def test_no_such_domain_is_no_exchanger() -> None:
    asked = question("nowhere.example", 7)
    assert answers(answer(asked, flags=0x8183), asked) == []


def test_a_name_that_points_at_itself_has_an_end() -> None:
    asked = question("example.org", 7)
    place = len(asked) + 14
    loop = struct.pack("!H", 0xC000 | place)
    with pytest.raises(DnsError, match="forward"):
        answers(answer(asked, record(1, loop)), asked)


@pytest.mark.parametrize("domain", ["", "a" * 64 + ".fr", "a..fr"])
def test_a_domain_that_dns_cannot_carry_is_not_asked(domain: str) -> None:
    with pytest.raises(DnsError):
        question(domain, 1)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 40))
def test_no_bytes_make_it_crash_or_hang(junk: bytes, count: int) -> None:
    asked = question("example.org", 7)
    packet = asked[:2] + struct.pack("!5H", 0x8180, 1, count, 0, 0) + asked[12:] + junk
    with suppress(DnsError):
        answers(packet, asked)
