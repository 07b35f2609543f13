"""Bars and caps: who may call what, and that no cap is ever passed by more than a unit of the tariff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware import numbering
from firmware.rates import budget, rating
from firmware.rates.budget import (
    LATE_SECONDS,
    UNASKED,
    Asked,
    Cap,
    Numbers,
    PinRights,
    Refusal,
    Rules,
    judge,
    parse_cap,
    parse_caps,
    parse_number,
    parse_numbers,
    parse_scope,
)
from firmware.rates.rate import Rate
from firmware.rates.usage import EVERYTHING, Entry, Hold, Period, Scope, ScopeKind, Usage

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 7, 15, 12, tzinfo=PARIS)
TWO_CENTS = Rate("33", "France", "EUR", Decimal("0.02"))


def asked(rate: Rate = TWO_CENTS, **more: object) -> Asked:
    plain: dict[str, object] = {"kind": "fixed", "forms": ("+33142685300", "0142685300"), "line": 1, "at": NOON}
    plain |= {
        "free": rate.free,
        "longest": lambda money: rating.max_seconds(rate, money),
        "cost": lambda seconds: rating.price(rate, seconds).amount,
    }
    return Asked(**(plain | more))  # type: ignore[arg-type]


def spent(money: str = "0", seconds: int = 0, **more: object) -> Usage:
    usage = Usage(PARIS)
    one: dict[str, object] = {"started": NOON, "kind": "fixed", "line": 1, "money": Decimal(money), "seconds": seconds}
    usage.add(Entry(**(one | more)))  # type: ignore[arg-type]
    return usage


def capped(*caps: str, **more: object) -> Rules:
    return Rules(caps=parse_caps(caps), **more)  # type: ignore[arg-type]


# --- bars --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [("premium", Refusal.PREMIUM), ("satellite", Refusal.SATELLITE), ("unknown", Refusal.UNKNOWN)],
)
def test_premium_satellite_and_unknown_are_refused_until_allowed(kind: str, refusal: Refusal) -> None:
    call = asked(kind=kind)
    assert judge(Rules(), Usage(PARIS), call).refusal is refusal
    assert judge(Rules(classes=frozenset({kind})), Usage(PARIS), call).refusal is None
    assert judge(Rules(numbers=Numbers(("+33142685300",))), Usage(PARIS), call).refusal is None
    assert judge(Rules(numbers=Numbers(("0142*",))), Usage(PARIS), call).refusal is None
    assert judge(Rules(numbers=Numbers(("+331426853001", "0143*"))), Usage(PARIS), call).refusal is refusal


def test_a_number_that_the_decks_do_not_know_is_an_unknown_destination() -> None:
    assert judge(Rules(), Usage(PARIS), asked(priced=False)).refusal is Refusal.UNKNOWN
    assert judge(Rules(classes=frozenset({"unknown"})), Usage(PARIS), asked(priced=False)).refusal is Refusal.CLASS
    both = frozenset({"unknown", "fixed"})
    assert judge(Rules(classes=both), Usage(PARIS), asked(priced=False)).refusal is None


def test_a_box_without_decks_calls_what_it_likes_until_money_is_capped() -> None:
    unpriced = asked(priced=False, has_deck=False, longest=lambda _money: None, cost=lambda _seconds: Decimal(0))
    assert judge(capped("all day 60min"), Usage(PARIS), unpriced).max_seconds == 3600
    assert judge(capped("class:mobile day 5"), Usage(PARIS), unpriced).refusal is None
    assert judge(capped("all day 5"), Usage(PARIS), unpriced).refusal is Refusal.UNKNOWN


def test_a_household_may_bar_what_is_allowed_at_first() -> None:
    assert judge(Rules(classes=frozenset({"fixed"})), Usage(PARIS), asked(kind="mobile")).refusal is Refusal.CLASS


def test_a_pin_opens_what_it_allows_and_nothing_else() -> None:
    rules = Rules(
        pins=(
            PinRights("parents", frozenset({"premium"})),
            PinRights("Zoé", numbers=Numbers(("0892700000",))),
        )
    )
    premium = asked(kind="premium", forms=("+33899123456", "0899123456"))
    assert judge(rules, Usage(PARIS), premium).needs_pin
    assert judge(rules, Usage(PARIS), premium).refusal is None
    assert judge(rules, Usage(PARIS), replace(premium, pin="parents")).refusal is None
    assert judge(rules, Usage(PARIS), replace(premium, pin="Zoé")).refusal is Refusal.PREMIUM
    assert judge(rules, Usage(PARIS), replace(premium, pin="nobody")).refusal is Refusal.PREMIUM
    zoes = replace(premium, forms=("+33892700000", "0892700000"), pin="Zoé")
    assert judge(rules, Usage(PARIS), zoes).refusal is None
    assert judge(rules, Usage(PARIS), replace(premium, kind="satellite")).refusal is Refusal.SATELLITE


@pytest.mark.parametrize("kind", ["emergency", "free"])
def test_emergencies_and_free_numbers_have_no_bar_and_no_cap_whatever_is_broken(kind: str) -> None:
    nothing = Rules(caps=(Cap(EVERYTHING, Period.DAY, Decimal(0), 0),), classes=frozenset(), longest_seconds=0)
    for usage in (None, spent("99", 9999)):
        assert judge(nothing, usage, asked(kind=kind, priced=False)) == UNASKED


def test_a_call_that_cannot_cost_anything_has_no_cap_even_where_nothing_can_be_read() -> None:
    free = asked(replace(TWO_CENTS, per_minute=Decimal(0)))
    assert judge(capped("all day 0 0min", longest_seconds=60), None, free) == UNASKED


def _ways(number: str) -> list[str]:
    """A French number's ways into the network, by E.164."""
    national = "0" + number[3:]
    abroad = "0033" + number[3:]
    return [*(code + way for code in ("", "*31*", "#31#") for way in (national, abroad, national + "#")), abroad + "#"]


