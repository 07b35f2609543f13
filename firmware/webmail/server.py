"""MailService as JSON over HTTP on DIR/run/mail.sock, for the page.

Callers are known by their credentials (SO_PEERCRED): our own user, root, or `allobox-page`. A body
holds a password, so nothing of a request is ever logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from aiohttp import web

from firmware.service import MailLink, MailService, ServiceError
from firmware.store import StoreError

log = logging.getLogger(__name__)
PAGE_USER = "allobox-page"
MAX_BODY_BYTES = 16 * 1024
_CREDENTIALS = struct.Struct("3i")
_STOP_SECONDS = 1.0
_MAX_PATH = 107  # sun_path, unix(7)
_THREADS = 3


def caller_uid(request: web.Request) -> int | None:
    """The user id at the other end of the socket."""
    line = None if request.transport is None else request.transport.get_extra_info("socket")
    if line is None:
        return None
    return int(_CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1])


def may_call(uid: int | None) -> bool:
    """Our own user, root, and the page's."""
    if uid is None:
        return False
    if uid in {0, os.geteuid()}:
        return True
    try:
        return pwd.getpwuid(uid).pw_name == PAGE_USER
    except KeyError:
        return False


class SocketTakenError(Exception):
    """Another mail worker serves this data folder."""


class MailSocket:
    """Serves one MailService on one Unix socket, within an asyncio loop."""

    def __init__(self, path: Path, service: MailService, allowed: Callable[[int | None], bool] = may_call) -> None:
        self._path = path
        self._service = service
        self._allowed = allowed
        self._pool = ThreadPoolExecutor(_THREADS, "mail-page")
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises SocketTakenError, OSError."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        app.router.add_get("/v1/mail", self._status)
        app.router.add_get("/v1/mail/presets", self._presets)
        app.router.add_post("/v1/mail/link", self._link)
        app.router.add_post("/v1/mail/unlink", self._unlink)
        app.router.add_post("/v1/mail/test", self._test)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        if len(os.fsencode(self._path)) > _MAX_PATH:
            raise OSError(f"{self._path} is too long for a socket's path ({_MAX_PATH} bytes): choose a shorter --data")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if _answers(self._path):
            msg = f"another mail worker answers at {self._path}; stop it first"
            raise SocketTakenError(msg)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o117)  # never, not even for a moment, open to everybody
        try:
            await web.UnixSite(self._runner, str(self._path)).start()
        finally:
            os.umask(before)
        self._path.chmod(0o660)

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._path.unlink(missing_ok=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Callers checked; every error as JSON."""
        if not self._allowed(caller_uid(request)):
            return _error(403, "this user may not ask the mail worker")
        try:
            return await handler(request)
        except ServiceError as error:
            return _error(error.status, error.message, error.where)
        except web.HTTPException as error:
            return _error(error.status, f"{request.method} {request.path}: {error.reason}")
        except StoreError as error:
            return _error(507, str(error))
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _error(500, "the mail worker failed; its log says why")

    async def _status(self, _: web.Request) -> web.Response:
        return await self._reply(self._service.mail_status)

    async def _presets(self, request: web.Request) -> web.Response:
        address = request.query.get("address", "")
        return await self._reply(lambda: self._service.mail_presets(address))

    async def _link(self, request: web.Request) -> web.Response:
        body = cast("MailLink", await _body(request))  # mail_link checks it
        return await self._reply(lambda: self._service.mail_link(body))

    async def _unlink(self, _: web.Request) -> web.Response:
        return await self._reply(self._service.mail_unlink)

    async def _test(self, _: web.Request) -> web.Response:
        return await self._reply(self._service.mail_test)

    async def _reply(self, work: Callable[[], object]) -> web.Response:
        return web.json_response(await asyncio.get_running_loop().run_in_executor(self._pool, work))


async def _body(request: web.Request) -> object:
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        # Not `from` the error: it would quote the body, and the body holds a password.
        raise ServiceError("the request's body is not JSON") from None


def _error(status: int, message: str, where: str = "") -> web.Response:
    return web.json_response({"error": message, "where": where}, status=status)


def _answers(path: Path) -> bool:
    """Whether somebody listens at a socket that is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1)
        try:
            line.connect(str(path))
        except OSError:
            return False
        return True
