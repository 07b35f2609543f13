"""The ledger: every call leaves one record, whatever happens to the box, the disk or the clock."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from firmware import store
from firmware.clock import ManualClock, SystemClock
from firmware.telephony import ledger as ledger_module
from firmware.telephony.ledger import Charger, Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge, RecordError

WAIT = 20.0


def two_cents(tariff: str, seconds: float, answered: datetime) -> Charge:
    """Two cents a begun minute, for the tariff "two"."""
    assert tariff == "two"
    assert answered.tzinfo is not None
    minutes = -(-int(seconds * 1000) // 60_000)
    return Charge(minutes * 60, Decimal("0.0200") * minutes, "EUR")


@contextmanager
def book(
    path: Path,
    clock: ManualClock | SystemClock,
    charge: Charger | None = None,
    checkpoint: float = 60.0,
    retry: float = 0.05,
) -> Iterator[Ledger]:
    """A ledger at `path`, stopped at the end."""
    ledger = Ledger(path, clock, charge, checkpoint_seconds=checkpoint, retry_seconds=retry)
    ledger.start()
    try:
        yield ledger
    finally:
        ledger.stop()


def outgoing(number: str = "+33142685300", **more: str) -> CallOpen:
    """A call out of line 1 with the tariff "two"."""
    return CallOpen(direction="out", line=1, number=number, tariff="two", account="ovh", **more)  # type: ignore[arg-type]


def until(condition: Callable[[], bool]) -> None:
    """Poll with a generous deadline."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_call_is_recorded_with_its_length_and_price(tmp_path: Path) -> None:
    clock = ManualClock()
    with book(tmp_path / "box.db", clock, two_cents) as ledger:
        key = ledger.open_call(
            CallOpen(
                direction="out",
                line=1,
                number="+33142685300",
                name="Zoé",
                dialled="0142685300",
                account="ovh",
                destination="France fixed",
                tariff="two",
                kind="fixed",
            )
        )
        clock.advance(4.25)
        ledger.answered(key, call_id="abc@host")
        clock.advance(61.001)
        assert ledger.seconds(key) == pytest.approx(61.001)
        record = ledger.close(key, CallClosed(end="caller", sip_code=200, q850=16, codec="PCMA/8000")).result(WAIT)
        assert ledger.query() == [
            {
                "id": record,
                "direction": "out",
                "line": 1,
                "number": "+33142685300",
                "name": "Zoé",
                "dialled": "0142685300",
                "account": "ovh",
                "started": "2026-01-01T00:00:00Z",
                "answered": "2026-01-01T00:00:04Z",
                "ended": "2026-01-01T00:01:05Z",
                "seconds": 62,
                "billed_seconds": 120,
                "destination": "France fixed",
                "cost": "0.0400",
                "currency": "EUR",
                "end": "caller",
                "sip_code": 200,
                "q850": 16,
                "call_id": "abc@host",
                "codec": "PCMA/8000",
                "missed": False,
                "emergency": False,
                "time_unsure": False,
                "quality": None,
                "class": "fixed",
                "pin": None,
                "bundle": None,
                "bundle_seconds": None,
                "service_cost": None,
                "tax": None,
                "why": None,
            }
        ]


def test_a_call_is_recorded_with_what_its_cost_is_made_of(tmp_path: Path) -> None:
    sva = Charge(60, Decimal("0.9900"), "EUR", "évasion", 30, Decimal("0.8000"), Decimal("0.1650"))
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        opened = CallOpen(direction="out", line=1, number="3699", kind="premium", pin="Zoé\n", why='{"first":"a"}')
        key = ledger.open_call(opened)
        ledger.answered(key, account="b", why='{"chosen":"b"}')
        ledger.close(key, CallClosed(end="caller", charge=sva)).result(WAIT)
        (row,) = ledger.query()
    keys = ("class", "pin", "bundle", "bundle_seconds", "service_cost", "tax", "why")
    assert [row[key] for key in keys] == ["premium", "Zoé", "évasion", 30, "0.8000", "0.1650", {"chosen": "b"}]


