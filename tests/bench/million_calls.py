"""Calls rated and durably recorded, by group commit: a process of its own that prints what it measured as JSON.

    python -m tests.bench.million_calls --calls N

Two processes rate calls and make their rows; this one commits them, batch after batch, and counts a batch once its
commit has been acknowledged. Beside it: the same calls handed to the ledger one by one, each waited for.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from firmware.clock import SystemClock
from firmware.rates import rating
from firmware.rates.pricing import from_tariff, to_tariff
from firmware.rates.rate import Rate
from firmware.telephony.bulk import Finished, rows_of
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge

BATCH = 5000
WORKERS = 2
AHEAD = 4
# One by one each call costs a commit: enough of them for a rate.
ALONE = 200
_START = datetime(2010, 8, 25, 12, tzinfo=UTC)
_TARIFFS = tuple(
    to_tariff(Rate(prefix, name, "EUR", Decimal(price), first_increment=60, next_increment=60))
    for prefix, name, price in (("33", "France", "0.02"), ("336", "France mobile", "0.15"), ("1", "America", "0"))
)


def charged(tariff: str, seconds: float, answered: datetime) -> Charge:
    """As the core charges (`tariffs.Tariffs.charge`)."""
    cost = rating.charge(from_tariff(tariff), answered, Decimal(round(seconds * 1000)).scaleb(-3))
    return Charge(cost.billed_seconds, cost.amount, cost.currency)


def calls(first: int, many: int) -> Iterator[Finished]:
    """Calls of one second to ten minutes, every tenth unanswered, to a million numbers."""
    for key in range(first, first + many):
        answered = key % 10 != 0
        yield Finished(
            key=key,
            opened=CallOpen(
                direction="out",
                line=1 + key % 4,
                number=f"+331{key % 1_000_000:08d}",
                dialled=f"01{key % 1_000_000:08d}",
                account="webmail",
                destination="France",
                tariff=_TARIFFS[key % len(_TARIFFS)],
                call_id=f"{key}@box",
                kind="fixed",
            ),
            closed=CallClosed(end="caller" if answered else "no-answer", sip_code=200, codec="PCMA/8000"),
            started=_START + timedelta(milliseconds=86 * key),
            mono=0.086 * key,
            ringing=7.0,
            seconds=1 + key * 7919 % 600_000 / 1000 if answered else None,
        )


def batch(job: tuple[str, int, int]) -> list[dict[str, object]]:
    """One batch, rated, as rows; in a process of its own."""
    run, first, many = job
    return rows_of(calls(first, many), run, charged)


def record(ledger: Ledger, many: int, *, told: bool = False) -> float:
    """Rate and record `many` calls; returns the seconds until the last was acknowledged."""
    run = uuid.uuid4().hex
    jobs = [(run, first, min(BATCH, many + 1 - first)) for first in range(1, many + 1, BATCH)]
    began = time.monotonic()
    acknowledged = 0
    waiting: deque[Future[int]] = deque()
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        # The pool is asked for a few batches at a time: rows that wait for the disk are memory.
        asked = deque(pool.apply_async(batch, (job,)) for job in jobs[:AHEAD])
        for job in [*jobs[AHEAD:], *[None] * min(AHEAD, len(jobs))]:
            waiting.append(ledger.record(asked.popleft().get()))
            if job is not None:
                asked.append(pool.apply_async(batch, (job,)))
            while len(waiting) > WORKERS or (waiting and not asked):
                acknowledged += waiting.popleft().result()
                if told:
                    print(acknowledged, flush=True)
    if acknowledged != many:
        raise RuntimeError(f"{acknowledged} of {many} acknowledged")
    return time.monotonic() - began


def one_by_one(ledger: Ledger, many: int) -> float:
    """Milliseconds a call whose record is waited for before the next begins."""
    began = time.monotonic()
    for key in range(many):
        opened = CallOpen(direction="out", line=1, number=f"+339{key:08d}", tariff=_TARIFFS[0], kind="fixed")
        token = ledger.open_call(opened)
        ledger.answered(token)
        ledger.close(token, CallClosed(end="caller", seconds=61.0)).result(60)
    return (time.monotonic() - began) / many * 1000


def main() -> None:
    """Measure, check that every acknowledged call is there with its price, print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--calls", type=int, default=1_000_000)
    arguments.add_argument("--database", type=Path, help="record there, tell each acknowledgement, measure nothing")
    given = arguments.parse_args()
    if given.database:
        ledger = Ledger(given.database, SystemClock(), charged)
        ledger.start()
        record(ledger, given.calls, told=True)
        ledger.stop()
        return
    with tempfile.TemporaryDirectory(prefix="allobox-million-") as folder:
        path = Path(folder) / "box.db"
        ledger = Ledger(path, SystemClock(), charged)
        ledger.start()
        ledger.flush().result(60)
        alone = one_by_one(ledger, ALONE)
        seconds = record(ledger, given.calls)
        ledger.stop(60)
        with sqlite3.connect(path) as connection:
            count, answered = connection.execute(
                "SELECT count(*), sum(answered IS NOT NULL) FROM calls WHERE account = 'webmail'"
            ).fetchone()
            dear = connection.execute("SELECT count(*) FROM calls WHERE cost IS NOT NULL AND cost <> '0.0000'")
            priced = dear.fetchone()[0]
        connection.close()
        if count != given.calls:
            sys.exit(f"{count} of {given.calls} acknowledged calls are in the ledger")
        answer = {
            "calls": given.calls,
            "seconds": round(seconds, 2),
            "recorded": count,
            "answered": answered,
            "priced": priced - ALONE,
            "one_by_one_ms": round(alone, 2),
            "mb": round(path.stat().st_size / 1e6, 1),
            "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "cores": len(os.sched_getaffinity(0)),
        }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
