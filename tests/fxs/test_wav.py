from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs import wav
from tests.fakes import signals


def riff(
    body: bytes, *, channels: int = 1, rate: int = 8000, bits: int = 16, form: int = 1, extra: bytes = b""
) -> bytes:
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", form, channels, rate, rate * block, block, bits) + extra
    chunks = b"".join(kind + struct.pack("<I", len(part)) + part for kind, part in ((b"fmt ", layout), (b"data", body)))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def tone_at(rate: int, channels: int, bits: int) -> bytes:
    wave = signals.peak(-10) * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    spread = np.repeat(wave, channels)
    body = (
        np.round(spread / 256 + 128).astype("u1").tobytes() if bits == 8 else np.round(spread).astype("<i2").tobytes()
    )
    return riff(body, channels=channels, rate=rate, bits=bits)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize(("channels", "bits"), [(1, 16), (2, 16), (1, 8), (2, 8)])
def test_any_ordinary_wav_becomes_the_line_s_samples(rate: int, channels: int, bits: int) -> None:
    out = signals.samples(wav.decode(tone_at(rate, channels, bits)))
    assert len(out) == 8000
    [(hertz, dbm0)] = signals.peaks(out[800:7200], 1)
    assert hertz == pytest.approx(1000, abs=1)
    assert dbm0 == pytest.approx(-10, abs=0.3)


def test_our_own_files_come_back_as_they_were(tmp_path: Path) -> None:
    pcm = signals.pcm(signals.noise(0.3, -20))
    wav.write(tmp_path / "a.wav", pcm)
    assert wav.read(tmp_path / "a.wav") == pcm
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_extensible_pcm_is_pcm() -> None:
    extra = struct.pack("<HHI", 22, 16, 0) + struct.pack("<H", 1) + bytes(14)
    assert wav.decode(riff(b"\1\0\2\0", form=0xFFFE, extra=extra)) == b"\1\0\2\0"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "not a WAV file"),
        (b"ID3\x03 an mp3, rather", "not a WAV file"),
        (riff(b"", form=6, bits=8), "format 6 with 8 bits: wanted PCM"),
        (riff(bytes(6), bits=24), "format 1 with 24 bits"),
        (riff(b"", channels=0), "0 channels at 8000 Hz"),
        (riff(b"", rate=1_000_000), "1 channels at 1000000 Hz"),
        (riff(b"")[:-8], "no samples in it"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "data come before the format"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0\1\0", "format chunk is cut off"),
    ],
)
def test_what_is_no_usable_wav_is_told_with_file_and_reason(raw: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    file.write_bytes(raw)
    with pytest.raises(wav.WavError, match=r"x\.wav: ") as caught:
        wav.read(file)
    assert what in str(caught.value)


def test_too_long_a_recording_is_refused_before_it_is_worked_on() -> None:
    with pytest.raises(ValueError, match="more than 1800"):
        wav.decode(riff(bytes(4000 * 1801), rate=4000, bits=8))


def test_too_large_a_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    with file.open("wb") as out:
        out.truncate(wav.MAX_BYTES + 1)
    with pytest.raises(wav.WavError, match="cut it into pieces"):
        wav.read(file)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_no_bytes_break_the_reader(tail: bytes) -> None:
    for raw in (tail, b"RIFF\0\0\0\0WAVE" + tail, riff(tail)[: 20 + len(tail)]):
        try:
            wav.decode(raw)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - any refusal will do, as long as it says something
