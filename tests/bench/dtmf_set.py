"""The DTMF test set of docs/dtmf.md: the box's detector beside libspandsp's receiver alone, on the same samples.

Tests 2 to 7, D and C follow the descriptions of those that libspandsp's authors run (after Bell Communications' and
Mitel's), on signals made here; R are the limits of ITU-T Q.24 met with random digits, phases and pauses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from tests.bench.dtmf_signals import PlainReports, burst, joined, our_spans, ours, plain
from tests.bench.figure import Figure, Plan
from tests.fakes import signals
from tests.fakes.signals import KEYS, RATE, Samples

Ear = Callable[[bytes], str]

DIAGONAL = "159D"
"""Every row and every column once."""
DIAL_TONES: dict[str, tuple[tuple[float, float], ...]] = {
    "French": ((440, -10),),
    "UK": ((350, -22), (440, -18)),
    "US": ((350, -13), (440, -13)),
}
"""Hertz and dBm0 of each component, as the countries' files have them."""


# --- what is measured, of one ear ----------------------------------------------------------------


def decoded(ear: Ear) -> int:
    """Test 2: of 160 digits, 50 ms on and off, each tone -4 dBm0, how many came where they belong."""
    sent = KEYS * 10
    heard = ear(joined(burst(key, low=-4, high=-4) for key in sent))
    return sum(a == b for a, b in zip(sent, heard, strict=False)) if len(heard) <= len(sent) else 0


@dataclass(frozen=True, slots=True)
class Band:
    """Test 3, one tone: of 60 offsets of 0.1 to 6.0 % up and down, how many were heard."""

    key: str
    tone: str
    up: int
    down: int

    @property
    def recognised(self) -> float:
        """RRB, the whole width in percent."""
        return (self.up + self.down) / 10

    @property
    def centre(self) -> float:
        """RCFO, twice the middle's offset in percent."""
        return (self.up - self.down) / 10

    @property
    def in_line(self) -> bool:
        """The test's pass line."""
        return 3.0 + self.centre <= self.recognised < 15.0 + self.centre


def bands(ear: Ear) -> list[Band]:
    """Test 3: -17 dBm0, the low or the high tone off its frequency."""
    return [
        Band(key, tone, *(len(ear(_detuned(key, tone, sign))) for sign in (1, -1)))
        for key in DIAGONAL
        for tone in ("low", "high")
    ]


def _detuned(key: str, tone: str, sign: int) -> bytes:
    return joined(burst(key, **{f"{tone}_percent": sign * step / 10}) for step in range(1, 61))


def twist(ear: Ear) -> tuple[float, float]:
    """Test 4: how far the high, then the low tone may be weaker, in dB: the least of four digits."""
    steps = [step / 10 for step in range(201)]
    normal = min(len(ear(joined(burst(key, low=-3, high=-3 - step) for step in steps))) for key in DIAGONAL)
    reverse = min(len(ear(joined(burst(key, low=-3 - step, high=-3) for step in steps))) for key in DIAGONAL)
    return normal / 10, reverse / 10


def levels(ear: Ear) -> int:
    """Test 5: how many of 54 levels, +3 to -50 dBm0 in steps of 1 dB, were heard."""
    return len(ear(joined(burst("1", low=3 - step, high=3 - step) for step in range(54))))


def shortest_ms(ear: Ear) -> float:
    """Test 6: the shortest tone heard, by counting those of 49.0 to 10.0 ms in steps of 0.1 ms."""
    return (500 - len(ear(joined(burst("1", on_ms=(490 - step) / 10) for step in range(391))))) / 10


def noisy(ear: Ear, ratio_db: float, count: int = 1000) -> int:
    """Test 7: how many of `count` digits are heard, each tone -4 dBm0, white noise so far below each."""
    sound = signals.samples(joined(burst("1", low=-4, high=-4) for _ in range(count)))
    return len(ear(signals.pcm(sound + signals.noise(len(sound) / RATE, -4 - ratio_db, seed=round(ratio_db)))))


def noise_floor_db(ear: Ear, count: int = 1000) -> float:
    """Test 7: the least signal-to-noise ratio of each tone at which all are heard; the sweep ends at 6 dB."""
    passed = [ratio for ratio in range(26, 5, -1) if noisy(ear, ratio, count) == count]
    return min(passed, default=99)


def over_dial_tone_db(ear: Ear) -> float:
    """Test D: how far below a dial tone of 350 + 440 Hz, each -4 dBm0, the two tones of sixteen digits may be."""
    tone = ((350.0, -4.0), (440.0, -4.0))
    heard = [
        below
        for below in range(-15, 41)
        if ear(over(joined(burst(key, low=-4 - below, high=-4 - below) for key in KEYS), tone)) == KEYS
    ]
    return max(heard, default=-99)


def weakest_over_dbm0(ear: Ear, tone: Sequence[tuple[float, float]]) -> float:
    """Test D, countries: the weakest digits (each tone, dBm0) of which 160 of 160 are right over their dial tone."""
    keys = KEYS * 10
    heard = [
        level
        for level in range(-5, -46, -1)
        if ear(over(joined(burst(key, low=level, high=level) for key in keys), tone)) == keys
    ]
    return min(heard, default=99)


