"""Who calls, as samples on the line and back: FSK messages (ETSI EN 300 659-3 over V.23; GR-30 over
Bell 202) and digit sequences (Belgium). When they are sent is `ringer`'s business.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from firmware.fxs import dtmf, tones
from firmware.fxs.country import Component, Country
from firmware.fxs.dsp.spandsp import ADSI_BELL202, ADSI_V23, AdsiReceiver, adsi_modulate

STANDARDS: Final = ("v23", "bell202", "dtmf")
_ADSI: Final = {"v23": ADSI_V23, "bell202": ADSI_BELL202}
# On-hook: 300 bits of channel seizure, 180 of mark (ETSI EN 300 659-1; GR-30).
_SEIZURE_BITS: Final = 300
_MARK_BITS: Final = 180
_DT_AS: Final = (Component(2130, -13.0), Component(2750, -13.0))

CALL_SETUP: Final = 0x80
_DATE: Final = 0x01
_NUMBER: Final = 0x02
_NUMBER_ABSENT: Final = 0x04
_NAME: Final = 0x07
_NAME_ABSENT: Final = 0x08
_SDMF_CALL: Final = 0x04

MAX_NUMBER: Final = 20
MAX_NAME: Final = 50
_NUMBER_OK: Final = re.compile(rf"[0-9*#+]{{1,{MAX_NUMBER}}}")
# What NFKD does not take apart, or takes apart into something that displays cannot show.
_SPELT: Final = str.maketrans(
    {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
    | {"’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "…": "...", "€": "EUR"}
)
# Digit-sequence reasons (variant with `B`): 00 not available, 10 withheld.
_DTMF_ABSENCE: Final = {"O": "00", "P": "10"}
_DTMF_TIMEOUT_SAMPLES: Final = 8000 * 5


@dataclass(frozen=True, slots=True)
class CallerIdMessage:
    """What a telephone shows. `time` is `MM-DDTHH:MM` (the message has no year); `absence` is O or P."""

    number: str | None = None
    name: str | None = None
    time: str | None = None
    absence: str | None = None


def displayable(name: str) -> str:
    """`name` in the ASCII that displays show: accents off, ligatures spelt out, the rest dropped."""
    decomposed = unicodedata.normalize("NFKD", name.translate(_SPELT))
    shown = "".join(letter for letter in decomposed if " " <= letter <= "~")
    return " ".join(shown.split())[:MAX_NAME].rstrip()


def encode(
    standard: str,
    number: str | None,
    name: str | None,
    when: datetime,
    absence: str | None = None,
) -> bytes:
    """Samples that show this caller. `when` is in the telephone's local time; without `number`,
    `absence` says why: O not available (the default), P withheld.

    Raises ValueError when the number cannot be shown (1 to 20 of 0-9 * # +) or a word is unknown.
    """
    if standard not in STANDARDS:
        msg = f"caller-ID standard {standard!r} is not known; known are {', '.join(STANDARDS)}"
        raise ValueError(msg)
    if absence not in {None, "O", "P"}:
        msg = f"reason of absence {absence!r}: wanted O (not available) or P (withheld)"
        raise ValueError(msg)
    if number is not None:
        number = re.sub(r"[ .()/-]", "", number)
        if not _NUMBER_OK.fullmatch(number):
            msg = f"caller's number {number!r}: wanted 1 to {MAX_NUMBER} of 0-9 * # +"
            raise ValueError(msg)
    if standard == "dtmf":
        if number is not None:
            return dtmf.generate(f"A{number.replace('+', '00')}C")
        return dtmf.generate(f"B{_DTMF_ABSENCE[absence or 'O']}C")
    return adsi_modulate(_ADSI[standard], message(number, name, when, absence), _SEIZURE_BITS, _MARK_BITS)


def message(number: str | None, name: str | None, when: datetime, absence: str | None) -> bytes:
    """The call set-up message (MDMF), without checksum."""
    body = bytearray(_field(_DATE, when.strftime("%m%d%H%M")))
    body += _field(_NUMBER, number) if number is not None else _field(_NUMBER_ABSENT, absence or "O")
    shown = displayable(name) if name else ""
    if shown:
        body += _field(_NAME, shown)
    elif number is None:
        body += _field(_NAME_ABSENT, absence or "O")
    return bytes((CALL_SETUP, len(body))) + body


def _field(kind: int, text: str) -> bytes:
    return bytes((kind, len(text))) + text.encode("ascii")


def transmission(
    country: Country, number: str | None, name: str | None, when: datetime, absence: str | None = None
) -> bytes:
    """All that goes on the country's line at caller-ID time: the alerting signal, if it has one, then the message."""
    spec = country.caller_id
    signal = encode(spec.standard, number, name, when, absence)
    if not spec.alert_ms:
        return signal
    return tones.burst(_DT_AS, spec.alert_ms) + tones.burst((), spec.alert_gap_ms) + signal


def parse(raw: bytes) -> CallerIdMessage | None:
    """A message (type, length, body) as a telephone shows it; None for another kind or a broken one."""
    if len(raw) < 2 or raw[1] != len(raw) - 2:  # noqa: PLR2004 - type and length
        return None
    body = raw[2:]
    if raw[0] == _SDMF_CALL:
        return _from_sdmf(body)
    if raw[0] != CALL_SETUP:
        return None
    fields: dict[int, str] = {}
    while body:
        if len(body) < 2 or len(body) < 2 + body[1]:  # noqa: PLR2004 - a field's type and length
            return None
        fields.setdefault(body[0], _text(body[2 : 2 + body[1]]))
        body = body[2 + body[1] :]
    return CallerIdMessage(
        number=fields.get(_NUMBER),
        name=fields.get(_NAME),
        time=_time(fields.get(_DATE, "")),
        absence=fields.get(_NUMBER_ABSENT) or fields.get(_NAME_ABSENT),
    )


def _from_sdmf(body: bytes) -> CallerIdMessage:
    """GR-30's single-data format: date, then the number or one letter instead of it."""
    text = _text(body)
    number = text[8:]
    if number in {"O", "P"}:
        return CallerIdMessage(time=_time(text[:8]), absence=number)
    return CallerIdMessage(number=number or None, time=_time(text[:8]))


def _text(raw: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in raw)  # noqa: PLR2004 - printable ASCII


def _time(text: str) -> str | None:
    if not re.fullmatch(r"\d{8}", text):
        return None
    return f"{text[:2]}-{text[2:4]}T{text[4:6]}:{text[6:]}"


class Decoder:
    """Hears caller ID of one standard. Raises ValueError for an unknown one."""

    def __init__(self, standard: str) -> None:
        if standard not in STANDARDS:
            msg = f"caller-ID standard {standard!r} is not known; known are {', '.join(STANDARDS)}"
            raise ValueError(msg)
        self._fsk = AdsiReceiver(_ADSI[standard]) if standard != "dtmf" else None
        self._digits = dtmf.Detector(dial_tone_filter=False)
        self._sequence = ""
        self._since = 0

    def feed(self, frame: bytes) -> CallerIdMessage | None:
        """Hear 16-bit samples; the caller, once the message is complete and its checksum right."""
        if self._fsk is None:
            return self._feed_digits(frame)
        for raw in self._fsk.feed(frame):
            heard = parse(raw)
            if heard is not None:
                return heard
        return None

    def _feed_digits(self, frame: bytes) -> CallerIdMessage | None:
        self._since += len(frame) // 2
        if self._sequence and self._since > _DTMF_TIMEOUT_SAMPLES:
            self._sequence = ""
        for heard in self._digits.feed(frame):
            self._since = 0
            if heard.digit in "ABD":
                self._sequence = heard.digit
            elif self._sequence and len(self._sequence) <= MAX_NUMBER:
                self._sequence += heard.digit
            if heard.digit == "C" and self._sequence:
                kind, value = self._sequence[0], self._sequence[1:-1]
                self._sequence = ""
                if kind == "A" and value:
                    return CallerIdMessage(number=value)
                return CallerIdMessage(absence="P" if value == _DTMF_ABSENCE["P"] else "O")
        return None
