"""The columns of a provider's call records: what they are called, and what may stand in them. Pure.

Providers agree on nothing: names in any language, a date and a time apart or in one cell, lengths as
83, 1:23 or 1 min 23 s, prices with a comma and a sign of money, last digits masked by x or *.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache

from firmware import numbering
from firmware.rates.columns import CellError
from firmware.rates.spreadsheet import plain_cell

FIELDS = ("number", "start", "date", "time", "seconds", "billed", "cost", "rate", "currency", "direction")
MAX_SECONDS = 31 * 86_400
MAX_COST = 100_000
MAX_CELL = 64

# Folded, without signs. What begins a name is enough for none: "date" is no "date limite".
_NAMES: dict[str, str] = {
    "number": "number|number called|called|callee|called number|callednumber|destination number|dst|to|b number|"
    "bnumber|dialed|dialled|dialed number|dialled number|phone number|telephone|numero|numero appele|appele|"
    "numero compose|numero destinataire|numero de destination|destinataire|correspondant|numero correspondant|"
    "rufnummer|gerufene nummer|zielrufnummer|zielnummer|numero chiamato|numero llamado|nummer",
    "start": "start|starttime|start time|started|date time|datetime|date and time|date et heure|date heure|"
    "date heure appel|date et heure de lappel|date et heure appel|timestamp|calldate|connect time|connecttime|begin|"
    "beginn|debut|heure de debut|date de debut|debut appel|horodatage|setup time|answer time|date debut|datum uhrzeit",
    "date": "date|jour|day|datum|date appel|date de lappel|call date|fecha|data",
    "time": "time|heure|uhrzeit|hour|heure appel|heure de lappel|call time|hora|ora",
    "seconds": "duration|duree|seconds|secondes|billsec|talk time|call duration|duree appel|duree de lappel|"
    "duree reelle|duree s|duree sec|duree secondes|duree en secondes|duration s|duration sec|duration seconds|"
    "duration in seconds|"
    "dauer|gesprachsdauer|dauer s|length|duracion|durata|minutes|duree minutes|duree min|duration min|duration minutes|"
    "duree en minutes",
    "billed": "billed|billed seconds|billed duration|duree facturee|duree taxee|secondes facturees|rounded duration|"
    "billable|billable seconds|billed time",
    "cost": "cost|price|amount|charge|charged|montant|prix|cout|total|montant ttc|montant ht|prix ttc|prix ht|cout ttc|"
    "cout ht|montant eur|prix eur|cout eur|cost eur|betrag|kosten|preis|fee|importe|importo|total ttc|total ht|"
    "montant facture|call cost|total cost",
    "rate": "rate|rate per minute|tarif|prix minute|prix min|tarif minute|prix a la minute|price per minute|"
    "minute rate|price min|cout minute|minutenpreis",
    "currency": "currency|devise|monnaie|wahrung|moneda|valuta",
    "direction": "direction|sens|call type|type|type dappel|call direction|richtung",
}
_KNOWN = {name: field for field, names in _NAMES.items() for name in names.split("|")}
_INCOMING = frozenset(
    {"in", "incoming", "inbound", "entrant", "entrante", "recu", "received", "eingehend", "terminating"}
)

_COST = re.compile(r"([+-]?)([0-9]{1,9})?(?:[.,]([0-9]{1,12}))?")
_CODES = "EUR|USD|GBP|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|MAD|TND|DZD|XOF|XAF|XPF|JPY"
_MONEY_SIGNS = re.compile(rf"[€$£¥]|(?<![A-Za-z])(?:{_CODES})(?![A-Za-z])")
_PLAIN_SECONDS = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,9}))?")
_CLOCK = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,6}):([0-9]{1,2})(?:[.,][0-9]{1,9})?")
_SPOKEN = re.compile(
    r"(?:([0-9]{1,4})\s*(?:h|hr|hrs|heures?|hours?|std)\.?)?\s*(?:([0-9]{1,5})\s*(?:m|mn|min|mins|minutes?|'|\u2032)\.?)?\s*"
    r"(?:([0-9]{1,7})\s*(?:s|sec|secs|secondes?|seconds?|sek|''|\"|\u2033)?\.?)?"
)
_MASK = "xX*#?\u2022"
_NUMBER = re.compile(r"\+?[0-9]{2,20}")
_ISO = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_LOCAL = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4}|[0-9]{2})")
_TIME = re.compile(
    r"([0-9]{1,2})[:hH.]([0-9]{2})(?:[:mM.]([0-9]{2})[sS]?)?(?:[.,][0-9]{1,9})?\s*([aApP]\.?[mM]\.?)?\s*"
    r"(Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?"
)
_EPOCH = re.compile(r"1[0-9]{9}(?:[0-9]{3})?")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands, by place from 0. `minutes`: lengths without a unit are minutes."""

    places: Mapping[str, int]
    names: Mapping[str, str]
    width: int
    minutes: bool = False


