"""One call's machine: events in, commands out, by the table of `call_states`. No I/O.

What lives here: what an event means to a call (its trigger), and what a change of state orders. What
must not: a decision where to go (`call_states.TRANSITIONS`), or what a SIP status means (`causes`).
Nothing here waits for a record, a price or an account: an emergency call has nobody to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from firmware.telephony import causes
from firmware.telephony import events as ev
from firmware.telephony.call_states import TIMERS, TRANSITIONS, CallAct, CallState, CallTrigger
from firmware.telephony.events import CallTimer, EndedBy, Tone, Treatment, Words

__all__ = ["CallMachine", "CallSettings", "CallState", "Direction"]

_TRYING, _RINGING, _OK = 100, 180, 200
_TIMEOUT, _UNAVAILABLE, _BUSY_HERE, _TERMINATED = 408, 480, 486, 487
_EMERGENCY_FAILED = Treatment(Tone.CONGESTION, Words.EMERGENCY_FAILED)
_REFUSALS = frozenset((Words.BARRED, Words.NO_CREDIT))


class Direction(Enum):
    """Who calls."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Times in seconds.

    `setup`: an account that has not even said 100 is given up for another (`setup_emergency` for a call
    for help). `trying`: after a 100, and for the only or last account left, which may be slow but is all there is;
    longer than the stack's own 64*T1 (RFC 3261 Timer B). `release`: longer than the stack's own timers. `rounds`:
    how often an emergency tries all routes, with `pause` between.
    """

    setup: float = 20.0
    setup_emergency: float = 8.0
    trying: float = 34.0
    no_answer: float = 180.0
    acknowledge: float = 34.0
    release: float = 40.0
    pause: float = 2.0
    rounds: int = 5


class CallMachine:
    """One call, in one direction, from the first INVITE to the record's end."""

    def __init__(self, key: int, direction: Direction, settings: CallSettings | None = None) -> None:
        self.key = key
        self.direction = direction
        self.state = CallState.NEW
        self.since = 0.0
        self._settings = settings or CallSettings()
        self._routes: tuple[ev.Route, ...] = ()
        self._route = 0
        self._round = 1
        self._emergency = False
        self._heard = False
        self._trying = False

    @property
    def emergency(self) -> bool:
        """Whether this is a call for help: nothing of the box may end it."""
        return self._emergency

    @property
    def route(self) -> ev.Route | None:
        """The route being tried, or that carries the call."""
        return self._routes[self._route] if self._routes else None

    def handle(self, event: ev.CallEvent, now: float) -> list[ev.CallCommand]:
        """Take `event` at `now` (monotonic seconds); the commands to carry out, in their order."""
        trigger = self._trigger(event)
        transition = None if trigger is None else TRANSITIONS[self.state].get(trigger)
        if transition is None:
            return []
        if isinstance(event, ev.Place):
            self._routes, self._emergency = event.routes, event.emergency
        self._trying = trigger is CallTrigger.TRYING
        before, self.state = self.state, transition.to
        if transition.to is not before:
            self.since = now
        # Before the timers: the act chooses the route, and the route's budget is a timer.
        acted = self._act(transition.act, event)
        timers: list[ev.CallCommand] = [] if transition.inside else self._timers(before, event)
        # Telling the line may come back with an event at once: timers must stand by then.
        last = [*acted, ev.Forget()] if self.state is CallState.OVER else acted
        return [*timers, *last]

    # --- what an event means -------------------------------------------------------------

    def _trigger(self, event: ev.CallEvent) -> CallTrigger | None:
        match event:
            case ev.Place(routes) if self.direction is Direction.OUT:
                return CallTrigger.PLACE if routes else CallTrigger.PLACE_NOWHERE
            case ev.Offer() if self.direction is Direction.IN:
                return CallTrigger.OFFER
            case ev.Progress():
                return _progress(event)
            case ev.Confirmed():
                return CallTrigger.CONFIRMED
            case ev.Disconnected():
                return self._disconnected(event)
            case ev.LineAnswers():
                return CallTrigger.LIFTED
            case ev.LineRefuses():
                return CallTrigger.REFUSED
            case ev.LineHangsUp():
                return CallTrigger.HUNG_UP
            case ev.CallTimerFired(timer):
                return self._timer(timer)
            case _:
                return None

    def _disconnected(self, event: ev.Disconnected) -> CallTrigger:
        match self.state:
            case CallState.OFFERED | CallState.ANSWERING:
                return CallTrigger.CANCELLED
            case CallState.CALLING | CallState.ALERTING:
                return self._failed(reroute=causes.explain(event.sip_code, event.q850).reroute)
            case _:
                return CallTrigger.BYE

    def _timer(self, timer: CallTimer) -> CallTrigger | None:
        if timer not in TIMERS[self.state]:
            return None
        match timer:
            case CallTimer.SETUP if self.direction is Direction.OUT:
                trigger = self._failed(reroute=True)
                return CallTrigger.SETUP_OUT if trigger is CallTrigger.FAILED else trigger
            case CallTimer.SETUP:
                return CallTrigger.SETUP_OUT
            case CallTimer.NO_ANSWER:
                trigger = self._failed(reroute=False)
                return CallTrigger.NO_ANSWER if trigger is CallTrigger.FAILED else trigger
            case CallTimer.MAX_DURATION:
                return CallTrigger.CREDIT_OUT
            case CallTimer.RETRY:
                return CallTrigger.RETRY
            case CallTimer.RELEASE:
                return CallTrigger.RELEASED_LATE

    def _failed(self, *, reroute: bool) -> CallTrigger:
        """Whether this route's failure is the call's."""
        another = self._route + 1 < len(self._routes)
        if self._emergency:
            if another:
                return CallTrigger.FAILED_NEXT
            return CallTrigger.FAILED_ROUND if self._round < self._settings.rounds else CallTrigger.FAILED
        # Once the far end rang or was heard, it is the far end that failed.
        if reroute and another and self.state is CallState.CALLING:
            return CallTrigger.FAILED_NEXT
        return CallTrigger.FAILED

    # --- what is ordered -----------------------------------------------------------------

    def _timers(self, before: CallState, event: ev.CallEvent) -> list[ev.CallCommand]:
        fired = event.timer if isinstance(event, ev.CallTimerFired) else None
        old, new = TIMERS[before], TIMERS[self.state]
        stopped = [timer for timer in CallTimer if timer in old - new and timer is not fired]
        if self._limit() is None and CallTimer.MAX_DURATION in stopped:
            stopped.remove(CallTimer.MAX_DURATION)  # was never started
        commands: list[ev.CallCommand] = [ev.StopCallTimer(timer) for timer in stopped]
        for timer in CallTimer:
            seconds = self._seconds(timer) if timer in new else None
            if seconds is not None:
                commands.append(ev.StartCallTimer(timer, seconds))
        return commands

    def _limit(self) -> float | None:
        route = self.route
        return None if route is None or self._emergency else route.max_seconds

    def _seconds(self, timer: CallTimer) -> float | None:
        times = self._settings
        match timer:
            case CallTimer.SETUP if self.direction is Direction.IN:
                return times.acknowledge
            case CallTimer.SETUP if self._trying or self._round > 1 or self._route + 1 == len(self._routes):
                return times.trying
            case CallTimer.SETUP:
                return times.setup_emergency if self._emergency else times.setup
            case CallTimer.NO_ANSWER:
                return times.no_answer
            case CallTimer.MAX_DURATION:
                return self._limit()
            case CallTimer.RELEASE:
                return times.release
            case CallTimer.RETRY:
                return times.pause

    def _act(self, act: CallAct | None, event: ev.CallEvent) -> list[ev.CallCommand]:  # noqa: C901, PLR0912 - a table
        key = self.key
        match act:
            case CallAct.BEGIN:
                return [ev.RecordStart(), *self._invite()]
            case CallAct.FAIL_AT_ONCE if isinstance(event, ev.Place):
                refused = event.no_route.words in _REFUSALS
                end = ev.RecordEnd(EndedBy.REFUSED if refused else EndedBy.FAILED, 0)
                return [ev.RecordStart(), end, ev.TellLine(ev.Failed(key, event.no_route))]
            case CallAct.NEXT:
                stopped = self._abandoned(event)
                self._next_route()
                return [*stopped, *self._invite()]
            case CallAct.PAUSE:
                return self._abandoned(event)
            case CallAct.RING if isinstance(event, ev.Offer):
                return [ev.RecordStart(), ev.SendRinging(), ev.TellLine(ev.Offered(key, event.caller, event.pattern))]
            case CallAct.TELL_RINGING:
                self._heard = True
                return [ev.TellLine(ev.Alerting(key))]
            case CallAct.TELL_MEDIA:
                self._heard = True
                return [ev.TellLine(ev.EarlyMedia(key))]
            case CallAct.ANSWER:
                return [ev.SendAnswer()]
            case CallAct.TALK:
                return [ev.RecordAnswer(), ev.TellLine(ev.Answered(key))]
            case CallAct.TREAT if isinstance(event, ev.Disconnected):
                cause = causes.explain(event.sip_code, event.q850)
                treatment = _EMERGENCY_FAILED if self._emergency else cause.treatment
                return [ev.RecordEnd(cause.ended_by, event.sip_code), ev.TellLine(ev.Failed(key, treatment))]
            case CallAct.GIVE_UP:
                cause = causes.explain(_TIMEOUT)
                treatment = _EMERGENCY_FAILED if self._emergency else cause.treatment
                failed = ev.TellLine(ev.Failed(key, treatment))
                return [ev.SendEnd(), ev.RecordEnd(cause.ended_by, _TIMEOUT), failed]
            case CallAct.RELEASE if isinstance(event, ev.Disconnected):
                return [self._far_end(event), ev.TellLine(ev.Released(key))]
            case CallAct.MISS if isinstance(event, ev.Disconnected):
                return [_missed(event), ev.TellLine(ev.Withdrawn(key))]
            case CallAct.TURN_AWAY:
                busy = isinstance(event, ev.LineRefuses) and event.busy
                code = _BUSY_HERE if busy else _UNAVAILABLE
                return [ev.SendEnd(code), ev.RecordEnd(EndedBy.BUSY if busy else EndedBy.NO_ANSWER, code)]
            case CallAct.CANCEL:
                end = ev.RecordEnd(EndedBy.CANCELLED, _TERMINATED)
                return [end] if self.state is CallState.OVER else [ev.SendEnd(), end]
            case CallAct.HANG_UP:
                who = EndedBy.CALLER if self.direction is Direction.OUT else EndedBy.CALLEE
                return [ev.SendEnd(), ev.RecordEnd(who, _OK)]
            case CallAct.CUT:
                return [ev.SendEnd(), ev.RecordEnd(EndedBy.CREDIT, _OK), ev.TellLine(ev.Released(key))]
            case CallAct.ABANDON:
                return [ev.SendEnd(), ev.RecordEnd(EndedBy.FAILED, _TIMEOUT), ev.TellLine(ev.Released(key))]
            case CallAct.END_AGAIN:
                return [ev.SendEnd()]
            case _:
                return []

    def _invite(self) -> list[ev.CallCommand]:
        return [ev.Invite(self._routes[self._route], self._emergency)]

    def _next_route(self) -> None:
        self._route += 1
        if self._route == len(self._routes):
            self._route = 0
            self._round += 1

    def _abandoned(self, event: ev.CallEvent) -> list[ev.CallCommand]:
        """Leave the present attempt: end it if it is we who gave up, and unsay what was heard of it."""
        commands: list[ev.CallCommand] = []
        if isinstance(event, ev.CallTimerFired) and event.timer is not CallTimer.RETRY:
            commands.append(ev.SendEnd())
        if self._heard:
            self._heard = False
            commands.append(ev.TellLine(ev.Rerouted(self.key)))
        return commands

    def _far_end(self, event: ev.Disconnected) -> ev.RecordEnd:
        who = EndedBy.CALLEE if self.direction is Direction.OUT else EndedBy.CALLER
        return ev.RecordEnd(who, event.sip_code)


def _progress(event: ev.Progress) -> CallTrigger:
    """180 rings, with or without SDP: a provider that sends SDP but no sound must not make silence."""
    if event.sip_code == _RINGING:
        return CallTrigger.RINGING
    return CallTrigger.MEDIA if event.media and event.sip_code > _TRYING else CallTrigger.TRYING


def _missed(event: ev.Disconnected) -> ev.RecordEnd:
    """A CANCEL: missed, unless another telephone of the account took it (RFC 3326: SIP ;cause=200)."""
    if event.sip_code == _OK or "elsewhere" in event.reason.lower():
        return ev.RecordEnd(EndedBy.ELSEWHERE, _OK)
    return ev.RecordEnd(EndedBy.NO_ANSWER, event.sip_code or _TERMINATED)
