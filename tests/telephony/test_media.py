"""The voice thread: frames through in order, asleep when closed, alive after a bad frame."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from firmware.fxs.elastic import Elastic
from firmware.fxs.pcm import FRAME_BYTES, PcmStats
from firmware.telephony.bridgeclock import BridgeClock
from firmware.telephony.media import VoicePath
from tests.fakes.agent import FakeBridge


class HandPcm:
    """A line whose frames come when the test hands them over."""

    delay_frames = 0
    fault: str | None = None

    def __init__(self) -> None:
        self.stats = PcmStats()
        self.frames: queue.Queue[bytes] = queue.Queue()
        self.played: list[bytes] = []
        self.starts = 0
        self.stops = 0
        self.missing = False
        self.broken = False
        self.reads = 0

    def start(self) -> None:
        if self.missing:
            raise OSError("no sound card")
        self.starts += 1

    def stop(self) -> None:
        self.stops += 1

    def read(self, timeout: float) -> bytes | None:
        self.reads += 1
        if self.broken:
            raise RuntimeError("the driver's own mistake")
        try:
            return self.frames.get(timeout=timeout)
        except queue.Empty:
            return None

    def write(self, frame: bytes) -> None:
        self.played.append(frame)


class MarkingVoice:
    """Shows the order of things: adds one on the way in, two on the way out."""

    def __init__(self) -> None:
        self.far: list[bytes | None] = []
        self.threads: set[int] = set()

    def from_line(self, frame: bytes) -> bytes:
        self.threads.add(threading.get_ident())
        if frame[0] == 99:
            raise ValueError("bad frame")
        return bytes([frame[0] + 1]) * FRAME_BYTES

    def to_line(self, far: bytes | None) -> bytes:
        self.far.append(far)
        return bytes([far[0] + 2 if far else 0]) * FRAME_BYTES


class RefusingBridge(FakeBridge):
    """A stack that does not accept the voice thread, at first."""

    refuses = True

    def register_thread(self) -> None:
        if self.refuses:
            raise RuntimeError("not accepted")
        super().register_thread()


@pytest.fixture
def pcm() -> HandPcm:
    return HandPcm()


@pytest.fixture
def voice() -> MarkingVoice:
    return MarkingVoice()


@pytest.fixture
def clock() -> BridgeClock:
    return BridgeClock(Elastic)


@pytest.fixture
def path(pcm: HandPcm, voice: MarkingVoice, clock: BridgeClock) -> Iterator[VoicePath]:
    made = VoicePath(pcm, voice, clock.end(1), name="1")
    yield made
    made.shutdown()


def until(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not done():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.005)


def frame(mark: int) -> bytes:
    return bytes([mark]) * FRAME_BYTES


def test_a_frame_crosses_the_voice_to_the_bridge_and_the_bridges_comes_back(
    path: VoicePath, pcm: HandPcm, voice: MarkingVoice, clock: BridgeClock
) -> None:
    bridge = FakeBridge()
    bridge.to_line.append(frame(10))
    clock.set_bridge(bridge)
    path.open()
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 1)
    assert list(bridge.from_line) == [frame(2)]
    assert pcm.played == [frame(12)]
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 2)
    assert bridge.registered == 1, "the thread is made known once"
    assert path.stats.frames == 2
    assert threading.get_ident() not in voice.threads


def test_without_a_bridge_the_line_still_has_its_tones(path: VoicePath, pcm: HandPcm, voice: MarkingVoice) -> None:
    path.open()
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 1)
    assert voice.far == [None]


def test_a_bridge_may_come_and_go_while_frames_flow(
    path: VoicePath, pcm: HandPcm, voice: MarkingVoice, clock: BridgeClock
) -> None:
    path.open()
    for bridge in (None, FakeBridge(), None):
        clock.set_bridge(bridge)
        played = len(pcm.played)
        pcm.frames.put(frame(1))
        until(lambda played=played: len(pcm.played) == played + 1)  # type: ignore[misc]
    assert [far is None for far in voice.far] == [True, False, True]


def test_open_and_close_may_be_repeated_and_close_stops_the_frames(path: VoicePath, pcm: HandPcm) -> None:
    path.open()
    path.open()
    assert pcm.starts == 1
    path.close()
    path.close()
    assert pcm.stops == 1
    time.sleep(0.25)  # a read under way may still take one
    pcm.frames.put(frame(1))
    time.sleep(0.3)
    assert len(pcm.played) <= 1
    played = len(pcm.played)
    path.open()
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) > played)


def test_close_returns_at_once_though_the_thread_is_reading(path: VoicePath) -> None:
    path.open()
    began = time.monotonic()
    path.close()
    assert time.monotonic() - began < 0.15


def test_a_missing_sound_device_is_told_to_who_opens(path: VoicePath, pcm: HandPcm) -> None:
    pcm.missing = True
    with pytest.raises(OSError, match="no sound card"):
        path.open()
    assert not path.is_open
    pcm.missing = False
    path.open()
    assert path.is_open


def test_one_bad_frame_does_not_silence_the_line(path: VoicePath, pcm: HandPcm) -> None:
    path.open()
    pcm.frames.put(frame(99))
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 1)
    assert path.stats.failed == 1


def test_a_device_that_raises_is_read_again_without_haste(path: VoicePath, pcm: HandPcm) -> None:
    pcm.broken = True
    path.open()
    began = time.monotonic()
    until(lambda: path.stats.failed >= 5)
    path.close()
    spent = time.monotonic() - began
    assert pcm.reads <= spent / 0.01 + 2, "a frame's time between two tries"
    pcm.broken = False
    path.open()
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 1)


def test_a_bridge_that_refuses_the_thread_leaves_the_tones_and_is_asked_again(
    path: VoicePath, pcm: HandPcm, voice: MarkingVoice, clock: BridgeClock
) -> None:
    bridge = RefusingBridge()
    clock.set_bridge(bridge)
    path.open()
    for played in (1, 2):
        pcm.frames.put(frame(1))
        until(lambda played=played: len(pcm.played) == played)  # type: ignore[misc]
    assert voice.far == [None, None], "tones, and not a frame to a bridge that does not know the thread"
    assert path.end.failed == 2
    assert not bridge.from_line
    bridge.refuses = False
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 3)
    assert list(bridge.from_line) == [frame(2)]
    assert path.end.failed == 2


def test_a_gap_is_counted_as_late(path: VoicePath, pcm: HandPcm) -> None:
    path.open()
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 1)
    time.sleep(0.05)
    pcm.frames.put(frame(1))
    until(lambda: len(pcm.played) == 2)
    assert path.stats.late == 1
    assert path.stats.longest_gap > 0.04


def test_shutdown_ends_the_thread_and_nothing_opens_again(pcm: HandPcm, voice: MarkingVoice) -> None:
    path = VoicePath(pcm, voice, BridgeClock(Elastic).end(2), name="2")
    path.open()
    path.shutdown()
    assert not [t for t in threading.enumerate() if t.name == "voice-2"]
    path.open()
    assert pcm.starts == 1
