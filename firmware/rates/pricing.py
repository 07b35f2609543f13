"""All that is needed to charge one call later, as a value and as the text that is kept with the call. Pure.

A call is priced when it is placed and charged when it is over; a deck, a plan or a bundle that changes
in between changes nothing for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from firmware.rates.bands import Band, Calendar
from firmware.rates.bundle import UNLIMITED, Bundle, BundleState
from firmware.rates.rate import Rate, Step
from firmware.rates.terms import PLAIN, Rounding, Tax, Terms

VERSION = 2
NO_BANDS = Calendar()
HOME = "Europe/Paris"


@dataclass(frozen=True, slots=True)
class Pricing:
    """Rates of one destination, one a band, and the terms that they are charged by.

    `bundle` covers the call as far as `state`, its state when the call was placed, lets it; its periods
    are those of the household's time zone `zone`.
    """

    rates: tuple[Rate, ...]
    terms: Terms = PLAIN
    calendar: Calendar = NO_BANDS
    bundle: Bundle | None = None
    state: BundleState = UNLIMITED
    zone: str = HOME

    def rate_in(self, band: str) -> Rate | None:
        """The rate that holds in a band: its own, or the one without a band. None: no price is known then."""
        fitting = [rate for rate in self.rates if rate.band in {band, ""}]
        return max(fitting, key=lambda rate: (len(rate.prefix), rate.band == band), default=None)

    def rate_at(self, instant: datetime) -> Rate | None:
        """The rate that holds at an instant."""
        return self.rate_in(self.calendar.band_at(instant))

    @property
    def currency(self) -> str:
        """What the amounts are in."""
        return self.terms.currency or self.rates[0].currency


def to_tariff(pricing: Pricing | Rate) -> str:
    """The pricing as text, to be kept with the call that was placed at it; one plain rate as version 1 wrote it."""
    if isinstance(pricing, Rate):
        pricing = Pricing((pricing,))
    if pricing == Pricing(pricing.rates, zone=pricing.zone) and len(pricing.rates) == 1:
        return _text(_rate_to(pricing.rates[0]))
    kept: dict[str, object] = {"v": VERSION, "rates": [_rate_to(rate) for rate in pricing.rates]}
    if pricing.terms != PLAIN:
        kept["terms"] = _terms_to(pricing.terms)
    if pricing.calendar != NO_BANDS:
        kept["calendar"] = _calendar_to(pricing.calendar)
    if pricing.bundle is not None:
        kept["bundle"] = _bundle_to(pricing.bundle)
        kept["state"] = [pricing.state.seconds_left, pricing.state.numbers_left, pricing.state.number_known]
        kept["zone"] = pricing.zone
    return _text(kept)


@lru_cache(maxsize=512)
def from_tariff(text: str) -> Pricing:
    """The pricing that `to_tariff` wrote, of this version or the first. Raises ValueError."""
    try:
        kept = json.loads(text, parse_float=Decimal)
        if "v" not in kept:
            return Pricing((_rate_from(kept),))
        _known(kept["v"])
        bundle = _bundle_from(kept["bundle"]) if "bundle" in kept else None
        rates = tuple(_rate_from(rate) for rate in kept["rates"])
        return Pricing(
            rates or _none(),
            _terms_from(kept["terms"]) if "terms" in kept else PLAIN,
            _calendar_from(kept["calendar"]) if "calendar" in kept else NO_BANDS,
            bundle,
            BundleState(*kept["state"]) if bundle is not None else UNLIMITED,
            str(kept.get("zone", HOME)),
        )
    except (KeyError, TypeError, ArithmeticError, AttributeError, IndexError, RecursionError) as error:
        msg = f"no tariff: {text[:60]!r}"
        raise ValueError(msg) from error


def _known(version: object) -> None:
    if version != VERSION:
        raise KeyError(version)


def _none() -> tuple[Rate, ...]:
    raise KeyError("rates")


def _text(kept: object) -> str:
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def _rate_to(rate: Rate) -> dict[str, object]:
    kept: dict[str, object] = {
        "prefix": rate.prefix,
        "destination": rate.destination,
        "currency": rate.currency,
        "per_minute": f"{rate.per_minute:f}",
        "connection_fee": f"{rate.connection_fee:f}",
        "first_increment": rate.first_increment,
        "next_increment": rate.next_increment,
        "per_call": f"{rate.per_call:f}",
        "minimum": f"{rate.minimum:f}",
    }
    if rate.grace_seconds:
        kept["grace"] = rate.grace_seconds
    if rate.steps:
        kept["steps"] = [[step.from_second, f"{step.per_minute:f}", step.increment] for step in rate.steps]
    if rate.band:
        kept["band"] = rate.band
    if rate.service_per_call:
        kept["service_per_call"] = f"{rate.service_per_call:f}"
    if rate.service_per_minute:
        kept["service_per_minute"] = f"{rate.service_per_minute:f}"
    return kept


def _rate_from(kept: Any) -> Rate:
    return Rate(
        prefix=str(kept["prefix"]),
        destination=str(kept["destination"]),
        currency=str(kept["currency"]),
        per_minute=Decimal(kept["per_minute"]),
        connection_fee=Decimal(kept["connection_fee"]),
        first_increment=_increment(kept["first_increment"]),
        next_increment=_increment(kept["next_increment"]),
        per_call=Decimal(kept["per_call"]),
        minimum=Decimal(kept["minimum"]),
        grace_seconds=int(kept.get("grace", 0)),
        steps=tuple(Step(int(at), Decimal(price), _increment(every)) for at, price, every in kept.get("steps", ())),
        band=str(kept.get("band", "")),
        service_per_call=Decimal(kept.get("service_per_call", 0)),
        service_per_minute=Decimal(kept.get("service_per_minute", 0)),
    )


def _increment(value: object) -> int:
    seconds = int(str(value))
    if seconds < 1:
        raise KeyError("increment")
    return seconds


def _terms_to(terms: Terms) -> dict[str, object]:
    rounding, tax = terms.rounding, terms.tax
    return {
        "rounding": [rounding.mode, rounding.decimals, rounding.place],
        "tax": [f"{tax.percent:f}", tax.included],
        "exchange": None if terms.exchange is None else f"{terms.exchange:f}",
        "currency": terms.currency,
    }


def _terms_from(kept: Any) -> Terms:
    mode, decimals, place = kept["rounding"]
    percent, included = kept["tax"]
    exchange = kept["exchange"]
    return Terms(
        Rounding(str(mode), int(decimals), str(place)),
        Tax(Decimal(percent), bool(included)),
        None if exchange is None else Decimal(exchange),
        str(kept["currency"]),
    )


def _calendar_to(calendar: Calendar) -> dict[str, object]:
    return {
        "zone": calendar.zone,
        "bands": [[b.name, b.weekdays, b.start, b.end, b.holidays] for b in calendar.bands],
        "holidays": [day.isoformat() for day in sorted(calendar.holidays)],
    }


def _calendar_from(kept: Any) -> Calendar:
    return Calendar(
        tuple(Band(str(n), tuple(map(int, days)), int(a), int(b), str(h)) for n, days, a, b, h in kept["bands"]),
        str(kept["zone"]),
        frozenset(map(date.fromisoformat, kept["holidays"])),
    )


def _bundle_to(bundle: Bundle) -> dict[str, object]:
    """Without the numbers that it holds for: it was found to hold for this one."""
    return {
        "name": bundle.name,
        "minutes": bundle.minutes,
        "max_call_seconds": bundle.max_call_seconds,
        "max_numbers": bundle.max_numbers,
        "period": bundle.period,
        "increment": bundle.increment,
        "bands": list(bundle.bands),
    }


def _bundle_from(kept: Any) -> Bundle:
    return Bundle(
        name=str(kept["name"]),
        minutes=kept["minutes"],
        max_call_seconds=kept["max_call_seconds"],
        max_numbers=kept["max_numbers"],
        period=str(kept["period"]),
        increment=_increment(kept["increment"]),
        bands=tuple(map(str, kept["bands"])),
    )
