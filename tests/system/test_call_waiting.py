"""Two real callers and one telephone: who waits is shown in the call, R answers and swaps, hanging up rings."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Baresip, Kamailio, Sipp, SippCaller, wait_until
from tests.system.speech_score import read
from tests.system.test_first_calls import NUMBER, account

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

USERS = {"box": "pw-box", "alice": "pw-alice", "bob": "pw-bob"}
ALICE_HZ, BOB_HZ = 500, 900  # a second of 1050 Hz would be a fax machine calling


def says(path: Path, hertz: int, seconds: float = 60) -> Path:
    """A recording of one steady tone: whose voice it is, is measured by its frequency."""
    import wave  # noqa: PLC0415 - the shortest way to a WAV

    samples = (6000 * np.sin(2 * np.pi * hertz * np.arange(round(8000 * seconds)) / 8000)).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(samples.tobytes())
    return path


def heard_hz(box: RunningBox, path: Path, seconds: float = 0.4) -> float:
    """The strongest frequency at the telephone now; 0 for silence."""
    box.phone.record(path, seconds)
    x = read(path).astype(float)
    if np.abs(x).max() < 500:
        return 0.0
    power = np.abs(np.fft.rfft(x * np.hanning(x.size)))
    return float(np.argmax(power) * 8000 / x.size)


def loudest(path: Path, hertz: float) -> float:
    """The largest amplitude of one frequency in any 50 ms of a recording, but its first 100: the last digit's end."""
    x = read(path).astype(float)[800:]
    x = x[: x.size // 400 * 400].reshape(-1, 400)
    turns = np.exp(-2j * np.pi * hertz * np.arange(400) / 8000) * np.hanning(400)
    return float(np.abs(x @ turns).max() * 2 / np.hanning(400).sum())


def hears(box: RunningBox, path: Path, hertz: float) -> None:
    wait_until(lambda: abs(heard_hz(box, path) - hertz) < 15, 10, f"{hertz} Hz at the telephone")


def caller(name: str, registrar: Kamailio, said: Path) -> Baresip:
    return Baresip(
        name, f"pw-{name}", f"{LOOPBACK}:{registrar.port}", audio=said, display_name=f"{name.title()} Durand"
    )


def test_a_second_caller_is_shown_in_the_call_answered_swapped_and_rings_when_one_hangs_up(tmp_path: Path) -> None:
    ear = tmp_path / "ear.wav"
    with (
        Kamailio(USERS, aliases={"+33142685300": "alice"}) as registrar,
        caller("alice", registrar, says(tmp_path / "alice.wav", ALICE_HZ)) as alice,
        caller("bob", registrar, says(tmp_path / "bob.wav", BOB_HZ)) as bob,
        RunningBox(account(registrar)) as box,
    ):
        box.wait_registered("home")
        box.phone.lift()
        box.phone.dial(NUMBER)
        alice.wait("CALL_ESTABLISHED")
        hears(box, ear, ALICE_HZ)

        beep, shown = box.phone.begin_wait("call-waiting", 15), box.phone.begin_wait("caller-id", 15)
        bob.dial("box")
        bob.wait("CALL_RINGING")
        beep.result()
        shown.result()
        assert box.phone.state()["caller_id"]["name"] == "Bob Durand"
        assert box.client.status()["lines"][0]["state"] == "call-waiting"
        hears(box, ear, ALICE_HZ)

        box.phone.flash()
        bob.wait("CALL_ESTABLISHED")
        box.state("call-held")
        hears(box, ear, BOB_HZ)

        box.phone.flash()
        hears(box, ear, ALICE_HZ)
        box.phone.dial("5")
        alice.wait("CALL_DTMF_START")
        box.phone.flash()
        hears(box, ear, BOB_HZ)

        ringing = box.phone.begin_wait("ring", 10)
        box.phone.hangup()  # on Bob; Alice is held
        bob.wait("CALL_CLOSED")
        ringing.result()
        box.state("recall")
        box.phone.lift()
        hears(box, ear, ALICE_HZ)
        box.phone.hangup()
        alice.wait("CALL_CLOSED")

        rows = box.calls(2)
        ends = {row["direction"]: (row["end"], row["sip_code"]) for row in rows}
        assert ends == {"out": ("caller", 200), "in": ("callee", 200)}
        assert box.client.status()["lines"][0]["state"] == "idle"
        # What the telephone answered to the alerting signal was no digit of the call, and nothing of it was heard.
        keys = [event["param"] for event in alice.events() if event["type"] == "CALL_DTMF_START"]
        assert keys == ["5"]
        for part in (2130, 2750, 1633):
            assert loudest(alice.heard()[0], part) < 40, f"{part} Hz reached Alice"


def test_who_waits_when_one_hangs_up_rings_and_who_gives_up_is_missed(tmp_path: Path) -> None:
    with (
        Kamailio(USERS, aliases={"+33142685300": "alice"}) as registrar,
        caller("alice", registrar, says(tmp_path / "alice.wav", ALICE_HZ)) as alice,
        caller("bob", registrar, says(tmp_path / "bob.wav", BOB_HZ)) as bob,
        RunningBox(account(registrar), telephone=("--no-second-caller",)) as box,
    ):
        box.wait_registered("home")
        target = f"{LOOPBACK}:{registrar.port}"
        box.phone.lift()
        box.phone.dial(NUMBER)
        alice.wait("CALL_ESTABLISHED")
        # Zoé waits and gives up: nothing is left of it but a missed call, and Alice's voice.
        with Sipp(
            "uac_cancel.xml", target, service="box", callers=[SippCaller("0612345678", "Zoé")], pause_ms=2500
        ) as sipp:
            box.phone.wait("call-waiting", 10)
            assert sipp.wait(30).successful == 1
        box.state("talking")
        hears(box, tmp_path / "ear.wav", ALICE_HZ)
        # Bob waits, Alice hangs up: the tone goes on; hung up, it rings for him.
        bob.dial("box")
        box.state("call-waiting")
        alice.hangup()
        box.state("waiting-alone")
        ringing = box.phone.begin_wait("ring", 10)
        box.phone.hangup()
        ringing.result()
        box.phone.wait("caller-id", 10)
        assert box.phone.state()["caller_id"]["name"] == "Bob Durand"
        box.phone.lift()
        bob.wait("CALL_ESTABLISHED")
        hears(box, tmp_path / "ear.wav", BOB_HZ)
        box.phone.hangup()
        bob.wait("CALL_CLOSED")
        time.sleep(0.2)
        (missed,) = box.client.calls({"missed": True})
        assert missed["name"] == "Zoé"
        assert len(box.calls(3)) == 3
