"""`allobox rates plan ...`: the terms of an account beside its deck, checked in the command's own process."""

from __future__ import annotations

from pathlib import Path

import click

from firmware.cli_common import data_option, fail, service, show
from firmware.service import PlanRow, ServiceError

ALL = "all"


@click.group()
def plan() -> None:
    """Plans: time bands, bundles, tax, rounding and free numbers of an account (docs/rates.md)."""


@plan.command("set")
@click.argument("account")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", help="The plan's name (default: made from the file's name).")
@click.option("--dry-run", is_flag=True, help="Only check the file; nothing is changed.")
@data_option
def set_(*, account: str, file: Path, name: str | None, dry_run: bool, data: Path) -> None:
    """Take the plan in a TOML file into use for ACCOUNT (or `all`: those that have none of their own).

    Or say everything that is wrong with it, and change nothing.
    """
    from firmware.rates.deck import deck_name  # noqa: PLC0415 - start-up time
    from firmware.rates.plan import PlanError  # noqa: PLC0415
    from firmware.rates.planfile import checked, make_plan, plan_text  # noqa: PLC0415
    from firmware.rates.rate import RateError  # noqa: PLC0415

    chosen = name or deck_name(file.name)
    try:
        text = plan_text(file)
        checked(text, chosen)
        made = None if dry_run else make_plan(text, data / "decks", chosen)
    except PlanError as error:
        *others, last = error.problems
        for problem in others:
            click.echo(f"allobox: {file.name}, {problem}", err=True)
        fail(f"{file.name}, {last}")
    except RateError as error:
        fail(str(error))
    if made is None:
        click.echo(f"{file.name}: no error. Dry run: nothing was changed.")
        return
    try:
        with service(data, begin=True) as box:
            row = box.set_plan(made.path.name, None if account == ALL else account)
    except ServiceError as error:
        fail(f"the plan was read, but is not in use: {error.message}")
    click.echo(f"The plan {row['name']} is in use for {_whose(row)}.")


@plan.command("show")
@click.argument("account", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@data_option
def show_(*, account: str | None, as_json: bool, data: Path) -> None:
    """The plans; or, with ACCOUNT (or `all`), its plan as it was written."""
    from firmware.rates.planfile import plan_text, without_zones  # noqa: PLC0415 - start-up time
    from firmware.rates.rate import RateError  # noqa: PLC0415

    with service(data) as box:
        rows = box.plans()
    if as_json:
        show(rows)
        return
    if account is not None:
        wanted = None if account == ALL else account
        found = next((row for row in rows if row["active"] and row["account"] == wanted), None)
        if found is None:
            fail(f"there is no plan for {account}")
        try:
            click.echo(without_zones(plan_text(data / "decks" / found["file"])).rstrip())
        except RateError as error:
            fail(str(error))
        return
    if not rows:
        click.echo("No plan yet: calls cost what the decks say, at any time. `allobox rates plan set` takes one.")
    for row in rows:
        use = _whose(row) if row["active"] else "not in use"
        terms = [f"{what} {', '.join(row[what])}" for what in ("bands", "bundles") if row[what]]
        click.echo(f"{row['name']:<20} {use:<24} {'; '.join(terms):<40} {row['file']}")


@plan.command("remove")
@click.argument("account")
@data_option
def remove(*, account: str, data: Path) -> None:
    """ACCOUNT (or `all`) goes by its deck alone from now on; the file stays."""
    with service(data) as box:
        box.remove_plan(None if account == ALL else account)


def _whose(row: PlanRow) -> str:
    return f"the account {row['account']}" if row["account"] else "all accounts without a plan of their own"
