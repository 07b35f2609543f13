"""What a new deck changes: against the deck in use, and for calls that were made.

Decks are compared by what numbers cost, not by how they are written: at each prefix of either deck,
the price that one has for such a number (its longest prefix) beside the other's. So a provider who
splits France into a thousand prefixes at one price changes nothing. The price compared is that of a
call of three minutes by day without a band, fees and increments included.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

from firmware import numbering
from firmware.rates import rating
from firmware.rates.deckfile import Deck
from firmware.rates.plan import Plan
from firmware.rates.pricing import HOME, Pricing
from firmware.rates.rate import deck_key

SECONDS = 180
MOST_MOVED = 10
_PLACES = 4


@dataclass(frozen=True, slots=True)
class Move:
    """A destination whose price changes: that of three minutes, before and after. None: there is none."""

    prefix: str
    destination: str
    before: Decimal | None
    after: Decimal | None

    @property
    def percent(self) -> int | None:
        """By how much, in whole percent; None where that says nothing."""
        if not self.before or self.after is None:
            return None
        return round(Fraction(self.after - self.before) * 100 / Fraction(self.before))


@dataclass(slots=True)
class Comparison:
    """How many prefixes cost what they did, more, less; have a price now, or no longer."""

    currency: str
    same: int = 0
    dearer: int = 0
    cheaper: int = 0
    new: int = 0
    gone: int = 0
    risen: list[Move] = field(default_factory=list)
    fallen: list[Move] = field(default_factory=list)
    appeared: list[Move] = field(default_factory=list)
    vanished: list[Move] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PastCall:
    """One answered call that went out: what pricing it again asks."""

    number: str
    started: datetime
    seconds: int
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Household:
    """What pricing asks besides decks: whose short numbers, which time zone, the accounts' plans (None: for all)."""

    country: str = "FR"
    zone: str = HOME
    currency: str = "EUR"
    plans: Mapping[str | None, Plan] = field(default_factory=dict)

    def plan(self, account: str | None) -> Plan | None:
        """The plan of an account, or of all that have none of their own."""
        return self.plans.get(account) or self.plans.get(None)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What calls that were made would have cost by the deck in use (`before`) and by the new one (`after`).

    Sums of the `compared` calls, which both decks price. `lost`: calls that the new deck alone has no
    price for; `gained`: those that only it has one for, at `gained_cost`; `unknown`: neither.
    """

    calls: int
    compared: int
    before: Decimal
    after: Decimal
    lost: int
    gained: int
    gained_cost: Decimal
    unknown: int
    currency: str
    currency_before: str

    @property
    def difference(self) -> Decimal | None:
        """Dearer by this, cheaper if negative; None where two currencies cannot be compared."""
        return self.after - self.before if self.currency == self.currency_before else None


def compare(before: Deck, after: Deck, at: datetime, *, at_before: datetime | None = None) -> Comparison:
    """Every prefix of two decks, by the rows that hold at `at` (in the first at `at_before`). Raises DeckError."""
    found = Comparison(after.info.currency)
    risen, fallen = _Most(), _Most()
    for prefix, old, new in _walk(before.in_force(at_before or at), after.in_force(at)):
        cost_before = _cost(before, old) if old else None
        cost_after = _cost(after, new) if new else None
        if cost_before is None:
            if cost_after is not None:
                found.new += 1
                _note(found.appeared, prefix, new, None, cost_after)
        elif cost_after is None:
            found.gone += 1
            _note(found.vanished, prefix, old, cost_before, None)
        elif cost_after > cost_before:
            found.dearer += 1
            risen.offer(cost_after - cost_before, prefix, new, cost_before, cost_after)
        elif cost_after < cost_before:
            found.cheaper += 1
            fallen.offer(cost_before - cost_after, prefix, new, cost_before, cost_after)
        else:
            found.same += 1
    found.risen, found.fallen = risen.moves(), fallen.moves()
    return found


def what_if(
    calls: Iterable[PastCall], house: Household, before: Deck | None, after: Deck, *, now: datetime, at: datetime
) -> WhatIf:
    """Price calls again by the rows that hold `now` in the deck in use, and `at` in the new one. Raises DeckError.

    By the plan of the call's account, at the call's own hours; without bundles, whose state then is not known now.
    """
    count = compared = lost = gained = unknown = 0
    old_sum = new_sum = gain = Decimal(0)
    for call in calls:
        count += 1
        dialled = numbering.parse_number(call.number, house.country)
        if dialled.kind.value == rating.EMERGENCY:
            compared += 1
            continue
        key = deck_key(dialled, house.country)
        old = _charge(before, key, now, call, house) if before is not None else None
        new = _charge(after, key, at, call, house)
        if old is not None and new is not None:
            compared, old_sum, new_sum = compared + 1, old_sum + old, new_sum + new
        elif new is not None:
            gained, gain = gained + 1, gain + new
        elif old is not None:
            lost += 1
        else:
            unknown += 1
    return WhatIf(
        calls=count,
        compared=compared,
        before=old_sum,
        after=new_sum,
        lost=lost,
        gained=gained,
        gained_cost=gain,
        unknown=unknown,
        currency=_currency(after, house),
        currency_before=_currency(before or after, house),
    )


def _charge(deck: Deck, key: str, at: datetime, call: PastCall, house: Household) -> Decimal | None:
    """As `book.RateBook.pricing` prices a call, less the bundles."""
    rates = deck.rates(key, at)
    plan = house.plan(call.account)
    if plan is None:
        plain = next((rate for rate in rates if not rate.band), None)
        return rating.price(plain, call.seconds).amount if plain is not None else None
    if plan.is_free(key):
        return Decimal(0)
    zone = plan.zone or house.zone
    pricing = Pricing(rates, plan.terms(house.currency), plan.calendar(key, call.started, house.zone), zone=zone)
    if pricing.rate_at(call.started) is None:
        return None
    return rating.charge(pricing, call.started, call.seconds).amount


def _currency(deck: Deck, house: Household) -> str:
    """What sums are in: the household's money if a plan exchanges, else the deck's."""
    exchanged = any(plan.exchange is not None for plan in house.plans.values())
    return house.currency if exchanged else deck.info.currency


_Raw = tuple[Any, ...]
_Place = list[tuple[str, _Raw]]


def _walk(before: Iterator[_Raw], after: Iterator[_Raw]) -> Iterator[tuple[str, _Raw | None, _Raw | None]]:
    """Every prefix of two decks in order, with the row of each that a number of that prefix finds.

    In the order of text a prefix stands before all that it begins: the rows above the present one are a stack.
    """
    old, new = next(before, None), next(after, None)
    olds: _Place = []
    news: _Place = []
    while old is not None or new is not None:
        prefix = min(row[0] for row in (old, new) if row is not None)
        for stack in (olds, news):
            while stack and not prefix.startswith(stack[-1][0]):
                stack.pop()
        if old is not None and old[0] == prefix:
            olds.append((prefix, old))
            old = next(before, None)
        if new is not None and new[0] == prefix:
            news.append((prefix, new))
            new = next(after, None)
        yield prefix, olds[-1][1] if olds else None, news[-1][1] if news else None


def _cost(deck: Deck, row: _Raw) -> int | None:
    """Three minutes by this row, in millionths of a sixtieth; None: no price. `rating.price` in whole numbers."""
    _, _, minute, fee, first, following, call, minimum, _, grace, steps, *_ = row
    if minute < 0:
        return None
    if steps or grace >= SECONDS:
        exact = rating.price(deck.rate_of(row), SECONDS).exact * 60_000_000
        return floor(exact)
    beyond = SECONDS - first
    billed = first if beyond <= 0 else first - (-beyond // following) * following
    return int(max((fee + call) * 60 + minute * billed, minimum * 60))


class _Most:
    """The ten greatest moves, one a destination."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, str, int, int]] = []

    def offer(self, by: int, prefix: str, row: _Raw | None, before: int, after: int) -> None:
        """Keep it if it is among the greatest."""
        if row is None or (len(self._heap) == MOST_MOVED and by <= self._heap[0][0]):
            return
        name = str(row[1])
        for at, kept in enumerate(self._heap):
            if kept[2] == name:
                if by > kept[0]:
                    self._heap[at] = (by, prefix, name, before, after)
                    heapq.heapify(self._heap)
                return
        heapq.heappush(self._heap, (by, prefix, name, before, after))
        if len(self._heap) > MOST_MOVED:
            heapq.heappop(self._heap)

    def moves(self) -> list[Move]:
        """The greatest first."""
        ordered = sorted(self._heap, reverse=True)
        return [Move(prefix, name, _money(before), _money(after)) for _, prefix, name, before, after in ordered]


def _note(moves: list[Move], prefix: str, row: _Raw | None, before: int | None, after: int | None) -> None:
    """The first ten destinations."""
    if row is None or len(moves) >= MOST_MOVED or any(move.destination == row[1] for move in moves):
        return
    moves.append(Move(prefix, str(row[1]), _money(before), _money(after)))


def _money(sixtieths: int | None) -> Decimal | None:
    """Half up to four decimals, as prices are shown."""
    if sixtieths is None:
        return None
    return Decimal(floor(Fraction(sixtieths, 60 * 100) + Fraction(1, 2))).scaleb(-_PLACES)
