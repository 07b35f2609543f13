"""When something goes wrong: a page in words that says what, and what to do."""

from __future__ import annotations

import logging

from flask import Flask, Response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from firmware.service import BoxUnreachableError, ServiceError
from firmware.webui.refusals import other_refusal
from firmware.webui.say import _
from firmware.webui.uploads import too_big

_log = logging.getLogger(__name__)


def explain(app: Flask) -> None:
    """Register the error pages."""
    app.register_error_handler(BoxUnreachableError, _unreachable)
    app.register_error_handler(ServiceError, _refused)
    app.register_error_handler(CSRFError, _forged)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _broken)


def _page(heading: str, detail: str, status: int, *, refresh: bool = False, core: str = "") -> tuple[str, int]:
    shown = render_template("error.html", heading=heading, detail=detail, core=core, status=status, refresh=refresh)
    return shown, status


def _unreachable(error: BoxUnreachableError) -> tuple[str, int]:
    _log.warning("%s", error)
    return _page(
        _("The box does not answer"),
        _(
            "The page is here, but the telephone part is not: perhaps it is starting again. "
            "This page tries again by itself. If it stays so, switch the box off, wait ten seconds, and on again."
        ),
        503,
        refresh=request.method == "GET",
    )


def _refused(error: ServiceError) -> tuple[str, int]:
    _log.info("refused: %s", error)
    refusal = other_refusal(error)
    return _page(_("The box refuses"), refusal.words, error.status, core=refusal.core)


def _forged(error: CSRFError) -> tuple[str, int]:
    _log.info("csrf: %s", error.description)
    return _page(
        _("This form is out of date"),
        _("Nothing was changed. Go back, reload the page and send the form again."),
        400,
    )


def _http(error: HTTPException) -> tuple[str, int] | Response | HTTPException:
    code = error.code or 500
    match code:
        case 400:
            return _page(_("The request makes no sense"), _("Nothing was changed. Go back and try again."), code)
        case 403:
            return _page(_("Refused"), _("This request came from another site. Nothing was changed."), code)
        case 404:
            return _page(_("There is no such page"), _("Perhaps it was removed. The menu leads on."), code)
        case 405:
            return _page(_("Not this way"), _("This address only answers the button that belongs to it."), code)
        case 413:
            return _page(_("The file is too big"), too_big(), code)
        case 421:
            # A foreign name: nothing of the box is shown, not even its style.
            words = _("This box does not answer to that name. Use its address, or allobox.local.")
            return Response(words, code, mimetype="text/plain")
        case 503:
            return _page(_("Too many open pages"), _("Close some of them, then reload."), code)
        case _:
            return error if code < 400 else _page(_("This did not work"), _("Go back and try again."), code)  # noqa: PLR2004


def _broken(error: Exception) -> tuple[str, int]:
    _log.error("page: %s %s failed", request.method, request.path, exc_info=error)
    return _page(
        _("The page made a mistake"),
        _("Your telephone goes on working. The page's log says more; please report it."),
        500,
    )
