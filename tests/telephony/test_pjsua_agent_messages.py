"""Message waiting (RFC 3842) with a real stack: subscribed with the account's password, believed of its server only."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from firmware.telephony.agent import SipAccount, Transport
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_peer import Packet, SipPeer
from tests.fakes.sip_stream_peer import StreamRegistrar
from tests.system.peer_process import wait_until

_count = itertools.count(1)


@pytest.fixture
def stranger() -> Iterator[SipPeer]:
    peer = SipPeer("127.0.0.2")
    yield peer
    peer.close()


def bobs(provider: SipPeer, *, asks: bool = True) -> SipAccount:
    return SipAccount("home", provider.server, "bob", "secret", number="+33142685300", message_waiting=asks)


def notify(peer: SipPeer, box: AgentProcess, body: str, subscription: Packet | None = None, user: str = "bob") -> None:
    """A NOTIFY within the dialog of `subscription`, or unasked."""
    number = next(_count)
    origin, to = f"<sip:mailbox@{peer.host}>;tag=n{number}", f"<sip:{user}@{peer.host}>"
    call_id, target = f"mwi-{number}@{peer.host}", f"sip:{user}@{box.address[0]}:{box.address[1]}"
    if subscription is not None:
        message = subscription.message
        origin, to = f"{message.first('to')};tag=peer", message.first("from")
        call_id = message.call_id
        contact = re.search(r"<([^>]+)>", message.first("contact"))
        assert contact is not None
        target = contact[1]
    peer.send(
        f"NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/UDP {peer.server};branch=z9hG4bKn{number};rport\r\n"
        f"Max-Forwards: 70\r\nFrom: {origin}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {100 + number} NOTIFY\r\n"
        f"Contact: <sip:mailbox@{peer.server}>\r\nEvent: message-summary\r\nSubscription-State: active;expires=600\r\n"
        f"Content-Type: application/simple-message-summary\r\nContent-Length: {len(body)}\r\n\r\n{body}",
        box.address,
    )


def subscribed(provider: SipPeer) -> Packet:
    """The SUBSCRIBE that carries the right digest, answered; the one before it is challenged."""
    while True:
        asked = provider.expect("SUBSCRIBE")
        assert asked.raw("event") == "message-summary"
        if provider.authorized(asked, "authorization"):
            leaving = asked.raw("expires") == "0"  # the end of the subscription before this one
            provider.reply(asked, 200, headers=f"Expires: {0 if leaving else 600}\r\n")
            if leaving:
                continue
            return asked
        assert not asked.raw("authorization")
        provider.reply(asked, 401, headers=f"WWW-Authenticate: {provider.challenge()}\r\n")


def test_the_mailbox_is_asked_for_with_the_password_and_its_news_are_told_once(
    shared: AgentProcess, provider: SipPeer
) -> None:
    shared.accounts(bobs(provider))
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    asked = subscribed(provider)
    assert "application/simple-message-summary" in asked.raw("accept")
    # Where the server is stands in the request line alone; an account is known by user and domain (RFC 3261 19.1.1).
    for sent in (asked, *provider.registrations):
        assert {sent.raw(name).partition(";")[0] for name in ("from", "to")} == {"<sip:bob@127.0.0.1>"}
    body = "Messages-Waiting: yes\r\nMessage-Account: sip:bob@provider.example\r\nVoice-Message: 2/8 (0/2)\r\n"
    for _ in range(2):
        notify(provider, shared, body, asked)
        provider.expect(200)
    notify(provider, shared, "Messages-Waiting: no\r\nVoice-Message: 0/10\r\n", asked)
    provider.expect(200)
    assert shared.expect("MessagesWaiting") | {"kind": ""} == {
        "kind": "",
        "account": "home",
        "waiting": True,
        "new": 2,
        "old": 8,
    }
    told = shared.expect("MessagesWaiting")
    assert (told["waiting"], told["new"], told["old"]) == (False, 0, 10)


def test_a_server_that_tells_unasked_is_believed_and_a_stranger_or_another_user_is_not(
    shared: AgentProcess, provider: SipPeer, stranger: SipPeer
) -> None:
    shared.accounts(bobs(provider))
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    subscribed(provider)
    notify(stranger, shared, "Messages-Waiting: yes\r\n")
    assert stranger.nothing(0.5) == []
    notify(provider, shared, "Messages-Waiting: yes\r\n", user="eve")
    notify(provider, shared, "Messages-Waiting: yes\r\nVoice-Message: 1/0\r\n")
    provider.expect(200)
    told = shared.expect("MessagesWaiting")
    assert (told["waiting"], told["new"]) == (True, 1)


def test_an_account_that_does_not_ask_hears_nothing_and_one_that_stops_asking_has_no_messages(
    shared: AgentProcess, provider: SipPeer
) -> None:
    shared.accounts(bobs(provider))
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    asked = subscribed(provider)
    notify(provider, shared, "Messages-Waiting: yes\r\nVoice-Message: 3/0\r\n", asked)
    provider.expect(200)
    assert shared.expect("MessagesWaiting", new=3)["waiting"]
    shared.accounts(bobs(provider, asks=False))
    assert not shared.expect("MessagesWaiting", waiting=False)["waiting"]
    notify(provider, shared, "Messages-Waiting: yes\r\nVoice-Message: 4/0\r\n")
    provider.expect(200)
    shared.accounts(bobs(provider))  # had the last one been believed, it would have been told before this one
    asked = subscribed(provider)
    notify(provider, shared, "Messages-Waiting: yes\r\nVoice-Message: 5/0\r\n", asked)
    assert shared.expect("MessagesWaiting", waiting=True)["new"] == 5


def test_a_server_without_mailboxes_costs_nothing(shared: AgentProcess, provider: SipPeer) -> None:
    shared.accounts(bobs(provider))
    provider.reply(provider.expect("SUBSCRIBE"), 489, "Bad Event")
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    shared.accounts()


@pytest.mark.parametrize("explicit", [True, False])
def test_over_tcp_the_mailbox_is_asked_for_on_the_stream(shared: AgentProcess, explicit: bool) -> None:  # noqa: FBT001
    registrar = StreamRegistrar()
    server = f"127.0.0.1:{registrar.port}"
    # Without a port of its own the account goes by its proxy, as every request of it does.
    account = SipAccount("home", server, "bob", "x", transport=Transport.TCP, message_waiting=True)
    if not explicit:
        account = replace(account, server="provider.example", proxy=server)
    shared.accounts(account)
    shared.expect("RegistrationChanged", registered=True, sip_code=200)
    wait_until(lambda: bool(registrar.requests), 10, "the SUBSCRIBE")
    assert registrar.requests[0].method == "SUBSCRIBE"
    shared.accounts()
    registrar.close()
