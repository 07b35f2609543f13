"""What is wrong with a rate file or a typed rate, in the reader's language, by the importer's `kind`."""

from __future__ import annotations

import re

from firmware.webui.deck_child import Problem
from firmware.webui.formats import plain
from firmware.webui.language import language
from firmware.webui.say import _


def problem_words(problem: Problem) -> str:
    """One error: line, column, what, and what to do."""
    said = cause_words(problem["kind"], plain(problem["value"]), plain(problem["cause"]))
    column = plain(problem["column"])
    if problem["line"] and column:
        return _("line %(line)d, column %(column)s: %(cause)s", line=problem["line"], column=column, cause=said)
    return _("line %(line)d: %(cause)s", line=problem["line"], cause=said) if problem["line"] else said


def cause_words(kind: str, value: str, cause: str) -> str:
    """The cause of one error. The importer speaks English; what has no words here is shown as it says."""
    if language() == "en":
        return cause
    table = {
        "price": _("the price “%(value)s” is not a number%(slip)s", value=value, slip=_slip(value)),
        "price-decimals": _("the price “%(value)s” has more than six decimals", value=value),
        "price-range": _("the price “%(value)s” is too high to be true", value=value),
        "prefix": _("“%(value)s” is not a prefix: digits with the country code first, without + or 00", value=value),
        "destination": _("the destination is missing, too long, or holds unreadable characters"),
        "increment": _("the step “%(value)s” is not a whole number of seconds from 1 to 3600", value=value),
        "currency": _("the currency “%(value)s” is not three letters such as EUR", value=value),
        "currency-mixed": _("“%(value)s” is another currency than that of the lines above", value=value),
        "date": _("“%(value)s” is not a date; write 2026-11-23", value=value),
        "column-twice": _("a column stands twice in the first line"),
        "column-unknown": _("a column of the first line is misspelt: %(cause)s", cause=cause),
        "column-missing": _("the first line must name the columns prefix, destination and rate_per_minute"),
        "columns": _("the line has another number of columns than the first; put prices with a comma between quotes"),
        "too-many-columns": _("the line has too many columns"),
        "duplicate": _("the prefix %(value)s stands in the file already", value=value),
        "empty": _("the file holds no rates"),
        "not-csv": _("the file is not CSV text; save it as “CSV UTF-8”"),
        "line-too-long": _("the line is too long to be one rate"),
        "binary": _("the line is not text"),
        "quotes": _("a quote is opened and not closed on this line"),
    }
    return table.get(kind, cause)


def _slip(value: str) -> str:
    """The usual slip of a keyboard: a letter that looks like a digit."""
    letter = re.search(r"[OolI]", value)
    if letter and re.fullmatch(r"[0-9OolI.,]+", value):
        return _(" (letter %(letter)s?)", letter=letter[0])
    return _(": the cell is empty") if not value else ""
