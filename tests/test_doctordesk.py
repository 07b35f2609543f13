"""The line doctor in a whole household, in virtual time: it never stands in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from firmware import numbering
from firmware.doctordesk import DoctorDesk, Examined, Sink
from firmware.fxs.doctor import Recording
from firmware.service import ServiceError
from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony.doctor import SESSION_SECONDS, Step
from tests.fakes.household import FakeVoice, Household

CALLER = ev.Caller("+33142685300", "Mamie Jeanne")
BACKWARDS = "#0*987654321"


class DoctorsHouse(Household):
    """A household with its doctor; `recordings` are what was to be examined."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.tap: Sink | None = None
        self.recordings: list[tuple[Recording, Examined]] = []
        self.news = 0
        self.desk = DoctorDesk(
            scheduler=self.time,
            handsets={1: self.handset},
            tap=self._tap,
            is_emergency=lambda digits: numbering.is_emergency(digits, "FR"),
            flash_ms=(120.0, 600.0),
            examine=lambda recording, examined: self.recordings.append((recording, examined)),
            told=self._news,
            wall=lambda: datetime(2026, 11, 24, 20, 0, tzinfo=UTC),
        )
        self.board.diagnose = self.desk.begin

    def _tap(self, line: int, sink: Sink | None) -> None:
        assert line == 1
        self.tap = sink

    def _news(self) -> None:
        self.news += 1

    def sound(self, seconds: float) -> None:
        """The line delivers frames as time passes."""
        for _ in range(round(seconds * 100)):
            if self.tap is not None:
                self.tap(bytes([1, 0]) * 80)
            self.time.pass_time(0.01)

    def go(self, step: Step) -> None:
        """As far as `step`, whoever started it."""
        for _ in range(900):
            if self.desk.row["step"] == step.value:
                return
            if self.desk.row["step"] == Step.WELCOME.value:
                self.handset.speech_ended()
            else:
                self.sound(0.1)
        raise AssertionError(self.desk.row)

    @property
    def state(self) -> str:
        return self.handset.machine.state.value


class DoctorVoice(FakeVoice):
    """Takes the probe, which is no name."""

    def play_samples(self, pcm: bytes) -> None:
        self.hears = "probe" if len(pcm) > 1000 else pcm.decode()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DoctorsHouse]:
    monkeypatch.setattr(FakeVoice, "play_samples", DoctorVoice.play_samples)
    household = DoctorsHouse(tmp_path)
    yield household
    household.close()


def ring_in(house: Household, key: int = sip.FIRST_INCOMING_KEY) -> int:
    house.agent.emit(sip.IncomingCall(key, "home", CALLER, "sip:x@example.org", f"in-{key}"))
    return key


def code(house: DoctorsHouse) -> None:
    house.lift()
    house.dial("*#36#")


def from_the_page(house: DoctorsHouse) -> None:
    house.desk.start(1)
    house.lift()


def from_the_page_off_hook(house: DoctorsHouse) -> None:
    house.lift()
    house.desk.start(1)


@pytest.mark.parametrize("begin", [code, from_the_page, from_the_page_off_hook])
def test_a_session_from_the_handset_or_the_page_to_a_report(
    house: DoctorsHouse, begin: Callable[[DoctorsHouse], None]
) -> None:
    begin(house)
    assert house.state == "service"
    assert house.voice.hears == "doctor-quiet"
    assert (house.desk.row["state"], house.desk.row["step"]) == ("running", "welcome")
    house.go(Step.NOISE)
    assert house.voice.hears is None
    house.go(Step.ECHO)
    assert house.voice.hears == "probe"
    house.go(Step.DIAL)
    assert house.voice.hears == "doctor-dial"
    house.sound(1.0)
    house.dial(BACKWARDS)
    assert house.voice.hears is None
    assert house.desk.row["keys"] == "123456789*0#"
    house.go(Step.FLASH)
    house.flash()
    assert house.voice.hears == "doctor-done"
    house.hang_up()
    assert house.state == "idle"
    assert not house.invites()
    assert (house.desk.row["state"], house.desk.row["ending"]) == ("examining", "done")
    ((recording, examined),) = house.recordings
    assert len(recording.noise) == 2 * 8000 * 2.0
    assert 2 * 8000 * 2.0 < len(recording.echo) <= 2 * 8000 * 2.3
    assert len(recording.keys) > 2 * 8000
    assert [edge.closed for edge in recording.edges] == [True, False, True, False]
    examined({"findings": []}, "")
    assert (house.desk.row["state"], house.desk.row["report"]) == ("done", {"findings": []})
    house.lift()
    assert house.voice.hears == "dial"
    house.dial("0142685300")
    assert len(house.invites()) == 1


