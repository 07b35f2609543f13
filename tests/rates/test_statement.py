"""The bill: every call once, sums right to the cent however they are grouped, months where the household lives."""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.rates import billcsv, statement
from firmware.rates.statement import Entry, Month, StatementError

PARIS = ZoneInfo("Europe/Paris")
NOVEMBER = Month(2026, 11)


def row(record: int, **changes: object) -> dict[str, object]:
    """An answered call of 61 s to Paris at two cents a begun minute: 2 x 0.02 = 0.04."""
    base: dict[str, object] = {
        "id": record,
        "direction": "out",
        "line": 1,
        "number": "+33142685300",
        "name": None,
        "dialled": "0142685300",
        "account": "maison",
        "started": "2026-11-23T09:00:00Z",
        "answered": "2026-11-23T09:00:04Z",
        "seconds": 61,
        "billed_seconds": 120,
        "destination": "France fixed",
        "cost": "0.0400",
        "currency": "EUR",
    }
    return base | changes


def entries(*rows: dict[str, object]) -> list[Entry]:
    return statement.entries_of(rows, PARIS)


def test_what_was_answered_or_cost_something_is_on_the_bill_and_nothing_else() -> None:
    found = entries(
        row(1),
        row(2, answered=None, cost=None, currency=None),  # nobody answered
        row(3, direction="in", cost=None, currency=None),  # they called
        row(4, cost=None, currency=None),  # answered, no price known
        row(5, direction="in", cost="0.1000"),  # a collect call
        row(6, answered=None, cost="0.0500"),  # billed though nobody answered
    )
    assert [entry.id for entry in found] == [1, 4, 5, 6]


def test_sums_are_told_apart_by_currency_and_by_what_has_no_price() -> None:
    found = entries(
        row(1),
        row(2, cost="0.0203", tax="0.0034"),
        row(3, cost="3.8000", service_cost="3.0000", tax="0.6333"),
        row(4, cost="1.0000", currency="USD"),
        row(5, cost=None, currency=None, seconds=30),
    )
    euro, dollar, none = statement.totals(found)
    # 0.0400 + 0.0203 + 3.8000 = 3.8603; to the cent: 3.86
    assert (euro.currency, euro.calls, euro.cost, euro.rounded) == ("EUR", 3, Decimal("3.8603"), Decimal("3.86"))
    assert (euro.service, euro.tax) == (Decimal("3.0000"), Decimal("0.6367"))
    assert (dollar.currency, dollar.cost) == ("USD", Decimal("1.0000"))
    assert (none.currency, none.calls, none.seconds, none.as_json()["cost"]) == ("", 1, 30, None)


def test_a_sum_is_rounded_once_and_not_call_by_call() -> None:
    # Three calls of 0.0050: 0.0150, half up 0.02; rounded one by one they would be 0.03.
    (total,) = statement.totals(entries(*(row(n, cost="0.0050") for n in range(3))))
    assert (total.cost, total.rounded) == (Decimal("0.0150"), Decimal("0.02"))


def test_calls_belong_to_the_day_and_month_of_the_household() -> None:
    last_minute = row(1, started="2026-10-31T22:59:59Z")  # 23:59:59 in Paris, winter time
    first = row(2, started="2026-10-31T23:00:00Z")  # midnight in Paris
    october, november = entries(last_minute, first)
    assert Month.of(october.started, PARIS) == Month(2026, 10)
    assert Month.of(november.started, PARIS) == NOVEMBER
    assert NOVEMBER.begin(PARIS).astimezone(UTC) == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert NOVEMBER.end(PARIS).astimezone(UTC) == datetime(2026, 11, 30, 23, tzinfo=UTC)
    october_hours = Month(2026, 10).end(PARIS).astimezone(UTC) - Month(2026, 10).begin(PARIS).astimezone(UTC)
    assert october_hours == timedelta(days=31, hours=1)  # the clock went back
    assert [group.key for group in statement.groups([november, october], "day")] == ["2026-10-31", "2026-11-01"]


