"""The provider's records against ours: a true copy has no finding, and each kind of difference has its name."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.rates import rating
from firmware.rates.rate import Rate
from firmware.rates.reconcile import Cause, Finding, Ours, Rules, Theirs, reconcile

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
FIXED = Rate("33", "France fixed", "EUR", Decimal("0.02"))  # by the begun minute
MOBILE = Rate("336", "France mobile", "EUR", Decimal("0.15"), first_increment=60, next_increment=1)
SECOND = Rate("44", "United Kingdom", "EUR", Decimal("0.019"), first_increment=1, next_increment=1)
FREE = Rate("1", "United States", "EUR", Decimal(0))
NUMBERS = {
    "+33142685300": FIXED,
    "+33142685301": FIXED,
    "+33612345678": MOBILE,
    "+442079460123": SECOND,
    "+12025550123": FREE,
}


def ours(record: int, at: datetime, number: str = "+33142685300", seconds: int = 61, ring: int = 4) -> Ours:
    rate = NUMBERS[number]
    cost = rating.price(rate, seconds)
    return Ours(
        id=record,
        number=number,
        started=at,
        answered=at + timedelta(seconds=ring),
        seconds=seconds,
        billed_seconds=cost.billed_seconds,
        cost=cost.amount,
        currency="EUR",
        destination=rate.destination,
        increment=rate.next_increment,
        per_minute=rate.per_minute,
    )


def copy(call: Ours, line: int = 0, *, billed: bool = False) -> Theirs:
    return Theirs(
        line=line or call.id + 2,
        number=call.number,
        started=call.answered or call.started,
        seconds=call.billed_seconds if billed else call.seconds,
        cost=call.cost,
        currency="EUR",
    )


def causes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.cause.value for finding in findings]


CALLS = st.lists(
    st.tuples(
        st.integers(0, 100_000),
        st.sampled_from(sorted(NUMBERS)),
        st.integers(1, 4000),
        st.integers(0, 60),
    ),
    max_size=40,
)


def house(drawn: list[tuple[int, str, int, int]]) -> list[Ours]:
    return [
        ours(record, START + timedelta(seconds=at), number, seconds, ring)
        for record, (at, number, seconds, ring) in enumerate(drawn)
    ]


@given(CALLS, st.sampled_from(["spoken", "billed"]), st.randoms(use_true_random=False))
def test_a_perfect_copy_has_no_finding_in_any_order(
    drawn: list[tuple[int, str, int, int]], duration: str, chance: random.Random
) -> None:
    calls = house(drawn)
    theirs = [copy(call, billed=duration == "billed") for call in calls]
    chance.shuffle(theirs)
    chance.shuffle(calls)
    found = reconcile(calls, theirs)
    assert found.findings == ()
    assert (found.matched, found.ours, found.theirs, found.hours) == (len(calls), len(calls), len(calls), 0)


@given(CALLS, st.integers(-40, 40), st.randoms(use_true_random=False))
def test_clocks_a_little_apart_are_no_finding_while_calls_keep_their_distance(
    drawn: list[tuple[int, str, int, int]], skew: int, chance: random.Random
) -> None:
    calls = house([(number * 7200 + at % 60, *more) for number, (at, *more) in enumerate(drawn)])  # type: ignore[misc]
    theirs = [replace(copy(call), started=call.started + timedelta(seconds=skew)) for call in calls]
    chance.shuffle(theirs)
    assert reconcile(calls, theirs).findings == ()


# --- planted differences, one after another among calls that are right -------------------------

Plant = Callable[[Ours, Theirs], list[Theirs]]


def threshold(call: Ours) -> int:
    return max(call.increment or 60, 3)


def stray(theirs: Theirs) -> Theirs:
    return replace(theirs, line=theirs.line + 5000, started=theirs.started + timedelta(hours=20, minutes=31))


def stretched(call: Ours, theirs: Theirs) -> Theirs:
    seconds = max(call.seconds, call.billed_seconds) + threshold(call) + 1
    return replace(theirs, seconds=seconds, cost=rating.price(NUMBERS[call.number], seconds).amount)


PLANTS: dict[str, Plant] = {
    "ours-only": lambda _call, _theirs: [],
    "theirs-only": lambda _call, theirs: [theirs, stray(theirs)],
    "double": lambda _call, theirs: [theirs, replace(theirs, line=theirs.line + 5000)],
    "other-number": lambda _call, theirs: [replace(theirs, number="+33899123456")],
    "clock": lambda _call, theirs: [replace(theirs, started=theirs.started + timedelta(hours=1))],
    "longer": lambda call, theirs: [stretched(call, theirs)],
    "shorter": lambda call, theirs: [replace(theirs, seconds=call.seconds - threshold(call) - 1, cost=None)],
    "dearer": lambda call, theirs: [replace(theirs, cost=(call.cost or Decimal(0)) + Decimal("1.23"))],
    "cheaper": lambda call, theirs: [replace(theirs, cost=(call.cost or Decimal(0)) - Decimal("1.23"))],
}


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(NUMBERS)), st.integers(400, 3000), st.sampled_from(["", *PLANTS])),
        min_size=1,
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_each_planted_difference_is_found_named_and_nothing_else(
    drawn: list[tuple[str, int, str]], chance: random.Random
) -> None:
    calls, theirs, planted = [], [], []
    # Most of a file is right: whether all of it is an hour off is a question of its own.
    for record, (number, seconds, plant) in enumerate([*drawn, *[("+33142685300", 500, "")] * (len(drawn) + 1)]):
        call = ours(record, START + timedelta(hours=50 * record), number, seconds)
        calls.append(call)
        theirs += PLANTS[plant](call, copy(call)) if plant else [copy(call)]
        if plant:
            planted.append(plant)
    chance.shuffle(theirs)
    first = reconcile(calls, theirs)
    assert sorted(causes(first.findings)) == sorted(planted)
    chance.shuffle(theirs)
    chance.shuffle(calls)
    assert reconcile(calls, theirs) == first


def test_a_whole_file_an_hour_off_is_told_as_its_clock_and_still_compared() -> None:
    calls = [ours(n, START + timedelta(hours=n), seconds=60 + n) for n in range(12)]  # the same number every hour
    theirs = [replace(copy(call), started=call.started - timedelta(hours=2)) for call in calls]
    theirs[4] = replace(theirs[4], cost=Decimal("9.99"))
    found = reconcile(calls, theirs)
    assert found.hours == -2
    assert causes(found.findings).count("clock") == 12
    assert causes(found.findings).count("dearer") == 1


def test_a_call_billed_although_nobody_answered_is_told() -> None:
    call = replace(ours(1, START), answered=None, seconds=0, billed_seconds=0, cost=None)
    bill = Theirs(7, call.number, START + timedelta(seconds=20), 12, cost=Decimal("0.02"), currency="EUR")
    (finding,) = reconcile([call], [bill]).findings
    assert (finding.cause, finding.ours, finding.money) == (Cause.NOT_ANSWERED, call, Decimal("0.02"))
    assert reconcile([call], []).findings == ()  # who was not answered is missing on no bill


def test_another_rate_is_one_for_all_calls_to_a_place_and_a_dear_call_is_alone() -> None:
    lengths = (61, 300, 1234)
    calls = [ours(n, START + timedelta(hours=n), "+33612345678", seconds) for n, seconds in enumerate(lengths)]
    calls += [ours(n + 9, START + timedelta(hours=n + 9), "+33142685300", seconds) for n, seconds in enumerate(lengths)]
    theirs = []
    for call in calls:
        bill = copy(call)
        if call.number == "+33612345678":  # 0.25 a minute where 0.15 was agreed: 61 s are 0.2542
            bill = replace(bill, cost=rating.price(replace(MOBILE, per_minute=Decimal("0.25")), call.seconds).amount)
        elif call.id == 9:
            bill = replace(bill, cost=Decimal("0.5"))
        theirs.append(bill)
    found = reconcile(calls, theirs)
    assert causes(found.findings) == ["other-rate", "other-rate", "other-rate", "dearer"]
    assert found.findings[0].money == Decimal("0.2542") - Decimal("0.1525")
    assert found.money() == {"EUR": sum(f.money for f in found.findings if f.money)}


def test_a_rate_that_the_file_tells_is_believed_for_one_call_alone() -> None:
    call = ours(1, START)
    bill = replace(copy(call), cost=Decimal("0.30"), rate=Decimal("0.15"))
    assert causes(reconcile([call], [bill]).findings) == ["other-rate"]
    same = replace(copy(call), cost=Decimal("0.30"), rate=Decimal("0.02"))
    assert causes(reconcile([call], [same]).findings) == ["dearer"]


def test_prices_before_tax_are_compared_with_the_tax_added() -> None:
    calls = [ours(n, START + timedelta(hours=n), "+33612345678", 61 + 60 * n) for n in range(8)]
    theirs = [
        replace(copy(call), cost=((call.cost or Decimal(0)) / Decimal("1.2")).quantize(Decimal("0.0001")))
        for call in calls
    ]
    theirs[3] = replace(theirs[3], cost=Decimal(5))
    found = reconcile(calls, theirs)
    assert found.without_tax == 20
    assert causes(found.findings) == ["dearer"]
    assert found.findings[0].money == Decimal(6) - (calls[3].cost or 0)


def test_masked_digits_fit_any_digit_and_nothing_else() -> None:
    call = ours(1, START)
    for number, wanted in (
        ("+33142685???", []),
        ("+3314268????", []),
        ("+3314269????", ["other-number"]),
        ("+33142685??", ["other-number"]),
    ):
        assert causes(reconcile([call], [replace(copy(call), number=number)]).findings) == wanted, number


def test_redialling_within_the_tolerance_is_paired_by_length() -> None:
    first, second = ours(1, START, seconds=10), ours(2, START + timedelta(seconds=40), seconds=200)
    theirs = [replace(copy(call), started=call.started + timedelta(seconds=35)) for call in (first, second)]
    assert reconcile([second, first], theirs).findings == ()


def test_one_increment_is_no_difference_and_one_second_more_is() -> None:
    call = ours(1, START, "+442079460123", 100)  # by the second: two clocks and a farewell have three seconds
    for more, wanted in ((3, []), (4, ["longer"]), (-3, []), (-4, ["shorter"])):
        theirs = replace(copy(call), seconds=call.seconds + more, cost=None)
        assert causes(reconcile([call], [theirs]).findings) == wanted, more
    minute = ours(2, START, "+33142685300", 61)  # billed 120
    for seconds, wanted in ((180, []), (181, ["longer"])):
        assert causes(reconcile([minute], [replace(copy(minute), seconds=seconds, cost=None)]).findings) == wanted
    # 0.04 was agreed; a minute more, 0.06, is one increment; a tenth of a cent above is a difference.
    for cost, wanted in (("0.06", []), ("0.061", ["dearer"]), ("0.02", []), ("0.019", ["cheaper"])):
        assert causes(reconcile([minute], [replace(copy(minute), cost=Decimal(cost))]).findings) == wanted, cost


def test_prices_rounded_to_the_cent_are_no_difference() -> None:
    call = ours(1, START, "+442079460123", 100)  # 0.0317
    bill = replace(copy(call), cost=Decimal("0.03"))
    assert reconcile([call], [bill], Rules(step=Decimal("0.01"))).findings == ()
    assert causes(reconcile([call], [bill], Rules(step=Decimal("0.0001"))).findings) == ["cheaper"]


def test_a_longer_call_that_is_dearer_for_that_alone_is_one_finding() -> None:
    call = ours(1, START, "+33612345678", 100)
    bill = replace(copy(call), seconds=400, cost=rating.price(MOBILE, 400).amount)
    (finding,) = reconcile([call], [bill]).findings
    assert (finding.cause, finding.seconds, finding.money) == (Cause.LONGER, 300, Decimal("0.75"))
    dear = reconcile([call], [replace(bill, cost=Decimal(8))])
    assert causes(dear.findings) == ["dearer", "longer"]
    assert dear.money() == {"EUR": Decimal("7.75")}  # told twice, counted once


def test_only_what_the_file_covers_can_be_missing_from_it() -> None:
    calls = [ours(n, START + timedelta(days=n)) for n in range(5)]
    rules = Rules(since=START + timedelta(days=1), until=START + timedelta(days=3))
    found = reconcile(calls, [copy(calls[1])], rules)
    assert [(f.cause, f.ours.id if f.ours else None) for f in found.findings] == [(Cause.OURS_ONLY, 2)]
    assert found.ours == 2


def test_two_currencies_are_counted_and_not_compared() -> None:
    call = ours(1, START)
    found = reconcile([call], [replace(copy(call), currency="USD", cost=Decimal(9))])
    assert (found.findings, found.other_currency) == ((), 1)


def test_a_file_without_a_currency_is_in_that_of_our_calls() -> None:
    call = ours(1, START)
    stranger = Theirs(9, "+33899123456", START + timedelta(hours=5), 60, cost=Decimal(3))
    found = reconcile([call], [replace(copy(call), currency=""), stranger])
    assert causes(found.findings) == ["theirs-only"]
    assert found.money() == {"EUR": Decimal(3)}


def test_the_hour_that_comes_twice_is_either_of_both() -> None:
    call = ours(1, datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    theirs = replace(copy(call), started=call.started - timedelta(hours=1), also=call.started)
    assert reconcile([call], [theirs]).findings == ()


@pytest.mark.parametrize("size", [20_000])
def test_a_file_that_fits_nowhere_is_read_to_its_end(size: int) -> None:
    calls = [ours(n, START + timedelta(seconds=n * 30)) for n in range(200)]
    theirs = [Theirs(n, "+33199999999", START + timedelta(seconds=n % 60), 60) for n in range(size)]
    found = reconcile(calls, theirs)
    assert len(found.findings) >= size
