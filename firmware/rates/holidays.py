"""Public holidays by rule: days of the year, days from Easter, and single dates. Pure.

No library: of a country only what its law makes a holiday everywhere, which is a line of data here and
does not end with the year; whatever a provider's terms name otherwise stands in the plan. (The package
`holidays` knows two hundred countries in 14 MB, more than all of this firmware. Its release 0.109 has the
same days for France from 2008 to 2059, and for Germany but for the one of 2017; for Belgium it has
Easter and Whit Sunday besides, which are Sundays anyway.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Holidays:
    """`fixed`: month and day of every year; `easter`: days after Easter Sunday; `dates`: once."""

    fixed: tuple[tuple[int, int], ...] = ()
    easter: tuple[int, ...] = ()
    dates: frozenset[date] = frozenset()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.fixed or self.easter or self.dates)

    def between(self, first: date, last: date) -> frozenset[date]:
        """The holidays from one day to another, both with them."""
        years = range(first.year, last.year + 1)
        every = (day for year in years for day in _of_year(self.fixed, self.easter, year))
        return frozenset(day for day in (*every, *self.dates) if first <= day <= last)


NATIONAL: Mapping[str, Holidays] = {
    # Code du travail, L3133-1: the 1st of January, Easter Monday, the 1st and the 8th of May, Ascension, Whit
    # Monday, the 14th of July, Assumption, All Saints, the 11th of November, Christmas.
    "FR": Holidays(((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)), (1, 39, 50)),
    # Loi du 4 janvier 1974 relative aux jours fériés, arrêté royal du 18 avril 1974.
    "BE": Holidays(((1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25)), (1, 39, 50)),
    # The nine that all sixteen Länder have; Unity Day by the Einigungsvertrag.
    "DE": Holidays(((1, 1), (5, 1), (10, 3), (12, 25), (12, 26)), (-2, 1, 39, 50)),
}


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar ("anonymous" algorithm, Nature 13 (1876), 487)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=64)
def _of_year(fixed: tuple[tuple[int, int], ...], from_easter: tuple[int, ...], year: int) -> tuple[date, ...]:
    sunday = easter(year)
    return (*(date(year, month, day) for month, day in fixed), *(sunday + timedelta(days=n) for n in from_easter))
