"""Many calls at once: rows made apart, one commit a batch, and nothing acknowledged that a kill could take."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from firmware.clock import ManualClock
from firmware.telephony.bulk import MOST_ROWS, Finished, rows_of
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge, RecordError

START = datetime(2026, 7, 1, 12, tzinfo=UTC)
WAIT = 20.0
CHECKOUT = Path(__file__).resolve().parents[2]


def two_cents(tariff: str, seconds: float, answered: datetime) -> Charge:
    del tariff, answered
    minutes = -(-int(seconds) // 60)
    return Charge(minutes * 60, Decimal("0.02") * minutes, "EUR")


def finished(key: int, seconds: float | None = 61.5) -> Finished:
    return Finished(
        key=key,
        opened=CallOpen(direction="out", line=1, number=f"+33142{key:06d}", tariff="two", kind="fixed"),
        closed=CallClosed(end="caller", sip_code=200),
        started=START,
        mono=5.0,
        ringing=4.0,
        seconds=seconds,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "box.db", ManualClock(start=START), two_cents, retry_seconds=0.02)
    made.start()
    return made


def test_many_calls_are_recorded_as_one_by_one(ledger: Ledger) -> None:
    rows = rows_of([finished(1), finished(2, None)], "exchange", two_cents)
    assert ledger.record(rows).result(WAIT) == 2
    missed, talked = ledger.query()
    assert (talked["seconds"], talked["billed_seconds"], talked["cost"], talked["class"]) == (62, 120, "0.04", "fixed")
    assert (talked["started"], talked["answered"], talked["ended"]) == (
        "2026-07-01T12:00:00Z",
        "2026-07-01T12:00:04Z",
        "2026-07-01T12:01:05Z",
    )
    assert (missed["answered"], missed["cost"]) == (None, None)
    assert ledger.query(search="142000001")[0]["id"] == talked["id"]
    ledger.stop()


def test_a_batch_handed_in_again_is_found_not_doubled(ledger: Ledger) -> None:
    rows = rows_of(map(finished, range(100)), "exchange", two_cents)
    assert [ledger.record(rows).result(WAIT) for _ in range(2)] == [100, 100]
    assert len(ledger.query(limit=200)) == 100
    ledger.stop()


def test_a_batch_never_takes_the_name_of_this_cores_own_calls(ledger: Ledger) -> None:
    with pytest.raises(RecordError, match="this core names its own calls so"):
        ledger.record(rows_of([finished(1)], ledger.run, two_cents))
    with pytest.raises(RecordError, match="at most"):
        ledger.record(rows_of([finished(1)], "x", None) * (MOST_ROWS + 1))
    ledger.stop()


def test_rows_that_are_none_do_not_stop_the_ledger(ledger: Ledger) -> None:
    with pytest.raises(sqlite3.Error):
        ledger.record([{"run": "x"}]).result(WAIT)
    assert ledger.record(rows_of([finished(1)], "x", two_cents)).result(WAIT) == 1
    ledger.stop()


def test_batches_wait_for_a_disk_that_comes_back_and_are_told_when_the_ledger_stops(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    path.mkdir()
    ledger = Ledger(path, ManualClock(start=START), two_cents, retry_seconds=0.02)
    ledger.start()
    waiting = ledger.record(rows_of([finished(1)], "x", two_cents))
    assert not waiting.done()
    path.rmdir()
    assert waiting.result(WAIT) == 1
    late = [ledger.record(rows_of([finished(key)], "x", two_cents)) for key in range(2, 6)]
    ledger.stop()
    assert [future.result(WAIT) for future in late] == [1, 1, 1, 1], "what was handed in is written before the end"


def test_every_acknowledged_call_is_in_the_ledger_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    core = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.million_calls", "--calls", "1000000", "--database", str(path)],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        start_new_session=True,
    )
    assert core.stdout is not None
    try:
        heard = [int(line) for line in itertools.islice(core.stdout, 3)]
        os.kill(core.pid, signal.SIGKILL)
        heard += [int(line) for line in core.stdout]
    finally:
        os.killpg(core.pid, signal.SIGKILL)  # and the processes that rate
        core.wait()
        core.stdout.close()
    assert heard[0] > 0
    ledger = Ledger(path, ManualClock(start=START), two_cents)
    ledger.start()
    ledger.flush().result(WAIT)  # a hot journal is rolled back
    ledger.stop()
    with sqlite3.connect(path) as connection:
        count, last = connection.execute("SELECT count(*), max(key) FROM calls").fetchone()
        unpriced = connection.execute(
            "SELECT count(*) FROM calls WHERE answered IS NOT NULL AND (cost IS NULL OR billed_seconds = 0)"
        ).fetchone()[0]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert count == last >= heard[-1], "batches come whole and in order"
    assert unpriced == 0
