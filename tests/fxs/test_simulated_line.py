"""The box's end of the simulated wire, with a bare socket where the telephone would be."""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.fxs import wire
from firmware.fxs.drivers.simulated import SimulatedPort
from firmware.fxs.pcm import FRAME_BYTES
from firmware.fxs.pcm.simulated import BACKLOG_FRAMES, SimulatedPcm
from firmware.fxs.port import LineFault, LineRestored, LoopEdge, PortEvent

PATIENCE = 10.0


@pytest.fixture
def data() -> Iterator[Path]:
    # pytest's own paths may be too long for a Unix socket.
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


class Port:
    """A started port and what it delivered."""

    def __init__(self, data: Path) -> None:
        self.port = SimulatedPort(data, 1)
        self.events: queue.Queue[PortEvent] = queue.Queue()
        self.port.start(self.events.put)

    def next(self) -> PortEvent:
        return self.events.get(timeout=PATIENCE)

    def nothing(self) -> bool:
        time.sleep(0.05)
        return self.events.empty()


class Far:
    """The telephone's end of the signal wire."""

    def __init__(self, data: Path, *, closed: bool = False) -> None:
        self.end = wire.connect(wire.signal_path(data, 1))
        self.end.settimeout(PATIENCE)
        self.tell(closed=closed)

    def tell(self, *, closed: bool, at: float | None = None) -> None:
        self.end.send(wire.encode_signal(wire.Loop(closed, time.monotonic() if at is None else at)))

    def hear(self) -> wire.Signal:
        return wire.decode_signal(self.end.recv(wire.MAX_PACKET))

    def greeting(self) -> list[wire.Signal]:
        return [self.hear() for _ in range(3)]


@pytest.fixture
def port(data: Path) -> Iterator[Port]:
    started = Port(data)
    yield started
    started.port.stop()


def test_edges_carry_the_telephones_own_time(data: Path, port: Port) -> None:
    far = Far(data)
    at = time.monotonic() - 0.123
    far.tell(closed=True, at=at)
    assert port.next() == LoopEdge(closed=True, at=at)
    assert port.port.loop_closed()
    far.tell(closed=False, at=at + 0.05)
    assert port.next() == LoopEdge(closed=False, at=at + 0.05)
    assert not port.port.loop_closed()


def test_a_telephone_plugged_in_off_hook_is_an_edge_and_on_hook_is_nothing(data: Path, port: Port) -> None:
    far = Far(data, closed=True)
    assert isinstance(port.next(), LoopEdge)
    far.end.close()
    assert isinstance(port.next(), LineFault)
    assert not port.port.loop_closed()


def test_unplugging_is_a_fault_and_plugging_in_again_restores_with_the_present_loop(data: Path, port: Port) -> None:
    far = Far(data)
    far.greeting()
    far.end.close()
    fault = port.next()
    assert isinstance(fault, LineFault)
    assert "line 1" in fault.detail
    far = Far(data, closed=True)
    restored = port.next()
    assert isinstance(restored, LineRestored)
    assert restored.closed
    assert port.port.loop_closed()
    assert port.nothing()


def test_ring_polarity_and_power_reach_the_telephone(data: Path, port: Port) -> None:
    far = Far(data)
    assert far.greeting() == [wire.Feed(wire.Battery.NORMAL), wire.Ring(0), wire.Audio(powered=False)]
    port.port.start_ring(50.0)
    assert far.hear() == wire.Ring(50.0)
    port.port.stop_ring()
    assert far.hear() == wire.Ring(0.0)
    port.port.set_polarity(reverse=True)
    assert far.hear() == wire.Feed(wire.Battery.REVERSED)
    port.port.set_power(on=False)
    assert far.hear() == wire.Feed(wire.Battery.OFF)
    port.port.set_polarity(reverse=True)
    port.port.set_power(on=True)
    assert far.hear() == wire.Feed(wire.Battery.NORMAL)


