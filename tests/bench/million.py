"""A million calls rated and durably recorded: the first day of the webmail's telephone; `million_calls` measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.figure import Figure, Plan

_CHECKOUT = Path(__file__).resolve().parents[2]


def million(plan: Plan) -> list[Figure]:
    """Each call rated by its tariff, its record acknowledged after the commit."""
    many = plan.times(1_000_000, 50_000)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.million_calls", "--calls", str(many)],
        capture_output=True,
        text=True,
        cwd=_CHECKOUT,
        check=True,
        timeout=900,
    )
    found = json.loads(done.stdout)
    return [
        Figure(
            f"{many:,} calls rated and recorded by group commit",
            "s",
            found["seconds"],
            goal=120 * many / 1_000_000,
            beside=f"one by one {found['one_by_one_ms']:g} ms a call",
            note=f"{found['recorded']:,} found afterwards, {found['mb']} MB, on {found['cores']} cores",
            raw=found,
        )
    ]
