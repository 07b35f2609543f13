"""Talk-off: how often speech is taken for digits, an hour of it, beside libspandsp's receiver alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from firmware.fxs.dtmf import Detector
from tests.bench import dtmf_speech
from tests.bench.dtmf_signals import plain
from tests.bench.figure import Figure, Plan
from tests.fakes import signals

_TINNY_TAPS = 101
_TINNY_HZ = (600, 2200)


def talk_off(plan: Plan) -> list[Figure]:
    """Hits an hour in synthetic speech and in recorded speech; both again as from a tinny microphone, which leaves
    little but the band of the digits: harder than any telephone, and it tells detectors apart.
    """
    seconds = plan.seconds(3600, 300)
    said = dtmf_speech.synthetic(seconds)
    recorded = dtmf_speech.recorded()
    return [
        _hits("synthetic French and English", said, goal=0),
        _hits("recorded French prompts", recorded, goal=0),
        _hits("the synthetic speech, 600 to 2200 Hz only", [tinny(piece) for piece in said]),
        _hits("the recorded speech, 600 to 2200 Hz only", [tinny(piece) for piece in recorded]),
    ]


def tinny(pcm: bytes) -> bytes:
    """What is left between 600 and 2200 Hz, twice as loud (a windowed-sinc filter)."""
    n = np.arange(_TINNY_TAPS) - _TINNY_TAPS // 2
    low, high = (2 * hz / signals.RATE for hz in _TINNY_HZ)
    taps = (high * np.sinc(high * n) - low * np.sinc(low * n)) * np.hamming(_TINNY_TAPS)
    return signals.pcm(2 * np.convolve(signals.samples(pcm), taps, mode="same"))


def listened(pieces: Sequence[bytes]) -> tuple[str, float]:
    """What the box's detector takes for digits, and for what share of the time it would mute the voice."""
    digits, muted, frames = "", 0, 0
    for piece in pieces:
        detector = Detector()
        for frame in signals.frames(piece):
            digits += "".join(hit.digit for hit in detector.feed(frame))
            muted += detector.suspect
            frames += 1
    return digits, muted / frames


def _hits(name: str, pieces: Sequence[bytes], goal: float | None = None) -> Figure:
    hours = dtmf_speech.minutes(pieces) / 60
    digits, muted = listened(pieces)
    alone = "".join(map(plain, pieces))
    return Figure(
        f"talk-off: {name}, digits an hour",
        "",
        len(digits) / hours,
        goal=goal,
        beside=f"libspandsp alone: {len(alone) / hours:.2g}",
        note=(
            f"{len(digits)} ({digits or '-'}) in {60 * hours:.1f} min, libspandsp alone {len(alone)} ({alone or '-'}); "
            f"the voice would be muted for {100 * muted:.4f} % of the time"
        ),
        raw={"minutes": 60 * hours, "ours": digits, "libspandsp": alone, "muted": muted},
    )
