"""Speech is no digits: the short form of `make bench`'s hour."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.bench import dtmf_speech, dtmf_talkoff
from tests.bench.dtmf_signals import burst, ours
from tests.fakes import signals

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng speaks the test sentences")


@pytest.fixture(scope="module")
def said() -> list[bytes]:
    return [dtmf_speech.spoken(speaker, 20) for speaker in dtmf_speech.speakers(12)]


def test_four_minutes_of_twelve_speakers_are_no_digit_and_hardly_ever_muted(said: list[bytes]) -> None:
    assert dtmf_speech.minutes(said) == pytest.approx(4, abs=0.01)
    digits, muted = dtmf_talkoff.listened(said)
    assert digits == ""
    assert muted < 0.002


def test_nor_with_nothing_left_but_the_band_of_the_digits(said: list[bytes]) -> None:
    assert dtmf_talkoff.listened([dtmf_talkoff.tinny(piece) for piece in said])[0] == ""


def test_the_same_ear_hears_a_digit_pressed_between_two_words(said: list[bytes]) -> None:
    for piece in said:
        sound = signals.samples(piece)
        quiet = np.convolve(sound**2, np.ones(1200), mode="valid")[8000:]
        at = int(np.argmin(quiet)) + 8000
        sound[at + 200 : at + 1000] += burst("4", low=-11, high=-9, off_ms=50)
        assert ours(signals.pcm(sound)) == "4"


def test_speakers_differ_and_say_the_same_every_time() -> None:
    every = dtmf_speech.speakers(42)
    assert len({(speaker.voice, speaker.pitch, speaker.words_a_minute) for speaker in every}) == 42
    assert {speaker.voice[:2] for speaker in every} == {"fr", "en"}
    assert dtmf_speech.spoken(every[0], 20) == dtmf_speech.spoken(every[0], 20)