def test_people_are_names_and_numbers_where_nobody_has_a_name() -> None:
    found = entries(
        row(1, name="Marie", number="+33612345678", cost="0.1500"),
        row(2, name="Marie", number="+33142685300", cost="0.0200"),
        row(3, number="+33142685300", cost="0.0200"),
    )
    marie, nobody = statement.groups(found, "person")
    assert (marie.key, marie.number, marie.sum.cost) == ("Marie", "", Decimal("0.1700"))
    assert (nobody.key, nobody.number) == ("+33142685300", "+33142685300")


def test_lines_pins_classes_and_bundles_are_groups_too() -> None:
    found = entries(
        row(1, line=1, pin="enfants"), row(2, line=2, **{"class": "premium"}), row(3, line=2, bundle="100 pays")
    )
    assert {group.key: group.sum.calls for group in statement.groups(found, "line")} == {"1": 1, "2": 2}
    assert {group.key for group in statement.groups(found, "pin")} == {"enfants", ""}
    assert {group.key for group in statement.groups(found, "class")} == {"premium", ""}
    assert {group.key for group in statement.groups(found, "bundle")} == {"100 pays", ""}
    with pytest.raises(StatementError, match="no way to group a bill"):
        statement.groups(found, "colour")


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026", "11-2026", "", "2026-1", "0001-01", "9999-12", "２026-11"]
)
def test_what_is_no_month_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(StatementError, match="write 2026-11"):
        Month.parse(text)


def test_months_follow_each_other_across_years() -> None:
    assert Month(2026, 12).plus(1) == Month(2027, 1)
    assert Month(2026, 1).plus(-1) == Month(2025, 12)
    assert len(Month(2028, 2).days()) == 29
    assert str(Month.parse("2026-02").plus(25)) == "2028-03"


def test_search_finds_people_numbers_places_and_accounts() -> None:
    found = entries(
        row(1, name="Zoé Martin", number="+33612345678"),
        row(2, destination="Réunion", number="+262262123456"),
        row(3, account="Secours"),
    )
    for text, ids in (
        ("zoe", [1]), ("ZOÉ", [1]), ("06 12 34", [1]), ("+33 6 12", [1]), ("reunion", [2]), ("secours", [3]),
        ("", [1, 2, 3]), ("   ", [1, 2, 3]), ("nobody", []), ("%", []),
    ):  # fmt: skip
        assert [entry.id for entry in statement.search(found, text)] == ids, text


def test_savings_are_against_the_dearest_account_that_could_have_carried_the_call() -> None:
    found = entries(
        row(1), row(2, started="2026-11-24T09:00:00Z"), row(3, cost=None, currency=None), row(4, cost="0.9000")
    )

    def prices(entry: Entry) -> dict[str, tuple[Decimal, str]]:
        if entry.id == 2:
            return {"maison": (Decimal("0.0400"), "EUR"), "cabine": (Decimal(9), "USD")}  # nothing to compare with
        return {
            "maison": (Decimal("0.0400"), "EUR"),
            "mobile": (Decimal("0.3000"), "EUR"),
            "carte": (Decimal("0.2000"), "EUR"),
        }

    (saving,) = statement.savings(found, prices)
    # Call 1: 0.30 - 0.04 = 0.26. Call 4 cost 0.90, more than any other: nothing saved, nothing lost.
    assert (saving.calls, saving.paid, saving.dearest) == (2, Decimal("0.9400"), Decimal("1.2000"))
    assert saving.as_json()["saved"] == "0.2600"
    assert saving.by_account == {"mobile": Decimal("0.2600")}
    assert saving.by_day == {"2026-11-23": (Decimal("0.9400"), Decimal("1.2000"))}


def test_the_json_of_a_month_says_what_it_covers() -> None:
    told = statement.statement_json(NOVEMBER, PARIS, entries(row(1), row(2, time_unsure=True)), "destination")
    assert (told["month"], told["from"], told["until"]) == (
        "2026-11",
        "2026-11-01T00:00:00+01:00",
        "2026-12-01T00:00:00+01:00",
    )
    assert told["groups"] == [
        {
            "destination": "France fixed", "calls": 2, "seconds": 122, "billed_seconds": 240, "cost": "0.0800",
            "rounded": "0.08", "service_cost": "0.0000", "tax": "0.0000", "currency": "EUR",
        }
    ]  # fmt: skip
    assert told["time_unsure"] == 1


