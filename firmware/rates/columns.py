"""The columns of a rate deck: their names, and what may stand in them. Pure.

prefix, destination, rate_per_minute            must be there
connection_fee, per_call, minimum               0
first_increment, next_increment                 60 (a begun minute: never less than the bill)
currency                                        the one given at import; one a deck
valid_from                                      always
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from firmware.rates.spreadsheet import plain_cell

REQUIRED = ("prefix", "destination", "rate_per_minute")
COLUMNS = (
    *REQUIRED,
    "connection_fee", "first_increment", "next_increment", "currency", "per_call", "minimum", "valid_from",
)  # fmt: skip
MAX_DESTINATION = 80
DEFAULT_INCREMENT = 60
MAX_INCREMENT = 3600
MAX_PRICE = 10_000

_PREFIX = re.compile(r"(?:[A-Z]{2}[0-9]{1,13}|[1-9][0-9]{0,14})")
_PRICE = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,40}))?|[.,]([0-9]{1,40})")
_CURRENCY = re.compile(r"[A-Z]{3}")


class CellError(Exception):
    """A cell that cannot be read: `kind` for programs, the message for people."""

    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Header:
    """Where the columns are. `ignored` are names of columns that mean nothing here."""

    places: dict[str, int]
    width: int
    ignored: tuple[str, ...]


def read_header(names: Sequence[str]) -> tuple[Header, list[CellError]]:
    """The places of the columns, in any order and case, and everything that is wrong with them."""
    places: dict[str, int] = {}
    ignored: list[str] = []
    errors: list[CellError] = []
    for index, name in enumerate(names):
        plain = re.sub(r"[\s-]+", "_", name.strip().strip("'").casefold())[:60]
        if plain in places:
            errors.append(CellError("column-twice", f"the column {plain!r} stands twice"))
        elif plain in COLUMNS:
            places[plain] = index
        elif plain:
            near = difflib.get_close_matches(plain, COLUMNS, 1, 0.8)
            if near:
                errors.append(CellError("column-unknown", f"unknown column {name[:40]!r}; is {near[0]!r} meant?"))
            else:
                ignored.append(name[:40])
    missing = [name for name in REQUIRED if name not in places]
    if missing:
        errors.append(
            CellError(
                "column-missing",
                f"the first line must name the columns; missing: {', '.join(missing)} (known: {', '.join(COLUMNS)})",
            )
        )
    return Header(places, len(names), tuple(ignored)), errors


@lru_cache(maxsize=4096)
def read_price(text: str) -> int:
    """A price in millionths; decimal point or comma. Raises CellError."""
    match = _PRICE.fullmatch(text)
    if match is None:
        raise CellError("price", f"the price {text[:40]!r} is not a number{_hint(text)}")
    whole, decimals = match[1] or "0", (match[2] or match[3] or "").rstrip("0")
    if len(decimals) > 6:  # noqa: PLR2004 - rate.MICRO
        raise CellError("price-decimals", f"the price {text[:40]!r} has more than six decimals")
    if int(whole) > MAX_PRICE:
        raise CellError("price-range", f"the price {text[:40]!r} is above {MAX_PRICE}")
    return int(whole) * 1_000_000 + int(decimals.ljust(6, "0"))


def read_prefix(text: str) -> str:
    """E.164 digits without +, or a country and a short number (`FR3699`). Raises CellError."""
    plain = text.removeprefix("+")
    if _PREFIX.fullmatch(plain):
        return plain
    if not plain:
        raise CellError("prefix", "the prefix is missing")
    if re.fullmatch(r"[0-9.,]+[eE]\+?[0-9]+", plain):
        cause = f"the prefix {text[:40]!r} was turned into a power of ten by a spreadsheet; format the column as text"
        raise CellError("prefix", cause)
    if re.fullmatch(r"0[0-9]*", plain):
        cause = f"the prefix {text[:40]!r} begins with 0; E.164 has the country code first (33 for France), without 00"
        raise CellError("prefix", cause)
    cause = f"the prefix {text[:40]!r} is not 1 to 15 digits (or a country and a short number, such as FR3699)"
    raise CellError("prefix", cause + _hint(text))


@lru_cache(maxsize=4096)
def read_destination(text: str) -> str:
    """The destination's name. Raises CellError."""
    plain = plain_cell(text).strip()
    if not plain:
        raise CellError("destination", "the destination is missing")
    if len(plain) > MAX_DESTINATION:
        raise CellError("destination", f"the destination is longer than {MAX_DESTINATION} characters")
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for c in plain):
        raise CellError("destination", f"the destination {plain[:40]!r} holds control characters")
    return plain


@lru_cache(maxsize=256)
def read_increment(text: str) -> int:
    """Whole seconds. Raises CellError."""
    if re.fullmatch(r"[0-9]{1,9}", text) is None:
        raise CellError("increment", f"the increment {text[:40]!r} is not a whole number of seconds{_hint(text)}")
    if not 1 <= int(text) <= MAX_INCREMENT:
        raise CellError("increment", f"the increment {text[:40]!r} is not between 1 and {MAX_INCREMENT} seconds")
    return int(text)


@lru_cache(maxsize=64)
def read_currency(text: str) -> str:
    """An ISO 4217 code. Raises CellError."""
    if _CURRENCY.fullmatch(text.upper()) is None:
        raise CellError("currency", f"the currency {text[:40]!r} is not three letters such as EUR")
    return text.upper()


@lru_cache(maxsize=1024)
def read_valid_from(text: str) -> int:
    """Epoch seconds; a date without an offset is midnight where the box is. Raises CellError."""
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CellError("date", f"{text[:40]!r} is no date; write 2010-08-01 or 2010-08-01T00:00+02:00") from error
    seconds = int(instant.timestamp())
    if seconds <= 0:
        raise CellError("date", f"{text[:40]!r} is before 1970")
    return seconds


READERS: dict[str, Callable[[str], str | int]] = {
    "prefix": read_prefix,
    "destination": read_destination,
    "rate_per_minute": read_price,
    "connection_fee": read_price,
    "first_increment": read_increment,
    "next_increment": read_increment,
    "currency": read_currency,
    "per_call": read_price,
    "minimum": read_price,
    "valid_from": read_valid_from,
}


def _hint(text: str) -> str:
    """The usual slips of a keyboard or a spreadsheet."""
    if not text:
        return ": the cell is empty"
    if text.startswith(("=", "@")) or text[:2] in {"'=", "+=", "-="}:
        return ": it is a formula; paste the values"
    if text.startswith("-"):
        return " that a call could cost: it is negative" if _PRICE.fullmatch(text[1:]) else ""
    slips = [c for c in "OolI" if c in text]
    if slips and re.fullmatch(r"[0-9OolI.,]+", text):
        return f" (letter {slips[0]}?)"
    if re.fullmatch(r"[0-9]+(?:[.,][0-9]*)?[eE][+-]?[0-9]+", text):
        return ": write it without an exponent"
    if re.search(r"[€$£]|[0-9]\s*[A-Z]{3}$", text):
        return ": leave the currency out"
    if len(re.findall(r"[.,\s]", text)) > 1 or re.search(r"[0-9]\s[0-9]", text):
        return ": leave out separators of thousands"
    return ""
