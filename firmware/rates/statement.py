"""The month's bill: call records into sums by destination, person, account and day. Pure, Decimal throughout.

Records come as `allobox calls --json` has them (mappings); columns that an older box does not know
are None. On the bill stands every outgoing call that was answered, and whatever else cost something.
Sums are of the recorded four decimals, so that they are right to the cent however they are grouped;
only `rounded` rounds, once, half up. Tax and the price of a service (SVA) are parts of the cost.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from firmware.rates.rate import ZERO

CENT = Decimal("0.01")
_FOUR = Decimal("0.0001")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")
_FIRST_YEAR, _LAST_YEAR = 1971, 9998


class StatementError(ValueError):
    """A bill that cannot be asked for, in a person's words."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar, wherever the household lives."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """`2026-11`. Raises StatementError."""
        match = _MONTH.fullmatch(text.strip())
        if match is None or not 1 <= int(match[2]) <= 12 or not _FIRST_YEAR <= int(match[1]) <= _LAST_YEAR:  # noqa: PLR2004
            raise StatementError(f"{text[:40]!r} is not a month; write 2026-11")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: datetime, zone: tzinfo) -> Month:
        """The month that an instant falls into."""
        local = moment.astimezone(zone)
        return cls(local.year, local.month)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"

    def plus(self, months: int) -> Month:
        """So many months later."""
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    def begin(self, zone: tzinfo) -> datetime:
        """Midnight of the first, where the household lives."""
        return datetime(self.year, self.month, 1, tzinfo=zone)

    def end(self, zone: tzinfo) -> datetime:
        """Midnight of the next month's first: no longer this month."""
        return self.plus(1).begin(zone)

    def days(self) -> list[date]:
        """Every day of it."""
        first, after = date(self.year, self.month, 1), self.plus(1)
        return [first + timedelta(days=count) for count in range((date(after.year, after.month, 1) - first).days)]


@dataclass(frozen=True, slots=True)
class Entry:
    """One call on the bill. `started` in the household's time; `cost` None: no price was known.

    `service` and `tax` are parts of `cost`. `pin` is the label of the PIN that allowed the call.
    """

    id: int
    started: datetime
    number: str
    name: str
    destination: str
    account: str
    line: int
    seconds: int
    billed_seconds: int
    cost: Decimal | None
    currency: str
    service: Decimal = ZERO
    tax: Decimal = ZERO
    pin: str = ""
    kind: str = ""
    bundle: str = ""
    unsure: bool = False


def entry_of(row: Mapping[str, object], zone: tzinfo) -> Entry | None:
    """A record as it stands on the bill, or None: it does not. Raises StatementError for what is no record."""
    cost = _money(row.get("cost"))
    outgoing = row.get("direction") == "out" and row.get("answered") is not None
    if not outgoing and not cost:
        return None
    try:
        started = datetime.fromisoformat(str(row["started"]))
        return Entry(
            id=int(str(row["id"])),
            started=(started if started.tzinfo else started.replace(tzinfo=UTC)).astimezone(zone),
            number=str(row.get("number") or row.get("dialled") or ""),
            name=str(row.get("name") or ""),
            destination=str(row.get("destination") or ""),
            account=str(row.get("account") or ""),
            line=int(str(row.get("line") or 0)),
            seconds=int(str(row["seconds"])),
            billed_seconds=int(str(row["billed_seconds"])),
            cost=cost,
            currency=str(row.get("currency") or "") if cost is not None else "",
            service=_money(row.get("service_cost")) or ZERO,
            tax=_money(row.get("tax")) or ZERO,
            pin=str(row.get("pin") or ""),
            kind=str(row.get("class") or ""),
            bundle=str(row.get("bundle") or ""),
            unsure=bool(row.get("time_unsure")),
        )
    except (KeyError, ValueError, OverflowError) as error:
        raise StatementError(f"a call record that cannot be read: {error}") from error