def test_a_telephone_that_comes_during_ringing_rings(data: Path, port: Port) -> None:
    port.port.start_ring(25.0)
    port.port.set_audio(powered=True)
    assert Far(data).greeting() == [wire.Feed(wire.Battery.NORMAL), wire.Ring(25.0), wire.Audio(powered=True)]


def test_stopping_takes_the_ring_off_and_may_be_repeated(data: Path, port: Port) -> None:
    far = Far(data)
    far.greeting()
    port.port.start_ring(50.0)
    far.hear()
    port.port.stop()
    port.port.stop()
    assert far.hear() == wire.Ring(0.0)
    assert far.hear() == wire.Audio(powered=False)
    assert far.end.recv(10) == b""
    assert not wire.signal_path(data, 1).exists()


def test_a_port_starts_again_after_it_was_stopped(data: Path, port: Port) -> None:
    port.port.stop()
    port.port.start(port.events.put)
    far = Far(data, closed=True)
    assert isinstance(port.next(), LoopEdge)
    assert far.end.fileno() > 0  # kept: who lets go of it unplugs it


def test_a_second_telephone_is_turned_away(data: Path, port: Port) -> None:
    first = Far(data)
    first.greeting()
    second = wire.connect(wire.signal_path(data, 1))
    second.settimeout(PATIENCE)
    assert second.recv(10) == b""
    first.tell(closed=True)
    assert isinstance(port.next(), LoopEdge)


@pytest.mark.parametrize(
    "packet",
    [
        b"L",
        b"X" * 20,
        b"\0" * 500,
        wire.encode_signal(wire.Ring(50.0)),
        wire.encode_signal(wire.Loop(closed=True, at=float("nan"))),
        wire.encode_signal(wire.Loop(closed=True, at=float("inf"))),
        wire.encode_signal(wire.Loop(closed=True, at=time.monotonic() + 1e6)),
    ],
    ids=["short", "unknown", "long", "ring", "nan", "infinity", "future"],  # the time in the last differs by process
)
def test_nonsense_on_the_wire_unplugs_the_telephone_that_sent_it(data: Path, port: Port, packet: bytes) -> None:
    far = Far(data)
    far.greeting()
    far.end.send(packet)
    assert isinstance(port.next(), LineFault)
    assert far.end.recv(10) == b""
    another = Far(data, closed=True)
    assert isinstance(port.next(), LineRestored)
    assert another.end.fileno() > 0  # kept: who lets go of it unplugs it


def test_a_telephone_that_reads_nothing_never_blocks_the_box(data: Path, port: Port) -> None:
    far = Far(data)
    far.greeting()  # the last it ever reads
    start = time.monotonic()
    for _ in range(5000):
        port.port.start_ring(50.0)
    assert time.monotonic() - start < PATIENCE
    assert isinstance(port.next(), LineFault)
    far.end.close()


def test_a_place_where_no_socket_can_be_is_told(data: Path) -> None:
    (data / "run").write_text("a file")
    with pytest.raises(OSError, match=r"line 2: cannot listen .*line2\.signal"):
        SimulatedPort(data, 2).start(lambda _event: None)


# --- samples --------------------------------------------------------------------------------


class Power:
    """Stands in for the port."""

    def __init__(self) -> None:
        self.orders: list[bool] = []

    def set_audio(self, *, powered: bool, wide: bool = False) -> None:
        assert not wide
        self.orders.append(powered)


@pytest.fixture
def pcm(data: Path) -> Iterator[SimulatedPcm]:
    made = SimulatedPcm(data, 1, Power())
    made.start()
    yield made
    made.close()


def plug(data: Path) -> socket.socket:
    end = wire.connect(wire.pcm_path(data, 1))
    end.settimeout(PATIENCE)
    return end


def frame(value: int) -> bytes:
    return bytes([value % 256]) * FRAME_BYTES


