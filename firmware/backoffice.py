"""BackOffice: BoxService over the settings, the call records, the rate decks and the live box.

In the core it runs in the control server's thread pool; whatever touches a state machine goes
through `LiveBox`, which hops to the control loop. Without a running core, `offline.offline` gives
the command line the same interface over the same files, under a lock.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from firmware import __version__, numbering, pins, spending
from firmware.account_rules import check_ca_files, check_codecs, shows_password_elsewhere
from firmware.clock import Clock
from firmware.config import (
    MASK,
    AccountSettings,
    ConfigError,
    Settings,
    SettingsFile,
    changed_account,
    flatten,
    parse,
    parse_text,
    remarks,
    to_tree,
    with_kept_pins,
    with_pin,
    with_setting,
)
from firmware.rates.bands import zone_of
from firmware.rates.book import RateBook
from firmware.rates.budget import Cap, parse_caps
from firmware.rates.rate import RateError
from firmware.rates.usage import Scope, ScopeKind, Spent
from firmware.service import (
    MAX_ROWS,
    AccountDraft,
    AccountRow,
    AlertRow,
    BoxEvent,
    BoxService,
    BudgetRow,
    CallQuery,
    CallRow,
    DeckRow,
    DoctorRow,
    LineRow,
    LogRow,
    PlanRow,
    PriceAnswer,
    ProcessRow,
    ServiceError,
    Status,
    TraceRow,
)
from firmware.setupcode import SetupCode
from firmware.store import StoreError
from firmware.tariffs import Tariffs
from firmware.telephony import routing
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import RecordError

_log = logging.getLogger(__name__)
_EMERGENCY_SLOT = 1
_TEST_SECONDS = 8.0
# A number as people write it: digits, and what they put between.
_NUMBER = re.compile(r"(?=.*[0-9])[0-9+*# .()/\u00a0\u2009\u202f-]{1,64}")


class LiveBox(Protocol):
    """What the running core adds to the files. Every method may be called from any thread."""

    def lines(self) -> list[LineRow]: ...  # noqa: D102
    def registration(self, account: str) -> tuple[bool, int, str, str | None]: ...  # noqa: D102
    def process(self, role: str) -> ProcessRow: ...  # noqa: D102
    def apply(self, settings: Settings) -> None: ...  # noqa: D102
    def register_now(self, account: str, seconds: float) -> None: ...  # noqa: D102
    def ring_test(self, line: int) -> bool: ...  # noqa: D102
    def spent(self, caps: Sequence[Cap]) -> list[Spent] | None: ...  # noqa: D102
    def doctor(self) -> DoctorRow: ...  # noqa: D102
    def start_doctor(self, line: int) -> None: ...  # noqa: D102
    def stop_doctor(self) -> None: ...  # noqa: D102
    def trace(self, limit: int) -> list[TraceRow]: ...  # noqa: D102
    def published(self, kind: str) -> None: ...  # noqa: D102
    def setup_code_changed(self) -> None: ...  # noqa: D102
    def codecs(self) -> tuple[str, ...]: ...  # noqa: D102 - the stack's; empty while that is not known


class MemoryLog(logging.Handler):
    """The last log lines, for `allobox logs` and the page. Bounded; control characters escaped."""

    def __init__(self, length: int = 500) -> None:
        super().__init__()
        self.rows: deque[LogRow] = deque(maxlen=length)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record as one row."""
        try:
            message = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                message += f" ({record.exc_info[0].__name__ if record.exc_info[0] else ''}: {record.exc_info[1]})"
        except Exception:  # noqa: BLE001 - a log line must never hurt a call
            message = str(record.msg)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        shown = message[:500].encode("unicode_escape").decode("ascii") if not message.isprintable() else message[:500]
        self.rows.append({"at": at, "level": record.levelname.lower(), "where": record.name, "message": shown})


