"""Bars, PINs and sums with a real core, a simulated telephone and a real peer; and a core that is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.offline import offline
from firmware.rates.deck import import_csv
from firmware.service import ServiceError
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Baresip, Kamailio, wait_until
from tests.system.test_first_calls import USERS, account

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

PREMIUM, E164 = "0899123456", "+33899123456"
CAP = "class:premium month 5.00"


def priced(box: RunningBox, folder: Path) -> None:
    """A deck in which a premium number costs a euro for the call."""
    file = folder / "deck.csv"
    file.write_text(
        "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment\n33899,SVA,0.60,1.00,60,60\n"
    )
    report = import_csv(file, box.data / "decks", "deck", currency="EUR")
    assert report.file is not None, report.lines()
    with offline(box.data) as office:
        office.activate_deck(report.file.name, report.name, None)


def dial(box: RunningBox, digits: str) -> None:
    box.phone.hangup()
    box.state("idle")
    box.phone.lift()
    box.phone.wait("dial-tone", 10)
    box.phone.dial(digits)


def invites(box: RunningBox) -> set[str]:
    sent = [row for row in box.client.trace(200) if row["outgoing"] and row["summary"].startswith("INVITE")]
    return {row["call_id"] for row in sent}


def test_a_premium_number_waits_for_its_pin_is_counted_told_and_remembered(tmp_path: Path) -> None:
    settings = {"calls.caps": CAP, "calls.announce_above": "off"}
    with (
        Kamailio(USERS, aliases={E164: "bob"}) as registrar,
        Baresip("bob", "pw-bob", f"{LOOPBACK}:{registrar.port}") as bob,
    ):
        box = RunningBox(account(registrar), settings=settings)
        priced(box, tmp_path)
        with box:
            box.wait_registered("home")
            # However it is dialled, it is refused before anything leaves.
            dial(box, "*31*" + PREMIUM)
            box.state("treatment")
            box.phone.hangup()
            box.state("idle")
            assert invites(box) == set()
            (alert,) = box.client.alerts(0, 10)
            assert (alert["kind"], alert["number"], alert["reason"]) == ("refused", E164, "premium-barred")

            with pytest.raises(ServiceError, match="4 to 12 digits"):
                box.client.set_pin("Zoé", "12", ["premium"], [])
            box.client.set_pin("Zoé", "2468", ["premium"], [])
            wait_until(lambda: "announcements ready" in box.log(), 60, "the announcements to be spoken")
            dial(box, PREMIUM)
            box.state("pin")
            box.phone.dial("1357#")
            box.phone.wait("voice", 10)
            assert invites(box) == set()
            box.phone.dial("2468#")
            bob.wait("CALL_ESTABLISHED")
            box.state("talking")
            (cap,) = box.client.budgets()["caps"]
            assert (cap["spent"], cap["held"]) == ("0.0000", "5.2000"), "a fee and six minutes; a late cut, a seventh"
            box.phone.hangup()
            box.state("idle")
            wait_until(lambda: box.calls()[0]["end"] == "caller", 10, "the record")
            record = box.calls()[0]
            assert (record["class"], record["pin"], record["cost"]) == ("premium", "Zoé", "1.6000")
            assert "2468" not in (box.data / "core.log").read_text(errors="replace")
            assert b"2468" not in (box.data / "box.db").read_bytes()

            box.kill("core")
            box.run("core", "--simulate")
            wait_until(lambda: remembered(box), 30, "the new core to know what was spent")


def remembered(box: RunningBox) -> bool:
    try:
        (cap,) = box.client.budgets()["caps"]
    except ServiceError:
        return False
    return (cap["spent"], cap["percent"]) == ("1.6000", 32)
