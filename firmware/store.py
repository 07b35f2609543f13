"""SQLite as the box keeps it: one writer a database, a rollback journal, commits that survive a power cut.

Write-ahead logging is not used: with two connections SQLite before 3.51.3 can corrupt a database
through it, and Debian 12 has 3.40. `synchronous=EXTRA` also syncs the directory when the journal
goes, so that a commit that returned stays. Nothing here knows what the tables mean.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from firmware.clock import Clock

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
_CACHE = "cache_size=-200"  # kB; SQLite's own 2 MB fill up with what a box writes in its first months


class StoreError(Exception):
    """A database cannot be used. `path` is the file; the message says what to do."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class StoreFullError(StoreError):
    """The disk is full; nothing was written, what was there is whole."""


class StoreCorruptError(StoreError):
    """The file is damaged, or no SQLite database at all."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one kind of database.

    `application_id` (four letters as an integer, SQLite's own header field) tells one kind from
    another. `steps[n]` is the list of statements that lead from version n to n + 1; a released
    step is never changed, only followed by another.
    """

    application_id: int
    steps: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A database ready for writing; `notice` is set when a damaged one had to be set aside."""

    connection: sqlite3.Connection
    notice: str | None


def open_writer(path: Path, schema: Schema, clock: Clock) -> Opened:
    """Open (or begin) the database at `path` for its one writer, brought up to the latest schema.

    A damaged file is renamed to NAME.corrupt-TIMESTAMP and a fresh one begun: the telephone must
    work, and the damaged file stays for whoever wants to rescue it. Raises StoreError.
    """
    try:
        return Opened(_open_checked(path, schema), None)
    except StoreCorruptError as error:
        aside = _set_aside(path, clock.wall())
        notice = f"{path.name} was damaged ({error}); it is kept as {aside.name} and a new one was begun"
        log.error("%s", notice)  # noqa: TRY400 - the trace would add nothing to the notice
        return Opened(_open_checked(path, schema), notice)


def open_reader(path: Path, *, immutable: bool = False, application_id: int | None = None) -> sqlite3.Connection:
    """Open read-only; usable from any thread (one at a time). Raises StoreError.

    `immutable`: nobody will ever write this file again (rate decks), so no locks are taken.
    """
    if not path.is_file():
        raise StoreError(path, "no such database")
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if immutable else ''}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise failure(path, error) from error
    try:
        for pragma in ("query_only=ON", "mmap_size=0", "trusted_schema=OFF", _CACHE):
            connection.execute(f"PRAGMA {pragma}")
        found = int(connection.execute("PRAGMA application_id").fetchone()[0])
    except sqlite3.Error as error:
        connection.close()
        raise failure(path, error) from error
    if application_id is not None and found != application_id:
        connection.close()
        raise StoreError(path, f"not the kind of database expected here (application id {found:#x})")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """All or nothing: commits on leaving, rolls back on any exception; SQLite's errors become StoreError."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        _roll_back(connection)
        raise failure(path, error) from error
    except sqlite3.DatabaseError as error:
        _roll_back(connection)
        if _is_corrupt(error):
            raise failure(path, error) from error
        raise
    except BaseException:
        _roll_back(connection)
        raise


def failure(path: Path, error: sqlite3.Error) -> StoreError:
    """SQLite's error as ours: what is wrong with which file, and what to do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return StoreFullError(path, "the disk is full; free some space (`df -h`) and it will be tried again")
    if _is_corrupt(error):
        return StoreCorruptError(path, f"damaged, or no database: {error}")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(path, "locked by another process; is a second box running on the same data folder?")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        return StoreError(path, "cannot be written; check the owner of the file and of its folder")
    if name.startswith("SQLITE_CANTOPEN"):
        return StoreError(path, "cannot be opened; check that its folder exists and belongs to the box's user")
    if name.startswith("SQLITE_IOERR"):
        return StoreError(path, f"the disk reports an error ({name}); check the card or disk (`dmesg`)")
    return StoreError(path, f"{error} ({name or type(error).__name__})")


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`, durably: whoever reads sees the old or the new, whole. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open_checked(path: Path, schema: Schema) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Who called whom is nobody else's business: SQLite alone would make the file world-readable.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(path, f"cannot be opened for writing: {error.strerror}; check the folder's owner") from error
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise failure(path, error) from error
    try:
        _settle(connection)
        _check(connection, path, schema)
        _migrate(connection, path, schema)
    except sqlite3.Error as error:
        connection.close()
        raise failure(path, error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _settle(connection: sqlite3.Connection) -> None:
    for pragma in (
        "journal_mode=DELETE",
        "synchronous=EXTRA",
        "foreign_keys=ON",
        "mmap_size=0",  # a mapped page would turn a disk error into a signal
        "trusted_schema=OFF",
        "cell_size_check=ON",
        "temp_store=MEMORY",
        _CACHE,
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _check(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        raise StoreCorruptError(path, verdict)
    kind = int(connection.execute("PRAGMA application_id").fetchone()[0])
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if kind != schema.application_id and not (kind == 0 and empty):
        raise StoreError(path, f"belongs to another program (application id {kind:#x}); move it away")


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    latest = len(schema.steps)
    if version > latest:
        raise StoreError(
            path, f"made by a newer Allobox (schema {version}, this one knows {latest}); update, or restore a backup"
        )
    for number in range(version, latest):
        with transaction(connection, path):
            for statement in schema.steps[number]:
                connection.execute(statement)
            # Neither pragma takes parameters; both values are integers of ours.
            connection.execute(f"PRAGMA application_id = {int(schema.application_id)}")
            connection.execute(f"PRAGMA user_version = {number + 1}")


def _set_aside(path: Path, now: datetime) -> Path:
    aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}-{count}")
    try:
        path.rename(aside)
        # A hot journal left behind would be played into the new database.
        journal = path.with_name(f"{path.name}-journal")
        if journal.exists():
            journal.rename(aside.with_name(f"{aside.name}-journal"))
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(path, f"damaged, and cannot be set aside: {error.strerror}") from error
    return aside


def _is_corrupt(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _roll_back(connection: sqlite3.Connection) -> None:
    # A full disk or an I/O error may have rolled back by itself already.
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
