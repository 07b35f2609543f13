"""Reads a rate file in a child process: `python -m firmware.webui.deck_child`, an order as JSON on standard input.

A file from anywhere is read here, with limits on memory and time, so that a hostile one costs a
child and not the page. The child makes the deck file and says what it would change; nothing is in
use before a person said yes. The answer comes as JSON on standard output, progress in a file.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from firmware.rates import mappings
from firmware.rates.deck import DeckError, ImportReport, import_csv
from firmware.rates.deckfile import Deck
from firmware.rates.mapping import Choice, Layout, MappingError
from firmware.rates.rate import RateError
from firmware.rates.table import Look, look
from firmware.service import ServiceError

if TYPE_CHECKING:
    from firmware.rates import preview

CPU_SECONDS = 240
WALL_SECONDS = 600
# The page's unit has 192 MB for everything. A million rates and a comparison take 90 MB;
# with the most destinations that a deck may have, each a name of 75 letters, 139 MB.
MEMORY_BYTES = 144 << 20
_PROGRESS_SECONDS = 0.3
_one_at_a_time = threading.Lock()


class Problem(TypedDict):
    """One thing that is wrong: `line` 0 is the whole file; `kind` is stable, `cause` English."""

    line: int
    column: str | None
    value: str
    kind: str
    cause: str


class ColumnRow(TypedDict):
    """One column of the file: its name, what it is read as (`target` "": nothing), in which unit."""

    name: str
    target: str
    unit: str


class MoveRow(TypedDict):
    """`preview.Move`; prices of three minutes."""

    prefix: str
    destination: str
    before: str | None
    after: str | None
    percent: int | None


class Changes(TypedDict):
    """`preview.Comparison`."""

    currency: str
    same: int
    dearer: int
    cheaper: int
    new: int
    gone: int
    risen: list[MoveRow]
    fallen: list[MoveRow]
    appeared: list[MoveRow]
    vanished: list[MoveRow]


class Again(TypedDict):
    """`preview.WhatIf`: last month's calls priced again."""

    calls: int
    compared: int
    before: str
    after: str
    difference: str | None
    lost: int
    gained: int
    gained_cost: str
    unknown: int
    currency: str
    currency_before: str


class Report(TypedDict):
    """How an import went; `file` is the deck's file name in the order's folder."""

    name: str
    source: str
    file: str | None
    rows: int
    kept: int
    currency: str
    tax: str
    errors: list[Problem]
    stopped: bool
    ignored_columns: list[str]
    columns: list[ColumnRow]
    names: list[str]
    choice: dict[str, Any]
    recalled: bool
    changes: Changes | None
    again: Again | None


class Seen(TypedDict):
    """The beginning of a file: its columns and first rows; `errors` alone where there is no table."""

    columns: list[ColumnRow]
    samples: list[list[str]]
    choice: dict[str, Any]
    recalled: bool
    missing: list[str]
    tax: str
    errors: list[Problem]


class Order(TypedDict):
    """What the child is to do. `folder` takes the deck; `base` is the deck in use, `calls` those of the last month."""

    path: str
    folder: str
    decks: str
    name: str
    currency: str
    source: str
    choice: dict[str, Any]
    valid_from: str | None
    base: str | None
    country: str
    zone: str
    plans: list[tuple[str | None, str]]
    calls: list[tuple[str, str, int, str | None]]
    progress: str


def run(order: Order, started: Callable[[subprocess.Popen[bytes]], None] = lambda _: None) -> Report:
    """Import in a child, one at a time. Raises ServiceError in words if it could not be done at all.

    `started` is given the child, to end it if nobody wants to know any more.
    """
    with _one_at_a_time:
        report: Report = _ask(["read"], order, WALL_SECONDS, started)
    return report


def see(path: Path, decks: Path, choice: Choice, *, source: str, name: str) -> Seen:
    """Look at the beginning of a file in a child. Raises ServiceError."""
    asked = {
        "path": str(path),
        "decks": str(decks),
        "name": name,
        "source": source,
        "choice": mappings.to_json(choice),
    }
    seen: Seen = _ask(["look"], asked, 30)
    return seen


