"""What tests of the SIP agent do again and again: its account at a scripted provider, and the end of a call."""

from __future__ import annotations

from firmware.telephony.agent import SipAccount
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import SipPeer


def home(peer: SipPeer, **changes: object) -> SipAccount:
    """The account `home` of bob at `peer`."""
    fields: dict[str, object] = {"name": "home", "server": peer.server, "user": "bob", "password": "secret"}
    return SipAccount(**{**fields, **changes})  # type: ignore[arg-type]


def hang_up(box: AgentProcess, peer: SipPeer, key: int) -> None:
    """The box hangs up, the peer agrees, and the call is over."""
    box.call("end", key)
    peer.reply(peer.expect("BYE"), 200)
    box.expect("CallDisconnected", call=key)