class BackOffice(BoxService):
    """BoxService, in the process that owns the files."""

    def __init__(
        self,
        *,
        settings_file: SettingsFile,
        settings: Settings,
        ledger: Ledger,
        book: RateBook,
        clock: Clock,
        live: LiveBox,
        tariffs: Tariffs | None = None,
        log: MemoryLog | None = None,
        max_accounts: int = 8,
        damaged: str = "",
    ) -> None:
        self._file = settings_file
        self._settings = settings
        self._ledger = ledger
        self._book = book
        self._clock = clock
        self._tariffs = tariffs or Tariffs(book, clock)
        self._live = live
        self._log_rows = log or MemoryLog()
        self._max_accounts = max_accounts
        # Why the settings file was not what is in force. The core mends it with the next change; who
        # works on the files alone is asked, since a hand may be in the middle of editing it.
        self._damaged = damaged
        self._changing = threading.Lock()
        self._counting = threading.Lock()
        self._counted = 0
        self._started = clock.wall().isoformat(timespec="seconds")
        ledger.keep_days(settings.box.keep_calls_days)
        self.setup_code = SetupCode(live.setup_code_changed)

    @property
    def notices(self) -> list[str]:
        """What is wrong with the box's files, each in one sentence."""
        more = (self._damaged, self._ledger.notice, self._ledger.trouble)
        return [*self._book.notices, *(notice for notice in more if notice)]

    # --- status --------------------------------------------------------------------------

    def status(self) -> Status:
        """See BoxService."""
        box = self._settings.box
        return {
            "version": __version__,
            "lines": self._live.lines(),
            "accounts": self.accounts(),
            "page": self._live.process("page"),
            "mail": self._live.process("mail"),
            "sip": self._live.process("sip"),
            "country": box.country,
            "language": box.language,
            "started": self._started,
            "calls_today": self._calls_today(),
        }

    def _calls_today(self) -> int:
        """Calls of the last 24 hours; the last figure known while the disk is slow or broken."""
        if self._counting.acquire(blocking=False):  # one waits for the disk, the others do not
            try:
                self._counted = self._ledger.count((self._clock.wall() - timedelta(hours=24)).isoformat())
            except StoreError as error:
                _log.debug("today's calls cannot be counted: %s", error)
            finally:
                self._counting.release()
        return self._counted

    def calls(self, query: CallQuery) -> list[CallRow]:
        """See BoxService."""
        question = dict(query)
        limit = question.get("limit", 50)
        if not isinstance(limit, int) or not 1 <= limit <= MAX_ROWS:
            raise ServiceError(f"limit: {limit} is not between 1 and {MAX_ROWS}", where="limit")
        try:
            return cast("list[CallRow]", self._ledger.query(**cast("Any", question)))
        except RecordError as error:
            raise ServiceError(str(error), where=error.where) from error
        except StoreError as error:
            raise ServiceError(str(error), status=503) from error

    # --- accounts ------------------------------------------------------------------------

    def accounts(self) -> list[AccountRow]:
        """See BoxService."""
        return [self._row(account) for account in self._settings.account]

    def _row(self, account: AccountSettings) -> AccountRow:
        registered, code, reason, since = self._live.registration(account.name)
        return {
            "name": account.name,
            "server": account.server,
            "user": account.user,
            "auth_user": account.auth_user,
            "transport": account.transport,
            "number": account.number,
            "display_name": account.display_name,
            "enabled": account.enabled,
            "has_password": bool(account.password.get_secret_value()),
            "codecs": list(account.codecs),
            "ptime": account.ptime,
            "dtmf": account.dtmf,
            "vad": account.vad,
            "proxy": account.proxy,
            "registered": registered,
            "sip_code": code,
            "reason": reason,
            "since": since,
            "deck": self._book.deck_of(account.name),
        }

    def _account_row(self, name: str) -> AccountRow:
        found = next((row for row in self.accounts() if row["name"] == name), None)
        if found is None:
            raise self._no_account(name)
        return found

    def _no_account(self, name: str) -> ServiceError:
        known = ", ".join(account.name for account in self._settings.account) or "none"
        return ServiceError(f"there is no account {name!r} (there are: {known})", status=404, where="name")

    def add_account(self, draft: AccountDraft) -> AccountRow:
        """See BoxService."""

        def add(tree: dict[str, Any]) -> None:
            names = [account["name"] for account in tree["account"]]
            if draft.get("name") in names:
                raise ServiceError(f"there is an account {draft['name']!r} already", status=409, where="name")
            if len(names) >= self._max_accounts:
                raise ServiceError(
                    f"{self._max_accounts} accounts is the most this build carries; remove one first", status=409
                )
            tree["account"].append(dict(draft))

        self._change(add)
        return self._account_row(draft["name"])

    def change_account(self, name: str, changes: Mapping[str, object]) -> AccountRow:
        """See BoxService. Who sends the password elsewhere gives it again."""
        wanted = {key: value for key, value in changes.items() if value != MASK}
        with self._changing:
            before = self._settings.account_named(name)
            if before is None:
                raise self._no_account(name)
            fresh = self._checked(lambda: changed_account(self._settings, name, wanted))
            after = fresh.account_named(str(wanted.get("name", name)))
            if after is not None and "password" not in wanted:
                self._guard(before, after, "")
            self._take(fresh)
        self._follow(name, str(wanted.get("name", name)))
        return self._account_row(str(wanted.get("name", name)))

    @staticmethod
    def _guard(before: AccountSettings, after: AccountSettings, source: str) -> None:
        """Refuse to send a password that is kept where its owner did not give it for."""
        key = shows_password_elsewhere(before, after)
        if key and before.password.get_secret_value():
            raise ServiceError(
                f"{source}account {before.name!r}: give its password again to change {key} (the one that is kept "
                f"was given for {before.user} at {before.server})",
                where="password",
            )

    def remove_account(self, name: str) -> None:
        """See BoxService."""

        def remove(tree: dict[str, Any]) -> None:
            kept = [account for account in tree["account"] if account["name"] != name]
            if len(kept) == len(tree["account"]):
                raise self._no_account(name)
            tree["account"] = kept

        self._change(remove)
        self._follow(name, None)

    def _follow(self, old: str, new: str | None) -> None:
        """An account's own deck goes where the account goes."""
        if old != new:
            try:
                self._book.rename_account(old, new)
            except RateError as error:
                _log.warning("the deck of account %s stays as it was: %s", old, error)

    def test_account(self, name: str) -> AccountRow:
        """See BoxService."""
        account = self._settings.account_named(name)
        if account is None:
            raise self._no_account(name)
        if not account.enabled:
            raise ServiceError(f"account {name!r} is switched off; switch it on first", status=409, where="name")
        self._live.register_now(name, _TEST_SECONDS)
        return self._account_row(name)

    # --- settings ------------------------------------------------------------------------

    def _change(self, change: Any) -> None:
        """Validate whole, save durably, then apply; or raise ServiceError and leave all as it was."""
        with self._changing:
            tree = to_tree(self._settings, secrets="clear")
            change(tree)
            self._take(self._checked(lambda: parse(tree, "settings")))

    @staticmethod
    def _checked(make: Any) -> Settings:
        try:
            return cast("Settings", make())
        except ConfigError as error:
            raise ServiceError(error.message, where=error.where) from error

    def _take(self, settings: Settings, *, whole: bool = False) -> None:
        """Save and apply; `whole` when nothing of what was there is built upon."""
        if self._damaged and not whole:
            raise ServiceError(
                f"{self._damaged}; mend it, or `allobox config import` a good one", where="settings.toml"
            )
        try:
            check_ca_files(self._settings, settings)
            check_codecs(self._settings, settings, self._live.codecs())
            self._file.save(settings)
        except ConfigError as error:
            raise ServiceError(error.message, where=error.where) from error
        except OSError as error:
            raise ServiceError(f"the settings cannot be saved, nothing was changed: {error}", status=507) from error
        for remark in set(remarks(settings)) - set(remarks(self._settings)):
            _log.warning("%s", remark)
        self._settings = settings
        self._damaged = ""
        self._ledger.keep_days(settings.box.keep_calls_days)
        self._live.apply(settings)
        self._live.published("settings")

    def settings(self) -> dict[str, object]:
        """See BoxService."""
        return flatten(to_tree(self._settings, secrets="mask"))

    def change_setting(self, key: str, value: str) -> None:
        """See BoxService."""
        with self._changing:
            self._take(self._checked(lambda: with_setting(self._settings, key, value)))

    def export_settings(self) -> str:
        """See BoxService."""
        import tomlkit  # noqa: PLC0415 - an owner's rare request, loaded with config already

        return tomlkit.dumps(to_tree(self._settings, secrets="omit"))

    def import_settings(self, text: str) -> None:
        """See BoxService."""
        with self._changing:
            fresh = self._checked(lambda: parse_text(text, "the imported settings"))
            for account in fresh.account:
                before = self._settings.account_named(account.name)
                if before is not None and account.password.get_secret_value() in {"", MASK}:
                    self._guard(before, account, "the imported settings: ")
                    secret = before.password.get_secret_value()
                    fresh = changed_account(fresh, account.name, {"password": secret})
            fresh = with_kept_pins(fresh, self._settings)
            if not fresh.page.credential.get_secret_value():
                kept = to_tree(fresh, secrets="clear")
                kept["page"]["credential"] = self._settings.page.credential.get_secret_value()
                fresh = parse(kept, "settings")
            self._take(fresh, whole=True)

    # --- money ---------------------------------------------------------------------------

    def price(self, number: str, seconds: int, at: str | None) -> PriceAnswer:
        """See BoxService."""
        if not 0 <= seconds <= 86_400 * 31:
            raise ServiceError(f"seconds: {seconds} is not between 0 and a month", where="seconds")
        try:
            moment = self._clock.wall() if at is None else datetime.fromisoformat(at)
            if moment.tzinfo is None:  # what the clocks of the house show
                moment = moment.replace(tzinfo=zone_of(self._settings.box.timezone))
            moment = moment.astimezone(UTC)
        except ValueError as error:
            raise ServiceError(f"at: {at!r} is not an ISO time (2026-11-23T20:00:00+01:00)", where="at") from error
        except OverflowError as error:
            raise ServiceError(f"at: {at!r} is out of range", where="at") from error
        if not _NUMBER.fullmatch(number):
            raise ServiceError(f"{number[:40]!r} is not a number", where="number")
        dialled = numbering.parse_number(number, self._settings.box.country)
        names = [account.name for account in self._settings.account if account.enabled]
        try:
            answer = self._book.price(dialled, names, seconds, moment, self._tariffs.limits.bundle_state)
            routes = [] if dialled.kind is numbering.NumberClass.EMERGENCY else self._routes(dialled, seconds, moment)
        except RateError as error:
            raise ServiceError(str(error), status=404, where="number") from error
        chosen = next((route for route in routes if route["account"] == answer["account"]), None)
        if chosen is not None:
            answer["max_seconds"] = chosen["max_seconds"]
        return cast("PriceAnswer", answer | {"routes": routes})

    def _routes(self, dialled: numbering.Dialled, seconds: int, at: datetime) -> list[dict[str, Any]]:
        """What each account would ask, in the order in which they would be tried; those that may not carry it last."""
        ready = {a.name: self._live.registration(a.name)[0] for a in self._settings.account if a.enabled}
        quotes = routing.explained(self._tariffs.quotes(dialled, ready, at=at, seconds=seconds))
        rows: list[dict[str, Any]] = []
        for quote in quotes:
            why = json.loads(quote.why or "{}")
            why["max_seconds"] = None if quote.max_seconds is None else int(quote.max_seconds)
            rows.append(why | {"needs_pin": quote.needs_pin, "registered": quote.registered})
        return sorted(rows, key=lambda row: row["rank"] or len(rows) + 1)

    def decks(self) -> list[DeckRow]:
        """See BoxService."""
        return self._book.decks()

    def activate_deck(self, file: str, name: str, account: str | None) -> DeckRow:
        """See BoxService."""
        if account is not None and self._settings.account_named(account) is None:
            raise self._no_account(account)
        try:
            row = self._book.activate(file, name, account)
        except RateError as error:
            raise ServiceError(str(error), where="file") from error
        self._live.published("rates")
        return row

    def remove_deck(self, name: str) -> None:
        """See BoxService."""
        try:
            self._book.remove(name)
        except RateError as error:
            raise ServiceError(str(error), status=404, where="name") from error
        self._live.published("rates")

    def plans(self) -> list[PlanRow]:
        """See BoxService."""
        return self._book.plans()

    def set_plan(self, file: str, account: str | None) -> PlanRow:
        """See BoxService."""
        if account is not None and self._settings.account_named(account) is None:
            raise self._no_account(account)
        try:
            row = self._book.activate_plan(file, account)
        except RateError as error:
            raise ServiceError(str(error), where="file") from error
        self._live.published("rates")
        return row

    def remove_plan(self, account: str | None) -> None:
        """See BoxService."""
        try:
            self._book.remove_plan(account)
        except RateError as error:
            raise ServiceError(str(error), status=404, where="account") from error
        self._live.published("rates")

    # --- budgets -------------------------------------------------------------------------

    def budgets(self) -> BudgetRow:
        """See BoxService."""
        settings = self._settings
        caps = parse_caps(settings.calls.caps)
        at = self._clock.wall()
        spent = self._live.spent(caps) if caps else []
        if spent is None:
            try:
                found = spending.usage_of(self._ledger, self._clock, spending.zone_of(settings))
                at, spent = found.at, spending.spent_by(found.usage, caps, found.at)
            except (StoreError, RecordError) as error:
                _log.warning("what was spent cannot be read: %s", error)
        return spending.budget_row(settings, spent, at, self._book.currency)

    def set_pin(self, label: str, pin: str | None, classes: list[str], numbers: list[str]) -> BudgetRow:
        """See BoxService. Hashed by another process, while nobody waits for anything but this."""
        known = self._settings
        self._checked(lambda: with_pin(known, label, "", classes, numbers))  # before the work
        made = None
        if pin is not None:
            others = {one.label: one.hash.get_secret_value() for one in known.pin if one.label != label}
            try:
                made = pins.hashed_apart(pin, {name: text for name, text in others.items() if text})
            except pins.PinError as error:
                raise ServiceError(str(error), where="pin") from error
        elif known.pin_named(label) is None:
            raise ServiceError(f"there is no PIN {label[:40]!r} yet: give its digits", status=404, where="pin")
        with self._changing:
            self._take(self._checked(lambda: with_pin(self._settings, label, made, classes, numbers)))
        return self.budgets()

    def remove_pin(self, label: str) -> None:
        """See BoxService. The caps of that PIN go with it."""

        def remove(tree: dict[str, Any]) -> None:
            left = [pin for pin in tree["pin"] if pin["label"] != label]
            if len(left) == len(tree["pin"]):
                known = ", ".join(pin["label"] for pin in tree["pin"]) or "none"
                raise ServiceError(f"there is no PIN {label[:40]!r} (there are: {known})", status=404, where="label")
            tree["pin"] = left
            caps = parse_caps(tree["calls"]["caps"])
            tree["calls"]["caps"] = [str(cap) for cap in caps if cap.scope != Scope(ScopeKind.PIN, label)]

        self._change(remove)

    def alerts(self, after: int, limit: int) -> list[AlertRow]:
        """See BoxService."""
        try:
            return cast("list[AlertRow]", self._ledger.alerts(max(0, after), min(max(limit, 1), MAX_ROWS)))
        except StoreError as error:
            raise ServiceError(str(error), status=503) from error

    # --- the rest ------------------------------------------------------------------------

    def ring_test(self, line: int) -> None:
        """See BoxService."""
        if not self._live.ring_test(line):
            raise ServiceError(f"line {line} cannot ring now: it is in use, unplugged, or does not exist", status=409)

    def doctor(self) -> DoctorRow:
        """See BoxService."""
        return self._live.doctor()

    def start_doctor(self, line: int) -> DoctorRow:
        """See BoxService."""
        self._live.start_doctor(line)
        return self._live.doctor()

    def stop_doctor(self) -> None:
        """See BoxService."""
        self._live.stop_doctor()

    def trace(self, limit: int) -> list[TraceRow]:
        """See BoxService."""
        return self._live.trace(min(max(limit, 1), MAX_ROWS))

    def logs(self, limit: int) -> list[LogRow]:
        """See BoxService."""
        return list(self._log_rows.rows)[-min(max(limit, 1), MAX_ROWS) :]

    def page_credential(self) -> str | None:
        """See BoxService."""
        return self._settings.page.credential.get_secret_value() or None

    def set_page_credential(self, credential: str) -> None:
        """See BoxService."""
        if not credential.startswith("$argon2id$") or len(credential) > 512:  # noqa: PLR2004
            raise ServiceError("the page's credential must be an argon2id hash", where="credential")
        self._change(lambda tree: tree["page"].update(credential=credential))

    def check_setup_code(self, code: str) -> bool:
        """See BoxService."""
        return self.setup_code.check(code)

    def events(self, role: str, detail: str) -> Iterator[BoxEvent]:
        """Refuse: the stream is served by the control server's loop, not from here."""
        raise ServiceError(f"no live stream here ({role}, {detail}): the box is not running", status=503)
