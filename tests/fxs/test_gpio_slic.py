"""The hat's pins on gpiozero's mock factory: what becomes of which pin, when, and never in another order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gpiozero.exc import PinFixedPull, PinInvalidPin
from gpiozero.pins.mock import MockFactory, MockPWMPin

from firmware.fxs import country
from firmware.fxs.drivers import gpio_pins, gpio_slic
from firmware.fxs.drivers.gpio_pins import RING_END_SECONDS
from firmware.fxs.drivers.gpio_slic import GpioSlicPort, SlicPins, ring_off
from firmware.fxs.drivers.slic_hats import HATS, HatName, SlicHat, habits
from firmware.fxs.hook import HookDecoder, HookDown, HookSettings, HookUp, PulseDigit
from firmware.fxs.port import Capability, DigitEvent, LineFault, LoopEdge
from tests.fxs.pin_sequences import DOCUMENT, PINS, SEQUENCES, Bench, documented, ring


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.forget()
    yield made
    made.port.stop()


@pytest.fixture
def build() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(hat: HatName = "ag1171", **changed: Any) -> Bench:
        made.append(Bench(hat, **changed))
        return made[-1]

    yield make
    for bench in made:
        bench.port.stop()


# --- start and stop -------------------------------------------------------------------------


def test_ringing_mode_is_off_before_any_other_pin_is_touched(build: Callable[..., Bench]) -> None:
    steps = build().steps.plain()
    assert steps[:2] == [("RM", "output"), ("RM", "low")]
    assert steps.index(("F/R", "high")) > 1
    assert steps.index(("SHK", "pull-down")) > steps.index(("F/R", "high"))


@pytest.mark.parametrize(("idle", "level", "other"), [("high", 1, 0), ("low", 0, 1)])
def test_f_r_idles_as_the_module_wants_it(build: Callable[..., Bench], idle: str, level: int, other: int) -> None:
    bench = build(fr_idle=idle)
    assert bench.pin(PINS.fr).state == level
    bench.port.set_polarity(reverse=True)
    assert bench.pin(PINS.fr).state == other
    bench.port.set_polarity(reverse=False)
    assert bench.pin(PINS.fr).state == level


def test_starting_twice_is_starting_once_and_stopping_twice_harms_nothing(bench: Bench) -> None:
    bench.port.start(bench.events.append)
    assert not bench.steps
    bench.port.stop()
    bench.forget()
    bench.port.stop()
    assert not bench.steps


def test_a_port_starts_again_after_it_was_stopped(bench: Bench) -> None:
    bench.port.stop()
    bench.port.start(bench.events.append)
    bench.shk(closed=True)
    assert [event.closed for event in bench.events if isinstance(event, LoopEdge)] == [True]


def test_stopping_in_mid_ring_rests_f_r_waits_and_leaves_rm_low_and_pulled_down(bench: Bench) -> None:
    bench.port.start_ring(50.0)
    bench.forget()
    bench.port.stop()
    steps = bench.steps.plain()
    assert steps[:3] == [("F/R", "steady"), ("F/R", "high"), ("RM", "low")]
    assert bench.steps.find("RM", "low").at - bench.steps.find("F/R", "high").at > 0.010
    assert steps[-1] == ("RM", "pull-down")
    assert bench.pin(PINS.rm).function == "input"
    assert not bench.pin(PINS.rm).state


def test_nothing_is_delivered_after_stop(bench: Bench) -> None:
    bench.port.stop()
    bench.shk(closed=True)
    assert not bench.events
    assert not bench.port.loop_closed()


def test_before_start_and_after_stop_every_order_is_harmless() -> None:
    bench = Bench(start=False)
    for _ in range(2):
        bench.port.start_ring(50.0)
        bench.port.stop_ring()
        bench.port.set_polarity(reverse=True)
        bench.port.set_power(on=False)
        assert not bench.port.loop_closed()
        bench.port.start(bench.events.append)
        bench.port.stop()
    assert not bench.events


# --- ringing --------------------------------------------------------------------------------


def test_a_ring_is_rm_high_and_then_f_r_at_the_countrys_frequency(bench: Bench) -> None:
    bench.port.start_ring(country.load("FR").ring.frequency_hz)
    assert bench.steps.plain() == [("RM", "high"), ("F/R", "50 Hz")]
    assert bench.pin(PINS.fr).frequency == 50
    assert bench.pin(PINS.fr).state == 0.5


def test_the_end_of_a_ring_rests_f_r_at_once_and_drops_rm_more_than_10_ms_later(bench: Bench) -> None:
    bench.port.start_ring(25.0)
    bench.forget()
    began = time.monotonic()
    bench.port.stop_ring()
    took = time.monotonic() - began
    assert bench.steps.plain() == [("F/R", "steady"), ("F/R", "high")], "the wait is not the control loop's"
    low = bench.steps.wait("RM", "low")
    assert low.at - bench.steps.find("F/R", "high").at > 0.010
    assert took < low.at - began
    assert bench.pin(PINS.fr).frequency is None


def test_a_ring_asked_for_within_the_wait_keeps_ringing_mode_on(bench: Bench) -> None:
    bench.port.start_ring(50.0)
    bench.port.stop_ring()
    bench.port.start_ring(25.0)
    time.sleep(4 * RING_END_SECONDS)
    assert ("RM", "low") not in bench.steps.plain()
    assert bench.pin(PINS.fr).frequency == 25
    bench.port.stop_ring()
    bench.steps.wait("RM", "low")


def test_ringing_and_stopping_may_be_repeated(bench: Bench) -> None:
    bench.port.stop_ring()
    assert not bench.steps
    bench.port.start_ring(50.0)
    bench.port.start_ring(50.0)
    bench.port.stop_ring()
    bench.steps.wait("RM", "low")
    bench.forget()
    bench.port.stop_ring()
    time.sleep(2 * RING_END_SECONDS)
    assert not bench.steps


def test_a_cadence_comes_out_of_the_pins(bench: Bench) -> None:
    spec = replace(country.load("UK").ring, cadence_ms=(240, 120, 240, 480))
    ring(bench, sum(spec.cadence_ms) / 1000 + 0.2, spec)
    bursts = [step.at for step in bench.steps if step.what == "25 Hz"]
    rests = [step.at for step in bench.steps if step.what == "steady"]
    assert len(bursts) == 3
    measured: list[float] = []
    for on, off, again in zip(bursts, rests, bursts[1:], strict=False):
        measured += [(off - on) * 1000, (again - off) * 1000]
    # Within what a busy machine does to any timer; the steps themselves are the ringer's own test.
    assert measured == pytest.approx(list(spec.cadence_ms), abs=110)


def test_a_handset_lifted_during_a_ring_is_heard_and_the_ring_ends_in_the_safe_order(bench: Bench) -> None:
    decoder = HookDecoder(HookSettings.for_country(country.load("FR")))
    decoder.set_ringing(ringing=True)
    bench.port.start_ring(50.0)
    bench.shk(closed=True)
    edge = bench.events[0]
    assert isinstance(edge, LoopEdge)
    events = [*decoder.handle(edge.closed, edge.at), *decoder.tick(edge.at + 0.1)]
    assert [type(event) for event in events] == [HookUp]
    bench.port.stop_ring()
    bench.steps.wait("RM", "low")
    assert bench.steps.plain()[-3:] == [("F/R", "steady"), ("F/R", "high"), ("RM", "low")]
    assert bench.port.loop_closed()


def test_a_ring_that_nobody_ends_is_taken_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio_slic, "LONGEST_BURST_SECONDS", 0.05)
    bench.port.start_ring(50.0)
    low = bench.steps.wait("RM", "low")
    assert low.at - bench.steps.find("F/R", "high").at > 0.010
    assert bench.pin(PINS.fr).frequency is None


def test_no_country_rings_longer_than_the_longest_burst() -> None:
    for code in ("BE", "CH", "DE", "ES", "FR", "IT", "UK", "US"):
        spec = country.load(code).ring
        longest = max(max(cadence[::2]) for cadence in (spec.cadence_ms, *spec.patterns.values()))
        assert longest / 1000 < gpio_slic.LONGEST_BURST_SECONDS - 1


def test_reversal_asked_for_during_a_ring_waits_for_its_end(bench: Bench) -> None:
    bench.port.start_ring(50.0)
    bench.port.set_polarity(reverse=True)
    assert bench.pin(PINS.fr).state == 0.5
    bench.port.stop_ring()
    bench.steps.wait("F/R", "low")
    assert bench.steps.find("F/R", "low").at >= bench.steps.find("RM", "low").at


# --- the loop -------------------------------------------------------------------------------


def test_every_bounce_is_delivered_with_its_own_time(bench: Bench) -> None:
    before = time.monotonic()
    for closed in (True, False, True, False, True):
        bench.shk(closed=closed)
    edges = [event for event in bench.events if isinstance(event, LoopEdge)]
    assert [edge.closed for edge in edges] == [True, False, True, False, True]
    times = [edge.at for edge in edges]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.monotonic()
    assert bench.pin(PINS.shk).bounce is None


def test_edges_carry_the_kernels_time_not_that_of_their_reading(bench: Bench) -> None:
    happened = time.monotonic() - 0.25  # what lgpio hands over: CLOCK_MONOTONIC, however late its thread ran
    bench.port._edge(happened, 1)
    assert bench.events == [LoopEdge(closed=True, at=happened)]


@pytest.mark.parametrize("ticks", [0.0, 1.8e9])
def test_a_factory_with_another_clock_is_stamped_on_arrival(bench: Bench, ticks: float) -> None:
    before = time.monotonic()
    bench.port._edge(ticks, 0)
    edge = bench.events[0]
    assert isinstance(edge, LoopEdge)
    assert before <= edge.at <= time.monotonic()


def test_lgpios_watchdog_level_is_no_edge(bench: Bench) -> None:
    bench.port._edge(time.monotonic(), 2)
    assert not bench.events


def test_a_module_whose_shk_is_low_when_closed_is_a_setting(build: Callable[..., Bench]) -> None:
    bench = build(shk_active_high=False)
    assert ("SHK", "pull-up") in bench.steps.plain(), "a hat that is not there reads as an open loop"
    assert not bench.port.loop_closed()
    bench.pin(PINS.shk).drive_low()
    assert bench.port.loop_closed()
    assert [event.closed for event in bench.events if isinstance(event, LoopEdge)] == [True]


def test_a_handset_off_hook_at_start_is_told() -> None:
    bench = Bench(start=False)
    pin: Any = bench.pin(PINS.shk)
    # The module drives SHK against the Pi's weak pull.
    pin._set_pull = lambda _pull: None
    pin._change_state(1)
    bench.port.start(bench.events.append)
    assert [event.closed for event in bench.events if isinstance(event, LoopEdge)] == [True]
    bench.port.stop()


def test_a_lost_edge_is_mended_by_reading_the_level(bench: Bench) -> None:
    pin = bench.pin(PINS.shk)
    pin.when_changed, handler = None, pin.when_changed
    bench.shk(closed=True)
    pin.when_changed = handler
    assert not bench.events
    assert bench.port.loop_closed()


def test_a_digit_dialled_by_a_rotary_dial_is_read_from_the_pin(bench: Bench) -> None:
    decoder = HookDecoder(HookSettings.for_country(country.load("FR")))
    at = 100.0

    def edge(*, closed: bool) -> list[object]:
        bench.events.clear()
        bench.shk(closed=closed)
        got = bench.events[0]
        assert isinstance(got, LoopEdge)
        return list(decoder.handle(got.closed, at))

    heard: list[object] = edge(closed=True)
    at += 1
    heard += decoder.tick(at)
    for _ in range(3):
        heard += edge(closed=False)
        at += 0.066
        heard += edge(closed=True)
        at += 0.033
    at += 0.5
    heard += decoder.tick(at)
    heard += edge(closed=False)
    heard += decoder.tick(at + 2)
    assert [type(event) for event in heard] == [HookUp, PulseDigit, HookDown]
    assert next(event.digit for event in heard if isinstance(event, PulseDigit)) == "3"


# --- power and polarity ---------------------------------------------------------------------


def test_pd_low_is_pulled_low_to_power_down_and_let_go_never_driven_high(build: Callable[..., Bench]) -> None:
    bench = build(pd_mode="low")
    assert bench.pin(PINS.pd or 0).function == "input"
    bench.port.set_power(on=False)
    assert (bench.pin(PINS.pd or 0).function, bench.pin(PINS.pd or 0).state) == ("output", 0)
    bench.port.set_power(on=True)
    assert bench.pin(PINS.pd or 0).function == "input"
    bench.port.stop()
    assert ("PD", "high") not in bench.steps.plain()


def test_pd_high_is_driven_low_to_run_and_high_to_power_down(build: Callable[..., Bench]) -> None:
    bench = build(pd_mode="high")
    assert (bench.pin(PINS.pd or 0).function, bench.pin(PINS.pd or 0).state) == ("output", 0)
    bench.port.set_power(on=False)
    assert bench.pin(PINS.pd or 0).state == 1
    bench.port.set_power(on=True)
    assert bench.pin(PINS.pd or 0).state == 0


def test_pd_none_is_never_touched(build: Callable[..., Bench]) -> None:
    bench = build(pd_mode="none")
    bench.port.set_power(on=False)
    bench.port.set_power(on=True)
    assert not [step for step in bench.steps if step.wire == "PD"]
    assert Capability.POWER_DENIAL not in bench.port.capabilities


def test_what_a_port_can_do_follows_its_wires() -> None:
    def capabilities(mt8870: tuple[int, ...] = (), pd: int | None = None, mode: str = "hat") -> set[Capability]:
        chosen = habits("ag1171", pd_mode=mode)  # type: ignore[arg-type]
        return set(GpioSlicPort(SlicPins(27, 17, 12, pd, mt8870), chosen).capabilities)

    assert capabilities() == {Capability.POLARITY_REVERSAL}
    assert capabilities(mode="low") == {Capability.POLARITY_REVERSAL}
    assert capabilities(pd=22, mode="low") == {Capability.POLARITY_REVERSAL, Capability.POWER_DENIAL}
    assert capabilities((5, 6, 13, 16, 26)) == {Capability.POLARITY_REVERSAL, Capability.DIGITS}


# --- each hat -------------------------------------------------------------------------------

# What the modules' sheets ask, written out: F/R at rest and reversed; PD running and powered down.
SHEETS: dict[HatName, tuple[str, str, list[str], list[str]]] = {
    "ag1170": ("high", "low", ["output", "low"], ["output", "high"]),
    "ag1171": ("high", "low", [], []),
    "ks0835f": ("low", "high", ["floating"], ["output", "low"]),
}


@pytest.mark.parametrize("hat", SHEETS)
def test_each_hat_starts_rings_reverses_powers_down_and_stops_as_its_sheet_asks(
    build: Callable[..., Bench], hat: HatName
) -> None:
    idle, reversed_, running, down = SHEETS[hat]
    bench = build(hat)
    steps = bench.steps.plain()
    assert steps[:4] == [("RM", "output"), ("RM", "low"), ("F/R", "output"), ("F/R", idle)]
    assert [what for wire, what in steps if wire == "PD"] == running
    bench.forget()
    bench.port.set_power(on=False)
    assert [what for wire, what in bench.steps.plain() if wire == "PD"] == down
    bench.port.set_power(on=True)
    bench.forget()
    bench.port.set_polarity(reverse=True)
    bench.port.set_polarity(reverse=False)
    assert bench.steps.plain() == [("F/R", reversed_), ("F/R", idle)]
    bench.forget()
    bench.port.start_ring(25.0)
    bench.port.stop_ring()
    low = bench.steps.wait("RM", "low")
    assert bench.steps.plain()[:5] == [
        *(("RM", "high"), ("F/R", "25 Hz"), ("F/R", "steady")),
        *(("F/R", idle), ("RM", "low")),
    ]
    assert low.at - bench.steps.find("F/R", idle).at > 0.010
    bench.port.start_ring(25.0)
    bench.forget()
    bench.port.stop()
    steps = bench.steps.plain()
    assert steps[:3] == [("F/R", "steady"), ("F/R", idle), ("RM", "low")]
    assert bench.steps.find("RM", "low").at - bench.steps.find("F/R", idle).at > 0.010
    assert steps[-1] == ("RM", "pull-down")


def test_pd_of_the_ks0835f_is_never_driven_high(build: Callable[..., Bench]) -> None:
    bench = build("ks0835f")
    for on in (False, True, False):
        bench.port.set_power(on=on)
    bench.port.stop()
    assert ("PD", "high") not in bench.steps.plain()


def test_every_habit_of_a_hat_can_be_set_otherwise() -> None:
    assert set(SHEETS) == set(HATS)
    assert habits("ks0835f") == HATS["ks0835f"]
    assert habits("ks0835f", fr_idle="high", pd_mode="none", shk_active_high=False) == SlicHat(
        fr_idle="high", pd_mode="none", shk_active_high=False
    )


# --- ring trip ------------------------------------------------------------------------------


def test_a_handset_lifted_in_mid_ring_ends_the_ring_before_anybody_asks(bench: Bench) -> None:
    bench.port.start_ring(50.0)
    began = time.monotonic()
    bench.shk(closed=True)
    low = bench.steps.wait("RM", "low")
    assert bench.steps.plain()[-3:] == [("F/R", "steady"), ("F/R", "high"), ("RM", "low")]
    rested = bench.steps.find("F/R", "high").at
    assert rested - began >= 0.010
    assert low.at - rested > 0.010
    bench.forget()
    bench.port.stop_ring()  # the control loop's own, later
    time.sleep(2 * RING_END_SECONDS)
    assert not bench.steps


def test_a_ring_current_that_shows_on_shk_is_no_trip(build: Callable[..., Bench]) -> None:
    bench = build(trip_seconds=0.3)
    bench.forget()
    bench.port.start_ring(25.0)
    bench.shk(closed=True)
    bench.shk(closed=False)
    time.sleep(0.2)
    closed = time.monotonic()
    bench.shk(closed=True)
    bench.steps.wait("RM", "low")
    assert bench.steps.find("F/R", "high").at - closed >= 0.3, "closed time counts from the last closing"


def test_a_ring_into_a_lifted_handset_ends_at_once(bench: Bench) -> None:
    bench.shk(closed=True)
    bench.port.start_ring(50.0)
    bench.steps.wait("RM", "low")
    assert bench.pin(PINS.fr).frequency is None


# --- an MT8870 beside the module ------------------------------------------------------------


def press(bench: Bench, code: int) -> None:
    """The receiver puts a code on Q4..Q1 and raises StD while the key is held."""
    std, *keys = PINS.mt8870
    for bit, number in enumerate(keys):
        pin = bench.pin(number)
        pin.drive_high() if code >> bit & 1 else pin.drive_low()
    bench.pin(std).drive_high()
    bench.pin(std).drive_low()


def test_the_receivers_codes_are_the_keys_of_its_sheet(bench: Bench) -> None:
    before = time.monotonic()
    for code in [*range(1, 16), 0]:
        press(bench, code)
    digits = [event for event in bench.events if isinstance(event, DigitEvent)]
    assert "".join(event.digit for event in digits) == "1234567890*#ABCD"
    assert before <= digits[0].at <= digits[-1].at <= time.monotonic()
    assert not [event for event in bench.events if isinstance(event, LoopEdge)]


def test_after_stop_the_receiver_is_not_heard(bench: Bench) -> None:
    bench.port.stop()
    press(bench, 5)
    assert not bench.events


def test_a_receivers_pin_that_another_wire_has_is_refused_by_name() -> None:
    port = GpioSlicPort(SlicPins(27, 17, 12, None, (5, 6, 13, 17, 26)), pin_factory=MockFactory(pin_class=MockPWMPin))
    with pytest.raises(OSError, match="GPIO17 is set for both RM and Q3"):
        port.start(lambda _event: None)


# --- trouble --------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lgpio library leaves a pipe in the working directory."""
    monkeypatch.chdir(tmp_path)
    gpio_pins.lgpio_factory.cache_clear()


