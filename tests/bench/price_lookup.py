"""How long a price look-up takes, beside plainer ways of doing it. Prints JSON; asserts nothing of time.

    python tests/bench/price_lookup.py [--prefixes 100000 1000000] [--lookups 5000]

`deck`: `Deck.lookup`, to a Rate. `statement`: the same SQL without making the Rate. `like`: the
textbook query, MAX(LENGTH(prefix)) of all that LIKE finds. `dict`: a dictionary of all prefixes in memory;
`trie`: a tree of dictionaries, a digit a level. `priced`: `RateBook.pricing` and `rating.charge` of three minutes.
The import, and the memory that the deck takes of a process that looks up in it, are measured in processes of
their own (seconds, MB of greatest resident memory, MB of resident memory added).
"""

from __future__ import annotations

import argparse
import io
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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from firmware.numbering import NumberClass
from firmware.rates import rating
from firmware.rates.book import RateBook
from firmware.rates.deck import Deck, import_csv

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 2010
T = TypeVar("T")


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


def measure(what: Callable[[T], object], numbers: Sequence[T]) -> dict[str, float]:
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


def resident_mb() -> float:
    """This process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


def memory_of(path: Path, numbers: Sequence[str]) -> dict[str, float]:
    """What opening the deck and looking these numbers up adds to a process that did the same on another deck."""
    with tempfile.TemporaryDirectory() as name:
        small = import_csv(io.BytesIO(b"prefix,destination,rate_per_minute\n33,France,0.02\n"), Path(name), "small")
        assert small.file is not None
        with Deck.open(small.file) as deck:
            for number in numbers:
                deck.lookup(number, NOW)
        before = resident_mb()
        with Deck.open(path) as deck:
            for number in numbers:
                deck.lookup(number, NOW)
            return {"added_mb": round(resident_mb() - before, 2)}


def trie_of(prefixes: Sequence[str]) -> dict[str, Any]:
    """A tree of dictionaries; a prefix stands under the empty key of its node."""
    root: dict[str, Any] = {}
    for prefix in prefixes:
        node = root
        for digit in prefix:
            node = node.setdefault(digit, {})
        node[""] = prefix
    return root


def in_trie(root: dict[str, Any], number: str) -> object:
    """The longest prefix of a number."""
    found, node = None, root
    for digit in number:
        following = node.get(digit)
        if following is None:
            break
        node = following
        found = node.get("", found)
    return found


@dataclass(frozen=True)
class Callee:
    """A number as rates see one."""

    digits: str
    kind: NumberClass = NumberClass.INTERNATIONAL

    @property
    def e164(self) -> str:
        """With its +."""
        return f"+{self.digits}"


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
                columns = "SELECT prefix, per_minute, MAX(LENGTH(prefix)) FROM rates"
                return plain.execute(f"{columns} WHERE ? LIKE prefix || '%'", (number,)).fetchone()

            def by_dict(number: str) -> object:
                return next((in_memory[number[:n]] for n in range(15, 0, -1) if number[:n] in in_memory), None)

            trie = trie_of(known)
            book = RateBook(folder)
            book.activate(path.name, "bench", None)

            def priced(callee: Callee) -> object:
                found = book.pricing(callee, None, NOW)
                return found and rating.charge(found.pricing, NOW, 180)

            for number in numbers[:200]:
                found = deck.lookup(number, NOW)
                assert found is not None
                assert found.prefix == by_dict(number) == by_statement(number)[0]  # type: ignore[index]
                assert found.prefix == in_trie(trie, number)
            like = numbers[: max(5, min(50, 2_000_000 // prefixes))]
            assert [by_like(number)[0] for number in like[:2]] == [by_dict(number) for number in like[:2]]  # type: ignore[index]
            asked = folder / "numbers.json"
            asked.write_text(json.dumps(numbers[:2000]), encoding="utf-8")
            child = subprocess.run(
                [sys.executable, __file__, "--memory", str(path), str(asked)], check=True, capture_output=True
            )
            answer = {
                "prefixes": prefixes,
                "import": imported,
                "deck_mb": round(path.stat().st_size / 1024 / 1024, 1),
                "deck": measure(lambda number: deck.lookup(number, NOW), numbers),
                "statement": measure(by_statement, numbers),
                "priced": measure(priced, [Callee(number) for number in numbers]),
                "like": measure(by_like, like),
                "dict": measure(by_dict, numbers),
                "trie": measure(lambda number: in_trie(trie, number), numbers),
                "memory": json.loads(child.stdout),
            }
            book.close()
            plain.close()
            return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefixes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--lookups", type=int, default=5000)
    parser.add_argument("--import", dest="source", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        path, asked = arguments.memory
        print(json.dumps(memory_of(path, json.loads(asked.read_text(encoding="utf-8")))))
        return
    if arguments.source:
        print(json.dumps(one_import(*arguments.source)))
        return
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    figures = [bench(prefixes, arguments.lookups) for prefixes in arguments.prefixes]
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    print(json.dumps({"bench": "price_lookup", "machine": machine, "versions": versions, "decks": figures}, indent=1))


if __name__ == "__main__":
    main()
