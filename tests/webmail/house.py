"""A small box, a small post office and a linked mailbox for the mail tests."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from firmware.clock import ManualClock
from firmware.service import AlertRow, BoxEvent, BoxUnreachableError, CallQuery, CallRow
from firmware.webmail.account import Account, Password, Server
from firmware.webmail.journal import Journal
from firmware.webmail.mailbox import Session
from firmware.webmail.mailstore import Cursor, MailStore
from firmware.webmail.outbox import Outbox
from firmware.webmail.postman import Postman
from firmware.webmail.trouble import MailboxError, Trouble

ACCOUNT = Account(
    address="jeanne@example.org",
    imap=Server("imap.example.org", 993, "tls", "jeanne@example.org"),
    smtp=Server("smtp.example.org", 465, "tls", "jeanne@example.org"),
    credential=Password("bonjour 2010"),
)
STARTED = "2025-11-23T06:52:10+00:00"


def call(
    record: int, *, number: str | None = "+33142685300", name: str | None = None, started: str = STARTED
) -> CallRow:
    """A missed call."""
    return {
        "id": record,
        "direction": "in",
        "line": 1,
        "number": number,
        "name": name,
        "dialled": None,
        "account": "maison",
        "started": started,
        "answered": None,
        "seconds": 0,
        "billed_seconds": 0,
        "destination": None,
        "cost": None,
        "currency": None,
        "end": "no-answer",
        "sip_code": 487,
        "call_id": f"{record}@sip.example.org",
        "codec": "",
    }


class SmallBox:
    """Call records, settings and a finite event stream, as the core would tell them."""

    def __init__(self, *records: CallRow) -> None:
        self.records = list(records)
        self.told: list[AlertRow] = []
        self.away = False
        self.language = "fr"
        self.ca_file = ""
        self.questions: list[CallQuery] = []
        self.streams: deque[Iterable[BoxEvent]] = deque()
        self.details: list[str] = []

    def _check(self) -> None:
        if self.away:
            raise BoxUnreachableError("the box does not answer")

    def calls(self, query: CallQuery) -> list[CallRow]:
        self._check()
        self.questions.append(query)
        rows = [row for row in self.records if row["id"] > query.get("after", 0)]
        if query.get("missed"):
            rows = [row for row in rows if row["direction"] == "in" and row["answered"] is None]
        rows.sort(key=lambda row: row["id"], reverse=not query.get("oldest_first", False))
        return rows[: query.get("limit", 200)]

    def settings(self) -> dict[str, object]:
        self._check()
        return {
            "box.language": self.language,
            "box.timezone": "Europe/Paris",
            "box.country": "FR",
            "mail.ca_file": self.ca_file,
        }

    def alerts(self, after: int, limit: int) -> list[AlertRow]:
        self._check()
        return [row for row in self.told if row["id"] > after][:limit]

    def events(self, role: str, detail: str) -> Iterator[BoxEvent]:
        assert role == "mail"
        self.details.append(detail)
        if not self.streams:
            raise BoxUnreachableError("the box does not answer")
        yield from self.streams.popleft()


def trouble(kind: Trouble, words: str = "the server's own words") -> MailboxError:
    """A server's refusal."""
    return MailboxError(kind, "SMTP", "smtp.example.org", 465, words)


class PostOffice:
    """Takes mails; `at_login` and `at_mail` are troubles to come, in turn (None: all goes well)."""

    def __init__(self) -> None:
        self.at_login: deque[MailboxError | None] = deque()
        self.at_mail: deque[MailboxError | None] = deque()
        self.delivered: list[tuple[str, str, bytes]] = []
        self.logins = 0

    @contextlib.contextmanager
    def open(self, _account: Account) -> Iterator[Session]:
        self.logins += 1
        if self.at_login and (refusal := self.at_login.popleft()):
            raise refusal
        yield self

    def send(self, sender: str, recipient: str, message: bytes) -> None:
        if self.at_mail and (refusal := self.at_mail.popleft()):
            raise refusal
        self.delivered.append((sender, recipient, message))


class House:
    """Everything of the worker but its threads and sockets, in virtual time."""

    def __init__(self, data: Path, *, linked: bool = True) -> None:
        self.clock = ManualClock()
        self.box = SmallBox()
        self.post: PostOffice = PostOffice()
        self.wire(MailStore(data, self.clock))
        if linked:
            self.store.link(ACCOUNT, Cursor(0))

    def wire(self, store: MailStore) -> None:
        """The parts of one run of the worker, on what the disk holds."""
        self.store = store
        self.journal = Journal(self.box, self.store, self.clock)
        self.outbox = Outbox(self.store, self.post, self.clock, lambda: 0.5, lambda: self.journal.household.language)
        self.postman = Postman(self.journal, self.outbox, self.store)

    def miss(self, *records: CallRow) -> None:
        """Calls were missed, and the box says so."""
        self.box.records += records
        self.postman.wake()

    def alert(self, *rows: AlertRow) -> None:
        """The box has something to tell of budgets."""
        self.box.told += rows
        self.postman.wake()

    def settle(self, rounds: int = 50) -> None:
        """Let time pass until nothing waits any more."""
        for _ in range(rounds):
            wait = self.postman.step()
            if wait is None:
                return
            self.clock.advance(wait)
        msg = f"something still waits after {rounds} rounds"
        raise AssertionError(msg)
