"""WAV files to the line's samples (8 kHz, 16 bit, mono) and back, with bounded size and clear errors."""

from __future__ import annotations

import os
import struct
import wave
from array import array
from pathlib import Path

from firmware.fxs.dsp.level import pcm_of, samples_of
from firmware.fxs.dsp.speexdsp import resample
from firmware.fxs.pcm import SAMPLE_RATE_HZ

MAX_BYTES = 64 * 1024 * 1024
MAX_SECONDS = 1800
_PCM = 1
_EXTENSIBLE = 0xFFFE
_FORMAT_BYTES = 16
_EXTENSIBLE_BYTES = 26
_RIFF_BYTES = 12
_CHUNK = struct.Struct("<4sI")
_RATES_HZ = (4000, 192_000)
_MAX_CHANNELS = 8
_BITS = (8, 16)


class WavError(ValueError):
    """A file that is no usable WAV; the message says which and why."""


def read(path: Path) -> bytes:
    """All of `path` as 8 kHz 16-bit mono. Any rate of 4 to 192 kHz, 8 or 16 bit, up to 8 channels (averaged).

    Raises WavError for anything else, OSError when it cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        msg = f"{path}: {size} bytes, more than {MAX_BYTES}: cut it into pieces"
        raise WavError(msg)
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        msg = f"{path}: {error}"
        raise WavError(msg) from error


def decode(raw: bytes) -> bytes:
    """A WAV file's bytes as 8 kHz 16-bit mono. Raises ValueError with what is wrong."""
    if len(raw) < _RIFF_BYTES or raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        raise ValueError("not a WAV file (no RIFF/WAVE header)")
    layout: tuple[int, int, int] | None = None
    position = _RIFF_BYTES
    while position + _CHUNK.size <= len(raw):
        kind, length = _CHUNK.unpack_from(raw, position)
        body = raw[position + _CHUNK.size : position + _CHUNK.size + length]
        position += _CHUNK.size + length + (length & 1)
        if kind == b"fmt ":
            layout = _layout(body)
        elif kind == b"data":
            if layout is None:
                raise ValueError("the data come before the format: a broken WAV file")
            return _line_samples(body, *layout)
    raise ValueError("no samples in it (no data chunk): a cut-off WAV file?")


def _layout(body: bytes) -> tuple[int, int, int]:
    """Channels, rate, bits of a `fmt ` chunk that can be used."""
    if len(body) < _FORMAT_BYTES:
        raise ValueError("its format chunk is cut off")
    form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if form == _EXTENSIBLE and len(body) >= _EXTENSIBLE_BYTES:
        form = struct.unpack_from("<H", body, 24)[0]
    if form != _PCM or bits not in _BITS:
        msg = f"format {form} with {bits} bits: wanted PCM (1) with 8 or 16 bits"
        raise ValueError(msg)
    if not 1 <= channels <= _MAX_CHANNELS or not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        msg = f"{channels} channels at {rate} Hz: wanted 1 to {_MAX_CHANNELS} at {_RATES_HZ[0]} to {_RATES_HZ[1]} Hz"
        raise ValueError(msg)
    return channels, rate, bits


def _line_samples(body: bytes, channels: int, rate: int, bits: int) -> bytes:
    frame = channels * bits // 8
    body = body[: len(body) // frame * frame]
    seconds = len(body) / frame / rate
    if seconds > MAX_SECONDS:
        msg = f"{seconds:.0f} s of sound, more than {MAX_SECONDS}: cut it into pieces"
        raise ValueError(msg)
    eight = bits == 8  # noqa: PLR2004 - 8-bit WAV is unsigned
    samples = array("h", [(byte - 128) * 256 for byte in body]) if eight else samples_of(body)
    if channels > 1:
        pcm = pcm_of(sum(samples[i : i + channels]) / channels for i in range(0, len(samples), channels))
    else:
        pcm = pcm_of(samples)
    return resample(pcm, rate, SAMPLE_RATE_HZ)


def write(path: Path, pcm: bytes) -> None:
    """`pcm` (8 kHz, 16 bit, mono) as a WAV file, whole or not at all. Raises OSError."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as raw, wave.open(raw, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE_HZ)
            out.writeframes(pcm)
        os.replace(part, path)  # noqa: PTH105 - atomic, also over an existing file
    finally:
        part.unlink(missing_ok=True)
