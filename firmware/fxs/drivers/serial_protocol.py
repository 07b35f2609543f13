"""The words between the box and a hat with a microcontroller (docs/serial-hat.md): lines of ASCII. Pure.

A line is `BODY*CCCC` and a newline, 120 bytes at most: fields with one space between them, and the
CRC-16 of the body (polynomial 1021h, initial value 0: "XMODEM", as in ITU-T V.41). What is longer,
has a wrong sum or says nothing known is passed over, and the next newline begins afresh. Nothing
that arrives raises, and no more than one line is kept.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

PROTOCOL = 1
MAX_LINE_BYTES = 120
"""With the newline."""
MAX_SEQUENCE = 1 << 16
MAX_HAT_LINES = 8
HELLO_FIRST = "HELLO"
"""The reason of a hat that has begun anew and wants to be greeted before it takes an order."""

_LINE = re.compile(rb"([!-)+-~]+(?: [!-)+-~]+)*)\*([0-9A-F]{4})")
_KEYS = frozenset("0123456789*#ABCD")
_STAR = "S"
"""The key * on the wire, where * is the mark before the sum."""


class Order(Enum):
    """What the box may ask of a hat."""

    HELLO = "HELLO"
    PING = "PING"
    RING = "RING"
    POLARITY = "POLARITY"
    POWER = "POWER"
    STATE = "STATE"


@dataclass(frozen=True, slots=True)
class Hello:
    """The hat introduces itself. `ms`: its clock, milliseconds modulo 2**32, here and in every message."""

    seq: int
    protocol: int
    firmware: str
    lines: int
    abilities: frozenset[str]
    ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """The order of that number was carried out."""

    seq: int
    ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The order of that number was not carried out."""

    seq: int
    ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class State:
    """A line as it is. `ring_hz` is 0 without ring voltage."""

    seq: int
    ms: int
    line: int
    closed: bool
    ring_hz: float
    reverse: bool
    power: bool


@dataclass(frozen=True, slots=True)
class Booted:
    """The hat has begun anew: it has forgotten everything, and its clock."""

    ms: int


