"""A call through a bad network: what the telephone hears of a far end whose packets are lost, late and out of turn.

The long form, with tables beside pjsua2 alone and baresip, is `make bench-voice`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.bench.peer import BenchPeer
from tests.bench.voice_delay import box_delays
from tests.bench.weather import Reception, box_hears, quality, weather_box
from tests.fakes.udp_schedule import Network
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.voice_analysis import slips, speech_clicks, spots, tone_clicks

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

CALM = Network()
TRIES = 3
SECONDS, TONE_SECONDS = 4.0, 1.5
EDGE = 1600  # samples of the tone at either end that a telephone's own filters may bend


@pytest.fixture(scope="module")
def ends() -> Iterator[tuple[RunningBox, BenchPeer]]:
    with weather_box() as both:
        yield both


def undisturbed(hear: Callable[[int], Reception], fine: Callable[[Reception], bool]) -> None:
    """One of a few tries is as it should be: a shared machine stalls, the box's own faults come every time."""
    seen = []
    for seed in range(1, TRIES + 1):
        reception = hear(seed)
        if fine(reception):
            return
        seen.append(reception)
    raise AssertionError([(reception.machine_ms, reception.details) for reception in seen])


def test_through_a_calm_network_speech_and_a_tone_come_without_click_or_slip(
    ends: tuple[RunningBox, BenchPeer], tmp_path: Path
) -> None:
    said = speech_score.clip("vm-newuser", SECONDS)
    tone = (8000 * np.sin(2 * math.pi * 1004 * np.arange(int(TONE_SECONDS * 8000)) / 8000)).astype(np.int16)
    best = quality(said, speech_score.a_law(said))

    def clean(reception: Reception) -> bool:
        heard, later_ms = speech_score.aligned(said, reception.samples)
        begin = int(later_ms * 8) + len(said) + EDGE
        steady = reception.samples[begin : begin + len(tone) - 2 * EDGE]
        faults = slips(said, heard), spots(said, heard), speech_clicks(heard), tone_clicks(steady, 1004)
        reception.details.update(faults=faults, pesq=quality(said, heard), alone=best)
        assert len(steady) == len(tone) - 2 * EDGE
        return not any(faults) and reception.details["pesq"] >= best - 0.1

    undisturbed(lambda seed: box_hears(*ends, np.concatenate((said, tone)), CALM, seed, tmp_path), clean)


def test_a_lost_packet_in_thirty_leaves_speech_that_is_understood(
    ends: tuple[RunningBox, BenchPeer], tmp_path: Path
) -> None:
    said = speech_score.clip("vm-newuser", SECONDS)

    def good(reception: Reception) -> bool:
        reception.details.update(pesq=quality(said, reception.samples))
        assert reception.details["passed"] < reception.details["came"]  # the relay did lose some
        return float(reception.details["pesq"]) >= 2.5

    undisturbed(lambda seed: box_hears(*ends, said, Network(loss=0.03), seed, tmp_path), good)


def test_the_jitter_buffer_begins_short_and_grows_with_the_networks_jitter(ends: tuple[RunningBox, BenchPeer]) -> None:
    # What the machine adds comes on top of either; the deeper buffer is 40 ms and more.
    quiet = min(box_delays(*ends, CALM, seed=1, count=2))
    rough = min(box_delays(*ends, Network(jitter_ms=60), seed=60, count=2))
    assert quiet < rough, (quiet, rough)
