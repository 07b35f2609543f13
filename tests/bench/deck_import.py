"""A million lines into a deck: how long, how much memory, and what a call hears of it meanwhile."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.exchangecall import call, registered_box
from tests.bench.figure import Figure, Plan, median
from tests.bench.lateness import watched
from tests.bench.peer import hang_up
from tests.bench.price_lookup import write_csv
from tests.fakes.hostile_decks import FILES, MEMORY, all_read, sparse
from tests.system.peer_exchange import TestExchange
from tests.system.peer_process import PeerProcess

_CHECKOUT = Path(__file__).resolve().parents[2]
_GOAL_SECONDS, _GOAL_MB, _GOAL_HOSTILE = 30.0, 300.0, 2.0


_MEASURE = """
import resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def deck_import(plan: Plan) -> list[Figure]:
    """`allobox rates import` of a file as carriers write them, prefixes in no order, each time anew.

    Beside it, the least that such a file asks: Python's csv reader into one unchecked SQLite table.
    """
    lines = plan.times(1_000_000, 100_000)
    with tempfile.TemporaryDirectory(prefix="allobox-bench-") as name:
        folder = Path(name)
        source = folder / "deck.csv"
        write_csv(source, lines)
        (folder / "data" / "run").mkdir(parents=True)
        ours = [_one(_command(folder / "data", source)) for _ in range(plan.times(3, 1))]
        preview = _one([*_command(folder / "data", source), "--preview"])
        plain = _plain(source, folder / "plain.db")
        size = source.stat().st_size / 1e6
    said = f"a file of {lines:,} lines"
    note = f"{size:.0f} MB; beside: csv.reader into an unchecked table"
    return [
        Figure(
            f"{said} into a deck in use",
            "s",
            median([seconds for seconds, _ in ours]),
            max(seconds for seconds, _ in ours),
            goal=_GOAL_SECONDS,
            beside=f"{plain:.1f} s",
            note=f"{note}; with a comparison to the deck in use {preview[0]:.1f} s",
            raw={"runs": ours, "preview": preview, "plain_s": plain},
        ),
        Figure(
            f"memory of importing {said}",
            "MB",
            max(megabytes for _, megabytes in ours),
            goal=_GOAL_MB,
            beside=f"with a comparison {preview[1]:.0f} MB",
            note="resident at most, the whole command with its interpreter",
        ),
    ]


def hostile_decks(plan: Plan) -> list[Figure]:
    """How long each file that means harm takes to be looked at and refused; beside, to read the longest plainly."""
    runs, plainly = [], []
    for _ in range(plan.times(5, 1)):
        with tempfile.TemporaryDirectory(prefix="allobox-bench-") as name:
            runs.append(all_read(Path(name)))
            plain = Path(name) / "plain"
            sparse(100 << 20)(plain)
            began = time.monotonic()
            hashlib.sha256(plain.read_bytes())
            plainly.append(time.monotonic() - began)
    taken = {name: [run[name]["seconds"] for run in runs] for name in FILES}
    worst = max(taken, key=lambda name: median(taken[name]))
    return [
        Figure(
            "a hostile price list looked at and refused, the slowest",
            "s",
            median(taken[worst]),
            max(taken[worst]),
            goal=_GOAL_HOSTILE,
            beside=f"100 MB read and hashed {median(plainly):.2f} s",
            note=f"of {len(taken)}: {worst}; in a process of {MEMORY >> 20} MB of address space",
            raw={"seconds": taken},
        )
    ]


def deck_import_call(plan: Plan) -> list[Figure]:
    """Frames late at the telephone in a call, while million-line files are imported into its box one after another.

    Each import ends with the core taking the deck into use. The witness runs at the same time.
    """
    seconds = plan.seconds(120, 20)
    with tempfile.TemporaryDirectory(prefix="allobox-bench-") as name:
        sources = [Path(name) / f"deck{number}.csv" for number in (1, 2)]
        write_csv(sources[0], plan.times(1_000_000, 100_000))
        sources[1].write_text(sources[0].read_text().replace(",0,60,1", ",0,60,30"))
        with TestExchange() as exchange, registered_box(exchange) as box:
            call(box)
            figures = [watched(box, "no import beside", seconds)]
            with _importing(box.data, sources):
                figures.append(watched(box, "decks imported beside", seconds))
            imported = box.client.decks()
            hang_up(box)
    if not any(deck["name"].startswith("deck") for deck in imported):
        raise RuntimeError("no import came to its end while the call was watched")
    return figures


def _command(data: Path, source: Path) -> list[str]:
    return [sys.executable, "-m", "firmware", "rates", "import", str(source), "--data", str(data)]


def _one(command: list[str]) -> tuple[float, float]:
    """Seconds and greatest resident memory (MB of 10**6 bytes) of a command.

    A small process starts it: Linux counts what the starting process holds as the started one's.
    """
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command], cwd=_CHECKOUT, capture_output=True, text=True, check=True
    )
    seconds, kilobytes = map(float, done.stdout.split())
    return round(seconds, 2), round(kilobytes * 1024 / 1e6, 1)


def _plain(source: Path, database: Path) -> float:
    began = time.monotonic()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("CREATE TABLE rates (prefix TEXT PRIMARY KEY, name, price, fee, first, following) WITHOUT ROWID")
    with source.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        connection.executemany("INSERT INTO rates VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return round(time.monotonic() - began, 2)


@contextmanager
def _importing(data: Path, sources: list[Path]) -> Iterator[None]:
    """One import after another until the block ends."""
    script = (
        "import subprocess, sys, itertools\n"
        "for source in itertools.cycle(sys.argv[2:]):\n"
        "    subprocess.run([sys.executable, '-m', 'firmware', 'rates', 'import', source, '--data', sys.argv[1]], "
        "stdout=subprocess.DEVNULL)\n"
    )
    with PeerProcess("importing", [sys.executable, "-c", script, str(data), *map(str, sources)]):
        yield
