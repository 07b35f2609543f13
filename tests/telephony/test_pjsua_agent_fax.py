"""The SIP agent and faxes: what the far end is asked, what it may ask, and what becomes of the stream."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator

import pytest

from firmware.telephony.agent import SipAccount
from tests.fakes.agent_calls import hang_up
from tests.fakes.agent_process import AgentProcess
from tests.fakes.rtcp_far_end import FarEnd
from tests.fakes.sip_peer import Dialog, Packet, SipPeer

_keys = itertools.count(1)
T38 = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image 40100 udptl t38\r\n"
    "a=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\n"
    "a=T38FaxUdpEC:t38UDPRedundancy\r\n"
)


@pytest.fixture
def box(shared: AgentProcess, provider: SipPeer) -> Iterator[AgentProcess]:
    shared.drain()
    shared.accounts(SipAccount("home", provider.server, "bob", "secret", codecs=("G722", "PCMA")))
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    yield shared
    shared.call("voice", False)  # noqa: FBT003 a method's name and argument as JSON
    shared.accounts()


def talk(box: AgentProcess, peer: SipPeer, codecs: str, port: int = 40_000) -> tuple[int, Dialog]:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    invite = peer.expect("INVITE")
    peer.reply(invite, 200, "OK", body=peer.sdp(port, codecs=codecs))
    box.expect("CallConfirmed", call=key)
    peer.expect("ACK")
    return key, peer.callee_dialog(invite)


def offered(packet: Packet) -> list[str]:
    """The payload types of a session description, telephone events apart."""
    (kinds,) = re.findall(r"^m=audio \d+ RTP/AVP ([\d ]+)", packet.message.body, re.MULTILINE)
    return [kind for kind in kinds.split() if int(kind) < 96]


def asked(peer: SipPeer) -> Packet:
    invite = peer.expect("INVITE")
    assert ";tag=" in invite.raw("to")
    return invite


def agree(peer: SipPeer, invite: Packet, codecs: str = "8") -> None:
    peer.reply(invite, 200, "OK", body=peer.sdp(40_000, codecs=codecs, version=2))
    peer.expect("ACK")


def goes_on(peer: SipPeer, seconds: float = 0.4) -> bool:
    return not [p for p in peer.nothing(seconds) if p.message.method in {"BYE", "INVITE"}]


def test_a_fax_in_another_codec_asks_for_g711_and_nothing_else(box: AgentProcess, provider: SipPeer) -> None:
    key, _ = talk(box, provider, "9")
    box.expect("CallMedia", call=key, codec="G722/16000")
    box.call("fax", key)
    invite = asked(provider)
    assert offered(invite) == ["8", "0"]
    agree(provider, invite)
    box.expect("CallMedia", call=key, codec="PCMA/8000")
    assert goes_on(provider)
    hang_up(box, provider, key)


def test_a_fax_in_g711_stays_as_it_is(box: AgentProcess, provider: SipPeer) -> None:
    key, _ = talk(box, provider, "0")
    box.call("fax", key)
    box.call("fax", key)
    assert goes_on(provider)
    hang_up(box, provider, key)


def test_a_fax_heard_before_the_answer_asks_after_it(box: AgentProcess, provider: SipPeer) -> None:
    key = next(_keys)
    box.call("invite", key, "home", "0142685300")
    invite = provider.expect("INVITE")
    box.call("fax", key)
    provider.reply(invite, 200, "OK", body=provider.sdp(40_000, codecs="9"))
    agree(provider, asked(provider), "0")
    box.expect("CallMedia", call=key, codec="PCMU/8000")
    hang_up(box, provider, key)


def test_a_far_end_that_asks_for_g711_itself_is_heard_even_if_the_account_has_none(
    box: AgentProcess, provider: SipPeer
) -> None:
    box.accounts(SipAccount("home", provider.server, "bob", "secret", codecs=("G722",)))
    key, dialog = talk(box, provider, "9")
    provider.request("INVITE", box.address, dialog, body=provider.sdp(40_000, codecs="8", version=2))
    assert offered(provider.expect(200)) == ["8"]
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    box.expect("CallMedia", call=key, codec="PCMA/8000")
    hang_up(box, provider, key)


def test_both_ends_that_ask_at_once_agree_in_the_end(box: AgentProcess, provider: SipPeer) -> None:
    key, dialog = talk(box, provider, "9")
    box.call("fax", key)
    provider.reply(asked(provider), 491, "Request Pending")
    # The far end's own comes first, and there is nothing left to ask.
    provider.request("INVITE", box.address, dialog, body=provider.sdp(40_000, codecs="0 8", version=2))
    assert offered(provider.expect(200))[0] in {"0", "8"}
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    box.expect("CallMedia", call=key, codec="PCMU/8000")
    assert goes_on(provider, 4.2)
    hang_up(box, provider, key)


def test_a_far_end_that_will_have_no_g711_keeps_its_call_and_is_asked_once(
    box: AgentProcess, provider: SipPeer
) -> None:
    key, _ = talk(box, provider, "9")
    box.call("fax", key)
    provider.reply(asked(provider), 488, "Not Acceptable Here")
    assert goes_on(provider, 1.2)
    hang_up(box, provider, key)


def test_in_a_fax_an_offer_of_everything_is_answered_with_g711(box: AgentProcess, provider: SipPeer) -> None:
    key, dialog = talk(box, provider, "8")
    box.call("fax", key)
    provider.request("INVITE", box.address, dialog, body=provider.sdp(40_000, codecs="9 8", version=2))
    assert offered(provider.expect(200)) == ["8"]
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    hang_up(box, provider, key)


@pytest.mark.parametrize("fax", [False, True])
def test_t38_is_refused_and_the_call_goes_on_in_g711(box: AgentProcess, provider: SipPeer, fax: bool) -> None:  # noqa: FBT001
    key, dialog = talk(box, provider, "8")
    if fax:
        box.call("fax", key)
    provider.request("INVITE", box.address, dialog, body=T38)
    provider.expect(488)
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    assert goes_on(provider)
    # As a gateway does that was refused: its sound again.
    provider.request("INVITE", box.address, dialog, body=provider.sdp(40_000, codecs="8", version=3))
    assert offered(provider.expect(200)) == ["8"]
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    hang_up(box, provider, key)


def test_t38_beside_sound_is_left_out_of_the_answer(box: AgentProcess, provider: SipPeer) -> None:
    key, dialog = talk(box, provider, "8")
    both = provider.sdp(40_000, codecs="8", version=2) + T38[T38.index("m=image") :]
    provider.request("INVITE", box.address, dialog, body=both)
    answer = provider.expect(200)
    assert offered(answer) == ["8"]
    assert re.search(r"^m=image 0 ", answer.message.body, re.MULTILINE), answer.message.body
    provider.ack(box.address, dialog, cseq=dialog.cseq)
    hang_up(box, provider, key)


def test_a_call_that_is_t38_from_the_start_is_refused(box: AgentProcess, provider: SipPeer) -> None:
    provider.invite(box.address, body=T38)
    limit = time.monotonic() + 5
    while not (codes := [p.message.status for p in provider.received if p.message.status >= 200]):
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert codes[0] in {415, 488}
    assert not [event for event in box.drain() if event["kind"] == "IncomingCall"]


def silent_share(box: AgentProcess, count: int = 120) -> float:
    """How many of the frames that the line gets now hold nothing."""
    silent = 0
    for _ in range(count):
        silent += box.call("heard") == 0  # to the bit: `fxs.fax_holes` tells a hole by it
        time.sleep(0.0103)  # out of step with the packets
    return silent / count


def buffer_of(box: AgentProcess, peer: SipPeer, *, fax: bool) -> tuple[float, float]:
    """Of a call with a far end that echoes two packets of three: the share of silence, and the buffer's depth."""
    with FarEnd(lose_every=3) as far:
        key, _ = talk(box, peer, "8", far.port)
        box.call("voice", True)  # noqa: FBT003
        box.call("connect", key, 1)
        time.sleep(0.5)
        if fax:
            box.call("fax", key)
            time.sleep(0.5)
        share = silent_share(box)
        box.call("end", key)
        measured = box.expect("CallMeasured", call=key)["quality"]["total"]
        peer.reply(peer.expect("BYE"), 200)
        box.expect("CallDisconnected", call=key)
    return share, measured["buffer_max_ms"]


def test_a_fax_hears_losses_as_silence_behind_a_buffer_of_one_depth(box: AgentProcess, provider: SipPeer) -> None:
    share, depth = buffer_of(box, provider, fax=False)
    assert share < 0.1, "speech has its losses concealed"
    assert depth < 80
    share, depth = buffer_of(box, provider, fax=True)
    assert 0.2 < share < 0.5, "one packet of three is missing"
    assert depth >= 80
