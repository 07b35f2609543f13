"""Gains, hum and clipping, measured with numpy."""

from __future__ import annotations

import ctypes
import ctypes.util
from typing import get_args

import numpy as np
import pytest

from firmware import config
from firmware.config import LineSettings
from firmware.fxs import country
from firmware.fxs.dsp.spandsp import SONAME
from firmware.fxs.levels import LEAST_DB, MOST_DB, Gain, HumNotch, LineLevels, Mains
from firmware.fxs.voice import LineVoice
from firmware.lines import build_levels
from tests.fakes import signals

FRANCE = country.load("FR")


def through(levels: LineLevels, near: signals.Samples, far: signals.Samples) -> tuple[signals.Samples, signals.Samples]:
    """What the far end and the handset get."""
    voice = LineVoice(FRANCE, on_digit=lambda _: None, on_speech_end=lambda: None, levels=levels)
    out, heard = [], []
    for said, theirs in zip(signals.frames(signals.pcm(near)), signals.frames(signals.pcm(far)), strict=True):
        out.append(voice.from_line(said))
        heard.append(voice.to_line(theirs))
    return signals.samples(b"".join(out)), signals.samples(b"".join(heard))


def test_without_gain_frames_pass_bit_by_bit() -> None:
    levels = LineLevels()
    frame = signals.pcm(signals.speechlike(0.01))
    assert levels.received(frame) is frame
    assert levels.to_far(frame) is frame
    assert levels.to_line(frame) is frame


@pytest.mark.parametrize("db", [-24.0, -7.0, -0.5, 0.5, 6.0])
def test_a_gain_is_its_decibels_each_way(db: float) -> None:
    tone = signals.sine(1004, 2, -12)
    out, _ = through(LineLevels(from_line_db=db), tone, signals.silence(2))
    assert signals.level(out[8000:]) == pytest.approx(-12 + db, abs=0.1)
    _, heard = through(LineLevels(to_line_db=db), signals.silence(2), tone)
    assert signals.level(heard[8000:]) == pytest.approx(-12 + db, abs=0.1)


def test_tones_of_the_box_follow_the_gain_to_the_line() -> None:
    voice = LineVoice(FRANCE, on_digit=lambda _: None, on_speech_end=lambda: None, levels=LineLevels(to_line_db=-6.5))
    voice.play_tone("dial")
    heard = signals.samples(b"".join(voice.to_line(None) for _ in range(200)))
    plain = LineVoice(FRANCE, on_digit=lambda _: None, on_speech_end=lambda: None)
    plain.play_tone("dial")
    usual = signals.samples(b"".join(plain.to_line(None) for _ in range(200)))
    assert signals.level(heard) == pytest.approx(signals.level(usual) - 6.5, abs=0.05)


@pytest.mark.parametrize("gain", [-24.0, 12.0])
def test_digits_are_heard_whatever_the_gain(gain: float) -> None:
    digits: list[str] = []
    levels = LineLevels(from_line_db=gain)
    voice = LineVoice(FRANCE, on_digit=digits.append, on_speech_end=lambda: None, levels=levels)
    voice.listen(on=True)
    for frame in signals.frames(signals.pcm(signals.dialled("112", 70, 70, -20, -18))):
        voice.from_line(frame)
        voice.to_line(None)
    assert "".join(digits) == "112"


def test_the_canceller_s_reference_is_what_the_line_really_got() -> None:
    far = signals.speechlike(6)
    levels = LineLevels(to_line_db=-10)
    voice = LineVoice(FRANCE, on_digit=lambda _: None, on_speech_end=lambda: None, levels=levels)
    left, played = [], np.zeros(80)
    for frame in signals.frames(signals.pcm(far)):
        left.append(voice.from_line(signals.pcm(played * 0.4)))
        played = signals.samples(voice.to_line(frame))
    echo = signals.level(far[4 * 8000 :]) - 10 - 8
    assert signals.level(signals.samples(b"".join(left))[4 * 8000 :]) < echo - 18


def test_clipping_is_counted_where_it_happens_and_does_not_wrap() -> None:
    loud = signals.sine(1000, 0.5, 0)
    levels = LineLevels(from_line_db=6)
    out = signals.samples(b"".join(levels.to_far(frame) for frame in signals.frames(signals.pcm(loud))))
    assert levels.clipped == 50
    assert np.max(np.abs(out - np.clip(loud * 10**0.3, -32768, 32767))) < 3, "clipped, not wrapped"
    assert levels.overdriven == 0
    levels = LineLevels()
    through(levels, np.clip(loud * 4, -32768, 32767), signals.silence(0.5))
    assert levels.overdriven == 50


@pytest.mark.parametrize("bad", [0.25, LEAST_DB - 0.5, MOST_DB + 0.5, 1e9])
def test_a_gain_that_cannot_be_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="steps of"):
        Gain(bad)
    for key in ("line.gain_from_line_db", "line.gain_to_line_db"):
        with pytest.raises(config.ConfigError, match="steps of"):
            config.with_setting(config.Settings(), key, str(bad))


