from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from firmware.fxs import country
from firmware.fxs.ringer import AnnouncementOver, CallerIdDue, Polarity, Ringer, RingOff, RingOn, RingStep, Wake

FR, UK = country.load("FR"), country.load("UK")
FRENCH, BRITISH = FR.ring, UK.ring
MESSAGE_MS = 750.0


def french() -> Ringer:
    return Ringer(FR.ring, FR.caller_id)


def as_told(alert: str, code: str = "FR") -> Ringer:
    """A country's ringer with another alert before call and message."""
    home = country.load(code)
    changed = cast("country.Alert", alert)
    waiting = changed if alert != "ring" else home.caller_id.waiting_alert
    return Ringer(home.ring, replace(home.caller_id, alert=changed, waiting_alert=waiting))


def followed(ringer: Ringer, steps: list[RingStep], until: float) -> list[tuple[float, RingStep]]:
    """Steps with their times, ticked at each deadline from 0 on."""
    timed = [(0.0, step) for step in steps]
    while (due := ringer.next_deadline()) is not None and due <= until:
        timed += [(round(due, 6), step) for step in ringer.tick(due)]
    return timed


def timeline(
    ringer: Ringer, until: float, pattern: str = "normal", message_ms: float = MESSAGE_MS
) -> list[tuple[float, RingStep]]:
    return followed(ringer, ringer.start(0.0, pattern, message_ms), until)


def heard(steps: list[tuple[float, RingStep]]) -> list[tuple[float, RingStep]]:
    """Without what only wakes the voice path."""
    return [(at, step) for at, step in steps if not isinstance(step, Wake)]


def test_a_french_telephone_rings_one_and_a_half_seconds_in_five() -> None:
    on, off, who = RingOn(50), RingOff(), CallerIdDue()
    wanted = [(0.0, on), (1.5, off), (2.1, who), (5.0, on), (6.5, off), (10.0, on), (11.5, off), (15.0, on)]
    assert timeline(french(), 15) == wanted


def test_the_caller_is_shown_once_only() -> None:
    steps = [step for _, step in timeline(french(), 120)]
    assert steps.count(CallerIdDue()) == 1


def test_without_a_message_nobody_is_shown_and_nothing_precedes_the_ring() -> None:
    for ringer in (french(), Ringer(UK.ring, UK.caller_id), as_told("ring-pulse")):
        steps = timeline(ringer, 30, message_ms=0)
        assert {type(step) for _, step in steps} == {RingOn, RingOff}
        assert isinstance(steps[0][1], RingOn)
        assert steps[0][0] == 0


def test_a_british_telephone_is_told_before_its_double_ring() -> None:
    on, off = RingOn(25), RingOff()
    # The message is DT-AS, silence and FSK: 110 + 150 + 750 ms here; the reversal goes 300 ms before it, and
    # ringing follows 400 ms after its end, the battery turned back in between.
    message = 0.11 + 0.15 + 0.75
    steps = heard(timeline(Ringer(UK.ring, UK.caller_id), 5.9, message_ms=1000 * message))
    (reversal, first), (told, second), (back, third), *rings = steps
    assert [first, second, third] == [Polarity(reverse=True), CallerIdDue(), Polarity(reverse=False)]
    assert told - reversal == pytest.approx(0.3)
    assert told + message < back < rings[0][0]
    begins = told + message + 0.4
    wanted = [(0, on), (0.4, off), (0.6, on), (1.0, off), (3.0, on), (3.4, off), (3.6, on), (4.0, off)]
    assert [step for _, step in rings] == [step for _, step in wanted]
    assert [at for at, _ in rings] == pytest.approx([begins + at for at, _ in wanted], abs=1e-5)


def test_the_alerting_signal_alone_goes_before_the_first_ring() -> None:
    steps = heard(timeline(as_told("dt-as"), 4))
    assert [step for _, step in steps] == [CallerIdDue(), RingOn(50), RingOff()]
    told, rings = steps[0][0], steps[1][0]
    assert rings - told - 0.75 == pytest.approx(0.4, abs=1e-5)


def test_a_ring_pulse_goes_before_the_message_and_the_ringing_after_it() -> None:
    steps = heard(timeline(as_told("ring-pulse"), 2.5))
    assert [step for _, step in steps] == [RingOn(50), RingOff(), CallerIdDue(), RingOn(50)]
    pulse, over, told, rings = (at for at, _ in steps)
    assert 0.2 <= over - pulse <= 0.3  # RP-AS, ETSI EN 300 659-1
    assert 0.5 <= told - over <= 0.8
    assert 0.2 <= rings - told - 0.75 <= 0.5


