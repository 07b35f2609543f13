"""Rates: the decks in use and those before them, a price finder, search. Import: rate_import.py."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, TypedDict

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from firmware.rates.deck import Deck, DeckError
from firmware.service import BoxUnreachableError, DeckRow, PriceAnswer, ServiceError
from firmware.webui.context import page
from firmware.webui.formats import plain
from firmware.webui.forms import Form, text, whole
from firmware.webui.refusals import other_refusal
from firmware.webui.route_words import reason
from firmware.webui.say import _
from firmware.webui.security import MAX_UPLOAD_BYTES
from firmware.webui.uploads import too_big

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
    when: str


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
    asked: _Asked = {
        "number": request.args.get("number", "")[:64],
        "minutes": request.args.get("minutes", "")[:8],
        "when": request.args.get("when", "").strip()[:32],
    }
    answer, wrong = _price(asked) if asked["number"].strip() else (None, "")
    return rates_page(Form({"currency": "EUR"}), asked, answer, wrong)


def rates_page(form: Form, asked: _Asked | None = None, answer: PriceAnswer | None = None, wrong: str = "") -> str:
    """The section's first page; `form` is the import's, with what is wrong in it."""
    decks = page().box.decks()
    used = {deck["name"] for deck in decks if deck["active"]}
    return render_template(
        "rates.html",
        decks=[deck for deck in decks if deck["active"]],
        former=[deck for deck in decks if not deck["active"]],
        used=used,
        asked=asked or _Asked(number="", minutes="", when=""),
        answer=answer,
        wrong=wrong,
        reason=reason,
        form=form,
        accounts=page().box.accounts(),
        most=MAX_UPLOAD_BYTES - _FORM_BYTES,
        too_big=too_big(),
    )


def _is_time(typed: str) -> bool:
    """Whether the box can read it: local time without an offset."""
    try:
        datetime.fromisoformat(typed)
    except ValueError:
        return False
    return True


def _price(asked: _Asked) -> tuple[PriceAnswer | None, str]:
    seconds = 60 * whole(asked["minutes"], 1, low=1, high=_MAX_SECONDS // 60)
    if asked["when"] and not _is_time(asked["when"]):
        return None, _("“%(typed)s” is no date and time (2026-11-28 20:30).", typed=plain(asked["when"]))
    try:
        return page().box.price(asked["number"].strip(), seconds, asked["when"] or None), ""
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
        now=datetime.now(UTC),
        **_uses(row),
    )


def _uses(row: DeckRow) -> dict[str, object]:
    """For a deck in no use: whose calls it may price again, those of the deck of its name first."""
    if row["active"]:
        return {}
    same = next((deck for deck in page().box.decks() if deck["active"] and deck["name"] == row["name"]), None)
    return {"accounts": page().box.accounts(), "account": (same or row)["account"] or ""}


@blueprint.post("/decks/<file>/use")
def use(file: str) -> Response:
    """Take a deck that lies unused into use again: the way back from an import."""
    row = deck_row(file)
    page().box.activate_deck(file, row["name"], text("account") or None)
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
