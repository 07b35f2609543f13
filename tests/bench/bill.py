"""The bill of a month with 10,000 calls on the page, beside one SQL statement; and what the core feels of it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from firmware.control import box_client
from firmware.rates.deck import import_csv
from firmware.webui import context, passwords
from firmware.webui.app import create_app
from tests.bench.figure import Figure, Plan, median, p99, spread
from tests.fakes.box_service import FakeMail
from tests.fakes.page_client import CHEAP_HASHER, CREDENTIAL, Owner

CALLS = 10_000
_CHECKOUT = Path(__file__).resolve().parents[2]
_GROUP_BY = """SELECT destination, currency, count(*), sum(duration_ms), sum(cost) FROM calls
    WHERE started >= '2026-10-31T23:00:00Z' AND started < '2026-11-30T23:00:00Z' GROUP BY destination, currency"""


@contextmanager
def _core(data: Path, calls: int) -> Iterator[Callable[[], list[float]]]:
    """A core of its own process; what is given tells how late its ticks were since it was asked last."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bill_core", str(data), str(calls), CREDENTIAL],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_CHECKOUT,
    )  # fmt: skip
    into, out = process.stdin, process.stdout
    if into is None or out is None:
        raise RuntimeError("no pipes")

    def late() -> list[float]:
        into.write("?\n")
        into.flush()
        found: list[float] = json.loads(out.readline())
        return found

    try:
        if out.readline().strip() != "ready":
            raise RuntimeError("the core did not start")
        yield late
    finally:
        process.kill()
        process.wait()


def _decks(data: Path) -> None:
    """Two decks, so that savings are told too."""
    uses = []
    for account, price in ((None, "0.02"), ("mobile", "0.09")):
        source = data / "deck.csv"
        prefixes = ("33", "336", "44", "1")
        rows = "".join(f"{prefix},Place {prefix},{price}\n" for prefix in prefixes)
        source.write_text(f"prefix,destination,rate_per_minute\n{rows}", encoding="utf-8")
        report = import_csv(source, data / "decks", account or "all")
        if report.file is None:
            raise RuntimeError(report.lines())
        uses.append({"account": account, "file": report.file.name})
    (data / "decks" / "active.json").write_text(json.dumps({"version": 1, "decks": uses}), encoding="utf-8")


def _timed(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return (time.perf_counter() - begun) * 1000


def bill(plan: Plan) -> list[Figure]:
    """A real ledger behind a real control socket; the page asks, its child adds up. Warm: the child knows the month."""
    calls = plan.times(CALLS, 1000)
    with tempfile.TemporaryDirectory(prefix="allobox-bench-") as folder:
        data = Path(folder)
        (data / "run").mkdir()
        _decks(data)
        hasher, passwords._hasher = passwords._hasher, CHEAP_HASHER  # a login is not what is measured
        try:
            with _core(data, calls) as late:
                client = box_client(data, role="page")
                app = create_app(client, FakeMail(), secret_key=b"only for the bench, 32 bytes long", data=data)
                owner = Owner(app)
                time.sleep(1)
                late()
                time.sleep(2)
                idle = late()
                cold = _timed(lambda: owner.get("/bill/?month=2026-11"))
                busy = late()
                warm = [_timed(lambda: owner.get("/bill/?month=2026-11")) for _ in range(plan.times(40, 5))]
                searched = [
                    _timed(lambda number=number: owner.get(f"/bill/?month=2026-11&search=0142685{number:03}"))  # type: ignore[misc]
                    for number in range(plan.times(20, 3))
                ]
                with app.app_context():
                    context.page().bills.close()
                client.close()
        finally:
            passwords._hasher = hasher
        with sqlite3.connect(data / "box.db") as reader:
            plain = [_timed(lambda: reader.execute(_GROUP_BY).fetchall()) for _ in range(20)]
        reader.close()
    return [
        spread(
            f"bill of a month with {calls:,} calls on the page",
            warm,
            goal=300,
            beside=f"one SQL GROUP BY over the ledger, floats, one grouping: {median(plain):.1f} ms",
            note=f"the first look at the month {cold / 1000:.1f} s, another search {median(searched):.0f} ms",
            raw={"cold_ms": cold, "search_ms": searched, "sql_ms": plain},
        ),
        Figure(
            "a tick of 10 ms in the core while the month is read",
            "ms",
            median(busy),
            p99(busy),
            beside=f"at rest {median(idle):.2f} ms, p99 {p99(idle):.2f} ms",
            note="how late; the month's records are asked in pages of 200",
            raw={"busy_ms": busy, "idle_ms": idle},
        ),
    ]
