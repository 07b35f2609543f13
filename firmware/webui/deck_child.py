"""Imports a rate deck in a child process: `python -m firmware.webui.deck_child FILE DECKS NAME CURRENCY SOURCE MODE`.

A file from anywhere is read here, with limits on memory and time, so that a hostile one costs a
child and not the page. The report comes back as JSON on standard output; `MODE` is check or keep.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypedDict, cast

from firmware.rates.deck import DeckError, import_csv
from firmware.service import ServiceError

_CPU_SECONDS = 120
_WALL_SECONDS = 180
# The page's unit has 192 MB for everything; 200,000 rates, each with a destination of its own, take 75 MB here.
_MEMORY_BYTES = 96 << 20
_one_at_a_time = threading.Lock()


class Problem(TypedDict):
    """One thing that is wrong: `line` 0 is the whole file; `kind` is stable, `cause` English."""

    line: int
    column: str | None
    value: str
    kind: str
    cause: str


class Report(TypedDict):
    """How an import went; `file` is the deck's file name in DIR/decks, once kept."""

    name: str
    source: str
    file: str | None
    rows: int
    currency: str
    errors: list[Problem]
    stopped: bool
    ignored_columns: list[str]


class _Refusal(TypedDict):
    refused: str


def run(path: Path, decks: Path, name: str, *, currency: str, source: str, mode: Literal["check", "keep"]) -> Report:
    """Import in a child. Raises ServiceError in words if it could not be done at all."""
    command = [sys.executable, "-m", "firmware.webui.deck_child", str(path), str(decks), name, currency, source, mode]
    try:
        with _one_at_a_time:
            done = subprocess.run(command, capture_output=True, timeout=_WALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"{source}: reading it took more than {_WALL_SECONDS} s; nothing was changed") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise ServiceError(f"{source}: the import broke off (status {done.returncode}); nothing was changed") from error
    if "refused" in answer:
        raise ServiceError(str(answer["refused"]))
    report: Report = answer
    return report


def main(arguments: list[str]) -> None:
    """The child: one import, one JSON object."""
    path, decks, name, currency, source, mode = arguments
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    answer: Report | _Refusal
    try:
        report = import_csv(
            Path(path), Path(decks), name, dry_run=mode == "check", currency=currency, source_name=source
        )
    except DeckError as error:
        answer = _Refusal(refused=str(error))
    else:
        answer = Report(
            name=report.name,
            source=report.source,
            file=report.file.name if report.file is not None else None,
            rows=report.rows,
            currency=report.currency,
            errors=[cast("Problem", asdict(problem)) for problem in report.errors],
            stopped=report.stopped,
            ignored_columns=list(report.ignored_columns),
        )
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
