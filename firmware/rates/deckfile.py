"""A rate deck: an immutable SQLite file in the decks folder, NAME-HASH.deck, read by any process.

A change makes a new file (`with_row`), which the core then takes into use by its name. Prices are
kept as whole millionths.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
import sqlite3
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TextIO

from firmware import store
from firmware.rates.columns import COLUMNS
from firmware.rates.rate import Rate, RateError, from_micro, to_micro
from firmware.rates.rating import written
from firmware.rates.spreadsheet import safe_cell

APPLICATION_ID = 0x414C4C44  # "ALLD"
VERSION = 1
SUFFIX = ".deck"
MAX_KEY = 15
MAX_ROWS = 200
_TEMPORARY = ".deck-"
_STALE_SECONDS = 3600
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?")

TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE destinations (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folded TEXT NOT NULL)",
    # valid_from: epoch seconds, 0: always. line: where the row stood in the file that was imported.
    """CREATE TABLE rates (
        prefix TEXT NOT NULL, valid_from INTEGER NOT NULL,
        destination INTEGER NOT NULL REFERENCES destinations, per_minute INTEGER NOT NULL,
        connection_fee INTEGER NOT NULL, first_increment INTEGER NOT NULL, next_increment INTEGER NOT NULL,
        per_call INTEGER NOT NULL, minimum INTEGER NOT NULL, line INTEGER NOT NULL,
        PRIMARY KEY (prefix, valid_from)) WITHOUT ROWID""",
)
# The price a minute of a row that says: from its date on the list has no price for these numbers.
WITHDRAWN = -1
INSERT_RATE = "INSERT OR IGNORE INTO rates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# A row's columns in the table's order, and what stands in one that has only a price.
_BLANK: dict[str, object] = {
    "prefix": "", "valid_from": 0, "destination": 0, "per_minute": 0, "connection_fee": 0, "first_increment": 1,
    "next_increment": 1, "per_call": 0, "minimum": 0, "line": 0,
}  # fmt: skip
INSERT_DESTINATION = "INSERT INTO destinations (id, name, folded) VALUES (?, ?, ?)"
INDEX = "CREATE INDEX rates_by_destination ON rates (destination)"

_SELECT = """SELECT r.prefix, d.name, r.per_minute, r.connection_fee, r.first_increment, r.next_increment,
    r.per_call, r.minimum, r.valid_from FROM rates AS r JOIN destinations AS d ON d.id = r.destination"""


class DeckError(RateError):
    """A deck cannot be made, found or read."""


@dataclass(frozen=True, slots=True)
class DeckInfo:
    """What a deck says of itself. `imported` is UTC ISO."""

    name: str
    currency: str
    rows: int
    imported: str
    source: str


class Deck:
    """One deck, open for reading; any thread may ask."""

    def __init__(self, path: Path, connection: sqlite3.Connection, info: DeckInfo) -> None:
        self.path = path
        self.info = info
        self._connection = connection
        self._lock = threading.Lock()
        # One statement for each number of prefixes: SQLite keeps them prepared.
        self._lookups = tuple(
            f"{_SELECT} WHERE r.prefix IN ({', '.join('?' * count)}) AND r.valid_from <= ? "
            "ORDER BY length(r.prefix) DESC, r.valid_from DESC LIMIT 1"
            for count in range(MAX_KEY + 1)
        )

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a deck file. Raises DeckError."""
        try:
            connection = store.open_reader(path, immutable=True, application_id=APPLICATION_ID)
        except store.StoreError as error:
            raise DeckError(f"{error}") from error
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
            info = DeckInfo(meta["name"], meta["currency"], int(meta["rows"]), meta["imported"], meta["source"])
        except (sqlite3.Error, KeyError, ValueError) as error:
            connection.close()
            raise DeckError(f"{path}: a damaged rate deck ({error}); import it again") from error
        if version != VERSION:
            connection.close()
            raise DeckError(f"{path}: a rate deck of version {version}, not {VERSION}; import it again")
        return cls(path, connection, info)

    def close(self) -> None:
        """Close the file; may be repeated."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lookup(self, key: str, at: datetime) -> Rate | None:
        """The rate of the longest prefix of `key` (digits, or country and short number) valid at `at`."""
        key = key[:MAX_KEY]
        prefixes = [key[:length] for length in range(1, len(key) + 1)]
        try:
            moment = int(at.timestamp())
        except (OverflowError, ValueError) as error:  # a local time in the year 1 has no UTC
            raise DeckError(f"{at.isoformat()} is out of range") from error
        found = self._ask(self._lookups[len(prefixes)], (*prefixes, moment))
        return self._rate(found[0]) if found and found[0][2] != WITHDRAWN else None

    def search(self, text: str, limit: int = 50, offset: int = 0) -> list[Rate]:
        """Rows whose prefix begins with these digits, or whose destination holds this text."""
        wanted = text.strip()
        key = re.sub(r"[ +]", "", wanted).upper()
        if re.fullmatch(r"[0-9]{1,15}|[A-Z]{2}[0-9]{1,13}", key):
            return self._rates("WHERE r.prefix >= ? AND r.prefix < ?", (key, f"{key}:"), limit, offset)
        return self._rates(
            "WHERE r.destination IN (SELECT id FROM destinations WHERE instr(folded, ?) > 0)",
            (fold(wanted),),
            limit,
            offset,
        )

    def rows(self, offset: int = 0, limit: int = 50) -> list[Rate]:
        """Rows in the order of their prefixes."""
        return self._rates("", (), limit, offset)

    def export(self, target: TextIO) -> int:
        """Write the deck as CSV that `import_csv` reads back; returns the rows. In the order of the prefixes."""
        out = csv.writer(target, lineterminator="\r\n")
        out.writerow(COLUMNS)
        count = 0
        for count, rate in enumerate(self._all(), 1):  # noqa: B007 - the count is what is wanted
            out.writerow(
                (
                    rate.prefix,
                    safe_cell(rate.destination),
                    written(rate.per_minute),
                    written(rate.connection_fee),
                    rate.first_increment,
                    rate.next_increment,
                    rate.currency,
                    written(rate.per_call),
                    written(rate.minimum),
                    "" if rate.valid_from is None else rate.valid_from.isoformat(timespec="seconds"),
                )
            )
        return count

    def _all(self) -> Iterator[Rate]:
        after: tuple[object, object] = ("", -1)
        while True:
            page = self._ask(
                f"{_SELECT} WHERE (r.prefix, r.valid_from) > (?, ?) ORDER BY r.prefix, r.valid_from LIMIT 1000", after
            )
            if not page:
                return
            yield from map(self._rate, page)
            after = (page[-1][0], page[-1][8])

    def _rates(self, where: str, parameters: tuple[object, ...], limit: int, offset: int) -> list[Rate]:
        if not 1 <= limit <= MAX_ROWS or offset < 0:
            raise DeckError(f"between 1 and {MAX_ROWS} rows can be asked for, from 0 on")
        statement = f"{_SELECT} {where} ORDER BY r.prefix, r.valid_from LIMIT ? OFFSET ?"
        return [self._rate(row) for row in self._ask(statement, (*parameters, limit, offset))]

    def _ask(self, statement: str, parameters: tuple[object, ...]) -> list[tuple[object, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise DeckError(f"{self.path}: cannot be read ({error}); import the deck again") from error

    def _rate(self, row: tuple[object, ...]) -> Rate:
        prefix, destination, *numbers = row
        minute, connection, first, following, call, minimum, valid = (int(str(number)) for number in numbers)
        return Rate(
            prefix=str(prefix),
            destination=str(destination),
            currency=self.info.currency,
            per_minute=from_micro(minute),
            connection_fee=from_micro(connection),
            first_increment=first,
            next_increment=following,
            per_call=from_micro(call),
            minimum=from_micro(minimum),
            valid_from=datetime.fromtimestamp(valid, UTC) if valid else None,
        )


def fold(text: str) -> str:
    """Lower case without accents: `Réunion` is found by `reunion`."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))


