"""The home page: what the telephone does now, what the month costs, the last calls."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template

from firmware.webui.context import page
from firmware.webui.live import RECENT_CALLS

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def show() -> str:
    """Everything at a glance; without JavaScript it refreshes itself."""
    zone = page().household.choices().zone
    now = datetime.now(UTC).astimezone(zone)
    totals, answered = page().spend.so_far(now, zone)
    return render_template(
        "home.html",
        status=page().box.status(),
        calls=page().box.calls({"limit": RECENT_CALLS}),
        totals=totals,
        answered=answered,
        now=now,
    )
