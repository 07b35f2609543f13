"""A call from its first INVITE to the end of its record."""

from __future__ import annotations

import pytest

from firmware.telephony import events as ev
from firmware.telephony.call import CallMachine, Direction
from firmware.telephony.call_states import TIMERS, TRANSITIONS, CallState
from firmware.telephony.events import CallTimer, EndedBy, Tone, Treatment, Words

KEY = 5
ONE = ev.Route("one", "+33142685300")
TWO = ev.Route("two", "+33142685300")
CALLER = ev.Caller("0612345678")


class Bench:
    """A call, and what it last ordered."""

    def __init__(self, direction: Direction = Direction.OUT) -> None:
        self.call = CallMachine(KEY, direction)

    def give(self, *events: ev.CallEvent) -> list[ev.CallCommand]:
        commands: list[ev.CallCommand] = []
        for event in events:
            commands = self.call.handle(event, 1.0)
        return commands

    @property
    def state(self) -> CallState:
        return self.call.state


@pytest.fixture
def out() -> Bench:
    return Bench()


@pytest.fixture
def incoming() -> Bench:
    bench = Bench(Direction.IN)
    bench.give(ev.Offer(CALLER))
    return bench


def told(commands: list[ev.CallCommand]) -> list[object]:
    return [command.event for command in commands if isinstance(command, ev.TellLine)]


def ends(commands: list[ev.CallCommand]) -> list[ev.RecordEnd]:
    return [command for command in commands if isinstance(command, ev.RecordEnd)]


def test_the_record_is_opened_before_the_invite_leaves(out: Bench) -> None:
    assert out.give(ev.Place((ONE, TWO))) == [
        ev.StartCallTimer(CallTimer.SETUP, 20.0),
        ev.RecordStart(),
        ev.Invite(ONE, emergency=False),
    ]


def test_rung_answered_and_ended_by_the_far_end(out: Bench) -> None:
    out.give(ev.Place((ONE,)))
    assert out.give(ev.Progress(180, media=False)) == [
        ev.StopCallTimer(CallTimer.SETUP),
        ev.StartCallTimer(CallTimer.NO_ANSWER, 180.0),
        ev.TellLine(ev.Alerting(KEY)),
    ]
    assert out.give(ev.Confirmed()) == [
        ev.StopCallTimer(CallTimer.NO_ANSWER),
        ev.RecordAnswer(),
        ev.TellLine(ev.Answered(KEY)),
    ]
    assert out.give(ev.Disconnected(200)) == [
        ev.RecordEnd(EndedBy.CALLEE, 200),
        ev.TellLine(ev.Released(KEY)),
        ev.Forget(),
    ]


def test_ended_by_the_caller_is_recorded_at_once_and_forgotten_when_the_stack_confirms(out: Bench) -> None:
    out.give(ev.Place((ONE,)), ev.Confirmed())
    assert out.give(ev.LineHangsUp()) == [
        ev.StartCallTimer(CallTimer.RELEASE, 40.0),
        ev.SendEnd(),
        ev.RecordEnd(EndedBy.CALLER, 200),
    ]
    assert out.give(ev.Disconnected(200)) == [ev.StopCallTimer(CallTimer.RELEASE), ev.Forget()]


def test_a_stack_that_never_confirms_does_not_keep_the_call(out: Bench) -> None:
    out.give(ev.Place((ONE,)), ev.Confirmed(), ev.LineHangsUp())
    assert out.give(ev.CallTimerFired(CallTimer.RELEASE)) == [ev.Forget()]


def test_hung_up_before_the_answer_is_cancelled(out: Bench) -> None:
    out.give(ev.Place((ONE,)))
    assert out.give(ev.LineHangsUp())[-2:] == [ev.SendEnd(), ev.RecordEnd(EndedBy.CANCELLED, 487)]


def test_an_answer_that_crosses_the_cancel_is_ended_too(out: Bench) -> None:
    out.give(ev.Place((ONE,)), ev.LineHangsUp())
    assert out.give(ev.Confirmed()) == [ev.SendEnd()]
    assert out.give(ev.Disconnected(200))[-1] == ev.Forget()


