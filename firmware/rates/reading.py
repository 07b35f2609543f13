"""A provider's file into the rows of a deck: one pass, every error kept, bounded memory whatever it holds."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from typing import BinaryIO, NamedTuple

from firmware.rates import deckfile
from firmware.rates.columns import (
    DEFAULT_INCREMENT,
    READERS,
    REQUIRED,
    WITHDRAWN,
    WITHDRAWN_WORD,
    CellError,
    check_row,
    read_destination,
    read_increment,
)
from firmware.rates.csvlines import Line, LineError, cells, length
from firmware.rates.mapping import FEES, PRICES, Choice, Column, Layout, Tax
from firmware.rates.prefixes import read_prefixes
from firmware.rates.prices import EMPTY, Money, read_date, read_money, read_tax
from firmware.rates.table import Recall, read_table

MAX_ERRORS = 100
MAX_ROWS = 2_000_000
MAX_DESTINATIONS = 200_000
_BATCH = 5000
# Cells whose reading is remembered, a column: prices and steps come again and again.
_KNOWN = 8192
_PREFIX_PARTS = frozenset({"prefix", "prefix_more", "prefix_to"})
_NAME_PARTS = frozenset({"destination", "destination_more"})

# A row as the table has it: prefix, valid_from, destination, per_minute, connection_fee, first_increment,
# next_increment, per_call, minimum, grace, steps, band, service_per_call, service_per_minute, line.
Row = tuple[str, int, int, int, int, int, int, int, int, int, str, str, int, int, int]
_BAND = 11
_NO_PRICE = Money(WITHDRAWN, "")
# Bytes read so far, and in all (0: not known).
Progress = Callable[[int, int], None]


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


class Increments(NamedTuple):
    """Seconds billed whole at first, and then."""

    first: int
    following: int


@dataclass(frozen=True, slots=True)
class _Cell:
    """How a column of one value is read; a price comes with the currency that its cell names."""

    target: str
    place: int
    name: str
    read: Callable[[str], str | int | Money | Increments]
    required: bool


@dataclass
class Reading:
    """One pass over one file. `valid_from` (epoch seconds) holds for rows without a date of their own."""

    source: str
    default_currency: str
    choice: Choice = field(default_factory=Choice)
    recall: Recall | None = None
    valid_from: int = 0
    progress: Progress | None = None
    errors: list[ImportProblem] = field(default_factory=list)
    stopped: bool = False
    rows: int = 0
    destinations: dict[str, int] = field(default_factory=dict)
    currency: str = ""
    currency_line: int = 0
    layout: Layout | None = None
    names: tuple[str, ...] = ()
    recalled: bool = False

    def __post_init__(self) -> None:
        """The hash of all rows, in the file's order, names the deck's contents."""
        self.hash = hashlib.sha256()
        self._header_currency = ""
        self._width = 0
        self._delimiter = ","
        self._cells: list[_Cell] = []
        self._prefix: dict[str, Column] = {}
        self._name: dict[str, Column] = {}
        self._tax = Fraction(0)

    @property
    def tax(self) -> Tax:
        """Whether the prices hold taxes, as the columns or the household say."""
        return self.layout.tax if self.layout else ""

    def read(self, connection: sqlite3.Connection, stream: BinaryIO) -> None:
        """Fill the open deck; `errors` tells whether it may be kept."""
        total = length(stream)
        batch: list[Row] = []
        for rows in self._rows(stream):
            batch += rows
            if len(batch) >= _BATCH:
                self._insert(connection, batch)
                batch = []
                if self.progress:
                    self.progress(stream.tell(), total)
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

    def _rows(self, stream: BinaryIO) -> Iterator[list[Row]]:
        lines = self._begin(stream)
        for line in lines:
            if self.stopped:
                return
            if isinstance(line, LineError):
                self._wrong(line.line, None, line.value, line.kind, line.cause)
                if line.fatal:
                    return
                continue
            rows = self._row(line)
            self.rows += len(rows)
            if self.rows > MAX_ROWS:
                self._wrong(line.number, None, "", "too-many-rows", f"more than {MAX_ROWS} rates")
                return
            if rows:
                yield rows

    def _begin(self, stream: BinaryIO) -> Iterator[Line | LineError]:
        table = read_table(stream, self.choice, self.recall)
        if isinstance(table, list):
            return iter(table)
        self.choice, self.recalled = table.choice, table.recalled
        self.layout, self.names = table.layout, tuple(table.names)
        for wrong in table.errors:
            self._wrong(table.line, None, table.text[:40], wrong.kind, wrong.cause)
        if table.errors:
            return iter(())
        self._width, self._delimiter = len(table.names), table.delimiter
        self._header_currency = table.choice.currency or table.layout.currency
        if table.choice.tax_percent and table.layout.tax != "included":
            try:
                self._tax = read_tax(table.choice.tax_percent)
            except CellError as error:
                self._wrong(0, None, table.choice.tax_percent, error.kind, error.cause)
                return iter(())
        self._plan(table.layout)
        return table.rest

    def _plan(self, layout: Layout) -> None:
        """How each column is read, found once for all lines."""
        for target, column in layout.places().items():
            if target in _PREFIX_PARTS:
                self._prefix[target] = column
            elif target in _NAME_PARTS:
                self._name[target] = column
            else:
                read = self._reader(column)
                self._cells.append(_Cell(target, column.place, told(column), read, target in REQUIRED))

    def _reader(self, column: Column) -> Callable[[str], str | int | Money | Increments]:
        use = column.use
        if use is not None and use.target == "rate_per_minute":
            return lru_cache(_KNOWN)(partial(_minute, factor=use.factor, tax=self._tax))
        if use is not None and use.target in (*PRICES, *FEES):
            return lru_cache(_KNOWN)(partial(read_money, factor=use.factor, tax=self._tax))
        if use is not None and use.target == "valid_from":
            return partial(read_date, order=use.unit)
        if column.target == "increments":
            return _increments
        return READERS[column.target]

    def _row(self, line: Line) -> list[Row]:
        try:
            found = cells(line, self._delimiter)
        except LineError as error:
            self._wrong(line.number, None, error.value, error.kind, error.cause)
            return []
        if len(found) != self._width and any(found[self._width :]):
            hint = "; put a price with a decimal comma between quotes" if self._delimiter == "," else ""
            cause = f"the line has {len(found)} columns, the first line {self._width}{hint}"
            self._wrong(line.number, None, line.text[:40], "columns", cause)
            return []
        before = len(self.errors)
        found += [""] * (self._width - len(found))
        prefixes = self._prefixes(line.number, found)
        destination = self._destination(line.number, found)
        values, currency = self._values(line.number, found)
        wrong = check_row(values) if len(self.errors) == before else None
        if wrong is not None:
            self._wrong(line.number, wrong[0], "", wrong[1].kind, wrong[1].cause)
        if len(self.errors) != before or self.stopped:
            return []
        if not self._same_currency(
            line.number, str(values.get("currency") or currency or self._header_currency or self.default_currency)
        ):
            return []
        place = self.destinations.setdefault(destination, len(self.destinations) + 1)
        if place > MAX_DESTINATIONS:
            cause = f"more than {MAX_DESTINATIONS} different destinations"
            self._wrong(line.number, "destination", "", "too-many", cause)
            self.stopped = True
            return []
        rows = [_record(prefix, place, values, self.valid_from, line.number) for prefix in prefixes]
        for row in rows:
            self.hash.update(repr((row[:-1], destination)).encode())
        return rows

    def _prefixes(self, line: int, found: list[str]) -> tuple[str, ...]:
        column = self._prefix["prefix"]
        text = found[column.place]
        more, to = self._prefix.get("prefix_more"), self._prefix.get("prefix_to")
        try:
            end = found[to.place] if to else ""
            listed = column.use is not None and column.use.unit == "list"
            if more is None:
                return read_prefixes(text, to=end, listed=listed)
            column = more
            return read_prefixes(found[more.place], text, end)
        except CellError as error:
            self._wrong(line, told(column), found[column.place], error.kind, error.cause)
            return ()

    def _destination(self, line: int, found: list[str]) -> str:
        column = self._name["destination"]
        text = found[column.place]
        more = self._name.get("destination_more")
        if more and found[more.place]:
            text = f"{text} {found[more.place]}".strip()
        if text in self.destinations:
            return text
        try:
            return read_destination(text)
        except CellError as error:
            self._wrong(line, told(column), text, error.kind, error.cause)
            return ""

    def _values(self, line: int, found: list[str]) -> tuple[dict[str, str | int], str]:
        values: dict[str, str | int] = {}
        currency = ""
        for cell in self._cells:
            text = found[cell.place]
            if not cell.required and text in EMPTY:
                continue
            try:
                value = cell.read(text)
            except CellError as error:
                self._wrong(line, cell.name, text, error.kind, error.cause)
                continue
            if isinstance(value, Money):
                currency = value.currency or currency
                values[cell.target] = value.micro
            elif isinstance(value, Increments):
                values |= {"first_increment": value.first, "next_increment": value.following}
            else:
                values[cell.target] = value
        return values, currency

    def _same_currency(self, line: int, currency: str) -> bool:
        if not self.currency:
            self.currency, self.currency_line = currency, line
        if currency == self.currency:
            return True
        cause = f"the price is in {currency}, that of line {self.currency_line} in {self.currency}; one currency a deck"
        self._wrong(line, "currency", currency, "currency-mixed", cause)
        return False

    def _insert(self, connection: sqlite3.Connection, batch: list[Row]) -> None:
        cursor = connection.executemany(deckfile.INSERT_RATE, batch)
        if cursor.rowcount == len(batch):
            return
        for row in batch:
            where = "SELECT line FROM rates WHERE prefix = ? AND valid_from = ? AND band = ?"
            first = connection.execute(where, (*row[:2], row[_BAND])).fetchone()[0]
            if first != row[-1]:
                same = " and ".join(["date"] * bool(row[1]) + ["band"] * bool(row[_BAND]))
                cause = f"the prefix {row[0]} stands on line {first} already{f' with the same {same}' if same else ''}"
                column = self._prefix.get("prefix_more") or self._prefix["prefix"]
                self._wrong(row[-1], told(column), row[0], "duplicate", cause)

    def _wrong(self, line: int, column: str | None, value: str, kind: str, cause: str) -> None:
        if len(self.errors) >= MAX_ERRORS:
            self.stopped = True
            return
        self.errors.append(ImportProblem(line, column, value[:40], kind, cause))


def told(column: Column) -> str:
    """A column's name as an error says it: the deck's own where the file has that in its spelling."""
    name = " ".join(column.name.split())[:40]
    plain = name.casefold().replace(" ", "_").replace("-", "_")
    return column.target if plain == column.target or not name else name


def _record(prefix: str, place: int, values: dict[str, str | int], valid_from: int, line: int) -> Row:
    get = values.get
    return (  # type: ignore[return-value] # each reader gives what its column holds
        prefix,
        get("valid_from", valid_from),
        place,
        get("rate_per_minute"),
        get("connection_fee", 0),
        get("first_increment", DEFAULT_INCREMENT),
        get("next_increment", DEFAULT_INCREMENT),
        get("per_call", 0),
        get("minimum", 0),
        get("grace", 0),
        get("steps", ""),
        get("band", ""),
        get("service_per_call", 0),
        get("service_per_minute", 0),
        line,
    )


def _minute(text: str, factor: Fraction, tax: Fraction) -> Money:
    """A price a minute, or that there is none from the row's date on. Raises CellError."""
    return _NO_PRICE if text == WITHDRAWN_WORD else read_money(text, factor, tax)


def _increments(text: str) -> Increments:
    """`60/1`, `60-1`, `60+1`, `30`: what is billed first, and then. Raises CellError."""
    plain = text.replace(" ", "").removesuffix("s")
    for sign in "/-+:":
        if sign in plain:
            first, _, following = plain.partition(sign)
            return Increments(read_increment(first.removesuffix("s")), read_increment(following))
    return Increments(read_increment(plain), read_increment(plain))
