"""WAV files for the telephone: reads any PCM file as 8 kHz mono samples, writes what was heard.

The standard library's `wave` refuses WAVE_FORMAT_EXTENSIBLE, which is how 24-bit files come; hence
the small RIFF reader.
"""

from __future__ import annotations

import os
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.fxs.telephone_ears import Samples

_PCM = 1
_EXTENSIBLE = 0xFFFE
_TAPS = 16
_CHUNK = 8000
_FORMAT_BYTES = 16
_EXTENSIBLE_BYTES = 26
_MAX_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class _Format:
    channels: int
    rate: int
    bits: int


def read(path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """The file's sound at `rate_hz`, mono (channels averaged), in 16-bit units.

    Raises ValueError or OSError in a person's words: no such file, no WAV, not PCM, empty.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            msg = f"{path}: larger than {_MAX_BYTES // 1_000_000} MB"
            raise ValueError(msg)
        content = path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise OSError(msg) from error
    layout, data = _chunks(path, content)
    samples = _decode(layout, data)
    if samples.size == 0:
        msg = f"{path}: holds no samples"
        raise ValueError(msg)
    return samples if layout.rate == rate_hz else resample(samples, layout.rate, rate_hz)


def write(path: Path, frames: bytes, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """A WAV file of 16-bit mono samples, there in full or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with wave.open(str(partial), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(frames)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        msg = f"{path}: {error.strerror or error}"
        raise OSError(msg) from error


def resample(samples: Samples, rate: int, to_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """From `rate` to `to_hz` by windowed-sinc interpolation, low-passed at the lower of both half rates."""
    ratio = rate / to_hz
    widen = max(1.0, ratio)
    reach = int(np.ceil(_TAPS * widen))
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(reach + 1)])
    length = max(1, int(samples.size / ratio))
    offsets = np.arange(-reach + 1, reach + 1)
    resampled = np.empty(length)
    for start in range(0, length, _CHUNK):
        positions = np.arange(start, min(start + _CHUNK, length)) * ratio
        whole = np.floor(positions).astype(np.int64)
        distance = (offsets[None, :] - (positions - whole)[:, None]) / widen
        kernel = np.sinc(distance) * np.cos(np.pi / 2 * np.clip(distance / _TAPS, -1, 1)) ** 2 / widen
        resampled[start : start + positions.size] = np.sum(
            padded[whole[:, None] + offsets[None, :] + reach] * kernel, axis=1
        )
    return resampled


def _chunks(path: Path, content: bytes) -> tuple[_Format, bytes]:
    """The fmt and data chunks. A data chunk cut short (or of unknown length, as streams write it) is what is there."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        msg = f"{path}: not a WAV file (no RIFF/WAVE header)"
        raise ValueError(msg)
    layout: _Format | None = None
    place = 12
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        body = content[place + 8 : place + 8 + size]
        if name == b"fmt ":
            layout = _format(path, body)
        elif name == b"data" and layout is not None:
            return layout, body
        place += 8 + size + size % 2
    msg = f"{path}: a WAV file without {'sound (data chunk)' if layout else 'format (fmt chunk)'}"
    raise ValueError(msg)


def _format(path: Path, body: bytes) -> _Format:
    if len(body) < _FORMAT_BYTES:
        msg = f"{path}: its fmt chunk is cut short ({len(body)} bytes)"
        raise ValueError(msg)
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if code == _EXTENSIBLE and len(body) >= _EXTENSIBLE_BYTES:
        code = struct.unpack_from("<H", body, 24)[0]
    if code != _PCM or bits not in {8, 16, 24, 32}:
        msg = f"{path}: format {code} with {bits} bits is not PCM of 8, 16, 24 or 32 bits; convert it first (sox)"
        raise ValueError(msg)
    if not 1 <= channels <= 64 or not 1000 <= rate <= 768_000:  # noqa: PLR2004 - what hardware has ever made
        msg = f"{path}: {channels} channels at {rate} Hz cannot be"
        raise ValueError(msg)
    return _Format(channels, rate, bits)


def _decode(layout: _Format, data: bytes) -> Samples:
    width = layout.bits // 8
    block = width * layout.channels
    raw = np.frombuffer(data[: len(data) // block * block], np.uint8).reshape(-1, width)
    if width == 1:
        values = (raw[:, 0].astype(np.float64) - 128) * 256
    else:
        # Little-endian bytes to the top of 32 bits: the sign comes out right for every width.
        wide = np.zeros((raw.shape[0], 4), np.uint8)
        wide[:, 4 - width :] = raw
        values = wide.view("<i4")[:, 0].astype(np.float64) / 65536
    return np.asarray(values.reshape(-1, layout.channels).mean(axis=1), dtype=np.float64)
