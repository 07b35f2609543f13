"""The line doctor in a whole simulated box: real time, real processes, and a telephone whose make is known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system.box import RunningBox
from tests.system.peer_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(150)]


def at(box: RunningBox, step: str) -> None:
    wait_until(lambda: box.client.doctor()["step"] == step, 60, f"the session to be at {step}")


def report(box: RunningBox) -> dict[str, Any]:
    wait_until(lambda: box.client.doctor()["report"] is not None, 60, "the report")
    found = box.client.doctor()["report"]
    assert found is not None
    return found


def test_a_telephone_of_known_make_is_measured_by_its_own_service_code() -> None:
    with RunningBox(telephone=("--hybrid-loss", "14", "--noise", "-58", "--bounce-ms", "8")) as box:
        box.phone.lift()
        box.phone.dial("*#36#")
        at(box, "dial")
        # One telephone with both, to need one session only.
        box.phone.dial("0", pulse=True, pps=7.6, break_share=0.6)
        box.phone.dial("#0*987654321", level=-17, twist=-4, on=90, off=90, detune=-1.2)
        at(box, "flash")
        box.phone.flash(200)
        at(box, "thanks")
        box.phone.hangup()
        found = report(box)
        assert box.client.doctor()["ending"] == "done"
        assert found["hook"]["digits"] == [10]
        assert found["hook"]["pulse_speed"] == pytest.approx(7.6, abs=0.2)
        assert found["hook"]["break_share"] == pytest.approx(60, abs=2)
        assert found["hook"]["flashes_ms"] == pytest.approx([200], abs=2)
        assert found["hook"]["cradle_bounce_ms"] <= 8.5
        assert [key["key"] for key in found["keys"]] == list("#0*987654321")
        for key in found["keys"]:
            assert key["low_dbm0"] == pytest.approx(-17, abs=0.5)
            assert key["twist_db"] == pytest.approx(-4, abs=0.5)
            assert (key["low_error"], key["high_error"]) == pytest.approx((-1.2, -1.2), abs=0.1)
        assert found["sound"]["noise_dbm0"] == pytest.approx(-58, abs=1)
        assert found["echo"]["return_loss_db"] == pytest.approx(14, abs=1)
        assert box.client.status()["lines"][0]["state"] == "idle"
