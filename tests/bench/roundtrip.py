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
    telephone's own. Native calls go to the same echo in the same exchange, half of them before and half
    after, with 10 ms frames in their bridge. One call's figure depends on how the 20 ms clock of the
    exchange lies beside its packets, so there are several calls of each kind, and the native reference is
    the median of their medians. The goal is that and 25 ms.
    """
    trips: list[list[float | None]] = []
    references: list[dict[str, Any]] = []
    natives, calls = plan.times(6, 2), plan.times(10, 3)
    with TestExchange() as exchange:
        references += [native(exchange, plan.seconds(6, 4)) for _ in range(natives // 2)]
        with registered_box(exchange) as box:
            for _ in range(calls):
                call(box)
                trips.append(box.phone.roundtrip(4))
                hang_up(box)
        references += [native(exchange, plan.seconds(6, 4)) for _ in range(natives - natives // 2)]
    heard = [trip for trips_of_call in trips for trip in trips_of_call if trip is not None]
    lost = sum(len(trips_of_call) for trips_of_call in trips) - len(heard)
    medians = [float(reference["median_ms"]) for reference in references]
    reference = median(medians)
    return [
        Figure(
            "round trip telephone - box - echo - box - telephone",
            "ms",
            median(heard),
            p99(heard),
            goal=reference + _MORE_MS,
            beside=(
                f"native {reference:.0f} ms (calls {min(medians):.0f} to {max(medians):.0f}), "
                f"p99 {max(float(entry['p99_ms']) for entry in references):.0f} ms"
            ),
            note=(
                f"{len(heard)} chirps in {calls} calls{f', {lost} more never came back' if lost else ''}; "
                f"goal: native and {_MORE_MS} ms"
            ),
            raw={"ms": trips, "native": references},
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
