"""One ear on the core's event stream for all browsers.

A thread listens to `box.events("page", ...)` (which is also how the core knows that the page is up),
asks for the state after each event, and wakes the browsers' streams. However many browsers look,
the core answers one question an event.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace

from firmware.service import BoxService, CallRow, ServiceError, Status

RECENT_CALLS = 6
_RETRY_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The box at one moment. `status` is None when nobody answers; `calls_mark` moves when calls end."""

    version: int = 0
    status: Status | None = None
    calls: tuple[CallRow, ...] = ()
    calls_mark: int = 0


class LiveFeed:
    """The latest snapshot, and a way to wait for the next. Thread-safe."""

    def __init__(self, box: BoxService) -> None:
        self._box = box
        self._changed = threading.Condition()
        self._snapshot = Snapshot()
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, detail: str) -> None:
        """Listen from now on; `detail` is what the core's status tells of the page (its address)."""
        self._thread = threading.Thread(target=self._listen, args=(detail,), name="live", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop waking browsers; the thread ends with its stream or with the process."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether streams should end."""
        return self._closed

    def snapshot(self) -> Snapshot:
        """What is known now, without asking."""
        with self._changed:
            return self._snapshot

    def wait(self, seen: int, timeout: float) -> Snapshot:
        """The first snapshot newer than version `seen`, or the same one after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._snapshot.version != seen, timeout)
            return self._snapshot

    def refresh(self, *, calls: bool) -> None:
        """Ask the core and publish. Raises ServiceError."""
        status = self._box.status()
        rows = tuple(self._box.calls({"limit": RECENT_CALLS})) if calls else None
        self._publish(status, rows)

    def _publish(self, status: Status | None, rows: tuple[CallRow, ...] | None) -> None:
        with self._changed:
            before = self._snapshot
            after = replace(before, version=before.version + 1, status=status)
            if rows is not None:
                after = replace(after, calls=rows, calls_mark=before.calls_mark + 1)
            self._snapshot = after
            self._changed.notify_all()

    def _listen(self, detail: str) -> None:
        failures = 0
        while not self._closed:
            try:
                self.refresh(calls=True)
                failures = 0
                for event in self._box.events("page", detail):
                    if self._closed:
                        return
                    self.refresh(calls=event["kind"] == "call")
            except ServiceError as error:
                if failures == 0:
                    _log.warning("live: %s", error)
                self._publish(None, None)
            except Exception:  # noqa: BLE001 - whatever a stream breaks with, the page keeps its ear on the box
                _log.exception("live: the event stream broke")
                self._publish(None, None)
            time.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
            failures += 1
