"""One row of a rate deck as a value, and how a number finds its row.

Prices are Decimal with at most six decimals, in one currency a deck. A deck's prefixes are E.164
digits without `+`; a short number, which is no E.164 number, stands under its country's two
letters: `FR3699`, `FR15`, `FR118`. (3699 alone would be Hungary.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Protocol

MICRO = 6
ZERO = Decimal(0)
_SHOWN = Decimal("0.0001")


class RateError(Exception):
    """A refusal in a person's words."""


class UnknownDestinationError(RateError):
    """No deck in use has a price for this number. `number` as it was asked."""

    def __init__(self, number: str, decks: str) -> None:
        super().__init__(f"no price is known for {number} ({decks})")
        self.number = number


@dataclass(frozen=True, slots=True)
class Step:
    """A group interval: from second `from_second` of a call on, a minute costs this, in begun `increment`s.

    An increment is priced where it begins; one that began before `from_second` ends as it began.
    """

    from_second: int
    per_minute: Decimal
    increment: int


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
    `minimum` at least. Billed are `first_increment` seconds whole, then begun `next_increment`s; from
    the first of `steps` on, theirs. A call of at most `grace_seconds` costs nothing; a longer one is
    billed from its first second. A row with a `band` holds in that time band of the plan; one without
    whenever no row of the same prefix has the band.

    `service_per_call` and `service_per_minute` are what of `per_call` and `per_minute` is the price of
    the service that answers (French SVA); the rest is the price of the call.

    A `withdrawn` row says that from its date on there is no price for the prefix (merge.py); no look-up gives it.
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
    grace_seconds: int = 0
    steps: tuple[Step, ...] = ()
    band: str = ""
    service_per_call: Decimal = ZERO
    service_per_minute: Decimal = ZERO
    withdrawn: bool = False

    @property
    def free(self) -> bool:
        """Whether no call by this rate can cost anything."""
        fixed = self.connection_fee or self.per_call or self.minimum
        return not (self.withdrawn or self.per_minute or fixed or any(step.per_minute for step in self.steps))


def deck_key(number: Number, country: str) -> str:
    """What is looked up in a deck: E.164 digits, or country and digits of a short number."""
    if number.e164:
        return number.e164.removeprefix("+")
    return f"{country.upper()}{number.digits}"


def written(value: Decimal) -> str:
    """A price with four decimals, or as many as it has: 0.0200, 0.00512."""
    return f"{value:.4f}" if value == value.quantize(_SHOWN) else f"{value.normalize():f}"


def written_steps(steps: Iterable[Step]) -> str:
    """Steps as a deck keeps them: `60:0.0100/1;3600:0.0500/60`."""
    return ";".join(f"{step.from_second}:{written(step.per_minute)}/{step.increment}" for step in steps)


@lru_cache(maxsize=256)
def parsed_steps(text: str) -> tuple[Step, ...]:
    """What `written_steps` wrote. Raises ValueError."""
    steps = []
    for step in filter(None, text.split(";")):
        second, _, rest = step.partition(":")
        price, _, increment = rest.partition("/")
        try:
            steps.append(Step(int(second), Decimal(price), int(increment)))
        except ArithmeticError as error:
            raise ValueError(f"no step: {step[:40]!r}") from error
    return tuple(steps)


def to_micro(value: Decimal) -> int:
    """A price as whole millionths. Raises ValueError if it has more decimals than MICRO."""
    scaled = value.scaleb(MICRO)
    if scaled != scaled.to_integral_value():
        msg = f"{value} has more than {MICRO} decimals"
        raise ValueError(msg)
    return int(scaled)


@lru_cache(maxsize=2048)
def from_micro(value: int) -> Decimal:
    """The price of that many millionths, at least four decimals: 0.0200, 0.00512."""
    price = Decimal(value).scaleb(-MICRO)
    short = price.quantize(_SHOWN)
    return short if short == price else price.normalize()
