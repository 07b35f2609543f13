"""Old call records go: after some years, or when there are too many, a few at a time.

The table refuses every DELETE (record_table) but of rows that `pruning` names within the same
transaction. Few at a time, because a wrong clock must not empty the list overnight, and because a
card writes slowly.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import datetime, timedelta

from firmware.telephony.record_table import FIRST_SURE_INSTANT
from firmware.telephony.records import stamp

EVERY_SECONDS = 3600.0
BATCH = 500
MAX_RECORDS = 200_000
KEEP_DAYS = 1825

# By age only records whose time is sure.
_TOO_OLD = """INSERT INTO pruning (id)
    SELECT id FROM calls WHERE started < ? AND time_unsure = 0 ORDER BY started LIMIT ?"""
# Ids rise without gaps but where a damaged ledger was set aside, and then the table began anew.
_TOO_MANY = """INSERT OR IGNORE INTO pruning (id)
    SELECT id FROM calls WHERE id <= (SELECT max(id) FROM calls) - ? ORDER BY id LIMIT ?"""


class Pruner:
    """When records are looked through, and which ones go. Used from the ledger's thread; `keep` from any."""

    def __init__(self, *, every_seconds: float = EVERY_SECONDS, most: int = MAX_RECORDS, batch: int = BATCH) -> None:
        self._every = every_seconds
        self._most = most
        self._batch = batch
        self._days = KEEP_DAYS
        self._next = time.monotonic() + every_seconds

    def keep(self, days: int) -> None:
        """Records of the last `days` days stay from now on."""
        self._days = days

    def seconds_left(self) -> float:
        """Until the next batch is due; 0.0 when it is."""
        return max(0.0, self._next - time.monotonic())

    def take_turn(self) -> bool:
        """Whether a batch is due; then it is not again for a while, however this one ends."""
        due = not self.seconds_left()
        if due:
            self._next = time.monotonic() + self._every
        return due

    def prune(self, connection: sqlite3.Connection, now: datetime) -> int:
        """Delete one batch of each kind, in the caller's transaction; returns how many went.

        None go while the clock is not set.
        """
        if now < FIRST_SURE_INSTANT:
            return 0
        connection.execute(_TOO_OLD, (stamp(now - timedelta(days=self._days)), self._batch))
        connection.execute(_TOO_MANY, (self._most, self._batch))
        gone = connection.execute("DELETE FROM calls WHERE id IN (SELECT id FROM pruning)").rowcount
        connection.execute("DELETE FROM pruning")
        return gone
