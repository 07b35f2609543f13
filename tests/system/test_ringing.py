"""A box, its telephone and a provider that says what a test wants: rings, guard, polarity, messages, a dead core."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from firmware.fxs import country
from tests.fakes.sip_peer import Dialog, Packet, SipPeer
from tests.system.box import RunningBox
from tests.system.peer_process import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

NUMBER = "+33142685300"


@pytest.fixture
def provider() -> Iterator[SipPeer]:
    peer = SipPeer()
    yield peer
    peer.close()


def home(provider: SipPeer, **more: Any) -> dict[str, Any]:
    return {"name": "home", "server": provider.server, "user": "bob", "password": "secret", **more}


def where(provider: SipPeer) -> tuple[str, int]:
    """The box's address, from its registration."""
    found = re.search(r"@([0-9.]+):([0-9]+)", provider.contacts[-1])
    assert found is not None
    return found[1], int(found[2])


def calls_in(provider: SipPeer, box: RunningBox, alert_info: str = "") -> Dialog:
    """A call that makes the telephone ring."""
    header = f"Alert-Info: {alert_info}\r\n" if alert_info else ""
    dialog = provider.invite(where(provider), headers=header)
    provider.expect(180)
    box.phone.wait("ring", 10)
    return dialog


def bursts(box: RunningBox, seconds: float) -> list[float]:
    """On, off, on ... of the ring voltage, in milliseconds, as seen in `seconds`; no unfinished one."""
    changes: list[float] = []
    on, end = True, time.monotonic() + seconds
    last = time.monotonic()
    while time.monotonic() < end:
        if (box.phone.state()["ring_hz"] > 0) is not on:
            on = not on
            changes.append((time.monotonic() - last) * 1000)
            last = time.monotonic()
        time.sleep(0.01)
    return changes


def nearest(seen: list[float]) -> str:
    """The French ring that `seen` is nearest to."""
    rings = {"normal": country.load("FR").ring.cadence_ms, **country.load("FR").ring.patterns}

    def distance(name: str) -> float:
        cadence = rings[name]
        return sum(abs(ms - cadence[place % len(cadence)]) for place, ms in enumerate(seen))

    return min(rings, key=distance)


def test_the_providers_alert_info_chooses_the_ring_and_a_ring_that_nobody_answers_ends_480(provider: SipPeer) -> None:
    with RunningBox(home(provider), settings={"line.ring_limit_seconds": "10"}) as box:
        box.wait_registered("home")
        calls_in(provider, box, "<http://127.0.0.1/Bellcore-dr4>")
        seen = bursts(box, 2.6)
        assert nearest(seen) == "dr4", seen
        provider.expect(480, 20)
        (record,) = box.calls()
        assert (record["end"], record["sip_code"]) == ("no-answer", 480)
        wait_until(lambda: not box.phone.state()["ringing"], 10, "the bell to be still")


def test_the_telephone_goes_still_when_the_core_is_killed_in_mid_ring(provider: SipPeer) -> None:
    with RunningBox(home(provider)) as box:
        box.wait_registered("home")
        calls_in(provider, box)
        assert box.phone.state()["ring_hz"] > 0
        box.kill("core")

        def still() -> bool:
            state = box.phone.state()
            return not state["line_connected"] and state["ring_hz"] == 0 and not state["ringing"]

        wait_until(still, 10, "the ring voltage to be gone")


def answer(provider: SipPeer, invite: Packet) -> Dialog:
    """Take a call of the box."""
    provider.reply(invite, 200, body=provider.sdp(40_000))
    provider.expect("ACK")
    return provider.callee_dialog(invite)


def test_the_battery_is_reversed_from_the_answer_to_the_release_of_a_call_out(provider: SipPeer) -> None:
    with RunningBox(home(provider), settings={"line.polarity_reversal": "yes"}) as box:
        box.wait_registered("home")
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial("0142685300")
        invite = provider.expect("INVITE")
        provider.reply(invite, 180)
        box.phone.wait("ringback", 10)
        assert box.phone.state()["battery"] == "normal"
        dialog = answer(provider, invite)
        wait_until(lambda: box.phone.state()["battery"] == "reversed", 5, "the battery to be reversed")
        provider.request("BYE", where(provider), dialog)
        wait_until(lambda: box.phone.state()["battery"] == "normal", 5, "the battery to be normal")
        box.phone.hangup()


def test_a_called_party_hangs_up_lifts_again_and_is_still_connected(provider: SipPeer) -> None:
    with RunningBox(home(provider), settings={"line.hang_up_guard_seconds": "30"}) as box:
        box.wait_registered("home")
        dialog = calls_in(provider, box)
        box.phone.lift()
        ok = provider.expect(200)
        dialog.remote = ok.raw("to")
        provider.ack(where(provider), dialog)
        box.state("talking")
        box.phone.hangup()
        box.state("suspended")
        assert not [p for p in provider.nothing(0.5) if p.message.method == "BYE"]
        box.phone.lift()
        box.state("talking")
        box.phone.hangup()  # the second time it is over
        provider.reply(provider.expect("BYE"), 200)
        box.state("idle")
        assert box.calls()[0]["end"] == "callee"


def summary(provider: SipPeer, box_at: tuple[str, int], body: str, number: int) -> None:
    """A NOTIFY that nobody asked for (RFC 3842), of the account's own server."""
    provider.send(
        f"NOTIFY sip:bob@{box_at[0]}:{box_at[1]} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {provider.server};branch=z9hG4bKmwi{number};rport\r\nMax-Forwards: 70\r\n"
        f"From: <sip:mailbox@{provider.host}>;tag=m{number}\r\nTo: <sip:bob@{provider.host}>\r\n"
        f"Call-ID: mwi-{number}\r\nCSeq: 1 NOTIFY\r\nContact: <sip:mailbox@{provider.server}>\r\n"
        f"Event: message-summary\r\nSubscription-State: active\r\n"
        f"Content-Type: application/simple-message-summary\r\nContent-Length: {len(body)}\r\n\r\n{body}",
        box_at,
    )
    provider.expect(200)


def test_messages_at_the_provider_make_the_dial_tone_stutter_and_light_the_lamp(provider: SipPeer) -> None:
    with RunningBox(home(provider, message_waiting=True)) as box:
        box.wait_registered("home")
        provider.reply(provider.expect("SUBSCRIBE"), 489, "Bad Event")
        summary(provider, where(provider), "Messages-Waiting: yes\r\nVoice-Message: 2/0\r\n", 1)
        wait_until(lambda: box.phone.state()["messages"]["lamp"] is True, 20, "the lamp to be lit")
        assert box.phone.state()["messages"]["count"] == 2
        box.phone.lift()
        box.phone.wait("stutter-tone", 10)
        box.phone.hangup()
        summary(provider, where(provider), "Messages-Waiting: no\r\n", 2)
        wait_until(lambda: box.phone.state()["messages"]["lamp"] is False, 20, "the lamp to be out")
