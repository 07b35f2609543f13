"""What a display is told, as the bytes of a message and back. Pure; the modems are `callerid`'s.

Two forms: the single-data message (SDMF: date and number, GR-30) and the multiple-data message (MDMF:
typed parameters; GR-30, ETSI EN 300 659-3). The checksum is the modem's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from firmware.fxs.callerid_text import MAX_NAME, displayable

Form = Literal["mdmf", "sdmf"]
FORMS: Final = ("mdmf", "sdmf")

CALL_SETUP: Final = 0x80
SDMF_CALL: Final = 0x04
WAITING_SETUP: Final = 0x82
SDMF_WAITING: Final = 0x06

_DATE: Final = 0x01
_NUMBER: Final = 0x02
_CALLED: Final = 0x03
_NUMBER_ABSENT: Final = 0x04
_NAME: Final = 0x07
_NAME_ABSENT: Final = 0x08
_INDICATOR: Final = 0x0B
_CALL_TYPE: Final = 0x11
_FIRST_CALLED: Final = 0x12
_COUNT: Final = 0x13
_REDIRECTING: Final = 0x1A

CALL_TYPES: Final = {"voice": 0x01, "ring-back": 0x02, "message-waiting": 0x81}
"""ETSI EN 300 659-3, call type: an ordinary call, a call back when free, a call of the mailbox."""
_CALL_TYPE_NAMES: Final = {value: name for name, value in CALL_TYPES.items()}
_ON: Final = 0xFF
_OFF: Final = 0x00
# GR-30's single-data message says it three times.
_SDMF_ON: Final = b"\x42" * 3
_SDMF_OFF: Final = b"\x6f" * 3

MAX_NUMBER: Final = 20
MAX_COUNT: Final = 255
_NUMBER_OK: Final = re.compile(rf"[0-9*#+]{{1,{MAX_NUMBER}}}")
_DATE_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class CallerIdMessage:
    """What a telephone shows of a call. `time` is `MM-DDTHH:MM` (the message has no year).

    `absence` and `name_absence` are O (not available) or P (withheld). `redirecting` forwarded the call
    here, `called` is the number that the caller dialled; `call_type` is one of CALL_TYPES or `0x..`.
    """

    number: str | None = None
    name: str | None = None
    time: str | None = None
    absence: str | None = None
    name_absence: str | None = None
    redirecting: str | None = None
    called: str | None = None
    call_type: str | None = None


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message-waiting indicator: lamp on or off, how many wait (None: not told), and the exchange's clock."""

    waiting: bool
    count: int | None = None
    time: str | None = None
    number: str | None = None


Message = CallerIdMessage | WaitingMessage


@dataclass(frozen=True, slots=True)
class Extras:
    """What a call set-up message may tell besides caller and date. Fields as in `CallerIdMessage`."""

    name_absence: str | None = None
    redirecting: str | None = None
    called: str | None = None
    call_type: str | None = None


NO_EXTRAS: Final = Extras()


def shown_number(number: str, whose: str = "caller's") -> str:
    """`number` without its spaces. Raises ValueError when no display can show it."""
    bare = re.sub(r"[ .()/-]", "", number)
    if not _NUMBER_OK.fullmatch(bare):
        msg = f"{whose} number {bare!r}: wanted 1 to {MAX_NUMBER} of 0-9 * # +"
        raise ValueError(msg)
    return bare


def check_absence(absence: str | None) -> None:
    """Raises ValueError unless it is None, O or P."""
    if absence not in {None, "O", "P"}:
        msg = f"reason of absence {absence!r}: wanted O (not available) or P (withheld)"
        raise ValueError(msg)


def call_message(
    number: str | None,
    name: str | None,
    when: datetime,
    absence: str | None,
    extras: Extras = NO_EXTRAS,
    *,
    form: Form = "mdmf",
    longest_name: int = MAX_NAME,
) -> bytes:
    """A call set-up message: type, length, body. `when` is in the telephone's local time.

    Without `number`, `absence` says why (None: O). SDMF has no room for a name or extras: they are left
    out. Raises ValueError for a number, reason or call type that cannot be sent.
    """
    check_absence(absence)
    check_absence(extras.name_absence)
    digits = shown_number(number) if number is not None else None
    if form == "sdmf":
        return _framed(SDMF_CALL, (_stamp(when) + (digits or absence or "O")).encode("ascii"))
    shown = displayable(name, longest_name) if name else ""
    body = _field(_DATE, _stamp(when))
    body += _field(_NUMBER, digits) if digits else _field(_NUMBER_ABSENT, absence or "O")
    no_name = extras.name_absence or (None if digits else absence or "O")
    if shown:
        body += _field(_NAME, shown)
    elif no_name:
        body += _field(_NAME_ABSENT, no_name)
    if extras.call_type is not None:
        if extras.call_type not in CALL_TYPES:
            msg = f"call type {extras.call_type!r} is not known; known are {', '.join(CALL_TYPES)}"
            raise ValueError(msg)
        body += bytes((_CALL_TYPE, 1, CALL_TYPES[extras.call_type]))
    if extras.called is not None:
        body += _field(_CALLED, shown_number(extras.called, "called"))
    if extras.redirecting is not None:
        body += _field(_REDIRECTING, shown_number(extras.redirecting, "redirecting"))
    return _framed(CALL_SETUP, body)


