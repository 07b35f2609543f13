from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.exchange.message import Message, SipSyntaxError, elements, parse
from firmware.exchange.proxy import Proxy
from firmware.exchange.registrar import Registrar
from tests.system.peer_probe import digest_answer

OWN = ("127.0.0.1", 5070)
AGENT = ("127.0.0.1", 6000)
BOX = ("127.0.0.1", 7000)
STRANGER = ("127.0.0.1", 8000)


def proxy() -> Proxy:
    return Proxy(OWN, AGENT, Registrar({"allobox": "secret"}, "allobox.test", b"key"))


def request(method: str, uri: str, *, user: str = "allobox", to: str = "", via: str = "box", extra: str = "") -> bytes:
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7000;rport;branch=z9hG4bK{via}\r\n"
        f"From: <sip:{user}@127.0.0.1>;tag=f\r\nTo: {to or f'<{uri}>'}\r\nCall-ID: c\r\nCSeq: 7 {method}\r\n"
        f"Contact: <sip:{user}@127.0.0.1:7000>\r\nMax-Forwards: 70\r\n{extra}\r\n"
    ).encode()


def only(outgoing: list[tuple[tuple[str, int], bytes]]) -> tuple[tuple[str, int], Message]:
    ((target, data),) = outgoing
    return target, parse(data)


def registration(front: Proxy, password: str, *, now: float = 10, expires: int = 60, contact: str = "") -> Message:
    extra = f"Expires: {expires}\r\n"
    register = {"uri": "sip:127.0.0.1:5070", "to": "<sip:allobox@127.0.0.1>"}
    _, challenged = only(front.handle(request("REGISTER", **register), BOX, now))
    assert challenged.start.startswith("SIP/2.0 401")
    answer = digest_answer(
        challenged.get("www-authenticate"), user="allobox", password=password, method="REGISTER", uri=register["uri"]
    )
    data = request("REGISTER", **register, extra=f"{extra}Authorization: {answer}\r\n")
    if contact:
        data = data.replace(b"<sip:allobox@127.0.0.1:7000>", contact.encode())
    return only(front.handle(data, BOX, now))[1]


def invited(
    front: Proxy, *, shown: str = "", user: str = "allobox", extra: str = "", knows: bool = True
) -> tuple[tuple[str, int], Message]:
    """INVITE, challenged and answered; `shown` is the address in From, if another than the user's."""
    uri = "sip:3699@127.0.0.1:5070"

    def invite(more: str) -> bytes:
        data = request("INVITE", uri, extra=extra + more)
        return data.replace(b"From: <sip:allobox@127.0.0.1>", f"From: <{shown}>".encode()) if shown else data

    _, challenged = only(front.handle(invite(""), BOX, 10))
    assert challenged.start.startswith("SIP/2.0 407")
    answer = digest_answer(
        challenged.get("proxy-authenticate"),
        user=user,
        password="secret" if knows else "wrong",
        method="INVITE",
        uri=uri,
    )
    return only(front.handle(invite(f"Proxy-Authorization: {answer}\r\n"), BOX, 10))


def test_the_right_password_registers_and_the_wrong_one_says_so() -> None:
    front = proxy()
    assert registration(front, "wrong").start == "SIP/2.0 403 Wrong user or password"
    assert front.registrar.bindings("allobox", 10) == []
    done = registration(front, "secret")
    assert done.start == "SIP/2.0 200 OK"
    assert done.get("contact") == "<sip:allobox@127.0.0.1:7000>;expires=60"
    assert [binding.source for binding in front.registrar.bindings("allobox", 69)] == [BOX]
    assert front.registrar.bindings("allobox", 71) == []


def test_a_telephone_that_leaves_is_forgotten() -> None:
    front = proxy()
    registration(front, "secret")
    registration(front, "secret", expires=0)
    assert front.registrar.bindings("allobox", 11) == []
    registration(front, "secret")
    registration(front, "secret", expires=0, contact="*")
    assert front.registrar.bindings("allobox", 11) == []


