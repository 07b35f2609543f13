"""The month's bill in a process of its own: `python -m firmware.webui.bill_child`, an order a line on standard input.

It keeps the months that were looked at, so that each record is asked of the core once, and ends after
some minutes without an order. Neither a large month nor a hostile file costs the page anything but
this child: memory and time are limited. `bill_desk` is its master; orders and answers are JSON.
"""

from __future__ import annotations

import io
import json
import os
import resource
import selectors
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from firmware.rates import billcsv, check, statement
from firmware.rates.cdr import CdrError, CdrReport, read_cdr
from firmware.rates.compare import Comparer
from firmware.rates.statement import Entry, Group, Month, Saving, Sum

IDLE_SECONDS = 300.0
MEMORY_BYTES = 192 << 20
CHECK_CPU_SECONDS = 120
MAX_ENTRIES = 60_000
MAX_MONTHS = 3
# Of a long list the dearest are shown and the rest is one line, so that the page stays light and still adds up.
SHOWN = 40
MAX_FINDINGS = 500
_DIMENSIONS = ("destination", "person", "account", "line", "pin", "bundle")

Order = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass(slots=True)
class _Kept:
    """One month: its entries in the order of their ids, and the last record that was looked at."""

    zone: str
    after: int | None = None
    entries: list[Entry] = field(default_factory=list)
    reports: dict[str, Answer] = field(default_factory=dict)


