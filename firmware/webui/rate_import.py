"""A provider's price list into use: upload, columns if their names do not tell, preview, yes or no."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from firmware.pastcalls import DAYS, deck_for, past_calls, plan_files
from firmware.rates import mapping
from firmware.rates.columns import REQUIRED, CellError
from firmware.rates.deck import DeckError, deck_name
from firmware.rates.deckfile import adopt, check_name
from firmware.rates.mapping import Choice, Use
from firmware.rates.mappings import Mappings, from_json, to_json
from firmware.rates.prices import read_tax
from firmware.service import ServiceError
from firmware.webui import deck_child, events, reading
from firmware.webui.context import page
from firmware.webui.formats import plain
from firmware.webui.forms import Form, text, ticked
from firmware.webui.rate_words import TARGETS
from firmware.webui.rates import rates_page
from firmware.webui.say import _
from firmware.webui.uploads import Upload, Uploads, Wish

# A file of usual size is read meanwhile; a larger one shows how far it is.
PATIENCE_SECONDS = 2.5
MAX_COLUMNS = 64

blueprint = Blueprint("rate_import", __name__, url_prefix="/rates")
_log = logging.getLogger(__name__)


def uploads() -> Uploads:
    """The folder of files between upload and yes."""
    return Uploads(page().uploads)


def _kept(token: str) -> Upload:
    found = uploads().find(token)
    if found is None:
        abort(404)
    return found


@blueprint.post("/upload")
def upload() -> AnyResponse | tuple[str, int]:
    """Take a file in and look at its columns; nothing is in use before the preview is said yes to."""
    form = Form({
        "name": text("name"), "currency": text("currency").upper() or "EUR", "account": text("account"),
        "valid_from": text("valid_from"),
    })  # fmt: skip
    file = request.files.get("file")
    if file is None or not file.filename:
        form.errors["file"] = _("Choose a CSV file.")
        return rates_page(form), 422
    source = plain(file.filename.replace("\\", "/").rsplit("/", 1)[-1])[:80] or "rates.csv"
    name = form.value("name").lower() or deck_name(source)
    begins = _check(form, name)
    if form.errors:
        return rates_page(form), 422
    wish = Wish(source, name, form.value("currency"), form.value("account") or None, begins)
    try:
        kept = uploads().keep(file, wish)
    except OSError as error:
        _log.warning("rates: an upload could not be kept: %s", error)
        form.errors["file"] = _("The box could not keep the file: its disk may be full. Nothing was changed.")
        return rates_page(form), 422
    try:
        seen = _look(kept)
    except ServiceError as error:
        uploads().forget(kept.token)
        form.refuse(error)
        return rates_page(form), 422
    # What no name tells a person must; a file that is no table goes on to have its errors told.
    if seen["columns"] and seen["missing"]:
        return redirect(url_for("rate_import.columns", token=kept.token))
    _begin(kept)
    return redirect(url_for("rate_import.preview", token=kept.token))


def _begin(kept: Upload) -> None:
    reading.begin(uploads(), kept, lambda: _order(kept))


def _check(form: Form, name: str) -> str:
    """Put what is wrong beside its field; the day from which the prices hold, as ISO, or ""."""
    try:
        check_name(name)
    except DeckError:
        form.errors["name"] = _("A name is made of small letters, digits, points and hyphens: ovh-2026.")
    if len(form.value("currency")) != 3 or not form.value("currency").isalpha():  # noqa: PLR2004 - ISO 4217
        form.errors["currency"] = _("A currency has three letters, such as EUR.")
    typed = form.value("valid_from")
    if not typed:
        return ""
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        form.errors["valid_from"] = _("Write the day as 2026-11-23.")
        return ""
    return datetime.combine(day, time(), page().household.choices().zone).isoformat()


def _look(kept: Upload) -> deck_child.Seen:
    choice = from_json(kept.wish.choice) if kept.wish.choice else Choice()
    return deck_child.see(kept.path, page().decks, choice, source=kept.wish.source, name=kept.wish.name)


@blueprint.route("/columns/<token>", methods=["GET", "POST"])
def columns(token: str) -> str | AnyResponse | tuple[str | AnyResponse, int]:
    """Which column is what: asked once a provider."""
    kept = _kept(token)
    return _choose(kept) if request.method == "POST" else _columns(kept, Form())


def _columns(kept: Upload, form: Form) -> str | AnyResponse:
    seen = _look(kept)
    if not seen["columns"]:
        return redirect(url_for("rate_import.preview", token=kept.token))
    choice = from_json(seen["choice"])
    rows = [
        {"name": column["name"], "chosen": _told(column), "samples": _samples(seen["samples"], place)}
        for place, column in enumerate(seen["columns"])
    ]
    return render_template(
        "rates_columns.html",
        upload=kept,
        rows=rows,
        targets=[(key, told()) for key, told in TARGETS.items()],
        headless=choice.headless,
        tax=choice.tax_percent or ("0" if choice.tax == "included" else ""),
        without_tax=seen["tax"] == "excluded",
        recalled=seen["recalled"],
        form=form,
    )


def _told(column: deck_child.ColumnRow) -> str:
    if not column["target"]:
        return mapping.IGNORED
    return f"{column['target']}:{column['unit']}" if column["unit"] else column["target"]


def _samples(rows: list[list[str]], place: int) -> list[str]:
    return [row[place] for row in rows if place < len(row) and row[place]][:3]


def _choose(kept: Upload) -> AnyResponse | tuple[str | AnyResponse, int]:
    """Take the columns as they were chosen; `again` shows the file anew with or without a first line of names."""
    headless = ticked("headless")
    form = Form()
    before = _look(kept)
    choice = Choice(headless=headless)
    if not text("again") and headless == from_json(before["choice"]).headless:
        choice = _choice(before, form, headless=headless)
        if form.errors:
            return _columns(kept, form), 422
        kept = uploads().change(kept, choice=to_json(choice))
        _begin(kept)
        return redirect(url_for("rate_import.preview", token=kept.token))
    uploads().change(kept, choice=to_json(choice))
    return redirect(url_for("rate_import.columns", token=kept.token))


def _choice(before: deck_child.Seen, form: Form, *, headless: bool) -> Choice:
    """What was chosen, by place; what is wrong goes to the form."""
    uses: dict[str, Use] = {}
    for place in range(min(len(before["columns"]), MAX_COLUMNS)):
        chosen = text(f"column-{place}")
        if chosen in TARGETS:
            target, _sep, unit = chosen.partition(":")
            uses[f"#{place + 1}"] = Use(target, unit)
    targets = [use.target for use in uses.values() if use.target != mapping.IGNORED]
    twice = sorted({target for target in targets if targets.count(target) > 1})
    missing = [target for target in REQUIRED if target not in targets]
    if twice:
        form.errors[""] = _("Two columns are “%(what)s”: choose one.", what=TARGETS[twice[0]]())
    elif missing:
        wanted = ", ".join(TARGETS[target]() for target in missing)
        form.errors[""] = _("Still missing: %(what)s.", what=wanted)
    percent = text("tax").replace(" ", "").removesuffix("%")
    try:
        added = bool(percent) and read_tax(percent) > 0
    except CellError:
        form.errors["tax"] = _("Write the tax in percent: 20 or 5,5.")
        added = False
    tax: mapping.Tax = "excluded" if added else "included" if percent else ""
    return Choice(uses, headless=headless, tax=tax, tax_percent=percent if added else "")


@blueprint.get("/preview/<token>")
def preview(token: str) -> str:
    """What the file holds and changes, or everything that is wrong with it; how far it is while it is read."""
    kept = _kept(token)
    _begin(kept)
    if not reading.over(kept, PATIENCE_SECONDS):
        return render_template("rates_progress.html", upload=kept, percent=reading.percent(kept))
    report: Any = uploads().report(kept)
    if report is None:
        abort(404)
    if "failed" in report:
        return render_template("rates_failed.html", upload=kept, reason=report["failed"])
    before = next((deck for deck in page().box.decks() if deck["name"] == kept.wish.name and deck["active"]), None)
    kinds = {problem["kind"] for problem in report["errors"]}
    return render_template(
        "rates_preview.html",
        upload=kept,
        report=report,
        before=before,
        days=DAYS,
        targets=TARGETS,
        column_trouble=bool(report["columns"]) or bool(kinds & {"column-missing", "column-unknown", "column-twice"}),
    )


def _order(kept: Upload) -> deck_child.Order:
    """What the child shall do, with all that it cannot ask for itself."""
    box, decks = page().box, page().box.decks()
    account = kept.wish.account
    used = deck_for(decks, account)
    calls = past_calls(box, decks, account, datetime.now(UTC))
    kept.made.mkdir(mode=0o700, exist_ok=True)
    return {
        "path": str(kept.path),
        "folder": str(kept.made),
        "decks": str(page().decks),
        "name": kept.wish.name,
        "currency": kept.wish.currency,
        "source": kept.wish.source,
        "choice": kept.wish.choice or to_json(Choice()),
        "valid_from": kept.wish.valid_from or None,
        "base": str(page().decks / used["file"]) if used else None,
        "country": page().household.choices().country,
        "zone": page().household.choices().timezone,
        "plans": [(who, str(page().decks / file)) for who, file in plan_files(box).items()],
        "calls": [(call.number, call.started.isoformat(), call.seconds, call.account) for call in calls],
        "progress": str(kept.progress),
    }


@blueprint.get("/preview/<token>/progress")
def progress(token: str) -> Response:
    """How far the reading is, as server-sent events: `progress` with percent, and `over` once."""
    kept = _kept(token)
    if not events.take_place():
        abort(503)
    response = Response(_stream(kept), mimetype="text/event-stream")
    response.call_on_close(events.give_place)
    return response


def _stream(kept: Upload) -> Iterator[str]:
    for percent in reading.watch(kept):
        yield f"event: {'over' if percent == 100 else 'progress'}\ndata: {percent}\n\n"  # noqa: PLR2004


@blueprint.post("/take/<token>")
def take(token: str) -> AnyResponse:
    """Take the deck that was made into use, whole or not at all."""
    kept = _kept(token)
    _begin(kept)
    reading.over(kept, PATIENCE_SECONDS)
    report: Any = uploads().report(kept)
    made = kept.made / ((report or {}).get("file") or "none")
    if report is None or not made.is_file():
        return redirect(url_for("rate_import.preview", token=token))
    known = (page().decks / made.name).exists()
    try:
        target = adopt(made, page().decks)
    except DeckError as error:
        raise ServiceError(str(error), status=500) from error
    try:
        page().box.activate_deck(target.name, kept.wish.name, kept.wish.account)
    except ServiceError:
        if not known:
            target.replace(made)  # as if nobody had said yes
        raise
    try:
        Mappings(page().decks).remember(report["names"], from_json(report["choice"]), kept.wish.name)
    except OSError as error:
        _log.warning("rates: the columns of %r could not be remembered: %s", kept.wish.name, error)
    uploads().forget(token)
    _log.info("rates: deck %r of %d rows is in use", kept.wish.name, report["rows"])
    flash(_("The rates %(name)s are in use: %(count)d lines.", name=kept.wish.name, count=report["rows"]), "good")
    return redirect(url_for("rates.deck", file=target.name))


@blueprint.post("/forget/<token>")
def forget(token: str) -> AnyResponse:
    """Say no: the uploaded file is removed, and read no further."""
    uploads().forget(token)
    reading.stop(token)
    flash(_("Nothing was changed."), "good")
    return redirect(url_for("rates.show"))
