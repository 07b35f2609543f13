"""The controller between two clocks, in virtual time: hours in seconds, every wake-up late by its own seeded bit."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from firmware.fxs.drift import STEPS_A_UNIT, TARGET_SAMPLES, Drift

FRAME = 0.01
STEP_PPM = 1e6 / STEPS_A_UNIT


@dataclass
class Seen:
    """One read: when, how old the sound was by the ideal clocks (ms), and the ratio (ppm)."""

    at: float
    age_ms: float
    ppm: float
    slack: float


def run(ppm: float, seconds: float, seed: int, *, late_ms: float = 0.3, every: int = 1) -> Iterator[Seen]:
    """A writer `ppm` faster than the reader; both wake up late by |N(0, late_ms)|."""
    chance = random.Random(seed)  # noqa: S311 - late wake-ups, no secret
    drift = Drift()
    period = FRAME / (1 + ppm * 1e-6)
    phase, wrote, begun = chance.random() * FRAME, 0, False
    next_wrote = phase + abs(chance.gauss(0, late_ms * 1e-3))
    for read in range(round(seconds / FRAME)):
        due = 0.05 + read * FRAME
        now = due + abs(chance.gauss(0, late_ms * 1e-3))
        while next_wrote <= now:
            drift.wrote(next_wrote)
            wrote += 1
            next_wrote = phase + wrote * period + abs(chance.gauss(0, late_ms * 1e-3))
        if not begun:
            surplus = drift.age(now) - TARGET_SAMPLES
            begun = surplus >= 0
            if not begun:
                continue
            drift.begin(int(drift.level - surplus))
        # By the ideal clocks: whole frames written, what has come since the last, less what was read.
        age = drift.level + (due - phase - (wrote - 1) * period) * 8000
        slack = drift.level - 82
        steps = drift.read(now)
        if read % every == 0:
            yield Seen(due, age / 8, (steps / STEPS_A_UNIT - 1) * 1e6, slack)


@pytest.mark.parametrize("ppm", [200, -200, 61, 0])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_clock_that_is_off_is_followed_within_ten_seconds_and_moves_the_delay_by_less_than_a_millisecond(
    ppm: float, seed: int
) -> None:
    seen = list(run(ppm, 60, seed))
    ages = [one.age_ms for one in seen]
    assert max(ages) - min(ages) < 1.0
    for begin in range(10, 55, 5):
        some = [one.ppm for one in seen if begin <= one.at < begin + 5]
        assert abs(sum(some) / len(some) - ppm) < 25, begin
    assert min(one.slack for one in seen) > 0, "a frame was always there"


@pytest.mark.parametrize("ppm", [200, -200])
def test_two_hours_at_200_ppm_neither_fill_the_buffer_nor_empty_it(ppm: float) -> None:
    ages, ratios, slack = [], [], 1e9
    for one in run(ppm, 7200, 3, every=5):
        if one.at > 10:
            ages.append(one.age_ms)
            ratios.append(one.ppm)
        slack = min(slack, one.slack)
    assert max(ages) - min(ages) < 0.6
    assert sum(ratios) / len(ratios) == pytest.approx(ppm, abs=1)
    assert slack > 0


def test_wake_ups_that_are_late_by_milliseconds_do_not_move_the_pitch() -> None:
    seen = [one for one in run(100, 120, 4, late_ms=2.0) if one.at > 20]
    # An average wake-up 1.6 ms late is 16 % of a frame.
    assert (sum((one.ppm - 100) ** 2 for one in seen) / len(seen)) ** 0.5 < 400
    ages = [one.age_ms for one in seen]
    assert max(ages) - min(ages) < 2.0


def test_a_reader_that_stood_still_is_not_hurried() -> None:
    drift = Drift()
    for n in range(4):
        drift.wrote(n * FRAME)
    drift.begin(TARGET_SAMPLES)
    before = drift.steps
    drift.read(5 * FRAME + 0.05)
    assert abs(drift.steps - before) * STEP_PPM < 700


def test_the_ratio_one_is_never_asked_for() -> None:
    assert all(one.ppm != 0 for one in run(0, 30, 5))