class Clerk:
    """Answers orders, one after another."""

    def __init__(self) -> None:
        self._months: dict[str, _Kept] = {}
        self._month = ""
        self._zone = ZoneInfo("UTC")
        self._prices: Comparer | None = None
        self._prices_for: tuple[object, ...] = ()
        self._compared: dict[int, Mapping[str, tuple[Decimal, str]]] = {}
        self._report = CdrReport("")
        self._rows: list[Mapping[str, object]] = []
        self._orders: dict[str, Callable[[Order], Answer]] = {
            "open": self._open,
            "rows": self._take,
            "bill": self._bill,
            "csv": self._csv,
            "calls": self._calls,
            "json": self._json,
            "read": self._read,
            "records": self._records,
            "compare": self._compare,
        }

    def answer(self, order: Order) -> Answer:
        """What came of it; `refused` says in words why nothing did."""
        try:
            return self._orders[str(order["do"])](order)
        except (statement.StatementError, CdrError) as error:
            return {"refused": str(error)}

    # --- the month ------------------------------------------------------------------------

    def _open(self, order: Order) -> Answer:
        """Which month the next orders are about; beyond which record it is not known yet."""
        self._month, self._zone = str(order["month"]), ZoneInfo(str(order["zone"]))
        kept = self._months.get(self._month)
        # A record whose time was unsure may have another by now: it belongs elsewhere, or is told right.
        if kept is None or kept.zone != order["zone"] or any(entry.unsure for entry in kept.entries):
            kept = self._months[self._month] = _Kept(str(order["zone"]))
        self._months[self._month] = self._months.pop(self._month)
        while len(self._months) > MAX_MONTHS:
            self._months.pop(next(iter(self._months)))
        self._know_prices(order)
        return {"after": kept.after}

    def _know_prices(self, order: Order) -> None:
        decks = Path(str(order["decks"]))
        try:
            stamp = (decks / "active.json").stat().st_mtime_ns
        except OSError:
            stamp = 0
        wanted = (decks, stamp, order["country"], order["zone"], tuple(order["accounts"]))
        if wanted == self._prices_for:
            return
        if self._prices is not None:
            self._prices.close()
        self._prices = Comparer(decks, str(order["country"]), str(order["zone"]), list(order["accounts"]))
        self._prices_for = wanted
        self._compared.clear()
        for kept in self._months.values():
            kept.reports.clear()

    def _take(self, order: Order) -> Answer:
        kept = self._months[self._month]
        some = statement.entries_of(order["rows"], self._zone)
        if sum(len(month.entries) for month in self._months.values()) + len(some) > MAX_ENTRIES:
            for name in [name for name in self._months if name != self._month]:
                del self._months[name]
            if len(kept.entries) + len(some) > MAX_ENTRIES:
                raise statement.StatementError(
                    f"the month has more than {MAX_ENTRIES} calls; `allobox bill --month {self._month}` adds them up"
                )
        kept.entries += some
        if some:
            kept.reports.clear()
        kept.after = int(order["after"])
        return {"after": kept.after}

    def _found(self, order: Order) -> list[Entry]:
        found = statement.search(self._months[self._month].entries, str(order.get("search", "")))
        return sorted(found, key=lambda entry: (entry.started, entry.id))

    def _price(self, entry: Entry) -> Mapping[str, tuple[Decimal, str]]:
        known = self._compared.get(entry.id)
        if known is None and self._prices is not None:
            known = self._compared[entry.id] = self._prices(entry)
            if len(self._compared) > MAX_ENTRIES:
                self._compared.clear()
        return known or {}

    def _bill(self, order: Order) -> Answer:
        """Everything that the page shows of the month."""
        kept = self._months[self._month]
        search = str(order.get("search", ""))
        if search not in kept.reports:
            if len(kept.reports) > SHOWN:
                kept.reports.clear()
            kept.reports[search] = self._made(self._found(order))
        return kept.reports[search]

    def _made(self, entries: Sequence[Entry]) -> Answer:
        totals = statement.totals(entries)
        days = statement.groups(entries, "day")
        dimensions: Answer = {}
        for by in _DIMENSIONS:
            found = statement.groups(entries, by)
            if by in {"line", "pin", "bundle"} and len({group.key for group in found}) < 2:  # noqa: PLR2004
                continue
            dimensions[by] = _dimension(found)
        return {
            "totals": [_sum(total) for total in totals],
            "calls": len(entries),
            "dimensions": dimensions,
            "days": [_group(group) for group in days],
            "days_whole": statement.whole_cents(group.sum.cost for group in days),
            "savings": [_saving(saving) for saving in statement.savings(entries, self._price)],
            "time_unsure": sum(entry.unsure for entry in entries),
        }

    def _calls(self, order: Order) -> Answer:
        """The calls themselves, `limit` of them from `first` on."""
        entries = self._found(order)
        first, limit = int(order["first"]), int(order["limit"])
        shown = [
            {
                "started": entry.started.isoformat(),
                "number": entry.number,
                "name": entry.name,
                "destination": entry.destination,
                "account": entry.account,
                "seconds": entry.seconds,
                "cost": None if entry.cost is None else statement.amount(entry.cost),
                "currency": entry.currency,
            }
            for entry in entries[first : first + limit]
        ]
        whole = statement.whole_cents(entry.cost for entry in entries if entry.cost is not None)
        return {"calls": shown, "total": len(entries), "whole": whole}

    def _csv(self, order: Order) -> Answer:
        """CSV text; `headings` and `point` are the reader's."""
        entries, by, point = self._found(order), str(order["by"]), str(order["point"])
        if by == "call":
            rows = (billcsv.call_cells(entry, point) for entry in entries)
        else:
            rows = (billcsv.group_cells(group, point) for group in statement.groups(entries, by))
        out = io.StringIO()
        out.writelines(billcsv.lines(list(order["headings"]), rows, str(order["delimiter"])))
        return {"text": out.getvalue()}

    def _json(self, order: Order) -> Answer:
        entries = self._found(order)
        saved = statement.savings(entries, self._price)
        month = Month.parse(self._month)
        return {"bill": statement.statement_json(month, self._zone, entries, str(order["by"]), saved)}

    # --- the provider's file ----------------------------------------------------------------

    def _read(self, order: Order) -> Answer:
        """Read a provider's file; its errors, or which records are needed to check it."""
        resource.setrlimit(resource.RLIMIT_CPU, (CHECK_CPU_SECONDS, CHECK_CPU_SECONDS))
        self._zone = ZoneInfo(str(order["zone"]))
        self._know_prices({**order, "accounts": [order["account"]]})
        self._report = read_cdr(
            Path(str(order["path"])),
            ZoneInfo(str(order["file_zone"])),
            str(order["country"]),
            mapping=order["mapping"],
            source_name=str(order["source"]),
        )
        if self._report.errors:
            return {
                "errors": [asdict(problem) for problem in self._report.errors],
                "stopped": self._report.stopped,
                "columns": dict(self._report.columns),
            }
        month = Month.parse(str(order["month"])) if order["month"] else None
        self._span = (month.begin(self._zone), month.end(self._zone)) if month else self._report.span(self._zone)
        if self._span is None:
            return {"refused": f"{self._report.source}: holds no call"}
        since, until = check.asked_span(self._span)
        return {"errors": [], "since": since.isoformat(), "until": until.isoformat()}

    _span: tuple[datetime, datetime] | None = None

    def _records(self, order: Order) -> Answer:
        self._rows += order["rows"]
        if len(self._rows) > MAX_ENTRIES:
            raise statement.StatementError(
                f"the file's days have more than {MAX_ENTRIES} calls; check a month at a time"
            )
        return {}

    def _compare(self, order: Order) -> Answer:
        if self._prices is None:
            raise statement.StatementError("no file was read")
        account = str(order["account"])
        found = check.check(self._report, self._rows, account, self._prices, self._zone, span=self._span)
        told = check.as_json(found, self._report, self._zone)
        findings = [
            row
            for row, finding in zip(_listed(told["findings"]), found.findings, strict=True)
            if finding.cause.value != "clock" or finding.hours != found.hours  # told once for the whole file
        ]
        whole = sum(finding.cause.value == "clock" and finding.hours == found.hours for finding in found.findings)
        return told | {
            "findings": findings[:MAX_FINDINGS],
            "left_out": max(0, len(findings) - MAX_FINDINGS),
            "clock_calls": whole if found.hours else 0,
            "month_first": self._report.month_first,
        }


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _sum(total: Sum) -> Answer:
    return total.as_json()


