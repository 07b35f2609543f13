"""What a handset hears and may do."""

from __future__ import annotations

from functools import partial

import pytest

from firmware.telephony import events as ev
from firmware.telephony import services
from firmware.telephony.events import Outlook, Timer, Tone, Treatment, Words
from firmware.telephony.line import LineMachine, LineSettings
from firmware.telephony.line_states import POSTURES, TRANSITIONS, LineState, Trigger

CALLER = ev.Caller("0612345678", "Zoé")


class Bench:
    """A line, and everything that was ordered since the last question."""

    def __init__(self, outlook: Outlook = Outlook.READY) -> None:
        self.line = LineMachine(partial(services.analyse, country="FR"), LineSettings())
        self.line.handle(ev.OutlookChanged(outlook), 0)

    def give(self, *events: ev.LineEvent) -> list[ev.LineCommand]:
        commands: list[ev.LineCommand] = []
        for event in events:
            commands = self.line.handle(event, 1.0)
        return commands

    def dial(self, digits: str) -> list[ev.LineCommand]:
        return self.give(*(ev.DigitDialled(digit) for digit in digits))

    def call(self, digits: str = "0142685300") -> int:
        self.give(ev.OffHook())
        placed = self.dial(digits)[-1]
        assert isinstance(placed, ev.PlaceCall)
        return placed.call

    @property
    def state(self) -> LineState:
        return self.line.state


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_lifting_gives_dial_tone_and_listens(bench: Bench) -> None:
    assert bench.give(ev.OffHook()) == [
        ev.ListenForDigits(on=True),
        ev.PlayTone(Tone.DIAL),
        ev.StartTimer(Timer.FIRST_DIGIT, 16.0),
    ]


def test_a_digit_that_nobody_could_count_makes_the_number_wrong_and_calls_no_shorter_one(bench: Bench) -> None:
    bench.give(ev.OffHook())
    bench.dial("1")
    assert ev.Speak(Words.INVALID_NUMBER) in bench.give(ev.DigitUnclear())  # of 115: what is left of it is 15
    assert bench.dial("5") == []
    assert bench.state is LineState.TREATMENT


def test_in_a_call_such_a_digit_is_nothing(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Answered(call))
    assert bench.give(ev.DigitUnclear()) == []
    assert bench.state is LineState.TALKING