@pytest.mark.parametrize("broken", [{"started": "hier"}, {"seconds": "x"}, {"id": None}])
def test_a_record_that_cannot_be_read_is_told(broken: dict[str, object]) -> None:
    with pytest.raises(StatementError, match="cannot be read"):
        statement.entry_of(row(1, **broken), PARIS)


def test_an_amount_that_is_none_is_no_price_and_no_sum() -> None:
    assert [entry.cost for entry in entries(row(1, cost="NaN"), row(2, cost="Infinity"), row(3, cost="x"))] == [
        None
    ] * 3


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\r=1", "＝1+1", "＠x", '"=1', "a\r\n=1"]


def test_no_cell_of_an_export_is_a_formula() -> None:
    found = entries(*(row(n, name=text, destination=text, account=text, pin=text) for n, text in enumerate(FORMULAS)))
    text = "".join(billcsv.lines(billcsv.CALL_COLUMNS, (billcsv.call_cells(entry) for entry in found)))
    read = list(csv.reader(io.StringIO(text)))
    assert len(read) == len(FORMULAS) + 1  # no line break gets through
    for line in read[1:]:
        for cell in line:
            assert not cell.lstrip(" ").startswith(("=", "@", "-", "\t", "\r", "＝", "＠")), cell
            assert not cell.startswith("+") or cell[1:].isdigit(), cell


def test_french_spreadsheets_get_decimal_commas() -> None:
    (entry,) = entries(row(1, cost="0.0203"))
    assert billcsv.call_cells(entry, ",")[11] == "0,0203"
    (group,) = statement.groups([entry], "account")
    assert "".join(billcsv.lines(("compte", "x"), [billcsv.group_cells(group, ",")], ";")).splitlines() == [
        "compte;x",
        "maison;1;61;120;0,0203;0,0000;0,0000;EUR",
    ]


CALLS = st.lists(
    st.builds(
        lambda when, cost, tax, currency, name, account, seconds: row(
            0,
            started=when.isoformat(),
            cost=None if cost is None else f"{cost:f}",
            tax=f"{tax:f}",
            currency=None if cost is None else currency,
            name=name,
            account=account,
            destination=f"to {name}",
            seconds=seconds,
        ),
        st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
        st.none() | st.decimals("0", "9999", places=4),
        st.decimals("0", "99", places=4),
        st.sampled_from(["EUR", "USD", "CHF"]),
        st.sampled_from(["Marie", "Pierre", "Zoé", ""]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 90_000),
    ),
    max_size=60,
)


@given(CALLS, st.randoms(use_true_random=False))
def test_every_grouping_adds_up_to_the_same_totals_whatever_the_order(
    rows: list[dict[str, object]], chance: random.Random
) -> None:
    found = entries(*rows)
    wanted = {total.currency: (total.calls, total.seconds, total.cost, total.tax) for total in statement.totals(found)}
    exact = sum((Fraction(str(r["cost"])) for r in rows if r["cost"] is not None), Fraction(0))
    assert sum(Fraction(cost) for _, _, cost, _ in wanted.values()) == exact
    chance.shuffle(found)
    for by in statement.GROUPINGS:
        sums: dict[str, tuple[int, int, Decimal, Decimal]] = {}
        for group in statement.groups(found, by):
            calls, seconds, cost, tax = sums.get(group.sum.currency, (0, 0, Decimal(0), Decimal(0)))
            total = group.sum
            sums[total.currency] = (calls + total.calls, seconds + total.seconds, cost + total.cost, tax + total.tax)
        assert sums == wanted, by


@given(CALLS)
def test_every_call_is_on_the_bill_of_exactly_one_month(rows: list[dict[str, object]]) -> None:
    found = entries(*rows)
    months = [Month(2025, 12).plus(count) for count in range(26)]
    for entry in found:
        inside = [month for month in months if month.begin(PARIS) <= entry.started < month.end(PARIS)]
        assert inside == [Month.of(entry.started, PARIS)]
        assert entry.started.date() in inside[0].days()
