"""The table of call records: schema, rows, and the few statements that write it.

Once a record is in the table it is deleted by `pruning` alone, years later. Only its stamps may be
corrected (a box without a clock battery learns the time after boot), and what the call was like is
added once, where it is known a moment later than the end. Transactions are the caller's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from firmware.clock import Clock
from firmware.store import Schema
from firmware.telephony.records import CallClosed, CallOpen, Charge, clean, fold, parse_stamp, stamp

INTERRUPTED = "interrupted"

# A wall clock that shows less than this has not been set since power-on.
FIRST_SURE_INSTANT = datetime(2025, 1, 1, tzinfo=UTC)

_CALL_COLUMNS = """
    run TEXT NOT NULL,
    key INTEGER NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    line INTEGER NOT NULL,
    number TEXT, name TEXT, dialled TEXT, account TEXT, destination TEXT, tariff TEXT,
    call_id TEXT NOT NULL,
    emergency INTEGER NOT NULL,
    started TEXT NOT NULL,
    started_monotonic REAL NOT NULL,
    time_unsure INTEGER NOT NULL,
    answered TEXT,
    setup_ms INTEGER NOT NULL CHECK (setup_ms >= 0),
    duration_ms INTEGER NOT NULL CHECK (duration_ms >= 0)"""

_MONEY = ("class", "pin", "why")
_COST = ("bundle", "bundle_seconds", "service_cost", "tax")
_PARTS = ("bundle TEXT", "bundle_seconds INTEGER CHECK (bundle_seconds >= 0)", "service_cost TEXT", "tax TEXT")

# `run` and `key` name a call within one life of the core: a commit repeated after an I/O error
# finds its own row. `running` holds the calls that are up, as of the last checkpoint.
# `setup_ms`: from the start to the answer, or to the end of a call never answered.
LEDGER = Schema(
    application_id=0x414C4C43,
    steps=(
        (
            f"CREATE TABLE running ({_CALL_COLUMNS}, PRIMARY KEY (run, key)) WITHOUT ROWID",
            f"""CREATE TABLE calls (id INTEGER PRIMARY KEY AUTOINCREMENT, {_CALL_COLUMNS},
                ended TEXT NOT NULL, billed_seconds INTEGER NOT NULL, cost TEXT, currency TEXT,
                ended_by TEXT NOT NULL, sip_code INTEGER NOT NULL, q850 INTEGER, codec TEXT NOT NULL,
                missed INTEGER NOT NULL, haystack TEXT NOT NULL, UNIQUE (run, key))""",
            "CREATE INDEX calls_by_start ON calls (started)",
            """CREATE TRIGGER calls_stay BEFORE DELETE ON calls
                BEGIN SELECT RAISE(ABORT, 'call records are append-only'); END""",
            """CREATE TRIGGER calls_stand BEFORE UPDATE OF id, run, key, direction, line, number, name, dialled,
                account, destination, tariff, call_id, emergency, started_monotonic, setup_ms, duration_ms,
                billed_seconds, cost, currency, ended_by, sip_code, q850, codec, missed ON calls
                BEGIN SELECT RAISE(ABORT, 'call records are append-only'); END""",
        ),
        (
            # Which records may go; filled and emptied within the transaction that deletes them.
            "CREATE TABLE pruning (id INTEGER PRIMARY KEY)",
            "DROP TRIGGER calls_stay",
            """CREATE TRIGGER calls_stay BEFORE DELETE ON calls WHEN OLD.id NOT IN (SELECT id FROM pruning)
                BEGIN SELECT RAISE(ABORT, 'call records are append-only'); END""",
        ),
        (
            # What an answered call was like, as JSON: `CallQuality.figures`; apart, for lists do without, its `plot`.
            "ALTER TABLE calls ADD COLUMN quality TEXT",
            "ALTER TABLE calls ADD COLUMN quality_plot TEXT",
            """CREATE TRIGGER calls_measured_once BEFORE UPDATE OF quality, quality_plot ON calls
                WHEN OLD.quality IS NOT NULL OR OLD.quality_plot IS NOT NULL
                BEGIN SELECT RAISE(ABORT, 'call records are append-only'); END""",
        ),
        (
            # Money: the number's class, the PIN's label, why this route (JSON), and what the cost is made of.
            *(f"ALTER TABLE {table} ADD COLUMN {name} TEXT" for table in ("running", "calls") for name in _MONEY),
            *(f"ALTER TABLE calls ADD COLUMN {name}" for name in _PARTS),
            f"""CREATE TRIGGER calls_cost_stands BEFORE UPDATE OF {", ".join((*_MONEY, *_COST))} ON calls
                BEGIN SELECT RAISE(ABORT, 'call records are append-only'); END""",
            # What the household is told of its budgets. `about` says what and when: told once.
            """CREATE TABLE alerts (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL,
                about TEXT NOT NULL UNIQUE, detail TEXT NOT NULL)""",
        ),
    ),
)

RUNNING_COLUMNS = (
    "run", "key", "direction", "line", "number", "name", "dialled", "account", "destination", "tariff",
    "call_id", "emergency", "started", "started_monotonic", "time_unsure", "answered", "setup_ms", "duration_ms",
    *_MONEY,
)  # fmt: skip
CALL_COLUMNS = (
    *RUNNING_COLUMNS,
    "ended", "billed_seconds", "cost", "currency", "ended_by", "sip_code", "q850", "codec", "missed", "haystack",
    "quality", "quality_plot", *_COST,
)  # fmt: skip


def haystack(row: Mapping[str, object]) -> str:
    """What `search` looks into: names and numbers, folded; numbers without spaces."""
    fields = ("number", "name", "dialled", "account", "destination")
    return "\n".join(fold(str(row[field])) for field in fields if row[field])


def final_row(running: Mapping[str, object], closed: CallClosed, charge: Charge) -> dict[str, object]:
    """The record of an ended call from its running row (setup and duration up to date)."""
    row = dict(running)
    for field in ("account", "number", "destination", "tariff", "call_id", "pin", "why"):
        value = getattr(closed, field)
        if value is not None:
            row[field] = value if field in {"tariff", "why"} else clean(value)
    started = parse_stamp(str(row["started"]), "started")
    lasted = timedelta(milliseconds=int(str(row["setup_ms"])) + int(str(row["duration_ms"])))
    row |= {
        "ended": stamp(started + lasted),
        "billed_seconds": charge.billed_seconds,
        "cost": _money(charge.cost),
        "currency": charge.currency,
        "bundle": clean(charge.bundle),
        "bundle_seconds": charge.bundle_seconds,
        "service_cost": _money(charge.service_cost),
        "tax": _money(charge.tax),
        "ended_by": clean(closed.end),
        "sip_code": closed.sip_code,
        "q850": closed.q850,
        "codec": clean(closed.codec),
        "missed": int(row["direction"] == "in" and row["answered"] is None and not closed.answered_elsewhere),
    }
    row["haystack"] = haystack(row)
    row["quality"], row["quality_plot"] = _measure(closed)
    return row


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _measure(closed: CallClosed) -> tuple[str | None, str | None]:
    """Both columns; nothing for figures that make no sense, which must not cost the record."""
    if closed.quality is None:
        return None, None
    try:
        return _compact(closed.quality.figures()), _compact(closed.quality.plot())
    except (ValueError, TypeError, ArithmeticError):
        return None, None


def _compact(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _parsed(text: object) -> object:
    """What a column of JSON holds; None for nothing, or for what is no JSON."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def shown(row: Mapping[str, object], *, plot: bool = False) -> dict[str, object]:
    """A row of the table as `allobox calls --json` and the page show it. A begun second counts as one.

    `plot`: with the points of delay and loss too.
    """
    keys = ("id", "direction", "line", "number", "name", "dialled", "account", "started", "answered")
    more = ("billed_seconds", "destination", "cost", "currency")
    return (
        {key: row[key] for key in keys}
        | {"seconds": -(-int(str(row["duration_ms"])) // 1000)}
        | {key: row[key] for key in more}
        | {
            "end": row["ended_by"],
            "sip_code": row["sip_code"],
            "call_id": row["call_id"],
            "codec": row["codec"],
            "ended": row["ended"],
            "q850": row["q850"],
            "missed": bool(row["missed"]),
            "emergency": bool(row["emergency"]),
            "time_unsure": bool(row["time_unsure"]),
            "quality": _parsed(row["quality"]),
            "class": row["class"],
            "pin": row["pin"],
            "bundle": row["bundle"],
            "bundle_seconds": row["bundle_seconds"],
            "service_cost": row["service_cost"],
            "tax": row["tax"],
            "why": _parsed(row["why"]),
        }
        | ({"plot": _parsed(row["quality_plot"])} if plot else {})
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call is: wall stamps for people, monotonic seconds for lengths."""

    key: int
    started: datetime
    started_at: float
    answered: datetime | None
    answered_at: float | None
    now: float

    @property
    def setup_ms(self) -> int:
        """From the start to the answer, or to now."""
        until = self.now if self.answered_at is None else self.answered_at
        return round(max(0.0, until - self.started_at) * 1000)

    @property
    def duration_ms(self) -> int:
        """From the answer to now; 0 before it."""
        return 0 if self.answered_at is None else round(max(0.0, self.now - self.answered_at) * 1000)


def running_row(run: str, opened: CallOpen, progress: Progress) -> dict[str, object]:
    """The row of a call that is up."""
    return {
        "run": run,
        "key": progress.key,
        "direction": opened.direction,
        "line": opened.line,
        "number": clean(opened.number),
        "name": clean(opened.name),
        "dialled": clean(opened.dialled),
        "account": clean(opened.account),
        "destination": clean(opened.destination),
        "tariff": opened.tariff,
        "call_id": clean(opened.call_id) or "",
        "emergency": int(opened.emergency),
        "class": clean(opened.kind),
        "pin": clean(opened.pin),
        "why": opened.why,
        "started": stamp(progress.started),
        "started_monotonic": progress.started_at,
        "time_unsure": int(progress.started < FIRST_SURE_INSTANT),
        "answered": None if progress.answered is None else stamp(progress.answered),
        "setup_ms": progress.setup_ms,
        "duration_ms": progress.duration_ms,
    }


def put_running(connection: sqlite3.Connection, row: Mapping[str, object]) -> None:
    """Write or refresh the row of a call that is up."""
    connection.execute(_insert("running", RUNNING_COLUMNS, "REPLACE"), dict(row))


def put_final(connection: sqlite3.Connection, row: Mapping[str, object]) -> int:
    """Turn a running call into a record; returns its id. Repeating it finds the same record.

    A repetition that knows what the call was like adds that, if the record lacks it.
    """
    who = (row["run"], row["key"])
    connection.execute(_insert("calls", CALL_COLUMNS, "IGNORE"), dict(row))
    if row["quality"] is not None:
        connection.execute(
            "UPDATE calls SET quality = ?, quality_plot = ? WHERE run = ? AND key = ? AND quality IS NULL",
            (row["quality"], row["quality_plot"], *who),
        )
    connection.execute("DELETE FROM running WHERE run = ? AND key = ?", who)
    return int(connection.execute("SELECT id FROM calls WHERE run = ? AND key = ?", who).fetchone()["id"])


def put_finals(connection: sqlite3.Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Write many records of calls that were never `running`; those that are there already stay as they are."""
    connection.executemany(_insert("calls", CALL_COLUMNS, "IGNORE"), rows)


def close_interrupted(
    connection: sqlite3.Connection, run: str, charged: Callable[[str | None, float, datetime], Charge] | None
) -> int:
    """Close the calls of earlier lives of the core, as of their last checkpoint; returns how many.

    Who cannot charge (`charged` None: a command that only reads the list) leaves priced calls to the next core.
    """
    rows = connection.execute(
        "SELECT * FROM running WHERE run <> ? AND (tariff IS NULL OR ?) ORDER BY started, key",
        (run, charged is not None),
    ).fetchall()
    for row in rows:
        charge = Charge(0, None, None)
        if charged is not None:
            answered = parse_stamp(row["answered"] or row["started"], "answered")
            charge = charged(row["tariff"], row["duration_ms"] / 1000, answered)
        put_final(connection, final_row(dict(row), CallClosed(end=INTERRUPTED), charge))
    return len(rows)


def begin_above(connection: sqlite3.Connection, last: int) -> None:
    """Let ids start after `last`: readers remember the last id they saw, so ids must go on rising."""
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('calls', ?)", (last,))


def correct_stamps(connection: sqlite3.Connection, run: str, clock: Clock) -> None:
    """The clock has been set: this life's unsure records get the time they really had."""
    wall, monotonic = clock.wall(), clock.monotonic()
    for row in connection.execute("SELECT * FROM calls WHERE run = ? AND time_unsure = 1", (run,)).fetchall():
        started = wall - timedelta(seconds=monotonic - row["started_monotonic"])
        answered = started + timedelta(milliseconds=row["setup_ms"])
        ended = answered + timedelta(milliseconds=row["duration_ms"])
        connection.execute(
            "UPDATE calls SET started = ?, answered = ?, ended = ?, time_unsure = 0 WHERE id = ?",
            (stamp(started), None if row["answered"] is None else stamp(answered), stamp(ended), row["id"]),
        )


def _insert(table: str, columns: tuple[str, ...], verb: str) -> str:
    names = ", ".join(columns)
    places = ", ".join(f":{column}" for column in columns)
    return f"INSERT OR {verb} INTO {table} ({names}) VALUES ({places})"  # noqa: S608 - constants of this module only
