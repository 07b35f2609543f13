"""What calls ask of rates: a quote an account before, a charge after.

Fills `telephony.calls.Tariff` and `telephony.ledger.Charger`, so that telephony knows no deck and
rates know no call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from firmware.clock import Clock
from firmware.numbering import Dialled
from firmware.rates import rating
from firmware.rates.book import RateBook
from firmware.telephony.records import Charge
from firmware.telephony.routing import Quote

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
