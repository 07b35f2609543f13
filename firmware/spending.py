"""The settings' rules and the records' sums as `rates.budget` wants them, and as the page and command line are shown.

No thread and no clock of its own: the core asks from its loop (`budgetdesk`), the back office from its pool, and a
command on the files where no core runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from firmware.clock import Clock
from firmware.config import Settings
from firmware.rates.budget import CLASSES, LEAST_SECONDS, Cap, Numbers, PinRights, Rules, parse_caps, parse_numbers
from firmware.rates.usage import Entry, Spent, Usage, beginning, entry_of
from firmware.service import BudgetRow, CapRow
from firmware.telephony.ledger import Ledger
from firmware.telephony.record_table import FIRST_SURE_INSTANT
from firmware.telephony.records import parse_stamp

# What is read at the start: the running month and week, and some days for a clock that is set back a little.
SEED_DAYS = 40
MOST_PERCENT = 999


def rules_of(settings: Settings) -> Rules:
    """What the household has decided."""
    calls = settings.calls
    return Rules(
        caps=parse_caps(calls.caps),
        classes=frozenset(calls.allow),
        numbers=parse_numbers(calls.allow_numbers),
        pins=tuple(
            PinRights(pin.label, frozenset(pin.classes), Numbers(pin.numbers))
            for pin in settings.pin
            if pin.hash.get_secret_value()
        ),
        longest_seconds=calls.longest_minutes * 60 or None,
    )


def zone_of(settings: Settings) -> tzinfo:
    """The household's time zone, by which days and months are counted."""
    return ZoneInfo(settings.box.timezone)


def read(ledger: Ledger, clock: Clock) -> tuple[list[dict[str, object]], datetime]:
    """The rows that sums are made of, and the instant by which they are to be read.

    That is now; on a box that does not know the time yet, when it last surely placed a call. Raises StoreError.
    """
    at = clock.wall()
    if at < FIRST_SURE_INSTANT:
        at = ledger.latest() or at
    return ledger.counted(at - timedelta(days=SEED_DAYS)), at


def entries(rows: Sequence[Mapping[str, object]], at: datetime) -> list[Entry]:
    """The rows as they count; one whose time is unsure as if it were placed `at`."""
    placed = ((row, at if row["time_unsure"] else parse_stamp(str(row["started"]), "started")) for row in rows)
    counted = (entry_of(row, started) for row, started in placed)
    return [entry for entry in counted if entry is not None]


@dataclass(frozen=True, slots=True)
class Read:
    """The sums as the records had them, read as of `at`; `own` are the keys of this core's calls among them."""

    usage: Usage
    at: datetime
    own: frozenset[int]


def usage_of(ledger: Ledger, clock: Clock, zone: tzinfo) -> Read:
    """Read the records and sum them up; takes its time, and is not for a loop. Raises StoreError."""
    rows, at = read(ledger, clock)
    usage = Usage(zone)
    usage.seed(entries(rows, at))
    return Read(usage, at, frozenset(int(str(row["key"])) for row in rows if row["run"] == ledger.run))


def spent_by(usage: Usage, caps: Sequence[Cap], at: datetime) -> list[Spent]:
    """What each cap's calls have come to."""
    return [usage.spent(cap.scope, cap.period, at) for cap in caps]


def percent(cap: Cap, spent: Spent) -> int:
    """How much of a cap is gone, running calls aside: of money or time, whichever is nearer its end."""
    shares = [Decimal(0)]
    if cap.money is not None:
        shares.append(spent.money / cap.money if cap.money else Decimal(1))
    if cap.seconds is not None:
        left = cap.seconds - spent.seconds
        shares.append(Decimal(1) if left < LEAST_SECONDS else Decimal(spent.seconds) / cap.seconds)
    return min(MOST_PERCENT, int(max(shares) * 100))


def cap_row(cap: Cap, spent: Spent | None, at: datetime, zone: tzinfo) -> CapRow:
    """One cap with what is spent of it; `spent` None: that cannot be read now."""
    return {
        "cap": str(cap),
        "scope": cap.scope.kind.value,
        "name": cap.scope.name,
        "period": cap.period.value,
        "money": None if cap.money is None else f"{cap.money:.2f}",
        "minutes": None if cap.seconds is None else cap.seconds // 60,
        "since": beginning(cap.period, at, zone).isoformat(),
        "spent": None if spent is None else f"{spent.money:.4f}",
        "spent_seconds": None if spent is None else spent.seconds,
        "held": None if spent is None or spent.held_money is None else f"{spent.held_money:.4f}",
        "held_seconds": None if spent is None else spent.held_seconds,
        "percent": None if spent is None else percent(cap, spent),
    }


def budget_row(settings: Settings, spent: Sequence[Spent] | None, at: datetime, currency: str = "EUR") -> BudgetRow:
    """Everything about budgets at a glance. `spent`: of each cap in the settings' order, None: it cannot be read."""
    caps = parse_caps(settings.calls.caps)
    zone = zone_of(settings)
    sums: Sequence[Spent | None] = [None] * len(caps) if spent is None else spent
    return {
        "readable": spent is not None,
        "currency": currency,
        "caps": [cap_row(cap, one, at, zone) for cap, one in zip(caps, sums, strict=True)],
        "classes": list(CLASSES),
        "allow": list(settings.calls.allow),
        "allow_numbers": list(settings.calls.allow_numbers),
        "longest_minutes": settings.calls.longest_minutes,
        "pins": [
            {
                "label": pin.label,
                "has_pin": bool(pin.hash.get_secret_value()),
                "classes": list(pin.classes),
                "numbers": list(pin.numbers),
            }
            for pin in settings.pin
        ],
    }
