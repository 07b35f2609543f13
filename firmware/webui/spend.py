"""What the calls of the present month cost so far, by currency.

The ledger only grows, so each record is read once: pages of `MAX_ROWS` from the last one seen.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from zoneinfo import ZoneInfo

from firmware.service import MAX_ROWS, BoxService, CallQuery

# A household's month is hundreds of calls; a first look at a box with more reads on at the next visit.
_MAX_PAGES = 25


class MonthSpend:
    """Running totals. Thread-safe; `now` is given so that months turn where the household lives."""

    def __init__(self, box: BoxService) -> None:
        self._box = box
        self._lock = threading.Lock()
        self._month = ""
        self._last_id: int | None = None
        self._totals: dict[str, Decimal] = defaultdict(Decimal)
        self._calls = 0

    def so_far(self, now: datetime, zone: ZoneInfo) -> tuple[Mapping[str, Decimal], int]:
        """({currency: amount}, number of answered outgoing calls) since the first. Raises ServiceError."""
        local = now.astimezone(zone)
        first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        with self._lock:
            if (month := first.isoformat()) != self._month:
                self._month, self._last_id, self._calls = month, None, 0
                self._totals.clear()
            for _page in range(_MAX_PAGES):
                query: CallQuery = {"since": first.isoformat(), "oldest_first": True, "limit": MAX_ROWS}
                if self._last_id is not None:
                    query["after"] = self._last_id
                rows = self._box.calls(query)
                for row in rows:
                    self._last_id = row["id"]
                    if row["direction"] == "out" and row["answered"]:
                        self._calls += 1
                    self._add(row["cost"], row["currency"])
                if len(rows) < MAX_ROWS:
                    break
            return MappingProxyType(dict(self._totals)), self._calls

    def _add(self, cost: str | None, currency: str | None) -> None:
        if cost is None or currency is None:
            return
        try:
            amount = Decimal(cost)
        except InvalidOperation:
            return
        if amount:
            self._totals[currency] += amount