def _ask(
    mode: list[str], order: Any, seconds: float, started: Callable[[subprocess.Popen[bytes]], None] = lambda _: None
) -> Any:
    command = [sys.executable, "-m", "firmware.webui.deck_child", *mode]
    source = order["source"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with child:
        started(child)
        try:
            said, _ = child.communicate(json.dumps(order).encode(), timeout=seconds)
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise ServiceError(f"{source}: reading it took more than {seconds:.0f} s; nothing was changed") from error
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise ServiceError(
            f"{source}: the import broke off (status {child.returncode}); nothing was changed"
        ) from error
    if "refused" in answer:
        raise ServiceError(str(answer["refused"]))
    return answer


def main(arguments: list[str]) -> None:
    """The child: one order, one JSON object."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable()
    os.nice(5)  # whoever waits for a page comes first
    order = json.load(sys.stdin)
    try:
        answer: object = _look(order) if arguments == ["look"] else _read(order)
    except (RateError, MappingError) as error:
        answer = {"refused": str(error)}
    json.dump(answer, sys.stdout)


def _look(order: Any) -> Seen:
    remembered = mappings.Mappings(Path(order["decks"]))
    choice = mappings.from_json(order["choice"])
    if choice == Choice():
        choice = remembered.of_deck(order["name"]) or choice
    try:
        with Path(order["path"]).open("rb") as stream:
            seen = look(stream, choice, remembered.find)
    except OSError as error:
        raise DeckError(f"{order['source']}: cannot be read: {error.strerror}") from error
    if isinstance(seen, Look):
        return Seen(
            columns=_columns(seen.layout),
            samples=[list(row) for row in seen.samples],
            choice=mappings.to_json(seen.choice),
            recalled=seen.recalled,
            missing=list(seen.layout.missing),
            tax=seen.layout.tax,
            errors=[Problem(line=0, column=None, value="", kind="columns-wrong", cause=seen.problem)]
            if seen.problem
            else [],
        )
    problems = [Problem(line=e.line, column=None, value=e.value, kind=e.kind, cause=e.cause) for e in seen]
    if not problems:
        problems = [Problem(line=0, column=None, value="", kind="empty", cause="the file holds no rates")]
    return Seen(columns=[], samples=[], choice={}, recalled=False, missing=[], tax="", errors=problems)


def _read(order: Order) -> Report:
    begins = datetime.fromisoformat(order["valid_from"]) if order["valid_from"] else None
    base = Path(order["base"]) if order["base"] else None
    choice = mappings.from_json(order["choice"])
    report = import_csv(
        Path(order["path"]),
        Path(order["folder"]),
        order["name"],
        currency=order["currency"],
        source_name=order["source"],
        choice=choice,
        recall=mappings.Mappings(Path(order["decks"])).find,
        valid_from=begins,
        base=base,
        progress=_Progress(Path(order["progress"])).tell,
    )
    answer = _report(report)
    if report.file is not None:
        answer["changes"], answer["again"] = _changes(report.file, base, order, begins)
    return answer


def _changes(
    made: Path, base: Path | None, order: Order, begins: datetime | None
) -> tuple[Changes | None, Again | None]:
    from firmware.rates import preview  # noqa: PLC0415 - numbers of all countries, which a first look does not need
    from firmware.rates.planfile import open_plan  # noqa: PLC0415 - as below

    now = datetime.now(UTC)
    at = max(now, begins) if begins else now
    calls = [
        preview.PastCall(number, datetime.fromisoformat(when), length, account)
        for number, when, length, account in order["calls"]
    ]
    plans = {account: open_plan(Path(file)).plan for account, file in order["plans"]}
    house = preview.Household(order["country"], order["zone"], plans=plans)
    with Deck.open(made) as after:
        if base is None:
            return None, _again(preview.what_if(calls, house, None, after, now=now, at=at))
        with Deck.open(base) as before:
            changes = preview.compare(before, after, at, at_before=now)
            again = preview.what_if(calls, house, before, after, now=now, at=at)
    return _compared(changes), _again(again)


def _report(report: ImportReport) -> Report:
    return Report(
        name=report.name,
        source=report.source,
        file=report.file.name if report.file is not None else None,
        rows=report.rows,
        kept=report.kept,
        currency=report.currency,
        tax=report.layout.tax if report.layout else "",
        errors=[cast("Problem", asdict(problem)) for problem in report.errors],
        stopped=report.stopped,
        ignored_columns=list(report.ignored_columns),
        columns=_columns(report.layout) if report.layout else [],
        names=list(report.columns),
        choice=mappings.to_json(report.choice),
        recalled=report.recalled,
        changes=None,
        again=None,
    )


def _columns(layout: Layout) -> list[ColumnRow]:
    return [
        ColumnRow(
            name=column.name[:60],
            target=column.use.target if column.use else "",
            unit=column.use.unit if column.use else "",
        )
        for column in layout.columns
    ]


def _compared(found: preview.Comparison) -> Changes:
    return Changes(
        currency=found.currency,
        same=found.same,
        dearer=found.dearer,
        cheaper=found.cheaper,
        new=found.new,
        gone=found.gone,
        risen=_moves(found.risen),
        fallen=_moves(found.fallen),
        appeared=_moves(found.appeared),
        vanished=_moves(found.vanished),
    )


def _moves(moves: list[preview.Move]) -> list[MoveRow]:
    return [
        MoveRow(
            prefix=move.prefix,
            destination=move.destination,
            before=None if move.before is None else f"{move.before:f}",
            after=None if move.after is None else f"{move.after:f}",
            percent=move.percent,
        )
        for move in moves
    ]


def _again(found: preview.WhatIf) -> Again:
    return Again(
        calls=found.calls,
        compared=found.compared,
        before=f"{found.before:f}",
        after=f"{found.after:f}",
        difference=None if found.difference is None else f"{found.difference:f}",
        lost=found.lost,
        gained=found.gained,
        gained_cost=f"{found.gained_cost:f}",
        unknown=found.unknown,
        currency=found.currency,
        currency_before=found.currency_before,
    )


class _Progress:
    """How far the file is read, in percent, in a small file that the page looks at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = 0.0

    def tell(self, done: int, total: int) -> None:
        """Bytes read, and in all."""
        now = time.monotonic()
        if total and now - self._told >= _PROGRESS_SECONDS:
            self._told = now
            draft = self._path.with_suffix(".draft")
            draft.write_text(str(min(99, done * 100 // total)), encoding="ascii")
            draft.replace(self._path)


if __name__ == "__main__":
    main(sys.argv[1:])