def waiting_message(
    count: int | None, when: datetime | None, number: str | None = None, *, form: Form = "mdmf", plain: bool = False
) -> bytes:
    """A message-waiting message: lamp on for `count` > 0 or None (some, nobody knows how many), off for 0.

    `when` sets the display's clock, `number` is the mailbox's. `plain` leaves everything but the indicator out,
    as GR-30's telephones expect; SDMF has nothing else. Raises ValueError for a count or number that cannot be sent.
    """
    if count is not None and not 0 <= count <= MAX_COUNT:
        msg = f"{count} messages wait: wanted 0 to {MAX_COUNT}"
        raise ValueError(msg)
    lit = count != 0
    if form == "sdmf":
        return _framed(SDMF_WAITING, _SDMF_ON if lit else _SDMF_OFF)
    body = bytes((_INDICATOR, 1, _ON if lit else _OFF))
    if plain:
        return _framed(WAITING_SETUP, body)
    if when is not None:
        body = _field(_DATE, _stamp(when)) + body
    if number is not None:
        body += _field(_NUMBER, shown_number(number, "mailbox's"))
    body += bytes((_CALL_TYPE, 1, CALL_TYPES["message-waiting"]))
    if count is not None:
        body += bytes((_COUNT, 1, count))
    return _framed(WAITING_SETUP, body)


def _framed(kind: int, body: bytes) -> bytes:
    return bytes((kind, len(body))) + body


def _field(kind: int, text: str) -> bytes:
    return bytes((kind, len(text))) + text.encode("ascii")


def _stamp(when: datetime) -> str:
    return when.strftime("%m%d%H%M")


def parse_message(raw: bytes) -> Message | None:
    """A message (type, length, body) as a telephone understands it; None for another kind or a broken one."""
    if len(raw) < 2 or raw[1] != len(raw) - 2:  # noqa: PLR2004 - type and length
        return None
    kind, body = raw[0], raw[2:]
    if kind == SDMF_CALL:
        return _from_sdmf(body)
    if kind == SDMF_WAITING:
        return WaitingMessage(body == _SDMF_ON) if body in {_SDMF_ON, _SDMF_OFF} else None
    if kind not in {CALL_SETUP, WAITING_SETUP}:
        return None
    fields: dict[int, bytes] = {}
    while body:
        if len(body) < 2 or len(body) < 2 + body[1]:  # noqa: PLR2004 - a field's type and length
            return None
        fields.setdefault(body[0], body[2 : 2 + body[1]])
        body = body[2 + body[1] :]
    return _waiting(fields) if kind == WAITING_SETUP else _call(fields)


def _call(fields: dict[int, bytes]) -> CallerIdMessage:
    kind = fields.get(_CALL_TYPE, b"")
    return CallerIdMessage(
        number=_text(fields.get(_NUMBER)),
        name=_text(fields.get(_NAME)),
        time=_time(fields.get(_DATE)),
        absence=_text(fields.get(_NUMBER_ABSENT)),
        name_absence=_text(fields.get(_NAME_ABSENT)),
        redirecting=_text(fields.get(_REDIRECTING)),
        called=_text(fields.get(_CALLED)) or _text(fields.get(_FIRST_CALLED)),
        call_type=_CALL_TYPE_NAMES.get(kind[0], f"0x{kind[0]:02x}") if kind else None,
    )


def _waiting(fields: dict[int, bytes]) -> WaitingMessage | None:
    """Without an indicator the count says it; with neither there is nothing to show."""
    indicator, count = fields.get(_INDICATOR), fields.get(_COUNT)
    if not indicator and not count:
        return None
    lit = indicator[0] != _OFF if indicator else bool(count and count[0])
    number = count[0] if count else None
    return WaitingMessage(lit, number, _time(fields.get(_DATE)), _text(fields.get(_NUMBER)))


def _from_sdmf(body: bytes) -> CallerIdMessage:
    """GR-30's single-data format: date, then the number or one letter instead of it."""
    number, time = _text(body[_DATE_DIGITS:]), _time(body[:_DATE_DIGITS])
    if number in {"O", "P"}:
        return CallerIdMessage(time=time, absence=number)
    return CallerIdMessage(number=number, time=time)


def _text(raw: bytes | None) -> str | None:
    if not raw:
        return None
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in raw)  # noqa: PLR2004 - printable ASCII


def _time(raw: bytes | None) -> str | None:
    text = _text(raw)
    if text is None or not re.fullmatch(r"\d{8}", text, re.ASCII):
        return None
    return f"{text[:2]}-{text[2:4]}T{text[4:6]}:{text[6:]}"
