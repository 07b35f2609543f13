from __future__ import annotations

import json
import subprocess
import sys
import wave
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from firmware.cli_line import line
from firmware.fxs import country, wav
from firmware.fxs.callerid_message import call_message, waiting_message
from tests.fakes import fsk, signals


def run(*words: str) -> Result:
    return CliRunner().invoke(line, [str(word) for word in words])


def decoded(file: Path, *words: str) -> dict[str, Any]:
    result = run("decode", str(file), "--json", *words)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    # Contracted, in this order; what is added comes after them.
    assert list(found)[:3] == ["dtmf", "caller_id", "tones"]
    return found


NOTHING: dict[str, Any] = {"dtmf": [], "caller_id": None, "tones": [], "message_waiting": None, "standard": None}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "line.wav"


@pytest.mark.parametrize("name", country.TONE_NAMES)
def test_every_french_tone_is_written_and_recognised(name: str, file: Path) -> None:
    seconds = "6" if name == "ringback" else "2.5"
    assert run("encode", "tone", name, "--seconds", seconds, str(file)).exit_code == 0
    found = decoded(file)
    assert [tone["tone"] for tone in found["tones"]] == [name]
    assert found["tones"][0]["start_ms"] == pytest.approx(0, abs=10)
    assert found["dtmf"] == []
    assert found["caller_id"] is None


SAME = {("BE", "stutter"), ("IT", "stutter"), ("UK", "stutter")}
"""Where the special dial tone and the stutter tone are one."""


@pytest.mark.parametrize(
    ("code", "name"),
    [(code, name) for code in country.codes() for name in country.TONE_NAMES if code != "FR"],
)
def test_every_other_country_s_tones_too(code: str, name: str, file: Path) -> None:
    # Once around the longest cadences, so that nothing shorter could be meant; cut off anywhere.
    seconds = (
        "6.2"
        if name in {"ringback", "call-waiting"}
        else "2.4"
        if name in {"stutter", "congestion"} or "dial" in name
        else "1.6"
    )
    assert run("encode", "tone", name, "--country", code, "--seconds", seconds, str(file)).exit_code == 0
    found = [tone["tone"] for tone in decoded(file, "--country", code)["tones"]]
    assert found == ["special-dial" if (code, name) in SAME else name]


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


BARE = dict.fromkeys(
    ("number", "name", "time", "absence", "name_absence", "redirecting", "called", "call_type"), None
)  # fmt: skip


@pytest.mark.parametrize("code", country.codes())
def test_caller_id_is_written_and_read(code: str, file: Path) -> None:
    words = ["--number", "0142685300", "--name", "Zoé", "--time", "2026-07-14T09:05", "--country", code]
    assert run("encode", "caller-id", *words, str(file)).exit_code == 0
    wanted = BARE | {"number": "0142685300", "name": "Zoe", "time": "07-14T09:05"}
    if code == "BE":
        wanted |= {"name": None, "time": None}
    found = decoded(file, "--country", code)
    assert found["caller_id"] == wanted
    assert found["standard"] == country.load(code).caller_id.standard
    # A display abroad would not read it, but the file says what it is wherever it is read.
    assert decoded(file, "--country", "US" if code != "US" else "FR")["caller_id"] == wanted
    assert [tone["tone"] for tone in found["tones"]] == (["dt-as"] if code == "UK" else [])


@pytest.mark.parametrize("standard", ["v23", "bell202"])
@pytest.mark.parametrize("form", ["mdmf", "sdmf"])
@pytest.mark.parametrize("off_hook", [False, True])
def test_every_form_and_standard(standard: str, form: str, file: Path, *, off_hook: bool) -> None:
    words = ["--number", "17", "--standard", standard, "--form", form, *(["--off-hook"] if off_hook else [])]
    assert run("encode", "caller-id", *words, str(file)).exit_code == 0
    found = decoded(file)
    assert (found["caller_id"]["number"], found["standard"]) == ("17", standard)
    if off_hook:
        assert [tone["tone"] for tone in found["tones"]] == ["call-waiting", "dt-as"]


def test_everything_a_message_may_tell(file: Path) -> None:
    words = ["--absence", "P", "--name-absence", "O", "--redirecting", "0612345678", "--called", "0142685300"]
    words += ["--call-type", "ring-back", "--time", "2026-07-14T09:05"]
    assert run("encode", "caller-id", *words, str(file)).exit_code == 0
    assert decoded(file)["caller_id"] == BARE | {
        "time": "07-14T09:05",
        "absence": "P",
        "name_absence": "O",
        "redirecting": "0612345678",
        "called": "0142685300",
        "call_type": "ring-back",
    }


