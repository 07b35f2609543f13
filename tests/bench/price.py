"""A price looked up in decks of 100,000 and 1,000,000 prefixes, beside plainer ways; `price_lookup` measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.figure import Figure, Plan

_CHECKOUT = Path(__file__).resolve().parents[2]
_GOALS = {100_000: 50, 1_000_000: 60}
_MEMORY_GOAL_MB = 5
_WAYS = {
    "statement": "the SQL alone",
    "dict": "a dictionary in memory",
    "trie": "a trie in memory",
    "like": "LIKE and MAX(LENGTH)",
}


def price(plan: Plan) -> list[Figure]:
    """`Deck.lookup` of numbers of up to 15 digits, in a process of its own."""
    sizes = [100_000] if plan.quick else list(_GOALS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.bench.price_lookup", "--prefixes", *map(str, sizes)),
            *("--lookups", str(plan.times(20_000, 3000))),
        ],
        capture_output=True,
        text=True,
        cwd=_CHECKOUT,
        check=True,
        timeout=900,
    )
    decks = json.loads(done.stdout)["decks"]
    return [figure for deck in decks for figure in _figures(deck)]


def _figures(deck: dict[str, Any]) -> list[Figure]:
    size = f"{deck['prefixes']:,}"
    beside = ", ".join(f"{said} {deck[way]['median_us']:g}" for way, said in _WAYS.items())
    whole = deck["priced"]
    return [
        Figure(
            f"price looked up in a deck of {size} prefixes",
            "us",
            deck["deck"]["median_us"],
            deck["deck"]["p99_us"],
            goal=_GOALS[deck["prefixes"]],
            beside=f"{beside} us",
            note=f"with plan, bundle and the charge of three minutes {whole['median_us']:g} us",
            raw=deck,
        ),
        Figure(
            f"memory that a deck of {size} prefixes takes of the core",
            "MB",
            deck["memory"]["added_mb"],
            goal=_MEMORY_GOAL_MB,
            beside=f"the file {deck['deck_mb']} MB",
            note="resident memory added by opening it and 2000 look-ups",
        ),
    ]
