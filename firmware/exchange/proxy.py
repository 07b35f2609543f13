"""The exchange's front as a pure function: datagram in, datagrams out.

It answers REGISTER itself and passes everything else between the registered telephones and the
exchange's own user agent, as a stateless proxy (RFC 3261, 16.11) that stays in the way of every
request (Record-Route): a box sees one address for registrar and calls. It relays to nobody else.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, replace

from firmware.exchange.message import (
    DEFAULT_PORT,
    Address,
    Message,
    SipSyntaxError,
    Uri,
    elements,
    parameters,
    parse,
    parse_uri,
    tag,
)
from firmware.exchange.registrar import Registrar, Verdict, response

Outgoing = list[tuple[Address, bytes]]


class _RefusedError(Exception):
    """The request gets this final response of our own."""

    def __init__(self, code: int, phrase: str, headers: list[tuple[str, str]] | None = None) -> None:
        super().__init__(f"{code} {phrase}")
        self.code, self.phrase, self.headers = code, phrase, headers


@dataclass(slots=True)
class Proxy:
    """`own`: the address that clients know. `agent`: the exchange's user agent behind it."""

    own: Address
    agent: Address
    registrar: Registrar

    @property
    def _tag(self) -> str:
        """To tag of responses of our own, by which we know the ACK to them (RFC 3261, 8.2.7)."""
        return "front" + hashlib.sha256(self.registrar.secret).hexdigest()[:12]

    def handle(self, data: bytes, source: Address, now: float) -> Outgoing:
        """What to send because of a datagram. SipSyntaxError if it is no SIP: nothing is sent then."""
        if not data.strip(b"\r\n\0"):
            return []  # keep-alive
        message = parse(data)
        if message.is_response:
            return self._pass_back(message)
        message = self._note_source(message, source)
        try:
            return self._forward(message, source, now)
        except _RefusedError as refused:
            answer = response(message, refused.code, refused.phrase, refused.headers, to_tag=self._tag)
        except SipSyntaxError as error:
            answer = response(message, 400, f"Bad Request: {error}"[:120], to_tag=self._tag)
        if message.method == "ACK":
            return []
        return [(source, answer.encode())]

    # --- requests ---------------------------------------------------------------------------

    @staticmethod
    def _note_source(message: Message, source: Address) -> Message:
        """Received and rport of the topmost Via (RFC 3261, 18.2.1; RFC 3581)."""
        top, *below = elements(message.all("via"))
        kept = [part for part in top.split(";") if part.strip().split("=")[0].lower() not in {"rport", "received"}]
        top = f"{';'.join(kept)};received={source[0]};rport={source[1]}"
        return message.with_values("via", [top, *below])

    def _forward(self, message: Message, source: Address, now: float) -> Outgoing:
        hops = message.get("max-forwards") or "70"
        if not hops.isdecimal() or int(hops) == 0:
            raise _RefusedError(483, "Too Many Hops")
        if message.method == "REGISTER":
            raise _RefusedError(*self.registrar.answer(message, source, now))
        routed = self._take_own_route(message)
        if source == self.agent:
            target, routed = self._from_agent(routed, now)
        else:
            target, routed = self._from_outside(routed, now)
        branch = "z9hG4bK" + hashlib.sha256(self._transaction(message)).hexdigest()[:24]
        via = f"SIP/2.0/UDP {self.own[0]}:{self.own[1]};branch={branch}"
        routed = routed.with_values("via", [via, *elements(message.all("via"))])
        routed = routed.with_values("max-forwards", [str(int(hops) - 1)])
        if message.method == "INVITE" and not tag(message.get("to")):
            own = f"<sip:{self.own[0]}:{self.own[1]};lr>"
            routed = routed.with_values("record-route", [own, *elements(message.all("record-route"))])
        return [(target, routed.encode())]

    def _transaction(self, message: Message) -> bytes:
        """What stays the same in a retransmission, a CANCEL and the ACK of a refusal (RFC 3261, 16.11)."""
        top = elements(message.all("via"))[0]
        known = parameters(top).get("branch", "")
        number = message.get("cseq").split()[0]
        same = f"{known}|{top.split(';')[0]}|{message.get('call-id')}|{tag(message.get('from'))}|{number}"
        return self.registrar.secret + same.encode("utf-8", "surrogateescape")

    def _take_own_route(self, message: Message) -> Message:
        """The topmost Route is taken off if it leads to us."""
        routes = elements(message.all("route"))
        if not routes:
            return message
        first = parse_uri(routes[0])
        if (first.host, first.port) != self.own:
            raise _RefusedError(403, "This exchange is a relay for nobody")
        return message.with_values("route", routes[1:])

    def _from_agent(self, message: Message, now: float) -> tuple[Address, Message]:
        uri = parse_uri(message.uri)
        here = (uri.host, uri.port) == self.own
        if here:  # a call of the exchange to one of its users
            bindings = self.registrar.bindings(uri.user, now)
            if not bindings:
                raise _RefusedError(480, "Not registered")
            start = f"{message.method} {bindings[0].contact} SIP/2.0"
            return bindings[0].source, replace(message, start=start)
        address = _literal(uri.host, uri.port)
        if address[0] not in {known[0] for known in self.registrar.addresses(now)}:
            raise _RefusedError(403, "Nobody registered from there")
        return address, message

    def _from_outside(self, message: Message, now: float) -> tuple[Address, Message]:
        if message.method == "ACK" and tag(message.get("to")) == self._tag:
            raise _RefusedError(200, "")  # the ACK of a response of ours ends here
        if message.method == "OPTIONS" and not parse_uri(message.uri).user:
            raise _RefusedError(200, "OK", [("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER")])
        passed = message.without("proxy-authorization").without("p-preferred-identity").without("p-asserted-identity")
        if message.method not in {"ACK", "CANCEL"} and not tag(message.get("to")):
            user = self._admit(message, now)
            # Who hides the number is still known to the exchange behind us (RFC 3325, 5 and 9.1).
            passed = passed.with_values("p-asserted-identity", [f"<sip:{user}@{self.own[0]}:{self.own[1]}>"])
        return self.agent, passed

    def _admit(self, message: Message, now: float) -> str:
        """Calls are for those who know the password; returns who calls.

        The password says who it is, not From, which is anonymous when the number is hidden
        (RFC 3323, 4.1.1.3). Strangers are asked for it like everybody, and learn no user's name.
        """
        shown = parse_uri(message.get("from"))
        user = self.registrar.claimed(message, "proxy-authorization")
        verdict = self.registrar.judge(message, user, "proxy-authorization", now)
        if verdict in {Verdict.MISSING, Verdict.STALE}:
            value = self.registrar.challenge(now, stale=verdict is Verdict.STALE)
            raise _RefusedError(407, "Proxy Authentication Required", [("Proxy-Authenticate", value)])
        if verdict is not Verdict.GOOD:
            raise _RefusedError(403, "Wrong user or password")
        if not _anonymous(shown) and shown.user != user:
            raise _RefusedError(403, "From names another user")
        return user

    # --- responses --------------------------------------------------------------------------

    def _pass_back(self, message: Message) -> Outgoing:
        """One Via off, and on to the next (RFC 3261, 16.7 and 18.2.2)."""
        vias = elements(message.all("via"))
        host, port = _sent_by(vias[0])
        if (host, port) != self.own or len(vias) == 1:
            return []
        given = parameters(vias[1])
        host, port = _sent_by(vias[1])
        port = int(given["rport"]) if given.get("rport", "").isdecimal() else port
        target = _literal(given.get("received") or host, port)
        return [(target, message.with_values("via", vias[1:]).encode())]


def _anonymous(shown: Uri) -> bool:
    """Whether From hides who calls (RFC 3323, 4.1.1.3); some telephones keep their own domain in it."""
    return shown.host.lower() == "anonymous.invalid" or shown.user.lower() == "anonymous"


def _sent_by(via: str) -> Address:
    """Host and port of a Via element."""
    words = via.split(";", maxsplit=1)[0].split()
    if len(words) != 2:  # noqa: PLR2004 - protocol and sent-by
        raise SipSyntaxError("a Via without a sender")
    host, _, port = words[1].partition(":")
    if port and not port.isdecimal():
        raise SipSyntaxError("a Via with an impossible port")
    return host, int(port or DEFAULT_PORT)


def _literal(host: str, port: int) -> Address:
    """An address that needs no name resolution; SipSyntaxError otherwise."""
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        msg = f"{host[:60]!r} is no IPv4 address"
        raise SipSyntaxError(msg) from None
    if not 0 < port <= 65535:  # noqa: PLR2004 - ports
        raise SipSyntaxError("an impossible port")
    return str(address), port