@pytest.mark.parametrize("code", [code for code in country.codes() if code != "BE"])
@pytest.mark.parametrize("count", ["0", "3"])
def test_lamps_are_written_and_read(code: str, count: str, file: Path) -> None:
    words = ["--count", count, "--time", "2026-07-14T09:05", "--country", code]
    assert run("encode", "message-waiting", *words, str(file)).exit_code == 0
    plain = code == "US"
    wanted = {"waiting": count != "0", "count": None if plain else int(count), "number": None}
    found = decoded(file, "--country", code)
    assert found["message_waiting"] == wanted | {"time": None if plain else "07-14T09:05"}
    assert found["caller_id"] is None
    assert f"message waiting: {'off' if count == '0' else 'on'}" in run("decode", str(file)).stdout


@pytest.mark.parametrize("form", ["mdmf", "sdmf"])
def test_a_lamp_without_a_count_in_either_form(form: str, file: Path) -> None:
    assert run("encode", "message-waiting", "--form", form, "--number", "3103", str(file)).exit_code == 0
    told = decoded(file)["message_waiting"]
    assert (told["waiting"], told["count"]) == (True, None)


@pytest.mark.parametrize("name", ["dt-as", "cas"])
def test_alerting_signals_are_written_and_read(name: str, file: Path) -> None:
    assert run("encode", "alert", name, "--seconds", "0.5", str(file)).exit_code == 0
    [tone] = decoded(file)["tones"]
    assert tone["tone"] == "dt-as"
    assert tone["ms"] == pytest.approx(100 if name == "dt-as" else 80, abs=15)


# --- files made by nobody we know: plain mathematics at any rate ------------------------------------------------


def written(file: Path, sound: signals.Samples, rate: int, bits: int = 16) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(bits // 8)
        out.setframerate(rate)
        if bits == 8:
            out.writeframes((np.round(sound / 256) + 128).astype(np.uint8).tobytes())
        else:
            out.writeframes(signals.pcm(sound))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("standard", sorted(fsk.TONES))
@pytest.mark.parametrize(("off", "baud", "dbm0"), [(1.0, 1200, -14), (1.012, 1191, -30), (0.988, 1209, -45)])
def test_foreign_modems_at_foreign_rates(
    rate: int, standard: str, off: float, baud: float, dbm0: float, file: Path
) -> None:
    raw = call_message("0142685300", "Zoé", datetime(2026, 7, 14, 9, 5), None)  # noqa: DTZ001 - as displayed
    sound = fsk.modulated(raw, standard, off=off, baud=baud, dbm0=dbm0, rate=rate)
    hush = np.zeros(rate // 3)
    sound = np.concatenate([hush, sound, hush])
    sound += np.random.default_rng(5).normal(0, signals.peak(dbm0 - 22) / np.sqrt(2), len(sound))
    written(file, sound, rate)
    found = decoded(file)
    assert found["caller_id"] == BARE | {"number": "0142685300", "name": "Zoe", "time": "07-14T09:05"}
    assert found["standard"] == standard


def test_a_foreign_file_of_eight_bits(file: Path) -> None:
    raw = waiting_message(4, datetime(2026, 7, 14, 9, 5))  # noqa: DTZ001 - as displayed
    written(file, np.concatenate([np.zeros(2000), fsk.modulated(raw, "v23", dbm0=-8), np.zeros(2000)]), 8000, bits=8)
    assert decoded(file)["message_waiting"]["count"] == 4


def test_foreign_tones_and_digits_at_cd_quality(file: Path) -> None:
    rate = 44100
    t = np.arange(rate // 2) / rate
    busy = signals.peak(-12) * np.sin(2 * np.pi * 440.8 * t)
    digits = [signals.peak(-12) * (np.sin(2 * np.pi * a * t) + np.sin(2 * np.pi * b * t))[: rate // 14]
              for a, b in ((697, 1209), (852, 1477))]  # fmt: skip
    hush = np.zeros(rate // 2)
    written(
        file, np.concatenate([busy, hush, busy, hush, busy, hush, digits[0], hush[: rate // 14], digits[1], hush]), rate
    )
    found = decoded(file)
    assert [tone["tone"] for tone in found["tones"]] == ["busy"]
    assert [row["digit"] for row in found["dtmf"]] == ["1", "9"]


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
    assert decoded(file) == NOTHING
    assert run("decode", str(file)).stdout == "no digit, no caller ID, no tone\n"


def test_an_empty_recording_is_nothing(file: Path) -> None:
    wav.write(file, b"")
    assert decoded(file) == NOTHING


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
        (["encode", "message-waiting", "--country", "BE", "{out}"], "no telephone has a lamp by standard 'dtmf'"),
        (["encode", "caller-id", "--number", "1", "--off-hook", "--country", "BE", "{out}"], "shows who waits"),
        (["encode", "caller-id", "--number", "1", "--called", "x", "{out}"], "called number 'x'"),
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
