"""From the hand to the exchange: dial tone after lifting, the INVITE after the last digit."""

from __future__ import annotations

import time

from firmware.fxs.hook import HookSettings
from tests.bench.figure import Figure, Plan, spread
from tests.bench.peer import BenchPeer, box_and_peer, hang_up
from tests.system.box import RunningBox

NUMBER = "0142685300"
# Four digits are a whole number, and soon dialled by pulses.
SHORT = "3111"
_HOOK = HookSettings()


def first_sound(box: RunningBox, seconds: float = 5) -> float:
    """When the telephone first heard anything since it was lifted, monotonic seconds. TimeoutError."""
    deadline = time.monotonic() + seconds
    while (at := box.phone.mark()["first_sound"]) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing was heard for {seconds:g} s after lifting")
        time.sleep(0.01)
    return float(at)


def dial_tone(plan: Plan) -> list[Figure]:
    """From the hook switch being at rest, debounced, to the first audible sample at the telephone.

    The contacts' last bounce is the telephone's own stamp; the box may believe it 16 ms later
    (`lift_stable_ms`), and the figure begins there. Beside it, from the last bounce itself. The first
    sample is when the telephone's clock plays it, not when the frame came.
    """
    since_bounce = []
    with box_and_peer() as (box, _):
        for _ in range(plan.times(50, 8)):
            box.phone.lift()
            heard = first_sound(box)
            since_bounce.append((heard - box.phone.mark()["lift_settled"]) * 1000)
            hang_up(box)
    debounce = _HOOK.lift_stable_ms
    from_bounce = spread("", since_bounce)
    return [
        spread(
            "off-hook (debounced) to first dial-tone sample",
            [value - debounce for value in since_bounce],
            goal=50,
            beside=f"from the contacts' last bounce {from_bounce.cells()[1]}, p99 {from_bounce.cells()[2]}",
            note=f"{len(since_bounce)} lifts; the debounce of {debounce:g} ms is in the figure beside it only",
        )
    ]


def invite(plan: Plan) -> list[Figure]:
    """From the last sample of the last DTMF digit at the telephone to the INVITE at the provider's socket.

    By pulses from the last make to the same, the inter-digit gap (which tells a 1 from a 2) taken off.
    """
    with box_and_peer() as (box, peer):
        tones = [_dialled(box, peer, NUMBER, pulse=False) for _ in range(plan.times(30, 6))]
        pulses = [_dialled(box, peer, SHORT, pulse=True) for _ in range(plan.times(15, 3))]
    gap = _HOOK.interdigit_ms
    return [
        spread(
            "end of last DTMF digit to INVITE on the wire",
            tones,
            goal=60,
            note=f"{len(tones)} calls to {NUMBER}, keys of 70 ms; negative: a digit is sure before its tone has ended",
        ),
        spread(
            "last pulse to INVITE on the wire, less the inter-digit gap",
            [value - gap for value in pulses],
            goal=60,
            note=f"{len(pulses)} calls to {SHORT} at 10 pulses a second; the gap of {gap:g} ms is taken off",
        ),
    ]


def _dialled(box: RunningBox, peer: BenchPeer, number: str, *, pulse: bool) -> float:
    """One call, refused as busy once its INVITE has come; milliseconds."""
    box.phone.lift()
    box.phone.wait("dial-tone", 10)
    box.phone.dial(number, pulse=pulse)
    request = peer.expect("INVITE")
    ended = box.phone.mark()["digit_end"]
    peer.reply(request, 486, "Busy Here")
    peer.expect("ACK")
    hang_up(box)
    return (peer.came_at(request) - float(ended)) * 1000
