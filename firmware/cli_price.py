"""`allobox price`: what a call would cost, by whom, and why by him."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import click

from firmware.cli_common import data_option, service, show
from firmware.service import PriceAnswer

_BY = {
    "only": "no other account may carry it",
    "registered": "the next is not registered",
    "preferred": "it is this line's own account",
    "priced": "the next has no price for this number",
    "price": "it is cheaper than the next",
    "quality": "it costs no more than the next, and sounds better",
    "reliability": "it costs no more than the next, and fails less often",
    "order": "it costs no more than the next, and stands before it in the household's order",
}


@click.command()
@click.argument("number")
@click.option(
    "--seconds", type=click.IntRange(0, 86_400 * 31), default=60, show_default=True, help="How long the call."
)
@click.option("--at", help="When, as ISO 8601; without an offset by the box's clock (default: now).")
@click.option("--compare", is_flag=True, help="What each account would ask.")
@click.option("--why", is_flag=True, help="How the price comes about, and why this route.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@data_option
def price(*, number: str, seconds: int, at: str | None, compare: bool, why: bool, as_json: bool, data: Any) -> None:
    """What a call to NUMBER costs. An unknown destination ends with exit code 1."""
    with service(data) as box:
        answer = box.price(number, seconds, at)
    if as_json:
        show(answer)
        return
    click.echo(_sentence(answer, seconds))
    if compare:
        for line in _comparison(answer):
            click.echo(line)
    if why:
        for line in _reasons(answer):
            click.echo(line)


def _sentence(answer: PriceAnswer, seconds: int) -> str:
    where = f"{answer['number']}, {answer['destination']}"
    # What came after the contract was written, an older core does not say.
    more: Mapping[str, Any] = answer
    if answer["free"]:
        return f"{where}: free"
    by = f" by {answer['account']}" if answer["account"] else ""
    parts = [f"{answer['rate_per_minute']} a minute", f"{answer['billed_seconds']} s billed"]
    for key, words in (("connection_fee", "to connect"), ("per_call", "a call"), ("minimum", "at least")):
        if Decimal(str(more.get(key) or 0)):
            parts.append(f"{more[key]} {words}")
    if Decimal(str(more.get("service_cost") or 0)):
        parts.append(f"{more['service_cost']} of it the price of the service")
    if more.get("bundle"):
        parts.append(f"{more['bundle_seconds']} s by the bundle {more['bundle']}")
    if more.get("band"):
        parts.append(f"band {more['band']}")
    if Decimal(str(more.get("tax") or 0)):
        parts.append(f"{more['tax']} of it tax")
    return f"{where}: {answer['cost']} {answer['currency']} for {seconds} s{by} ({', '.join(parts)})"


def _comparison(answer: PriceAnswer) -> list[str]:
    lines = []
    for route in answer.get("routes", []):
        price = "no price" if route.get("currency") is None else f"{_cost(route)} {route['currency']}"
        notes = [] if route["registered"] else ["not registered"]
        if route["refused"]:
            notes.append(f"refused: {route['refused']}")
        if route["needs_pin"]:
            notes.append("asks for a PIN")
        if route["max_seconds"] is not None:
            notes.append(f"{route['max_seconds']} s at most")
        rank = f"{route['rank']}." if route["rank"] else "-"
        lines.append(f"  {rank:<3} {route['account']:<20} {price:<16} {', '.join(notes)}".rstrip())
    return lines


def _cost(route: Mapping[str, Any]) -> str:
    return str(route["price"]) if route["price"] is not None else "not comparable, in"


def _reasons(answer: PriceAnswer) -> list[str]:
    """Why the first route is the first, in a few lines."""
    routes = answer.get("routes", [])
    first = next((route for route in routes if route["rank"] == 1), None)
    if first is None:
        return ["  no account may carry it" if routes else "  an emergency asks nobody and goes by every account"]
    lines = [f"  by {first['account']}: {_BY.get(first['by'] or '', 'no other account is left')}"]
    if first.get("deck"):
        lines.append(f"  the deck {first['deck']} has the prefix {first['prefix']} ({first['destination']})")
    if first.get("plan"):
        lines.append(f"  under the plan {first['plan']}" + (f", band {first['band']}" if first.get("band") else ""))
    if first.get("bundle"):
        left = first["bundle_seconds_left"]
        lines.append(f"  the bundle {first['bundle']} has {'no end' if left is None else f'{left} s left'}")
    standing = [(kind, first[kind]) for kind in ("quality", "reliability") if first[kind] is not None]
    lines += [f"  {kind} lately: {round(share * 100)} of 100" for kind, share in standing]
    if first["weighed"] is not None and Decimal(first["weighed"]) != Decimal(first["price"]):
        lines.append(f"  taken as {first['weighed']} for what its calls were like")
    return lines
