"""The bill as CSV that a spreadsheet shows and does not run. Headings are the caller's, in its language. Pure."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from firmware.rates.spreadsheet import safe_cell
from firmware.rates.statement import Entry, Group, amount

CALL_COLUMNS = (
    "date", "time", "number", "name", "destination", "account", "line", "pin", "class", "seconds", "billed_seconds",
    "cost", "service_cost", "tax", "currency", "bundle",
)  # fmt: skip
GROUP_COLUMNS = ("calls", "seconds", "billed_seconds", "cost", "service_cost", "tax", "currency")
# The last decimal of the ledger: sums in a spreadsheet are then right to the cent.
_BATCH = 500


def call_cells(entry: Entry, point: str = ".") -> list[str]:
    """One call, by CALL_COLUMNS; no price is an empty cell. `point`: the decimal sign."""
    priced = entry.cost is not None
    return [
        f"{entry.started:%Y-%m-%d}",
        f"{entry.started:%H:%M:%S}",
        entry.number,
        entry.name,
        entry.destination,
        entry.account,
        str(entry.line),
        entry.pin,
        entry.kind,
        str(entry.seconds),
        str(entry.billed_seconds),
        _amount(entry.cost, point, priced=priced),
        _amount(entry.service, point, priced=priced),
        _amount(entry.tax, point, priced=priced),
        entry.currency,
        entry.bundle,
    ]


def group_cells(group: Group, point: str = ".") -> list[str]:
    """What the calls have in common, then GROUP_COLUMNS."""
    total, priced = group.sum, bool(group.sum.currency)
    return [
        group.key,
        str(total.calls),
        str(total.seconds),
        str(total.billed_seconds),
        _amount(total.cost, point, priced=priced),
        _amount(total.service, point, priced=priced),
        _amount(total.tax, point, priced=priced),
        total.currency,
    ]


def lines(headings: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str = ",") -> Iterator[str]:
    """CSV text in pieces, CR LF; cells that a spreadsheet would take for a formula get an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow([harmless(heading) for heading in headings])
    for count, row in enumerate(rows, 1):
        writer.writerow([harmless(cell) for cell in row])
        if not count % _BATCH:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def harmless(cell: str) -> str:
    """A cell on one line that is no formula to a spreadsheet."""
    return safe_cell(
        " ".join("".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in cell).split())
    )


def _amount(value: Decimal | None, point: str, *, priced: bool) -> str:
    return amount(value).replace(".", point) if priced and value is not None else ""
