"""Time bands: which of an account's tariffs holds at an instant, by whose clock, and when the next begins. Pure.

A call is split at instants, not at clock readings: a band's beginning is found in UTC, so that an hour
that the clock skips or repeats is split right too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

CLOCKS = ("caller", "destination")
HOLIDAYS = ("as-weekday", "also", "only", "never")
ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)
MINUTES_A_DAY = 1440
MAX_CALL_DAYS = 31
"""No call is longer."""
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Band:
    """A time band: on `weekdays` (0: Monday) from minute `start` of the day up to, not with, minute `end`.

    `end` at or before `start` is on the next day; the weekday, and the holiday, is that on which it began.
    `holidays`: a holiday is as-weekday: like any such day; also: in the band whatever its weekday;
    only: nothing but holidays; never: out of it.
    """

    name: str
    weekdays: tuple[int, ...] = ALL_DAYS
    start: int = 0
    end: int = MINUTES_A_DAY
    holidays: str = "as-weekday"

    def begins_on(self, day: date, holidays: frozenset[date]) -> bool:
        """Whether the band has a turn that begins on this day."""
        match self.holidays:
            case "also":
                return day in holidays or day.weekday() in self.weekdays
            case "only":
                return day in holidays
            case "never":
                return day not in holidays and day.weekday() in self.weekdays
            case _:
                return day.weekday() in self.weekdays

    def holds(self, local: datetime, holidays: frozenset[date]) -> bool:
        """Whether the band holds when clocks show `local`."""
        minute = local.hour * 60 + local.minute
        today = local.date()
        if self.start < self.end:
            return self.start <= minute < self.end and self.begins_on(today, holidays)
        if minute >= self.start:
            return self.begins_on(today, holidays)
        return minute < self.end and self.begins_on(today - _DAY, holidays)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Bands, first come first served, by the clock of the time zone `zone` (IANA), with these days as holidays."""

    bands: tuple[Band, ...] = ()
    zone: str = "Europe/Paris"
    holidays: frozenset[date] = frozenset()

    def band_at(self, instant: datetime) -> str:
        """The name of the band that holds at an instant; empty: none."""
        if not self.bands:
            return ""
        local = instant.astimezone(zone_of(self.zone))
        return next((band.name for band in self.bands if band.holds(local, self.holidays)), "")

    def next_change(self, instant: datetime) -> datetime:
        """The next instant, in UTC, at which another band may begin: at most a day on, and none is left out."""
        zone = zone_of(self.zone)
        until = instant + _DAY
        today = instant.astimezone(zone).date()
        minutes = {0, *(band.start for band in self.bands), *(band.end % MINUTES_A_DAY for band in self.bands)}
        found = until
        for day in (today, today + _DAY):
            for minute in minutes:
                reading = datetime.combine(day, time(minute // 60, minute % 60), zone)
                for moment in {reading.astimezone(UTC), reading.replace(fold=1).astimezone(UTC)}:
                    if instant < moment < found:
                        found = moment
        jump = _jump(zone, instant, found)
        return jump or found.astimezone(UTC)

    def around(self, instant: datetime) -> Calendar:
        """The same for a call that begins then: with no holidays but those it can meet."""
        day = instant.astimezone(zone_of(self.zone)).date()
        first, last = day - 2 * _DAY, day + (MAX_CALL_DAYS + 2) * _DAY
        near = frozenset(holiday for holiday in self.holidays if first <= holiday <= last)
        return Calendar(self.bands, self.zone, near)


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        msg = f"there is no time zone {name[:60]!r}"
        raise ValueError(msg) from error


def _jump(zone: tzinfo, start: datetime, end: datetime) -> datetime | None:
    """The first instant after `start`, up to `end`, at which the clock of `zone` is moved; to the second."""
    early, late = start.astimezone(UTC), end.astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    if late.astimezone(zone).utcoffset() == before:
        return None
    while late - early > _SECOND:
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)
