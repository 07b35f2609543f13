"""A figure of the bench, the machine it was taken on, and the tables that show both.

Nothing here measures, and nothing asserts: a missed goal is a line that says so.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to take. `quick`: a look whether all is well, not a figure to keep."""

    quick: bool = False

    def times(self, full: int, quick: int) -> int:
        """Repetitions."""
        return quick if self.quick else full

    def seconds(self, full: float, quick: float) -> float:
        """A duration."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. A single value has `p99` None; what could not be measured has `median` None and `note`.

    `goal` is an upper limit in `unit`, None where the goal is to print. `beside` is the reference of
    the same run; `note` says what was counted, once a reader would ask. `raw` goes to the JSON only.
    """

    name: str
    unit: str
    median: float | None
    p99: float | None = None
    goal: float | None = None
    beside: str = ""
    note: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """met: median and p99 within the goal; median met: only the median; missed; not measured; "" without goal."""
        if self.median is None:
            return "not measured"
        if self.goal is None:
            return "printed"
        if self.median > self.goal:
            return "missed"
        return "met" if self.p99 is None or self.p99 <= self.goal else "median met"

    def cells(self) -> tuple[str, ...]:
        """The table's columns."""
        goal = "" if self.goal is None else f"<= {number(self.goal)} {self.unit}"
        median, p99 = ("" if value is None else f"{number(value)} {self.unit}" for value in (self.median, self.p99))
        return self.name, median, p99, goal, self.verdict, self.beside

    def as_json(self) -> dict[str, Any]:
        """Every field, and the verdict."""
        names = ("name", "unit", "median", "p99", "goal", "beside", "note", "raw")
        return {name: getattr(self, name) for name in names} | {"verdict": self.verdict}


HEADINGS = ("figure", "median", "p99", "goal", "", "beside it in the same run")


def number(value: float) -> str:
    """Three digits that matter."""
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def median(values: Sequence[float]) -> float:
    """The middle one. ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def p99(values: Sequence[float]) -> float:
    """The nearest rank: of fewer than a hundred values the greatest. ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[-(-len(ordered) * 99 // 100) - 1]


def spread(name: str, milliseconds: Sequence[float], **more: Any) -> Figure:
    """A figure of several measurements in ms, all of them in `raw`."""
    raw = more.pop("raw", {}) | {"ms": [round(value, 3) for value in milliseconds]}
    return Figure(name, "ms", median(milliseconds), p99(milliseconds), raw=raw, **more)


def machine() -> dict[str, Any]:
    """What the figures were taken on; the load is the one before."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("model name", "Model"))
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "switch_interval_s": sys.getswitchinterval(),
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def header(about: dict[str, Any], *, quick: bool) -> str:
    """The machine in a sentence or two."""
    load = " ".join(f"{value:.2f}" for value in about["load_before"])
    text = (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_mb']} MB, {about['kernel']}, "
        f"Python {about['python']}; load average before: {load}; {about['at']}."
    )
    return text + (" A quick run: too few repetitions for figures to keep." if quick else "")


def text_table(figures: Sequence[Figure]) -> str:
    """For a terminal; notes below."""
    rows = [HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"{figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([*lines, "", *notes])


def markdown_table(figures: Sequence[Figure]) -> str:
    """The same in markdown."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(figure.cells() for figure in figures)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    notes = [f"- {figure.name}: {figure.note}" for figure in figures if figure.note]
    return "\n".join([*lines, "", *notes])


BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def put_markdown(path: Path, table: str) -> None:
    """Write `table` between the file's two marks, or as the whole file if it has none."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if BEGIN in old and END in old:
        table = f"{old.partition(BEGIN)[0]}{BEGIN}\n\n{table}\n\n{END}{old.partition(END)[2]}"
    else:
        table += "\n"
    path.write_text(table, encoding="utf-8")
