"""mail.db: the linked account (its secret sealed), the outbox, and how far the call journal was read.

One process writes it, from several threads, one at a time under a lock. What must happen together
happens in one transaction: above all taking calls from the journal (cursor and mails).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from firmware.clock import Clock
from firmware.store import Schema, open_writer, transaction
from firmware.webmail.account import Account, Server, credential_from_bytes, credential_to_bytes
from firmware.webmail.messages import Mail, readdressed
from firmware.webmail.vault import Vault, VaultError

MAX_QUEUED = 500
MAX_REFUSED = 50  # kept to be shown; older ones go
SCHEMA = Schema(
    application_id=0x414C424D,  # "ALBM"
    steps=(
        (
            "CREATE TABLE device (id INTEGER PRIMARY KEY CHECK (id = 1), device TEXT NOT NULL) STRICT",
            """CREATE TABLE account (id INTEGER PRIMARY KEY CHECK (id = 1), address TEXT NOT NULL,
            imap TEXT NOT NULL, smtp TEXT NOT NULL, sealed BLOB NOT NULL, phrase TEXT NOT NULL,
            language TEXT NOT NULL, notify TEXT NOT NULL, generation TEXT NOT NULL, paused TEXT,
            trouble TEXT, attempts INTEGER NOT NULL DEFAULT 0, next_attempt REAL NOT NULL DEFAULT 0,
            sent INTEGER NOT NULL DEFAULT 0, last_sent TEXT) STRICT""",
            """CREATE TABLE journal_cursor (id INTEGER PRIMARY KEY CHECK (id = 1), record INTEGER NOT NULL,
            started TEXT NOT NULL, skip_until TEXT) STRICT""",
            """CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, record INTEGER NOT NULL,
            message_id TEXT NOT NULL UNIQUE, sender TEXT NOT NULL, recipient TEXT NOT NULL, message BLOB NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'refused')), attempts INTEGER NOT NULL DEFAULT 0,
            next_attempt REAL NOT NULL DEFAULT 0, queued TEXT NOT NULL, error TEXT) STRICT""",
            "CREATE INDEX outbox_state ON outbox (state, id)",
        ),
        (
            # How far the box's alerts were read, and when the last of them was told (ISO).
            """CREATE TABLE alert_cursor (id INTEGER PRIMARY KEY CHECK (id = 1), alert INTEGER NOT NULL,
            at TEXT NOT NULL) STRICT""",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last call record that was dealt with, and when it started (ISO).

    `skip_until`: records that started no later than this are passed over without a mail; set when
    the journal must be read again from its beginning.
    """

    record: int
    started: str = ""
    skip_until: str | None = None


@dataclass(frozen=True, slots=True)
class AlertCursor:
    """The last alert that was dealt with, and when it was told (ISO)."""

    alert: int
    at: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """One mail that waits."""

    id: int
    mail: Mail
    attempts: int
    next_attempt: float