@pytest.mark.parametrize("code", country.codes())
def test_the_country_s_plan_is_the_codec_s_unless_the_box_is_told_to_do_it(code: str) -> None:
    home = country.load(code)
    frame = signals.pcm(signals.sine(1000, 0.01, -10))
    plain = build_levels(LineSettings(), home)
    assert (plain.to_far(frame), plain.to_line(frame)) == (frame, frame)
    for least_or_most in (-12.0, 0.0, 9.0):
        told = LineSettings(gain_plan="box", gain_to_line_db=least_or_most, gain_from_line_db=least_or_most)
        levels = build_levels(told, home)
        tone = signals.sine(1000, 1, -22)
        got = signals.samples(b"".join(levels.to_line(frame) for frame in signals.frames(signals.pcm(tone))))
        assert signals.level(got) == pytest.approx(-22 + home.gains.to_line_db + least_or_most, abs=0.1)


@pytest.mark.parametrize("hz", [50, 60])
@pytest.mark.parametrize("off", [0.0, 0.05, -0.1])
def test_hum_goes_and_speech_stays(hz: int, off: float) -> None:
    seconds = 6
    speech = signals.speechlike(seconds, -20)
    t = np.arange(seconds * 8000) / 8000
    hum = np.zeros_like(t)
    for k, level in ((1, -25.0), (2, -35.0), (3, -32.0)):
        hum += signals.peak(level) * np.sin(2 * np.pi * (hz + off) * k * t + k)
    notch = HumNotch(hz)

    def cleaned(sound: signals.Samples) -> signals.Samples:
        notch.reset()
        return signals.samples(b"".join(notch.clean(frame) for frame in signals.frames(signals.pcm(sound))))

    late = slice(8000, None)
    assert signals.level(cleaned(hum + 300)[late]) < signals.level(hum) - (19 if off else 35)
    left = cleaned(speech + hum)[late] - speech[late]
    assert signals.level(left) < signals.level(speech) - 18
    assert signals.level(cleaned(speech)[late]) == pytest.approx(signals.level(speech[late]), abs=0.3)


@pytest.mark.parametrize("tone", [200, 300, 425, 1004, 3400])
def test_the_notch_leaves_other_tones_alone(tone: float) -> None:
    notch = HumNotch(50)
    sound = signals.sine(tone, 3, -15)
    out = signals.samples(b"".join(notch.clean(frame) for frame in signals.frames(signals.pcm(sound))))
    assert signals.level(out[8000:]) == pytest.approx(-15, abs=0.4)


def test_the_notch_is_a_setting() -> None:
    made = config.with_setting(config.Settings(), "line.hum_notch", "50").line.of(1)
    hum = signals.sine(50, 2, -20)
    levels = build_levels(made, FRANCE)
    out = signals.samples(b"".join(levels.received(frame) for frame in signals.frames(signals.pcm(hum))))
    assert signals.level(out[8000:]) < -60
    assert set(get_args(Mains)) == {0, 50, 60}


# --- G.711 -----------------------------------------------------------------------------------


class Law:
    """libspandsp's G.711, at both ends of the box's digital side."""

    def __init__(self, mode: int) -> None:
        self._lib = ctypes.CDLL(SONAME)
        self._lib.g711_init.restype = ctypes.c_void_p
        self._mode = mode

    def _state(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._lib.g711_init(None, self._mode))

    def encode(self, pcm: bytes) -> bytes:
        out = ctypes.create_string_buffer(len(pcm) // 2)
        count = self._lib.g711_encode(self._state(), out, pcm, len(pcm) // 2)
        return out.raw[:count]

    def decode(self, law: bytes) -> bytes:
        out = ctypes.create_string_buffer(2 * len(law))
        count = self._lib.g711_decode(self._state(), out, law, len(law))
        return out.raw[: 2 * count]


def digital_milliwatt(mode: int) -> bytes:
    """G.711's own 0 dBm0 sine of 1 kHz: tables 5 (A-law) and 6 (mu-law), as character signals."""
    a_law = bytes([0x34, 0x21, 0x21, 0x34, 0xB4, 0xA1, 0xA1, 0xB4])
    mu_law = bytes([0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E])
    return (a_law if mode == 0 else mu_law) * 2000


@pytest.mark.parametrize("mode", [0, 1])
def test_a_sine_of_0_dbm0_is_g711_s_digital_milliwatt_both_ways(mode: int) -> None:
    law = Law(mode)
    reference = signals.samples(law.decode(digital_milliwatt(mode)))
    # mu-law's full scale is 3.17 dBm0, A-law's 3.14: the box reckons with one of them for both.
    out, heard = through(LineLevels(), signals.sine(1004, 2, 0), reference)
    sent = signals.samples(law.decode(law.encode(signals.pcm(out))))
    assert signals.level(sent[8000:]) == pytest.approx(signals.level(reference), abs=0.2)
    assert signals.level(sent[8000:]) == pytest.approx(0, abs=0.2)
    assert signals.level(heard[8000:]) == pytest.approx(0, abs=0.2)