def test_a_rotary_telephone_is_led_through_too(house: DoctorsHouse) -> None:
    from_the_page(house)
    house.go(Step.DIAL)
    house.rotary("01")
    house.go(Step.THANKS)
    house.hang_up()
    ((recording, _examined),) = house.recordings
    assert len(recording.edges) == 1 + 2 * 11 + 1
    assert not house.invites()


def test_an_emergency_number_dialled_in_it_is_called_at_once(house: DoctorsHouse) -> None:
    code(house)
    for step in (Step.NOISE, Step.ECHO, Step.DIAL):
        house.go(step)
        house.dial("15")
        (invite,) = house.invites()
        assert invite.args[2] == "15"
        assert house.state == "calling"
        assert house.tap is None
        assert house.desk.row["ending"] == "emergency"
        assert house.recordings == []
        house.hang_up()
        house.agent.emit(sip.CallDisconnected(invite.args[0], 487, "", None, by_us=True))
        code(house)


def test_a_rotary_112_in_it_is_called_though_the_line_has_no_account(house: DoctorsHouse) -> None:
    house.register("home", ok=False)
    house.agent.take()
    from_the_page(house)
    assert house.state == "service"
    house.go(Step.DIAL)
    house.rotary("112")
    (invite,) = house.invites()
    assert invite.args[2] == "112"


def test_an_incoming_call_ends_it_and_rings_when_the_handset_is_hung_up(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.DIAL)
    house.agent.take()
    key = ring_in(house)
    assert ("ring", (key,)) in [(c.name, c.args) for c in house.agent.take()]
    assert house.voice.hears == "doctor-call"
    assert house.desk.row["ending"] == "call"
    assert len(house.recordings) == 1
    house.hang_up()
    house.time.pass_time(0.1)
    assert house.port.bell
    house.lift()
    assert ("answer", (key,)) in [(c.name, c.args) for c in house.agent.take()]
    house.agent.emit(sip.CallConfirmed(key, "in"))
    assert house.state == "talking"


def test_a_caller_who_gives_up_meanwhile_leaves_a_dial_tone_and_no_ring(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.NOISE)
    key = ring_in(house)
    house.agent.emit(sip.CallDisconnected(key, 487, "Request Terminated", None, by_us=False))
    assert house.voice.hears == "dial"
    house.hang_up()
    house.time.pass_time(5)
    assert not house.port.bell


def test_a_second_caller_is_told_busy_while_the_first_waits(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.NOISE)
    ring_in(house)
    second = ring_in(house, sip.FIRST_INCOMING_KEY + 1)
    assert ("end", (second, 486)) in [(c.name, c.args) for c in house.agent.take()]
    house.hang_up()
    house.time.pass_time(0.1)
    assert house.port.bell


def test_a_caller_for_whom_nobody_hangs_up_is_not_kept_for_ever(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.NOISE)
    ring_in(house)
    house.agent.take()
    house.time.pass_time(21)
    assert house.handset.guest is None
    house.hang_up()
    house.lift()
    assert house.voice.hears in {"dial", None} or house.state == "talking"


def test_a_call_while_it_waits_to_be_lifted_rings_as_ever(house: DoctorsHouse) -> None:
    house.desk.start(1)
    key = ring_in(house)
    assert house.port.bell
    house.lift()
    house.agent.emit(sip.CallConfirmed(key, "in"))
    assert house.state == "talking"
    assert house.desk.row["ending"] == "call"
    assert house.handset.guest is None


