"""From the box's call journal to the outbox: which missed calls, and which alerts of budgets, still owe a mail.

The journal itself is the queue behind the queue: while the outbox is full or nothing answers, the
cursor stays where it is and nothing is lost.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Protocol

from firmware.clock import Clock
from firmware.service import MAX_ROWS, AlertRow, CallQuery, CallRow
from firmware.webmail.alerts import budget_alert
from firmware.webmail.mailstore import AlertCursor, Cursor, Linked, MailStore, stamp
from firmware.webmail.messages import Household, Mail, missed_call

log = logging.getLogger(__name__)


class Box(Protocol):
    """What this part asks of the core (BoxService)."""

    def calls(self, query: CallQuery) -> list[CallRow]:
        """Call records."""
        ...

    def settings(self) -> dict[str, object]:
        """Flat settings."""
        ...

    def alerts(self, after: int, limit: int) -> list[AlertRow]:
        """What the household is told of its budgets, oldest first."""
        ...


class Journal:
    """Reads missed calls; one thread at a time. Raises ServiceError when the box does not answer.

    `household` and `ca_file` are the box's settings as last read.
    """

    def __init__(self, box: Box, store: MailStore, clock: Clock) -> None:
        self._box = box
        self._store = store
        self._clock = clock
        self.household = Household()
        self.ca_file = ""

    def refresh(self) -> None:
        """Read the settings."""
        settings = self._box.settings()
        self.household = Household.from_settings(settings)
        self.ca_file = str(settings.get("mail.ca_file") or "")

    def start(self) -> Cursor:
        """Where a first link begins: after the newest record, so that no old call is told."""
        newest = self._newest()
        return Cursor(0) if newest is None else Cursor(newest["id"], newest["started"])

    def start_unseen(self) -> Cursor:
        """The same while the box does not answer: later, whatever started before now is passed over."""
        return Cursor(0, skip_until=stamp(self._clock.wall()))

    def recheck(self) -> None:
        """After a time without the box: a journal that ends before our cursor has been begun anew."""
        self.refresh()
        linked, cursor = self._store.linked(), self._store.cursor()
        if linked is None or cursor is None:
            return
        newest = self._newest()
        if newest is None or newest["id"] >= cursor.record:
            return
        log.warning("the call journal ends at %d, before %d: it was begun anew", newest["id"], cursor.record)
        self._store.take(cursor, Cursor(0, "", cursor.started or cursor.skip_until), [], linked.generation)

    def collect(self) -> bool:
        """Queue a mail for each missed call since the cursor. True if some had to stay behind for want of room."""
        while True:
            linked, cursor = self._store.linked(), self._store.cursor()
            if linked is None or cursor is None:
                return False
            room = self._store.room()
            if room == 0:
                return True
            rows = self._box.calls(
                {"missed": True, "after": cursor.record, "oldest_first": True, "limit": min(MAX_ROWS, room)}
            )
            rows = [row for row in rows if row["id"] > cursor.record]
            if not rows:
                return False
            self._take(linked, cursor, rows)

    def _take(self, linked: Linked, before: Cursor, rows: list[CallRow]) -> None:
        mails: list[Mail] = []
        skip_until = before.skip_until
        for row in rows:
            if skip_until is None or _later(row["started"], skip_until):
                skip_until = None
                mails.append(missed_call(row, linked.account, self.household, self._store.device, self._clock.wall()))
        after = Cursor(rows[-1]["id"], rows[-1]["started"], skip_until)
        self._store.take(before, after, mails, linked.generation)
        log.info("%d missed calls up to record %d: %d mails queued", len(rows), after.record, len(mails))

    def collect_alerts(self) -> bool:
        """Queue a mail for each alert since the last. True if some had to stay behind for want of room.

        What was told before the mailbox was linked is not told again; alerts that begin anew (with the call records)
        are known by their time.
        """
        while True:
            linked, cursor = self._store.linked(), self._store.alert_cursor()
            if linked is None:
                return False
            if cursor is None:
                self._store.take_alerts(None, self._last_alert() or AlertCursor(0), [], linked.generation)
                continue
            room = self._store.room()
            if room == 0:
                return True
            rows = [row for row in self._box.alerts(cursor.alert, min(MAX_ROWS, room)) if row["id"] > cursor.alert]
            if not rows:
                last = self._last_alert()
                if cursor.alert == 0 or (last is not None and last.alert >= cursor.alert):
                    return False
                self._store.take_alerts(cursor, AlertCursor(0, cursor.at), [], linked.generation)
                continue
            fresh = [row for row in rows if not cursor.at or row["at"] >= cursor.at]
            mails = [
                budget_alert(row, linked.account, self.household, self._store.device, self._clock.wall())
                for row in fresh
            ]
            after = AlertCursor(rows[-1]["id"], max(cursor.at, rows[-1]["at"]))
            self._store.take_alerts(cursor, after, mails, linked.generation)
            log.info("%d alerts up to %d: %d mails queued", len(rows), after.alert, len(mails))

    def _last_alert(self) -> AlertCursor | None:
        last = None
        while rows := self._box.alerts(0 if last is None else last.alert, MAX_ROWS):
            last = AlertCursor(rows[-1]["id"], rows[-1]["at"])
        return last

    def _newest(self) -> CallRow | None:
        rows = self._box.calls({"limit": 1})
        return rows[0] if rows else None


def _later(started: str, until: str) -> bool:
    try:
        return _moment(started) > _moment(until)
    except ValueError:
        return True  # better a mail too many than one too few


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
