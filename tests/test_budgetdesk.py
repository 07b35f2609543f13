"""Budgets at work: a real ledger, real prices, and every state that the box may be in."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from firmware import budgetdesk, config, numbering, pins, spending
from firmware.budgetdesk import BudgetDesk
from firmware.clock import ManualClock
from firmware.config import Settings
from firmware.rates import rating
from firmware.rates.bundle import Bundle
from firmware.rates.pricing import Pricing, from_tariff, to_tariff
from firmware.rates.rate import Rate
from firmware.rates.usage import EVERYTHING, Period, Scope, ScopeKind, Usage
from firmware.tariffs import Verdict
from firmware.telephony.events import Words
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge
from firmware.telephony.routing import Quote

NOON = datetime(2026, 7, 15, 10, tzinfo=UTC)
TWO_CENTS = Pricing((Rate("33", "France", "EUR", Decimal("0.02")),))
FREE = Pricing((Rate("1", "America", "EUR", Decimal(0)),))
PARIS = numbering.analyse("0142685300")
PREMIUM = numbering.analyse("0899123456")
SHORT = numbering.analyse("3639")


def settings(*caps: str, **calls: object) -> Settings:
    return config.parse({"calls": {"caps": list(caps), **calls}}, "settings.toml")


def charged(tariff: str, seconds: float, answered: datetime) -> Charge:
    cost = rating.charge(from_tariff(tariff), answered, Decimal(round(seconds * 1000)).scaleb(-3))
    return Charge(cost.billed_seconds, cost.amount, "EUR", cost.bundle, cost.bundle_seconds)


class Box:
    """A desk and its ledger, wired as the core wires them."""

    def __init__(self, path: Path, chosen: Settings, clock: ManualClock) -> None:
        self.clock = clock
        self.told: list[str] = []
        self.decks = True
        self.desk = BudgetDesk(clock=clock, settings=chosen, has_deck=lambda _name: self.decks, told=self.told.append)
        self.ledger = Ledger(path, clock, charged, watch=self.desk, retry_seconds=0.02)
        self.ledger.start()

    def ask(
        self,
        number: numbering.Dialled = PARIS,
        line: int = 1,
        pricing: Pricing | None = TWO_CENTS,
        account: str = "ovh",
        pin: str | None = None,
    ) -> Verdict:
        return self.desk.judge(number, line, account, pricing, self.clock.wall(), pin)

    def place(self, number: numbering.Dialled = PARIS, line: int = 1, pricing: Pricing = TWO_CENTS) -> int:
        return self.ledger.open_call(
            CallOpen(
                direction="out",
                line=line,
                number=budgetdesk.number_of(number),
                account="ovh",
                tariff=to_tariff(pricing),
                kind=number.kind.value,
            )
        )

    def talk(
        self, seconds: float, number: numbering.Dialled = PARIS, line: int = 1, pricing: Pricing = TWO_CENTS
    ) -> None:
        self.ask(number, line, pricing)
        key = self.place(number, line, pricing)
        self.ledger.answered(key, account="ovh")
        self.clock.advance(seconds)
        self.ledger.close(key, CallClosed(end="caller"))

    async def alerts(self) -> list[dict[str, object]]:
        await asyncio.wrap_future(self.ledger.flush())
        return self.ledger.alerts(0, 100)


@asynccontextmanager
async def box(path: Path, chosen: Settings, *, start: datetime = NOON, read: bool = True) -> AsyncIterator[Box]:
    made = Box(path, chosen, ManualClock(start=start))
    reading = asyncio.create_task(made.desk.keep_reading(made.ledger)) if read else None
    try:
        if read:
            await until(lambda: made.desk.spent([]) is not None)
        yield made
    finally:
        if reading is not None:
            reading.cancel()
        await asyncio.get_running_loop().run_in_executor(None, made.ledger.stop)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - threads and processes change it
            await asyncio.sleep(0.005)


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_what_one_call_spends_the_next_one_has_no_more(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings("all day 0.10")) as here:
            assert here.ask().max_seconds == 300
            here.talk(61)
            verdict = here.ask()
            assert (verdict.max_seconds, verdict.remaining) == (180, Decimal("0.06"))
            here.talk(179)
            assert here.ask().reason is Words.BUDGET_DAY
            here.clock.advance(24 * 3600)
            assert here.ask().max_seconds == 300

    run(test)


def test_two_lines_never_spend_the_same_money(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings("all day 0.10", longest_minutes=2)) as here:
            assert here.ask(line=1).max_seconds == 120
            first = here.place(line=1)
            assert here.ask(line=2).max_seconds == 120, "the first may come to 0.06, cut a second late"
            here.place(line=2)
            assert here.ask(line=3).reason is Words.BUDGET_DAY
            here.ledger.close(first, CallClosed(end="no-answer"))
            assert here.ask(line=3).max_seconds == 120, "what was not spent is free again"

    run(test)


def test_a_call_that_asks_again_is_not_in_its_own_way_and_another_to_the_same_number_is(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings("all day 0.10")) as here:
            here.ask()
            key = here.place()
            assert here.ask(account="free").max_seconds == 300
            here.ledger.answered(key, account="ovh")
            assert here.ask().reason is Words.BUDGET_DAY, "the first is being talked on"

    run(test)


def test_an_answered_call_holds_what_its_own_account_may_cost(tmp_path: Path) -> None:
    async def test() -> None:
        dear = Pricing((Rate("33", "France", "EUR", Decimal("0.20")),))
        async with box(tmp_path / "box.db", settings("all day 1", longest_minutes=1)) as here:
            here.ask(account="dear", pricing=dear)
            here.ask(account="ovh")
            key = here.place()
            (held,) = here.desk.spent(spending.rules_of(settings("all day 1")).caps) or []
            assert held.held_money == Decimal("0.40"), "the dearer, cut late in its second minute"
            here.ledger.answered(key, account="ovh")
            (held,) = here.desk.spent(spending.rules_of(settings("all day 1")).caps) or []
            assert held.held_money == Decimal("0.04")

    run(test)


def test_a_core_that_begins_anew_remembers_what_was_spent(tmp_path: Path) -> None:
    async def test() -> None:
        chosen = settings("all month 0.10", "line:2 day 60min")
        async with box(tmp_path / "box.db", chosen) as here:
            here.talk(61)
            here.talk(61, line=2)
            was = here.desk.spent(spending.rules_of(chosen).caps)
        async with box(tmp_path / "box.db", chosen, start=NOON + timedelta(hours=1)) as here:
            assert here.desk.spent(spending.rules_of(chosen).caps) == was
            here.talk(61)
            (month, _) = here.desk.spent(spending.rules_of(chosen).caps) or []
            assert month.money == Decimal("0.12")
            # Read once more (another time zone), the calls of this life count once.
            here.desk.apply(config.with_setting(chosen, "box.timezone", "Pacific/Auckland"))
            read = here.desk._usage
            await until(lambda: here.desk._usage is not read)
            (month, _) = here.desk.spent(spending.rules_of(chosen).caps) or []
            assert month.money == Decimal("0.12")

    run(test)


def test_calls_that_end_while_the_records_are_read_count_once(tmp_path: Path) -> None:
    async def test() -> None:
        chosen = settings("all month 1")
        async with box(tmp_path / "box.db", chosen, read=False) as here:
            here.talk(61)
            await asyncio.wrap_future(here.ledger.flush())
            found = spending.usage_of(here.ledger, here.clock, spending.zone_of(chosen))
            here.talk(61)  # between the reading and the taking
            here.desk.seed(found)
            assert here.desk.spent(spending.rules_of(chosen).caps)[0].money == Decimal("0.08")  # type: ignore[index]

    run(test)


def test_while_nothing_can_be_read_capped_calls_wait_and_all_others_go(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "box.db"
        path.mkdir()  # no database can be there
        async with box(path, settings("class:fixed day 5"), read=False) as here:
            reading = asyncio.create_task(here.desk.keep_reading(here.ledger))
            await until(lambda: here.ledger.trouble is not None)
            assert here.ask().reason is Words.TECHNICAL
            assert here.ask(numbering.analyse("0612345678")).reason is None
            assert here.ask(numbering.analyse("0800123456"), pricing=None).reason is None
            assert here.ask(pricing=FREE).reason is None
            path.rmdir()
            await until(lambda: here.desk.spent([]) is not None)
            assert here.ask().reason is None
            reading.cancel()

    budgetdesk_retry = budgetdesk.RETRY_SECONDS
    budgetdesk.RETRY_SECONDS = 0.02
    try:
        run(test)
    finally:
        budgetdesk.RETRY_SECONDS = budgetdesk_retry


@pytest.mark.parametrize("state", ["unread", "broken rules", "damaged ledger", "clock of 1970"])
@pytest.mark.parametrize("number", ["112", "15", "0800123456", "+80012345678"])
def test_help_and_free_numbers_do_not_depend_on_budgets_in_any_state(tmp_path: Path, state: str, number: str) -> None:
    async def test() -> None:
        path = tmp_path / "box.db"
        if state == "damaged ledger":
            path.write_bytes(b"SQLite format 3\x00" + b"nonsense" * 500)
        start = datetime(1970, 1, 1, tzinfo=UTC) if state == "clock of 1970" else NOON
        chosen = settings("all day 0 0min", "all month 0", allow=[], longest_minutes=0)
        async with box(path, chosen, start=start, read=state != "unread") as here:
            if state == "broken rules":
                here.desk._usage = None  # type: ignore[assignment]
            dialled = numbering.parse_number(number)
            verdict = here.ask(dialled, pricing=None)
            assert (verdict.reason, verdict.max_seconds, verdict.needs_pin) == (None, None, False)
            assert here.ask(PREMIUM).reason is not None, "and the state is as bad as it is meant to be"

    run(test)


def test_a_fault_refuses_what_it_cannot_judge(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings("all day 5")) as here:
            here.desk._usage = None  # type: ignore[assignment]
            assert here.ask().reason is Words.TECHNICAL

    run(test)


def test_a_box_without_a_clock_counts_on_from_its_last_call(tmp_path: Path) -> None:
    async def test() -> None:
        chosen = settings("all day 0.10")
        async with box(tmp_path / "box.db", chosen) as here:
            here.talk(61)
        async with box(tmp_path / "box.db", chosen, start=datetime(1970, 1, 1, tzinfo=UTC)) as here:
            assert here.ask().max_seconds == 180, "no new day has begun for want of a clock"
            here.talk(61)
            assert here.ask().max_seconds == 60
        async with box(tmp_path / "box.db", chosen, start=datetime(1970, 1, 1, tzinfo=UTC)) as here:
            assert here.ask().max_seconds == 60, "a power cut is no way round either"
            here.clock.start = NOON + timedelta(hours=2)  # the time is known again
            here.ask()
            await until(lambda: here.desk._latest is None)
            assert here.ask().max_seconds == 60

    run(test)


def test_premium_prices_behind_short_numbers_are_premium(tmp_path: Path) -> None:
    async def test() -> None:
        service = Rate("FR3639", "Allô", "EUR", Decimal(0), service_per_call=Decimal("0.80"))
        async with box(tmp_path / "box.db", settings()) as here:
            assert here.ask(SHORT, pricing=Pricing((service,))).reason is Words.PREMIUM_BARRED
            assert here.ask(SHORT, pricing=Pricing((Rate("FR3639", "Poste", "EUR", Decimal(0)),))).reason is None
            here.desk.apply(settings(allow_numbers=["3639"]))
            assert here.ask(SHORT, pricing=Pricing((service,))).reason is None

    run(test)


def test_the_household_is_told_once_of_a_cap_nearly_and_wholly_gone(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings("all day 0.10")) as here:
            here.talk(61)
            assert await here.alerts() == []
            here.talk(61)
            (alert,) = await here.alerts()
            assert (alert["kind"], alert["percent"], alert["spent"], alert["cap"]) == (
                "cap",
                80,
                "0.0800",
                "all day 0.10",
            )
            here.talk(30)
            assert [one["percent"] for one in await here.alerts()] == [80, 100]
            here.desk.quoted(PARIS, 1, [Quote("ovh", registered=True, reason=here.ask().reason)])
            assert len(await here.alerts()) == 2
            await until(lambda: here.told.count("alert") == 2)
        async with box(tmp_path / "box.db", settings("all day 0.10")) as here:
            assert len(await here.alerts()) == 2, "nor again after a new beginning"

    run(test)


def test_what_is_left_that_pays_for_nothing_is_gone(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings("all day 0.09")) as here:
            here.talk(239)  # 0.08: the penny left buys no minute
            assert [one["percent"] for one in await here.alerts()] == [80]
            here.desk.quoted(PARIS, 1, [Quote("ovh", registered=True, reason=here.ask().reason)])
            assert [one["percent"] for one in await here.alerts()] == [80, 100]

    run(test)


def test_refused_premium_calls_are_told_once_a_number_and_day_and_few_of_them(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings()) as here:
            for number in [PREMIUM, PREMIUM, *(numbering.analyse(f"08991234{n:02d}") for n in range(60))]:
                here.desk.quoted(number, 1, [Quote("ovh", registered=True, reason=here.ask(number).reason)])
            alerts = await here.alerts()
            assert len(alerts) <= budgetdesk.MOST_REFUSALS_A_DAY
            assert (alerts[0]["kind"], alerts[0]["number"], alerts[0]["reason"]) == (
                "refused",
                "+33899123456",
                "premium-barred",
            )
            here.desk.quoted(
                PARIS,
                1,
                [Quote("a", registered=True, reason=Words.UNKNOWN_BARRED), Quote("b", registered=True)],
            )
            assert len(await here.alerts()) == len(alerts), "another account carries it"

    run(test)


def test_a_bundle_is_shared_by_running_calls_and_counted_by_its_own_month(tmp_path: Path) -> None:
    async def test() -> None:
        world = Bundle("world", minutes=60, max_numbers=2, max_call_seconds=600)
        async with box(tmp_path / "box.db", settings()) as here:
            fresh = here.desk.bundle_state(world, "33142685300", here.clock.wall())
            assert (fresh.seconds_left, fresh.numbers_left, fresh.number_known) == (3600, 2, False)
            priced = Pricing(TWO_CENTS.rates, bundle=world, state=fresh)
            here.talk(300, pricing=priced)
            left = here.desk.bundle_state(world, "33142685300", here.clock.wall())
            assert (left.seconds_left, left.numbers_left, left.number_known) == (3300, 1, True)
            here.ask(numbering.analyse("0143000000"), 2, priced)
            here.place(numbering.analyse("0143000000"), 2, priced)
            held = here.desk.bundle_state(world, "33140000000", here.clock.wall())
            assert (held.seconds_left, held.numbers_left, held.number_known) == (2700, 0, False)

    run(test)


def test_a_bundle_that_cannot_be_counted_is_not_relied_upon(tmp_path: Path) -> None:
    async def test() -> None:
        async with box(tmp_path / "box.db", settings(), read=False) as here:
            state = here.desk.bundle_state(Bundle("world", minutes=60), "331", NOON)
            assert (state.seconds_left, state.admits) == (0, False)
            assert here.desk.bundle_state(Bundle("flat"), "331", NOON).admits

    run(test)


def test_a_pin_is_compared_by_another_process_and_opens_what_it_may(tmp_path: Path) -> None:
    async def test() -> None:
        digest = pins.hashed_apart("2468", {})
        chosen = config.with_pin(settings("pin:Zoé day 1.00"), "Zoé", digest, ["premium"], [])
        async with box(tmp_path / "box.db", chosen) as here:
            answers: list[str | None] = []
            for pin in ("2468", "9" * 5000):
                here.desk.check(1, pin, answers.append)
            assert answers == [], "not on the loop"
            await until(lambda: len(answers) == 2)
            assert answers == ["Zoé", None]
            assert here.ask(PREMIUM).needs_pin
            here.ask(PREMIUM)
            key = here.place(PREMIUM)
            verdict = here.ask(PREMIUM, pin="Zoé")
            assert (verdict.reason, verdict.remaining) == (None, Decimal("1.00"))
            here.ledger.answered(key, account="ovh", pin="Zoé")
            here.clock.advance(61)
            here.ledger.close(key, CallClosed(end="caller", pin="Zoé"))
            assert here.ask(PREMIUM, pin="Zoé").remaining == Decimal("0.96")
            zoes = Scope(ScopeKind.PIN, "Zoé")
            assert here.desk._usage.spent(zoes, Period.DAY, here.clock.wall()).money == Decimal("0.04")
            raw = (tmp_path / "box.db").read_bytes()
            assert b"2468" not in raw
            assert digest.encode() not in raw

    run(test)


def test_a_pin_that_cannot_be_compared_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(pins, "COMMAND", ("/nonexistent/python",))
        chosen = config.with_pin(settings(), "Zoé", "$argon2id$x", ["premium"], [])
        async with box(tmp_path / "box.db", chosen, read=False) as here:
            answers: list[str | None] = []
            here.desk.check(1, "2468", answers.append)
            await until(lambda: bool(answers))
            assert answers == [None]

    run(test)


def test_seeding_equals_having_been_fed_call_by_call(tmp_path: Path) -> None:
    async def test() -> None:
        chosen = settings("all month 50")
        async with box(tmp_path / "box.db", chosen) as here:
            calls = ((61.0004, PARIS, 1), (0.4, PREMIUM, 2), (3600.5, SHORT, 1), (59.9999, PARIS, 2))
            for seconds, number, line in calls:
                here.talk(seconds, number, line)
                here.clock.advance(11 * 3600)
            await asyncio.wrap_future(here.ledger.flush())
            rows, at = spending.read(here.ledger, here.clock)
            seeded = Usage(spending.zone_of(chosen))
            seeded.seed(spending.entries(rows, at))
            fed = here.desk._usage
            scopes = [EVERYTHING, *(Scope(ScopeKind.LINE, n) for n in "12"), Scope(ScopeKind.CLASS, "fixed")]
            for hours in range(0, 80, 4):
                moment = NOON + timedelta(hours=hours)
                for scope, period in itertools.product(scopes, Period):
                    assert seeded.spent(scope, period, moment) == fed.spent(scope, period, moment)
            assert fed._sums.keys() == seeded._sums.keys()

    run(test)


def test_records_of_an_unset_clock_count_in_the_month_that_they_lie_in(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    chosen = settings("all month 50")

    async def test() -> None:
        async with box(path, chosen, start=NOON - timedelta(days=60)) as here:
            here.talk(61)
        async with box(path, chosen, start=datetime(1970, 1, 1, tzinfo=UTC)) as here:
            here.talk(61)
            here.talk(61)
        async with box(path, chosen) as here:
            assert here.desk.spent(spending.rules_of(chosen).caps)[0].money == Decimal("0.08")  # type: ignore[index]
            here.talk(61)
        async with box(path, chosen, start=NOON + timedelta(days=62)) as here:
            assert here.desk.spent(spending.rules_of(chosen).caps)[0].money == 0  # type: ignore[index]

    run(test)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM calls WHERE time_unsure = 1").fetchone() == (2,)
    connection.close()