def test_contacts_are_few_and_the_newest_comes_first() -> None:
    front = proxy()
    for port in range(7001, 7010):
        registration(front, "secret", contact=f"<sip:allobox@127.0.0.1:{port}>")
    held = [binding.contact for binding in front.registrar.bindings("allobox", 11)]
    assert held == [f"sip:allobox@127.0.0.1:{port}" for port in (7009, 7008, 7007, 7006)]


@pytest.mark.parametrize("contact", ["*", "<sip:x@y>;expires=soon", "<tel:112>"])
def test_a_contact_that_makes_no_sense_is_refused_and_changes_nothing(contact: str) -> None:
    front = proxy()
    assert registration(front, "secret", contact=contact).start.startswith("SIP/2.0 400")
    assert front.registrar.bindings("allobox", 10) == []


def test_an_old_nonce_is_stale_and_a_forged_one_too() -> None:
    front = proxy()
    uri = "sip:127.0.0.1:5070"
    challenge = front.registrar.challenge(10)
    for when, nonce in ((400.0, challenge), (11.0, challenge.replace('nonce="', 'nonce="ff'))):
        answer = digest_answer(nonce, user="allobox", password="secret", method="REGISTER", uri=uri)
        data = request("REGISTER", uri, to="<sip:allobox@x>", extra=f"Authorization: {answer}\r\n")
        _, told = only(front.handle(data, BOX, when))
        assert told.start.startswith("SIP/2.0 401")
        assert "stale=true" in told.get("www-authenticate")


def test_a_call_of_a_known_user_reaches_the_agent_without_its_credentials_and_by_our_way() -> None:
    target, passed = invited(proxy())
    assert target == AGENT
    assert passed.uri == "sip:3699@127.0.0.1:5070"
    vias = elements(passed.all("via"))
    assert vias[0].startswith("SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK")
    assert vias[1].endswith("received=127.0.0.1;rport=7000")
    assert passed.get("record-route") == "<sip:127.0.0.1:5070;lr>"
    assert passed.get("max-forwards") == "69"
    assert passed.get("proxy-authorization") == ""


def test_a_retransmission_and_a_cancel_take_the_same_branch() -> None:
    front = proxy()
    _, invite = invited(front)
    _, again = invited(front)
    _, cancel = only(front.handle(request("CANCEL", "sip:3699@127.0.0.1:5070"), BOX, 10))
    branches = {elements(passed.all("via"))[0] for passed in (invite, again, cancel)}
    assert len(branches) == 1
    _, other = only(front.handle(request("CANCEL", "sip:3699@127.0.0.1:5070", via="other"), BOX, 10))
    assert elements(other.all("via"))[0] not in branches


@pytest.mark.parametrize("shown", ["sip:mallory@127.0.0.1", "sip:anonymous@anonymous.invalid", ""])
def test_strangers_are_asked_for_a_password_and_call_nobody(shown: str) -> None:
    _, told = invited(proxy(), shown=shown, user="mallory")
    assert told.start == "SIP/2.0 403 Wrong user or password"
    _, told = invited(proxy(), shown=shown, knows=False)
    assert told.start == "SIP/2.0 403 Wrong user or password"


@pytest.mark.parametrize("shown", ["sip:anonymous@anonymous.invalid", "sip:Anonymous@127.0.0.1"])
def test_who_hides_the_number_calls_by_the_password_and_the_exchange_knows_who_it_is(shown: str) -> None:
    hidden = "Privacy: id\r\nP-Preferred-Identity: <sip:allobox@127.0.0.1:5070>\r\n"
    target, passed = invited(proxy(), shown=shown, extra=hidden)
    assert target == AGENT
    assert passed.get("from") == f"<{shown}>;tag=f"
    assert passed.get("privacy") == "id"
    assert passed.all("p-asserted-identity") == ["<sip:allobox@127.0.0.1:5070>"]
    assert passed.get("p-preferred-identity") == ""


def test_nobody_asserts_to_be_somebody_else() -> None:
    _, passed = invited(proxy(), extra="P-Asserted-Identity: <sip:mamie@127.0.0.1>\r\n")
    assert passed.all("p-asserted-identity") == ["<sip:allobox@127.0.0.1:5070>"]
    _, told = invited(proxy(), shown="sip:mallory@127.0.0.1")
    assert told.start == "SIP/2.0 403 From names another user"


