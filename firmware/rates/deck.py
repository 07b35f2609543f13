"""CSV into a rate deck: every error at once, with its line and column, and nothing half-applied.

Streams: a million rows or a hostile file take the same memory. The file's own order does not matter.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from firmware.rates import deckfile
from firmware.rates.columns import (
    DEFAULT_INCREMENT,
    READERS,
    REQUIRED,
    CellError,
    Header,
    check_row,
    read_currency,
    read_header,
)
from firmware.rates.csvlines import DELIMITERS, Line, LineError, cells, read_lines
from firmware.rates.deckfile import Deck, DeckError
from firmware.rates.rate import Rate, from_micro, parsed_steps

__all__ = ["Deck", "DeckError", "ImportProblem", "ImportReport", "RowError", "deck_name", "import_csv", "read_rate"]

MAX_ERRORS = 100
MAX_ROWS = 2_000_000
MAX_DESTINATIONS = 200_000
_BATCH = 5000

# A row as the table has it: prefix, valid_from, destination, per_minute, connection_fee, first_increment,
# next_increment, per_call, minimum, grace, steps, band, service_per_call, service_per_minute, line.
_Row = tuple[str, int, int, int, int, int, int, int, int, int, str, str, int, int, int]
_BAND = 11


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """One thing that is wrong. `kind` is stable (for translation), `cause` is for people; `line` 0: the whole file."""

    line: int
    column: str | None
    value: str
    kind: str
    cause: str

    def text(self, source: str) -> str:
        """As a person reads it: file, line, column: cause."""
        places = [source, f"line {self.line}" if self.line else "", f"column {self.column}" if self.column else ""]
        return f"{', '.join(place for place in places if place)}: {self.cause}"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import went. `file` is the new deck, None after errors or a dry run.

    `stopped`: there may be more errors than these.
    """

    name: str
    source: str
    file: Path | None
    rows: int
    currency: str
    dry_run: bool
    errors: tuple[ImportProblem, ...] = ()
    stopped: bool = False
    ignored_columns: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the deck could be taken into use."""
        return not self.errors

    def lines(self) -> list[str]:
        """The errors, or what was read, in words."""
        if self.errors:
            more = [f"{self.source}: more than {MAX_ERRORS} errors, the rest was not read"] if self.stopped else []
            return [problem.text(self.source) for problem in self.errors] + more
        notes = [f"{self.source}: column {name!r} is not known and was ignored" for name in self.ignored_columns]
        return [f"{self.source}: {self.rows} rates in {self.currency}, no error", *notes]


def import_csv(
    source: Path | BinaryIO,
    decks_dir: Path,
    name: str,
    *,
    dry_run: bool = False,
    currency: str = "EUR",
    source_name: str = "",
    now: datetime | None = None,
) -> ImportReport:
    """Read a CSV deck and make `decks_dir`/NAME-HASH.deck of it, durably; it is not yet in use.

    `source` is a path or a binary stream, `currency` holds where the file has none. Errors in the
    file come in the report; DeckError is raised when the file cannot be read or the deck not written.
    """
    deckfile.check_name(name)
    try:
        code = read_currency(currency)
    except CellError as error:
        raise DeckError(error.cause) from error
    if not isinstance(source, Path):
        reading = _Reading(source_name or "rates.csv", code)
        return _build(reading, source, decks_dir, name, dry_run=dry_run, now=now)
    try:
        with source.open("rb") as stream:
            reading = _Reading(source_name or source.name, code)
            return _build(reading, stream, decks_dir, name, dry_run=dry_run, now=now)
    except OSError as error:
        raise DeckError(f"{source}: cannot be read: {error.strerror}") from error


class RowError(DeckError):
    """A row typed by a person cannot be read; `errors` has one problem a column."""

    def __init__(self, errors: tuple[ImportProblem, ...]) -> None:
        super().__init__("; ".join(problem.cause for problem in errors))
        self.errors = errors


def read_rate(values: Mapping[str, str], currency: str) -> Rate:
    """One row from text by column, as a form has it, for `deckfile.with_row`. Raises RowError."""
    read: dict[str, str | int] = {}
    errors = [
        ImportProblem(0, column, "", "column-unknown", f"there is no column {column[:40]!r}")
        for column in values
        if column not in READERS
    ]
    for column, reader in READERS.items():
        text = values.get(column, "").strip()
        if text or column in REQUIRED:
            try:
                read[column] = reader(text)
            except CellError as error:
                errors.append(ImportProblem(0, column, text[:40], error.kind, error.cause))
    wrong = None if errors else check_row(read)
    if wrong is not None:
        errors.append(ImportProblem(0, wrong[0], "", wrong[1].kind, wrong[1].cause))
    if errors:
        raise RowError(tuple(errors))
    valid_from = int(read.get("valid_from", 0))
    return Rate(
        prefix=str(read["prefix"]),
        destination=str(read["destination"]),
        currency=str(read.get("currency", currency)),
        per_minute=from_micro(int(read["rate_per_minute"])),
        connection_fee=from_micro(int(read.get("connection_fee", 0))),
        first_increment=int(read.get("first_increment", DEFAULT_INCREMENT)),
        next_increment=int(read.get("next_increment", DEFAULT_INCREMENT)),
        per_call=from_micro(int(read.get("per_call", 0))),
        minimum=from_micro(int(read.get("minimum", 0))),
        valid_from=datetime.fromtimestamp(valid_from, UTC) if valid_from else None,
        grace_seconds=int(read.get("grace", 0)),
        steps=parsed_steps(str(read.get("steps", ""))),
        band=str(read.get("band", "")),
        service_per_call=from_micro(int(read.get("service_per_call", 0))),
        service_per_minute=from_micro(int(read.get("service_per_minute", 0))),
    )


def deck_name(source: str) -> str:
    """A deck's name made from a file's: `Tarifs OVH 2026.csv` gives `tarifs-ovh-2026`."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", deckfile.fold(Path(source).stem))
    return re.sub(r"^[._-]+|[._-]+$", "", plain[:40]) or "rates"


