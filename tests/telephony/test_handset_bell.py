"""A line's bell and lamp in virtual time: port and voice are recorded, the ringer is the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from firmware.fxs import country
from firmware.fxs.port import Capability, PortEvent
from firmware.fxs.ringer import Ringer
from firmware.telephony import events as ev
from firmware.telephony.handset_bell import HandsetBell

WHO = ev.Caller("0142685300", "Zoé")
MESSAGE = b"\1\0" * 8 * 700  # 700 ms
LAMP = b"\2\0" * 8 * 500


@dataclass
class Timer:
    when: float
    callback: Callable[..., object]
    args: tuple[object, ...]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """A scheduler in virtual time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> Timer:
        timer = Timer(when, callback, args)
        self.timers.append(timer)
        return timer

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = [timer for timer in self.timers if not timer.cancelled and timer.when <= end]
            if not due:
                break
            timer = min(due, key=lambda timer: timer.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.when)
            timer.callback(*timer.args)
        self.now = end


@dataclass
class Recorder:
    """Port and voice in one, writing down what they are told and when (seconds from the start)."""

    clock: Clock
    log: list[tuple[float, str]] = field(default_factory=list)
    bell: bool = False
    reverse: bool = False
    powered: bool = False
    capabilities: frozenset[Capability] = frozenset(Capability)

    def note(self, what: str) -> None:
        self.log.append((round(self.clock.now - 100.0, 3), what))

    def start(self, deliver: Callable[[PortEvent], None]) -> None: ...

    def shut(self) -> None: ...

    def loop_closed(self) -> bool:
        return False

    def start_ring(self, frequency_hz: float) -> None:
        self.bell = True
        self.note(f"ring {frequency_hz:.0f}")

    def stop_ring(self) -> None:
        self.bell = False
        self.note("ring off")

    def set_polarity(self, *, reverse: bool) -> None:
        self.reverse = reverse
        self.note("reversed" if reverse else "normal")

    def set_power(self, *, on: bool) -> None: ...

    def open(self) -> None:
        self.powered = True

    def close(self) -> None:
        self.powered = False
        self.note("closed")

    def play_samples(self, pcm: bytes) -> None:
        assert self.powered, "nothing is heard from a sleeping voice path"
        assert not self.bell, "a message under ring voltage"
        self.note({MESSAGE: "caller", LAMP: "lamp"}[pcm])

    def play_nothing(self) -> None:
        self.note("silence")

    def mix(self, pcm: bytes) -> None: ...

    # FxsPort has a `stop` of its own.
    stop = shut


class House:
    """A bell with its line, which lies idle until told otherwise."""

    def __init__(self, code: str = "FR", *, alert: str | None = None) -> None:
        home = country.load(code)
        spec = home.caller_id
        if alert is not None:
            wanted = cast("country.Alert", alert)
            spec = replace(spec, alert=wanted, waiting_alert=spec.waiting_alert if alert == "ring" else wanted)
        self.clock = Clock()
        self.line = Recorder(self.clock)
        self.idle = True
        self.trips: list[bool] = []
        self.caller: bytes | None = MESSAGE
        self.lamp: bytes | None = LAMP
        self.asked: list[bool] = []
        self.bell = HandsetBell(
            1,
            port=self.line,
            voice=self.line,
            ringer=Ringer(home.ring, spec),
            scheduler=self.clock,
            caller_id=lambda _: self.caller,
            lamp=self._lamp,
            power=self.line.open,
            idle=lambda: self.idle and not self.bell.ringing,
            ring_trip=self.trips.append,
        )

    def _lamp(self, waiting: bool) -> bytes | None:  # noqa: FBT001 - as the bell asks
        self.asked.append(waiting)
        return self.lamp

    def times(self, what: str) -> list[float]:
        return [at for at, told in self.line.log if told == what]


def test_a_french_call_rings_and_shows_its_caller_in_the_pause() -> None:
    house = House()
    house.bell.start(WHO, "normal")
    house.clock.run(5.5)
    assert house.line.log == [(0.0, "ring 50"), (1.5, "ring off"), (2.1, "caller"), (5.0, "ring 50")]
    assert house.trips == [True]
    house.bell.stop(off_hook=False)
    assert not house.line.bell
    assert not house.line.powered
    assert house.trips == [True, False]
    house.clock.run(60)
    assert house.line.log[-2:] == [(5.5, "ring off"), (5.5, "closed")]


