"""Keys and a dial in a call whose account sends digits in the voice: telephone to box to baresip, with real samples."""

from __future__ import annotations

import time

import pytest

from firmware.fxs import wav
from firmware.fxs.dtmf import measure
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Baresip, Kamailio
from tests.system.test_first_calls import NUMBER, USERS, account

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_a_far_end_without_telephone_events_hears_each_digit_once_keyed_or_dialled() -> None:
    with Kamailio(USERS, aliases={"+33142685300": "bob"}) as registrar:
        spoken = account(registrar, dtmf="inband", ptime=30)
        with (
            RunningBox(spoken) as box,
            Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}", audio="silence") as bob,
        ):
            box.wait_registered("home")
            box.phone.lift()
            box.phone.dial(NUMBER)
            bob.wait("CALL_ESTABLISHED")
            box.state("talking")
            box.phone.dial("58", on=90, off=90)
            box.phone.dial("4", pulse=True)
            time.sleep(1.0)  # the pause after a dial's digit, its tone, the network
            box.phone.hangup()
            bob.wait("CALL_CLOSED")
            (heard,) = bob.heard()
            assert "".join(span.digit for span in measure(wav.read(heard))) == "584"
            assert not [event for event in bob.events() if event["type"] == "CALL_DTMF_START"]
