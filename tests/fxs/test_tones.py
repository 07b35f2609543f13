from __future__ import annotations

import itertools

import numpy as np
import pytest

from firmware.fxs import country, tones
from tests.fakes import signals

FRANCE = country.load("FR")
EVERY_TONE = [(code, name) for code in country.codes() for name in country.TONE_NAMES]


def played(code: str, name: str, seconds: float) -> signals.Samples:
    return signals.samples(tones.play(tones.render(country.load(code), name), seconds))


def segments_of(code: str, name: str) -> list[country.Segment]:
    spec = country.load(code).tones[name]
    return [*spec.once_segments(), *spec.loop_segments()]


@pytest.mark.parametrize(("code", "name"), EVERY_TONE)
def test_every_sounding_segment_has_its_frequencies_and_levels(code: str, name: str) -> None:
    heard = played(code, name, 20)
    at = 0
    for segment in segments_of(code, name):
        length = len(heard) - at if segment.ms is None else segment.ms * 8
        middle = heard[at + length // 8 : at + length - length // 8]
        if segment.components:
            components = sorted(segment.components, key=lambda component: component.hz)
            # In a tenth of a second the window sees 20 Hz, in a long one 1: close pairs are long everywhere.
            found = signals.peaks(middle, len(components))
            for component, (hertz, dbm0) in zip(components, found, strict=True):
                assert hertz == pytest.approx(component.hz, abs=1)
                assert dbm0 == pytest.approx(component.dbm0, abs=0.3)
        else:  # the first three milliseconds belong to the fall of what was before
            assert not heard[at + 25 : at + length].any()
        at += length


@pytest.mark.parametrize(
    ("name", "on_ms", "off_ms"),
    [("ringback", 1500, 3500), ("busy", 500, 500), ("congestion", 250, 250), ("howler", 100, 100)],
)
def test_french_cadences(name: str, on_ms: float, off_ms: float) -> None:
    heard = signals.bursts(played("FR", name, 21))[:4]
    # From the first sound to the last; half the height is measured in test_country_tones.
    assert [length for _, length in heard] == pytest.approx([on_ms + tones.RAMP_MS] * len(heard), rel=0.02, abs=3)
    starts = [start for start, _ in heard]
    assert np.diff(starts) == pytest.approx([on_ms + off_ms] * (len(heard) - 1), rel=0.02)


def test_french_ringback_is_within_the_published_tolerances() -> None:
    burst = played("FR", "ringback", 1.4)
    [(hertz, dbm0)] = signals.peaks(burst[200:], 1)
    assert abs(hertz - 440) <= 2
    assert abs(dbm0 + 8) <= 0.5
    frequencies, power = signals.spectrum(burst[200:11200])
    harmonics = [power[np.argmin(abs(frequencies - 440 * n))] for n in range(2, 9)]
    distortion = np.sqrt(sum(10 ** ((harmonic - dbm0) / 10) for harmonic in harmonics))
    assert distortion < 0.015


def test_stutter_is_six_bursts_then_dial_tone() -> None:
    heard = signals.bursts(played("FR", "stutter", 4))
    assert len(heard) == 7
    assert [length for _, length in heard[:6]] == pytest.approx([100 + tones.RAMP_MS] * 6, abs=3)
    assert heard[6][0] == pytest.approx(1200, abs=4)


@pytest.mark.parametrize(("code", "name"), EVERY_TONE)
def test_no_tone_clicks_where_it_begins_wraps_or_changes(code: str, name: str) -> None:
    rendered = tones.render(country.load(code), name)
    heard = signals.samples(bytes(160) + rendered.once + rendered.loop * 2)
    # A sum of sines moves at most by 2 pi f A / rate from one sample to the next; rounding adds one.
    # A ramp adds a little of its own, a cross-fade between two tones at worst the slope of both ramps.
    allowed = max(
        sum(2 * np.pi * c.hz / signals.RATE * signals.peak(c.dbm0) for c in segment.components)
        for segment in segments_of(code, name)
    )
    segments = segments_of(code, name)
    follow = any(a.components and b.components for a, b in itertools.pairwise([*segments, segments[0]]))
    assert np.max(np.abs(np.diff(heard))) <= allowed * (1.35 if follow and len(segments) > 1 else 1.02) + 2


@pytest.mark.parametrize("code", country.codes())
def test_an_endless_tone_wraps_in_phase(code: str) -> None:
    for name in country.TONE_NAMES:
        rendered = tones.render(country.load(code), name)
        segments = country.load(code).tones[name].loop_segments()
        if segments[0].ms is not None:
            continue
        loop = signals.samples(rendered.loop)
        seconds = np.tile(loop, 8 * 8000 // len(loop) + 1)[: 8 * 8000]
        wanted = sum(
            signals.peak(c.dbm0) * np.sin(2 * np.pi * c.hz * np.arange(8 * 8000) / 8000) for c in segments[0].components
        )
        assert np.max(np.abs(seconds - wanted)) <= 1


def test_a_continuous_tone_fades_in_within_two_to_five_milliseconds() -> None:
    heard = played("FR", "dial", 1)
    envelope = [np.max(np.abs(heard[at : at + 18])) for at in range(0, 80, 2)]
    full = signals.peak(-10)
    risen = next(i * 2 + 18 for i, value in enumerate(envelope) if value > 0.95 * full)
    assert heard[0] == 0
    assert 8 <= risen <= 40
    assert np.max(np.abs(heard[:4])) < 0.1 * full


def test_nothing_clips() -> None:
    for code, name in EVERY_TONE:
        rendered = tones.render(country.load(code), name)
        assert np.max(np.abs(signals.samples(rendered.once + rendered.loop))) < 32767


def test_loops_are_whole_samples_and_never_empty() -> None:
    for code, name in EVERY_TONE:
        rendered = tones.render(country.load(code), name)
        assert rendered.loop
        assert len(rendered.loop) % 2 == len(rendered.once) % 2 == 0


def test_a_tone_is_rendered_once() -> None:
    assert tones.render(FRANCE, "busy") is tones.render(FRANCE, "busy")


def test_an_unknown_tone_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'bzz' is not known; known are dial, "):
        tones.render(FRANCE, "bzz")


def test_a_crossfade_of_a_tone_with_itself_changes_nothing() -> None:
    frame = signals.pcm(signals.sine(440, 0.01, -10))
    assert tones.crossfade(frame, frame) == frame


def test_ramps_of_short_and_empty_pieces() -> None:
    assert tones.ramped(b"") == b""
    for count in range(1, 60):
        faded = signals.samples(tones.ramped(signals.pcm(np.full(count, 1000.0))))
        assert len(faded) == count
        assert all(0 <= value <= 1000 for value in faded)
        if count > 1:
            assert faded[0] < 800
            assert faded[-1] < 800


def test_every_pair_of_countries_differs_somewhere() -> None:
    for one, other in itertools.combinations(country.codes(), 2):
        assert country.load(one) != country.load(other)
