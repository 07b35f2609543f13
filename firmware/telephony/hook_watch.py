"""The hook decoder on the control loop: its deadlines armed, and the loop's level read where an edge may be lost.

A lost edge would leave a handset in the wrong state for ever, or cut a call off for a break that had
long ended. So the level is read soon after each edge, at leisure for ever, and whenever something is
due. It is of now while edges may be queued behind a busy loop: a level that does not agree is
believed only once such an edge has had its time, else it would overtake it and cost a rotary digit
its pulse.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from firmware.fxs.hook import HookDecoder, HookEvent, PulsesUnclear
from firmware.fxs.port import FxsPort
from firmware.telephony.scheduling import Cancellable, Scheduler

_log = logging.getLogger(__name__)
_REREAD_SECONDS = 0.06
_CONFIRM_SECONDS = 0.12
"""Longer than an edge is on its way when the machine is busy; what is lost in the middle of a digit is seen sooner."""
_WATCH_SECONDS = 1.0


class HookWatch:
    """One line's hook. `told` gets what the hand did, in order; everything runs on the control loop."""

    def __init__(
        self,
        line: int,
        *,
        port: FxsPort,
        hook: HookDecoder,
        scheduler: Scheduler,
        told: Callable[[Sequence[HookEvent]], None],
    ) -> None:
        self._line = line
        self._port = port
        self._hook = hook
        self._scheduler = scheduler
        self._told = told
        self._due: Cancellable | None = None
        self._reread: Cancellable | None = None
        self._noticed: float | None = None

    @property
    def pulsing(self) -> bool:
        """Whether a rotary digit is under way."""
        return self._hook.pulsing

    def start(self) -> None:
        """Begin to read the level."""
        self._look_again(_WATCH_SECONDS, self._read)

    def stop(self) -> None:
        """Read and arm nothing more. Idempotent."""
        for timer in (self._due, self._reread):
            if timer is not None:
                timer.cancel()
        self._due = self._reread = None

    def edge(self, closed: bool, at: float) -> None:  # noqa: FBT001 - the edge's level
        """A contact made or broke at `at` (the port's stamp)."""
        self._noticed = None
        self._tell(self._hook.handle(closed, at, self._scheduler.time()))
        self._look_again(_REREAD_SECONDS, self._read)

    def level(self, closed: bool) -> None:  # noqa: FBT001 - the level
        """The level for certain, as of now: the port lost its hardware (open), or has it again."""
        self._noticed = None
        self._tell(self._hook.resync(closed, self._scheduler.time()))

    def set_ringing(self, *, ringing: bool) -> None:
        """Ring voltage is (not) on the line."""
        self._hook.set_ringing(ringing=ringing)
        self._arm()

    def end_digit(self) -> None:
        """A tone was dialled: the pulses before it are a digit, and come first."""
        if self._hook.pulsing:
            self._tell(self._hook.end_digit(self._scheduler.time()))

    def _tell(self, events: Sequence[HookEvent]) -> None:
        for event in events:
            if isinstance(event, PulsesUnclear):
                _log.warning("line %d: the dial's pulses could not be counted; no digit is taken", self._line)
        self._told(events)
        self._arm()

    def _arm(self) -> None:
        if self._due is not None:
            self._due.cancel()
        due = self._hook.next_deadline()
        self._due = None if due is None else self._scheduler.call_at(due, self._is_due)

    def _is_due(self) -> None:
        self._due = None
        if self._agrees():
            self._take()
        else:
            self._due = self._scheduler.call_at(self._scheduler.time() + _CONFIRM_SECONDS, self._take)

    def _agrees(self) -> bool:
        """Whether the level is what the last edge said, or has long been something else."""
        if self._port.loop_closed() is self._hook.closed:
            self._noticed = None
            return True
        if self._noticed is None:
            self._noticed = self._scheduler.time()
        return self._scheduler.time() >= self._noticed + _CONFIRM_SECONDS

    def _take(self) -> None:
        """Believe the level."""
        closed, now, noticed = self._port.loop_closed(), self._scheduler.time(), self._noticed
        self._noticed = None
        if closed is not self._hook.closed:
            _log.warning("line %d: an edge was lost; the level says %s", self._line, "closed" if closed else "open")
        self._tell(self._hook.resync(closed, now, noticed))

    def _look_again(self, seconds: float, then: Callable[[], None]) -> None:
        if self._reread is not None:
            self._reread.cancel()
        self._reread = self._scheduler.call_at(self._scheduler.time() + seconds, then)

    def _read(self) -> None:
        if self._agrees():
            self._look_again(_WATCH_SECONDS, self._read)
        else:
            self._look_again(_CONFIRM_SECONDS, self._repair)

    def _repair(self) -> None:
        self._take()
        self._look_again(_WATCH_SECONDS, self._read)
