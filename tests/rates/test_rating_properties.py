"""What holds of every price: it never falls with duration, its parts are the whole, and no float comes near it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.rates import rating
from firmware.rates.bands import HOLIDAYS, Band, Calendar, zone_of
from firmware.rates.bundle import PERIODS, Bundle, BundleState, period_end, period_start
from firmware.rates.pricing import Pricing, from_tariff, to_tariff
from firmware.rates.rate import Rate, Step, from_micro, parsed_steps, written_steps
from firmware.rates.terms import PLACES, ROUNDINGS, Rounding, Tax, Terms

ROOT = Path(__file__).parents[2] / "firmware"
MONEY = (
    *("rates/rate.py", "rates/rating.py", "rates/pricing.py", "rates/terms.py", "rates/bundle.py", "rates/bands.py"),
    *("rates/plan.py", "rates/holidays.py", "rates/answer.py", "rates/book.py", "rates/columns.py"),
)
ZONES = ("Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")

prices = st.integers(0, 3_000_000).map(from_micro)
increments = st.sampled_from((1, 6, 7, 30, 60, 300))
steps = st.lists(st.tuples(st.integers(1, 7200), prices, increments), max_size=3, unique_by=lambda step: step[0]).map(
    lambda found: tuple(Step(*step) for step in sorted(found))
)
plain_rates = st.builds(
    Rate, st.just("33"), st.just("France"), st.just("EUR"), prices, prices, increments, increments, prices, prices,
    grace_seconds=st.sampled_from((0, 0, 3, 60)), steps=steps,
)  # fmt: skip


@st.composite
def services(draw: st.DrawFn) -> Rate:
    """A rate of which a part is the service's."""
    rate = draw(plain_rates)
    least = min([rate.per_minute, *(step.per_minute for step in rate.steps)])
    share = draw(st.sampled_from((0, 0, 1)))
    return replace(rate, service_per_minute=least * share, service_per_call=rate.per_call * share)


bands = st.builds(
    Band,
    st.sampled_from(("a", "b")),
    st.lists(st.integers(0, 6), unique=True).map(tuple),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.sampled_from(HOLIDAYS),
)
calendars = st.builds(
    Calendar,
    st.lists(bands, max_size=3).map(tuple),
    st.sampled_from(ZONES),
    st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=4),
)
bundles = st.builds(
    Bundle,
    st.just("bundle"),
    minutes=st.none() | st.integers(1, 90),
    max_call_seconds=st.none() | st.integers(1, 7200),
    max_numbers=st.none() | st.integers(1, 9),
    period=st.sampled_from(PERIODS),
    increment=st.sampled_from((1, 60)),
    bands=st.sampled_from(((), (), ("a",))),
)
states = st.builds(BundleState, st.none() | st.integers(0, 5400), st.none() | st.integers(0, 2), st.booleans())
terms = st.builds(
    Terms,
    st.builds(Rounding, st.sampled_from(ROUNDINGS), st.integers(0, 4), st.sampled_from(PLACES)),
    st.builds(Tax, st.sampled_from((Decimal(0), Decimal(20), Decimal("5.5"))), st.booleans()),
    st.none() | st.sampled_from((Decimal("0.92"), Decimal("1.3"))),
)


@st.composite
def pricings(draw: st.DrawFn) -> Pricing:
    """Any pricing that an account may have."""
    rates = (draw(services()), *(replace(draw(services()), band=band) for band in draw(st.sets(st.sampled_from("ab")))))
    bundle = draw(st.none() | bundles)
    state = draw(states) if bundle else BundleState()
    if bundle and bundle.minutes is not None and state.seconds_left is None:
        state = replace(state, seconds_left=600)
    zone = draw(st.sampled_from(ZONES))
    return Pricing(rates, draw(terms), draw(calendars), bundle, state, zone)


starts = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds
lengths = st.integers(0, 30_000_000).map(lambda ms: Decimal(ms).scaleb(-3))
some = settings(max_examples=150, deadline=None)


@some
@given(pricings(), starts, lengths, lengths)
def test_a_longer_call_never_costs_less(pricing: Pricing, started: datetime, one: Decimal, other: Decimal) -> None:
    shorter, longer = (rating.charge(pricing, started, seconds) for seconds in sorted((one, other)))
    assert shorter.amount <= longer.amount
    assert shorter.exact <= longer.exact
    assert shorter.billed_seconds <= longer.billed_seconds
    assert shorter.bundle_seconds <= longer.bundle_seconds


