"""The box's spoken sentences: their text (gettext), their speech (espeak-ng), their samples.

Speech is made ahead, by `python -m firmware.telephony.announcements DIR LANG`, a process of its own at
low priority; the core only reads files. Speech that is not there (yet) is None, never a wait: the
caller hears the tone that would have followed.

A file is `DIR/LANG/NAME.HASH.wav`, 8 kHz, 16 bit, mono; HASH is of text and voice, so that a changed
sentence is made anew. Digits are files of their own and are joined when spoken: a code that the
telephone tells is never written to a disk.
"""

from __future__ import annotations

import argparse
import array
import hashlib
import logging
import math
import operator
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

from firmware.i18n import CatalogueError, translator
from firmware.telephony.events import Words

_log = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 8000
LANGUAGES = ("fr", "en")
# The f2 variants keep more of their quality through A-law than espeak-ng's default voices.
_VOICES = {"fr": "fr+f2", "en": "en+f2"}
_WORDS_PER_MINUTE = 150
_TIMEOUT_SECONDS = 30
_TRANSLATIONS = Path(__file__).parent / "translations"

SPEECH_DBM0 = -20.0
_FULL_SCALE_DBM0 = 3.14  # a full-scale sine in A-law (G.711)
_ACTIVE_THRESHOLD = 10 ** (-30 / 20)  # of the peak: pauses do not count for the level
_TAPS = 64
_CUTOFF_HZ = 3500.0
_PAUSE = bytes(SAMPLE_RATE_HZ // 4 * 2)
_SAMPLE_BYTES = 2


class SpeechError(Exception):
    """Speech that cannot be made: says what is missing and what to do."""


def voice_arguments(language: str) -> list[str]:
    """What makes espeak-ng speak `language` in the same voice, from standard input to standard output."""
    return ["-v", _VOICES.get(language, _VOICES["fr"]), "-s", str(_WORDS_PER_MINUTE), "--stdin", "--stdout"]


def text(words: Words, language: str) -> str:
    """The sentence in `language` (fr or en)."""
    return translator(_TRANSLATIONS, "announcements", language).gettext(words.value)


def load(words: Words, language: str, directory: Path, digits: str = "") -> bytes | None:
    """Samples of a sentence (8 kHz, 16 bit), or None where speech is missing.

    With `digits` they follow one by one, and all of it is said twice.
    """
    said = _read(directory / language, words.value)
    if said is None or not digits:
        return said
    parts = [said]
    for digit in digits:
        spoken = _read(directory / language, f"digit-{digit}")
        if spoken is None:
            return None
        parts += [_PAUSE, spoken]
    once = b"".join(parts)
    return once + _PAUSE * 4 + once


def render(words: Words, language: str, directory: Path) -> Path:
    """Make the speech of a sentence unless it is there; its file. Raises SpeechError."""
    return _render(words.value, text(words, language), language, directory)


def render_all(language: str, directory: Path) -> list[Path]:
    """Make all speech of a language, digits included; files that nobody needs any more go. Raises SpeechError."""
    if language not in _VOICES:
        raise SpeechError(f"no voice for language {language!r}: choose one of {', '.join(LANGUAGES)}")
    files = [render(words, language, directory) for words in Words]
    files += [_render(f"digit-{digit}", digit, language, directory) for digit in "0123456789"]
    for stale in set((directory / language).glob("*.wav")) - set(files):
        stale.unlink(missing_ok=True)
    return files


# --- files ----------------------------------------------------------------------------------


def _read(folder: Path, name: str) -> bytes | None:
    found = sorted(folder.glob(f"{name}.*.wav"))
    if not found:
        return None
    try:
        with wave.open(str(found[-1]), "rb") as reader:
            if (reader.getframerate(), reader.getsampwidth(), reader.getnchannels()) != (SAMPLE_RATE_HZ, 2, 1):
                return None
            return reader.readframes(reader.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        _log.warning("announcement %s cannot be read: %s", found[-1], error)
        return None


def _render(name: str, sentence: str, language: str, directory: Path) -> Path:
    voice = _VOICES[language]
    digest = hashlib.sha256(f"{voice} {_WORDS_PER_MINUTE} {SPEECH_DBM0} {sentence}".encode()).hexdigest()[:12]
    folder = directory / language
    target = folder / f"{name}.{digest}.wav"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    samples, rate = _speak(sentence, voice)
    _write(target, levelled(resampled(samples, rate)))
    return target


def _write(target: Path, samples: array.array[int]) -> None:
    """A reader sees no file or the whole file."""
    handle, draft = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".draft")
    try:
        with os.fdopen(handle, "wb") as stream, wave.open(stream, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(_SAMPLE_BYTES)
            writer.setframerate(SAMPLE_RATE_HZ)
            writer.writeframes(_little_endian(samples).tobytes())
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _little_endian(samples: array.array[int]) -> array.array[int]:
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    return samples


# --- speech ---------------------------------------------------------------------------------


def _speak(sentence: str, voice: str) -> tuple[array.array[int], int]:
    """Samples and their rate, from espeak-ng."""
    with tempfile.TemporaryDirectory(prefix="allobox-speech-") as folder:
        spoken = Path(folder) / "speech.wav"
        command = ["espeak-ng", "-v", voice, "-s", str(_WORDS_PER_MINUTE), "-w", str(spoken), "--stdin"]
        try:
            done = subprocess.run(
                command, input=sentence.encode(), capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
            )
        except FileNotFoundError:
            raise SpeechError("espeak-ng is not installed: apt install espeak-ng") from None
        except subprocess.TimeoutExpired:
            raise SpeechError(f"espeak-ng did not finish within {_TIMEOUT_SECONDS} s") from None
        if done.returncode != 0 or not spoken.exists():
            complaint = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
            raise SpeechError(f"espeak-ng, voice {voice}: {complaint}")
        try:
            with wave.open(str(spoken), "rb") as reader:
                samples = array.array("h", reader.readframes(reader.getnframes()))
                return _little_endian(samples), reader.getframerate()
        except (EOFError, wave.Error) as error:
            raise SpeechError(f"espeak-ng, voice {voice}: its WAV cannot be read: {error}") from error


def resampled(samples: array.array[int], rate_hz: int) -> array.array[float]:
    """To 8 kHz by a polyphase low-pass (Blackman-windowed sinc). Exact ratio, any rate above 8 kHz.

    Plain Python: it runs in a process of its own, once per sentence, where numpy is not shipped.
    """
    common = math.gcd(SAMPLE_RATE_HZ, rate_hz)
    up, down = SAMPLE_RATE_HZ // common, rate_hz // common
    filters = [_phase(phase / up, rate_hz) for phase in range(up)]
    padded = [0] * (_TAPS // 2) + samples.tolist() + [0] * (_TAPS + 1)
    out = array.array("d")
    for n in range(len(samples) * up // down):
        whole, phase = divmod(n * down, up)
        out.append(sum(map(operator.mul, filters[phase], padded[whole : whole + _TAPS])))
    return out


def _phase(fraction: float, rate_hz: int) -> list[float]:
    """Taps that give the value `fraction` of a sample after the middle of their window."""
    width = 2 * _CUTOFF_HZ / rate_hz
    taps: list[float] = []
    for n in range(_TAPS):
        x = n - _TAPS / 2 - fraction
        sinc = width if x == 0 else math.sin(math.pi * width * x) / (math.pi * x)
        turn = math.pi * (2 * x / _TAPS)
        taps.append(sinc * (0.42 + 0.5 * math.cos(turn) + 0.08 * math.cos(2 * turn)))
    gain = sum(taps)
    return [tap / gain for tap in taps]


def levelled(samples: array.array[float]) -> array.array[int]:
    """Active speech at -20 dBm0, peaks kept below full scale, silence at both ends cut."""
    peak = max(map(abs, samples), default=0.0)
    if peak == 0:
        return array.array("h")
    loud = [n for n, sample in enumerate(samples) if abs(sample) > peak * _ACTIVE_THRESHOLD]
    samples = samples[loud[0] : loud[-1] + 1]
    active = list(_active_squares(samples, peak))
    rms = math.sqrt(sum(active) / len(active))
    wanted = 32768 / math.sqrt(2) * 10 ** ((SPEECH_DBM0 - _FULL_SCALE_DBM0) / 20)
    gain = min(wanted / rms, 32000 / peak)
    return array.array("h", (round(sample * gain) for sample in samples))


def _active_squares(samples: array.array[float], peak: float) -> Iterator[float]:
    """Mean squares of the 10 ms pieces in which there is speech."""
    size = SAMPLE_RATE_HZ // 100
    for at in range(0, len(samples), size):
        piece = samples[at : at + size]
        if max(map(abs, piece)) > peak * _ACTIVE_THRESHOLD:
            yield sum(sample * sample for sample in piece) / len(piece)


def main(arguments: list[str] | None = None) -> int:
    """`python -m firmware.telephony.announcements DIR LANG`: make what is missing."""
    parser = argparse.ArgumentParser(prog="announcements", description="Make the speech of the box's sentences.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("language", choices=LANGUAGES, metavar="LANG", help=" or ".join(LANGUAGES))
    given = parser.parse_args(arguments)
    try:
        files = render_all(given.language, given.directory)
    except (SpeechError, CatalogueError, OSError) as error:
        sys.stderr.write(f"announcements: {error}\n")
        return 1
    sys.stdout.write(f"{len(files)} announcements in {given.directory / given.language}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
