"""The `allobox` command without a running core: what it says, where, and with which exit code."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware.cli import main
from firmware.rates.samples import SAMPLE

CANARY = "canary-Passw0rd"


@pytest.fixture
def data(tmp_path: Path) -> Path:
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
        (["account", "add", "x" * 41, "--server", "sip.example.org", "--user", "me"], "name"),
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


def test_two_lines_are_refused_in_words_rather_than_half_served(data: Path) -> None:
    result = allobox(data, "run", "--lines", "2")
    assert result.exit_code == 1
    assert "one line" in one_line(result)


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


def test_a_damaged_settings_file_is_told_with_its_line(data: Path) -> None:
    data.mkdir()
    (data / "settings.toml").write_text("[box]\nlanguage = \n")
    result = allobox(data, "accounts")
    assert result.exit_code == 1
    assert "settings.toml" in one_line(result)
    assert "line 2" in one_line(result)
