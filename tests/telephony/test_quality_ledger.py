"""What a call was like, in its record: once, whenever it becomes known, in databases of every age."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firmware import store
from firmware.clock import ManualClock
from firmware.telephony import record_table
from firmware.telephony.ledger import MAX_UNMEASURED, Ledger
from firmware.telephony.quality_meter import NetworkQuality, Point, StreamReading
from firmware.telephony.quality_record import CallQuality
from firmware.telephony.records import CallClosed, CallOpen, RecordError

WAIT = 20.0
READING = StreamReading(codec="PCMA/8000", packet_ms=20.0, sent=3000, received=2990, lost_here=10, buffer_ms=20.0)
LIKE = CallQuality(NetworkQuality(READING, 5.0, (Point(60.0, 0.0), Point(80.4, 1.25))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    made = Ledger(path, ManualClock(), retry_seconds=0.05)
    made.start()
    yield made
    made.stop()


def answered(ledger: Ledger) -> int:
    key = ledger.open_call(CallOpen(direction="in", line=1, number="+33142685300", call_id="x"))
    ledger.answered(key)
    return key


def test_a_call_closed_with_its_measure_shows_it_and_the_plot_to_who_asks(ledger: Ledger) -> None:
    ledger.close(answered(ledger), CallClosed(end="caller", quality=LIKE)).result(WAIT)
    (row,) = ledger.query()
    assert row["quality"] == LIKE.figures()
    assert "plot" not in row
    assert ledger.query(plot=True)[0]["plot"] == {"seconds": 5, "delay_ms": [60, 80], "loss_percent": [0.0, 1.2]}


def test_a_measure_that_comes_after_the_end_is_added_to_the_same_record(ledger: Ledger) -> None:
    key = answered(ledger)
    record = ledger.close(key, CallClosed(end="callee")).result(WAIT)
    assert ledger.query()[0]["quality"] is None
    assert ledger.measured(key, LIKE).result(WAIT) == record
    (row,) = ledger.query()
    assert (row["id"], row["quality"], row["end"]) == (record, LIKE.figures(), "callee")


def test_a_measure_hard_on_the_end_resolves_both_futures(ledger: Ledger) -> None:
    keys = [answered(ledger) for _ in range(MAX_UNMEASURED)]
    waiting = [(ledger.close(key, CallClosed(end="callee")), ledger.measured(key, LIKE)) for key in keys]
    assert all(closed.result(WAIT) == measured.result(WAIT) for closed, measured in waiting)
    assert [row["quality"] for row in ledger.query()] == [LIKE.figures()] * len(keys)
    assert ledger.lost == 0


def test_a_disk_that_fails_between_end_and_measure_loses_neither(path: Path) -> None:
    path.mkdir()
    ledger = Ledger(path, ManualClock(), retry_seconds=0.02)
    ledger.start()
    try:
        key = answered(ledger)
        closed, measured = ledger.close(key, CallClosed(end="callee")), ledger.measured(key, LIKE)
        path.rmdir()
        assert closed.result(WAIT) == measured.result(WAIT)
        assert ledger.query()[0]["quality"] == LIKE.figures()
    finally:
        ledger.stop()


def test_a_call_is_measured_once_and_only_just_after_its_end(ledger: Ledger) -> None:
    key = answered(ledger)
    with pytest.raises(RecordError, match="just ended"):
        ledger.measured(key, LIKE)
    ledger.close(key, CallClosed(end="callee"))
    ledger.measured(key, LIKE)
    with pytest.raises(RecordError, match="just ended"):
        ledger.measured(key, LIKE)
    unanswered = ledger.open_call(CallOpen(direction="out", line=1, call_id="y"))
    ledger.close(unanswered, CallClosed(end="busy"))
    with pytest.raises(RecordError, match="just ended"):
        ledger.measured(unanswered, LIKE)
    old = answered(ledger)
    ledger.close(old, CallClosed(end="callee"))
    for _ in range(MAX_UNMEASURED):
        ledger.close(answered(ledger), CallClosed(end="callee"))
    with pytest.raises(RecordError, match="just ended"):
        ledger.measured(old, LIKE)


def test_a_measure_once_written_stands(ledger: Ledger, path: Path) -> None:
    ledger.close(answered(ledger), CallClosed(end="caller", quality=LIKE)).result(WAIT)
    with sqlite3.connect(path) as connection:
        for attempt in ("UPDATE calls SET quality = NULL", "UPDATE calls SET quality_plot = '{}'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(attempt)
    connection.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_database_of_an_older_box_opens_with_its_records_and_takes_measures(path: Path, version: int) -> None:
    before = store.Schema(record_table.LEDGER.application_id, record_table.LEDGER.steps[:version])
    old = store.open_writer(path, before, ManualClock()).connection
    columns = [row[1] for row in old.execute("PRAGMA table_info(calls)") if row[1] != "id"]
    values = {
        "run": "old", "key": 1, "direction": "in", "line": 1, "call_id": "was-there", "emergency": 0,
        "started": "2025-06-01T10:00:00Z", "started_monotonic": 1.0, "time_unsure": 0, "setup_ms": 1000,
        "answered": "2025-06-01T10:00:01Z", "duration_ms": 60_000, "ended": "2025-06-01T10:01:01Z",
        "billed_seconds": 0, "ended_by": "caller", "sip_code": 200, "codec": "PCMA/8000", "missed": 0, "haystack": "",
    }  # fmt: skip
    old.execute(
        f"INSERT INTO calls ({', '.join(columns)}) VALUES ({', '.join(f':{name}' for name in columns)})",  # noqa: S608
        dict.fromkeys(columns) | values,
    )
    old.close()
    ledger = Ledger(path, ManualClock())
    ledger.start()
    try:
        assert [(row["call_id"], row["quality"], row["seconds"]) for row in ledger.query()] == [("was-there", None, 60)]
        ledger.close(answered(ledger), CallClosed(end="caller", quality=LIKE)).result(WAIT)
        assert [row["quality"] for row in ledger.query()] == [LIKE.figures(), None]
        assert ledger.query(plot=True)[1]["plot"] is None
    finally:
        ledger.stop()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(record_table.LEDGER.steps),)
    connection.close()


def test_figures_that_make_no_sense_do_not_cost_the_record(ledger: Ledger) -> None:
    mad = CallQuality(NetworkQuality(replace(READING, jitter_ms=float("nan"))))
    ledger.close(answered(ledger), CallClosed(end="caller", quality=mad)).result(WAIT)
    (row,) = ledger.query()
    assert (row["end"], row["quality"]) == ("caller", None)


def test_a_measure_that_is_no_json_is_shown_as_none() -> None:
    row = dict.fromkeys((*record_table.CALL_COLUMNS, "id"), 0) | {"quality": "{broken", "quality_plot": None}
    assert record_table.shown(row, plot=True)["quality"] is None