def entries_of(rows: Iterable[Mapping[str, object]], zone: tzinfo) -> list[Entry]:
    """What of these records stands on the bill."""
    return [entry for row in rows if (entry := entry_of(row, zone)) is not None]


@dataclass(slots=True)
class Sum:
    """Calls added up, in one currency ("": calls without a price)."""

    currency: str
    calls: int = 0
    seconds: int = 0
    billed_seconds: int = 0
    cost: Decimal = ZERO
    service: Decimal = ZERO
    tax: Decimal = ZERO

    def add(self, entry: Entry) -> None:
        """One call more."""
        self.calls += 1
        self.seconds += entry.seconds
        self.billed_seconds += entry.billed_seconds
        self.cost += entry.cost or ZERO
        self.service += entry.service
        self.tax += entry.tax

    @property
    def rounded(self) -> Decimal:
        """The cost to the cent, half up: what is paid."""
        return self.cost.quantize(CENT, ROUND_HALF_UP)

    def as_json(self) -> dict[str, object]:
        """Amounts with four decimals; None without a price."""
        priced = bool(self.currency)
        return {
            "calls": self.calls,
            "seconds": self.seconds,
            "billed_seconds": self.billed_seconds,
            "cost": amount(self.cost) if priced else None,
            "rounded": f"{self.rounded:f}" if priced else None,
            "service_cost": amount(self.service) if priced else None,
            "tax": amount(self.tax) if priced else None,
            "currency": self.currency or None,
        }


@dataclass(slots=True)
class Group:
    """Calls that have something in common. `key` is what; `number` is that of a person, when it is one alone."""

    key: str
    sum: Sum
    number: str = ""


_KEYS: dict[str, Callable[[Entry], str]] = {
    "destination": lambda entry: entry.destination,
    "person": lambda entry: entry.name or entry.number,
    "account": lambda entry: entry.account,
    "day": lambda entry: entry.started.date().isoformat(),
    "line": lambda entry: str(entry.line),
    "pin": lambda entry: entry.pin,
    "class": lambda entry: entry.kind,
    "bundle": lambda entry: entry.bundle,
}
GROUPINGS = tuple(_KEYS)


def totals(entries: Iterable[Entry]) -> list[Sum]:
    """One sum a currency, calls without a price last."""
    sums: dict[str, Sum] = {}
    for entry in entries:
        sums.setdefault(entry.currency, Sum(entry.currency)).add(entry)
    return sorted(sums.values(), key=lambda total: (not total.currency, total.currency))


def groups(entries: Iterable[Entry], by: str) -> list[Group]:
    """Sums by what the calls have in common and by currency: days in order, else the dearest first.

    Raises StatementError for a grouping that there is not.
    """
    key_of = _KEYS.get(by)
    if key_of is None:
        raise StatementError(f"{by[:40]!r} is no way to group a bill; there are: {', '.join(GROUPINGS)}")
    found: dict[tuple[str, str], Group] = {}
    for entry in entries:
        key = key_of(entry)
        group = found.get((key, entry.currency))
        if group is None:
            group = found[key, entry.currency] = Group(key, Sum(entry.currency), entry.number)
        elif group.number != entry.number:
            group.number = ""
        group.sum.add(entry)
    if by == "day":
        return sorted(found.values(), key=lambda group: (group.key, group.sum.currency))
    return sorted(found.values(), key=_dearest)


def _dearest(group: Group) -> tuple[object, ...]:
    return (not group.sum.currency, group.sum.currency, -group.sum.cost, -group.sum.seconds, group.key)


