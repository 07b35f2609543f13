"""Who calls, as samples on the line and back: FSK messages (ETSI EN 300 659-1 and -3 over V.23; GR-30 over
Bell 202) and digit sequences (Belgium). When they are sent on-hook is `ringer`'s business, off-hook
`waiting`'s; the bytes of a message are `callerid_message`'s, indicators of waiting messages
`message_waiting`'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from firmware.fxs import callerid_message, dtmf, tones
from firmware.fxs.callerid_message import NO_EXTRAS, CallerIdMessage, Extras, Form, Message, WaitingMessage
from firmware.fxs.callerid_text import MAX_NAME, displayable
from firmware.fxs.country import CallerIdSpec, Component, Country, Segment
from firmware.fxs.dsp.level import pcm_of, samples_of
from firmware.fxs.dsp.spandsp import ADSI_BELL202, ADSI_V23, AdsiReceiver, adsi_modulate

__all__ = ["MAX_NAME", "MAX_NUMBER", "CallerIdMessage", "Decoder", "Extras", "Message", "WaitingMessage", "displayable"]

STANDARDS: Final = ("v23", "bell202", "dtmf")
MAX_NUMBER: Final = callerid_message.MAX_NUMBER
MODEM_DBM0: Final = -14.0
"""What libspandsp's modems send at."""
ALERT_HZ: Final = (2130, 2750)
"""The dual-tone alerting signal, on-hook (DT-AS) and off-hook (CAS)."""
_ADSI: Final = {"v23": ADSI_V23, "bell202": ADSI_BELL202}
_SPECS: Final = {standard: CallerIdSpec(standard=standard) for standard in ("v23", "bell202", "dtmf")}
# Why there is no number, as digits. After B, ended by C: 00 not available, 10 withheld [M; libspandsp's
# header has them the other way round]; after D, ended by #: 1 withheld, 3 not available (Denmark).
_ABSENCE_C: Final = {"O": "00", "P": "10"}
_ABSENCE_HASH: Final = {"O": "3", "P": "1"}
_LEAD_BITS: Final = 300 + 180
_DTMF_TIMEOUT_SAMPLES: Final = 8000 * 5
_DTMF_LONGEST: Final = 2 * MAX_NUMBER + 8


def encode(
    standard: str,
    number: str | None,
    name: str | None,
    when: datetime,
    absence: str | None = None,
    extras: Extras = NO_EXTRAS,
    *,
    form: Form = "mdmf",
) -> bytes:
    """Samples (8 kHz, 16 bit) that show this caller. `when` is in the telephone's local time; without
    `number`, `absence` says why: O not available (the default), P withheld.

    Raises ValueError when the number cannot be shown (1 to 20 of 0-9 * # +) or a word is unknown.
    """
    spec = _SPECS.get(standard)
    if spec is None:
        msg = f"caller-ID standard {standard!r} is not known; known are {', '.join(STANDARDS)}"
        raise ValueError(msg)
    return _call(spec, number, name, when, absence, extras, form)


def message(number: str | None, name: str | None, when: datetime, absence: str | None) -> bytes:
    """The call set-up message (MDMF), without checksum."""
    return callerid_message.call_message(number, name, when, absence)


def parse(raw: bytes) -> CallerIdMessage | None:
    """A message (type, length, body) as a telephone shows it; None for another kind or a broken one."""
    heard = callerid_message.parse_message(raw)
    return heard if isinstance(heard, CallerIdMessage) else None


def _call(
    spec: CallerIdSpec,
    number: str | None,
    name: str | None,
    when: datetime,
    absence: str | None,
    extras: Extras,
    form: Form,
) -> bytes:
    if spec.standard == "dtmf":
        return _digits(spec, number, absence, extras)
    raw = callerid_message.call_message(number, name, when, absence, extras, form=form, longest_name=spec.longest_name)
    return modulate(spec, raw)


def modulate(spec: CallerIdSpec, raw: bytes, *, off_hook: bool = False) -> bytes:
    """A message as FSK: channel seizure, mark, bytes, checksum. Off-hook there is no seizure.

    Raises ValueError when it is too long, or the standard has no modem.
    """
    if spec.standard not in _ADSI:
        msg = f"caller-ID standard {spec.standard!r} has no modem"
        raise ValueError(msg)
    bits = (0, spec.off_hook_mark_bits) if off_hook else (spec.seizure_bits, spec.mark_bits)
    pcm = adsi_modulate(_ADSI[spec.standard], raw, *bits)
    if spec.level_dbm0 == MODEM_DBM0:
        return pcm
    gain = 10 ** ((spec.level_dbm0 - MODEM_DBM0) / 20)
    return pcm_of(sample * gain for sample in samples_of(pcm))


def _digits(spec: CallerIdSpec, number: str | None, absence: str | None, extras: Extras) -> bytes:
    """The caller as digits: A number, D redirecting number, or B and a reason; C ends it. Denmark's form has
    only one of these, and ends with #.
    """
    callerid_message.check_absence(absence)
    hashed = spec.dtmf_end == "#"
    if number is not None:
        keys = f"A{_dialled(number)}"
        if extras.redirecting is not None and not hashed:
            keys += f"D{_dialled(extras.redirecting)}"
    elif hashed:
        keys = f"D{_ABSENCE_HASH[absence or 'O']}"
    else:
        keys = f"B{_ABSENCE_C[absence or 'O']}"
    return dtmf.generate(keys + spec.dtmf_end, spec.dtmf_on_ms, spec.dtmf_off_ms)


