"""CSV into a rate deck: every error at once, with its line and column, and nothing half-applied.

Streams: a million rows or a hostile file take the same memory. The file's own order does not matter.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from firmware.rates import deckfile
from firmware.rates.columns import DEFAULT_INCREMENT, READERS, REQUIRED, CellError, check_row, read_currency
from firmware.rates.deckfile import Deck, DeckError
from firmware.rates.mapping import Choice, Layout
from firmware.rates.merge import keep_until
from firmware.rates.rate import Rate, from_micro, parsed_steps
from firmware.rates.reading import MAX_ERRORS, ImportProblem, Progress, Reading
from firmware.rates.table import Recall

__all__ = ["Deck", "DeckError", "ImportProblem", "ImportReport", "RowError", "deck_name", "import_csv", "read_rate"]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How an import went. `file` is the new deck, None after errors or a dry run.

    `stopped`: there may be more errors than these. `layout` is how the `columns` of the file were read,
    `choice` what a household said of them, now or (`recalled`) before. `kept`: rows of the deck before,
    which hold until this one does.
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
    layout: Layout | None = None
    columns: tuple[str, ...] = ()
    choice: Choice = field(default_factory=Choice)
    recalled: bool = False
    kept: int = 0

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
    choice: Choice | None = None,
    recall: Recall | None = None,
    valid_from: datetime | None = None,
    base: Path | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Read a provider's CSV and make `decks_dir`/NAME-HASH.deck of it, durably; it is not yet in use.

    `source` is a path or a binary stream, `currency` holds where the file has none, `choice` says what
    the columns are where their names do not, `recall` what was chosen for such a file before. Rows
    without a date hold from `valid_from` on; then the rows of the deck `base` are kept until that day.
    Errors in the file come in the report; DeckError is raised when the file cannot be read or the deck
    not written.
    """
    deckfile.check_name(name)
    try:
        code = read_currency(currency)
    except CellError as error:
        raise DeckError(error.cause) from error
    reading = Reading(
        source_name or (source.name if isinstance(source, Path) else "rates.csv"),
        code,
        choice or Choice(),
        recall,
        valid_from=int(valid_from.timestamp()) if valid_from else 0,
        progress=progress,
    )
    if not isinstance(source, Path):
        return _build(reading, source, decks_dir, name, dry_run=dry_run, now=now, base=base)
    try:
        with source.open("rb") as stream:
            return _build(reading, stream, decks_dir, name, dry_run=dry_run, now=now, base=base)
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
    reading: Reading,
    stream: BinaryIO,
    decks_dir: Path,
    name: str,
    *,
    dry_run: bool,
    now: datetime | None,
    base: Path | None,
) -> ImportReport:
    stamp = f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    kept = ended = 0

    def fill(connection: sqlite3.Connection) -> str | None:
        nonlocal kept, ended
        deckfile.begin(connection)
        reading.read(connection, stream)
        if reading.errors:
            return None
        if base is not None and reading.valid_from:
            kept, ended = keep_until(connection, base, reading.valid_from, reading.currency)
            reading.hash.update(base.name.encode())
        rows = reading.rows + kept + ended
        deckfile.finish(connection, deckfile.DeckInfo(name, reading.currency, rows, stamp, reading.source))
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
        ignored_columns=reading.layout.ignored if reading.layout else (),
        layout=reading.layout,
        columns=reading.names,
        choice=reading.choice,
        recalled=reading.recalled,
        kept=kept,
    )
