"""The terms of an account beside its deck: time bands, holidays, bundles, rounding, tax, free numbers, currency.

A plan is written as TOML (docs/rates.md) and kept as an immutable file beside the decks,
plan-NAME-HASH.toml. `read_plan` finds everything that is wrong at once, each with its place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from firmware.rates.bands import ALL_DAYS, CLOCKS, HOLIDAYS, MAX_CALL_DAYS, MINUTES_A_DAY, Band, Calendar, zone_of
from firmware.rates.bundle import PERIODS, Bundle
from firmware.rates.holidays import NATIONAL, Holidays
from firmware.rates.pricing import HOME, NO_BANDS
from firmware.rates.rate import RateError
from firmware.rates.terms import MAX_DECIMALS, PLACES, ROUNDINGS, Rounding, Tax, Terms

MAX_BYTES = 1 << 19
MAX_ERRORS = 50
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BAKED = "baked-zones"
HALF_UP = Rounding()
TAX_IN = Tax()

_MAX_BANDS, _MAX_BUNDLES, _MAX_LIST, _MAX_ZONES = 16, 32, 2000, 5000
_KEY = re.compile(r"[A-Z]{2}[0-9]{1,13}|[1-9][0-9]{0,14}")
_LABEL = re.compile(r"\w(?:[\w .+-]{0,38}\w)?")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
_DAY_OF_YEAR = re.compile(r"(0[1-9]|1[0-2])-([0-2][0-9]|3[01])")
_SPAN = re.compile(r"([0-9]{1,6}) ?(s|min|h)")
_SPAN_SECONDS = {"s": 1, "min": 60, "h": 3600}
_CURRENCY = re.compile(r"[A-Z]{3}")
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")
_LONGEST_KEY = 15
_CLASSES = ("fixed", "mobile", "free", "premium", "short", "international", "satellite", "unknown")
_NO_ZONES: Mapping[str, str] = MappingProxyType({})


class PlanError(RateError):
    """A plan cannot be read or used. `problems`: each with its place, all that were found."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan. `clock`: whose clock the bands go by, caller or destination; then `zones` has prefixes' time zones.

    `zone` is the household's (empty: as the box is set). `free`: keys of a deck (33800, FR3900) that cost nothing
    whatever the deck says. `currency` of the deck's prices, empty: whatever the deck says; `exchange`: the
    household's money for one unit of it.
    """

    name: str
    bands: tuple[Band, ...] = ()
    holidays: Holidays = Holidays()  # noqa: RUF009 - frozen
    clock: str = "caller"
    zone: str = ""
    zones: Mapping[str, str] = field(default_factory=lambda: _NO_ZONES)
    bundles: tuple[Bundle, ...] = ()
    rounding: Rounding = HALF_UP
    tax: Tax = TAX_IN
    free: tuple[str, ...] = ()
    currency: str = ""
    exchange: Decimal | None = None

    def calendar(self, key: str, started: datetime, home: str = HOME) -> Calendar:
        """The bands as a call begun at `started` to this number meets them; `home`: the box's time zone."""
        if not self.bands:
            return NO_BANDS
        zone = self.zone or home
        if self.clock == "destination":
            zone = next((self.zones[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.zones), zone)
        if not self.holidays:
            return Calendar(self.bands, zone)
        day = started.astimezone(zone_of(zone)).date()
        margin = timedelta(days=2)
        near = self.holidays.between(day - margin, day + timedelta(days=MAX_CALL_DAYS) + margin)
        return Calendar(self.bands, zone, near)

    def terms(self, household: str) -> Terms:
        """Rounding, tax, and the exchange into the household's currency."""
        return Terms(self.rounding, self.tax, self.exchange, household if self.exchange is not None else "")

    def is_free(self, key: str) -> bool:
        """Whether the plan says that this number costs nothing."""
        return key.startswith(self.free)


def read_plan(text: str, name: str) -> Plan:
    """A plan from TOML. Raises PlanError with every problem."""
    if len(text) > MAX_BYTES:
        raise PlanError((f"the plan is longer than {MAX_BYTES // 1024} kB",))
    try:
        tree = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError, InvalidOperation, ValueError) as error:
        raise PlanError((f"the plan is no TOML: {error}",)) from error
    reader = _Reader()
    plan = _plan(_Table(tree, "", reader), name)
    if reader.problems:
        raise PlanError(tuple(reader.problems))
    return plan


