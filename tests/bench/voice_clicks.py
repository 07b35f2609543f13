"""Clicks at both telephones of a call of minutes through each kind of bad network, a steady tone being said at either.

Two boxes, the weather between them (`box_pair`); beside them pjsua2 alone, behind a relay of the same seed, hears what
the calling telephone hears. A witness process tells when the machine itself stood still. Plots: `voice_plots`.
"""

from __future__ import annotations

import math
import os
import queue
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.box_pair import SETTLE_SECONDS, BoxPair, Ear, box_pair
from tests.bench.figure import Figure, Plan
from tests.bench.peer import BenchPeer
from tests.bench.processes import scheduling_name
from tests.bench.weather import Reception, native_hears
from tests.bench.witness import LATE_SECONDS, begin, testimony
from tests.fakes.udp_schedule import Bursts, Network
from tests.system.speech_score import RATE, Samples
from tests.voice_analysis import tone_clicks

CALLER_HZ, CALLEE_HZ = 1004.0, 580.0
"""What each says. Neither is a digit's, a fax machine's or the other's harmonic."""
NETWORKS = {
    "calm": Network(),
    "jitter 20 ms": Network(jitter_ms=20),
    "jitter 60 ms": Network(jitter_ms=60),
    "1 in 50 overtaken, 1 in 50 doubled": Network(reorder=0.02, duplicate=0.02),
    "loss 1 %": Network(loss=0.01),
    "bursts of 3 packets, 3 % in all": Network(bursts=Bursts(to_bad=0.01, to_good=1 / 3)),
    "link at 90 kbit/s from 10 s to 60 s": Network(rates=((0, 0), (500, 90_000), (3000, 0))),
}
# With a hybrid some of what a telephone says comes back to it below the other's tone: no click, but no pure tone.
NO_HYBRID = ("--hybrid-loss", "60")
_EDGE = RATE // 2
_PRIORITY = 5
_SET_UP_SECONDS = 16.0
_LEVEL_SECONDS = 0.5
_SHOWN, _MOST_SHOWN = 400, 20  # samples before and after a click that the JSON keeps, of so many clicks
# A click hangs on a stall that ended up to so long before it (the buffers between), or in the middle of which it lies.
_BEFORE, _AFTER = 0.05, 0.35


def voice_clicks(plan: Plan, side_by_side: int = os.cpu_count() or 1) -> list[Figure]:
    """Breaks of a tone in each earpiece, a minute; `side_by_side` calls at once.

    A concealed packet whose edges fit is none; one whose edges do not is one or two, as is a frame that is dropped.
    """
    seconds = plan.seconds(300, 8)
    waiting: queue.Queue[tuple[int, str]] = queue.Queue()
    names = list(NETWORKS)[:: 3 if plan.quick else 1]
    for numbered in enumerate(names, 1):
        waiting.put(numbered)
    count = min(len(names), side_by_side)
    with tempfile.TemporaryDirectory() as folder, _urgent(), ThreadPoolExecutor(count) as threads:
        workers = [threads.submit(_calls, waiting, seconds, Path(folder)) for _ in range(count)]
        found = {call.name: call for worker in workers for call in worker.result()}
    # Only now: to look at recordings takes the interpreter away from the relays of whoever still talks.
    return [_figure(found[name], seconds) for name in names]


@dataclass(frozen=True, slots=True)
class Call:
    """One network's: what the two telephones, pjsua2 alone and the witness had to tell."""

    name: str
    ears: tuple[Ear, Ear]
    native: Reception
    witness: dict[str, Any]


