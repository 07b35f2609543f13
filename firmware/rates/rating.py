"""What a call costs. Pure arithmetic in whole numbers: no float, no rounding but the last.

    billed = first increment                                   if seconds <= first increment
           = first + ceil((seconds - first) / next) * next     otherwise
    exact  = connection fee + per call + per minute * billed / 60, and the minimum at least
    amount = exact, to four decimals, half up

A call never answered costs nothing, nor does an emergency, whatever a deck says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from firmware.rates.rate import MICRO, ZERO, Number, Rate, to_micro, written

EMERGENCY = "emergency"
DECIMALS = 4
_UNIT = 10 ** (MICRO - DECIMALS)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a call that was charged alike: from one second to another, in a band or by a bundle.

    `billed` seconds; `exact` is its price with what of fees and minimum falls to it. The parts' sum is the whole.
    """

    begins: Decimal
    ends: Decimal
    band: str
    bundle: str | None
    billed: int
    exact: Fraction


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of one call: `exact`, and `amount` as the terms round it, as it is shown and recorded.

    With tax, in the household's currency. Within it `service` is the price of the service called and `tax`
    the tax. `bundle` covered `bundle_seconds` of the `billed_seconds`. `original` is the amount in the
    deck's currency where that is another.
    """

    billed_seconds: int
    exact: Fraction
    amount: Decimal
    parts: tuple[Part, ...] = ()
    service: Decimal = Decimal("0.0000")
    bundle: str | None = None
    bundle_seconds: int = 0
    tax: Decimal = Decimal("0.0000")
    currency: str = ""
    original: Decimal | None = None


NOTHING = Cost(0, Fraction(0), Decimal("0.0000"))


def billed_seconds(rate: Rate, seconds: Decimal | int) -> int:
    """Seconds that are paid for; 0 for a call that was not answered (`seconds` <= 0)."""
    if seconds <= 0:
        return 0
    beyond = Fraction(seconds) - rate.first_increment
    if beyond <= 0:
        return rate.first_increment
    return rate.first_increment + ceil(beyond / rate.next_increment) * rate.next_increment


def price(rate: Rate, seconds: Decimal | int) -> Cost:
    """What a call of `seconds` of conversation costs by `rate`."""
    billed = billed_seconds(rate, seconds)
    if not billed:
        return NOTHING
    micro = to_micro(rate.connection_fee) + to_micro(rate.per_call) + Fraction(to_micro(rate.per_minute) * billed, 60)
    exact = max(micro, Fraction(to_micro(rate.minimum)))
    rounded = floor(exact / _UNIT + Fraction(1, 2))
    return Cost(billed, exact / 10**MICRO, Decimal(rounded).scaleb(-DECIMALS))


def max_seconds(rate: Rate, budget: Decimal) -> int | None:
    """The longest call in whole seconds that costs no more than `budget`; None: no end; 0: not even a second."""
    fees = rate.connection_fee + rate.per_call
    if max(fees, rate.minimum) > budget:
        return 0
    if not rate.per_minute:
        return None
    payable = floor(Fraction(budget - fees) * 60 / Fraction(rate.per_minute))
    if payable < rate.first_increment:
        return 0
    return rate.first_increment + (payable - rate.first_increment) // rate.next_increment * rate.next_increment


def emergency_rate(prefix: str, currency: str) -> Rate:
    """The rate of every emergency number."""
    return Rate(prefix, "Emergency", currency, ZERO, first_increment=1, next_increment=1)


def answer(
    number: Number, rate: Rate, seconds: Decimal | int, *, account: str | None = None, deck: str | None = None
) -> dict[str, object]:
    """The keys of `allobox price --json` (service.PriceAnswer)."""
    cost = price(rate, seconds)
    return {
        "number": number.e164 or number.digits,
        "destination": rate.destination,
        "class": str(number.kind.value),
        "account": account,
        "currency": rate.currency,
        "rate_per_minute": written(rate.per_minute),
        "connection_fee": written(rate.connection_fee),
        "first_increment": rate.first_increment,
        "next_increment": rate.next_increment,
        "billed_seconds": cost.billed_seconds,
        "cost": f"{cost.amount:f}",
        "free": rate.free,
        "max_seconds": None,
        "deck": deck,
        "per_call": written(rate.per_call),
        "minimum": written(rate.minimum),
    }


def to_tariff(rate: Rate) -> str:
    """The rate as text, to be kept with the call that was placed at it."""
    return json.dumps(
        {
            "prefix": rate.prefix,
            "destination": rate.destination,
            "currency": rate.currency,
            "per_minute": f"{rate.per_minute:f}",
            "connection_fee": f"{rate.connection_fee:f}",
            "first_increment": rate.first_increment,
            "next_increment": rate.next_increment,
            "per_call": f"{rate.per_call:f}",
            "minimum": f"{rate.minimum:f}",
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def from_tariff(text: str) -> Rate:
    """The rate that `to_tariff` wrote. Raises ValueError."""
    try:
        kept = json.loads(text)
        return Rate(
            prefix=str(kept["prefix"]),
            destination=str(kept["destination"]),
            currency=str(kept["currency"]),
            per_minute=Decimal(kept["per_minute"]),
            connection_fee=Decimal(kept["connection_fee"]),
            first_increment=int(kept["first_increment"]),
            next_increment=int(kept["next_increment"]),
            per_call=Decimal(kept["per_call"]),
            minimum=Decimal(kept["minimum"]),
        )
    except (KeyError, TypeError, ArithmeticError) as error:
        msg = f"no tariff: {text[:60]!r}"
        raise ValueError(msg) from error


def charge(tariff: str, seconds: float) -> tuple[int, Decimal, str]:
    """Billed seconds, amount and currency of a call kept with `tariff`; `seconds` of a clock, to the millisecond."""
    rate = from_tariff(tariff)
    cost = price(rate, Decimal(round(seconds * 1000)).scaleb(-3))
    return cost.billed_seconds, cost.amount, rate.currency
