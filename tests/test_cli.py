"""The `allobox` command without a running core: what it says, where, and with which exit code."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware.cli import main
from firmware.clock import ManualClock
from firmware.rates.samples import SAMPLE
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen

CANARY = "canary-Passw0rd"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of a box that ran once."""
    (tmp_path / "data" / "run").mkdir(parents=True)
    return tmp_path / "data"


def allobox(data: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)], input=stdin)


def one_line(result: Result) -> str:
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def add_home(data: Path) -> None:
    done = allobox(
        data,
        "account",
        "add",
        "home",
        "--server",
        "sip.example.org",
        "--user",
        "me",
        "--password-file",
        "-",
        stdin=CANARY,
    )
    assert done.exit_code == 0, done.stderr


def test_an_account_can_be_prepared_before_the_first_start(data: Path) -> None:
    add_home(data)
    (row,) = json.loads(allobox(data, "accounts", "--json").stdout)
    assert (row["name"], row["has_password"], row["registered"]) == ("home", True, False)
    shown = allobox(data, "config", "show")
    assert CANARY not in shown.stdout + allobox(data, "accounts").stdout
    assert 'account.0.password = "********"' in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["account", "add", "home", "--server", "not a host", "--user", "me"], "server"),
        (["account", "add", "home", "--server", "sip.example.org", "--user", "a b"], "user"),
        (["account", "add", "x" * 41, "--server", "sip.example.org", "--user", "me"], "1 to 40 characters"),
        (["config", "set", "account.0.number", "+33142685300"], "account set NAME --number"),
        (["account", "add", "h", "--server", "sip.example.org", "--user", "me", "--number", "0142685300"], "E.164"),
        (["account", "add", "h", "--server", "sip.example.org", "--user", "me", "--codecs", "MP3"], "codecs"),
        (["account", "remove", "nobody"], "no account 'nobody'"),
        (["account", "set", "nobody", "--user", "x"], "no account 'nobody'"),
        (["config", "set", "box.langage", "en"], "did you mean 'box.language'"),
        (["config", "set", "box.language", "de"], "box.language"),
        (["config", "import", "/nonexistent"], "cannot be read"),
        (["price", "0142685300"], "no price"),
        (["trace"], "not running"),
        (["account", "add", "h", "--server", "s", "--user", "u", "--password-file", "/nonexistent"], "password"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_and_exit_code_1(data: Path, arguments: list[str], said: str) -> None:
    result = allobox(data, *arguments)
    assert result.exit_code == 1, (result.stdout, result.stderr)
    assert said in one_line(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ["account", "add", "home"],
        ["account", "set", "home"],
        ["account", "set", "home", "--ptime", "25"],
        ["account", "set", "home", "--dtmf", "pigeon"],
        ["calls", "--limit", "0"],
        ["run", "--lines", "9"],
        ["nonsense"],
        ["phone", "wait", "nonsense"],
        ["price"],
        ["line", "encode", "nonsense"],
        ["telephone", "--ppm", "500"],
    ],
)
def test_wrong_usage_is_exit_code_2(data: Path, arguments: list[str]) -> None:
    assert allobox(data, *arguments).exit_code == 2


def test_two_lines_that_would_share_their_pins_are_refused_in_words_rather_than_half_served(data: Path) -> None:
    assert allobox(data, "config", "set", "line.driver", "gpio_slic").exit_code == 0
    result = allobox(data, "config", "set", "line.count", "2")
    assert result.exit_code == 1
    assert "set line.2.gpio." in one_line(result)
    assert allobox(data, "config", "set", "line.2.gpio.shk", "5").exit_code == 0


def test_a_core_asked_for_lines_that_the_settings_cannot_give_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('[line]\ndriver = "gpio_slic"\n')
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "core", "--data", str(tmp_path), "--lines", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "--lines 2: settings: line: lines 1 and 2 cannot share GPIO pin" in done.stderr.splitlines()[-1]


def test_settings_go_out_without_secrets_and_come_back_whole(data: Path, tmp_path: Path) -> None:
    add_home(data)
    file = tmp_path / "settings-out.toml"
    assert allobox(data, "config", "export", str(file)).exit_code == 0
    assert CANARY not in file.read_text()
    allobox(data, "config", "set", "box.language", "en")
    assert allobox(data, "config", "import", str(file)).exit_code == 0
    assert CANARY in (data / "settings.toml").read_text()
    assert '"fr"' in allobox(data, "config", "show").stdout


