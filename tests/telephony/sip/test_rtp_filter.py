"""Strangers' RTP: the kernel's filter on a socket, and a call that a stranger cannot move to himself."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from firmware.telephony.agent import SipAccount
from firmware.telephony.sip.rtp_filter import admit_all, admit_only
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import RtpEcho, SipPeer

STRANGER = "127.0.0.77"
ANYWHERE = "0.0.0.0"  # noqa: S104 as the stack binds without a setting
PCMA = 8


def opened(host: str, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.settimeout(0.2)
    return made


def passes(sender: socket.socket, receiver: socket.socket, to: str) -> bool:
    sender.sendto(b"sound", (to, receiver.getsockname()[1]))
    try:
        return bool(receiver.recvfrom(100)[1] == sender.getsockname())
    except TimeoutError:
        return False


def test_only_the_admitted_host_reaches_the_socket_until_all_do() -> None:
    with opened(ANYWHERE) as ours, opened("127.0.0.1") as peer, opened(STRANGER) as stranger:
        port = ours.getsockname()[1]
        assert admit_only({port}, "127.0.0.1") == 1
        assert passes(peer, ours, "127.0.0.1")
        assert not passes(stranger, ours, "127.0.0.1")
        assert admit_only({port}, STRANGER) == 1, "a second filter replaces the first"
        assert passes(stranger, ours, "127.0.0.1")
        assert not passes(peer, ours, "127.0.0.1")
        admit_all({port})
        admit_all({port})
        assert passes(peer, ours, "127.0.0.1")
        assert passes(stranger, ours, "127.0.0.1")
        assert ours.getsockname()[1] == port


def test_an_ipv6_host_is_told_by_its_whole_address() -> None:
    with opened("::1", socket.AF_INET6) as ours, opened("::1", socket.AF_INET6) as peer:
        port = ours.getsockname()[1]
        assert admit_only({port}, "::1:0:0:1") == 1
        peer.sendto(b"sound", ("::1", port))
        with pytest.raises(TimeoutError):
            ours.recv(100)
        assert admit_only({port}, "::1") == 1
        peer.sendto(b"sound", ("::1", port))
        assert ours.recv(100) == b"sound"


def test_sockets_of_other_ports_and_families_are_left_alone() -> None:
    with opened(ANYWHERE) as ours, opened(ANYWHERE) as other, opened(STRANGER) as stranger:
        assert admit_only({ours.getsockname()[1]}, "::1") == 0
        assert admit_only({ours.getsockname()[1]}, "127.0.0.1") == 1
        assert passes(stranger, other, "127.0.0.1")


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match=r"example\.org"):
        admit_only({5}, "example.org")


@pytest.fixture
def box() -> Iterator[AgentProcess]:
    agent = AgentProcess()
    yield agent
    try:
        assert agent.call("errors") == 0
        agent.close()
    finally:
        agent.kill()


def test_a_stranger_who_sends_rtp_gets_nothing_and_the_far_end_is_still_heard(box: AgentProcess) -> None:
    provider = SipPeer()
    box.accounts(SipAccount(name="home", server=provider.server, user="bob", password="secret"))
    box.expect("RegistrationChanged", account="home", registered=True, sip_code=200)
    with RtpEcho() as echo, opened(STRANGER) as stranger:
        box.call("invite", 1, "home", "0142685300")
        invite = provider.expect("INVITE")
        port = next(int(line.split()[1]) for line in invite.message.body.splitlines() if line.startswith("m=audio"))
        provider.reply(invite, 200, "OK", body=provider.sdp(echo.port))
        provider.expect("ACK")
        box.call("voice", "on")
        box.call("connect", 1)
        until(lambda: len(echo.seen) > 150)  # three seconds: the far end's host is known
        for number in range(300):
            stranger.sendto(
                struct.pack("!BBHII", 0x80, PCMA, number, 160 * number, 77) + bytes(160), ("127.0.0.1", port)
            )
        heard = len(echo.seen)
        with pytest.raises(TimeoutError):
            stranger.recv(2000)
        until(lambda: len(echo.seen) > heard + 50)
        assert float(box.call("heard")) > 20e6
        # The far end itself moves the call: now it is its new host that is served, and heard.
        dialog, moved = provider.callee_dialog(invite), stranger.getsockname()[1]
        provider.request("INVITE", box.address, dialog, body=provider.sdp(moved, version=2, ip=STRANGER))
        provider.expect(200)
        provider.ack(box.address, dialog, cseq=dialog.cseq)
        box.call("connect", 1)
        for _ in range(150):
            stranger.sendto(stranger.recv(2000), ("127.0.0.1", port))
        assert float(box.call("heard")) > 20e6
        box.call("voice", "")
        box.call("end", 1)
        provider.reply(provider.expect("BYE"), 200)
        box.expect("CallDisconnected", call=1)
    provider.close()


def until(done: object) -> None:
    assert callable(done)
    limit = time.monotonic() + 15
    while not done():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.02)
