"""Displays of eight countries: each understands what its own exchange sends, as ring voltage, polarity and samples,
and nothing that it was not woken for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import cast

import numpy as np
import pytest

from firmware.fxs import callerid, country, message_waiting
from firmware.fxs.country import Country
from firmware.fxs.pcm import FRAME_BYTES, SILENCE
from firmware.fxs.ringer import CallerIdDue, Polarity, Ringer, RingOff, RingOn, RingStep
from firmware.fxs.telephone_alerts import AlertEar, mark_frequency
from firmware.fxs.telephone_bell import Bell
from firmware.fxs.telephone_plans import plan_of
from tests.fakes import fsk, signals

WHEN = datetime(2026, 7, 14, 9, 5)  # noqa: DTZ001 - the telephone's wall clock
CODES = country.codes()
FRAME = 0.01


def telephone(code: str) -> Bell:
    plan = plan_of(code)
    return Bell(plan.ring_pause_ms, plan.display)


class Line:
    """Carries a ringer's steps and a message's samples to a telephone, 10 ms at a time."""

    def __init__(self, bell: Bell, home: Country, samples: bytes, *, noise_dbm0: float | None = None) -> None:
        self.bell, self.samples = bell, samples
        self.ringer = Ringer(home.ring, home.caller_id)
        self.now = 0.0
        self._playing = b""
        self._noise = None if noise_dbm0 is None else signals.noise(60, noise_dbm0)
        self._offset = 3 * 16  # a message does not begin with a frame

    def ring(self, seconds: float) -> None:
        self.carry(self.ringer.start(self.now, "normal", len(self.samples) / 16), seconds)

    def announce(self, seconds: float) -> None:
        self.carry(self.ringer.announce(self.now, len(self.samples) / 16), seconds)

    def carry(self, steps: list[RingStep], seconds: float) -> None:
        end = self.now + seconds
        self._take(steps)
        while self.now < end:
            due = self.ringer.next_deadline()
            if due is not None and due <= self.now:
                self._take(self.ringer.tick(self.now))
            self._hear()
            self.now += FRAME

    def _take(self, steps: list[RingStep]) -> None:
        for step in steps:
            match step:
                case RingOn(frequency_hz):
                    self.bell.voltage(frequency_hz, self.now)
                case RingOff():
                    self.bell.voltage(0, self.now)
                case Polarity():
                    self.bell.reversed(self.now)
                case CallerIdDue():
                    self._playing = bytes(self._offset) + self.samples

    def _hear(self) -> None:
        frame, self._playing = self._playing[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"), self._playing[FRAME_BYTES:]
        if self._noise is not None:
            noise, self._noise = self._noise[:80], np.roll(self._noise, -80)
            frame = signals.pcm(signals.samples(frame) + noise)
        self.bell.hear(frame, self.now)


def rung_by(code: str, bell: Bell, **more: float) -> Bell:
    """A call of country `code`, as long as two rings."""
    home = country.load(code)
    samples = callerid.transmission(home, "0142685300", "Zoé", WHEN)
    Line(bell, home, samples, **more).ring(sum(home.ring.cadence_ms) / 1000 + 3)
    return bell


def with_alert(code: str, alert: str) -> Country:
    home = country.load(code)
    known = cast("country.Alert", alert)
    waiting = cast("country.Alert", "dt-as" if alert == "ring" else alert)
    return replace(home, caller_id=replace(home.caller_id, alert=known, waiting_alert=waiting))


@pytest.mark.parametrize("code", CODES)
def test_every_display_shows_the_callers_of_its_own_country(code: str) -> None:
    bell = rung_by(code, telephone(code))
    assert bell.caller is not None
    assert bell.caller.number == "0142685300"
    if code != "BE":
        assert (bell.caller.name, bell.display.clock) == ("Zoe", "07-14T09:05")
    assert bell.presents(bell._last + 0.1)


@pytest.mark.parametrize("code", ["FR", "UK", "US"])
def test_also_on_a_noisy_line(code: str) -> None:
    bell = rung_by(code, telephone(code), noise_dbm0=-36.0)
    assert bell.caller is not None


@pytest.mark.parametrize(
    ("exchange", "display"),
    [("US", "FR"), ("FR", "US"), ("FR", "UK"), ("US", "UK"), ("BE", "FR"), ("FR", "BE"), ("UK", "US"), ("UK", "BE")],
)
def test_a_foreign_display_stays_dark(exchange: str, display: str) -> None:
    bell = rung_by(exchange, telephone(display))
    assert bell.caller is None
    assert bell.display.clock is None
    assert bell.ringing(bell._last)


@pytest.mark.parametrize("alert", ["ring", "dt-as", "ring-pulse", "reversal-dt-as"])
@pytest.mark.parametrize(
    ("code", "shows"), [("FR", {"ring", "dt-as", "ring-pulse", "reversal-dt-as"}), ("UK", {"reversal-dt-as"})]
)
def test_what_wakes_a_display(alert: str, code: str, shows: set[str]) -> None:
    home = with_alert(code, alert)
    bell = telephone(code)
    Line(bell, home, callerid.transmission(home, "17", None, WHEN)).ring(6)
    assert (bell.caller is not None) == (alert in shows)


def test_without_its_alert_a_message_out_of_nowhere_is_not_read() -> None:
    home = with_alert("FR", "none")
    bell = telephone("FR")
    Line(bell, home, callerid.transmission(home, "17", None, WHEN)).announce(3)
    assert bell.caller is None


def test_the_caller_told_by_a_pulse_stays_through_the_rings_that_follow() -> None:
    home = with_alert("FR", "ring-pulse")
    bell = telephone("FR")
    line = Line(bell, home, callerid.transmission(home, "17", None, WHEN))
    line.ring(13)
    assert bell.caller is not None
    assert bell.presents(line.now)
    # The next call, whose caller is not shown, does not inherit him.
    line.carry(line.ringer.stop(line.now), 10)
    line.samples = b""
    line.ring(3)
    assert bell.caller is None


@pytest.mark.parametrize("code", [code for code in CODES if code != "BE"])
def test_the_lamp_goes_on_and_off_without_a_ring_and_sets_the_clock(code: str) -> None:
    home = country.load(code)
    bell = telephone(code)
    for count, lamp in ((3, True), (0, False)):
        samples = message_waiting.transmission(home, count, WHEN)
        assert samples is not None
        Line(bell, home, samples).announce(3)
        assert bell.display.lamp is lamp
        assert bell.display.waiting == (None if code == "US" else count)
        assert not bell.ringing(3)
    assert bell.display.clock == (None if code == "US" else "07-14T09:05")
    assert bell.caller is None


def test_a_ring_pulse_before_the_lamp_is_no_call() -> None:
    home = with_alert("FR", "ring-pulse")
    bell = telephone("FR")
    line = Line(bell, home, message_waiting.transmission(home, 2, WHEN) or b"")
    line.announce(3)
    assert (bell.display.lamp, bell.display.waiting) == (True, 2)
    assert not bell.ringing(line.now)


def test_the_lamp_and_the_clock_stay_when_the_display_goes_blank() -> None:
    home = country.load("FR")
    bell = telephone("FR")
    Line(bell, home, message_waiting.transmission(home, 2, WHEN) or b"").announce(3)
    rung_by("FR", bell)
    bell.clear()
    assert bell.caller is None
    assert (bell.display.lamp, bell.display.clock) == (True, "07-14T09:05")


def test_a_ring_in_the_middle_of_a_message_drowns_it() -> None:
    home = country.load("FR")
    bell = telephone("FR")
    line = Line(bell, home, callerid.transmission(home, "17", None, WHEN))
    line.ring(2.3)  # the message has begun 2.1 s after the ring
    line.carry([RingOn(50)], 0.3)
    line.carry([RingOff()], 2)
    assert bell.caller is None


# --- ears ---------------------------------------------------------------------------------------------------


def alerts(sound: signals.Samples, least: int = 88, most: int = 110) -> int:
    ear = AlertEar(least, most)
    padded = signals.pcm(np.concatenate([sound, signals.silence(0.1)]))
    return sum(ear.hear(signals.samples(frame)) for frame in signals.frames(padded))


def dual(
    ms: float, low: float = 2130, high: float = 2750, low_dbm0: float = -13, high_dbm0: float = -13
) -> signals.Samples:
    return signals.sine(low, ms / 1000, low_dbm0) + signals.sine(high, ms / 1000, high_dbm0)


@pytest.mark.parametrize("shift", [0, 7, 40, 73])
@pytest.mark.parametrize("ms", [88, 100, 110])
@pytest.mark.parametrize("off", [0.995, 1.005])
def test_an_alerting_signal_within_its_tolerances_is_heard_once(shift: int, ms: float, off: float) -> None:
    sound = np.concatenate([np.zeros(shift), dual(ms, 2130 * off, 2750 * off, -14, -18)])
    assert alerts(sound) == 1


@pytest.mark.parametrize(
    "sound",
    [
        dual(40),
        dual(250),
        dual(100, 2130 * 1.02, 2750 * 1.02),
        dual(100, 2130, 2500),
        signals.sine(2750, 0.1, -10),
        dual(100, low_dbm0=-50, high_dbm0=-50),
        signals.sine(2130, 0.1, -10),
        signals.noise(1, -15),
        signals.speechlike(20),
        signals.dialled("147*2580369#", 100, 60),
    ],
)
def test_other_sounds_are_no_alerting_signal(sound: signals.Samples) -> None:
    assert alerts(sound) == 0


@pytest.mark.parametrize("standard", sorted(fsk.TONES))
@pytest.mark.parametrize("mark_bits", [80, 180])
@pytest.mark.parametrize("off", [0.985, 1.0, 1.015])
def test_the_mark_of_a_message_is_measured(standard: str, mark_bits: int, off: float) -> None:
    raw = b"\x80\x0a\x01\x0807140905"
    sound = fsk.modulated(raw, standard, mark=mark_bits, off=off)
    sound += signals.noise(len(sound) / 8000 + 0.01, -30)[: len(sound)]
    assert mark_frequency(sound) == pytest.approx(fsk.TONES[standard][0] * off, abs=8)


def test_silence_and_noise_have_no_mark() -> None:
    assert mark_frequency(signals.samples(SILENCE * 50)) is None
    assert mark_frequency(signals.noise(1, -20)) is None
