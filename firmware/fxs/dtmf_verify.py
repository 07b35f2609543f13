"""A candidate digit looked at closely: which one, since when, how loud and how far from its frequencies.

libspandsp's receiver judges blocks of 12.75 ms, too short to tell a tone that is 3 % off from one that is 1.5 % off,
or 23 ms from 40 ms (docs/dtmf.md). Here the last 60 ms are measured: the envelope of both tones in steps of 5 ms for
the length, and the advance of their phase over 5 ms for the frequency. Pure arithmetic, in libspandsp's vector
functions, some 0.1 ms at a time: only while a receiver suspects a digit.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from firmware.fxs.dsp.level import FULL_SCALE, FULL_SCALE_DBM0, amplitude
from firmware.fxs.dsp.vectors import RATE_HZ, Block, Wave, hann

KEYS: Final = "123A456B789C*0#D"
ROWS_HZ: Final = (697, 770, 852, 941)
COLUMNS_HZ: Final = (1209, 1336, 1477, 1633)
DIAL_TONES_HZ: Final = (350, 440)

HISTORY_SAMPLES: Final = 480
HOP: Final = 40
"""Step of the envelope: 5 ms. Its window is two steps long, so that the windows sum to one everywhere."""
_ENVELOPE: Final = 2 * HOP
_IDENTITY: Final = 160
_SPAN: Final = 240
"""What frequency, level and purity are measured on: 30 ms."""
_FINE: Final = 200
_ADVANCE: Final = _SPAN - _FINE

MIN_SAMPLES: Final = 31 * RATE_HZ // 1000
"""Tones of 40 ms must be digits, tones under 23 ms must not (ITU-T Q.24, AT&T's values): between the two."""
MAX_OFF_PERCENT: Final = 2.3
"""1.5 % must be heard, 3.5 % must not (Q.24)."""
MAX_TWIST_DB: Final = 9.0
"""The low tone may be 8 dB louder than the high one (Q.24, AT&T)."""
MAX_REVERSE_TWIST_DB: Final = 6.5
"""The high tone may be 4 dB louder (Q.24); telephones that pre-emphasise for a long line send it so already."""
MIN_DBM0: Final = -43.0
MIN_PURITY: Final = 0.86
"""The two tones' share of the power, after the dial tone is taken off. Noise 9 dB below each of them leaves 0.94."""
LASTING_SAMPLES: Final = 38 * RATE_HZ // 1000
LASTING_MIN_PURITY: Final = 0.8
"""More noise is forgiven to a tone that lasts: what speech has of a digit is short."""
_PRESENT: Final = 0.5
_STEADY: Final = 0.75
_BEFORE: Final = 0.3
_NOISE: Final = 0.2
_ALIKE: Final = 0.33


@dataclass(frozen=True, slots=True)
class Measured:
    """A digit as it was sent. `start` and `samples` are in samples of the block, the tone's end included if it
    has ended. `*_percent` is how far each tone is from its frequency.
    """

    digit: str
    start: float
    samples: float
    low_dbm0: float
    high_dbm0: float
    low_percent: float
    high_percent: float
    purity: float

    @property
    def twist_db(self) -> float:
        """How much louder the high tone is."""
        return self.high_dbm0 - self.low_dbm0


def refusal(measured: Measured) -> str:
    """Why this is no digit: `short`, `frequency`, `twist`, `faint` or `impure`; "" for a good one."""
    if measured.samples < MIN_SAMPLES:
        return "short"
    if max(abs(measured.low_percent), abs(measured.high_percent)) > MAX_OFF_PERCENT:
        return "frequency"
    if not -MAX_TWIST_DB <= measured.twist_db <= MAX_REVERSE_TWIST_DB:
        return "twist"
    if min(measured.low_dbm0, measured.high_dbm0) < MIN_DBM0:
        return "faint"
    lasting = measured.samples >= LASTING_SAMPLES
    return "impure" if measured.purity < (LASTING_MIN_PURITY if lasting else MIN_PURITY) else ""


class Pair:
    """The envelope of one digit's two tones."""

    __slots__ = ("_column", "_row", "digit")

    def __init__(self, digit: str, *, over_dial_tone: bool) -> None:
        self.digit = digit
        row, column = divmod(KEYS.index(digit), 4)
        waves = _waves(over_dial_tone)
        self._row, self._column = waves.envelope_rows[row], waves.envelope_columns[column]

    def at(self, block: Block, start: int) -> tuple[float, float]:
        """Amplitudes of the low and the high tone in the 10 ms from `start`."""
        row, column = self._row, self._column
        return abs(row.correlate(block, start)) / row.gain, abs(column.correlate(block, start)) / column.gain


def prepare(*, over_dial_tone: bool) -> None:
    """Make the tables now (some 20 ms) rather than with the first digit."""
    _waves(over_dial_tone)
    _waves(False)  # noqa: FBT003 - the cache's key; `carries` wants these
    for key in KEYS:
        _pair(key, over_dial_tone)


def envelope(block: Block, pair: Pair) -> list[tuple[float, float]]:
    """Amplitudes of both tones every HOP samples. The last two windows end with the block and half a window
    beyond it; the k-th from the last is centred k * HOP before the block's end.
    """
    first = (len(block) - _ENVELOPE) % HOP
    return [pair.at(block, start) for start in range(first, len(block) - HOP + 1, HOP)]


def measure(block: Block, *, over_dial_tone: bool) -> Measured | None:
    """The digit that sounds, or has just ended, at the end of `block` (31 to 60 ms). None: nothing like one.

    `over_dial_tone`: 350 and 440 Hz may sound beside it, and do not count as impurity.
    """
    if len(block) < MIN_SAMPLES:
        return None
    waves = _waves(over_dial_tone)
    pair = _identified(block, waves, over_dial_tone=over_dial_tone)
    hops = envelope(block, pair)
    # The third strongest is a level that the tone has held, in noise too.
    low, high = (sorted(side)[-3] for side in zip(*hops, strict=True))
    if low <= 0 or high <= 0:
        return None
    ratios = [min(a / low, b / high) for a, b in hops]
    run = _last_run(ratios)
    if run is None:
        return None
    first, last = run
    weights = [min(1.0, ratio) if ratio > _NOISE else 0.0 for ratio in ratios[first : last + 1]]
    total = sum(weights)
    samples = total * HOP
    if samples < MIN_SAMPLES or min(ratios[first + 2 : last - 1], default=0.0) < _STEADY:
        return None
    # A key's tones begin at once, a voice's swell: 10 ms before they were half as loud, neither was there.
    if first > 0 and max(hops[first - 1][0] / low, hops[first - 1][1] / high) > _BEFORE:
        return None
    # The window of index i is centred so many samples before the block's end.
    centre = (
        len(block)
        - HOP * sum(weight * (len(hops) - 1 - index) for index, weight in enumerate(weights, start=first)) / total
    )
    if last == len(ratios) - 1:
        centre -= HOP / 4 * weights[-1] / total
    return _finely(block, pair, waves, centre, samples)


def carries(block: Block, digit: str) -> bool:
    """Whether `digit` sounds anywhere in `block` for 20 ms: most of the power is its two tones, neither faint."""
    waves = _waves(False)  # noqa: FBT003 - the cache's key
    row, column = divmod(KEYS.index(digit), 4)
    least = amplitude(MIN_DBM0)
    for start in range(0, len(block) - _IDENTITY + 1, _IDENTITY // 2):
        low, high = (abs(wave.correlate(block, start)) / wave.gain for wave in (waves.rows[row], waves.columns[column]))
        power = block.energy(start, _IDENTITY) / _IDENTITY
        if min(low, high) > max(least, _ALIKE * max(low, high)) and (low * low + high * high) / 2 > power / 2:
            return True
    return False


def _identified(block: Block, waves: _Waves, *, over_dial_tone: bool) -> Pair:
    start = max(0, len(block) - _IDENTITY)
    row, column = (
        max(range(4), key=lambda index: abs(group[index].correlate(block, start)))
        for group in (waves.rows, waves.columns)
    )
    return _pair(KEYS[4 * row + column], over_dial_tone)


def _last_run(ratios: list[float]) -> tuple[int, int] | None:
    """First and last index of the latest stretch in which both tones are there, with the edges beside it."""
    last = len(ratios) - 2  # the last window is cut in half
    while last >= 0 and ratios[last] < _PRESENT:
        last -= 1
    if last < 0:
        return None
    first = last
    while first > 0 and ratios[first - 1] >= _PRESENT:
        first -= 1
    return max(0, first - 1), min(len(ratios) - 1, last + 1)


def _finely(block: Block, pair: Pair, waves: _Waves, centre: float, samples: float) -> Measured:
    start = max(0, min(len(block) - _SPAN, round(centre) - _SPAN // 2))
    for wave, plain in waves.dial:
        block.subtract(start, _SPAN, plain, wave.correlate(block, start).conjugate() / wave.gain)
    power = block.energy(start, _SPAN) / _SPAN
    row, column = divmod(KEYS.index(pair.digit), 4)
    low, low_hz = _tone(block, waves.fine_rows[row], start)
    high, high_hz = _tone(block, waves.fine_columns[column], start)
    return Measured(
        pair.digit,
        start=centre - samples / 2,
        samples=samples,
        low_dbm0=_dbm0(low),
        high_dbm0=_dbm0(high),
        low_percent=100 * (low_hz / ROWS_HZ[row] - 1),
        high_percent=100 * (high_hz / COLUMNS_HZ[column] - 1),
        purity=(low * low + high * high) / 2 / power if power else 0.0,
    )


def _tone(block: Block, wave: Wave, start: int) -> tuple[float, float]:
    """Amplitude and frequency of a tone near the wave's, from its phase now and 5 ms later (unique within 100 Hz)."""
    early, late = wave.correlate(block, start), wave.correlate(block, start + _ADVANCE)
    expected = 2 * math.pi * wave.hz * _ADVANCE / RATE_HZ
    turned = cmath.phase(late * early.conjugate() * cmath.exp(-1j * expected))
    off_hz = turned * RATE_HZ / (2 * math.pi * _ADVANCE)
    seen = (abs(early) + abs(late)) / 2 / wave.gain
    return seen / _hann_response(off_hz * _FINE / RATE_HZ), wave.hz + off_hz


def _hann_response(bins: float) -> float:
    """What is left of a tone that many bins beside the middle of a Hann window; at least 0.1."""
    if abs(bins) < 1e-6:  # noqa: PLR2004 - sin(x)/x
        return 1.0
    if abs(abs(bins) - 1) < 1e-6:  # noqa: PLR2004 - the removable pole
        return 0.5
    x = math.pi * bins
    return max(0.1, abs(math.sin(x) / x / (1 - bins * bins)))


def _dbm0(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-3) / FULL_SCALE) + FULL_SCALE_DBM0


class _Waves:
    """All the tables: 80 kB, made once in some 20 ms."""

    def __init__(self, *, over_dial_tone: bool) -> None:
        nulls = DIAL_TONES_HZ if over_dial_tone else ()
        short, middle, fine, span = (hann(count) for count in (_ENVELOPE, _IDENTITY, _FINE, _SPAN))
        self.envelope_rows = [Wave(hz, short, nulls) for hz in ROWS_HZ]
        self.envelope_columns = [Wave(hz, short, nulls) for hz in COLUMNS_HZ]
        self.rows = [Wave(hz, middle, nulls) for hz in ROWS_HZ]
        self.columns = [Wave(hz, middle, nulls) for hz in COLUMNS_HZ]
        self.fine_rows = [Wave(hz, fine) for hz in ROWS_HZ]
        self.fine_columns = [Wave(hz, fine) for hz in COLUMNS_HZ]
        self.dial = [
            (Wave(hz, span, [other for other in nulls if other != hz]), Wave(hz, [1.0] * _SPAN)) for hz in nulls
        ]


@lru_cache(maxsize=2)
def _waves(over_dial_tone: bool) -> _Waves:  # noqa: FBT001 - the cache's key
    return _Waves(over_dial_tone=over_dial_tone)


@lru_cache(maxsize=32)
def _pair(digit: str, over_dial_tone: bool) -> Pair:  # noqa: FBT001 - the cache's key
    return Pair(digit, over_dial_tone=over_dial_tone)
