"""The worker's own round: calls from the journal into the outbox, mails out of it.

`step` does what can be done now and tells how long to wait; `run` is that in a thread; `listen`
is the thread at the box's event stream that wakes it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from firmware.service import BoxEvent, ServiceError
from firmware.store import StoreError
from firmware.webmail.journal import Journal
from firmware.webmail.mailstore import MailStore
from firmware.webmail.outbox import Outbox

log = logging.getLogger(__name__)
_AFTER_FAULT_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class EventSource(Protocol):
    """BoxService's live stream."""

    def events(self, role: str, detail: str) -> Iterator[BoxEvent]:
        """Blocks between events; raises BoxUnreachableError."""
        ...


class Postman:
    """One at a time: nobody else calls `step`. `wake` is for everybody."""

    def __init__(self, journal: Journal, outbox: Outbox, store: MailStore) -> None:
        self._journal = journal
        self._outbox = outbox
        self._store = store
        self._bell = threading.Condition()
        self._rung = False
        self._recheck = True
        self._collect = True
        self._stopping = threading.Event()

    def wake(self, *, collect: bool = True, recheck: bool = False) -> None:
        """There may be work: calls to `collect`, settings and the journal's end to `recheck`."""
        with self._bell:
            self._collect = self._collect or collect
            self._recheck = self._recheck or recheck
            self._rung = True
            self._bell.notify_all()

    def stop(self) -> None:
        """End `run` and `listen` at the next opportunity."""
        self._stopping.set()
        self.wake(collect=False)

    def step(self) -> float | None:
        """Do what can be done now. Seconds until there is more; None until somebody wakes us."""
        while True:
            behind = self._read_journal()
            done = self._outbox.round()
            if not (behind and done.delivered):
                return done.wait

    def _read_journal(self) -> bool:
        """True if calls wait in the journal for room in the outbox."""
        with self._bell:
            recheck, collect = self._recheck, self._collect
            self._recheck = self._collect = False
        try:
            if recheck:
                self._journal.recheck()
            behind = collect and self._journal.collect()
            if collect:
                behind = self._journal.collect_alerts() or behind
        except ServiceError as error:
            # The listener wakes us with both flags when the box is there again.
            log.info("the call journal cannot be read now: %s", error)
            with self._bell:
                self._recheck, self._collect = self._recheck or recheck, self._collect or collect
            return False
        if behind:
            with self._bell:
                self._collect = True
        return behind

    def run(self) -> None:
        """`step` until stopped."""
        while not self._stopping.is_set():
            try:
                wait = self.step()
            except StoreError as error:
                log.error("%s", error)  # noqa: TRY400 - the trace would add nothing to the sentence
                wait = _AFTER_FAULT_SECONDS
            except Exception:
                log.exception("a round of the post failed")
                wait = _AFTER_FAULT_SECONDS
            with self._bell:
                if not self._rung and not self._stopping.is_set():
                    self._bell.wait(wait)
                self._rung = False

    def detail(self) -> str:
        """The mail process in one word, for the box's status."""
        linked = self._store.linked()
        if linked is None:
            return "not linked"
        return "linked" if linked.paused is None else "paused"

    def listen(self, box: EventSource, sleep: Callable[[float], object] | None = None) -> None:
        """Follow the box's events until stopped; with back-off for ever when nobody answers."""
        sleep = sleep or self._stopping.wait
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                if self._follow(box):
                    pause = _FIRST_PAUSE
            except ServiceError as error:
                log.debug("no events: %s", error)
            except Exception:
                log.exception("the event stream failed")
            sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _follow(self, box: EventSource) -> bool:
        """One stream, to its end or until our detail is no longer true. Whether anything came."""
        told = self.detail()
        heard = False
        for event in box.events("mail", told):
            if not heard:
                # Subscribed now (the first event is our own arrival): whatever came before is read.
                self.wake(recheck=True)
                heard = True
            elif event["kind"] in {"call", "alert"}:
                self.wake()
            elif event["kind"] == "settings":
                self.wake(collect=False, recheck=True)
            if self._stopping.is_set() or self.detail() != told:
                break
        return heard
