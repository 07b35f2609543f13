"""The test exchange's registrar: digest authentication and who is where. Pure: time comes with each call.

RFC 3261, sections 10 and 22, with MD5 and qop=auth (RFC 2617): what ordinary providers use.
Nonces carry their own time and a keyed hash, so nothing is kept between challenge and answer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from firmware.exchange.message import Address, Message, SipSyntaxError, elements, parameters, parse_uri, tag

NONCE_SECONDS = 300.0
MIN_EXPIRES = 10
MAX_EXPIRES = 3600
MAX_BINDINGS = 4
_FIELD = re.compile(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]+)')


class Verdict(Enum):
    """What a request's credentials are worth."""

    GOOD = "good"
    MISSING = "missing"
    STALE = "stale"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a user is reached: the Contact it gave, the address it sent from, until when (monotonic)."""

    contact: str
    source: Address
    expires_at: float


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Registrar:
    """Users with passwords, and their bindings. `secret` keys the nonces."""

    users: Mapping[str, str] = field(repr=False)
    realm: str
    secret: bytes = field(repr=False)
    _bindings: dict[str, list[Binding]] = field(default_factory=dict)

    def challenge(self, now: float, *, stale: bool = False) -> str:
        """The value of WWW-Authenticate or Proxy-Authenticate."""
        stamp = f"{int(now * 1000):x}"
        extra = ", stale=true" if stale else ""
        return f'Digest realm="{self.realm}", nonce="{stamp}.{self._mac(stamp)}", algorithm=MD5, qop="auth"{extra}'

    def _mac(self, stamp: str) -> str:
        return hmac.new(self.secret, stamp.encode(), hashlib.sha256).hexdigest()[:32]

    def judge(self, request: Message, user: str, header: str, now: float) -> Verdict:
        """Whether `header` (Authorization or Proxy-Authorization) proves that `user` sent the request."""
        fields = self._credentials(request, header)
        return self._judge(request.method, user, fields, now) if fields else Verdict.MISSING

    def claimed(self, request: Message, header: str) -> str:
        """Whose credentials for our realm the request carries, yet to be judged; "" if none."""
        return self._credentials(request, header).get("username", "")

    def _credentials(self, request: Message, header: str) -> dict[str, str]:
        """The fields of the Digest credentials for our realm; empty if there are none."""
        for value in request.all(header):
            fields = {key.lower(): text.strip('"') for key, text in _FIELD.findall(value.partition(" ")[2])}
            if value[:7].lower() == "digest " and fields.get("realm") == self.realm:
                return fields
        return {}

    def _judge(self, method: str, user: str, fields: Mapping[str, str], now: float) -> Verdict:
        stamp, _, mac = fields.get("nonce", "").partition(".")
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), self._mac(stamp).encode()):
            return Verdict.STALE  # of an exchange that ran before: the client may try again unasked
        if not 0 <= now - int(stamp, 16) / 1000 <= NONCE_SECONDS:
            return Verdict.STALE
        password = self.users.get(user)
        if password is None or fields.get("username") != user:
            return Verdict.WRONG
        ha1 = _md5(f"{user}:{self.realm}:{password}")
        ha2 = _md5(f"{method}:{fields.get('uri', '')}")
        middle = fields["nonce"]
        if "qop" in fields:
            middle += f":{fields.get('nc', '')}:{fields.get('cnonce', '')}:{fields['qop']}"
        good = hmac.compare_digest(
            _md5(f"{ha1}:{middle}:{ha2}"), fields.get("response", "").encode("ascii", "replace").decode()
        )
        return Verdict.GOOD if good else Verdict.WRONG

    def bindings(self, user: str, now: float) -> list[Binding]:
        """Where `user` is, newest first; nowhere if unknown or expired."""
        left = [binding for binding in self._bindings.get(user, []) if binding.expires_at > now]
        if user in self._bindings:
            self._bindings[user] = left
        return list(left)

    def addresses(self, now: float) -> set[Address]:
        """Addresses of everybody registered."""
        return {binding.source for user in list(self._bindings) for binding in self.bindings(user, now)}

    def answer(self, request: Message, source: Address, now: float) -> tuple[int, str, list[tuple[str, str]]]:
        """What a REGISTER gets: status, phrase, further headers. Bindings are changed with it."""
        user = parse_uri(request.get("to")).user
        if user not in self.users:
            return 404, "Not Found", []
        verdict = self.judge(request, user, "authorization", now)
        if verdict is not Verdict.GOOD:
            if verdict is Verdict.WRONG:
                return 403, "Wrong user or password", []
            return 401, "Unauthorized", [("WWW-Authenticate", self.challenge(now, stale=verdict is Verdict.STALE))]
        try:
            self._bind(user, request, source, now)
        except ValueError:
            return 400, "Bad Contact or Expires", []
        held = [
            ("Contact", f"<{binding.contact}>;expires={max(1, round(binding.expires_at - now))}")
            for binding in self.bindings(user, now)
        ]
        return 200, "OK", held

    def _bind(self, user: str, request: Message, source: Address, now: float) -> None:
        """RFC 3261, 10.3, steps 6 to 8. ValueError if Contact or Expires make no sense."""
        default = int(request.get("expires") or MAX_EXPIRES)
        contacts = elements(request.all("contact"))
        if contacts == ["*"]:
            if default != 0:
                raise SipSyntaxError("Contact: * goes with Expires: 0 only")
            self._bindings.pop(user, None)
            return
        for element in contacts:
            parse_uri(element)
            inside = re.search(r"<([^>\s]*)>", element)
            uri = inside[1] if inside else element.partition(";")[0].strip()
            seconds = int(parameters(element).get("expires") or default)
            others = [binding for binding in self.bindings(user, now) if binding.contact != uri]
            if seconds > 0:
                length = min(max(seconds, MIN_EXPIRES), MAX_EXPIRES)
                others.insert(0, Binding(uri, source, now + length))
            self._bindings[user] = others[:MAX_BINDINGS]


def response(
    request: Message, code: int, phrase: str, headers: list[tuple[str, str]] | None = None, *, to_tag: str = ""
) -> Message:
    """A response of the exchange's own to a request (RFC 3261, 8.2.6)."""
    to = request.get("to")
    if not tag(to):
        to = f"{to};tag={to_tag}"
    kept = [("Via", value) for value in request.all("via")]
    kept += [("From", request.get("from")), ("To", to)]
    kept += [("Call-ID", request.get("call-id")), ("CSeq", request.get("cseq"))]
    return Message(f"SIP/2.0 {code} {phrase}", (*kept, *(headers or []), ("Server", "Allobox test exchange")))
