"""What the hat's pins do, in order and with times, as gpiozero's mock factory recorded it.

    python -m tests.fxs.pin_sequences            prints the tables of docs/pin-sequences.md
    python -m tests.fxs.pin_sequences --write    puts it there

The times are of this program on an ordinary machine, not of a Raspberry Pi: no hat was here.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPWMPin

from firmware.fxs import country
from firmware.fxs.country import RingSpec
from firmware.fxs.drivers.gpio_slic import GpioSlicPort, SlicPins, ring_off
from firmware.fxs.drivers.slic_hats import HATS, HatName, habits
from firmware.fxs.port import PortEvent
from firmware.fxs.ringer import Ringer, RingOff, RingOn

PINS = SlicPins(shk=27, rm=17, fr=12, pd=22, mt8870=(5, 6, 13, 16, 26))
TITLES: dict[HatName, str] = {"ag1170": "AG1170", "ag1171": "AG1171", "ks0835f": "KS0835F"}
WIRES = {number: wire for wire, number in PINS.named().items()}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "pin-sequences.md"
BEGIN, END = "<!-- sequences: begin -->", "<!-- sequences: end -->"
PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a pin did. `what` is input, output, high, low, "N Hz", steady, pull-up, pull-down or floating."""

    at: float
    wire: str
    what: str


class Recorder(list[Step]):
    """All pins' steps in the order they happened."""

    def add(self, number: int, what: str) -> None:
        step = Step(time.monotonic(), WIRES.get(number, str(number)), what)
        last = next((before for before in reversed(self) if before.wire == step.wire), None)
        if last is None or last.what != what:  # gpiozero says some things twice
            self.append(step)

    def plain(self) -> list[tuple[str, str]]:
        return [(step.wire, step.what) for step in self]

    def find(self, wire: str, what: str) -> Step:
        return next(step for step in self if (step.wire, step.what) == (wire, what))

    def wait(self, wire: str, what: str) -> Step:
        """The step, once it has happened (another thread's work)."""
        deadline = time.monotonic() + PATIENCE
        while (wire, what) not in self.plain():
            assert time.monotonic() < deadline, f"{wire} {what} never came: {self.plain()}"
            time.sleep(0.001)
        return self.find(wire, what)


class RecordedPin(MockPWMPin):
    """A mock pin that tells a recorder what becomes of it; F/R at half duty is told as its frequency."""

    def _set_function(self, value: str) -> None:
        if value != self._function or value == "output":
            self.factory.recorder.add(int(self.info.name[4:]), value)
        super()._set_function(value)

    def _set_pull(self, value: str) -> None:
        self.factory.recorder.add(int(self.info.name[4:]), {"up": "pull-up", "down": "pull-down"}.get(value, value))
        super()._set_pull(value)

    def _set_state(self, value: float) -> None:
        self.factory.recorder.add(int(self.info.name[4:]), _level(value, self._frequency))
        super()._set_state(value)

    def _set_frequency(self, value: float | None) -> None:
        if value is None and self._frequency is not None:
            self.factory.recorder.add(int(self.info.name[4:]), "steady")
        super()._set_frequency(value)


def _level(value: float, frequency: float | None) -> str:
    if 0 < value < 1:
        return f"{frequency:g} Hz"
    return "high" if value else "low"


class RecordedFactory(MockFactory):
    """gpiozero's mock factory, recording."""

    def __init__(self) -> None:
        super().__init__(pin_class=RecordedPin)
        self.recorder = Recorder()


class Bench:
    """A started port on recorded pins, and what it delivered. `habits`: as the settings have them."""

    def __init__(
        self,
        hat: HatName = "ag1171",
        *,
        start: bool = True,
        pins: SlicPins = PINS,
        trip_seconds: float = 0.010,
        **changed: Any,
    ) -> None:
        self.factory = RecordedFactory()
        self.steps = self.factory.recorder
        self.habits = habits(hat, **changed)
        self.port = GpioSlicPort(pins, self.habits, trip_seconds=trip_seconds, pin_factory=self.factory)
        self.events: list[PortEvent] = []
        if start:
            self.port.start(self.events.append)

    def pin(self, number: int) -> Any:
        return self.factory.pin(number)

    def forget(self) -> None:
        self.steps.clear()

    def shk(self, *, closed: bool) -> None:
        """The loop as the module tells it (active high)."""
        pin = self.pin(PINS.shk)
        pin.drive_high() if closed else pin.drive_low()


