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
from firmware.rates.rate import RateError
from firmware.rates.statement import Entry


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

    @property
    def notices(self) -> list[str]:
        """What is wrong with the list of decks, each in one sentence."""
        return list(self._book.notices)

    def __call__(self, entry: Entry) -> Mapping[str, tuple[Decimal, str]]:
        """{account: (amount, currency)} of every account that has a price for this call."""
        found: dict[str, tuple[Decimal, str]] = {}
        for account in self._accounts:
            priced = self._priced(entry, account)
            if priced is not None:
                # Whole seconds will do: increments are whole, and a begun second counts as one already.
                cost = rating.charge(priced.pricing, entry.started, entry.seconds)
                found[account] = (cost.amount, priced.pricing.currency)
        return found

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