@some
@given(pricings(), starts, lengths)
def test_the_parts_are_the_whole_and_follow_each_other(pricing: Pricing, started: datetime, seconds: Decimal) -> None:
    cost = rating.charge(pricing, started, seconds)
    assert sum(part.exact for part in cost.parts) == cost.exact
    assert sum(part.billed for part in cost.parts) == cost.billed_seconds
    assert sum(part.billed for part in cost.parts if part.bundle) == cost.bundle_seconds
    assert all(part.exact >= 0 for part in cost.parts)
    assert 0 <= cost.service <= cost.amount
    assert 0 <= cost.tax <= cost.amount
    if cost.parts:
        assert cost.parts[0].begins == 0
        assert cost.parts[-1].ends >= seconds
        assert all(a.ends == b.begins or a.ends >= b.begins for a, b in zip(cost.parts, cost.parts[1:], strict=False))


@some
@given(pricings(), starts, st.integers(0, 2_000_000).map(lambda units: Decimal(units).scaleb(-4)))
def test_the_longest_call_is_paid_for_and_a_second_more_is_not(
    pricing: Pricing, started: datetime, money: Decimal
) -> None:
    longest = rating.longest(pricing, started, money)
    if longest is None:
        assert rating.charge(pricing, started, 31 * 86_400).amount <= money
        return
    assert rating.charge(pricing, started, longest).amount <= money
    assert rating.charge(pricing, started, longest + 1).amount > money


@some
@given(pricings(), starts, lengths)
def test_what_is_kept_with_a_call_charges_it_alike(pricing: Pricing, started: datetime, seconds: Decimal) -> None:
    kept = to_tariff(pricing)
    assert rating.charge(from_tariff(kept), started, seconds) == rating.charge(pricing, started, seconds)
    assert to_tariff(from_tariff(kept)) == kept


@some
@given(pricings(), starts, lengths)
def test_no_value_of_a_price_is_a_float(pricing: Pricing, started: datetime, seconds: Decimal) -> None:
    cost = rating.charge(from_tariff(to_tariff(pricing)), started, seconds)
    for value in (*_values(cost), *_values(from_tariff(to_tariff(pricing)))):
        assert not isinstance(value, float)


@some
@given(steps)
def test_steps_survive_their_cell(found: tuple[Step, ...]) -> None:
    assert parsed_steps(written_steps(found)) == found


@some
@given(calendars, starts)
def test_no_change_of_band_is_missed(calendar: Calendar, started: datetime) -> None:
    """Between an instant and the next that may change the band, it does not change."""
    change = calendar.next_change(started)
    assert started < change <= started + timedelta(days=1)
    span = change - started
    for share in range(8):
        assert calendar.band_at(started + span * share // 8) == calendar.band_at(started)
    assert calendar.band_at(change - timedelta(milliseconds=1)) == calendar.band_at(started) or span < timedelta(
        milliseconds=1
    )


@some
@given(st.sampled_from(PERIODS), starts, st.sampled_from(ZONES))
def test_a_period_ends_where_the_next_begins(period: str, at: datetime, name: str) -> None:
    zone = zone_of(name)
    begin, end = period_start(period, at, zone), period_end(period, at, zone)
    assert begin <= at < end
    assert period_start(period, end, zone) == end


@pytest.mark.parametrize("module", MONEY)
def test_no_module_of_money_knows_a_float(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float | complex)), ast.unparse(node)
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"{module}:{node.lineno}"
        assert not (isinstance(node, ast.Attribute) and node.attr in {"timestamp", "total_seconds"}), (
            f"{module}:{node.lineno}"
        )
        loads = isinstance(node, ast.Call) and ast.unparse(node.func) == "tomllib.loads"
        assert not loads or "parse_float=Decimal" in ast.unparse(node), f"{module}: TOML's own numbers are floats"


def _values(value: object) -> Iterator[object]:
    yield value
    if is_dataclass(value):
        for field in fields(value):
            yield from _values(getattr(value, field.name))
    elif isinstance(value, tuple | list | frozenset):
        for each in value:
            yield from _values(each)
