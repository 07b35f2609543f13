"""SIP messages as the exchange's front needs them: bounded parsing, headers in order, bytes again. Pure.

Only what a registrar and a stateless proxy touch is understood (RFC 3261, sections 7, 16 and 20);
everything else passes through as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

MAX_BYTES = 16384
MAX_HEADERS = 128
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_URI = re.compile(
    r"sips?:(?:(?P<user>[^@<>\s:]{1,128})(?::[^@<>\s]*)?@)?(?P<host>[A-Za-z0-9.-]{1,128})(?::(?P<port>\d{1,5}))?(?=[;?>\s,]|$)"
)

Address = tuple[str, int]
DEFAULT_PORT = 5060


class SipSyntaxError(ValueError):
    """The datagram is no SIP message that we handle; the message says where."""


@dataclass(frozen=True, slots=True)
class Uri:
    """User (may be empty), host and port of a sip: URI."""

    user: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response. Header names keep their writing; values are unfolded and stripped."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def is_response(self) -> bool:
        """Whether it starts with a status."""
        return self.start.startswith("SIP/2.0 ")

    @property
    def method(self) -> str:
        """A request's method."""
        return self.start.split(" ", 1)[0]

    @property
    def uri(self) -> str:
        """A request's URI."""
        return self.start.split(" ", 2)[1]

    def get(self, name: str) -> str:
        """The first header of that name, or ""."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """The values of all headers of that name, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if _long(key) == wanted]

    def without(self, name: str) -> Message:
        """The same without any header of that name."""
        wanted = name.lower()
        return replace(self, headers=tuple(pair for pair in self.headers if _long(pair[0]) != wanted))

    def with_values(self, name: str, values: Iterable[str]) -> Message:
        """The same with these values in place of all headers of that name, at the first one's place (or on top)."""
        wanted = name.lower()
        written = "-".join(word.capitalize() for word in wanted.split("-"))
        place = next((index for index, (key, _) in enumerate(self.headers) if _long(key) == wanted), 0)
        others = self.without(name).headers
        return replace(self, headers=(*others[:place], *((written, value) for value in values), *others[place:]))

    def encode(self) -> bytes:
        """The bytes to send, with a Content-Length that is right."""
        lines = [self.start, *(f"{key}: {value}" for key, value in self.without("content-length").headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""])
        return head.encode("utf-8", "surrogateescape") + self.body


def _long(name: str) -> str:
    lower = name.lower()
    return _COMPACT.get(lower, lower)


def parse(data: bytes) -> Message:
    """A datagram as a message. SipSyntaxError if it is too long, or no SIP."""
    if len(data) > MAX_BYTES:
        msg = f"a datagram of {len(data)} bytes; {MAX_BYTES} are the most"
        raise SipSyntaxError(msg)
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise SipSyntaxError("no empty line after the headers")
    lines = re.sub(rb"\r\n[ \t]+", b" ", head).decode("utf-8", "surrogateescape").split("\r\n")
    start = lines[0]
    request = re.fullmatch(r"(\S+) \S{1,1024} SIP/2\.0", start)
    if not (request and _TOKEN.fullmatch(request[1])) and not re.fullmatch(r"SIP/2\.0 [1-6]\d\d ?.{0,256}", start):
        raise SipSyntaxError("the first line is neither a request's nor a response's")
    if len(lines) > MAX_HEADERS:
        msg = f"{len(lines)} headers; {MAX_HEADERS} are the most"
        raise SipSyntaxError(msg)
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name.rstrip()):
            msg = f"a header without a name: {line[:40]!r}"
            raise SipSyntaxError(msg)
        headers.append((name.rstrip(), value.strip()))
    message = Message(start, tuple(headers), body)
    for needed in ("via", "from", "to", "call-id", "cseq"):
        if not message.get(needed):
            msg = f"no {needed} header"
            raise SipSyntaxError(msg)
    length = message.get("content-length")
    if length and re.fullmatch(r"\d{1,5}", length) and int(length) <= len(body):
        message = replace(message, body=body[: int(length)])
    elif length:
        raise SipSyntaxError("Content-Length promises more than came")
    return message


def parse_uri(text: str) -> Uri:
    """The first sip: URI in a header's value or a request's URI. SipSyntaxError if there is none."""
    found = _URI.search(text)
    if not found:
        raise SipSyntaxError("no sip: URI where one must be")
    port = int(found["port"] or DEFAULT_PORT)
    if not 0 < port <= 65535:  # noqa: PLR2004 - ports
        raise SipSyntaxError("a URI with an impossible port")
    return Uri(found["user"] or "", found["host"], port)


def tag(address: str) -> str:
    """The tag of a From or To value, or ""."""
    found = re.search(r";\s*tag\s*=\s*([^;,\s>]{1,128})", address.rpartition(">")[2] or address)
    return found[1] if found else ""


def elements(values: Iterable[str]) -> list[str]:
    """Elements of a comma-separated header (Via, Route, Contact), over all its lines; commas in <> or "" stay."""
    found: list[str] = []
    for value in values:
        found += (part.strip() for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,])+', value))
    return [part for part in found if part]


def parameters(value: str) -> dict[str, str]:
    """`;name=value` parameters of a header element, those inside <> left out."""
    outside = re.sub(r"<[^>]*>", "", value)
    return {
        name.strip().lower(): content.strip().strip('"')
        for name, _, content in (part.partition("=") for part in outside.split(";")[1:])
    }
