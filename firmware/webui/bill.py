"""The month's bill: sums, plots, exports, a page for the printer, and the provider's file checked against it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from babel.dates import format_date
from flask import Blueprint, Response, render_template, request
from flask_babel import get_locale

from firmware.rates.cdrcolumns import FIELDS
from firmware.rates.statement import GROUPINGS, Month, StatementError
from firmware.service import BoxUnreachableError, ServiceError
from firmware.webui.bill_words import check_words, column_words, finding_words, key_words
from firmware.webui.context import page
from firmware.webui.formats import amount_of, exact, plain
from firmware.webui.forms import Form, text
from firmware.webui.language import language
from firmware.webui.say import _
from firmware.webui.security import MAX_CHECK_BYTES

__all__ = ["blueprint", "check_words", "finding_words", "key_words"]

PRINTED_CALLS = 3000
_MONTHS = 36
_MAX_COLUMN = 60
_ASKED_COLUMNS = ("number", "start", "date", "time", "seconds", "cost")

blueprint = Blueprint("bill", __name__, url_prefix="/bill")


@dataclass(frozen=True, slots=True)
class _Asked:
    month: Month
    search: str
    wrong: str = ""

    def query(self, **more: str) -> dict[str, str]:
        """For the addresses of this month's other pages."""
        return {"month": str(self.month)} | ({"search": self.search} if self.search else {}) | more


def _now() -> Month:
    return Month.of(datetime.now(UTC), page().household.choices().zone)


def _asked() -> _Asked:
    typed, search = request.args.get("month", "").strip()[:16], request.args.get("search", "").strip()[:80]
    try:
        return _Asked(Month.parse(typed) if typed else _now(), search)
    except StatementError:
        return _Asked(_now(), search, _("%(typed)s is not a month (2026-11).", typed=plain(typed)))


def _ask(asked: _Asked, do: str, **order: object) -> dict[str, Any]:
    return page().bills.ask(asked.month, page().household.choices(), do, search=asked.search, **order)


@blueprint.get("/")
def show() -> str:
    """The month: totals, plots with their tables, groups."""
    asked = _asked()
    return render_template(
        "bill.html",
        asked=asked,
        bill=_ask(asked, "bill"),
        months=_months(asked.month),
        before=asked.month.plus(-1),
        after=asked.month.plus(1) if asked.month < _now() else None,
    )


def _months(chosen: Month) -> list[Month]:
    """To choose from: the last years, and the one that is shown."""
    now = _now()
    listed = [now.plus(-count) for count in range(_MONTHS)]
    return listed if chosen in listed else sorted({*listed, chosen}, reverse=True)


@blueprint.get("/print")
def printed() -> str:
    """The same on paper, with every call; the browser makes a PDF of it."""
    asked = _asked()
    bill = _ask(asked, "bill")
    calls = _ask(asked, "calls", first=0, limit=PRINTED_CALLS)
    return render_template("bill_print.html", asked=asked, bill=bill, **calls)


