from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from firmware.cli_line import line
from firmware.fxs import country, wav
from tests.fakes import signals


def run(*words: str) -> Result:
    return CliRunner().invoke(line, [str(word) for word in words])


def decoded(file: Path, *words: str) -> dict[str, Any]:
    result = run("decode", str(file), "--json", *words)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert list(found) == ["dtmf", "caller_id", "tones"]
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "line.wav"


@pytest.mark.parametrize("name", country.TONE_NAMES)
def test_every_french_tone_is_written_and_recognised(name: str, file: Path) -> None:
    assert run("encode", "tone", name, "--seconds", "6", str(file)).exit_code == 0
    found = decoded(file)
    assert [tone["tone"] for tone in found["tones"]] == [name]
    assert found["tones"][0]["start_ms"] == pytest.approx(0, abs=10)
    assert found["dtmf"] == []
    assert found["caller_id"] is None


@pytest.mark.parametrize(
    ("code", "name"),
    [("US", "ringback"), ("UK", "ringback"), ("DE", "busy"), ("BE", "call-waiting"), ("UK", "stutter")],
)
def test_other_countries_tones(code: str, name: str, file: Path) -> None:
    assert run("encode", "tone", name, "--country", code, "--seconds", "8", str(file)).exit_code == 0
    found = [tone["tone"] for tone in decoded(file, "--country", code)["tones"]]
    # The British stutter and special tones are one.
    assert found == [name] or (code, name, found) == ("UK", "stutter", ["special-dial"])


def test_a_tone_s_length_is_measured(file: Path) -> None:
    run("encode", "tone", "busy", "--seconds", "4.2", str(file))
    [tone] = decoded(file)["tones"]
    assert tone["ms"] == pytest.approx(4200, abs=20)


def test_digits_are_written_and_read(file: Path) -> None:
    assert run("encode", "dtmf", "0142685300*#", str(file)).exit_code == 0
    found = decoded(file)
    assert "".join(row["digit"] for row in found["dtmf"]) == "0142685300*#"
    assert [row["start_ms"] for row in found["dtmf"]] == pytest.approx([140 * i for i in range(12)], abs=15)
    assert [row["ms"] for row in found["dtmf"]] == pytest.approx([70] * 12, abs=15)
    assert found["tones"] == []


@pytest.mark.parametrize("code", ["FR", "US", "UK", "BE"])
def test_caller_id_is_written_and_read(code: str, file: Path) -> None:
    words = ["--number", "0142685300", "--name", "Zoé", "--time", "2026-07-14T09:05", "--country", code]
    assert run("encode", "caller-id", *words, str(file)).exit_code == 0
    wanted = {"number": "0142685300", "name": "Zoe", "time": "07-14T09:05", "absence": None}
    if code == "BE":
        wanted |= {"name": None, "time": None}
    found = decoded(file, "--country", code)
    assert found["caller_id"] == wanted
    assert found["tones"] == [] or code == "UK"


def test_a_withheld_number(file: Path) -> None:
    run("encode", "caller-id", "--absence", "P", str(file))
    assert decoded(file)["caller_id"]["absence"] == "P"


def test_seconds_fill_a_file_up_with_silence(file: Path) -> None:
    run("encode", "dtmf", "1", "--seconds", "2", str(file))
    assert len(wav.read(file)) == 32000


def test_an_unnamed_tone_is_told_by_its_frequency(file: Path) -> None:
    sound = [signals.silence(0.5), signals.sine(1004, 1, -10), signals.silence(0.5)]
    wav.write(file, signals.pcm(np.concatenate(sound)))
    [tone] = decoded(file)["tones"]
    assert tone["tone"] == "1004 Hz"
    assert tone["start_ms"] == pytest.approx(500, abs=12)
    assert tone["ms"] == pytest.approx(1000, abs=25)


def test_a_tone_in_noise_is_recognised(file: Path) -> None:
    run("encode", "tone", "ringback", "--seconds", "12", str(file))
    sound = signals.samples(wav.read(file))
    wav.write(file, signals.pcm(sound + signals.noise(len(sound) / 8000, -48)))
    assert [tone["tone"] for tone in decoded(file)["tones"]] == ["ringback"]


def test_noise_and_silence_are_nothing(file: Path) -> None:
    wav.write(file, signals.pcm(np.concatenate([signals.noise(2, -15), signals.silence(1)])))
    assert decoded(file) == {"dtmf": [], "caller_id": None, "tones": []}
    assert run("decode", str(file)).stdout == "no digit, no caller ID, no tone\n"


def test_an_empty_recording_is_nothing(file: Path) -> None:
    wav.write(file, b"")
    assert decoded(file) == {"dtmf": [], "caller_id": None, "tones": []}


def test_everything_in_one_recording(file: Path) -> None:
    run("encode", "caller-id", "--number", "17", "--time", "2026-01-02T03:04", str(file))
    who = signals.samples(wav.read(file))
    sound = [
        signals.sine(440, 2, -10),
        signals.silence(0.3),
        signals.dialled("3699", 80, 80),
        signals.silence(0.5),
        who,
        signals.silence(0.5),
    ]
    wav.write(file, signals.pcm(np.concatenate(sound)))
    found = decoded(file)
    assert [row["tone"] for row in found["tones"]] == ["dial"]
    assert "".join(row["digit"] for row in found["dtmf"]) == "3699"
    assert found["caller_id"]["number"] == "17"


def test_a_person_is_told_in_lines(file: Path) -> None:
    run("encode", "dtmf", "5", str(file))
    assert "digit 5" in run("decode", str(file)).stdout


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["decode", "/nowhere/x.wav"], "No such file"),
        (["decode", __file__], "not a WAV file"),
        (["encode", "dtmf", "12X", "{out}"], "'X' is no key"),
        (["encode", "dtmf", "", "{out}"], "no digits"),
        (["encode", "tone", "dial", "--country", "ZZ", "{out}"], "country 'ZZ' is not known"),
        (["encode", "caller-id", "--number", "anonymous", "{out}"], "wanted 1 to 20"),
        (["encode", "tone", "dial", "/nowhere/out.wav"], "No such file"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(words: list[str], what: str, file: Path) -> None:
    result = run(*(word.format(out=file) if word == "{out}" else word for word in words))
    assert result.exit_code == 1
    assert what in result.stderr
    assert result.stderr.count("\n") == 1
    assert not file.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["encode", "tone", "fanfare", "out.wav"],
        ["encode", "tone", "dial"],
        ["encode", "tone", "dial", "--seconds", "-1", "out.wav"],
        ["encode", "tone", "dial", "--seconds", "1e9", "out.wav"],
        ["encode", "caller-id", "--time", "yesterday", "out.wav"],
        ["decode"],
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str]) -> None:
    assert run(*words).exit_code == 2


def test_no_numpy_is_needed(file: Path) -> None:
    run("encode", "tone", "busy", str(file))
    script = (
        "import sys; sys.modules['numpy'] = None; from firmware.cli_line import line; "
        f"line(['decode', {str(file)!r}, '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"busy"' in done.stdout
