"""What the box noted, and the SIP messages of the last calls (secrets were taken out by the core)."""

from __future__ import annotations

from flask import Blueprint, render_template

from firmware.service import MAX_ROWS
from firmware.webui.context import page

blueprint = Blueprint("log", __name__, url_prefix="/log")


@blueprint.get("/")
def show() -> str:
    """The last lines, newest first."""
    return render_template("log.html", rows=page().box.logs(MAX_ROWS)[::-1], status=page().box.status())


@blueprint.get("/trace")
def trace() -> str:
    """The SIP ladder, newest first; each message opens."""
    return render_template("trace.html", rows=page().box.trace(MAX_ROWS)[::-1])
