"""Rates: the decks in use, a price finder, search, and import with a preview."""

from __future__ import annotations

import logging
from typing import Any, TypedDict

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from firmware.rates.deck import Deck, DeckError, deck_name
from firmware.rates.deckfile import check_name
from firmware.service import BoxUnreachableError, DeckRow, PriceAnswer, ServiceError
from firmware.webui import deck_child
from firmware.webui.context import page
from firmware.webui.formats import plain
from firmware.webui.forms import Form, text, whole
from firmware.webui.refusals import other_refusal
from firmware.webui.say import _
from firmware.webui.security import MAX_UPLOAD_BYTES
from firmware.webui.uploads import Upload, Uploads, too_big

PAGE_ROWS = 100
_MAX_OFFSET = 2_000_000
_MAX_SECONDS = 86400
# What of an upload is the form around the file, at most.
_FORM_BYTES = 16 << 10

blueprint = Blueprint("rates", __name__, url_prefix="/rates")
_log = logging.getLogger(__name__)


class _Asked(TypedDict):
    number: str
    minutes: str


def uploads() -> Uploads:
    """The folder of files between upload and yes."""
    return Uploads(page().uploads)


def deck_row(file: str) -> DeckRow:
    """The core's row of that deck file; 404 if there is none."""
    found = next((deck for deck in page().box.decks() if deck["file"] == file), None)
    if found is None:
        raise NotFound
    return found


def open_deck(row: DeckRow) -> Deck:
    """The deck's file, read-only. Raises ServiceError."""
    path = page().decks / row["file"]
    if path.parent != page().decks:
        raise ServiceError(f"{row['file']}: not a file of the decks folder", status=500)
    try:
        return Deck.open(path)
    except DeckError as error:
        raise ServiceError(str(error), status=500) from error


@blueprint.get("/")
def show() -> str:
    """The decks, the price finder, the import form."""
    asked: _Asked = {"number": request.args.get("number", "")[:64], "minutes": request.args.get("minutes", "")[:8]}
    answer, wrong = _price(asked) if asked["number"].strip() else (None, "")
    return render_template("rates.html", decks=page().box.decks(), asked=asked, answer=answer, wrong=wrong, **_import())


def _import(form: Form | None = None) -> dict[str, object]:
    return {
        "form": form or Form({"currency": "EUR"}),
        "accounts": page().box.accounts(),
        "most": MAX_UPLOAD_BYTES - _FORM_BYTES,
        "too_big": too_big(),
    }