def test_a_late_tick_before_the_ring_keeps_the_distances_after_it() -> None:
    ringer = Ringer(UK.ring, UK.caller_id)
    ringer.start(0.0, "normal", 1000)
    assert ringer.tick(0.5) == [Polarity(reverse=True)]  # 0.4 s late
    assert ringer.next_deadline() == pytest.approx(0.8)


def test_a_hat_that_cannot_reverse_sends_the_alerting_signal_alone() -> None:
    spec = UK.caller_id.fitting(can_reverse=False)
    steps = [step for _, step in timeline(Ringer(UK.ring, spec), 10)]
    assert not any(isinstance(step, Polarity) for step in steps)
    assert heard([(0, step) for step in steps])[0][1] == CallerIdDue()
    assert replace(UK.caller_id, alert="reversal").fitting(can_reverse=False).alert == "ring"
    assert UK.caller_id.fitting(can_reverse=True) == UK.caller_id


def test_a_double_ring_shows_the_caller_after_its_second_half() -> None:
    steps = timeline(french(), 5, "callback")
    assert steps.index((1.5, RingOff())) < steps.index((2.1, CallerIdDue())) < steps.index((5.0, RingOn(50)))


def test_the_first_silence_that_is_long_enough_has_the_message() -> None:
    # 600 ms, the message, 200 ms: a short one fits the first pause of the wake-up ring, a long one its last.
    assert (1.35, CallerIdDue()) in timeline(french(), 10, "wake-up", 400)
    assert (0.75 + 1.25 + 0.75 + 0.6, CallerIdDue()) in timeline(french(), 10, "wake-up", 900)


def test_a_silence_is_stretched_once_where_none_is_long_enough() -> None:
    spec = replace(FR.ring, patterns={"short": (500, 500, 500, 1000)})
    steps = timeline(Ringer(spec, FR.caller_id), 8, "short", 1000)
    told = next(at for at, step in steps if step == CallerIdDue())
    rings = [at for at, step in steps if isinstance(step, RingOn)]
    assert told == pytest.approx(2.1)
    assert rings[:4] == pytest.approx([0, 1.0, 1.5 + 0.6 + 1.0 + 0.2, 1.5 + 0.6 + 1.0 + 0.2 + 1.0])
    assert rings[4] - rings[2] == pytest.approx(2.5)  # once


@pytest.mark.parametrize("code", country.codes())
def test_every_ring_of_every_country_has_room_for_a_long_message(code: str) -> None:
    home = country.load(code)
    longest_ms = 1700.0  # name of 50, three numbers of 20, date
    assert {f"dr{n}" for n in range(1, 9)} <= home.ring.patterns.keys()
    assert len({home.ring.patterns[f"dr{n}"] for n in range(1, 9)}) == 8
    for pattern, cadence in {"normal": home.ring.cadence_ms, **home.ring.patterns}.items():
        spec = replace(home.caller_id, alert="ring")  # also where a hat cannot do what the country asks for
        if max(cadence[1::2]) < 2500:
            continue  # the British pause is short, and its callers are shown before the ring
        steps = timeline(Ringer(home.ring, spec), 30, pattern, longest_ms)
        told = next(at for at, step in steps if step == CallerIdDue())
        before = max(at for at, step in steps if isinstance(step, RingOff) and at < told)
        after = min(at for at, step in steps if isinstance(step, RingOn) and at > told)
        assert 0.5 <= told - before <= 2.0
        assert after - told - longest_ms / 1000 >= 0.2 - 1e-6
        assert before < sum(cadence) / 1000  # in the first turn, unstretched
        assert after <= sum(cadence) / 1000 + 1e-6


def test_a_message_without_a_ring_leaves_the_line_as_it_was() -> None:
    for alert in ("none", "dt-as", "reversal-dt-as", "ring-pulse"):
        ringer = as_told(alert)
        steps = followed(ringer, ringer.announce(0.0, 700), 60)
        assert steps[-1][1] == AnnouncementOver()
        told = next(at for at, step in steps if step == CallerIdDue())
        assert steps[-1][0] - told >= 0.7
        voltage = [step for _, step in steps if isinstance(step, RingOn | RingOff)]
        assert voltage == ([RingOn(50), RingOff()] if alert == "ring-pulse" else [])
        turns = [step for _, step in steps if isinstance(step, Polarity)]
        assert turns == ([Polarity(reverse=True), Polarity(reverse=False)] if alert == "reversal-dt-as" else [])
        assert (ringer.announcing, ringer.ringing, ringer.next_deadline()) == (False, False, None)


def test_a_call_breaks_a_message_off_and_none_is_sent_while_it_rings() -> None:
    ringer = as_told("reversal-dt-as")
    followed(ringer, ringer.announce(0.0, 700), 0.2)
    assert ringer.announcing
    steps = ringer.start(0.3, "normal", 0)
    assert steps == [RingOff(), Polarity(reverse=False), RingOn(50)]
    assert ringer.announce(0.4, 700) == []
    assert ringer.ringing