@given(
    st.sampled_from(["81", "82", "89", "97", "36", "80"]).flatmap(
        lambda head: st.integers(0, 10**6 - 1).map(lambda rest: f"+338{head[1]}{rest:06d}9"[:12])
    ),
)
def test_no_way_of_dialling_gets_round_a_bar(number: str) -> None:
    from firmware.telephony.services import HideNumber, PlainNumber, ShowNumber, understand  # noqa: PLC0415

    rules = Rules()
    verdicts = set()
    for way in _ways(number):
        action = understand(way)
        wanted = action.digits if isinstance(action, HideNumber | ShowNumber | PlainNumber) else way
        dialled = numbering.analyse(wanted, "FR")
        forms = (dialled.e164 or dialled.digits, numbering.display(dialled.e164 or dialled.digits))
        verdicts.add((judge(rules, Usage(PARIS), asked(kind=dialled.kind.value, forms=forms)).refusal, dialled.kind))
    assert len(verdicts) == 1, f"{number}: {verdicts}"


@pytest.mark.parametrize(
    "text",
    ["0892700000", "0 892 70 00 00", "+33892700000", "+33 (0)892 70 00 00", "0033892700000", "tel:+33892700000"],
)
def test_no_way_of_writing_gets_round_a_bar(text: str) -> None:
    assert numbering.parse_number(text, "FR").kind is numbering.NumberClass.PREMIUM


@pytest.mark.parametrize(
    "text", ["%2B33892700000", "0892700000%23", "+33892700000;phone-context=x", "０８９２７０００００"]
)
def test_what_is_no_number_is_no_call(text: str) -> None:
    assert numbering.parse_number(text, "FR").status is numbering.Completeness.INVALID


# --- caps --------------------------------------------------------------------------------------


def test_a_call_may_last_as_long_as_the_tightest_cap_pays_for() -> None:
    usage = spent("19.90", 3000)
    verdict = judge(capped("all month 20.00", "line:1 day 60min"), usage, asked())
    assert verdict.max_seconds == 300  # ten cents, at two a minute
    assert (verdict.remaining, verdict.remaining_seconds) == (Decimal("0.10"), 600)
    assert verdict.money == Decimal("0.12"), "cut a second late it costs a minute more"
    assert str(verdict.cap) == "all month 20.00"
    assert judge(capped("all month 20.00", "line:1 day 54min"), usage, asked()).max_seconds == 240


@pytest.mark.parametrize(
    ("cap", "refusal"),
    [("all day 1", Refusal.DAY), ("class:fixed week 1", Refusal.WEEK), ("line:1 month 5min", Refusal.MONTH)],
)
def test_a_used_up_budget_says_which(cap: str, refusal: Refusal) -> None:
    verdict = judge(capped(cap), spent("1", 300), asked())
    assert (verdict.refusal, verdict.max_seconds, str(verdict.cap)) == (refusal, 0, str(parse_cap(cap)))


