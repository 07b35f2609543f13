"""The line's way into the bridge: every frame once, in order, in its own tick; and the way without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def bridge(*how: str) -> dict[str, Any]:
    """What a port heard of the frames put in; see `tests/fakes/bridge.py`."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.fakes.bridge", *how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    report: dict[str, Any] = json.loads(child.stdout)
    return report


def test_every_frame_of_the_line_is_heard_once_in_order_in_the_tick_it_came_in() -> None:
    report = bridge()
    assert report["slot"], "the wheel's layout is proven"
    assert report["joined"] == [[n, n] for n in range(1, 2001)]
    assert report["unjoined"] == []
    assert report["nothing_put"] == [], "a frame is not heard twice"
    assert len(report["parted"]) <= 1, "the bridge undoes a joint at its next tick"
    assert report["refused"] != 0


def test_a_stack_whose_layout_is_not_proven_is_fed_by_its_microphone_a_tick_later() -> None:
    report = bridge("wrong-layout")
    assert report["slot"] is None
    heard = [(tick, number) for tick, number in report["joined"] if tick > 10]
    assert heard == [(n, n - 1) for n in range(11, 2001)]


def test_two_lines_hear_each_other_each_frame_once_in_its_own_tick() -> None:
    between = bridge()["between"]
    assert between["one"][3:] == [[tick, 1000 + tick] for tick in range(4, 101)]
    assert between["other"][3:] == [[tick, tick] for tick in range(4, 101)]
    assert between["parted"] == [[0, 0], [0, 0]]


def test_a_wide_line_hears_another_in_full_and_a_narrow_one_its_lower_half_on_one_bridge() -> None:
    report = bridge("wide")
    assert report["wide"] == [pytest.approx(4000, rel=0.02), pytest.approx(4000, rel=0.02)]
    assert report["narrow"] == [pytest.approx(4000, rel=0.05)]
    assert report["alias"] < 40, "5 kHz does not come back as 3"
