"""The terms of an account beside its deck: time bands, holidays, bundles, rounding, tax, free numbers, currency."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from firmware.rates.bands import Calendar
from firmware.rates.bundle import Bundle
from firmware.rates.pricing import NO_BANDS
from firmware.rates.terms import Rounding, Tax

HALF_UP = Rounding()
TAX_IN = Tax()


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan. `clock`: whose clock the bands go by, caller or destination; then `zones` has prefixes' time zones.

    `free`: keys of a deck (33800, FR3900) that cost nothing whatever the deck says. `currency` of the deck's
    prices, empty: whatever the deck says; `exchange`: the household's money for one unit of it.
    """

    name: str
    calendar: Calendar = NO_BANDS
    clock: str = "caller"
    zones: tuple[tuple[str, str], ...] = ()
    bundles: tuple[Bundle, ...] = ()
    rounding: Rounding = HALF_UP
    tax: Tax = TAX_IN
    free: tuple[str, ...] = ()
    currency: str = ""
    exchange: Decimal | None = None
