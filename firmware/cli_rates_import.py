"""`allobox rates import` and `allobox rates columns`: a provider's file read, shown, and taken into use.

A deck file is built here, in the command's own process, so that a large import never slows a call;
the box is then told to take it into use.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firmware.cli_common import data_option, fail, service
from firmware.service import ServiceError

if TYPE_CHECKING:
    from firmware.rates.deck import ImportReport
    from firmware.rates.mapping import Choice
    from firmware.rates.preview import Comparison, Move, WhatIf

_BAR_BYTES = 4 << 20
_BAR_WIDTH = 30

_map_option = click.option(
    "--map",
    "maps",
    multiple=True,
    metavar="NAME=COLUMN[:UNIT]",
    help="What a column of the file holds, if its name does not tell: Indicatif=prefix, Prix=rate_per_minute:cents, "
    "#3=- (the third, ignored). Kept for the provider's next file.",
)
_headless_option = click.option(
    "--no-header", is_flag=True, help="The first line is a rate already: map columns by place (#1=prefix ...)."
)


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="The deck's name (default: made from the file's name).")
@click.option("--account", help="Only for calls by this SIP account (default: for all without a deck of their own).")
@click.option("--currency", help="Where the file has none  [default: EUR]")
@_map_option
@_headless_option
@click.option("--add-tax", metavar="PERCENT", help="The file's prices are without tax: add so much (20).")
@click.option("--valid-from", metavar="DATE", help="The prices hold from this day on; until then those in use do.")
@click.option("--dry-run", "--preview", is_flag=True, help="Only check the file and say what it changes.")
@data_option
def import_(
    *,
    file: Path,
    name: str | None,
    account: str | None,
    currency: str | None,
    maps: tuple[str, ...],
    no_header: bool,
    add_tax: str | None,
    valid_from: str | None,
    dry_run: bool,
    data: Path,
) -> None:
    """Take a provider's price list (CSV) into use; or say every error in it, and change nothing.

    Columns are known by their names in six languages, in any order: a prefix, a destination, a price a
    minute, and as you have them fees, increments, a currency, a date. See docs/rates.md.
    """
    from firmware.rates.deck import DeckError, deck_name, import_csv  # noqa: PLC0415 - start-up time
    from firmware.rates.mappings import Mappings  # noqa: PLC0415

    decks = data / "decks"
    called = name or deck_name(file.name)
    begins = _date(valid_from)
    remembered = Mappings(decks)
    choice = _choice(maps, headless=no_header, currency=currency, add_tax=add_tax)
    if not choice.uses:
        choice = _again(remembered.of_deck(called), choice)
    folder = decks
    base = _in_use(data, account) if begins or dry_run else None
    with tempfile.TemporaryDirectory(prefix="allobox-") as scratch:
        if dry_run:
            folder = Path(scratch)
        bar = _Bar(file)
        try:
            report = import_csv(
                file,
                folder,
                called,
                currency=currency or "EUR",
                choice=choice,
                recall=remembered.find,
                valid_from=begins,
                base=base,
                progress=bar.show,
            )
        except DeckError as error:
            bar.end()
            fail(str(error))
        bar.end()
        _tell(report)
        if report.file is None:
            return
        if dry_run:
            _preview(report, base, data, account, begins)
            click.echo("Dry run: nothing was changed.")
            return
    try:
        with service(data, begin=True) as box:
            row = box.activate_deck(report.file.name, report.name, account)
    except ServiceError as error:
        fail(f"the deck was read, but is not in use: {error.message}")
    try:
        remembered.remember(report.columns, report.choice, report.name)
    except OSError as error:
        click.echo(f"allobox: the columns' mapping could not be kept: {error.strerror}", err=True)
    whose = f"the account {row['account']}" if row["account"] else "all accounts without a deck of their own"
    if begins:
        kept = f"; {report.kept} rates kept until then" if report.kept else ""
        click.echo(f"Its prices hold from {begins.astimezone():%Y-%m-%d} on{kept}.")
    click.echo(f"The deck {row['name']} is in use for {whose}.")


@click.command("columns")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_map_option
@_headless_option
@data_option
def columns(*, file: Path, maps: tuple[str, ...], no_header: bool, data: Path) -> None:
    """Show how the columns of FILE would be read, with its first rows; nothing is changed."""
    from firmware.rates.mappings import Mappings  # noqa: PLC0415 - start-up time
    from firmware.rates.table import look  # noqa: PLC0415

    try:
        with file.open("rb") as stream:
            seen = look(stream, _choice(maps, headless=no_header), Mappings(data / "decks").find)
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}")
    if isinstance(seen, list):
        fail(f"{file}: {seen[0].cause}" if seen else f"{file}: the file holds no rates")
    for place, name in enumerate(seen.names):
        use = seen.uses.get(place)
        values = ", ".join(_plain(row[place]) for row in seen.samples if place < len(row) and row[place])
        click.echo(f"#{place + 1:<3} {_plain(name):<28} {use.text() if use else '(not known)':<24} {values}"[:160])
    if seen.recalled:
        click.echo("As chosen for this provider before.")
    if seen.problem:
        fail(f"{file}: {seen.problem}; say which column is which with --map NAME=COLUMN")


def _choice(maps: Sequence[str], *, headless: bool, currency: str | None = None, add_tax: str | None = None) -> Choice:
    from firmware.rates import mapping  # noqa: PLC0415 - start-up time
    from firmware.rates.columns import CellError, read_currency  # noqa: PLC0415
    from firmware.rates.prices import read_tax  # noqa: PLC0415

    try:
        uses = mapping.parse(maps)
        if add_tax is not None:
            read_tax(add_tax)
        return mapping.Choice(
            uses,
            headless=headless,
            currency=read_currency(currency) if currency else "",
            tax="excluded" if add_tax else "",
            tax_percent=add_tax or "",
        )
    except mapping.MappingError as error:
        raise click.UsageError(str(error)) from error
    except CellError as error:
        fail(error.cause)


def _again(before: Choice | None, now: Choice) -> Choice:
    """What was chosen for a deck whose files name no columns, if nothing is said now."""
    from firmware.rates.table import over  # noqa: PLC0415 - start-up time

    return over(before, now) if before is not None else now


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    from firmware.rates.columns import CellError, read_valid_from  # noqa: PLC0415 - start-up time

    try:
        return datetime.fromtimestamp(read_valid_from(text), UTC)
    except CellError as error:
        raise click.UsageError(f"--valid-from: {error.cause}") from error


def _tell(report: ImportReport) -> None:
    """The errors, all of them, and the end; or what was read."""
    lines = report.lines()
    if report.ok:
        for line in lines:
            click.echo(line)
        return
    *others, last = lines
    for line in others:
        click.echo(f"allobox: {_plain(line)}", err=True)
    if any(problem.kind == "column-missing" for problem in report.errors):
        click.echo("allobox: `allobox rates columns FILE` shows them; --map NAME=COLUMN says what each holds", err=True)
    fail(_plain(last))


def _in_use(data: Path, account: str | None) -> Path | None:
    """The file of the deck that prices this account now. None: there is none, or no box yet."""
    from firmware.pastcalls import deck_for  # noqa: PLC0415 - start-up time

    if not (data / "decks").is_dir():
        return None
    with service(data) as box:
        row = deck_for(box.decks(), account)
    return data / "decks" / row["file"] if row else None


def _preview(report: ImportReport, base: Path | None, data: Path, account: str | None, begins: datetime | None) -> None:
    from firmware.pastcalls import past_calls, plan_files  # noqa: PLC0415 - start-up time
    from firmware.rates import preview  # noqa: PLC0415
    from firmware.rates.deckfile import Deck  # noqa: PLC0415
    from firmware.rates.planfile import open_plan  # noqa: PLC0415
    from firmware.rates.pricing import HOME  # noqa: PLC0415
    from firmware.rates.rate import RateError  # noqa: PLC0415

    if base is None or report.file is None:
        click.echo("No deck is in use yet to compare it with.")
        return
    now = datetime.now(UTC)
    at = max(now, begins) if begins else now
    try:
        with Deck.open(base) as before, Deck.open(report.file) as after, service(data) as box:
            _say_changes(preview.compare(before, after, at, at_before=now))
            calls = past_calls(box, box.decks(), account, now)
            zone = str(box.settings().get("box.timezone") or HOME)
            plans = {who: open_plan(data / "decks" / file).plan for who, file in plan_files(box).items()}
            house = preview.Household(box.status()["country"], zone, plans=plans)
            _say_calls(preview.what_if(calls, house, before, after, now=now, at=at))
    except RateError as error:
        fail(str(error))


def _say_changes(found: Comparison) -> None:
    click.echo(
        f"Against the deck in use, by the price of three minutes: {found.dearer} prefixes dearer, "
        f"{found.cheaper} cheaper, {found.same} as before, {found.new} new, {found.gone} without a price now."
    )
    kinds = {"Dearer": found.risen, "Cheaper": found.fallen, "New": found.appeared, "Gone": found.vanished}
    for title, moves in kinds.items():
        for move in moves:
            click.echo(f"  {title:<8} {_move(move, found.currency)}")


def _move(move: Move, currency: str) -> str:
    before, after = (f"{price:.4f}" if price is not None else "-" for price in (move.before, move.after))
    percent = f" ({move.percent:+d} %)" if move.percent is not None else ""
    return f"{_plain(move.destination):<32} {move.prefix:<15} {before} -> {after} {currency}{percent}"


def _say_calls(found: WhatIf) -> None:
    if not found.calls:
        click.echo("No calls in the last 31 days to price again.")
        return
    said = f"{found.calls} calls of the last 31 days: {found.before:.4f} {found.currency_before} by the deck in use, "
    said += f"{found.after:.4f} {found.currency} by this one"
    if found.difference is not None:
        said += f": {_signed(found.difference)} {found.currency}"
    click.echo(f"{said}.")
    if found.lost:
        click.echo(f"  {found.lost} of them would have no price.")
    if found.gained:
        click.echo(f"  {found.gained} more have a price now: {found.gained_cost:.4f} {found.currency}.")


def _signed(amount: Decimal) -> str:
    return f"{amount:+.2f}" if amount == amount.quantize(Decimal("0.01")) else f"{amount:+.4f}"


def _plain(text: str) -> str:
    """Text of a file as a terminal may be shown it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


class _Bar:
    """How far a large file is read, on standard error; nothing where nobody looks or the file is small."""

    def __init__(self, file: Path) -> None:
        try:
            large = file.stat().st_size >= _BAR_BYTES
        except OSError:
            large = False
        self._shown = large and sys.stderr.isatty()
        self._drawn = 0.0

    def show(self, done: int, total: int) -> None:
        """Bytes read, and in all."""
        if not self._shown or time.monotonic() - self._drawn < 0.1:  # noqa: PLR2004 - ten a second are enough
            return
        self._drawn = time.monotonic()
        part = min(done / total, 1.0) if total else 0.0
        full = int(part * _BAR_WIDTH)
        click.echo(f"\r[{'#' * full}{'.' * (_BAR_WIDTH - full)}] {part:4.0%}", err=True, nl=False)

    def end(self) -> None:
        """Take the bar away."""
        if self._drawn:
            click.echo(f"\r{' ' * (_BAR_WIDTH + 8)}\r", err=True, nl=False)
