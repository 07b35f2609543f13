"""Packets beside the ticks of the bridge: whether the reading is better moved. Pure, in virtual time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony.sip.native import quiet
from firmware.telephony.sip.phase import LOOK_SECONDS, LOOKS, Phase


def watched(after_reading_ms: float, *, noise_ms: float = 0.3, look_ms: float = 3.0, seed: int = 1) -> Phase:
    """A buffer read at every second tick, whose packets come so long after a reading."""
    random = Random(seed)  # noqa: S311 - a network, no secret
    phase, held, look_at = Phase(), 0, 0.0
    arrivals = sorted(
        (20 * n + after_reading_ms + random.gauss(0, noise_ms), "packet") for n in range(200)
    )  # fmt: skip
    ticks = [(10.0 * n, "tick") for n in range(400)]
    count, last = 0, 0.0
    for at, what in sorted(arrivals + ticks):
        while look_at < at:
            phase.look(count, look_at - last, held)
            look_at += look_ms * random.uniform(0.9, 1.5)
            if phase.done:
                return phase
        if what == "packet":
            held += 2
        else:
            count, last = count + 1, at
            if at % 20 == 0:
                held = max(0, held - 2)
    return phase


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("after", "awkward"),
    [(0.0, True), (1.0, True), (19.0, True), (6.0, False), (10.0, False), (9.0, False), (14.0, False)],
)
def test_packets_that_come_with_the_reading_ask_for_another_and_no_others(
    after: float, awkward: bool, seed: int  # noqa: FBT001
) -> None:  # fmt: skip
    assert watched(after, seed=seed).awkward is awkward


def test_packets_that_come_at_any_time_ask_for_nothing() -> None:
    assert not watched(10.0, noise_ms=12).awkward


def test_a_stream_without_packets_or_ticks_is_given_up() -> None:
    phase = Phase()
    while not phase.done:
        phase.look(0, phase.looks * LOOK_SECONDS * 1000, 0)
    assert phase.looks == LOOKS
    assert not phase.awkward


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1e6), st.integers(0, 100)), max_size=300))
def test_whatever_is_seen_it_comes_to_an_end(looks: list[tuple[int, float, int]]) -> None:
    phase = Phase()
    for ticks, since, held in looks:
        phase.look(ticks, since, held)
    assert isinstance(phase.awkward, bool)


def test_silence_is_quiet_and_a_voice_is_not() -> None:
    assert quiet(bytes(160))
    assert quiet((-60).to_bytes(2, "little", signed=True) * 80)
    assert not quiet(bytes(158) + (70).to_bytes(2, "little"))
    assert not quiet(bytes(158) + (-70).to_bytes(2, "little", signed=True))


def test_the_librarys_own_buffer_slips_where_packets_come_with_the_reading_and_nowhere_else() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.jitter_buffer", "--seeds", "2", "--loss", "0.05", "--no-pesq"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    as_it_falls, moved = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert as_it_falls["slipped"] > 0
    assert moved["slipped"] == 0
