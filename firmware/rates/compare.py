"""What calls of the past would have cost by the other accounts: for the bill's savings.

By the rates in use today that held when the call was made. Opens the decks read-only, in the process
of whoever asks; never in the core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware import numbering
from firmware.rates import rating
from firmware.rates.book import Priced, RateBook
from firmware.rates.pricing import NO_BANDS, Pricing
from firmware.rates.rate import RateError
from firmware.rates.statement import Entry

_REMEMBERED = 20_000


class Comparer:
    """Prices of one box's accounts; `statement.Prices`. Not thread-safe.

    `zone` is the household's time zone (IANA). Bundles are taken as full: what is left of one was known when the call
    was made, and savings are not to be told too great.
    """

    def __init__(self, decks: Path, country: str, zone: str, accounts: Sequence[str]) -> None:
        self._book = RateBook(decks, country, zone=zone)
        self._country = country
        self._accounts = tuple(accounts)
        self._numbers: dict[str, numbering.Dialled] = {}
        self._amounts: dict[tuple[object, ...], Decimal] = {}

    @property
    def notices(self) -> list[str]:
        """What is wrong with the list of decks, each in one sentence."""
        return list(self._book.notices)

    def __call__(self, entry: Entry) -> Mapping[str, tuple[Decimal, str]]:
        """{account: (amount, currency)} of every account but the call's own that has a price for it."""
        found: dict[str, tuple[Decimal, str]] = {}
        for account in self._accounts:
            priced = self._priced(entry, account) if account != entry.account else None
            if priced is not None:
                found[account] = (self._amount(priced.pricing, entry), priced.pricing.currency)
        return found

    def _amount(self, pricing: Pricing, entry: Entry) -> Decimal:
        # Whole seconds will do: increments are whole, and a begun second counts as one already.
        if pricing.calendar != NO_BANDS or pricing.bundle is not None:
            return rating.charge(pricing, entry.started, entry.seconds).amount
        # Where no clock matters, a price is the same each time: a month of 10,000 calls has few of them.
        key = (pricing.rates, pricing.terms, entry.seconds)
        known = self._amounts.get(key)
        if known is None:
            if len(self._amounts) >= _REMEMBERED:
                self._amounts.clear()
            known = self._amounts[key] = rating.charge(pricing, entry.started, entry.seconds).amount
        return known

    def terms(self, entry: Entry) -> tuple[int, Decimal] | None:
        """What the account that carried a call charges by: (increment in seconds, price of a minute with tax).

        None where no deck says.
        """
        priced = self._priced(entry, entry.account or None)
        if priced is None:
            return None
        return priced.rate.next_increment, priced.pricing.terms.household(priced.rate.per_minute)

    def _priced(self, entry: Entry, account: str | None) -> Priced | None:
        number = self._numbers.get(entry.number)
        if number is None:
            number = self._numbers[entry.number] = numbering.parse_number(entry.number, self._country)
        try:
            return self._book.pricing(number, account, entry.started)
        except RateError:
            return None  # a deck that cannot be read compares nothing

    def close(self) -> None:
        """Close the decks."""
        self._book.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
