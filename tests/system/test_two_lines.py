"""Two telephones, 400 ppm apart, on one box: both in calls at once, one caller for both, one hang-up of one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.peer_exchange import TestExchange
from tests.system.peers import wait_until
from tests.system.test_voice import Witness, gaps_ms

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ECHO, CALLS_BACK, MILLIWATT = "0199000001", "0199000002", "0199000006"


def _account(exchange: TestExchange) -> dict[str, object]:
    return {"name": "exchange", "server": exchange.server, "user": exchange.user, "password": exchange.password}


def _call(box: RunningBox, line: int, number: str) -> None:
    phone = box.phones[line]
    phone.lift()
    phone.wait("dial-tone", 10)
    phone.dial(number)
    box.state("talking", line=line)


def _hears_itself(box: RunningBox, line: int) -> None:
    """Chirps come back from the echo within what two buffers and two jitter buffers may take."""
    heard = [trip for trip in box.phones[line].roundtrip(3) if trip is not None]
    assert heard, f"line {line} hears no echo"
    assert min(heard) < 300, heard


def test_two_telephones_talk_at_once_are_rung_together_and_hang_up_apart(tmp_path: Path) -> None:
    with (
        TestExchange() as exchange,
        RunningBox(_account(exchange), telephone=("--ppm", "200"), more_telephones=[("--ppm", "-200")]) as box,
    ):
        box.wait_registered("exchange")
        assert [row["line"] for row in box.client.status()["lines"]] == [1, 2]

        # One caller for both telephones; the one that lifts has the call, the other falls silent.
        _call(box, 1, CALLS_BACK)
        box.phone.hangup()
        for phone in box.phones.values():
            phone.wait("ring", 15)
        box.phones[2].lift()
        box.state("talking", line=2)
        wait_until(lambda: not box.phones[1].state()["ringing"], 10, "the other bell to stop")
        assert box.client.status()["lines"][0]["state"] == "idle"
        box.phones[2].hangup()
        box.state("idle", line=2)
        incoming = next(row for row in box.calls(2) if row["direction"] == "in")
        assert (incoming["line"], incoming["end"]) == (2, "callee")

        # Both in a call at once; the second line has buffers to the first one's clock.
        _call(box, 1, ECHO)
        _call(box, 2, ECHO)
        before = {line: phone.state() for line, phone in box.phones.items()}
        for line in box.phones:
            _hears_itself(box, line)
        counted = {
            line: int(phone.state()["slipped_frames"]) - int(before[line]["slipped_frames"])
            for line, phone in box.phones.items()
        }
        assert counted == {1: 0, 2: 0}, "the box was late with no frame"
        box.phones[2].hangup()
        box.state("idle", line=2)

        # The first telephone, whose clock the bridge goes by, hangs up while the second one listens to a steady tone.
        _call(box, 2, MILLIWATT)
        witness = Witness()
        witness.watch(time.monotonic() + 1)
        recording = box.phones[2].begin_record(tmp_path / "heard.wav", 5)
        beside = box.phones[1].begin_record(tmp_path / "beside.wav", 1)
        witness.watch(time.monotonic() + 1.5)
        beside.result()
        box.phone.hangup()
        witness.watch(time.monotonic() + 2.5)
        recording.result()
        assert box.client.status()["lines"][1]["state"] == "talking"
        box.phones[2].hangup()
        box.state("idle", line=2)
        (told,) = [line for line in box.log().splitlines() if "line 2: its clock runs" in line][-1:]
        assert [row["line"] for row in box.calls(5)[:3]] == [2, 1, 2]
    assert abs(speech_score.read(tmp_path / "beside.wav").astype(int)).max() < 100, (
        "one line's call is heard on the other"
    )
    found = gaps_ms(speech_score.read(tmp_path / "heard.wav"))
    # The exchange's own milliwatt pauses for 20 ms every two seconds. A stall of the machine stops everybody alike.
    assert max(found, default=0.0) <= 20 + witness.worst_ms, (found, witness.worst_ms, told)
    assert len(found) <= 3 or witness.worst_ms > 5, (found, witness.worst_ms, told)
