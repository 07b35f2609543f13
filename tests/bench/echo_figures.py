"""The echo canceller on simulated hybrids: how much echo is left, and what the near voice has to suffer.

Recorded French prompts (one talker) and espeak-ng (another) talk at -26 dBov, as P.862 wants it. Hybrids are decaying
bursts of several lengths, with return losses of 6 to 20 dB. Beside the house's canceller, in the same run: none, and
libspeexdsp's alone. Echo return loss enhancement (ITU-T G.168) is the echo's energy over what is left of it in one
second around the moment named. No goal is asserted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from pesq import pesq

from firmware.fxs.dsp.speexdsp import SpeexEcho
from firmware.fxs.echo import EchoCanceller
from tests.bench.dtmf_speech import Speaker, spoken
from tests.bench.figure import Figure, Plan
from tests.fakes import signals
from tests.system import speech_score

Cancel = Callable[[bytes, bytes], bytes]

LOSSES_DB = (6.0, 10.0, 20.0)
LENGTHS_MS = (2.0, 8.0, 20.0)
DOUBLE_FROM_S = 6.0
DOUBLE_S = 8.0


@dataclass(frozen=True, slots=True)
class Hybrid:
    """A decaying burst: its energy is `loss_db` down, and all but a thousandth of it within `length_ms`."""

    loss_db: float
    length_ms: float
    seed: int = 3

    def response(self) -> signals.Samples:
        rng = np.random.default_rng(self.seed)
        count = round(self.length_ms * 8)
        burst = rng.normal(0, 1, count) * np.exp(-np.arange(count) * 3.45 / count)
        # A telephone line's band has no energy at the ends.
        burst = np.convolve(burst, [0.25, 0.5, 0.25])
        delayed = np.concatenate([np.zeros(8), burst])
        return np.asarray(delayed * 10 ** (-self.loss_db / 20) / np.sqrt(np.sum(delayed**2)))

    def echo(self, far: signals.Samples) -> signals.Samples:
        return np.asarray(np.convolve(far, self.response())[: len(far)])


def hybrids(*, quick: bool = False) -> list[Hybrid]:
    """Every loss with every length; of a quick run, one length a loss."""
    if quick:
        return [Hybrid(loss, length) for loss, length in zip(LOSSES_DB, LENGTHS_MS, strict=True)]
    return [Hybrid(loss, length) for loss, length in product(LOSSES_DB, LENGTHS_MS)]


def none() -> Cancel:
    """No canceller."""
    return lambda near, _far: near


def house() -> Cancel:
    """The house's, filters only."""
    return EchoCanceller().cancel


def suppressing() -> Cancel:
    """The house's, what is left suppressed."""
    return EchoCanceller(suppress=True).cancel


def library() -> Cancel:
    """libspeexdsp's, as it is."""
    return SpeexEcho(80, 256).cancel


def through(cancel: Cancel, near: signals.Samples, far: signals.Samples) -> signals.Samples:
    """What the far end gets of `near`, frame by frame."""
    pairs = zip(signals.frames(signals.pcm(near)), signals.frames(signals.pcm(far)), strict=True)
    return signals.samples(b"".join(cancel(one, other) for one, other in pairs))


def enhancement(echo: signals.Samples, left: signals.Samples, at_s: float) -> float:
    """ERLE in the second around `at_s`."""
    part = slice(round((at_s - 0.5) * signals.RATE), round((at_s + 0.5) * signals.RATE))
    return signals.db(float(np.mean(echo[part] ** 2) / max(1e-3, float(np.mean(left[part] ** 2)))))


def double_talk(
    cancel: Cancel, hybrid: Hybrid, near: signals.Samples, far: signals.Samples, from_s: float = DOUBLE_FROM_S
) -> float:
    """PESQ of the near voice (ITU-T P.862) that begins to talk at `from_s`, beside the far one."""
    begin = round(from_s * signals.RATE)
    line = hybrid.echo(far)
    line[begin : begin + len(near)] += near[: len(line) - begin]
    out = through(cancel, line, far)[begin : begin + len(near)]
    reference = near[: len(out)]
    return float(pesq(signals.RATE, reference.astype(np.int16), out.astype(np.int16), "nb"))


