"""The ledger: every call leaves a record, whatever happens to the box.

The control loop hands in beginnings, answers and ends, and never waits: a thread of the ledger's
own commits them, many at a time. A record is seen by `query` only once it is on the disk. While
the disk is full or broken, calls go on and their records wait in memory (the last MAX_UNSAVED of
them). A call that was up when the core died is closed at the next start as `interrupted`, with
the length it had at the last checkpoint.
"""

from __future__ import annotations

import collections
import itertools
import logging
import math
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from firmware import store
from firmware.clock import Clock
from firmware.telephony import record_sums, record_table, records
from firmware.telephony.bulk import MOST_ROWS
from firmware.telephony.pruning import Pruner
from firmware.telephony.quality_record import CallQuality
from firmware.telephony.records import CallClosed, CallOpen, Charge, Question, stamp

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 10.0
RETRY_SECONDS = 5.0
SET_CLOCK_SECONDS = 60.0
MAX_UNSAVED = 2000
# Who asks in the first seconds of the process waits for the database to be opened; who asks later does not.
OPEN_SECONDS = 5.0
COUNT_SECONDS = 0.5
UNPRICED = Charge(0, None, None)
# Calls that ended and may still learn what they were like: that takes milliseconds.
MAX_UNMEASURED = 16

T = TypeVar("T")
Parameters = Sequence[object] | Mapping[str, object]


class Charger(Protocol):
    """Prices a call from the tariff that was noted when it was placed; `box` fills it with rates."""

    def __call__(self, tariff: str, seconds: float, answered: datetime) -> Charge:
        """What `seconds` of conversation from `answered` on cost. Called on the ledger's thread or the caller's."""
        ...


