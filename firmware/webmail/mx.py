"""The mail exchangers of a domain: one DNS question to the machine's own resolver (RFC 1035).

The standard library asks for addresses only. An answer picks a known provider and nothing else:
its servers come from our own file and must prove their name by TLS. Pure apart from `exchangers`.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import time
from pathlib import Path

_RESOLVERS = Path("/etc/resolv.conf")
_PORT = 53
_SECONDS = 2.0
_MX, _IN = 15, 1
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_MAX_ANSWERS = 32
_MAX_NAME = 255
_POINTER = 0xC0
_RESPONSE = 0x8000
_RECURSE = 0x0100
_RCODE = 0x000F


class DnsError(ValueError):
    """Bytes that are no answer to our question."""


def question(domain: str, identity: int) -> bytes:
    """The query packet. Raises DnsError for a name that DNS cannot carry."""
    name = b""
    for label in domain.rstrip(".").split("."):
        raw = label.encode("ascii", "replace")
        if not 1 <= len(raw) <= 63:  # noqa: PLR2004 - RFC 1035 clause 2.3.4
            msg = f"{domain!r} is no domain name"
            raise DnsError(msg)
        name += bytes([len(raw)]) + raw
    return _HEADER.pack(identity, _RECURSE, 1, 0, 0, 0) + name + b"\0" + struct.pack("!HH", _MX, _IN)


def answers(packet: bytes, asked: bytes) -> list[str]:
    """Exchangers' names, best first. Raises DnsError."""
    body = asked[_HEADER.size :]
    if len(packet) < len(asked) or packet[:2] != asked[:2] or packet[_HEADER.size : len(asked)].lower() != body.lower():
        raise DnsError("not an answer to this question")
    _, flags, _, count, _, _ = _HEADER.unpack_from(packet)
    if not flags & _RESPONSE or flags & _RCODE:
        return []
    found: list[tuple[int, str]] = []
    place = len(asked)
    try:
        for _ in range(min(count, _MAX_ANSWERS)):
            _, place = _name(packet, place)
            kind, family, _, length = _RECORD.unpack_from(packet, place)
            place += _RECORD.size
            if kind == _MX and family == _IN:
                (preference,) = struct.unpack_from("!H", packet, place)
                found.append((preference, _name(packet, place + 2)[0]))
            place += length
    except (struct.error, IndexError) as error:
        msg = f"cut short: {error}"
        raise DnsError(msg) from error
    return [name for _, name in sorted(found) if name]


def _name(packet: bytes, place: int) -> tuple[str, int]:
    """A name and where the text goes on. A pointer leads only backwards, so that there is an end."""
    labels: list[str] = []
    after = -1
    while (length := packet[place]) != 0:
        if length & _POINTER == _POINTER:
            target = (length & ~_POINTER) << 8 | packet[place + 1]
            after = place + 2 if after < 0 else after
            if target >= place:
                raise DnsError("a name that points forward")
            place = target
            continue
        labels.append(packet[place + 1 : place + 1 + length].decode("ascii", "replace"))
        place += 1 + length
        if sum(map(len, labels)) > _MAX_NAME:
            raise DnsError("a name without end")
    return ".".join(labels), place + 1 if after < 0 else after


def exchangers(domain: str, resolvers: Path = _RESOLVERS, port: int = _PORT) -> list[str]:
    """The domain's exchangers, best first; none when nobody answers in time."""
    with contextlib.suppress(OSError, DnsError):
        for address in _nameservers(resolvers)[:2]:
            found = _ask(address, port, domain)
            if found is not None:
                return found
    return []


def _nameservers(resolvers: Path) -> list[str]:
    words = (line.split() for line in resolvers.read_text(encoding="utf-8", errors="replace").splitlines())
    return [row[1] for row in words if len(row) > 1 and row[0] == "nameserver"]


def _ask(address: str, port: int, domain: str) -> list[str] | None:
    asked = question(domain, secrets.randbits(16))
    end = time.monotonic() + _SECONDS
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as line:
        line.connect((address, port))
        line.send(asked)
        while (left := end - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                return answers(line.recv(4096), asked)
            except DnsError:
                continue  # somebody else's packet: the right one may still come
            except OSError:
                return None
    return None
