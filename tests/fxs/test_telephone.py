"""The telephone as a whole, in real time, at the far end of a wire whose near end is the box's real port and PCM."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware.cli_phone import phone
from firmware.fxs import callerid, country
from firmware.fxs.dtmf import Detector
from firmware.fxs.hook import HookDecoder, HookSettings
from firmware.fxs.pcm import FRAME_BYTES
from firmware.fxs.phone_client import PhoneClient, PhoneError, clean_digits, control_path
from firmware.fxs.port import LineFault, LineRestored, LoopEdge, PortEvent
from tests.fakes.box_end import BoxEnd, sine

PATIENCE = 15.0
DIAL_TONE = sine((440.0,), 1000)


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    # pytest's own paths may be too long for a Unix socket.
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


class Process:
    """A telephone's process."""

    def __init__(self, data: Path, line: int = 1, command: list[str] | None = None) -> None:
        program = f"import pathlib; from firmware.fxs.telephone import main; main(pathlib.Path({str(data)!r}), {line})"
        command = command or [sys.executable, "-c", program]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.client = PhoneClient(data, line)
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            self.client.state()
        except PhoneError:
            return False
        return True

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def process(data: Path) -> Iterator[Process]:
    running = Process(data)
    yield running
    assert running.end() == 0


@pytest.fixture
def telephone(process: Process) -> Iterator[PhoneClient]:
    process.client.hangup()
    yield process.client
    process.client.hangup()


@pytest.fixture
def box(data: Path, telephone: PhoneClient) -> Iterator[BoxEnd]:
    with BoxEnd(data) as end:
        until(lambda: telephone.state()["audio"])
        yield end