def test_frames_go_both_ways_with_their_counter(data: Path, pcm: SimulatedPcm) -> None:
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(1)))
    assert pcm.read(PATIENCE) == frame(1)
    pcm.write(frame(2))
    pcm.write(frame(3))
    first, second = (wire.decode_pcm(far.recv(wire.MAX_PACKET)) for _ in range(2))
    assert (first[1], second[1]) == (frame(2), frame(3))
    assert second[0] == first[0] + 1
    assert (pcm.stats.frames_read, pcm.stats.frames_written, pcm.stats.xruns) == (1, 2, 0)


def test_starting_powers_the_voice_path_and_stopping_rests_it(data: Path) -> None:
    power = Power()
    pcm = SimulatedPcm(data, 1, power)
    assert pcm.read(0.01) is None
    pcm.start()
    pcm.start()
    pcm.stop()
    pcm.stop()
    pcm.start()
    pcm.close()
    assert power.orders == [True, False, True, False]
    assert not wire.pcm_path(data, 1).exists()


def test_without_a_telephone_read_waits_its_time_and_write_is_lost(pcm: SimulatedPcm) -> None:
    start = time.monotonic()
    assert pcm.read(0.1) is None
    assert time.monotonic() - start >= 0.1
    pcm.write(frame(1))
    assert pcm.stats.frames_written == 0


def test_stop_wakes_a_reader(pcm: SimulatedPcm) -> None:
    got: list[bytes | None] = []
    reader = threading.Thread(target=lambda: got.append(pcm.read(60.0)))
    reader.start()
    time.sleep(0.05)
    pcm.stop()
    reader.join(PATIENCE)
    assert got == [None]


def test_a_telephone_that_dies_and_comes_back_is_read_again(data: Path, pcm: SimulatedPcm) -> None:
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(1)))
    assert pcm.read(PATIENCE) == frame(1)
    far.close()
    assert pcm.read(0.05) is None
    pcm.write(frame(9))
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(2)))
    assert pcm.read(PATIENCE) == frame(2)
    pcm.write(frame(3))
    assert wire.decode_pcm(far.recv(wire.MAX_PACKET))[1] == frame(3)


def test_frames_of_the_last_time_are_not_heard_after_a_new_start(data: Path, pcm: SimulatedPcm) -> None:
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(1)))
    assert pcm.read(PATIENCE) == frame(1)
    far.send(wire.encode_pcm(1, frame(2)))
    pcm.stop()
    assert pcm.read(0.05) is None
    pcm.start()
    assert pcm.read(0.05) is None
    far.send(wire.encode_pcm(2, frame(3)))
    assert pcm.read(PATIENCE) == frame(3)


def test_a_reader_that_slept_catches_up_with_the_newest_frames(data: Path, pcm: SimulatedPcm) -> None:
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(0)))
    assert pcm.read(PATIENCE) == frame(0)
    for n in range(1, 31):
        far.send(wire.encode_pcm(n, frame(n)))
    read = [pcm.read(0.05) for _ in range(BACKLOG_FRAMES)]
    assert read == [frame(n) for n in range(31 - BACKLOG_FRAMES, 31)]
    assert pcm.read(0.02) is None
    assert pcm.stats.xruns == 30 - BACKLOG_FRAMES


def test_a_telephone_that_does_not_listen_never_blocks_write(data: Path, pcm: SimulatedPcm) -> None:
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(0)))
    assert pcm.read(PATIENCE) is not None
    start = time.monotonic()
    for _ in range(5000):
        pcm.write(frame(1))
    assert time.monotonic() - start < PATIENCE
    assert pcm.stats.xruns > 0
    assert pcm.stats.frames_written + pcm.stats.xruns == 5000


@pytest.mark.parametrize("packet", [b"x", b"", b"y" * 500])
def test_nonsense_among_the_frames_harms_nobody(data: Path, pcm: SimulatedPcm, packet: bytes) -> None:
    far = plug(data)
    far.send(packet)
    assert pcm.read(0.05) is None
    far = plug(data)
    far.send(wire.encode_pcm(0, frame(7)))
    assert pcm.read(PATIENCE) == frame(7)