def test_hanging_up_in_the_middle_examines_what_there_is(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.ECHO)
    house.sound(0.5)
    house.hang_up()
    ((recording, _examined),) = house.recordings
    assert recording.noise
    assert recording.keys == b""
    assert house.tap is None
    assert house.state == "idle"


def test_two_minutes_are_the_end_and_a_dial_tone(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.DIAL)
    for _ in range(40):
        house.time.pass_time(3.5)
        if house.desk.row["state"] == "running":
            house.dial("9")
    assert house.desk.row["ending"] == "time"
    assert house.handset.guest is None
    assert len(house.recordings) == 1
    assert SESSION_SECONDS == 120


def test_the_doctor_is_not_asked_twice_at_a_time(house: DoctorsHouse) -> None:
    house.desk.start(1)
    with pytest.raises(ServiceError, match="at work already") as caught:
        house.desk.start(1)
    assert caught.value.status == 409
    house.lift()
    assert house.state == "service"
    house.hang_up()
    with pytest.raises(ServiceError, match="at work already"):
        house.desk.start(1)
    code(house)
    assert house.voice.hears == "doctor-busy"
    house.hang_up()
    house.recordings[0][1](None, "out of memory")
    assert (house.desk.row["state"], house.desk.row["detail"]) == ("failed", "out of memory")
    house.desk.start(1)


def test_a_line_in_use_or_unknown_is_refused(house: DoctorsHouse) -> None:
    with pytest.raises(ServiceError, match="no line 7") as caught:
        house.desk.start(7)
    assert caught.value.status == 404
    house.lift()
    house.dial("01")
    with pytest.raises(ServiceError, match="in use or unplugged"):
        house.desk.start(1)
    assert house.handset.guest is None
    house.dial("42685300")
    assert len(house.invites()) == 1


def test_nobody_lifts_within_a_minute(house: DoctorsHouse) -> None:
    house.desk.start(1)
    house.time.pass_time(61)
    assert (house.desk.row["state"], house.desk.row["ending"]) == ("done", "nobody")
    assert house.handset.guest is None
    house.lift()
    assert house.voice.hears == "dial"


def test_stopping_it_gives_a_dial_tone_and_examines_nothing(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.DIAL)
    house.desk.stop()
    assert house.voice.hears == "dial"
    assert house.desk.row["ending"] == "cancelled"
    assert house.recordings == []
    house.desk.stop()


def test_an_unplugged_line_ends_it(house: DoctorsHouse) -> None:
    from firmware.fxs.port import LineFault  # noqa: PLC0415 - only here

    code(house)
    house.go(Step.DIAL)
    house.port.closed = False
    house.handset.port_event(LineFault("unplugged", house.time.time()))
    house.time.pass_time(2)
    assert house.handset.guest is None
    assert house.desk.row["ending"] == "hung-up"


def test_no_more_than_twenty_seconds_of_sound_are_ever_kept(house: DoctorsHouse) -> None:
    code(house)
    house.go(Step.DIAL)
    house.sound(5)
    house.dial("#0")
    for _ in range(10):
        house.sound(5)
        if house.desk.row["state"] == "running":
            house.dial("9")
    house.hang_up()
    ((recording, _examined),) = house.recordings
    kept = len(recording.noise) + len(recording.echo) + len(recording.keys)
    assert kept <= 2 * 8000 * 20
    assert len(recording.keys) == 2 * 8000 * 15


def test_every_step_is_told(house: DoctorsHouse) -> None:
    rows: list[Mapping[str, Any]] = []
    house.desk._told = lambda: rows.append(dict(house.desk.row))
    from_the_page(house)
    house.go(Step.THANKS)
    house.hang_up()
    house.recordings[0][1]({}, "")
    steps = list(dict.fromkeys(row["step"] for row in rows))
    assert steps == ["welcome", "noise", "echo", "dial", "flash", "thanks", "over"]
    assert [row["state"] for row in rows][-2:] == ["examining", "done"]
