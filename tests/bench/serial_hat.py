"""The serial hat's line: how soon and how true its edges come, and dial tone after it misbehaved.

A simulated hat on a pseudo-terminal, in this process: no microcontroller, no USB.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path

from firmware.fxs.drivers.serial_mcu import SerialHat, SerialMcuPort
from firmware.fxs.port import LineRestored, LoopEdge, PortEvent
from tests.bench.figure import Figure, Plan, spread
from tests.fakes.serial_hat import SerialHat as FakeHat
from tests.fxs.serial_houses import WITHIN_SECONDS, suffer
from tests.system.peer_process import wait_until

_HOUSES = 20
_DRIFT_PPM = 500.0


def serial_hat(plan: Plan) -> list[Figure]:
    """Edges of a quiet hat, then dial tone after misbehaviours by seed."""
    with tempfile.TemporaryDirectory(prefix="allobox-hat-") as folder:
        return [_edges(Path(folder), plan.times(200, 20)), _misbehaviours(Path(folder), plan.times(50, 10))]


def _edges(folder: Path, lifts: int) -> Figure:
    """From the contact to the port's event, and how far the event's time is from the contact's."""
    hat = FakeHat(folder / "hat", drift_ppm=_DRIFT_PPM, clock_start_ms=(1 << 32) - 10_000)
    heard: list[tuple[float, PortEvent]] = []
    port = SerialMcuPort(SerialHat(str(hat.path)))
    port.start(lambda event: heard.append((time.monotonic(), event)))
    try:
        wait_until(lambda: any(isinstance(event, LineRestored) for _, event in heard), 10, "the hat")
        for index in range(lifts):
            hat.contact(closed=index % 2 == 0, bounce=0)
            time.sleep(0.05)
        thread = port._hat._thread
        assert thread is not None
        assert thread.ident is not None
        clock = time.pthread_getcpuclockid(thread.ident)
        began, used = time.monotonic(), time.clock_gettime(clock)
        time.sleep(2.0)
        idle = (time.clock_gettime(clock) - used) / (time.monotonic() - began)
    finally:
        port.stop()
        hat.close()
    edges = [(at, event) for at, event in heard if isinstance(event, LoopEdge)]
    moved = list(hat.lines[1].moved)
    assert [event.closed for _, event in edges] == [level for _, level in moved], "an edge was lost"
    late = [(at - when) * 1000 for (at, _), (when, _) in zip(edges, moved, strict=True)]
    wrong = [abs(event.at - when) * 1000 for (_, event), (when, _) in zip(edges, moved, strict=True)]
    error = spread("", wrong).cells()
    return spread(
        "serial hat: a contact's edge to the port's event",
        late,
        beside=f"error of its time: {error[1]}, p99 {error[2]}",
        note=(
            f"{len(late)} edges, a hat's clock that is {_DRIFT_PPM:g} ppm fast, on a pseudo-terminal; "
            f"the driver's thread takes {idle * 100:.2f} % of a core at rest"
        ),
        raw={"error_ms": [round(value, 3) for value in wrong]},
    )


def _misbehaviours(folder: Path, times: int) -> Figure:
    """Dial tone after each of them; a house without it in time fails the row."""
    logging.disable(logging.CRITICAL)  # hundreds of faults are the point
    try:
        houses = asyncio.run(suffer(folder, range(1000, 1000 + _HOUSES), times))
    finally:
        logging.disable(logging.NOTSET)
    took = [pair for house in houses for pair in house.took]
    worst, name = max(took)
    return spread(
        "serial hat: a lift right after it misbehaved to dial tone",
        [seconds * 1000 for seconds, _ in took],
        goal=WITHIN_SECONDS * 1000,
        beside=f"worst {worst * 1000:.0f} ms ({name})",
        note=f"{len(took)} misbehaviours of {_HOUSES} hats by seed, debounce included; none without dial tone",
    )