def _dialled(number: str) -> str:
    """In digits. A * or # would end the sequence, or mean nothing to the telephone."""
    bare = callerid_message.shown_number(number).replace("+", "00")
    return "".join(key for key in bare if key.isdecimal())


def alerting(spec: CallerIdSpec, alert: str) -> bytes:
    """The part of an alert that is sound: a DT-AS and the silence after it, or nothing."""
    if not alert.endswith("dt-as"):
        return b""
    return tones.sequence([_dual_tone(spec.alert_dbm0, spec.alert_ms), Segment((), spec.alert_gap_ms)])


def _dual_tone(dbm0: float, ms: int) -> Segment:
    return Segment(tuple(Component(hz, dbm0) for hz in ALERT_HZ), ms)


def transmission(
    country: Country,
    number: str | None,
    name: str | None,
    when: datetime,
    absence: str | None = None,
    extras: Extras = NO_EXTRAS,
) -> bytes:
    """All that is heard on the country's line at caller-ID time: the alerting signal, if it has one, then the
    message. What is no sound (polarity, ring pulse) and all timing is `ringer`'s. Raises as `encode`.
    """
    spec = country.caller_id
    return alerting(spec, spec.alert) + _call(spec, number, name, when, absence, extras, spec.format)


# --- off-hook: a second caller, while the first is spoken with -------------------------------------------


def sas(country: Country) -> bytes:
    """The subscriber alerting signal: the call-waiting tone once, without the silence until it comes again."""
    segments = country.tones["call-waiting"].loop_segments()
    while segments and not segments[-1].components:
        segments = segments[:-1]
    return tones.sequence(segments)


def cas(country: Country) -> bytes:
    """The CPE alerting signal: 2130 and 2750 Hz, 80 ms (ETSI EN 300 659-2: 75 to 85; GR-30). A telephone with a
    display mutes itself and answers with a DTMF D (some A) within 100 ms or so.
    """
    return tones.sequence([_dual_tone(country.caller_id.cas_dbm0, country.caller_id.cas_ms)])


def off_hook_message(
    country: Country,
    number: str | None,
    name: str | None,
    when: datetime,
    absence: str | None = None,
    extras: Extras = NO_EXTRAS,
) -> bytes | None:
    """What follows the telephone's answer: FSK without channel seizure (ETSI EN 300 659-2; GR-30: 80 bits of
    mark). None in a country of digits: they cannot be sent to somebody who is speaking. Raises as `encode`.
    """
    spec = country.caller_id
    if spec.standard == "dtmf":
        return None
    # The single-data form is on-hook only (GR-30).
    raw = callerid_message.call_message(number, name, when, absence, extras, longest_name=spec.longest_name)
    return modulate(spec, raw, off_hook=True)


# --- back ------------------------------------------------------------------------------------------------


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
        self._heard = 0
        self._began = 0
        self.last_ms = self.data_ms = 0.0
        """About how long the last message was on the line, and its bytes alone."""

    def feed(self, frame: bytes) -> CallerIdMessage | None:
        """Hear 16-bit samples; the caller, once the message is complete and its checksum right."""
        callers = [heard for heard in self.hear(frame) if isinstance(heard, CallerIdMessage)]
        return callers[0] if callers else None

    def hear(self, frame: bytes) -> list[Message]:
        """As `feed`, every kind of message."""
        self._heard += len(frame) // 2
        if self._fsk is None:
            return self._hear_digits(frame)
        messages = []
        for raw in self._fsk.feed(frame):
            self.data_ms = 10 * (len(raw) + 1) / 1.2
            self.last_ms = (_LEAD_BITS + 10) / 1.2 + self.data_ms
            heard = callerid_message.parse_message(raw)
            if heard is not None:
                messages.append(heard)
        return messages

    def _hear_digits(self, frame: bytes) -> list[Message]:
        self._since += len(frame) // 2
        if self._sequence and self._since > _DTMF_TIMEOUT_SAMPLES:
            self._sequence = ""
        messages: list[Message] = []
        for heard in self._digits.feed(frame):
            self._since = 0
            if heard.digit in "C#":
                caller = _of_digits(self._sequence, heard.digit)
                self._sequence = ""
                if caller is not None:
                    self.last_ms = (self._heard - self._began) / 8 + 100
                    messages.append(caller)
            elif heard.digit == "A" or (heard.digit in "BD" and not self._sequence):
                self._sequence, self._began = heard.digit, self._heard
            elif self._sequence and len(self._sequence) < _DTMF_LONGEST:
                self._sequence += heard.digit
        return messages


def _of_digits(sequence: str, end: str) -> CallerIdMessage | None:
    """What `A` number [`D` number], `B` reason `C`, or `A` number, `D` reason `#` say."""
    first, _, redirecting = sequence[1:].partition("D")
    if "*" in first or not (first + redirecting).replace("B", "").isdecimal():
        return None
    if sequence[0] == "A":
        number = first.partition("B")[0]
        return CallerIdMessage(number=number, redirecting=redirecting or None) if number else None
    if sequence[0] == "D" and end == "C":  # some exchanges begin a lone number with it
        return CallerIdMessage(number=first)
    withheld = _ABSENCE_C["P"] if end == "C" else _ABSENCE_HASH["P"]
    return CallerIdMessage(absence="P" if first == withheld else "O")