@dataclass(frozen=True, slots=True)
class Linked:
    """The account's row; every link has a `generation` of its own.

    `paused`: why nothing is tried until the person acts; `trouble`: why everything waits.
    """

    account: Account
    generation: str
    paused: str | None
    trouble: str | None
    attempts: int
    next_attempt: float
    sent: int
    last_sent: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What the status tells of the outbox.

    `refusal` is the newest of a mail that waits, or of one refused for good if nothing went well since.
    """

    queued: int
    refusal: str | None


class MailStore:
    """Every method is one transaction, from any thread. Raises StoreError."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self._path = data / "mail.db"
        self._clock = clock
        self._vault = Vault(data / "mail.key")
        self._lock = threading.RLock()
        opened = open_writer(self._path, SCHEMA, clock)
        self.notice = opened.notice
        self._db = opened.connection
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA secure_delete = ON")  # a forgotten secret leaves no trace in free pages
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO device VALUES (1, ?)", (secrets.token_hex(16),))
        self.device = str(self._db.execute("SELECT device FROM device").fetchone()[0])

    def close(self) -> None:
        """Close the database. Idempotent."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._db, self._path) as db:
            yield db

    def linked(self) -> Linked | None:
        """The account, or None. With an unreadable secret it comes paused and its password empty."""
        with self._transaction() as db:
            row = db.execute("SELECT * FROM account").fetchone()
        if row is None:
            return None
        paused = row["paused"]
        try:
            credential = credential_from_bytes(self._vault.open(row["sealed"], f"account {row['address']}"))
        except (VaultError, ValueError) as error:
            credential = credential_from_bytes(b'{"kind": "password", "secret": ""}')
            paused = str(error)
        account = Account(
            address=row["address"],
            imap=Server(**json.loads(row["imap"])),
            smtp=Server(**json.loads(row["smtp"])),
            credential=credential,
            phrase=row["phrase"],
            language=row["language"],
            notify=row["notify"],
        )
        return Linked(
            account=account,
            generation=row["generation"],
            paused=paused,
            trouble=row["trouble"],
            attempts=row["attempts"],
            next_attempt=row["next_attempt"],
            sent=row["sent"],
            last_sent=row["last_sent"],
        )

    def link(self, account: Account, start: Cursor) -> None:
        """Keep this account in place of any other. `start` counts for a first link only.

        Mails that wait for another address are addressed anew. Raises OSError, VaultError.
        """
        with self._lock:
            sealed = self._vault.seal(credential_to_bytes(account.credential), f"account {account.address}")
            with self._transaction() as db:
                before = db.execute("SELECT sent, last_sent FROM account").fetchone()
                db.execute(
                    "INSERT OR REPLACE INTO account (id, address, imap, smtp, sealed, phrase, language, notify,"
                    " generation, sent, last_sent) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        account.address,
                        json.dumps(account.imap.as_json()),
                        json.dumps(account.smtp.as_json()),
                        sealed,
                        account.phrase,
                        account.language,
                        account.notify,
                        secrets.token_hex(8),
                        before["sent"] if before else 0,
                        before["last_sent"] if before else None,
                    ),
                )
                db.execute(
                    "INSERT OR IGNORE INTO journal_cursor VALUES (1, ?, ?, ?)",
                    (start.record, start.started, start.skip_until),
                )
                self._readdress(db, account)

    @staticmethod
    def _readdress(db: sqlite3.Connection, account: Account) -> None:
        for row in db.execute("SELECT id, sender, recipient, message FROM outbox").fetchall():
            message = row["message"]
            if (row["sender"], row["recipient"]) != (account.address, account.recipient):
                message = readdressed(message, account.address, account.recipient)
            db.execute(
                "UPDATE outbox SET sender = ?, recipient = ?, message = ?, state = 'queued', next_attempt = 0"
                " WHERE id = ?",
                (account.address, account.recipient, message, row["id"]),
            )

    def unlink(self) -> None:
        """Forget the account, its key, what waits and how far the journal was read."""
        with self._lock:
            self._vault.forget()
            with self._transaction() as db:
                for table in ("account", "outbox", "journal_cursor", "alert_cursor"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608 - constants

    def cursor(self) -> Cursor | None:
        """How far the journal was read; None while nothing is linked."""
        with self._transaction() as db:
            row = db.execute("SELECT record, started, skip_until FROM journal_cursor").fetchone()
        return None if row is None else Cursor(row["record"], row["started"], row["skip_until"])

    def take(self, before: Cursor, after: Cursor, mails: Sequence[Mail], generation: str) -> None:
        """Advance the cursor and queue the mails, in one transaction.

        Nothing happens if the account was linked anew meanwhile, or the cursor moved.
        """
        with self._transaction() as db:
            row = db.execute("SELECT record, started, skip_until, generation FROM journal_cursor, account").fetchone()
            if row is None or tuple(row) != (before.record, before.started, before.skip_until, generation):
                return
            db.execute(
                "UPDATE journal_cursor SET record = ?, started = ?, skip_until = ?",
                (after.record, after.started, after.skip_until),
            )
            self._queue(db, mails)

    def _queue(self, db: sqlite3.Connection, mails: Sequence[Mail]) -> None:
        db.executemany(
            "INSERT OR IGNORE INTO outbox (record, message_id, sender, recipient, message, state, queued)"
            " VALUES (?, ?, ?, ?, ?, 'queued', ?)",
            [(mail.record, mail.message_id, mail.sender, mail.recipient, mail.message, self._now()) for mail in mails],
        )

    def alert_cursor(self) -> AlertCursor | None:
        """How far the alerts were read; None: not yet since the mailbox was linked."""
        with self._transaction() as db:
            row = db.execute("SELECT alert, at FROM alert_cursor").fetchone()
        return None if row is None else AlertCursor(row["alert"], row["at"])

    def take_alerts(
        self, before: AlertCursor | None, after: AlertCursor, mails: Sequence[Mail], generation: str
    ) -> None:
        """As `take`, for alerts; `before` None: none were read yet."""
        with self._transaction() as db:
            linked = db.execute("SELECT generation FROM account").fetchone()
            row = db.execute("SELECT alert, at FROM alert_cursor").fetchone()
            there = None if row is None else AlertCursor(row["alert"], row["at"])
            if linked is None or linked["generation"] != generation or there != before:
                return
            db.execute("INSERT OR REPLACE INTO alert_cursor VALUES (1, ?, ?)", (after.alert, after.at))
            self._queue(db, mails)

    def room(self) -> int:
        """How many mails may still be queued; the journal itself holds the others."""
        with self._transaction() as db:
            return max(0, MAX_QUEUED - int(db.execute(_QUEUED).fetchone()[0]))

    def waiting(self) -> list[Queued]:
        """All mails that wait, oldest first."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM outbox WHERE state = 'queued' ORDER BY id").fetchall()
        return [
            Queued(
                row["id"],
                Mail(row["record"], row["message_id"], row["sender"], row["recipient"], row["message"]),
                row["attempts"],
                row["next_attempt"],
            )
            for row in rows
        ]

    def delivered(self, queued: Queued) -> None:
        """The server answered 250: the mail goes, all is well with the account."""
        with self._transaction() as db:
            gone = db.execute("DELETE FROM outbox WHERE id = ?", (queued.id,)).rowcount
            db.execute("UPDATE account SET sent = sent + ?, last_sent = ?", (gone, self._now()))
            self._well(db)

    def put_off(self, queued: Queued, next_attempt: float, error: str) -> None:
        """This mail waits until `next_attempt` (seconds since 1970)."""
        with self._transaction() as db:
            db.execute(
                "UPDATE outbox SET attempts = attempts + 1, next_attempt = ?, error = ? WHERE id = ?",
                (next_attempt, error, queued.id),
            )

    def refused(self, queued: Queued, error: str) -> None:
        """The server will never take this mail: kept to be shown."""
        with self._transaction() as db:
            db.execute(
                "UPDATE outbox SET attempts = attempts + 1, state = 'refused', error = ?, queued = ? WHERE id = ?",
                (error, self._now(), queued.id),
            )
            db.execute(
                "DELETE FROM outbox WHERE state = 'refused' AND id NOT IN"
                " (SELECT id FROM outbox WHERE state = 'refused' ORDER BY id DESC LIMIT ?)",
                (MAX_REFUSED,),
            )

    def hold(self, generation: str, next_attempt: float, error: str) -> None:
        """The server cannot be used: everything waits until `next_attempt` (seconds since 1970)."""
        with self._transaction() as db:
            db.execute(
                "UPDATE account SET attempts = attempts + 1, next_attempt = ?, trouble = ? WHERE generation = ?",
                (next_attempt, error, generation),
            )

    def pause(self, generation: str, error: str) -> None:
        """The login is refused: nothing is tried until the person links anew or a test succeeds."""
        with self._transaction() as db:
            db.execute("UPDATE account SET paused = ? WHERE generation = ?", (error, generation))

    def well(self) -> None:
        """The server took the login and a mail."""
        with self._transaction() as db:
            self._well(db)

    @staticmethod
    def _well(db: sqlite3.Connection) -> None:
        db.execute("UPDATE account SET paused = NULL, trouble = NULL, attempts = 0, next_attempt = 0")

    def counts(self) -> Counts:
        """Figures for the status."""
        with self._transaction() as db:
            queued = int(db.execute(_QUEUED).fetchone()[0])
            row = db.execute(
                "SELECT error FROM outbox WHERE error IS NOT NULL AND (state = 'queued'"
                " OR queued > coalesce((SELECT last_sent FROM account), '')) ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return Counts(queued, None if row is None else row["error"])

    def _now(self) -> str:
        return stamp(self._clock.wall())


_QUEUED = "SELECT count(*) FROM outbox WHERE state = 'queued'"


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: as text it sorts as in time."""
    return moment.isoformat(timespec="milliseconds")
