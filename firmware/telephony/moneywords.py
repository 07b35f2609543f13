"""Money and time as they are said on a telephone, in French and English. Pure: numbers to words for `speaker`.

Figures stay figures ("34 centimes"): the voice reads them. What a call costs is rounded up and what is left is
rounded down, so that nothing sounds better than it is: below one unit of the currency to a hundredth of a cent,
above to the cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from pathlib import Path

from firmware.i18n import translator
from firmware.telephony.events import Announce

_TRANSLATIONS = Path(__file__).parent / "translations"
_HUNDREDTH = Decimal("0.01")
_MOST = Decimal(999_999_999)
_MINUTE = 60
_LONG = 120
_FEMININE = frozenset(("GBP",))  # la livre
_UNE = {
    1: "une",
    21: "vingt et une",
    31: "trente et une",
    41: "quarante et une",
    51: "cinquante et une",
    61: "soixante et une",
    81: "quatre-vingt-une",
    101: "cent une",
}


@dataclass(frozen=True, slots=True)
class _Names:
    """A currency's unit and cent: one and several."""

    unit: str
    units: str
    cent: str
    cents: str


_CURRENCIES: dict[str, dict[str, _Names]] = {
    "fr": {
        "EUR": _Names("euro", "euros", "centime", "centimes"),
        "CHF": _Names("franc", "francs", "centime", "centimes"),
        "USD": _Names("dollar", "dollars", "cent", "cents"),
        "CAD": _Names("dollar", "dollars", "cent", "cents"),
        "GBP": _Names("livre", "livres", "penny", "pence"),
    },
    "en": {
        "EUR": _Names("euro", "euros", "cent", "cents"),
        "CHF": _Names("franc", "francs", "centime", "centimes"),
        "USD": _Names("dollar", "dollars", "cent", "cents"),
        "CAD": _Names("dollar", "dollars", "cent", "cents"),
        "GBP": _Names("pound", "pounds", "penny", "pence"),
    },
}


def amount(money: Decimal, currency: str, language: str, *, up: bool) -> str:
    """`money` (not negative) as it is said: "2 centimes", "0,5 centime", "1 euro 40". `up` rounds away from zero.

    A currency without names here is said by its letters: "0,34 S E K".
    """
    french = language != "en"
    rounding = ROUND_UP if up else ROUND_DOWN
    money = min(max(money, Decimal(0)), _MOST)
    names = _CURRENCIES["fr" if french else "en"].get(currency)
    if names is None:
        return f"{_figures(money.quantize(_HUNDREDTH, rounding), french=french)} {' '.join(currency)}"
    cents = (money * 100).quantize(_HUNDREDTH, rounding)
    if cents < 100:  # noqa: PLR2004 - a unit
        return f"{_figures(cents, french=french)} {names.cent if _one(cents, french=french) else names.cents}"
    whole = int((money * 100).quantize(Decimal(1), rounding))
    units, rest = divmod(whole, 100)
    count = _feminine(units, language) if currency in _FEMININE else str(units)
    said = f"{count} {names.unit if units == 1 else names.units}"
    if not rest:
        return said
    if french:
        return f"{said} {rest}"
    return f"{said} and {rest} {names.cent if rest == 1 else names.cents}"


def _figures(value: Decimal, *, french: bool) -> str:
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace(".", ",") if french else text


def _one(value: Decimal, *, french: bool) -> bool:
    """Singular: in French anything below two, in English one exactly."""
    return value < 2 if french else value == 1  # noqa: PLR2004 - two is where the French plural begins


def duration(seconds: float, language: str) -> str:
    """A time as it is said: "10 secondes", "une minute", "90 secondes", and from two minutes on whole ones."""
    whole = max(0, int(seconds))
    words = translator(_TRANSLATIONS, "announcements", language)
    if whole >= _LONG or (whole and whole % _MINUTE == 0):
        minutes = whole // _MINUTE
        return words.ngettext("minute", "minutes", minutes) % {"n": _feminine(minutes, language)}
    return words.ngettext("second", "seconds", whole) % {"n": _feminine(whole, language)}


def _feminine(count: int, language: str) -> str:
    """Figures, but for the ones that a French voice would read as "un"."""
    return _UNE.get(count, str(count)) if language != "en" else str(count)


def price(announce: Announce, language: str) -> str:
    """What the call costs, as "Cet appel coûte 34 centimes la minute, plus 18 centimes de mise en relation."."""
    say = translator(_TRANSLATIONS, "announcements", language).gettext

    def cost(money: Decimal) -> str:
        return amount(money, announce.currency, language, up=True)

    if announce.per == "call" or not announce.price:
        return say("price-call") % {"price": cost(announce.price + announce.fee)}
    if announce.fee:
        return say("price-minute-fee") % {"price": cost(announce.price), "fee": cost(announce.fee)}
    return say("price-minute") % {"price": cost(announce.price)}


def left(announce: Announce, language: str) -> str | None:
    """What the budget has left: "Il vous reste 4 euros 20."; None where nothing is capped."""
    say = translator(_TRANSLATIONS, "announcements", language).gettext
    money, seconds = announce.remaining, announce.remaining_seconds
    said = {
        "money": amount(money, announce.currency, language, up=False) if money is not None else "",
        "time": duration(seconds, language) if seconds is not None else "",
    }
    if money is None and seconds is None:
        return None
    name = "left-money-time" if money is not None and seconds is not None else "left-money"
    return say(name if money is not None else "left-time") % said


def ends_in(seconds: float, language: str) -> str:
    """What the handset hears before a call is cut, as "Encore une minute."."""
    say = translator(_TRANSLATIONS, "announcements", language).gettext
    return say("cut-in") % {"time": duration(seconds, language)}
