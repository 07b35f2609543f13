"""The French speaking clock: what it says and when the tops sound. Pure; `speech` makes the voice."""

from __future__ import annotations

import math
from array import array
from datetime import datetime

from firmware.exchange.speech import SAMPLE_RATE_HZ

TOPS = 4
_TOP_SECONDS = 0.08
_TOP_HZ = 1000
_TOP_PEAK = 9000
_RAMP_SECONDS = 0.004
# A sentence lasts up to 6.4 s, and its tops take the last 3 s before the moment told.
LEAD_SECONDS = 10.0

_UNITS = (
    *("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze"),
    *("treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf"),
)
_TENS = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante"}


def feminine(count: int) -> str:
    """0 to 59 in words, for hours, minutes and seconds: une, vingt et une."""
    if not 0 <= count < 60:  # noqa: PLR2004 - minutes and seconds
        msg = f"the clock counts from 0 to 59, not {count}"
        raise ValueError(msg)
    if count == 1:
        return "une"
    if count < len(_UNITS):
        return _UNITS[count]
    tens, rest = _TENS[count // 10 * 10], count % 10
    if rest == 0:
        return tens
    return f"{tens} et une" if rest == 1 else f"{tens}-{_UNITS[rest]}"


def _counted(count: int, noun: str) -> str:
    return f"{feminine(count)} {noun}{'s' if count > 1 else ''}"


def sentence(moment: datetime) -> str:
    """What is said before the fourth top, which sounds at `moment`."""
    told = [_counted(moment.hour, "heure"), _counted(moment.minute, "minute")]
    told.append(_counted(moment.second, "seconde") if moment.second else "zéro seconde")
    return f"Au quatrième top, il sera exactement : {', '.join(told)}."


def next_moment(now: float, *, first: bool) -> float:
    """The moment to be told by an announcement that begins at `now` (seconds of the epoch).

    The first one tells the nearest second, so that nobody waits; the later ones every tenth.
    """
    earliest = now + LEAD_SECONDS
    return float(math.ceil(earliest)) if first else math.ceil(earliest / 10 - 0.05) * 10.0


def _top() -> array[int]:
    count = int(_TOP_SECONDS * SAMPLE_RATE_HZ)
    ramp = int(_RAMP_SECONDS * SAMPLE_RATE_HZ)
    return array(
        "h",
        (
            int(
                _TOP_PEAK
                * min(1.0, index / ramp, (count - index) / ramp)
                * math.sin(2 * math.pi * _TOP_HZ * index / SAMPLE_RATE_HZ)
            )
            for index in range(count)
        ),
    )


def announcement(spoken: bytes, seconds: float) -> bytes:
    """Samples of one announcement: the sentence at once, then a top a second, the last at `seconds`.

    `spoken` and the result are 16 bit mono at SAMPLE_RATE_HZ. A sentence too long for its time is
    cut where the tops begin: the time is right before it is complete.
    """
    samples = array("h", bytes(2 * int((seconds + _TOP_SECONDS + 0.3) * SAMPLE_RATE_HZ)))
    first_top = max(0, int((seconds - TOPS + 1) * SAMPLE_RATE_HZ))
    said = array("h", spoken)[:first_top]
    samples[: len(said)] = said
    top = _top()
    for count in range(TOPS):
        start = int((seconds - TOPS + 1 + count) * SAMPLE_RATE_HZ)
        if start >= 0:
            samples[start : start + len(top)] = top
    return samples.tobytes()
