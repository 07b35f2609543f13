"""Whose device ticks the bridge: lines with clocks of their own in virtual time, each speaking and hearing a sine."""

from __future__ import annotations

import heapq
import random
from collections import deque

import numpy as np
import pytest

from firmware.fxs.elastic import Elastic
from firmware.fxs.pcm import FRAME_BYTES, SILENCE
from firmware.telephony.bridgeclock import BridgeClock, LineEnd

FRAME = 0.01
HZ = 1004.0
TURN = 2 * np.pi * HZ / 8000


def frame(number: int) -> bytes:
    """The `number`th frame of a sine."""
    return bytes(np.rint(8000 * np.sin(TURN * (80 * number + np.arange(80)))).astype("<i2").tobytes())


def residual(frames: list[bytes], ppm: float) -> float:
    """The greatest departure from a sine: a lost or doubled sample is thousands."""
    heard = np.frombuffer(b"".join(frames), "<i2").astype(float)
    return float(np.abs(heard[2:] - 2 * np.cos(TURN * (1 + ppm * 1e-6)) * heard[1:-1] + heard[:-2]).max())


class Port:
    """A line in the bridge: keeps what it said at each tick, and is given the call's sine."""

    def __init__(self) -> None:
        self.joined = False
        self.said: list[bytes] = []
        self.spoken: bytes | None = None
        self.heard = SILENCE

    def put(self, spoken: bytes) -> None:
        assert self.spoken is None, "two frames in one tick"
        self.spoken = spoken

    def get(self) -> bytes:
        heard, self.heard = self.heard, SILENCE
        return heard


class Bridge:
    """Ticks; each tick brings every joined line the next frame of a sine."""

    def __init__(self, lines: int) -> None:
        self.ports = {line: Port() for line in range(1, lines + 1)}
        self.ticked: list[float] = []
        self.registered = 0
        self.now = 0.0

    def register_thread(self) -> None:
        self.registered += 1

    def line(self, line: int) -> Port | None:
        return self.ports.get(line)

    def tick(self) -> None:
        for port in self.ports.values():
            if port.joined:
                port.said.append(port.spoken if port.spoken is not None else SILENCE)
                port.heard = frame(len(self.ticked))
            port.spoken = None
        self.ticked.append(self.now)


class Device:
    """A line's sound device by its own clock, and what its telephone heard."""

    def __init__(self, end: LineEnd, ppm: float, phase: float) -> None:
        self.end = end
        self.period = FRAME / (1 + ppm * 1e-6)
        self.phase = phase
        self.frames = 0
        self.dead = False
        self.heard: list[bytes] = []
        self.silences = 0

    @property
    def due(self) -> float:
        return self.phase + self.frames * self.period


class House:
    """Lines of a box. Time passes with `run`; every wake-up is late by its own seeded bit."""

    def __init__(self, *ppm: float, seed: int = 1) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - late wake-ups, no secret
        self.bridge = Bridge(len(ppm))
        self.clock = BridgeClock(Elastic, self._patience)
        self.clock.set_bridge(self.bridge)
        self.now = 0.0
        self.devices = {
            line: Device(self.clock.end(line), one, self.chance.random() * FRAME) for line, one in enumerate(ppm, 1)
        }
        self._queue: list[tuple[float, int]] = []
        self._waiting: deque[int] = deque()
        self._inside: set[int] = set()

    def lift(self, line: int) -> None:
        device = self.devices[line]
        device.phase += int((self.now - device.phase) / device.period + 1) * device.period
        device.frames = 0
        device.end.open()
        heapq.heappush(self._queue, (device.due, line))

    def talk(self, line: int) -> None:
        if not self.devices[line].end.is_open:
            self.lift(line)
        self.bridge.ports[line].joined = True

    def part(self, line: int) -> None:
        self.bridge.ports[line].joined = False

    def hang_up(self, line: int) -> None:
        self.part(line)
        self.devices[line].end.close()

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            at, line = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            self._frame(line)
        self.now = until

    def stall(self, seconds: float, order: list[int]) -> None:
        """The whole process sleeps; then every device's frames are there at once, and threads run in `order`."""
        self.now += seconds
        waiting: dict[int, int] = {}
        while self._queue and self._queue[0][0] <= self.now:
            _, line = heapq.heappop(self._queue)
            device = self.devices[line]
            waiting[line] = waiting.get(line, 0) + 1
            device.frames += 1
            heapq.heappush(self._queue, (device.due, line))
        for line in order:
            self.devices[line].frames -= waiting.get(line, 0)
        self._waiting = deque(line for line in order for _ in range(waiting.get(line, 0)))
        while self._waiting:
            self._swap(self._waiting.popleft())

    def forget(self) -> None:
        """What was said and heard so far."""
        for device in self.devices.values():
            device.heard.clear()
        for port in self.bridge.ports.values():
            port.said.clear()

    def gaps(self, line: int) -> int:
        return self.devices[line].end.gaps

    def _frame(self, line: int) -> None:
        device = self.devices[line]
        if not device.end.is_open:
            return
        if device.dead:
            device.frames += 1
        else:
            self.now += abs(self.chance.gauss(0, 0.0002))
            self._swap(line)
        heapq.heappush(self._queue, (device.due, line))

    def _swap(self, line: int) -> None:
        device = self.devices[line]
        self._inside.add(line)
        self.bridge.now = self.now
        far = device.end.swap(frame(device.frames), self.now)
        self._inside.discard(line)
        device.frames += 1
        if far is not None:
            assert len(far) == FRAME_BYTES
            device.heard.append(far)

    def _patience(self, seconds: float) -> None:
        """Another thread's turn, if one has something to do."""
        self.now += seconds
        waiting = next((line for line in self._waiting if line not in self._inside), None)
        if waiting is not None:
            self._waiting.remove(waiting)
            self._swap(waiting)


