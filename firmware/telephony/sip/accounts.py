"""The accounts on the SIP thread: kept as asked, registered, retried, and their realms learned.

A realm that the settings leave empty is learned from the registrar's own challenge to our REGISTER
and then pinned: credentials for `*` would answer any stranger's challenge.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from firmware.telephony.agent import AgentEvent, RegistrationChanged, SipAccount
from firmware.telephony.sip import reasons
from firmware.telephony.sip.admission import Identity, canonical
from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.hooks import Registration, StackError
from firmware.telephony.sip.identity import clean
from firmware.telephony.sip.message import challenge_realm, split_host_port
from firmware.telephony.sip.resolver import literal
from firmware.telephony.sip.retry import BackOff

_RESOLVE_AGAIN_SECONDS = 300.0
_REALM_TRIES = 2
_HOST = re.compile(r"[A-Za-z0-9._\-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?|[0-9A-Fa-f:.]{2,45}")
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]{1,128}")  # RFC 3261 25.1, user
_DENIED = frozenset({401, 403, 404, 407})


class AccountStack(Protocol):
    """What of the stack is used here; `stack.Stack` is it."""

    def put_account(self, account: SipAccount, realm: str, *, moved: bool) -> None:
        """Add or change; `moved` to another server or user: registers there by itself. Raises StackError."""

    def remove_account(self, name: str) -> None:
        """Unregister and forget. Raises StackError."""

    def register(self, name: str) -> None:
        """REGISTER. Raises StackError."""

    def unregister(self, name: str) -> None:
        """REGISTER with Expires: 0. Raises StackError."""


@dataclass(slots=True)
class _Entry:
    """One account as it stands."""

    account: SipAccount
    back_off: BackOff
    realm: str = ""
    realm_tries: int = 0
    registered: bool = False
    seen_at: frozenset[str] = frozenset()
    told: tuple[bool, int, str] | None = None
    leaving: bool = False
    route: str | None = None


class AccountDesk:
    """All accounts. `changed` is called when identities (users, addresses) may have; `busy` tells whether
    an account carries a call; `ask` hands host names to the resolver.
    """

    def __init__(
        self,
        *,
        stack: AccountStack,
        agenda: Agenda,
        now: Callable[[], float],
        deliver: Callable[[AgentEvent], None],
        busy: Callable[[str], bool],
        ask: Callable[[Sequence[str]], None],
        changed: Callable[[], None],
        most: int,
    ) -> None:
        self._stack = stack
        self._agenda = agenda
        self._now = now
        self._deliver = deliver
        self._busy = busy
        self._ask = ask
        self._changed = changed
        self._most = most
        self._entries: dict[str, _Entry] = {}
        self._resolved: dict[str, frozenset[str]] = {}

    def account(self, name: str) -> SipAccount | None:
        """The account as set, or None."""
        entry = self._entries.get(name)
        return entry.account if entry is not None and not entry.leaving else None

    def set_accounts(self, accounts: Sequence[SipAccount]) -> None:
        """Make them these. An account that cannot be is told so in its registration's reason."""
        # A copy for emergencies only calls out.
        wanted = {
            a.name: replace(a, register=False, message_waiting=False) if a.emergency_only else a for a in accounts
        }
        for name in [n for n in self._entries if n not in wanted]:
            self._leave(name)
        for account in wanted.values():
            entry = self._entries.get(account.name)
            if entry is not None and entry.account == account and not entry.leaving:
                continue
            trouble = unusable(account)
            if not trouble and entry is None and len(self._entries) >= self._most:
                trouble = reasons.TOO_MANY_ACCOUNTS
            if trouble:
                self._deliver(RegistrationChanged(account.name, registered=False, sip_code=0, reason=trouble))
                if entry is not None:
                    self._leave(account.name)
                continue
            self._put(account, entry)
        self.resolve()
        self._changed()

    def watched(self) -> list[str]:
        """The accounts whose servers are asked for waiting messages."""
        return [name for name, entry in self._entries.items() if entry.account.message_waiting and not entry.leaving]

    def register_now(self, name: str) -> None:
        """Try at once; the outcome is told even if nothing changed."""
        entry = self._entries.get(name)
        if entry is None or entry.leaving:
            self._deliver(RegistrationChanged(name, registered=False, sip_code=0, reason=reasons.NO_ACCOUNT))
            return
        entry.told = None
        entry.back_off.succeeded()
        self._register(entry)

    def route_changed(self, name: str, route: str) -> None:
        """The address that we would send from towards this account's server is now `route` ("": no way there).

        Told at once rather than when the registration runs out; registered at once when it is back,
        and anew when it is another, for the server still sends calls to the old one.
        """
        entry = self._entries.get(name)
        if entry is None or entry.leaving or not entry.account.register:
            return
        known, entry.route = entry.route, route
        if not route:
            entry.registered = False
            self._tell(entry, 0, reasons.NO_NETWORK)
        elif known is not None and route != known:
            entry.back_off.succeeded()
            self._register(entry)

    def unregister_all(self) -> None:
        """For the stop."""
        for name, entry in self._entries.items():
            self._agenda.cancel(f"register {name}")
            entry.leaving = True
            if entry.registered:
                try:
                    self._stack.unregister(name)
                except StackError:
                    entry.registered = False

    def any_registered(self) -> bool:
        """Whether a registration stands."""
        return any(e.registered for e in self._entries.values())

    def calls_changed(self) -> None:
        """A call ended: an account that waited for it to leave may go."""
        for name in [n for n, e in self._entries.items() if e.leaving and not self._busy(n)]:
            self._drop(name)

    def resolve(self) -> None:
        """Ask for all servers' addresses, now and every five minutes."""
        names = sorted({h for e in self._entries.values() for h in hosts_of(e.account) if not literal(h)})
        if names:
            self._ask(names)
        self._agenda.at(self._now() + _RESOLVE_AGAIN_SECONDS, "resolve", self.resolve)

    def resolved(self, table: dict[str, frozenset[str]]) -> None:
        """The resolver's table of good answers."""
        if table != self._resolved:
            self._resolved = table
            self._changed()

    def identities(self) -> list[Identity]:
        """Whom a caller may name, and from where."""
        found: list[Identity] = []
        for name, entry in self._entries.items():
            addresses = set(entry.seen_at)
            for host in hosts_of(entry.account):
                addresses |= literal(host) or self._resolved.get(host, frozenset())
            users = {u.lower() for u in (entry.account.user, entry.account.auth_user) if u}
            reachable = not entry.account.emergency_only
            found.append(Identity(name, frozenset(users), entry.account.number, frozenset(addresses), reachable))
        return found

    def learn_realm(self, name: str, realm: str) -> bool:
        """Pin the realm of an account that has none yet; False if it has one."""
        entry = self._entries.get(name)
        if entry is None or not realm or entry.account.realm or entry.realm or not entry.account.password:
            return False
        entry.realm = realm
        return self._apply(entry)

    def on_registration(self, report: Registration) -> None:
        """A REGISTER ended. Called within the stack's callback: what acts on the stack is put off."""
        entry = self._entries.get(report.account)
        if entry is None:
            return
        if 200 <= report.code < 300:  # noqa: PLR2004 success
            self._succeeded(entry, report)
            return
        entry.registered = False
        realm = challenge_realm(report.answer) if report.answer is not None and report.code in {401, 407} else ""
        if self._try_realm(entry, realm):
            return
        reason = reasons.of_registration(
            report.code, clean(report.phrase), local=report.answer is None, status=report.status
        )
        if realm and entry.account.realm and realm != entry.account.realm:
            reason = reasons.WRONG_REALM
        self._tell(entry, report.code, reason)
        if not entry.leaving:
            # A refusal repeated every minute looks like an attack to the provider: wait longer then.
            wait = _RESOLVE_AGAIN_SECONDS if report.code in _DENIED else entry.back_off.failed()
            self._later(entry, wait)
            self._agenda.at(self._now(), "resolve", self.resolve)

    def _succeeded(self, entry: _Entry, report: Registration) -> None:
        entry.registered = report.active and not entry.leaving
        entry.realm_tries = 0
        entry.back_off.succeeded()
        host, _ = split_host_port(report.source)
        if host and canonical(host) not in entry.seen_at:
            # With SRV records the addresses are those that the stack found, not the name's own.
            entry.seen_at |= {canonical(host)}
            self._changed()
        self._tell(entry, report.code, reasons.REGISTERED if entry.registered else reasons.STOPPED)

    def _try_realm(self, entry: _Entry, realm: str) -> bool:
        """Whether an unknown realm was learned and a new attempt is under way."""
        if not realm or entry.account.realm or realm == entry.realm or entry.realm_tries >= _REALM_TRIES:
            return False
        entry.realm_tries += 1
        entry.realm = realm

        def again() -> None:
            if self._apply(entry):
                self._register(entry)

        self._agenda.at(self._now(), f"register {entry.account.name}", again)
        return True

    def _put(self, account: SipAccount, entry: _Entry | None) -> None:
        moved = entry is not None and _place(entry.account) != _place(account)
        if entry is not None and moved and not self._busy(account.name):
            self._drop(account.name)
            entry, moved = None, False
        if entry is None:
            entry = _Entry(account, BackOff(random.random))
        else:
            if moved:
                entry.realm, entry.seen_at, entry.registered = "", frozenset(), False
            entry.account, entry.leaving, entry.told = account, False, None
            entry.realm_tries = 0
            entry.back_off.succeeded()
        self._entries[account.name] = entry
        if not self._apply(entry, moved=moved):
            return
        if moved and account.register:
            self._tell(entry, 0, reasons.REGISTERING)
        else:
            self._register(entry)

    def _apply(self, entry: _Entry, *, moved: bool = False) -> bool:
        try:
            self._stack.put_account(entry.account, entry.account.realm or entry.realm, moved=moved)
        except StackError as error:
            self._tell(entry, 0, reasons.of_status(error.status, str(error)) or reasons.BAD_ACCOUNT)
            self._later(entry, entry.back_off.failed())
            return False
        return True

    def _register(self, entry: _Entry) -> None:
        name = entry.account.name
        self._agenda.cancel(f"register {name}")
        if not entry.account.register:
            self._tell(entry, 0, reasons.DISABLED)
            return
        if entry.told is None:
            self._tell(entry, 0, reasons.REGISTERING)
        try:
            self._stack.register(name)
        except StackError as error:
            entry.registered = False
            self._tell(entry, 0, reasons.of_status(error.status, str(error)) or reasons.TRY_LATER)
            self._later(entry, entry.back_off.failed())

    def _later(self, entry: _Entry, seconds: float) -> None:
        def again() -> None:
            if self._apply(entry):
                self._register(entry)

        self._agenda.at(self._now() + seconds, f"register {entry.account.name}", again)

    def _leave(self, name: str) -> None:
        entry = self._entries[name]
        entry.leaving = True
        self._agenda.cancel(f"register {name}")
        if not self._busy(name):
            self._drop(name)

    def _drop(self, name: str) -> None:
        del self._entries[name]
        try:
            self._stack.remove_account(name)
        except StackError:
            return
        finally:
            self._changed()

    def _tell(self, entry: _Entry, code: int, reason: str) -> None:
        news = (entry.registered, code, reason)
        if news != entry.told:
            entry.told = news
            self._deliver(RegistrationChanged(entry.account.name, entry.registered, code, reason))


def _place(account: SipAccount) -> tuple[object, ...]:
    """What makes it another registration."""
    return (account.server, account.user, account.auth_user, account.transport, account.proxy, account.register)


def hosts_of(account: SipAccount) -> list[str]:
    """Every host that speaks for this account."""
    servers = [account.server, *([account.proxy] if account.proxy else []), *account.trusted_hosts]
    return [split_host_port(s)[0] for s in servers]


def unusable(account: SipAccount) -> str:
    """Why the stack could not take this account, or ""."""
    servers = [account.server, *([account.proxy] if account.proxy else [])]
    if not all(_HOST.fullmatch(s) for s in servers) or not _USER.fullmatch(account.user):
        return reasons.BAD_ACCOUNT
    texts = (account.auth_user, account.password, account.realm, account.display_name)
    if any(not c.isprintable() for text in texts for c in text):
        return reasons.BAD_ACCOUNT
    return ""
