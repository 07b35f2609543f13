"""Two calls on one line: what the handset hears, whom it talks with, and who is left."""

from __future__ import annotations

from functools import partial

import pytest

from firmware.telephony import events as ev
from firmware.telephony import services
from firmware.telephony.events import Outlook, Timer, Tone, Treatment
from firmware.telephony.line import LineMachine, LineSettings
from firmware.telephony.line_states import LineState

CALLER = ev.Caller("0612345678", "Zoé")
B = 1002


class Bench:
    """A line that talks in call `a`."""

    def __init__(self, digits: str = "0142685300", *, call_waiting: bool = True, guard: float = 0.0) -> None:
        settings = LineSettings(hang_up_guard=guard)
        self.line = LineMachine(partial(services.analyse, country="FR"), settings, call_waiting=call_waiting)
        commands = self.give(ev.OffHook(), *(ev.DigitDialled(digit) for digit in digits))
        placed = commands[-1]
        assert isinstance(placed, ev.PlaceCall)
        self.a = placed.call

    def give(self, *events: ev.LineEvent) -> list[ev.LineCommand]:
        commands: list[ev.LineCommand] = []
        for event in events:
            commands = self.line.handle(event, 1.0)
        return commands

    @property
    def state(self) -> LineState:
        return self.line.state


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.give(ev.Answered(bench.a))
    return bench


@pytest.fixture
def waiting(bench: Bench) -> Bench:
    bench.give(ev.Offered(B, CALLER))
    return bench


@pytest.fixture
def held(waiting: Bench) -> Bench:
    """Talks with B, A is held."""
    waiting.give(ev.Flash(), ev.Answered(B))
    return waiting


def test_a_second_caller_is_signalled_and_the_talk_goes_on(bench: Bench) -> None:
    assert bench.give(ev.Offered(B, CALLER)) == [
        ev.StartTimer(Timer.RING_LIMIT, 120.0),
        ev.SignalWaiting(CALLER),
    ]
    assert bench.give(ev.DigitDialled("5")) == [ev.SendDigit(bench.a, "5")]


def test_a_flash_holds_the_first_and_answers_the_second(waiting: Bench) -> None:
    assert waiting.give(ev.Flash()) == [
        ev.StopWaiting(),
        ev.StopTimer(Timer.RING_LIMIT),
        ev.DisconnectVoice(waiting.a),
        ev.ConnectVoice(B),
        ev.HoldCall(waiting.a),
        ev.AnswerCall(B),
    ]
    assert waiting.give(ev.Answered(B)) == []


def test_further_flashes_swap(held: Bench) -> None:
    assert held.give(ev.Flash()) == [
        ev.DisconnectVoice(B),
        ev.ConnectVoice(held.a),
        ev.HoldCall(B),
        ev.ResumeCall(held.a),
    ]
    assert held.give(ev.DigitDialled("1")) == [ev.SendDigit(held.a, "1")]
    assert held.give(ev.Flash())[-2:] == [ev.HoldCall(held.a), ev.ResumeCall(B)]


@pytest.mark.parametrize("outlook", list(Outlook))
def test_a_flash_takes_the_waiting_call_whatever_the_outlook(waiting: Bench, outlook: Outlook) -> None:
    waiting.give(ev.OutlookChanged(outlook))
    assert waiting.give(ev.Flash())[-1] == ev.AnswerCall(B)


def test_a_waiting_caller_who_gives_up_leaves_nothing_but_the_call(waiting: Bench) -> None:
    assert waiting.give(ev.Withdrawn(B)) == [ev.StopWaiting(), ev.StopTimer(Timer.RING_LIMIT)]
    assert waiting.state is LineState.TALKING
    assert waiting.give(ev.Flash()) == []


def test_a_caller_waits_no_longer_than_a_telephone_may_ring(waiting: Bench) -> None:
    assert waiting.give(ev.TimerFired(Timer.RING_LIMIT)) == [ev.StopWaiting(), ev.RefuseCall(B, busy=False)]
    assert waiting.state is LineState.TALKING


