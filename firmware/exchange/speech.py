"""The exchange's voice: sentences by espeak-ng, and its tones, as WAV files that pjsua2 plays.

Files of fixed sentences stay in a folder between runs. Rendering takes some 30 ms and happens in
threads of the caller's choice; nothing here knows of calls.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
import subprocess
import wave
from pathlib import Path

from firmware.fxs.dsp.level import amplitude, pcm_of
from firmware.fxs.dsp.speexdsp import resample

SAMPLE_RATE_HZ = 8000
_ESPEAK_RATE_HZ = 22050
_VOICES = {"fr": "fr-fr+f2", "en": "en-gb+f2"}
_WORDS_A_MINUTE = 165


class SpeechError(RuntimeError):
    """Nothing can be said; the message says why and what to do."""


def require() -> None:
    """SpeechError if espeak-ng is missing."""
    if shutil.which("espeak-ng") is None:
        raise SpeechError("the test exchange speaks by espeak-ng, which is not installed: apt install espeak-ng")


def render(text: str, language: str = "fr") -> bytes:
    """The sentence as samples: 16 bit mono at SAMPLE_RATE_HZ. SpeechError if espeak-ng fails."""
    command = ["espeak-ng", "-v", _VOICES[language], "-s", str(_WORDS_A_MINUTE), "--stdout", "--stdin"]
    try:
        done = subprocess.run(command, input=text.encode(), check=False, capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"espeak-ng cannot be used: {error}"
        raise SpeechError(msg) from None
    if done.returncode != 0 or len(done.stdout) < 44:  # noqa: PLR2004 - a WAV header
        msg = f"espeak-ng failed: {done.stderr.decode(errors='replace').strip()}"
        raise SpeechError(msg)
    # Written to a pipe, the header's length is a guess: take what is there.
    with wave.open(io.BytesIO(done.stdout), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (_ESPEAK_RATE_HZ, 1, 2):
            raise SpeechError("espeak-ng speaks in another format than 22050 Hz, mono, 16 bit")
        return resample(file.readframes(len(done.stdout) // 2), _ESPEAK_RATE_HZ, SAMPLE_RATE_HZ)


def write(path: Path, samples: bytes) -> None:
    """A WAV file of samples at SAMPLE_RATE_HZ, complete or not there at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(samples)
    partial.replace(path)


def sentence_file(folder: Path, text: str, language: str) -> tuple[Path, float]:
    """The WAV file of a fixed sentence, rendered at first use, and its length in seconds."""
    key = hashlib.sha256(f"{_VOICES[language]} {_WORDS_A_MINUTE} {text}".encode()).hexdigest()[:16]
    path = folder / f"say-{key}.wav"
    if not path.exists():
        write(path, render(text, language))
    with wave.open(str(path), "rb") as file:
        return path, file.getnframes() / file.getframerate()


def milliwatt_file(folder: Path) -> Path:
    """Two seconds of 1004 Hz at 0 dBm0: whole periods and whole frames, to be repeated without a seam."""
    path = folder / "milliwatt.wav"
    if not path.exists():
        count, peak = 2 * SAMPLE_RATE_HZ, amplitude(0)
        write(path, pcm_of(peak * math.sin(2 * math.pi * 1004 * index / SAMPLE_RATE_HZ) for index in range(count)))
    return path
