"""Reading a SIP message's text: pure, tolerant, bounded. Nothing here builds or sends one.

Only what the box must look at itself is read (RFC 3261 sections 7 and 25); the stack does the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_MESSAGE_CHARS = 16_384

# RFC 3261 7.3.3, RFC 4028, RFC 3515, RFC 3892: the compact forms.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
_FOLD = re.compile(r"\r?\n[ \t]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_PARAMETER = re.compile(r';\s*([A-Za-z0-9\-.!%*_+`~]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,>]+))?')


@dataclass(frozen=True, slots=True)
class Uri:
    """`sip:user@host:port` or `tel:number`, as received; parameters are dropped but `user`'s."""

    scheme: str
    user: str
    host: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class NameAddress:
    """A From, To, Contact or identity header's value: display name, URI, tag."""

    name: str
    uri: Uri
    tag: str = ""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message: `method` and `uri` of a request, or `status` and `phrase` of an answer."""

    method: str
    uri: Uri | None
    status: int
    phrase: str
    headers: dict[str, list[str]] = field(repr=False)
    body: str = field(repr=False)

    @property
    def is_request(self) -> bool:
        """Whether this is a request."""
        return self.status == 0

    @property
    def call_id(self) -> str:
        """Call-ID, or ""."""
        return self.first("call-id")

    @property
    def cseq_method(self) -> str:
        """The method that CSeq names, or ""."""
        return self.first("cseq").partition(" ")[2].strip().upper()

    def first(self, header: str) -> str:
        """The first value of `header` (long name, lower case), or ""."""
        return self.headers.get(header, [""])[0]

    def address(self, header: str) -> NameAddress | None:
        """The first name-address of `header`, or None when absent or unreadable."""
        value = self.first(header)
        return parse_name_address(value) if value else None

    @property
    def has_sdp(self) -> bool:
        """Whether a session description came along."""
        return bool(self.body.strip()) and "application/sdp" in self.first("content-type").lower()


def parse_message(text: str) -> SipMessage | None:
    """The message in `text`, or None if its first line is neither a request's nor an answer's."""
    # A lone CR ends a line for the stack as well: no header may hide from us behind one.
    text = text[:MAX_MESSAGE_CHARS].replace("\r\n", "\n").replace("\r", "\n")
    head, _, body = text.lstrip("\n").partition("\n\n")
    lines = _FOLD.sub(" ", head).split("\n")
    first = lines[0].split(" ", 2)
    if len(first) < 2:  # noqa: PLR2004 a start line has at least two words
        return None
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers.setdefault(_COMPACT.get(key, key), []).append(value.strip())
    if first[0].upper().startswith("SIP/"):
        status = int(first[1]) if first[1].isascii() and first[1].isdigit() and len(first[1]) == 3 else 0  # noqa: PLR2004
        if not status:
            return None
        return SipMessage("", None, status, first[2].strip() if len(first) > 2 else "", headers, body)  # noqa: PLR2004
    if not first[-1].upper().startswith("SIP/"):
        return None
    return SipMessage(first[0].upper(), parse_uri(first[1]), 0, "", headers, body)


def parse_uri(text: str) -> Uri | None:
    """A sip, sips or tel URI (RFC 3261 19.1, RFC 3966), without its parameters; None if it is none."""
    scheme, colon, rest = text.strip().partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in {"sip", "sips", "tel"}:
        return None
    if scheme == "tel":
        return Uri("tel", _unescape(rest.partition(";")[0]), "")
    user, at, host = rest.partition("@")
    if not at:
        user, host = "", rest
    host = re.split(r"[;?>\s]", host, maxsplit=1)[0]
    # A user part may carry tel parameters (RFC 3261 19.1.6) or a password that is nobody's business.
    user = re.split(r"[;:]", user, maxsplit=1)[0]
    name, port = split_host_port(host)
    return Uri(scheme, _unescape(user), name.lower(), port)


def split_host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]:port` or a bare v6 address, taken apart; a bad port is none."""
    text = text.strip()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    good = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536  # noqa: PLR2004 RFC 768
    return host, int(port) if good else None


def parse_name_address(text: str) -> NameAddress | None:
    """`"Name" <uri>;tag=x`, `Name <uri>` or a bare URI; None when no URI can be read."""
    text = text.strip()
    quoted = _QUOTED.match(text)
    name = ""
    rest = text
    if quoted:
        name = re.sub(r"\\(.)", r"\1", quoted.group(1))
        rest = text[quoted.end() :]
    before, bracket, after = rest.partition("<")
    if bracket:
        name = name or before.strip()
        uri_text, _, parameters = after.partition(">")
    else:
        # Without brackets every parameter belongs to the header (RFC 3261 20.10).
        uri_text, semicolon, parameters = rest.partition(";")
        parameters = semicolon + parameters
    uri = parse_uri(uri_text)
    if uri is None:
        return None
    return NameAddress(name, uri, header_parameters(parameters).get("tag", ""))


def header_parameters(text: str) -> dict[str, str]:
    """The `;name=value` parameters in `text`, quotes taken off."""
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text if text.startswith(";") else ";" + text.partition(";")[2]):
        found.setdefault(name.lower(), value.strip('"'))
    return found


def challenge_realm(message: SipMessage) -> str:
    """The realm that a 401 or 407 asks digest credentials for, or ""."""
    for header in ("www-authenticate", "proxy-authenticate"):
        for value in message.headers.get(header, []):
            if value.lower().startswith("digest"):
                match = re.search(r'\brealm\s*=\s*"((?:[^"\\]|\\.)*)"', value, re.IGNORECASE)
                if match:
                    return re.sub(r"\\(.)", r"\1", match.group(1))
    return ""


def q850_cause(message: SipMessage) -> int | None:
    """The Q.850 cause of a Reason header (RFC 3326), or None."""
    for value in message.headers.get("reason", []):
        for part in value.split(","):
            if part.strip().lower().startswith("q.850"):
                cause = header_parameters(part).get("cause", "")
                if cause.isascii() and cause.isdigit() and len(cause) <= 9 and int(cause) < 128:  # noqa: PLR2004 seven bits
                    return int(cause)
    return None


def taken_elsewhere(message: SipMessage) -> bool:
    """Whether a CANCEL says that another telephone answered (RFC 3326: Reason: SIP;cause=200)."""
    parts = [part.strip().lower() for value in message.headers.get("reason", []) for part in value.split(",")]
    return any(part.startswith("sip") and header_parameters(part).get("cause") == "200" for part in parts)


def sdp_holds(body: str) -> bool | None:
    """Whether this SDP's sender puts us on hold (RFC 3264 8.4: sendonly, inactive, or c= 0.0.0.0); None: no SDP."""
    if "m=audio" not in body:
        return None
    session, _, media = body.partition("m=audio")
    media = media.partition("\nm=")[0]
    direction = _direction(media) or _direction(session) or "sendrecv"
    connection = re.findall(r"^c=IN IP[46] (\S+)", media, re.MULTILINE) or re.findall(
        r"^c=IN IP[46] (\S+)", session, re.MULTILINE
    )
    # RFC 2543's old way, still sent: connection 0.0.0.0.
    return direction in {"sendonly", "inactive"} or bool(connection and connection[-1] == "0.0.0.0")  # noqa: S104


def _direction(part: str) -> str:
    found = re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)\s*$", part, re.MULTILINE)
    return str(found[-1]) if found else ""


def _unescape(text: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda m: chr(int(m.group(1), 16)), text)