@pytest.mark.parametrize("fixture", ["waiting", "held"])
def test_a_third_caller_is_told_busy(fixture: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(fixture)
    state = bench.state
    assert bench.give(ev.Offered(1003, ev.Caller())) == [ev.RefuseCall(1003, busy=True)]
    assert bench.state is state


def test_hanging_up_with_a_caller_waiting_rings_for_him(waiting: Bench) -> None:
    assert waiting.give(ev.OnHook()) == [
        ev.StopWaiting(),
        ev.DisconnectVoice(waiting.a),
        ev.ListenForDigits(on=False),
        ev.PlayNothing(),
        ev.StartTimer(Timer.RING_LIMIT, 120.0),
        ev.StartRinging(CALLER),
        ev.HangUp(waiting.a),
    ]
    assert waiting.give(ev.OffHook())[-1] == ev.AnswerCall(B)
    assert waiting.state is LineState.TALKING


def test_hanging_up_with_a_call_held_rings_back_for_it_and_lifting_resumes(held: Bench) -> None:
    commands = held.give(ev.OnHook())
    assert commands[-2:] == [ev.StartRinging(ev.Caller("0142685300"), "callback"), ev.HangUp(B)]
    assert held.state is LineState.RECALL
    assert held.give(ev.OffHook()) == [
        ev.StopRinging(),
        ev.StopTimer(Timer.RING_LIMIT),
        ev.ListenForDigits(on=True),
        ev.PlayNothing(),
        ev.ConnectVoice(held.a),
        ev.ResumeCall(held.a),
    ]


def test_nobody_lifts_for_the_held_call_and_it_is_ended(held: Bench) -> None:
    held.give(ev.OnHook())
    assert held.give(ev.TimerFired(Timer.RING_LIMIT)) == [ev.StopRinging(), ev.HangUp(held.a)]
    assert held.state is LineState.IDLE


def test_the_held_far_end_hangs_up_while_the_telephone_rings_for_it(held: Bench) -> None:
    held.give(ev.OnHook())
    assert held.give(ev.Released(held.a)) == [ev.StopRinging(), ev.StopTimer(Timer.RING_LIMIT)]
    assert ev.PlayTone(Tone.DIAL) in held.give(ev.OffHook())


def test_a_caller_is_told_busy_while_the_telephone_rings_for_a_held_call(held: Bench) -> None:
    held.give(ev.OnHook())
    assert held.give(ev.Offered(1003, CALLER)) == [ev.RefuseCall(1003, busy=True)]


def test_the_far_end_hangs_up_on_a_handset_for_which_another_waits(waiting: Bench) -> None:
    assert waiting.give(ev.Released(waiting.a)) == [
        ev.StopWaiting(),
        ev.DisconnectVoice(waiting.a),
        ev.PlayTone(Tone.CALL_WAITING),
        ev.StartTimer(Timer.RING_LIMIT, 120.0),
    ]
    assert waiting.give(ev.Flash())[-2:] == [ev.ConnectVoice(B), ev.AnswerCall(B)]
    assert waiting.state is LineState.TALKING


def test_or_the_handset_hangs_up_then_and_it_rings(waiting: Bench) -> None:
    waiting.give(ev.Released(waiting.a))
    assert waiting.give(ev.OnHook())[-1] == ev.StartRinging(CALLER)
    assert waiting.state is LineState.RINGING


def test_the_waiting_caller_gives_up_too_and_the_handset_hears_busy(waiting: Bench) -> None:
    waiting.give(ev.Released(waiting.a))
    assert ev.PlayTone(Tone.BUSY) in waiting.give(ev.Withdrawn(B))
    assert waiting.state is LineState.TREATMENT


def test_the_far_end_hangs_up_while_another_is_held_and_a_flash_resumes_it(held: Bench) -> None:
    assert held.give(ev.Released(B)) == [
        ev.DisconnectVoice(B),
        ev.PlayTone(Tone.CALL_WAITING),
        ev.StartTimer(Timer.TREATMENT, 30.0),
    ]
    assert held.give(ev.Flash()) == [
        ev.StopTimer(Timer.TREATMENT),
        ev.PlayNothing(),
        ev.ConnectVoice(held.a),
        ev.ResumeCall(held.a),
    ]


def test_a_held_call_left_alone_is_resumed_by_itself(held: Bench) -> None:
    held.give(ev.Released(B))
    assert held.give(ev.TimerFired(Timer.TREATMENT))[-1] == ev.ResumeCall(held.a)
    assert held.state is LineState.TALKING


def test_a_held_call_left_alone_rings_when_the_handset_hangs_up(held: Bench) -> None:
    held.give(ev.Released(B))
    commands = held.give(ev.OnHook())
    assert commands[-1] == ev.StartRinging(ev.Caller("0142685300"), "callback")
    assert not [command for command in commands if isinstance(command, ev.HangUp)]


def test_the_held_far_end_hangs_up_and_nothing_is_heard_of_it(held: Bench) -> None:
    assert held.give(ev.Released(held.a)) == []
    assert held.give(ev.Flash()) == []
    assert held.give(ev.OnHook())[-1] == ev.HangUp(B)
    assert held.state is LineState.IDLE


def test_a_call_that_has_ended_makes_room_for_the_next_to_wait(held: Bench) -> None:
    held.give(ev.Released(held.a))
    assert held.give(ev.Offered(1003, CALLER))[-1] == ev.SignalWaiting(CALLER)


def test_the_waiting_caller_cancels_as_the_flash_answers_him(waiting: Bench) -> None:
    waiting.give(ev.Flash())
    assert ev.PlayTone(Tone.CALL_WAITING) in waiting.give(ev.Released(B))
    assert waiting.give(ev.Flash())[-1] == ev.ResumeCall(waiting.a)


def test_a_household_that_wants_no_call_waiting_is_busy() -> None:
    bench = Bench(call_waiting=False)
    bench.give(ev.Answered(bench.a))
    assert bench.give(ev.Offered(B, CALLER)) == [ev.RefuseCall(B, busy=True)]
    assert bench.state is LineState.TALKING


@pytest.mark.parametrize("digits", ["15", "112", "#31#112", "365118"])
def test_a_call_for_help_is_never_disturbed_and_a_flash_in_it_does_nothing(digits: str) -> None:
    bench = Bench(digits)
    bench.give(ev.Answered(bench.a))
    assert bench.give(ev.Offered(B, CALLER)) == [ev.RefuseCall(B, busy=True)]
    assert bench.give(ev.Flash()) == []
    assert bench.state is LineState.TALKING
    assert bench.line.call == bench.a


def test_the_call_after_one_for_help_may_have_another_waiting() -> None:
    bench = Bench("15")
    bench.give(ev.Answered(bench.a), ev.OnHook(), ev.Offered(7, CALLER), ev.OffHook())
    assert bench.give(ev.Offered(B, CALLER))[-1] == ev.SignalWaiting(CALLER)


@pytest.mark.parametrize("reached", ["calling", "alerting", "early"])
def test_before_the_answer_a_second_caller_is_told_busy(reached: str) -> None:
    bench = Bench()
    if reached != "calling":
        bench.give(ev.Alerting(bench.a) if reached == "alerting" else ev.EarlyMedia(bench.a))
    assert bench.give(ev.Offered(B, CALLER)) == [ev.RefuseCall(B, busy=True)]


def test_a_number_too_long_for_a_display_is_not_shown_when_its_call_rings_back() -> None:
    bench = Bench("#31#00493012345678901#")
    bench.give(ev.Answered(bench.a), ev.Offered(B, CALLER), ev.Flash())
    assert ev.StartRinging(ev.Caller(absence=ev.AbsenceReason.UNAVAILABLE), "callback") in bench.give(ev.OnHook())


def test_with_two_calls_hanging_up_is_not_guarded() -> None:
    bench = Bench(guard=30.0)
    bench.give(ev.OnHook(), ev.Offered(7, CALLER), ev.OffHook(), ev.Offered(B, CALLER))
    assert ev.HangUp(7) in bench.give(ev.OnHook())
    assert bench.state is LineState.RINGING


@pytest.mark.parametrize(
    "late", [ev.Released, ev.Answered, partial(ev.Failed, treatment=Treatment(Tone.BUSY)), ev.Alerting, ev.Withdrawn]
)
def test_what_comes_late_of_either_call_touches_neither_the_next(held: Bench, late: type[ev.Released]) -> None:
    held.give(ev.Released(held.a), ev.OnHook(), ev.OffHook())
    for call in (held.a, B):
        assert held.give(late(call)) == []
    assert held.state is LineState.DIAL_TONE