def test_one_line_exchanges_frames_with_the_bridge_directly_once_a_frame() -> None:
    house = House(100)
    house.talk(1)
    house.run(5)
    end = house.devices[1].end
    assert end.is_master
    assert end.buffers is None
    assert len(house.bridge.ticked) == house.devices[1].frames
    assert residual(house.devices[1].heard, 0) < 12
    assert house.bridge.ports[1].said == [frame(n) for n in range(len(house.bridge.ticked))]
    assert house.bridge.registered == 1


@pytest.mark.parametrize(("first", "second"), [(200, -200), (-200, 200), (0, 0)])
def test_two_lines_in_calls_lose_no_sample_whatever_their_clocks(first: float, second: float) -> None:
    house = House(first, second, seed=2)
    house.talk(1)
    house.run(1.237)
    house.talk(2)
    house.run(0.5)
    house.forget()
    house.run(60)
    other = house.devices[2].end
    assert house.devices[1].end.is_master
    assert other.buffers is not None
    assert (other.gaps, other.drops) == (0, 0)
    assert other.ppm == pytest.approx(second - first, abs=25)
    assert residual(house.devices[1].heard, 0) < 12
    assert residual(house.bridge.ports[1].said, 0) < 12
    assert residual(house.bridge.ports[2].said, second - first) < 14
    assert residual(house.devices[2].heard, first - second) < 14


def test_what_the_bridge_gives_a_line_is_mended_frame_by_frame_before_any_buffer_cuts_it_anew() -> None:
    house = House(0.0, 150.0)
    given: dict[int, list[bytes]] = {1: [], 2: []}
    for line, device in house.devices.items():

        def mend(far: bytes, kept: list[bytes] = given[line]) -> bytes:
            kept.append(far)
            return bytes(len(far))

        device.end.mend = mend
        house.talk(line)
    house.run(1.0)
    assert house.devices[1].end.is_master
    assert house.devices[2].end.buffers is not None
    for line, frames in given.items():
        assert len(frames) >= 98
        first = next(number for number in range(4) if frame(number) == frames[0])
        assert frames == [frame(number) for number in range(first, first + len(frames))]
        assert not any(map(any, house.devices[line].heard)), "and the mended one is what is heard"