@pytest.mark.parametrize("at", [0.05, 0.2, 0.5, 1.2, 1.5, 2.0])
def test_a_handset_lifted_before_the_first_ring_finds_the_battery_as_it_was(at: float) -> None:
    ringer = Ringer(UK.ring, UK.caller_id)
    steps = [step for _, step in timeline(ringer, at)]
    steps += ringer.stop(at)
    turned = [step.reverse for step in steps if isinstance(step, Polarity)]
    assert not turned or turned[-1] is False
    assert RingOff() in steps
    assert ringer.next_deadline() is None


def test_an_unknown_pattern_rings_normally() -> None:
    assert timeline(french(), 15, "polka") == timeline(french(), 15)


@pytest.mark.parametrize("at", [0.0, 0.7, 1.5, 1.6, 2.1, 3.0, 5.0])
def test_stopping_takes_the_voltage_off_wherever_it_is(at: float) -> None:
    ringer = french()
    timeline(ringer, at)
    assert ringer.stop(at) == [RingOff()]
    assert ringer.stop(at) == []
    assert ringer.next_deadline() is None
    assert ringer.tick(at + 100) == []


def test_starting_anew_begins_with_the_voltage_off() -> None:
    ringer = french()
    ringer.start(0)
    assert ringer.start(0.5) == [RingOff(), RingOn(50)]
    assert ringer.next_deadline() == pytest.approx(2.0)


def test_a_late_tick_does_not_send_the_number_into_the_next_ring() -> None:
    ringer = french()
    ringer.start(0, "normal", MESSAGE_MS)
    assert ringer.tick(5.1) == [RingOff(), RingOn(50)]
    # It is owed, and comes after the second ring: 6.5 s and 600 ms.
    assert (7.1, CallerIdDue()) in followed(ringer, [], 8)


def test_after_a_long_sleep_there_is_no_flurry() -> None:
    ringer = french()
    ringer.start(0)
    steps = ringer.tick(3600)
    assert steps == [RingOff()]
    assert ringer.next_deadline() == pytest.approx(3603.5, abs=3)


class AnyRinging(RuleBasedStateMachine):
    """However it is started, ticked and stopped: no voltage outside ringing, on and off in turn."""

    alert = "ring"

    def __init__(self) -> None:
        super().__init__()
        self.ringer = as_told(self.alert)
        self.now = 0.0
        self.reversed = False
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
                case Polarity(reverse):
                    assert self.reversed != reverse
                    self.reversed = reverse
                case AnnouncementOver():
                    assert not self.on
                    assert not self.reversed

    @rule(pattern=st.sampled_from(["normal", "callback", "wake-up", "?"]), message_ms=st.sampled_from([0, 400, 1900]))
    def start(self, pattern: str, message_ms: float) -> None:
        self.callers = 0
        self.take(self.ringer.start(self.now, pattern, message_ms))
        self.started = True

    @rule(message_ms=st.sampled_from([0, 400, 900]))
    def announce(self, message_ms: float) -> None:
        if not self.started and not self.ringer.announcing:
            self.callers = 0
        if not self.ringer.announcing:
            self.take(self.ringer.announce(self.now, message_ms))

    @rule()
    def stop(self) -> None:
        self.take(self.ringer.stop(self.now))
        self.started = False
        assert not self.on
        assert not self.reversed

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.ringer.tick(self.now))

    @rule()
    def deadline(self) -> None:
        due = self.ringer.next_deadline()
        if due is not None:
            self.now = max(self.now, due)
            self.take(self.ringer.tick(self.now))

    @invariant()
    def voltage_only_while_it_works(self) -> None:
        assert self.ringer.voltage == self.on
        assert self.ringer.ringing == self.started
        assert not self.on or self.started or self.ringer.announcing
        assert not self.reversed or self.started or self.ringer.announcing
        assert self.callers <= 1

    @invariant()
    def something_is_due_while_it_works(self) -> None:
        assert (self.ringer.next_deadline() is not None) == (self.started or self.ringer.announcing)


class AnyBritishRinging(AnyRinging):
    alert = "reversal-dt-as"


class AnyPulsedRinging(AnyRinging):
    alert = "ring-pulse"


SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyRinging = AnyRinging.TestCase
TestAnyRinging.settings = SETTINGS
TestAnyBritishRinging = AnyBritishRinging.TestCase
TestAnyBritishRinging.settings = SETTINGS
TestAnyPulsedRinging = AnyPulsedRinging.TestCase
TestAnyPulsedRinging.settings = SETTINGS