def at_26_dbov(speech: signals.Samples) -> signals.Samples:
    """Active speech levelled, without what is silent before it."""
    frames = speech[: len(speech) // 80 * 80].reshape(-1, 80)
    power = (frames**2).mean(axis=1)
    active = power > power.max() * 1e-3
    start = int(np.argmax(active)) * 80
    return np.asarray(speech[start:] * 32768 * 10 ** (-26 / 20) / np.sqrt(power[active].mean()))


def far_voice(seconds: float, seed: int = 1, voice: str = "fr-fr") -> signals.Samples:
    """Somebody made by espeak-ng, talking on end."""
    speaker = Speaker(voice, 35 + 20 * (seed % 3), 165, seed)
    return at_26_dbov(signals.samples(spoken(speaker, seconds + 1)))[: round(seconds * signals.RATE)]


def near_voices(*, quick: bool) -> Iterator[signals.Samples]:
    """People, recorded."""
    for name in speech_score.CLIPS[: 1 if quick else 3]:
        clip = speech_score.clip(name, DOUBLE_S + 2).astype(float)
        yield at_26_dbov(clip)[: round(DOUBLE_S * signals.RATE)]


def echo(plan: Plan) -> list[Figure]:
    """Single talk, double talk, processor time."""
    paths = hybrids(quick=plan.quick)
    far = far_voice(DOUBLE_FROM_S + DOUBLE_S)
    voices = list(near_voices(quick=plan.quick))
    ours = [("echo canceller", house), ("libspeexdsp alone", library), ("with suppression", suppressing)]
    erle: dict[tuple[str, float], list[float]] = {}
    for hybrid, voice in product(paths, [far, *voices]):
        line = hybrid.echo(voice)
        for name, make in ours:
            left = through(make(), line, voice)
            for at in (1.0, 5.0):
                erle.setdefault((name, at), []).append(enhancement(line, left, at))
    figures = [_single(name, at, goal, erle) for name, at, goal in _GOALS]
    for from_s in (DOUBLE_FROM_S, 2.5, 1.0, 0.0):
        spoilt: dict[str, list[float]] = {}
        # The faint echo is the hard case of those who both talk at once: the near voice is all that can be spoilt.
        for hybrid, near in product([*paths, Hybrid(30, 8)], voices):
            for name, make in (("off", none), *ours):
                spoilt.setdefault(name, []).append(double_talk(make(), hybrid, near, far, from_s))
        figures += [_double(name, from_s, spoilt) for name in ("echo canceller", "with suppression")]
    first, spent = _processor(far, paths[-1].echo(far))
    figures.append(
        Figure(
            "echo: CPU a second of sound, the far end talks on end",
            "ms",
            spent,
            beside=f"{spent / 10:.2f} % of a core; in the first second, when most is learnt, {first / 10:.2f} %",
        )
    )
    return figures


_GOALS = (("echo canceller", 1.0, 12.0), ("echo canceller", 5.0, 25.0), ("with suppression", 5.0, 40.0))


def _single(name: str, at: float, goal: float, erle: dict[tuple[str, float], list[float]]) -> Figure:
    values, alone = erle[name, at], erle["libspeexdsp alone", at]
    return Figure(
        f"echo left at {at:.0f} s, {name}",
        "dB",
        -min(values),
        goal=-goal,
        beside=f"libspeexdsp alone {-min(alone):.1f} (median {-statistics.median(alone):.1f}); none 0",
        note=f"the worst of {len(values)} (hybrids, far voices); median {-statistics.median(values):.1f} dB",
        raw={"erle_db": values, "alone_db": alone},
    )


def _double(name: str, from_s: float, spoilt: dict[str, list[float]]) -> Figure:
    values = spoilt[name]
    worse = sum(value < none - 0.02 for value, none in zip(values, spoilt["off"], strict=True))
    beside = ", ".join(
        f"{other} {statistics.median(spoilt[other]):.2f} (worst {min(spoilt[other]):.2f})"
        for other in ("off", "libspeexdsp alone")
    )
    return Figure(
        f"both talk from {from_s:g} s on: PESQ short of 4.5, {name}",
        "MOS",
        4.5 - statistics.median(values),
        4.5 - min(values),
        goal=4.5 - 3.6 if from_s == DOUBLE_FROM_S else None,
        beside=f"PESQ {beside}",
        note=f"PESQ median {statistics.median(values):.2f}, worst {min(values):.2f} of {len(values)}; "
        f"worse than with the canceller off in {worse}",
        raw={"pesq": spoilt},
    )


def _processor(far: signals.Samples, line: signals.Samples) -> tuple[float, float]:
    """Milliseconds in the first second, and in each second of all."""
    cancel = EchoCanceller().cancel
    pairs = list(zip(signals.frames(signals.pcm(line)), signals.frames(signals.pcm(far)), strict=True))
    spent = []
    for near, other in pairs:
        begun = time.process_time()
        cancel(near, other)
        spent.append((time.process_time() - begun) * 1000)
    return sum(spent[:100]), sum(spent) / (len(far) / signals.RATE)
