"""A call told before its first ring, over the simulated wire in real time: reversal, DT-AS and message as samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from firmware.fxs import callerid, country, wire
from firmware.fxs.ringer import CallerIdDue, Polarity, Ringer, RingOff, RingOn
from firmware.fxs.telephone_body import Settings, Telephone
from tests.fakes.box_end import BoxEnd

WHEN = datetime(2026, 7, 14, 9, 5)  # noqa: DTZ001 - the telephone's wall clock
PATIENCE = 20.0


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[BoxEnd, Telephone]]:
    with BoxEnd(tmp_path) as box:
        telephone = Telephone(tmp_path, 1, Settings(country="UK"))
        telephone.start()
        try:
            deadline = time.monotonic() + PATIENCE
            while not telephone.state()["audio"] and time.monotonic() < deadline:
                time.sleep(0.01)
            yield box, telephone
        finally:
            telephone.stop()


def test_a_british_telephone_shows_its_caller_before_it_rings(line: tuple[BoxEnd, Telephone]) -> None:
    box, telephone = line
    home = country.load("UK")
    samples = callerid.transmission(home, "02079460000", "Zoé", WHEN)
    ringer = Ringer(home.ring, home.caller_id)
    turned: list[bool] = []
    shown = telephone.begin_wait("caller-id")
    rings = telephone.begin_wait("ring")

    def carry() -> None:
        steps = ringer.start(time.monotonic(), "normal", len(samples) / 16)
        while (due := ringer.next_deadline()) is not None:
            for step in steps:
                match step:
                    case RingOn(frequency_hz):
                        box.port.start_ring(frequency_hz)
                        return
                    case RingOff():
                        box.port.stop_ring()
                    case Polarity(reverse):
                        box.port.set_polarity(reverse=reverse)
                        turned.append(reverse)
                    case CallerIdDue():
                        box.play(samples, loop=False)
            time.sleep(max(0.0, due - time.monotonic()))
            steps = ringer.tick(time.monotonic())

    exchange = threading.Thread(target=carry)
    exchange.start()
    assert telephone.wait("ring", PATIENCE, rings)
    exchange.join(PATIENCE)
    assert telephone.wait("caller-id", PATIENCE, shown)
    state = telephone.state()
    assert turned == [True, False]
    assert state["battery"] == wire.Battery.NORMAL.name.lower()
    assert (state["caller_id"]["number"], state["caller_id"]["name"], state["clock"]) == (
        "02079460000",
        "Zoe",
        "07-14T09:05",
    )
    box.port.stop_ring()
