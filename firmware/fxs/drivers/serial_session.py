"""A hat's session as a state machine: device, greeting, heartbeat, wishes and events. Pure.

Theory of operation. Four states:

  ABSENT    no device. It is opened again after a back-off that grows to half a second.
  GREETING  the device is open; HELLO is repeated until the hat answers. One that never does is closed.
  UP        every line's STATE was asked for. Wishes (ring, polarity, power) are compared with what
            the hat has confirmed, and the difference is ordered; PING is the heartbeat; STATE, once
            a second, repairs whatever was lost.
  REFUSED   the hat speaks another protocol: told in words, and asked again, for it may be updated.

Nothing is queued for the hat: of a wish only the latest value counts, so that a stalled hat costs
no memory, and one that comes back finds what is wanted now. A fault is told once the hat has been
away for `grace_seconds`, so that a stumble within a call is not a hang-up; `LineRestored` always
follows, with the loop as it is then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from firmware.fxs.drivers import serial_protocol as words
from firmware.fxs.drivers.serial_clock import HatClock
from firmware.fxs.drivers.serial_line import WISHES, HatLine, Value
from firmware.fxs.drivers.serial_protocol import Order
from firmware.fxs.drivers.serial_vocabulary import (
    CloseDevice,
    Gone,
    Heard,
    Note,
    OpenDevice,
    Opened,
    Phase,
    Send,
    SessionCommand,
    SessionEvent,
    Tell,
    Ticked,
    Timing,
    Wanted,
)
from firmware.fxs.port import Capability, DigitEvent, LineFault, LineRestored, LoopEdge

_MAX_PENDING = 64
_MAX_STATES = 2
_FORGOTTEN_SECONDS = 2.0
_HALF_COUNT = words.MAX_SEQUENCE >> 1
_ABILITIES = {
    "POLARITY": Capability.POLARITY_REVERSAL,
    "POWER": Capability.POWER_DENIAL,
    "ONHOOK": Capability.ON_HOOK_AUDIO,
    "DTMF": Capability.DIGITS,
}


@dataclass(slots=True)
class _Asked:
    """An order on its way."""

    kind: Order
    line: int
    value: Value
    at: float
    repeat_at: float


class Session:
    """One hat. `handle` every event with the time (monotonic seconds); `Ticked` at `next_deadline()`."""

    def __init__(self, name: str, now: float, timing: Timing | None = None) -> None:
        self._name = name
        self._timing = timing or Timing()
        self._phase = Phase.ABSENT
        self._clock = HatClock()
        self._lines: dict[int, HatLine] = {}
        self._seq = 0
        self._pending: dict[int, _Asked] = {}
        self._counted: int | None = None
        self._due = now
        """When the phase's own next step is due: opening, or HELLO again."""
        self._back_off = self._timing.retry_seconds
        self._greet_until = 0.0
        self._ping_due = 0.0
        self._answered = 0.0
        self._fault_due: float | None = now + self._timing.grace_seconds
        self._trouble = f"the hat at {name} does not answer"
        self._hat_lines = 0
        self.capabilities: frozenset[Capability] = frozenset()

    @property
    def phase(self) -> Phase:
        """Where the session is."""
        return self._phase

    @property
    def clock_uncertainty(self) -> float:
        """How far a time of the hat may be wrong, in seconds."""
        return self._clock.uncertainty

    def loop_closed(self, line: int) -> bool:
        """The loop as last told; open when the hat is gone."""
        view = self._lines.get(line)
        return view is not None and view.loop_closed

    def settled(self) -> bool:
        """Whether the hat has confirmed that no line rings that should not, or cannot be asked."""
        return self._phase is not Phase.UP or all(view.silent for view in self._lines.values())

    def next_deadline(self) -> float:
        """When to tick next."""
        due = [self._due]
        if self._phase is Phase.UP:
            due = [self._ping_due, self._answered + self._timing.silence_seconds]
            due += [min(asked.repeat_at, asked.at + _FORGOTTEN_SECONDS) for asked in self._pending.values()]
            due += [view.owed_at for view in self._lines.values() if view.owes_edge]
        elif self._phase is Phase.GREETING:
            due.append(self._greet_until)
        if self._fault_due is not None:
            due.append(self._fault_due)
        return min(due)

    def handle(self, event: SessionEvent, now: float) -> list[SessionCommand]:
        """What to do about `event`. An event that the phase does not know changes nothing."""
        reaction = _TABLE.get((self._phase, type(event)))
        if reaction is None:
            return []
        return list(reaction(self, event, now))

    # --- ABSENT --------------------------------------------------------------------------

    def _open(self, _event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        if now >= self._due:
            self._due = now + self._back_off
            self._back_off = min(2 * self._back_off, self._timing.longest_retry_seconds)
            yield OpenDevice()
        yield from self._tell_faults(now)

    def _opened(self, _event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        self._greet_until = now + self._timing.greeting_seconds
        yield from self._greet(now)

    def _not_opened(self, event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        self._trouble = cast("Gone", event).detail
        yield from self._tell_faults(now)

    # --- GREETING, REFUSED ---------------------------------------------------------------

    def _greet(self, now: float) -> Iterator[SessionCommand]:
        self._phase = Phase.GREETING
        self._due = now + self._timing.hello_seconds
        yield self._send(Order.HELLO, 0, 0.0, now, str(words.PROTOCOL))

    def _greet_again(self, _event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        yield from self._tell_faults(now)
        if self._phase is Phase.GREETING and now >= self._greet_until:
            yield from self._lose(f"the hat at {self._name} does not answer", now)
        elif now >= self._due:
            pause = self._timing.hello_seconds if self._phase is Phase.GREETING else self._timing.refused_seconds
            self._due = now + pause
            yield self._send(Order.HELLO, 0, 0.0, now, str(words.PROTOCOL))

    def _answered_hello(self, event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        message = cast("Heard", event).message
        if isinstance(message, words.Booted):  # now it can answer
            self._due = now
        if not isinstance(message, words.Hello):
            return
        asked = self._pending.get(message.seq)
        if asked is None or asked.kind is not Order.HELLO:
            return
        self._pending.clear()
        if message.protocol != words.PROTOCOL:
            self._phase = Phase.REFUSED
            self._due = now + self._timing.refused_seconds
            self._trouble = (
                f"the hat at {self._name} ({message.firmware}) speaks protocol {message.protocol}, this box "
                f"{words.PROTOCOL}: update the hat's firmware or the box (docs/serial-hat.md)"
            )
            self._fault_due = now
            yield from self._tell_faults(now)
            return
        self._phase = Phase.UP
        self._back_off = self._timing.retry_seconds
        self._clock.reset()
        self._clock.exchanged(asked.at, message.ms, now)
        self._counted = None
        self._answered = now
        self._ping_due = now + self._timing.ping_seconds
        self._hat_lines = message.lines
        self.capabilities = frozenset(_ABILITIES[word] for word in message.abilities if word in _ABILITIES)
        yield Note(f"hat at {self._name}: {message.firmware}, {message.lines} line(s)")
        # A silent fault of a line that the hat does not have must not wait for a STATE that never comes.
        self._fault_due = now + self._timing.grace_seconds if self._lines else None
        self._trouble = f"the hat at {self._name} does not say how its line is"
        for view in self._lines.values():
            view.forget()
            yield from self._ask_state(view, now)

    # --- UP ------------------------------------------------------------------------------

    def _heartbeat(self, _event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        if now >= self._answered + self._timing.silence_seconds:
            self._fault_due = now
            yield from self._lose(f"the hat at {self._name} is silent", now)
            return
        if now >= self._ping_due:
            self._ping_due = now + self._timing.ping_seconds
            yield self._send(Order.PING, 0, 0.0, now)
            for view in self._lines.values():
                if now >= view.state_due:
                    yield from self._ask_state(view, now)
        yield from self._again(now)
        for view in self._lines.values():
            yield from self._tell_level(view, now, now)
        yield from self._tell_faults(now)

    def _again(self, now: float) -> Iterator[SessionCommand]:
        """Repeat orders that the hat has not answered; their numbers stay known for a late answer."""
        for seq, asked in list(self._pending.items()):
            if now >= asked.at + _FORGOTTEN_SECONDS:
                del self._pending[seq]
            if now < asked.repeat_at:
                continue
            asked.repeat_at = math.inf
            view = self._lines.get(asked.line)
            if view is None:
                continue
            if asked.kind is Order.STATE:
                if not view.synced:
                    yield from self._ask_state(view, now)
            elif view.sent.get(asked.kind) == asked.value:
                del view.sent[asked.kind]
                yield from self._reconcile(view, now)

    def _heard(self, event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        message = cast("Heard", event).message
        match message:
            case words.Booted():
                yield from self._start_over(now)
            case words.Refused(reason=words.HELLO_FIRST):
                yield from self._start_over(now)
            case words.Done() | words.Refused() | words.State():
                yield from self._replied(message, now)
            case words.Hello():
                pass  # a late answer: the first one counted
            case _:
                yield from self._happened(message, now)

    def _start_over(self, now: float) -> Iterator[SessionCommand]:
        """The hat has begun anew behind an open device: greet it again, and tell a fault only if that takes long."""
        self._trouble = f"the hat at {self._name} restarted and does not answer"
        self._fault_due = now + self._timing.grace_seconds
        self._greet_until = now + self._timing.greeting_seconds
        self._pending.clear()
        for view in self._lines.values():
            view.forget()
        yield Note(f"hat at {self._name}: restarted")
        yield from self._greet(now)

    def _replied(self, message: words.Reply, now: float) -> Iterator[SessionCommand]:
        asked = self._pending.pop(message.seq, None)
        if asked is None:
            return  # twice, or for an order of long ago
        self._clock.exchanged(asked.at, message.ms, now)
        self._answered = now
        view = self._lines.get(asked.line)
        if view is None:
            return
        if isinstance(message, words.State):
            if asked.kind is Order.STATE and message.line == asked.line:
                yield from self._state(view, message, now)
        elif isinstance(message, words.Refused):
            yield from self._refused(view, asked, message.reason)
        elif asked.kind in WISHES:
            view.carried_out(asked.kind, asked.value)
            yield from self._reconcile(view, now)

    def _refused(self, view: HatLine, asked: _Asked, reason: str) -> Iterator[SessionCommand]:
        if asked.kind in WISHES:
            view.not_carried_out(asked.kind, asked.value)
        yield Note(f"hat at {self._name}: refused {asked.kind.value} of line {asked.line}: {reason}")

    def _state(self, view: HatLine, state: words.State, now: float) -> Iterator[SessionCommand]:
        view.confirmed[Order.RING] = state.ring_hz
        view.confirmed[Order.POLARITY] = state.reverse
        view.confirmed[Order.POWER] = state.power
        view.closed = state.closed
        if not view.synced:
            view.synced, view.faulty, view.told_closed = True, False, state.closed
            if all(known.synced or known.faulty for known in self._lines.values()):
                self._fault_due = None
            if view.hat_fault:
                yield self._faulty(view, now)
            else:
                yield Tell(view.number, LineRestored(state.closed, now))
        else:
            yield from self._tell_level(view, now, now)
        yield from self._reconcile(view, now)

    def _happened(self, event: words.HatEvent, now: float) -> Iterator[SessionCommand]:
        if self._counted is not None:
            ahead = (event.number - self._counted - 1) % words.MAX_SEQUENCE
            if ahead >= _HALF_COUNT:
                return  # heard already
            if ahead:  # some were lost: look how the lines are
                for known in self._lines.values():
                    yield from self._ask_state(known, now)
        self._counted = event.number
        view = self._lines.get(event.line)
        if view is None:
            return
        if not view.synced:
            if isinstance(event, words.Fault):  # told with the STATE that is on its way
                view.hat_fault = event.reason
            return
        at = self._clock.host_time(event.ms, now)
        match event:
            case words.Hook(closed=closed):
                view.closed = closed
                yield from self._tell_level(view, at, now)
            case words.Trip():
                view.tripped, view.confirmed[Order.RING] = True, 0.0
                view.closed = True
                yield from self._tell_level(view, at, now)
            case words.Quiet(reason=reason):
                view.confirmed[Order.RING] = 0.0
                view.tripped = reason != "HEARTBEAT"
                yield Note(f"hat at {self._name}: took the ring of line {event.line} off ({reason})")
                yield from self._reconcile(view, now)
            case words.Digit(digit=digit):
                if Capability.DIGITS in self.capabilities:
                    yield Tell(event.line, DigitEvent(digit, at))
            case words.Fault(reason=reason):
                yield from self._hat_fault(view, reason, at)

    def _hat_fault(self, view: HatLine, reason: str, at: float) -> Iterator[SessionCommand]:
        before, view.hat_fault = view.hat_fault, reason
        if reason and not before:
            yield self._faulty(view, at)
        elif before and not reason:
            view.told_closed = view.closed
            yield Tell(view.number, LineRestored(view.closed, at))

    def _faulty(self, view: HatLine, at: float) -> SessionCommand:
        detail = f"the hat at {self._name} reports {view.hat_fault} on its line {view.number}"
        return Tell(view.number, LineFault(detail, at))

    def _wanted(self, event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        wanted = cast("Wanted", event)
        if wanted.wish is None:
            gone = self._lines.pop(wanted.line, None)
            if gone is not None and self._phase is Phase.UP and gone.synced:
                yield self._send(Order.RING, gone.number, 0.0, now, str(gone.number), "OFF")
            return
        view = self._lines.get(wanted.line)
        if view is None:
            view = self._lines[wanted.line] = HatLine(wanted.line, wanted.wish, self._timing.edges_per_second, now)
            if self._phase is Phase.UP:
                self._fault_due = now + self._timing.grace_seconds
                yield from self._ask_state(view, now)
            elif self._fault_due is None:
                self._fault_due = now + self._timing.grace_seconds
            return
        view.wish = wanted.wish
        if wanted.wish.ring_hz == 0:
            view.tripped = False
        yield from self._reconcile(view, now)

    # --- what is common ------------------------------------------------------------------

    def _reconcile(self, view: HatLine, now: float) -> Iterator[SessionCommand]:
        """Order what differs from the wish and is neither on its way nor refused."""
        if self._phase is Phase.UP:
            for kind, value in view.orders(self.capabilities):
                yield self._send(kind, view.number, value, now, str(view.number), WISHES[kind](value))

    def _ask_state(self, view: HatLine, now: float) -> Iterator[SessionCommand]:
        view.state_due = now + self._timing.state_seconds
        if view.number > self._hat_lines:
            if not view.faulty:
                view.faulty = True
                detail = f"the hat at {self._name} has {self._hat_lines} line(s), and none of number {view.number}"
                yield Tell(view.number, LineFault(detail, now))
            return
        waiting = sum(
            asked.kind is Order.STATE and asked.line == view.number and asked.repeat_at < math.inf
            for asked in self._pending.values()
        )
        if waiting < _MAX_STATES:
            yield self._send(Order.STATE, view.number, 0.0, now, str(view.number))

    def _send(self, kind: Order, line: int, value: Value, now: float, *arguments: str) -> Send:
        self._seq = (self._seq + 1) % words.MAX_SEQUENCE
        if len(self._pending) >= _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[self._seq] = _Asked(kind, line, value, now, now + self._timing.order_seconds)
        return Send(words.order(kind, self._seq, *arguments))

    def _tell_level(self, view: HatLine, at: float, now: float) -> Iterator[SessionCommand]:
        """An edge, if the box does not know the level yet and the hat does not chatter beyond all contacts."""
        if view.may_tell(now):
            yield Tell(view.number, LoopEdge(view.closed, at))

    def _failed(self, event: SessionEvent, now: float) -> Iterator[SessionCommand]:
        if self._fault_due is None:
            self._fault_due = now + self._timing.grace_seconds
        yield from self._lose(cast("Gone", event).detail, now)

    def _lose(self, detail: str, now: float) -> Iterator[SessionCommand]:
        """Close the device and begin again at once."""
        self._trouble = detail
        self._phase = Phase.ABSENT
        self._due = now + self._timing.retry_seconds
        if self._fault_due is None:
            self._fault_due = now + self._timing.grace_seconds
        self._pending.clear()
        for view in self._lines.values():
            view.forget()
        yield CloseDevice()
        yield from self._tell_faults(now)

    def _tell_faults(self, now: float) -> Iterator[SessionCommand]:
        """The fault of every line that is still without its hat, once that is certain."""
        if self._fault_due is None or now < self._fault_due:
            return
        self._fault_due = None
        for line, view in self._lines.items():
            if not view.synced and not view.faulty:
                view.faulty = True
                view.closed = view.told_closed = False
                yield Tell(line, LineFault(self._trouble, now))


_Reaction = Callable[[Session, SessionEvent, float], Iterator[SessionCommand]]
_TABLE: dict[tuple[Phase, type], _Reaction] = {
    (Phase.ABSENT, Ticked): Session._open,  # noqa: SLF001 - the table is the class's own
    (Phase.ABSENT, Opened): Session._opened,  # noqa: SLF001
    (Phase.ABSENT, Gone): Session._not_opened,  # noqa: SLF001
    (Phase.GREETING, Ticked): Session._greet_again,  # noqa: SLF001
    (Phase.GREETING, Heard): Session._answered_hello,  # noqa: SLF001
    (Phase.GREETING, Gone): Session._failed,  # noqa: SLF001
    (Phase.REFUSED, Ticked): Session._greet_again,  # noqa: SLF001
    (Phase.REFUSED, Heard): Session._answered_hello,  # noqa: SLF001
    (Phase.REFUSED, Gone): Session._failed,  # noqa: SLF001
    (Phase.UP, Ticked): Session._heartbeat,  # noqa: SLF001
    (Phase.UP, Heard): Session._heard,  # noqa: SLF001
    (Phase.UP, Gone): Session._failed,  # noqa: SLF001
    **{(phase, Wanted): Session._wanted for phase in Phase},  # noqa: SLF001
}
