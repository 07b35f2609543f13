"""What a call costs, with its arithmetic in the open."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.rates import rating
from firmware.rates.rate import Rate, from_micro, to_micro, written

D = Decimal
NOW = datetime(2026, 1, 1, tzinfo=UTC)
A_MONTH = 31 * 86_400


def rate(
    minute: str = "0", fee: str = "0", first: int = 60, following: int = 60, call: str = "0", minimum: str = "0"
) -> Rate:
    """A rate in euros."""
    return Rate("33", "Somewhere", "EUR", D(minute), D(fee), first, following, D(call), D(minimum))


@pytest.mark.parametrize(
    ("by", "seconds", "billed", "amount", "why"),
    [
        (rate("0.02"), 0, 0, "0.0000", "never answered"),
        (rate("0.02", fee="0.15", call="1", minimum="5"), 0, 0, "0.0000", "never answered: no fee either"),
        (rate("0.02"), 1, 60, "0.0200", "one begun minute"),
        (rate("0.02"), 60, 60, "0.0200", "one whole minute"),
        (rate("0.02"), 61, 120, "0.0400", "two begun minutes: 2 * 0.02"),
        (rate("0.02"), D("60.001"), 120, "0.0400", "a begun millisecond begins a minute"),
        (rate("0.02", first=1, following=1), 61, 61, "0.0203", "0.02 * 61 / 60 = 0.020333.."),
        (rate("0.02", first=30, following=6), 31, 36, "0.0120", "30 + ceil(1 / 6) * 6 = 36; 0.02 * 36 / 60"),
        (rate("0.02", first=30, following=6), 36, 36, "0.0120", "30 + ceil(6 / 6) * 6 = 36"),
        (rate("0.02", first=30, following=6), 37, 42, "0.0140", "30 + ceil(7 / 6) * 6 = 42"),
        (rate("0.06", first=60, following=1), 61, 61, "0.0610", "first minute indivisible, then by the second"),
        (rate("0.06", fee="0.15"), 90, 120, "0.2700", "0.15 + 0.06 * 2"),
        (rate("2.99", call="2.99"), 45, 60, "5.9800", "2.99 a call + 2.99 a minute"),
        (rate("0.02", minimum="0.10"), 61, 120, "0.1000", "0.04, but 0.10 at least"),
        (rate("0.02", minimum="0.10"), 600, 600, "0.2000", "0.20 is above the minimum"),
        (rate("0.0003", first=1, following=1), 10, 10, "0.0001", "0.0003 * 10 / 60 = 0.00005: half up"),
        (rate("0.000299", first=1, following=1), 10, 10, "0.0000", "0.0000498..: down"),
        (rate("0.99"), 3600, 3600, "59.4000", "an hour to Nauru"),
        (rate(first=1, following=1), 7200, 7200, "0.0000", "free"),
        (rate("10000", first=1, following=1), 86_400 * 31, 2_678_400, "446400000.0000", "no figure is too large"),
    ],
)
def test_a_call_costs_what_paper_says(by: Rate, seconds: Decimal | int, billed: int, amount: str, why: str) -> None:
    cost = rating.price(by, seconds)
    assert (cost.billed_seconds, f"{cost.amount:f}") == (billed, amount), why


prices = st.integers(0, 10**8).map(from_micro)
increments = st.integers(1, 3600)
rates = st.builds(
    lambda minute, fee, first, following, call, minimum: Rate(
        "33", "Somewhere", "EUR", minute, fee, first, following, call, minimum
    ),
    prices,
    prices,
    increments,
    increments,
    prices,
    prices,
)
durations = st.integers(0, 10**8).map(lambda ms: D(ms).scaleb(-3))


@given(rates, durations, durations)
def test_a_longer_call_never_costs_less(by: Rate, one: Decimal, other: Decimal) -> None:
    short, long = sorted((one, other))
    assert rating.price(by, short).exact <= rating.price(by, long).exact
    assert rating.price(by, short).amount <= rating.price(by, long).amount


@given(rates, durations)
def test_billed_seconds_cover_the_call_by_less_than_an_increment(by: Rate, seconds: Decimal) -> None:
    billed = rating.billed_seconds(by, seconds)
    assert billed >= seconds
    if seconds > by.first_increment:
        assert billed - seconds < by.next_increment
        assert (billed - by.first_increment) % by.next_increment == 0
    elif seconds > 0:
        assert billed == by.first_increment


@given(rates, durations)
def test_the_amount_is_the_exact_price_to_half_a_unit(by: Rate, seconds: Decimal) -> None:
    cost = rating.price(by, seconds)
    difference = Fraction(cost.amount) - cost.exact
    assert -Fraction(1, 20_000) < difference <= Fraction(1, 20_000)


@given(rates, st.integers(0, 10**9).map(lambda units: D(units).scaleb(-4)))
def test_the_longest_call_fits_the_budget_and_one_more_second_does_not(by: Rate, budget: Decimal) -> None:
    most = rating.max_seconds(by, budget)
    if most is None:
        assert rating.price(by, A_MONTH).amount <= budget
    else:
        assert rating.price(by, most).amount <= budget
        assert rating.price(by, most + 1).amount > budget


@given(rates, durations)
def test_a_tariff_kept_with_a_call_charges_what_the_rate_said(by: Rate, seconds: Decimal) -> None:
    kept = rating.to_tariff(by)
    assert rating.from_tariff(kept) == rating.Pricing((by,))
    assert rating.charge(rating.from_tariff(kept), NOW, seconds) == rating.price(by, seconds)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"prefix":"33"}', "null", "not json"])
def test_a_spoilt_tariff_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"tariff|JSON|Expecting"):
        rating.from_tariff(text)


@given(st.integers(0, 10**10))
def test_prices_survive_storage(micro: int) -> None:
    price = from_micro(micro)
    assert to_micro(price) == micro
    assert D(written(price)) == price
    assert "E" not in written(price)
    assert len(written(price).partition(".")[2]) >= 4


def test_a_price_with_seven_decimals_is_not_rounded_in_silence() -> None:
    with pytest.raises(ValueError, match="more than 6 decimals"):
        to_micro(D("0.0000001"))


def test_free_means_that_nothing_can_cost() -> None:
    assert rate().free
    for by in (rate("0.000001"), rate(fee="0.01"), rate(call="0.01"), rate(minimum="0.01")):
        assert not by.free