def test_a_cap_holds_for_its_own_class_line_and_pin_alone() -> None:
    rules = capped("class:mobile day 0", "line:2 day 0", "pin:Zoé day 0")
    assert judge(rules, Usage(PARIS), asked()).max_seconds is None
    for change in ({"kind": "mobile"}, {"line": 2}, {"pin": "Zoé"}):
        assert judge(rules, Usage(PARIS), asked(**change)).refusal is Refusal.DAY


def test_what_was_spent_before_the_records_can_be_read_is_not_guessed() -> None:
    verdict = judge(capped("class:mobile month 5"), None, asked(kind="mobile"))
    assert (verdict.refusal, verdict.max_seconds) == (Refusal.UNREADABLE, 0)
    assert judge(capped("class:mobile month 5"), None, asked()).refusal is None


def test_the_running_call_that_asks_again_does_not_stand_in_its_own_way() -> None:
    usage = Usage(PARIS)
    usage.hold(5, Hold(call=Entry(started=NOON, kind="fixed", line=1), money=Decimal(1), seconds=3000))
    assert judge(capped("all day 1"), usage, asked()).refusal is Refusal.DAY
    assert judge(capped("all day 1"), usage, asked(), but=5).max_seconds == 3000


def test_a_price_per_call_is_held_as_what_it_is() -> None:
    per_call = replace(TWO_CENTS, per_minute=Decimal(0), per_call=Decimal("0.15"))
    verdict = judge(capped("all day 1"), Usage(PARIS), asked(per_call))
    assert (verdict.max_seconds, verdict.money) == (None, Decimal("0.1500"))
    assert judge(Rules(), Usage(PARIS), asked()).money == Decimal("892.8000"), "two cents a minute for a month"
    assert judge(capped("all day 0.14"), Usage(PARIS), asked(per_call)).refusal is Refusal.DAY


def test_no_call_lasts_longer_than_the_household_lets_any() -> None:
    assert judge(Rules(longest_seconds=3600), Usage(PARIS), asked()).max_seconds == 3600


