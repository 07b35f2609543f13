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
_PIN_REFUSED = Treatment(Tone.CONGESTION, Words.PIN_REFUSED)
_TECHNICAL = Treatment(Tone.CONGESTION, Words.TECHNICAL)
_CUT = Treatment(Tone.BUSY, Words.BUDGET_CUT)


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
    how often an emergency tries all routes, with `pause` between. `warnings`: how long before the end a call with
    a limit is warned, longest first. `prepare`: a line that neither lets a call leave nor hangs up; longer than
    the line's own times. `tries`: how many PINs a call takes.
    """

    setup: float = 20.0
    setup_emergency: float = 8.0
    trying: float = 34.0
    no_answer: float = 180.0
    acknowledge: float = 34.0
    release: float = 40.0
    pause: float = 2.0
    rounds: int = 5
    warnings: tuple[float, ...] = (60.0, 10.0)
    prepare: float = 120.0
    tries: int = 3


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
        self._announced: ev.Announce | None = None  # the dearest that was heard
        self._failed_by: frozenset[str] = frozenset()
        self._wrong = 0
        self._warned = 0

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
        elif isinstance(event, ev.Unlocked):
            self._routes, self._route = self._opened(event), 0
        self._trying = trigger is CallTrigger.TRYING
        before, self.state = self.state, transition.to
        if transition.to is not before:
            self.since = now
        # Before the timers: the act chooses the route, and the route's budget is a timer.
        acted = self._act(transition.act, event)
        timers: list[ev.CallCommand] = [] if transition.inside else self._timers(before, event)
        if transition.act is CallAct.WARN:
            timers = self._warning(now)
        # Telling the line may come back with an event at once: timers must stand by then. But the answer
        # is recorded before its time is measured: a call is never cut before it has lasted that long.
        stops = [command for command in timers if isinstance(command, ev.StopCallTimer)]
        starts = timers[len(stops) :]
        answer = [command for command in acted if isinstance(command, ev.RecordAnswer)]
        rest = acted[len(answer) :]
        last = [*rest, ev.Forget()] if self.state is CallState.OVER else rest
        return [*stops, *answer, *starts, *last]

    # --- what an event means -------------------------------------------------------------

    def _trigger(self, event: ev.CallEvent) -> CallTrigger | None:
        match event:
            case ev.Place() if self.direction is Direction.OUT:
                return self._place(event)
            case ev.LineProceeds():
                return CallTrigger.LINE_READY
            case ev.Unlocked():
                return self._unlock(event)
            case ev.PinFailed(final):
                spent = final or self._wrong + 1 >= self._settings.tries
                return CallTrigger.PIN_SPENT if spent else CallTrigger.PIN_WRONG
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

    def _place(self, event: ev.Place) -> CallTrigger:
        if not event.routes:
            return CallTrigger.PLACE_NOWHERE
        if event.emergency:
            return CallTrigger.PLACE
        if event.routes[0].needs_pin:
            return CallTrigger.PLACE_LOCKED
        return CallTrigger.PLACE_PRICED if event.routes[0].announce is not None else CallTrigger.PLACE

    def _unlock(self, event: ev.Unlocked) -> CallTrigger:
        routes = self._opened(event)
        if not routes:
            return CallTrigger.UNLOCKED_NOWHERE
        return CallTrigger.UNLOCKED_PRICED if self._to_say(routes[0]) else CallTrigger.UNLOCKED

    def _opened(self, event: ev.Unlocked) -> tuple[ev.Route, ...]:
        """What the PIN opens, without what has failed already."""
        return tuple(route for route in event.routes if not route.needs_pin and route.account not in self._failed_by)

    def _to_say(self, route: ev.Route) -> bool:
        return route.announce is not None and route.announce.dearer(self._announced)

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
            case CallTimer.WARNING:
                return CallTrigger.CREDIT_LOW
            case CallTimer.PREPARE:
                return CallTrigger.PREPARE_OUT
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
            route = self._routes[self._route + 1]
            if route.needs_pin:
                return CallTrigger.FAILED_LOCKED
            return CallTrigger.FAILED_PRICED if self._to_say(route) else CallTrigger.FAILED_NEXT
        return CallTrigger.FAILED

    # --- what is ordered -----------------------------------------------------------------

    def _timers(self, before: CallState, event: ev.CallEvent) -> list[ev.CallCommand]:
        fired = event.timer if isinstance(event, ev.CallTimerFired) else None
        old, new = TIMERS[before], TIMERS[self.state]
        stopped = [timer for timer in CallTimer if timer in old - new and timer is not fired]
        if self._limit() is None and CallTimer.MAX_DURATION in stopped:
            stopped.remove(CallTimer.MAX_DURATION)  # was never started
        if self._warned == len(self._warnings()) and CallTimer.WARNING in stopped:
            stopped.remove(CallTimer.WARNING)  # was never started, or the last has been given
        commands: list[ev.CallCommand] = [ev.StopCallTimer(timer) for timer in stopped]
        for timer in CallTimer:
            seconds = self._seconds(timer) if timer in new else None
            if seconds is not None:
                commands.append(ev.StartCallTimer(timer, seconds))
        return commands

    def _warnings(self) -> tuple[float, ...]:
        """Those that the call is long enough for."""
        limit = self._limit()
        return () if limit is None else tuple(early for early in self._settings.warnings if early < limit)

    def _warning(self, now: float) -> list[ev.CallCommand]:
        """The next warning's timer. Counted from the answer, so that lateness does not add up."""
        limit, left = self._limit(), self._warnings()[self._warned :]
        if limit is None or not left:
            return []
        return [ev.StartCallTimer(CallTimer.WARNING, max(0.0, self.since + limit - left[0] - now))]

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
            case CallTimer.WARNING:
                limit, warnings = self._limit(), self._warnings()
                return None if limit is None or not warnings else limit - warnings[0]
            case CallTimer.PREPARE:
                return times.prepare
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
                refused = event.no_route.words in causes.REFUSALS
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
            case CallAct.WARN:
                self._warned += 1
                left = self._warnings()[self._warned - 1]
                return [ev.TellLine(ev.Warned(key, left))]
            case CallAct.CUT:
                return [ev.SendEnd(), ev.RecordEnd(EndedBy.CREDIT, _OK), ev.TellLine(ev.Released(key, _CUT))]
            case CallAct.ABANDON:
                return [ev.SendEnd(), ev.RecordEnd(EndedBy.FAILED, _TIMEOUT), ev.TellLine(ev.Released(key))]
            case CallAct.END_AGAIN:
                return [ev.SendEnd()]
            case _:
                return self._act_before(act, event)

    def _act_before(self, act: CallAct | None, event: ev.CallEvent) -> list[ev.CallCommand]:
        """What is ordered while nothing of the call has left, or nothing of its next route."""
        key = self.key
        match act:
            case CallAct.BEGIN_PRICED:
                return [ev.RecordStart(), *self._say_price()]
            case CallAct.BEGIN_LOCKED:
                return [ev.RecordStart(), ev.TellLine(ev.PinWanted(key))]
            case CallAct.GO:
                return self._invite()
            case CallAct.PRICE:
                return self._say_price()
            case CallAct.ASK_AGAIN:
                self._wrong += 1
                return [ev.TellLine(ev.PinWanted(key, again=True))]
            case CallAct.SHUT_OUT:
                return self._shut_out(event)
            case CallAct.DECLINE:
                return [ev.RecordEnd(EndedBy.DECLINED, 0)]
            case CallAct.NEXT_PRICED | CallAct.NEXT_LOCKED:
                stopped = self._abandoned(event)
                self._next_route()
                asked = [ev.TellLine(ev.PinWanted(key))] if act is CallAct.NEXT_LOCKED else self._say_price()
                return [*stopped, *asked]
            case _:
                return []

    def _invite(self) -> list[ev.CallCommand]:
        return [ev.Invite(self._routes[self._route], self._emergency)]

    def _say_price(self) -> list[ev.CallCommand]:
        announce = self._routes[self._route].announce
        assert announce is not None  # noqa: S101 - the trigger was chosen by it
        self._announced = announce
        return [ev.TellLine(ev.Priced(self.key, announce))]

    def _shut_out(self, event: ev.CallEvent) -> list[ev.CallCommand]:
        """Nothing leaves after all: no PIN, a PIN that opens nothing, or a line that has forgotten the call."""
        match event:
            case ev.Unlocked(routes, no_route) if not routes:
                treatment = no_route
            case ev.CallTimerFired():
                treatment = _TECHNICAL
            case _:
                treatment = _PIN_REFUSED
        ended_by = EndedBy.REFUSED if treatment.words in causes.REFUSALS else EndedBy.FAILED
        return [ev.RecordEnd(ended_by, 0), ev.TellLine(ev.Failed(self.key, treatment))]

    def _next_route(self) -> None:
        self._failed_by |= {self._routes[self._route].account}
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
