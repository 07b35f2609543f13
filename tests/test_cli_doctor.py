"""`allobox line doctor` against a core's own socket, with a box behind it that walks through a session."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware import cli_doctor
from firmware.cli import main
from firmware.control_routes import box_socket
from firmware.control_server import ControlServer
from firmware.eventhub import EventHub
from firmware.service import DoctorRow
from tests.fakes.box_service import START, FakeBox, session_row
from tests.fakes.sick_telephone import report

STEPS = ["armed", "welcome", "noise", "echo", "dial", "flash", "thanks"]


class WalkingBox(FakeBox):
    """Each question finds the session one step further."""

    def __init__(self, last: DoctorRow) -> None:
        super().__init__()
        self.steps = list(STEPS)
        self.last = last

    def doctor(self) -> DoctorRow:
        """See BoxService."""
        if self.doctor_row["state"] not in {"armed", "running", "examining"}:
            return self.doctor_row
        if self.steps:
            step = self.steps.pop(0)
            state = "armed" if step == "armed" else "running"
            self.doctor_row = session_row(state=state, line=1, step=step, started=START.isoformat())
        elif self.doctor_row["state"] == "running":
            self.doctor_row = session_row(state="examining", line=1, step="over", started=START.isoformat())
        else:
            self.doctor_row = self.last
        return self.doctor_row


def ended(**changes: object) -> DoctorRow:
    row = {"state": "done", "line": 1, "step": "over", "ending": "done", "started": START.isoformat(), **changes}
    return session_row(**row)


@pytest.fixture
def box() -> WalkingBox:
    return WalkingBox(ended(report=report()))


@pytest.fixture
def data(box: WalkingBox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(cli_doctor, "_LOOK_SECONDS", 0.01)
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="allobox-") as folder:
        server = ControlServer(box_socket(Path(folder)), box, EventHub())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield Path(folder)
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def doctor(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["line", "doctor", *arguments, "--data", str(data)])


def test_it_leads_through_the_steps_and_prints_the_report(data: Path, box: WalkingBox) -> None:
    done = doctor(data, "--line", "1")
    assert done.exit_code == 0, done.stderr
    assert ("start_doctor", 1) in box.asked
    told = done.stderr.replace("\u00a0", " ").splitlines()
    assert told[0] == "Décrochez le téléphone, et suivez la voix."
    assert told[-2:] == ["C’est terminé : raccrochez.", "La box examine ce qu’elle a entendu."]
    assert len(told) == len(STEPS) + 1
    said = done.stdout.replace("\u00a0", " ").splitlines()
    assert said[0] == "Quelque chose ne va pas : voyez ci-dessous."
    assert said[1].startswith("!! Le téléphone renvoie de l’écho : 4 dB")
    assert "!  Le cadran est lent : 7,6 impulsions par seconde (normal : 9 à 11)." in said


def test_it_speaks_english_when_asked(data: Path) -> None:
    done = doctor(data, "--language", "en")
    assert "!  The dial is slow: 7.6 pulses per second (normal: 9 to 11)." in done.stdout


def test_json_is_the_whole_row_and_nothing_else(data: Path) -> None:
    done = doctor(data, "--json")
    row = json.loads(done.stdout)
    assert (row["state"], row["ending"]) == ("done", "done")
    assert row["report"]["hook"]["pulse_speed"] == pytest.approx(7.6, abs=0.2)
    assert {finding["item"]: finding["grade"] for finding in row["report"]["findings"]}["pulse-speed"] == "fair"


def test_the_last_report_is_printed_again_without_a_session(data: Path, box: WalkingBox) -> None:
    box.doctor_row = box.last
    done = doctor(data, "--last")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith("Quelque chose ne va pas")
    assert not [what for what, _about in box.asked if what == "start_doctor"]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (ended(state="done", ending="nobody"), "Personne n’a décroché dans la minute."),
        (ended(state="failed", detail="out of memory"), "out of memory"),
        (ended(ending="emergency"), "Un numéro d’urgence a été composé"),
    ],
)
def test_without_a_report_it_ends_with_one_line_and_exit_code_1(
    data: Path, box: WalkingBox, last: DoctorRow, words: str
) -> None:
    box.last = last
    done = doctor(data)
    assert done.exit_code == 1
    assert words in done.stderr.splitlines()[-1].replace("\u00a0", " ")
    assert done.stdout == ""


def test_a_report_cut_short_says_so_first(data: Path, box: WalkingBox) -> None:
    box.last = ended(ending="hung-up", report=report())
    done = doctor(data)
    assert done.exit_code == 0
    assert done.stdout.startswith("Le téléphone a été raccroché avant la fin")


def test_a_refusal_is_one_line(data: Path, box: WalkingBox) -> None:
    box.doctor_row = session_row(state="running", line=1, step="dial")
    done = doctor(data)
    assert done.exit_code == 1
    assert done.stderr.strip() == "allobox: the line doctor is at work already: wait until it is done, or stop it"


def test_without_a_running_box_it_says_so(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.exit_code == 1
    assert "is `allobox run` running" in done.stderr


def test_ctrl_c_stops_the_session(data: Path, box: WalkingBox, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("firmware.cli_doctor.time.sleep", interrupted)
    done = doctor(data)
    assert done.exit_code == 1
    assert ("stop_doctor", None) in box.asked
    assert "Le diagnostic a été arrêté." in done.stderr
