"""The gap that is heard in a call when the core collects its garbage, logs a burst, or takes in a new rate deck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.figure import Figure, Plan
from tests.bench.lateness import frames_counted, witness
from tests.bench.peer import BenchPeer, settle
from tests.bench.processes import scheduling
from tests.bench.weather import NUMBER, rtp_of
from tests.bench.witness import LATE_SECONDS
from tests.fakes.far_end import FarEnd
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.test_voice import gaps_ms

_GOAL_MS = 10
_EVERY_SECONDS = 1.0
_RATES = 100_000
_CHECKOUT = Path(__file__).resolve().parents[2]
# The core as it is, but that it collects at one signal and logs at the other, on its main thread as every handler.
_CORE = """
import gc, logging, signal, sys
def collect(*_):
    gc.collect()
def burst(*_):
    log = logging.getLogger("allobox.burst")
    for number in range(500):
        log.warning("line %d of a burst, such as a network that comes and goes may cause: %s", number, "x" * 80)
signal.signal(signal.SIGUSR1, collect)
signal.signal(signal.SIGUSR2, burst)
from firmware.cli import main
sys.argv[0] = "allobox"
main()
"""


class _Core(RunningBox):
    """A box whose core does as it is told by signals."""

    def program(self, role: str) -> list[str]:
        return [sys.executable, "-c", _CORE, role] if role == "core" else super().program(role)


def gaps(plan: Plan) -> list[Figure]:
    """The worst hole in a steady tone at the telephone, in a call, while each happens once a second, and while nothing.

    The tone comes in RTP from a far end of the bench's own, whose own worst hole is told too. Beside it a witness: a
    process that only wakes every 10 ms, under the scheduling of the core's most urgent thread.
    """
    seconds = plan.seconds(60, 10)
    peer = BenchPeer()
    figures = []
    try:
        with _Core(peer.account) as box, tempfile.TemporaryDirectory(prefix="allobox-gaps-") as name:
            box.wait_registered("bench")
            settle(box)
            rates = _rates(Path(name))
            happenings: dict[str, Callable[[int], object]] = {
                "nothing happens": lambda _count: None,
                "the garbage collector runs": lambda _count: os.kill(box.pid("core"), signal.SIGUSR1),
                "500 lines are logged": lambda _count: os.kill(box.pid("core"), signal.SIGUSR2),
                f"{_RATES:,} rates are imported": lambda count: _import(box, rates, count),
            }
            for what, happen in happenings.items():
                figures.append(_watched(box, peer, what, happen, seconds, Path(name)))
    finally:
        peer.close()
    return figures


def _watched(
    box: RunningBox, peer: BenchPeer, what: str, happen: Callable[[int], object], seconds: float, folder: Path
) -> Figure:
    tone = (8000 * np.sin(2 * np.pi * 1004 * np.arange(int((seconds + 3) * 8000)) / 8000)).astype(np.int16)
    recording = folder / "heard.wav"
    ending = threading.Event()
    count = 0

    def again() -> None:
        nonlocal count
        while not ending.wait(_EVERY_SECONDS):
            happen(count)
            count += 1

    with FarEnd() as far:
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial(NUMBER)
        invite = peer.expect("INVITE", 15)
        peer.reply(invite, 200, "OK", body=peer.sdp(far.port))
        peer.expect("ACK")
        box.state("talking")
        far.start(rtp_of(invite))
        saying = threading.Thread(target=far.say, args=(tone,), daemon=True)
        saying.start()
        time.sleep(1.5)
        far.longest_gap = 0.0
        before = box.phone.state()
        heard = box.phone.begin_record(recording, seconds)
        doing = threading.Thread(target=again, daemon=True)
        doing.start()
        beside = witness(seconds, *scheduling(box.pid("core")))
        heard.result()
        ending.set()
        doing.join(60)
        after = box.phone.state()
        own = far.longest_gap * 1000 - 20
        saying.join(10)
        box.phone.hangup()
        peer.reply(peer.expect("BYE"), 200, "OK")
        box.state("idle")
        peer.nothing(0)
    return _figure(what, count, gaps_ms(speech_score.read(recording)), before, after, beside, own)


def _figure(
    what: str, count: int, found: list[float], before: dict[str, Any], after: dict[str, Any], beside: dict[str, Any],
    far_ms: float,
) -> Figure:  # fmt: skip
    counted = frames_counted(before, after)
    over = [gap for gap in found if gap > _GOAL_MS]
    return Figure(
        f"worst gap heard while {what}",
        "ms",
        max(found, default=0.0),
        goal=_GOAL_MS,
        beside=f"witness late by > {LATE_SECONDS * 1000:g} ms: {beside['late']}, worst {beside['worst_ms']:.1f} ms",
        note=(
            f"{count} times; {len(over)} gaps over {_GOAL_MS} ms of {len(found)}; frames that the telephone missed: "
            f"{counted['slipped_frames']}, {counted['late_ticks']} more ticks were its own delay; "
            f"the far end late by at most {far_ms:.1f} ms"
        ),
        raw={"gaps_ms": found, "telephone": counted, "witness": beside},
    )


def _rates(folder: Path) -> Path:
    """Two decks to import in turn are one file: the second import is news to nobody, and costs the same."""
    file = folder / "rates.csv"
    rows = (f"{prefix},place {prefix},0.0200,0,60,60" for prefix in range(200_000, 200_000 + _RATES))
    head = "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment"
    file.write_text("\n".join((head, *rows)) + "\n")
    return file


def _import(box: RunningBox, rates: Path, count: int) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "firmware", "rates", "import", str(rates), "--name", f"deck{count % 2}"),
            *("--data", str(box.data)),
        ],
        check=True,
        capture_output=True,
        cwd=_CHECKOUT,
    )
