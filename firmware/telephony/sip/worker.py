"""Everything that lives on the SIP thread: one round at a time, from `open` to `close`.

The composition of the stack with those who judge, register and keep its calls; `hooks.StackHooks`
towards the stack.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import secrets
import socket
import time
from collections.abc import Callable

from firmware.telephony.agent import AgentEvent, CallDisconnected, CallsRefused, DigitWay, SipSettings
from firmware.telephony.quality_meter import StreamReading
from firmware.telephony.sip import reasons
from firmware.telephony.sip.accounts import AccountDesk
from firmware.telephony.sip.admission import Admission, Verdict
from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.calls import CallDesk
from firmware.telephony.sip.hooks import CallHandle, DialogState, Registration, StackError
from firmware.telephony.sip.identity import clean
from firmware.telephony.sip.message import SipMessage, parse_message, split_host_port
from firmware.telephony.sip.native import Guard
from firmware.telephony.sip.reach import Reach
from firmware.telephony.sip.resolver import Resolver
from firmware.telephony.sip.stack import Stack
from firmware.telephony.sip.summary import Mailboxes
from firmware.telephony.trace import TraceRing

_log = logging.getLogger(__name__)
WAKE = b"\r\n\r\n"  # the stack takes it for a keep-alive (RFC 5626 3.5.1) and forgets it
_LONGEST_WAIT_SECONDS = 1.0
_REFUSED_EVERY_SECONDS = 60.0
_REFUSED_FIRST_SECONDS = 2.0
_PROOF_SECONDS = 1.0
_NETWORK_EVERY_SECONDS = 5.0
_IDLE_TICK_SECONDS = 0.03
_ANY = ("", "0.0.0.0", "::")  # noqa: S104 compared, not bound


class Worker:
    """The SIP thread's work. Made, used and closed on that thread."""

    def __init__(self, settings: SipSettings, deliver: Callable[[AgentEvent], None], ring: TraceRing) -> None:
        self._settings = settings
        self._receiver = deliver
        self._ring = ring
        self.errors = 0
        self.slots = settings.max_calls
        self.agenda = Agenda()
        self.admission = Admission(srv=bool(settings.nameservers))
        self.stack = Stack(self)
        self.guard = Guard(self.stack.native, self._judge_request, self._judge_answer, self._guard_failed)
        self.waker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.own_address: tuple[str, int] = ("", 0)
        self._pending: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._resolver = Resolver(self._resolved)
        self._reach = Reach(
            self.stack.native, self.agenda, time.monotonic, self._resolver.ask_also, self.on_callback_error
        )
        self._refused = 0
        self._refused_example = ""
        self._refused_told = -_REFUSED_EVERY_SECONDS
        self._routes: dict[str, str] = {}
        self._ticks = 0

    def open(self) -> tuple[str, int]:
        """Start the stack; the address and port listened on."""
        host, port = self.stack.open(self._settings)
        self.slots = min(self._settings.max_calls, self.stack.native.call_slots())
        own = "127.0.0.1" if self._settings.bind in _ANY else self._settings.bind
        self.own_address = (own, port)
        self.waker.bind((own, 0))
        self.waker.settimeout(0)
        self.calls = CallDesk(
            stack=self.stack,
            agenda=self.agenda,
            now=time.monotonic,
            deliver=self._deliver,
            dialogs=self.admission.calls,
            learn_realm=self._learn_realm,
            slots=self.slots,
            codecs_of=self._codecs_of,
        )
        self.accounts = AccountDesk(
            stack=self.stack,
            agenda=self.agenda,
            now=time.monotonic,
            deliver=self._deliver,
            busy=self.calls.busy,
            ask=self._resolver.ask,
            changed=self._identities_changed,
            most=self._settings.max_accounts,
        )
        self.mailboxes = Mailboxes(self._deliver)
        self.guard.install()
        if not self._settings.nameservers:
            # With name servers of its own the stack looks SRV records up, and waits for nobody either.
            self._reach.install()
        self.bridge = self.stack.start()
        self._prove_guard()
        self.agenda.at(time.monotonic() + _NETWORK_EVERY_SECONDS, "network", self._watch_network)
        return host, port

    def turn(self, commands: queue.SimpleQueue[Callable[[], None]]) -> None:
        """One round: what is due, what is asked, what the network says."""
        for action in self.agenda.due(time.monotonic()):
            self._do(action)
        for source in (self._pending, commands):
            with contextlib.suppress(queue.Empty):
                while True:
                    self._do(source.get_nowait())
        self.stack.handle_events(self.agenda.wait(time.monotonic(), _LONGEST_WAIT_SECONDS))
        if self.calls.bury():
            self.accounts.calls_changed()
            if "idle tick" not in self.agenda:
                self._ticks = self.bridge.ticks
                self.agenda.at(time.monotonic() + _IDLE_TICK_SECONDS, "idle tick", self._idle_tick)

    def close(self) -> None:
        """Hang up, unregister, destroy: within about two seconds, whatever the far ends do."""
        self.calls.end_all()
        self._until(lambda: not len(self.calls), 0.8)
        self.accounts.unregister_all()
        self._until(lambda: not self.accounts.any_registered(), 0.7)
        self._resolver.close()
        self.bridge.close()
        self.stack.close()
        self.waker.close()

    def invite(self, call: int, account: str, target: str, *, emergency: bool, anonymous: bool) -> None:
        """Call out by an account's name."""
        owner = self.accounts.account(account)
        if owner is not None and not self._settings.nameservers:
            host, _ = split_host_port(owner.proxy or owner.server)
            if not self._reach.knows(host):
                # At once, so that the next way is tried; the name is looked up meanwhile.
                self._resolver.ask_also(host)
                self._deliver(CallDisconnected(call, 503, reasons.NO_NAME, None, by_us=True))
                return
        self.calls.invite(call, owner, target, emergency=emergency, anonymous=anonymous)

    # --- hooks of the stack

    def on_registration(self, report: Registration) -> None:
        """A REGISTER ended."""
        self.accounts.on_registration(report)

    def select_account(self, invite: SipMessage | None, source: str) -> str | None:
        """Whose an INVITE is."""
        owner = self.admission.account_of(split_host_port(source)[0], invite) if invite is not None else None
        account = self.accounts.account(owner) if owner is not None else None
        if account is not None:
            self.stack.prepare(account.name)  # the stack writes its answer right after this
        return owner

    def codecs_for(self, call: CallHandle) -> tuple[str, ...]:
        """What a new offer in a call is answered with."""
        return self.calls.codecs_for(call)

    def judge_incoming(self, invite: SipMessage | None, source: str, slot: int) -> int:
        """0, or the answer that refuses. The guard has judged before, unless it is unproven."""
        if invite is None or self.admission.account_of(split_host_port(source)[0], invite) is None:
            self._note_refused(f"INVITE from {source}")
            return 403
        return self.calls.judge_offer(slot)

    def on_incoming(self, call: CallHandle, invite: SipMessage, source: str) -> None:
        """An INVITE has become a call of the account that it names."""
        owner = self.admission.account_of(split_host_port(source)[0], invite)
        if owner is not None:
            account = self.accounts.account(owner)
            self.calls.offered(owner, call, invite, account.digits if account is not None else DigitWay.AUTO)

    def on_state(
        self, call: CallHandle, state: DialogState, code: int, phrase: str, message: SipMessage | None
    ) -> None:
        """A dialog's state changed."""
        self.calls.on_state(call, state, code, phrase, message)

    def on_message(self, call: CallHandle, message: SipMessage) -> None:
        """A message of a call was received."""
        self.calls.on_message(call, message)

    def on_media(self, call: CallHandle) -> None:
        """A call's sound was (re)negotiated."""
        self.calls.on_media(call)

    def on_digit_refused(self, call: CallHandle, digit: str) -> None:
        """An INFO with this digit was not taken."""
        self.calls.on_digit_refused(call, digit)

    def on_stream_end(self, call: CallHandle, last: StreamReading | None) -> None:
        """A stream of a call is about to end."""
        self.calls.on_stream_end(call, last)

    def on_messages(self, notify: SipMessage, source: str) -> None:
        """A mailbox, as the server of the account that it names tells it."""
        owner = self.admission.account_of(split_host_port(source)[0], notify)
        if owner is not None and owner in self.accounts.watched():
            self.mailboxes.hear(owner, notify.body)

    def on_log(self, text: str) -> None:
        """A line of the stack's log: messages go to the trace, the rest nowhere (it would be a page a call)."""
        self._ring.feed(text)

    def on_callback_error(self, where: str) -> None:
        """A callback failed."""
        self.errors += 1
        _log.exception("SIP callback %s failed", where)

    # --- inside

    def _deliver(self, event: AgentEvent) -> None:
        try:
            self._receiver(event)
        except Exception:  # noqa: BLE001 a receiver's fault must not end the telephone
            self.errors += 1
            _log.exception("nobody took %s", type(event).__name__)

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 one bad command must not end the telephone
            self.errors += 1
            _log.exception("a SIP command failed")

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        limit = time.monotonic() + seconds
        while not done() and time.monotonic() < limit:
            self.stack.handle_events(0.02)
            self.calls.bury()

    def _judge_request(self, source: str, text: str) -> Verdict:
        message = parse_message(text)
        verdict = self.admission.judge_request(source, message, time.monotonic())
        if verdict is Verdict.DROP:
            self._note_refused(f"{message.method if message else 'nonsense'} from {source}")
        elif message is not None:
            self._expect_stream(message)
        return verdict

    def _judge_answer(self, source: str, text: str) -> Verdict:
        message = parse_message(text)
        if message is not None:
            self._expect_stream(message)
        return self.admission.judge_answer(source, message)

    def _expect_stream(self, message: SipMessage) -> None:
        """A call's sound is about to be made of this description: with its own account's packets."""
        dialog = self.admission.calls.get(message.call_id) if message.has_sdp else None
        if dialog is not None:
            with contextlib.suppress(StackError):
                self.stack.prepare(dialog.account)

    def _guard_failed(self) -> None:
        self.on_callback_error("guard")

    def _prove_guard(self) -> None:
        """Send ourselves a message and see whether the guard reads it right (`native.Guard`)."""
        token = f"proof-{secrets.token_hex(8)}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((self.own_address[0], 0))
            host, port = probe.getsockname()
            self.guard.expect(token.encode(), port)
            probe.sendto(_probe(token, host, port).encode(), self.own_address)
            limit = time.monotonic() + _PROOF_SECONDS
            while not self.guard.proven and time.monotonic() < limit:
                self.stack.handle_events(0.02)
        if not self.guard.proven:
            self.guard.expect(b"", 0)
            _log.warning("the guard cannot read this build of the SIP stack: strangers are answered 403, not silence")

    def _note_refused(self, example: str) -> None:
        self._refused += 1
        self._refused_example = clean(example)
        if "refused" not in self.agenda:
            now = time.monotonic()
            due = max(now + _REFUSED_FIRST_SECONDS, self._refused_told + _REFUSED_EVERY_SECONDS)
            self.agenda.at(due, "refused", self._tell_refused)

    def _tell_refused(self) -> None:
        self._refused_told = time.monotonic()
        count, self._refused = self._refused, 0
        self._deliver(CallsRefused(count, self._refused_example))

    def _codecs_of(self, name: str) -> tuple[str, ...]:
        account = self.accounts.account(name)
        return account.codecs if account is not None else ()

    def _learn_realm(self, name: str, realm: str) -> bool:
        return self.accounts.learn_realm(name, realm)

    def _identities_changed(self) -> None:
        self.admission.set_accounts(self.accounts.identities())
        self.mailboxes.keep(self.accounts.watched())

    def _resolved(self, asked: frozenset[str], table: dict[str, frozenset[str]]) -> None:
        """From the resolver's thread."""
        self._pending.put(functools.partial(self.accounts.resolved, table))
        self._pending.put(functools.partial(self._reach.found, asked, table))
        with contextlib.suppress(OSError):
            self.waker.sendto(WAKE, self.own_address)

    def _idle_tick(self) -> None:
        """The bridge lets go of a dead call in its clock's tick, and on-hook nobody ticks: its memory would stay."""
        if self.bridge.ticks == self._ticks:
            self.bridge.tick()

    def _watch_network(self) -> None:
        """The address we would send from towards each account's server: gone, back or changed."""
        self.agenda.at(time.monotonic() + _NETWORK_EVERY_SECONDS, "network", self._watch_network)
        for identity in self.admission.accounts:
            if identity.addresses:
                route = _source_towards(min(identity.addresses))
                if self._routes.get(identity.name) != route:
                    self._routes[identity.name] = route
                    self.accounts.route_changed(identity.name, route)
        self._routes = {i.name: self._routes[i.name] for i in self.admission.accounts if i.name in self._routes}


def _source_towards(address: str) -> str:
    """Our address on the way to `address`, "" without a route. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asker:
            asker.connect((address, 9))
            return str(asker.getsockname()[0])
    except OSError:
        return ""


def _probe(token: str, host: str, port: int) -> str:
    return (
        f"OPTIONS sip:{token}@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{token}\r\n"
        f"From: <sip:{token}@{host}>;tag={token}\r\nTo: <sip:{token}@{host}>\r\nCall-ID: {token}\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n"
    )
