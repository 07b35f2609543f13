"""`allobox bill` as a person types it, on a box that is not running."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware.cli import main
from firmware.clock import ManualClock
from firmware.rates.samples import SAMPLE
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge

MOBILE = "prefix,destination,rate_per_minute\n33,France,0.30\n"


class Box:
    """Runs commands on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        (self.data / "run").mkdir(parents=True)

    def __call__(self, *arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(main, [*arguments, "--data", str(self.data)])
        assert not ok or result.exit_code == 0, result.output
        return result


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box with 250 calls of November 2026, an hour apart, and two of October."""
    box = Box(tmp_path)
    clock = ManualClock(start=datetime(2026, 10, 30, 12, tzinfo=UTC))
    ledger = Ledger(box.data / "box.db", clock)
    ledger.start()
    for number in range(252):
        if number == 2:
            clock.advance((datetime(2026, 11, 2, tzinfo=UTC) - clock.wall()).total_seconds())
        destination = "France fixed" if number % 2 else "France mobile"
        key = ledger.open_call(
            CallOpen(
                direction="out", line=1, number="+33142685300" if number % 2 else "+33612345678",
                name=None if number % 2 else "=Marie", account="maison", destination=destination,
            )
        )  # fmt: skip
        ledger.answered(key)
        clock.advance(61)
        cost = Decimal("0.0400" if number % 2 else "0.1525")
        ledger.close(key, CallClosed(end="caller", charge=Charge(120, cost, "EUR"))).result(20)
        clock.advance(timedelta(minutes=59).total_seconds())
    ledger.stop()
    return box


def test_a_month_is_added_up_and_the_next_one_is_not(box: Box) -> None:
    told = json.loads(box("bill", "--month", "2026-11", "--json").stdout)
    (total,) = told["totals"]
    # 125 x 0.0400 + 125 x 0.1525 = 5.0000 + 19.0625 = 24.0625, half up 24.06
    assert (total["calls"], total["cost"], total["rounded"], total["seconds"]) == (250, "24.0625", "24.06", 250 * 61)
    assert [(group["destination"], group["cost"]) for group in told["groups"]] == [
        ("France mobile", "19.0625"),
        ("France fixed", "5.0000"),
    ]
    (october,) = json.loads(box("bill", "--month", "2026-10", "--json").stdout)["totals"]
    assert (october["calls"], october["cost"]) == (2, "0.1925")
    assert json.loads(box("bill", "--month", "2026-12", "--json").stdout)["totals"] == []


def test_the_bill_is_read_in_words(box: Box) -> None:
    said = box("bill", "--month", "2026-11", "--by", "person").stdout
    assert "=Marie" in said
    assert "+33142685300" in said
    assert "to pay: 24.06 EUR" in said
    assert "France fixed" in box("bill", "--month", "2026-11", "--search", "fixed").stdout
    assert "125 calls" in box("bill", "--month", "2026-11", "--search", "01 42").stdout
    assert box("bill", "--month", "2026-11", "--by", "call").stdout.count("\n") == 1 + 250 + 2


def test_the_bill_is_written_as_csv_by_call_and_by_day(box: Box, tmp_path: Path) -> None:
    target = tmp_path / "bill.csv"
    box("bill", "--month", "2026-11", "--by", "call", "--csv", str(target))
    read = list(csv.DictReader(target.read_text(encoding="utf-8-sig").splitlines()))
    assert len(read) == 250
    assert sum(Decimal(line["cost"]) for line in read) == Decimal("24.0625")
    assert {line["name"] for line in read} == {"", "'=Marie"}
    days = list(csv.DictReader(box("bill", "--month", "2026-11", "--by", "day", "--csv", "-").stdout.splitlines()))
    assert sum(Decimal(line["cost"]) for line in days) == Decimal("24.0625")
    assert days[0]["day"] == "2026-11-02"
    failed = box("bill", "--month", "2026-11", "--csv", str(tmp_path / "no" / "where.csv"), ok=False)
    assert failed.exit_code == 1
    assert "cannot be written" in failed.stderr


def test_savings_compare_the_accounts_of_the_box(box: Box, tmp_path: Path) -> None:
    for name in ("maison", "mobile"):
        box("account", "add", name, "--server", "127.0.0.1", "--user", "u")
    deck = tmp_path / "mobile.csv"
    deck.write_text(MOBILE, encoding="utf-8")
    box("rates", "import", str(SAMPLE))
    box("rates", "import", str(deck), "--account", "mobile")
    (saving,) = json.loads(box("bill", "--month", "2026-11", "--json").stdout)["savings"]
    # 61 s on the mobile: two begun minutes at 0.30 = 0.60 a call, 250 x 0.60 = 150.00
    assert (saving["dearest"], saving["paid"], saving["saved"]) == ("150.0000", "24.0625", "125.9375")
    assert saving["by_account"] == {"mobile": "125.9375"}
    assert "saved: 125.9375 EUR" in box("bill", "--month", "2026-11").stdout


def test_wrong_usage_says_what_is_right(box: Box) -> None:
    wrong = box("bill", "--month", "11/2026", ok=False)
    assert wrong.exit_code == 2
    assert "write 2026-11" in wrong.stderr
    assert box("bill", "--json", "--csv", "x", ok=False).exit_code == 2
    assert box("bill", "--by", "colour", ok=False).exit_code == 2


def provider_file(box: Box, target: Path, change: dict[int, str] | None = None) -> Path:
    """The provider's copy of November: its calls in French, as a file that was never ours; some lines changed."""
    target.write_text("Numéro appelé;Date;Heure;Durée (s);Montant TTC\n", encoding="utf-8")
    lines = box("bill", "--month", "2026-11", "--by", "call", "--csv", "-").stdout.splitlines()
    for number, call in enumerate(csv.DictReader(lines)):
        day = "/".join(reversed(call["date"].split("-")))
        line = f"{call['number']};{day};{call['time']};{call['seconds']};{call['cost'].replace('.', ',')} €\n"
        with target.open("a", encoding="utf-8") as out:
            out.write((change or {}).get(number, line))
    return target


@pytest.fixture
def priced(box: Box) -> Box:
    """The same box with an account and the sample's rates."""
    box("account", "add", "maison", "--server", "127.0.0.1", "--user", "u")
    box("rates", "import", str(SAMPLE))
    return box


def test_a_true_copy_of_the_provider_has_no_difference(priced: Box, tmp_path: Path) -> None:
    file = provider_file(priced, tmp_path / "releve.csv")
    said = priced("bill", "check", str(file), "--account", "maison").stdout
    assert "250 calls of theirs, 250 of ours, 250 matched" in said
    assert "no difference" in said


def test_what_the_provider_changed_is_found_and_named(priced: Box, tmp_path: Path) -> None:
    extra = "0899123456;12/11/2026;03:33:00;600;18,00 €\n"
    # Call 4 is left out, call 6 is dear, call 8 is there twice, and one was never made.
    lines = provider_file(priced, tmp_path / "a.csv").read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    change = {4: extra, 6: lines[6].replace("0,1525", "1,5"), 8: lines[8] * 2}
    file = provider_file(priced, tmp_path / "releve.csv", change)
    told = json.loads(priced("bill", "check", str(file), "--account", "maison", "--month", "2026-11", "--json").stdout)
    assert told["causes"] == {"ours-only": 1, "theirs-only": 1, "double": 1, "dearer": 1}
    # 18 - 0.1525 + (1.5 - 0.1525) + 0.1525 = 19.3475
    assert told["difference"] == [{"currency": "EUR", "money": "19.3475"}]
    said = priced("bill", "check", str(file), "--account", "maison").stdout
    for words in ("ours only", "theirs only +600 s +18.0000 EUR", "billed twice", "dearer +1.3475 EUR", "+19.3475 EUR"):
        assert words in said, said


def test_a_provider_that_writes_utc_is_told_so_or_believed(priced: Box, tmp_path: Path) -> None:
    file = provider_file(priced, tmp_path / "releve.csv")
    utc = json.loads(priced("bill", "check", str(file), "--account", "maison", "--timezone", "UTC", "--json").stdout)
    assert (utc["clock_hours"], utc["matched"], set(utc["causes"])) == (1, 250, {"clock"})
    assert "off by +1 h" in priced("bill", "check", str(file), "--account", "maison", "--timezone", "UTC").stdout


def test_a_file_that_cannot_be_read_is_told_line_by_line(priced: Box, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("number;start;duration;cost\n0142685300;hier;60;1\n0142685300;2026-11-02 10:00;60;0,2O\n")
    result = priced("bill", "check", str(bad), "--account", "maison", ok=False)
    assert result.exit_code == 1
    assert "bad.csv, line 2, column start: 'hier' is no date" in result.stderr
    assert "bad.csv, line 3, column cost: the price '0,2O' is not a number" in result.stderr
    odd = tmp_path / "odd.csv"
    odd.write_text("A;B;C\n0142685300;2026-11-02 10:00;60\n")
    assert "no line names the columns" in priced("bill", "check", str(odd), "--account", "maison", ok=False).stderr
    columns = [f"--column={field}={name}" for field, name in (("number", "A"), ("start", "B"), ("seconds", "C"))]
    assert "1 calls of theirs" in priced("bill", "check", str(odd), "--account", "maison", *columns).stdout
    assert priced("bill", "check", str(odd), "--account", "nobody", ok=False).exit_code == 1
    assert priced("bill", "check", str(odd), "--account", "maison", "--timezone", "Mars", ok=False).exit_code == 1
    assert priced("bill", "check", str(odd), "--account", "maison", "--column", "x", ok=False).exit_code == 2
    assert priced("bill", "check", str(tmp_path / "none"), "--account", "maison", ok=False).exit_code == 1
