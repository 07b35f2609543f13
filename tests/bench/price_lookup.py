"""How long a price look-up takes, beside plainer ways of doing it. Prints JSON; asserts nothing of time.

    python tests/bench/price_lookup.py [--prefixes 100000 1000000] [--lookups 5000]

`deck`: `Deck.lookup`, to a Rate. `statement`: the same SQL without making the Rate. `like`: the
textbook query, longest prefix by LIKE. `dict`: a dictionary of all prefixes in memory. The import
is measured in a process of its own (seconds, and its greatest resident memory in MB).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from firmware.rates.deck import Deck, import_csv

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 2010


def write_csv(path: Path, prefixes: int) -> list[str]:
    """A deck as carriers write them: prefixes of 1 to 12 digits, few destinations; returns the prefixes."""
    source = random.Random(SEED)  # noqa: S311 - a reproducible deck, no secret
    chosen: set[str] = set()
    while len(chosen) < prefixes:
        chosen.add(str(source.randrange(1, 10)) + "".join(source.choices("0123456789", k=source.randrange(12))))
    ordered = sorted(chosen)
    source.shuffle(ordered)
    with path.open("w", encoding="utf-8") as file:
        file.write("prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment\n")
        for prefix in ordered:
            file.write(f"{prefix},Destination {prefix[:4]},0.{source.randrange(10_000):04},0,60,1\n")
    return ordered


def measure(what: Callable[[str], object], numbers: Sequence[str]) -> dict[str, float]:
    """Median and p99 in microseconds of `what` over the numbers."""
    times = []
    for number in numbers:
        begun = time.perf_counter_ns()
        what(number)
        times.append(time.perf_counter_ns() - begun)
    times.sort()
    return {
        "median_us": round(times[len(times) // 2] / 1000, 1),
        "p99_us": round(times[len(times) * 99 // 100] / 1000, 1),
    }


def one_import(source: Path, folder: Path) -> dict[str, object]:
    """Import once, in this process."""
    begun = time.perf_counter()
    report = import_csv(source, folder, "bench")
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert report.file is not None, report.lines()
    return {"file": str(report.file), "seconds": round(seconds, 2), "max_rss_mb": round(peak)}


def bench(prefixes: int, lookups: int) -> dict[str, object]:
    """All ways on one deck."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "deck.csv"
        known = write_csv(source, prefixes)
        child = subprocess.run(
            [sys.executable, __file__, "--import", str(source), str(folder)], check=True, capture_output=True
        )
        imported = json.loads(child.stdout)
        path = Path(imported.pop("file"))
        picker = random.Random(SEED + 1)  # noqa: S311 - reproducible
        numbers = [(picker.choice(known) + f"{picker.randrange(10**9):09}")[:15] for _ in range(lookups)]
        with Deck.open(path) as deck:
            plain = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
            statement = deck._lookups[15]
            at = int(NOW.timestamp())
            in_memory = {prefix: prefix for prefix in known}

            def by_statement(number: str) -> object:
                return plain.execute(statement, (*(number[:n] for n in range(1, 16)), at)).fetchone()

            def by_like(number: str) -> object:
                columns = "SELECT prefix, per_minute FROM rates"
                order = "ORDER BY LENGTH(prefix) DESC LIMIT 1"
                return plain.execute(f"{columns} WHERE ? LIKE prefix || '%' {order}", (number,)).fetchone()

            def by_dict(number: str) -> object:
                return next((in_memory[number[:n]] for n in range(15, 0, -1) if number[:n] in in_memory), None)

            for number in numbers[:200]:
                found = deck.lookup(number, NOW)
                assert found is not None
                assert found.prefix == by_dict(number) == by_statement(number)[0]  # type: ignore[index]
            answer = {
                "prefixes": prefixes,
                "import": imported,
                "deck_mb": round(path.stat().st_size / 1024 / 1024, 1),
                "deck": measure(lambda number: deck.lookup(number, NOW), numbers),
                "statement": measure(by_statement, numbers),
                "like": measure(by_like, numbers[: max(5, min(50, 2_000_000 // prefixes))]),
                "dict": measure(by_dict, numbers),
            }
            plain.close()
            return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefixes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--lookups", type=int, default=5000)
    parser.add_argument("--import", dest="source", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.source:
        print(json.dumps(one_import(*arguments.source)))
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    figures = [bench(prefixes, arguments.lookups) for prefixes in arguments.prefixes]
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    print(json.dumps({"bench": "price_lookup", "machine": machine, "versions": versions, "decks": figures}, indent=1))


if __name__ == "__main__":
    main()