@pytest.mark.parametrize("code", [0, 401, 402, 403, 408, 500, 502, 503, 504])
def test_what_the_account_cannot_do_the_next_one_tries(out: Bench, code: int) -> None:
    out.give(ev.Place((ONE, TWO)))
    assert out.give(ev.Disconnected(code)) == [
        ev.StartCallTimer(CallTimer.SETUP, 34.0),
        ev.Invite(TWO, emergency=False),
    ]
    assert out.give(ev.Disconnected(code))[-1] == ev.Forget()


@pytest.mark.parametrize("code", [404, 410, 480, 484, 486, 488, 600, 603, 604])
def test_what_the_called_side_has_said_is_not_asked_again(out: Bench, code: int) -> None:
    out.give(ev.Place((ONE, TWO)))
    commands = out.give(ev.Disconnected(code))
    assert ends(commands)[0].sip_code == code
    assert commands[-1] == ev.Forget()


def test_a_network_cause_behind_a_503_may_say_busy_and_then_nobody_else_is_tried(out: Bench) -> None:
    out.give(ev.Place((ONE, TWO)))
    commands = out.give(ev.Disconnected(503, q850=17))
    assert ends(commands) == [ev.RecordEnd(EndedBy.BUSY, 503)]
    assert told(commands) == [ev.Failed(KEY, Treatment(Tone.BUSY))]


def test_once_the_far_end_has_rung_a_failure_is_the_calls(out: Bench) -> None:
    out.give(ev.Place((ONE, TWO)), ev.Progress(180, media=False))
    assert out.give(ev.Disconnected(503))[-1] == ev.Forget()


def test_an_account_that_gives_no_sign_of_life_is_ended_and_the_next_one_tried(out: Bench) -> None:
    out.give(ev.Place((ONE, TWO)))
    assert out.give(ev.CallTimerFired(CallTimer.SETUP)) == [
        ev.StartCallTimer(CallTimer.SETUP, 34.0),
        ev.SendEnd(),
        ev.Invite(TWO, emergency=False),
    ]
    commands = out.give(ev.CallTimerFired(CallTimer.SETUP))
    assert ends(commands) == [ev.RecordEnd(EndedBy.NO_ANSWER, 408)]
    assert out.state is CallState.ENDING


def test_a_100_gives_a_slow_account_more_time(out: Bench) -> None:
    out.give(ev.Place((ONE, TWO)))
    assert out.give(ev.Progress(100, media=False)) == [ev.StartCallTimer(CallTimer.SETUP, 34.0)]


def test_183_with_sound_is_early_media_and_without_is_only_a_sign_of_life(out: Bench) -> None:
    out.give(ev.Place((ONE,)))
    assert told(out.give(ev.Progress(183, media=False))) == []
    assert told(out.give(ev.Progress(183, media=True))) == [ev.EarlyMedia(KEY)]


def test_a_180_with_sdp_still_rings(out: Bench) -> None:
    out.give(ev.Place((ONE,)))
    assert told(out.give(ev.Progress(180, media=True))) == [ev.Alerting(KEY)]


def test_a_180_repeated_every_minute_does_not_ring_for_ever(out: Bench) -> None:
    out.give(ev.Place((ONE,)), ev.Progress(180, media=False))
    assert out.give(ev.Progress(180, media=False)) == [ev.TellLine(ev.Alerting(KEY))]
    commands = out.give(ev.CallTimerFired(CallTimer.NO_ANSWER))
    assert ends(commands) == [ev.RecordEnd(EndedBy.NO_ANSWER, 408)]
    assert told(commands) == [ev.Failed(KEY, Treatment(Tone.BUSY, Words.UNAVAILABLE))]


def test_no_route_is_recorded_and_told(out: Bench) -> None:
    why = Treatment(Tone.CONGESTION, Words.NO_ACCOUNT)
    assert out.give(ev.Place((), no_route=why)) == [
        ev.RecordStart(),
        ev.RecordEnd(EndedBy.FAILED, 0),
        ev.TellLine(ev.Failed(KEY, why)),
        ev.Forget(),
    ]


