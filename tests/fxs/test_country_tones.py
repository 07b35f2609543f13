"""Every tone of every country, measured on its samples against what the sources say (`line_facts`).

Frequency within 1 Hz and level within 0.3 dB of each component, from the spectrum of each burst's inside;
cadence within 2 %, from each component's own envelope (mixed down to 0 Hz, averaged, half its height).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from firmware.fxs import country, tones
from tests.fakes import signals
from tests.fxs.line_facts import ENDLESS, FACTS, RINGS, Part

RATE = signals.RATE
EVERY_TONE = [(code, name) for code in sorted(FACTS) for name in FACTS[code]]
# The shortest part is 15 ms, and two per cent of a French burst of 50 ms are one: edges have a floor of 2 ms.
FLOOR_MS = 2.0


def expected(code: str, name: str) -> list[Part]:
    """The introduction and two turns of the loop; an endless part lasts two seconds."""
    fact = FACTS[code][name]
    return [Part(part.sines, 2000.0 if part.ms == ENDLESS else part.ms) for part in [*fact.once, *fact.loop * 2]]


def envelope(sound: signals.Samples, hz: float, average: int) -> signals.Samples:
    """Amplitude of the sine at `hz` over time, each value the mean of `average` samples around it."""
    turned = sound * np.exp(-2j * np.pi * hz * np.arange(len(sound)) / RATE)
    return np.asarray(2 * np.abs(np.convolve(turned, np.ones(average) / average, "same")))


def stretches(loud: np.ndarray) -> list[tuple[float, float]]:
    """(start, end) in ms of what is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]]))).tolist()
    # An edge that trembles across the threshold for a millisecond is one edge.
    gaps = [i for i in range(1, len(edges) - 1, 2) if edges[i + 1] - edges[i] < RATE // 1000]
    kept = [edge for i, edge in enumerate(edges) if i not in gaps and i - 1 not in gaps]
    return [(a / 8, b / 8) for a, b in zip(kept[::2], kept[1::2], strict=True)]


def joined(parts: list[Part], hz: int) -> list[tuple[float, float]]:
    """Where a component is on, by the sources; parts that follow each other with it are one stretch."""
    found: list[tuple[float, float]] = []
    at = 0.0
    for part in parts:
        if hz in part.sines:
            if found and abs(found[-1][1] - at) < 0.001:
                found[-1] = (found[-1][0], at + part.ms)
            else:
                found.append((at, at + part.ms))
        at += part.ms
    return found


def test_the_facts_are_about_every_tone_of_every_country() -> None:
    assert sorted(FACTS) == list(country.codes())
    for code in FACTS:
        assert sorted(FACTS[code]) == sorted(country.TONE_NAMES)


@pytest.mark.parametrize(("code", "name"), EVERY_TONE)
def test_frequency_and_level_of_every_component(code: str, name: str) -> None:
    parts = expected(code, name)
    heard = signals.samples(tones.play(tones.render(country.load(code), name), sum(p.ms for p in parts) / 1000))
    at = 0.0
    for part in parts:
        # Five milliseconds at either end belong to the ramps.
        inside = heard[round((at + 5) * 8) : round((at + part.ms - 5) * 8)]
        at += part.ms
        if not part.sines:
            assert not len(inside) or signals.level(inside) < -60
            continue
        found = signals.peaks(inside, len(part.sines))
        assert [hertz for hertz, _ in found] == pytest.approx(sorted(part.sines), abs=1)
        assert [dbm0 for _, dbm0 in found] == pytest.approx([part.sines[hz] for hz in sorted(part.sines)], abs=0.3)
        # And nothing besides: distortion and clipping would show here.
        power = sum(10 ** (dbm0 / 10) for dbm0 in part.sines.values())
        assert signals.level(inside) == pytest.approx(10 * np.log10(power), abs=0.5)


@pytest.mark.parametrize(("code", "name"), EVERY_TONE)
def test_cadence_of_every_component(code: str, name: str) -> None:
    parts = expected(code, name)
    total = sum(part.ms for part in parts)
    played = tones.play(tones.render(country.load(code), name), total / 1000 + 0.1)
    heard = np.concatenate([signals.silence(0.05), signals.samples(played)])
    every = sorted({hz for part in parts for hz in part.sines})
    # An average over one beat of the nearest neighbour does not hear it.
    apart = min([b - a for a, b in itertools.pairwise(every)], default=400)
    for hz in every:
        height = signals.peak(next(part.sines[hz] for part in parts if hz in part.sines))
        loud = stretches(envelope(heard, hz, max(32, round(RATE / apart))) > height / 2)
        wanted = joined(parts, hz)
        # What follows the two turns is cut off.
        found = [(start - 50, end - 50) for start, end in loud if start - 50 < total - 20]
        assert len(found) == len(wanted), (hz, found, wanted)
        for (start, end), (wanted_start, wanted_end) in zip(found, wanted, strict=True):
            slack = max(FLOOR_MS, 0.02 * (wanted_end - wanted_start))
            if wanted_end < total - 1:
                assert end - start == pytest.approx(wanted_end - wanted_start, abs=slack)
        starts, wanted_starts = [s for s, _ in found], [s for s, _ in wanted]
        for gap, wanted_gap in zip(np.diff(starts), np.diff(wanted_starts), strict=True):
            assert gap == pytest.approx(wanted_gap, abs=max(FLOOR_MS, 0.02 * wanted_gap))


@pytest.mark.parametrize("code", sorted(RINGS))
def test_ringing_is_the_sources(code: str) -> None:
    ring = country.load(code).ring
    assert (ring.cadence_ms, ring.frequency_hz) == RINGS[code]
