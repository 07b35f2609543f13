"""What budgets read of the call records, and what the household is told of its budgets: rows in and out.

Transactions are the caller's. A record whose time is unsure (the box had no clock) lies where its id puts it: after
the last record that is surely older than what is asked for, it may be younger, and is read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from firmware.telephony.records import clean, stamp

COUNTED = (
    "run", "key", "direction", "line", "number", "class", "pin", "emergency", "started", "time_unsure", "answered",
    "duration_ms", "cost", "bundle", "bundle_seconds",
)  # fmt: skip
"""The columns that sums are made of."""

MOST_ALERTS = 500
MAX_DETAIL = 2000

_COUNTS = "direction = 'out' AND emergency = 0 AND answered IS NOT NULL"
_SINCE = f"SELECT {', '.join(COUNTED)} FROM calls WHERE started >= :since AND {_COUNTS}"  # noqa: S608 - constants
_UNSURE = f"""SELECT {", ".join(COUNTED)} FROM calls WHERE started < :since AND time_unsure = 1 AND {_COUNTS}
    AND id > coalesce((SELECT id FROM calls WHERE started < :since AND time_unsure = 0
        ORDER BY started DESC LIMIT 1), 0)"""  # noqa: S608 - constants
COUNTED_SINCE = f"{_SINCE} UNION ALL {_UNSURE}"
LATEST = "SELECT max(started) AS latest FROM calls WHERE time_unsure = 0"
ALERTS = "SELECT id, at, kind, detail FROM alerts WHERE id > ? ORDER BY id LIMIT ?"


@dataclass(frozen=True, slots=True)
class Alert:
    """What the household is told. `about` names the thing and its day or month: told once. `detail`: plain JSON."""

    kind: str
    about: str
    detail: Mapping[str, object]


def put_alert(connection: sqlite3.Connection, alert: Alert, at: datetime) -> bool:
    """Note an alert; False if it was told already, or if it is too long to be one. The oldest go beyond MOST_ALERTS."""
    detail = json.dumps(dict(alert.detail), ensure_ascii=False, separators=(",", ":"))
    if len(detail) > MAX_DETAIL:
        return False
    fresh = connection.execute(
        "INSERT OR IGNORE INTO alerts (at, kind, about, detail) VALUES (?, ?, ?, ?)",
        (stamp(at), clean(alert.kind), alert.about[:MAX_DETAIL], detail),
    ).rowcount
    if fresh:
        connection.execute("DELETE FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - ?", (MOST_ALERTS,))
    return bool(fresh)


def shown_alert(row: Mapping[str, object]) -> dict[str, object]:
    """A row of the alerts as `BoxService.alerts` has it."""
    return {"id": row["id"], "at": row["at"], "kind": row["kind"], **json.loads(str(row["detail"]))}
