"""One row of a rate deck as a value, and how a number finds its row.

Prices are Decimal with at most six decimals, in one currency a deck. A deck's prefixes are E.164
digits without `+`; a short number, which is no E.164 number, stands under its country's two
letters: `FR3699`, `FR15`, `FR118`. (3699 alone would be Hungary.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol

MICRO = 6
ZERO = Decimal(0)


class RateError(Exception):
    """A refusal in a person's words."""


class UnknownDestinationError(RateError):
    """No deck in use has a price for this number. `number` as it was asked."""

    def __init__(self, number: str, decks: str) -> None:
        super().__init__(f"no price is known for {number} ({decks})")
        self.number = number


class Number(Protocol):
    """What rates need of a `numbering.Dialled`: `e164` as +33142685300, or None for a short number."""

    @property
    def digits(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> Enum: ...  # noqa: D102
    @property
    def e164(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Rate:
    """What calls to a prefix cost from `valid_from` (UTC; None: always) on.

    An answered call costs `connection_fee` + `per_call` + `per_minute` for its billed seconds, and
    `minimum` at least. Billed are `first_increment` seconds whole, then begun `next_increment`s.
    """

    prefix: str
    destination: str
    currency: str
    per_minute: Decimal
    connection_fee: Decimal = ZERO
    first_increment: int = 60
    next_increment: int = 60
    per_call: Decimal = ZERO
    minimum: Decimal = ZERO
    valid_from: datetime | None = None

    @property
    def free(self) -> bool:
        """Whether no call by this rate can cost anything."""
        return not (self.per_minute or self.connection_fee or self.per_call or self.minimum)


def deck_key(number: Number, country: str) -> str:
    """What is looked up in a deck: E.164 digits, or country and digits of a short number."""
    if number.e164:
        return number.e164.removeprefix("+")
    return f"{country.upper()}{number.digits}"


def to_micro(value: Decimal) -> int:
    """A price as whole millionths. Raises ValueError if it has more decimals than MICRO."""
    scaled = value.scaleb(MICRO)
    if scaled != scaled.to_integral_value():
        msg = f"{value} has more than {MICRO} decimals"
        raise ValueError(msg)
    return int(scaled)


def from_micro(value: int) -> Decimal:
    """The price of that many millionths, at least four decimals: 0.0200, 0.00512."""
    price = Decimal(value).scaleb(-MICRO)
    short = price.quantize(Decimal("0.0001"))
    return short if short == price else price.normalize()