@pytest.mark.parametrize("words", [Words.BARRED, Words.NO_CREDIT])
def test_a_barred_number_is_recorded_as_refused(out: Bench, words: Words) -> None:
    commands = out.give(ev.Place((), no_route=Treatment(Tone.CONGESTION, words)))
    assert ends(commands) == [ev.RecordEnd(EndedBy.REFUSED, 0)]


def test_the_budget_cuts_the_call_and_says_so(out: Bench) -> None:
    out.give(ev.Place((ev.Route("one", "0892700000", max_seconds=90.0),)))
    assert ev.StartCallTimer(CallTimer.MAX_DURATION, 90.0) in out.give(ev.Confirmed())
    out.give(ev.CallTimerFired(CallTimer.WARNING), ev.CallTimerFired(CallTimer.WARNING))
    assert out.give(ev.CallTimerFired(CallTimer.MAX_DURATION)) == [
        ev.StartCallTimer(CallTimer.RELEASE, 40.0),
        ev.SendEnd(),
        ev.RecordEnd(EndedBy.CREDIT, 200),
        ev.TellLine(ev.Released(KEY, Treatment(Tone.BUSY, Words.BUDGET_CUT))),
    ]


def test_the_budget_is_that_of_the_route_that_carries_the_call(out: Bench) -> None:
    out.give(ev.Place((ev.Route("one", "1", max_seconds=90.0), ev.Route("two", "1", max_seconds=30.0))))
    out.give(ev.Disconnected(503))
    assert ev.StartCallTimer(CallTimer.MAX_DURATION, 30.0) in out.give(ev.Confirmed())
    assert ev.StopCallTimer(CallTimer.MAX_DURATION) in out.give(ev.LineHangsUp())


# --- emergencies ----------------------------------------------------------------------------


def emergency(out: Bench, *routes: ev.Route) -> None:
    out.give(ev.Place(routes, emergency=True))


def test_an_emergency_has_no_budget(out: Bench) -> None:
    emergency(out, ev.Route("one", "15", max_seconds=1.0))
    assert out.give(ev.Confirmed()) == [
        ev.StopCallTimer(CallTimer.SETUP),
        ev.RecordAnswer(),
        ev.TellLine(ev.Answered(KEY)),
    ]


@pytest.mark.parametrize("code", [403, 404, 480, 486, 503, 600, 603, 604])
def test_an_emergency_tries_the_next_route_whatever_the_first_has_said(out: Bench, code: int) -> None:
    emergency(out, ONE, TWO)
    assert out.give(ev.Disconnected(code))[-1] == ev.Invite(TWO, emergency=True)


def test_an_emergency_tries_the_next_route_even_after_ringing_and_unsays_it(out: Bench) -> None:
    emergency(out, ONE, TWO)
    out.give(ev.Progress(180, media=False))
    assert out.give(ev.Disconnected(503))[-2:] == [ev.TellLine(ev.Rerouted(KEY)), ev.Invite(TWO, emergency=True)]


def test_an_emergency_begins_again_from_the_first_route_after_a_pause(out: Bench) -> None:
    emergency(out, ONE, TWO)
    out.give(ev.Disconnected(503))
    assert out.give(ev.Disconnected(503)) == [
        ev.StopCallTimer(CallTimer.SETUP),
        ev.StartCallTimer(CallTimer.RETRY, 2.0),
    ]
    assert out.give(ev.CallTimerFired(CallTimer.RETRY))[-1] == ev.Invite(ONE, emergency=True)


def test_an_emergency_gives_up_after_five_rounds_and_says_so(out: Bench) -> None:
    tried: list[str] = []
    commands = out.give(ev.Place((ONE, TWO), emergency=True))
    while out.state is not CallState.OVER:
        tried += [command.route.account for command in commands if isinstance(command, ev.Invite)]
        waiting = out.state is CallState.WAITING
        commands = out.give(ev.CallTimerFired(CallTimer.RETRY) if waiting else ev.Disconnected(503))
    assert tried == ["one", "two"] * 5
    assert told(commands) == [ev.Failed(KEY, Treatment(Tone.CONGESTION, Words.EMERGENCY_FAILED))]


