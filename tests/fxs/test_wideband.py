"""A wide line around the 8 kHz engine: what passes, what does not, and what the halves do to each other."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.fxs import country
from firmware.fxs.dsp.speexdsp import Converter
from firmware.fxs.elastic import Elastic
from firmware.fxs.levels import LineLevels
from firmware.fxs.pcm import FRAME_BYTES, WIDE_FRAME_BYTES, WIDE_RATE_HZ
from firmware.fxs.voice import LineVoice
from firmware.fxs.wideband import WideVoice
from tests.fakes import signals

FRANCE = country.load("FR")
_DELAY = 96  # samples of 16 kHz: 6 ms


def sine(hz: float, seconds: float, amplitude: float = 4000) -> signals.Samples:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * WIDE_RATE_HZ)) / WIDE_RATE_HZ)


def level(samples: signals.Samples, hz: float) -> float:
    """Amplitude of one frequency."""
    window = np.hanning(len(samples))
    turn = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / WIDE_RATE_HZ)
    return float(2 * abs(np.sum(samples * window * turn)) / np.sum(window))


class Line:
    def __init__(self, *, cancel_echo: bool = False, levels: LineLevels | None = None) -> None:
        self.digits: list[str] = []
        self.voice = LineVoice(
            FRANCE, on_digit=self.digits.append, on_speech_end=lambda: None, cancel_echo=cancel_echo, levels=levels
        )
        self.voice.listen(on=True)
        self.wide = WideVoice(self.voice)
        self.echo_db: float | None = None

    def run(self, near: signals.Samples, far: signals.Samples | None) -> tuple[signals.Samples, signals.Samples]:
        """(what the far end gets, what the handset gets)."""
        sent, heard = [], []
        last = np.zeros(WIDE_FRAME_BYTES // 2)
        for at in range(0, len(near) - 159, 160):
            said = near[at : at + 160]
            if self.echo_db is not None:
                said = said + last * 10 ** (-self.echo_db / 20)
            sent.append(signals.samples(self.wide.from_line(signals.pcm(said))))
            frame = None if far is None else signals.pcm(far[at : at + 160])
            heard.append(signals.samples(self.wide.to_line(frame)))
            last = heard[-1]
        return np.concatenate(sent), np.concatenate(heard)


def test_a_voice_that_nothing_is_done_to_passes_bit_for_bit_six_milliseconds_later() -> None:
    line = Line()
    noise = np.rint(np.random.default_rng(1).normal(0, 3000, WIDE_RATE_HZ))
    sent, heard = line.run(noise, noise[::-1])
    assert (heard[_DELAY:] == noise[::-1][:-_DELAY]).all()
    assert np.std(sent[_DELAY:] - noise[:-_DELAY]) < 60, "a little direct current is taken out on this way"


def test_both_halves_follow_the_gains() -> None:
    line = Line(levels=LineLevels(from_line_db=-6.0, to_line_db=3.0))
    voice = sine(900, 1.0) + sine(5000, 1.0, 2000)
    sent, heard = (half[1600:] for half in line.run(voice, voice))
    assert level(sent, 5000) / level(sent, 900) == pytest.approx(0.5, rel=0.02)
    assert level(sent, 900) == pytest.approx(4000 * 10 ** (-6 / 20), rel=0.02)
    assert level(heard, 5000) == pytest.approx(2000 * 10 ** (3 / 20), rel=0.02)


def test_digits_are_heard_and_nothing_of_the_voice_is_left_beside_a_tone() -> None:
    line = Line()
    up = Converter(8000, WIDE_RATE_HZ)
    narrow = signals.pcm(signals.dialled("159#", 80, 80))
    keyed = b"".join(up.convert(narrow[at : at + FRAME_BYTES]) for at in range(0, len(narrow) - 159, FRAME_BYTES))
    far = sine(600, 1.0) + sine(5000, 1.0)
    line.voice.play_tone("busy")
    _, heard = line.run(signals.samples(keyed), far[: len(keyed) // 2])
    assert "".join(line.digits) == "159#"
    assert level(heard[4000:7000], 5000) < 40, "the far voice's upper half is gone with its lower"
    assert level(heard[4000:7000], 440) > 500, "the tone is there"


def test_a_muted_digit_takes_the_upper_half_with_it_and_gives_it_back() -> None:
    line = Line()
    line.wide.to_line(None)
    quiet = np.zeros(3200)
    keyed = sine(697, 0.12, 4000) + sine(1209, 0.12, 4000)
    hiss = sine(5500, 0.2 + 0.12 + 0.5, 1500)
    near = np.concatenate([quiet, keyed, sine(700, 0.5, 1500)]) + hiss
    sent, _ = line.run(near, None)
    assert line.digits == ["1"]
    muted = sent[3200 + 960 : 3200 + 1800]
    assert level(muted, 5500) < 150
    assert level(sent[-3200:], 5500) == pytest.approx(1500, rel=0.05)


def test_an_echo_that_is_taken_out_below_is_faded_above() -> None:
    line = Line(cancel_echo=True)
    line.echo_db = 12
    random = np.random.default_rng(3)
    far = np.rint(random.normal(0, 2500, 6 * WIDE_RATE_HZ))
    sent, _ = line.run(np.zeros(len(far)), far)
    tail = sent[-2 * WIDE_RATE_HZ :]
    before = np.std(far) * 10 ** (-12 / 20)
    spectrum = np.abs(np.fft.rfft(tail)) ** 2
    upper = np.sqrt(2 * spectrum[len(spectrum) * 9 // 16 :].sum()) / len(tail)
    assert 20 * np.log10(upper / (before * np.sqrt(7 / 16))) < -15


def test_halves_join_without_a_click_when_the_engine_changes_its_mind() -> None:
    line = Line()
    far = sine(440, 1.5)
    jumps = []
    for turn in range(3):
        if turn == 1:
            line.voice.play_tone("dial")
        elif turn == 2:
            line.voice.play_nothing()
        _, heard = line.run(np.zeros(8000), far[turn * 8000 : turn * 8000 + 8000])
        jumps.append(np.abs(np.diff(heard, 2)).max())
    assert max(jumps) < 1000, "steps of a sine of 4000 at 440 Hz are of 120, twice differenced"


def test_a_wide_lines_frames_go_between_two_clocks_too() -> None:
    elastic = Elastic(WIDE_RATE_HZ)
    tone = sine(5000, 3.0)
    out = []
    for place in range(300):
        now = place * 0.01
        elastic.push(signals.pcm(tone[place * 160 : place * 160 + 160]), now)
        out.append(signals.samples(elastic.pull(now + 0.001)))
    heard = np.concatenate(out)
    assert len(heard) == 300 * 160
    assert (elastic.gaps, elastic.drops) == (0, 0)
    assert level(heard[16_000:], 5000) == pytest.approx(4000, rel=0.05)
