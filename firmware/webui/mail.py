"""The linked mailbox. The password goes straight to the mail worker; the core never sees it."""

from __future__ import annotations

import logging
import re

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from firmware.service import BoxUnreachableError, MailLink, MailServer, MailStatus, ServiceError
from firmware.webui.context import page
from firmware.webui.forms import Form, secret, text
from firmware.webui.refusals import as_said
from firmware.webui.say import _

SECURITIES = ("tls", "starttls")
_ADDRESS = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]{1,190}\.[^@\s<>\"]{1,60}")
_SERVERS = ("imap", "smtp")
_MAX_PORT = 65535

blueprint = Blueprint("mail", __name__, url_prefix="/mail")
_log = logging.getLogger(__name__)


def _status() -> MailStatus | None:
    """How the mailbox is, or None while the mail worker is away: telephony does not need it."""
    try:
        return page().mail.mail_status()
    except BoxUnreachableError:
        return None


def _render(form: Form, *, by_hand: bool = False) -> str:
    return render_template(
        "mail.html", status=_status(), form=form, by_hand=by_hand, securities=SECURITIES, servers=_SERVERS
    )


@blueprint.get("/")
def show() -> str:
    """What is linked; or the form that links."""
    blank = Form({"imap_port": "993", "smtp_port": "465", "imap_security": "tls", "smtp_security": "tls"})
    return _render(blank, by_hand="by_hand" in request.args)


@blueprint.post("/link")
def link() -> Response | tuple[str, int]:
    """Try both logins; the server's own words if it refuses."""
    names = ["address", "phrase", "notify"]
    names += [f"{kind}_{part}" for kind in _SERVERS for part in ("host", "port", "security", "user")]
    form = Form({name: text(name) for name in names} | {"password": ""})
    address = text("address")
    if not _ADDRESS.fullmatch(address):
        form.errors["address"] = _("This is not a mail address, for example marie@laposte.net.")
    if not secret("password"):
        form.errors["password"] = _("The password is missing.")
    if text("notify") and not _ADDRESS.fullmatch(text("notify")):
        form.errors["notify"] = _("This is not a mail address, for example marie@laposte.net.")
    by_hand = any(text(f"{kind}_host") for kind in _SERVERS)
    wanted: MailLink = {"address": address, "password": secret("password")}
    try:
        if not form.errors and not by_hand and page().mail.mail_presets(address) is None:
            form.errors[""] = _("The servers of this provider are not known to the box: fill them in below.")
            return _render(form, by_hand=True), 422
        if by_hand:
            servers = {kind: _server(kind, address, form) for kind in _SERVERS}
            wanted["imap"], wanted["smtp"] = servers["imap"], servers["smtp"]
        if text("phrase"):
            wanted["phrase"] = text("phrase")
        if text("notify"):
            wanted["notify"] = text("notify")
        if not form.errors:
            page().mail.mail_link(wanted)
            _log.info("mailbox %s linked", address)
            flash(_("The mailbox %(address)s is linked.", address=address), "good")
            return redirect(url_for("mail.show"))
    except ServiceError as error:
        form.refuse(error, as_said)
    return _render(form, by_hand=by_hand), 422


def _server(kind: str, address: str, form: Form) -> MailServer:
    host, port, security = text(f"{kind}_host"), text(f"{kind}_port"), text(f"{kind}_security")
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host):
        form.errors[f"{kind}_host"] = _("This is not a server's name, for example imap.example.org.")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= _MAX_PORT:
        form.errors[f"{kind}_port"] = _("The port is a number from 1 to 65535.")
        port = "0"
    if security not in SECURITIES:
        form.errors[f"{kind}_security"] = _("Choose TLS or STARTTLS.")
    return {"host": host, "port": int(port), "security": security, "user": text(f"{kind}_user") or address}


@blueprint.post("/unlink")
def unlink() -> Response:
    """Forget the mailbox and its password."""
    try:
        page().mail.mail_unlink()
    except ServiceError as error:
        flash(_("The mailbox stays linked: %(why)s", why=as_said(error).line()), "bad")
    else:
        _log.info("mailbox unlinked")
        flash(_("The mailbox is forgotten, and its password with it."), "good")
    return redirect(url_for("mail.show"))


@blueprint.post("/test")
def test() -> Response:
    """Send a mail now."""
    try:
        status = page().mail.mail_test()
    except ServiceError as error:
        flash(_("The test mail was not sent: %(why)s", why=as_said(error).line()), "bad")
    else:
        if status["last_error"]:
            flash(_("The test mail was not sent: %(why)s", why=status["last_error"]), "bad")
        else:
            flash(_("A test mail is on its way to %(address)s.", address=status["address"] or ""), "good")
    return redirect(url_for("mail.show"))
