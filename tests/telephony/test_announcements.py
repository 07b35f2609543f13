"""The box's sentences: both languages, real speech, and a code that is never written down."""

from __future__ import annotations

import array
import math
import os
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from firmware.telephony import announcements
from firmware.telephony.announcements import SpeechError, levelled, load, render, render_all, resampled, text
from firmware.telephony.events import Words


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("speech")
    render_all("fr", directory)
    return directory


def level_dbm0(samples: array.array[int]) -> float:
    """Mean level of the loud 10 ms pieces; full-scale sine = +3.14."""
    pieces = [samples[at : at + 80] for at in range(0, len(samples), 80)]
    peak = max(map(abs, samples))
    loud = [piece for piece in pieces if max(map(abs, piece)) > peak / 32]
    square = sum(sum(s * s for s in piece) / len(piece) for piece in loud) / len(loud)
    return 20 * math.log10(math.sqrt(square) / (32768 / math.sqrt(2))) + 3.14


@pytest.mark.parametrize("language", announcements.LANGUAGES)
@pytest.mark.parametrize("words", Words)
def test_every_sentence_is_written_in_every_language(words: Words, language: str) -> None:
    said = text(words, language)
    assert said != words.value, f"{words.value} is missing from {language}/announcements.po"
    assert said.rstrip()[-1] in ".:"


def test_french_and_english_differ_and_french_is_what_is_known_of_an_unknown_language() -> None:
    assert text(Words.UNASSIGNED, "fr").startswith("Le numéro que vous avez demandé n’est pas attribué")
    assert text(Words.UNASSIGNED, "en") != text(Words.UNASSIGNED, "fr")
    assert text(Words.UNASSIGNED, "xx") == text(Words.UNASSIGNED, "fr")


@pytest.mark.parametrize("words", Words)
def test_every_sentence_is_spoken_at_the_level_of_a_telephone(words: Words, spoken: Path) -> None:
    pcm = load(words, "fr", spoken)
    assert pcm is not None
    samples = array.array("h", pcm)
    assert 0.5 < len(samples) / 8000 < 12
    assert level_dbm0(samples) == pytest.approx(-20, abs=1.5)
    assert max(map(abs, samples)) < 32767


def test_the_code_is_spoken_twice_from_digits_and_never_written(spoken: Path) -> None:
    before = sorted(path.name for path in (spoken / "fr").iterdir())
    alone = load(Words.SETUP_CODE, "fr", spoken)
    told = load(Words.SETUP_CODE, "fr", spoken, digits="4071")
    assert alone is not None
    assert told is not None
    assert told.startswith(alone)
    assert told.count(alone) == 2
    digit = load_digit(spoken, "4")
    assert told.count(digit) == 2
    assert sorted(path.name for path in (spoken / "fr").iterdir()) == before


def load_digit(directory: Path, digit: str) -> bytes:
    (path,) = (directory / "fr").glob(f"digit-{digit}.*.wav")
    with wave.open(str(path), "rb") as reader:
        return reader.readframes(reader.getnframes())


def test_missing_or_broken_speech_is_none(tmp_path: Path, spoken: Path) -> None:
    assert load(Words.BARRED, "fr", tmp_path) is None
    assert load(Words.BARRED, "en", spoken) is None
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr" / "barred.0123.wav").write_bytes(b"")
    assert load(Words.BARRED, "fr", tmp_path) is None
    (tmp_path / "fr" / "barred.0123.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    assert load(Words.BARRED, "fr", tmp_path) is None


def test_a_code_whose_digits_are_not_all_there_is_not_half_told(tmp_path: Path) -> None:
    render(Words.SETUP_CODE, "fr", tmp_path)
    assert load(Words.SETUP_CODE, "fr", tmp_path) is not None
    assert load(Words.SETUP_CODE, "fr", tmp_path, digits="12") is None


def test_speech_that_is_there_is_not_made_again_and_stale_speech_goes(tmp_path: Path, spoken: Path) -> None:
    shutil.copytree(spoken, tmp_path, dirs_exist_ok=True)
    made = render(Words.REFUSED, "fr", tmp_path)
    stamp = made.stat().st_mtime_ns
    assert render(Words.REFUSED, "fr", tmp_path) == made
    assert made.stat().st_mtime_ns == stamp
    stale = made.with_name("refused.000000000000.wav")
    made.rename(stale)
    files = render_all("fr", tmp_path)
    assert made in files
    assert not stale.exists()
    assert set((tmp_path / "fr").iterdir()) == set(files)


def test_the_command_makes_all_and_says_where(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firmware.telephony.announcements", str(tmp_path), "en"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "en").glob("*.wav"))) == len(Words) + 10


def test_an_unknown_language_is_refused_by_the_command() -> None:
    with pytest.raises(SystemExit) as stopped:
        announcements.main(["/nowhere", "tlh"])
    assert stopped.value.code == 2
    with pytest.raises(SpeechError, match="fr, en"):
        render_all("tlh", Path("/nowhere"))


def script(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An espeak-ng that misbehaves, first on the path."""
    path = folder / "espeak-ng"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_missing_espeak_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert announcements.main([str(tmp_path / "out"), "fr"]) == 1
    assert "apt install espeak-ng" in capsys.readouterr().err


def test_an_espeak_that_fails_is_quoted_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "echo no such voice >&2; exit 3", monkeypatch)
    with pytest.raises(SpeechError, match="no such voice"):
        render(Words.REFUSED, "fr", tmp_path / "out")
    assert list((tmp_path / "out" / "fr").iterdir()) == []


def test_an_espeak_that_writes_rubbish_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, 'while [ "$1" != -w ]; do shift; done; echo rubbish > "$2"', monkeypatch)
    with pytest.raises(SpeechError, match="cannot be read"):
        render(Words.REFUSED, "fr", tmp_path / "out")


def test_an_espeak_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(announcements, "_TIMEOUT_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(SpeechError, match="did not finish"):
        render(Words.REFUSED, "fr", tmp_path / "out")
    assert time.monotonic() - started < 30


def sine(hz: float, rate: int, seconds: float = 0.5) -> array.array[int]:
    return array.array("h", (round(10000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(int(rate * seconds))))


@pytest.mark.parametrize("rate", [22050, 16000, 44100, 24000])
def test_resampling_keeps_a_tone_and_its_length(rate: int) -> None:
    out = resampled(sine(1000, rate), rate)
    assert len(out) == pytest.approx(4000, abs=1)
    middle = out[1000:3000]
    # Against a sine of the same frequency and phase: what is left over is distortion and delay.
    wanted = [10000 * math.sin(2 * math.pi * 1000 * n / 8000) for n in range(1000, 3000)]
    residue = math.sqrt(sum((a - b) ** 2 for a, b in zip(middle, wanted, strict=True)) / 2000)
    assert residue < 50


def test_resampling_lets_nothing_fold_down_from_above_the_telephone_band() -> None:
    out = resampled(sine(6000, 22050), 22050)
    assert max(map(abs, out[500:3500])) < 30


def test_levelling_silence_makes_nothing_of_it() -> None:
    assert len(levelled(array.array("d", [0.0] * 800))) == 0
    assert len(levelled(array.array("d"))) == 0
