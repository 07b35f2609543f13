"""A thousand numbers of each kind through the whole pure chain, in virtual time; wrong ones are named by their seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench.figure import Figure, Plan
from tests.fakes.chain import Outcome, by_both, by_dial, by_keys

_KINDS: dict[str, Callable[[int], Outcome]] = {
    "worn dial, 7.5 pulses a second": partial(by_dial, pps=7.5),
    "worn dial, 22 pulses a second": partial(by_dial, pps=22.0),
    "weak, noisy, twisted DTMF over French dial tone": partial(by_keys, code="FR"),
    "the same over UK dial tone": partial(by_keys, code="UK"),
    "the same over US dial tone": partial(by_keys, code="US"),
    "dial and keys mixed in a number": by_both,
}
_HOW = {
    "worn dial": "breaks of 20 to 100 ms in any make ratio, bounce 5 ms, jitter 4 %, edges and timers up to 20 ms late",
    "weak": (
        "tones of 40 to 100 ms with pauses of 40 to 100, the weaker tone -36 to -8 dBm0, twist -8 to +4 dB, "
        "noise 12 to 30 dB below it, off by up to 1.5 %, hybrid loss 12 to 25 dB"
    ),
}
_NAMED = 5


def chain(plan: Plan) -> list[Figure]:
    """From the telephone's dial or keys to PlaceCall: hook decoder, canceller, detector, handset and line machine."""
    return [_kind(name, dial, plan.times(1000, 50)) for name, dial in _KINDS.items()]


def _kind(name: str, dial: Callable[[int], Outcome], numbers: int) -> Figure:
    wrong = [outcome for seed in range(numbers) if not (outcome := dial(seed)).right]
    note = next((how for kind, how in _HOW.items() if name.startswith(kind)), "")
    if wrong:
        note = "; ".join(str(outcome) for outcome in wrong[:_NAMED])
    return Figure(
        f"numbers lost of {numbers}: {name}",
        "",
        len(wrong),
        goal=0,
        note=note,
        raw={"numbers": numbers, "wrong_seeds": [outcome.seed for outcome in wrong]},
    )
