from __future__ import annotations

import numpy as np
import pytest
from cffi import FFI

from firmware.fxs.dsp import level, spandsp, speexdsp, vectors
from firmware.fxs.dsp.library import MissingLibraryError, open_library
from firmware.fxs.dsp.retune import MAX_SAMPLES, Retuner
from firmware.fxs.dsp.vectors import Block, Wave, hann
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
    assert level.samples_of(level.rounded([40000.0, -40000.0, 0.4])).tolist() == [32767, -32768, 0]
    assert level.samples_of(level.rounded([-2.6, 0.4, 32767.0])).tolist() == [-3, 0, 32767]


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


def retuned(retuner: Retuner, sound: signals.Samples) -> signals.Samples:
    pieces = []
    for frame in signals.frames(signals.pcm(sound)):
        buffer, count = retuner.feed(frame)
        pieces.append(bytes(FFI().buffer(buffer, 2 * count)))
    return signals.samples(b"".join(pieces))


@pytest.mark.parametrize("percent", [-1.0, 1.0, 3.0])
@pytest.mark.parametrize("hertz", [697, 1633])
def test_a_retuned_tone_is_higher_and_as_loud(percent: float, hertz: float) -> None:
    out = retuned(Retuner(percent), signals.sine(hertz, 2, -10))
    assert len(out) == pytest.approx(16000 / (1 + percent / 100), abs=2)
    [(found, dbm0)] = signals.peaks(out[200:], 1)
    assert found == pytest.approx(hertz * (1 + percent / 100), abs=0.2)
    assert dbm0 == pytest.approx(-10, abs=0.3)


def test_what_retuning_adds_is_40_db_down() -> None:
    out = retuned(Retuner(1.0), signals.sine(1633, 2, -10))[200:]
    hertz, power = signals.spectrum(out[:15000])
    telephone = (hertz > 300) & (hertz < 3400) & (abs(hertz - 1633 * 1.01) > 30)
    assert power[telephone].max() < -50


def test_a_reset_retuner_remembers_nothing() -> None:
    retuner = Retuner(1.0)
    retuned(retuner, signals.sine(1000, 0.5, 0))
    retuner.reset()
    assert not retuned(retuner, np.zeros(800)).any()


def test_retuning_has_bounds() -> None:
    with pytest.raises(ValueError, match="moved by 11 %"):
        Retuner(11)
    with pytest.raises(ValueError, match="801 samples at once"):
        Retuner(1).feed(bytes(2 * MAX_SAMPLES + 2))


def test_a_correlation_is_the_sum_that_it_says() -> None:
    sound = np.round(signals.noise(0.06, -10))
    block = Block.of(signals.pcm(sound))
    wave = Wave(852, hann(80))
    weights = np.array(hann(80)) * np.exp(-2j * np.pi * 852 * np.arange(80) / signals.RATE)
    for start in (0, 17, 400):
        assert wave.correlate(block, start) == pytest.approx(
            complex(np.sum(sound[start : start + 80] * weights)), rel=1e-4
        )
    # At the block's end the window is cut.
    assert wave.correlate(block, 440) == pytest.approx(complex(np.sum(sound[440:] * weights[:40])), rel=1e-4)
    assert block.energy(100, 240) == pytest.approx(float(np.sum(sound[100:340] ** 2)), rel=1e-5)


def test_a_wave_s_gain_is_its_response_to_its_own_sine() -> None:
    for nulls in ((), (350, 440)):
        wave = Wave(697, hann(80), nulls)
        block = Block.of(signals.pcm(signals.sine(697, 0.06, -10)))
        seen = [abs(wave.correlate(block, start)) / wave.gain for start in range(0, 400, 20)]
        assert seen == pytest.approx([signals.peak(-10)] * 20, rel=0.08)


def test_a_wave_with_nulls_is_deaf_to_them_whatever_their_phase() -> None:
    wave = Wave(697, hann(80), (350, 440))
    for hertz in (350, 440):
        block = Block.of(signals.pcm(signals.sine(hertz, 0.06, 0)))
        for start in range(0, 400, 7):
            assert abs(wave.correlate(block, start)) / wave.gain < signals.peak(-60)


def test_a_tone_is_subtracted() -> None:
    block = Block.of(signals.pcm(signals.sine(440, 0.03, -10)))
    flat = Wave(440, [1.0] * 240)
    block.subtract(0, 240, flat, complex(0, signals.peak(-10)))
    assert block.energy(0, 240) / 240 < 1


def test_nothing_is_read_beside_a_block() -> None:
    block = Block.of(bytes(160))
    wave = Wave(697, hann(80))
    for start, count in ((-1, 10), (75, 10), (0, -1)):
        with pytest.raises(IndexError, match="of a block of 80"):
            block.energy(start, count)
        with pytest.raises(IndexError, match="of a block of 80"):
            block.subtract(start, count, wave, 0)
    for start in (-1, 80):
        with pytest.raises(IndexError, match="of a block of 80"):
            wave.correlate(block, start)
    with pytest.raises(IndexError, match="90 samples of a wave that has 80"):
        Block.of(bytes(320)).subtract(0, 90, wave, 0)


def test_the_windows_sum_to_one() -> None:
    window = np.array(hann(80))
    assert window[:40] + window[40:] == pytest.approx(np.ones(40))


def test_the_solver_needs_its_pivots() -> None:
    assert vectors._solved([[0.0, 2.0, 4.0], [3.0, 1.0, 5.0]]) == pytest.approx([1.0, 2.0])
