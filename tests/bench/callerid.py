"""Caller ID in white noise: how many messages of each standard are read at which ratio.
Noise is measured over the whole 4 kHz.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from firmware.fxs import callerid
from firmware.fxs.pcm import FRAME_BYTES
from tests.bench.figure import Figure, Plan
from tests.fakes import fsk, signals

RATIOS_DB = (30, 24, 20, 18, 16, 14, 12, 11, 10, 9, 8, 7, 6, 4)
NUMBER, NAME = "0142685300", "Zoe Loeb"
# A line is far better than this; libspandsp's receiver alone read 40 of 40 V.23 messages down to it.
GOAL_DB = 14.0
_NAMES = {"v23": "V.23", "bell202": "Bell 202", "dtmf": "digits"}


def caller_id(plan: Plan) -> list[Figure]:
    """One figure a standard: the lowest ratio in dB, from the top, down to which 39 of 40 messages are read."""
    return [_standard(standard, plan.times(40, 12)) for standard in callerid.STANDARDS]


def _standard(standard: str, times: int) -> Figure:
    rates = {ratio: rate(standard, ratio, times) for ratio in RATIOS_DB}
    held = [ratio for i, ratio in enumerate(RATIOS_DB) if all(rates[r] >= 0.97 for r in RATIOS_DB[: i + 1])]
    foreign = {ratio: rate(standard, ratio, times, foreign=True) for ratio in (14, 10)} if standard in fsk.TONES else {}
    shown = ", ".join(f"{ratio} dB {100 * rates[ratio]:.0f} %" for ratio in RATIOS_DB if ratio <= 16)
    more = ", ".join(f"{ratio} dB {100 * share:.0f} %" for ratio, share in foreign.items())
    return Figure(
        f"caller ID by {_NAMES[standard]}: S/N down to which 39 of 40 messages are read",
        "dB",
        float(held[-1]) if held else None,
        goal=GOAL_DB,
        beside=f"read of a foreign modem, 1.2 % off: {more}" if more else "",
        note=f"{times} messages at each ratio: {shown}",
        raw={"rates": {str(ratio): share for ratio, share in rates.items()}},
    )


def rate(standard: str, ratio_db: float, times: int, *, foreign: bool = False) -> float:
    """The share of messages read. `foreign`: from a modem of plain mathematics, off its frequencies and bit rate."""
    when = datetime(2026, 7, 14, 9, 5)  # noqa: DTZ001 - as displayed
    if foreign:
        raw = callerid.message(NUMBER, NAME, when, None)
        sound = fsk.modulated(raw, standard, off=1.012, baud=1194)
        loud = signals.level(sound)
    else:
        sound = signals.samples(callerid.encode(standard, NUMBER, NAME, when))
        # Digits pause half of the time: their level is that of a digit.
        loud = signals.level(sound[:500]) if standard == "dtmf" else signals.level(sound)
    sound = np.concatenate([signals.silence(0.1), sound, signals.silence(0.3)])
    read = 0
    for seed in range(times):
        noisy = sound + signals.noise(len(sound) / signals.RATE + 0.001, loud - ratio_db, seed)[: len(sound)]
        pcm = signals.pcm(noisy)
        decoder = callerid.Decoder(standard)
        heard = [decoder.feed(pcm[at : at + FRAME_BYTES]) for at in range(0, len(pcm), FRAME_BYTES)]
        read += any(message is not None and message.number == NUMBER for message in heard)
    return read / times