def search(entries: Iterable[Entry], text: str) -> list[Entry]:
    """The calls whose person, number, destination or account holds `text`; a number as people write it."""
    needle = fold(text.strip())
    if not needle:
        return list(entries)
    digits = "".join(c for c in needle if c not in " .-()/\u00a0\u202f")
    bare = digits.lstrip("+").lstrip("0") if digits.lstrip("+").isdecimal() else ""
    kept: dict[tuple[str, str, str], bool] = {}  # a month names few people many times

    def fits(entry: Entry) -> bool:
        known = kept.get((entry.name, entry.number, entry.destination + "\n" + entry.account))
        if known is None:
            hay = fold(f"{entry.name}\n{entry.destination}\n{entry.account}\n{entry.number}")
            known = needle in hay or bool(bare and bare in entry.number)
            kept[entry.name, entry.number, entry.destination + "\n" + entry.account] = known
        return known

    return [entry for entry in entries if fits(entry)]


# The price of a call by each account that has one: {account: (amount, currency)}.
Prices = Callable[[Entry], Mapping[str, tuple[Decimal, str]]]


@dataclass(slots=True)
class Saving:
    """What the calls cost, and what they would have cost by the dearest account each; in one currency.

    `calls` had a price and at least one other account to compare with. `by_day`: (paid, dearest) of a day.
    """

    currency: str
    calls: int = 0
    paid: Decimal = ZERO
    dearest: Decimal = ZERO
    by_day: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    by_account: dict[str, Decimal] = field(default_factory=dict)

    @property
    def saved(self) -> Decimal:
        """Never negative: an account that was taken is itself among those compared."""
        return self.dearest - self.paid

    def as_json(self) -> dict[str, object]:
        """Amounts with four decimals. `by_account`: how much less than on that account, its calls alone."""
        return {
            "currency": self.currency,
            "calls": self.calls,
            "paid": amount(self.paid),
            "dearest": amount(self.dearest),
            "saved": amount(self.saved),
            "by_account": {name: amount(saved) for name, saved in sorted(self.by_account.items())},
        }


def savings(entries: Iterable[Entry], prices: Prices) -> list[Saving]:
    """What routing by price saved, by currency. Calls that no other account could price are left out."""
    found: dict[str, Saving] = {}
    for entry in entries:
        if entry.cost is None:
            continue
        others = [
            (price, name)
            for name, (price, currency) in prices(entry).items()
            if name != entry.account and currency == entry.currency
        ]
        if not others:
            continue
        saving = found.setdefault(entry.currency, Saving(entry.currency))
        price, name = max(others)
        dearest = max(price, entry.cost)
        saving.calls += 1
        saving.paid += entry.cost
        saving.dearest += dearest
        if dearest > entry.cost:
            saving.by_account[name] = saving.by_account.get(name, ZERO) + dearest - entry.cost
        day = entry.started.date().isoformat()
        paid, most = saving.by_day.get(day, (ZERO, ZERO))
        saving.by_day[day] = (paid + entry.cost, most + dearest)
    return [found[currency] for currency in sorted(found)]


def whole_cents(amounts: Iterable[Decimal]) -> bool:
    """Whether all of them are whole cents: else a list shows four decimals, so that its lines add up to the eye."""
    return all(value == value.quantize(CENT) for value in amounts)


def amount(value: Decimal) -> str:
    """Four decimals, or as many as it has: what is added up is never rounded."""
    return f"{value:.4f}" if value == value.quantize(_FOUR) else f"{value.normalize():f}"


def statement_json(
    month: Month, zone: tzinfo, entries: Sequence[Entry], by: str, saved: Sequence[Saving] = ()
) -> dict[str, object]:
    """`allobox bill --json`; docs/bill.md explains each key. Raises StatementError."""
    return {
        "month": str(month),
        "from": month.begin(zone).isoformat(),
        "until": month.end(zone).isoformat(),
        "timezone": str(zone),
        "totals": [total.as_json() for total in totals(entries)],
        "by": by,
        "groups": [{by: group.key} | group.sum.as_json() for group in groups(entries, by)],
        "savings": [saving.as_json() for saving in saved],
        "time_unsure": sum(entry.unsure for entry in entries),
    }


def fold(text: str) -> str:
    """Lower case without accents, for searching: `Zoé` is found by `zoe`."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))


def _money(value: object) -> Decimal | None:
    """An amount of a record; None for none, and for what is no amount."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
