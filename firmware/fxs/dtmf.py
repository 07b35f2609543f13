"""Samples to digits and digits to samples (ITU-T Q.23, Q.24). Pure signal processing: what a
digit means is not known here.

libspandsp's receivers say where a digit may be, `dtmf_verify` measures whether it is one: docs/dtmf.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from firmware.fxs import dtmf_verify
from firmware.fxs.dsp.level import amplitude, pcm_of
from firmware.fxs.dsp.retune import Retuner
from firmware.fxs.dsp.spandsp import DtmfReceiver
from firmware.fxs.dsp.vectors import Block
from firmware.fxs.dtmf_verify import COLUMNS_HZ, HISTORY_SAMPLES, HOP, KEYS, MIN_SAMPLES, ROWS_HZ, Measured, Pair
from firmware.fxs.pcm import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ

_BLOCK_SAMPLES: Final = 102
_EDGE_SAMPLES: Final = 8
_RETUNED_PERCENT: Final = 0.6
"""More, and a digit whose tones are off in opposite directions would suit none of the receivers."""
# Wider than what counts as a digit: a tone off its frequency seems weaker to the receivers than it is.
_SCREEN_TWIST_DB: Final = 12
_SCREEN_REVERSE_TWIST_DB: Final = 9
_SCREEN_DBM0: Final = -46
_WATCH_FRAMES: Final = 3
"""A digit is looked for so many frames after the receivers lost it: at its very end they are the first to go."""
_GAP_HOPS: Final = 6
"""A pause of 30 ms ends a digit: 40 ms must (Q.24), 20 ms must not (ETSI ES 201 235-3)."""
_PRESENT: Final = 0.5
_FULL: Final = 0.9
_NOISE: Final = 0.2
_EDGE_HOPS: Final = 2
_RIVAL_SAMPLES: Final = 280
_MAYBE: Final = ord("x")
_PATIENCE: Final = 10
"""After so many refusals on end (a steady sound that is no digit) only every `_SELDOM`-th frame is measured."""
_SELDOM: Final = 4


@dataclass(frozen=True, slots=True)
class DigitHeard:
    """A digit, told when it was believed. `at_sample` counts samples fed up to the end of that frame,
    `onset_sample` to the tone's beginning. Levels in dBm0 of each tone; `*_percent`: off its frequency.
    """

    digit: str
    at_sample: int
    onset_sample: int
    low_dbm0: float
    high_dbm0: float
    low_percent: float
    high_percent: float


@dataclass(frozen=True, slots=True)
class DigitSpan:
    """A digit measured from end to end, to within some 2 ms. Levels in dBm0 of each tone; `*_percent`: how far it
    is from its frequency.
    """

    digit: str
    start_ms: float
    ms: float
    low_dbm0: float
    high_dbm0: float
    low_percent: float
    high_percent: float


class _Held:
    """The digit under way: believed, not yet over."""

    __slots__ = ("_high", "_low", "_pair", "end", "gap", "heard")

    def __init__(self, measured: Measured, heard: DigitHeard, *, over_dial_tone: bool) -> None:
        self.heard = heard
        self._pair = Pair(measured.digit, over_dial_tone=over_dial_tone)
        self._low, self._high = (amplitude(level) for level in (measured.low_dbm0, measured.high_dbm0))
        self.end = heard.onset_sample + round(measured.samples)
        self.gap = 0

    def follow(self, history: bytes, heard_samples: int) -> None:
        """Look at two more steps of the envelope."""
        block = Block.of(history[-6 * HOP :])
        for start in (0, HOP):
            low, high = self._pair.at(block, start)
            level = min(low / self._low, high / self._high)
            if level >= _FULL:
                # Each window stands for the step around its middle.
                self.end = heard_samples - 2 * HOP + start + HOP // 2
            elif level > _NOISE and self.gap < _EDGE_HOPS:
                self.end += round(HOP * level)
            self.gap = 0 if level >= _PRESENT else self.gap + 1


class Detector:
    """Digits of one direction of a line: every one of 40 ms, none below 23 ms, and what more Q.24 asks.

    Four receivers suspect digits: two hear the same samples half a block apart, two hear them a little higher and
    lower. A suspected digit is measured (`dtmf_verify`), frame after frame, and told once it has lasted 31 ms at the
    right frequencies, alone. `suspect` is raised as soon as any receiver sees one block that looks like a digit, at
    most 17 ms after the onset of one in tune, and stays until all let go. `ended` are the digits that were over with
    the last frame fed. `dial_tone_filter` makes digits audible under the line's own dial tone (350 and 440 Hz).
    """

    __slots__ = (
        "_early", "_flat", "_heard", "_held", "_history", "_late", "_lower", "_over_dial_tone", "_raise", "_refused",
        "_rest", "_sharp", "_since", "_watch", "ended", "suspect",
    )  # fmt: skip

    def __init__(self, *, dial_tone_filter: bool = True) -> None:
        self._over_dial_tone = dial_tone_filter
        self._early, self._late, self._flat, self._sharp = (
            DtmfReceiver(
                dial_tone_filter=dial_tone_filter,
                twist_db=_SCREEN_TWIST_DB,
                reverse_twist_db=_SCREEN_REVERSE_TWIST_DB,
                threshold_dbm0=_SCREEN_DBM0,
            )
            for _ in range(4)
        )
        self._raise, self._lower = Retuner(_RETUNED_PERCENT), Retuner(-_RETUNED_PERCENT)
        dtmf_verify.prepare(over_dial_tone=dial_tone_filter)
        self.ended: list[DigitSpan] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything heard; samples count from 0 again."""
        for receiver in (self._early, self._late, self._flat, self._sharp):
            receiver.reset()
        self._raise.reset()
        self._lower.reset()
        self._late.feed(bytes(_BLOCK_SAMPLES))  # half a block of silence (2 bytes a sample) staggers it
        self._sharp.feed(bytes(_BLOCK_SAMPLES))
        self._history = self._rest = b""
        self._heard = 0
        self._since = 0
        self._watch = 0
        self._refused = 0
        self._held: _Held | None = None
        self.ended = []
        self.suspect = False

    def feed(self, frame: bytes) -> list[DigitHeard]:
        """Hear 16-bit samples (10 ms at a time; other lengths are put together into such frames first); the digits
        that were believed in them.
        """
        if self._rest or len(frame) != FRAME_BYTES:
            return self._feed_pieces(frame)
        if self.ended:
            self.ended = []
        self._heard += FRAME_SAMPLES
        self._history = (self._history + frame)[-2 * HISTORY_SAMPLES :]
        early, late = self._early.feed(frame), self._late.feed(frame)
        suspect = (
            early
            | late
            | self._flat.feed_buffer(*self._raise.feed(frame))
            | self._sharp.feed_buffer(*self._lower.feed(frame))
        )
        if suspect:
            self._watch = _WATCH_FRAMES
        elif self._held is None:
            if not self._watch:
                self.suspect = False
                self._refused = 0
                return []
            self._watch -= 1
        held = self._held
        if held is not None:
            held.follow(self._history, self._heard)
            if not held.gap:
                self.suspect = True
                # Neighbouring rows look alike in 10 ms: a finger that rolls to the next key is seen by the receivers.
                return self._look(_RIVAL_SAMPLES) if {early, late} - {0, _MAYBE, ord(held.heard.digit)} else []
            if held.gap >= _GAP_HOPS:
                self._release(held)
                held = None
        self.suspect = bool(suspect)
        return self._look(self._heard - (self._since if held is None else held.end))

    def _feed_pieces(self, pcm: bytes) -> list[DigitHeard]:
        whole = self._rest + pcm
        self._rest = b""
        heard: list[DigitHeard] = []
        ended: list[DigitSpan] = []
        last = len(whole) - len(whole) % FRAME_BYTES
        for at in range(0, last, FRAME_BYTES):
            heard += self.feed(whole[at : at + FRAME_BYTES])
            ended += self.ended
        self._rest = whole[last:]
        self.ended = ended
        return heard

    def _release(self, held: _Held) -> None:
        heard = held.heard
        self.ended.append(
            DigitSpan(
                heard.digit,
                1000 * heard.onset_sample / SAMPLE_RATE_HZ,
                1000 * (held.end - heard.onset_sample) / SAMPLE_RATE_HZ,
                heard.low_dbm0,
                heard.high_dbm0,
                heard.low_percent,
                heard.high_percent,
            )
        )
        self._since = held.end
        self._held = None

    def _look(self, since: int) -> list[DigitHeard]:
        """Measure the last `since` samples: what has sounded since the last digit's end."""
        held = self._held
        if since < MIN_SAMPLES or (self._refused >= _PATIENCE and self._heard // FRAME_SAMPLES % _SELDOM):
            return []
        block = Block.of(self._history[-2 * since :])
        measured = dtmf_verify.measure(block, over_dial_tone=self._over_dial_tone)
        if measured is None or dtmf_verify.refusal(measured):
            self._refused += 1
            return []
        if held is not None:
            if measured.digit == held.heard.digit:
                return []
            self._release(held)
        self._refused = 0
        self._watch = 0
        onset = self._heard - len(block) + max(0, round(measured.start))
        heard = DigitHeard(
            measured.digit,
            self._heard,
            onset,
            measured.low_dbm0,
            measured.high_dbm0,
            measured.low_percent,
            measured.high_percent,
        )
        self._held = _Held(measured, heard, over_dial_tone=self._over_dial_tone)
        return [heard]


def carries(pcm: bytes, digit: str) -> bool:
    """Whether `digit` sounds anywhere in these 16-bit samples: what was sent to a telephone may come back as echo."""
    return dtmf_verify.carries(Block.of(pcm), digit)


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


def measure(pcm: bytes, *, dial_tone_filter: bool = False) -> list[DigitSpan]:
    """Every digit of a recording, with its beginning, length, levels and frequencies."""
    detector = Detector(dial_tone_filter=dial_tone_filter)
    whole = pcm + bytes(2 * FRAME_BYTES * _GAP_HOPS)  # silence ends a last digit
    spans: list[DigitSpan] = []
    for start in range(0, len(whole), FRAME_BYTES):
        detector.feed(whole[start : start + FRAME_BYTES])
        spans += detector.ended
    return spans
