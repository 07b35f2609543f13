"""Samples to digits and digits to samples (ITU-T Q.23, Q.24). Pure signal processing: what a
digit means is not known here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from firmware.fxs.dsp.level import amplitude, pcm_of
from firmware.fxs.dsp.spandsp import DtmfReceiver
from firmware.fxs.pcm import SAMPLE_RATE_HZ

KEYS = "123A456B789C*0#D"
ROWS_HZ = (697, 770, 852, 941)
COLUMNS_HZ = (1209, 1336, 1477, 1633)

_BLOCK_SAMPLES = 102
_EDGE_SAMPLES = 8
_REVERSE_TWIST_DB = 6
"""Telephones send the high tones up to 4 dB louder; the library's own limit of 4 dB refuses some of those."""
_MAYBE = ord("x")


@dataclass(frozen=True, slots=True)
class DigitHeard:
    """A digit, told when it was believed. `at_sample` counts samples fed up to the end of that frame."""

    digit: str
    at_sample: int


class Detector:
    """Digits of one direction of a line.

    Two receivers hear the same samples half a block apart. A digit counts when one has it and the
    other agrees (fewer words are taken for digits); `suspect` is raised as soon as either sees one
    block that looks like a digit, at most 17 ms after the onset, and stays until both let go.
    `dial_tone_filter` makes digits audible under the line's own dial tone.
    """

    __slots__ = ("_early", "_heard", "_late", "_pending", "suspect")

    def __init__(self, *, dial_tone_filter: bool = True) -> None:
        self._early, self._late = (
            DtmfReceiver(dial_tone_filter=dial_tone_filter, reverse_twist_db=_REVERSE_TWIST_DB) for _ in range(2)
        )
        self.reset()

    def reset(self) -> None:
        """Forget everything heard; samples count from 0 again."""
        self._early.reset()
        self._late.reset()
        self._late.feed(bytes(_BLOCK_SAMPLES))  # half a block of silence (2 bytes a sample) staggers it
        self._heard = 0
        self._pending = ""
        self.suspect = False

    def feed(self, frame: bytes) -> list[DigitHeard]:
        """Hear 16-bit samples (10 ms at a time); the digits that were believed in them."""
        early, late = self._early.feed(frame), self._late.feed(frame)
        self._heard += len(frame) >> 1
        self.suspect = bool(early or late)
        if not self.suspect:
            self._pending = ""
            return []
        new = self._early.digits()
        self._late.digits()  # only its status is of use; its queue must not fill
        if new:
            self._pending = new[-1]
        if not self._pending or not late:
            return []
        if late not in {_MAYBE, ord(self._pending)}:
            return []
        digit, self._pending = self._pending, ""
        return [DigitHeard(digit, self._heard)]


def generate(
    digits: str,
    on_ms: float = 70,
    off_ms: float = 70,
    low_dbm0: float = -11,
    high_dbm0: float = -9,
) -> bytes:
    """`digits` as a telephone sends them: each `on_ms` long, followed by `off_ms` of silence.

    The levels are those of each of the two tones. Raises ValueError for a key that no telephone has
    or a time that is none.
    """
    if on_ms <= 0 or off_ms < 0:
        msg = f"a digit of {on_ms} ms with a pause of {off_ms} ms cannot be sent"
        raise ValueError(msg)
    on, off = round(on_ms * SAMPLE_RATE_HZ / 1000), round(off_ms * SAMPLE_RATE_HZ / 1000)
    low, high = amplitude(low_dbm0), amplitude(high_dbm0)
    gap = bytes(2 * off)
    pieces = []
    for position, digit in enumerate(digits.upper(), start=1):
        key = KEYS.find(digit)
        if key < 0:
            msg = f"digit {position} of {digits!r}: {digit!r} is no key (0-9 * # A-D)"
            raise ValueError(msg)
        row = 2 * math.pi * ROWS_HZ[key // 4] / SAMPLE_RATE_HZ
        column = 2 * math.pi * COLUMNS_HZ[key % 4] / SAMPLE_RATE_HZ
        wave = [low * math.sin(row * i) + high * math.sin(column * i) for i in range(on)]
        for i in range(min(_EDGE_SAMPLES, on // 2)):  # 1 ms edges: no click
            wave[i] *= i / _EDGE_SAMPLES
            wave[-1 - i] *= i / _EDGE_SAMPLES
        pieces += [pcm_of(wave), gap]
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class DigitSpan:
    """A digit measured in a recording, to within a detector block (13 ms)."""

    digit: str
    start_ms: float
    ms: float


def measure(pcm: bytes) -> list[DigitSpan]:
    """Every digit of a recording, with its beginning and length."""
    receiver = DtmfReceiver()
    spans: list[DigitSpan] = []
    began: int | None = None
    digit = ""
    block = _BLOCK_SAMPLES * 2
    for start in range(0, len(pcm) - block + 1, block):
        status = receiver.feed(pcm[start : start + block])
        new = receiver.digits()
        at = start // 2
        if digit and (new or not status):
            spans.append(_span(digit, began or 0, at))
            digit, began = "", None
        if new:
            digit = new[-1]
            began = max(0, at - _BLOCK_SAMPLES)
    if digit:
        spans.append(_span(digit, began or 0, len(pcm) // 2))
    return spans


def _span(digit: str, start: int, end: int) -> DigitSpan:
    return DigitSpan(digit, 1000 * start / SAMPLE_RATE_HZ, 1000 * (end - start) / SAMPLE_RATE_HZ)