def test_a_british_call_turns_the_battery_and_tells_before_it_rings() -> None:
    house = House("UK")
    house.bell.start(WHO, "normal")
    house.clock.run(2.0)
    assert [what for _, what in house.line.log] == ["reversed", "caller", "normal", "ring 25", "ring off"]
    assert house.times("caller")[0] - house.times("reversed")[0] == pytest.approx(0.3)
    assert house.times("ring 25")[0] - house.times("caller")[0] - 0.7 == pytest.approx(0.4, abs=0.002)


@pytest.mark.parametrize("alert", ["ring", "dt-as", "reversal-dt-as", "ring-pulse"])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.35, 0.5, 0.9, 1.3, 1.8, 2.2, 3.0])
def test_lifting_stops_everything_at_once_wherever_it_is(alert: str, after: float) -> None:
    house = House(alert=alert)
    house.bell.start(WHO, "normal")
    house.clock.run(after)
    house.bell.lifted()
    house.bell.stop(off_hook=True)
    count = len(house.line.log)
    assert (house.line.bell, house.line.reverse) == (False, False)
    house.clock.run(60)
    assert len(house.line.log) == count
    assert house.trips[-1] is False


def test_a_caller_who_cannot_be_shown_rings_all_the_same() -> None:
    house = House("UK")

    def refuse(_: ev.Caller) -> bytes | None:
        raise ValueError("caller's number 'anonymous': wanted 1 to 20 of 0-9 * # +")

    house.bell._caller_id = refuse
    house.bell.start(WHO, "normal")
    house.clock.run(1)
    assert house.line.log[0] == (0.0, "ring 25")
    assert house.times("caller") == []


def test_messages_are_told_when_the_line_has_rested_and_the_line_sleeps_again() -> None:
    house = House()
    house.bell.messages(waiting=True)
    house.clock.run(1.9)
    assert house.line.log == []
    house.clock.run(3)
    assert [what for _, what in house.line.log] == ["lamp", "closed"]
    assert house.times("closed")[0] - house.times("lamp")[0] >= 0.5
    assert not house.line.powered
    assert house.asked == [True]
    house.clock.run(600)
    assert len(house.line.log) == 2  # told once


def test_a_busy_line_is_told_after_it_has_rested() -> None:
    house = House()
    house.idle = False
    house.bell.messages(waiting=True)
    house.clock.run(60)
    assert house.times("lamp") == []
    house.idle = True
    house.bell.rested()
    house.clock.run(5)
    assert len(house.times("lamp")) == 1


@pytest.mark.parametrize("alert", ["dt-as", "ring-pulse", "reversal-dt-as"])
@pytest.mark.parametrize("after", [0.0, 0.15, 0.3, 0.6, 0.95])
def test_who_lifts_while_the_lamp_is_told_is_not_kept_and_it_is_told_later(alert: str, after: float) -> None:
    house = House(alert=alert)
    house.bell.messages(waiting=True)
    house.clock.run(2.0 + after)
    house.bell.lifted()
    house.idle = False
    assert (house.line.bell, house.line.reverse) == (False, False)
    count = len(house.line.log)
    house.clock.run(30)
    assert len(house.line.log) == count
    house.idle = True
    house.bell.rested()
    house.clock.run(5)
    assert house.times("lamp")
    assert house.asked[-1] is True


def test_a_call_breaks_the_lamp_off_rings_at_once_and_the_lamp_comes_after_it() -> None:
    house = House()
    house.bell.messages(waiting=False)
    house.clock.run(2.3)
    assert len(house.times("lamp")) == 1
    house.bell.start(WHO, "normal")
    assert house.line.log[-3:] == [(2.3, "silence"), (2.3, "ring off"), (2.3, "ring 50")]
    house.clock.run(8)
    assert len(house.times("lamp")) == 1
    house.bell.stop(off_hook=False)
    house.clock.run(5)
    assert len(house.times("lamp")) == 2
    assert house.asked == [False, False]


def test_the_last_word_of_the_mailbox_counts() -> None:
    house = House()
    house.bell.messages(waiting=True)
    house.bell.messages(waiting=False)
    house.clock.run(10)
    assert house.asked == [False]


def test_a_country_without_lamps_is_not_asked_again() -> None:
    house = House("BE")
    house.lamp = None
    house.bell.messages(waiting=True)
    house.clock.run(10)
    house.bell.rested()
    house.clock.run(10)
    assert house.asked == [True]
    assert house.line.log == []


def test_shutting_leaves_no_voltage_and_the_battery_as_it_was() -> None:
    house = House("UK")
    house.bell.start(WHO, "normal")
    house.clock.run(0.2)
    house.bell.shut()
    assert (house.line.bell, house.line.reverse) == (False, False)
    count = len(house.line.log)
    house.clock.run(30)
    assert len(house.line.log) == count
