"""`allobox budget ...`: caps, what may be called, and PINs, on the box or on its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from firmware.cli_common import data_option, fail, service, show

if TYPE_CHECKING:
    from firmware.rates.budget import Cap
    from firmware.service import BoxService, BudgetRow, CapRow

_MOST_PIN_BYTES = 64


@click.group()
def budget() -> None:
    """What may be called and spent: caps, classes, numbers, PINs."""


def _texts(box: BoxService, key: str) -> list[str]:
    found = box.settings()[key]
    return [str(one) for one in found] if isinstance(found, list) else []


def _told(row: BudgetRow, *, as_json: bool) -> None:
    if as_json:
        show(row)
        return
    for cap in row["caps"]:
        click.echo(f"{cap['cap']}: {_spent(cap)}")
    if not row["caps"]:
        click.echo("no cap: calls may cost what they cost")
    if not row["readable"]:
        click.echo("what was spent cannot be read now: calls under a cap are refused until it can")
    click.echo(f"allowed: {', '.join(row['allow']) or 'nothing but emergencies and free numbers'}")
    barred = [name for name in row["classes"] if name not in row["allow"]]
    if barred:
        click.echo(f"refused: {', '.join(barred)}")
    if row["allow_numbers"]:
        click.echo(f"allowed numbers: {', '.join(row['allow_numbers'])}")
    if row["longest_minutes"]:
        click.echo(f"longest call: {row['longest_minutes']} min")
    for pin in row["pins"]:
        may = [*pin["classes"], *pin["numbers"]]
        click.echo(f"PIN {pin['label']}: {', '.join(may) or 'allows nothing besides'}" + _no_digits(has=pin["has_pin"]))


def _no_digits(*, has: bool) -> str:
    return "" if has else " (its digits must be set again)"


def _spent(cap: CapRow) -> str:
    if cap["spent"] is None or cap["spent_seconds"] is None:
        return "unknown"
    parts = []
    if cap["money"] is not None:
        parts.append(f"{cap['spent']} of {cap['money']}")
    if cap["minutes"] is not None:
        parts.append(f"{-(-cap['spent_seconds'] // 60)} of {cap['minutes']} min")
    running = cap["held"] is None or cap["held"] != "0.0000" or bool(cap["held_seconds"])
    return f"{', '.join(parts)} since {cap['since']} ({cap['percent']} %)" + (", calls are running" if running else "")


@budget.command("show")
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_show(*, data: Path, as_json: bool) -> None:
    """Caps with what is spent of them, what may be called, PINs."""
    with service(data) as box:
        row = box.budgets()
    _told(row, as_json=as_json)


@budget.command("set")
@click.argument("scope")
@click.argument("period", type=click.Choice(["day", "week", "month"]))
@click.argument("limits", nargs=-1, required=True)
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_set(*, data: Path, scope: str, period: str, limits: tuple[str, ...], as_json: bool) -> None:
    """Cap SCOPE (all, class:NAME, line:N, pin:LABEL) a PERIOD: money (20.00), minutes (60min), both, or off."""
    from firmware.rates.budget import parse_cap, parse_scope  # noqa: PLC0415 - start-up time

    try:
        off = limits == ("off",)
        cap = None if off else parse_cap(" ".join((scope, period, *limits)))
        whose = parse_scope(scope)
    except ValueError as error:
        fail(str(error))
    with service(data, begin=True) as box:
        kept = [one for one in _caps(box) if (one.scope, one.period.value) != (whose, period)]
        if off and len(kept) == len(_caps(box)):
            fail(f"{whose} has no cap a {period}")
        wanted = [*kept, *([] if cap is None else [cap])]
        box.change_setting("calls.caps", ",".join(str(one) for one in wanted))
        row = box.budgets()
    _told(row, as_json=as_json)


def _caps(box: BoxService) -> list[Cap]:
    from firmware.rates.budget import parse_caps  # noqa: PLC0415 - start-up time

    return list(parse_caps(_texts(box, "calls.caps")))


def _change(data: Path, what: tuple[str, ...], *, allow: bool, as_json: bool) -> None:
    from firmware.rates.budget import CLASSES, parse_number  # noqa: PLC0415 - start-up time

    classes = [one for one in what if one in CLASSES]
    try:
        numbers = [parse_number(one) for one in what if one not in CLASSES]
    except ValueError as error:
        fail(f"{error}; classes are {', '.join(CLASSES)}")
    with service(data, begin=True) as box:
        for key, given in (("calls.allow", classes), ("calls.allow_numbers", numbers)):
            there = _texts(box, key)
            missing = [one for one in given if one not in there]
            if missing and not allow and key == "calls.allow_numbers":
                fail(f"{', '.join(missing)}: not among the numbers that are allowed one by one")
            wanted = there + missing if allow else [one for one in there if one not in given]
            if given:
                box.change_setting(key, ",".join(wanted))
        row = box.budgets()
    _told(row, as_json=as_json)


@budget.command("allow")
@click.argument("what", nargs=-1, required=True)
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_allow(*, data: Path, what: tuple[str, ...], as_json: bool) -> None:
    """Let everybody call these classes (premium, satellite ...), numbers and prefixes (0892*)."""
    _change(data, what, allow=True, as_json=as_json)


@budget.command("bar")
@click.argument("what", nargs=-1, required=True)
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_bar(*, data: Path, what: tuple[str, ...], as_json: bool) -> None:
    """Refuse these classes, and numbers that were allowed one by one."""
    _change(data, what, allow=False, as_json=as_json)


@budget.command("longest")
@click.argument("minutes")
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_longest(*, data: Path, minutes: str, as_json: bool) -> None:
    """Let no call that costs something last longer than MINUTES; off: as long as it likes."""
    with service(data, begin=True) as box:
        box.change_setting("calls.longest_minutes", "0" if minutes == "off" else minutes)
        row = box.budgets()
    _told(row, as_json=as_json)


@budget.group("pin")
def budget_pin() -> None:
    """PINs: what they allow besides what everybody may do."""


@budget_pin.command("set")
@click.argument("label")
@click.option("--pin-file", help="A file that holds the PIN in one line (- is standard input); needed for a new one.")
@click.option("--classes", help="What it allows, of premium,satellite,unknown,international ...; empty: nothing.")
@click.option("--numbers", help="Numbers and prefixes (0892*) that it allows; empty: none.")
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_pin_set(
    *, data: Path, label: str, pin_file: str | None, classes: str | None, numbers: str | None, as_json: bool
) -> None:
    """Make the PIN of LABEL, or change it; what is not given stays as it is."""
    digits = None if pin_file is None else _digits(pin_file)
    if digits is None and classes is None and numbers is None:
        raise click.UsageError("nothing to change: give --pin-file, --classes or --numbers")
    with service(data, begin=True) as box:
        known = next((pin for pin in box.budgets()["pins"] if pin["label"] == label), None)
        row = box.set_pin(
            label,
            digits,
            _list(classes, known["classes"] if known else []),
            _list(numbers, known["numbers"] if known else []),
        )
    _told(row, as_json=as_json)


@budget_pin.command("remove")
@click.argument("label")
@data_option
@click.option("--json", "as_json", is_flag=True)
def budget_pin_remove(*, data: Path, label: str, as_json: bool) -> None:
    """Forget the PIN of LABEL, and its caps."""
    with service(data) as box:
        box.remove_pin(label)
        row = box.budgets()
    _told(row, as_json=as_json)


def _list(text: str | None, before: list[str]) -> list[str]:
    return before if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _digits(pin_file: str) -> str:
    try:
        with click.open_file(pin_file) as file:
            text = str(file.read(_MOST_PIN_BYTES + 1)).strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{pin_file}: the PIN cannot be read: {error}")
    if not text or len(text) > _MOST_PIN_BYTES or len(text.splitlines()) > 1:
        fail(f"{pin_file}: a PIN is one line of digits, this file holds something else")
    return text
