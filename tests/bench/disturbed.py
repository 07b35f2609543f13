"""A call while the page dies and starts again and other programs take every core: it lives, its delay does not grow."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.bench.figure import Figure, Plan, median
from tests.bench.lateness import frames_counted
from tests.bench.peer import BenchPeer
from tests.bench.processes import busy_cores, scheduling, scheduling_name
from tests.bench.weather import NUMBER, end_call, take, weather_box
from tests.bench.witness import LATE_SECONDS, begin, testimony
from tests.fakes.sip_peer import RtpEcho
from tests.fakes.udp_relay import UdpRelay
from tests.system.box import RunningBox

_CYCLE_SECONDS = 3.0
_PAGE_PORT = 18097


@dataclass
class Disturbed:
    """What the call was like. Trips are mouth to ear by way of a mirror on the wire, in ms."""

    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    cycles: int = 0
    lived: bool = False


def disturbed_call(
    box: RunningBox, peer: BenchPeer, seconds: float, *, cycle: float = _CYCLE_SECONDS, settle: float = 1.0
) -> Disturbed:
    """One call: in each `cycle` the page starts, every core is taken by a program of ordinary priority, and after
    two thirds of it both are killed. Trips are measured all the while. `settle`: what buffers get to find back.
    """
    told = Disturbed()
    with RtpEcho() as mirror, UdpRelay(far=("127.0.0.1", mirror.port)) as relay:
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial(NUMBER)
        take(peer, relay)
        box.state("talking")
        time.sleep(settle)
        told.before = _trips(box, 4)
        first = box.phone.state()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            box.run("page", "--port", str(_PAGE_PORT))
            with busy_cores(os.cpu_count() or 1):
                while time.monotonic() < begun + cycle * 2 / 3:
                    told.during += _trips(box, 1)
            box.kill("page")
            while time.monotonic() < begun + cycle:
                told.during += _trips(box, 1)
            told.cycles += 1
        last = box.phone.state()
        told.counted = frames_counted(first, last)
        time.sleep(settle)
        told.after = _trips(box, 4)
        told.lived = box.client.status()["lines"][0]["state"] == "talking"
        end_call(box, peer)
    return told


def _trips(box: RunningBox, count: int) -> list[float]:
    return [trip for trip in box.phone.roundtrip(count) if trip is not None]


def disturbed(plan: Plan) -> list[Figure]:
    """A minute of it, the witness beside it under the core's own scheduling."""
    seconds = plan.seconds(60, 9)
    with ExitStack() as stack:
        box, peer = stack.enter_context(weather_box())
        policy, priority = scheduling(box.pid("core"))
        witness = begin(seconds, policy, priority)
        stack.callback(witness.wait)
        told = disturbed_call(box, peer, seconds, settle=plan.seconds(8, 3))
        seen = testimony(witness, 60)
    if not told.lived:
        raise RuntimeError("the call ended while it was disturbed")
    beside = f"witness late by > {LATE_SECONDS * 1000:g} ms: {seen['late']}, worst {seen['worst_ms']:.0f} ms"
    about = (
        f"page started and killed, {os.cpu_count()} cores taken and given back {told.cycles} times in {seconds:.0f} s; "
        f"core {scheduling_name(policy, priority)}"
    )
    raw = {"before": told.before, "during": told.during, "after": told.after, "telephone": told.counted}
    grown = median(told.after) - median(told.before)
    return [
        Figure(
            "delay grown by a call among hogs",
            "ms",
            grown,
            goal=10,
            beside=f"before {median(told.before):.0f} ms, while it lasts {median(told.during):.0f} ms",
            note=f"{about}; one frame of 10 ms is how finely buffers go",
            raw=raw,
        ),
        Figure(
            "frames missed in a call among hogs", "", told.counted["slipped_frames"], beside=beside, note=about, raw=raw
        ),
    ]
