from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firmware.fxs import country
from firmware.fxs.ringer import CallerIdDue, Ringer, RingOff, RingOn, RingStep

FRENCH = country.load("FR").ring
BRITISH = country.load("UK").ring


def timeline(ringer: Ringer, until: float, pattern: str = "normal") -> list[tuple[float, RingStep]]:
    """Steps with their times, ticked at each deadline from 0 on."""
    steps = [(0.0, step) for step in ringer.start(0.0, pattern)]
    while (due := ringer.next_deadline()) is not None and due <= until:
        steps += [(round(due, 6), step) for step in ringer.tick(due)]
    return steps


def test_a_french_telephone_rings_one_and_a_half_seconds_in_five() -> None:
    on, off, who = RingOn(50), RingOff(), CallerIdDue()
    wanted = [(0.0, on), (1.5, off), (2.1, who), (5.0, on), (6.5, off), (10.0, on), (11.5, off), (15.0, on)]
    assert timeline(Ringer(FRENCH), 15) == wanted


def test_the_caller_is_shown_once_only() -> None:
    steps = [step for _, step in timeline(Ringer(FRENCH), 120)]
    assert steps.count(CallerIdDue()) == 1


def test_a_british_telephone_is_told_before_its_double_ring() -> None:
    on, off = RingOn(25), RingOff()
    assert timeline(Ringer(BRITISH), 6.01) == [
        (0.0, CallerIdDue()),
        (2.0, on),
        (2.4, off),
        (2.6, on),
        (3.0, off),
        (5.0, on),
        (5.4, off),
        (5.6, on),
        (6.0, off),
    ]


def test_a_double_ring_shows_the_caller_after_its_second_half() -> None:
    steps = timeline(Ringer(FRENCH), 5, "callback")
    assert steps.index((1.5, RingOff())) < steps.index((2.1, CallerIdDue())) < steps.index((5.0, RingOn(50)))


def test_an_unknown_pattern_rings_normally() -> None:
    assert timeline(Ringer(FRENCH), 15, "polka") == timeline(Ringer(FRENCH), 15)


@pytest.mark.parametrize("at", [0.0, 0.7, 1.5, 1.6, 2.1, 3.0, 5.0])
def test_stopping_takes_the_voltage_off_wherever_it_is(at: float) -> None:
    ringer = Ringer(FRENCH)
    timeline(ringer, at)
    assert ringer.stop(at) == [RingOff()]
    assert ringer.stop(at) == []
    assert ringer.next_deadline() is None
    assert ringer.tick(at + 100) == []


def test_starting_anew_begins_with_the_voltage_off() -> None:
    ringer = Ringer(FRENCH)
    ringer.start(0)
    assert ringer.start(0.5) == [RingOff(), RingOn(50)]
    assert ringer.next_deadline() == pytest.approx(2.0)


def test_a_late_tick_does_not_send_the_number_into_the_next_ring() -> None:
    ringer = Ringer(FRENCH)
    ringer.start(0)
    assert ringer.tick(5.1) == [RingOff(), RingOn(50)]


def test_after_a_long_sleep_there_is_no_flurry() -> None:
    ringer = Ringer(FRENCH)
    ringer.start(0)
    steps = ringer.tick(3600)
    assert steps == [RingOff()]
    assert ringer.next_deadline() == pytest.approx(3603.5, abs=3)


class AnyRinging(RuleBasedStateMachine):
    """However it is started, ticked and stopped: no voltage outside ringing, on and off in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.ringer = Ringer(FRENCH)
        self.now = 0.0
        self.on = False
        self.started = False
        self.callers = 0

    def take(self, steps: list[RingStep]) -> None:
        for step in steps:
            match step:
                case RingOn():
                    assert not self.on
                    self.on = True
                case RingOff():
                    self.on = False
                case CallerIdDue():
                    assert not self.on
                    self.callers += 1

    @rule(pattern=st.sampled_from(["normal", "callback", "wake-up", "?"]))
    def start(self, pattern: str) -> None:
        self.callers = 0
        self.take(self.ringer.start(self.now, pattern))
        self.started = True
        assert self.on

    @rule()
    def stop(self) -> None:
        self.take(self.ringer.stop(self.now))
        self.started = False

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.ringer.tick(self.now))

    @rule()
    def deadline(self) -> None:
        due = self.ringer.next_deadline()
        if due is not None:
            self.now = max(self.now, due)
            steps = self.ringer.tick(self.now)
            assert steps
            self.take(steps)

    @invariant()
    def voltage_only_while_ringing(self) -> None:
        assert self.ringer.voltage == self.on
        assert self.ringer.ringing == self.started
        assert not self.on or self.started
        assert self.callers <= 1

    @invariant()
    def something_is_due_while_ringing(self) -> None:
        assert (self.ringer.next_deadline() is not None) == self.started


TestAnyRinging = AnyRinging.TestCase
TestAnyRinging.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
