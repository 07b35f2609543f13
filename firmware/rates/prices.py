"""Prices and dates as providers write them: `0,02 €`, `2 ct/min`, `gratuit`, 31/12/2026. Pure.

What is read is exact: a price that the deck's six decimals cannot hold is an error, unless a tax is
added to it; then it is rounded half up, for nobody publishes that price.
"""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import NamedTuple

from firmware.rates.columns import MAX_PRICE, CellError, read_price, read_valid_from
from firmware.rates.names import fold

FREE = frozenset({
    "gratuit", "gratuite", "gratuits", "inclus", "incluse", "illimite", "offert", "free", "included", "unlimited",
    "gratis", "kostenlos",
    "frei", "inklusive", "inbegriffen", "incluido", "incluida", "gratuito", "incluso", "inclusa", "inbegrepen",
})  # fmt: skip
EMPTY = frozenset({"", "-", "–", "—", "n/a", "na", "néant", "."})

_MICRO = 1_000_000


class Money(NamedTuple):
    """A price in millionths, and the currency that its cell names ("": none)."""

    micro: int
    currency: str


_SYMBOLS = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "us$": "USD", "usd": "USD", "£": "GBP",
    "gbp": "GBP", "chf": "CHF",
}  # fmt: skip
_CENTS = {"c": "", "ct": "", "cts": "", "cent": "", "cents": "", "centimes": "", "c€": "EUR", "¢": "", "p": "GBP"}
_NUMBER = r"(?P<number>(?:[0-9]{1,9}(?:[.,][0-9]{0,40})?|[.,][0-9]{1,40}))"
_MARK = "|".join(sorted(map(re.escape, (*_SYMBOLS, *_CENTS)), key=len, reverse=True))
_WRITTEN = re.compile(
    rf"(?P<before>{_MARK})?\s*{_NUMBER}\s*(?P<after>{_MARK})?(?:\s*/\s*(?:(?P<minute>mn|min|minute)|(?P<second>s|sec)|call|appel))?"
)
_DATE = re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})")


@lru_cache(maxsize=8192)
def read_money(text: str, factor: Fraction = Fraction(1), tax: Fraction = Fraction(0)) -> Money:
    """A price in the deck's unit. Raises CellError.

    `factor` makes of the file's unit the deck's; `tax` in percent is added.
    """
    if factor == 1 and not tax:
        try:
            return Money(read_price(text), "")
        except CellError as error:
            plain = _written(text, factor)
            if plain is None or error.kind != "price":
                raise
            return _scaled(text, *plain, factor, tax)
    plain = _written(text, factor)
    if plain is None:
        read_price(text)  # raises, and says what is wrong
        raise CellError("price", f"the price {text[:40]!r} is not a number")
    return _scaled(text, *plain, factor, tax)


@lru_cache(maxsize=1024)
def read_date(text: str, order: str = "") -> int:
    """Epoch seconds. `order` says which of 01/02/2026 is the day; with points it is the first. Raises CellError."""
    found = _DATE.fullmatch(text)
    if found is None or order == "iso":
        return read_valid_from(text)
    if not order and "." not in text:
        cause = f"{text[:40]!r} is no date; write 2010-08-01, or say whether the day or the month comes first"
        raise CellError("date", cause)
    day, month = (found[2], found[1]) if order == "mdy" else (found[1], found[2])
    try:
        moment = datetime(int(found[3]), int(month), int(day))  # noqa: DTZ001 - midnight where the box is
    except ValueError as error:
        first = "month" if order == "mdy" else "day"
        raise CellError("date", f"{text[:40]!r} is no date with the {first} first") from error
    return read_valid_from(moment.isoformat())


def read_tax(text: str) -> Fraction:
    """A tax in percent, from 0 to 100: `20`, `5,5`. Raises CellError."""
    if not re.fullmatch(r"[0-9]{1,3}(?:[.,][0-9]{1,4})?", text) or Fraction(text.replace(",", ".")) > 100:  # noqa: PLR2004
        raise CellError("tax", f"the tax {text[:20]!r} is not a percentage such as 20 or 5,5")
    return Fraction(text.replace(",", "."))


def _written(text: str, factor: Fraction) -> tuple[Fraction, str] | None:
    """A price as people write it: its value in the column's unit, and its currency. A cell may say the unit again."""
    plain = fold(text).strip()
    if plain in FREE:
        return Fraction(0), ""
    found = _WRITTEN.fullmatch(plain)
    if found is None or (found["before"] and found["after"]):
        return None
    number = found["number"].replace(",", ".")
    value = Fraction(f"0{number}" if number.startswith(".") else number.removesuffix("."))
    mark = found["before"] or found["after"] or ""
    if found["second"] and factor.numerator % 3:
        value *= 60
    if mark in _CENTS:
        return value if factor.denominator > 1 else value / 100, _CENTS[mark]
    return value, _SYMBOLS.get(mark, "")


def _scaled(text: str, value: Fraction, currency: str, factor: Fraction, tax: Fraction) -> Money:
    exact = value * factor * _MICRO
    if tax:
        micro = floor(exact * (100 + tax) / 100 + Fraction(1, 2))
    elif exact.denominator != 1:
        raise CellError("price-decimals", f"the price {text[:40]!r} has more than six decimals in the deck's unit")
    else:
        micro = exact.numerator
    if micro > MAX_PRICE * _MICRO:
        raise CellError("price-range", f"the price {text[:40]!r} is above {MAX_PRICE}")
    return Money(micro, currency)
