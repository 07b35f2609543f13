"""No sequence of events makes a call immortal, or records it twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware.telephony import events as ev
from firmware.telephony.call import CallMachine, Direction
from firmware.telephony.call_states import CallState
from firmware.telephony.events import CallTimer

CODES = st.sampled_from([0, 200, 302, 401, 403, 404, 408, 480, 486, 487, 500, 503, 600, 603, 699])
CAUSES = st.sampled_from([None, 1, 16, 17, 19, 34, 127, 999])
LATE: list[ev.CallEvent] = [
    ev.Confirmed(),
    ev.Disconnected(200),
    ev.Progress(180, media=False),
    ev.LineHangsUp(),
    ev.LineAnswers(),
]
STARTS = st.tuples(
    st.sampled_from([Direction.OUT, Direction.OUT, Direction.IN]),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([None, 5.0, 30.0, 90.0]),
    st.tuples(*[st.integers(0, 3)] * 3),
)
CHEAP, DEAR = (ev.Announce(Decimal(price), "minute", "EUR") for price in ("0.20", "0.34"))
# What a route asks before it carries a call: nothing, a price, a PIN, both.
ASKED: list[dict[str, Any]] = [
    {},
    {"announce": CHEAP},
    {"announce": DEAR},
    {"announce": DEAR, "needs_pin": True},
]


class Exchange(RuleBasedStateMachine):
    """Carries the commands out on a model of the stack, the ledger and the line."""

    @initialize(start=STARTS)
    def first(self, start: tuple[Direction, int, bool, float | None, tuple[int, ...]]) -> None:
        self.start(*start)

    def start(
        self,
        direction: Direction,
        routes: int,
        emergency: bool,  # noqa: FBT001
        limit: float | None,
        asked: tuple[int, ...],
    ) -> None:
        self.call = CallMachine(1, direction)
        self.emergency = emergency and direction is Direction.OUT
        self.opened = self.answered = self.closed = self.forgotten = 0
        self.timers: set[CallTimer] = set()
        self.invited = 0
        self.dialog = False
        self.asked_to_end = False
        self.line: object = None
        self.heard: list[ev.Announce] = []
        self.let_go: list[ev.Announce] = []
        self.pins = 0
        self.unlocked = False
        self.warnings: list[float] = []
        if direction is Direction.OUT:
            self.routes = tuple(ev.Route(f"a{n}", "15", limit, **ASKED[asked[n]]) for n in range(routes))
            self.give(ev.Place(self.routes, emergency))
        else:
            self.dialog = True
            self.give(ev.Offer(ev.Caller("0612345678")))

    def give(self, event: ev.CallEvent) -> None:
        for command in self.call.handle(event, 0.0):
            self.carry_out(command)

    def carry_out(self, command: ev.CallCommand) -> None:
        assert not self.forgotten, f"{command} after Forget"
        match command:
            case ev.RecordStart():
                self.opened += 1
            case ev.RecordAnswer():
                assert not self.answered
                assert not self.closed
                self.answered += 1
            case ev.RecordEnd():
                assert self.opened
                self.closed += 1
            case ev.Invite(route, emergency):
                if not emergency:
                    assert not route.needs_pin
                    assert route.announce is None or any(not route.announce.dearer(a) for a in self.let_go)
                assert self.opened, "a call must be recorded before it leaves"
                assert emergency is self.emergency
                assert not self.dialog, "an INVITE while the last attempt lives"
                self.invited += 1
                self.dialog, self.asked_to_end = True, False
            case ev.SendEnd():
                assert self.dialog
                self.asked_to_end = True
                if self.call.state in {CallState.CALLING, CallState.WAITING, CallState.ANNOUNCING, CallState.LOCKED}:
                    self.dialog = False  # given up: the box takes no more of its events
            case ev.SendRinging() | ev.SendAnswer():
                assert self.dialog
            case ev.TellLine(event):
                self.line = event
                self.tell(event)
            case ev.StartCallTimer(timer, seconds):
                assert seconds > 0
                self.timers.add(timer)
            case ev.StopCallTimer(timer):
                self.timers.remove(timer)
            case ev.Forget():
                self.forgotten += 1

    def tell(self, event: object) -> None:
        match event:
            case ev.Priced(_, announce):
                assert not self.emergency
                self.heard.append(announce)
            case ev.PinWanted(again=again):
                assert not self.emergency
                self.pins += 1
                assert again is (self.pins > 1)
            case ev.Warned(_, seconds):
                assert self.answered
                self.warnings.append(seconds)
                assert self.warnings == sorted(self.warnings, reverse=True)
            case _:
                pass

    @precondition(lambda self: self.call.state is CallState.ANNOUNCING)
    @rule()
    def the_price_was_heard(self) -> None:
        self.let_go = self.heard[:]
        self.give(ev.LineProceeds())
        assert self.call.state is CallState.CALLING

    @precondition(lambda self: self.call.state is CallState.LOCKED)
    @rule(right=st.booleans(), routes=st.integers(0, 3), final=st.integers(0, 5))
    def a_pin_was_checked(self, right: bool, routes: int, final: int) -> None:  # noqa: FBT001
        if right:
            opened = tuple(replace(route, needs_pin=False) for route in self.routes[:routes])
            self.give(ev.Unlocked(opened))
        else:
            self.give(ev.PinFailed(final=final == 0))

    @rule(event=st.sampled_from([ev.LineProceeds(), ev.Unlocked(()), ev.PinFailed()]))
    def the_line_says_what_nobody_asked(self, event: ev.CallEvent) -> None:
        if self.call.state not in {CallState.ANNOUNCING, CallState.LOCKED}:
            assert self.call.handle(event, 0.0) == []

    @precondition(lambda self: self.dialog)
    @rule(code=st.sampled_from([100, 180, 181, 183, 199]), media=st.booleans())
    def progress(self, code: int, media: bool) -> None:  # noqa: FBT001
        if self.call.direction is Direction.OUT:
            self.give(ev.Progress(code, media))

    @precondition(lambda self: self.dialog)
    @rule()
    def confirmed(self) -> None:
        self.give(ev.Confirmed())

    @precondition(lambda self: self.dialog)
    @rule(code=CODES, q850=CAUSES)
    def disconnected(self, code: int, q850: int | None) -> None:
        self.dialog = False
        self.give(ev.Disconnected(code, "", q850))

    @precondition(lambda self: self.call.direction is Direction.IN and not self.forgotten)
    @rule(busy=st.booleans())
    def refuse(self, busy: bool) -> None:  # noqa: FBT001
        self.give(ev.LineRefuses(busy))

    @precondition(lambda self: self.call.direction is Direction.IN and not self.forgotten)
    @rule()
    def lift(self) -> None:
        self.give(ev.LineAnswers())

    @precondition(lambda self: not self.forgotten)
    @rule(patience=st.integers(0, 5))
    def hang_up(self, patience: int) -> None:
        """One time in six, so that calls live long enough to go wrong in other ways."""
        if patience == 0:
            self.give(ev.LineHangsUp())

    @precondition(lambda self: self.forgotten)
    @rule(data=st.data())
    def something_comes_late_and_another_call_begins(self, data: st.DataObject) -> None:
        assert self.call.handle(data.draw(st.sampled_from(LATE)), 0.0) == []
        self.start(*data.draw(STARTS))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        timer = data.draw(st.sampled_from(sorted(self.timers, key=lambda timer: timer.value)))
        self.timers.remove(timer)
        self.give(ev.CallTimerFired(timer))

    @rule(timer=st.sampled_from(CallTimer))
    def a_timer_that_was_stopped_fires_all_the_same(self, timer: CallTimer) -> None:
        if timer not in self.timers and self.call.state in {CallState.OVER, CallState.OFFERED}:
            assert self.call.handle(ev.CallTimerFired(timer), 0.0) == []

    @invariant()
    def records_are_opened_and_closed_once(self) -> None:
        assert self.opened == 1
        assert self.closed == (self.call.state in {CallState.ENDING, CallState.OVER})
        assert self.answered <= 1
        assert self.forgotten == (self.call.state is CallState.OVER)

    @invariant()
    def the_stack_is_told_to_end_what_the_call_has_ended(self) -> None:
        if self.call.state is CallState.ENDING:
            assert self.asked_to_end

    @invariant()
    def time_alone_ends_every_call_that_is_not_answered_or_offered(self) -> None:
        if self.call.state in {CallState.OVER, CallState.TALKING, CallState.OFFERED}:
            return
        assert self.timers, f"{self.call.state} waits for ever"

    @invariant()
    def a_call_that_is_over_has_no_timers(self) -> None:
        if self.call.state is CallState.OVER:
            assert not self.timers

    @invariant()
    def the_line_knows_that_a_call_is_over_unless_it_ended_it_itself(self) -> None:
        if self.call.state is CallState.OVER and self.answered and isinstance(self.line, ev.Answered):
            assert self.asked_to_end

    @invariant()
    def no_pin_is_asked_for_ever(self) -> None:
        assert self.pins <= 3

    @invariant()
    def an_emergency_is_not_tried_for_ever(self) -> None:
        assert self.invited <= 3 * 5

    def teardown(self) -> None:
        """Hang up and let time pass: whatever happened, the call ends."""
        if not hasattr(self, "call"):
            return
        self.give(ev.LineHangsUp())
        while self.timers:
            timer = self.timers.pop()
            self.give(ev.CallTimerFired(timer))
        assert self.call.state is CallState.OVER
        assert (self.opened, self.closed, self.forgotten) == (1, 1, 1)


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
