"""Calls and what they cost, with the sum written out beside each: intervals, bands, bundles, rounding, splits."""

# ruff: noqa: E501 - a vector a line

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest

from firmware.rates import rating
from firmware.rates.bands import Band, Calendar
from firmware.rates.bundle import Bundle, BundleState
from firmware.rates.holidays import NATIONAL, easter
from firmware.rates.pricing import Pricing, from_tariff, to_tariff
from firmware.rates.rate import Rate, Step
from firmware.rates.terms import Rounding, Tax, Terms

D = Decimal


def rate(minute: str, first: int = 1, following: int = 1, **more: object) -> Rate:
    return replace(Rate("33", "France", "EUR", D(minute), first_increment=first, next_increment=following), **more)  # type: ignore[arg-type]


def paris(text: str) -> datetime:
    """A stamp with its offset, as UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


class Vector(NamedTuple):
    """One call: `pricing`, its beginning, its seconds; seconds billed and the amount; the sum in words."""

    pricing: Pricing
    started: str
    seconds: str
    billed: int
    amount: str
    sum: str


NOON = "2026-11-24T12:00+01:00"  # a Tuesday

# The first minute dear and whole, then 1 c by the second, after an hour 6 c by the minute.
STEPPED = Pricing((rate("0.10", 60, 60, steps=(Step(60, D("0.01"), 1), Step(3600, D("0.06"), 60))),))
# A step that begins within an interval: that interval ends as it began.
ODD = Pricing((rate("0.10", 60, 60, steps=(Step(90, D("0.02"), 30),)),))
GRACE = Pricing((rate("0.06", 60, 60, grace_seconds=5, connection_fee=D("0.10")),))
FLOOR = Pricing((rate("0.01", minimum=D("0.05")),))
# 0892: 35 c a minute for the service, 2 c for the call; 118: 1 EUR a call for the service, of 1.05.
SVA = Pricing((rate("0.37", 60, 60, service_per_minute=D("0.35")),))
DIRECTORY = Pricing(
    (rate("0.50", 60, 60, per_call=D("1.05"), service_per_call=D("1.00"), service_per_minute=D("0.48")),)
)

INTERVALS = (
    Vector(STEPPED, NOON, "1", 60, "0.1000", "60 s of the first minute: 0.10"),
    Vector(STEPPED, NOON, "61", 61, "0.1002", "0.10 + 1 s * 0.01/60 = 0.100166.. -> 0.1002"),
    Vector(STEPPED, NOON, "3600", 3600, "0.6900", "0.10 + 3540 s * 0.01/60 = 0.10 + 0.59"),
    Vector(STEPPED, NOON, "3601", 3660, "0.7500", "0.69 + one begun minute of 0.06"),
    Vector(ODD, NOON, "61", 120, "0.2000", "2 begun minutes: the step has not begun"),
    Vector(ODD, NOON, "120", 120, "0.2000", "the minute from 60 on was begun before second 90: 2 * 0.10"),
    Vector(ODD, NOON, "121", 150, "0.2100", "2 * 0.10 + one half minute of 0.02"),
    Vector(GRACE, NOON, "5", 0, "0.0000", "no longer than the grace: nothing"),
    Vector(GRACE, NOON, "5.001", 60, "0.1600", "beyond it everything: 0.10 + 0.06"),
    Vector(FLOOR, NOON, "1", 1, "0.0500", "0.01/60, but 0.05 at least"),
    Vector(FLOOR, NOON, "300", 300, "0.0500", "300 * 0.01/60 = 0.05"),
    Vector(FLOOR, NOON, "301", 301, "0.0502", "301 * 0.01/60 = 0.050166.."),
    Vector(SVA, NOON, "90", 120, "0.7400", "2 * 0.37"),
    Vector(DIRECTORY, NOON, "90", 120, "2.0500", "1.05 + 2 * 0.50"),
)

WEEK = (0, 1, 2, 3, 4)
PEAK = Band("peak", WEEK, 8 * 60, 19 * 60, "never")
OFF = Band("off")
BANDS = (rate("0.06", band="peak"), rate("0.03", band="off"))
FRENCH = Calendar((PEAK, OFF), "Europe/Paris", frozenset({date(2026, 5, 1), date(2026, 7, 14)}))
DAYTIME = Pricing(BANDS, calendar=FRENCH)
MINUTES = Pricing((rate("0.06", 60, 60, band="peak"), rate("0.03", 60, 60, band="off")), calendar=FRENCH)
NEW_YORK = Pricing(BANDS, calendar=replace(FRENCH, zone="America/New_York"))
NIGHT = Calendar((Band("night", WEEK, 22 * 60, 6 * 60),), "Europe/Paris")
NIGHTLY = Pricing((rate("0.06"), rate("0.012", band="night")), calendar=NIGHT)
# A band that begins in the hour that the clock skips in March and repeats in October.
EARLY = Calendar((Band("early", start=2 * 60 + 30, end=5 * 60),), "Europe/Paris")
SUMMER = Pricing((rate("0.06"), rate("0.60", band="early")), calendar=EARLY)

SPLITS = (
    Vector(DAYTIME, NOON, "60", 60, "0.0600", "a Tuesday at noon"),
    Vector(DAYTIME, "2026-11-24T18:59+01:00", "120", 120, "0.0900", "60 s peak + 60 s off: 0.06 + 0.03"),
    Vector(DAYTIME, "2026-11-24T18:59:59.500+01:00", "2", 2, "0.0015", "the second begun in the peak is peak, and the"
           " next begins off: 0.06/60 + 0.03/60"),
    Vector(DAYTIME, "2026-11-24T07:59:30+01:00", "60", 60, "0.0450", "30 s off + 30 s peak: 0.015 + 0.03"),
    Vector(MINUTES, "2026-11-24T18:59:30+01:00", "61", 120, "0.0900", "a minute is priced where it begins: 0.06 + 0.03"),
    Vector(MINUTES, "2026-11-24T18:58:30+01:00", "61", 120, "0.1200", "both begin in the peak, though one ends out of it"),
    Vector(DAYTIME, "2026-11-28T12:00+01:00", "60", 60, "0.0300", "a Saturday"),
    Vector(DAYTIME, "2026-07-14T12:00+02:00", "60", 60, "0.0300", "a holiday, though a Tuesday"),
    Vector(DAYTIME, "2026-07-13T18:59:30+02:00", "86460", 86460, "43.2450", "30 s peak 0.03, then off until the 15th at"
           " 8: 86430 s * 0.03/60 = 43.215; the holiday between has no peak"),
    Vector(NEW_YORK, "2026-11-24T12:00+01:00", "60", 60, "0.0300", "6 in the morning there"),
    Vector(NEW_YORK, "2026-11-24T20:00+01:00", "60", 60, "0.0600", "14 o'clock there"),
    Vector(NIGHTLY, "2026-11-24T21:59+01:00", "120", 120, "0.0720", "0.06 + 0.012"),
    Vector(NIGHTLY, "2026-11-28T01:00+01:00", "60", 60, "0.0120", "Saturday at 1: Friday's night"),
    Vector(NIGHTLY, "2026-11-30T01:00+01:00", "60", 60, "0.0600", "Monday at 1: Sunday has no night"),
    Vector(SUMMER, "2026-03-29T01:59+01:00", "120", 120, "0.6600", "at 2 it is 3, within the band: 0.06 + 0.60"),
    Vector(SUMMER, "2026-10-25T02:29+02:00", "2040", 2040, "18.2400", "60 s at 0.06, 1800 s at 0.60 = 18.00 until the clock"
           " shows 2 again, 180 s at 0.06 = 0.18: 0.06 + 18.00 + 0.18"),
)  # fmt: skip

HOUR = Bundle("hour", minutes=60)
FLAT = Bundle("flat", max_call_seconds=3 * 3600, max_numbers=99)
PER_MINUTE = rate("0.06", 60, 60, connection_fee=D("0.10"))
LAST_MINUTE = Pricing((PER_MINUTE,), bundle=HOUR, state=BundleState(90))
EMPTY = Pricing((PER_MINUTE,), bundle=HOUR, state=BundleState(0))
UNLIMITED = Pricing((PER_MINUTE,), bundle=FLAT, state=BundleState(None, 5))
HUNDREDTH = Pricing((PER_MINUTE,), bundle=FLAT, state=BundleState(None, 0))
KNOWN = Pricing((PER_MINUTE,), bundle=FLAT, state=BundleState(None, 0, number_known=True))
SVA_BUNDLE = Pricing(SVA.rates, bundle=HOUR, state=BundleState(3600))
EVENING = Pricing(
    (rate("0.06"),), calendar=Calendar((PEAK, OFF)), bundle=replace(HOUR, bands=("off",)), state=BundleState(3600)
)

BUNDLES = (
    Vector(LAST_MINUTE, NOON, "90", 90, "0.0000", "within what is left"),
    Vector(
        LAST_MINUTE, NOON, "91", 150, "0.0600", "90 s by the bundle, then one begun minute; no fee: it began within"
    ),
    Vector(LAST_MINUTE, NOON, "151", 210, "0.1200", "90 s, then two begun minutes"),
    Vector(EMPTY, NOON, "61", 120, "0.2200", "0.10 + 2 * 0.06"),
    Vector(EMPTY, "2026-11-30T23:59+01:00", "180", 180, "0.1600", "0.10 + 0.06 until the month ends; the next is full"),
    Vector(LAST_MINUTE, "2026-11-30T23:59+01:00", "3660", 3660, "0.0000", "60 of 90 s, and the next month's hour"),
    Vector(LAST_MINUTE, "2026-11-30T23:59+01:00", "3661", 3720, "0.0600", "and a minute beyond it"),
    Vector(UNLIMITED, NOON, "10800", 10800, "0.0000", "3 h"),
    Vector(UNLIMITED, NOON, "10801", 10860, "0.0600", "3 h, and a minute"),
    Vector(HUNDREDTH, NOON, "60", 60, "0.1600", "the hundredth number of the month"),
    Vector(KNOWN, NOON, "60", 60, "0.0000", "one of the 99"),
    Vector(SVA_BUNDLE, NOON, "90", 120, "0.7000", "the call is covered, its service is not: 2 * 0.35"),
    Vector(EVENING, "2026-11-24T18:59+01:00", "120", 120, "0.0600", "60 s in the peak, then covered"),
    Vector(EVENING, "2026-11-24T07:59+01:00", "120", 120, "0.0600", "covered for 60 s, then peak"),
)


def by(mode: str, decimals: int, place: str = "call", **more: object) -> Terms:
    return replace(Terms(Rounding(mode, decimals, place)), **more)  # type: ignore[arg-type]


SECONDS = rate("0.07")  # 0.07/60 = 0.0011666.. a second
TERMS = (
    Vector(Pricing((SECONDS,), by("half-up", 2)), NOON, "30", 30, "0.0400", "0.035 -> 0.04"),
    Vector(Pricing((SECONDS,), by("half-even", 2)), NOON, "30", 30, "0.0400", "0.035 -> 0.04, to the even cent"),
    Vector(Pricing((rate("0.05"),), by("half-even", 2)), NOON, "30", 30, "0.0200", "0.025 -> 0.02, to the even cent"),
    Vector(Pricing((SECONDS,), by("up", 2)), NOON, "1", 1, "0.0100", "0.00117 -> 0.01"),
    Vector(Pricing((SECONDS,), by("down", 2)), NOON, "59", 59, "0.0600", "0.0688 -> 0.06"),
    Vector(Pricing((SECONDS,), by("up", 0)), NOON, "1", 1, "1.0000", "a begun euro"),
    Vector(Pricing((SECONDS,), by("up", 4, "interval")), NOON, "10", 10, "0.0120", "10 * 0.0012, each second rounded up"),
    Vector(Pricing((SECONDS,), by("up", 4)), NOON, "10", 10, "0.0117", "0.011666.. rounded up once"),
    Vector(Pricing((rate("0.10", 60, 60),), Terms(tax=Tax(D(20), included=False))), NOON, "61", 120, "0.2400",
           "2 * 0.10 * 1.20"),
    Vector(Pricing((rate("0.12", 60, 60),), Terms(tax=Tax(D(20)))), NOON, "61", 120, "0.2400", "tax is in: 2 * 0.12"),
    Vector(Pricing((rate("0.05", 60, 60),), Terms(exchange=D("0.92"), currency="EUR")), NOON, "60", 60, "0.0460",
           "0.05 * 0.92"),
    Vector(Pricing((rate("0.0333", 60, 60),), by("up", 2, exchange=D("0.92"), currency="EUR")), NOON, "60", 60, "0.0368",
           "the provider's 0.04, then * 0.92"),
)  # fmt: skip


@pytest.mark.parametrize("vector", [*INTERVALS, *SPLITS, *BUNDLES, *TERMS], ids=lambda vector: vector.sum[:60])
def test_a_call_costs_what_paper_says(vector: Vector) -> None:
    pricing, started = vector.pricing, paris(vector.started)
    cost = rating.charge(pricing, started, D(vector.seconds))
    assert (cost.billed_seconds, f"{cost.amount:f}") == (vector.billed, vector.amount), vector.sum
    assert sum(part.exact for part in cost.parts) == cost.exact
    assert sum(part.billed for part in cost.parts) == cost.billed_seconds
    assert rating.charge(from_tariff(to_tariff(pricing)), started, D(vector.seconds)) == cost, "kept with the call"


def test_the_parts_of_a_split_call_say_when_and_by_what() -> None:
    cost = rating.charge(LAST_MINUTE, paris("2026-11-30T23:59+01:00"), 3661)
    told = [(str(part.begins), str(part.ends), part.bundle, part.billed) for part in cost.parts]
    assert told == [("0.000", "3660.000", "hour", 3660), ("3660.000", "3661.000", None, 60)]
    assert (cost.bundle, cost.bundle_seconds) == ("hour", 3660)
    cost = rating.charge(DAYTIME, paris("2026-11-24T18:59+01:00"), 120)
    assert [(str(part.begins), str(part.ends), part.band) for part in cost.parts] == [
        ("0.000", "60.000", "peak"),
        ("60.000", "120.000", "off"),
    ]


def test_the_price_of_a_service_is_told_apart() -> None:
    assert rating.charge(SVA, paris(NOON), 90).service == D("0.7000")  # 2 * 0.35 of 0.74
    assert rating.charge(DIRECTORY, paris(NOON), 90).service == D("1.9600")  # 1.00 + 2 * 0.48 of 2.05


def test_tax_is_told_whether_it_was_in_or_not() -> None:
    out, within = TERMS[8].pricing, TERMS[9].pricing
    assert rating.charge(out, paris(NOON), 61).tax == D("0.0400")  # 0.24 * 20/120
    assert rating.charge(within, paris(NOON), 61).tax == D("0.0400")


def test_a_dollar_price_keeps_the_providers_amount_beside_ours() -> None:
    cost = rating.charge(TERMS[11].pricing, paris(NOON), 60)
    assert (cost.currency, cost.amount, cost.original) == ("EUR", D("0.0368"), D("0.0400"))


def test_a_clock_that_jumps_while_a_call_is_up_changes_nothing() -> None:
    """The beginning is a stamp and the length is monotonic: the split is their sum, whatever clocks show at the end."""
    before = rating.charge(DAYTIME, paris("2026-11-24T18:59+01:00"), D("119.250"))
    assert [(part.band, part.ends - part.begins) for part in before.parts] == [("peak", D(60)), ("off", D("59.250"))]


@pytest.mark.parametrize(
    ("pricing", "money", "longest", "why"),
    [
        (STEPPED, "0.09", 0, "not even the first minute"),
        (STEPPED, "0.10", 60, "the first minute"),
        (STEPPED, "0.69", 3600, "0.10 + 59 minutes of 0.01"),
        (STEPPED, "0.74", 3600, "the next minute costs 0.06"),
        (GRACE, "0.15", 5, "a call within its grace costs nothing"),
        (GRACE, "0.16", 60, "0.10 + 0.06"),
        (LAST_MINUTE, "0", 90, "what the bundle has left"),
        (LAST_MINUTE, "0.06", 150, "and a minute"),
        (EMPTY, "0.16", 60, "no bundle: fee and a minute"),
        (KNOWN, "0", 10800, "three hours"),
        (DAYTIME, "0.03", 30, "30 s of the peak"),
        (Pricing((rate("0"),)), "0", None, "free: no end"),
        (Pricing((rate("0", per_call=D("0.20")),)), "0.20", None, "a price a call: no end"),
        (Pricing((rate("0", per_call=D("0.20")),)), "0.19", 0, "which is too dear"),
    ],
)
def test_the_longest_call_that_money_pays_for(pricing: Pricing, money: str, longest: int | None, why: str) -> None:
    assert rating.longest(pricing, paris(NOON), D(money)) == longest, why


def test_a_call_that_no_row_prices_is_no_free_call() -> None:
    with pytest.raises(ValueError, match="no rate holds"):
        rating.charge(Pricing((rate("0.06", band="peak"),), calendar=FRENCH), paris("2026-11-28T12:00+01:00"), 60)


@pytest.mark.parametrize(
    ("year", "days"),
    [
        (2010, "01-01 04-05 05-01 05-08 05-13 05-24 07-14 08-15 11-01 11-11 12-25"),
        (2024, "01-01 04-01 05-01 05-08 05-09 05-20 07-14 08-15 11-01 11-11 12-25"),
        (2026, "01-01 04-06 05-01 05-08 05-14 05-25 07-14 08-15 11-01 11-11 12-25"),
        (2027, "01-01 03-29 05-01 05-06 05-08 05-17 07-14 08-15 11-01 11-11 12-25"),
    ],
)
def test_french_holidays_are_those_of_the_calendar(year: int, days: str) -> None:
    found = NATIONAL["FR"].between(date(year, 1, 1), date(year, 12, 31))
    assert sorted(day.strftime("%m-%d") for day in found) == days.split()


def test_easter_is_where_tables_have_it() -> None:
    known = ((1961, 4, 2), (2010, 4, 4), (2011, 4, 24), (2026, 4, 5), (2038, 4, 25), (2285, 3, 22))
    assert [easter(year) for year, _, _ in known] == [date(*day) for day in known]
