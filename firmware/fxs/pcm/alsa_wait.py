"""What the voice thread waits for at a sound card: its descriptors, `stop`, and a try at opening it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

_OPENER_PRIORITY = 20
"""The control loop's: configuration files are read while other lines' voices go on."""


class Closable(Protocol):
    """What was opened."""

    def close(self) -> None:
        """Let go of it."""
        ...


_Card = TypeVar("_Card", bound=Closable)


class Waker:
    """The voice thread's clock (CLOCK_MONOTONIC) and its sleep, which `wake` ends from any thread."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self.watch(())

    def now(self) -> float:
        """The time in seconds."""
        return time.monotonic()

    def watch(self, descriptors: Iterable[tuple[int, int]]) -> None:
        """The descriptors and events of the card that is open now."""
        self._poll = select.poll()
        self._poll.register(self._event, select.POLLIN)
        for descriptor, events in descriptors:
            self._poll.register(descriptor, events)

    def wake(self) -> None:
        """End the wait that is under way, or the next one."""
        os.eventfd_write(self._event, 1)

    def wait(self, seconds: float) -> dict[int, int]:
        """Sleep until the card or `wake` has news, at most `seconds`: the card's descriptors and their events."""
        # poll() takes whole milliseconds and truncates: rounding up never spins.
        ready = dict(self._poll.poll(int(max(0.0, seconds) * 1000) + 1))
        if ready.pop(self._event, 0):
            self._drain()
        return ready

    def rest(self, seconds: float) -> None:
        """Sleep whatever the card says; only `wake` ends it."""
        only = select.poll()
        only.register(self._event, select.POLLIN)
        if seconds > 0 and only.poll(int(seconds * 1000) + 1):
            self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)

    def __del__(self) -> None:
        os.close(self._event)


class Opening(Generic[_Card]):
    """One try at opening a card, on a thread of its own: it may take a second, or hang in a sound server.

    `ended` is called there when it has succeeded or failed.
    """

    def __init__(self, make: Callable[[], _Card], ended: Callable[[], None]) -> None:
        self._make = make
        self._ended = ended
        self._lock = threading.Lock()
        self._abandoned = False
        self._result: _Card | OSError | None = None
        threading.Thread(target=self._run, name="alsa-open", daemon=True).start()

    def result(self) -> _Card | OSError | None:
        """The open card, or why there is none, or None: not yet. The card is the caller's from now on."""
        with self._lock:
            return self._result

    def abandon(self) -> None:
        """Nobody wants it any more: what was opened, or is yet to be, is closed."""
        with self._lock:
            self._abandoned = True
            result = self._result
        if result is not None and not isinstance(result, OSError):
            result.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the thread has inherited the voice's priority
            if os.sched_getscheduler(0) == os.SCHED_FIFO:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_OPENER_PRIORITY))
        result: _Card | OSError
        try:
            result = self._make()
        except OSError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - a driver's surprise is one more reason why there is no sound
            result = OSError(f"the sound card cannot be opened: {error}")
        with self._lock:
            self._result = result
            abandoned = self._abandoned
        if not abandoned:
            self._ended()
        elif not isinstance(result, OSError):
            result.close()
