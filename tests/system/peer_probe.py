"""A bare SIP client of a few lines: what a test sends is what it wrote, byte for byte. One request at a time."""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
from types import TracebackType
from typing import Self

from tests.system.peer_process import LOOPBACK, PeerError


def header(message: str, name: str) -> str:
    """The first header `name` of a SIP message, or ""."""
    found = re.search(rf"^{re.escape(name)}[ \t]*:[ \t]*(.*?)\r?$", message, re.IGNORECASE | re.MULTILINE)
    return found[1] if found else ""


def status(message: str) -> int:
    """The status of a SIP response."""
    return int(message.split(" ", 2)[1])


def digest_answer(challenge: str, *, user: str, password: str, method: str, uri: str) -> str:
    """The Authorization value for a Digest challenge (RFC 2617, MD5, with qop=auth if offered)."""
    fields = {key: value.strip('"') for key, value in re.findall(r'(\w+)=("[^"]*"|[^\s,]+)', challenge)}
    ha1 = _md5(f"{user}:{fields['realm']}:{password}")
    ha2 = _md5(f"{method}:{uri}")
    realm, nonce = fields["realm"], fields["nonce"]
    start = f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if "qop" not in fields:
        response = _md5(f"{ha1}:{nonce}:{ha2}")
        return f'{start}, response="{response}"'
    cnonce = secrets.token_hex(8)
    response = _md5(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}")
    return f'{start}, response="{response}", qop=auth, nc=00000001, cnonce="{cnonce}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class SipProbe:
    """A UDP socket that speaks SIP to `port` of loopback."""

    def __init__(self, port: int, user: str = "probe", domain: str = "allobox.test") -> None:
        self.user, self.domain, self.server = user, domain, (LOOPBACK, port)
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind((LOOPBACK, 0))
        self.port = int(self.link.getsockname()[1])
        self.call_id = secrets.token_hex(8)
        self.tag = secrets.token_hex(4)
        self.sequence = 0

    def request(self, method: str, uri: str, *, to: str = "", extra: str = "", body: str = "") -> str:
        """A whole request, ready to send."""
        self.sequence += method not in {"ACK", "CANCEL"}
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {LOOPBACK}:{self.port};rport;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.user}@{self.domain}>;tag={self.tag}\r\n"
            f"To: {to or f'<{uri}>'}\r\nCall-ID: {self.call_id}\r\nCSeq: {self.sequence} {method}\r\n"
            f"Contact: <sip:{self.user}@{LOOPBACK}:{self.port}>\r\n{extra}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def send(self, message: str | bytes) -> None:
        """Send it as it is."""
        self.link.sendto(message if isinstance(message, bytes) else message.encode(), self.server)

    def receive(self, seconds: float = 5) -> str:
        """The next message; PeerError if none comes."""
        self.link.settimeout(seconds)
        try:
            return self.link.recv(65535).decode(errors="replace")
        except TimeoutError:
            msg = f"no SIP message from port {self.server[1]} within {seconds:g} s"
            raise PeerError(msg) from None

    def final(self, seconds: float = 10) -> str:
        """The next final response, provisional ones passed over."""
        while status(answer := self.receive(seconds)) < 200:
            pass
        return answer

    def register(self, password: str, *, expires: int = 60, user: str = "") -> int:
        """REGISTER, answering one challenge; the final status."""
        uri = f"sip:{self.domain}"
        mine = f"<sip:{self.user}@{self.domain}>"
        extra = f"Expires: {expires}\r\n"
        self.send(self.request("REGISTER", uri, to=mine, extra=extra))
        answer = self.final()
        if status(answer) == 401:
            challenge = header(answer, "WWW-Authenticate")
            credentials = digest_answer(
                challenge, user=user or self.user, password=password, method="REGISTER", uri=uri
            )
            self.send(self.request("REGISTER", uri, to=mine, extra=f"{extra}Authorization: {credentials}\r\n"))
            answer = self.final()
        return status(answer)

    def call(self, uri: str, password: str) -> str:
        """INVITE without media, answering one challenge; the final response (refusals are acknowledged)."""
        self.send(self.request("INVITE", uri))
        answer = self.final()
        if status(answer) == 407:
            self._acknowledge(uri, answer)
            challenge = header(answer, "Proxy-Authenticate")
            credentials = digest_answer(challenge, user=self.user, password=password, method="INVITE", uri=uri)
            self.send(self.request("INVITE", uri, extra=f"Proxy-Authorization: {credentials}\r\n"))
            answer = self.final()
        self._acknowledge(uri, answer)
        return answer

    def _acknowledge(self, uri: str, answer: str) -> None:
        """ACK within the INVITE's own transaction (RFC 3261, 17.1.1.3)."""
        ack = self.request("ACK", uri, to=header(answer, "To"))
        branch = re.search(r"branch=([^;,\s]+)", header(answer, "Via"))
        self.send(re.sub(r"branch=[^;,\s]+", f"branch={branch[1]}" if branch else "branch=", ack, count=1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.close()