def ring(
    bench: Bench, seconds: float, spec: RingSpec | None = None, *, until: Callable[[], bool] = lambda: False
) -> None:
    """Ring as the handset does (French, unless told): the ringer's steps carried out when due."""
    ringer = Ringer(spec or country.load("FR").ring)
    end = time.monotonic() + seconds
    steps = ringer.start(time.monotonic())
    while True:
        for step in steps:
            match step:
                case RingOn(frequency_hz):
                    bench.port.start_ring(frequency_hz)
                case RingOff():
                    bench.port.stop_ring()
        due = ringer.next_deadline()
        assert due is not None
        while (now := time.monotonic()) < min(due, end) and not until():
            time.sleep(min(0.002, max(0.0, min(due, end) - now)))
        if now >= end or until():
            break
        steps = ringer.tick(time.monotonic())
    bench.port.stop_ring()


def _start(hat: HatName) -> Bench:
    return Bench(hat)


def _ring_and_pause(hat: HatName) -> Bench:
    bench = Bench(hat)
    bench.forget()
    ring(bench, 5.2)
    while bench.steps.plain()[-1] != ("RM", "low"):
        time.sleep(0.001)
    return bench


def _trip(hat: HatName) -> Bench:
    """A handset lifted 0.4 s into a ring."""
    bench = Bench(hat)
    bench.forget()

    def lift() -> None:
        time.sleep(0.4)
        bench.steps.add(PINS.shk, "high")
        bench.shk(closed=True)

    hand = threading.Thread(target=lift)
    hand.start()
    ring(bench, 5.0, until=lambda: ("RM", "low") in bench.steps.plain())
    hand.join()
    return bench


def _reverse(hat: HatName) -> Bench:
    bench = Bench(hat)
    bench.forget()
    bench.port.set_polarity(reverse=True)
    bench.port.set_polarity(reverse=False)
    return bench


def _power(hat: HatName) -> Bench:
    bench = Bench(hat)
    bench.forget()
    bench.port.set_power(on=False)
    bench.port.set_power(on=True)
    return bench


def _stop_in_ring(hat: HatName) -> Bench:
    bench = Bench(hat)
    bench.port.start_ring(50.0)
    bench.forget()
    bench.port.stop()
    return bench


def _ring_off(hat: HatName) -> Bench:
    bench = Bench(hat, start=False)
    ring_off(PINS, fr_idle=bench.habits.fr_idle, pin_factory=bench.factory)
    return bench


SEQUENCES: dict[str, Callable[[HatName], Bench]] = {
    "start": _start,
    "two French rings: 1.5 s of 50 Hz, 3.5 s of silence": _ring_and_pause,
    "a handset lifted 0.4 s into a ring": _trip,
    "battery reversed and back": _reverse,
    "power off and on": _power,
    "stop in mid-ring": _stop_in_ring,
    "after a core that died in mid-ring (`firmware.fxs.safe`)": _ring_off,
}


def table() -> Iterator[str]:
    """The Markdown between the markers of docs/pin-sequences.md."""
    for hat in HATS:
        yield ""
        yield f"## {TITLES[hat]}"
        for title, play in SEQUENCES.items():
            bench = play(hat)
            steps = list(bench.steps)
            bench.port.stop()
            yield ""
            yield f"**{TITLES[hat]}: {title}**"
            yield ""
            if not steps:
                yield "Nothing: PD is left alone."
                continue
            yield "| ms | pin | becomes |"
            yield "|---:|---|---|"
            for step in steps:
                yield f"| {(step.at - steps[0].at) * 1000:.1f} | {step.wire} | {step.what} |"
    yield ""


def documented() -> list[tuple[str, str]]:
    """Pin and step of every row that docs/pin-sequences.md holds."""
    text = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ") and "pin" not in line]
    return [(row[1], row[2]) for row in rows]


def main() -> None:
    lines = "\n".join(table())
    if "--write" not in sys.argv[1:]:
        print(lines)
        return
    before, begin, rest = DOCUMENT.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    DOCUMENT.write_text(before + begin + "\n" + lines + "\n" + end + after)


if __name__ == "__main__":
    main()