def test_a_slow_single_account_is_not_cut_off_by_haste(out: Bench) -> None:
    """Eight seconds are enough to try another account, not to give up the only one."""
    commands = out.give(ev.Place((ONE,), emergency=True))
    assert ev.StartCallTimer(CallTimer.SETUP, 34.0) in commands
    two = Bench()
    assert ev.StartCallTimer(CallTimer.SETUP, 8.0) in two.give(ev.Place((ONE, TWO), emergency=True))


def test_hanging_up_in_the_pause_ends_an_emergency(out: Bench) -> None:
    emergency(out, ONE)
    out.give(ev.Disconnected(503))
    assert out.give(ev.LineHangsUp()) == [
        ev.StopCallTimer(CallTimer.RETRY),
        ev.RecordEnd(EndedBy.CANCELLED, 487),
        ev.Forget(),
    ]


# --- incoming -------------------------------------------------------------------------------


def test_an_offer_rings_here_and_there() -> None:
    assert Bench(Direction.IN).give(ev.Offer(CALLER)) == [
        ev.RecordStart(),
        ev.SendRinging(),
        ev.TellLine(ev.Offered(KEY, CALLER)),
    ]


def test_lifting_answers_and_the_callers_ack_is_the_answer(incoming: Bench) -> None:
    assert incoming.give(ev.LineAnswers()) == [ev.StartCallTimer(CallTimer.SETUP, 34.0), ev.SendAnswer()]
    assert ev.RecordAnswer() in incoming.give(ev.Confirmed())
    assert ends(incoming.give(ev.Disconnected(200))) == [ev.RecordEnd(EndedBy.CALLER, 200)]


def test_hung_up_by_the_called(incoming: Bench) -> None:
    incoming.give(ev.LineAnswers(), ev.Confirmed())
    assert ends(incoming.give(ev.LineHangsUp())) == [ev.RecordEnd(EndedBy.CALLEE, 200)]


@pytest.mark.parametrize(("busy", "code", "ended"), [(True, 486, EndedBy.BUSY), (False, 480, EndedBy.NO_ANSWER)])
def test_a_line_that_does_not_take_it_refuses(incoming: Bench, busy: bool, code: int, ended: EndedBy) -> None:  # noqa: FBT001
    assert incoming.give(ev.LineRefuses(busy))[-2:] == [ev.SendEnd(code), ev.RecordEnd(ended, code)]
    assert incoming.give(ev.Disconnected(code))[-1] == ev.Forget()


def test_the_caller_gives_up(incoming: Bench) -> None:
    assert incoming.give(ev.Disconnected(487)) == [
        ev.RecordEnd(EndedBy.NO_ANSWER, 487),
        ev.TellLine(ev.Withdrawn(KEY)),
        ev.Forget(),
    ]


@pytest.mark.parametrize("end", [ev.Disconnected(487, "Call completed elsewhere"), ev.Disconnected(200)])
def test_a_call_that_another_telephone_took_is_not_missed(incoming: Bench, end: ev.Disconnected) -> None:
    assert ends(incoming.give(end)) == [ev.RecordEnd(EndedBy.ELSEWHERE, 200)]


def test_the_caller_gives_up_as_the_handset_is_lifted(incoming: Bench) -> None:
    incoming.give(ev.LineAnswers())
    assert told(incoming.give(ev.Disconnected(487))) == [ev.Released(KEY)]


def test_a_caller_who_never_acknowledges_is_let_go(incoming: Bench) -> None:
    incoming.give(ev.LineAnswers())
    commands = incoming.give(ev.CallTimerFired(CallTimer.SETUP))
    assert told(commands) == [ev.Released(KEY)]
    assert ev.SendEnd() in commands


def test_events_of_the_other_direction_change_nothing(out: Bench) -> None:
    assert out.give(ev.Offer(CALLER)) == []
    assert out.state is CallState.NEW
    assert Bench(Direction.IN).give(ev.Place((ONE,))) == []


def test_the_table_knows_every_state_and_nothing_leaves_over() -> None:
    assert set(TRANSITIONS) == set(CallState) == set(TIMERS)
    assert not TRANSITIONS[CallState.OVER]
