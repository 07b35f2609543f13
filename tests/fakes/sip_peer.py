"""A scripted SIP peer over UDP: says exactly what a test writes, and shows exactly what came.

It is a registrar with digest authentication (RFC 3261 22, MD5), a provider and a stranger, as the
test asks. Registrations are answered by themselves, the rest waits in a queue for `expect`.
"""

from __future__ import annotations

import hashlib
import itertools
import queue
import re
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from typing import Self

from firmware.telephony.sip.message import SipMessage, header_parameters, parse_message

_count = itertools.count(1)


@dataclass
class Packet:
    """A received message."""

    message: SipMessage
    text: str
    source: tuple[str, int]

    def raw(self, header: str) -> str:
        """A header's line value as sent (first one)."""
        return self.message.first(header.lower())


@dataclass
class RegistrarRules:
    """How REGISTER is answered."""

    user: str = "bob"
    password: str = "secret"
    realm: str = "provider.example"
    min_expires: int = 0
    answer: int = 0  # a code other than 0: always this
    mute: bool = False


@dataclass
class Dialog:
    """One dialog as the peer sees it: enough to write in-dialog requests."""

    call_id: str
    local: str  # From/To value with tag
    remote: str
    target: str
    cseq: int = 100
    branch: str = ""


class SipPeer:
    """One UDP socket on `host`."""

    def __init__(self, host: str = "127.0.0.1", rules: RegistrarRules | None = None) -> None:
        self.rules = rules or RegistrarRules()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(0.2)
        self.host, self.port = self.socket.getsockname()
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        self.dscp = -1  # of the last packet (RFC 2474)
        self.received: list[Packet] = []
        self.contacts: list[str] = []
        self.registrations: list[Packet] = []
        self._queue: queue.Queue[Packet] = queue.Queue()
        self._nonce = secrets.token_hex(8)
        self._invites: dict[str, Dialog] = {}
        self._sent: dict[str, tuple[str, str]] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"

    def close(self) -> None:
        self._closing = True
        self._thread.join(1)
        self.socket.close()

    # --- receiving

    def expect(self, what: str | int, timeout: float = 8.0) -> Packet:
        """The next message that is a request `what` (method) or an answer with status `what`; others are skipped."""
        limit = time.monotonic() + timeout
        seen = []
        while (left := limit - time.monotonic()) > 0:
            try:
                packet = self._queue.get(timeout=left)
            except queue.Empty:
                break
            message = packet.message
            if what in {message.method, message.status}:
                return packet
            seen.append(message.method or message.status)
        raise AssertionError(f"no {what} came to {self.server} in {timeout} s, only {seen}")

    def nothing(self, seconds: float) -> list[Packet]:
        """What came within `seconds` (empty: silence)."""
        time.sleep(seconds)
        found = []
        while not self._queue.empty():
            found.append(self._queue.get())
        return found

    # --- sending

    def send(self, text: str, to: tuple[str, int]) -> None:
        self.socket.sendto(text.encode(), to)

    def reply(
        self,
        request: Packet,
        code: int,
        phrase: str = "X",
        *,
        tag: str = "peer",
        headers: str = "",
        body: str = "",
        contact: str = "",
    ) -> None:
        """An answer to `request`; `headers` are whole lines ending in CRLF; `contact` is a URI, ours if empty."""
        message = request.message
        to = message.first("to")
        if code > 100 and ";tag=" not in to:
            to += f";tag={tag}"
        vias = "".join(f"Via: {v}\r\n" for v in message.headers["via"])
        vias = re.sub(r";rport(?=[;\r])", f";received={request.source[0]};rport={request.source[1]}", vias, count=1)
        routes = "".join(f"Record-Route: {r}\r\n" for r in message.headers.get("record-route", []))
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.send(
            f"SIP/2.0 {code} {phrase}\r\n{vias}{routes}From: {message.first('from')}\r\nTo: {to}\r\n"
            f"Call-ID: {message.call_id}\r\nCSeq: {message.first('cseq')}\r\n"
            f"Contact: <{contact or f'sip:peer@{self.server}'}>\r\n{headers}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}",
            request.source,
        )

    def request(self, method: str, to: tuple[str, int], dialog: Dialog, *, headers: str = "", body: str = "") -> None:
        """An in-dialog request."""
        dialog.cseq += 1
        self._request(
            method, to, dialog.target, dialog.local, dialog.remote, dialog.call_id, dialog.cseq, headers, body
        )

    def invite(
        self,
        to: tuple[str, int],
        *,
        user: str = "bob",
        caller: str = '"Alice" <sip:0142685300@provider.example>',
        headers: str = "",
        body: str | None = None,
        target: str = "",
    ) -> Dialog:
        """A new INVITE; without `body` None it offers G.711."""
        number = next(_count)
        dialog = Dialog(
            call_id=f"call-{number}-{secrets.token_hex(3)}",
            local=f"{caller};tag=caller{number}",
            remote=f"<sip:{user}@{self.host}>",
            target=target or f"sip:{user}@{to[0]}:{to[1]}",
            cseq=1,
            branch=f"z9hG4bK{secrets.token_hex(6)}",
        )
        offer = self.sdp(40_000) if body is None else body
        d = dialog
        self._invites[d.call_id] = d
        self._sent[d.call_id] = (headers, offer)
        self._request("INVITE", to, d.target, d.local, d.remote, d.call_id, 1, headers, offer, d.branch)
        return dialog

    def repeat(self, to: tuple[str, int], dialog: Dialog) -> None:
        """The same INVITE once more, as any caller does whom nobody answered (RFC 3261 17.1.1.2, Timer A)."""
        headers, offer = self._sent[dialog.call_id]
        d = dialog
        self._request("INVITE", to, d.target, d.local, d.remote, d.call_id, 1, headers, offer, d.branch)

    def cancel(self, to: tuple[str, int], dialog: Dialog, *, headers: str = "") -> None:
        """CANCEL of an INVITE sent by `invite`."""
        d = dialog
        self._request("CANCEL", to, d.target, d.local, d.remote, d.call_id, 1, headers, "", d.branch)

    def ack(self, to: tuple[str, int], dialog: Dialog, *, cseq: int = 1, body: str = "") -> None:
        """ACK of a 200."""
        self._request("ACK", to, dialog.target, dialog.local, dialog.remote, dialog.call_id, cseq, "", body)

    def callee_dialog(self, invite: Packet, tag: str = "peer") -> Dialog:
        """The dialog of an INVITE that this peer answers, to write BYE or re-INVITE with."""
        message = invite.message
        contact = re.search(r"<([^>]+)>", message.first("contact"))
        assert contact is not None
        return Dialog(message.call_id, f"{message.first('to')};tag={tag}", message.first("from"), contact[1])

    def sdp(self, port: int, *, direction: str = "sendrecv", codecs: str = "8", version: int = 1, ip: str = "") -> str:
        """A session description; `codecs` as payload types ("8 0")."""
        names = {"8": "PCMA/8000", "0": "PCMU/8000", "9": "G722/8000"}
        maps = "".join(f"a=rtpmap:{c} {names[c]}\r\n" for c in codecs.split())
        return (
            f"v=0\r\no=- 1 {version} IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {ip or self.host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP {codecs} 101\r\n{maps}a=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-16\r\na={direction}\r\n"
        )

    def _request(
        self,
        method: str,
        to: tuple[str, int],
        uri: str,
        origin: str,
        destination: str,
        call_id: str,
        cseq: int,
        headers: str,
        body: str,
        branch: str = "",
    ) -> None:
        branch = branch or f"z9hG4bK{secrets.token_hex(6)}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        self.send(
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self.server};branch={branch};rport\r\nMax-Forwards: 70\r\n"
            f"From: {origin}\r\nTo: {destination}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <sip:peer@{self.server}>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n"
            f"{headers}{kind}Content-Length: {len(body)}\r\n\r\n{body}",
            to,
        )

    # --- the registrar

    def _run(self) -> None:
        while not self._closing:
            try:
                data, ancillary, _, source = self.socket.recvmsg(65_535, 64)
            except TimeoutError:
                continue
            except OSError:
                return
            if ancillary:
                self.dscp = ancillary[0][2][0] >> 2
            text = data.decode("utf-8", "replace")
            message = parse_message(text)
            if message is None:
                continue
            packet = Packet(message, text, source)
            self.received.append(packet)
            if message.method == "REGISTER":
                self.registrations.append(packet)
                self._register(packet)
            else:
                self._acknowledge(packet)
                self._queue.put(packet)

    def _acknowledge(self, packet: Packet) -> None:
        """ACK of a refusal goes with the INVITE's own branch (RFC 3261 17.1.1.3)."""
        message = packet.message
        dialog = self._invites.get(message.call_id)
        if dialog is not None and message.status >= 300 and message.first("cseq") == "1 INVITE":
            d, to = dialog, message.first("to")
            self._request("ACK", packet.source, d.target, d.local, to, d.call_id, 1, "", "", d.branch)

    def _register(self, packet: Packet) -> None:
        rules, message = self.rules, packet.message
        if rules.mute:
            return
        if rules.answer:
            self.reply(packet, rules.answer, "No")
            return
        if not self.authorized(packet, "authorization"):
            self.reply(packet, 401, "Unauthorized", headers=f"WWW-Authenticate: {self.challenge()}\r\n")
            return
        expires = int(message.first("expires") or "300")
        if 0 < expires < rules.min_expires:
            self.reply(packet, 423, "Interval Too Brief", headers=f"Min-Expires: {rules.min_expires}\r\n")
            return
        contact = message.first("contact")
        self.contacts.append(contact)
        answer = f"Contact: {contact.split(';expires')[0]};expires={expires}\r\nExpires: {expires}\r\n"
        self.reply(packet, 200, "OK", headers=answer if expires else "")

    def challenge(self, realm: str = "") -> str:
        return f'Digest realm="{realm or self.rules.realm}", nonce="{self._nonce}", algorithm=MD5, qop="auth"'

    def authorized(self, packet: Packet, header: str) -> bool:
        """Whether the digest in `header` is right (RFC 2617 3.2.2, qop auth)."""
        value = packet.message.first(header)
        if not value:
            return False
        given = header_parameters(";" + value.partition(" ")[2].replace(",", ";"))
        if given.get("realm") != self.rules.realm or given.get("username") != self.rules.user:
            return False
        ha1 = _md5(f"{self.rules.user}:{self.rules.realm}:{self.rules.password}")
        ha2 = _md5(f"{packet.message.method}:{given.get('uri', '')}")
        middle = f"{given.get('nonce')}:{given.get('nc')}:{given.get('cnonce')}:{given.get('qop')}"
        return given.get("response") == _md5(f"{ha1}:{middle}:{ha2}")


class RtpEcho:
    """An RTP echo that remembers what came."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = self._socket.getsockname()[1]
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join(2)
        self._socket.close()

    def _run(self) -> None:
        while not self._ending:
            try:
                packet, source = self._socket.recvfrom(2000)
            except TimeoutError:
                continue
            if len(packet) > 12 and packet[1] & 0x7F in {8, 9, 101}:
                self.seen.append(packet)
                self._socket.sendto(packet, source)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 RFC 2617's digest
