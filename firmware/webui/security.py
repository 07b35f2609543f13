"""What stands before every route: our Host, our Origin, a login, and the headers of every answer.

The order matters: a foreign Host learns nothing, a foreign Origin changes nothing, and only then is
a form read (CSRF, which Flask-WTF checks after these guards). A route is closed unless named here.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, g, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from firmware.webui.context import page
from firmware.webui.hosts import is_ours, well_formed

# Reachable without a login; everything else is not. Mutating ones still need our Origin and a CSRF token.
PUBLIC = frozenset({"static", "auth.setup", "auth.login", "preferences.save"})
# Reachable though no password is set yet.
BEFORE_SETUP = frozenset({"static", "auth.setup", "preferences.save"})

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION_TOKEN = "token"  # noqa: S105 - the key under which the token lies, not a token
MAX_FORM_BYTES = 1 << 20
# A million rates of usual length. They go to the disk as they come (app.py), and are read by a child.
MAX_UPLOAD_BYTES = 64 << 20
# 50,000 calls of a provider's file, with room for what it says besides.
MAX_CHECK_BYTES = 8 << 20
UPLOADS = {"rate_import.upload": MAX_UPLOAD_BYTES, "bill.check": MAX_CHECK_BYTES}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class _LongSessions(SecureCookieSessionInterface):
    """The session's cookie is sent only when its content changed: pages stay free of Set-Cookie."""

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:  # noqa: ARG002 - Flask's signature
        return session.modified


def protect(app: Flask) -> None:
    """Put every guard before every route of `app`."""
    app.config.update(
        SESSION_COOKIE_NAME="allobox_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=30 * 86400,
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        # The token lives as long as the session it is bound to: a form left open over night still works.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.session_interface = _LongSessions()
    app.before_request(_check_host)
    app.before_request(_check_origin)
    app.before_request(_check_login)
    CSRFProtect(app)
    app.after_request(_add_headers)


def same_origin(incoming: Request) -> bool:
    """Whether an unsafe request was made by a page of ours, as far as the browser tells."""
    site = incoming.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = incoming.headers.get("Origin")
    if origin is None:
        return True  # not a browser, or an old one: the CSRF token decides
    try:
        told = urlsplit(origin)
    except ValueError:
        return False  # such as `http://[`
    return told.scheme == incoming.scheme and told.netloc.lower() == incoming.host.lower()


def logged_in() -> bool:
    """Whether this request carries an open session. Raises BoxUnreachableError if that cannot be known."""
    token = session.get(SESSION_TOKEN)
    if not isinstance(token, str):
        return False
    return page().sessions.valid(token, page().credential.fingerprint())


def _check_host() -> None:
    host = request.headers.get("Host", "")
    if not well_formed(host):
        abort(400)
    # An address or localhost needs no names, so the core is not asked for them.
    if not is_ours(host, ()) and not is_ours(host, page().household.choices().names):
        abort(421)


def _check_origin() -> None:
    if request.method in SAFE_METHODS:
        # Other sites may link here, but not load our pages, streams and exports into theirs.
        site = request.headers.get("Sec-Fetch-Site", "none")
        if site == "cross-site" and request.headers.get("Sec-Fetch-Mode") != "navigate":
            abort(403)
    elif not same_origin(request):
        abort(403)


def _check_login() -> AnyResponse | tuple[str, int] | None:
    if request.endpoint == "static":
        return None
    g.logged_in = False
    if page().credential.current() is None:
        if request.endpoint in BEFORE_SETUP:
            return None
        if request.path == "/" and request.method == "GET":
            return redirect(url_for("auth.setup"))
        return render_template("refused.html", setup=True), 403
    g.logged_in = logged_in()
    if g.logged_in and request.endpoint is not None and request.endpoint in UPLOADS:
        request.max_content_length = UPLOADS[request.endpoint]
    if g.logged_in or request.endpoint in PUBLIC:
        return None
    wants_page = request.method == "GET" and request.accept_mimetypes.accept_html
    if wants_page:
        after = request.full_path.removesuffix("?") if request.path != "/" else None
        return redirect(url_for("auth.login", next=after))
    return render_template("refused.html", setup=False), 403


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
