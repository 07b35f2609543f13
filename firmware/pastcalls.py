"""The calls that a household made in the last month, to be priced again by another deck (`rates.preview`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from firmware.rates.preview import PastCall
from firmware.service import MAX_ROWS, BoxService, CallQuery, DeckRow

DAYS = 31
MAX_PAGES = 50


def deck_for(decks: Sequence[DeckRow], account: str | None) -> DeckRow | None:
    """The deck that prices an account now: its own, or the one for all."""
    used = {deck["account"]: deck for deck in decks if deck["active"]}
    return used.get(account) or used.get(None)


def plan_files(box: BoxService) -> dict[str | None, str]:
    """The file of each account's plan (None: for all that have none), as they are in use. Raises ServiceError."""
    return {plan["account"]: plan["file"] for plan in box.plans() if plan["active"]}


def past_calls(box: BoxService, decks: Sequence[DeckRow], account: str | None, now: datetime) -> list[PastCall]:
    """Answered calls out of the last DAYS that a deck for `account` (None: all) would price, oldest first.

    At most MAX_PAGES pages of MAX_ROWS. Raises ServiceError.
    """
    own = {deck["account"] for deck in decks if deck["active"] and deck["account"] is not None}
    found: list[PastCall] = []
    query: CallQuery = {
        "since": (now - timedelta(days=DAYS)).isoformat(timespec="seconds"),
        "oldest_first": True,
        "limit": MAX_ROWS,
        "direction": "out",
    }
    for _page in range(MAX_PAGES):
        rows = box.calls(query)
        for row in rows:
            concerned = row["account"] == account if account is not None else row["account"] not in own
            if concerned and row["direction"] == "out" and row["answered"] and row["number"]:
                started = datetime.fromisoformat(row["started"])
                found.append(PastCall(row["number"], started, row["seconds"], row["account"]))
        if len(rows) < MAX_ROWS:
            break
        query["after"] = rows[-1]["id"]
    return found
