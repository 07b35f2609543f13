"""IMAP (imapclient) and SMTP (smtplib) of a mailbox: try a login, hand over a mail.

Encrypted always, from the first byte or by STARTTLS before the login. Every failure is a
MailboxError that carries the server's own words. No retry, no queue: see `sender`.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import logging
import smtplib
import socket
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import imapclient
from imapclient.exceptions import IMAPClientError, LoginError

from firmware.webmail.account import TLS, Account, Credential, Server
from firmware.webmail.tls import MAX_RECEIVED, QUIET_SECONDS, Conversation, os_words
from firmware.webmail.trouble import MailboxError, Trouble
from firmware.webmail.words import server_words

CHECK_SECONDS = 25.0  # two of them fit into what the page waits for a link
SEND_SECONDS = 45.0
_OWN_NAME = "[127.0.0.1]"  # EHLO: the host's name is nobody's business (RFC 5321 clause 4.1.3 allows a literal)
# At DEBUG imapclient writes the whole dialogue.
logging.getLogger("imapclient").setLevel(logging.WARNING)

# RFC 5530: the server's trouble, not the password's.
_IMAP_PASSING = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]")
_READY, _ACCEPTED, _AUTHENTICATED, _CONTINUE = 220, 250, 235, 334
_AUTH_REQUIRED, _CLOSING, _FIRST_PERMANENT = 530, 421, 500


class Session(Protocol):
    """A logged-in SMTP server."""

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        """Hand over one mail; returning means that the server answered 250. Raises MailboxError."""
        ...


class Post(Protocol):
    """Where mails go: `SmtpPost`, or a test's own."""

    def open(self, account: Account) -> contextlib.AbstractContextManager[Session]:
        """Connect and log in. Raises MailboxError."""
        ...


class _Imap(imapclient.IMAPClient):  # type: ignore[misc]  # imapclient has no types
    """imapclient over a Conversation."""

    def __init__(self, conversation: Conversation, *, tls: bool) -> None:
        self._conversation = conversation
        self._tls = tls
        super().__init__(
            conversation.host,
            conversation.port,
            ssl=tls,
            timeout=imapclient.SocketTimeout(QUIET_SECONDS, QUIET_SECONDS),
        )

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - imapclient's name
        return _Imap4(self._conversation, tls=self._tls)


class _Imap4(imaplib.IMAP4):
    """imaplib over a Conversation."""

    def __init__(self, conversation: Conversation, *, tls: bool) -> None:
        self._conversation = conversation
        self._tls = tls
        super().__init__(conversation.host, conversation.port)

    def _create_socket(self, timeout: float | None) -> socket.socket:  # noqa: ARG002 - imaplib's signature
        return self._conversation.connect(tls=self._tls)

    def read(self, size: int) -> bytes:
        """A literal; imaplib would make room for any size that the server announces."""
        if size > MAX_RECEIVED:
            raise OSError(f"the server announced {size} bytes")
        return super().read(size)


def check_imap(server: Server, credential: Credential, ca_file: str = "") -> None:
    """Log in and out. Raises MailboxError."""
    secret = credential.secret
    with Conversation("IMAP", server.host, server.port, seconds=CHECK_SECONDS, ca_file=ca_file) as line:
        try:
            client = _Imap(line, tls=server.security == TLS)
            if server.security != TLS:
                if not client.has_capability("STARTTLS"):
                    raise line.trouble(Trouble.NO_TLS, "no STARTTLS")
                client.starttls(line.context)
            _imap_login(client, server.user, secret)
            with contextlib.suppress(OSError, IMAPClientError):
                client.logout()
        except imaplib.IMAP4.error as error:  # imapclient's are its children
            raise _imap_failure(line, error, server_words(_unwrapped(error), secret)) from None
        except OSError as error:
            raise line.failure(error, server_words(os_words(error), secret)) from None


def _imap_failure(line: Conversation, error: Exception, words: str) -> MailboxError:
    # imapclient makes a LoginError of a lost connection, too.
    lost = isinstance(error, imaplib.IMAP4.abort) or isinstance(error.__context__, imaplib.IMAP4.abort)
    if (lost and "unexpected response" not in words) or line.expired:
        return line.failure(ConnectionError(words), words)
    if lost or not isinstance(error, LoginError):
        return line.trouble(Trouble.ODD, words)
    passing = any(code in words.upper() for code in _IMAP_PASSING)
    return line.trouble(Trouble.BUSY if passing else Trouble.LOGIN, words)


def _imap_login(client: _Imap, user: str, secret: str) -> None:
    """LOGIN takes ASCII only; SASL PLAIN takes UTF-8 (RFC 4616)."""
    plain_ascii = user.isascii() and secret.isascii() and not client.has_capability("LOGINDISABLED")
    if plain_ascii or not client.has_capability("AUTH=PLAIN"):
        if not (user + secret).isascii():
            raise LoginError("this server takes no accented characters in passwords (no AUTH=PLAIN)")
        # imaplib quotes the password, not the user name (RFC 3501 clause 4.3).
        client.login('"' + user.replace("\\", "\\\\").replace('"', '\\"') + '"', secret)
    else:
        client.sasl_login("PLAIN", lambda _: f"\0{user}\0{secret}".encode())


def _unwrapped(error: Exception) -> str:
    """Undo what imaplib does: it puts bytes into its exceptions, whose text is then a Python literal."""
    given = error.args[0] if error.args else ""
    if isinstance(given, bytes):
        return given.decode("utf-8", "replace")
    text = str(given)
    if text.startswith(("b'", 'b"')) and text.endswith(text[1]):
        return text[2:-1]
    return text


