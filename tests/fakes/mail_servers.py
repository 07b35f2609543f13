"""Mail servers for tests: a real SMTP server (aiosmtpd) on loopback, and one that says what it is told.

Dovecot, the real IMAP server, is tests/system/peer_dovecot.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import IO, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.system.peer_process import LOOPBACK, PrivateCa, free_port


class SmtpServer:
    """`with SmtpServer({"jeanne": "secret"}, certs) as smtp:` connect to `smtp.host`, `smtp.port`.

    `security` is tls (from the first byte) or starttls. `replies_to_rcpt` and `replies_to_data` are
    given in turn, then 250. `stop` and `start` take it off the network and back, on the same port.
    `deliver` gets each mail before its 250.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        certs: PrivateCa,
        *,
        security: str = "tls",
        deliver: Callable[[bytes], object] | None = None,
    ) -> None:
        self.host = LOOPBACK
        self.port = free_port()
        self.security = security
        self.received: list[bytes] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.replies_to_rcpt: deque[str] = deque()
        self.replies_to_data: deque[str] = deque()
        self.refusal = "535 5.7.8 Authentication credentials invalid"
        self.logins = 0
        self._deliver = deliver
        self._users = {user.encode(): password.encode() for user, password in users.items()}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certs.certificate_file, certs.key_file)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp-server", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen."""
        if not self._thread.is_alive():
            self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> None:
        implicit = self._context if self.security == "tls" else None
        self._server = await self._loop.create_server(self._protocol, self.host, self.port, ssl=implicit)

    def _protocol(self) -> SMTP:
        explicit = self.security == "starttls"
        with warnings.catch_warnings():
            # aiosmtpd does not see TLS that was there before it, and warns of logins without.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(
                self,
                hostname="mail.test",
                tls_context=self._context if explicit else None,
                require_starttls=explicit,
                auth_require_tls=explicit,
                auth_required=True,
                authenticator=self._authenticate,
                loop=self._loop,
            )

    def stop(self) -> None:
        """Refuse connections from now on."""

        async def close() -> None:
            if self._server is not None:
                self._server.close()
                await self._server.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        self.logins += 1
        good = self._users.get(given.login) == given.password
        return AuthResult(success=good, handled=False, message=None if good else self.refusal)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if self.replies_to_rcpt and (reply := self.replies_to_rcpt.popleft()):
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.replies_to_data and (reply := self.replies_to_data.popleft()):
            return reply
        content = envelope.content or b""
        raw = content if isinstance(content, bytes) else content.encode()
        if self._deliver is not None:
            self._deliver(raw)
        self.received.append(raw)
        self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
        return "250 2.0.0 queued"

    def mails(self) -> list[EmailMessage]:
        """What was received, parsed."""
        return [message_from_bytes(raw, policy=default) for raw in self.received]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


class ScriptedServer:
    """Sends each reply of `script` after one line from the client (the first at once), then holds the line.

    `certs` encrypt from the first byte. `heard` is what the client said. In a reply `%TAG` stands for
    the first word of what the client said; an IMAP client's question for CAPABILITY is answered besides.
    At the end the server hangs up (`hang_up`), or repeats `endless` each `every` seconds until the client goes.
    """

    def __init__(
        self,
        script: Sequence[bytes],
        *,
        certs: PrivateCa | None = None,
        endless: bytes = b"",
        every: float = 0.0,
        hang_up: bool = False,
    ) -> None:
        self.host = LOOPBACK
        self.heard: list[bytes] = []
        self._script = list(script)
        self._endless = endless
        self._every = every
        self._hang_up = hang_up
        self._done = threading.Event()
        self._context: ssl.SSLContext | None = None
        if certs is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certs.certificate_file, certs.key_file)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, name="scripted-server", daemon=True)

    def _serve(self) -> None:
        while not self._done.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), line:
                line.settimeout(5)
                self._talk(self._context.wrap_socket(line, server_side=True) if self._context else line)

    def _talk(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as lines:
            said = b""
            for number, reply in enumerate(self._script):
                if number:
                    said = self._listen(line, lines)
                    if not said:
                        return
                line.sendall(reply.replace(b"%TAG", said.split(b" ")[0]))
            while self._endless and not self._done.wait(self._every):
                line.sendall(self._endless)
            while not self._hang_up and self._listen(line, lines):
                pass

    def _listen(self, line: socket.socket, lines: IO[bytes]) -> bytes:
        while b" CAPABILITY" in (said := lines.readline()):
            line.sendall(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + said.split(b" ")[0] + b" OK done\r\n")
        self.heard.append(said)
        return said

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
