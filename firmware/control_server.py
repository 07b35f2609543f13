"""The core's end of `control`: BoxService as JSON over HTTP on DIR/run/box.sock.

Every question runs in a small thread pool, so that a slow disk never holds the control loop; the
live stream is served from the loop. Who may ask what goes by the caller's credentials
(SO_PEERCRED): root and the core's own user are the owner, `allobox-page` and `allobox-mail` are
what they are called. A caller may ask for less than it has (the role header), never for more.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_origin, get_type_hints, is_typeddict

from aiohttp import web

from firmware.control_routes import EVENTS_PATH, MAIL, MAX_BODY_BYTES, OWNER, PAGE, ROLE_HEADER, ROUTES, Route
from firmware.eventhub import EventHub
from firmware.service import BoxService, ServiceError

_log = logging.getLogger(__name__)
_CREDENTIALS = struct.Struct("3i")
_KEEPALIVE_SECONDS = 10.0
# Listeners of the live stream: the page's many never keep the mail worker out, nor it them.
_MAX_STREAMS = 14
_MAX_MAIL_STREAMS = 4
# Answered from memory, by a pool of their own: a slow disk, or a deck that is read, must not keep
# anybody from logging in or from seeing how the box is.
_QUICK = frozenset({"status", "accounts", "settings", "page_credential", "check_setup_code", "doctor"})
_MAIL_EVENTS = frozenset({"call", "settings", "process", "line", "alert"})
_USERS = {"allobox-page": PAGE, "allobox-mail": MAIL}


def _role_of(request: web.Request) -> str:
    """The caller's role. Raises HTTPForbidden for a stranger."""
    transport = request.transport
    peer: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
    if peer is None:
        raise web.HTTPForbidden
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid in {0, os.getuid()}:
        has = OWNER
    else:
        try:
            has = _USERS[pwd.getpwuid(uid).pw_name]
        except KeyError:
            raise web.HTTPForbidden from None
    wants = request.headers.get(ROLE_HEADER, has)
    return wants if has == OWNER and wants in {OWNER, PAGE, MAIL} else has


def _refusal(status: int, message: str, where: str = "") -> web.Response:
    return web.json_response({"error": message, "where": where}, status=status)


def _arguments(route: Route, function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` as the operation's parameters. Raises ServiceError naming what is missing or odd."""
    parameters = inspect.signature(function).parameters
    if route.operation == "calls":
        return {"query": _call_query(given)}
    odd = next((key for key in given if key not in parameters), None)
    if odd is not None:
        raise ServiceError(f"{route.operation} takes no {odd!r}", where=odd)
    hints = get_type_hints(function)
    arguments: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in given:
            arguments[name] = _fitting(name, given[name], hints.get(name))
        elif hints.get(name) == str | None:
            arguments[name] = None
        elif hints.get(name) == list[str]:
            arguments[name] = []
        elif parameter.default is inspect.Parameter.empty:
            raise ServiceError(f"{route.operation} needs {name!r}", where=name)
    return arguments


def _fitting(name: str, value: object, hint: object) -> object:
    """`value` if it is of the kind that the operation takes. Raises ServiceError."""
    if hint is int:
        return _whole(name, value)
    if hint == list[str]:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        raise ServiceError(f"{name} must be a list of texts, not {json.dumps(value)[:40]}", where=name)
    if hint is str or hint == str | None:
        if isinstance(value, str) or (value is None and hint is not str):
            return value
        raise ServiceError(f"{name} must be text, not {json.dumps(value)[:40]}", where=name)
    if (is_typeddict(hint) or get_origin(hint) is Mapping) and not isinstance(value, dict):
        raise ServiceError(f"{name} must be an object of keys and values, not {json.dumps(value)[:40]}", where=name)
    return value


def _for_mail(operation: str, answer: Any) -> Any:
    """What the mail process may see of an answer: the household and its own settings, no account."""
    if operation == "settings":
        return {key: value for key, value in answer.items() if key.startswith(("box.", "mail."))}
    return answer | {"accounts": []} if operation == "status" else answer


def _whole(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ServiceError(f"{name}: {str(value)[:40]!r} is not a whole number", where=name) from None


def _call_query(given: dict[str, Any]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for key, value in given.items():
        if key in {"limit", "before", "after"}:
            query[key] = _whole(key, value)
        elif key in {"missed", "oldest_first", "plot"}:
            query[key] = str(value).lower() in {"true", "1", "yes"}
        elif key in {"direction", "end", "search", "since", "until"}:
            query[key] = str(value)[:128]
        else:
            raise ServiceError(f"calls takes no {key!r}", where=key)
    return query


class ControlServer:
    """Serves one BoxService on one socket, within the control loop."""

    def __init__(self, path: Path, service: BoxService, hub: EventHub) -> None:
        self._path = path
        self._service = service
        self._hub = hub
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="control")
        self._quick = ThreadPoolExecutor(max_workers=2, thread_name_prefix="control-quick")
        self._streams: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the socket cannot be made (path too long, no permission)."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        for route in ROUTES:
            app.router.add_route(route.verb, route.path, self._handler(route))
        app.router.add_get(EVENTS_PATH, self._events)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self._path)).start()
        self._path.chmod(0o660)

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
        for pool in (self._pool, self._quick):
            pool.shutdown(wait=False, cancel_futures=True)

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        function = getattr(self._service, route.operation)
        pool = self._quick if route.operation in _QUICK else self._pool

        async def handle(request: web.Request) -> web.StreamResponse:
            role = _role_of(request)
            if role not in route.roles:
                return _refusal(403, f"this caller may not ask for {route.operation}")
            try:
                given: dict[str, Any] = dict(request.match_info)
                if route.takes == "query":
                    given |= dict(request.query)
                elif route.takes == "body":
                    given |= await self._body(request)
                arguments = _arguments(route, function, given)
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(pool, lambda: function(**arguments))
                if role == MAIL:
                    answer = _for_mail(route.operation, answer)
                text = await loop.run_in_executor(pool, json.dumps, answer)
            except ServiceError as error:
                return _refusal(error.status, error.message, error.where)
            except web.HTTPException:
                raise
            except Exception:  # noqa: BLE001 - told in the log with its trace; the caller gets a 500
                _log.exception("control: %s failed", route.operation)
                return _refusal(500, f"{route.operation} failed inside the box; its log says why")
            return web.Response(text=text, content_type="application/json")

        return handle

    @staticmethod
    async def _body(request: web.Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.read())
            json.dumps(body, ensure_ascii=False).encode()  # refuses half a character, which no file can hold
        except (ValueError, RecursionError) as error:
            raise ServiceError(f"the request is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise ServiceError("the request must be a JSON object")
        return body

    async def _events(self, request: web.Request) -> web.StreamResponse:
        role = _role_of(request)
        kind, most = (MAIL, _MAX_MAIL_STREAMS) if role == MAIL else (OWNER, _MAX_STREAMS)
        if self._streams[kind] >= most:
            return _refusal(503, f"{most} listeners are connected already")
        shown = role if role != OWNER else request.query.get("role", OWNER)[:20]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        self._streams[kind] += 1
        queue = self._hub.subscribe(shown, request.query.get("detail", "")[:200])
        try:
            await response.prepare(request)
            await response.write(b": hello\n\n")
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _KEEPALIVE_SECONDS)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                else:
                    kept_back = role == MAIL and event["kind"] not in _MAIL_EVENTS
                    text = b": not for mail" if kept_back else b"data: " + json.dumps(event).encode()
                    await response.write(text + b"\n\n")
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._streams[kind] -= 1
            self._hub.unsubscribe(queue)
        return response
