"""Sound files in and out of the telephone."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from firmware.fxs import telephone_wav


def wav(path: Path, rate: int, channels: int, bits: int, data: bytes, code: int = 1) -> Path:
    layout = struct.pack("<HHIIHH", code, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    if code == 0xFFFE:
        layout += struct.pack("<HHIH14s", 22, bits, 0, 1, b"\0" * 14)
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def sine(rate: int, seconds: float, hz: float = 1000.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def test_a_telephone_band_file_comes_in_bit_for_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-32768, 32767, 4000).astype("<i2")
    read = telephone_wav.read(wav(tmp_path / "a.wav", 8000, 1, 16, values.tobytes()))
    assert np.array_equal(read, values)


def test_what_was_heard_is_written_and_read_again(tmp_path: Path) -> None:
    pcm = np.arange(-500, 500, dtype="<i2").tobytes()
    telephone_wav.write(tmp_path / "b.wav", pcm)
    with wave.open(str(tmp_path / "b.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(5000) == pcm
    assert list(tmp_path.iterdir()) == [tmp_path / "b.wav"]


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_other_rates_keep_pitch_length_and_level(tmp_path: Path, rate: int) -> None:
    data = (sine(rate, 0.5) * 10000).astype("<i2").tobytes()
    read = telephone_wav.read(wav(tmp_path / "c.wav", rate, 1, 16, data))
    assert abs(read.size - 4000) <= 1
    inner = slice(200, 3800)
    wanted = sine(8000, 0.5)[: read.size] * 10000
    assert np.abs(read[inner] - wanted[inner]).max() < 100


def test_what_a_telephone_cannot_carry_does_not_alias(tmp_path: Path) -> None:
    data = (sine(48000, 0.5, 6000.0) * 10000).astype("<i2").tobytes()
    read = telephone_wav.read(wav(tmp_path / "d.wav", 48000, 1, 16, data))
    assert np.abs(read[200:3800]).max() < 100


@pytest.mark.parametrize(("bits", "scale"), [(8, 127), (24, 2**23 - 1), (32, 2**31 - 1)])
def test_every_width_comes_to_the_same_level(tmp_path: Path, bits: int, scale: int) -> None:
    values = np.round(sine(8000, 0.1) * scale).astype(np.int64) + (128 if bits == 8 else 0)
    data = b"".join(int(v).to_bytes(bits // 8, "little", signed=bits > 8) for v in values)
    read = telephone_wav.read(wav(tmp_path / "e.wav", 8000, 1, bits, data, 0xFFFE if bits == 24 else 1))
    assert np.abs(read - sine(8000, 0.1) * 32767).max() < 300


def test_stereo_becomes_the_mean(tmp_path: Path) -> None:
    data = np.array([[1000, 3000]] * 100, "<i2").tobytes()
    assert np.array_equal(telephone_wav.read(wav(tmp_path / "f.wav", 8000, 2, 16, data)), np.full(100, 2000.0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "without format"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", "cut short"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 85, 1, 8000, 8000, 1, 16), "not PCM"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 0, 8000, 8000, 1, 16), "cannot be"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 16), "without sound"),
    ],
)
def test_what_is_no_sound_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.wav.*{words}"):
        telephone_wav.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"gone.wav: No such file"):
        telephone_wav.read(tmp_path / "gone.wav")


def test_a_recording_that_cannot_be_kept_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(OSError, match="dir: "):
        telephone_wav.write(tmp_path / "dir", b"\0\0")
    assert list(tmp_path.iterdir()) == [tmp_path / "dir"]
