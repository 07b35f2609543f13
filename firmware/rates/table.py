"""The table in a provider's file: which line names the columns, what parts the cells, what each column holds.

Price lists begin with a title, a date, an address as often as with their columns' names. The line
that names most of what a deck needs, among the first twenty, is taken for it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from firmware.rates import mapping, names
from firmware.rates.columns import REQUIRED, CellError
from firmware.rates.csvlines import Line, LineError, cells, read_lines, sniff
from firmware.rates.mapping import Choice, Layout

HEADER_WITHIN = 20
SAMPLES = 5
MAX_SHOWN = 60

# What was chosen for files with these column names before; None: nothing was.
Recall = Callable[[Sequence[str]], Choice | None]


@dataclass
class Table:
    """A file whose beginning was read. `line` is the header's number; `rest` the lines after it, errors among them."""

    names: list[str]
    line: int
    text: str
    delimiter: str
    layout: Layout
    choice: Choice
    errors: list[CellError]
    rest: Iterator[Line | LineError]
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """The beginning of a file, for a person who says which column is which. Cells are cut to MAX_SHOWN characters."""

    names: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...]
    layout: Layout
    choice: Choice
    recalled: bool
    problem: str = ""
    uses: dict[int, mapping.Use] = field(default_factory=dict)


def read_table(stream: BinaryIO, choice: Choice, recall: Recall | None = None) -> Table | list[LineError]:
    """Find the columns' names. A list of errors: the file holds no table at all."""
    lines = read_lines(stream)
    begun: list[Line | LineError] = []
    for line in itertools.islice(lines, HEADER_WITHIN):
        begun.append(line)
        if isinstance(line, LineError) and line.fatal:
            break
    good = [
        (at, line)
        for at, line in enumerate(begun)
        if isinstance(line, Line) and not re.fullmatch(r"(?i)\"?sep=.\"?", line.text)  # Excel names the delimiter so
    ]
    if not good:
        return [line for line in begun if isinstance(line, LineError)][:1]  # no table: one cause is enough
    if choice.headless:
        return _headless(begun, good, lines, choice)
    candidates: list[tuple[tuple[int, ...], Line, list[str]]] = []
    for at, line in good:
        try:
            found = cells(line, sniff(line.text))
        except LineError as error:
            if not candidates and at == good[0][0]:
                return [error, *(line for line in begun[at + 1 :] if isinstance(line, LineError) and line.fatal)]
            continue
        remembered = recall(found) if recall else None
        if remembered is not None:
            return _table(begun, at, line, found, lines, over(remembered, choice), recalled=True)
        fit = mapping.fit(found) + _named(found, choice)
        candidates.append(((fit, *_like(found), -at), line, found))
        if fit >= len(REQUIRED):
            break
    likeness, line, found = max(candidates, key=lambda candidate: candidate[0])
    return _table(begun, -likeness[-1], line, found, lines, choice)


def look(stream: BinaryIO, choice: Choice, recall: Recall | None = None) -> Look | list[LineError]:
    """The names, the first rows and what is proposed for them."""
    table = read_table(stream, choice, recall)
    if isinstance(table, list):
        return table
    samples: list[tuple[str, ...]] = []
    for line in itertools.islice(table.rest, SAMPLES * 4):
        if isinstance(line, Line) and len(samples) < SAMPLES:
            try:
                samples.append(tuple(cell[:MAX_SHOWN] for cell in cells(line, table.delimiter)))
            except LineError:
                continue
    return Look(
        tuple(name[:MAX_SHOWN] for name in table.names),
        tuple(samples),
        table.layout,
        table.choice,
        table.recalled,
        table.errors[0].cause if table.errors else "",
        {column.place: column.use for column in table.layout.columns if column.use is not None},
    )


def _named(found: Sequence[str], choice: Choice) -> int:
    keys = {names.key(name) for name in found}
    return sum(name in keys for name in choice.uses)


def _like(found: Sequence[str]) -> tuple[int, int]:
    """How much a line looks like names at all: how many are known, and how many are words and no numbers."""
    known = sum(names.recognise(cell) is not None for cell in found)
    return known, sum(bool(cell) and not any(char.isdigit() for char in cell) for cell in found)


def over(remembered: Choice, chosen: Choice) -> Choice:
    """What was chosen now, over what was chosen before."""
    return replace(
        remembered,
        uses={**remembered.uses, **chosen.uses},
        currency=chosen.currency or remembered.currency,
        tax=chosen.tax or remembered.tax,
        tax_percent=chosen.tax_percent or remembered.tax_percent,
    )


def _table(
    begun: list[Line | LineError],
    at: int,
    line: Line,
    found: list[str],
    lines: Iterator[Line | LineError],
    choice: Choice,
    *,
    recalled: bool = False,
) -> Table:
    layout, errors = mapping.layout(found, choice)
    rest = itertools.chain(begun[at + 1 :], lines)
    return Table(found, line.number, line.text, sniff(line.text), layout, choice, errors, rest, recalled)


def _headless(
    begun: list[Line | LineError], good: list[tuple[int, Line]], lines: Iterator[Line | LineError], choice: Choice
) -> Table | list[LineError]:
    at, first = good[0]
    try:
        found = cells(first, sniff(first.text))
    except LineError as error:
        return [error]
    numbered = [str(place) for place in range(1, len(found) + 1)]
    layout, errors = mapping.layout(numbered, choice)
    rest = itertools.chain(begun[at:], lines)
    return Table(numbered, first.number, first.text, sniff(first.text), layout, choice, errors, rest)
