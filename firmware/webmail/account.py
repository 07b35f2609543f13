"""What a linked mailbox is: an address, two servers, a credential, and what the person chose.

Everything from outside becomes one of these or a ServiceError that names the field; nothing here
touches the network or the disk. A credential has a kind, so that OAuth tokens can stand beside
passwords.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from firmware.service import MailServer, ServiceError
from firmware.webmail.words import Translator, is_plain

TLS = "tls"
STARTTLS = "starttls"
MAX_ADDRESS = 254  # RFC 5321 clause 4.5.3.1.3, less the angle brackets
MAX_LOCAL_PART = 64
MAX_SECRET = 512
MAX_PHRASE = 120
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HOST = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_LINK_KEYS = frozenset({"address", "password", "imap", "smtp", "phrase", "notify", "language"})
_SERVER_KEYS = frozenset({"host", "port", "security", "user"})
_MAX_PORT = 65535
LANGUAGES = frozenset({"fr", "en"})


@dataclass(frozen=True, slots=True)
class Server:
    """One mail server. `security` is "tls" (from the first byte) or "starttls"; never neither."""

    host: str
    port: int
    security: str
    user: str

    def as_json(self) -> MailServer:
        """The shape that the page sees."""
        return {"host": self.host, "port": self.port, "security": self.security, "user": self.user}


@dataclass(frozen=True, slots=True)
class Password:
    """A password, of the account or made for this application."""

    secret: str = field(repr=False)
    kind: str = "password"


Credential = Password


def credential_to_bytes(credential: Credential) -> bytes:
    """What the vault seals."""
    return json.dumps({"kind": credential.kind, "secret": credential.secret}).encode()


def credential_from_bytes(sealed: bytes) -> Credential:
    """The inverse. Raises ValueError for a kind that this version does not know."""
    tree = json.loads(sealed)
    if tree.get("kind") != "password":
        msg = f"credential of unknown kind {tree.get('kind')!r}"
        raise ValueError(msg)
    return Password(str(tree["secret"]))


@dataclass(frozen=True, slots=True)
class Account:
    """The linked mailbox. `language` "" follows the box; `notify` is who gets the mails."""

    address: str
    imap: Server
    smtp: Server
    credential: Credential
    phrase: str = ""
    language: str = ""
    notify: str = ""

    @property
    def recipient(self) -> str:
        """Who gets the mails: by default the mailbox itself."""
        return self.notify or self.address


def parse_address(text: object, _: Translator, where: str = "address") -> str:
    """A mail address with its domain in lower-case ASCII (IDNA). Raises ServiceError."""
    address = text.strip() if isinstance(text, str) else ""
    local, at, domain = address.rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    usable = at and _LOCAL_PART.fullmatch(local) and _HOST.fullmatch(domain) and "." in domain
    if not usable or len(local) > MAX_LOCAL_PART or len(local) + 1 + len(domain) > MAX_ADDRESS:
        shown = address[:60] if is_plain(address) else ""
        told = _("“%s” is not a mail address; it looks like name@example.org, without accents") % shown
        raise ServiceError(told, where=where)
    return f"{local}@{domain.rstrip('.')}"


def parse_server(tree: object, address: str, which: str, _: Translator) -> Server:
    """A server typed by hand; `which` is imap or smtp. Raises ServiceError naming the field."""
    if not isinstance(tree, Mapping):
        raise ServiceError(_("%s: give the server as host, port, security and user") % which.upper(), where=which)
    odd = next((str(key) for key in tree if key not in _SERVER_KEYS), None)
    if odd is not None:
        raise ServiceError(_("%s: no such field") % odd[:40], where=which)
    host = _parse_host(tree.get("host"), which, _)
    port = tree.get("port")
    if isinstance(port, str) and port.isascii() and port.isdigit():
        port = int(port)
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= _MAX_PORT:
        raise ServiceError(_("%s: the port is a number from 1 to 65535") % which.upper(), where=f"{which}.port")
    security = tree.get("security", TLS)
    if security not in {TLS, STARTTLS}:
        told = _("%s: security is “tls” or “starttls”; a password never travels without encryption") % which.upper()
        raise ServiceError(told, where=f"{which}.security")
    user = tree.get("user") or address
    if not isinstance(user, str) or not is_plain(user) or len(user) > MAX_ADDRESS:
        raise ServiceError(
            _("%s: the user name holds characters that no server takes") % which.upper(), where=f"{which}.user"
        )
    return Server(host=host, port=port, security=cast("str", security), user=user.strip())


def _parse_host(text: object, which: str, _: Translator) -> str:
    host = text.strip() if isinstance(text, str) else ""
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        pass
    try:
        ascii_host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        ascii_host = ""
    if not _HOST.fullmatch(ascii_host):
        raise ServiceError(
            _("%s: the server is a name such as mail.example.org, without port") % which.upper(), where=f"{which}.host"
        )
    return ascii_host.rstrip(".")


def parse_credential(text: object, _: Translator) -> Credential:
    """The password as typed. Raises ServiceError that never repeats it."""
    if not isinstance(text, str) or not text:
        raise ServiceError(_("The password is missing"), where="password")
    if len(text) > MAX_SECRET or not is_plain(text):
        raise ServiceError(
            _("The password is too long or holds line breaks; was something else pasted?"), where="password"
        )
    return Password(text)


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What the page asked for, checked. Servers are None where presets must serve."""

    address: str
    credential: Credential
    imap: Server | None
    smtp: Server | None
    phrase: str
    notify: str
    language: str


def asked_language(tree: object) -> str:
    """The language a link asks for, if it is one of ours: its own errors are told in it."""
    language = tree.get("language") if isinstance(tree, Mapping) else None
    return language if isinstance(language, str) and language in LANGUAGES else ""


def parse_link(tree: object, _: Translator) -> LinkRequest:
    """A MailLink from JSON. Raises ServiceError naming the field."""
    if not isinstance(tree, Mapping):
        raise ServiceError(_("The request must be a JSON object"))
    odd = next((str(key) for key in tree if key not in _LINK_KEYS), None)
    if odd is not None:
        raise ServiceError(_("%s: no such field") % odd[:40], where=odd[:40])
    address = parse_address(tree.get("address"), _)
    phrase = tree.get("phrase") or ""
    if not isinstance(phrase, str) or len(phrase) > MAX_PHRASE or not is_plain(phrase):
        raise ServiceError(_("The phrase is one line of at most %d characters") % MAX_PHRASE, where="phrase")
    language = tree.get("language") or ""
    if language and language not in LANGUAGES:
        raise ServiceError(_("The language is “fr” or “en”"), where="language")
    given = {which: tree[which] for which in ("imap", "smtp") if tree.get(which)}
    if len(given) == 1:
        lacks = "smtp" if "imap" in given else "imap"
        raise ServiceError(_("%s: the server is missing; give both or neither") % lacks.upper(), where=lacks)
    servers = {which: parse_server(inner, address, which, _) for which, inner in given.items()}
    notify = tree.get("notify") or ""
    return LinkRequest(
        address=address,
        credential=parse_credential(tree.get("password"), _),
        imap=servers.get("imap"),
        smtp=servers.get("smtp"),
        phrase=phrase.strip(),
        notify=parse_address(notify, _, "notify") if notify else "",
        language=cast("str", language),
    )