def _group(group: Group) -> Answer:
    return {"key": group.key, "number": group.number, **group.sum.as_json()}


def _dimension(found: Sequence[Group]) -> Answer:
    """The dearest groups, and the rest by currency; `whole` for each currency: whether all amounts are whole cents."""
    rest: dict[str, Sum] = {}
    for group in found[SHOWN:]:
        left = rest.setdefault(group.sum.currency, Sum(group.sum.currency))
        left.calls += group.sum.calls
        left.seconds += group.sum.seconds
        left.billed_seconds += group.sum.billed_seconds
        left.cost += group.sum.cost
        left.service += group.sum.service
        left.tax += group.sum.tax
    return {
        "groups": [_group(group) for group in found[:SHOWN]],
        "rest": [_sum(left) for left in rest.values()],
        "rest_groups": max(0, len(found) - SHOWN),
        "whole": statement.whole_cents(group.sum.cost for group in found),
    }


def _saving(saving: Saving) -> Answer:
    days = [
        {"day": day, "paid": statement.amount(paid), "dearest": statement.amount(dearest)}
        for day, (paid, dearest) in sorted(saving.by_day.items())
    ]
    whole = statement.whole_cents(amount for pair in saving.by_day.values() for amount in pair)
    return saving.as_json() | {"days": days, "whole": whole}


def serve(lines: io.BufferedIOBase, out: io.TextIOBase, wait: Callable[[], bool]) -> None:
    """Answer order after order; returns at the end of them, or when `wait` says that nobody asks any more."""
    clerk = Clerk()
    while wait():
        line = lines.readline()
        if not line:
            return
        out.write(json.dumps(clerk.answer(json.loads(line)), separators=(",", ":")) + "\n")
        out.flush()


def main() -> None:
    """The child. Whatever it adds up, a call's voice goes first."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # Unbuffered: what select does not see must not wait in a buffer either. One order at a time is under way.
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    lines = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), 1 << 16)
    out = io.TextIOWrapper(io.BufferedWriter(io.FileIO(sys.stdout.fileno(), "w", closefd=False)), encoding="utf-8")
    serve(lines, out, lambda: bool(selector.select(IDLE_SECONDS)))


if __name__ == "__main__":
    main()