class Watch(Protocol):
    """Who keeps the sums of what is spent; `box` fills it with budgets. Told on the caller's thread, and at once.

    Calls of this life of the core alone; those before it are read (`Ledger.counted`). What it raises is logged.
    """

    def opened(self, key: int, opened: CallOpen, started: datetime) -> None:
        """A call begins."""
        ...

    def answered(self, key: int, opened: CallOpen) -> None:
        """It was answered; what is known of it now."""
        ...

    def closed(self, key: int, row: Mapping[str, object]) -> None:
        """It is over: the columns `record_sums.COUNTED`, as the record will have them."""
        ...


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of this life of the core. Frozen: the writer thread sees it whole or not at all."""

    key: int
    opened: CallOpen
    started: datetime
    started_at: float
    answered: datetime | None = None
    answered_at: float | None = None
    closed: CallClosed | None = None
    charge: Charge | None = None
    ended_at: float | None = None
    stored: tuple[Future[int], ...] = ()


class Ledger:
    """The call records in the database at `path`. Every method may be called from any thread."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        charge: Charger | None = None,
        *,
        watch: Watch | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        pruner: Pruner | None = None,
    ) -> None:
        self._path = path
        self._clock = clock
        self._charge = charge
        self._watch = watch
        self._alerts: list[record_sums.Alert] = []
        self._bulk: list[tuple[Sequence[Mapping[str, object]], Future[int]]] = []
        self._checkpoint_seconds = checkpoint_seconds
        self._retry_seconds = retry_seconds
        self._pruner = pruner or Pruner()
        self._run = uuid.uuid4().hex
        self._keys = itertools.count(1)
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._live: dict[int, _Call] = {}
        self._dirty: dict[int, _Call] = {}
        self._unmeasured: collections.OrderedDict[int, _Call] = collections.OrderedDict()
        self._flushes: list[Future[None]] = []
        self._stopping = False
        self._trouble: str | None = None
        self._notice: str | None = None
        self._lost = 0
        self._opened = threading.Event()
        self._tried = threading.Event()  # set once opening has worked or failed
        self._open_by = time.monotonic() + OPEN_SECONDS
        self._writer: sqlite3.Connection | None = None
        self._unsure = False
        self._reader_lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin writing; calls left open by a core that died are closed first. Never raises."""
        self._open_by = time.monotonic() + OPEN_SECONDS
        self.flush()  # something to do at once: open the database
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Write what waits and end; waits at most `timeout` seconds. Calls still up stay `running`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        with self._reader_lock:
            self._drop_reader()

    @property
    def trouble(self) -> str | None:
        """Why records cannot be written just now, or None when all is well."""
        return self._trouble

    @property
    def notice(self) -> str | None:
        """What the owner should be told once: a damaged database was set aside."""
        return self._notice

    @property
    def lost(self) -> int:
        """Records given up because the disk stayed unusable for too long."""
        return self._lost

    def keep_days(self, days: int) -> None:
        """Records older than `days` days go, a few an hour."""
        self._pruner.keep(days)

    # --- the control loop's side --------------------------------------------------------------

    def open_call(self, record: CallOpen) -> int:
        """Note a call that begins; returns its key for `answered` and `close`. Durable after `flush`."""
        call = _Call(next(self._keys), record, self._clock.wall(), self._clock.monotonic())
        self._note(call)
        self._tell(lambda watch: watch.opened(call.key, record, call.started))
        return call.key

    def answered(
        self,
        key: int,
        *,
        account: str | None = None,
        destination: str | None = None,
        tariff: str | None = None,
        call_id: str | None = None,
        line: int | None = None,
        pin: str | None = None,
        why: str | None = None,
    ) -> None:
        """Stamp the answer: from here the seconds count. What is now known better replaces the opening's word.

        A second answer, or one of a call that is over, changes nothing.
        """
        with self._lock:
            call = self._live.get(key)
        if call is None or call.answered_at is not None:
            return
        news = {"account": account, "destination": destination, "tariff": tariff, "call_id": call_id, "line": line}
        news |= {"pin": pin, "why": why}
        known = {name: value for name, value in news.items() if value is not None}
        opened: CallOpen = replace(call.opened, **known)  # type: ignore[arg-type]  # each one a field of its type
        self._note(replace(call, opened=opened, answered=self._clock.wall(), answered_at=self._clock.monotonic()))
        self._tell(lambda watch: watch.answered(key, opened))

    def seconds(self, key: int) -> float:
        """How long a call that is up has been answered; 0.0 before, or when it is unknown."""
        with self._lock:
            call = self._live.get(key)
        return 0.0 if call is None or call.answered_at is None else self._clock.monotonic() - call.answered_at

    def close(self, key: int, closed: CallClosed) -> Future[int]:
        """Note the end. The future gives the record's id once it is on the disk (set on the ledger's thread).

        Raises RecordError for a key that is not up: a call ends once.
        """
        with self._lock:
            call = self._live.get(key)
        if call is None:
            raise records.RecordError("key", f"no call {key} is up")
        now = self._clock.monotonic()
        if closed.seconds is not None and call.answered_at is not None:
            now = call.answered_at + max(0.0, closed.seconds)
        seconds = 0.0 if call.answered_at is None else now - call.answered_at
        tariff = closed.tariff if closed.tariff is not None else call.opened.tariff
        stored: Future[int] = Future()
        charge = closed.charge or self._charged(tariff, seconds, call.answered or call.started)
        over = replace(call, closed=closed, charge=charge, ended_at=now, stored=(stored,))
        self._note(over)
        self._tell(lambda watch: watch.closed(key, self._counted(over)))
        return stored

    def measured(self, key: int, quality: CallQuality) -> Future[int]:
        """Add what a call was like to its record, soon after `close`. The future is as `close`'s.

        Raises RecordError for a call that did not just end, or whose record says it already.
        """
        with self._lock:
            call = self._unmeasured.pop(key, None)
        if call is None or call.closed is None:
            raise records.RecordError("key", f"no call {key} has just ended unmeasured")
        stored: Future[int] = Future()
        # The whole record once more: whether the first writing is done, under way or to be repeated is all one.
        self._note(replace(call, closed=replace(call.closed, quality=quality), stored=(*call.stored, stored)))
        return stored

    def record(self, rows: Sequence[Mapping[str, object]]) -> Future[int]:
        """Keep many calls that are over (`bulk.rows_of`), by one commit. The future gives how many, once it is done.

        Handed in again they are found, not doubled: their `run` is their own. Who keeps sums (`Watch`) is not told,
        and reads them. Raises RecordError for more than bulk.MOST_ROWS, or for calls named as this core's own are.
        """
        if len(rows) > MOST_ROWS:
            raise records.RecordError("rows", f"{len(rows)} calls at once; at most {MOST_ROWS}")
        if any(row["run"] == self._run for row in rows):
            raise records.RecordError("run", "this core names its own calls so; such a record might be taken for one")
        stored: Future[int] = Future()
        with self._wake:
            self._bulk.append((rows, stored))
            self._wake.notify()
        return stored

    def _counted(self, call: _Call) -> Mapping[str, object]:
        """An ended call's columns that sums are made of."""
        if call.closed is None:
            raise records.RecordError("key", f"call {call.key} is up")
        final = record_table.final_row(self._row(call), replace(call.closed, quality=None), call.charge or UNPRICED)
        return {column: final[column] for column in record_sums.COUNTED}

    def _tell(self, tell: Callable[[Watch], None]) -> None:
        """Tell who keeps sums; no fault of theirs may cost a call its record."""
        if self._watch is None:
            return
        try:
            tell(self._watch)
        except Exception:
            log.exception("a call is not in the sums of what was spent")

    def alert(self, alert: record_sums.Alert) -> None:
        """Note what the household is to be told; durable soon after. The oldest go while the disk is unusable."""
        with self._wake:
            self._alerts = [*self._alerts[-record_sums.MOST_ALERTS + 1 :], alert]
            self._wake.notify()

    def flush(self) -> Future[None]:
        """Done when everything handed in so far is on the disk (set on the ledger's thread)."""
        future: Future[None] = Future()
        with self._wake:
            self._flushes.append(future)
            self._wake.notify()
        return future

    # --- questions, from an executor's thread -------------------------------------------------

    def query(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        after: int | None = None,
        direction: str | None = None,
        end: str | None = None,
        search: str | None = None,
        since: str | None = None,
        until: str | None = None,
        missed: bool | None = None,
        oldest_first: bool = False,
        plot: bool = False,
    ) -> list[dict[str, object]]:
        """Ended calls, at most 200, newest first; `before` and `after` are ids, `since` <= started < `until`.

        `plot`: with the points of each call's delay and loss.

        Blocks for the disk: not for the control loop. Raises RecordError (a question that makes
        no sense) or StoreError (no database to ask).
        """
        question = Question(
            limit=limit,
            before=before,
            after=after,
            direction=direction,
            end=end,
            search=search,
            since=since,
            until=until,
            missed=missed,
            oldest_first=oldest_first,
            plot=plot,
        )
        statement, parameters = question.sql()
        return [record_table.shown(dict(row), plot=plot) for row in self._ask(statement, parameters)]

    def count(self, since: str) -> int:
        """How many calls began at or after ISO time `since`. As `query`, but never long behind other questions."""
        first = stamp(records.parse_stamp(since, "since"))
        statement = "SELECT count(*) AS calls FROM calls WHERE started >= ?"
        return int(self._ask(statement, [first], COUNT_SECONDS)[0]["calls"])

    @property
    def run(self) -> str:
        """The name of this life of the core in the records."""
        return self._run

    def counted(self, since: datetime) -> list[dict[str, object]]:
        """The columns `record_sums.COUNTED` of answered calls placed since then, as far as it is sure. As `query`."""
        return [dict(row) for row in self._ask(record_sums.COUNTED_SINCE, {"since": stamp(since)})]

    def latest(self) -> datetime | None:
        """When the last call was placed whose time is sure. As `query`."""
        found = self._ask(record_sums.LATEST, [])[0]["latest"]
        return None if found is None else records.parse_stamp(str(found), "started")

    def alerts(self, after: int, limit: int) -> list[dict[str, object]]:
        """What the household was to be told, oldest first, by ids above `after`. As `query`."""
        return [record_sums.shown_alert(dict(row)) for row in self._ask(record_sums.ALERTS, [after, limit])]

    def _ask(self, statement: str, parameters: Parameters, patience: float = -1) -> list[sqlite3.Row]:
        """Rows; other questions may take `patience` seconds first (-1: as long as they do)."""
        self._tried.wait(max(0.0, self._open_by - time.monotonic()))
        if not self._opened.is_set():
            raise self._error("is not open yet; try again in a moment")
        if not self._reader_lock.acquire(timeout=patience):
            raise store.StoreError(self._path, "is busy; try again in a moment")
        try:
            if self._reader is None:
                self._reader = store.open_reader(self._path, application_id=record_table.LEDGER.application_id)
                self._reader.row_factory = sqlite3.Row
            return self._reader.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            self._drop_reader()
            raise store.failure(self._path, error) from error
        finally:
            self._reader_lock.release()

    def _error(self, otherwise: str) -> store.StoreError:
        """What is wrong with the disk, or `otherwise`; fresh, since each waiter raises its own."""
        told = self._trouble.removeprefix(f"{self._path}: ") if self._trouble else otherwise
        return store.StoreError(self._path, told)

    def _drop_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- the writer thread --------------------------------------------------------------------

    def _note(self, call: _Call) -> None:
        with self._wake:
            if call.closed is None:
                self._live[call.key] = call
            else:
                self._live.pop(call.key, None)
                self._await_measure(call)
            self._dirty[call.key] = call
            self._wake.notify()

    def _await_measure(self, call: _Call) -> None:
        """With the lock held: keep an answered call until it is measured, or others have ended since."""
        if call.closed is None or call.closed.quality is not None or call.answered_at is None:
            return
        self._unmeasured[call.key] = call
        while len(self._unmeasured) > MAX_UNMEASURED:
            self._unmeasured.popitem(last=False)

    def _charged(self, tariff: str | None, seconds: float, answered: datetime) -> Charge:
        if tariff is None or self._charge is None:
            return UNPRICED
        try:
            return self._charge(tariff, seconds, answered)
        except Exception:  # a record without a cost is better than none
            log.exception("a call could not be priced; its record goes without a cost")
            return UNPRICED

    def _work(self) -> None:
        while True:
            with self._wake:
                idle = not (self._dirty or self._flushes or self._stopping or self._alerts or self._bulk)
                if idle and self._wake.wait(self._patience()):
                    continue
                if idle:
                    self._dirty.update(self._live)  # a checkpoint: lengths of the calls that are up
                batch, self._dirty = self._dirty, {}
                flushes, self._flushes = self._flushes, []
                stopping = self._stopping
            saved = self._save(batch, flushes) and self._save_bulk()
            while stopping and saved and self._bulk:
                saved = self._save_bulk()
            if stopping:
                break
            if saved:
                self._prune()
            else:
                with self._wake:
                    self._wake.wait_for(lambda: self._stopping, self._retry_seconds)
        self._finish()

    def _patience(self) -> float:
        if self._live:
            return self._checkpoint_seconds
        return min(SET_CLOCK_SECONDS if self._unsure else math.inf, self._pruner.seconds_left())

    def _save(self, batch: dict[int, _Call], flushes: list[Future[None]]) -> bool:
        try:
            batch = self._ready(batch)
            ids = self._write(batch)
        except store.StoreError as error:
            self._give_back(batch, flushes, error)
            return False
        except Exception as error:  # noqa: BLE001 - one record that cannot be written must not stop the rest
            if self._writer is None:
                self._give_back(batch, flushes, store.StoreError(self._path, f"cannot be opened: {error!r}"))
                return False
            if len(batch) > 1:
                good = [self._save({key: call}, []) for key, call in batch.items()]
                return all(good)
            self._abandon(list(batch.values()), error)
            ids = {}
        if self._trouble is not None:
            log.warning("call records are written again")
        self._trouble = None
        for key, record in ids.items():
            for stored in batch[key].stored:
                _resolve(stored, record)
        for future in flushes:
            _resolve(future, None)
        return True

    def _save_bulk(self) -> bool:
        """One batch a turn, so that a call that begins or ends meanwhile never waits for more than one."""
        with self._lock:
            if not self._bulk:
                return True
            rows, stored = self._bulk[0]
        if self._writer is None:
            return False
        try:
            with store.transaction(self._writer, self._path) as connection:
                record_table.put_finals(connection, rows)
        except store.StoreError as error:
            self._give_back({}, [], error)
            return False
        except Exception as error:  # noqa: BLE001 - rows that are none must not stop the rest
            log.error("%d calls handed in together cannot be recorded: %s", len(rows), error)  # noqa: TRY400
            _reject(stored, error)
        else:
            _resolve(stored, len(rows))
        with self._lock:
            del self._bulk[0]
        return True

    def _prune(self) -> None:
        # Not while somebody is on the telephone: the card would be busy.
        if self._writer is None or self._live or not self._pruner.take_turn():
            return
        try:
            with store.transaction(self._writer, self._path) as connection:
                gone = self._pruner.prune(connection, self._clock.wall())
        except (store.StoreError, sqlite3.Error) as error:
            log.warning("old call records stay for now: %s", error)
        else:
            log.log(logging.INFO if gone else logging.DEBUG, "%d old call records deleted", gone)

    def _ready(self, batch: dict[int, _Call]) -> dict[int, _Call]:
        """Open the database if need be; a new one learns of every call that is up."""
        if self._writer is not None:
            return batch
        opened = store.open_writer(self._path, record_table.LEDGER, self._clock)
        opened.connection.row_factory = sqlite3.Row
        try:
            with store.transaction(opened.connection, self._path) as connection:
                if opened.notice is not None:
                    record_table.begin_above(connection, int(self._clock.wall().timestamp()))
                charged = self._charged if self._charge else None
                interrupted = record_table.close_interrupted(connection, self._run, charged)
        except (store.StoreError, sqlite3.Error) as error:
            opened.connection.close()
            raise store.StoreError(self._path, f"calls left open cannot be closed: {error}") from error
        if interrupted:
            log.warning("%d call(s) were up when the box stopped; recorded as interrupted", interrupted)
        self._writer = opened.connection
        self._notice = opened.notice or self._notice
        with self._reader_lock:
            self._drop_reader()
        self._opened.set()
        self._tried.set()
        with self._lock:
            return self._live | batch

    def _write(self, batch: Mapping[int, _Call]) -> dict[int, int]:
        """One transaction for all; returns the ids of the records that are now closed."""
        clock_is_set = self._unsure and self._clock.wall() >= record_table.FIRST_SURE_INSTANT
        with self._lock:
            alerts = tuple(self._alerts)
        if self._writer is None or not (batch or clock_is_set or alerts):
            return {}
        ids = {}
        with store.transaction(self._writer, self._path) as connection:
            for key, call in batch.items():
                row = self._row(call)
                if call.closed is None:
                    record_table.put_running(connection, row)
                    continue
                final = record_table.final_row(row, call.closed, call.charge or UNPRICED)
                ids[key] = record_table.put_final(connection, final)
                self._unsure = self._unsure or bool(row["time_unsure"])
            if self._unsure and self._clock.wall() >= record_table.FIRST_SURE_INSTANT:
                record_table.correct_stamps(connection, self._run, self._clock)
                self._unsure = False
            for alert in alerts:
                record_sums.put_alert(connection, alert, self._clock.wall())
        with self._lock:
            self._alerts = [alert for alert in self._alerts if alert not in alerts]
        return ids

    def _row(self, call: _Call) -> dict[str, object]:
        now = self._clock.monotonic() if call.ended_at is None else call.ended_at
        progress = record_table.Progress(call.key, call.started, call.started_at, call.answered, call.answered_at, now)
        return record_table.running_row(self._run, call.opened, progress)

    def _give_back(self, batch: dict[int, _Call], flushes: list[Future[None]], error: store.StoreError) -> None:
        """Keep what could not be written; the newest state of a call wins, the oldest ends go when it is too much."""
        if self._trouble is None:
            log.error("call records wait in memory: %s", error)
        self._trouble = str(error)
        self._tried.set()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        with self._lock:
            self._dirty = batch | self._dirty
            self._flushes = flushes + self._flushes
            ended = [call for call in self._dirty.values() if call.closed is not None]
            excess = ended[: max(0, len(ended) - MAX_UNSAVED)]
            for call in excess:
                del self._dirty[call.key]
        self._abandon(excess, error)

    def _abandon(self, calls: list[_Call], error: Exception) -> None:
        for call in calls:
            self._lost += 1
            log.error("the record of call %d is lost: %s", call.key, error)
            for stored in call.stored:
                _reject(stored, error)

    def _finish(self) -> None:
        """Whoever still waits is told; nobody waits for ever."""
        error = self._error("the ledger has been stopped")
        with self._lock:
            unsaved = [call for call in self._dirty.values() if call.closed is not None]
            flushes, self._flushes = self._flushes, []
            self._dirty = {}
            bulk, self._bulk = self._bulk, []
        for _, waiting in bulk:
            _reject(waiting, error)
        self._abandon(unsaved, error)
        for future in flushes:
            _reject(future, error)
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _resolve(future: Future[T], value: T) -> None:
    """A task that was cancelled has cancelled its future too; setting that would raise here.

    Done already: a record that was written again, with its measure.
    """
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_result(value)


def _reject(future: Future[T], error: Exception) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)
