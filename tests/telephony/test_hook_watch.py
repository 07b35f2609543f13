"""The hook on a control loop in virtual time: edges come late or never, the level is read."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from firmware.fxs.hook import HookDecoder, HookEvent
from firmware.telephony.hook_watch import HookWatch
from tests.fakes.chain import LateTime
from tests.fakes.contact import kinds


class Line:
    """A contact whose edges arrive when the test says so; `told` is what the watch made of it."""

    def __init__(self) -> None:
        self.time = LateTime(Random(1), 0.0)  # noqa: S311 - no lateness to draw
        self.closed = False
        self.reads = 0
        self.told: list[HookEvent] = []
        port: Any = self
        self.watch = HookWatch(1, port=port, hook=HookDecoder(), scheduler=self.time, told=self.told.extend)
        self.watch.start()

    def loop_closed(self) -> bool:
        self.reads += 1
        return self.closed

    def move(self, *, closed: bool, late: float | None = 0.0) -> None:
        """The contact moves now; its edge arrives `late` seconds later, or never (None)."""
        self.closed = closed
        if late is not None:
            now = self.time.time()
            self.time.exactly(now + late, self.watch.edge, closed, now)

    def wait(self, seconds: float) -> None:
        self.time.run(self.time.time() + seconds, lambda: False)

    def lifted(self) -> Line:
        self.move(closed=True)
        self.wait(1)
        assert kinds(self.told) == ["HookUp"]
        self.told.clear()
        return self


def test_a_lift_and_a_hang_up_whose_edges_were_lost_are_found_within_two_seconds() -> None:
    line = Line()
    line.move(closed=True, late=None)
    line.wait(1.3)
    assert kinds(line.told) == ["HookUp"]
    line.move(closed=False, late=None)
    line.wait(2)
    assert kinds(line.told) == ["HookUp", "HookDown"]


def test_a_call_is_not_cut_because_the_end_of_a_pulse_was_lost() -> None:
    line = Line().lifted()
    line.move(closed=False)
    line.wait(0.066)
    line.move(closed=True, late=None)
    line.wait(3)
    assert kinds(line.told) == ["PulseDigit1"]


def test_nor_because_the_end_of_a_flash_was() -> None:
    line = Line().lifted()
    line.move(closed=False)
    line.wait(0.27)
    line.move(closed=True, late=None)
    line.wait(3)
    assert kinds(line.told) == ["HookFlash"]


@pytest.mark.parametrize("late", [0.0, 0.03, 0.08, 0.11])
def test_the_level_overtakes_no_edge_that_is_on_its_way(late: float, caplog: pytest.LogCaptureFixture) -> None:
    line = Line().lifted()
    for _ in range(7):
        line.move(closed=False, late=late)
        line.wait(0.025)
        line.move(closed=True, late=late)
        line.wait(0.02)
    line.wait(1)
    assert kinds(line.told) == ["PulseDigit7"]
    assert not caplog.records


def test_what_was_repaired_or_could_not_be_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    line = Line().lifted()
    line.move(closed=False, late=None)
    line.wait(0.06)
    line.move(closed=True)  # a break that nobody saw begin, and no other beside it
    line.wait(1)
    assert kinds(line.told) == ["PulsesUnclear"]
    assert "could not be counted" in caplog.text
    line.move(closed=False, late=None)
    line.wait(2)
    assert "an edge was lost; the level says open" in caplog.text


def test_a_line_that_lost_its_hardware_hangs_up_and_comes_back_as_it_is() -> None:
    line = Line().lifted()
    line.closed = False
    line.watch.level(closed=False)
    line.wait(1)
    assert kinds(line.told) == ["HookDown"]
    line.closed = True
    line.watch.level(closed=True)
    line.wait(0.1)
    assert kinds(line.told) == ["HookDown", "HookUp"]


def test_a_stopped_watch_reads_nothing_more() -> None:
    line = Line().lifted()
    line.move(closed=False)
    line.wait(0.01)
    line.watch.stop()
    reads = line.reads
    line.wait(5)
    assert line.reads == reads
    assert line.told == []


def test_a_stamp_from_the_future_is_an_edge_of_now() -> None:
    line = Line()
    line.closed = True
    line.watch.edge(True, line.time.time() + 3600)  # noqa: FBT003 - the level
    line.wait(0.1)
    assert kinds(line.told) == ["HookUp"]
