"""The SIP agent called: by its provider, and by strangers who must not be heard."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware.telephony.agent import FIRST_INCOMING_KEY, SipAccount, Transport
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import Dialog, SipPeer
from tests.fakes.sip_stream_peer import StreamRegistrar


@pytest.fixture
def stranger() -> Iterator[SipPeer]:
    """Somebody at another address of the network."""
    peer = SipPeer("127.0.0.2")
    yield peer
    peer.close()


@pytest.fixture
def box(shared: AgentProcess, provider: SipPeer) -> Iterator[AgentProcess]:
    shared.drain()
    account = SipAccount("home", provider.server, "bob", "secret", number="+33142685300")
    shared.accounts(account)
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    yield shared
    shared.accounts()
    time.sleep(0.1)


def offered(box: AgentProcess, peer: SipPeer, **options: str) -> tuple[Dialog, dict[str, Any]]:
    """A call that the box has taken.

    The box takes eight INVITEs a second and says nothing to more of them; a test before this one may have sent
    those. A real caller repeats himself after half a second, and so does this one.
    """
    dialog = peer.invite(box.address, **options)
    for _ in range(4):
        with contextlib.suppress(AssertionError):
            return dialog, box.expect("IncomingCall", timeout=1.0, call_id=dialog.call_id)
        peer.repeat(box.address, dialog)
    return dialog, box.expect("IncomingCall", call_id=dialog.call_id)


def refused(box: AgentProcess, peer: SipPeer, code: int, **options: str) -> None:
    """A call that the box refuses; repeated as in `offered`."""
    dialog = peer.invite(box.address, **options)
    for _ in range(4):
        with contextlib.suppress(AssertionError):
            peer.expect(code, timeout=1.0)
            return
        peer.repeat(box.address, dialog)
    peer.expect(code)


def remember(dialog: Dialog, answer_to: str, contact: str) -> None:
    """Take the far tag and target from the 200."""
    dialog.remote = answer_to
    match = re.search(r"<([^>]+)>", contact)
    assert match is not None
    dialog.target = match[1]


def answered(box: AgentProcess, peer: SipPeer, dialog: Dialog, key: object, *, late_sdp: bool = False) -> None:
    box.call("answer", key)
    ok = peer.expect(200)
    assert ok.message.has_sdp
    remember(dialog, ok.raw("to"), ok.raw("contact"))
    peer.ack(box.address, dialog, body=peer.sdp(40_000) if late_sdp else "")
    box.expect("CallConfirmed", call=key)


def test_an_invite_of_the_provider_is_offered_rung_answered_and_ended(box: AgentProcess, provider: SipPeer) -> None:
    dialog, event = offered(box, provider)
    assert event["account"] == "home"
    assert event["caller"] == {"number": "0142685300", "name": "Alice", "absence": None}
    key = event["call"]
    assert key >= FIRST_INCOMING_KEY
    box.call("ring", key)
    provider.expect(180)
    answered(box, provider, dialog, key)
    provider.request("BYE", box.address, dialog)
    provider.expect(200)
    over = box.expect("CallDisconnected", call=key)
    assert (over["sip_code"], over["by_us"]) == (200, False)


def test_alert_info_comes_along_from_all_its_headers_bounded_and_clean(box: AgentProcess, provider: SipPeer) -> None:
    headers = "Alert-Info: <http://a/\x01ring.wav>\r\nAlert-Info: <urn:alert:source:internal>\r\n"
    dialog, event = offered(box, provider, headers=headers + f"Alert-Info: <http://{'x' * 900}>\r\n")
    assert event["alert_info"].startswith("<http://a/ring.wav>, <urn:alert:source:internal>, <http://xxx")
    assert len(event["alert_info"]) == 512
    provider.cancel(box.address, dialog)
    box.expect("CallDisconnected", call=event["call"])


def test_a_late_offer_is_answered_in_the_ack(box: AgentProcess, provider: SipPeer) -> None:
    dialog, event = offered(box, provider, body="")
    answered(box, provider, dialog, event["call"], late_sdp=True)
    assert box.expect("CallMedia", call=event["call"])["codec"] == "PCMA/8000"
    box.call("end", event["call"])
    provider.reply(provider.expect("BYE"), 200)
    box.expect("CallDisconnected", call=event["call"])


def test_a_caller_who_gives_up_is_withdrawn(box: AgentProcess, provider: SipPeer) -> None:
    dialog, event = offered(box, provider)
    box.call("ring", event["call"])
    provider.expect(180)
    # CANCEL goes with the branch of its INVITE (RFC 3261 9.1).
    provider.cancel(box.address, dialog)
    provider.expect(487)
    over = box.expect("CallDisconnected", call=event["call"])
    assert (over["sip_code"], over["by_us"]) == (487, False)


def test_a_call_that_another_telephone_took_is_not_a_missed_one(box: AgentProcess, provider: SipPeer) -> None:
    dialog, event = offered(box, provider)
    box.call("ring", event["call"])
    provider.expect(180)
    provider.cancel(box.address, dialog, headers='Reason: SIP;cause=200;text="Call completed elsewhere"\r\n')
    provider.expect(487)
    assert box.expect("CallDisconnected", call=event["call"])["sip_code"] == 200


@pytest.mark.parametrize(("wanted", "code"), [(0, 603), (486, 486), (480, 480)])
def test_a_call_is_refused_with_the_code_asked(box: AgentProcess, provider: SipPeer, wanted: int, code: int) -> None:
    _, event = offered(box, provider)
    box.call("end", event["call"], wanted)
    provider.expect(code)
    assert box.expect("CallDisconnected", call=event["call"])["by_us"] is True


def test_asserted_identity_beats_from_and_privacy_beats_both(box: AgentProcess, provider: SipPeer) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ('P-Asserted-Identity: "Mairie" <sip:+33199001234@x>\r\n', {"number": "+33199001234", "name": "Mairie"}),
        ("P-Asserted-Identity: <tel:+33199001234>\r\nPrivacy: id\r\n", {"number": None, "absence": "P"}),
    ]
    for headers, expected in cases:
        _, event = offered(box, provider, headers=headers)
        caller = event["caller"]
        assert {k: caller[k] for k in expected} == expected
        box.call("end", event["call"])
        box.expect("CallDisconnected", call=event["call"])


def test_a_call_to_the_accounts_number_is_ours_and_to_another_is_nobodys(box: AgentProcess, provider: SipPeer) -> None:
    _, event = offered(box, provider, user="0142685300")
    box.call("end", event["call"])
    box.expect("CallDisconnected", call=event["call"])
    provider.nothing(0.2)
    provider.invite(box.address, user="1000")
    assert provider.nothing(1.0) == []
    assert not [e for e in box.drain() if e["kind"] == "IncomingCall"]


def test_a_stranger_gets_no_ring_no_answer_and_no_slot(box: AgentProcess, stranger: SipPeer) -> None:
    for _ in range(6):
        stranger.invite(box.address)
    stranger.send(
        f"OPTIONS sip:bob@{box.address[0]} SIP/2.0\r\nVia: SIP/2.0/UDP {stranger.server};branch=z9hG4bKo\r\n"
        "From: <sip:s@s>;tag=1\r\nTo: <sip:bob@b>\r\nCall-ID: scan\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        box.address,
    )
    assert stranger.nothing(1.0) == []
    told = box.expect("CallsRefused", timeout=70)
    assert int(told["count"]) >= 7
    assert "127.0.0.2" in str(told["example"])
    assert not [e for e in box.drain() if e["kind"] == "IncomingCall"]


def test_the_provider_is_heard_after_a_flood(box: AgentProcess, provider: SipPeer, stranger: SipPeer) -> None:
    for _ in range(300):
        stranger.invite(box.address)
    time.sleep(0.5)  # this provider does not repeat what the socket's full buffer lost
    _, event = offered(box, provider)
    box.call("end", event["call"])
    box.expect("CallDisconnected", call=event["call"])
    assert stranger.nothing(0.1) == []


def test_our_bye_challenged_by_a_caller_brings_him_no_digest(box: AgentProcess, provider: SipPeer) -> None:
    dialog, event = offered(box, provider)
    answered(box, provider, dialog, event["call"])
    box.call("end", event["call"])
    bye = provider.expect("BYE")
    header = f"Proxy-Authenticate: {provider.challenge()}\r\n"
    provider.reply(bye, 407, "Proxy Authentication Required", headers=header)
    box.expect("CallDisconnected", call=event["call"])
    provider.nothing(1.0)
    assert not [p for p in provider.received if p.message.method == "BYE" and "authorization" in p.text.lower()]


def test_the_last_slot_stays_free_of_incoming_calls(box: AgentProcess, provider: SipPeer) -> None:
    events = [offered(box, provider)[1] for _ in range(3)]
    refused(box, provider, 486)
    assert not [e for e in box.drain() if e["kind"] == "IncomingCall"]
    for event in events:
        box.call("end", event["call"])
        box.expect("CallDisconnected", call=event["call"])


def test_auto_answer_headers_answer_nothing(box: AgentProcess, provider: SipPeer) -> None:
    headers = "Alert-Info: <http://x>;info=alert-autoanswer\r\nCall-Info: <sip:x>;answer-after=0\r\n"
    _, event = offered(box, provider, headers=headers)
    assert "alert-autoanswer" in str(event["alert_info"])
    assert not [p for p in provider.nothing(0.7) if p.message.status == 200]
    box.call("end", event["call"])
    box.expect("CallDisconnected", call=event["call"])


def test_a_hostile_name_arrives_bounded_and_visible(box: AgentProcess, provider: SipPeer) -> None:
    caller = f'"\u202e\x07{"A" * 400}" <sip:0142685300@x>'
    _, event = offered(box, provider, caller=caller)
    got = event["caller"]
    assert got["name"] == "A" * 128
    box.call("end", event["call"])
    box.expect("CallDisconnected", call=event["call"])


def test_forty_calls_in_a_row_leave_nothing_behind(box: AgentProcess, provider: SipPeer) -> None:
    threads = _threads(box.pid)
    for _ in range(40):
        dialog, event = offered(box, provider)
        answered(box, provider, dialog, event["call"])
        provider.request("BYE", box.address, dialog)
        provider.expect(200)
        box.expect("CallDisconnected", call=event["call"])
        time.sleep(0.2)  # the box takes eight a second, counted when it reads them: one read late counts with the next
    assert _threads(box.pid) == threads
    assert _sockets(box.pid) < 12


def test_a_burst_of_calls_is_held_back_and_harms_nothing(box: AgentProcess, provider: SipPeer) -> None:
    time.sleep(1.1)
    dialogs = [provider.invite(box.address) for _ in range(60)]
    for dialog in dialogs:
        provider.cancel(box.address, dialog)
    time.sleep(1.1)
    box.drain()
    provider.nothing(0.1)
    _, event = offered(box, provider)
    box.call("end", event["call"])
    box.expect("CallDisconnected", call=event["call"])


def test_over_tcp_a_burst_is_answered_503(box: AgentProcess) -> None:
    """Nobody repeats an INVITE over a stream: the guard's own answer, without a call made of it."""
    registrar = StreamRegistrar()
    box.accounts(SipAccount("tcp", f"127.0.0.1:{registrar.port}", "bob", "", transport=Transport.TCP))
    box.expect("RegistrationChanged", account="tcp", registered=True)
    for number in range(12):
        registrar.send(
            f"INVITE sip:bob@box SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKt{number}\r\n"
            f"From: <sip:x@y>;tag={number}\r\nTo: <sip:bob@y>\r\nCall-ID: tcp-{number}\r\nCSeq: 1 INVITE\r\n"
            "Contact: <sip:x@127.0.0.1;transport=tcp>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    limit = time.monotonic() + 8
    while time.monotonic() < limit and len([a for a in registrar.answers if a.status >= 400]) < 9:
        time.sleep(0.02)
    codes = {a.call_id: a.status for a in registrar.answers if a.status >= 400}
    assert [codes.get(f"tcp-{n}") for n in range(8, 12)] == [503] * 4
    for _ in range(3):  # those that were let in
        call = box.expect("IncomingCall", account="tcp")["call"]
        box.call("end", call)
        box.expect("CallDisconnected", call=call)
    registrar.close()


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _sockets(pid: int) -> int:
    """Open sockets: each lingering call would hold two."""
    time.sleep(1.0)
    return sum("socket:" in str(f.readlink()) for f in Path(f"/proc/{pid}/fd").iterdir() if f.is_symlink())


def test_an_offerless_invite_for_which_no_slot_is_left_is_refused_and_harms_nobody(
    box: AgentProcess, provider: SipPeer
) -> None:
    """pjsua2 2.15.1 may abort when an INVITE without SDP is refused inside its own callback."""
    events = [offered(box, provider)[1] for _ in range(3)]
    for _ in range(3):
        refused(box, provider, 486, body="")
    for event in events:
        box.call("end", event["call"], 480)
        provider.expect(480)
        box.expect("CallDisconnected", call=event["call"])
    _, event = offered(box, provider)
    box.call("end", event["call"])


def test_an_ack_that_belongs_to_no_dialog_does_not_end_the_process(box: AgentProcess, provider: SipPeer) -> None:
    """The wheel's own handler answers it, which it asserts never to do."""
    dialog, event = offered(box, provider)
    call = event["call"]
    for cseq in (1, 2):
        provider.ack(box.address, dialog, cseq=cseq)
    for tag in ("", ";tag=x"):
        provider.ack(box.address, Dialog("nobody", dialog.local, dialog.remote + tag, dialog.target))
    box.call("answer", call)
    dialog.remote = provider.expect(200).raw("to")
    provider.ack(box.address, dialog)
    box.expect("CallConfirmed", call=call)
    box.call("end", call)
    provider.reply(provider.expect("BYE"), 200)
