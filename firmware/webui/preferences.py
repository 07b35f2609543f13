"""The reader's own switches: language and look. They work before the login and hold no secret."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from firmware.webui.auth import safe_target
from firmware.webui.forms import text
from firmware.webui.language import LANGUAGE_COOKIE, LANGUAGES, THEME_COOKIE, THEMES

_YEAR_SECONDS = 365 * 86400

blueprint = Blueprint("preferences", __name__)


@blueprint.post("/preferences")
def save() -> Response:
    """Remember the choice in a cookie, and return to the page it was made on."""
    response = redirect(safe_target(request.form.get("next")))
    for cookie, chosen, allowed in (
        (LANGUAGE_COOKIE, text("language"), LANGUAGES),
        (THEME_COOKIE, text("theme"), THEMES),
    ):
        if chosen in allowed:
            response.set_cookie(cookie, chosen, _YEAR_SECONDS, httponly=True, samesite="Strict")
    return response