def read_columns(cells: Sequence[str], given: Mapping[str, str]) -> Columns | None:
    """The columns that a line names, or None: it names no call. `given`: {field: name, or place from 1}.

    Raises CellError for a field or a column that there is not.
    """
    folded = [_folded(cell) for cell in cells]
    places: dict[str, int] = {}
    for field, wanted in given.items():
        if field not in FIELDS:
            cause = f"there is no field {field[:40]!r}; there are: {', '.join(FIELDS)}"
            raise CellError("field", cause)
        if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted[:6]) <= len(cells):
            places[field] = int(wanted) - 1
        elif _folded(wanted) in folded:
            places[field] = folded.index(_folded(wanted))
        else:
            return None
    taken = set(places.values())
    for place, name in enumerate(folded):
        known = _KNOWN.get(name)
        if known is not None and known not in places and place not in taken:
            places[known] = place
    if "start" in places and "date" in places and "time" in places and "start" not in given:
        del places["start"]  # such as "start": the exchange's own count beside date and time
    if "number" not in places or not {"seconds", "billed"} & set(places) or not {"start", "date"} & set(places):
        return None
    if "seconds" not in places:
        places["seconds"] = places.pop("billed")  # one length, whichever it is: reconcile takes the nearer
    name = folded[places["seconds"]]
    minutes = "minute" in name or re.search(r"\bmin\b", name) is not None
    return Columns(places, {field: cells[place][:40] for field, place in places.items()}, len(cells), minutes)


def is_incoming(text: str) -> bool:
    """Whether the cell says that they called us."""
    return _folded(text) in _INCOMING


@lru_cache(maxsize=4096)
def read_number(text: str, country: str) -> str:
    """E.164 with +, a short number, or with `?` for digits that the provider masks. Raises CellError."""
    plain = _short(text, "number").removeprefix("tel:").removeprefix("sip:").partition("@")[0]
    compact = re.sub(r"[\s().\-/\u00a0\u202f]", "", plain)
    if re.fullmatch(r"[0-9]+[.,][0-9]+[eE]\+?[0-9]+", plain):
        cause = f"the number {text[:40]!r} was turned into a power of ten by a spreadsheet; format the column as text"
        raise CellError("number", cause)
    digits = re.sub(f"[{re.escape(_MASK)}]", "0", compact)
    if _NUMBER.fullmatch(digits) is None:
        raise CellError("number", f"{text[:40]!r} is not a telephone number")
    found = numbering.parse_number(digits, country)
    shown = found.e164 or found.digits or digits
    masked = [index for index, char in enumerate(reversed(compact)) if char in _MASK]
    if not masked:
        return shown
    marks = list(shown)
    for index in masked:
        if index < len(marks):
            marks[-1 - index] = "?"
    return "".join(marks)


@lru_cache(maxsize=4096)
def read_seconds(text: str, *, minutes: bool = False) -> int:
    """A length in whole seconds, begun ones whole: 83, 83.5, 1:23, 0:01:23, 1 min 23 s, 1h02m. Raises CellError."""
    plain = _short(text, "duration").casefold()
    match = _PLAIN_SECONDS.fullmatch(plain)
    if match is not None:
        exact = Decimal(f"{match[1]}.{match[2] or 0}") * (60 if minutes else 1)
        seconds = int(exact.to_integral_value(rounding="ROUND_CEILING"))
    elif (match := _CLOCK.fullmatch(plain)) is not None:
        seconds = int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
    elif plain and (match := _SPOKEN.fullmatch(plain)) is not None and any(match.groups()):
        seconds = int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
    else:
        raise CellError("duration", f"the length {text[:40]!r} is not a time; write 83, 1:23 or 0:01:23")
    if seconds > MAX_SECONDS:
        raise CellError("duration", f"the length {text[:40]!r} is more than a month")
    return seconds


