"""The provider's call records (CSV of any dialect) into `reconcile.Theirs`: every error at once, or the calls.

In bounded memory and time whatever the file holds: `csvlines` bounds its bytes, lines and cells; here
its calls are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, TypeVar

from firmware.rates import cdrcolumns
from firmware.rates.cdrcolumns import Columns, Dates
from firmware.rates.columns import CellError
from firmware.rates.csvlines import Line, LineError, cells, read_lines, sniff
from firmware.rates.deck import ImportProblem
from firmware.rates.rate import RateError
from firmware.rates.reconcile import Theirs

T = TypeVar("T")

MAX_CALLS = 50_000
MAX_ERRORS = 100
# A file may begin with the provider's address and the bill's number.
_HEADER_LINES = 30


class CdrError(RateError):
    """A file of call records that cannot be read at all."""


@dataclass
class CdrReport:
    """What a file holds. `errors`: then nothing of it is compared; `stopped`: there may be more of them.

    `skipped`: lines that are no outgoing call that lasted or cost (sums, incoming, unanswered). `columns`: {field: the
    file's name for it}. `step`: the last decimal of its prices.
    """

    source: str
    calls: list[Theirs] = field(default_factory=list)
    errors: list[ImportProblem] = field(default_factory=list)
    stopped: bool = False
    skipped: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    month_first: bool = False
    step: Decimal = Decimal("0.0001")

    def lines(self) -> list[str]:
        """The errors in words."""
        more = [f"{self.source}: the rest was not read"] if self.stopped else []
        return [problem.text(self.source) for problem in self.errors] + more

    def span(self, zone: tzinfo) -> tuple[datetime, datetime] | None:
        """From the first day's midnight to the last day's, where the household lives; None without a call."""
        if not self.calls:
            return None
        first = min(call.started for call in self.calls).astimezone(zone).date()
        after = max(call.started for call in self.calls).astimezone(zone).date() + timedelta(days=1)
        return datetime.combine(first, time(), zone), datetime.combine(after, time(), zone)


def read_cdr(
    source: Path | BinaryIO,
    zone: tzinfo,
    country: str,
    *,
    mapping: Mapping[str, str] | None = None,
    source_name: str = "",
) -> CdrReport:
    """Read a provider's file. `zone`: whose local time it writes; `mapping`: {field: column's name or place from 1}.

    Raises CdrError when the file cannot be opened.
    """
    if not isinstance(source, Path):
        return _Reading(CdrReport(source_name or "calls.csv"), zone, country, mapping or {}).read(source)
    try:
        with source.open("rb") as stream:
            return _Reading(CdrReport(source_name or source.name), zone, country, mapping or {}).read(stream)
    except OSError as error:
        raise CdrError(f"{source}: cannot be read: {error.strerror}") from error


@dataclass
class _Reading:
    """One pass over one file."""

    report: CdrReport
    zone: tzinfo
    country: str
    mapping: Mapping[str, str]
    columns: Columns | None = None

    def read(self, stream: BinaryIO) -> CdrReport:
        rows = self._rows(stream)
        columns = self.columns
        if columns is not None:
            self.report.columns = columns.names
            date = columns.places.get("date", columns.places.get("start", 0))
            self.report.month_first = Dates.month_comes_first(row[date] for _, row in rows if date < len(row))
            self._calls(rows, columns, Dates(self.zone, month_first=self.report.month_first))
        if not self.report.calls and not self.report.errors:
            self._wrong(0, None, "", "empty", "the file holds no call")
        if self.report.errors:
            self.report.calls = []
        self.report.errors.sort(key=lambda problem: problem.line)
        return self.report

    def _rows(self, stream: BinaryIO) -> list[tuple[int, list[str]]]:
        """The lines below the one that names the columns; how a date is written shows only over all of them."""
        rows: list[tuple[int, list[str]]] = []
        delimiter, seen, first = ",", 0, ""
        for line in read_lines(stream):
            if self.report.stopped:
                break
            if isinstance(line, LineError):
                self._wrong(line.line, None, line.value, line.kind, line.cause)
                if line.fatal:
                    break
                continue
            if self.columns is None:
                seen += 1
                first = first or line.text
                if not self._header(line) and seen >= _HEADER_LINES:
                    break
                delimiter = sniff(line.text)
                continue
            if len(rows) >= MAX_CALLS:
                self._wrong(
                    line.number, None, "", "too-many-rows", f"more than {MAX_CALLS} calls; give a month at a time"
                )
                break
            try:
                rows.append((line.number, cells(line, delimiter)))
            except LineError as error:
                self._wrong(error.line, None, error.value, error.kind, error.cause)
        if self.columns is None and not self.report.errors and seen:
            self._wrong(0, None, first[:40], "column-missing", self._no_columns(first))
        return rows

    def _header(self, line: Line) -> bool:
        try:
            self.columns = cdrcolumns.read_columns(cells(line, sniff(line.text)), self.mapping)
        except LineError:
            return False  # an address with a quote in it
        except CellError as error:
            self._wrong(line.number, None, "", error.kind, error.cause)
        return self.columns is not None

    def _no_columns(self, first: str) -> str:
        given = ", ".join(f"{name}={column}" for name, column in self.mapping.items())
        looked = f" (looked for {given})" if given else ""
        return (
            f"no line names the columns of number, start (or date and time) and duration{looked}; the first line is "
            f"{first[:80]!r}; name them: number=..., start=..., seconds=..., cost=..."
        )

    def _calls(self, rows: list[tuple[int, list[str]]], columns: Columns, dates: Dates) -> None:
        decimals = 0
        heading = cdrcolumns.currency_in(columns.names.get("cost", ""))
        for number, row in rows:
            if self.report.stopped:
                return
            found = {name: row[place] if place < len(row) else "" for name, place in columns.places.items()}
            if not (found["number"] and (found.get("date") or found.get("start"))) or cdrcolumns.is_incoming(
                found.get("direction", "")
            ):
                self.report.skipped += 1
                continue
            call = self._call(number, found, columns, dates, heading)
            if call is None:
                continue
            if not call.seconds and not call.billed_seconds and not call.cost:
                self.report.skipped += 1
                continue
            written = cdrcolumns.read_cost(found.get("cost", ""))
            decimals = max(decimals, written[1] if written else 0)
            self.report.calls.append(call)
        if any(call.cost for call in self.report.calls) and all((call.cost or 0) <= 0 for call in self.report.calls):
            # A prepaid account's file: what a call takes from it.
            self.report.calls = [_turned(call) for call in self.report.calls]
        self.report.step = Decimal(1).scaleb(-decimals) if decimals else Decimal("0.0001")

    def _call(
        self, number: int, found: Mapping[str, str], columns: Columns, dates: Dates, heading: str
    ) -> Theirs | None:
        before = len(self.report.errors)
        country, minutes = self.country, columns.minutes

        def length(column: str) -> int | None:
            return self._cell(
                number, column, found[column], lambda text: cdrcolumns.read_seconds(text, minutes=minutes)
            )

        called = self._cell(number, "number", found["number"], lambda text: cdrcolumns.read_number(text, country))
        if "date" in found and ("time" in found or "start" not in found):
            begun = self._cell(number, "date", found["date"], lambda text: dates.read(text, found.get("time")))
        else:
            begun = self._cell(number, "start", found["start"], dates.read)
        seconds = length("seconds")
        billed = length("billed") if found.get("billed") else None
        cost = self._cell(number, "cost", found.get("cost", ""), cdrcolumns.read_cost)
        rate = self._cell(number, "rate", found.get("rate", ""), cdrcolumns.read_cost)
        if len(self.report.errors) > before or called is None or begun is None or seconds is None:
            return None
        currency = (
            found.get("currency", "").strip().upper()[:3] or cdrcolumns.currency_in(found.get("cost", "")) or heading
        )
        return Theirs(
            line=number,
            number=called,
            started=begun[0],
            seconds=seconds,
            billed_seconds=billed,
            cost=cost[0] if cost else None,
            currency=currency if cost else "",
            rate=rate[0] if rate else None,
            also=begun[1],
        )

    def _cell(self, number: int, column: str, text: str, read: Callable[[str], T]) -> T | None:
        try:
            return read(text)
        except CellError as error:
            self._wrong(number, self._name(column), text, error.kind, error.cause)
            return None

    def _name(self, column: str) -> str:
        return self.columns.names.get(column, column) if self.columns is not None else column

    def _wrong(self, line: int, column: str | None, value: str, kind: str, cause: str) -> None:
        if len(self.report.errors) >= MAX_ERRORS:
            self.report.stopped = True
            return
        self.report.errors.append(ImportProblem(line, column, value[:40], kind, cause))


def _turned(call: Theirs) -> Theirs:
    return replace(call, cost=None if call.cost is None else -call.cost)