def check_name(name: str) -> str:
    """A deck's name, fit for a file. Raises DeckError."""
    if not _NAME.fullmatch(name):
        rule = "at most 40 of a-z, 0-9, '.', '_' and '-', a letter or digit at each end"
        raise DeckError(f"the deck name {name[:40]!r} will not do: {rule}")
    return name


def build(decks_dir: Path, name: str, fill: Callable[[sqlite3.Connection], str | None]) -> Path | None:
    """Make a deck file durably, or nothing. `fill` fills the tables and returns the hash of what it put in.

    If `fill` returns None nothing is kept. Raises DeckError.
    """
    check_name(name)
    temporary: Path | None = None
    try:
        decks_dir.mkdir(parents=True, exist_ok=True)
        _sweep(decks_dir)
        handle, made = tempfile.mkstemp(prefix=_TEMPORARY, dir=decks_dir)
        os.close(handle)
        temporary = Path(made)
        digest = _fill(temporary, fill)
        if digest is None:
            return None
        with temporary.open("rb+") as file:
            os.fchmod(file.fileno(), 0o644)  # no secret, and other processes of the box read it
            os.fsync(file.fileno())
        path = decks_dir / f"{name}-{digest[:12]}{SUFFIX}"
        temporary.replace(path)
        store.sync_folder(decks_dir)
    except sqlite3.Error as error:
        raise DeckError(f"{store.failure(decks_dir, error)}") from error
    except OSError as error:
        raise DeckError(f"{decks_dir}: the deck cannot be written: {error.strerror}") from error
    else:
        return path
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def with_row(deck: Deck, decks_dir: Path, rate: Rate | None, *, instead_of: tuple[str, datetime | None]) -> Path:
    """A new deck file with one row changed: `rate` instead of the row at (prefix, valid_from); None removes it.

    `instead_of` a row that does not exist adds `rate`. The old file stays as it is. Raises DeckError.
    """
    if rate is not None and rate.currency != deck.info.currency:
        raise DeckError(f"the deck is in {deck.info.currency}, the row in {rate.currency}")

    def change(connection: sqlite3.Connection) -> str:
        prefix, valid = instead_of
        connection.execute("DELETE FROM rates WHERE prefix = ? AND valid_from = ?", (prefix, _epoch(valid)))
        if rate is not None:
            _put(connection, rate)
        rows = connection.execute("SELECT count(*) FROM rates").fetchone()[0]
        connection.execute("UPDATE meta SET value = ? WHERE key = 'rows'", (str(rows),))
        return hashlib.sha256(f"{deck.path.name}|{instead_of}|{rate}".encode()).hexdigest()

    def copy_and_change(connection: sqlite3.Connection) -> str:
        source = store.open_reader(deck.path, immutable=True)
        try:
            source.backup(connection)
        finally:
            source.close()
        connection.execute("BEGIN")
        digest = change(connection)
        connection.execute("COMMIT")
        return digest

    path = build(decks_dir, deck.info.name, copy_and_change)
    if path is None:
        raise DeckError("the deck could not be changed")
    return path


