"""SIP accounts: list, add, edit, remove, test. A password goes in and never comes out."""

from __future__ import annotations

import logging
import re
from typing import cast

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from firmware.service import AccountDraft, AccountRow, BoxUnreachableError, ServiceError
from firmware.webui.account_words import account_sentence
from firmware.webui.context import page
from firmware.webui.forms import Form, secret, text, ticked
from firmware.webui.refusals import account_refusal, other_refusal
from firmware.webui.say import _

_CONFLICT = 409
TRANSPORTS = ("udp", "tcp", "tls")
PACKETS = ("10", "20", "30", "40")
DIGIT_WAYS = ("auto", "rfc4733", "inband", "info")
_E164 = re.compile(r"\+[1-9][0-9]{3,14}")

blueprint = Blueprint("accounts", __name__, url_prefix="/accounts")
_log = logging.getLogger(__name__)


def _named(name: str) -> AccountRow:
    found = next((account for account in page().box.accounts() if account["name"] == name), None)
    if found is None:
        abort(404)
    return found


def _typed() -> tuple[dict[str, object], Form]:
    """(the changes as AccountDraft's keys, the form to show again). An empty password is no change."""
    values: dict[str, object] = {
        name: text(name) for name in ("name", "server", "user", "auth_user", "transport", "display_name", "proxy")
    }
    values |= {name: text(name) for name in ("ptime", "dtmf") if text(name)}
    if text("codecs"):
        values["codecs"] = text("codecs")
    values["vad"] = ticked("vad")
    values["number"] = _e164(text("number"))
    values["enabled"] = ticked("enabled")
    form = Form({**values, "password": ""})
    if not values["name"]:
        form.errors["name"] = _("Give the account a name, for example your provider's.")
    if not values["server"]:
        form.errors["server"] = _("The server's name is missing, for example sip.example.org.")
    if not values["user"]:
        form.errors["user"] = _("The user name is missing: your provider gave it to you, often it is the number.")
    if values["transport"] not in TRANSPORTS:
        form.errors["transport"] = _("Choose UDP, TCP or TLS.")
    if values["number"] and not _E164.fullmatch(str(values["number"])):
        form.errors["number"] = _("Write the number as in 01 42 68 53 00 or +33 1 42 68 53 00.")
    if values.get("ptime", "20") not in PACKETS:
        form.errors["ptime"] = _("Choose 10, 20, 30 or 40 ms.")
    if values.get("dtmf", "auto") not in DIGIT_WAYS:
        form.errors["dtmf"] = _("Choose one of the ways.")
    changes = dict(values)
    if "ptime" in changes and "ptime" not in form.errors:
        changes["ptime"] = int(str(changes["ptime"]))
    if "codecs" in changes:
        changes["codecs"] = [name for name in re.split(r"[\s,;]+", str(changes["codecs"])) if name]
    if secret("password"):
        changes["password"] = secret("password")
    return changes, form


def _e164(typed: str) -> str:
    """`01 42 68 53 00` as people write it, in E.164; anything else unchanged but for its spaces."""
    bare = re.sub(r"[\s.()/\u00a0\u202f-]", "", typed)
    if page().household.choices().country == "FR" and re.fullmatch(r"0[1-9][0-9]{8}", bare):
        return f"+33{bare[1:]}"
    return f"+{bare[2:]}" if bare.startswith("00") else bare


@blueprint.get("/")
def show() -> str:
    """All accounts with their state in words."""
    return render_template("accounts.html", accounts=page().box.accounts())


@blueprint.route("/add", methods=["GET", "POST"])
def add() -> Response | tuple[str, int] | str:
    """A new account; tested at once, so that a wrong password is told here and now."""
    if request.method == "GET":
        blank = Form({"transport": "udp", "ptime": "20", "dtmf": "auto", "enabled": True})
        return render_template("account.html", form=blank, account=None, transports=TRANSPORTS)
    changes, form = _typed()
    if not form.errors:
        try:
            row = page().box.add_account(cast("AccountDraft", changes))
        except BoxUnreachableError:
            raise
        except ServiceError as error:
            form.refuse(error, account_refusal)
        else:
            _log.info("account %r added", row["name"])
            flash(_("The account %(name)s is added.", name=row["name"]), "good")
            _tell_test(row["name"])
            return redirect(url_for("accounts.show"))
    return render_template("account.html", form=form, account=None, transports=TRANSPORTS), 422


@blueprint.route("/<name>", methods=["GET", "POST"])
def edit(name: str) -> Response | tuple[str, int] | str:
    """Change an account; an empty password field keeps the one that is set."""
    account = _named(name)
    if request.method == "GET":
        shown = {**account, "ptime": str(account["ptime"]), "codecs": ", ".join(account["codecs"])}
        return render_template("account.html", form=Form(shown), account=account, transports=TRANSPORTS)
    changes, form = _typed()
    if not form.errors:
        try:
            row = page().box.change_account(name, changes)
        except BoxUnreachableError:
            raise
        except ServiceError as error:
            form.refuse(error, account_refusal)
        else:
            _log.info("account %r changed", row["name"])
            flash(_("The account %(name)s is changed.", name=row["name"]), "good")
            return redirect(url_for("accounts.show"))
    return render_template("account.html", form=form, account=account, transports=TRANSPORTS), 422


@blueprint.post("/<name>/test")
def test(name: str) -> Response:
    """Register now, and say in words how it went."""
    _named(name)
    _tell_test(name)
    return redirect(url_for("accounts.show"))


@blueprint.route("/<name>/remove", methods=["GET", "POST"])
def remove(name: str) -> Response | str:
    """Ask once, then remove."""
    account = _named(name)
    if request.method == "GET":
        return render_template("account_remove.html", account=account)
    page().box.remove_account(name)
    _log.info("account %r removed", name)
    flash(_("The account %(name)s is removed.", name=name), "good")
    return redirect(url_for("accounts.show"))


def _tell_test(name: str) -> None:
    try:
        row = page().box.test_account(name)
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        why = _("switch it on first.") if error.status == _CONFLICT else other_refusal(error).line()
        flash(_("The test of %(name)s did not run: %(why)s", name=name, why=why), "bad")
        return
    said = account_sentence(row)
    words = f"{row['name']} : {said.heading}. {said.detail}".strip()
    flash(words, "good" if row["registered"] else "bad")
