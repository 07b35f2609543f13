"""Speech quality through random loss: the box beside pjsua2 alone on the same packets, and A-law alone on the clip."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figure import Figure, Plan, median
from tests.bench.peer import BenchPeer
from tests.bench.weather import Reception, box_hears, native_hears, quality, weather_box
from tests.fakes.udp_schedule import Network
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.speech_score import Samples

LOSSES = (0.0, 0.01, 0.03, 0.05, 0.1)
_QUICK_LOSSES = (0.0, 0.03)
_SHARE = 0.98
_LOSSLESS = 0.05
_STALL_MS = 15.0  # a machine that held the packets back this long made a loss of its own: the call is tried again
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """One seed: PESQ at the telephone and of pjsua2 alone; the machine's worst moment in each, in ms."""

    seed: int
    box: float
    native: float
    machine_ms: float


def voice_loss(plan: Plan) -> list[Figure]:
    """PESQ (P.862) of a recorded clip at -26 dBov, laid over what was said, 20 ms packets, no other weather.

    Each seed loses the same packets to both; each seed has its own clip, the same at every loss. What a stall of the
    machine did to the packets is told; a call in which it held them back over 15 ms is tried again, twice at most.
    PESQ is better the greater: the table's goal is a lower bound, so the figure is what is missing of it.
    """
    losses = _QUICK_LOSSES if plan.quick else LOSSES
    seeds = range(1, plan.times(5, 2) + 1)
    figures = []
    with tempfile.TemporaryDirectory() as folder, weather_box() as (box, peer):
        for loss in losses:
            pairs = [pair(box, peer, clip_of(seed), Network(loss=loss), seed, Path(folder)) for seed in seeds]
            figures.append(_figure(loss, pairs))
    return figures


def clip_of(seed: int) -> Samples:
    """The clip that a seed is tried on."""
    return speech_score.clip(speech_score.CLIPS[seed % len(speech_score.CLIPS)])


def pair(box: RunningBox, peer: BenchPeer, said: Samples, network: Network, seed: int, folder: Path) -> Pair:
    """Both receptions of one seed."""
    at_box = _undisturbed(lambda: box_hears(box, peer, said, network, seed, folder))
    at_native = _undisturbed(lambda: native_hears(peer, said, network, seed, folder))
    return Pair(
        seed,
        quality(said, at_box.samples),
        quality(said, at_native.samples),
        max(at_box.machine_ms, at_native.machine_ms),
    )


def _undisturbed(receive: Callable[[], Reception]) -> Reception:
    """A reception that the machine did not spoil, or the least spoilt of three."""
    tries: list[Reception] = []
    while len(tries) < _TRIES:
        tries.append(receive())
        if tries[-1].machine_ms <= _STALL_MS:
            return tries[-1]
    return min(tries, key=lambda reception: reception.machine_ms)


def _figure(loss: float, pairs: list[Pair]) -> Figure:
    """The box against its goal: A-law alone less 0.05 without loss, 0.98 of pjsua2 alone with it."""
    box, native = (median([getattr(pair, name) for pair in pairs]) for name in ("box", "native"))
    alone = median([_alone(pair.seed) for pair in pairs])
    missing = (alone - box) if not loss else max(0.0, 1 - box / native)
    spread = " ".join(f"{pair.box:.2f}/{pair.native:.2f}" for pair in pairs)
    return Figure(
        f"PESQ lost at {loss * 100:g} % loss, " + ("to A-law alone" if not loss else "to pjsua2 alone (share)"),
        "" if loss else "MOS",
        missing,
        goal=1 - _SHARE if loss else _LOSSLESS,
        beside=f"box {box:.2f}, pjsua2 alone {native:.2f}, A-law alone {alone:.2f}",
        note=f"box/pjsua2 by seed: {spread}; packets late by {max(pair.machine_ms for pair in pairs):.0f} ms at worst "
        "for the machine's sake",
        raw={"pairs": [[pair.seed, pair.box, pair.native, pair.machine_ms] for pair in pairs]},
    )


def _alone(seed: int) -> float:
    said = clip_of(seed)
    return quality(said, speech_score.a_law(said))