def test_status_and_calls_of_a_box_that_never_ran_are_empty_and_well_formed(data: Path) -> None:
    told = json.loads(allobox(data, "status", "--json").stdout)
    assert told["lines"] == []
    assert told["page"]["state"] == "down"
    assert json.loads(allobox(data, "calls", "--json").stdout) == []
    assert json.loads(allobox(data, "contacts", "--json").stdout) == []


def test_the_sample_rates_price_a_call_and_an_unknown_destination_is_refused(data: Path) -> None:
    done = allobox(data, "rates", "import", str(SAMPLE), "--name", "sample")
    assert done.exit_code == 0, done.stderr
    price = json.loads(allobox(data, "price", "0142685300", "--seconds", "61", "--json").stdout)
    assert (price["number"], price["class"], price["billed_seconds"], price["cost"]) == (
        "+33142685300",
        "fixed",
        120,
        "0.0400",
    )
    free = json.loads(allobox(data, "price", "0012125550123", "--json").stdout)
    assert free["free"] is True
    assert json.loads(allobox(data, "price", "112", "--json").stdout)["class"] == "emergency"
    assert allobox(data, "price", "+999123456").exit_code == 1


def test_damaged_settings_are_told_with_their_line_and_the_previous_ones_are_shown(data: Path) -> None:
    add_home(data)
    allobox(data, "config", "set", "box.language", "en")
    (data / "settings.toml").write_text("[box]\nlanguage = \n")
    result = allobox(data, "accounts", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["name"] == "home"
    assert "settings.toml: not valid TOML" in one_line(result)
    assert "line 2" in one_line(result)
    assert "previous settings serve" in one_line(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ["config", "set", "box.language", "en"],
        ["account", "add", "b", "--server", "sip.example.org", "--user", "me"],
        ["account", "remove", "home"],
    ],
)
def test_damaged_settings_are_not_built_upon_but_a_good_file_replaces_them(
    data: Path, tmp_path: Path, arguments: list[str]
) -> None:
    add_home(data)
    good = tmp_path / "good.toml"
    allobox(data, "config", "export", str(good))
    allobox(data, "config", "set", "box.country", "DE")
    damaged = "[box]\nlanguage = \n"
    (data / "settings.toml").write_text(damaged)
    result = allobox(data, *arguments)
    assert result.exit_code == 1
    assert "mend it, or `allobox config import`" in one_line(result)
    assert (data / "settings.toml").read_text() == damaged
    imported = allobox(data, "config", "import", str(good))
    assert (imported.exit_code, imported.stderr) == (0, "")
    assert CANARY in (data / "settings.toml").read_text()
    assert allobox(data, *arguments).exit_code == 0


READING = [
    *(["status"], ["status", "--json"], ["calls"], ["accounts"], ["price", "0142685300"], ["rates", "list"]),
    *(["rates", "export"], ["rates", "remove", "x"], ["logs"], ["trace"], ["config", "show"]),
    *(["account", "set", "home", "--user", "x"], ["account", "remove", "home"], ["config", "export", "/dev/null"]),
]


@pytest.mark.parametrize("arguments", READING)
@pytest.mark.parametrize("there", [False, True])
def test_a_mistyped_folder_is_told_and_stays_no_box(tmp_path: Path, arguments: list[str], there: bool) -> None:  # noqa: FBT001
    folder = tmp_path / "mistyped"
    if there:
        folder.mkdir()
    result = allobox(folder, *arguments)
    assert result.exit_code == 1
    assert f"there is no box in {folder}" in one_line(result)
    assert list(tmp_path.glob("mistyped/*")) == []
    assert folder.exists() == there


@pytest.mark.parametrize(
    "arguments",
    [
        ["account", "add", "home", "--server", "sip.example.org", "--user", "me"],
        ["config", "set", "box.language", "en"],
        ["rates", "import", str(SAMPLE)],
    ],
)
def test_what_writes_may_begin_a_box(tmp_path: Path, arguments: list[str]) -> None:
    assert allobox(tmp_path / "new", *arguments).exit_code == 0
    assert allobox(tmp_path / "new", "status").exit_code == 0


