"""What the telephone's owner would say he hears, from samples alone."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.fxs.telephone_ears import Ears, rms_of_dbm0
from firmware.fxs.telephone_plans import plan_of

A4 = (440.0,)


def tone(hz: tuple[float, ...], ms: int, dbm0: float = -10.0) -> np.ndarray:
    times = np.arange(ms * 8) / 8000
    return sum((np.sqrt(2) * rms_of_dbm0(dbm0) * np.sin(2 * np.pi * f * times) for f in hz), np.zeros(ms * 8))


def beeps(hz: tuple[float, ...], on: int, off: int, times: int, dbm0: float = -10.0) -> np.ndarray:
    return np.tile(np.concatenate([tone(hz, on, dbm0), np.zeros(off * 8)]), times)


def speech(seconds: float, seed: int = 3) -> np.ndarray:
    """Something like it: harmonics of a wandering pitch in syllables of 180 ms."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(int(seconds / 0.25)):
        pitch = random.uniform(100, 220)
        times = np.arange(1440) / 8000
        parts.append(sum(random.normal(0, 900) * np.sin(2 * np.pi * pitch * k * times) for k in range(1, 15)))
        parts.append(np.zeros(560))
    return np.concatenate(parts)


def listen(ears: Ears, sound: np.ndarray) -> list[tuple[int, str | None]]:
    """(ms, hearing) at each change."""
    said: list[tuple[int, str | None]] = []
    last: str | None = ears.hearing
    for n in range(len(sound) // 80):
        hearing = ears.feed(np.rint(np.clip(sound[n * 80 : n * 80 + 80], -32768, 32767)))
        if hearing != last:
            said.append(((n + 1) * 10, hearing))
            last = hearing
    return said


def lifted(country: str = "FR") -> Ears:
    ears = Ears(plan_of(country))
    ears.lifted(expect_dial_tone=True)
    return ears


def after_dialling(country: str = "FR") -> Ears:
    ears = lifted(country)
    ears.dialled()
    return ears


def words(said: list[tuple[int, str | None]]) -> list[str]:
    return [word for _, word in said if word]


def test_after_lifting_a_steady_440_is_dial_tone_within_400_ms() -> None:
    said = listen(lifted(), np.concatenate([np.zeros(800), tone(A4, 3000)]))
    assert words(said) == ["dial-tone"]
    assert said[0][0] <= 100 + 400


def test_the_special_dial_tone_counts_as_dial_tone() -> None:
    assert words(listen(lifted(), tone((330.0, 440.0), 2000))) == ["dial-tone"]


def test_a_stuttering_dial_tone_stays_the_stutter_tone_when_it_becomes_steady() -> None:
    said = listen(lifted(), np.concatenate([beeps(A4, 100, 100, 6), tone(A4, 3000)]))
    assert words(said) == ["stutter-tone"]


def test_dial_tone_that_stops_is_not_heard_any_more_and_then_silence() -> None:
    ears = lifted()
    listen(ears, tone(A4, 1000))
    ears.dialled()
    assert listen(ears, np.zeros(8000))[0][1] is None
    assert ears.hearing == "silence"


@pytest.mark.parametrize(
    ("name", "on", "off", "within_ms"),
    [("ringback", 1500, 3500, 700), ("busy", 500, 500, 1200), ("congestion", 250, 250, 700)],
)
def test_french_cadences_are_told_apart_and_held_through_their_pauses(
    name: str, on: int, off: int, within_ms: int
) -> None:
    said = listen(after_dialling(), beeps(A4, on, off, 3))
    assert words(said) == [name]
    assert said[0][0] <= within_ms


@pytest.mark.parametrize("share", [0.9, 1.1])
@pytest.mark.parametrize(("name", "on"), [("ringback", 1500), ("busy", 500), ("congestion", 250)])
def test_cadences_ten_per_cent_off_are_still_known(name: str, on: int, share: float) -> None:
    off = 3500 if name == "ringback" else on
    assert words(listen(after_dialling(), beeps(A4, round(on * share), round(off * share), 3))) == [name]


@pytest.mark.parametrize("dbm0", [-3.0, -20.0, -32.0])
def test_loud_and_faint_tones_in_noise_are_known(dbm0: float) -> None:
    sound = beeps(A4, 500, 500, 4, dbm0)
    sound += np.random.default_rng(1).normal(0, rms_of_dbm0(-50), len(sound))
    assert words(listen(after_dialling(), sound)) == ["busy"]


def test_busy_right_after_lifting_is_corrected_to_busy() -> None:
    assert words(listen(lifted(), beeps(A4, 500, 500, 4)))[-1] == "busy"


def test_congestion_right_after_lifting_is_never_taken_for_dial_tone() -> None:
    assert words(listen(lifted(), beeps(A4, 250, 250, 6))) == ["congestion"]


def test_a_call_waiting_beep_is_heard_in_silence_and_then_forgotten() -> None:
    ears = after_dialling()
    said = words(listen(ears, np.concatenate([np.zeros(8000), beeps(A4, 300, 4000, 1)])))
    assert said == ["silence", "call-waiting", "silence"]


def test_a_call_waiting_beep_is_heard_between_words() -> None:
    sound = np.concatenate([speech(1), tone(A4, 300), speech(2)])
    said = words(listen(after_dialling(), sound))
    assert "call-waiting" in said
    assert said[-1] == "voice"
    assert "congestion" not in said


def test_the_howler_is_known_by_its_frequencies() -> None:
    said = listen(lifted(), beeps((1400.0, 2060.0, 2450.0, 2600.0), 100, 100, 10))
    assert words(said) == ["howler"]


def test_speech_is_voice_and_then_silence() -> None:
    said = words(listen(after_dialling(), np.concatenate([speech(4), np.zeros(8000)])))
    assert said == ["voice", "silence"]


def test_a_milliwatt_of_1004_hz_is_a_sound_that_is_no_known_tone() -> None:
    assert words(listen(after_dialling(), tone((1004.0,), 2000, 0.0))) == ["voice"]


def test_the_far_end_answers_in_the_middle_of_ringback() -> None:
    sound = np.concatenate([beeps(A4, 1500, 3500, 1), tone(A4, 900), speech(2)])
    assert words(listen(after_dialling(), sound)) == ["ringback", "voice"]


def test_ringback_that_stops_is_silence_after_its_own_pause() -> None:
    said = listen(after_dialling(), np.concatenate([tone(A4, 1500), np.zeros(8 * 6000)]))
    assert words(said) == ["ringback", "silence"]
    assert said[-1][0] > 1500 + 3500


def test_the_caller_hears_busy_when_the_far_end_hangs_up() -> None:
    sound = np.concatenate([speech(2), beeps(A4, 500, 500, 3)])
    assert words(listen(after_dialling(), sound)) == ["voice", "busy"]


def test_one_lost_frame_in_a_burst_changes_nothing() -> None:
    sound = beeps(A4, 500, 500, 4)
    sound[8 * 1200 : 8 * 1210] = 0
    assert words(listen(after_dialling(), sound)) == ["busy"]


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize(("name", "on", "off"), [("busy", 500, 500), ("ringback", 1500, 3500)])
def test_a_slip_within_a_burst_makes_no_other_tone_of_it(name: str, on: int, off: int, frames: int) -> None:
    whole = beeps(A4, on, off, 3)
    for at in range(50, on - 50, 30):
        sound = whole.copy()
        sound[8 * at : 8 * (at + 10 * frames)] = 0
        assert words(listen(after_dialling(), sound)) == [name], at


def test_the_dial_tone_that_comes_back_after_a_services_words_is_never_ringback() -> None:
    ears = lifted()
    listen(ears, tone(A4, 1000))
    ears.dialled()  # *21*...#
    sound = np.concatenate([np.zeros(8 * 800), speech(3), np.zeros(8 * 300), tone(A4, 3000)])
    assert words(listen(ears, sound)) == ["silence", "voice", "dial-tone"]


def test_ringback_after_words_is_known_when_its_burst_has_ended() -> None:
    said = listen(after_dialling(), np.concatenate([speech(2), beeps(A4, 1500, 3500, 2)]))
    assert words(said) == ["voice", "ringback"]
    assert said[-1][0] <= 2000 + 1500 + 500


def test_a_tone_through_a_law_is_still_a_tone() -> None:
    sound = beeps(A4, 500, 500, 3, -12)
    magnitude = np.abs(sound)
    step = np.maximum(16, 2 ** (np.floor(np.log2(np.maximum(magnitude, 1))) - 4))
    assert words(listen(after_dialling(), np.round(sound / step) * step)) == ["busy"]


@pytest.mark.parametrize("country", ["CH", "DE", "US"])
def test_other_countries_are_known_by_their_own_tones(country: str) -> None:
    plan = plan_of(country)
    for known in plan.tones:
        if known.event in {"ringback", "busy", "congestion"}:
            on, off = known.cadence
            said = words(listen(after_dialling(country), beeps(known.hz, on, off, 3)))
            assert said == [known.event], known


def test_an_unknown_country_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match=r"'XX'; they know .*FR"):
        plan_of("XX")