def test_the_ack_of_our_own_refusal_ends_here() -> None:
    front = proxy()
    _, refused = only(front.handle(request("INVITE", "sip:3699@127.0.0.1:5070"), BOX, 10))
    assert front.handle(request("ACK", "sip:3699@127.0.0.1:5070", to=refused.get("to")), BOX, 10) == []


def test_a_response_goes_back_the_way_the_request_came() -> None:
    front = proxy()
    _, invite = invited(front)
    lines = "\r\n".join(f"{name}: {value}" for name, value in invite.headers if name != "Contact")
    target, passed = only(front.handle(f"SIP/2.0 180 Ringing\r\n{lines}\r\n\r\n".encode(), AGENT, 10))
    assert target == BOX
    assert len(elements(passed.all("via"))) == 1
    assert passed.get("record-route") == "<sip:127.0.0.1:5070;lr>"


def test_a_response_to_nothing_of_ours_is_dropped() -> None:
    data = request("INVITE", "sip:x").replace(b"INVITE sip:x SIP/2.0", b"SIP/2.0 200 OK", 1)
    assert proxy().handle(data, STRANGER, 10) == []


def test_the_agent_calls_a_registered_telephone_at_its_contact() -> None:
    front = proxy()
    data = request("INVITE", "sip:allobox@127.0.0.1:5070", user="+33142685300")
    assert only(front.handle(data, AGENT, 10))[1].start.startswith("SIP/2.0 480")
    registration(front, "secret", contact="<sip:allobox@127.0.0.1:7000;ob>")
    target, passed = only(front.handle(data, AGENT, 11))
    assert target == BOX
    assert passed.uri == "sip:allobox@127.0.0.1:7000;ob"


def test_requests_within_a_call_follow_its_route_both_ways() -> None:
    front = proxy()
    registration(front, "secret")
    route = "Route: <sip:127.0.0.1:5070;lr>\r\n"
    bye = request("BYE", "sip:exchange@127.0.0.1:6000", to="<sip:3699@x>;tag=t", extra=route)
    target, passed = only(front.handle(bye, BOX, 11))
    assert (target, passed.get("route"), passed.get("record-route")) == (AGENT, "", "")
    target, _ = only(front.handle(request("BYE", "sip:allobox@127.0.0.1:7000", to="<sip:a@b>;tag=t"), AGENT, 11))
    assert target == BOX


def test_the_front_relays_to_nobody_else() -> None:
    front = proxy()
    registration(front, "secret")
    for data, source in (
        (request("BYE", "sip:x@192.0.2.1", to="<sip:a@b>;tag=t"), AGENT),
        (request("BYE", "sip:x@example.org", to="<sip:a@b>;tag=t"), AGENT),
        (request("OPTIONS", "sip:x@127.0.0.1", extra="Route: <sip:192.0.2.1;lr>\r\n"), BOX),
    ):
        target, told = only(front.handle(data, source, 11))
        assert target == source
        assert told.start.split()[1] in {"400", "403"}


def test_a_loop_ends() -> None:
    data = request("INVITE", "sip:3699@127.0.0.1:5070").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    assert only(proxy().handle(data, BOX, 10))[1].start == "SIP/2.0 483 Too Many Hops"


def test_a_keep_alive_gets_no_answer_and_options_do() -> None:
    assert proxy().handle(b"\r\n\r\n", BOX, 10) == []
    assert only(proxy().handle(request("OPTIONS", "sip:127.0.0.1:5070"), BOX, 10))[1].start == "SIP/2.0 200 OK"


_WHOLE = request("INVITE", "sip:3699@127.0.0.1:5070", extra="Route: <sip:127.0.0.1:5070;lr>\r\n")


@given(st.integers(0, len(_WHOLE)), st.binary(max_size=12), st.integers(0, 30), st.sampled_from([BOX, AGENT]))
def test_a_damaged_message_is_answered_relayed_or_refused_but_breaks_nothing(
    place: int, put: bytes, cut: int, source: tuple[str, int]
) -> None:
    front = proxy()
    with contextlib.suppress(SipSyntaxError):
        for target, _ in front.handle(_WHOLE[:place] + put + _WHOLE[place + cut :], source, 10):
            assert target[0] == "127.0.0.1"
