"""First start, login, logout, a new password."""

from __future__ import annotations

import logging
import math
from urllib.parse import urlsplit

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, session, url_for
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from firmware.webui import passwords, security, visits
from firmware.webui.context import page
from firmware.webui.forms import Form, secret, text
from firmware.webui.hosts import is_loopback
from firmware.webui.say import _

DEVICE_COOKIE = "allobox_device"
_DEVICE_SECONDS = 365 * 86400

blueprint = Blueprint("auth", __name__)
_log = logging.getLogger(__name__)


def _client() -> str:
    return request.remote_addr or "unknown"


def _at_the_machine() -> bool:
    """Whether the browser runs on the box itself: presence enough. A proxy's word for it is not taken."""
    return is_loopback(_client()) and "X-Forwarded-For" not in request.headers and "Forwarded" not in request.headers


def _device() -> str | None:
    """The browser's device mark, if it has logged in before."""
    try:
        marked = _marks().loads(request.cookies.get(DEVICE_COOKIE, ""))
    except BadSignature:
        return None
    return marked if isinstance(marked, str) else None


def _marks() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or b"", salt="device")


def _enter(target: str) -> Response:
    """Open a session; a new one, so that nothing planted before the login survives it."""
    session.clear()
    session[security.SESSION_TOKEN] = token = page().sessions.open(page().credential.fingerprint())
    session.permanent = True
    g.pop("csrf_token", None)
    response = redirect(target)
    mark = str(_marks().dumps(_device() or token[:16]))
    response.set_cookie(DEVICE_COOKIE, mark, _DEVICE_SECONDS, httponly=True, samesite="Strict")
    return response


def safe_target(target: str | None) -> str:
    """A path of ours to go on to; anything else is the home page (no open redirect)."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return url_for("home.show")
    told = urlsplit(target)
    if told.scheme or told.netloc or any(ord(char) < ord(" ") for char in target):
        return url_for("home.show")
    return target


def _wait(seconds: float, template: str, form: Form, **more: object) -> tuple[Response, int]:
    wait = max(1, math.ceil(seconds))
    form.errors[""] = _("Too many tries. Wait %(seconds)d seconds, then try again.", seconds=wait)
    response = current_app.make_response(render_template(template, form=form, **more))
    response.headers["Retry-After"] = str(wait)
    return response, 429


@blueprint.route("/setup", methods=["GET", "POST"])
def setup() -> Response | tuple[Response, int] | tuple[str, int] | str:
    """The first start: choose the password. From elsewhere than the box, with the handset's code."""
    if page().credential.current() is not None:
        return redirect(url_for("auth.login"))
    needs_code = not _at_the_machine()
    form = Form()
    if request.method == "GET":
        return render_template("setup.html", form=form, needs_code=needs_code)
    _read_new_password(form)
    if not form.errors and needs_code:
        wait = page().attempts.admit(_client(), known=False)
        if wait > 0:
            return _wait(wait, "setup.html", form, needs_code=needs_code)
        if not page().box.check_setup_code("".join(filter(str.isdigit, text("code")))):
            page().visits.note(visits.WRONG_CODE, _client())
            form.errors["code"] = _("This is not the code. Lift the handset, dial *00# and listen again.")
    if form.errors:
        return render_template("setup.html", form=form, needs_code=needs_code), 422
    page().credential.store(secret("password"))
    page().attempts.succeeded(_client())
    page().visits.note("setup", _client())
    _log.info("set-up: the page's password was chosen from %s", _client())
    flash(_("Welcome! The password is set."), "good")
    return _enter(url_for("home.show"))


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Response | tuple[Response, int] | tuple[str, int] | str:
    """Ask for the password."""
    form = Form({"next": request.values.get("next", "")[:512]})
    if g.logged_in:
        return redirect(safe_target(request.values.get("next")))
    if request.method == "GET":
        return render_template("login.html", form=form)
    device = _device()
    client = f"device {device}" if device else _client()
    known = device is not None or _at_the_machine()
    wait = page().attempts.admit(client, known=known)
    if wait > 0:
        _log.info("login: %s must wait %.0f s", _client(), wait)
        return _wait(wait, "login.html", form)
    if not page().credential.verify(secret("password")):
        page().visits.note(visits.WRONG_PASSWORD, _client())
        _log.warning("login: wrong password from %s", _client())
        form.errors["password"] = _("This is not the password.")
        return render_template("login.html", form=form), 403
    page().attempts.succeeded(client)
    page().visits.note("login", _client())
    _log.info("login: %s came in", _client())
    return _enter(safe_target(request.values.get("next")))


@blueprint.post("/logout")
def logout() -> Response:
    """Close the session here and in the browser."""
    token = session.get(security.SESSION_TOKEN)
    if isinstance(token, str):
        page().sessions.close(token)
    session.clear()
    return redirect(url_for("auth.login"))


@blueprint.route("/password", methods=["GET", "POST"])
def password() -> Response | tuple[Response, int] | tuple[str, int] | str:
    """Change the password: the present one is asked, and every other session ends."""
    form = Form()
    if request.method == "GET":
        return render_template("password.html", form=form)
    _read_new_password(form)
    if not form.errors:
        client = f"session {str(session.get(security.SESSION_TOKEN))[:16]}"
        wait = page().attempts.admit(client, known=True)
        if wait > 0:
            return _wait(wait, "password.html", form)
        if page().credential.verify(secret("present")):
            page().attempts.succeeded(client)
        else:
            page().visits.note(visits.WRONG_PASSWORD, _client())
            form.errors["present"] = _("This is not the present password.")
    if form.errors:
        return render_template("password.html", form=form), 422
    page().credential.store(secret("password"))
    page().sessions.close_all()
    page().visits.note("new-password", _client())
    _log.info("password: changed from %s", _client())
    flash(_("The password is changed. Other browsers have to log in again."), "good")
    return _enter(url_for("telephone.show"))


def _read_new_password(form: Form) -> None:
    chosen = secret("password")
    weak = passwords.weakness(chosen)
    if weak is not None:
        form.errors["password"] = weak
    elif secret("again") != chosen:
        form.errors["again"] = _("The two passwords differ.")
