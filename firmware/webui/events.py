"""The live stream: pieces of the home page, rendered as the box changes and sent to the browser.

Each stream holds one waitress thread, hence a limit; the browser of a hidden tab lets go (live.js).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request

from firmware.webui import security
from firmware.webui.context import page
from firmware.webui.live import Snapshot

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_STREAMS = 12
HEARTBEAT_SECONDS = 15.0

blueprint = Blueprint("events", __name__)
_free = threading.BoundedSemaphore(MAX_STREAMS)


def take_place() -> bool:
    """A stream begins, if there is a place for it."""
    return _free.acquire(blocking=False)


def give_place() -> None:
    """A stream is over."""
    _free.release()


@blueprint.get("/events")
def stream() -> Response:
    """Server-sent events `line`, `accounts`, `calls`: fragments of the home page."""
    if not take_place():
        abort(503)
    response = Response(_fragments(current_app._get_current_object(), request.environ), mimetype="text/event-stream")  # type: ignore[attr-defined] # noqa: SLF001
    response.call_on_close(give_place)
    return response


def _fragments(app: Flask, asked_by: WSGIEnvironment) -> Iterator[str]:
    # The request's context is entered for each piece and never held across a wait: what is read
    # from it (language, login) is as it is then.
    with app.request_context(asked_by):
        feed = page().live
    sent: dict[str, str] = {}
    now = feed.snapshot()
    # `retry` is how soon the browser comes back after the page was restarted.
    yield "retry: 2000\n\n"
    while not feed.closed:
        with app.request_context(asked_by):
            pieces = _render(now) if security.logged_in() else None
        if pieces is None:
            return  # logged out in another tab, or the password changed
        for name, html in pieces.items():
            if sent.get(name) != html:
                sent[name] = html
                yield _event(name, html)
        before = now
        now = feed.wait(before.version, HEARTBEAT_SECONDS)
        if now.version == before.version:
            # Also how a browser that went away is noticed.
            yield ": still here\n\n"


def _render(snapshot: Snapshot) -> dict[str, str]:
    if snapshot.version == 0:
        return {}
    pieces = {"line": render_template("_line.html", status=snapshot.status)}
    if snapshot.status is not None:
        pieces["accounts"] = render_template("_accounts.html", status=snapshot.status)
    if snapshot.calls_mark:
        pieces["calls"] = render_template("_calls.html", calls=snapshot.calls)
    return pieces


def _event(name: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"event: {name}\n{lines}\n"