class Household(RuleBasedStateMachine):
    """Four lines, several caps, calls of several prices: placed, hung up, cut late, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.usage = Usage(PARIS)
        self.now = datetime(2026, 10, 24, 18, tzinfo=UTC)
        self.up: dict[int, tuple[Entry, Rate, int | None, datetime]] = {}
        self.ended: list[Entry] = []
        self.units: dict[str, Decimal] = {}
        self.key = 0

    @initialize(
        caps=st.lists(
            st.sampled_from(
                [
                    "all day 1.00",
                    "all month 1.50",
                    "class:mobile day 0.30 20min",
                    "line:1 day 0.50",
                    "line:2 week 30min",
                ]
            ),
            min_size=1,
            unique=True,
        ),
        longest=st.sampled_from([None, 600]),
    )
    def decide(self, caps: list[str], longest: int | None) -> None:
        self.household = Rules(caps=parse_caps(caps), longest_seconds=longest)

    @rule(
        line=st.integers(1, 4),
        kind=st.sampled_from(["fixed", "mobile"]),
        cents=st.sampled_from(["0.02", "0.10", "0.2999"]),
        first=st.sampled_from([1, 30, 60]),
        following=st.sampled_from([1, 6, 60]),
        fee=st.sampled_from(["0", "0.05"]),
    )
    def place(self, line: int, kind: str, cents: str, first: int, following: int, fee: str) -> None:
        rate = Rate("33", "x", "EUR", Decimal(cents), Decimal(fee), first, following)
        verdict = judge(self.household, self.usage, asked(rate, kind=kind, line=line, at=self.now))
        if verdict.refusal is not None:
            return
        self.key += 1
        call = Entry(started=self.now, kind=kind, line=line)
        self.usage.hold(self.key, Hold(call=call, money=verdict.money, seconds=verdict.seconds))
        self.up[self.key] = (call, rate, verdict.max_seconds, self.now)

    @rule(seconds=st.sampled_from([1, 59, 600, 3600, 8 * 3600]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        for key, (_, _, most, since) in list(self.up.items()):
            if most is not None and self.now - since >= timedelta(seconds=most):
                self.end(key, most + LATE_SECONDS)

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.up)))
        self.end(key, int((self.now - self.up[key][3]).total_seconds()))

    def end(self, key: int, seconds: int) -> None:
        call, rate, _, _ = self.up.pop(key)
        entry = replace(call, money=rating.price(rate, seconds).amount, seconds=seconds)
        self.usage.release(key)
        self.usage.add(entry)
        self.ended.append(entry)

    @invariant()
    def no_cap_is_passed_by_more_than_a_unit(self) -> None:
        for cap in getattr(self, "household", Rules()).caps:
            for at in {entry.started for entry in self.ended}:
                come_to = self.usage.spent(cap.scope, cap.period, at)
                unit = Decimal("0.2999")  # a minute of the dearest
                if cap.money is not None:
                    assert come_to.money <= cap.money + unit, cap
                if cap.seconds is not None:
                    assert come_to.seconds <= cap.seconds + LATE_SECONDS, cap

    @invariant()
    def seeding_is_as_good_as_having_been_there(self) -> None:
        seeded = Usage(PARIS)
        seeded.seed(reversed(self.ended))
        for period in Period:
            was = self.usage.spent(EVERYTHING, period, self.now)
            assert seeded.spent(EVERYTHING, period, self.now) == replace(was, held_money=Decimal(0), held_seconds=0)


TestHousehold = Household.TestCase
TestHousehold.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# --- as people write them ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("all month 20.00", Cap(EVERYTHING, Period.MONTH, Decimal("20.00"))),
        ("all month 20,00", Cap(EVERYTHING, Period.MONTH, Decimal("20.00"))),
        ("line:2 day 60min", Cap(Scope(ScopeKind.LINE, "2"), Period.DAY, None, 3600)),
        ("class:premium Week 5 10 min", Cap(Scope(ScopeKind.CLASS, "premium"), Period.WEEK, Decimal(5), 600)),
        ("pin:Petite Zoé day 90min 1.5", Cap(Scope(ScopeKind.PIN, "Petite Zoé"), Period.DAY, Decimal("1.5"), 5400)),
    ],
)
def test_a_cap_is_read_as_people_write_it_and_written_as_it_is_read(text: str, cap: Cap) -> None:
    assert parse_cap(text) == cap
    assert parse_cap(str(cap)) == cap


@pytest.mark.parametrize(
    ("reader", "text", "says"),
    [
        (parse_cap, "", "is no cap"),
        (parse_cap, "all month", "is no cap"),
        (parse_cap, "all year 5", "is no cap"),
        (parse_cap, "all month 5 6", "two amounts"),
        (parse_cap, "all month 5min 6min", "minutes are said twice"),
        (parse_cap, "all month 20.00001", "is no cap"),
        (parse_cap, "all month 5000000", "more than anybody spends"),
        (parse_cap, "all month 999999min", "at most 44640"),
        (parse_cap, "all month 1e5", "is no cap"),
        (parse_cap, "class:free day 5", "no class 'free' can be capped"),
        (parse_cap, "class:emergency day 0", "no class 'emergency' can be capped"),
        (parse_scope, "line:12", "is neither all"),
        (parse_scope, "pin:", "is neither all"),
        (parse_number, "00*", "is no number"),
        (parse_number, "+*", "is no number"),
        (parse_number, "*", "is no number"),
        (parse_number, "08*9", "is no number"),
        (parse_number, "1" * 16, "is no number"),
        (parse_number, "０８９２", "is no number"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_is_wanted(reader: Callable[[str], object], text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reader(text)


def test_the_same_calls_are_capped_once_a_period() -> None:
    with pytest.raises(ValueError, match=r"line:1 is capped twice a day"):
        parse_caps(["line:1 day 5", "line:1 month 5", "line:1 day 60min"])
    with pytest.raises(ValueError, match="too many"):
        parse_caps([f"pin:{n} day 1" for n in range(budget.MAX_CAPS + 1)])
    with pytest.raises(ValueError, match="too many"):
        parse_numbers(["1"] * (budget.MAX_NUMBERS + 1))


def test_numbers_are_kept_as_they_are_compared() -> None:
    assert parse_numbers(["00 33 892-70.00.00", "0892*", "36 39", "0892*"]).patterns == (
        "+33892700000",
        "0892*",
        "3639",
    )
