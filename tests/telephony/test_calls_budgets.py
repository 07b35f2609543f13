"""A whole switchboard under real budgets: no way of dialling gets a barred call out, and help always goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware import config, spending
from firmware.budgetdesk import BudgetDesk
from firmware.numbering import Dialled
from firmware.rates import rating
from firmware.rates.pricing import Pricing, from_tariff, to_tariff
from firmware.rates.rate import Rate
from firmware.telephony import agent as sip
from firmware.telephony.distribution import LineWishes
from firmware.telephony.line import LineState
from firmware.telephony.records import Charge
from firmware.telephony.routing import Quote
from tests.fakes.household import Household

TWO_CENTS = Pricing((Rate("3", "x", "EUR", Decimal("0.02")),))


class Money:
    """Fills `calls.Tariff`: one price, the desk's judgement; or rates that fail, as the core answers them."""

    def __init__(self, house: Household, chosen: config.Settings) -> None:
        self.house = house
        self.failing = False
        self.desk = BudgetDesk(clock=house.clock, settings=chosen, has_deck=lambda _name: True, told=lambda _kind: None)

    def quotes(self, dialled: Dialled, line: int, pin: str | None = None) -> Sequence[Quote]:
        registered = {name: entry.registered for name, entry in self.house.board.registrations.items()}
        if self.failing:
            return self.desk.unpriced(dialled, registered, line, pin)
        quotes = []
        for name, ready in registered.items():
            verdict = self.desk.judge(dialled, line, name, TWO_CENTS, self.house.clock.wall(), pin)
            quotes.append(
                Quote(
                    name,
                    ready,
                    price=Decimal("0.06"),
                    max_seconds=verdict.max_seconds,
                    reason=verdict.reason,
                    tariff=to_tariff(TWO_CENTS),
                    needs_pin=verdict.needs_pin,
                )
            )
        return quotes


def charged(tariff: str, seconds: float, answered: datetime) -> Charge:
    cost = rating.charge(from_tariff(tariff), answered, Decimal(round(seconds * 1000)).scaleb(-3))
    return Charge(cost.billed_seconds, cost.amount, cost.currency)


def under(house: Household, *caps: str, read: bool = True, **calls: object) -> Money:
    """The household under these rules."""
    chosen = config.parse({"calls": {"caps": list(caps), **calls}}, "settings.toml")
    money = Money(house, chosen)
    house.board._tariff = money
    house.ledger._watch = money.desk
    house.ledger._charge = charged
    if read:
        house.ledger.flush().result(20)
        money.desk.seed(spending.usage_of(house.ledger, house.clock, spending.zone_of(chosen)))
    return money


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path, ("home", "spare"), wishes=(LineWishes(), LineWishes()))
    yield household
    household.close()


WAYS = ("0{}", "0033{}", "*31*0{}", "#31#0{}", "*31*0033{}", "0{}#", "0033{}#", "00330{}")


@given(
    st.sampled_from(WAYS),
    st.integers(0, 10**7 - 1).map(lambda rest: f"89{rest:07d}"),
    st.booleans(),
    st.sampled_from([(), ("all day 5",)]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_way_of_dialling_gets_a_barred_call_out(
    house: Household,
    way: str,
    number: str,
    failing: bool,  # noqa: FBT001 - drawn
    caps: tuple[str, ...],
) -> None:
    money = under(house, *caps)
    money.failing = failing
    house.lift()
    house.dial(way.format(number))
    house.time.pass_time(20)
    assert house.invites() == []
    house.hang_up()
    house.agent.take()
    assert house.handset.idle


@pytest.mark.parametrize("state", ["unread", "read", "failing", "broken"])
@pytest.mark.parametrize("number", ["15", "112"])
def test_help_is_called_in_the_worst_state_of_budgets(house: Household, state: str, number: str) -> None:
    money = under(house, "all day 0 0min", read=state != "unread", allow=[], longest_minutes=1)
    money.failing = state == "failing"
    if state == "broken":
        del money.desk._rules
        del money.desk._usage
    house.lift()
    house.dial("0142685300")
    house.time.pass_time(6)
    assert house.invites() == [], "the state is as bad as it is meant to be"
    house.hang_up()
    house.lift()
    house.dial(number)
    house.time.pass_time(6)
    (invite,) = house.invites()
    assert invite.args[2] == number
    house.agent.emit(sip.CallConfirmed(invite.args[0], "abc"))
    house.agent.emit(sip.CallMedia(invite.args[0], "PCMA/8000", held=False))
    house.time.pass_time(3 * 3600)
    assert house.handset.machine.state is LineState.TALKING, "and never cut"
    house.hang_up()
    assert house.records()[0]["emergency"] is True


def test_two_lines_pass_a_cap_by_a_unit_at_most(house: Household) -> None:
    under(house, "all day 0.10", longest_minutes=2)
    keys = []
    for line, number in ((1, "0142685300"), (2, "0142685301")):
        house.lift(line)
        house.dial(number, line)
        house.time.pass_time(6)
        (invite,) = house.invites()
        keys.append(invite.args[0])
    for key in keys:
        house.agent.emit(sip.CallConfirmed(key, "abc"))
        house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    house.time.pass_time(200)
    ended = [handset.machine.state is LineState.TALKING for handset in house.handsets.values()]
    assert ended == [False, False], "both were cut"
    for line in (1, 2):
        house.hang_up(line)
    for _ in range(3):  # what is left is spent too, and then nothing leaves any more
        house.lift()
        house.dial("0142685300")
        house.time.pass_time(6)
        for invite in house.invites():
            house.agent.emit(sip.CallConfirmed(invite.args[0], "abc"))
            house.agent.emit(sip.CallMedia(invite.args[0], "PCMA/8000", held=False))
        house.time.pass_time(200)
        house.hang_up()
    rows = house.records()
    assert rows[0]["end"] == "refused"
    assert {row["end"] for row in rows if row["answered"]} == {"credit"}
    spent = sum(Decimal(str(row["cost"])) for row in rows if row["answered"])
    assert Decimal("0.10") <= spent <= Decimal("0.12"), "the cap, and a unit of the tariff"