@pytest.mark.parametrize("seed", range(12))
def test_when_the_master_hangs_up_the_other_call_does_not_lose_a_sample(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, no secret
    house = House(chance.uniform(-200, 200), chance.uniform(-200, 200), seed=seed)
    house.talk(1)
    house.run(1 + chance.random())
    house.talk(2)
    house.run(15 + chance.random())
    house.forget()
    house.hang_up(1)
    before = len(house.bridge.ticked)
    house.run(20)
    other = house.devices[2]
    assert other.end.is_master
    assert (other.end.gaps, other.end.drops) == (0, 0)
    apart = np.diff(house.bridge.ticked[before - 1 :])
    assert apart.max() < 0.0157, "the next tick lies within half a frame of where the old master's would have been"
    assert residual(house.bridge.ports[2].said, 0) < 80, "the pitch moves by at most 0.1 %, nothing jumps"
    assert residual(other.heard, 0) < 80


def test_a_line_that_comes_back_beside_a_call_does_not_disturb_it() -> None:
    house = House(150, -50, seed=3)
    house.talk(1)
    house.run(2)
    house.talk(2)
    house.run(10)
    house.hang_up(1)
    house.run(5)
    for _ in range(3):
        house.talk(1)
        house.run(4)
        assert house.devices[1].end.buffers is not None
        house.hang_up(1)
        house.run(1)
    house.talk(1)
    house.run(1)
    house.forget()
    house.hang_up(2)
    house.run(5)
    assert house.devices[1].end.is_master
    assert [house.gaps(line) for line in (1, 2)] == [0, 0]


def test_a_handset_that_lies_beside_its_cradle_delays_nobodys_call() -> None:
    house = House(50, -50)
    house.lift(1)
    house.run(1)
    assert len(house.bridge.ticked) == pytest.approx(100, abs=2), "calls that nobody has joined yet need the clock too"
    house.talk(2)
    house.run(1)
    other = house.devices[2].end
    assert other.is_master
    assert other.buffers is None
    assert house.devices[1].heard == []
    assert len(house.bridge.ticked) == pytest.approx(200, abs=3)


def test_a_call_parted_for_a_second_one_keeps_its_clock_and_is_direct_again() -> None:
    house = House(100, -100)
    house.talk(1)
    house.run(1)
    house.talk(2)
    house.run(2)
    house.part(1)
    house.run(1)
    assert house.devices[1].end.is_master, "its device ticks on for the other line"
    house.talk(1)
    house.run(1)
    assert house.devices[1].end.buffers is None
    assert house.gaps(2) == 0


def test_a_master_whose_device_dies_is_replaced_within_60_ms_and_may_come_back() -> None:
    house = House(20, -20, seed=4)
    house.talk(1)
    house.run(1)
    house.talk(2)
    house.run(5)
    died = house.now
    house.devices[1].dead = True
    house.run(3)
    assert house.devices[2].end.is_master
    after = [at for at in house.bridge.ticked if at > died]
    assert after[0] - died < 0.06
    assert len(after) == pytest.approx(300, abs=3), "what was overdue is made up for"
    assert house.gaps(2) <= 8
    gaps = house.gaps(2)
    house.devices[1].dead = False
    house.run(3)
    assert house.devices[1].end.buffers is not None
    house.forget()
    house.run(3)
    assert house.gaps(2) == gaps
    assert residual(house.devices[1].heard, 0) < 30


@pytest.mark.parametrize("order", [[1, 2], [2, 1]])
@pytest.mark.parametrize("seconds", [0.025, 0.045])
def test_a_process_that_stood_still_loses_nothing_and_changes_no_master(order: list[int], seconds: float) -> None:
    house = House(30, -30, seed=5)
    house.talk(1)
    house.run(1)
    house.talk(2)
    house.run(5)
    for _ in range(10):
        house.stall(seconds, order)
        house.run(1)
    assert house.devices[1].end.is_master
    assert house.devices[2].end.drops == 0
    assert house.gaps(2) == 0


def test_four_lines_hand_the_clock_from_one_to_the_next() -> None:
    house = House(200, 100, -100, -200, seed=6)
    for line in (1, 2, 3, 4):
        house.talk(line)
        house.run(1)
    house.run(10)
    for line in (1, 2, 3):
        house.hang_up(line)
        house.run(8)
        assert next(one for one, device in house.devices.items() if device.end.is_master) > line
    assert [house.gaps(line) for line in (1, 2, 3, 4)] == [0, 0, 0, 0]


def test_when_the_only_device_dies_the_far_end_hears_silence_until_it_is_back() -> None:
    house = House(10)
    house.talk(1)
    house.run(2)
    device = house.devices[1]
    device.dead = True
    before = len(house.bridge.ticked)
    for _ in range(50):
        house.run(0.2)
        house.bridge.now = house.now
        device.end.starve(house.now)
    assert len(house.bridge.ticked) - before == pytest.approx(1000, abs=25)
    assert set(house.bridge.ports[1].said[before + 1 :]) == {SILENCE}
    device.dead = False
    house.forget()
    house.run(1)
    assert residual(house.bridge.ports[1].said[1:], 0) < 12
    assert len(house.bridge.ports[1].said) == pytest.approx(100, abs=2)


def test_a_starved_line_that_is_not_the_master_or_has_no_call_ticks_nothing() -> None:
    house = House(10, -10)
    house.talk(1)
    house.run(1)
    house.talk(2)
    house.run(1)
    ticks = len(house.bridge.ticked)
    house.devices[2].end.starve(house.now + 0.2)
    house.hang_up(2)
    house.devices[2].end.starve(house.now + 0.2)
    assert len(house.bridge.ticked) == ticks


def test_without_a_bridge_or_a_port_for_the_line_there_is_no_far_voice() -> None:
    clock = BridgeClock(Elastic)
    end = clock.end(3)
    end.open()
    assert end.swap(SILENCE, 0.0) is None
    clock.set_bridge(Bridge(2))
    assert end.swap(SILENCE, 0.01) is None
