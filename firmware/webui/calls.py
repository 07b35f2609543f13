"""The call list: filter, page through, export."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for

from firmware.service import MAX_ROWS, CallQuery, CallRow
from firmware.webui.context import page
from firmware.webui.formats import local, plain
from firmware.webui.forms import whole
from firmware.webui.language import language
from firmware.webui.quality import csv_cells, csv_headings
from firmware.webui.say import _
from firmware.webui.words import call_end

PAGE_ROWS = 50
_MAX_ID = 2**53
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\x00")

blueprint = Blueprint("calls", __name__, url_prefix="/calls")


def _filter() -> tuple[CallQuery, dict[str, Any], list[str]]:
    """(what to ask the box, what to show in the form, what made no sense)."""
    shown = {name: request.args.get(name, "").strip()[:128] for name in ("kind", "search", "since", "until")}
    query: CallQuery = {}
    wrong: list[str] = []
    match shown["kind"]:
        case "out" | "in" as direction:
            query["direction"] = direction
        case "missed":
            query["missed"] = True
        case _:
            shown["kind"] = ""
    if shown["search"]:
        query["search"] = shown["search"]
    zone = page().household.choices().zone
    since, until = _day(shown["since"], wrong), _day(shown["until"], wrong)
    if since is not None:
        query["since"] = datetime.combine(since, time(), zone).isoformat()
    if until is not None and until < date.max:
        query["until"] = datetime.combine(until + timedelta(days=1), time(), zone).isoformat()
    return query, {key: value for key, value in shown.items() if value}, wrong


def _day(typed: str, wrong: list[str]) -> date | None:
    if not typed:
        return None
    try:
        return date.fromisoformat(typed)
    except ValueError:
        wrong.append(_("%(typed)s is not a date (2026-11-23).", typed=plain(typed)))
        return None


@blueprint.get("/")
def show() -> str:
    """One page of the list, newest first; one row more is asked to know whether there is a next."""
    query, shown, wrong = _filter()
    before = whole(request.args.get("before"), 0, low=0, high=_MAX_ID)
    after = whole(request.args.get("after"), 0, low=0, high=_MAX_ID)
    query["limit"] = PAGE_ROWS + 1
    if after:
        rows = page().box.calls({**query, "after": after, "oldest_first": True})
        older, newer = True, len(rows) > PAGE_ROWS
        rows = rows[:PAGE_ROWS][::-1]
    else:
        rows = page().box.calls({**query, "before": before} if before else query)
        older, newer = len(rows) > PAGE_ROWS, bool(before)
        rows = rows[:PAGE_ROWS]
    return render_template(
        "calls.html",
        calls=rows,
        shown=shown,
        wrong=wrong,
        newer=url_for("calls.show", **shown, after=rows[0]["id"]) if newer and rows else None,
        older=url_for("calls.show", **shown, before=rows[-1]["id"]) if older and rows else None,
    )


@blueprint.get("/export.csv")
def export() -> Response:
    """Every call of the filter as CSV, read and sent in pages: the box is never asked for more."""
    query, _shown, _wrong = _filter()
    headings = [
        _("date"), _("time"), _("direction"), _("number"), _("name"), _("dialled"), _("destination"),
        _("duration in seconds"), _("billed seconds"), _("cost"), _("currency"), _("account"), _("outcome"),
        *csv_headings(),
    ]  # fmt: skip
    # The first page is read before the answer begins, so that a box that is away says so.
    first = page().box.calls({**query, "limit": MAX_ROWS})
    body = stream_with_context(_csv(query, headings, first))
    name = f"allobox-{datetime.now(page().household.choices().zone):%Y-%m-%d}.csv"
    return Response(body, mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _csv(query: CallQuery, headings: list[str], rows: list[CallRow]) -> Iterator[str]:
    # The mark makes spreadsheets read UTF-8; French ones expect semicolons and decimal commas.
    french = language() == "fr"
    yield "\ufeff" + _line(headings, french=french)
    while rows:
        yield "".join(_line(_cells(row, french=french), french=french) for row in rows)
        if len(rows) < MAX_ROWS:
            return
        rows = page().box.calls({**query, "limit": MAX_ROWS, "before": rows[-1]["id"]})


def _cells(row: CallRow, *, french: bool) -> list[str]:
    started = local(row["started"])
    return [
        f"{started:%Y-%m-%d}" if started else "",
        f"{started:%H:%M:%S}" if started else "",
        _("outgoing") if row["direction"] == "out" else _("incoming"),
        plain(row["number"]),
        plain(row["name"]),
        plain(row["dialled"]),
        plain(row["destination"]),
        str(row["seconds"]),
        str(row["billed_seconds"]),
        (row["cost"] or "").replace(".", "," if french else "."),
        row["currency"] or "",
        plain(row["account"]),
        call_end(row),
        *csv_cells(row, french=french),
    ]


def _line(cells: list[str], *, french: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";" if french else ",", lineterminator="\r\n")
    writer.writerow([harmless(cell) for cell in cells])
    return out.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection).

    The apostrophe also keeps `+33142685300` readable: without it a spreadsheet shows 3,31427E+10.
    """
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
