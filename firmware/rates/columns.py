"""The columns of a rate deck: their names, and what may stand in them. Pure.

prefix, destination, rate_per_minute            must be there
connection_fee, per_call, minimum               0
first_increment, next_increment                 60 (a begun minute: never less than the bill)
currency                                        the one given at import; one a deck
valid_from                                      always
grace                                           0 s: calls no longer than this cost nothing
steps                                           none; "60:0.01/1;3600:0.05/60": from second 60 on a minute costs 0.01,
                                                by the second; from second 3600 on 0.05, by the minute
band                                            whenever no row of this prefix has the plan's band
service_per_call, service_per_minute            0; what of per_call and rate_per_minute is the service's price
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from firmware.rates.rate import Step, from_micro, parsed_steps, to_micro, written_steps
from firmware.rates.spreadsheet import plain_cell

REQUIRED = ("prefix", "destination", "rate_per_minute")
COLUMNS = (
    *REQUIRED,
    "connection_fee", "first_increment", "next_increment", "currency", "per_call", "minimum", "valid_from",
    "grace", "steps", "band", "service_per_call", "service_per_minute",
)  # fmt: skip
MAX_DESTINATION = 80
DEFAULT_INCREMENT = 60
MAX_INCREMENT = 3600
MAX_PRICE = 10_000
# The price a minute of a row that says: from its date on there is no price for this prefix (merge.py).
WITHDRAWN = -1
WITHDRAWN_WORD = "withdrawn"
MAX_STEPS = 8
MAX_STEP_SECOND = 86_400

_PREFIX = re.compile(r"(?:[A-Z]{2}[0-9]{1,13}|[1-9][0-9]{0,14})")
_PRICE = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,40}))?|[.,]([0-9]{1,40})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_STEP = re.compile(r"([0-9]{1,6}):([0-9.,]{1,20})/([0-9]{1,5})")
_BAND = re.compile(r"\w(?:[\w .+-]{0,28}\w)?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class CellError(Exception):
    """A cell that cannot be read: `kind` for programs, the message for people."""

    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind
        self.cause = cause


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
def read_grace(text: str) -> int:
    """Whole seconds from 0. Raises CellError."""
    if re.fullmatch(r"[0-9]{1,9}", text) is None:
        raise CellError("grace", f"the grace {text[:40]!r} is not a whole number of seconds{_hint(text)}")
    if int(text) > MAX_INCREMENT:
        raise CellError("grace", f"the grace {text[:40]!r} is not between 0 and {MAX_INCREMENT} seconds")
    return int(text)


@lru_cache(maxsize=1024)
def read_steps(text: str) -> str:
    """Group intervals as a deck keeps them, `60:0.01/1;3600:0.05/60`: second, price a minute, increment. CellError.

    Apart by `;`, `|` or a space.
    """
    steps: list[Step] = []
    for step in re.split(r"\s*[;|]\s*|\s+", text.strip()):
        match = _STEP.fullmatch(step)
        if match is None:
            raise CellError("steps", f"the step {step[:40]!r} is not written SECOND:PRICE/INCREMENT, such as 60:0.01/1")
        second, price, increment = int(match[1]), read_price(match[2]), read_increment(match[3])
        if not 1 <= second <= MAX_STEP_SECOND:
            raise CellError("steps", f"the step {step[:40]!r} does not begin between 1 and {MAX_STEP_SECOND} seconds")
        if steps and second <= steps[-1].from_second:
            raise CellError("steps", f"the step {step[:40]!r} does not begin after the one before")
        steps.append(Step(second, from_micro(price), increment))
    if len(steps) > MAX_STEPS:
        raise CellError("steps", f"more than {MAX_STEPS} steps")
    return written_steps(steps)


@lru_cache(maxsize=64)
def read_band(text: str) -> str:
    """The name of a time band of the account's plan. Raises CellError."""
    if _BAND.fullmatch(text) is None:
        raise CellError("band", f"the band {text[:40]!r} is not a name of at most 30 letters and digits")
    return text


def check_row(values: Mapping[str, str | int]) -> tuple[str, CellError] | None:
    """What is wrong between the cells of a row that are each right, and in which column; None: nothing."""
    minute, call = int(values.get("service_per_minute", 0)), int(values.get("service_per_call", 0))
    if not (minute or call):
        return None
    steps = parsed_steps(str(values.get("steps", "")))
    cheapest = min([int(values["rate_per_minute"]), *(to_micro(step.per_minute) for step in steps)])
    if minute > cheapest:
        more = " or a step" if steps else ""
        cause = f"the service's price is part of rate_per_minute, and cannot be above it{more}"
        return "service_per_minute", CellError("service", cause)
    if call > int(values.get("per_call", 0)):
        cause = "the service's price is part of per_call, and cannot be above it"
        return "service_per_call", CellError("service", cause)
    return None


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
    seconds = (instant - _EPOCH) // _SECOND
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
    "grace": read_grace,
    "steps": read_steps,
    "band": read_band,
    "service_per_call": read_price,
    "service_per_minute": read_price,
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
