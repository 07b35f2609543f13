"""`allobox budget`: caps, bars and PINs at the command line, on the files of a box that does not run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firmware.cli import main
from firmware.clock import SystemClock
from firmware.config import read
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of a box that ran once."""
    (tmp_path / "data" / "run").mkdir(parents=True)
    return tmp_path / "data"


def budget(data: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["budget", *arguments, "--data", str(data)], input=stdin)


def shown(data: Path) -> dict[str, Any]:
    done = budget(data, "show", "--json")
    assert done.exit_code == 0, done.stderr
    return dict(json.loads(done.stdout))


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.stdout
    (line,) = result.stderr.strip().splitlines()
    return line


def test_a_box_without_caps_says_what_it_allows(data: Path) -> None:
    text = budget(data, "show").stdout
    assert "no cap" in text
    assert "allowed: fixed, mobile, short, international" in text
    assert "refused: premium, satellite, unknown" in text


def test_caps_are_set_changed_and_taken_away(data: Path) -> None:
    assert budget(data, "set", "all", "month", "20,00").exit_code == 0
    assert budget(data, "set", "line:2", "day", "60min").exit_code == 0
    assert budget(data, "set", "all", "month", "15", "300", "min").exit_code == 0
    assert [cap["cap"] for cap in shown(data)["caps"]] == ["line:2 day 60min", "all month 15 300min"]
    assert read(data / "settings.toml").calls.caps == ("line:2 day 60min", "all month 15 300min")
    assert budget(data, "set", "line:2", "day", "off").exit_code == 0
    assert len(shown(data)["caps"]) == 1
    assert "has no cap a day" in refused(budget(data, "set", "line:2", "day", "off"))
    assert "no class 'premum'" in refused(budget(data, "set", "class:premum", "day", "5"))
    assert "is no cap" in refused(budget(data, "set", "all", "day", "a lot"))
    assert budget(data, "set", "all", "year", "5").exit_code == 2
    assert len(shown(data)["caps"]) == 1


def test_what_is_spent_is_shown_from_the_records(data: Path) -> None:
    budget(data, "set", "all", "month", "0.20", "10min")
    ledger = Ledger(data / "box.db", SystemClock())
    ledger.start()
    key = ledger.open_call(CallOpen(direction="out", line=1, number="+33142685300", kind="fixed"))
    ledger.answered(key)
    ledger.close(key, CallClosed(end="caller", seconds=125, charge=Charge(180, Decimal("0.0600"), "EUR"))).result(20)
    ledger.stop()
    (cap,) = shown(data)["caps"]
    assert (cap["spent"], cap["spent_seconds"], cap["percent"]) == ("0.0600", 125, 30)
    assert cap["since"] == datetime.now(UTC).astimezone().strftime("%Y-%m-01") or cap["since"].endswith("-01")
    assert "0.0600 of 0.20, 3 of 10 min" in budget(data, "show").stdout


def test_classes_and_numbers_are_allowed_and_barred(data: Path) -> None:
    assert budget(data, "allow", "premium", "+33 892 70 00 00", "36 39", "0825*").exit_code == 0
    row = shown(data)
    assert "premium" in row["allow"]
    assert row["allow_numbers"] == ["+33892700000", "3639", "0825*"]
    assert budget(data, "bar", "premium", "international", "3639").exit_code == 0
    row = shown(data)
    assert row["allow"] == ["fixed", "mobile", "short"]
    assert row["allow_numbers"] == ["+33892700000", "0825*"]
    assert "not among the numbers" in refused(budget(data, "bar", "3639"))
    assert "'premum' is no number" in refused(budget(data, "allow", "premum"))
    assert "emergency" in refused(budget(data, "bar", "emergency"))
    assert budget(data, "longest", "120").exit_code == 0
    assert shown(data)["longest_minutes"] == 120
    assert budget(data, "longest", "off").exit_code == 0
    assert "longest_minutes" in refused(budget(data, "longest", "soon"))


def test_a_pin_is_made_changed_and_forgotten_and_never_seen(data: Path) -> None:
    made = budget(data, "pin", "set", "Zoé", "--pin-file", "-", "--classes", "premium", stdin="2468\n")
    assert made.exit_code == 0, made.stderr
    (pin,) = shown(data)["pins"]
    assert pin == {"label": "Zoé", "has_pin": True, "classes": ["premium"], "numbers": []}
    before = (data / "settings.toml").read_text()
    assert "2468" not in before
    assert budget(data, "pin", "set", "Zoé", "--numbers", "0892*").exit_code == 0
    assert shown(data)["pins"][0] == pin | {"numbers": ["0892*"]}
    assert "another label has this PIN" in refused(budget(data, "pin", "set", "Max", "--pin-file", "-", stdin="2468"))
    assert "4 to 12 digits" in refused(budget(data, "pin", "set", "Max", "--pin-file", "-", stdin="12"))
    assert "give its digits" in refused(budget(data, "pin", "set", "Max", "--classes", "premium"))
    assert "'free' is no class" in refused(budget(data, "pin", "set", "Zoé", "--classes", "free"))
    assert budget(data, "pin", "set", "Zoé").exit_code == 2
    budget(data, "set", "pin:Zoé", "day", "1.00")
    secret = read(data / "settings.toml").pin[0].hash.get_secret_value()
    assert budget(data, "pin", "remove", "Zoé").exit_code == 0
    assert (shown(data)["pins"], shown(data)["caps"]) == ([], [])
    for file in data.glob("settings.toml*"):
        assert secret not in file.read_text()
    assert "there is no PIN 'Zoé'" in refused(budget(data, "pin", "remove", "Zoé"))


def test_settings_carry_pins_without_their_digits_and_take_them_back(data: Path, tmp_path: Path) -> None:
    budget(data, "pin", "set", "Zoé", "--pin-file", "-", "--classes", "premium", stdin="2468")
    secret = read(data / "settings.toml").pin[0].hash.get_secret_value()
    file = tmp_path / "export.toml"
    assert CliRunner().invoke(main, ["config", "export", str(file), "--data", str(data)]).exit_code == 0
    assert secret not in file.read_text()
    assert CliRunner().invoke(main, ["config", "import", str(file), "--data", str(data)]).exit_code == 0
    assert read(data / "settings.toml").pin[0].hash.get_secret_value() == secret
    told = CliRunner().invoke(main, ["config", "show", "--data", str(data)]).stdout
    assert secret not in told
    assert 'pin.0.hash = "********"' in told
    wrong = CliRunner().invoke(main, ["config", "set", "pin.0.hash", "x", "--data", str(data)])
    assert "allobox budget pin set" in refused(wrong)


def test_sums_that_cannot_be_read_are_said_so(data: Path) -> None:
    budget(data, "set", "all", "month", "20")
    (data / "box.db").unlink(missing_ok=True)
    (data / "box.db").mkdir()
    done = budget(data, "show", "--json")
    assert json.loads(done.stdout)["readable"] is False
    assert "cannot be read now" in budget(data, "show").stdout
