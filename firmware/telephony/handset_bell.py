"""One line's bell and lamp: the ringer's steps carried out on port and voice, the caller's message between them,
and messages that wait, told to the display of a telephone that lies on its hook.

Runs on the control loop. When what is due is `fxs.ringer`'s decision.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from firmware.fxs.port import FxsPort
from firmware.fxs.ringer import AnnouncementOver, CallerIdDue, Polarity, Ringer, RingOff, RingOn, RingStep, Wake
from firmware.telephony import events as ev
from firmware.telephony.scheduling import Cancellable, Scheduler

_log = logging.getLogger(__name__)
_BYTES_PER_MS = 16
_REST_SECONDS = 2.0
"""So long a line has rested before its telephone is told of messages: a call is often followed by another."""


class BellVoice(Protocol):
    """What the bell needs of the line's voice path."""

    def open(self) -> None:
        """Power it."""
        ...

    def close(self) -> None:
        """Let it sleep."""
        ...

    def play_samples(self, pcm: bytes) -> None:
        """Play samples once."""
        ...

    def play_nothing(self) -> None:
        """Stop playing."""
        ...


class HandsetBell:
    """`caller_id` makes a caller's samples, `lamp` those of a message-waiting message (None: not shown).

    `power` wakes the voice path; `idle` says whether the line could ring now; `ring_trip` tells the hook
    decoder that ring voltage may be on the line.
    """

    def __init__(
        self,
        line: int,
        *,
        port: FxsPort,
        voice: BellVoice,
        ringer: Ringer,
        scheduler: Scheduler,
        caller_id: Callable[[ev.Caller], bytes | None],
        lamp: Callable[[bool], bytes | None],
        power: Callable[[], None],
        idle: Callable[[], bool],
        ring_trip: Callable[[bool], None],
    ) -> None:
        self._line = line
        self._port = port
        self._voice = voice
        self._ringer = ringer
        self._scheduler = scheduler
        self._caller_id = caller_id
        self._lamp = lamp
        self._power = power
        self._idle = idle
        self._ring_trip = ring_trip
        self._ringing = False
        self._message: bytes | None = None
        self._owed: bool | None = None
        self._timer: Cancellable | None = None
        self._rest: Cancellable | None = None

    @property
    def ringing(self) -> bool:
        """Whether somebody calls, silences between rings included."""
        return self._ringing

    def start(self, caller: ev.Caller, pattern: str) -> None:
        """Ring for `caller`. A message-waiting message under way is cut off, and told later."""
        if self._ringer.announcing:
            self._voice.play_nothing()
        self._ringing = True
        self._ring_trip(True)  # noqa: FBT003 - a switch
        self._message = self._made(lambda: self._caller_id(caller))
        length = len(self._message) / _BYTES_PER_MS if self._message else 0.0
        self._do(self._ringer.start(self._scheduler.time(), pattern, length))

    def stop(self, *, off_hook: bool) -> None:
        """Ring no more, wherever the ringing is."""
        self._ringing = False
        self._message = None
        self._ring_trip(False)  # noqa: FBT003 - a switch
        self._do(self._ringer.stop(self._scheduler.time()))
        if not off_hook:
            self._voice.close()
            self.rested()

    # --- messages that wait --------------------------------------------------------------

    def messages(self, *, waiting: bool) -> None:
        """Put the display's lamp on or out, as soon as the line has rested for a while."""
        self._owed = waiting
        self.rested()

    def rested(self) -> None:
        """Begin to count the rest: the line has come to lie idle, or a lamp is owed."""
        self._forget_rest()
        if self._owed is not None:
            self._rest = self._scheduler.call_at(self._scheduler.time() + _REST_SECONDS, self._announce)

    def lifted(self) -> None:
        """The handset was lifted: whatever was being told on-hook stops at once, and is owed."""
        self._forget_rest()
        if self._ringer.announcing:
            self._ring_trip(False)  # noqa: FBT003 - a switch
            self._do(self._ringer.stop(self._scheduler.time()))

    def _announce(self) -> None:
        self._rest = None
        if self._owed is None or not self._idle() or self._ringer.announcing:
            return  # whoever has the line tells when it rests
        owed = self._owed
        self._message = self._made(lambda: self._lamp(owed))
        if not self._message:
            self._owed = None
            return
        self._ring_trip(True)  # noqa: FBT003 - a switch
        self._do(self._ringer.announce(self._scheduler.time(), len(self._message) / _BYTES_PER_MS))

    def _announced(self) -> None:
        self._owed = self._message = None
        self._ring_trip(False)  # noqa: FBT003 - a switch
        self._voice.close()

    def _forget_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    # --- steps ---------------------------------------------------------------------------

    def _made(self, make: Callable[[], bytes | None]) -> bytes | None:
        """Samples, or None: a message that cannot be made must not cost the call its ring."""
        try:
            return make()
        except ValueError as error:
            _log.warning("line %d: nothing is shown on the telephone: %s", self._line, error)
            return None

    def _do(self, steps: Sequence[RingStep]) -> None:
        for step in steps:
            match step:
                case RingOn(frequency_hz):
                    self._port.start_ring(frequency_hz)
                case RingOff():
                    self._port.stop_ring()
                    if self._ringing:
                        self._power()  # on-hook audio, for caller ID in the pause
                case Polarity(reverse):
                    self._port.set_polarity(reverse=reverse)
                case Wake():
                    self._power()
                case CallerIdDue():
                    if self._message is not None:
                        self._voice.play_samples(self._message)
                case AnnouncementOver():
                    self._announced()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._ringer.next_deadline()
        if due is not None:
            self._timer = self._scheduler.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._do(self._ringer.tick(self._scheduler.time()))

    def shut(self) -> None:
        """Ring off and the battery as it was, at the end of the process."""
        self._forget_rest()
        self._ringing = False
        self._do(self._ringer.stop(self._scheduler.time()))
        self._port.stop_ring()
