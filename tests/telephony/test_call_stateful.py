"""No sequence of events makes a call immortal, or records it twice."""

from __future__ import annotations

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
    st.sampled_from([None, 30.0]),
)


class Exchange(RuleBasedStateMachine):
    """Carries the commands out on a model of the stack, the ledger and the line."""

    @initialize(start=STARTS)
    def first(self, start: tuple[Direction, int, bool, float | None]) -> None:
        self.start(*start)

    def start(self, direction: Direction, routes: int, emergency: bool, limit: float | None) -> None:  # noqa: FBT001
        self.call = CallMachine(1, direction)
        self.emergency = emergency and direction is Direction.OUT
        self.opened = self.answered = self.closed = self.forgotten = 0
        self.timers: set[CallTimer] = set()
        self.invited = 0
        self.dialog = False
        self.asked_to_end = False
        self.line: object = None
        if direction is Direction.OUT:
            self.give(ev.Place(tuple(ev.Route(f"a{n}", "15", limit) for n in range(routes)), emergency))
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
            case ev.Invite(_, emergency):
                assert self.opened, "a call must be recorded before it leaves"
                assert emergency is self.emergency
                assert not self.dialog, "an INVITE while the last attempt lives"
                self.invited += 1
                self.dialog, self.asked_to_end = True, False
            case ev.SendEnd():
                assert self.dialog
                self.asked_to_end = True
                if self.call.state in {CallState.CALLING, CallState.WAITING}:
                    self.dialog = False  # given up: the box takes no more of its events
            case ev.SendRinging() | ev.SendAnswer():
                assert self.dialog
            case ev.TellLine(event):
                self.line = event
            case ev.StartCallTimer(timer, seconds):
                assert seconds > 0
                self.timers.add(timer)
            case ev.StopCallTimer(timer):
                self.timers.remove(timer)
            case ev.Forget():
                self.forgotten += 1

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