def _build(
    reading: _Reading, stream: BinaryIO, decks_dir: Path, name: str, *, dry_run: bool, now: datetime | None
) -> ImportReport:
    stamp = f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def fill(connection: sqlite3.Connection) -> str | None:
        deckfile.begin(connection)
        reading.read(connection, stream)
        if reading.errors:
            return None
        deckfile.finish(connection, deckfile.DeckInfo(name, reading.currency, reading.rows, stamp, reading.source))
        reading.hash.update(f"{name}|{reading.currency}".encode())
        return None if dry_run else reading.hash.hexdigest()

    path = deckfile.build(decks_dir, name, fill)
    return ImportReport(
        name=name,
        source=reading.source,
        file=path,
        rows=reading.rows,
        currency=reading.currency,
        dry_run=dry_run,
        errors=tuple(sorted(reading.errors, key=lambda problem: problem.line)),
        stopped=reading.stopped,
        ignored_columns=reading.ignored,
    )


@dataclass
class _Reading:
    """One pass over one file."""

    source: str
    default_currency: str
    errors: list[ImportProblem] = field(default_factory=list)
    stopped: bool = False
    rows: int = 0
    ignored: tuple[str, ...] = ()
    destinations: dict[str, int] = field(default_factory=dict)
    currency: str = ""
    currency_line: int = 0

    def __post_init__(self) -> None:
        """The hash of all rows, in the file's order, names the deck's contents."""
        self.hash = hashlib.sha256()

    def read(self, connection: sqlite3.Connection, stream: BinaryIO) -> None:
        """Fill the open deck; `errors` tells whether it may be kept."""
        batch: list[_Row] = []
        for row in self._rows(stream):
            batch.append(row)
            if len(batch) >= _BATCH:
                self._insert(connection, batch)
                batch = []
            if self.stopped:
                return
        self._insert(connection, batch)
        connection.executemany(
            deckfile.INSERT_DESTINATION,
            ((number, text, deckfile.fold(text)) for text, number in self.destinations.items()),
        )
        if not self.rows and not self.errors:
            self._wrong(0, None, "", "empty", "the file holds no rates")
        self.currency = self.currency or self.default_currency

    def _rows(self, stream: BinaryIO) -> Iterator[_Row]:
        header: Header | None = None
        delimiter = ","
        for line in read_lines(stream):
            if self.stopped:
                return
            if isinstance(line, LineError):
                self._wrong(line.line, None, line.value, line.kind, line.cause)
                if line.fatal:
                    return
                continue
            if header is None:
                if re.fullmatch(r"(?i)\"?sep=.\"?", line.text):
                    continue  # Excel's own way of naming the delimiter
                delimiter = _sniff(line)
                header = self._header(line, delimiter)
                if header is None:
                    return
                continue
            row = self._row(line, header, delimiter)
            if row is not None:
                self.rows += 1
                if self.rows > MAX_ROWS:
                    self._wrong(line.number, None, "", "too-many-rows", f"more than {MAX_ROWS} rates")
                    return
                yield row

    def _header(self, line: Line, delimiter: str) -> Header | None:
        try:
            header, errors = read_header(cells(line, delimiter))
        except LineError as error:
            self._wrong(line.number, None, error.value, error.kind, error.cause)
            return None
        for wrong in errors:
            self._wrong(line.number, None, line.text[:40], wrong.kind, wrong.cause)
        self.ignored = header.ignored
        return None if errors else header

    def _row(self, line: Line, header: Header, delimiter: str) -> _Row | None:
        try:
            found = cells(line, delimiter)
        except LineError as error:
            self._wrong(line.number, None, error.value, error.kind, error.cause)
            return None
        if len(found) != header.width and any(found[header.width :]):
            hint = "; put a price with a decimal comma between quotes" if delimiter == "," else ""
            cause = f"the line has {len(found)} columns, the first line {header.width}{hint}"
            self._wrong(line.number, None, line.text[:40], "columns", cause)
            return None
        values: dict[str, str | int] = {}
        good = True
        for column, place in header.places.items():
            text = found[place] if place < len(found) else ""
            if not text and column not in REQUIRED:
                continue
            try:
                values[column] = READERS[column](text)
            except CellError as error:
                good = False
                self._wrong(line.number, column, text, error.kind, error.cause)
        wrong = check_row(values) if good else None
        if wrong is not None:
            good = False
            self._wrong(line.number, wrong[0], "", wrong[1].kind, wrong[1].cause)
        if not good or not self._same_currency(line.number, str(values.get("currency") or self.default_currency)):
            return None
        place = self.destinations.setdefault(str(values["destination"]), len(self.destinations) + 1)
        if place > MAX_DESTINATIONS:
            self._wrong(
                line.number, "destination", "", "too-many", f"more than {MAX_DESTINATIONS} different destinations"
            )
            self.stopped = True
            return None
        row = (
            str(values["prefix"]),
            int(values.get("valid_from", 0)),
            place,
            int(values["rate_per_minute"]),
            int(values.get("connection_fee", 0)),
            int(values.get("first_increment", DEFAULT_INCREMENT)),
            int(values.get("next_increment", DEFAULT_INCREMENT)),
            int(values.get("per_call", 0)),
            int(values.get("minimum", 0)),
            int(values.get("grace", 0)),
            str(values.get("steps", "")),
            str(values.get("band", "")),
            int(values.get("service_per_call", 0)),
            int(values.get("service_per_minute", 0)),
            line.number,
        )
        self.hash.update(repr((row[:-1], values["destination"])).encode())
        return row

    def _same_currency(self, line: int, currency: str) -> bool:
        if not self.currency:
            self.currency, self.currency_line = currency, line
        if currency == self.currency:
            return True
        cause = f"the price is in {currency}, that of line {self.currency_line} in {self.currency}; one currency a deck"
        self._wrong(line, "currency", currency, "currency-mixed", cause)
        return False

    def _insert(self, connection: sqlite3.Connection, batch: list[_Row]) -> None:
        cursor = connection.executemany(deckfile.INSERT_RATE, batch)
        if cursor.rowcount == len(batch):
            return
        for row in batch:
            where = "SELECT line FROM rates WHERE prefix = ? AND valid_from = ? AND band = ?"
            first = connection.execute(where, (*row[:2], row[_BAND])).fetchone()[0]
            if first != row[-1]:
                same = " and ".join(["date"] * bool(row[1]) + ["band"] * bool(row[_BAND]))
                cause = f"the prefix {row[0]} stands on line {first} already{f' with the same {same}' if same else ''}"
                self._wrong(row[-1], "prefix", row[0], "duplicate", cause)

    def _wrong(self, line: int, column: str | None, value: str, kind: str, cause: str) -> None:
        if len(self.errors) >= MAX_ERRORS:
            self.stopped = True
            return
        self.errors.append(ImportProblem(line, column, value[:40], kind, cause))


def _sniff(line: Line) -> str:
    """The delimiter that makes most columns of the first line."""
    return max(DELIMITERS, key=line.text.count)
