"""A price list that holds from a day on, and the one before it, in one deck.

Until that day the rows of the deck before hold; from it on those of the new one. What the new list
no longer names must not keep its old price: from that day on it has the price that the new list gives
its numbers (a shorter prefix), or none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from firmware import store
from firmware.rates import deckfile
from firmware.rates.deckfile import DeckError

_PAGE = 2000
_ABSENT = {"steps": "''", "band": "''"}


def keep_until(connection: sqlite3.Connection, base: Path, valid_from: int, currency: str) -> tuple[int, int]:
    """Add the rows of the deck `base` that began before `valid_from` to the open deck.

    Returns how many came, and how many rows end what the new list no longer has. Raises DeckError for another currency.
    """
    with deckfile.Deck.open(base) as before:
        if before.info.currency != currency:
            raise DeckError(
                f"the deck in use ({before.info.name}) is in {before.info.currency}, the file in {currency}: "
                "its prices cannot be kept until the new ones hold; import without a date, or under another name"
            )
    old = store.open_reader(base, immutable=True)
    try:
        places = _destinations(connection, old)
        return _copy(connection, old, places, valid_from)
    finally:
        old.close()


def _destinations(connection: sqlite3.Connection, old: sqlite3.Connection) -> dict[int, int]:
    """The old deck's destinations in the new one: old number -> new."""
    places: dict[int, int] = {}
    following = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM destinations").fetchone()[0]
    for number, name, folded in old.execute("SELECT id, name, folded FROM destinations"):
        found = connection.execute("SELECT id FROM destinations WHERE name = ?", (name,)).fetchone()
        if found is None:
            connection.execute(deckfile.INSERT_DESTINATION, (following, name, folded))
            found, following = (following,), following + 1
        places[number] = found[0]
    return places


def _copy(
    connection: sqlite3.Connection, old: sqlite3.Connection, places: dict[int, int], valid_from: int
) -> tuple[int, int]:
    had = {row[1] for row in old.execute("PRAGMA table_info(rates)")}
    columns = [row[1] for row in connection.execute("PRAGMA table_info(rates)")]
    prefix, place, band = (columns.index(name) for name in ("prefix", "destination", "band"))
    # A deck of version 1 has fewer columns: what they hold by default.
    names = ", ".join(name if name in had else _ABSENT.get(name, "0") for name in columns)
    order = "prefix, band" if "band" in had else "prefix"
    insert = f"INSERT OR IGNORE INTO rates VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - marks only
    rows = old.execute(f"SELECT {names} FROM rates WHERE valid_from < ? ORDER BY {order}", (valid_from,))  # noqa: S608
    count, ended, last = 0, 0, ("", "")
    for page in iter(lambda: rows.fetchmany(_PAGE), []):
        for row in page:
            key = (row[prefix], row[band])
            if key != last:
                last = key
                ended += _succeed(connection, key, places[row[place]], valid_from)
        moved = ([*row[:place], places[row[place]], *row[place + 1 :]] for row in page)
        count += connection.executemany(insert, moved).rowcount
    return count, ended


def _succeed(connection: sqlite3.Connection, key: tuple[str, str], destination: int, valid_from: int) -> int:
    """End the old price of a prefix (in a band) that the new list has not; how many rows that took."""
    prefix, band = key
    new = "SELECT 1 FROM rates WHERE prefix = ? AND band = ? AND valid_from >= ? LIMIT 1"
    if connection.execute(new, (prefix, band, valid_from)).fetchone():
        return 0
    cover = "SELECT * FROM rates WHERE prefix = ? AND valid_from = ? AND band = ?"
    for shorter in _shorter(prefix):
        found = connection.execute(cover, (shorter, valid_from, band)).fetchone()
        if found is not None:
            return connection.execute(deckfile.INSERT_RATE, (prefix, *found[1:])).rowcount
    return deckfile.withdraw(connection, prefix, valid_from, destination, band)


def _shorter(prefix: str) -> Iterator[str]:
    """The prefixes of a prefix, the longest first; those of a short number keep its country."""
    least = 3 if prefix[:1].isalpha() else 1
    for length in range(len(prefix) - 1, least - 1, -1):
        yield prefix[:length]
