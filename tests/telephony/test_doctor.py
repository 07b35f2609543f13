"""The line doctor's session: its steps, and that it never stands in the way."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import numbering
from firmware.telephony import doctor as dr
from firmware.telephony.doctor import DoctorSession, Ending, Step, Track
from firmware.telephony.events import Words

BACKWARDS = "#0*987654321"


def french(digits: str) -> bool:
    return numbering.is_emergency(digits, "FR")


class Session:
    """A session in virtual time, its orders kept."""

    def __init__(self) -> None:
        self.machine = DoctorSession(french)
        self.now = 100.0
        self.ordered: list[dr.Command] = []
        self.due: float | None = None

    def give(self, event: dr.Event) -> list[dr.Command]:
        commands = self.machine.handle(event, self.now)
        for command in commands:
            if isinstance(command, dr.Wait):
                self.due = None if command.seconds is None else self.now + command.seconds
        self.ordered += commands
        return commands

    def wait(self) -> None:
        assert self.due is not None
        self.now = self.due
        self.give(dr.TimeUp())

    def keys(self, digits: str, *, pulse: bool = False, seconds: float = 0.3) -> None:
        for digit in digits:
            self.now += seconds
            self.give(dr.Key(digit, pulse))

    def at(self, step: Step) -> Session:
        """Go the usual way as far as `step`."""
        self.give(dr.Begin())
        for _ in range(20):
            if self.machine.step is step:
                return self
            if self.machine.step is Step.WELCOME:
                self.now += 4
                self.give(dr.Spoken())
            elif self.machine.step is Step.FLASH:
                self.give(dr.Flashed())
            else:
                self.wait()
        raise AssertionError(step)

    def of(self, kind: type) -> list[dr.Command]:
        return [command for command in self.ordered if isinstance(command, kind)]


@pytest.fixture
def session() -> Session:
    return Session()


def test_a_whole_session_says_listens_plays_records_and_concludes_in_order(session: Session) -> None:
    session.at(Step.DIAL)
    session.keys(BACKWARDS)
    session.wait()
    session.give(dr.Flashed())
    session.give(dr.HungUp())
    orders = [command for command in session.ordered if not isinstance(command, dr.Wait)]
    assert orders == [
        dr.Say(Words.DOCTOR_QUIET),
        dr.Record(Track.NOISE),
        dr.Hush(),
        dr.Record(Track.ECHO),
        dr.PlayProbe(),
        dr.Record(Track.KEYS),
        dr.Say(Words.DOCTOR_DIAL),
        dr.Hush(),
        dr.Record(None),
        dr.Say(Words.DOCTOR_FLASH),
        dr.Say(Words.DOCTOR_DONE),
        dr.Conclude(Ending.DONE, examine=True),
        dr.Leave(),
    ]
    assert session.machine.keys_heard == "123456789*0#"


def test_a_dial_needs_two_digits_and_no_more(session: Session) -> None:
    session.at(Step.DIAL)
    session.keys("01", pulse=True, seconds=1.5)
    before = session.now
    session.wait()
    assert session.machine.step is Step.FLASH
    assert session.now - before < 1


def test_who_stops_dialling_is_led_on(session: Session) -> None:
    session.at(Step.DIAL)
    session.keys("#0")
    session.wait()
    assert session.machine.step is Step.FLASH


def test_who_does_nothing_at_all_is_led_through_within_two_minutes(session: Session) -> None:
    session.give(dr.Begin())
    began = session.now
    while session.machine.step is not Step.OVER:
        session.wait()
    assert session.machine.ending is Ending.DONE
    assert session.now - began <= dr.SESSION_SECONDS


def test_who_dials_for_ever_is_ended_after_two_minutes(session: Session) -> None:
    session.at(Step.DIAL)
    began = 100.0
    while session.machine.step is Step.DIAL and session.now < began + 500:
        session.now += 4
        if session.due is not None and session.due <= session.now:
            session.now = session.due
            session.give(dr.TimeUp())
        else:
            session.give(dr.Key("9"))
    assert session.machine.step is Step.OVER
    assert session.machine.ending is Ending.TIME
    assert session.now - began == pytest.approx(dr.SESSION_SECONDS, abs=0.01)
    assert session.of(dr.Conclude) == [dr.Conclude(Ending.TIME, examine=True)]


@pytest.mark.parametrize("step", [*sorted(dr.RUNNING, key=str), Step.CALL_WAITS])
@pytest.mark.parametrize("number", sorted(numbering.EMERGENCY["FR"]))
@pytest.mark.parametrize("pulse", [False, True])
def test_an_emergency_number_is_called_at_its_last_digit_at_every_step(step: Step, number: str, *, pulse: bool) -> None:
    session = Session()
    if step is Step.CALL_WAITS:
        session.at(Step.DIAL).give(dr.Called())
    else:
        session.at(step)
    session.keys(number[:-1], pulse=pulse)
    assert session.machine.has_handset
    session.keys(number[-1], pulse=pulse)
    assert session.machine.step is Step.OVER
    assert session.of(dr.Leave) == [dr.Leave(number)]
    if step is not Step.CALL_WAITS:
        assert session.of(dr.Conclude) == [dr.Conclude(Ending.EMERGENCY, examine=False)]


def test_an_emergency_right_after_keys_that_meant_something_else_is_called(session: Session) -> None:
    session.at(Step.DIAL)
    session.keys("#0*98")
    session.keys("112")
    assert session.of(dr.Leave) == [dr.Leave("112")]


def test_all_keys_backwards_and_then_15_is_15_and_not_115(session: Session) -> None:
    session.at(Step.DIAL)
    session.keys(BACKWARDS)
    session.keys("15")
    assert session.of(dr.Leave) == [dr.Leave("15")]


@pytest.mark.parametrize("wrong", range(200))
def test_what_the_session_asks_for_never_calls_for_help_however_the_telephone_gets_it_wrong(wrong: int) -> None:
    chance = random.Random(wrong)  # noqa: S311 - worn contacts, no secret
    session = Session()
    session.at(Step.DIAL)
    if wrong % 2:
        # A worn dial: any digit for the 0, then the 1.
        session.keys(chance.choice("1234567890") + "1", pulse=True)
    else:
        # Keys that stick or do not come.
        for key in BACKWARDS:
            session.keys(key * chance.choice([0, 1, 1, 1, 2]))
    assert session.machine.step is Step.DIAL


def test_the_last_key_asked_for_may_be_the_first_of_112(session: Session) -> None:
    session.at(Step.DIAL)
    session.keys("#0*98765432")
    session.keys("112")
    assert session.of(dr.Leave) == [dr.Leave("112")]


def test_digits_far_apart_are_no_number(session: Session) -> None:
    session.at(Step.DIAL)
    session.give(dr.Key("1"))
    session.now += 9
    session.give(dr.Key("7"))
    assert session.machine.step is Step.DIAL


@pytest.mark.parametrize("step", sorted(dr.RUNNING, key=str))
def test_hanging_up_ends_it_at_every_step_and_what_there_is_is_examined(step: Step) -> None:
    session = Session().at(step)
    session.give(dr.HungUp())
    assert session.machine.step is Step.OVER
    (conclude,) = session.of(dr.Conclude)
    assert conclude == dr.Conclude(Ending.DONE if step is Step.THANKS else Ending.HUNG_UP, examine=True)
    assert session.ordered[-1] == dr.Leave()
    assert session.due is None


@pytest.mark.parametrize("step", sorted(dr.RUNNING, key=str))
def test_a_call_ends_it_at_every_step_and_waits_for_the_handset(step: Step) -> None:
    session = Session().at(step)
    commands = session.give(dr.Called())
    assert dr.Conclude(Ending.CALL, examine=True) in commands
    assert commands[-1] == dr.Say(Words.DOCTOR_CALL)
    session.give(dr.HungUp())
    assert session.ordered[-1] == dr.Leave()
    assert len(session.of(dr.Conclude)) == 1


@pytest.mark.parametrize("event", [dr.CallGone(), dr.TimeUp(), dr.Cancel()])
def test_a_call_that_nobody_takes_gives_the_handset_back(session: Session, event: dr.Event) -> None:
    session.at(Step.NOISE).give(dr.Called())
    session.give(event)
    assert session.machine.step is Step.OVER
    assert session.ordered[-1] == dr.Leave()


def test_cancelling_examines_nothing(session: Session) -> None:
    session.at(Step.DIAL).give(dr.Cancel())
    assert session.of(dr.Conclude) == [dr.Conclude(Ending.CANCELLED, examine=False)]


def test_armed_it_waits_a_minute_and_a_call_or_nobody_ends_it(session: Session) -> None:
    session.give(dr.Arm())
    assert session.due == session.now + 60
    session.wait()
    assert (session.machine.step, session.machine.ending) == (Step.OVER, Ending.NOBODY)
    other = Session()
    other.give(dr.Arm())
    other.give(dr.Called())
    assert (other.machine.step, other.machine.ending) == (Step.OVER, Ending.CALL)
    assert other.ordered[-1] == dr.Leave()


def test_over_is_over(session: Session) -> None:
    session.at(Step.DIAL).give(dr.HungUp())
    session.ordered.clear()
    for event in (dr.Begin(), dr.Arm(), dr.Key("1"), dr.Spoken(), dr.TimeUp(), dr.Called(), dr.Cancel()):
        assert session.give(event) == []


EVENTS = st.one_of(
    st.sampled_from([
        dr.Arm(), dr.Begin(), dr.Flashed(), dr.HungUp(), dr.Spoken(), dr.TimeUp(), dr.Called(), dr.CallGone(),
        dr.Cancel(),
    ]),
    st.builds(dr.Key, st.sampled_from("0123456789*#ABCD"), st.booleans()),
)  # fmt: skip


@given(st.lists(st.tuples(EVENTS, st.floats(0, 20)), max_size=40))
def test_whatever_happens_it_concludes_and_leaves_once_and_never_waits_for_ever(
    happened: list[tuple[dr.Event, float]],
) -> None:
    session = Session()
    for event, seconds in happened:
        session.now += seconds
        if not (isinstance(event, dr.TimeUp) and session.due is None):
            session.give(event)
        step = session.machine.step
        assert (session.due is not None) == (step not in {Step.IDLE, Step.OVER})
        assert len(session.of(dr.Leave)) == (1 if step is Step.OVER else 0)
        concluded = step in {Step.OVER, Step.CALL_WAITS}
        assert len(session.of(dr.Conclude)) == (1 if concluded else 0)
        recorded = session.of(dr.Record)
        if concluded and recorded:
            assert recorded[-1] == dr.Record(None)


def test_tracks_fit_together_into_what_an_examination_takes() -> None:
    from firmware.fxs.doctor import MAX_SECONDS  # noqa: PLC0415 - what the two agree on

    assert sum(dr.TRACK_SECONDS.values()) <= MAX_SECONDS
