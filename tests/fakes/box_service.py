"""A box in memory: BoxService and MailService as the contracts have them, refusals included."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import available_timezones

from firmware import config, spending
from firmware import pins as pin_rules
from firmware.rates.deck import Deck
from firmware.rates.usage import Spent
from firmware.service import (
    MAX_ROWS,
    AccountDraft,
    AccountRow,
    AlertRow,
    BoxEvent,
    BoxService,
    BoxUnreachableError,
    BudgetRow,
    CallQuery,
    CallRow,
    DeckRow,
    DoctorRow,
    LineRow,
    LogRow,
    MailLink,
    MailServer,
    MailService,
    MailStatus,
    PlanRow,
    PriceAnswer,
    ServiceError,
    Status,
    TraceRow,
)

_ACCOUNT_KEYS = frozenset(AccountDraft.__annotations__)
_QUERY_KEYS = frozenset(CallQuery.__annotations__)
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOOD_PASSWORD = "sesame-ouvre-toi"


def call_row(record: int, /, **changes: object) -> CallRow:
    """An answered outgoing call to Paris of 83 s, or what `changes` make of it."""
    started = START + timedelta(minutes=record)
    row: dict[str, object] = {
        "id": record,
        "direction": "out",
        "line": 1,
        "number": "+33142685300",
        "name": None,
        "dialled": "0142685300",
        "account": "maison",
        "started": started.isoformat(),
        "answered": (started + timedelta(seconds=4)).isoformat(),
        "seconds": 83,
        "billed_seconds": 120,
        "destination": "France fixed",
        "cost": "0.0400",
        "currency": "EUR",
        "end": "callee",
        "sip_code": 200,
        "call_id": f"call-{record}@box",
        "codec": "PCMA",
    }
    return cast("CallRow", row | changes)


def missed_row(record: int, /, **changes: object) -> CallRow:
    """An incoming call that nobody took."""
    missed: dict[str, object] = {
        "direction": "in",
        "answered": None,
        "seconds": 0,
        "billed_seconds": 0,
        "dialled": None,
        "cost": None,
        "currency": None,
        "end": "cancelled",
        "sip_code": 487,
        "codec": "",
    }
    return call_row(record, **(missed | changes))


def line_row(**changes: object) -> LineRow:
    """A hung-up line, ready."""
    row: dict[str, object] = {
        "line": 1, "state": "idle", "hook": "on", "ringing": False, "outlook": "ready", "number": None, "fault": None,
    }  # fmt: skip
    return cast("LineRow", row | changes)


def session_row(**changes: object) -> DoctorRow:
    """Nobody has asked for the line doctor yet."""
    row: dict[str, object] = {
        "state": "idle", "line": None, "step": "idle", "keys": "", "ending": None, "started": None, "detail": "",
        "report": None,
    }  # fmt: skip
    return cast("DoctorRow", row | changes)


@dataclass
class FakeBox(BoxService):
    """Everything a test may arrange is a public field; `reachable = False` is a core that is away."""

    reachable: bool = True
    credential: str | None = None
    setup_code: str = "123456"
    lines: list[LineRow] = field(default_factory=lambda: [line_row()])
    rows: list[CallRow] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)
    kept: dict[str, AccountRow] = field(default_factory=dict)
    decks_in_use: list[DeckRow] = field(default_factory=list)
    decks_folder: Path | None = None
    flat: dict[str, object] = field(
        default_factory=lambda: {
            "box.name": "Allobox",
            "box.country": "FR",
            "box.language": "fr",
            "box.timezone": "Europe/Paris",
            "line.pulse": True,
            "line.caller_id": True,
            "line.call_waiting": True,
            "line.echo_canceller": True,
            "line.echo_tail_ms": 32,
            "line.echo_suppression": False,
            "line.automatic_gain": False,
            "page.hosts": ["allobox.local", "allobox"],
            "page.credential": "",
        }
    )
    log_rows: list[LogRow] = field(default_factory=list)
    trace_rows: list[TraceRow] = field(default_factory=list)
    asked: list[tuple[str, object]] = field(default_factory=list)
    rung: list[int] = field(default_factory=list)
    doctor_row: DoctorRow = field(default_factory=session_row)
    calls_settings: dict[str, Any] = field(default_factory=dict)
    pins: list[dict[str, Any]] = field(default_factory=list)
    spent: dict[str, Spent] = field(default_factory=dict)
    unreadable: bool = False
    told_alerts: list[AlertRow] = field(default_factory=list)
    wrong_codes: int = 0
    listening: str | None = None
    _streams: list[queue.Queue[BoxEvent | None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- what tests do to it ------------------------------------------------------------

    def tell(self, kind: str) -> None:
        """Send an event to every listener."""
        for stream in list(self._streams):
            stream.put({"kind": kind, "data": {}})

    def go_away(self) -> None:
        """The core dies: questions fail and streams break."""
        self.reachable = False
        for stream in list(self._streams):
            stream.put(None)

    def _answer(self, what: str, about: object = None) -> None:
        with self._lock:
            self.asked.append((what, about))
        if not self.reachable:
            raise BoxUnreachableError("the box does not answer at DIR/run/box.sock; is `allobox run` running?")

    # --- BoxService -----------------------------------------------------------------------

    def status(self) -> Status:
        """See BoxService."""
        self._answer("status")
        return {
            "version": "0.1.0",
            "lines": [cast("LineRow", dict(line)) for line in self.lines],
            "accounts": list(self.kept.values()),
            "page": {"state": "up" if self.listening else "down", "detail": self.listening or ""},
            "mail": {"state": "up", "detail": ""},
            "sip": {"state": "up", "detail": "UDP 40123"},
            "country": str(self.flat["box.country"]),
            "language": str(self.flat["box.language"]),
            "started": START.isoformat(),
            "calls_today": len(self.rows),
        }

    def calls(self, query: CallQuery) -> list[CallRow]:
        """See BoxService."""
        self._answer("calls", dict(query))
        odd = set(query) - _QUERY_KEYS
        if odd:
            raise ServiceError(f"calls takes no {min(odd)!r}", where=min(odd))
        limit = query.get("limit", MAX_ROWS)
        if not 1 <= limit <= MAX_ROWS:
            raise ServiceError(f"limit: {limit} is not between 1 and {MAX_ROWS}", where="limit")
        found = [row for row in self.rows if self._fits(row, query)]
        found.sort(key=lambda row: row["id"], reverse=not query.get("oldest_first", False))
        return found[:limit]

    @staticmethod
    def _fits(row: CallRow, query: CallQuery) -> bool:
        started = datetime.fromisoformat(row["started"])
        needle = re.sub(r"\s", "", query.get("search", "")).lower().removeprefix("0")
        haystack = " ".join(str(row[key] or "") for key in ("number", "name", "dialled", "destination"))
        wanted = (
            row["id"] < query.get("before", 2**62),
            row["id"] > query.get("after", -1),
            row["direction"] == query.get("direction", row["direction"]),
            row["end"] == query.get("end", row["end"]),
            needle in haystack.lower().replace(" ", ""),
            "since" not in query or started >= datetime.fromisoformat(query["since"]),
            "until" not in query or started < datetime.fromisoformat(query["until"]),
            "missed" not in query or query["missed"] == (row["direction"] == "in" and row["answered"] is None),
        )
        return all(wanted)

    def accounts(self) -> list[AccountRow]:
        """See BoxService."""
        self._answer("accounts")
        return list(self.kept.values())

    def _checked(self, changes: Mapping[str, object]) -> None:
        odd = sorted(set(changes) - _ACCOUNT_KEYS)
        if odd:
            raise ServiceError(f"account: no such key {odd[0]!r}", where=f"account.{odd[0]}")
        server = str(changes.get("server", "ok"))
        if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", server):
            raise ServiceError(f"{server!r} is not HOST or HOST:PORT", where="account.0.server")

    def add_account(self, draft: AccountDraft) -> AccountRow:
        """See BoxService."""
        self._answer("add_account", {key: value for key, value in draft.items() if key != "password"})
        self._checked(draft)
        name = draft["name"]
        if name in self.kept:
            raise ServiceError(f"an account is called {name!r} already", status=409, where="account.name")
        self.passwords[name] = draft.get("password", "")
        row: dict[str, Any] = {
            "auth_user": "", "transport": "udp", "number": "", "display_name": "", "enabled": True,
            "codecs": ["PCMA", "PCMU", "G722"], "proxy": "", "ptime": 20, "dtmf": "auto", "vad": False,
        }  # fmt: skip
        row |= {key: value for key, value in draft.items() if key in AccountRow.__annotations__}
        row |= {"has_password": bool(self.passwords[name]), "registered": False, "sip_code": 0, "reason": ""}
        row |= {"since": None, "deck": None}
        self.kept[name] = cast("AccountRow", row)
        self.tell("account")
        return self.kept[name]

    def change_account(self, name: str, changes: Mapping[str, object]) -> AccountRow:
        """See BoxService."""
        self._answer("change_account", name)
        self._checked(changes)
        row: dict[str, object] = dict(self._account(name))
        new = str(changes.get("name", name))
        if new != name and new in self.kept:
            raise ServiceError(f"an account is called {new!r} already", status=409, where="account.name")
        elsewhere = [key for key in ("server", "proxy", "user", "auth_user") if changes.get(key, row[key]) != row[key]]
        if elsewhere and self.passwords.get(name) and "password" not in changes:
            raise ServiceError(f"give its password again to change {elsewhere[0]}", where="password")
        row |= {key: value for key, value in changes.items() if key in row}
        self.passwords[new] = str(changes.get("password", self.passwords.pop(name, "")))
        row["has_password"] = bool(self.passwords[new])
        del self.kept[name]
        self.kept[new] = cast("AccountRow", row)
        self.tell("account")
        return self.kept[new]

    def _account(self, name: str) -> AccountRow:
        if name not in self.kept:
            raise ServiceError(f"no account is called {name!r}", status=404, where="name")
        return self.kept[name]

    def remove_account(self, name: str) -> None:
        """See BoxService."""
        self._answer("remove_account", name)
        self._account(name)
        del self.kept[name]
        self.passwords.pop(name, None)
        self.tell("account")

    def test_account(self, name: str) -> AccountRow:
        """See BoxService: the registrar knows GOOD_PASSWORD only."""
        self._answer("test_account", name)
        row = self._account(name)
        good = self.passwords[name] == GOOD_PASSWORD
        row["registered"], row["sip_code"] = good, 200 if good else 403
        row["reason"] = "OK" if good else "Wrong password <b>for</b> \u202euser"
        row["since"] = START.isoformat() if good else None
        self.tell("account")
        return row

    def settings(self) -> dict[str, object]:
        """See BoxService."""
        self._answer("settings")
        return dict(self.flat)

    def change_setting(self, key: str, value: str) -> None:
        """See BoxService."""
        self._answer("change_setting", (key, value))
        if key.startswith("calls."):
            try:
                fresh = config.with_setting(config.parse({"calls": self.calls_settings}, "settings"), key, value)
            except config.ConfigError as error:
                raise ServiceError(error.message, where=error.where) from error
            self.calls_settings = config.to_tree(fresh, secrets="omit")["calls"]
            return
        if key not in self.flat:
            raise ServiceError(f"{key}: no such setting", where=key)
        if key == "box.timezone" and value not in available_timezones():
            raise ServiceError(f"settings: box.timezone: {value!r} is not a time zone", where=key)
        if key == "box.country" and value not in {"FR", "DE", "UK", "US", "CH", "BE", "ES", "IT"}:
            raise ServiceError(f"settings: box.country: {value!r} is not a known country", where=key)
        self.flat[key] = value == "true" if isinstance(self.flat[key], bool) else value
        self.tell("settings")

    def export_settings(self) -> str:
        """See BoxService: for the owner, never for the page."""
        raise ServiceError("this caller may not ask for export_settings", status=403)

    def import_settings(self, text: str) -> None:
        """See BoxService: for the owner, never for the page."""
        raise ServiceError(f"this caller may not ask for import_settings ({len(text)})", status=403)

    def price(self, number: str, seconds: int, at: str | None) -> PriceAnswer:
        """See BoxService: 2 c a begun minute to France, nothing else known."""
        self._answer("price", (number, seconds, at))
        digits = re.sub(r"\D", "", number)
        e164 = f"+33{digits[1:]}" if digits.startswith("0") and len(digits) == 10 else f"+{digits}"
        if not e164.startswith("+33"):
            raise ServiceError(f"no price is known for {e164}", status=404, where="number")
        billed = -(-seconds // 60) * 60
        return {
            "number": e164, "destination": "France fixed", "class": "fixed", "account": "maison", "currency": "EUR",
            "rate_per_minute": "0.0200", "connection_fee": "0.0000", "first_increment": 60, "next_increment": 60,
            "billed_seconds": billed, "cost": f"{billed / 60 * 0.02:.4f}", "free": False, "max_seconds": None,
            "deck": "demo",
        }  # fmt: skip

    def decks(self) -> list[DeckRow]:
        """See BoxService."""
        self._answer("decks")
        return list(self.decks_in_use)

    def activate_deck(self, file: str, name: str, account: str | None) -> DeckRow:
        """See BoxService."""
        self._answer("activate_deck", (file, name, account))
        if self.decks_folder is not None and not (self.decks_folder / file).is_file():
            raise ServiceError(f"{file}: no such deck in DIR/decks", status=404, where="file")
        if account is not None:
            self._account(account)
        self.decks_in_use = [deck for deck in self.decks_in_use if deck["name"] != name]
        row: DeckRow = {
            "name": name, "file": file, "account": account, "rows": self._rows_of(file), "currency": "EUR",
            "imported": START.isoformat(), "active": True,
        }  # fmt: skip
        self.decks_in_use.append(row)
        self.tell("rates")
        return row

    def _rows_of(self, file: str) -> int:
        if self.decks_folder is None:
            return 0
        with Deck.open(self.decks_folder / file) as deck:
            return deck.info.rows

    def remove_deck(self, name: str) -> None:
        """See BoxService."""
        self._answer("remove_deck", name)
        if not any(deck["name"] == name for deck in self.decks_in_use):
            raise ServiceError(f"no deck is called {name!r}", status=404, where="name")
        self.decks_in_use = [deck for deck in self.decks_in_use if deck["name"] != name]

    def plans(self) -> list[PlanRow]:
        """See BoxService: this household has none."""
        self._answer("plans")
        return []

    def set_plan(self, file: str, account: str | None) -> PlanRow:
        """See BoxService."""
        self._answer("set_plan", (file, account))
        raise ServiceError(f"{file}: no such plan in DIR/decks", status=404, where="file")

    def remove_plan(self, account: str | None) -> None:
        """See BoxService."""
        self._answer("remove_plan", account)
        raise ServiceError("there is no plan", status=404, where="account")

    def budgets(self) -> BudgetRow:
        """See BoxService. By the real rules, of made-up sums."""
        self._answer("budgets")
        settings = config.parse({"calls": self.calls_settings, "pin": self.pins}, "settings")
        spent = None if self.unreadable else [self.spent.get(cap, Spent()) for cap in settings.calls.caps]
        return spending.budget_row(settings, spent, START)

    def set_pin(self, label: str, pin: str | None, classes: list[str], numbers: list[str]) -> BudgetRow:
        """See BoxService."""
        self._answer("set_pin", label)
        if pin is not None and (weak := pin_rules.weakness(pin)):
            raise ServiceError(weak, where="pin")
        before = next((one for one in self.pins if one["label"] == label), None)
        if pin is None and before is None:
            raise ServiceError(f"there is no PIN {label!r} yet: give its digits", status=404, where="pin")
        digest = before["hash"] if pin is None and before is not None else "$argon2id$of-" + str(pin)
        fresh = {"label": label, "hash": digest, "classes": classes, "numbers": numbers}
        try:
            kept = config.with_pin(config.Settings(), label, None, classes, numbers).pin[0]
        except config.ConfigError as error:
            raise ServiceError(error.message, where=error.where) from error
        fresh |= {"classes": list(kept.classes), "numbers": list(kept.numbers)}
        self.pins = [one for one in self.pins if one["label"] != label] + [fresh]
        return self.budgets()

    def remove_pin(self, label: str) -> None:
        """See BoxService."""
        self._answer("remove_pin", label)
        if not any(one["label"] == label for one in self.pins):
            raise ServiceError(f"there is no PIN {label!r}", status=404, where="label")
        self.pins = [one for one in self.pins if one["label"] != label]

    def alerts(self, after: int, limit: int) -> list[AlertRow]:
        """See BoxService."""
        self._answer("alerts", after)
        return [row for row in self.told_alerts if row["id"] > after][:limit]

    def ring_test(self, line: int) -> None:
        """See BoxService."""
        self._answer("ring_test", line)
        if not any(row["line"] == line for row in self.lines):
            raise ServiceError(f"there is no line {line}", status=404, where="line")
        if any(row["line"] == line and row["hook"] == "off" for row in self.lines):
            raise ServiceError("the handset is lifted", status=409, where="line")
        self.rung.append(line)

    def doctor(self) -> DoctorRow:
        """See BoxService."""
        self._answer("doctor")
        return self.doctor_row

    def start_doctor(self, line: int) -> DoctorRow:
        """See BoxService."""
        self._answer("start_doctor", line)
        if all(row["line"] != line for row in self.lines):
            raise ServiceError(f"there is no line {line}", status=404, where="line")
        if self.doctor_row["state"] in {"armed", "running", "examining"}:
            raise ServiceError("the line doctor is at work already: wait until it is done, or stop it", status=409)
        self.doctor_row = session_row(state="armed", line=line, step="armed", started=START.isoformat())
        return self.doctor_row

    def stop_doctor(self) -> None:
        """See BoxService."""
        self._answer("stop_doctor")
        self.doctor_row = session_row(state="done", line=1, step="over", ending="cancelled", started=START.isoformat())

    def trace(self, limit: int) -> list[TraceRow]:
        """See BoxService."""
        self._answer("trace", limit)
        return self.trace_rows[-limit:]

    def logs(self, limit: int) -> list[LogRow]:
        """See BoxService."""
        self._answer("logs", limit)
        return self.log_rows[-limit:]

    def page_credential(self) -> str | None:
        """See BoxService."""
        self._answer("page_credential")
        return self.credential

    def set_page_credential(self, credential: str) -> None:
        """See BoxService."""
        self._answer("set_page_credential")
        if not credential.startswith("$argon2id$"):
            raise ServiceError("this is not an argon2id hash", where="credential")
        self.credential = credential

    def check_setup_code(self, code: str) -> bool:
        """See BoxService: five tries, then a new one."""
        self._answer("check_setup_code")
        right = code == self.setup_code
        self.wrong_codes = 0 if right else self.wrong_codes + 1
        if self.wrong_codes >= 5:
            self.setup_code = f"{int(self.setup_code) + 1:06d}"
            self.wrong_codes = 0
        return right

    def events(self, role: str, detail: str) -> Iterator[BoxEvent]:
        """See BoxService."""
        self._answer("events", role)
        stream: queue.Queue[BoxEvent | None] = queue.Queue()
        self._streams.append(stream)
        self.listening = detail
        try:
            while (event := stream.get()) is not None:
                yield event
        finally:
            self._streams.remove(stream)
            self.listening = None
        raise BoxUnreachableError("the box does not answer: the stream broke")


@dataclass
class FakeMail(MailService):
    """A mail worker whose one mailbox takes GOOD_PASSWORD."""

    reachable: bool = True
    linked: MailLink | None = None
    last_error: str | None = None
    sent: int = 0

    def _answer(self) -> None:
        if not self.reachable:
            raise BoxUnreachableError("the mail worker does not answer at DIR/run/mail.sock")

    def mail_status(self) -> MailStatus:
        """See MailService."""
        self._answer()
        link = self.linked
        presets = (self.mail_presets(link["address"]) if link else None) or {}
        return {
            "linked": link is not None,
            "address": link["address"] if link else None,
            "imap": link.get("imap", presets.get("imap")) if link else None,
            "smtp": link.get("smtp", presets.get("smtp")) if link else None,
            "language": "fr",
            "phrase": link.get("phrase", "") if link else "",
            "queued": 0,
            "sent": self.sent,
            "last_error": self.last_error,
            "last_sent": START.isoformat() if self.sent else None,
        }

    def mail_presets(self, address: str) -> dict[str, MailServer] | None:
        """See MailService: laposte.net is known."""
        self._answer()
        user, _, domain = address.partition("@")
        if domain != "laposte.net":
            return None
        return {
            "imap": {"host": "imap.laposte.net", "port": 993, "security": "tls", "user": user},
            "smtp": {"host": "smtp.laposte.net", "port": 465, "security": "tls", "user": user},
        }

    def mail_link(self, link: MailLink) -> MailStatus:
        """See MailService."""
        self._answer()
        if self.mail_presets(link["address"]) is None and "imap" not in link:
            raise ServiceError("the servers of this address are not known", where="imap")
        if link["password"] != GOOD_PASSWORD:
            raise ServiceError(
                "imap.laposte.net: [AUTHENTICATIONFAILED] Identifiant ou mot de passe incorrect", where="password"
            )
        self.linked = link
        return self.mail_status()

    def mail_unlink(self) -> None:
        """See MailService."""
        self._answer()
        if self.linked is None:
            raise ServiceError("no mailbox is linked", status=409)
        self.linked = None

    def mail_test(self) -> MailStatus:
        """See MailService."""
        self._answer()
        if self.linked is None:
            raise ServiceError("no mailbox is linked", status=409)
        self.sent += 1
        return self.mail_status()
