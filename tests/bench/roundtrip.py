"""Sound there and back: telephone, box, RTP, echo, and back, beside pjsua2's own player and recorder."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.exchangecall import ECHO, call, registered_box
from tests.bench.figure import Figure, Plan, median, p99
from tests.bench.peer import hang_up
from tests.system.peer_exchange import TestExchange

_MORE_MS = 25
_CHECKOUT = Path(__file__).resolve().parents[2]


def round_trip(plan: Plan) -> list[Figure]:
    """From a sample spoken at the telephone to the same sample heard there, through the exchange's echo number.

    Acoustic: a sample leaves the telephone with its whole 10 ms frame, so 10 ms of each are the
    telephone's own. The native path calls the same echo in the same exchange, before and after, with
    10 ms frames in its bridge. The goal is the native median and 25 ms. Half of the measurements are
    of a second call: where the jitter buffer settles differs from call to call.
    """
    with TestExchange() as exchange:
        before = native(exchange, plan.seconds(15, 5))
        trips: list[float | None] = []
        with registered_box(exchange) as box:
            for _ in range(2):
                call(box)
                trips += box.phone.roundtrip(plan.times(20, 4))
                hang_up(box)
        after = native(exchange, plan.seconds(15, 5))
    heard = [trip for trip in trips if trip is not None]
    reference = (before["median_ms"] + after["median_ms"]) / 2
    worst = max(before["p99_ms"], after["p99_ms"])
    lost = f", {len(trips) - len(heard)} never came back" if len(heard) < len(trips) else ""
    return [
        Figure(
            "round trip telephone - box - echo - box - telephone",
            "ms",
            median(heard),
            p99(heard),
            goal=reference + _MORE_MS,
            beside=f"native {reference:.1f} ms, p99 {worst:.1f} ms",
            note=f"{len(heard)} chirps in two calls{lost}; goal: native and {_MORE_MS} ms",
            raw={"ms": trips, "native_before": before, "native_after": after},
        )
    ]


def native(exchange: TestExchange, seconds: float) -> dict[str, Any]:
    """`native_roundtrip` in a process of its own, against the same exchange."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as secret:
        secret.write(exchange.password)
        secret.flush()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.bench.native_roundtrip"),
                *("--server", exchange.server, "--user", exchange.user, "--password-file", secret.name),
                *("--number", ECHO, "--seconds", str(seconds)),
            ],
            capture_output=True,
            text=True,
            cwd=_CHECKOUT,
            check=False,
            timeout=seconds + 60,
        )
    if done.returncode:
        raise RuntimeError(f"the native round trip failed: {done.stderr[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
