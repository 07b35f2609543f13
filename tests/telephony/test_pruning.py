"""Old call records go, a few at a time, and no record goes otherwise."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firmware import store
from firmware.clock import ManualClock
from firmware.telephony import record_table
from firmware.telephony.ledger import Ledger
from firmware.telephony.pruning import Pruner
from firmware.telephony.records import CallClosed, CallOpen

START = datetime(2026, 1, 1, tzinfo=UTC)
WAIT = 20.0


class OldBook:
    """A ledger with one call a day, and a pruner that a test drives itself."""

    def __init__(self, path: Path, days: int, start: datetime = START) -> None:
        self.clock = ManualClock(start=start)
        ledger = Ledger(path, self.clock)
        ledger.start()
        for _ in range(days):
            key = ledger.open_call(CallOpen(direction="in", line=1, number="+33142685300", call_id="x"))
            stored = ledger.close(key, CallClosed(end="cancelled"))
            self.clock.advance(86_400)
        stored.result(WAIT)
        ledger.stop()
        self.path = path
        self.connection = store.open_writer(path, record_table.LEDGER, self.clock).connection

    def prune(self, pruner: Pruner) -> int:
        with store.transaction(self.connection, self.path) as connection:
            return pruner.prune(connection, self.clock.wall())

    def ids(self) -> list[int]:
        return [row[0] for row in self.connection.execute("SELECT id FROM calls ORDER BY id")]


def test_records_older_than_the_days_go_oldest_first_and_a_batch_at_a_time(tmp_path: Path) -> None:
    book = OldBook(tmp_path / "box.db", 50)
    pruner = Pruner(batch=15)
    pruner.keep(30)
    assert [book.prune(pruner) for _ in range(3)] == [15, 5, 0]
    assert book.ids() == list(range(21, 51))


def test_too_many_records_lose_the_oldest_whatever_their_age(tmp_path: Path) -> None:
    book = OldBook(tmp_path / "box.db", 20)
    assert book.prune(Pruner(most=12)) == 8
    assert book.ids() == list(range(9, 21))
    assert book.prune(Pruner(most=12)) == 0


def test_a_box_that_does_not_know_the_time_deletes_nothing(tmp_path: Path) -> None:
    book = OldBook(tmp_path / "box.db", 3, start=datetime(1970, 1, 1, tzinfo=UTC))
    pruner = Pruner(most=1)
    assert book.prune(pruner) == 0
    book.clock = ManualClock(start=START)
    pruner = Pruner()
    pruner.keep(30)
    assert book.prune(pruner) == 0  # the records' own time is unsure
    assert book.ids() == [1, 2, 3]


def test_no_record_goes_by_any_other_way_and_the_leave_to_delete_does_not_last(tmp_path: Path) -> None:
    book = OldBook(tmp_path / "box.db", 10)
    assert book.prune(Pruner(most=5)) == 5
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        book.connection.execute("DELETE FROM calls WHERE id = 6")
    assert book.connection.execute("SELECT count(*) FROM pruning").fetchone()[0] == 0


def test_a_batch_that_fails_is_tried_again_only_at_the_next_turn() -> None:
    pruner = Pruner(every_seconds=0.0)
    assert pruner.take_turn()
    pruner = Pruner(every_seconds=3600.0)
    pruner._next = time.monotonic()
    assert [pruner.take_turn(), pruner.take_turn()] == [True, False]
    assert pruner.seconds_left() > 0


def test_a_ledger_of_the_version_before_is_brought_up_and_pruned(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    before = store.Schema(record_table.LEDGER.application_id, record_table.LEDGER.steps[:1])
    store.open_writer(path, before, ManualClock()).connection.close()
    book = OldBook(path, 4)
    assert book.prune(Pruner(most=1)) == 3


def test_the_ledger_prunes_by_itself_and_new_ids_go_on_rising(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    book = OldBook(path, 10)
    book.connection.close()
    clock = ManualClock(start=START + timedelta(days=10))
    ledger = Ledger(path, clock, pruner=Pruner(every_seconds=0.05, most=4, batch=2))
    ledger.start()
    try:
        deadline = time.monotonic() + WAIT
        while len(ledger.query()) > 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert [row["id"] for row in ledger.query()] == [10, 9, 8, 7]
        key = ledger.open_call(CallOpen(direction="in", line=1, number="+33142685300", call_id="y"))
        assert ledger.close(key, CallClosed(end="cancelled")).result(WAIT) == 11
    finally:
        ledger.stop()