class SickWatch:
    """Keeps sums, and fails at each of them."""

    def opened(self, key: int, opened: CallOpen, started: datetime) -> None:
        raise RuntimeError(key, opened, started)

    def answered(self, key: int, opened: CallOpen) -> None:
        raise ValueError(key, opened)

    def closed(self, key: int, row: Mapping[str, object]) -> None:
        raise KeyError(key, row)


@pytest.mark.parametrize("emergency", [True, False])
def test_sums_that_fail_cost_no_call_its_record(tmp_path: Path, emergency: bool) -> None:  # noqa: FBT001
    ledger = Ledger(tmp_path / "box.db", ManualClock(), watch=SickWatch())
    ledger.start()
    try:
        key = ledger.open_call(CallOpen(direction="out", line=1, number="15", emergency=emergency))
        ledger.answered(key)
        ledger.close(key, CallClosed(end="caller")).result(WAIT)
        assert [row["emergency"] for row in ledger.query()] == [emergency]
    finally:
        ledger.stop()


def test_what_a_cost_was_made_of_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    with book(path, ManualClock()) as ledger:
        ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller")).result(WAIT)
    with sqlite3.connect(path) as connection:
        for column in ("class", "pin", "why", "bundle", "bundle_seconds", "service_cost", "tax"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(f"UPDATE calls SET {column} = NULL")  # noqa: S608 - a constant of this test
    connection.close()


def test_a_call_that_is_up_is_not_shown(tmp_path: Path) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        ledger.open_call(outgoing())
        ledger.flush().result(WAIT)
        assert ledger.query() == []


def test_the_length_ignores_a_wall_clock_that_jumps(tmp_path: Path) -> None:
    clock = ManualClock()
    with book(tmp_path / "box.db", clock, two_cents) as ledger:
        key = ledger.open_call(outgoing())
        ledger.answered(key)
        clock.advance(30)
        clock.start = clock.start.replace(year=2031)
        ledger.close(key, CallClosed(end="callee", sip_code=200)).result(WAIT)
        (row,) = ledger.query()
        assert (row["seconds"], row["cost"], row["ended"]) == (30, "0.0200", "2026-01-01T00:00:30Z")


def test_an_unanswered_incoming_call_is_missed_unless_taken_elsewhere(tmp_path: Path) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        for number, answer, elsewhere in (("+331", False, False), ("+332", False, True), ("+333", True, False)):
            key = ledger.open_call(CallOpen(direction="in", line=1, number=number))
            if answer:
                ledger.answered(key)
            ledger.close(key, CallClosed(end="cancelled", answered_elsewhere=elsewhere)).result(WAIT)
        assert [row["number"] for row in ledger.query(missed=True)] == ["+331"]
        assert [row["number"] for row in ledger.query(missed=False)] == ["+333", "+332"]


def test_a_call_ends_once_and_answers_once(tmp_path: Path) -> None:
    clock = ManualClock()
    with book(tmp_path / "box.db", clock) as ledger:
        key = ledger.open_call(outgoing())
        ledger.answered(key)
        clock.advance(5)
        ledger.answered(key)
        ledger.close(key, CallClosed(end="caller")).result(WAIT)
        with pytest.raises(RecordError, match=f"no call {key} is up"):
            ledger.close(key, CallClosed(end="caller"))
        ledger.answered(key)
        ledger.flush().result(WAIT)
        (row,) = ledger.query()
        assert row["seconds"] == 5


def test_ids_rise_in_the_order_in_which_records_appear(tmp_path: Path) -> None:
    """The mail worker remembers the last id it saw: a long call must not slip in below it."""
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        long = ledger.open_call(outgoing("+331"))
        short = ledger.open_call(outgoing("+332"))
        first = ledger.close(short, CallClosed(end="caller")).result(WAIT)
        last = ledger.close(long, CallClosed(end="caller")).result(WAIT)
        assert last > first
        assert [row["number"] for row in ledger.query(after=first, oldest_first=True)] == ["+331"]


def test_the_list_is_filtered_paged_and_searched(tmp_path: Path) -> None:
    clock = ManualClock()
    with book(tmp_path / "box.db", clock) as ledger:
        for index in range(10):
            incoming = index % 2 == 1
            key = ledger.open_call(
                CallOpen(
                    direction="in" if incoming else "out",
                    line=1,
                    number=f"+3314268530{index}",
                    name="Hélène Œuvré" if index == 3 else None,
                    dialled=None if incoming else f"014268530{index}",
                )
            )
            ledger.close(key, CallClosed(end="busy" if index < 4 else "no-answer")).result(WAIT)
            clock.advance(3600)

        def found(**question: object) -> list[str]:
            return [str(row["number"])[-1] for row in ledger.query(**question)]  # type: ignore[arg-type]

        ids = [int(str(row["id"])) for row in ledger.query(oldest_first=True)]
        assert found() == list("9876543210")
        assert found(limit=3) == list("987")
        assert found(before=ids[4], limit=2) == list("32")
        assert found(after=ids[6], oldest_first=True) == list("789")
        assert found(direction="out", end="busy") == list("20")
        assert found(since="2026-01-01T03:00:00+01:00", until="2026-01-01T04:00:00Z") == list("32")
        assert found(search="helene oeuvre") == []  # the ligature is a letter of its own
        assert found(search="HELENE") == found(search=" hélène ") == ["3"]
        assert found(search="01 42 68 53 07") == found(search="+33 1.42.68-53.07") == found(search="0033142685307")
        assert found(search="01 42 68 53 07") == ["7"]
        assert found(search="' OR 1=1 --") == found(search="%") == found(search="_") == []
        assert found(search="\ud800", end="\ud800") == []
        assert ledger.count("2026-01-01T05:00:00Z") == 5


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ({"limit": 201}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": "all"}, "limit"),
        ({"before": -1}, "before"),
        ({"after": 2**63}, "after"),
        ({"search": 7}, "search"),
        ({"direction": "sideways"}, "direction"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
    ],
)
def test_a_question_that_makes_no_sense_names_the_field(
    tmp_path: Path, question: dict[str, object], where: str
) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger, pytest.raises(RecordError) as error:
        ledger.query(**question)  # type: ignore[arg-type]
    assert error.value.where == where


def test_what_the_network_says_is_stored_short_and_without_controls(tmp_path: Path) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        name = "Evil\x00\x1b[31m\r\n\u202eeman" + "\ud800" + "x" * 5000
        key = ledger.open_call(CallOpen(direction="in", line=1, number="+33\n1", name=name, call_id="\x00" * 9))
        ledger.close(key, CallClosed(end="no-answer", codec="<script>")).result(WAIT)
        (row,) = ledger.query()
        assert str(row["name"]).startswith("Evil[31memanxxx")
        assert len(str(row["name"])) == 128
        assert (row["number"], row["call_id"], row["codec"]) == ("+331", "", "<script>")


def test_a_record_that_cannot_be_written_does_not_take_others_with_it(tmp_path: Path) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        keys = [ledger.open_call(outgoing(f"+33{n}")) for n in range(3)]
        codes = (200, 2**70, 486)  # SQLite's integers have 64 bits
        futures = [
            ledger.close(key, CallClosed(end="caller", sip_code=code)) for key, code in zip(keys, codes, strict=True)
        ]
        with pytest.raises(OverflowError):
            futures[1].result(WAIT)
        assert {futures[0].result(WAIT), futures[2].result(WAIT)} == {row["id"] for row in ledger.query()}
        assert ledger.lost == 1


def test_a_waiter_that_gave_up_does_not_stop_the_ledger(tmp_path: Path) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        key = ledger.open_call(outgoing())
        ledger.close(key, CallClosed(end="caller")).cancel()
        ledger.flush().cancel()
        ledger.flush().result(WAIT)
        assert len(ledger.query()) == 1


def test_records_cannot_be_changed_or_deleted(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    with book(path, ManualClock()) as ledger:
        ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller")).result(WAIT)
    with sqlite3.connect(path) as connection:
        for attempt in ("DELETE FROM calls", "UPDATE calls SET cost = '0'", "UPDATE calls SET number = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(attempt)
    connection.close()


def test_a_price_that_cannot_be_told_leaves_the_record(tmp_path: Path) -> None:
    def broken(tariff: str, seconds: float, answered: datetime) -> Charge:
        raise ValueError(tariff, seconds, answered)

    with book(tmp_path / "box.db", ManualClock(), broken) as ledger:
        ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller")).result(WAIT)
        (row,) = ledger.query()
        assert (row["cost"], row["billed_seconds"]) == (None, 0)


def test_stamps_of_an_unset_clock_are_corrected_once_it_is_set(tmp_path: Path) -> None:
    clock = ManualClock(start=datetime(1970, 1, 1, tzinfo=UTC))
    with book(tmp_path / "box.db", clock) as ledger:
        key = ledger.open_call(outgoing())
        clock.advance(10)
        ledger.answered(key)
        clock.advance(20)
        ledger.close(key, CallClosed(end="caller")).result(WAIT)
        (row,) = ledger.query()
        assert (row["time_unsure"], row["started"]) == (True, "1970-01-01T00:00:00Z")
        clock.advance(30)
        clock.start = datetime(2026, 7, 1, 11, 59, 0, tzinfo=UTC)  # it is noon now
        ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller")).result(WAIT)
        row = ledger.query(oldest_first=True)[0]
        assert row["time_unsure"] is False
        assert (row["started"], row["answered"], row["ended"]) == (
            "2026-07-01T11:59:00Z",
            "2026-07-01T11:59:10Z",
            "2026-07-01T11:59:30Z",
        )


def test_a_ledger_that_cannot_be_opened_keeps_records_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    path.mkdir()
    with book(path, ManualClock()) as ledger:
        future = ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller"))
        until(lambda: ledger.trouble is not None)
        assert "cannot be opened for writing" in str(ledger.trouble)
        assert not future.done()
        path.rmdir()
        assert future.result(WAIT) == ledger.query()[0]["id"]
        assert ledger.trouble is None


def test_who_asks_a_ledger_that_cannot_be_opened_is_told_why_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "OPEN_SECONDS", 3600.0)  # nobody sits that out
    (tmp_path / "box.db").mkdir()
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        for ask in (ledger.query, lambda: ledger.count("2026-01-01T00:00:00+00:00")):
            with pytest.raises(store.StoreError) as caught:
                ask()
            assert str(caught.value) == ledger.trouble
            assert str(caught.value).count("box.db") == 1


def test_counting_does_not_wait_behind_a_slow_question(tmp_path: Path) -> None:
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        ledger.flush().result(WAIT)
        with ledger._reader_lock, pytest.raises(store.StoreError, match="is busy"):
            ledger.count("2026-01-01T00:00:00+00:00")
        assert ledger.count("2026-01-01T00:00:00+00:00") == 0


def test_a_full_disk_is_waited_out_and_only_the_oldest_records_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own answer to a full disk, brought about by a page limit on the writer's connection."""
    opened, full = store.open_writer, [True]

    def small(path: Path, schema: store.Schema, clock: ManualClock) -> store.Opened:
        result = opened(path, schema, clock)
        if full[0]:
            pages = result.connection.execute("PRAGMA page_count").fetchone()[0]
            result.connection.execute(f"PRAGMA max_page_count = {pages}")
        return result

    monkeypatch.setattr(store, "open_writer", small)
    monkeypatch.setattr(ledger_module, "MAX_UNSAVED", 50)
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        ledger.flush().result(WAIT)
        name = "n" * 128
        keys = [ledger.open_call(CallOpen(direction="in", line=1, number=f"+33{n:03}", name=name)) for n in range(200)]
        futures = [ledger.close(key, CallClosed(end="no-answer")) for key in keys]
        until(lambda: ledger.lost > 0)
        assert "disk is full" in str(ledger.trouble)
        full[0] = False
        futures[-1].result(WAIT)
        ledger.flush().result(WAIT)
        kept = {str(row["number"]) for row in ledger.query(limit=200)}
        assert len(kept) == 200 - ledger.lost
        assert len(kept) >= 50
        assert {f"+33{n:03}" for n in range(150, 200)} <= kept
        refused = [future for future in futures if future.exception(WAIT)]
        assert len(refused) == ledger.lost


def test_a_damaged_ledger_is_set_aside_and_ids_go_on_rising(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    clock = ManualClock()
    with book(path, clock) as ledger:
        before = ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller")).result(WAIT)
    path.write_bytes(b"no database" * 1000)
    with book(path, clock) as ledger:
        after = ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller")).result(WAIT)
        assert after > before
        assert "kept as box.db.corrupt-" in str(ledger.notice)
        assert len(ledger.query()) == 1
    assert len(list(tmp_path.glob("box.db.corrupt-*"))) == 1


def test_an_unforeseen_failure_to_open_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, broken = store.open_writer, [True]

    def odd(path: Path, schema: store.Schema, clock: ManualClock) -> store.Opened:
        if broken[0]:
            raise RuntimeError("odd")
        return opened(path, schema, clock)

    monkeypatch.setattr(store, "open_writer", odd)
    with book(tmp_path / "box.db", ManualClock()) as ledger:
        future = ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller"))
        until(lambda: ledger.trouble is not None)
        broken[0] = False
        assert future.result(WAIT) == 1


def test_a_stopped_ledger_tells_whoever_waits(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    path.mkdir()
    with book(path, ManualClock(), retry=60) as ledger:
        future = ledger.close(ledger.open_call(outgoing()), CallClosed(end="caller"))
        until(lambda: ledger.trouble is not None)
    with pytest.raises(store.StoreError):
        future.result(WAIT)


CORE = """
import sys, time
from decimal import Decimal
from pathlib import Path
from firmware.clock import SystemClock
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen

ledger = Ledger(Path(sys.argv[1]), SystemClock(), checkpoint_seconds=0.05)
ledger.start()
up = ledger.open_call(CallOpen(direction="out", line=1, number="+33142685300", tariff="two"))
ledger.answered(up)
ringing = ledger.open_call(CallOpen(direction="in", line=2, number="+33612345678"))
ledger.flush().result(20)
number = 0
while True:
    key = ledger.open_call(CallOpen(direction="out", line=1, number=f"+99{number}"))
    ledger.close(key, CallClosed(end="busy", sip_code=486)).result(20)
    print(number, flush=True)
    number += 1
    time.sleep(0.002)
"""


def test_a_killed_core_loses_no_record(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    core = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CORE), str(path)], stdout=subprocess.PIPE)
    assert core.stdout is not None
    promised = -1
    started = time.monotonic()
    for line in core.stdout:
        promised = int(line)
        if promised >= 20 and time.monotonic() - started > 1.0:
            break
    os.kill(core.pid, signal.SIGKILL)
    promised = max([promised, *map(int, core.stdout.read().split())])
    core.wait()
    core.stdout.close()
    with book(path, SystemClock()) as ledger:
        ledger.flush().result(WAIT)
        assert ledger.query(search="142685300") == [], "left to a ledger that can charge it"
    with book(path, SystemClock(), two_cents) as ledger:
        ledger.flush().result(WAIT)
        rows = ledger.query(limit=1, search="142685300") + ledger.query(limit=1, search="612345678")
        assert [(row["end"], row["missed"]) for row in rows] == [("interrupted", False), ("interrupted", True)]
        assert int(str(rows[0]["seconds"])) >= 1
        assert rows[0]["cost"] == "0.0200"
        assert rows[1]["answered"] is None
        with sqlite3.connect(path) as connection:
            numbers = {number for (number,) in connection.execute("SELECT number FROM calls WHERE number LIKE '+99%'")}
            left = connection.execute("SELECT count(*) FROM running").fetchone()[0]
        connection.close()
    assert {f"+99{n}" for n in range(promised + 1)} <= numbers
    assert left == 0
