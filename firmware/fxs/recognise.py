"""Which tones are in a recording: frequencies measured, cadences matched to a country's. For
`allobox line decode`; nothing of a call depends on it.

A stretch above the noise is looked at in windows: 100 ms for the country's chords (tones of several
components, some only 25 Hz apart), then 20 ms for one or two sines of any frequency, by linear
prediction of order two or four. The rest (speech, noise, data) is left out.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firmware.fxs.country import TONE_NAMES, Country, Segment
from firmware.fxs.dsp.level import dbm0_of_power, power, samples_of
from firmware.fxs.pcm import SAMPLE_RATE_HZ

_STEP = 40  # 5 ms: resolution of beginnings and ends
_HOP = 80  # 10 ms: from window to window
_WINDOW = 160  # 20 ms: one or two sines
_CHORD_WINDOW = 800  # 100 ms: components 25 Hz apart
_FLOOR_DBM0 = -45.0
_RESIDUE = 0.03  # what prediction may leave over: about 20 dB of signal to noise
_SAME_HZ = 14.0
_NEAR_HZ = 8.0
_JOIN_MS = 10.0
_JOIN_HZ = 2.0
_SHARE = 0.85
_LEAST_SHARE = 0.1
_REFINE_SAMPLES = 1600
_MIN_MS = 36.0  # the shortest burst of any tone is a route tone's, 50 ms
_MIN_UNNAMED_MS = 100.0
ALERT = "dt-as"
"""The dual-tone alerting signal, as `ToneHeard.tone`: it is no country's own."""
_ALERT_HZ = (2130.0, 2750.0)
_ALERT_SLACK_HZ = 20.0
_MIN_ALERT_MS = 70.0
_CADENCE_SLACK = 0.15
_SLACK_MS = 25.0
_GAP_SLACK_MS = 60.0  # where a chord gives way to another tone, the windows of both are blind


@dataclass(frozen=True, slots=True)
class Burst:
    """A stretch of one steady tone."""

    hertz: tuple[float, ...]
    start_ms: float
    ms: float

    @property
    def end_ms(self) -> float:
        """Where it ends."""
        return self.start_ms + self.ms


@dataclass(frozen=True, slots=True)
class ToneHeard:
    """A country's tone by name, or a bare `440 Hz`, `350+440 Hz`."""

    tone: str
    start_ms: float
    ms: float


def bursts(pcm: bytes, country: Country) -> list[Burst]:
    """Every steady tone of a recording, in order of time."""
    samples = samples_of(pcm)
    chords = _chords(country)
    found: list[Burst] = []
    for start, end in _loud(samples):
        found += _steady(samples, start, end, chords)
    return [burst for burst in found if burst.ms >= _MIN_MS]


def _loud(samples: array[int]) -> Iterable[tuple[int, int]]:
    """Stretches (sample numbers) above the floor."""
    start: int | None = None
    for at in range(0, len(samples), _STEP):
        loud = dbm0_of_power(power(samples[at : at + _STEP])) > _FLOOR_DBM0
        if loud and start is None:
            start = at
        elif not loud and start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, len(samples)


