"""What stands on a bill and in its check, in the reader's language."""

from __future__ import annotations

from typing import Any

from firmware.rates.billcsv import CALL_COLUMNS, GROUP_COLUMNS
from firmware.webui.formats import duration, number, plain
from firmware.webui.say import _


def column_words(by: str) -> list[str]:
    """The headings of an export."""
    words = {
        "date": _("date"), "time": _("time"), "number": _("number"), "name": _("name"),
        "destination": _("destination"), "account": _("account"), "line": _("line"), "pin": _("PIN code"),
        "class": _("class"), "seconds": _("duration in seconds"), "billed_seconds": _("billed seconds"),
        "cost": _("cost"), "service_cost": _("of it service price"), "tax": _("of it tax"),
        "currency": _("currency"), "bundle": _("bundle"), "calls": _("calls"), "person": _("person"), "day": _("day"),
    }  # fmt: skip
    columns = CALL_COLUMNS if by == "call" else (by, *GROUP_COLUMNS)
    return [words[column] for column in columns]


def heading_words(by: str) -> str:
    """What a list is by."""
    return {
        "destination": _("By destination"),
        "person": _("By person"),
        "account": _("By account"),
        "line": _("By line"),
        "pin": _("By PIN"),
        "bundle": _("By bundle"),
    }[by]


def key_words(group: dict[str, Any], by: str) -> str:
    """What the calls of a group have in common."""
    key = str(group["key"])
    if by == "line":
        return _("Line %(number)s", number=plain(key))
    if not key:
        return {
            "destination": _("Unknown destination"),
            "person": _("Number withheld"),
            "pin": _("Without a PIN"),
            "bundle": _("Without a bundle"),
        }.get(by, "–")
    return number(key) if by == "person" and key == group["number"] else plain(key)


def cause_words(cause: str) -> str:
    """A cause as a heading."""
    table = {
        "ours-only": _("On ours only"),
        "theirs-only": _("On theirs only"),
        "double": _("Billed twice"),
        "not-answered": _("Billed though nobody answered"),
        "other-number": _("Another number"),
        "clock": _("Clock off: time zone"),
        "longer": _("Longer"),
        "shorter": _("Shorter"),
        "dearer": _("Dearer call"),
        "cheaper": _("Cheaper call"),
        "other-rate": _("Another rate"),
    }
    return table.get(cause, plain(cause))


def finding_words(finding: dict[str, Any]) -> str:
    """One difference: by how much, and where it stands."""
    ours, theirs = finding["ours"], finding["theirs"]
    said = []
    if finding["cause"] == "other-number" and ours and theirs:
        said.append(_("there %(theirs)s, here %(ours)s", theirs=number(theirs["number"]), ours=number(ours["number"])))
    if finding["cause"] in {"longer", "shorter"} and ours and theirs:
        there, here = duration(theirs["seconds"]), duration(ours["seconds"])
        said.append(_("there %(theirs)s, here %(ours)s", theirs=there, ours=here))
    if finding["clock_hours"]:
        said.append(_("%(hours)s h off", hours=f"{finding['clock_hours']:+d}"))
    said.append(_("line %(line)d", line=theirs["line"]) if theirs else _("not in the file"))
    return " · ".join(said)


def check_words(problem: dict[str, Any]) -> str:
    """One error of a provider's file: line, column, what."""
    value, column = plain(problem["value"]), plain(problem["column"])
    table = {
        "number": _("“%(value)s” is not a telephone number", value=value),
        "date": _("“%(value)s” is not a date with a time of day; write 23/11/2026 14:32:05", value=value),
        "duration": _("“%(value)s” is not a length; write 83, 1:23 or 0:01:23", value=value),
        "price": _("the price “%(value)s” is not a number", value=value),
        "price-range": _("the price “%(value)s” is too high to be true", value=value),
        "empty": _("the file holds no call"),
        "column-missing": _("no line names the columns of number, date and duration; say below what they are called"),
        "too-many-rows": _("the file has too many calls; check a month at a time"),
        "not-csv": _("the file is not CSV text; save it as “CSV UTF-8”"),
        "line-too-long": _("the line is too long to be one call"),
        "binary": _("the line is not text"),
        "quotes": _("a quote is opened and not closed on this line"),
        "too-many-columns": _("the line has too many columns"),
    }
    said = table.get(str(problem["kind"]), plain(problem["cause"]))
    if problem["line"] and column:
        return _("line %(line)d, column %(column)s: %(cause)s", line=problem["line"], column=column, cause=said)
    return _("line %(line)d: %(cause)s", line=problem["line"], cause=said) if problem["line"] else said
