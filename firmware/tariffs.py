"""What calls ask of rates: a quote an account before, a charge after.

Fills `telephony.calls.Tariff` and `telephony.ledger.Charger`, so that telephony knows no deck and
rates know no call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from firmware.clock import Clock
from firmware.numbering import Dialled, NumberClass
from firmware.rates import rating
from firmware.rates.book import Priced, RateBook
from firmware.rates.bundle import Bundle, BundleState
from firmware.rates.pricing import Pricing, from_tariff, to_tariff
from firmware.rates.rate import ZERO, Rate, written
from firmware.telephony.events import Words
from firmware.telephony.records import Charge
from firmware.telephony.routing import Announce, Quote

EXPECTED_SECONDS = 180
"""What accounts are compared by unless the household says otherwise: a call of three minutes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the budget says of a call by an account.

    `reason`: why it may not be; `max_seconds` it may last, None: no end; `needs_pin`: a PIN must be keyed;
    `remaining` money and seconds of the budget that is nearest its end, None: none has one.
    """

    reason: Words | None = None
    max_seconds: float | None = None
    needs_pin: bool = False
    remaining: Decimal | None = None
    remaining_seconds: int | None = None


class Limits(Protocol):
    """What the household allows; `box` fills it with budgets. Never asked for emergencies."""

    def judge(
        self,
        dialled: Dialled,
        line: int,
        account: str,
        pricing: Pricing | None,
        started: datetime,
        pin: str | None = None,
    ) -> Verdict:
        """Whether, and how long, a call from a line may go by an account; `pricing` None: no price is known.

        `pin`: the label of the PIN that was given.
        """
        ...

    def bundle_state(self, bundle: Bundle, number: str, at: datetime) -> BundleState:
        """What is left of a bundle for a number (a deck's key: 33142685300, FR3699)."""
        ...


class NoLimits:
    """A household without budgets: everything is allowed, every bundle full."""

    def judge(
        self,
        dialled: Dialled,
        line: int,
        account: str,
        pricing: Pricing | None,
        started: datetime,
        pin: str | None = None,
    ) -> Verdict:
        """Allow it."""
        del dialled, line, account, pricing, started, pin
        return Verdict()

    def bundle_state(self, bundle: Bundle, number: str, at: datetime) -> BundleState:
        """As at the beginning of the period."""
        del number, at
        return bundle.full


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account's calls were like lately, 0 bad to 1 good, and how many came through; None: unknown."""

    quality: float | None = None
    reliability: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How the household compares accounts.

    By the price of a call of `expected_seconds`. `quality_weight` and `reliability_weight`, in per cent: how much
    dearer the worst account may be taken to be than the best for the same price; 0: they only decide between
    equals. `announce_above`: a price a minute, or a call, above which it is said before it rings; None: never.
    """

    expected_seconds: int = EXPECTED_SECONDS
    quality_weight: int = 0
    reliability_weight: int = 0
    announce_above: Decimal | None = None


def _unknown(account: str) -> Standing:
    del account
    return Standing()


class Tariffs:
    """Prices of one box. `limits`, `choice` and `standing` may be exchanged at any time."""

    def __init__(
        self,
        book: RateBook,
        clock: Clock,
        limits: Limits | None = None,
        choice: Choice | None = None,
        standing: Callable[[str], Standing] = _unknown,
    ) -> None:
        self._book = book
        self._clock = clock
        self.limits: Limits = limits or NoLimits()
        self.choice = choice or Choice()
        self.standing = standing

    def quotes(
        self,
        dialled: Dialled,
        registered: Mapping[str, bool],
        line: int = 0,
        *,
        at: datetime | None = None,
        seconds: int | None = None,
        pin: str | None = None,
    ) -> Sequence[Quote]:
        """One quote an account, in the accounts' order; `price` None where no price is known or comparable.

        `line` 0: nobody calls, somebody only asks; `pin`: the label of the PIN that was given. As of now, for a call
        of the expected length, unless `at` and `seconds` say otherwise.
        """
        started = self._clock.wall() if at is None else at
        length = self.choice.expected_seconds if seconds is None else seconds
        return [self._quote(dialled, line, name, started, length, pin, ready=r) for name, r in registered.items()]

    def charge(self, tariff: str, seconds: float, answered: datetime) -> Charge:
        """Say what `seconds` of conversation from `answered` on cost by the tariff noted when the call was placed."""
        cost = rating.charge(from_tariff(tariff), answered, Decimal(round(seconds * 1000)).scaleb(-3))
        return Charge(
            cost.billed_seconds,
            cost.amount,
            cost.currency,
            bundle=cost.bundle,
            bundle_seconds=cost.bundle_seconds if cost.bundle else None,
            service_cost=cost.service or None,
            tax=cost.tax or None,
        )

    def _quote(
        self,
        dialled: Dialled,
        line: int,
        account: str,
        started: datetime,
        seconds: int,
        pin: str | None = None,
        *,
        ready: bool,
    ) -> Quote:
        priced = self._book.pricing(dialled, account, started, self.limits.bundle_state)
        verdict = Verdict()
        if dialled.kind is not NumberClass.EMERGENCY:
            verdict = self.limits.judge(dialled, line, account, priced.pricing if priced else None, started, pin)
        standing = self.standing(account)
        price = weighed = None
        if priced is not None:
            cost = rating.charge(priced.pricing, started, seconds)
            if cost.currency == self._book.currency:
                price, weighed = cost.amount, self._weighed(cost.amount, standing)
        return Quote(
            account,
            registered=ready,
            price=price,
            max_seconds=verdict.max_seconds,
            reason=verdict.reason,
            destination=priced.rate.destination if priced else None,
            tariff=to_tariff(priced.pricing) if priced else None,
            announce=self._announcement(priced, verdict, started) if priced else None,
            needs_pin=verdict.needs_pin,
            why=json.dumps(_why(account, priced, price, weighed, standing, started, seconds), ensure_ascii=False),
            quality=standing.quality,
            reliability=standing.reliability,
            weighed=weighed,
        )

    def _weighed(self, price: Decimal, standing: Standing) -> Decimal:
        """A price as the household takes it, given what the account's calls are like."""
        lack = ZERO
        for weight, share in (
            (self.choice.quality_weight, standing.quality),
            (self.choice.reliability_weight, standing.reliability),
        ):
            if share is not None:
                lack += weight * (1 - Decimal(round(share * 1000)).scaleb(-3)) / 100
        return price * (1 + lack)

    def _announcement(self, priced: Priced, verdict: Verdict, started: datetime) -> Announce | None:
        """What is said before a call whose price is above the household's bound; None: nothing."""
        bound = self.choice.announce_above
        if bound is None:
            return None  # nothing need be charged to know it
        minute, fee = asked(priced.pricing, priced.rate, started)
        per_call = not minute
        said = Announce(
            fee if per_call else minute,
            "call" if per_call else "minute",
            priced.pricing.currency,
            ZERO if per_call else fee,
            verdict.remaining,
            verdict.remaining_seconds,
        )
        return said if said.above(bound) else None


def asked(pricing: Pricing, rate: Rate, started: datetime) -> tuple[Decimal, Decimal]:
    """What a caller pays a minute from the beginning on, and for being answered: with tax, in the household's money.

    By the call's first second: what a bundle covers then is left out, what the service costs is not.
    """
    terms = pricing.terms
    minute = terms.household(rate.per_minute)
    fee = terms.household(rate.connection_fee + rate.per_call)
    if pricing.bundle is not None and rating.charge(pricing, started, rate.grace_seconds + 1).bundle:
        minute, fee = terms.household(rate.service_per_minute), terms.household(rate.service_per_call)
    return minute, fee


def _why(
    account: str,
    priced: Priced | None,
    price: Decimal | None,
    weighed: Decimal | None,
    standing: Standing,
    started: datetime,
    seconds: int,
) -> dict[str, object]:
    """How an account's price came about, in plain JSON; `routing.explained` adds its place among the others."""
    why: dict[str, object] = {"v": 1, "account": account, "at": started.isoformat(timespec="seconds")}
    why |= {"expected_seconds": seconds, "price": None if price is None else f"{price:f}"}
    why |= {"weighed": None if weighed is None else f"{weighed.normalize():f}"}
    why |= {"quality": standing.quality, "reliability": standing.reliability}
    if priced is None:
        return why
    pricing, rate = priced.pricing, priced.rate
    why |= {
        "deck": priced.deck,
        "plan": priced.plan,
        "prefix": rate.prefix,
        "destination": rate.destination,
        "band": rate.band or pricing.calendar.band_at(started),
        "currency": pricing.currency,
        "comparable": price is not None,
        "rate_per_minute": written(rate.per_minute),
        "connection_fee": written(rate.connection_fee),
        "per_call": written(rate.per_call),
        "free": rate.free,
    }
    if pricing.bundle is not None:
        why |= {"bundle": pricing.bundle.name, "bundle_seconds_left": pricing.state.seconds_left}
    return why
