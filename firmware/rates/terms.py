"""Terms of an account that turn a sum into an amount: rounding, tax, and the household's currency. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

MAX_DECIMALS = 4
ZERO = Decimal(0)
ROUNDINGS = ("half-up", "half-even", "up", "down")
PLACES = ("call", "interval")


@dataclass(frozen=True, slots=True)
class Rounding:
    """How and where a price is rounded: once a call, or every interval that is billed (and every fee).

    `decimals` of the provider's currency, 0 to MAX_DECIMALS.
    """

    mode: str = "half-up"
    decimals: int = MAX_DECIMALS
    place: str = "call"

    def whole(self, exact: Fraction) -> int:
        """`exact` as a whole number of the smallest units (10 ** -decimals)."""
        units: Fraction = exact * 10**self.decimals
        match self.mode:
            case "up":
                return ceil(units)
            case "down":
                return floor(units)
            case "half-even":
                return round(units)
            case _:
                return floor(units + Fraction(1, 2))

    def apply(self, exact: Fraction) -> Fraction:
        """`exact`, rounded."""
        return Fraction(self.whole(exact), 10**self.decimals)

    def amount(self, exact: Fraction) -> Decimal:
        """`exact` as it is shown and recorded: rounded, with MAX_DECIMALS decimals."""
        return Decimal(self.whole(exact) * 10 ** (MAX_DECIMALS - self.decimals)).scaleb(-MAX_DECIMALS)


@dataclass(frozen=True, slots=True)
class Tax:
    """Value-added tax: `percent` of the net price, and whether the deck's prices have it in them already."""

    percent: Decimal = Decimal(0)
    included: bool = True

    @property
    def factor(self) -> Fraction:
        """What a deck's price is multiplied by to have the tax in it."""
        return Fraction(1) if self.included else 1 + Fraction(self.percent) / 100

    def part(self, gross: Fraction) -> Fraction:
        """How much of a price with tax is tax."""
        return gross * Fraction(self.percent) / (100 + Fraction(self.percent))


@dataclass(frozen=True, slots=True)
class Terms:
    """Rounding, tax and currency. `exchange`: household's money for one unit of the deck's; None: the same money."""

    rounding: Rounding = Rounding()
    tax: Tax = Tax()
    exchange: Decimal | None = None
    currency: str = ""
    """What the amounts are in after the exchange; empty: the deck's currency."""

    def household(self, price: Decimal) -> Decimal:
        """A price of the deck as the household pays it: with tax, exchanged, to a millionth."""
        exchange = Fraction(1) if self.exchange is None else Fraction(self.exchange)
        millionths = Fraction(price) * self.tax.factor * exchange * 10**6
        return Decimal(floor(millionths + Fraction(1, 2))).scaleb(-6).normalize() + ZERO


PLAIN = Terms()
"""Half up to four decimals, once a call; tax in; the deck's own currency."""
