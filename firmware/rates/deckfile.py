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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TextIO

from firmware import store
from firmware.rates.columns import COLUMNS, WITHDRAWN, WITHDRAWN_WORD
from firmware.rates.rate import Rate, RateError, from_micro, parsed_steps, to_micro, written, written_steps
from firmware.rates.spreadsheet import safe_cell

APPLICATION_ID = 0x414C4C44  # "ALLD"
VERSION = 2
_READABLE = (1, 2)
SUFFIX = ".deck"
MAX_KEY = 15
MAX_ROWS = 200
_MINUTE = 2
_VALID = 8
_BAND = 11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
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
        per_call INTEGER NOT NULL, minimum INTEGER NOT NULL, grace INTEGER NOT NULL, steps TEXT NOT NULL,
        band TEXT NOT NULL, service_per_call INTEGER NOT NULL, service_per_minute INTEGER NOT NULL,
        line INTEGER NOT NULL,
        PRIMARY KEY (prefix, valid_from, band)) WITHOUT ROWID""",
)
INSERT_RATE = "INSERT OR IGNORE INTO rates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
"""A row as the table has it: the columns in their order, `line` the last."""
INSERT_DESTINATION = "INSERT INTO destinations (id, name, folded) VALUES (?, ?, ?)"
INDEX = (
    "CREATE INDEX rates_by_destination ON rates (destination)",
    # Nearly always empty; tells a deck's bands without reading a million rows.
    "CREATE INDEX rates_by_band ON rates (band) WHERE band <> ''",
)
_BANDS = "SELECT DISTINCT band FROM rates WHERE band <> '' ORDER BY band"

_SELECT_1 = """SELECT r.prefix, d.name, r.per_minute, r.connection_fee, r.first_increment, r.next_increment,
    r.per_call, r.minimum, r.valid_from, 0, '', '', 0, 0
    FROM rates AS r JOIN destinations AS d ON d.id = r.destination"""
_SELECT = _SELECT_1.replace("0, '', '', 0, 0", "r.grace, r.steps, r.band, r.service_per_call, r.service_per_minute")
_UPGRADE = """INSERT INTO rates SELECT prefix, valid_from, destination, per_minute, connection_fee, first_increment,
    next_increment, per_call, minimum, 0, '', '', 0, 0, line FROM old_rates"""


class DeckError(RateError):
    """A deck cannot be made, found or read."""


@dataclass(frozen=True, slots=True)
class DeckInfo:
    """What a deck says of itself. `imported` is UTC ISO; `bands` are those that its rows name."""

    name: str
    currency: str
    rows: int
    imported: str
    source: str
    bands: tuple[str, ...] = ()


class Deck:
    """One deck, open for reading; any thread may ask."""

    def __init__(self, path: Path, connection: sqlite3.Connection, info: DeckInfo, version: int = VERSION) -> None:
        self.path = path
        self.info = info
        self._connection = connection
        self._lock = threading.Lock()
        self._select = _SELECT if version == VERSION else _SELECT_1
        # One statement for each number of prefixes: SQLite keeps them prepared. A deck with bands gives
        # every row that fits; the others the one row, which costs less.
        self._lookups = tuple(
            f"{self._select} WHERE r.prefix IN ({', '.join('?' * count)}) AND r.valid_from <= ? "
            f"ORDER BY length(r.prefix) DESC, r.valid_from DESC {'' if info.bands else 'LIMIT 1'}"
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
            bands = tuple(meta["bands"].split("\n")) if meta.get("bands") else ()
            info = DeckInfo(meta["name"], meta["currency"], int(meta["rows"]), meta["imported"], meta["source"], bands)
        except (sqlite3.Error, KeyError, ValueError) as error:
            connection.close()
            raise DeckError(f"{path}: a damaged rate deck ({error}); import it again") from error
        if version not in _READABLE:
            connection.close()
            raise DeckError(f"{path}: a rate deck of version {version}, not {VERSION}; import it again")
        return cls(path, connection, info, version)

    def close(self) -> None:
        """Close the file; may be repeated."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lookup(self, key: str, at: datetime) -> Rate | None:
        """The rate of the longest prefix of `key` (digits, or country and short number) valid at `at`, in no band."""
        return next((rate for rate in self.rates(key, at) if not rate.band), None)

    def rates(self, key: str, at: datetime) -> tuple[Rate, ...]:
        """As `lookup`, for every time band that has a row: its longest prefix. Nothing: no price is known."""
        key = key[:MAX_KEY]
        prefixes = [key[:length] for length in range(1, len(key) + 1)]
        found = self._ask(self._lookups[len(prefixes)], (*prefixes, _moment(at)))
        by_band: dict[object, tuple[Any, ...]] = {}
        for row in found:
            by_band.setdefault(row[_BAND], row)
        return tuple(self._rate(row) for row in by_band.values() if row[_MINUTE] != WITHDRAWN)

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

    def in_force(self, at: datetime) -> Iterator[tuple[Any, ...]]:
        """The row of each prefix that holds at an instant, in no band, in the order of the prefixes.

        As the file has it: prefix, destination, then prices in millionths and whole seconds (`rate_of` makes a Rate).
        """
        moment = _moment(at)
        held: tuple[Any, ...] | None = None
        for row in self._raw():
            if row[_BAND] or row[_VALID] > moment:
                continue
            if held is not None and held[0] != row[0]:
                yield held
            held = row
        if held is not None:
            yield held

    def rate_of(self, row: tuple[Any, ...]) -> Rate:
        """A row of `in_force` as a Rate. Raises DeckError."""
        return self._rate(row)

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
                    WITHDRAWN_WORD if rate.withdrawn else written(rate.per_minute),
                    written(rate.connection_fee),
                    rate.first_increment,
                    rate.next_increment,
                    rate.currency,
                    written(rate.per_call),
                    written(rate.minimum),
                    "" if rate.valid_from is None else rate.valid_from.isoformat(timespec="seconds"),
                    rate.grace_seconds or "",
                    written_steps(rate.steps),
                    safe_cell(rate.band),
                    written(rate.service_per_call) if rate.service_per_call else "",
                    written(rate.service_per_minute) if rate.service_per_minute else "",
                )
            )
        return count

    def _all(self) -> Iterator[Rate]:
        return map(self._rate, self._raw())

    def _raw(self) -> Iterator[tuple[Any, ...]]:
        # A deck of version 1 has no column of bands, and no row twice but for its date.
        key = "(r.prefix, r.valid_from, r.band)" if self._select is _SELECT else "(r.prefix, r.valid_from, '')"
        after: tuple[object, ...] = ("", -1, "")
        while True:
            page = self._ask(f"{self._select} WHERE {key} > (?, ?, ?) ORDER BY {key[1:-1]} LIMIT 2000", after)
            if not page:
                return
            yield from page
            after = (page[-1][0], page[-1][_VALID], page[-1][_BAND])

    def _rates(self, where: str, parameters: tuple[object, ...], limit: int, offset: int) -> list[Rate]:
        if not 1 <= limit <= MAX_ROWS or offset < 0:
            raise DeckError(f"between 1 and {MAX_ROWS} rows can be asked for, from 0 on")
        statement = f"{self._select} {where} ORDER BY r.prefix, r.valid_from LIMIT ? OFFSET ?"
        return [self._rate(row) for row in self._ask(statement, (*parameters, limit, offset))]

    def _ask(self, statement: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise DeckError(f"{self.path}: cannot be read ({error}); import the deck again") from error

    def _rate(self, row: tuple[Any, ...]) -> Rate:
        prefix, destination, minute, connection, first, following, call, minimum, valid, *more = row
        grace, steps, band, service_call, service_minute = more
        try:
            return Rate(
                prefix=prefix,
                destination=destination,
                currency=self.info.currency,
                per_minute=from_micro(max(minute, 0)),
                connection_fee=from_micro(connection),
                first_increment=first,
                next_increment=following,
                per_call=from_micro(call),
                minimum=from_micro(minimum),
                valid_from=datetime.fromtimestamp(valid, UTC) if valid else None,
                grace_seconds=grace,
                steps=parsed_steps(steps) if steps else (),
                band=band,
                service_per_call=from_micro(service_call),
                service_per_minute=from_micro(service_minute),
                withdrawn=minute == WITHDRAWN,
            )
        except (ValueError, TypeError, OverflowError) as error:
            raise DeckError(f"{self.path}: a damaged row for {prefix!r}; import the deck again") from error


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


def adopt(made: Path, decks_dir: Path) -> Path:
    """Move a deck that was made elsewhere on the same disk into the decks folder, durably. Raises DeckError."""
    path = decks_dir / made.name
    try:
        decks_dir.mkdir(parents=True, exist_ok=True)
        made.replace(path)
        store.sync_folder(decks_dir)
    except OSError as error:
        raise DeckError(f"{decks_dir}: the deck cannot be kept: {error.strerror}") from error
    return path


def with_row(
    deck: Deck, decks_dir: Path, rate: Rate | None, *, instead_of: tuple[str, datetime | None], band: str = ""
) -> Path:
    """A new deck file with one row changed: `rate` instead of the row at (prefix, valid_from) and `band`; None removes.

    `instead_of` a row that does not exist adds `rate`. The old file stays as it is. Raises DeckError.
    """
    if rate is not None and rate.currency != deck.info.currency:
        raise DeckError(f"the deck is in {deck.info.currency}, the row in {rate.currency}")

    def change(connection: sqlite3.Connection) -> str:
        prefix, valid = instead_of
        where = "prefix = ? AND valid_from = ? AND band = ?"
        connection.execute(f"DELETE FROM rates WHERE {where}", (prefix, _epoch(valid), band))  # noqa: S608 - constant
        if rate is not None:
            _put(connection, rate)
        rows = connection.execute("SELECT count(*) FROM rates").fetchone()[0]
        connection.execute("UPDATE meta SET value = ? WHERE key = 'rows'", (str(rows),))
        _note_bands(connection)
        return hashlib.sha256(f"{deck.path.name}|{instead_of}|{band}|{rate}".encode()).hexdigest()

    def copy_and_change(connection: sqlite3.Connection) -> str:
        source = store.open_reader(deck.path, immutable=True)
        try:
            source.backup(connection)
        finally:
            source.close()
        connection.execute("BEGIN")
        _upgrade(connection)
        digest = change(connection)
        connection.execute("COMMIT")
        return digest

    path = build(decks_dir, deck.info.name, copy_and_change)
    if path is None:
        raise DeckError("the deck could not be changed")
    return path


def withdraw(connection: sqlite3.Connection, prefix: str, valid_from: int, destination: int, band: str) -> int:
    """Say that a prefix has no price (in a band) from `valid_from` on; how many rows that took."""
    row = (prefix, valid_from, destination, WITHDRAWN, 0, 1, 1, 0, 0, 0, "", band, 0, 0, 0)
    return connection.execute(INSERT_RATE, row).rowcount


def begin(connection: sqlite3.Connection) -> None:
    """The tables of an empty deck, and an open transaction to fill it in."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("BEGIN")
    for statement in TABLES:
        connection.execute(statement)


def finish(connection: sqlite3.Connection, info: DeckInfo) -> None:
    """The index and what the deck says of itself; commits."""
    for statement in INDEX:
        connection.execute(statement)
    meta = {
        "name": info.name,
        "currency": info.currency,
        "rows": str(info.rows),
        "imported": info.imported,
        "source": info.source,
    }
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", meta.items())
    _note_bands(connection)
    connection.execute("COMMIT")


def _note_bands(connection: sqlite3.Connection) -> None:
    """The names of the bands go into `meta`, so that whoever opens the deck need not look for them."""
    bands = "\n".join(row[0] for row in connection.execute(_BANDS))
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('bands', ?)", (bands,))


def _upgrade(connection: sqlite3.Connection) -> None:
    """Make a copy of a deck of version 1 one of this version."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    connection.execute("DROP INDEX rates_by_destination")
    connection.execute("ALTER TABLE rates RENAME TO old_rates")
    connection.execute(TABLES[-1])
    connection.execute(_UPGRADE)
    connection.execute("DROP TABLE old_rates")
    for statement in INDEX:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def csv_text(deck: Deck) -> str:
    """The whole deck as CSV text: for small decks and tests."""
    out = io.StringIO()
    deck.export(out)
    return out.getvalue()


def _fill(path: Path, fill: Callable[[sqlite3.Connection], str | None]) -> str | None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody sees the file before it is whole and synced: no journal is needed.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-16384"):
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


def _moment(at: datetime) -> int:
    """Epoch seconds. Raises DeckError for a time that has none."""
    try:
        return (at.astimezone(UTC) - _EPOCH) // _SECOND
    except (OverflowError, ValueError) as error:  # a local time in the year 1 has no UTC
        raise DeckError(f"{at.isoformat()} is out of range") from error


def _epoch(instant: datetime | None) -> int:
    return 0 if instant is None else _moment(instant)


def _values(rate: Rate, destination: int) -> tuple[object, ...]:
    return (
        rate.prefix,
        _epoch(rate.valid_from),
        destination,
        WITHDRAWN if rate.withdrawn else to_micro(rate.per_minute),
        to_micro(rate.connection_fee),
        rate.first_increment,
        rate.next_increment,
        to_micro(rate.per_call),
        to_micro(rate.minimum),
        rate.grace_seconds,
        written_steps(rate.steps),
        rate.band,
        to_micro(rate.service_per_call),
        to_micro(rate.service_per_minute),
        0,
    )
