"""How often a password may be tried: slower with every failure, and never a lock-out of the owner.

Each client waits for itself. Clients that have logged in before carry a device cookie and are
counted by it, so that a stranger's guesses at one address, or at a thousand, never shut out the
household; strangers together share ten evaluations a minute (OWASP's device cookies).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

FREE_FAILURES = 3
MAX_WAIT_SECONDS = 60.0
_MINUTE = 60.0
FORGET_SECONDS = 15 * 60.0
STRANGERS_PER_MINUTE = 10
_MAX_CLIENTS = 4096


@dataclass(slots=True)
class _Record:
    failures: int = 0
    free_at: float = 0.0
    last: float = 0.0


class Attempts:
    """Failures by client. Thread-safe; keeps nothing on disk."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._strangers: deque[float] = deque()

    def admit(self, client: str, *, known: bool) -> float:
        """Seconds to wait, or 0.0 if this try may be evaluated now (it then counts as a failure until `succeeded`)."""
        now = self._monotonic()
        with self._lock:
            record = self._records.get(client)
            if record is None or now - record.last > FORGET_SECONDS:
                record = self._records[client] = _Record()
            self._records.move_to_end(client)
            while len(self._records) > _MAX_CLIENTS:
                self._records.popitem(last=False)
            wait = record.free_at - now
            if wait <= 0 and not known:
                wait = self._strangers_wait(now)
            if wait > 0:
                return wait
            record.failures += 1
            record.last = now
            over = record.failures - FREE_FAILURES
            record.free_at = now + min(MAX_WAIT_SECONDS, 2.0**over) if over >= 0 else 0.0
            return 0.0

    def succeeded(self, client: str) -> None:
        """The password was right: this client starts afresh."""
        with self._lock:
            self._records.pop(client, None)
            if self._strangers:
                self._strangers.pop()

    def _strangers_wait(self, now: float) -> float:
        while self._strangers and now - self._strangers[0] >= _MINUTE:
            self._strangers.popleft()
        if len(self._strangers) >= STRANGERS_PER_MINUTE:
            return _MINUTE - (now - self._strangers[0])
        self._strangers.append(now)
        return 0.0
