from __future__ import annotations

import numpy as np
import pytest
from cffi import FFI

from firmware.fxs.dsp import level, spandsp, speexdsp
from firmware.fxs.dsp.library import MissingLibraryError, open_library
from tests.fakes import signals


def test_a_full_scale_sine_is_3_14_dbm0() -> None:
    assert level.level_dbm0(signals.pcm(signals.sine(1000, 1, 3.14))) == pytest.approx(3.14, abs=0.01)


@pytest.mark.parametrize("dbm0", [-40, -10, 0, 3])
def test_amplitude_and_level_agree(dbm0: float) -> None:
    tone = level.amplitude(dbm0) * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    assert level.level_dbm0(signals.pcm(tone)) == pytest.approx(dbm0, abs=0.05)


def test_silence_has_the_floor_s_level() -> None:
    assert level.level_dbm0(bytes(160)) == level.FLOOR_DBM0
    assert level.level_dbm0(b"") == level.FLOOR_DBM0


def test_samples_are_clipped_not_wrapped() -> None:
    assert level.samples_of(level.pcm_of([40000.0, -40000.0, 0.4])).tolist() == [32767, -32768, 0]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes are not whole"):
        level.samples_of(b"abc")


def test_a_missing_library_names_its_package() -> None:
    with pytest.raises(MissingLibraryError, match="apt-get install libnothing1"):
        open_library(FFI(), ("libnothing-of-the-kind.so.9",), "libnothing1")


def test_the_receiver_forgets_on_reset() -> None:
    receiver = spandsp.DtmfReceiver()
    receiver.feed(signals.pcm(signals.digit("5", 100)))
    receiver.reset()
    assert receiver.digits() == ""
    assert receiver.feed(bytes(160)) == 0


def test_a_caller_id_message_must_fit() -> None:
    with pytest.raises(ValueError, match="2 to 253 bytes, not 254"):
        spandsp.adsi_modulate(spandsp.ADSI_V23, bytes(254), 300, 180)


def test_the_longest_message_is_sent_whole() -> None:
    longest = bytes((0x80, 251)) + bytes(251)
    heard = spandsp.AdsiReceiver(spandsp.ADSI_V23).feed(
        spandsp.adsi_modulate(spandsp.ADSI_V23, longest, 300, 180) + bytes(3200)
    )
    assert heard == [longest]


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_resampling_keeps_pitch_level_length_and_place(rate: int) -> None:
    t = np.arange(rate) / rate
    tone = signals.peak(-10) * np.sin(2 * np.pi * 1000 * t)
    tone[: rate // 2] = 0
    out = signals.samples(speexdsp.resample(signals.pcm(tone), rate, 8000))
    assert len(out) == 8000
    [(hertz, dbm0)] = signals.peaks(out[4400:7900], 1)
    assert hertz == pytest.approx(1000, abs=1)
    assert dbm0 == pytest.approx(-10, abs=0.1)
    [(start, _)] = signals.bursts(out, -25)
    assert start == pytest.approx(500, abs=2)


def test_an_impossible_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        speexdsp.resample(bytes(320), 0, 8000)


def test_a_frame_of_another_length_is_refused_by_the_canceller() -> None:
    echo = speexdsp.SpeexEcho(80, 256)
    with pytest.raises(ValueError, match="frames of 158 and 160 bytes, not 160"):
        echo.cancel(bytes(158), bytes(160))
