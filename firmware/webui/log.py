"""What the box noted, who came to this page, and the SIP messages of the last calls (without secrets)."""

from __future__ import annotations

from flask import Blueprint, render_template

from firmware.service import MAX_ROWS
from firmware.webui.context import page

blueprint = Blueprint("log", __name__, url_prefix="/log")


@blueprint.get("/")
def show() -> str:
    """The last lines, newest first."""
    box = page().box
    return render_template("log.html", rows=box.logs(MAX_ROWS)[::-1], status=box.status(), visits=page().visits.last())


@blueprint.get("/trace")
def trace() -> str:
    """The SIP ladder, newest first; each message opens."""
    return render_template("trace.html", rows=page().box.trace(MAX_ROWS)[::-1])
