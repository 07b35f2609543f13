"""Plans: what may stand in one, every fault with its place, and what it does to the price of a call."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from firmware import numbering
from firmware.rates import rating
from firmware.rates.book import RateBook
from firmware.rates.bundle import Bundle, BundleState
from firmware.rates.deck import import_csv
from firmware.rates.deckfile import DeckError
from firmware.rates.plan import MAX_BYTES, PlanError, read_plan
from firmware.rates.planfile import make_plan, plan_text, without_zones
from firmware.rates.rate import RateError

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)  # a Tuesday, 12 o'clock in Paris
EVENING = datetime(2026, 11, 24, 19, tzinfo=UTC)
PARIS = numbering.parse_number("+33142685300")
MOBILE = numbering.parse_number("+33612345678")
NEW_YORK = numbering.parse_number("+12125551212")
DECK = """prefix,destination,rate_per_minute,first_increment,next_increment,band
33,France fixed,0.02,1,1,
33,France fixed,0.06,1,1,peak
336,France mobile,0.10,1,1,
1,America,0.03,1,1,
1,America,0.09,1,1,peak
FR3900,Help,0.30,60,60,
"""
PLAN = """
currency = "EUR"
free = ["FR3900", "+33800"]
rounding = {mode = "up", decimals = 2}
tax = {percent = 20, included = false}
[holidays]
country = "FR"
dates = [2026-12-24, "2026-12-31"]
[[band]]
name = "peak"
days = "mon-fri"
from = "08:00"
to = "19:00"
holidays = "never"
[[bundle]]
name = "fixes"
prefixes = ["33"]
except = ["336", "337"]
minutes = 60
max_call = "3 h"
max_numbers = 99
"""


def book(folder: Path, plan: str = "", account: str | None = None) -> RateBook:
    report = import_csv(io.BytesIO(DECK.encode()), folder, "deck")
    assert report.file is not None, report.lines()
    made = RateBook(folder)
    made.activate(report.file.name, "deck", None)
    if plan:
        made.activate_plan(make_plan(plan, folder, "plan").path.name, account)
    return made


def cost(box: RateBook, number: numbering.Dialled, at: datetime, seconds: int = 60, account: str | None = None) -> str:
    found = box.pricing(number, account, at)
    assert found is not None
    return f"{rating.charge(found.pricing, at, seconds).amount:f}"


def test_a_plan_is_read_whole() -> None:
    plan = read_plan(PLAN, "plan")
    assert (plan.rounding.mode, plan.rounding.decimals, plan.tax.percent) == ("up", 2, Decimal(20))
    assert (plan.bands[0].weekdays, plan.bands[0].start, plan.bands[0].end) == ((0, 1, 2, 3, 4), 480, 1140)
    (bundle,) = plan.bundles
    assert (bundle.minutes, bundle.max_call_seconds, bundle.max_numbers) == (60, 10_800, 99)
    assert plan.free == ("FR3900", "33800")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[[band]]\nname = 'peak'\ndays = 'mo-fr'\n", "band 1.days: 'mo-fr' is no day such as mon"),
        ("[[band]]\nname = 'peak'\nfrom = '25:00'\n", "band 1.from: '25:00' is not a time such as 08:00"),
        ("[[band]]\nfrom = '08:00'\n", "band 1.name: a band must have a name"),
        ("[[band]]\nname = 'a'\n[[band]]\nname = 'a'\n", "band: the name 'a' stands twice"),
        ("[[band]]\nname = 'a'\nfrom = '08:00'\nto = '08:00'\n", "band 1.to: the band ends where it begins"),
        (
            "[[band]]\nname = 'a'\nholidays = 'only'\n",
            "band: a band has a word on holidays, and no [holidays] names any",
        ),
        ("[[bundle]]\nname = 'b'\nminutes = -5\n", "bundle 1.minutes: '-5' is not a whole number from 1"),
        ("[[bundle]]\nname = 'b'\nbands = ['night']\n", "bundle 1.bands: there is no band 'night' in this plan"),
        ("[[bundle]]\nname = 'b'\nclasses = ['fix']\n", "bundle 1.classes: 'fix' is not one of fixed, mobile"),
        ("[[bundle]]\nname = 'b'\nmax_call = 'long'\n", "bundle 1.max_call: 'long' is no length"),
        ("exchange = 1e400\n", "exchange: '1E+400' is not a number"),
        ("exchange = nan\n", "exchange: 'NaN' is not a number"),
        ("exchange = -0.92\n", "exchange: '-0.92' is not a number"),
        ("exchange = true\n", "exchange: true is not a number"),
        ("tax = {percent = 120}\n", "tax.percent: '120' is not a number from 0 to 100"),
        ("rounding = {mode = 'near'}\n", "rounding.mode: 'near' is none of half-up, half-even, up, down"),
        ("timezone = 'Paris'\n", "timezone: 'Paris' is no time zone"),
        ("timezone = '../../etc/passwd'\n", "timezone: '../../etc/passwd' is no time zone"),
        ("[holidays]\ncountry = 'US'\n", "holidays.country: 'US' is none of FR, BE, DE; give fixed, easter or dates"),
        ("[holidays]\nfixed = ['02-30']\n", "holidays.fixed: '02-30' is no day of every year"),
        ("free = ['0800']\n", "free: '0800' is not a prefix"),
        ("clock = 'destination'\n", "clock: the bands go by the destination's clock, and no [zones]"),
        ("colour = 'blue'\n", "colour: is not known here"),
        ("currency = \n", "the plan is no TOML"),
        ("a = " + "[" * 5000, "the plan is no TOML"),
        ("#" * (MAX_BYTES + 1), "the plan is longer than 512 kB"),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, cause: str) -> None:
    with pytest.raises(PlanError) as told:
        read_plan(text, "plan")
    assert any(problem.startswith(cause) for problem in told.value.problems), told.value.problems


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(PlanError) as told:
        read_plan("currency = 'euro'\ncolour = 1\n[[band]]\nname = 'a'\nfrom = 'x'\n", "plan")
    assert len(told.value.problems) == 3


def test_a_row_of_a_band_holds_in_it_and_the_plain_row_else(tmp_path: Path) -> None:
    plain = book(tmp_path / "plain")
    assert (cost(plain, PARIS, NOON), cost(plain, PARIS, EVENING)) == ("0.0200", "0.0200")
    banded = PLAN.partition("[[bundle]]")[0]
    box = book(tmp_path, banded)
    # 0.06 * 1.20 = 0.072 -> 0.08; 0.02 * 1.20 = 0.024 -> 0.03; the mobile's prefix is longer than the band's row.
    assert (cost(box, PARIS, NOON), cost(box, PARIS, EVENING), cost(box, MOBILE, NOON)) == (
        "0.0800",
        "0.0300",
        "0.1200",
    )


def test_a_plan_is_free_where_it_says_so(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN)
    help_line = numbering.parse_number("3900")
    assert cost(box, help_line, NOON, 3600) == "0.0000"
    found = box.pricing(help_line, None, NOON)
    assert found is not None
    assert found.rate.destination == "Help"


def test_a_bundle_covers_what_it_holds_for_and_nothing_else(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN)
    assert cost(box, PARIS, NOON) == "0.0000"
    assert cost(box, MOBILE, NOON) == "0.1200"

    def used_up(bundle: Bundle, number: str, at: datetime) -> BundleState:
        assert (bundle.name, number, at) == ("fixes", "33142685300", NOON)
        return BundleState(0, 5)

    found = box.pricing(PARIS, None, NOON, used_up)
    assert found is not None
    assert rating.charge(found.pricing, NOON, 60).amount == Decimal("0.0800")


def test_a_bundle_is_shared_with_the_accounts_that_it_names_under_their_new_names_too(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN.rstrip() + '\naccounts = ["other"]\n', "home")
    assert [bundle.name for bundle in box.bundles("other")] == ["fixes"]
    assert cost(box, PARIS, NOON, account="other") == "0.0000"
    assert cost(box, PARIS, NOON, account="third") == "0.0200"
    box.rename_account("other", "mobile")
    assert cost(box, PARIS, NOON, account="mobile") == "0.0000"
    assert cost(RateBook(tmp_path), PARIS, NOON, account="mobile") == "0.0000", "after a restart too"
    box.rename_account("home", None)
    assert box.bundles("mobile") == [], "the plan is gone with its account"


def test_two_plans_cannot_have_different_bundles_of_one_name(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN, "home")
    other = make_plan(PLAN.replace("minutes = 60", "minutes = 30"), tmp_path, "other")
    with pytest.raises(DeckError, match="another plan has a different bundle 'fixes'"):
        box.activate_plan(other.path.name, "work")
    assert [row["account"] for row in box.plans() if row["active"]] == ["home"]


def test_the_destinations_clock_is_that_of_its_prefix(tmp_path: Path) -> None:
    text = 'clock = "destination"\n' + PLAN.partition("[[bundle]]")[0].replace("tax = ", "# tax = ")
    made = make_plan(text, tmp_path, "far")
    assert without_zones(plan_text(made.path)).rstrip() == text.rstrip()
    box = book(tmp_path, text)
    assert cost(box, NEW_YORK, NOON) == "0.0300"  # 6 in the morning there
    assert cost(box, NEW_YORK, EVENING) == "0.0900"  # 14 o'clock
    los_angeles = numbering.parse_number("+12135551212")
    assert cost(box, los_angeles, datetime(2026, 11, 24, 15, tzinfo=UTC)) == "0.0300"  # 7 there, 10 in New York
    assert cost(box, NEW_YORK, datetime(2026, 11, 24, 15, tzinfo=UTC)) == "0.0900"


def test_a_dollar_deck_is_compared_in_the_households_money(tmp_path: Path) -> None:
    box = book(tmp_path, 'currency = "EUR"\nexchange = 0.5\n')
    assert cost(box, PARIS, NOON) == "0.0100"


def test_an_emergency_asks_no_plan(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN)
    found = box.pricing(numbering.parse_number("112"), None, NOON)
    assert found is not None
    assert (found.plan, found.rate.free) == (None, True)


def test_a_plan_that_is_damaged_leaves_the_deck_and_a_notice(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN)
    (file,) = [row["file"] for row in box.plans()]
    (tmp_path / file).write_text("currency = ", encoding="utf-8")
    again = RateBook(tmp_path)
    assert cost(again, PARIS, NOON) == "0.0200"
    assert any("go by the deck alone" in notice for notice in again.notices)
    kept = json.loads((tmp_path / "active.json").read_text())
    assert kept["plans"] == [{"account": None, "file": file}]


@pytest.mark.parametrize(
    "name", ["../plan-a-0123456789ab.toml", "plan-a.toml", "deck-0123456789ab.deck", "", "plan-A-1.toml"]
)
def test_what_is_no_plan_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RateError, match="not the name of a plan"):
        book(tmp_path).activate_plan(name, None)


def test_a_plan_taken_back_leaves_the_deck(tmp_path: Path) -> None:
    box = book(tmp_path, PLAN)
    box.remove_plan(None)
    assert cost(box, PARIS, NOON) == "0.0200"
    with pytest.raises(DeckError, match="no plan for all accounts"):
        box.remove_plan(None)
    assert [row["active"] for row in box.plans()] == [False]
