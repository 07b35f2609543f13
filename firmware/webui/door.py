"""The door: what waitress may take in before Flask sees anything of a request.

A body is judged by the request's head, before its first byte is kept: strangers may send a login
form, the household a form, and only an open session a rate file. Connections are bounded too: when
they are many, the idlest gives way, so that whoever holds a hundred open shuts nobody out.
"""

from __future__ import annotations

import functools
import io
import logging
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any

import waitress  # type: ignore[import-untyped]
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser  # type: ignore[import-untyped]
from waitress.receiver import FixedStreamReceiver  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.utilities import RequestEntityTooLarge  # type: ignore[import-untyped]

from firmware.webui import events, security
from firmware.webui.context import page

# Each live stream holds a thread; what is left answers pages.
THREADS = events.MAX_STREAMS + 8
# Two passwords of 1024 signs, percent-encoded, and their form: what strangers may send.
MAX_STRANGER_BYTES = 32 << 10
MAX_HEAD_BYTES = 32 << 10
# What an open session sends too much of is read and thrown away up to here, so that the browser stays
# to hear the answer; beyond, the connection is closed.
MAX_HEEDED_BYTES = 256 << 20
MAX_CONNECTIONS = 96
# Beyond the connections that give way: streams, requests that wait for a thread, waitress's own two.
HARD_LIMIT = MAX_CONNECTIONS + 64
UPLOAD_PATHS = {"/rates/upload": security.MAX_UPLOAD_BYTES, "/bill/compare": security.MAX_CHECK_BYTES}

_log = logging.getLogger(__name__)


class _LengthRequired(RequestEntityTooLarge):  # type: ignore[misc] # waitress has no types
    """RFC 9110, 15.5.12. No browser sends a form in chunks, and chunks hide how long they will be."""

    code = 411
    reason = "Length Required"


class _Nowhere:
    """A body that is not kept; as waitress's OverflowableBuffer."""

    def append(self, data: bytes) -> None:
        """Forget it."""

    def __len__(self) -> int:
        return 0

    def getfile(self) -> io.BytesIO:
        """Nothing, as a file."""
        return io.BytesIO()

    def close(self) -> None:
        """Nothing is held."""


class _Parser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """Judges the body as soon as the head is read."""

    content_length: int

    def __init__(self, knows: Callable[[str], bool], adj: Any) -> None:
        super().__init__(adj)
        self._knows = knows

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked:
            self._refuse(_LengthRequired("send the body with its Content-Length"))
        elif self.content_length > MAX_STRANGER_BYTES:
            self._judge()

    def _judge(self) -> None:
        if not self._knows(str(self.headers.get("COOKIE", ""))):
            self._refuse(RequestEntityTooLarge(f"at most {MAX_STRANGER_BYTES} bytes without a login"))
            return
        limit = UPLOAD_PATHS.get(self.path, security.MAX_FORM_BYTES)
        if self.content_length <= limit:
            return
        if self.content_length > MAX_HEEDED_BYTES:
            self._refuse(RequestEntityTooLarge(f"at most {limit} bytes"))
            return
        # Flask sees the Content-Length and says in words that it is too much.
        self.body_rcv = FixedStreamReceiver(self.content_length, _Nowhere())

    def _refuse(self, error: RequestEntityTooLarge) -> None:
        self.error = error
        # Without a body the request is complete, so waitress answers now and closes; nor does it say
        # "100 Continue" to a client that asked whether it may send.
        self.body_rcv = None
        self.chunked = self.expect_continue = False
        self.content_length = 0
        self.connection_close = True


class _Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection; when there are too many, the idlest makes room for it."""

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002 - waitress's name
        super().__init__(server, sock, addr, adj, map=map)
        self.parser_class = functools.partial(_Parser, server.allobox_knows)
        others = [other for other in server.active_channels.values() if not other.will_close]
        if len(others) > MAX_CONNECTIONS:
            idle = [other for other in others if other is not self and not other.requests]
            if idle:
                min(idle, key=lambda other: other.last_activity).will_close = True


def _who_knows(app: Flask) -> Callable[[str], bool]:
    """Whether a Cookie header carries a session that this page opened. Asks nobody, waits for nothing.

    Only for how much is read: whether the session is still good, `security` decides.
    """
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    with app.app_context():
        sessions = page().sessions
    lifetime = int(app.permanent_session_lifetime.total_seconds())

    def knows(header: str) -> bool:
        try:
            morsel = SimpleCookie(header).get(app.config["SESSION_COOKIE_NAME"])
        except CookieError:
            return False
        if serializer is None or morsel is None:
            return False
        try:
            told = serializer.loads(morsel.value, max_age=lifetime)
        except BadSignature:
            return False
        token = told.get(security.SESSION_TOKEN) if isinstance(told, dict) else None
        return isinstance(token, str) and sessions.is_open(token)

    return knows


def listen(app: Flask, host: str, port: int) -> Any:
    """A waitress server that listens; `run()` serves. Raises OSError if the address cannot be had."""
    parts: dict[int, Any] = {}
    server = waitress.create_server(
        app,
        map=parts,
        host=host,
        port=port,
        threads=THREADS,
        ident=None,
        max_request_header_size=MAX_HEAD_BYTES,
        max_request_body_size=MAX_HEEDED_BYTES + 1,
        connection_limit=HARD_LIMIT,
        # Streams and requests under way are not idle; a browser that was cut off opens another.
        channel_timeout=30,
        cleanup_interval=5,
        # Kept, so that a proxy on the box is not taken for a browser on the box (auth).
        clear_untrusted_proxy_headers=False,
    )
    knows = _who_knows(app)
    for part in parts.values():
        if isinstance(part, TcpWSGIServer):
            part.channel_class = _Channel
            part.allobox_knows = knows
    return server