def test_the_first_digit_silences_the_dial_tone_and_the_second_plays_nothing_new(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.dial("0") == [
        ev.StopTimer(Timer.FIRST_DIGIT),
        ev.PlayNothing(),
        ev.StartTimer(Timer.INTER_DIGIT, 8.0),
    ]
    assert bench.dial("1") == [ev.StartTimer(Timer.INTER_DIGIT, 8.0)]


def test_a_complete_number_is_placed_without_waiting(bench: Bench) -> None:
    bench.give(ev.OffHook())
    bench.dial("014268530")
    assert bench.dial("0") == [ev.StopTimer(Timer.INTER_DIGIT), ev.PlaceCall(1, "0142685300")]
    assert bench.state is LineState.CALLING


def test_an_emergency_is_placed_at_its_second_digit_and_follows_the_dial_tone(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.dial("15")[-1] == ev.PlaceCall(1, "15")


@pytest.mark.parametrize("outlook", list(Outlook))
@pytest.mark.parametrize("digits", ["112", "#31#112", "365115"])
def test_an_emergency_is_placed_whatever_the_outlook(outlook: Outlook, digits: str) -> None:
    bench = Bench(outlook)
    bench.give(ev.OffHook())
    assert bench.dial(digits)[-1] == ev.PlaceCall(1, digits)


def test_an_emergency_is_placed_while_the_notice_is_spoken() -> None:
    bench = Bench(Outlook.NO_ACCOUNT)
    bench.give(ev.OffHook(), ev.TimerFired(Timer.GUARD))
    assert bench.state is LineState.NOTICE
    assert bench.dial("1")[1] == ev.PlayNothing()
    assert bench.dial("8")[-1] == ev.PlaceCall(1, "18")


def test_a_number_that_could_be_longer_is_placed_after_a_short_pause(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.dial("00493012345678") == [ev.StartTimer(Timer.INTER_DIGIT, 4.0)]
    assert bench.give(ev.TimerFired(Timer.INTER_DIGIT)) == [ev.PlaceCall(1, "00493012345678")]


def test_a_hash_sends_such_a_number_at_once_and_is_not_dialled(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.dial("00493012345678#")[-1] == ev.PlaceCall(1, "00493012345678")


def test_half_a_number_and_a_long_pause_are_answered_in_words(bench: Bench) -> None:
    bench.give(ev.OffHook())
    bench.dial("0142")
    assert bench.give(ev.TimerFired(Timer.INTER_DIGIT)) == [
        ev.Speak(Words.INVALID_NUMBER),
        ev.StartTimer(Timer.TREATMENT, 30.0),
    ]
    assert bench.give(ev.SpeechEnded()) == [ev.PlayTone(Tone.CONGESTION)]


def test_digits_that_begin_no_number_are_answered_at_once(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert ev.Speak(Words.INVALID_NUMBER) in bench.dial("13")
    assert bench.state is LineState.TREATMENT


def test_a_service_code_half_dialled_is_not_used_by_waiting(bench: Bench) -> None:
    bench.give(ev.OffHook())
    bench.dial("*21*01")
    assert ev.Speak(Words.INVALID_NUMBER) in bench.give(ev.TimerFired(Timer.INTER_DIGIT))


def test_a_service_code_is_used_at_its_hash_and_dial_tone_returns_after_the_answer(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.dial("*00#")[-1] == ev.UseService("*00#")
    assert ev.PlayTone(Tone.DIAL) in bench.give(ev.SpeechEnded())
    assert bench.line.digits == ""


def test_nobody_dials_and_the_tones_of_a_handset_left_off_follow(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.give(ev.TimerFired(Timer.FIRST_DIGIT)) == [
        ev.PlayTone(Tone.BUSY),
        ev.StartTimer(Timer.TREATMENT, 30.0),
    ]
    assert bench.give(ev.TimerFired(Timer.TREATMENT)) == [
        ev.PlayTone(Tone.HOWLER),
        ev.StartTimer(Timer.HOWLER, 60.0),
    ]
    assert bench.give(ev.TimerFired(Timer.HOWLER)) == [ev.ListenForDigits(on=False), ev.PlayNothing()]
    assert bench.state is LineState.PARKED
    assert bench.give(ev.OnHook(), ev.OffHook())[1] == ev.PlayTone(Tone.DIAL)


@pytest.mark.parametrize(
    ("outlook", "words"),
    [
        (Outlook.NO_ACCOUNT, Words.NO_ACCOUNT),
        (Outlook.UNREGISTERED, Words.NOT_REGISTERED),
        (Outlook.NO_NETWORK, Words.NO_NETWORK),
    ],
)
def test_without_service_a_special_tone_a_sentence_and_the_tone_again(outlook: Outlook, words: Words) -> None:
    bench = Bench(outlook)
    assert ev.PlayTone(Tone.SPECIAL_DIAL) in bench.give(ev.OffHook())
    assert ev.Speak(words) in bench.give(ev.TimerFired(Timer.GUARD))
    assert ev.PlayTone(Tone.SPECIAL_DIAL) in bench.give(ev.SpeechEnded())
    assert bench.give(ev.SpeechEnded()) == []


def test_the_dial_tone_follows_the_outlook_until_a_digit(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert ev.PlayTone(Tone.SPECIAL_DIAL) in bench.give(ev.OutlookChanged(Outlook.NO_NETWORK))
    assert ev.PlayTone(Tone.DIAL) in bench.give(ev.OutlookChanged(Outlook.READY))
    bench.dial("0")
    assert bench.give(ev.OutlookChanged(Outlook.NO_NETWORK)) == []
    assert ev.PlayTone(Tone.SPECIAL_DIAL) in bench.give(ev.OnHook(), ev.OffHook())


def test_far_end_rings_answers_and_hangs_up(bench: Bench) -> None:
    call = bench.call()
    assert bench.give(ev.Alerting(call)) == [ev.PlayTone(Tone.RINGBACK)]
    assert bench.give(ev.Answered(call)) == [ev.PlayNothing(), ev.ConnectVoice(call)]
    assert bench.give(ev.Released(call)) == [
        ev.DisconnectVoice(call),
        ev.PlayTone(Tone.BUSY),
        ev.StartTimer(Timer.TREATMENT, 30.0),
    ]


def test_early_media_beats_ringback_and_is_not_covered_by_a_later_180(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Alerting(call))
    assert bench.give(ev.EarlyMedia(call)) == [ev.PlayNothing(), ev.ConnectVoice(call)]
    assert bench.give(ev.Alerting(call)) == []
    assert bench.give(ev.Answered(call)) == []
    assert bench.state is LineState.TALKING


def test_what_early_media_has_said_is_not_said_again(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.EarlyMedia(call))
    commands = bench.give(ev.Failed(call, Treatment(Tone.CONGESTION, Words.UNASSIGNED)))
    assert ev.PlayTone(Tone.CONGESTION) in commands
    assert not any(isinstance(command, ev.Speak) for command in commands)


def test_another_route_takes_back_what_was_heard_of_the_first(bench: Bench) -> None:
    call = bench.call("15")
    bench.give(ev.EarlyMedia(call))
    assert bench.give(ev.Rerouted(call)) == [ev.DisconnectVoice(call)]
    assert bench.give(ev.Alerting(call)) == [ev.PlayTone(Tone.RINGBACK)]


def test_a_failed_call_is_told_in_words_then_by_its_tone(bench: Bench) -> None:
    call = bench.call()
    assert ev.Speak(Words.UNASSIGNED) in bench.give(ev.Failed(call, Treatment(Tone.CONGESTION, Words.UNASSIGNED)))
    assert bench.give(ev.SpeechEnded()) == [ev.PlayTone(Tone.CONGESTION)]
    assert bench.give(ev.OnHook())[-2:] == [ev.ListenForDigits(on=False), ev.PlayNothing()]


def test_hanging_up_ends_the_call_after_parting_from_its_sound(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Answered(call))
    assert bench.give(ev.OnHook()) == [
        ev.DisconnectVoice(call),
        ev.ListenForDigits(on=False),
        ev.PlayNothing(),
        ev.HangUp(call),
    ]


@pytest.mark.parametrize("reached", ["calling", "alerting", "early"])
def test_hanging_up_before_the_answer_ends_the_call_too(bench: Bench, reached: str) -> None:
    call = bench.call()
    if reached != "calling":
        bench.give(ev.Alerting(call) if reached == "alerting" else ev.EarlyMedia(call))
    assert bench.give(ev.OnHook())[-1] == ev.HangUp(call)
    assert bench.state is LineState.IDLE


def test_digits_in_a_call_are_sent_into_it(bench: Bench) -> None:
    call = bench.call()
    assert bench.dial("5") == []
    bench.give(ev.Answered(call))
    assert bench.dial("5") == [ev.SendDigit(call, "5")]
    assert bench.dial("#") == [ev.SendDigit(call, "#")]


def test_a_flash_in_a_call_changes_nothing(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Answered(call))
    assert bench.give(ev.Flash()) == []
    assert bench.state is LineState.TALKING


def test_a_flash_after_a_call_gives_a_new_dial_tone(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Answered(call), ev.Released(call))
    assert ev.PlayTone(Tone.DIAL) in bench.give(ev.Flash())
    assert bench.dial("3699")[-1] == ev.PlaceCall(2, "3699")


def test_digits_after_a_call_do_not_call_the_fire_brigade(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Answered(call), ev.Released(call))
    assert bench.dial("18") == []
    bench.give(ev.TimerFired(Timer.TREATMENT))
    assert bench.dial("18") == []


def test_letters_that_no_telephone_has_are_not_dialled(bench: Bench) -> None:
    bench.give(ev.OffHook())
    assert bench.dial("A") == []
    assert bench.dial("1")[-1] == ev.StartTimer(Timer.INTER_DIGIT, 8.0)


def test_a_call_comes_in_rings_and_is_answered_by_lifting(bench: Bench) -> None:
    assert bench.give(ev.Offered(7, CALLER)) == [
        ev.StartTimer(Timer.RING_LIMIT, 120.0),
        ev.StartRinging(CALLER),
    ]
    assert bench.give(ev.OffHook()) == [
        ev.StopRinging(),
        ev.StopTimer(Timer.RING_LIMIT),
        ev.ListenForDigits(on=True),
        ev.PlayNothing(),
        ev.ConnectVoice(7),
        ev.AnswerCall(7),
    ]
    assert bench.give(ev.Answered(7)) == []


def test_the_caller_gives_up_and_the_bell_stops(bench: Bench) -> None:
    bench.give(ev.Offered(7, CALLER))
    assert bench.give(ev.Withdrawn(7)) == [ev.StopRinging(), ev.StopTimer(Timer.RING_LIMIT)]
    assert ev.PlayTone(Tone.DIAL) in bench.give(ev.OffHook())


def test_the_caller_gives_up_just_as_the_handset_is_lifted(bench: Bench) -> None:
    bench.give(ev.Offered(7, CALLER), ev.OffHook())
    assert bench.give(ev.Withdrawn(7))[:2] == [ev.DisconnectVoice(7), ev.PlayTone(Tone.BUSY)]


def test_nobody_lifts_for_two_minutes(bench: Bench) -> None:
    bench.give(ev.Offered(7, CALLER))
    assert bench.give(ev.TimerFired(Timer.RING_LIMIT)) == [ev.StopRinging(), ev.RefuseCall(7, busy=False)]
    assert bench.state is LineState.IDLE


def test_a_second_caller_is_refused_and_the_first_rings_on(bench: Bench) -> None:
    bench.give(ev.Offered(7, CALLER))
    assert bench.give(ev.Offered(8, ev.Caller())) == [ev.RefuseCall(8, busy=True)]
    assert bench.give(ev.Withdrawn(8)) == []
    assert bench.give(ev.OffHook())[-1] == ev.AnswerCall(7)


@pytest.mark.parametrize("state", [state for state in LineState if state is not LineState.IDLE])
def test_every_state_but_idle_refuses_a_caller_as_busy(state: LineState) -> None:
    bench = Bench()
    bench.line.state = state
    assert bench.give(ev.Offered(9, CALLER)) == [ev.RefuseCall(9, busy=True)]
    assert bench.state is state


@pytest.mark.parametrize(
    "late", [ev.Released(1), ev.Answered(1), ev.Failed(1, Treatment(Tone.BUSY)), ev.Alerting(1), ev.Withdrawn(1)]
)
def test_what_comes_late_of_the_last_call_does_not_touch_this_one(bench: Bench, late: ev.LineEvent) -> None:
    assert bench.call() == 1
    bench.give(ev.OnHook())
    assert bench.call("0612345678") == 2
    assert bench.give(late) == []
    assert bench.state is LineState.CALLING


def test_a_timer_of_another_state_does_nothing(bench: Bench) -> None:
    call = bench.call()
    bench.give(ev.Answered(call))
    for timer in Timer:
        assert bench.give(ev.TimerFired(timer)) == []


def test_keys_are_those_the_box_hands_out() -> None:
    keys = iter([41, 42])
    line = LineMachine(services.analyse, next_key=lambda: next(keys))
    line.handle(ev.OffHook(), 0)
    line.handle(ev.DigitDialled("1"), 0)
    commands = line.handle(ev.DigitDialled("5"), 0)
    assert commands[-1] == ev.PlaceCall(41, "15")


def test_the_table_knows_every_state_and_hangs_up_from_every_lifted_one() -> None:
    assert set(TRANSITIONS) == set(LineState) == set(POSTURES)
    on_hook = {LineState.IDLE, LineState.RINGING, LineState.RECALL, LineState.SUSPENDED}
    for state, edges in TRANSITIONS.items():
        if state not in on_hook:
            assert edges[Trigger.HUNG_UP].to in on_hook
        if POSTURES[state].timer is not None and state is not LineState.DIALLING:
            assert Trigger.TIMED_OUT in edges, f"{state} starts a timer and ignores it"
        assert not (POSTURES[state].ringing and POSTURES[state].voice)


def test_the_time_of_entering_a_state_is_kept(bench: Bench) -> None:
    bench.line.handle(ev.OffHook(), 12.5)
    assert bench.line.since == 12.5
    bench.line.handle(ev.Offered(3, CALLER), 13.0)
    assert bench.line.since == 12.5
