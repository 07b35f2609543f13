"""One conversation with a mail server: TLS verified, bounded in time and in bytes.

Libraries above it (imaplib, smtplib) would wait for a server that sends one byte a minute, and
read whatever it sends. Here a timer ends the connection at its deadline, and every byte is counted.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firmware.webmail.trouble import MailboxError, Trouble

CONNECT_SECONDS = 10.0
QUIET_SECONDS = 15.0  # Dovecot takes 2 s to refuse a password, others up to 10
MAX_RECEIVED = 128 * 1024  # a login or a delivery needs a few kilobytes


def os_words(error: Exception) -> str:
    """The system's own words, without its number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


class _Meter:
    """Counts what was received."""

    def __init__(self) -> None:
        self.received = 0

    def count(self, count: int) -> int:
        self.received += count
        if self.received > MAX_RECEIVED:
            raise OSError(f"the server sent more than {MAX_RECEIVED} bytes")
        return count


class _PlainSocket(socket.socket):
    """TCP before STARTTLS."""

    meter: _Meter

    def recv_into(self, *arguments: Any) -> int:
        return self.meter.count(super().recv_into(*arguments))


class _MeteredContext(ssl.SSLContext):
    """Certificates and the host's name are always verified (PROTOCOL_TLS_CLIENT's own defaults)."""

    meter: _Meter


class _TlsSocket(ssl.SSLSocket):
    def recv_into(self, *arguments: Any) -> int:
        count = super().recv_into(*arguments)
        context = self.context
        return context.meter.count(count) if isinstance(context, _MeteredContext) else count


class Conversation:
    """A connection to one server; everything on it ends after `seconds`. Use as a context manager."""

    def __init__(self, protocol: str, host: str, port: int, *, seconds: float, ca_file: str = "") -> None:
        self.protocol = protocol
        self.host = host
        self.port = port
        self.expired = False
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._meter = _Meter()
        self._handle: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self.context = self._make_context(ca_file)

    def connect(self, *, tls: bool) -> socket.socket:
        """A connected socket, encrypted already if `tls`. Raises OSError (ssl.SSLError among them)."""
        plain = self._dial()
        self._handle = plain.dup()  # the timer's own: wrapping takes the other one away
        self._timer = threading.Timer(max(0.0, self._end - time.monotonic()), self._expire)
        self._timer.daemon = True
        self._timer.start()
        plain.settimeout(QUIET_SECONDS)
        return self.context.wrap_socket(plain, server_hostname=self.host) if tls else plain

    def _dial(self) -> socket.socket:
        """As socket.create_connection does, but all addresses together get CONNECT_SECONDS."""
        until = min(self._end, time.monotonic() + CONNECT_SECONDS)
        trouble: OSError = OSError(f"{self.host} has no address")
        for family, kind, proto, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            left = until - time.monotonic()
            if left <= 0:
                break
            plain = _PlainSocket(family, kind, proto)
            plain.meter = self._meter
            try:
                plain.settimeout(left)
                plain.connect(address)
            except OSError as error:
                plain.close()
                trouble = error
            else:
                return plain
        raise trouble

    def _make_context(self, ca_file: str) -> ssl.SSLContext:
        context = _MeteredContext(ssl.PROTOCOL_TLS_CLIENT)
        context.meter = self._meter
        context.sslsocket_class = _TlsSocket
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_default_certs()
        if ca_file:
            try:
                context.load_verify_locations(cafile=Path(ca_file))
            except OSError as error:  # ssl.SSLError, a file without certificates, is one
                raise MailboxError(Trouble.BAD_CA_FILE, self.protocol, ca_file, 0, str(error)) from error
        return context

    def _expire(self) -> None:
        self.expired = True
        self._shut()

    def _shut(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    def failure(self, error: Exception, words: str) -> MailboxError:
        """What went wrong below the protocol, named. `words`: what was said, made harmless."""
        match error:
            case _ if self.expired:
                return self.trouble(Trouble.SLOW, f"{self._seconds:g} s")
            case ssl.SSLCertVerificationError():
                return self.trouble(Trouble.UNTRUSTED, error.verify_message)
            case ssl.SSLError():
                return self.trouble(Trouble.NO_TLS, words)
            case TimeoutError():
                return self.trouble(Trouble.SLOW, words)
            case _:
                return self.trouble(Trouble.UNREACHABLE, words)

    def trouble(self, trouble: Trouble, words: str) -> MailboxError:
        """An error of this server."""
        return MailboxError(trouble, self.protocol, self.host, self.port, words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._shut()
        if self._handle is not None:
            self._handle.close()
