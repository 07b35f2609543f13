"""What a call was like, from a telephone lifted to `allobox calls --json`: the whole box against a scripted far end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firmware.service import AccountDraft
from tests.fakes.rtcp_far_end import FarEnd
from tests.fakes.sip_peer import SipPeer
from tests.system.box import RunningBox
from tests.system.peer_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_call_that_the_house_hangs_up_is_listed_with_its_losses_and_a_word() -> None:
    peer = SipPeer()
    account: AccountDraft = {"name": "home", "server": peer.server, "user": "bob", "password": "secret"}
    with FarEnd(lose_every=10, missing=3, wait=0.05) as far, RunningBox(account) as box:
        box.wait_registered("home")
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial("0142685300")
        invite = peer.expect("INVITE", 20)
        peer.reply(invite, 200, "OK", body=peer.sdp(far.port))
        peer.expect("ACK")
        box.state("talking")
        wait_until(lambda: far.reports >= 1, 20, "a sender report")
        time.sleep(1.5)
        box.phone.hangup()
        peer.reply(peer.expect("BYE"), 200)
        (record,) = box.calls()
        wait_until(lambda: box.calls()[0].get("quality") is not None, 5, "the measure")
        listed = subprocess.run(
            [sys.executable, "-m", "firmware", "calls", "--json", "--data", str(box.data)],
            check=True,
            capture_output=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        (told,) = json.loads(listed.stdout)
        (drawn,) = box.client.calls({"after": record["id"] - 1, "oldest_first": True, "limit": 1, "plot": True})
    peer.close()
    quality = told["quality"]
    assert told["end"] == "caller"
    assert "plot" not in told
    assert quality["word"] == "poor"
    assert quality["lost_received_percent"] == pytest.approx(10, abs=5)
    assert quality["lost_sent"] == 3
    assert quality["round_trip_ms"] >= 50
    assert 1 <= quality["mos"] < 3.6
    plot = drawn.get("plot")
    assert plot is not None
    assert len(plot["delay_ms"]) == len(plot["loss_percent"]) >= 1