def over(pcm: bytes, tone: Sequence[tuple[float, float]]) -> bytes:
    """The same with a dial tone under it."""
    sound = signals.samples(pcm)
    return signals.pcm(sound + sum(signals.sine(hz, len(sound) / RATE, dbm0) for hz, dbm0 in tone))


@dataclass(frozen=True, slots=True)
class Times:
    """Test C: the lengths reported for digits of 50 ms with 50 ms pauses, and the worst level error in dB."""

    on_ms: tuple[float, float]
    off_ms: tuple[float, float]
    level_db: float
    digits: int


_SENT_DBM0 = -10.0
_BOTH_DB = 3.0


def our_times() -> Times:
    """What `Detector.ended` says."""
    spans = our_spans(_timed())
    pauses = [b.start_ms - a.start_ms - a.ms for a, b in pairwise(spans)]
    errors = [abs(level - _SENT_DBM0) for span in spans for level in (span.low_dbm0, span.high_dbm0)]
    return Times(_range([span.ms for span in spans]), _range(pauses), max(errors), len(spans))


def plain_times() -> Times:
    """What libspandsp's tone report says: the level is that of both tones together."""
    reports = PlainReports()
    reports.feed(_timed())
    on = [ms for digit, _, ms in reports.events if not digit]
    off = [ms for digit, _, ms in reports.events if digit][1:]
    errors = [abs(level - _SENT_DBM0 - _BOTH_DB) for digit, level, _ in reports.events if digit]
    return Times(_range(on), _range(off), max(errors), len(on))


def _timed() -> bytes:
    return joined(burst(key, low=_SENT_DBM0, high=_SENT_DBM0) for key in KEYS * 5)


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


# --- Q.24's limits, met at random ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """A thousand digits with something about them: what, whether they must be heard, and the bounds of it."""

    name: str
    wanted: bool
    on_ms: float = 40
    low: tuple[float, float] = (-10, -10)
    twist_db: tuple[float, float] = (0, 0)
    off_percent: tuple[float, ...] = (0,)
    tones: str = "both"
    noise_below_db: float | None = None
    required: bool = True
    """By Q.24 or by the box's own aim."""


LIMITS = (
    Sent("40 ms, 40 ms pause", wanted=True),
    Sent("each tone 1.5 % off or right", wanted=True, off_percent=(-1.5, 0, 1.5)),
    Sent("both tones 1.5 % off", wanted=True, off_percent=(-1.5, 1.5)),
    Sent("high group 8 dB below to 4 dB above", wanted=True, twist_db=(-8, 4)),
    Sent("-38 to 0 dBm0", wanted=True, low=(-38, 0)),
    Sent("noise 9 dB below each tone", wanted=True, noise_below_db=9),
    Sent(
        "all at once: 1.5 % off, twist -8 to 4 dB, noise 9 dB below",
        wanted=True,
        twist_db=(-8, 4),
        low=(-20, -10),
        off_percent=(-1.5, 1.5),
        noise_below_db=9,
        required=False,
    ),
    Sent("one tone 3.5 % off, 100 ms", wanted=False, on_ms=100, off_percent=(-3.5, 3.5), tones="one"),
    Sent("one tone 3.9 % off, 100 ms", wanted=False, on_ms=100, off_percent=(-3.9, 3.9), tones="one"),
    Sent("both tones 3.5 to 6 % off, 100 ms", wanted=False, on_ms=100, off_percent=(-6, -4.5, -3.5, 3.5, 4.5, 6)),
    Sent("22.9 ms", wanted=False, on_ms=22.9),
    Sent("22.9 ms, noise 9 dB below each tone", wanted=False, on_ms=22.9, noise_below_db=9),
)


def thousand(sent: Sent, count: int = 1000) -> tuple[str, bytes]:
    """The digits and their samples: random phases, pauses of 40 to 55 ms, whatever `sent` has between its bounds."""
    rng = np.random.default_rng(count + len(sent.name))
    keys = "".join(rng.choice(list(KEYS), count))
    bursts: list[Samples] = [np.zeros(int(rng.integers(400, 800)))]
    for key in keys:
        low = rng.uniform(*sent.low)
        high = low + rng.uniform(*sent.twist_db)
        off = [rng.choice(sent.off_percent) for _ in range(2)]
        if sent.tones == "one":
            off[int(rng.integers(2))] = 0
        sound = burst(
            key,
            on_ms=sent.on_ms,
            off_ms=rng.uniform(40, 55),
            low=low,
            high=high,
            low_percent=off[0],
            high_percent=off[1],
            phase=rng.uniform(0, 2 * np.pi),
        )
        if sent.noise_below_db is not None:
            level = min(low, high) - sent.noise_below_db
            sound = sound + rng.normal(0, signals.peak(level) / np.sqrt(2), len(sound))
        bursts.append(sound)
    return keys, joined(bursts)