@pytest.mark.parametrize("arguments", [["status"], ["config", "set", "box.language", "en"]])
@pytest.mark.parametrize("folder", ["/proc/nope", "/dev/null/x", "/proc/" + "x" * 300])
def test_a_folder_that_cannot_be_is_one_line(arguments: list[str], folder: str) -> None:
    result = allobox(Path(folder), *arguments)
    assert result.exit_code == 1
    assert folder in one_line(result)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_another_users_box_is_one_line_that_says_whom_to_ask_as(data: Path, mode: int) -> None:
    add_home(data)
    data.chmod(mode)
    for folder in data.parents[:3]:
        folder.chmod(0o755)
    # What is loaded late is loaded before: another user may not read this checkout.
    child = (
        "import os, httpcore; from firmware import control, offline; from firmware.cli import main; "
        "os.setuid(65534); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", child, "status", "--data", str(data)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Permission denied" in line
    assert "sudo -u allobox" in line


def test_what_is_wrong_with_the_files_is_told_in_one_line_and_the_rest_is_shown(data: Path) -> None:
    (data / "decks").mkdir()
    (data / "decks" / "active.json").write_text("[" * 100_000)
    (data / "box.db").mkdir()
    done = subprocess.run(  # a process of its own: pytest's log handler would hide a stray log line
        [sys.executable, "-m", "firmware", "status", "--json", "--data", str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["calls_today"] == 0
    (line,) = done.stderr.splitlines()
    assert "active.json: cannot be read" in line
    assert "box.db" in line
    refused = allobox(data, "calls")
    assert refused.exit_code == 1
    assert one_line(refused).count("box.db") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x" * 1025, "1024"),
        ("x" * 100_000, "1024"),
        ("", "no password in it"),
        ("\n", "no password"),
        ("a\nb", "one line"),
    ],
)
def test_a_password_file_that_is_none_is_refused_rather_than_cut(data: Path, content: str, said: str) -> None:
    result = allobox(
        *(data, "account", "add", "h", "--server", "s.example.org", "--user", "u", "--password-file", "-"),
        stdin=content,
    )
    assert result.exit_code == 1
    assert said in one_line(result)
    assert not (data / "settings.toml").exists()


@pytest.mark.parametrize("number", ["abc", "", "sip:a@b.example", "٣", "+", "0" * 65])
def test_what_is_no_number_has_no_price(data: Path, number: str) -> None:
    result = allobox(data, "price", number)
    assert result.exit_code == 1
    assert f"{number[:40]!r} is not a number" in one_line(result)


def test_calls_are_listed_in_the_boxs_own_time_and_as_json_in_utc(data: Path) -> None:
    ledger = Ledger(data / "box.db", ManualClock(start=datetime(2026, 7, 14, 22, 30, tzinfo=UTC)))
    ledger.start()
    key = ledger.open_call(CallOpen(direction="in", line=1, number="+33142685300", call_id="x"))
    ledger.close(key, CallClosed(end="cancelled")).result(20)
    ledger.stop()
    assert "2026-07-15 00:30:00 CEST" in allobox(data, "calls").stdout
    allobox(data, "config", "set", "box.timezone", "America/Guadeloupe")
    assert "2026-07-14 18:30:00 AST" in allobox(data, "calls").stdout
    (row,) = json.loads(allobox(data, "calls", "--json").stdout)
    assert datetime.fromisoformat(row["started"]) == datetime(2026, 7, 14, 22, 30, tzinfo=UTC)


def test_a_moved_account_needs_its_password_again(data: Path) -> None:
    add_home(data)
    refused = allobox(data, "account", "set", "home", "--server", "thief.example.net")
    assert refused.exit_code == 1
    assert "give its password again" in one_line(refused)
    moved = allobox(
        *(data, "account", "set", "home", "--server", "b.example.org", "--password-file", "-"), stdin=CANARY
    )
    assert moved.exit_code == 0, moved.stderr


def test_a_privileged_port_is_set_and_remarked_upon(data: Path) -> None:
    result = allobox(data, "config", "set", "sip.port", "80")
    assert result.exit_code == 0
    assert "sip.port 80: ports below 1024" in one_line(result)
    assert allobox(data, "config", "set", "sip.port", "5060").stderr == ""
