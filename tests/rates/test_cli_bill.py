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
