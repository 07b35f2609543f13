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
        rows = [row for some in pages(box, month.begin(zone), month.end(zone)) for row in some]
    try:
        entries = statement.entries_of(rows, zone)
    except statement.StatementError as error:
        fail(str(error))
    entries = statement.search(entries, search)
    entries.sort(key=lambda entry: (entry.started, entry.id))
    if csv_file is not None:
        _write_csv(csv_file, entries, by)
        return
    with Comparer(data / "decks", str(settings["box.country"]), str(zone), accounts) as prices:
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


def _mapping(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for value in values:
        field, sign, column = value.partition("=")
        if not sign or not field or not column:
            raise click.BadParameter(f"{value!r} is not FIELD=COLUMN (for example number=Appelé)")
        given[field] = column
    return given


@bill.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--account", required=True, help="Whose bill it is: the name of the SIP account.")
@click.option(
    "--month", "month_text", metavar="YYYY-MM", help="What it covers (default: from its first day to its last)."
)
@click.option(
    "--column",
    "mapping",
    multiple=True,
    callback=_mapping,
    metavar="FIELD=COLUMN",
    help="Where a field stands: number, start (or date and time), seconds, billed, cost, rate, currency, direction.",
)
@click.option("--timezone", help="Whose local time the file writes (default: box.timezone).")
@click.option(
    "--tolerance", type=click.IntRange(0, 1800), default=90, show_default=True, help="Seconds between clocks."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@data_option
def check(
    *,
    file: Path,
    account: str,
    month_text: str | None,
    mapping: dict[str, str],
    timezone: str | None,
    tolerance: int,
    as_json: bool,
    data: Path,
) -> None:
    """Match the provider's call records (CSV) with ours, and tell what differs and why.

    Nothing is sent anywhere, and nothing is changed.
    """
    from firmware.callpages import pages  # noqa: PLC0415 - start-up time
    from firmware.rates import check as checking  # noqa: PLC0415
    from firmware.rates import statement  # noqa: PLC0415
    from firmware.rates.cdr import CdrError, read_cdr  # noqa: PLC0415
    from firmware.rates.compare import Comparer  # noqa: PLC0415

    with service(data) as box:
        settings = box.settings()
        if not any(row["name"] == account for row in box.accounts()):
            fail(f"there is no account {account!r}")
        home = ZoneInfo(str(settings["box.timezone"]))
        country = str(settings["box.country"])
        try:
            zone = ZoneInfo(timezone) if timezone else home
            report = read_cdr(file, zone, country, mapping=mapping)
            month = statement.Month.parse(month_text) if month_text else None
        except (CdrError, statement.StatementError) as error:
            fail(str(error))
        except (KeyError, ValueError, OSError):
            fail(f"{timezone!r} is not a time zone (for example Europe/Paris or UTC)")
        if report.errors:
            *others, last = report.lines()
            for line in others:
                click.echo(f"allobox: {line}", err=True)
            fail(last)
        span = (month.begin(home), month.end(home)) if month else report.span(home)
        if span is None:
            fail(f"{file}: holds no call")
        rows = [row for some in pages(box, *checking.asked_span(span)) for row in some]
    with Comparer(data / "decks", country, str(home), [account]) as prices:
        try:
            found = checking.check(report, rows, account, prices, home, span=span, tolerance=tolerance)
        except statement.StatementError as error:
            fail(str(error))
    told = checking.as_json(found, report, home)
    if as_json:
        show(told)
    else:
        _print_check(told)


_CAUSES = {
    "ours-only": "ours only",
    "theirs-only": "theirs only",
    "double": "billed twice",
    "not-answered": "billed though nobody answered",
    "other-number": "another number",
    "clock": "clock off (time zone)",
    "longer": "longer",
    "shorter": "shorter",
    "dearer": "dearer",
    "cheaper": "cheaper",
    "other-rate": "another rate",
}


def _print_check(told: dict[str, Any]) -> None:
    click.echo(
        f"{told['source']}: {told['theirs']} calls of theirs, {told['ours']} of ours, {told['matched']} matched "
        f"(columns: {', '.join(f'{field}={_plain(name)}' for field, name in told['columns'].items())})"
    )
    if told["clock_hours"]:
        click.echo(f"their clock is off by {told['clock_hours']:+d} h in the whole file: another time zone")
    if told["without_tax"]:
        click.echo(f"their prices leave out a tax of {told['without_tax']} %; it was added to compare")
    for finding in told["findings"]:
        if finding["cause"] == "clock" and finding["clock_hours"] == told["clock_hours"]:
            continue  # said above, once for all
        call = finding["ours"] or finding["theirs"]
        place = f"line {finding['theirs']['line']}" if finding["theirs"] else "not in the file"
        more = f" {finding['seconds']:+d} s" if finding["seconds"] else ""
        more += f" {finding['clock_hours']:+d} h" if finding["clock_hours"] else ""
        more += f" {_signed(finding['money'])} {finding['currency'] or ''}".rstrip() if finding["money"] else ""
        started = datetime.fromisoformat(call["started"])
        click.echo(f"{started:%Y-%m-%d %H:%M:%S}  {call['number']:16}  {_CAUSES[finding['cause']]}{more} ({place})")
    for difference in told["difference"]:
        click.echo(f"theirs less ours, by these findings: {_signed(difference['money'])} {difference['currency']}")
    if not told["findings"]:
        click.echo("no difference above one increment")


def _signed(money: str) -> str:
    return money if money.startswith("-") else f"+{money}"
