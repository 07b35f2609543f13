"""`allobox rates ...`: decks and plans. Import: cli_rates_import.py; plans: cli_plan.py; `price`: cli_price.py."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from firmware import cli_rates_import
from firmware.cli_common import data_option, fail, service, show
from firmware.cli_plan import plan
from firmware.service import DeckRow


@click.group()
def rates() -> None:
    """Rate decks: what calls cost."""


rates.add_command(plan)
rates.add_command(cli_rates_import.import_)
rates.add_command(cli_rates_import.columns)


@rates.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@data_option
def list_(*, as_json: bool, data: Path) -> None:
    """The decks, and which account each one prices."""
    with service(data) as box:
        decks = box.decks()
    if as_json:
        show(decks)
        return
    if not decks:
        click.echo("No rate deck yet: calls have no price. `allobox rates import FILE.csv` takes one into use.")
    for deck in decks:
        use = (f"account {deck['account']}" if deck["account"] else "all accounts") if deck["active"] else "not in use"
        click.echo(
            f"{deck['name']:<20} {deck['rows']:>8} rates  {deck['currency']}  {use:<24} "
            f"imported {deck['imported']}  {deck['file']}"
        )


@rates.command("export")
@click.argument("file", type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path), default="-")
@click.option("--name", help="Which deck (default: the one for all accounts).")
@data_option
def export(*, file: Path, name: str | None, data: Path) -> None:
    """Write a deck as CSV to FILE (or - for standard output), as `import` reads it."""
    from firmware.rates.deckfile import Deck, DeckError  # noqa: PLC0415 - start-up time

    with service(data) as box:
        chosen = _choose(box.decks(), name)
    try:
        with Deck.open(data / "decks" / chosen["file"]) as deck:
            if str(file) == "-":
                deck.export(sys.stdout)
                return
            with file.open("w", encoding="utf-8", newline="") as out:
                rows = deck.export(out)
    except DeckError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{file}: cannot be written: {error.strerror}")
    click.echo(f"{file}: {rows} rates of {chosen['name']}")


@rates.command("remove")
@click.argument("name")
@data_option
def remove(*, name: str, data: Path) -> None:
    """Take a deck out of use; one that is in no use is deleted."""
    with service(data) as box:
        box.remove_deck(name)


def _choose(decks: list[DeckRow], name: str | None) -> DeckRow:
    fitting = [deck for deck in decks if (deck["name"] == name if name else deck["account"] is None)]
    fitting.sort(key=lambda deck: (not deck["active"], deck["imported"]))
    if not fitting or not (name or fitting[0]["active"]):
        known = ", ".join(sorted({deck["name"] for deck in decks})) or "none yet"
        fail(f"there is no deck {name!r} (decks: {known})" if name else f"no deck for all accounts (decks: {known})")
    return fitting[0]
