"""A price looked up in a deck of 100,000 prefixes, beside plainer ways; `price_lookup` measures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.figure import Figure, Plan

_CHECKOUT = Path(__file__).resolve().parents[2]


def price(plan: Plan) -> list[Figure]:
    """`Deck.lookup` of numbers of up to 15 digits, in a process of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.bench.price_lookup", "--prefixes", "100000"),
            *("--lookups", str(plan.times(20_000, 3000))),
        ],
        capture_output=True,
        text=True,
        cwd=_CHECKOUT,
        check=True,
        timeout=300,
    )
    deck = json.loads(done.stdout)["decks"][0]
    ways = {"statement": "the SQL alone", "dict": "a dictionary in memory", "like": "LIKE"}
    beside = ", ".join(f"{said} {deck[way]['median_us']:g}" for way, said in ways.items())
    return [
        Figure(
            "price looked up in a deck of 100,000 prefixes",
            "us",
            deck["deck"]["median_us"],
            deck["deck"]["p99_us"],
            goal=100,
            beside=f"{beside} us",
            note=f"imported in {deck['import']['seconds']} s, {deck['deck_mb']} MB",
            raw=deck,
        )
    ]
