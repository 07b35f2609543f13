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
from firmware.rates.book import RateBook
from firmware.rates.rate import Rate, RateError
from firmware.rates.statement import Entry


class Comparer:
    """Prices of one box's accounts; `statement.Prices`. Not thread-safe."""

    def __init__(self, decks: Path, country: str, accounts: Sequence[str]) -> None:
        self._book = RateBook(decks, country)
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
            rate = self._rate(entry, account)
            if rate is not None:
                # Whole seconds will do: increments are whole, and a begun second counts as one already.
                found[account] = (rating.price(rate, entry.seconds).amount, rate.currency)
        return found

    def rate(self, entry: Entry) -> Rate | None:
        """What the account that carried a call charges by; None where no deck says."""
        return self._rate(entry, entry.account or None)

    def _rate(self, entry: Entry, account: str | None) -> Rate | None:
        number = self._numbers.get(entry.number)
        if number is None:
            number = self._numbers[entry.number] = numbering.parse_number(entry.number, self._country)
        try:
            found = self._book.find(number, account, entry.started)
        except RateError:
            return None  # a deck that cannot be read compares nothing
        return found.rate if found else None

    def close(self) -> None:
        """Close the decks."""
        self._book.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