@dataclass(frozen=True, slots=True)
class Hook:
    """The loop closed or opened, bounce included. `number` counts all events of the hat, modulo 65536."""

    number: int
    ms: int
    line: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Trip:
    """The handset was lifted during a ring; the hat has taken the ring off by itself."""

    number: int
    ms: int
    line: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hat took the ring off by itself: the box's heartbeat stopped (HEARTBEAT), or the burst lasted (LIMIT)."""

    number: int
    ms: int
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Digit:
    """The hat's own receiver heard a DTMF digit."""

    number: int
    ms: int
    line: int
    digit: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something is wrong with a line (`reason` in one word), or no longer (`reason` is "")."""

    number: int
    ms: int
    line: int
    reason: str


HatEvent = Hook | Trip | Quiet | Digit | Fault
Reply = Hello | Done | Refused | State
Message = Reply | Booted | HatEvent


def checksum(body: bytes) -> bytes:
    """The four hexadecimal digits after the `*`."""
    return b"%04X" % binascii.crc_hqx(body, 0)


def framed(body: str) -> bytes:
    """A whole line. Raises ValueError for what does not fit into one."""
    raw = body.encode("ascii")
    line = raw + b"*" + checksum(raw) + b"\n"
    if len(line) > MAX_LINE_BYTES or not _LINE.fullmatch(line[:-1]):
        raise ValueError(f"{body!r} is no line of the hat's protocol")
    return line


def order(kind: Order, seq: int, *words: str) -> bytes:
    """An order of the box as a line."""
    return framed(" ".join((kind.value, str(seq), *words)))


def hertz(frequency_hz: float) -> str:
    """A ring frequency as it is written: to a tenth."""
    return f"{round(frequency_hz, 1):g}"


def parse(line: bytes) -> Message | None:
    """One line without its newline; None for anything that is not a message of a hat. Never raises."""
    found = _LINE.fullmatch(line.removesuffix(b"\r"))
    if found is None or len(line) >= MAX_LINE_BYTES or checksum(found[1]) != found[2]:
        return None
    verb, *words = found[1].decode("ascii").split(" ")
    reader = _READERS.get(verb)
    if reader is None or len(words) != reader[0]:
        return None
    try:
        return reader[1](words)
    except ValueError:
        return None


class LineAssembler:
    """Bytes to lines, whatever the pieces; keeps at most one line."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._lost = False
        self.skipped = 0
        """Lines that were too long, since the beginning."""

    def reset(self) -> None:
        """Forget a half line."""
        self._kept.clear()
        self._lost = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in `data`, without newlines; empty ones and those too long are left out."""
        lines: list[bytes] = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._keep(piece)
            if self._lost:
                self.skipped += 1
            elif self._kept:
                lines.append(bytes(self._kept))
            self.reset()
        self._keep(rest)
        return lines

    def _keep(self, piece: bytes) -> None:
        if self._lost or len(self._kept) + len(piece) >= MAX_LINE_BYTES:
            self._kept.clear()
            self._lost = True
        else:
            self._kept += piece


def _number(word: str, limit: int) -> int:
    if not word.isdecimal() or (value := int(word)) >= limit:
        raise ValueError(word)
    return value


def _ms(word: str) -> int:
    return _number(word, 1 << 32)


def _seq(word: str) -> int:
    return _number(word, MAX_SEQUENCE)


def _line_number(word: str) -> int:
    line = _number(word, MAX_HAT_LINES + 1)
    if line == 0:
        raise ValueError(word)
    return line


def _either(word: str, yes: str, no: str) -> bool:
    if word not in {yes, no}:
        raise ValueError(word)
    return word == yes


def _hz(word: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9])?", word):
        raise ValueError(word)
    return float(word)


def _digit(word: str) -> str:
    digit = "*" if word == _STAR else word
    if digit not in _KEYS:
        raise ValueError(word)
    return digit


def _hello(words: list[str]) -> Message:
    seq, protocol, firmware, lines, abilities, ms = words
    named = frozenset() if abilities == "-" else frozenset(abilities.split(","))
    return Hello(_seq(seq), _number(protocol, 1000), firmware, _line_number(lines), named, _ms(ms))


def _state(words: list[str]) -> Message:
    seq, ms, line, loop, ring, battery, power = words
    return State(
        seq=_seq(seq),
        ms=_ms(ms),
        line=_line_number(line),
        closed=_either(loop, "CLOSED", "OPEN"),
        ring_hz=_hz(ring),
        reverse=_either(battery, "REVERSED", "NORMAL"),
        power=_either(power, "ON", "OFF"),
    )


def _event(make: Callable[[int, int, int, str], Message]) -> Callable[[list[str]], Message]:
    return lambda words: make(_seq(words[0]), _ms(words[1]), _line_number(words[2]), words[3])


# Verb -> how many words follow it, and what they mean.
_READERS: dict[str, tuple[int, Callable[[list[str]], Message]]] = {
    "HELLO": (6, _hello),
    "OK": (2, lambda words: Done(_seq(words[0]), _ms(words[1]))),
    "NO": (3, lambda words: Refused(_seq(words[0]), _ms(words[1]), words[2])),
    "STATE": (7, _state),
    "BOOT": (1, lambda words: Booted(_ms(words[0]))),
    "HOOK": (4, _event(lambda n, ms, line, loop: Hook(n, ms, line, _either(loop, "CLOSED", "OPEN")))),
    "TRIP": (3, lambda words: Trip(_seq(words[0]), _ms(words[1]), _line_number(words[2]))),
    "QUIET": (4, _event(Quiet)),
    "DIGIT": (4, _event(lambda n, ms, line, digit: Digit(n, ms, line, _digit(digit)))),
    "FAULT": (4, _event(lambda n, ms, line, word: Fault(n, ms, line, "" if word == "CLEAR" else word))),
}
