"""The click detectors find what is planted, in tones and in recorded speech, and nothing in what is clean."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes.far_end import a_law_codes, a_law_samples
from tests.system import speech_score
from tests.voice_analysis import RATE, Samples, Slip, slips, speech_clicks, spots, tone_clicks

AT = 9003  # in the middle of a turn
CLIPS = speech_score.CLIPS[:3]


def tone(hz: float, amplitude: float = 8000, seconds: float = 2) -> Samples:
    clean = amplitude * np.sin(2 * np.pi * hz * np.arange(int(RATE * seconds)) / RATE)
    return speech_score.a_law(clean.astype(np.int16))


def loud_places(samples: Samples, count: int) -> list[int]:
    """Samples in the middle of words, spread over the clip."""
    level = np.convolve(np.abs(samples.astype(float)), np.ones(800) / 800, "same")
    places = np.flatnonzero(level > 400)
    places = places[(places > RATE // 2) & (places < len(samples) - RATE // 2)]
    return [int(place) for place in places[:: len(places) // count][:count]]


def found_at(found: list[float], place: int) -> bool:
    return any(abs(at - place / RATE) < 0.03 for at in found)


@pytest.mark.parametrize("amplitude", [500, 8000, 20_000])
@pytest.mark.parametrize("hz", [350, 440, 1004, 2600])
def test_a_clean_tone_in_a_law_has_no_click(hz: float, amplitude: float) -> None:
    assert tone_clicks(tone(hz, amplitude), hz) == []


@pytest.mark.parametrize(
    "name", ["sample left out", "frame left out", "frame repeated", "sample of silence", "frame of silence", "step"]
)
def test_whatever_breaks_a_tone_is_found_where_it_is(name: str) -> None:
    clean = tone(1004)
    broken = {
        "sample left out": np.delete(clean, AT),
        "frame left out": np.delete(clean, slice(AT, AT + 80)),
        "frame repeated": np.insert(clean, AT, clean[AT - 80 : AT]),
        "sample of silence": np.where(np.arange(len(clean)) == AT, 0, clean),
        "frame of silence": np.concatenate((clean[:AT], np.zeros(80), clean[AT + 80 :])),
        "step": clean + 1500 * (np.arange(len(clean)) >= AT),
    }[name].astype(np.int16)
    found = tone_clicks(broken, 1004)
    assert found_at(found, AT), found
    assert len(found) <= 2


@pytest.mark.parametrize("hz", [300, 580, 1004, 1500, 2600])
def test_a_tone_that_fades_in_over_five_milliseconds_has_no_click_and_one_that_rises_in_half_a_one_has(
    hz: float,
) -> None:
    for begin in range(400, 400 + 28):  # any phase
        found = {}
        for rise in (4, 40):
            fade = np.sin(np.pi / 2 * (np.arange(rise) + 0.5) / rise) ** 2
            level = np.concatenate((np.zeros(begin), fade, np.ones(16_000 - begin - rise)))
            found[rise] = len(tone_clicks(np.rint(tone(hz) * level).astype(np.int16), hz))
        assert found == {4: 1, 40: 0}, (hz, begin)


@pytest.mark.parametrize("name", speech_score.CLIPS)
def test_recorded_speech_is_clean_before_and_after_a_law(name: str) -> None:
    said = speech_score.clip(name)
    coded = speech_score.a_law(said)
    assert speech_clicks(said) == speech_clicks(coded) == []
    assert slips(said, coded) == []
    assert spots(said, coded) == []
    assert spots(said, (coded * 0.7).astype(np.int16)) == []  # a level is no click


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("samples", [-160, -80, -1, 80, 160])
def test_samples_left_out_of_speech_or_repeated_are_counted(name: str, samples: int) -> None:
    said = speech_score.clip(name)
    coded = speech_score.a_law(said)
    found = 0
    places = loud_places(said, 4)
    for place in places:
        if samples < 0:
            broken = np.delete(coded, slice(place, place - samples))
        else:
            broken = np.insert(coded, place, coded[place - samples : place])
        heard = slips(said, broken)
        assert sum(slip.samples for slip in heard) in {0, samples}, heard
        found += any(slip.samples == samples and abs(slip.at - place / RATE) < 0.6 for slip in heard)
    assert found >= len(places) - 1  # one may fall before a pause, where nothing tells


@pytest.mark.parametrize("name", CLIPS)
def test_spikes_steps_and_holes_in_speech_are_found_beside_what_was_said(name: str) -> None:
    said = speech_score.clip(name)
    coded = speech_score.a_law(said)
    holes = 0
    places = loud_places(said, 4)
    for place in places:
        spike, step, hole = coded.copy(), coded.copy(), coded.copy()
        spike[place] += 3000
        step[place : place + 400] += 3000
        hole[place : place + 80] = 0
        assert found_at(spots(said, spike), place)
        assert found_at(spots(said, step), place)
        holes += found_at(spots(said, hole), place)
    assert holes >= len(places) - 1


def test_a_click_in_a_quiet_place_is_found_without_knowing_what_was_said() -> None:
    said = speech_score.clip("vm-newuser")
    quiet = np.convolve(np.abs(said.astype(float)), np.ones(400) / 400, "same")
    place = int(RATE + quiet[RATE:-RATE].argmin())
    broken = said.copy()
    broken[place] += 1500
    found = speech_clicks(broken)
    assert len(found) == 1
    assert found_at(found, place)


def test_a_slip_is_told_with_its_place() -> None:
    said = speech_score.clip("demo-instruct")
    place = loud_places(said, 3)[1]
    (slip,) = slips(said, np.delete(said, slice(place, place + 80)))
    assert slip == Slip(slip.at, -80)


def test_the_far_ends_a_law_is_the_references() -> None:
    samples = np.arange(-32768, 32768).astype(np.int16)
    assert (a_law_samples(a_law_codes(samples)) == speech_score.a_law(samples)).all()