def withdraw(connection: sqlite3.Connection, prefix: str, valid_from: int, destination: int) -> int:
    """Say that a prefix has no price from `valid_from` on; how many rows that took."""
    values = {"prefix": prefix, "valid_from": valid_from, "destination": destination, "per_minute": WITHDRAWN}
    return connection.execute(INSERT_RATE, [values.get(name, default) for name, default in _BLANK.items()]).rowcount


def begin(connection: sqlite3.Connection) -> None:
    """The tables of an empty deck, and an open transaction to fill it in."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("BEGIN")
    for statement in TABLES:
        connection.execute(statement)


def finish(connection: sqlite3.Connection, info: DeckInfo) -> None:
    """The index and what the deck says of itself; commits."""
    connection.execute(INDEX)
    meta = {
        "name": info.name,
        "currency": info.currency,
        "rows": str(info.rows),
        "imported": info.imported,
        "source": info.source,
    }
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", meta.items())
    connection.execute("COMMIT")


def csv_text(deck: Deck) -> str:
    """The whole deck as CSV text: for small decks and tests."""
    out = io.StringIO()
    deck.export(out)
    return out.getvalue()


def _fill(path: Path, fill: Callable[[sqlite3.Connection], str | None]) -> str | None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody sees the file before it is whole and synced: no journal is needed.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32768"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return fill(connection)
    finally:
        connection.close()


def _put(connection: sqlite3.Connection, rate: Rate) -> None:
    row = connection.execute("SELECT id FROM destinations WHERE name = ?", (rate.destination,)).fetchone()
    if row is None:
        row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM destinations").fetchone()
        connection.execute(INSERT_DESTINATION, (row[0], rate.destination, fold(rate.destination)))
    if connection.execute(INSERT_RATE, _values(rate, row[0])).rowcount != 1:
        raise DeckError(f"the deck has a row for {rate.prefix} of that date already")


def _sweep(decks_dir: Path) -> None:
    """Remove what an import that was killed left behind."""
    for path in decks_dir.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def _epoch(instant: datetime | None) -> int:
    return 0 if instant is None else int(instant.timestamp())


def _values(rate: Rate, destination: int) -> tuple[object, ...]:
    return (
        rate.prefix,
        _epoch(rate.valid_from),
        destination,
        to_micro(rate.per_minute),
        to_micro(rate.connection_fee),
        rate.first_increment,
        rate.next_increment,
        to_micro(rate.per_call),
        to_micro(rate.minimum),
        0,
    )
