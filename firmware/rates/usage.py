"""What has been spent, by whom and when: sums of ended calls, and what running ones may still cost. Pure.

A call counts, whole, in the day, week and month in which it was placed, by the household's time zone: so the
order in which calls end changes nothing, and an hour that a time change repeats or leaves out is an hour like any
other. Money is Decimal in the household's currency; a cost in another one, which no plan turned into it, counts at
its face value. Seconds are whole, a begun one is one, as the call list shows them.

Emergencies, incoming calls, calls never answered and calls that were free count nothing. A call that a bundle took
costs nothing, but its time counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from enum import Enum

ZERO = Decimal(0)
# Sums that are kept: years of them, unless a clock runs wild.
MOST_SUMS = 20_000
# No call costs as much; a sum that held it would be of no use any more.
_NO_CALL = Decimal(10**9)


class Period(Enum):
    """Over what calls are summed up."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class ScopeKind(Enum):
    """Whose calls are summed up."""

    ALL = "all"
    CLASS = "class"
    LINE = "line"
    PIN = "pin"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose calls: all, or those of a class (`premium`), line (`2`), PIN (its label) or bundle (its name)."""

    kind: ScopeKind = ScopeKind.ALL
    name: str = ""

    def __str__(self) -> str:
        """As settings write it: `all`, `class:premium`, `line:2`, `pin:Zoé`."""
        return self.kind.value if self.kind is ScopeKind.ALL else f"{self.kind.value}:{self.name}"


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An ended call as it counts. `started` is an instant with its offset; `kind` the number's class."""

    started: datetime
    kind: str
    line: int
    number: str = ""
    pin: str | None = None
    money: Decimal = ZERO
    seconds: int = 0
    bundle: str | None = None
    bundle_seconds: int = 0

    def scopes(self) -> Iterator[Scope]:
        """Whose call it is."""
        yield EVERYTHING
        yield Scope(ScopeKind.CLASS, self.kind)
        yield Scope(ScopeKind.LINE, str(self.line))
        if self.pin:
            yield Scope(ScopeKind.PIN, self.pin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A running call: what it may spend at most, from its first second. None: without end.

    `calls` is whose it is; `bundles` how many seconds it may take of each bundle (None: without end).
    """

    call: Entry
    money: Decimal | None = ZERO
    seconds: int | None = 0
    bundles: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spent:
    """`money` and `seconds` of ended calls; `held_*` what running ones may come to, None: without end."""

    money: Decimal = ZERO
    seconds: int = 0
    held_money: Decimal | None = ZERO
    held_seconds: int | None = 0


@dataclass(frozen=True, slots=True)
class BundleUse:
    """Seconds of a bundle that are gone (`held`: that running calls may take besides), and the numbers called by it."""

    seconds: int = 0
    held: int | None = 0
    numbers: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Sum:
    money: Decimal = ZERO
    seconds: int = 0


def beginning(period: Period, at: datetime, zone: tzinfo) -> date:
    """The local date on which the period around `at` began; weeks begin on Monday (ISO 8601)."""
    day = at.astimezone(zone).date()
    match period:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)


def entry_of(row: Mapping[str, object], started: datetime) -> Entry | None:
    """A row of the call records as it counts, or None: it counts nothing.

    Reads `direction`, `emergency`, `answered`, `duration_ms`, `class`, `line`, `number`, `pin`, `cost`, `bundle`,
    `bundle_seconds`. An amount that is none counts as nothing rather than stop every other call from counting.
    """
    if row["direction"] != "out" or row["emergency"] or row["answered"] is None:
        return None
    cost = _amount(row["cost"])
    bundle = str(row["bundle"]) if row["bundle"] else None
    if cost == ZERO and bundle is None:
        return None
    return Entry(
        started=started,
        kind=str(row["class"] or "unknown"),
        line=int(str(row["line"])),
        number=str(row["number"] or ""),
        pin=str(row["pin"]) if row["pin"] else None,
        money=cost or ZERO,
        seconds=-(-int(str(row["duration_ms"])) // 1000),
        bundle=bundle,
        bundle_seconds=int(str(row["bundle_seconds"] or 0)),
    )


def _amount(text: object) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and ZERO < amount < _NO_CALL else ZERO


class Usage:
    """The sums of one household. Used from one thread at a time; `zone` is the household's time zone."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._sums: dict[tuple[Scope, Period, date], _Sum] = {}
        self._numbers: dict[tuple[str, Period, date], set[str]] = {}
        self._holds: dict[int, Hold] = {}

    @property
    def zone(self) -> tzinfo:
        """The household's time zone."""
        return self._zone

    @property
    def holds(self) -> Mapping[int, Hold]:
        """The running calls by their keys."""
        return self._holds

    def seed(self, entries: Iterable[Entry]) -> None:
        """Count calls that ended before: the same as `add` for each."""
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Count an ended call."""
        for period in Period:
            begun = beginning(period, entry.started, self._zone)
            for scope in entry.scopes():
                self._count((scope, period, begun), entry.money, entry.seconds)
            if entry.bundle is not None:
                self._count((Scope(ScopeKind.BUNDLE, entry.bundle), period, begun), ZERO, entry.bundle_seconds)
                self._numbers.setdefault((entry.bundle, period, begun), set()).add(entry.number)

    def _count(self, key: tuple[Scope, Period, date], money: Decimal, seconds: int) -> None:
        found = self._sums.get(key)
        if found is None:
            if len(self._sums) >= MOST_SUMS:
                self._forget()
            found = self._sums[key] = _Sum()
        found.money += money
        found.seconds += seconds

    def _forget(self) -> None:
        """The oldest half goes: those counted first."""
        for key in list(self._sums)[: MOST_SUMS // 2]:
            del self._sums[key]
            self._numbers.pop((key[0].name, key[1], key[2]), None)

    def hold(self, key: int, hold: Hold) -> None:
        """A call runs that may spend this much; said again, the last word holds."""
        self._holds[key] = hold

    def release(self, key: int) -> Hold | None:
        """The call is over, and holds nothing any more."""
        return self._holds.pop(key, None)

    def spent(self, scope: Scope, period: Period, at: datetime, *, but: int | None = None) -> Spent:
        """What the calls of `scope` placed in the period around `at` have come to, and may still come to.

        `but`: a running call that is not counted, since it is the one that asks.
        """
        begun = beginning(period, at, self._zone)
        found = self._sums.get((scope, period, begun), _Sum())
        money: Decimal | None = ZERO
        seconds: int | None = 0
        for hold in self._running(scope, period, begun, but):
            money = None if money is None or hold.money is None else money + hold.money
            seconds = None if seconds is None or hold.seconds is None else seconds + hold.seconds
        return Spent(found.money, found.seconds, money, seconds)

    def bundle_use(self, bundle: str, period: Period, at: datetime, *, but: int | None = None) -> BundleUse:
        """What is gone of a bundle in the period around `at`, running calls counted with what they may still take."""
        begun = beginning(period, at, self._zone)
        found = self._sums.get((Scope(ScopeKind.BUNDLE, bundle), period, begun), _Sum())
        numbers = set(self._numbers.get((bundle, period, begun), ()))
        held: int | None = 0
        for key, hold in list(self._holds.items()):
            if key != but and bundle in hold.bundles and beginning(period, hold.call.started, self._zone) == begun:
                takes = hold.bundles[bundle]
                held = None if held is None or takes is None else held + takes
                numbers.add(hold.call.number)
        return BundleUse(found.seconds, held, frozenset(numbers))

    def _running(self, scope: Scope, period: Period, begun: date, but: int | None) -> Iterator[Hold]:
        for key, hold in list(self._holds.items()):
            inside = scope in hold.call.scopes() and beginning(period, hold.call.started, self._zone) == begun
            if key != but and inside:
                yield hold
