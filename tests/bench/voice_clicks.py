"""Clicks at the telephone in a call of minutes through each kind of bad network, a steady tone being said."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

from tests.bench.figure import Figure, Plan
from tests.bench.weather import Reception, box_hears, native_hears, weather_box
from tests.fakes.udp_schedule import Bursts, Network
from tests.system.speech_score import RATE, Samples
from tests.voice_analysis import tone_clicks

HZ = 1004.0
NETWORKS = {
    "calm": Network(),
    "jitter 20 ms": Network(jitter_ms=20),
    "jitter 60 ms": Network(jitter_ms=60),
    "1 in 50 overtaken, 1 in 50 doubled": Network(reorder=0.02, duplicate=0.02),
    "loss 1 %": Network(loss=0.01),
    "bursts of 3 packets, 3 % in all": Network(bursts=Bursts(to_bad=0.01, to_good=1 / 3)),
    "link at 90 kbit/s from 10 s on": Network(rates=((0, 0), (500, 90_000))),
}
_EDGE = RATE // 2


def voice_clicks(plan: Plan) -> list[Figure]:
    """Breaks of a 1004 Hz tone in the earpiece, a minute; pjsua2 alone hears the same packets.

    A concealed packet whose edges fit is none; one whose edges do not is one or two, as is a frame that is dropped.
    """
    figures = []
    seconds = plan.seconds(300, 8)
    tone = (8000 * np.sin(2 * math.pi * HZ * np.arange(int(seconds * RATE)) / RATE)).astype(np.int16)
    names = list(NETWORKS)[:: 3 if plan.quick else 1]
    with tempfile.TemporaryDirectory() as folder, weather_box() as (box, peer):
        for seed, name in enumerate(names, 1):
            network = NETWORKS[name]
            ours = box_hears(box, peer, tone, network, seed, Path(folder))
            native = native_hears(peer, tone, network, seed, Path(folder))
            clicks, beside = clicks_in(ours), clicks_in(native)
            figures.append(
                Figure(
                    f"clicks in the earpiece, {name}",
                    "a minute",
                    len(clicks) * 60 / seconds,
                    goal=0,
                    beside=f"pjsua2 alone {len(beside) * 60 / seconds:.1f}",
                    note=f"{seconds:.0f} s; packets late by {ours.machine_ms:.0f} ms at worst for the machine's sake "
                    f"(pjsua2 alone: {native.machine_ms:.0f} ms)",
                    raw={"at": clicks, "native_at": beside, "box": ours.details, "native": native.details},
                )
            )
    return figures


def clicks_in(reception: Reception) -> list[float]:
    """Seconds from the tone's begin at which it breaks. ValueError if it was not heard at all."""
    return tone_clicks(steady(reception.samples), HZ)


def steady(samples: Samples) -> Samples:
    """The tone without what lies before and after it."""
    level = np.convolve(np.abs(samples.astype(float)), np.ones(80) / 80, "same")
    there = np.flatnonzero(level > level.max() / 2)
    if level.max() < 100 or there[-1] - there[0] < 4 * _EDGE:
        raise ValueError("the tone was not heard")
    return samples[there[0] + _EDGE : there[-1] - _EDGE]
