"""The SIP agent's measure of real calls over loopback, with a far end that answers RTCP as it is told."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Self

import pytest

from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import Packet, SipPeer

_keys = itertools.count(1)
_SR, _RR = 200, 201  # RFC 3550 12.1


class FarEnd:
    """Echoes RTP, but for the packets whose number `loses` says; answers each sender report after `wait` seconds.

    Its receiver reports say that `missing` packets were lost; LSR as RFC 3550 6.4.1 wants it, and the least DLSR that
    the stack does not take for none: the wait is the network's.
    """

    def __init__(self, *, lose_every: int = 0, missing: int = 0, wait: float = 0.0) -> None:
        self.lose_every, self.missing, self.wait = lose_every, missing, wait
        self.reports = 0
        while True:  # an even port and the next one, both free
            self._rtp, self._rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            self._rtp.bind(("127.0.0.1", 0))
            self.port = self._rtp.getsockname()[1]
            with contextlib.suppress(OSError):
                if self.port % 2 == 0:
                    self._rtcp.bind(("127.0.0.1", self.port + 1))
                    break
            self._rtp.close()
            self._rtcp.close()
        self._ending = False
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._echo, self._report)]

    def __enter__(self) -> Self:
        for sock in (self._rtp, self._rtcp):
            sock.settimeout(0.2)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        for thread in self._threads:
            thread.join(2)
        self._rtp.close()
        self._rtcp.close()

    def _packets(self, sock: socket.socket) -> Iterator[tuple[bytes, tuple[str, int]]]:
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                yield sock.recvfrom(2000)

    def _echo(self) -> None:
        for packet, source in self._packets(self._rtp):
            number = struct.unpack(">H", packet[2:4])[0] if len(packet) > 12 else 0
            if packet[1] & 0x7F == 8 and not (self.lose_every and number % self.lose_every == 0):
                self._rtp.sendto(packet, source)

    def _report(self) -> None:
        for packet, source in self._packets(self._rtcp):
            if len(packet) < 28 or packet[1] != _SR:
                continue
            ours, ntp_high, ntp_low = struct.unpack(">III", packet[4:16])
            lsr = (ntp_high & 0xFFFF) << 16 | ntp_low >> 16
            time.sleep(self.wait)
            block = struct.pack(">IIIIII", ours, self.missing, 0, 0, lsr, 1)
            self._rtcp.sendto(struct.pack(">BBHI", 0x81, _RR, 7, 0xABCD) + block, source)
            self.reports += 1


@pytest.fixture(scope="module")
def box() -> Iterator[AgentProcess]:
    agent = AgentProcess()
    yield agent
    try:
        assert agent.call("errors") == 0
        agent.close()
    finally:
        agent.kill()


@pytest.fixture
def provider(box: AgentProcess) -> Iterator[SipPeer]:
    from tests.telephony.test_pjsua_agent import home  # noqa: PLC0415 its account, not its tests

    peer = SipPeer()
    box.accounts(home(peer))
    box.expect("RegistrationChanged", registered=True, sip_code=200)
    yield peer
    box.call("voice", False)  # noqa: FBT003 a method's name and argument as JSON
    box.accounts()
    peer.close()


def talk(box: AgentProcess, peer: SipPeer, far: FarEnd) -> tuple[int, Packet]:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    invite = peer.expect("INVITE")
    peer.reply(invite, 200, "OK", body=peer.sdp(far.port))
    peer.expect("ACK")
    box.expect("CallConfirmed", call=key)
    box.call("voice", True)  # noqa: FBT003
    box.call("connect", key, 1)
    return key, invite


def test_a_call_over_loopback_is_measured_with_losses_both_ways_and_its_round_trip(
    box: AgentProcess, provider: SipPeer
) -> None:
    with FarEnd(lose_every=20, missing=7, wait=0.08) as far:
        key, _ = talk(box, provider, far)
        limit = time.monotonic() + 20
        while far.reports < 2 and time.monotonic() < limit:
            time.sleep(0.1)
        time.sleep(1.0)
        box.call("end", key)
        # Before the far end has answered the BYE: the record must not wait for it.
        found = box.expect("CallMeasured", call=key)["quality"]
        provider.reply(provider.expect("BYE"), 200)
        box.expect("CallDisconnected", call=key)
    total = found["total"]
    assert (total["codec"], total["packet_ms"]) == ("PCMA/8000", 20.0)
    assert total["sent"] >= 100
    assert total["received"] + total["lost_here"] == pytest.approx(total["sent"], abs=10)
    assert 100 * total["lost_here"] / total["sent"] == pytest.approx(5.0, abs=1.5)
    assert total["lost_there"] == 7
    assert 80 <= total["round_trip_ms"] < 1000
    assert total["jitter_max_ms"] >= total["jitter_ms"] >= 0
    assert 0 < total["buffer_ms"] <= 500
    assert len(found["points"]) >= 2
    assert found["points"][-1]["delay_ms"] >= 80


def test_a_call_that_the_far_end_holds_and_ends_keeps_what_was_counted_before(
    box: AgentProcess, provider: SipPeer
) -> None:
    with FarEnd() as far:
        key, invite = talk(box, provider, far)
        time.sleep(1.5)
        dialog = provider.callee_dialog(invite)
        provider.request("INVITE", box.address, dialog, body=provider.sdp(far.port, direction="sendonly", version=2))
        held = provider.expect(200)
        provider.ack(box.address, dialog, cseq=dialog.cseq)
        assert "recvonly" in held.text or "inactive" in held.text
        box.expect("CallMedia", call=key, held=True)
        provider.request("BYE", box.address, dialog)
        provider.expect(200)
        total = box.expect("CallMeasured", call=key)["quality"]["total"]
        box.expect("CallDisconnected", call=key)
    assert total["received"] >= 50


def test_a_call_that_was_never_answered_is_not_measured(box: AgentProcess, provider: SipPeer) -> None:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    provider.reply(provider.expect("INVITE"), 486)
    box.expect("CallDisconnected", call=key)
    assert not [event for event in box.drain() if event["kind"] == "CallMeasured" and event["call"] == key]