def _steady(samples: array[int], start: int, end: int, chords: list[tuple[float, ...]]) -> list[Burst]:
    """The steady tones within one loud stretch."""
    runs: list[tuple[int, int, tuple[float, ...]]] = []
    for at in range(start, max(start + 1, end - _WINDOW // 2), _HOP):
        window = samples[at : min(end, at + _WINDOW)]
        hertz = _chord(samples[at : min(end, at + _CHORD_WINDOW)], chords) or sines(window)
        if hertz is None:
            continue
        stop = min(end, at + len(window))
        if runs and at <= runs[-1][1] and _same(hertz, runs[-1][2]):
            runs[-1] = (runs[-1][0], stop, runs[-1][2])
        else:
            # Windows overlap: the new tone begins where the old one ends.
            runs.append((max(at, runs[-1][1]) if runs else at, stop, hertz))
    return _joined(_burst(samples, *run) for run in runs if run[1] > run[0])


def _joined(bursts_found: Iterable[Burst]) -> list[Burst]:
    """Neighbours that turned out to be one tone: where a chord gives way to one of its sines, windows mislead."""
    joined: list[Burst] = []
    for burst in bursts_found:
        before = joined[-1] if joined else None
        if before and burst.start_ms - before.end_ms <= _JOIN_MS and _same(burst.hertz, before.hertz, _JOIN_HZ):
            longer = max(before, burst, key=lambda one: one.ms)
            joined[-1] = Burst(longer.hertz, before.start_ms, burst.end_ms - before.start_ms)
        else:
            joined.append(burst)
    return joined


def _burst(samples: array[int], start: int, end: int, hertz: tuple[float, ...]) -> Burst:
    middle = (start + end) // 2
    half = min(_REFINE_SAMPLES, end - start) // 2
    piece = samples[middle - half : middle + half]
    refined = tuple(sorted(_refine(piece, hz) for hz in hertz))
    return Burst(refined, 1000 * start / SAMPLE_RATE_HZ, 1000 * (end - start) / SAMPLE_RATE_HZ)


def sines(x: Sequence[int]) -> tuple[float, ...] | None:
    """Frequencies of one or two sines that explain `x`; None when they do not."""
    count = len(x)
    if count < _WINDOW // 2:
        return None
    total = sum(v * v for v in x[2 : count - 2])
    if not total:
        return None
    inner = x[2 : count - 2]
    near = [x[i - 1] + x[i + 1] for i in range(2, count - 2)]
    near_self = sum(v * v for v in near)
    cross = sum(a * b for a, b in zip(near, inner, strict=True))
    cosine = cross / (2 * total)
    if abs(cosine) < 1 and near_self - cross * cross / total < _RESIDUE * total:
        return (_hertz(cosine),)
    far = [x[i - 2] + x[i + 2] for i in range(2, count - 2)]
    far_near = sum(a * b for a, b in zip(far, near, strict=True))
    far_inner = sum(a * b for a, b in zip(far, inner, strict=True))
    determinant = near_self * total - cross * cross
    if determinant <= 0:
        return None
    a = -(far_near * total - far_inner * cross) / determinant
    b = -(far_inner * near_self - far_near * cross) / determinant
    residue = sum((f + a * n + b * v) ** 2 for f, n, v in zip(far, near, inner, strict=True))
    root = a * a - 4 * (b - 2)
    if residue > _RESIDUE * total or root <= 0:
        return None
    cosines = sorted(((-a - math.sqrt(root)) / 4, (-a + math.sqrt(root)) / 4), reverse=True)
    if not all(abs(value) < 1 for value in cosines):
        return None
    return tuple(_hertz(value) for value in cosines)


def _hertz(cosine: float) -> float:
    return math.acos(cosine) * SAMPLE_RATE_HZ / (2 * math.pi)


def energy_at(x: Sequence[int], hz: float) -> float:
    """Mean square of the sine of `hz` in `x` (Goertzel)."""
    factor = 2 * math.cos(2 * math.pi * hz / SAMPLE_RATE_HZ)
    one = two = 0.0
    for value in x:
        one, two = value + factor * one - two, one
    return 2 * (one * one + two * two - factor * one * two) / len(x) ** 2


def _refine(x: Sequence[int], hz: float) -> float:
    """The peak near `hz`, to a tenth of a hertz on a tenth of a second or more."""
    reach = min(20.0, SAMPLE_RATE_HZ / max(1, len(x)))
    best = hz
    while reach > 0.05:  # noqa: PLR2004 - hertz
        best = max((best - reach, best, best + reach), key=lambda at: energy_at(x, at))
        reach /= 2
    return best


def _chord(x: Sequence[int], chords: list[tuple[float, ...]]) -> tuple[float, ...] | None:
    """The country's chord that makes up most of `x`."""
    total = power(x)
    if not total:
        return None
    for chord in chords:
        shares = [energy_at(x, hz) / total for hz in chord]
        if min(shares) > _LEAST_SHARE and sum(shares) > _SHARE:
            return chord
    return None


def _chords(country: Country) -> list[tuple[float, ...]]:
    """What sounds together in the country's tones, where it is more than one sine; most components first."""
    chords = {
        tuple(sorted(float(component.hz) for component in segment.components))
        for spec in country.tones.values()
        for segment in (*spec.once_segments(), *spec.loop_segments())
        if len(segment.components) > 1
    }
    return sorted(chords, key=lambda chord: (-len(chord), chord))


def _same(one: Sequence[float], other: Sequence[float], slack_hz: float = _SAME_HZ) -> bool:
    return len(one) == len(other) and all(abs(a - b) < slack_hz for a, b in zip(one, other, strict=True))


def tones(found: list[Burst], country: Country, end_ms: float) -> list[ToneHeard]:
    """`found` with the country's cadences recognised: the tone that explains most bursts wins.

    `end_ms` is where the recording ends: what sounds there may be cut off.
    """
    heard: list[ToneHeard] = []
    at = 0
    while at < len(found):
        name, taken = "", 0
        for candidate in TONE_NAMES:
            covered = _covered(found[at:], country, candidate, end_ms)
            if covered > taken:
                name, taken = candidate, covered
        if taken:
            last = found[at + taken - 1]
            heard.append(ToneHeard(name, found[at].start_ms, last.end_ms - found[at].start_ms))
        elif _same(found[at].hertz, _ALERT_HZ, _ALERT_SLACK_HZ) and found[at].ms >= _MIN_ALERT_MS:
            heard.append(ToneHeard(ALERT, found[at].start_ms, found[at].ms))
        elif found[at].ms >= _MIN_UNNAMED_MS:  # a vowel can be a pure tone, but not for long
            label = "+".join(f"{hz:.0f}" for hz in found[at].hertz) + " Hz"
            heard.append(ToneHeard(label, found[at].start_ms, found[at].ms))
        at += max(1, taken)
    return heard


def _covered(found: list[Burst], country: Country, name: str, end_ms: float) -> int:
    """How many bursts, from the first on, the tone explains."""
    spec = country.tones[name]
    loop = _audible(spec.loop_segments())
    if not loop:
        pattern, again = _audible(spec.once_segments()), []
    else:
        pattern, again = _audible(spec.once_segments()) + loop, loop
    if not pattern:
        return 0
    while again and len(pattern) < len(found):
        pattern = pattern + again
    count = 0
    for index, burst in enumerate(found[: len(pattern)]):
        hertz, on_ms, _ = pattern[index]
        last = burst.end_ms > end_ms - _SLACK_MS
        if not _same(burst.hertz, hertz, _NEAR_HZ) or not _lasts(burst.ms, on_ms, cut=last):
            break
        if index and not _follows(found[index - 1], burst, pattern[index - 1][2]):
            break
        count = index + 1
    whole_once = len(_audible(spec.once_segments()))
    return count if count > whole_once or (not loop and count == whole_once) else 0


def _audible(segments: Sequence[Segment]) -> list[tuple[tuple[float, ...], float | None, float]]:
    """(hertz, on ms, gap after it in ms) of each sounding segment; a gap at the start is none of ours."""
    rows: list[tuple[tuple[float, ...], float | None, float]] = []
    for segment in segments:
        if segment.components:
            hertz = tuple(sorted(float(component.hz) for component in segment.components))
            rows.append((hertz, segment.ms, 0.0))
        elif rows:
            rows[-1] = (rows[-1][0], rows[-1][1], rows[-1][2] + (segment.ms or 0))
    return rows


def _lasts(ms: float, wanted: float | None, *, cut: bool) -> bool:
    """Whether a burst lasts as the tone says; an endless one at least half a second, the last may be cut off."""
    if wanted is None:
        return ms >= 500  # noqa: PLR2004 - milliseconds
    slack = max(_SLACK_MS, _CADENCE_SLACK * wanted)
    return ms <= wanted + slack and (cut or ms >= wanted - slack)


def _follows(before: Burst, burst: Burst, gap_ms: float) -> bool:
    gap = burst.start_ms - before.end_ms
    return abs(gap - gap_ms) <= max(_GAP_SLACK_MS, _CADENCE_SLACK * gap_ms)


def without(found: list[Burst], spans: Sequence[tuple[float, float]]) -> list[Burst]:
    """`found` less what touches one of `spans` (start and end in ms): digits and data are told apart elsewhere."""
    return [burst for burst in found if not any(burst.start_ms < end and burst.end_ms > start for start, end in spans)]