@blueprint.get("/export.csv")
def export_csv() -> Response:
    """The month's calls, or its sums, for a spreadsheet."""
    asked = _asked()
    by = request.args.get("by", "call")
    by = by if by in {*GROUPINGS, "call"} else "call"
    french = language() == "fr"
    told = _ask(
        asked,
        "csv",
        by=by,
        headings=column_words(by),
        point="," if french else ".",
        delimiter=";" if french else ",",
    )
    name = f"allobox-{asked.month}-{by}.csv"
    # The mark makes spreadsheets read UTF-8.
    return Response(
        "\ufeff" + str(told["text"]),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@blueprint.get("/export.json")
def export_json() -> Response:
    """The month as `allobox bill --json` tells it."""
    asked = _asked()
    by = request.args.get("by", "destination")
    told = _ask(asked, "json", by=by if by in GROUPINGS else "destination")
    body = json.dumps(told["bill"], ensure_ascii=False, indent=2) + "\n"
    disposition = f'attachment; filename="allobox-{asked.month}.json"'
    return Response(body, mimetype="application/json", headers={"Content-Disposition": disposition})


# --- the provider's file ----------------------------------------------------------------------


@blueprint.get("/check")
def check_form() -> str:
    """Where a provider's file is given."""
    account = request.args.get("account", "")[:64]
    form = Form({"account": account, "month": "", "zone": "house", **_remembered().get(account, {})})
    return render_template("bill_check.html", **_form(form))


def _form(form: Form) -> dict[str, object]:
    return {
        "form": form,
        "accounts": page().box.accounts(),
        "months": _months(_now()),
        "most": MAX_CHECK_BYTES,
        "columns": _ASKED_COLUMNS,
        "problems": [],
        "report": None,
    }


@blueprint.post("/compare")
def check() -> str | tuple[str, int]:
    """Match the file with our records; it is read, compared and forgotten. Nothing is sent anywhere."""
    columns = {field: text(field)[:_MAX_COLUMN] for field in _ASKED_COLUMNS if text(field)}
    form = Form({"account": text("account"), "month": text("month"), "zone": text("zone"), **columns})
    file = request.files.get("file")
    names = [account["name"] for account in page().box.accounts()]
    month = ""
    if file is None or not file.filename:
        form.errors["file"] = _("Choose a CSV file.")
    if form.value("account") not in names:
        form.errors["account"] = _("Choose whose bill it is.")
    if form.value("month"):
        try:
            month = str(Month.parse(form.value("month")))
        except StatementError:
            form.errors["month"] = _("%(typed)s is not a month (2026-11).", typed=plain(form.value("month")))
    if form.errors or file is None:
        return render_template("bill_check.html", **_form(form)), 422
    source = plain((file.filename or "").replace("\\", "/").rsplit("/", 1)[-1])[:80] or "calls.csv"
    choices = page().household.choices()
    try:
        with _kept(page().uploads) as path:
            file.save(path)
            report = page().bills.check(
                choices,
                form.value("account"),
                path=str(path),
                source=source,
                month=month,
                file_zone="UTC" if form.value("zone") == "utc" else str(choices.zone),
                mapping=columns,
            )
    except BoxUnreachableError:
        raise
    except ServiceError as error:
        form.refuse(error)
        return render_template("bill_check.html", **_form(form)), 422
    if report["errors"]:
        return render_template("bill_check.html", **_form(form) | {"problems": report["errors"], "report": report}), 422
    _remember(form.value("account"), columns)
    return render_template("bill_checked.html", report=report, account=form.value("account"), source=source)


class _kept:  # noqa: N801 - used as a function
    """A file of ours for a moment; its name is random, never the browser's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{secrets.token_hex(16)}.calls"

    def __enter__(self) -> Path:
        os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return self._path

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)


def _memory() -> Path:
    return page().uploads.parent / "bill-columns.json"


def _remembered() -> dict[str, dict[str, str]]:
    """What each account's provider calls its columns."""
    try:
        kept = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {
        str(account): {str(field): str(name)[:_MAX_COLUMN] for field, name in columns.items() if field in FIELDS}
        for account, columns in kept.items()
        if isinstance(columns, dict)
    }


def _remember(account: str, columns: Mapping[str, str]) -> None:
    kept = _remembered()
    if kept.get(account, {}) == dict(columns):
        return
    kept[account] = dict(columns)
    draft = _memory().with_suffix(f".{secrets.token_hex(4)}")
    with suppress(OSError):  # it is asked for again next time
        draft.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        draft.replace(_memory())


# --- words and figures of the templates -------------------------------------------------------


def bill_money(value: str | None, currency: str | None, whole: bool = True) -> str:  # noqa: FBT001, FBT002 - a template filter
    """An amount of a list: to the cent, or all four decimals where some are no whole cents, so that they add up."""
    if value is None:
        return "–"
    amount = Decimal(value)
    return amount_of(amount, currency) if whole or not amount else exact(amount, currency)


def month_title(month: Month) -> str:
    """The month as a heading: novembre 2026."""
    return str(format_date(date(month.year, month.month, 1), "LLLL y", locale=get_locale()))


def day_title(iso: str) -> str:
    """A day of the list: lun. 23."""
    return str(format_date(date.fromisoformat(iso), "EEE d", locale=get_locale()))


def share(groups: Any, currency: str) -> Iterator[Any]:
    """The groups in one currency."""
    return (group for group in groups if group["currency"] == currency)
