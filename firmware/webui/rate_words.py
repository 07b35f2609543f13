"""What is wrong with a rate file or a typed rate, in the reader's language, by the importer's `kind`."""

from __future__ import annotations

import re
from collections.abc import Callable

from firmware.webui.deck_child import Problem
from firmware.webui.formats import plain
from firmware.webui.language import language
from firmware.webui.say import _

# What a column may hold, as a person chooses it; `target:unit` as `mapping.Use.text` has it.
TARGETS: dict[str, Callable[[], str]] = {
    "-": lambda: _("not used"),
    "prefix": lambda: _("prefix"),
    "prefix:list": lambda: _("prefixes, with commas between"),
    "prefix_more": lambda: _("area code, after the prefix"),
    "prefix_to": lambda: _("end of the range of prefixes"),
    "destination": lambda: _("destination"),
    "destination_more": lambda: _("destination, continued"),
    "rate_per_minute": lambda: _("price per minute"),
    "rate_per_minute:cents": lambda: _("price per minute, in cents"),
    "rate_per_minute:second": lambda: _("price per second"),
    "rate_per_minute:cents-second": lambda: _("price per second, in cents"),
    "connection_fee": lambda: _("connection fee"),
    "connection_fee:cents": lambda: _("connection fee, in cents"),
    "per_call": lambda: _("price per call"),
    "per_call:cents": lambda: _("price per call, in cents"),
    "minimum": lambda: _("least price of a call"),
    "minimum:cents": lambda: _("least price of a call, in cents"),
    "first_increment": lambda: _("seconds due at first"),
    "next_increment": lambda: _("steps of seconds after that"),
    "increments": lambda: _("both: 60/1"),
    "grace": lambda: _("seconds without charge"),
    "steps": lambda: _("prices by length"),
    "band": lambda: _("time band"),
    "service_per_minute": lambda: _("of it for the service, per minute"),
    "service_per_minute:cents": lambda: _("of it for the service, per minute, in cents"),
    "service_per_call": lambda: _("of it for the service, per call"),
    "service_per_call:cents": lambda: _("of it for the service, per call, in cents"),
    "currency": lambda: _("currency"),
    "valid_from": lambda: _("valid from (2026-12-31)"),
    "valid_from:dmy": lambda: _("valid from (31/12/2026)"),
    "valid_from:mdy": lambda: _("valid from (12/31/2026)"),
}


def target(key: str) -> str:
    """What a column is read as."""
    told = TARGETS.get(key)
    return told() if told else key


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
        "prefix": _("“%(value)s” is not a prefix: digits with the country code first (33 for France)", value=value),
        "destination": _("the destination is missing, too long, or holds unreadable characters"),
        "increment": _("the step “%(value)s” is not a whole number of seconds from 1 to 3600", value=value),
        "currency": _("the currency “%(value)s” is not three letters such as EUR", value=value),
        "currency-mixed": _("“%(value)s” is another currency than that of the lines above", value=value),
        "date": _("“%(value)s” is not a date; write 2026-11-23", value=value),
        "column-twice": _("a column stands twice in the first line"),
        "column-unknown": _("a column of the first line is misspelt: %(cause)s", cause=cause),
        "column-missing": _("no column is known for the prefix, the destination or the price: say which are"),
        "prefix-many": _("the cell holds more prefixes than 1000"),
        "prefix-range": _("“%(value)s” is no range: both ends have as many digits, the smaller first", value=value),
        "prefix-thousands": _(
            "“%(value)s” is a list, or one prefix with separators: say that the column holds prefixes with commas",
            value=value,
        ),
        "tax": _("“%(value)s” is no tax in percent", value=value),
        "grace": _("“%(value)s” is not a whole number of seconds", value=value),
        "steps": _("“%(value)s” is not written second:price/step, such as 60:0.01/1", value=value),
        "band": _("“%(value)s” is not the name of a time band", value=value),
        "service": _("the price of the service is more than the whole price"),
        "too-many-rows": _("the file holds more than two million rates"),
        "too-many": _("the file holds more than 200,000 different destinations"),
        "file-too-large": _("the file is larger than 256 MB"),
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