def astray(sent: Sent, ear: Ear, count: int = 1000) -> int:
    """How many were lost that must be heard (a wrong or extra one counts too), or heard that must not be."""
    keys, pcm = thousand(sent, count)
    heard = ear(pcm)
    return _edits(keys, heard) if sent.wanted else len(heard)


def _edits(sent: str, heard: str) -> int:
    """Levenshtein's distance."""
    if sent == heard:
        return 0
    row = np.arange(len(heard) + 1)
    letters = np.frombuffer(heard.encode(), np.uint8)
    for index, key in enumerate(sent.encode(), start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (letters != key))
        row = np.minimum.accumulate(np.concatenate([[index], best]) - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])


# --- the table -----------------------------------------------------------------------------------


def dtmf_set(plan: Plan) -> list[Figure]:
    """Every row, ours beside libspandsp's. Rows that have no goal say in their name which way is better."""
    plain_notched = partial(plain, dial_tone_filter=True)
    count = plan.times(1000, 100)
    return [
        _figure("2 decode: of 160 digits, lost", "", 160 - decoded(ours), 160 - decoded(plain), goal=0),
        *_band_figures(),
        *_twist_figures(),
        _figure("5 range: levels heard of 54 (more is better)", "", levels(ours), levels(plain)),
        _figure("6 shortest tone heard (23 to 40 is right)", "ms", shortest_ms(ours), shortest_ms(plain), goal=40),
        _figure(
            "7 noise: least S/N of each tone, all heard",
            "dB",
            noise_floor_db(ours, count),
            noise_floor_db(plain, count),
            goal=9,
        ),
        _figure(
            "D under 350 + 440 Hz: how far below it digits may be (more is better)",
            "dB",
            over_dial_tone_db(ours),
            over_dial_tone_db(plain_notched),
            also=f"{over_dial_tone_db(plain):g} dB without its filter",
        ),
        *(
            _figure(
                f"D under the {name} dial tone: weakest digits, 160 of 160",
                "dBm0",
                weakest_over_dbm0(ours, tone),
                weakest_over_dbm0(plain_notched, tone),
                also=f"{weakest_over_dbm0(plain, tone):g} dBm0 without its filter",
            )
            for name, tone in DIAL_TONES.items()
        ),
        *_time_figures(),
        *(
            _figure(
                f"R {sent.name}: of {count}, {'lost' if sent.wanted else 'taken'}",
                "",
                astray(sent, ours, count),
                astray(sent, plain, count),
                goal=0 if sent.required else None,
            )
            for sent in LIMITS
        ),
    ]


def _figure(
    name: str, unit: str, ours_: float, plains: float, *, goal: float | None = None, also: str = "", note: str = ""
) -> Figure:
    beside = f"libspandsp alone: {plains:g} {unit}".rstrip() + (f"; {also}" if also else "")
    return Figure(name, unit, ours_, goal=goal, beside=beside, note=note, raw={"ours": ours_, "libspandsp": plains})


def _band_figures() -> list[Figure]:
    mine, theirs = bands(ours), bands(plain)

    def least(found: Sequence[Band]) -> float:
        return min(min(band.up, band.down) for band in found) / 10

    def most(found: Sequence[Band]) -> float:
        return max(max(band.up, band.down) for band in found) / 10

    detail = "; ".join(
        f"{a.key} {a.tone} +{a.up / 10:g} -{a.down / 10:g} (alone +{b.up / 10:g} -{b.down / 10:g})"
        for a, b in zip(mine, theirs, strict=True)
    )
    failed = [sum(not band.in_line for band in found) for found in (mine, theirs)]
    return [
        _figure("3 bands out of the pass line, of 8", "", failed[0], failed[1], goal=0),
        _figure("3 least offset heard (1.5 or more is right)", "%", least(mine), least(theirs), note=detail),
        _figure("3 greatest offset heard", "%", most(mine), most(theirs), goal=3.5),
    ]


def _twist_figures() -> list[Figure]:
    (normal, reverse), (their_normal, their_reverse) = twist(ours), twist(plain)
    return [
        _figure("4 twist, high group weaker (8 or more is right)", "dB", normal, their_normal),
        _figure("4 twist, low group weaker (4 or more is right)", "dB", reverse, their_reverse),
    ]


def _time_figures() -> list[Figure]:
    mine, theirs = our_times(), plain_times()

    def worst(times: Times) -> float:
        return max(abs(value - 50) for value in (*times.on_ms, *times.off_ms))

    def told(times: Times) -> str:
        return "{:.1f} to {:.1f} ms on, {:.1f} to {:.1f} ms off".format(*times.on_ms, *times.off_ms)

    return [
        _figure(
            "C reported on and off times: worst error",
            "ms",
            worst(mine),
            worst(theirs),
            goal=10,
            note=f"of {mine.digits} digits of 50 ms: {told(mine)}; libspandsp's tone report: {told(theirs)}",
        ),
        _figure("C reported level: worst error", "dB", mine.level_db, theirs.level_db, goal=1),
    ]