@lru_cache(maxsize=4096)
def read_cost(text: str) -> tuple[Decimal, int] | None:
    """An amount and how many decimals it was written with; None for an empty cell. Raises CellError."""
    plain = _short(text, "price")
    bare = re.sub(r"[\s\u00a0\u202f']", "", _MONEY_SIGNS.sub("", plain))
    if not bare or bare == "-":
        return None
    if re.fullmatch(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+|[+-]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+", bare):
        bare = re.sub(r"[.,](?=.*[.,])", "", bare)
    match = _COST.fullmatch(bare)
    if match is None or not (match[2] or match[3]):
        raise CellError("price", f"the price {text[:40]!r} is not a number")
    amount = Decimal(f"{match[1]}{match[2] or 0}.{match[3] or 0}")
    if abs(amount) > MAX_COST:
        raise CellError("price-range", f"the price {text[:40]!r} is above {MAX_COST}")
    return amount, len(match[3] or "")


def currency_in(text: str) -> str:
    """The currency that stands in a price's cell or heading, or ""."""
    for sign, code in (("€", "EUR"), ("$", "USD"), ("£", "GBP")):
        if sign in text:
            return code
    match = re.search(rf"\b(?:{_CODES})\b", text.upper())
    return match[0] if match else ""


class Dates:
    """Dates of one file. 03/04/2026 is March or April: whichever the other lines allow, else the day first."""

    def __init__(self, zone: tzinfo, *, month_first: bool = False) -> None:
        self._zone = zone
        self._month_first = month_first

    @staticmethod
    def month_comes_first(texts: Iterable[str]) -> bool:
        """Whether some date can only be read month first, and none day first."""
        first = second = False
        for text in texts:
            match = _LOCAL.match(text)
            if match is not None:
                first = first or int(match[1]) > 12  # noqa: PLR2004 - months
                second = second or int(match[2]) > 12  # noqa: PLR2004
        return second and not first

    def read(self, date_text: str, time_text: str | None = None) -> tuple[datetime, datetime | None]:
        """The instant (UTC), and the other one of a local time that comes twice. Raises CellError."""
        plain = _short(date_text, "date")
        if _EPOCH.fullmatch(plain) and time_text is None:
            return datetime.fromtimestamp(int(plain[:10]), UTC), None
        day, rest = self._day(plain)
        if day is None:
            cause = f"{date_text[:40]!r} is no date; write 2026-11-23 14:32:05 or 23/11/2026 14:32:05"
            raise CellError("date", cause)
        clock, zone = self._time(rest if time_text is None else _short(time_text, "date"), date_text)
        try:
            local = day.replace(tzinfo=zone or self._zone) + clock
            early, late = local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise CellError("date", f"{date_text[:40]!r} is out of range") from error
        return early, (late if late != early else None)

    def _day(self, text: str) -> tuple[datetime | None, str]:
        local = (3, 1, 2) if self._month_first else (3, 2, 1)
        for pattern, order in ((_ISO, (1, 2, 3)), (_LOCAL, local), (_COMPACT, (1, 2, 3))):
            match = pattern.match(text)
            if match is None:
                continue
            year, month, day = (int(match[place]) for place in order)
            try:
                found = datetime(year + 2000 if len(str(year)) <= 2 else year, month, day, tzinfo=self._zone)  # noqa: PLR2004
            except ValueError:
                return None, ""
            return found, text[match.end() :].lstrip(" T,\u00a0\u202f")
        return None, ""

    @staticmethod
    def _time(text: str, shown: str) -> tuple[timedelta, tzinfo | None]:
        match = _TIME.fullmatch(text)
        if match is None:
            raise CellError("date", f"{(text or shown)[:40]!r} has no time of day; write 14:32:05")
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        if match[4]:
            hour = hour % 12 + (12 if match[4][0] in "pP" else 0)
        try:
            clock = time(hour, minute, min(second, 59))
        except ValueError as error:
            raise CellError("date", f"{text[:40]!r} is no time of day") from error
        zone: tzinfo | None = None
        if match[5]:
            offset = "+00:00" if match[5] in {"Z", "UTC", "GMT"} else match[5]
            zone = datetime.strptime(offset, "%z").tzinfo
        return timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second), zone


def _short(text: str, kind: str) -> str:
    """The cell, trimmed; no number, date or price is long. Raises CellError."""
    plain = plain_cell(text.strip()).strip()
    if len(plain) > MAX_CELL:
        raise CellError(kind, f"{plain[:40]!r}... is longer than {MAX_CELL} characters")
    return plain


def _folded(text: str) -> str:
    """A heading without case, accents and signs: `Durée (s)` is `duree s`."""
    plain = unicodedata.normalize("NFKD", plain_cell(text[:80]).casefold())
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    spaced = re.sub(r"[^a-z0-9]+", " ", letters.replace("'", "").replace("\u2019", ""))
    return " ".join(spaced.split())