def _price(asked: _Asked) -> tuple[PriceAnswer | None, str]:
    seconds = 60 * whole(asked["minutes"], 1, low=1, high=_MAX_SECONDS // 60)
    try:
        return page().box.price(asked["number"].strip(), seconds, None), ""
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        if error.status == 404:  # noqa: PLR2004 - as the contract has it
            return None, _("No price is known for this number.")
        return None, other_refusal(error).line()


@blueprint.get("/decks/<file>")
def deck(file: str) -> str:
    """One deck's rows, searched and paged."""
    row = deck_row(file)
    search = request.args.get("search", "").strip()[:80]
    offset = whole(request.args.get("from"), 0, low=0, high=_MAX_OFFSET)
    with open_deck(row) as opened:
        asked = PAGE_ROWS + 1
        found = opened.search(search, asked, offset) if search else opened.rows(offset, asked)
        info = opened.info

    def link(start: int) -> str:
        place: dict[str, Any] = {"search": search or None, "from": max(0, start) or None}
        return url_for("rates.deck", file=file, **place)

    return render_template(
        "deck.html",
        deck=row,
        info=info,
        rates=found[:PAGE_ROWS],
        search=search,
        newer=link(offset - PAGE_ROWS) if offset else None,
        older=link(offset + PAGE_ROWS) if len(found) > PAGE_ROWS else None,
    )


@blueprint.post("/upload")
def upload() -> Response | tuple[str, int]:
    """Take a CSV file in and check it; nothing is in use before the preview is said yes to."""
    form = Form({"name": text("name"), "currency": text("currency").upper() or "EUR", "account": text("account")})
    file = request.files.get("file")
    if file is None or not file.filename:
        form.errors["file"] = _("Choose a CSV file.")
        return _refuse_upload(form)
    source = plain(file.filename.replace("\\", "/").rsplit("/", 1)[-1])[:80] or "rates.csv"
    name = form.value("name").lower() or deck_name(source)
    try:
        check_name(name)
    except DeckError:
        form.errors["name"] = _("A name is made of small letters, digits, points and hyphens: ovh-2026.")
    if len(form.value("currency")) != 3 or not form.value("currency").isalpha():  # noqa: PLR2004 - ISO 4217
        form.errors["currency"] = _("A currency has three letters, such as EUR.")
    if form.errors:
        return _refuse_upload(form)
    kept = uploads().keep(
        file, source=source, name=name, currency=form.value("currency"), account=form.value("account") or None
    )
    try:
        uploads().note(kept, _run(kept, "check"))
    except ServiceError as error:
        uploads().forget(kept.token)
        form.refuse(error)
        return _refuse_upload(form)
    return redirect(url_for("rates.preview", token=kept.token))


def _refuse_upload(form: Form) -> tuple[str, int]:
    shown = render_template(
        "rates.html",
        decks=page().box.decks(),
        asked=_Asked(number="", minutes=""),
        answer=None,
        wrong="",
        **_import(form),
    )
    return shown, 422


def _run(kept: Upload, mode: str) -> deck_child.Report:
    return deck_child.run(
        kept.path,
        page().decks,
        kept.name,
        currency=kept.currency,
        source=kept.source,
        mode="keep" if mode == "keep" else "check",
    )


@blueprint.get("/preview/<token>")
def preview(token: str) -> str:
    """What the file holds, or everything that is wrong with it."""
    kept = uploads().find(token)
    report = uploads().report(kept) if kept is not None else None
    if kept is None or report is None:
        abort(404)
    before = next((deck for deck in page().box.decks() if deck["name"] == kept.name), None)
    return render_template("rates_preview.html", upload=kept, report=report, before=before)


@blueprint.post("/take/<token>")
def take(token: str) -> Response:
    """Make the deck and take it into use, whole or not at all."""
    kept = uploads().find(token)
    if kept is None:
        abort(404)
    report = _run(kept, "keep")
    if report["file"] is None:
        uploads().note(kept, report)
        return redirect(url_for("rates.preview", token=token))
    page().box.activate_deck(report["file"], kept.name, kept.account)
    uploads().forget(token)
    _log.info("rates: deck %r of %d rows is in use", kept.name, report["rows"])
    flash(_("The rates %(name)s are in use: %(count)d lines.", name=kept.name, count=report["rows"]), "good")
    return redirect(url_for("rates.deck", file=report["file"]))


@blueprint.post("/forget/<token>")
def forget(token: str) -> Response:
    """Say no: the uploaded file is removed."""
    uploads().forget(token)
    flash(_("Nothing was changed."), "good")
    return redirect(url_for("rates.show"))


@blueprint.post("/decks/<file>/use")
def use(file: str) -> Response:
    """Take a deck that lies unused into use again: the way back from an import."""
    row = deck_row(file)
    page().box.activate_deck(file, row["name"], row["account"])
    flash(_("The rates %(name)s are in use: %(count)d lines.", name=row["name"], count=row["rows"]), "good")
    return redirect(url_for("rates.deck", file=file))


@blueprint.route("/decks/<file>/remove", methods=["GET", "POST"])
def remove(file: str) -> Response | str:
    """Ask once, then take the deck out of use."""
    row = deck_row(file)
    if request.method == "GET":
        return render_template("deck_remove.html", deck=row)
    page().box.remove_deck(row["name"])
    _log.info("rates: deck %r removed", row["name"])
    flash(_("The rates %(name)s are no longer in use.", name=row["name"]), "good")
    return redirect(url_for("rates.show"))
