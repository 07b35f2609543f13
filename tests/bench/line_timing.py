"""The line's clockwork: how soon an edge is an event, how true the ring keeps its cadence.

The bench itself is the telephone at the far end of the wire, in place of the box's own, so that what
it stamps is what crossed the wire.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from firmware.fxs import country, wire
from firmware.fxs.hook import HookSettings
from firmware.fxs.telephone_wire import FarEnd
from tests.bench.figure import Figure, Plan, spread
from tests.bench.peer import BenchPeer, box_and_peer
from tests.system.box import RunningBox
from tests.system.peer_process import wait_until

_FRANCE = country.load("FR")
_HOOK = HookSettings.for_country(_FRANCE)
_REST_SECONDS = 0.25


class _Wire:
    """The telephone's end: moves a contact, and keeps what the box orders with when it came."""

    def __init__(self, box: RunningBox) -> None:
        self._closed = wire.Loop(closed=False, at=time.monotonic())
        self._orders: queue.Queue[tuple[wire.Signal, float]] = queue.Queue()
        self.end = FarEnd(box.data, 1, lambda: self._closed, self._signalled)

    def _signalled(self, signal: wire.Signal | None) -> None:
        now = time.monotonic()
        if signal is not None:
            self._orders.put((signal, now))

    def move(self, *, closed: bool) -> float:
        """Make or break, cleanly; when."""
        self._closed = wire.Loop(closed=closed, at=time.monotonic())
        self.end.contact(self._closed)
        return self._closed.at

    def forget(self) -> None:
        """What was ordered so far."""
        while not self._orders.empty():
            self._orders.get_nowait()

    def await_order(self, wanted: wire.Signal, seconds: float = 10.0) -> float:
        """When the box ordered it. queue.Empty if it does not."""
        while True:
            order, at = self._orders.get(timeout=seconds)
            if order == wanted:
                return at


@contextmanager
def _wired() -> Iterator[tuple[RunningBox, BenchPeer, _Wire]]:
    with box_and_peer() as (box, peer):
        box.kill("telephone")
        far = _Wire(box)
        far.end.start()
        try:
            wait_until(lambda: far.end.connected and box.client.status()["lines"][0]["fault"] is None, 10, "the line")
            yield box, peer, far
        finally:
            far.end.stop()


def edge_latency(plan: Plan) -> list[Figure]:
    """From an edge's own stamp to the box's doing what the event means, less the debounce.

    The doing is the voice path's switching, the first thing after a HookUp and a HookDown; seen at the
    telephone's end, it has come back over the wire, which is in the figure.
    """
    up, down = [], []
    with _wired() as (_, _, far):
        for _ in range(plan.times(100, 8)):
            far.forget()
            lifted = far.move(closed=True)
            up.append((far.await_order(wire.Audio(powered=True)) - lifted) * 1000 - _HOOK.lift_stable_ms)
            time.sleep(_REST_SECONDS)
            hung_up = far.move(closed=False)
            down.append((far.await_order(wire.Audio(powered=False)) - hung_up) * 1000 - _HOOK.flash_ms[1])
            time.sleep(_REST_SECONDS)
    hanging_up = spread("", down).cells()
    return [
        spread(
            "edge to event: a lift's edge to the box's acting on it, less the debounce",
            up,
            beside=f"hanging up, less the flash window: {hanging_up[1]}, p99 {hanging_up[2]}",
            note=(
                f"{len(up)} lifts without bounce; the debounce of {_HOOK.lift_stable_ms:g} ms "
                f"({_HOOK.flash_ms[1]:g} ms for hanging up) is taken off; the way back over the wire is in it"
            ),
            raw={"down_ms": [round(value, 3) for value in down]},
        )
    ]


def ring_jitter(plan: Plan) -> list[Figure]:
    """How far each ring and each silence was from the cadence's, as the telephone saw ring voltage come and go."""
    cadence = _FRANCE.ring.cadence_ms
    cycles = plan.times(12, 3)
    with _wired() as (_, peer, far):
        far.forget()
        dialog = peer.invite(peer.box)
        steps = []
        for _ in range(cycles):
            steps.append(far.await_order(wire.Ring(_FRANCE.ring.frequency_hz)))
            steps.append(far.await_order(wire.Ring(0.0)))
        steps.append(far.await_order(wire.Ring(_FRANCE.ring.frequency_hz)))
        peer.cancel(peer.box, dialog)
        peer.expect(487)
    lasted = [(after - before) * 1000 for before, after in pairwise(steps)]
    off = [abs(value - cadence[place % len(cadence)]) for place, value in enumerate(lasted)]
    drift = (steps[-1] - steps[0]) * 1000 - cycles * sum(cadence)
    return [
        spread(
            "jitter of the ring cadence (1.5 s on, 3.5 s off)",
            off,
            beside=f"after {cycles} rings {drift:+.1f} ms",
            note=f"{len(off)} rings and silences, each one's distance from the cadence (2 % of it: 30 and 70 ms)",
            raw={"lasted_ms": [round(value, 3) for value in lasted]},
        )
    ]
