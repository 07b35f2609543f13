"""Call-progress tones of a country as samples, rendered once and cached. No timing, no device:
`voice` plays them.

8 kHz, 16 bit little-endian. Every burst begins and ends with a raised-cosine ramp of RAMP_MS: the rise
from the segment's beginning, the fall from its end (into what follows), so that a burst is as long at half
its height as the country has it, and two that follow each other cross-fade. An endless tone's loop has
whole periods of all its components, so that nothing clicks at the wrap.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import mul

from firmware.fxs.country import TONE_NAMES, Component, Country, Segment
from firmware.fxs.dsp.level import amplitude, pcm_of, samples_of
from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ

RAMP_MS = 3
_RAMP_SAMPLES = SAMPLE_RATE_HZ * RAMP_MS // 1000
RAMP_UP = tuple(0.5 - 0.5 * math.cos(math.pi * (i + 0.5) / _RAMP_SAMPLES) for i in range(_RAMP_SAMPLES))
"""Raised cosine from 0 to 1; its mirror is 1 minus it, so that the two cross-fade."""


@dataclass(frozen=True, slots=True)
class ToneSamples:
    """`once`, then `loop` for ever: 16-bit little-endian at 8 kHz, both whole samples, `loop` never empty."""

    once: bytes
    loop: bytes


def period_samples(components: tuple[Component, ...]) -> int:
    """Shortest number of samples with whole periods of every component (hertz are whole numbers)."""
    return SAMPLE_RATE_HZ // math.gcd(SAMPLE_RATE_HZ, *(component.hz for component in components))


@lru_cache(maxsize=64)
def _period(components: tuple[Component, ...]) -> bytes:
    """One common period of the sum of `components`, each starting at zero."""
    count = period_samples(components)
    total = [0.0] * count
    for component in components:
        peak = amplitude(component.dbm0)
        step = 2 * math.pi * component.hz / SAMPLE_RATE_HZ
        # Each sine repeats within the common period: count only its own one.
        own = SAMPLE_RATE_HZ // math.gcd(SAMPLE_RATE_HZ, component.hz)
        wave = [peak * math.sin(step * i) for i in range(own)]
        total = [value + wave[i % own] for i, value in enumerate(total)]
    return pcm_of(total)


def ramped(pcm: bytes, *, start: bool = True, end: bool = True) -> bytes:
    """`pcm` faded in and/or out over RAMP_MS (shorter when it is)."""
    count = len(pcm) // 2
    ramp = min(_RAMP_SAMPLES, count // 2)
    if not ramp:
        return pcm
    head, tail = samples_of(pcm[: ramp * 2]), samples_of(pcm[(count - ramp) * 2 :])
    middle = pcm[ramp * 2 : (count - ramp) * 2]
    up = [RAMP_UP[i * _RAMP_SAMPLES // ramp] for i in range(ramp)]
    faded_head = pcm_of(map(mul, head, up)) if start else pcm[: ramp * 2]
    faded_tail = pcm_of(map(mul, tail, reversed(up))) if end else pcm[(count - ramp) * 2 :]
    return faded_head + middle + faded_tail


def crossfade(old: bytes, new: bytes) -> bytes:
    """`new` (at least RAMP_MS long, as `old`), entered by a cross-fade from `old`."""
    olds, news = samples_of(old[: 2 * _RAMP_SAMPLES]), samples_of(new[: 2 * _RAMP_SAMPLES])
    return pcm_of(a + (b - a) * gain for a, b, gain in zip(olds, news, RAMP_UP, strict=True)) + new[2 * _RAMP_SAMPLES :]


def burst(components: tuple[Component, ...], ms: int) -> bytes:
    """`ms` of a tone (or of silence, without components), ramped at both ends."""
    count = SAMPLE_RATE_HZ * ms // 1000
    if not components:
        return bytes(2 * count)
    period = _period(components)
    return ramped((period * (2 * count // len(period) + 1))[: 2 * count])


def endless(components: tuple[Component, ...]) -> bytes:
    """A loop of whole periods, at least two frames long."""
    period = _period(components) if components else bytes(2 * FRAME_SAMPLES)
    return period * -(-4 * FRAME_SAMPLES // len(period))


def sequence(segments: Iterable[Segment], *, turn: bool = False) -> bytes:
    """`segments` one after the other, and the fall of the last; as a `turn` of a loop it falls into the first.

    All of them are timed (an endless one is left out).
    """
    timed = [(segment.components, SAMPLE_RATE_HZ * (segment.ms or 0) // 1000) for segment in segments]
    total = sum(count for _, count in timed)
    sound = array("h", bytes(2 * (total + _RAMP_SAMPLES)))
    at = 0
    for components, count in timed:
        if components and count:
            period = _period(components)
            length = count + _RAMP_SAMPLES
            burst_of = samples_of(ramped((period * (2 * length // len(period) + 1))[: 2 * length]))
            _add(sound, at, burst_of)
        at += count
    fall = sound[total:]
    if not turn:
        return _bytes_of(sound if any(fall) else sound[:total])
    whole = sound[:total]
    if any(fall):
        _add(whole, 0, fall)
    return _bytes_of(whole)


def _add(sound: array[int], at: int, more: array[int]) -> None:
    """Lay `more` over `sound`: only its first samples meet anything, the fall of what was before."""
    meets = min(_RAMP_SAMPLES, len(more), len(sound) - at)
    both = [sound[at + i] + more[i] for i in range(meets)]
    sound[at : at + len(more)] = more[: len(sound) - at]
    for i, value in enumerate(both):
        sound[at + i] = max(-32768, min(32767, value))


def _bytes_of(sound: array[int]) -> bytes:
    """Little-endian, whatever the machine is."""
    if sys.byteorder == "big":
        sound = sound[:]
        sound.byteswap()
    return sound.tobytes()


@lru_cache(maxsize=128)
def render(country: Country, name: str) -> ToneSamples:
    """The country's tone `name` (one of TONE_NAMES). Raises ValueError for another name."""
    if name not in TONE_NAMES:
        msg = f"tone {name!r} is not known; known are {', '.join(TONE_NAMES)}"
        raise ValueError(msg)
    spec = country.tones[name]
    once, loop = spec.once_segments(), spec.loop_segments()
    if loop[0].ms is None:
        # Enter with a ramp over whole periods, then wrap for ever in phase.
        steady = endless(loop[0].components)
        before = samples_of(sequence(once))
        count = sum(SAMPLE_RATE_HZ * (segment.ms or 0) // 1000 for segment in once)
        entry = array("h", before[:count]) + samples_of(ramped(steady, end=False))
        for i, value in enumerate(before[count:]):
            entry[count + i] = max(-32768, min(32767, entry[count + i] + value))
        return ToneSamples(_bytes_of(entry), steady)
    turn = sequence(loop, turn=True)
    if not once and not loop[-1].components:
        return ToneSamples(b"", turn)
    # The first turn is entered from elsewhere than from the loop's own end.
    first = sequence([*once, *loop])
    length = 2 * sum(SAMPLE_RATE_HZ * (segment.ms or 0) // 1000 for segment in (*once, *loop))
    return ToneSamples(first[:length], turn)


def play(tone: ToneSamples, seconds: float) -> bytes:
    """The first `seconds` of a tone as one piece, faded out at the end."""
    wanted = 2 * round(seconds * SAMPLE_RATE_HZ)
    missing = max(0, wanted - len(tone.once))
    return ramped((tone.once + tone.loop * (missing // len(tone.loop) + 1))[:wanted], start=False)
