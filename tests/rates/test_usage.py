"""What was spent: in which day, week and month a call counts, and what counts at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.rates.usage import (
    EVERYTHING,
    MOST_SUMS,
    Entry,
    Hold,
    Period,
    Scope,
    ScopeKind,
    Spent,
    Usage,
    beginning,
    entry_of,
)

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 7, 15, 12, tzinfo=PARIS)
SECOND = timedelta(seconds=1)
ROW: dict[str, object] = {
    "direction": "out", "emergency": 0, "answered": "2026-07-15T10:00:01Z", "duration_ms": 61_001, "class": "mobile",
    "line": 2, "number": "+33612345678", "pin": "Zoé", "cost": "0.1000", "bundle": None, "bundle_seconds": None,
}  # fmt: skip


def entry(started: datetime = NOON, money: str = "1", seconds: int = 60, **more: object) -> Entry:
    return Entry(started=started, kind="mobile", line=1, money=Decimal(money), seconds=seconds, **more)  # type: ignore[arg-type]


def usage(*entries: Entry) -> Usage:
    made = Usage(PARIS)
    made.seed(entries)
    return made


entries = st.builds(
    Entry,
    started=st.integers(0, 6 * 24 * 3600).map(
        lambda second: datetime(2026, 3, 27, tzinfo=UTC) + timedelta(seconds=second)
    ),
    kind=st.sampled_from(["fixed", "mobile"]),
    line=st.integers(1, 2),
    number=st.sampled_from(["+331", "+336"]),
    pin=st.sampled_from([None, "Zoé"]),
    money=st.decimals(0, 5, places=4),
    seconds=st.integers(0, 4000),
    bundle=st.sampled_from([None, "world"]),
    bundle_seconds=st.integers(0, 4000),
)
SCOPES = (
    EVERYTHING,
    Scope(ScopeKind.CLASS, "mobile"),
    Scope(ScopeKind.LINE, "2"),
    Scope(ScopeKind.PIN, "Zoé"),
    Scope(ScopeKind.BUNDLE, "world"),
)


@given(st.lists(entries, max_size=12).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_the_order_in_which_calls_end_changes_nothing(both: tuple[list[Entry], list[Entry]]) -> None:
    one, other = (usage(*some) for some in both)
    for at in (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 4, 1, 12, tzinfo=UTC)):
        for period in Period:
            assert [one.spent(scope, period, at) for scope in SCOPES] == [
                other.spent(scope, period, at) for scope in SCOPES
            ]
            assert one.bundle_use("world", period, at) == other.bundle_use("world", period, at)


@given(st.lists(entries, max_size=12), st.sampled_from(Period))
def test_every_call_counts_in_one_day_one_week_and_one_month_and_nothing_is_lost(
    some: list[Entry], period: Period
) -> None:
    counted = usage(*some)
    instants = {beginning(period, one.started, PARIS): one.started for one in some}
    total = sum((counted.spent(EVERYTHING, period, at).money for at in instants.values()), Decimal(0))
    assert total == sum((one.money for one in some), Decimal(0))


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-03-28T22:59:59+00:00", date(2026, 3, 28)),
        ("2026-03-28T23:00:00+00:00", date(2026, 3, 29)),  # 23 hours long: 02:00 does not exist
        ("2026-03-29T21:59:59+00:00", date(2026, 3, 29)),
        ("2026-03-29T22:00:00+00:00", date(2026, 3, 30)),
        ("2026-10-25T00:30:00+00:00", date(2026, 10, 25)),  # 02:30, and an hour later 02:30 again
        ("2026-10-25T01:30:00+00:00", date(2026, 10, 25)),
        ("2026-10-25T22:59:59+00:00", date(2026, 10, 25)),  # 25 hours long
        ("2026-10-25T23:00:00+00:00", date(2026, 10, 26)),
        ("2026-12-31T23:30:00+00:00", date(2027, 1, 1)),
    ],
)
def test_a_day_is_the_households_own_through_both_time_changes(instant: str, day: date) -> None:
    at = datetime.fromisoformat(instant)
    assert beginning(Period.DAY, at, PARIS) == day
    assert beginning(Period.MONTH, at, PARIS) == day.replace(day=1)
    assert beginning(Period.WEEK, at, PARIS).weekday() == 0


def test_both_calls_of_the_hour_that_comes_twice_count_once_each() -> None:
    first = datetime(2026, 10, 25, 2, 30, fold=0, tzinfo=PARIS)
    second = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=PARIS)
    counted = usage(entry(first, "1"), entry(second, "2"))
    assert counted.spent(EVERYTHING, Period.DAY, second + timedelta(hours=20)) == Spent(Decimal(3), 120)


def test_a_call_over_midnight_counts_in_the_day_and_month_in_which_it_was_placed() -> None:
    late = datetime(2026, 7, 31, 23, 50, tzinfo=PARIS)
    counted = usage(entry(late, "5", 3600))
    assert counted.spent(EVERYTHING, Period.MONTH, late) == Spent(Decimal(5), 3600)
    for period in (Period.DAY, Period.MONTH):
        assert counted.spent(EVERYTHING, period, late + timedelta(hours=1)) == Spent()
    assert counted.spent(EVERYTHING, Period.WEEK, late + timedelta(hours=1)) == Spent(Decimal(5), 3600)


def test_a_clock_that_jumps_ahead_and_back_finds_what_was_spent_before() -> None:
    counted = usage(entry())
    later = NOON.replace(year=2036)
    assert counted.spent(EVERYTHING, Period.MONTH, later) == Spent()
    counted.add(entry(later, "2"))
    assert counted.spent(EVERYTHING, Period.MONTH, NOON) == Spent(Decimal(1), 60)


def test_running_calls_count_with_all_that_they_may_still_spend() -> None:
    counted = usage(entry())
    counted.hold(1, Hold(call=entry(), money=Decimal("0.5"), seconds=100))
    counted.hold(2, Hold(call=entry(NOON - timedelta(days=1)), money=Decimal(9), seconds=900))
    assert counted.spent(EVERYTHING, Period.DAY, NOON) == Spent(Decimal(1), 60, Decimal("0.5"), 100)
    assert counted.spent(EVERYTHING, Period.DAY, NOON, but=1) == Spent(Decimal(1), 60)
    assert counted.spent(Scope(ScopeKind.LINE, "2"), Period.DAY, NOON) == Spent()
    counted.hold(1, Hold(call=entry(), money=None, seconds=None))
    assert counted.spent(EVERYTHING, Period.DAY, NOON) == Spent(Decimal(1), 60, None, None)
    counted.release(1)
    counted.release(1)
    assert counted.spent(EVERYTHING, Period.DAY, NOON) == Spent(Decimal(1), 60)


def test_a_bundle_knows_its_seconds_and_numbers_running_calls_too() -> None:
    counted = usage(
        entry(number="+331", money="0", bundle="world", bundle_seconds=600),
        entry(number="+331", money="0", bundle="world", bundle_seconds=60),
        entry(number="+332", money="0", bundle="other", bundle_seconds=60),
    )
    counted.hold(7, Hold(call=entry(number="+339"), bundles={"world": 120}))
    use = counted.bundle_use("world", Period.MONTH, NOON)
    assert (use.seconds, use.held) == (660, 120)
    assert use.numbers == {"+331", "+339"}
    assert counted.bundle_use("world", Period.MONTH, NOON, but=7).numbers == {"+331"}
    counted.hold(7, Hold(call=entry(number="+339"), bundles={"world": None}))
    assert counted.bundle_use("world", Period.DAY, NOON).held is None


@pytest.mark.parametrize(
    "change",
    [{"direction": "in"}, {"emergency": 1}, {"answered": None}, {"cost": "0.0000"}, {"cost": "0"}],
)
def test_what_costs_nothing_counts_nothing(change: dict[str, object]) -> None:
    assert entry_of(ROW | change, NOON) is None


def test_a_row_counts_with_its_money_and_its_begun_second() -> None:
    made = entry_of(ROW, NOON)
    assert made == Entry(
        started=NOON, kind="mobile", line=2, number="+33612345678", pin="Zoé", money=Decimal("0.1000"), seconds=62
    )


@pytest.mark.parametrize("cost", [None, "x", "NaN", "-5", "Infinity", "1e400000000"])
def test_an_amount_that_is_none_adds_no_money_and_the_time_counts(cost: str | None) -> None:
    made = entry_of(ROW | {"cost": cost, "bundle": "b"}, NOON)
    assert made is not None
    assert (made.money, made.seconds) == (Decimal(0), 62)


def test_time_that_a_bundle_took_counts_though_it_cost_nothing() -> None:
    made = entry_of(ROW | {"cost": "0.0000", "bundle": "world", "bundle_seconds": 61}, NOON)
    assert made is not None
    assert (made.money, made.seconds, made.bundle, made.bundle_seconds) == (Decimal(0), 62, "world", 61)


def test_a_wild_clock_does_not_fill_the_memory() -> None:
    counted = Usage(PARIS)
    for day in range(MOST_SUMS // 6):
        counted.add(entry(NOON + timedelta(days=day)))
    assert len(counted._sums) <= MOST_SUMS
    last = NOON + timedelta(days=MOST_SUMS // 6 - 1)
    assert counted.spent(EVERYTHING, Period.DAY, last).money == 1