def samples(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        pcm: bytes = file.readframes(10**7)
        return pcm


def test_lift_hear_dial_tone_dial_and_hear_it_stop(box: BoxEnd, telephone: PhoneClient) -> None:
    box.play(DIAL_TONE)
    telephone.lift()
    edge = box.wait_event(LoopEdge, closed=True)
    telephone.wait("dial-tone", PATIENCE)
    assert telephone.state()["hook"] == "off"
    box.silence()
    before = len(box.heard)
    telephone.dial("01 42-68.53*0#")
    telephone.wait("silence", PATIENCE)
    receiver = Detector(dial_tone_filter=False)
    digits = [one.digit for frame in box.heard[before:] for one in receiver.feed(frame)]
    assert "".join(digits) == "01426853*0#"
    marks = telephone.mark()
    assert isinstance(edge, LoopEdge)
    assert edge.at <= marks["lift_settled"] <= marks["first_sound"] <= marks["digit_end"] <= marks["now"]


def test_pulses_reach_the_box_as_edges(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    box.wait_event(LoopEdge, closed=True)
    time.sleep(0.05)
    before = len(box.events)
    telephone.dial("21", pulse=True, pps=20)
    until(lambda: len(box.events) >= before + 6)
    edges = [event for event in box.events[before:] if isinstance(event, LoopEdge)]
    breaks = [edges[0].at]
    for edge in edges:
        # Bounce lasts a few milliseconds; a pulse of 20 a second is a break of 33.
        if not edge.closed and edge.at - breaks[-1] > 0.04:
            breaks.append(edge.at)
    assert len(breaks) == 3
    assert breaks[2] - breaks[1] > 0.5


def test_a_worn_dial_is_an_order_of_the_hand(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    box.wait_event(LoopEdge, closed=True)
    time.sleep(0.05)
    before = len(box.events)
    telephone.dial("22", pulse=True, pps=20, break_share=0.4, bounce=0, jitter=0.1, pause=250)
    until(lambda: len(box.events) >= before + 8)
    at = [event.at for event in box.events[before:] if isinstance(event, LoopEdge)]
    breaks = [make - opened for opened, make in zip(at[::2], at[1::2], strict=True)]
    assert all(0.018 <= length <= 0.022 for length in breaks)
    assert len({round(length, 5) for length in breaks}) > 1
    assert at[4] - at[3] == pytest.approx(0.25, abs=0.001)


def test_what_is_recorded_is_bit_for_bit_what_the_box_sent(box: BoxEnd, telephone: PhoneClient, tmp_path: Path) -> None:
    telephone.lift()
    ramp = struct.pack("<8000h", *range(-4000, 4000))
    box.play(ramp)
    time.sleep(0.1)
    for _ in range(10):
        before = telephone.state()
        told = telephone.record(tmp_path / "heard.wav", 1.23456)
        assert told["started_at"] <= time.monotonic()
        heard = samples(tmp_path / "heard.wav")
        assert len(heard) == 2 * round(1.23456 * 8000)
        after = telephone.state()
        # On a busy machine a frame may come late: such a recording proves nothing either way.
        if all(after[key] == before[key] for key in ("slipped_frames", "dropped_frames")):
            assert heard in ramp * 4
            return
    pytest.fail("each of ten recordings had a slipped frame")


def test_play_record_and_wait_run_at_once_through_an_echo(box: BoxEnd, telephone: PhoneClient, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "said.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(sine((300.0, 700.0, 1100.0), 1000, -18))
    telephone.lift()
    box.echo()
    recording = telephone.begin_record(tmp_path / "heard.wav", 2)
    waiting = telephone.begin_wait("voice", PATIENCE)
    played = telephone.play(tmp_path / "said.wav")
    assert played["ended_at"] - played["started_at"] == pytest.approx(1.0, abs=1e-6)
    assert waiting.result()["state"]["hook"] == "off"
    recording.result()
    heard = struct.unpack("<16000h", samples(tmp_path / "heard.wav"))
    loud = [n for n, value in enumerate(heard) if abs(value) > 1000]
    assert 7500 <= loud[-1] - loud[0] <= 9000


def test_the_bell_rings_and_the_display_shows_the_caller(box: BoxEnd, telephone: PhoneClient) -> None:
    waiting = telephone.begin_wait("ring", PATIENCE)
    box.ring(300)
    waiting.result()
    state = telephone.state()
    assert (state["ringing"], state["caller_id"]) == (True, None)
    fsk = callerid.encode("v23", "0142685300", "Mairie", datetime(2026, 7, 14, 9, 5))  # noqa: DTZ001 - as displayed
    box.play(bytes(FRAME_BYTES * 30) + fsk, loop=False)
    shown = telephone.wait("caller-id", PATIENCE)["state"]["caller_id"]
    assert {"number": "0142685300", "name": "Mairie", "time": "07-14T09:05", "absence": None}.items() <= shown.items()
    telephone.lift()
    state = telephone.state()
    assert (state["ringing"], state["caller_id"]["number"]) == (False, "0142685300")
    telephone.hangup()
    assert telephone.state()["caller_id"] is None


def test_waiting_for_a_caller_never_gives_the_last_one(box: BoxEnd, telephone: PhoneClient) -> None:
    first = callerid.encode("v23", "0142685300", "Mairie", datetime(2026, 7, 14, 9, 5))  # noqa: DTZ001 - as displayed
    second = callerid.encode("v23", "0199000009", "Paul", datetime(2026, 7, 14, 9, 6))  # noqa: DTZ001 - as displayed
    box.ring(1500)
    box.play(bytes(FRAME_BYTES * 30) + first, loop=False)
    telephone.wait("caller-id", PATIENCE)
    box.pcm.stop()  # the caller gives up: the voice path rests, nobody rings any more
    until(lambda: not telephone.state()["ringing"])
    assert telephone.state()["caller_id"]["number"] == "0142685300"
    with pytest.raises(PhoneError, match="no caller-id within"):
        telephone.wait("caller-id", 0.1)
    box.pcm.start()
    waiting = telephone.begin_wait("ring", PATIENCE)
    box.ring(300)  # another call
    waiting.result()
    assert telephone.state()["caller_id"] is None
    box.play(bytes(FRAME_BYTES * 30) + second, loop=False)
    assert telephone.wait("caller-id", PATIENCE)["state"]["caller_id"]["number"] == "0199000009"


def test_the_line_is_recorded_on_hook_only_while_it_rings(box: BoxEnd, telephone: PhoneClient, tmp_path: Path) -> None:
    with pytest.raises(PhoneError, match="on-hook and the telephone does not ring"):
        telephone.record(tmp_path / "a.wav", 0.2)
    box.ring(50)
    box.play(DIAL_TONE)
    telephone.record(tmp_path / "a.wav", 0.5)
    assert max(struct.unpack("<4000h", samples(tmp_path / "a.wav"))) > 1000


def test_the_hybrid_sends_part_of_what_is_heard_back(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    box.play(sine((1000.0,), 1000, -10))
    time.sleep(0.2)
    values = struct.unpack("<4000h", box.wait_samples(50))
    assert 50 < max(values) < 2500


def test_hanging_up_ends_what_was_going_on(box: BoxEnd, telephone: PhoneClient, tmp_path: Path) -> None:
    telephone.lift()
    recording = telephone.begin_record(tmp_path / "cut.wav", 60)
    time.sleep(0.3)
    telephone.hangup()
    box.wait_event(LoopEdge, closed=False)
    with pytest.raises(PhoneError, match=r"cut\.wav: the handset was hung up after 0\.\d+ s"):
        recording.result()
    assert len(samples(tmp_path / "cut.wav")) > 0
    with pytest.raises(PhoneError, match="lift it first"):
        telephone.dial("1")
    with pytest.raises(PhoneError, match="lift it first"):
        telephone.flash()


def heard_by_the_hook(events: list[PortEvent], code: str) -> list[str]:
    """What the box of a country makes of the edges, in order."""
    edges = [event for event in events if isinstance(event, LoopEdge)]
    decoder = HookDecoder(HookSettings.for_country(country.load(code)))
    told = [event for edge in edges for event in decoder.handle(edge.closed, edge.at)]
    return [type(event).__name__ for event in [*told, *decoder.tick(edges[-1].at + 5)]]


def closed_again(events: list[PortEvent]) -> bool:
    """Whether the loop is closed once more, after it has been open for longer than a bounce."""
    edges = [event for event in events if isinstance(event, LoopEdge)]
    return edges[-1].closed and any(not one.closed and two.at - one.at > 0.1 for one, two in pairwise(edges))


@pytest.mark.parametrize("meanwhile", [False, True])
def test_hanging_up_and_lifting_at_once_is_no_flash_in_any_country(
    box: BoxEnd, telephone: PhoneClient, *, meanwhile: bool
) -> None:
    telephone.lift()
    time.sleep(0.1)  # a hand is no faster, and the hook asks for 16 ms without a bounce
    hanging_up = threading.Thread(target=telephone.hangup)
    hanging_up.start()
    if meanwhile:  # a second hand is at it while the first has not let go
        until(lambda: telephone.state()["hook"] == "on")
    else:
        hanging_up.join(PATIENCE)
    telephone.lift()
    hanging_up.join(PATIENCE)
    assert telephone.state()["hook"] == "off"
    until(lambda: closed_again(box.events))
    time.sleep(0.02)  # the last bounce
    for code in country.codes():
        assert heard_by_the_hook(box.events, code) == ["HookUp", "HookDown", "HookUp"], code


def test_who_has_hung_up_has_the_hang_up_behind_him(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    box.wait_event(LoopEdge, closed=True)
    telephone.hangup()
    marks = telephone.mark()
    longest = max(country.load(code).flash_ms[1] for code in country.codes()) / 1000
    assert marks["now"] - marks["hang_up"] > longest
    started = time.monotonic()
    telephone.hangup()  # it lies there already: nothing to wait for
    assert time.monotonic() - started < longest


def test_a_flash_is_seen_and_dial_tone_is_expected_again(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    telephone.dial("1")
    before = len(box.events)
    telephone.flash(100)
    until(lambda: isinstance(box.events[-1], LoopEdge) and box.events[-1].closed and len(box.events) > before + 1)
    box.play(DIAL_TONE)
    telephone.wait("dial-tone", PATIENCE)


def test_a_denied_line_is_dead(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    box.play(sine((440.0, 600.0), 1000))
    telephone.wait("voice", PATIENCE)
    box.port.set_power(on=False)
    telephone.wait("silence", PATIENCE)
    box.port.set_power(on=True)
    telephone.wait("voice", PATIENCE)


def test_a_voice_thread_that_stands_still_is_counted_in_slipped_frames(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    box.play(DIAL_TONE)
    telephone.wait("dial-tone", PATIENCE)
    before = telephone.state()["slipped_frames"]
    box.stall(0.25)
    until(lambda: telephone.state()["slipped_frames"] >= before + 15)


def test_resting_the_voice_path_is_no_slip(box: BoxEnd, telephone: PhoneClient) -> None:
    until(lambda: len(box.heard) > 20)
    box.pcm.stop()
    until(lambda: not telephone.state()["audio"])
    before = telephone.state()["slipped_frames"]
    time.sleep(0.2)
    assert telephone.state()["slipped_frames"] == before


def test_round_trips_through_an_echo_are_measured_and_none_without(box: BoxEnd, telephone: PhoneClient) -> None:
    telephone.lift()
    assert telephone.roundtrip(1) == [None]
    box.echo()
    trips = telephone.roundtrip(2)
    assert len(trips) == 2
    assert all(trip is not None and 10 <= trip < 500 for trip in trips)


def test_the_box_dies_and_comes_back_and_the_loop_is_as_it_is(data: Path, telephone: PhoneClient) -> None:
    with BoxEnd(data) as box:
        telephone.lift()
        box.wait_event(LoopEdge, closed=True)
    until(lambda: not telephone.state()["line_connected"])
    with BoxEnd(data) as box:
        box.wait_event(LoopEdge, closed=True)
        box.play(DIAL_TONE)
        telephone.wait("dial-tone", PATIENCE)


def test_a_killed_telephone_is_a_fault_and_a_new_one_restores_the_line(data: Path) -> None:
    first = Process(data, 2)
    with BoxEnd(data, 2) as box:
        first.client.lift()
        box.wait_event(LoopEdge, closed=True)
        first.end(signal.SIGKILL)
        assert isinstance(box.wait_event(LineFault), LineFault)
        assert not box.port.loop_closed()
        second = Process(data, 2)
        restored = box.wait_event(LineRestored)
        assert isinstance(restored, LineRestored)
        assert not restored.closed
        second.client.lift()
        box.wait_event(LoopEdge, closed=True)
        box.play(DIAL_TONE)
        second.client.wait("dial-tone", PATIENCE)
        assert second.end() == 0


def test_clients_that_lose_interest_leave_the_telephone_alive(data: Path, tmp_path: Path) -> None:
    # By the command's own door: it was there that SIGPIPE killed the process.
    program = [sys.executable, "-m", "firmware", "telephone", "--line", "3", "--data", str(data)]
    running = Process(data, 3, program)
    with wave.open(str(tmp_path / "short.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(sine((700.0,), 20))
    wait = {"command": "wait", "event": "ring", "timeout": 0.01}
    play = {"command": "play", "path": str(tmp_path / "short.wav")}
    with BoxEnd(data, 3):
        running.client.lift()
        for request in [wait, play] * 5:
            with socket.socket(socket.AF_UNIX) as end:
                end.connect(str(control_path(data, 3)))
                end.sendall(json.dumps(request).encode() + b"\n")
        running.client.begin_play(tmp_path / "short.wav").close()
        running.client.begin_wait("ring", 0.3).close()
        running.client.play(tmp_path / "short.wav")  # longer than what was abandoned
        with pytest.raises(PhoneError, match="no ring within"):
            running.client.wait("ring", 0.5)
        assert running.answers()
    assert running.end() == 0


def test_a_line_has_one_telephone(data: Path, telephone: PhoneClient) -> None:
    program = f"import pathlib; from firmware.fxs.telephone import main; main(pathlib.Path({str(data)!r}), 1)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert other.returncode == 1
    assert other.stderr.startswith("allobox telephone: line 1 has its telephone already")
    assert telephone.state()["hook"] == "on"


# --- the hand -------------------------------------------------------------------------------


def test_the_commands_take_data_and_line_in_either_place(data: Path, telephone: PhoneClient) -> None:
    run = CliRunner().invoke
    assert run(phone, ["lift", "--data", str(data)]).exit_code == 0
    assert telephone.state()["hook"] == "off"
    assert run(phone, ["--data", str(data), "--line", "1", "hangup"]).exit_code == 0
    assert telephone.state()["hook"] == "on"
    assert run(phone, ["state"], env={"ALLOBOX_DATA": str(data)}).exit_code == 0


def test_state_as_json_has_the_promised_keys(data: Path, telephone: PhoneClient) -> None:
    del telephone
    told = json.loads(CliRunner().invoke(phone, ["--data", str(data), "state", "--json"]).stdout)
    assert {"hook", "ringing", "hearing", "caller_id", "slipped_frames"} <= told.keys()
    assert (told["hook"], told["ringing"], told["hearing"], told["caller_id"]) == ("on", False, None, None)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["dial", "0142"], 1, "lift it first"),
        (["play", "gone.wav"], 1, "gone.wav: No such file"),
        (["record", "a.wav", "--seconds", "1"], 1, "on-hook"),
        (["record", "/nowhere/a.wav", "--seconds", "1"], 1, "no directory"),
        (["wait", "busy", "--timeout", "0.1"], 1, "no busy within 0.1 s (handset on-hook"),
        (["--line", "9", "lift"], 1, "no simulated telephone on line 9"),
        (["dial", "12x4"], 2, "cannot dial 'X'"),
        (["dial", "", "--pulse"], 2, "no digit"),
        (["dial", "12#", "--pulse"], 2, "a rotary dial has 0-9"),
        (["dial", "12", "--pulse", "--level", "-10"], 2, "--level: only for tones"),
        (["dial", "12", "--pps", "10"], 2, "only with --pulse"),
        (["dial", "12", "--break", "50", "--jitter", "5"], 2, "--break, --jitter: only with --pulse"),
        (["dial", "12", "--pulse", "--detune", "1"], 2, "--detune: only for tones"),
        (["dial", "12", "--pulse", "--break", "90"], 2, "90"),
        (["dial"], 2, "DIGITS"),
        (["record", "a.wav"], 2, "--seconds"),
        (["record", "a.wav", "--seconds", "0"], 2, "not in the range"),
        (["wait", "godot"], 2, "godot"),
        (["jump"], 2, "jump"),
    ],
)
def test_a_refusal_is_one_line_with_its_code(
    data: Path, telephone: PhoneClient, arguments: list[str], code: int, words: str
) -> None:
    del telephone
    result = CliRunner().invoke(phone, ["--data", str(data), *arguments])
    assert result.exit_code == code
    assert words in result.stderr
    if code == 1:
        assert result.stderr.count("\n") == 1


def test_the_hand_is_quick(data: Path, telephone: PhoneClient) -> None:
    del telephone, data
    loaded = subprocess.run(
        [sys.executable, "-c", "import firmware.cli_phone, sys; print('numpy' in sys.modules, 'httpx' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("request_line", "words"),
    [
        (b"nonsense\n", "one JSON object"),
        (b"[]\n", "one JSON object"),
        (b"{}\n", "command"),
        (b'{"command": "explode"}\n', "'explode' is unknown"),
        (b'{"command": "flash", "ms": "long"}\n', "ms: 'long' is not a number"),
        (b'{"command": "flash", "ms": 1e9}\n', "out of range"),
        (b'{"command": "wait", "event": "godot"}\n', "known are ring"),
        (b'{"command": "record", "path": "/tmp/x.wav", "seconds": NaN}\n', "not a number"),
    ],
)
def test_nonsense_on_the_control_socket_is_answered(
    data: Path, telephone: PhoneClient, request_line: bytes, words: str
) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(PATIENCE)
        end.connect(str(control_path(data, 1)))
        end.sendall(request_line)
        assert words in json.loads(end.makefile().readline())["error"]
    assert telephone.state()["hook"] == "on"


def test_digits_are_cleaned_of_what_people_write_between_them() -> None:
    assert clean_digits("+".replace("+", "00") + " (33) 1.42-68/53 00 a") == "0033142685300A"
    with pytest.raises(ValueError, match=r"cannot dial '\+'"):
        clean_digits("+33")


def test_a_path_too_long_for_a_socket_is_told() -> None:
    with pytest.raises(PhoneError, match="too long for a Unix socket"):
        PhoneClient(Path("/" + "x" * 120)).lift()


def test_the_telephones_socket_is_its_owners_alone(data: Path, telephone: PhoneClient) -> None:
    del telephone
    assert os.stat(control_path(data, 1)).st_mode & 0o777 == 0o600  # noqa: PTH116 - the mode as the kernel has it