# --- reading: every value that is wrong is told with its place, and another takes its stead ----------


class _Reader:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def wrong(self, place: str, cause: str) -> None:
        if len(self.problems) < MAX_ERRORS:
            self.problems.append(f"{place}: {cause}" if place else cause)


class _Table:
    """A table of the plan, from which keys are taken one by one; what is left over is unknown."""

    def __init__(self, tree: Mapping[str, Any], place: str, reader: _Reader) -> None:
        self._tree = dict(tree)
        self.place = place
        self.reader = reader

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def wrong(self, key: str, cause: str) -> None:
        self.reader.wrong(self.at(key), cause)

    def text(self, key: str, default: str, pattern: re.Pattern[str], meaning: str) -> str:
        value = self._tree.pop(key, None)
        if value is None:
            return default
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.wrong(key, f"{_shown(value)} is not {meaning}")
            return default
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self._tree.pop(key, default)
        if value not in choices:
            self.wrong(key, f"{_shown(value)} is none of {', '.join(choices)}")
            return default
        return str(value)

    def whole(self, key: str, low: int, high: int) -> int | None:
        value = self._tree.pop(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(key, f"{_shown(value)} is not a whole number from {low} to {high}")
            return None
        return value

    def number(self, key: str, low: Decimal, high: Decimal) -> Decimal | None:
        value = self._tree.pop(key, None)
        if value is None:
            return None
        plain = f"{value:f}" if isinstance(value, Decimal) and value.is_finite() else str(value)
        if isinstance(value, bool) or not _NUMBER.fullmatch(plain[:40]) or not low <= Decimal(plain) <= high:
            self.wrong(key, f"{_shown(value)} is not a number from {low} to {high}, with at most nine decimals")
            return None
        return Decimal(plain)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._tree.pop(key, default)
        if not isinstance(value, bool):
            self.wrong(key, f"{_shown(value)} is neither true nor false")
            return default
        return value

    def span(self, key: str) -> int | None:
        """Seconds: 10800, "3 h", "180 min"."""
        value = self._tree.pop(key, None)
        if value is None:
            return None
        match = _SPAN.fullmatch(value) if isinstance(value, str) else None
        seconds = int(match[1]) * _SPAN_SECONDS[match[2]] if match else value
        if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= MAX_CALL_DAYS * 86_400:
            self.wrong(key, f'{_shown(value)} is no length; write seconds, or "3 h", "20 min"')
            return None
        return seconds

    def texts(self, key: str, pattern: re.Pattern[str], meaning: str, most: int = _MAX_LIST) -> tuple[str, ...]:
        values = self._tree.pop(key, [])
        if not isinstance(values, list) or len(values) > most:
            self.wrong(key, f"is not a list of at most {most}")
            return ()
        found = []
        for value in values:
            plain = value.removeprefix("+") if isinstance(value, str) else ""
            if not pattern.fullmatch(plain):
                self.wrong(key, f"{_shown(value)} is not {meaning}")
            elif plain in found:
                self.wrong(key, f"{_shown(value)} stands twice")
            else:
                found.append(plain)
        return tuple(found)

    def any(self, key: str) -> Any:
        return self._tree.pop(key, None)

    def table(self, key: str) -> _Table:
        value = self._tree.pop(key, {})
        if not isinstance(value, dict):
            self.wrong(key, "is not a table")
            value = {}
        return _Table(value, self.at(key), self.reader)

    def tables(self, key: str, most: int) -> list[_Table]:
        values = self._tree.pop(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.wrong(key, f"is written [[{key}]]")
            return []
        if len(values) > most:
            self.wrong(key, f"more than {most}")
            values = values[:most]
        return [_Table(value, f"{self.at(key)} {number}", self.reader) for number, value in enumerate(values, 1)]

    def end(self) -> None:
        for key in self._tree:
            self.wrong(key[:40], "is not known here")


def _shown(value: object) -> str:
    return repr(str(value)[:40]) if not isinstance(value, bool) else str(value).lower()


def _plan(top: _Table, name: str) -> Plan:
    currency = top.text("currency", "", _CURRENCY, "three letters such as USD")
    exchange = top.number("exchange", Decimal("0.000001"), Decimal(100_000))
    zone = _zone(top, "timezone")
    clock = top.choice("clock", CLOCKS, "caller")
    free = top.texts("free", _KEY, "a prefix (33800) or a country and a short number (FR3900)")
    holidays = _holidays(top.table("holidays"))
    bands = tuple(_band(table) for table in top.tables("band", _MAX_BANDS))
    names = [band.name for band in bands]
    bundles = tuple(_bundle(table, names) for table in top.tables("bundle", _MAX_BUNDLES))
    for key, found in (("band", names), ("bundle", [bundle.name for bundle in bundles])):
        for twice in sorted({label for label in found if label and found.count(label) > 1}):
            top.wrong(key, f"the name {twice!r} stands twice")
    zones = {**_zones(top, BAKED), **_zones(top, "zones")}
    if clock == "destination" and not zones:
        top.wrong("clock", "the bands go by the destination's clock, and no [zones] says which time zone is whose")
    if any(band.holidays in {"also", "only", "never"} for band in bands) and not holidays:
        top.wrong("band", "a band has a word on holidays, and no [holidays] names any")
    rounding, tax = _rounding(top.table("rounding")), _tax(top.table("tax"))
    top.end()
    return Plan(name, bands, holidays, clock, zone, zones, bundles, rounding, tax, free, currency, exchange)


def _rounding(table: _Table) -> Rounding:
    mode, place = table.choice("mode", ROUNDINGS, "half-up"), table.choice("place", PLACES, "call")
    decimals = table.whole("decimals", 0, MAX_DECIMALS)
    table.end()
    return Rounding(mode, MAX_DECIMALS if decimals is None else decimals, place)


def _tax(table: _Table) -> Tax:
    percent = table.number("percent", Decimal(0), Decimal(100))
    included = table.flag("included", default=True)
    table.end()
    return Tax(percent or Decimal(0), included)


def _zone(table: _Table, key: str) -> str:
    value = table.any(key)
    return "" if value is None else _known_zone(table, key, value)


def _known_zone(table: _Table, key: str, value: object) -> str:
    try:
        return zone_of(str(value)).key if isinstance(value, str) else _no_zone(value)
    except ValueError:
        table.wrong(key, f"{_shown(value)} is no time zone such as Europe/Paris")
        return ""


def _no_zone(value: object) -> str:
    raise ValueError(value)


def _zones(top: _Table, key: str) -> dict[str, str]:
    tree = top.any(key) or {}
    table = _Table({}, key, top.reader)
    if not isinstance(tree, dict) or len(tree) > _MAX_ZONES:
        top.wrong(key, f"is not a table of at most {_MAX_ZONES} prefixes and their time zones")
        return {}
    known: dict[object, str] = {}
    zones = {}
    for prefix, value in tree.items():
        if not _KEY.fullmatch(prefix):
            table.wrong(prefix[:40], "is not a prefix")
            continue
        if str(value) not in known:
            known[str(value)] = _known_zone(table, prefix, value)
        zones[prefix] = known[str(value)]
    return zones


def _holidays(table: _Table) -> Holidays:
    country = table.any("country")
    national = Holidays()
    if country is not None:
        if country in NATIONAL:
            national = NATIONAL[country]
        else:
            table.wrong("country", f"{_shown(country)} is none of {', '.join(NATIONAL)}; give fixed, easter or dates")
    fixed = []
    for text in table.texts("fixed", _DAY_OF_YEAR, "a day of the year such as 07-14", 100):
        try:
            date(2023, int(text[:2]), int(text[3:]))
            fixed.append((int(text[:2]), int(text[3:])))
        except ValueError:
            table.wrong("fixed", f"{text!r} is no day of every year")
    from_easter = table.any("easter") or []
    if not isinstance(from_easter, list) or not all(_is_offset(days) for days in from_easter):
        table.wrong("easter", "is not a list of days from Easter Sunday, such as [-2, 1, 39, 50]")
        from_easter = []
    dates = table.any("dates") or []
    if not isinstance(dates, list) or len(dates) > _MAX_LIST:
        table.wrong("dates", f"is not a list of at most {_MAX_LIST} dates")
        dates = []
    days = frozenset(day for value in dates if (day := _date(table, value)) is not None)
    table.end()
    return Holidays((*national.fixed, *fixed), (*national.easter, *from_easter), national.dates | days)


def _is_offset(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -60 <= value <= 100  # noqa: PLR2004 - in its year


def _date(table: _Table, value: object) -> date | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else _no_date(value)
    except ValueError:
        table.wrong("dates", f"{_shown(value)} is no date such as 2026-07-14")
        return None


def _no_date(value: object) -> date:
    raise ValueError(value)


def _band(table: _Table) -> Band:
    name = table.text("name", "", _LABEL, "a name of at most 40 letters and digits")
    if not name:
        table.wrong("name", "a band must have a name, as the deck's rows have it")
    days = _weekdays(table)
    start, end = _minute(table, "from", 0), _minute(table, "to", MINUTES_A_DAY)
    if start == MINUTES_A_DAY:
        table.wrong("from", "'24:00' is the end of a day; write 00:00")
        start = 0
    if start == end:
        table.wrong("to", "the band ends where it begins; write from 00:00 to 24:00 for the whole day")
    holidays = table.choice("holidays", HOLIDAYS, "as-weekday")
    table.end()
    return Band(name, days, start, end, holidays)


def _weekdays(table: _Table) -> tuple[int, ...]:
    value = table.any("days")
    if value is None:
        return ALL_DAYS
    days: set[int] = set()
    for text in value if isinstance(value, list) else [value]:
        first, dash, last = text.partition("-") if isinstance(text, str) else ("", "", "")
        if first not in DAYS or (dash and last not in DAYS):
            table.wrong("days", f"{_shown(text)} is no day such as mon, and no range such as mon-fri")
            continue
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days.update((begin + n) % 7 for n in range((end - begin) % 7 + 1))
    return tuple(sorted(days))


def _minute(table: _Table, key: str, default: int) -> int:
    text = table.text(key, "", _CLOCK, "a time such as 08:00")
    if not text:
        return default
    hour, minute = map(int, text.split(":"))
    if hour * 60 + minute > MINUTES_A_DAY:
        table.wrong(key, f"{text!r} is after the end of the day")
        return default
    return hour * 60 + minute


def _bundle(table: _Table, bands: list[str]) -> Bundle:
    name = table.text("name", "", _LABEL, "a name of at most 40 letters and digits")
    if not name:
        table.wrong("name", "a bundle must have a name")
    meaning = "a prefix (33, 336) or a country and a short number (FR3900)"
    within = table.texts("bands", _LABEL, "the name of a band")
    for band in within:
        if band not in bands:
            table.wrong("bands", f"there is no band {band!r} in this plan")
    classes = table.texts("classes", re.compile("|".join(_CLASSES)), f"one of {', '.join(_CLASSES)}")
    bundle = Bundle(
        name=name,
        prefixes=table.texts("prefixes", _KEY, meaning),
        classes=classes,
        excluded=table.texts("except", _KEY, meaning),
        minutes=table.whole("minutes", 1, 100_000),
        max_call_seconds=table.span("max_call"),
        max_numbers=table.whole("max_numbers", 1, 100_000),
        accounts=table.texts("accounts", _LABEL, "the name of an account"),
        period=table.choice("period", PERIODS, "month"),
        increment=table.span("increment") or 1,
        bands=within,
    )
    table.end()
    return bundle
