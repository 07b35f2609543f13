"""The serial driver on a pseudo-terminal, a hat and its bouncing telephone at the other end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware.config import LineSettings
from firmware.fxs import country
from firmware.fxs.drivers import serial_mcu
from firmware.fxs.drivers.serial_mcu import SerialHat, SerialMcuPort, shared_hat
from firmware.fxs.drivers.serial_vocabulary import Timing
from firmware.fxs.hook import HookDecoder, HookSettings, HookUp, PulseDigit
from firmware.fxs.port import Capability, DigitEvent, LineFault, LineRestored, LoopEdge, PortEvent
from firmware.lines import build_line
from tests.fakes.serial_hat import SerialHat as FakeHat

PATIENCE = 10.0


class Bench:
    """A hat and ports on it; what each port delivered."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hat"
        self.hats: list[FakeHat] = []
        self.ports: list[SerialMcuPort] = []
        self.events: list[list[PortEvent]] = []

    def plug(self, **habits: object) -> FakeHat:
        self.hats.append(FakeHat(self.path, len(self.hats), **habits))  # type: ignore[arg-type]
        return self.hats[-1]

    def port(self, line: int = 1, hat: SerialHat | None = None, *, wait: bool = True) -> SerialMcuPort:
        made = SerialMcuPort(hat or SerialHat(str(self.path)), line)
        heard: list[PortEvent] = []
        self.ports.append(made)
        self.events.append(heard)
        made.start(heard.append)
        if wait:
            self.until(lambda: bool(self.of(LineRestored, len(self.ports) - 1)))
        return made

    def of(self, kind: type[PortEvent], port: int = 0) -> list[PortEvent]:
        return [event for event in self.events[port] if isinstance(event, kind)]

    @staticmethod
    def until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.002)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for port in made.ports:
        port.stop()
    for hat in made.hats:
        hat.close()


def test_a_lift_comes_with_its_bounce_and_with_the_time_at_which_the_contact_moved(bench: Bench) -> None:
    hat = bench.plug(drift_ppm=500, clock_start_ms=(1 << 32) - 200)
    port = bench.port()
    time.sleep(0.6)  # over the wrap of its clock
    before = time.monotonic()
    hat.lift()
    time.sleep(0.1)
    edges = [event for event in bench.events[0] if isinstance(event, LoopEdge)]
    assert edges[0].closed
    assert edges[-1].closed
    assert [edge.closed for edge in edges] == [index % 2 == 0 for index in range(len(edges))]
    assert all(before - 0.01 <= edge.at <= time.monotonic() for edge in edges)
    assert port.loop_closed()


@pytest.mark.parametrize("pulses_per_second", [7.5, 22.0])
def test_a_worn_rotary_dial_is_read_digit_for_digit_over_the_wire(bench: Bench, pulses_per_second: float) -> None:
    hat = bench.plug(drift_ppm=-2000)
    bench.port()
    hat.lift()
    time.sleep(0.3)
    for digit in "20":
        time.sleep(hat.dial(digit, pulses_per_second=pulses_per_second) + 0.4)
    decoder = HookDecoder(HookSettings.for_country(country.load("FR")))
    heard = []
    for edge in bench.events[0]:
        if isinstance(edge, LoopEdge):
            heard += decoder.handle(edge.closed, edge.at)
    heard += decoder.tick(time.monotonic())
    assert [type(event) for event in heard] == [HookUp, PulseDigit, PulseDigit]
    assert "".join(event.digit for event in heard if isinstance(event, PulseDigit)) == "20"


def test_a_ring_goes_on_and_off_and_every_method_returns_at_once(bench: Bench) -> None:
    hat = bench.plug()
    port = bench.port()
    began = time.monotonic()
    port.start_ring(50.0)
    port.set_polarity(reverse=True)
    port.set_power(on=True)
    took = time.monotonic() - began
    bench.until(lambda: hat.lines[1].ring_hz == 50.0 and hat.lines[1].reverse)
    time.sleep(1.5)
    assert hat.lines[1].ring_hz == 50.0, "the heartbeat keeps it on"
    port.stop_ring()
    bench.until(lambda: not hat.lines[1].ring_hz)
    assert took < 1


def test_a_lift_in_mid_ring_ends_it_before_the_box_asks(bench: Bench) -> None:
    hat = bench.plug()
    port = bench.port()
    port.start_ring(50.0)
    bench.until(lambda: hat.lines[1].ring_hz == 50.0)
    hat.lift()
    bench.until(lambda: not hat.lines[1].ring_hz)
    time.sleep(0.4)
    assert not hat.lines[1].ring_hz
    assert not [order for order in hat.heard if order == "RING 1 OFF"]
    assert port.loop_closed()


def test_stopping_leaves_the_line_without_ring_and_the_device_free(bench: Bench) -> None:
    hat = bench.plug()
    port = bench.port()
    port.start_ring(50.0)
    bench.until(lambda: hat.lines[1].ring_hz == 50.0)
    port.stop()
    assert not hat.lines[1].ring_hz
    port.stop()
    bench.events[0].clear()
    hat.lift()
    time.sleep(0.1)
    assert not bench.events[0]
    assert not port.loop_closed()
    again = bench.port()
    assert again.loop_closed()
    assert len(bench.of(LineRestored, 1)) == 1


def test_a_box_that_dies_leaves_no_ring(bench: Bench) -> None:
    hat = bench.plug()
    port = bench.port()
    port.start_ring(50.0)
    bench.until(lambda: hat.lines[1].ring_hz == 50.0)
    thread = port._hat._thread
    assert thread is not None
    hung = threading.Event()
    thread._wait = lambda: hung.wait(PATIENCE)  # type: ignore[assignment,method-assign]
    bench.until(lambda: not hat.lines[1].ring_hz)
    rang = hat.lines[1].rings
    hung.set()
    assert 0.9 < rang[-1][0] - rang[-2][0] < 5, "the hat's own heartbeat"


