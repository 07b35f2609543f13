"""From starting the core's process to a dial tone in a handset that is already lifted."""

from __future__ import annotations

import signal
import time

from tests.bench.figure import Figure, Plan, median
from tests.bench.handset import first_sound
from tests.bench.peer import BenchPeer, settle
from tests.system.box import RunningBox
from tests.system.peer_process import wait_until

_PATIENCE_SECONDS = 30.0


def start(plan: Plan) -> list[Figure]:
    """From before the core is started to the first audible sample at a telephone that was lifted before.

    The account is in the settings and registers meanwhile: until it has, the tone is the special dial
    tone (digits count, emergencies go out). Beside it, when the account was registered and the tone an
    ordinary one. A first start, which speaks the sentences and makes the database, is not counted.
    """
    heard, ready = [], []
    peer = BenchPeer()
    box = RunningBox(peer.account)
    try:
        with box:
            settle(box)
            _stop_core(box)
            for _ in range(plan.times(10, 3)):
                sound, registered = _start_core(box)
                heard.append(sound)
                ready.append(registered)
                box.phone.hangup()
                _stop_core(box)
    finally:
        peer.close()
    return [
        Figure(
            "start of the core to dial tone",
            "s",
            median(heard),
            max(heard),
            goal=1.5,
            beside=f"registered {median(ready):.2f} s, worst {max(ready):.2f} s",
            note=f"{len(heard)} starts, files in the page cache; the worst stands under p99",
            raw={"seconds": heard, "registered_seconds": ready},
        )
    ]


def _start_core(box: RunningBox) -> tuple[float, float]:
    """Seconds to the first sound, and to being registered with the ordinary tone to come."""
    box.phone.lift()
    began = time.monotonic()
    box.run("core", "--simulate")
    sound = first_sound(box, _PATIENCE_SECONDS) - began
    box.wait_registered("bench")
    registered = time.monotonic() - began
    box.phone.wait("dial-tone", 10)
    return sound, registered


def _stop_core(box: RunningBox) -> None:
    core = box._processes["core"]
    core.send_signal(signal.SIGTERM)
    core.wait(10)
    wait_until(lambda: not box.phone.state()["line_connected"], 5, "the telephone to notice that the core is gone")
