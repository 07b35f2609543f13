"""One row of a deck: change, add, remove; and the deck as CSV. Each change makes a new deck file."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from firmware.rates.deck import Deck, DeckError, RowError, read_rate
from firmware.rates.deckfile import with_row
from firmware.rates.rate import Rate, written_steps
from firmware.service import DeckRow, ServiceError
from firmware.webui.context import page
from firmware.webui.forms import Form, text
from firmware.webui.rate_words import cause_words
from firmware.webui.rates import deck_row, open_deck
from firmware.webui.say import _

_PRICES = ("rate_per_minute", "connection_fee", "per_call", "minimum")
_STEPS = ("first_increment", "next_increment")
_MORE = ("grace", "steps", "service_per_minute", "service_per_call")
_CHUNK = 64 * 1024

blueprint = Blueprint("rate_row", __name__, url_prefix="/rates/decks/<file>")
_log = logging.getLogger(__name__)


def _valid(typed: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(typed) if typed else None
    except ValueError:
        raise NotFound from None


def _place() -> tuple[str, datetime | None, str]:
    """Which row the address names."""
    return request.args.get("prefix", ""), _valid(request.args.get("valid")), request.args.get("band", "")


def _row(deck: Deck, prefix: str, valid: datetime | None, band: str) -> Rate:
    """The row at (prefix, valid, band); 404 if it is not there. Exact prefixes come first in a search."""
    for rate in deck.search(prefix, 200) if prefix else ():
        if (rate.prefix, rate.valid_from, rate.band) == (prefix, valid, band):
            return rate
    raise NotFound


def _values(rate: Rate) -> dict[str, object]:
    prices = {
        "rate_per_minute": rate.per_minute,
        "connection_fee": rate.connection_fee,
        "per_call": rate.per_call,
        "minimum": rate.minimum,
    }
    shown: dict[str, object] = {name: _written(price) for name, price in prices.items()}
    if rate.withdrawn:
        shown["rate_per_minute"] = ""
    services = {"service_per_minute": rate.service_per_minute, "service_per_call": rate.service_per_call}
    shown |= {name: _written(price) if price else "" for name, price in services.items()}
    return shown | {
        "grace": rate.grace_seconds or "",
        "steps": written_steps(rate.steps),
        "prefix": rate.prefix,
        "destination": rate.destination,
        "first_increment": rate.first_increment,
        "next_increment": rate.next_increment,
    }


def _written(price: Decimal) -> str:
    """0.0200 as 0.02: as short as it is exact."""
    try:
        short = price.normalize()
        return f"{short if short.as_tuple().exponent not in range(-1, 30) else short.quantize(Decimal('0.01')):f}"
    except InvalidOperation:
        return f"{price:f}"


def _typed(deck: Deck, before: Rate | None) -> tuple[Rate | None, Form]:
    """The rate that was typed, or None with every error beside its field."""
    values = {name: text(name) for name in ("destination", *_PRICES, *_STEPS, *_MORE)}
    values["prefix"] = before.prefix if before is not None else text("prefix")
    values["band"] = before.band if before is not None else text("band")
    form = Form(values)
    try:
        rate = read_rate(values, deck.info.currency)
    except RowError as error:
        for wrong in error.errors:
            form.errors[wrong.column or ""] = cause_words(wrong.kind, wrong.value, wrong.cause)
        return None, form
    return replace(rate, valid_from=before.valid_from if before is not None else None), form


def _apply(deck: Deck, row: DeckRow, rate: Rate | None, place: tuple[str, datetime | None], band: str) -> str:
    """Make the new deck, take it into use; its file name. Raises ServiceError."""
    try:
        path = with_row(deck, page().decks, rate, instead_of=place, band=band)
    except DeckError as error:
        raise ServiceError(str(error), where="prefix") from error
    page().box.activate_deck(path.name, row["name"], row["account"])
    _log.info("rates: deck %r, prefix %s changed", row["name"], place[0])
    return path.name


@blueprint.route("/row", methods=["GET", "POST"])
def edit(file: str) -> AnyResponse | tuple[str, int] | str:
    """Change one row."""
    row = deck_row(file)
    prefix, valid, band = _place()
    with open_deck(row) as deck:
        before = _row(deck, prefix, valid, band)
        if request.method == "GET":
            return render_template("deck_row.html", deck=row, rate=before, form=Form(_values(before)))
        rate, form = _typed(deck, before)
        if rate is None:
            return render_template("deck_row.html", deck=row, rate=before, form=form), 422
        made = _apply(deck, row, rate, (prefix, valid), band)
    flash(_("The rate for %(destination)s is changed.", destination=rate.destination), "good")
    return redirect(url_for("rates.deck", file=made, search=prefix))


@blueprint.route("/add", methods=["GET", "POST"])
def add(file: str) -> AnyResponse | tuple[str, int] | str:
    """Add one row."""
    row = deck_row(file)
    with open_deck(row) as deck:
        if request.method == "GET":
            blank = Form({"first_increment": "60", "next_increment": "60"})
            return render_template("deck_row.html", deck=row, rate=None, form=blank)
        rate, form = _typed(deck, None)
        if rate is not None and any(
            (there.prefix, there.valid_from, there.band) == (rate.prefix, None, rate.band)
            for there in deck.search(rate.prefix, 200)
        ):
            form.errors["prefix"] = _("This prefix has a rate already: search it and change it.")
        if rate is None or form.errors:
            return render_template("deck_row.html", deck=row, rate=None, form=form), 422
        made = _apply(deck, row, rate, (rate.prefix, None), rate.band)
    flash(_("The rate for %(destination)s is added.", destination=rate.destination), "good")
    return redirect(url_for("rates.deck", file=made, search=rate.prefix))


@blueprint.post("/row/remove")
def remove(file: str) -> AnyResponse:
    """Remove one row."""
    row = deck_row(file)
    prefix, valid, band = _place()
    with open_deck(row) as deck:
        before = _row(deck, prefix, valid, band)
        made = _apply(deck, row, None, (prefix, valid), band)
    flash(_("The rate for %(destination)s is removed.", destination=before.destination), "good")
    return redirect(url_for("rates.deck", file=made))


@blueprint.get("/export.csv")
def export(file: str) -> Response:
    """The deck as CSV that can be imported again."""
    row = deck_row(file)
    # A deck may have a million rows: on disk first, then sent in pieces.
    written = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - closed when it is sent
    with open_deck(row) as deck:
        deck.export(written)
    written.seek(0)
    sent = Response(iter(lambda: written.read(_CHUNK), ""), mimetype="text/csv")
    sent.call_on_close(written.close)
    sent.headers["Content-Disposition"] = f'attachment; filename="{row["name"]}.csv"'
    return sent