class _Smtp(smtplib.SMTP):
    """smtplib over a Conversation."""

    def __init__(self, conversation: Conversation, *, tls: bool) -> None:
        self._conversation = conversation
        self._tls = tls
        super().__init__(local_hostname=_OWN_NAME, timeout=QUIET_SECONDS)
        self._host = conversation.host  # what starttls verifies the certificate against

    def _get_socket(self, *_: Any) -> socket.socket:  # host and port are the conversation's
        return self._conversation.connect(tls=self._tls)


class _SmtpSession:
    def __init__(self, client: _Smtp, line: Conversation, secret: str) -> None:
        self._client = client
        self._line = line
        self._secret = secret
        self._used = False

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        """See Session."""
        client = self._client
        with _smtp_errors(self._line, self._secret):
            if self._used:
                client.rset()  # whatever the mail before left behind
            self._used = True
            self._expect(client.mail(sender), _ACCEPTED)
            self._expect(client.rcpt(recipient), _ACCEPTED)
            self._expect(client.data(message), _ACCEPTED)

    def _expect(self, reply: tuple[int, bytes], wanted: int) -> None:
        code, words = reply
        if code != wanted:
            raise self._line.trouble(_mail_trouble(code), f"{code} {server_words(words, self._secret)}")


def _mail_trouble(code: int) -> Trouble:
    if code == _AUTH_REQUIRED:
        return Trouble.LOGIN
    if code == _CLOSING:
        return Trouble.BUSY
    return Trouble.MAIL_REFUSED if code >= _FIRST_PERMANENT else Trouble.MAIL_LATER


@contextlib.contextmanager
def _smtp_errors(line: Conversation, secret: str) -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPResponseException as error:
        told = f"{error.smtp_code} {server_words(error.smtp_error, secret)}"
        # smtplib also makes one up, for a line without end: that says nothing about the mail.
        refused = isinstance(error, smtplib.SMTPDataError) and error.smtp_code > 0
        raise line.trouble(_mail_trouble(error.smtp_code) if refused else Trouble.ODD, told) from None
    except (smtplib.SMTPException, OSError) as error:
        # smtplib's exceptions are OSErrors; a lost connection hides its cause in __context__.
        cause = error.__context__ if isinstance(error, smtplib.SMTPException) else error
        words = server_words(os_words(cause if isinstance(cause, OSError) else error), secret)
        raise line.failure(cause if isinstance(cause, OSError) else error, words) from None


@contextlib.contextmanager
def smtp_session(server: Server, credential: Credential, ca_file: str, seconds: float) -> Iterator[Session]:
    """Connected, encrypted and logged in. Raises MailboxError."""
    secret = credential.secret
    with Conversation("SMTP", server.host, server.port, seconds=seconds, ca_file=ca_file) as line:
        client = _Smtp(line, tls=server.security == TLS)
        with _smtp_errors(line, secret):
            _greet(client, line, server)
            _smtp_login(client, line, server.user, secret)
        yield _SmtpSession(client, line, secret)
        with contextlib.suppress(OSError, smtplib.SMTPException):
            client.quit()


def _greet(client: _Smtp, line: Conversation, server: Server) -> None:
    code, words = client.connect(server.host, server.port)
    if code != _READY:
        told = server_words(words, "")
        raise line.trouble(Trouble.BUSY if code > 0 else Trouble.ODD, f"{code} {told}" if code > 0 else told)
    code, words = client.ehlo()
    if code != _ACCEPTED:
        raise line.trouble(Trouble.ODD, f"{code} {server_words(words, '')}")
    if server.security != TLS:
        if not client.has_extn("starttls"):
            raise line.trouble(Trouble.NO_TLS, "no STARTTLS")
        try:
            client.starttls(context=line.context)
        except smtplib.SMTPResponseException as error:
            raise line.trouble(Trouble.NO_TLS, f"STARTTLS: {error.smtp_code}") from None
        client.ehlo()


def _smtp_login(client: _Smtp, line: Conversation, user: str, secret: str) -> None:
    """AUTH PLAIN or LOGIN in UTF-8 (smtplib's own takes ASCII only)."""
    offered = str(client.esmtp_features.get("auth", "")).upper().split()
    if "PLAIN" in offered:
        code, words = client.docmd("AUTH", "PLAIN " + _base64(f"\0{user}\0{secret}"))
    elif "LOGIN" in offered:
        code, words = client.docmd("AUTH", "LOGIN")
        for answer in (user, secret):
            if code == _CONTINUE:
                code, words = client.docmd(_base64(answer))
    else:
        raise line.trouble(Trouble.ODD, f"AUTH {' '.join(offered)}".strip())
    if code != _AUTHENTICATED:
        told = f"{code} {server_words(words, secret)}"
        raise line.trouble(Trouble.LOGIN if code >= _FIRST_PERMANENT else Trouble.BUSY, told)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def check_smtp(server: Server, credential: Credential, ca_file: str = "") -> None:
    """Log in and out. Raises MailboxError."""
    with smtp_session(server, credential, ca_file, CHECK_SECONDS):
        pass


class SmtpPost:
    """The account's own SMTP server. `ca_file` is asked each time: the setting may change."""

    def __init__(self, ca_file: Callable[[], str]) -> None:
        self._ca_file = ca_file

    def open(self, account: Account) -> contextlib.AbstractContextManager[Session]:
        """See Post."""
        return smtp_session(account.smtp, account.credential, self._ca_file(), SEND_SECONDS)
