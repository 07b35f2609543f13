"""`allobox bill`: the month's bill, in this process, from records that the box tells in small pages."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from firmware.cli_common import data_option, fail, service, show

_BY = ("destination", "person", "account", "day", "line", "pin", "class", "bundle", "call")


@click.group(invoke_without_command=True)
@click.option("--month", "month_text", metavar="YYYY-MM", help="Which month (default: the present one).")
@click.option("--by", type=click.Choice(_BY), default="destination", show_default=True, help="What to add up by.")
@click.option("--search", default="", help="Only calls whose person, number, destination or account holds this.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    help="Write CSV to this file (- for standard output).",
)
@data_option
@click.pass_context
def bill(
    context: click.Context,
    *,
    month_text: str | None,
    by: str,
    search: str,
    as_json: bool,
    csv_file: Path | None,
    data: Path,
) -> None:
    """The month's bill, by destination, person, account or day. See docs/bill.md."""
    if context.invoked_subcommand is not None:
        return
    if as_json and csv_file is not None:
        raise click.UsageError("--json or --csv, not both")
    from firmware.callpages import pages  # noqa: PLC0415 - start-up time
    from firmware.rates import statement  # noqa: PLC0415
    from firmware.rates.compare import Comparer  # noqa: PLC0415

    with service(data) as box:
        settings = box.settings()
        zone = ZoneInfo(str(settings["box.timezone"]))
        try:
            month = statement.Month.parse(month_text) if month_text else statement.Month.of(datetime.now(UTC), zone)
        except statement.StatementError as error:
            raise click.BadParameter(str(error), param_hint="--month") from error
        accounts = [account["name"] for account in box.accounts() if account["enabled"]]
        entries = [
            entry
            for rows in pages(box, month.begin(zone), month.end(zone))
            for entry in statement.entries_of(rows, zone)
        ]
    entries = statement.search(entries, search)
    entries.sort(key=lambda entry: (entry.started, entry.id))
    if csv_file is not None:
        _write_csv(csv_file, entries, by)
        return
    with Comparer(data / "decks", str(settings["box.country"]), accounts) as prices:
        saved = statement.savings(entries, prices)
    if as_json:
        grouped = by if by != "call" else "destination"
        told = statement.statement_json(month, zone, entries, grouped, saved)
        if by == "call":
            told |= {"by": by, "groups": [], "calls": [_call_json(entry) for entry in entries]}
        show(told)
        return
    _print(month, entries, by, saved)


def _call_json(entry: Any) -> dict[str, object]:
    from firmware.rates.statement import amount  # noqa: PLC0415

    priced = entry.cost is not None
    return {
        "id": entry.id,
        "started": entry.started.isoformat(),
        "number": entry.number or None,
        "name": entry.name or None,
        "destination": entry.destination or None,
        "account": entry.account or None,
        "line": entry.line,
        "pin": entry.pin or None,
        "class": entry.kind or None,
        "seconds": entry.seconds,
        "billed_seconds": entry.billed_seconds,
        "cost": amount(entry.cost) if priced else None,
        "service_cost": amount(entry.service) if priced else None,
        "tax": amount(entry.tax) if priced else None,
        "currency": entry.currency or None,
        "bundle": entry.bundle or None,
    }


def _write_csv(target: Path, entries: list[Any], by: str) -> None:
    from firmware.rates import billcsv, statement  # noqa: PLC0415 - start-up time

    if by == "call":
        pieces = billcsv.lines(billcsv.CALL_COLUMNS, (billcsv.call_cells(entry) for entry in entries))
    else:
        cells = (billcsv.group_cells(group) for group in statement.groups(entries, by))
        pieces = billcsv.lines((by, *billcsv.GROUP_COLUMNS), cells)
    if str(target) == "-":
        sys.stdout.writelines(pieces)
        return
    try:
        # The mark makes spreadsheets read UTF-8.
        with target.open("w", encoding="utf-8-sig", newline="") as out:
            out.writelines(pieces)
    except OSError as error:
        fail(f"{target}: cannot be written: {error.strerror}")
    click.echo(f"{target}: {len(entries)} calls")


def _print(month: Any, entries: list[Any], by: str, saved: Iterable[Any]) -> None:
    from firmware.rates import statement  # noqa: PLC0415 - start-up time

    click.echo(f"{month}, {len(entries)} calls")
    if by == "call":
        for entry in entries:
            cost = "-" if entry.cost is None else f"{entry.cost:.4f} {entry.currency}"
            who = entry.name or entry.number
            click.echo(f"{entry.started:%Y-%m-%d %H:%M:%S}  {_plain(who):32.32}  {entry.seconds:6} s  {cost}")
    else:
        for group in statement.groups(entries, by):
            click.echo(_line(_plain(group.key) or "-", group.sum))
    for total in statement.totals(entries):
        click.echo(_line("total" if total.currency else "total of calls without a price", total))
        parts = [("service price", total.service), ("tax", total.tax)]
        told = ", ".join(f"{name} {statement.amount(value)} {total.currency}" for name, value in parts if value)
        if total.currency:
            click.echo(f"to pay: {total.rounded} {total.currency}" + (f" (of it {told})" if told else ""))
    for saving in saved:
        click.echo(
            f"saved: {statement.amount(saving.saved)} {saving.currency} against the dearest account on {saving.calls} "
            "calls that more than one could carry"
        )


def _line(name: str, total: Any) -> str:
    cost = f"{total.cost:.4f} {total.currency}" if total.currency else "no price"
    return f"{name:32.32}  {total.calls:6} calls  {total.seconds:8} s  {cost}"


def _plain(text: str) -> str:
    """Names come from the network: no control reaches the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