def test_without_a_hat_the_line_has_a_fault_in_words_and_works_once_it_is_plugged_in(bench: Bench) -> None:
    bench.port(wait=False)
    bench.until(lambda: bool(bench.of(LineFault)))
    (fault,) = bench.of(LineFault)
    assert isinstance(fault, LineFault)
    assert "hat is not there: is the hat plugged in" in fault.detail
    assert "allobox config set line.serial.device" in fault.detail
    hat = bench.plug()
    bench.until(lambda: bool(bench.of(LineRestored)))
    hat.lift()
    bench.until(lambda: bool(bench.of(LoopEdge)))


def test_what_is_no_serial_device_is_told(bench: Bench) -> None:
    bench.path.write_text("a file")
    bench.port(wait=False)
    bench.until(lambda: bool(bench.of(LineFault)))
    assert "the hat cannot be reached" in str(bench.of(LineFault)[0])
    assert bench.path.read_text() == "a file"


def test_the_hat_drawn_and_put_in_again_is_back_with_the_loop_as_it_is_then(bench: Bench) -> None:
    hat = bench.plug()
    port = bench.port()
    hat.lift()
    bench.until(port.loop_closed)
    hat.unplug()
    bench.until(lambda: bool(bench.of(LineFault)))
    assert not port.loop_closed()
    hat.hang_up()
    time.sleep(0.1)
    hat.lift()
    time.sleep(0.1)
    hat.plug()
    bench.until(lambda: len(bench.of(LineRestored)) == 2)
    restored = bench.of(LineRestored)[-1]
    assert isinstance(restored, LineRestored)
    assert restored.closed


def test_two_lines_of_one_hat_share_its_device(bench: Bench) -> None:
    hat = bench.plug(lines=2)
    shared = SerialHat(str(bench.path))
    first, second = bench.port(1, shared), bench.port(2, shared)
    second.start_ring(25.0)
    hat.lift(1)
    bench.until(lambda: hat.lines[2].ring_hz == 25.0 and first.loop_closed())
    assert not second.loop_closed()
    assert not hat.lines[1].ring_hz
    second.stop()
    bench.until(lambda: not hat.lines[2].ring_hz)
    hat.hang_up(1)
    bench.until(lambda: not first.loop_closed())
    assert not bench.of(LoopEdge, 1)


def test_a_hat_that_hears_digits_delivers_them(bench: Bench) -> None:
    hat = bench.plug(abilities="DTMF")
    port = bench.port()
    assert port.capabilities == {Capability.DIGITS}
    for digit in "1S#":
        hat.send_event("DIGIT", 1, digit)
    bench.until(lambda: len(bench.of(DigitEvent)) == 3)
    assert [event.digit for event in bench.events[0] if isinstance(event, DigitEvent)] == ["1", "*", "#"]


# --- which device ---------------------------------------------------------------------------


def fault_of(by_id: Path) -> str:
    heard: list[PortEvent] = []
    port = SerialMcuPort(SerialHat("", by_id=by_id, timing=Timing(grace_seconds=0.3)))
    port.start(heard.append)
    Bench.until(lambda: bool(heard))
    port.stop()
    return str(heard[0])


def test_no_device_in_the_settings_means_the_only_one_that_is_plugged_in(tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    hat = FakeHat(by_id / "usb-Hat-if00")
    heard: list[PortEvent] = []
    port = SerialMcuPort(SerialHat("", by_id=by_id))
    port.start(heard.append)
    Bench.until(lambda: bool(heard))
    port.stop()
    hat.close()
    assert isinstance(heard[0], LineRestored)


def test_none_or_several_are_told_with_what_to_do(tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    assert "no serial device is plugged in" in fault_of(by_id)
    by_id.mkdir()
    (by_id / "usb-Hat-if00").touch()
    (by_id / "usb-GPS-if00").touch()
    told = fault_of(by_id)
    assert "several serial devices are plugged in (usb-GPS-if00, usb-Hat-if00)" in told
    assert "allobox config set line.serial.device" in told


def test_the_settings_build_it_and_lines_that_name_one_device_share_it(tmp_path: Path) -> None:
    config = LineSettings.model_validate(
        {"driver": "serial_mcu", "serial": {"device": "/dev/serial/by-id/usb-Hat-if00", "baud": 57600}}
    )
    ports = [build_line(tmp_path, line, config)[0] for line in (1, 2)]
    assert all(isinstance(port, SerialMcuPort) for port in ports)
    hats = {port._hat for port in ports if isinstance(port, SerialMcuPort)}
    assert hats == {shared_hat("/dev/serial/by-id/usb-Hat-if00", 57600)}
    assert [port._line for port in ports if isinstance(port, SerialMcuPort)] == [1, 2]


# --- what it costs --------------------------------------------------------------------------


def test_a_flood_takes_little_of_the_cores_time_and_the_line_still_works(bench: Bench) -> None:
    hat = bench.plug()
    port = bench.port()
    thread = port._hat._thread
    assert thread is not None
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    noise = os.urandom(4000)
    began, used = time.monotonic(), time.clock_gettime(clock)
    while time.monotonic() - began < 1.0:
        hat.say(noise)
        time.sleep(0.001)
    used = time.clock_gettime(clock) - used
    assert used < 0.5, f"{used:.2f} s of a second: reading is not bounded"
    hat.lift()
    bench.until(port.loop_closed)


def test_the_read_budget_is_above_what_a_hat_can_say() -> None:
    assert serial_mcu._BYTES_PER_SECOND > 2 * 115_200 / 10
