"""What is said of a price: the keys of `allobox price --json` and how they are written. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from firmware.rates import rating
from firmware.rates.pricing import Pricing
from firmware.rates.rate import Number, written, written_steps


def answer(
    number: Number,
    pricing: Pricing,
    started: datetime,
    seconds: Decimal | int,
    *,
    account: str | None = None,
    deck: str | None = None,
) -> dict[str, object]:
    """The keys of `allobox price --json` (service.PriceAnswer). Prices are of the deck; costs are the household's."""
    rate = pricing.rate_at(started)
    if rate is None:
        raise ValueError(f"no rate holds at {started.isoformat()}")
    cost = rating.charge(pricing, started, seconds)
    return {
        "number": number.e164 or number.digits,
        "destination": rate.destination,
        "class": str(number.kind.value),
        "account": account,
        "currency": pricing.currency,
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
        "prefix": rate.prefix,
        "deck_currency": rate.currency,
        "band": rate.band or pricing.calendar.band_at(started),
        "grace_seconds": rate.grace_seconds,
        "steps": written_steps(rate.steps),
        "service_per_call": written(rate.service_per_call),
        "service_per_minute": written(rate.service_per_minute),
        "service_cost": f"{cost.service:f}",
        "tax": f"{cost.tax:f}",
        "bundle": cost.bundle,
        "bundle_seconds": cost.bundle_seconds,
        "parts": [
            {
                "from": f"{part.begins:f}",
                "to": f"{part.ends:f}",
                "band": part.band,
                "bundle": part.bundle,
                "billed_seconds": part.billed,
                "cost": f"{pricing.terms.rounding.amount(part.exact):f}",
            }
            for part in cost.parts
        ],
    }