@pytest.mark.usefixtures("elsewhere")
def test_a_machine_without_gpio_says_what_to_do() -> None:
    with pytest.raises(OSError, match=r"GPIO pins cannot be opened .*Raspberry Pi.*line\.driver simulated"):
        GpioSlicPort(PINS).start(lambda _event: None)


def test_one_pin_for_two_wires_is_refused_by_name() -> None:
    port = GpioSlicPort(SlicPins(shk=17, rm=17, fr=12), pin_factory=MockFactory(pin_class=MockPWMPin))
    with pytest.raises(OSError, match="GPIO17 is set for both SHK and RM"):
        port.start(lambda _event: None)


def test_a_pin_that_another_line_has_is_named_and_ringing_mode_stays_off(bench: Bench) -> None:
    other = GpioSlicPort(SlicPins(shk=2, rm=3, fr=PINS.fr), pin_factory=bench.factory)
    with pytest.raises(OSError, match=r"F/R on GPIO12: .*allobox config set line\.gpio\.fr PIN"):
        other.start(lambda _event: None)
    assert bench.pin(3).function == "input", "what was opened was let go"
    other.stop()


@pytest.mark.parametrize("problem", [PinInvalidPin("99 is not a valid pin"), PinFixedPull("GPIO2 has a resistor")])
def test_a_pin_that_will_not_do_is_told_with_its_wire(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(start=False)

    def refuse(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(gpio_pins, "InputDevice", refuse)
    with pytest.raises(OSError, match=r"SHK on GPIO27: .*allobox config set line\.gpio\.shk PIN"):
        bench.port.start(bench.events.append)
    assert bench.pin(PINS.rm).function == "input"


def test_a_pin_that_fails_in_use_is_a_fault_of_the_line_and_no_exception(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_value: object) -> None:
        raise ValueError("no such chip")

    monkeypatch.setattr(bench.pin(PINS.rm), "_set_state", broken)
    bench.port.start_ring(50.0)
    fault = bench.events[0]
    assert isinstance(fault, LineFault)
    assert "ringing: no such chip" in fault.detail
    monkeypatch.undo()


# --- after a crash --------------------------------------------------------------------------


def test_ring_off_rests_f_r_waits_and_takes_rm_down() -> None:
    bench = Bench(start=False)
    bench.pin(PINS.rm).output_with_state(1)
    bench.forget()
    ring_off(PINS, pin_factory=bench.factory)
    steps = bench.steps.plain()
    assert steps[:2] == [("F/R", "output"), ("F/R", "high")]
    assert bench.steps.find("RM", "low").at - bench.steps.find("F/R", "high").at > 0.010
    assert not bench.pin(PINS.rm).state
    assert ("RM", "pull-down") in steps


# --- what is written of it ------------------------------------------------------------------


def test_the_documents_sequences_are_those_the_driver_makes() -> None:
    def steps(hat: HatName) -> list[tuple[str, str]]:
        made: list[tuple[str, str]] = []
        for play in SEQUENCES.values():
            bench = play(hat)
            made += bench.steps.plain()
            bench.port.stop()
        return made

    with ThreadPoolExecutor() as pool:  # they mostly wait
        made = [step for hat in pool.map(steps, HATS) for step in hat]
    assert documented() == made, f"run `python -m tests.fxs.pin_sequences --write` ({DOCUMENT.name} is out of date)"