@contextmanager
def _urgent() -> Iterator[None]:
    """Relays, far ends and telephones, started meanwhile, as punctual as wires and telephones are, where allowed.

    Below the cores' own priorities; otherwise other work on the machine would be part of every network.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _calls(waiting: queue.Queue[tuple[int, str]], seconds: float, folder: Path) -> list[Call]:
    """One pair of boxes: calls until none is waiting."""
    found: list[Call] = []
    with ExitStack() as stack:
        pair = stack.enter_context(box_pair(*NO_HYBRID))
        peer = BenchPeer()
        stack.callback(peer.close)
        while True:
            try:
                seed, name = waiting.get_nowait()
            except queue.Empty:
                return found
            found.append(_call(pair, peer, name, seed, seconds, folder))


def _call(pair: BoxPair, peer: BenchPeer, name: str, seed: int, seconds: float, folder: Path) -> Call:
    network = NETWORKS[name]
    said = tone(CALLER_HZ, seconds + SETTLE_SECONDS), tone(CALLEE_HZ, seconds + SETTLE_SECONDS)
    # As punctual as the least punctual part: what it suffers is what a relay or a telephone suffered.
    least = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    with begin(seconds + _SET_UP_SECONDS, *least) as witness, ThreadPoolExecutor(1) as beside:
        alone = beside.submit(native_hears, peer, said[1], network, seed, folder)
        ears = pair.exchange(said, network, seed, folder)
        native = alone.result()
        return Call(name, ears, native, testimony(witness, 60))


@dataclass(frozen=True, slots=True)
class Heard:
    """One telephone's recording, looked at. Seconds are from its first sample; `stalls` with their ms."""

    clicks: list[float]
    calm: list[float]
    """Those of the clicks that no stall of the machine explains."""
    stalls: list[tuple[float, float]]
    level_db: list[float]
    ear: Ear

    @classmethod
    def of(cls, ear: Ear, hz: float, stalls: Sequence[Sequence[float]]) -> Heard:
        """ValueError if the tone was not heard."""
        begin, part = steady(ear.samples)
        clicks = [begin / RATE + at for at in tone_clicks(part, hz)]
        last = len(ear.samples) / RATE
        near = [(at - ear.started_at, ms) for at, ms in stalls if 0 <= at - ear.started_at <= last]
        calm = [
            click for click in clicks if not any(at - ms / 1000 - _BEFORE <= click <= at + _AFTER for at, ms in near)
        ]
        return cls(clicks, calm, near, levels(ear.samples), ear)

    def _around(self, click: float) -> list[int]:
        """The samples in whose midst it lies."""
        middle = round(click * RATE)
        return [int(sample) for sample in self.ear.samples[max(0, middle - _SHOWN) : middle + _SHOWN]]

    def raw(self) -> dict[str, Any]:
        """For the JSON and the plots."""
        return {
            "clicks": self.clicks,
            "calm_clicks": self.calm,
            "heard": [self._around(click) for click in self.clicks[:_MOST_SHOWN]],
            "stalls": self.stalls,
            "level_seconds": _LEVEL_SECONDS,
            "level_db": self.level_db,
            "telephone": self.ear.telephone,
            "quality": self.ear.row.get("quality"),
            "plot": self.ear.row.get("plot"),
        }


def _figure(call: Call, seconds: float) -> Figure:
    name, native, seen = call.name, call.native, call.witness
    heard = [Heard.of(ear, hz, seen["stalls"]) for ear, hz in zip(call.ears, (CALLEE_HZ, CALLER_HZ), strict=True)]
    minutes = seconds / 60
    beside = clicks_in(native, CALLEE_HZ)
    counts = ", ".join(
        f"{who} {len(one.clicks)} ({len(one.calm)} away from any stall; its telephone dropped "
        f"{one.ear.telephone['dropped_frames']} frames and missed {one.ear.telephone['slipped_frames']})"
        for who, one in zip(("caller", "callee"), heard, strict=True)
    )
    return Figure(
        f"clicks in the earpieces of two boxes, {name}",
        "a minute",
        max(len(one.clicks) for one in heard) / minutes,
        goal=0,
        beside=f"pjsua2 alone {len(beside) / minutes:.1f}; witness late by > {LATE_SECONDS * 1000:g} ms: {seen['late']}"
        f", worst {seen['worst_ms']:.0f} ms",
        note=f"the worse of two telephones, {seconds:.0f} s: {counts}; pjsua2 alone {len(beside)}, its far end late by "
        f"{native.machine_ms:.0f} ms at worst; witness, relays and telephones: "
        f"{scheduling_name(seen['policy'], seen['priority'])}",
        raw={
            "network": name,
            "seconds": seconds,
            "caller": heard[0].raw(),
            "callee": heard[1].raw(),
            "native": native.details | {"clicks": beside, "level_db": levels(native.samples)},
            "witness": seen,
        },
    )


def tone(hz: float, seconds: float) -> Samples:
    """A sine at -9 dBm0."""
    wave = 8000 * np.sin(2 * math.pi * hz * np.arange(int(seconds * RATE)) / RATE)
    return np.asarray(wave, np.int16)


def clicks_in(reception: Reception, hz: float) -> list[float]:
    """Seconds of the recording at which the tone breaks. ValueError if it was not heard at all."""
    begin, part = steady(reception.samples)
    return [begin / RATE + at for at in tone_clicks(part, hz)]


def steady(samples: Samples) -> tuple[int, Samples]:
    """The tone without what lies before and after it, and where that begins."""
    level = np.convolve(np.abs(samples.astype(float)), np.ones(80) / 80, "same")
    there = np.flatnonzero(level > level.max() / 2)
    if level.max() < 100 or there[-1] - there[0] < 4 * _EDGE:
        raise ValueError("the tone was not heard")
    begin = int(there[0]) + _EDGE
    return begin, samples[begin : there[-1] - _EDGE]


def levels(samples: Samples) -> list[float]:
    """The least level in each half second, in dB of full scale, by frames of 10 ms: what was left out shows."""
    frames = samples[: len(samples) // 80 * 80].reshape(-1, 80).astype(float)
    power = (frames**2).mean(axis=1)
    each = round(_LEVEL_SECONDS * RATE / 80)
    least = power[: len(power) // each * each].reshape(-1, each).min(axis=1)
    return [round(float(value), 1) for value in 10 * np.log10(np.maximum(least, 1.0) / 32768**2)]
