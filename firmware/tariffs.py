"""What calls ask of rates: a quote an account before, a charge after.

Fills `telephony.calls.Tariff` and `telephony.ledger.Charger`, so that telephony knows no deck and
rates know no call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from firmware.clock import Clock
from firmware.numbering import Dialled
from firmware.rates import rating
from firmware.rates.book import RateBook
from firmware.rates.bundle import Bundle, BundleState
from firmware.rates.pricing import Pricing
from firmware.telephony.events import Words
from firmware.telephony.records import Charge
from firmware.telephony.routing import Quote


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

    def judge(self, dialled: Dialled, line: int, account: str, pricing: Pricing | None, started: datetime) -> Verdict:
        """Whether, and how long, a call from a line may go by an account; `pricing` None: no price is known."""
        ...

    def bundle_state(self, bundle: Bundle, number: str, at: datetime) -> BundleState:
        """What is left of a bundle for a number (a deck's key: 33142685300, FR3699)."""
        ...


class NoLimits:
    """A household without budgets: everything is allowed, every bundle full."""

    def judge(self, dialled: Dialled, line: int, account: str, pricing: Pricing | None, started: datetime) -> Verdict:
        """Allow it."""
        del dialled, line, account, pricing, started
        return Verdict()

    def bundle_state(self, bundle: Bundle, number: str, at: datetime) -> BundleState:
        """As at the beginning of the period."""
        del number, at
        return bundle.full


EXPECTED_SECONDS = 180
"""What accounts are compared by: a call of three minutes, the length of an ordinary one."""


class Tariffs:
    """Prices of one box."""

    def __init__(self, book: RateBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock

    def quotes(self, dialled: Dialled, registered: Mapping[str, bool]) -> Sequence[Quote]:
        """One quote an account, in the accounts' order; `price` None where no price is known."""
        now = self._clock.wall()
        return [self._quote(dialled, name, now, ready) for name, ready in registered.items()]

    def _quote(self, dialled: Dialled, account: str, now: datetime, ready: bool) -> Quote:  # noqa: FBT001
        found = self._book.find(dialled, account, now)
        if found is None:
            return Quote(account, registered=ready)
        return Quote(
            account,
            registered=ready,
            price=rating.price(found.rate, EXPECTED_SECONDS).amount,
            destination=found.rate.destination,
            tariff=rating.to_tariff(found.rate),
        )

    @staticmethod
    def charge(tariff: str, seconds: float) -> Charge:
        """Say what `seconds` of conversation cost by the tariff noted when the call was placed."""
        billed, amount, currency = rating.charge(tariff, seconds)
        return Charge(billed, amount, currency)
