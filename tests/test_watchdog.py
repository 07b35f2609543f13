"""What systemd hears: the core is up, its loop turns, its voice threads move; and nothing once one of them hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firmware.fxs.pcm import PcmStats
from firmware.telephony.media import VoicePath
from firmware.watchdog import STUCK_SECONDS, Notifier, VoiceWatch, beat
from tests.system.peer_process import wait_until


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end.bind("\0" + address[1:] if address[:1] == "@" else address)
        self._end.settimeout(0)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self._end.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._end.close()


class StillVoice:
    """A voice thread as a test sets it."""

    is_open = True
    turns = 0


@pytest.mark.parametrize("abstract", [False, True])
def test_a_word_reaches_systemd_by_either_kind_of_address(tmp_path: Path, abstract: bool) -> None:  # noqa: FBT001
    address = f"@allobox-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    systemd = Systemd(address)
    Notifier({"NOTIFY_SOCKET": address}).tell("READY=1")
    assert systemd.heard() == ["READY=1"]
    systemd.close()


def test_without_systemd_or_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watch_is_ours_only_if_it_names_us(environment: dict[str, str], seconds: float) -> None:
    assert Notifier(environment).watched_seconds == seconds


def test_a_loop_that_turns_beats_and_trouble_silences_it_until_it_has_passed(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    systemd = Systemd(address)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000"})
    wrong = ""

    async def until(heard: bool) -> None:  # noqa: FBT001
        systemd.heard()
        await asyncio.sleep(0.3)
        assert bool(systemd.heard()) is heard

    async def play() -> None:
        nonlocal wrong
        task = asyncio.create_task(beat(notifier, lambda _: wrong))
        await until(heard=True)
        wrong = "the voice thread of line 1 has stood still"
        await asyncio.sleep(0.1)
        await until(heard=False)
        wrong = ""
        await asyncio.sleep(0.1)
        await until(heard=True)
        task.cancel()

    asyncio.run(play())
    systemd.close()


def test_nobody_who_does_not_watch_is_told() -> None:
    asyncio.run(asyncio.wait_for(beat(Notifier({}), lambda _: ""), 5))


def test_a_voice_thread_that_stands_still_while_frames_are_wanted_is_noticed_and_no_other() -> None:
    still, moving, closed = StillVoice(), StillVoice(), StillVoice()
    closed.is_open = False
    watch = VoiceWatch(lambda: [moving, closed, still])
    for second in range(int(STUCK_SECONDS) + 1):
        moving.turns += 1
        assert watch.stuck(100.0 + second) == ""
    moving.turns += 1
    assert "line 3" in watch.stuck(101.0 + STUCK_SECONDS)
    still.turns += 1
    assert watch.stuck(102.0 + STUCK_SECONDS) == ""


def test_a_voice_that_was_closed_for_long_is_not_stuck_when_it_opens() -> None:
    voice = StillVoice()
    voice.is_open = False
    watch = VoiceWatch(lambda: [voice])
    assert watch.stuck(0.0) == ""
    assert watch.stuck(1000.0) == ""
    voice.is_open = True
    assert watch.stuck(1000.5) == ""
    assert watch.stuck(1001.0 + STUCK_SECONDS) != ""


class HangingPcm:
    """A sound card whose driver can stop answering."""

    delay_frames = 0
    fault: str | None = None

    def __init__(self) -> None:
        self.stats = PcmStats()
        self.answers = threading.Event()
        self.answers.set()

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def read(self, timeout: float) -> bytes | None:
        del timeout
        self.answers.wait()
        return None

    def write(self, frame: bytes) -> None: ...


class NoVoice:
    """Neither engine nor bridge is reached without frames."""

    def from_line(self, frame: bytes) -> bytes:
        return frame

    def to_line(self, far: bytes | None) -> bytes:
        return far or b""

    def open(self) -> None: ...
    def close(self) -> None: ...

    def swap(self, frame: bytes, now: float) -> bytes:
        del now
        return frame


def test_a_sound_card_that_is_gone_is_no_hang_and_one_that_never_answers_is() -> None:
    pcm = HangingPcm()
    path = VoicePath(pcm, NoVoice(), NoVoice(), name="test")  # type: ignore[arg-type]
    path.open()
    before = path.turns
    wait_until(lambda: path.turns > before + 3, 10, "the thread to pass its loop without a device")
    pcm.answers.clear()
    wait_until(lambda: _still(path), 10, "the thread to hang")
    watch = VoiceWatch(lambda: [path])
    assert watch.stuck(0.0) == ""
    assert watch.stuck(STUCK_SECONDS + 1) != ""
    pcm.answers.set()
    path.shutdown()


def _still(path: VoicePath) -> bool:
    before = path.turns
    threading.Event().wait(0.2)
    return path.turns == before


def test_a_core_tells_systemd_that_it_serves_lives_and_stops(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    systemd = Systemd(address)
    core = subprocess.Popen(
        [sys.executable, "-m", "firmware", "core", "--simulate", "--data", str(tmp_path / "box")],
        env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    heard: list[str] = []

    def told(word: str) -> bool:
        heard.extend(systemd.heard())
        return word in heard

    try:
        wait_until(lambda: told("READY=1"), 30, "the core to be ready")
        wait_until(lambda: told("") or heard[heard.index("READY=1") :].count("WATCHDOG=1") > 2, 10, "its heartbeat")
        core.send_signal(signal.SIGSTOP)  # as good as a hang
        time.sleep(0.3)
        systemd.heard()
        time.sleep(0.7)
        assert systemd.heard() == []
        core.send_signal(signal.SIGCONT)
        core.terminate()
        wait_until(lambda: told("STOPPING=1"), 10, "its last word")
    finally:
        core.send_signal(signal.SIGCONT)
        core.terminate()
        core.wait(20)
        systemd.close()
