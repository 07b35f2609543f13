"""The call-waiting signal, step by step, and never left cutting the voice."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs.waiting import (
    CallerWaits,
    DigitHeard,
    NobodyWaits,
    Piece,
    PieceEnded,
    RepeatTone,
    RestoreVoice,
    SendPiece,
    TimePassed,
    WaitingEvent,
    WaitingSettings,
    WaitingSignal,
    WaitingState,
)

ALERT, MESSAGE = SendPiece(Piece.ALERT, 0.16), SendPiece(Piece.MESSAGE)


def test_a_caller_who_cannot_be_shown_is_told_by_the_tone_alone() -> None:
    signal = WaitingSignal()
    assert signal.handle(CallerWaits(shown=False), 5.0) == [RepeatTone()]
    assert signal.next_deadline() is None
    assert signal.handle(NobodyWaits(), 9.0) == [RestoreVoice()]


@pytest.mark.parametrize("answer", ["D", "A"])
def test_the_telephones_answer_brings_the_message_then_the_tone_in_its_cadence(answer: str) -> None:
    signal = WaitingSignal()
    assert signal.handle(CallerWaits(shown=True), 5.0) == [ALERT]
    assert signal.handle(DigitHeard(answer), 5.5) == [MESSAGE]
    assert signal.handle(PieceEnded(), 6.3) == []
    assert signal.next_deadline() == pytest.approx(15.3)
    assert signal.handle(TimePassed(), 15.3) == [RepeatTone()]
    assert signal.next_deadline() is None


def test_without_an_answer_the_tone_comes_back_and_no_second_cas() -> None:
    signal = WaitingSignal(WaitingSettings(period=4.1))
    signal.handle(CallerWaits(shown=True), 5.0)
    assert signal.handle(PieceEnded(), 5.6) == []
    assert not signal.cutting
    assert signal.handle(DigitHeard("D"), 5.65) == []
    assert signal.handle(TimePassed(), 9.1) == [RepeatTone()]
    assert signal.handle(DigitHeard("D"), 9.5) == []
    assert signal.state is WaitingState.REPEATING


@pytest.mark.parametrize("digit", list("0123456789*#BC"))
def test_no_other_digit_is_an_answer_and_none_is_passed_on_while_the_voice_is_cut(digit: str) -> None:
    signal = WaitingSignal()
    signal.handle(CallerWaits(shown=True), 5.0)
    assert signal.swallows(digit, 5.4)
    assert signal.handle(DigitHeard(digit), 5.4) == []
    assert signal.state is WaitingState.ALERTING


def test_an_answer_believed_a_little_late_is_still_nobodys_digit_but_a_key_pressed_is() -> None:
    signal = WaitingSignal()
    signal.handle(CallerWaits(shown=True), 5.0)
    signal.handle(NobodyWaits(), 5.45)
    assert signal.swallows("D", 5.5)
    assert not signal.swallows("5", 5.5)
    assert not signal.swallows("D", 6.0)
    signal.handle(CallerWaits(shown=False), 7.0)
    assert not signal.swallows("5", 7.1)
    assert signal.swallows("D", 7.1)


def test_a_voice_that_never_tells_its_end_does_not_cut_for_ever() -> None:
    signal = WaitingSignal()
    signal.handle(CallerWaits(shown=True), 5.0)
    assert signal.handle(TimePassed(), 9.9) == []
    assert signal.handle(TimePassed(), 10.0) == [RepeatTone()]


EVENTS: list[WaitingEvent] = [
    CallerWaits(shown=True),
    CallerWaits(shown=False),
    NobodyWaits(),
    PieceEnded(),
    DigitHeard("D"),
    DigitHeard("5"),
    TimePassed(),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0.0, 6.0)), max_size=40))
def test_whatever_happens_one_cas_a_caller_and_the_voice_comes_back(steps: list[tuple[WaitingEvent, float]]) -> None:
    signal, now, alerts, callers = WaitingSignal(), 0.0, 0, 0
    heard: deque[object] = deque(maxlen=1)
    for event, seconds in steps:
        now += seconds
        before = signal.state
        commands = signal.handle(event, now)
        heard.extend(commands)
        callers += before is WaitingState.SILENT and isinstance(event, CallerWaits)
        alerts += ALERT in commands
        assert alerts <= callers
        if signal.cutting:
            assert signal.next_deadline() is not None
        if signal.state is WaitingState.SILENT:
            assert signal.next_deadline() is None
            assert not heard or heard[0] == RestoreVoice()
    signal.handle(NobodyWaits(), now)
    assert signal.state is WaitingState.SILENT
    assert not signal.swallows("D", now + 1.0)
