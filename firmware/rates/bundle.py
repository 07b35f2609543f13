"""Bundles: calls that are paid already, within limits. Pure.

A flat bundle ("unlimited to fixed lines of 100 countries, 3 h a call, 99 numbers a month") has no
`minutes`; a minute bundle has. What is left of one is a `BundleState`, counted elsewhere (usage).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

PERIODS = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class BundleState:
    """What is left of a bundle in the running period.

    `seconds_left` and `numbers_left` are None where there is no limit; `number_known`: the number
    about to be called is one of those counted already.
    """

    seconds_left: int | None = None
    numbers_left: int | None = None
    number_known: bool = False

    @property
    def admits(self) -> bool:
        """Whether the number may be called within the bundle, as far as numbers are counted."""
        return self.number_known or self.numbers_left is None or self.numbers_left > 0


UNLIMITED = BundleState()


@dataclass(frozen=True, slots=True)
class Bundle:
    """The terms of a bundle. Its name is one for the whole box, for `accounts` may share it.

    It holds for numbers under `prefixes` (keys of a deck: 33, 336, FR3699), or of `classes`
    (numbering's names), or for all if there are neither, but for those under `excluded`; in `bands`
    only, if there are any. `increment`: in what seconds are counted. `accounts`: others that share it
    beside the account whose plan has it.
    """

    name: str
    prefixes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    minutes: int | None = None
    max_call_seconds: int | None = None
    max_numbers: int | None = None
    accounts: tuple[str, ...] = ()
    period: str = "month"
    increment: int = 1
    bands: tuple[str, ...] = ()

    @property
    def full(self) -> BundleState:
        """What there is at the beginning of a period."""
        return BundleState(None if self.minutes is None else self.minutes * 60, self.max_numbers)

    def holds_for(self, key: str, kind: str) -> bool:
        """Whether calls to this number (a deck's key, numbering's class) can be within the bundle."""
        if key.startswith(self.excluded):
            return False
        if not (self.prefixes or self.classes):
            return True
        return key.startswith(self.prefixes) or kind in self.classes


def period_start(period: str, at: datetime, zone: tzinfo) -> datetime:
    """When the day, week (from Monday) or month of `at` began by the clock of `zone`; in UTC."""
    return _midnight(_first_day(period, at.astimezone(zone).date()), zone)


def period_end(period: str, at: datetime, zone: tzinfo) -> datetime:
    """When the next one begins."""
    first = _first_day(period, at.astimezone(zone).date())
    match period:
        case "day":
            following = first + timedelta(days=1)
        case "week":
            following = first + timedelta(days=7)
        case _:
            following = (first + timedelta(days=31)).replace(day=1)
    return _midnight(following, zone)


def _first_day(period: str, day: date) -> date:
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case _:
            return day.replace(day=1)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
