"""What the core costs with one, two ... lines in calls at once, and what a further line's buffers do to its sound."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.bench.figure import Figure, Plan, median
from tests.bench.load import baresip_cost
from tests.bench.peer import BenchPeer, settle
from tests.bench.processes import cpu_percents
from tests.fakes.sip_peer import RtpEcho
from tests.system.box import RunningBox

_FIRST_GOAL, _FURTHER_GOAL = 4, 3
_PPM = ("200", "-200", "100", "-100")
_NUMBERS = ("0142685300", "0142685301", "0142685302", "112")
"""The development wheel of pjsua2 holds four calls, and one slot is an emergency's: so the fourth is one."""
_CONVERGED_SECONDS = 10.0


def lines(plan: Plan) -> list[Figure]:
    """CPU time of the core, all threads, with 1, 2, 3 and 4 telephones in calls with an echo.

    Their clocks are up to 400 ppm apart; telephones and far end are processes of their own. Then, on each
    line, the round trip and the frames that the telephone missed after ten seconds. Beside it baresip in one call.
    """
    costs: list[list[float]] = []
    clocks = [("--ppm", ppm) for ppm in _PPM]
    with _echoing() as peer, RunningBox(peer.account, telephone=clocks[0], more_telephones=clocks[1:]) as box:
        box.wait_registered("bench")
        settle(box)
        idle = cpu_percents(box.pid("core"), plan.seconds(5, 3), plan.times(4, 2))
        for (line, phone), number in zip(box.phones.items(), _NUMBERS, strict=True):
            phone.lift()
            phone.wait("dial-tone", 10)
            phone.dial(number)
            box.state("talking", line=line)
            time.sleep(2)
            costs.append(cpu_percents(box.pid("core"), plan.seconds(5, 3), plan.times(8, 3)))
        time.sleep(plan.seconds(_CONVERGED_SECONDS, 2))
        before = {line: phone.state() for line, phone in box.phones.items()}
        trips = {line: phone.roundtrip(plan.times(20, 4)) for line, phone in box.phones.items()}
        after = {line: phone.state() for line, phone in box.phones.items()}
        missed = {line: int(after[line]["slipped_frames"]) - int(before[line]["slipped_frames"]) for line in after}
        stalled = {line: int(after[line]["late_ticks"]) - int(before[line]["late_ticks"]) for line in after}
        for phone in box.phones.values():
            phone.hangup()
    load = f"load average {os.getloadavg()[0]:.1f}"
    baresip = baresip_cost(plan.seconds(40, 9))
    figures = [_cost(count, costs, median(idle), baresip, load) for count in range(1, len(costs) + 1)]
    for line, heard in trips.items():
        back = [trip for trip in heard if trip is not None]
        figures.append(
            Figure(
                f"round trip on line {line}, {len(trips)} lines in calls",
                "ms",
                median(back) if back else None,
                max(back) if back else None,
                beside=f"frames missed at the telephone: {missed[line]}; its own late ticks: {stalled[line]}",
                note=f"{len(back)} of {len(heard)} chirps came back",
                raw={"ms": heard, "missed": missed[line], "stalled": stalled[line]},
            )
        )
    return figures


@contextmanager
def _echoing() -> Iterator[BenchPeer]:
    """A far end that answers whoever calls, with an echo each."""
    peer, ending, echoes = BenchPeer(), threading.Event(), []

    def answer() -> None:
        while not ending.is_set():
            with suppress(AssertionError):
                packet = peer.expect("INVITE", 0.3)
                echoes.append(RtpEcho().__enter__())
                peer.reply(packet, 200, "OK", body=peer.sdp(echoes[-1].port), tag=f"peer{len(echoes)}")

    answering = threading.Thread(target=answer, daemon=True)
    answering.start()
    try:
        yield peer
    finally:
        ending.set()
        answering.join(2)
        for echo in echoes:
            echo.__exit__()
        peer.close()


def _cost(count: int, costs: list[list[float]], idle: float, baresip: dict[str, dict[str, float]], load: str) -> Figure:
    """All of it for one line, what it adds for a further one."""
    now = median(costs[count - 1])
    before = median(costs[count - 2]) if count > 1 else 0.0
    beside = f"baresip's call {baresip['in_call']['cpu_percent_of_a_core']:.2f} %"
    return Figure(
        f"core's CPU, line {count} of {len(costs)} in a call" if count > 1 else "core's CPU, one line in a call",
        "%",
        now - before,
        goal=_FURTHER_GOAL if count > 1 else _FIRST_GOAL,
        beside=f"all lines together {now:.2f} %; {beside}" if count > 1 else beside,
        note=f"of one core, {len(costs[count - 1])} stretches; on-hook {idle:.2f} %; {load}",
        raw={"percent": costs[count - 1]},
    )
