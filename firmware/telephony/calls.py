"""The switchboard: lines to calls, calls to the SIP agent and the ledger.

Runs on the control loop. What a call does next is `call.CallMachine`'s business, what a line
does is `line.LineMachine`'s; this module carries their commands. Prices come through a protocol
that `box` fills, and nothing here waits for a disk: an emergency call asks nobody.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from firmware import numbering
from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony import routing
from firmware.telephony.call import CallMachine, CallSettings, CallState, Direction
from firmware.telephony.distribution import LineWishes, Readiness, Standing, offer_to
from firmware.telephony.handset import Handset
from firmware.telephony.line import LineState
from firmware.telephony.mailboxes import Mailboxes
from firmware.telephony.pin_patience import PinPatience
from firmware.telephony.quality_record import CallQuality, Gauge, LineCounters
from firmware.telephony.records import CallClosed, CallOpen, RecordError
from firmware.telephony.ringing import NORMAL, RingRules
from firmware.telephony.scheduling import Cancellable, Scheduler
from firmware.telephony.services import (
    DiagnoseLine,
    HideNumber,
    PlainNumber,
    ShowNumber,
    SpeakSetupCode,
    understand,
)

_log = logging.getLogger(__name__)
_TEST_KEY = 9_000_000
_TEST_RING_SECONDS = 14.0
_EMERGENCY_DESTINATION = "Emergency"
_SOUND_SECONDS = 1.0
_NOT_ACCEPTABLE = 488


class CallBook(Protocol):
    """Where calls are recorded (`ledger.Ledger`): returns at once, durable soon after."""

    def open_call(self, record: CallOpen) -> int: ...  # noqa: D102
    def answered(  # noqa: D102
        self,
        key: int,
        *,
        account: str | None = None,
        destination: str | None = None,
        tariff: str | None = None,
        call_id: str | None = None,
        line: int | None = None,
        pin: str | None = None,
        why: str | None = None,
    ) -> None: ...
    def close(self, key: int, closed: CallClosed) -> Future[int]: ...  # noqa: D102
    def measured(self, key: int, quality: CallQuality) -> Future[int]: ...  # noqa: D102


class Tariff(Protocol):
    """What `box` fills with rates: one quote an account for a call from a line, without waiting."""

    def quotes(self, dialled: numbering.Dialled, line: int, pin: str | None = None) -> Sequence[routing.Quote]:
        """What each account asks for a call from `line`; `pin`: the label of a PIN that was given."""
        ...


class PinChecker(Protocol):
    """What `box` fills with the household's PINs."""

    def check(self, line: int, pin: str, told: Callable[[str | None], object]) -> None:
        """Say whose `pin` it is: `told` gets the label, or None for nobody's, on the control loop, now or later."""
        ...


@dataclass
class _Call:
    machine: CallMachine
    line: int
    key: int
    agent_key: int
    incoming: bool
    opening: CallOpen
    ringing: tuple[int, ...] = ()  # the lines that it is still offered to
    patterns: Mapping[int, str] = field(default_factory=dict)
    dialled: numbering.Dialled | None = None
    target: str = ""
    pin: str | None = None  # the label, never the PIN
    anonymous: bool = False
    token: int | None = None
    account: str | None = None
    call_id: str = ""
    codec: str = ""
    tones: bool = False  # digits go in the voice
    q850: int | None = None
    quotes: Mapping[str, routing.Quote] = field(default_factory=dict)
    timers: dict[ev.CallTimer, Cancellable] = field(default_factory=dict)
    gauge: Gauge = field(default_factory=Gauge)
    fax: bool = False
    unmeasured: int | None = None  # the token of its record, closed before it was known what the call was like


@dataclass(slots=True)
class Registration:
    """What is known of an account's registration."""

    registered: bool = False
    sip_code: int = 0
    reason: str = ""
    since: str | None = None


def _whose(call: _Call, done: Future[int]) -> dict[str, object]:
    """Line and record, once that is stored."""
    return {"line": call.line, "id": None if done.cancelled() or done.exception() is not None else done.result()}


def _stored(call: _Call, ended_by: ev.EndedBy, done: Future[int]) -> dict[str, object]:
    return {**_whose(call, done), "state": "ended", "end": ended_by.value}


class Switchboard:
    """All calls of the box."""

    def __init__(
        self,
        *,
        agent: sip.SipAgent,
        scheduler: Scheduler,
        book: CallBook,
        tariff: Tariff,
        country: str,
        emergency_accounts: Callable[[], Sequence[str]],
        emergency_tariff: str,
        setup_code: Callable[[], str],
        outlook_of: Callable[[Mapping[str, Registration]], ev.Outlook],
        told: Callable[[str, Mapping[str, object]], None],
        rings: Callable[[int], RingRules] = lambda _line: RingRules(),
        counters: Callable[[int], LineCounters] = lambda _line: LineCounters(),
        announce_above: Callable[[], Decimal | None] = lambda: Decimal(0),
        pins: PinChecker | None = None,
        times: Callable[[], CallSettings] = CallSettings,
    ) -> None:
        self._agent = agent
        self._scheduler = scheduler
        self._book = book
        self._tariff = tariff
        self._country = country
        self._emergency_accounts = emergency_accounts
        self._emergency_tariff = emergency_tariff
        self._setup_code = setup_code
        self._outlook_of = outlook_of
        self._told = told
        self._rings = rings
        self._counters = counters
        self._announce_above = announce_above
        self._pins = pins
        self._times = times
        self._patience: dict[int, PinPatience] = {}
        self.mailboxes = Mailboxes()
        self._lines: dict[int, Handset] = {}
        self._wishes: dict[int, LineWishes] = {}
        self._by_line: dict[tuple[int, int], _Call] = {}
        self._by_agent: dict[int, _Call] = {}
        self._keys = itertools.count(1)
        self._tests = itertools.count(_TEST_KEY)
        self.registrations: dict[str, Registration] = {}
        self._outlook = ev.Outlook.NO_ACCOUNT
        self.diagnose: Callable[[int], None] | None = None
        """Who examines a line when its handset asks for it; nobody on a box without a line doctor."""

    def new_key(self) -> int:
        """Make a key for a call, shared by all lines and attempts."""
        return next(self._keys)

    def add_line(self, handset: Handset, wishes: LineWishes | None = None) -> None:
        """Serve this line too."""
        self._lines[handset.line] = handset
        self._wishes[handset.line] = wishes or LineWishes()
        handset.join(self)
        handset.feed(ev.OutlookChanged(self._outlook))
        if self.mailboxes.waiting is not None:
            handset.feed(ev.MessagesChanged(self.mailboxes.waiting))

    @property
    def quiet(self) -> bool:
        """Whether no call is up, coming or going."""
        return not self._by_line

    @property
    def outlook(self) -> ev.Outlook:
        """What a lifted handset may hope for now."""
        return self._outlook

    # --- accounts ------------------------------------------------------------------------

    def accounts_changed(self, names: Sequence[str]) -> None:
        """Take the enabled accounts of the settings, in their order."""
        self.registrations = {name: self.registrations.get(name, Registration()) for name in names}
        if self.mailboxes.keep(self.registrations):
            self._tell_messages()
        self.refresh_outlook()

    def refresh_outlook(self) -> None:
        """Tell every line what a lifted handset may hope for."""
        outlook = self._outlook_of(self.registrations)
        if outlook is not self._outlook:
            self._outlook = outlook
            _log.info("outlook: %s", outlook.value)
            for handset in self._lines.values():
                handset.feed(ev.OutlookChanged(outlook))

    def _messages_waiting(self, news: sip.MessagesWaiting) -> None:
        """Keep what an account's server says of its mailbox."""
        if news.account in self.registrations and self.mailboxes.hear(news):
            self._tell_messages()

    def _tell_messages(self) -> None:
        """Every telephone of the house shows that messages wait, in whichever account."""
        waiting = bool(self.mailboxes.waiting)
        _log.info("messages wait" if waiting else "no message waits")
        for handset in self._lines.values():
            handset.feed(ev.MessagesChanged(waiting))

    # --- orders of a line ----------------------------------------------------------------

    def place(self, line: int, call: int, digits: str) -> None:
        """Call `digits` as dialled on `line`."""
        action = understand(digits)
        anonymous = isinstance(action, HideNumber)
        wanted = action.digits if isinstance(action, HideNumber | ShowNumber | PlainNumber) else digits
        dialled = numbering.analyse(wanted, self._country)
        emergency = dialled.kind is numbering.NumberClass.EMERGENCY
        preferred = self._wishes[line].account
        quotes = self._every_account(self._emergency_tariff) if emergency else self._quotes(dialled, line)
        opening = CallOpen(
            direction="out",
            line=line,
            number=dialled.e164 or dialled.target or wanted,
            dialled=digits,
            emergency=emergency,
            kind=dialled.kind.value,
        )
        made = _Call(
            machine=CallMachine(call, Direction.OUT, self._times()),
            line=line,
            key=call,
            agent_key=call,
            incoming=False,
            opening=opening,
            dialled=dialled,
            target=dialled.target or wanted,
            anonymous=anonymous and not emergency,
            quotes={quote.account: quote for quote in quotes},
        )
        self._by_line[line, call] = made
        routes = routing.choose(quotes, target=made.target, emergency=emergency, preferred=preferred)
        self._event(made, ev.Place(routes, emergency, routing.no_route(quotes, self._outlook)))

    def proceed(self, line: int, call: int) -> None:
        """Let the call leave: its price was heard, or skipped."""
        self._line_event(line, call, ev.LineProceeds())

    def enter_pin(self, line: int, call: int, pin: str) -> None:
        """Have the PIN checked that was dialled for a call; the answer opens routes, or asks again."""
        found = self._by_line.get((line, call))
        if found is None or self._pins is None:
            return
        try:
            self._pins.check(line, pin, lambda label: self._pin_checked(found, label))
        except Exception:  # noqa: BLE001 - nobody can say whether it is right: then it is not
            _log.exception("a PIN could not be checked")
            self._event(found, ev.PinFailed(final=True))

    def _pin_checked(self, call: _Call, label: str | None) -> None:
        if call.machine.state is not CallState.LOCKED or call.dialled is None:
            return  # hung up meanwhile
        patience, now = self._patience.setdefault(call.line, PinPatience()), self._scheduler.time()
        if label is None:
            self._patience[call.line] = patience = patience.wrong(now)
            self._event(call, ev.PinFailed(final=not patience.takes(now)))
            return
        self._patience[call.line] = PinPatience()
        call.pin = label
        quotes = self._quotes(call.dialled, call.line, label)
        call.quotes = {quote.account: quote for quote in quotes}
        routes = routing.choose(quotes, target=call.target, preferred=self._wishes[call.line].account)
        self._event(call, ev.Unlocked(routes, routing.no_route(quotes, self._outlook)))

    def _quotes(self, dialled: numbering.Dialled, line: int, pin: str | None = None) -> Sequence[routing.Quote]:
        try:
            quotes = [self._for_line(quote, line) for quote in self._tariff.quotes(dialled, line, pin)]
            return routing.explained(quotes, preferred=self._wishes[line].account)
        except Exception:  # noqa: BLE001 - a broken rate deck must not silence the telephone
            _log.exception("rates failed; the call goes unpriced")
            return [routing.Quote(name, entry.registered) for name, entry in self.registrations.items()]

    def _for_line(self, quote: routing.Quote, line: int) -> routing.Quote:
        """What of a quote concerns the handset: no word about small money, no PIN that nobody can check."""
        if quote.announce is not None and not quote.announce.above(self._announce_above()):
            quote = replace(quote, announce=None)
        if not quote.needs_pin or quote.reason is not None:
            return quote
        if self._pins is None:
            return replace(quote, reason=ev.Words.BARRED)
        waits = not self._patience.get(line, PinPatience()).takes(self._scheduler.time())
        return replace(quote, reason=ev.Words.PIN_REFUSED) if waits else quote

    def _every_account(self, tariff: str) -> Sequence[routing.Quote]:
        """Every account there is or was, and no question to rates or database."""
        known = self.registrations
        names = dict.fromkeys([*known, *self._emergency_accounts()])
        return [
            routing.Quote(
                name, name in known and known[name].registered, destination=_EMERGENCY_DESTINATION, tariff=tariff
            )
            for name in names
        ]

    def answer(self, line: int, call: int) -> None:
        """Answer the ringing call."""
        if call >= _TEST_KEY:
            self._lines[line].feed(ev.Released(call))
            return
        found = self._by_line.get((line, call))
        if found is None:
            return
        others, found.line, found.ringing = [n for n in found.ringing if n != line], line, (line,)
        self._event(found, ev.LineAnswers())
        for other in others:
            self._by_line.pop((other, call), None)
            self._lines[other].feed(ev.Withdrawn(call))

    def refuse(self, line: int, call: int, *, busy: bool) -> None:
        """Refuse the call that was offered; it is refused once no line rings for it any more."""
        found = self._by_line.get((line, call))
        if found is None:
            return
        left = tuple(number for number in found.ringing if number != line)
        if left and found.machine.state is CallState.OFFERED:
            del self._by_line[line, call]
            found.line, found.ringing = left[0], left
        else:
            self._event(found, ev.LineRefuses(busy))

    def hang_up(self, line: int, call: int) -> None:
        """End the call."""
        self._line_event(line, call, ev.LineHangsUp())

    def connect(self, line: int, call: int) -> None:
        """Join the line to the call's sound."""
        found = self._by_line.get((line, call))
        if found is not None:
            self._agent.connect(found.agent_key, line)

    def disconnect(self, line: int, call: int) -> None:
        """Part the line from the call's sound."""
        found = self._by_line.get((line, call))
        if found is not None:
            self._agent.disconnect(found.agent_key)

    def hold(self, line: int, call: int) -> None:
        """Put the call on hold: it stays up, in silence."""
        found = self._by_line.get((line, call))
        if found is not None:
            self._agent.hold(found.agent_key)

    def resume(self, line: int, call: int) -> None:
        """Take the call back from hold."""
        found = self._by_line.get((line, call))
        if found is not None:
            self._agent.resume(found.agent_key)

    def send_digit(self, line: int, call: int, digit: str, *, pulse: bool) -> None:
        """Send a digit into the call. Where tones are wanted a key's own has gone already; a dial has none."""
        found = self._by_line.get((line, call))
        if found is None:
            return
        if not found.tones:
            self._agent.send_digit(found.agent_key, digit)
        elif pulse:
            self._lines[line].sound_digit(call, digit)

    def tones_wanted(self, line: int, call: int) -> bool:
        """Whether the call's digits go as tones in the voice."""
        found = self._by_line.get((line, call))
        return found is not None and found.tones

    def fax(self, line: int) -> None:
        """A fax machine, or a modem, was heard in the line's call, at either end."""
        found = self._call_on(line)
        if found is not None and not found.fax:
            _log.info("line %d: the call carries a fax", line)
            found.fax = found.gauge.fax = True
            self._agent.fax(found.agent_key)

    def _call_on(self, line: int) -> _Call | None:
        """The call that the line's handset is in."""
        key = self._lines[line].machine.call
        return None if key is None else self._by_line.get((line, key))

    def _faxing(self, line: int) -> bool:
        found = self._call_on(line)
        return found is not None and found.fax

    def use_service(self, line: int, code: str) -> None:
        """Do what a service code asks."""
        action = understand(code)
        handset = self._lines[line]
        if isinstance(action, SpeakSetupCode):
            handset.speak(ev.Words.SETUP_CODE, self._setup_code())
        elif isinstance(action, DiagnoseLine) and self.diagnose is not None:
            self.diagnose(line)
        else:
            handset.speak(ev.Words.UNKNOWN_SERVICE)

    def ring_test(self, line: int) -> bool:
        """Ring the telephone for three rings; False if the line is in use or unknown."""
        handset = self._lines.get(line)
        if handset is None or not handset.idle:
            return False
        key = next(self._tests)
        handset.feed(ev.Offered(key, ev.Caller(number=None, name="Allobox", absence=ev.AbsenceReason.UNAVAILABLE)))
        self._scheduler.call_at(self._scheduler.time() + _TEST_RING_SECONDS, handset.feed, ev.Withdrawn(key))
        return True

    def _line_event(self, line: int, key: int, event: ev.CallEvent) -> None:
        found = self._by_line.get((line, key))
        if found is not None:
            self._event(found, event)

    # --- events of the agent -------------------------------------------------------------

    def agent_event(self, event: sip.AgentEvent) -> None:
        """Take an event of the SIP agent, on the control loop."""
        match event:
            case sip.RegistrationChanged():
                self._registration(event)
            case sip.IncomingCall():
                self._incoming(event)
            case sip.CallProgress(call, sip_code, media, call_id):
                self._agent_call(call, ev.Progress(sip_code, media), call_id)
            case sip.CallConfirmed(call, call_id):
                self._agent_call(call, ev.Confirmed(), call_id)
                due = self._scheduler.time() + _SOUND_SECONDS
                self._scheduler.call_at(due, self._check_sound, call)
            case sip.CallMedia(call, codec, held, tones):
                found = self._by_agent.get(call)
                if found is not None:
                    found.codec = codec or found.codec
                    if tones is not found.tones:
                        found.tones = tones
                        self._lines[found.line].tones_wanted(found.key, wanted=tones)
                    self._told("call", {"line": found.line, "codec": codec, "held": held, "tones": tones})
            case sip.DigitRefused(call, digit):
                found = self._by_agent.get(call)
                if found is not None:
                    self._lines[found.line].sound_digit(found.key, digit)
            case sip.CallMeasured(call, quality):
                found = self._by_agent.get(call)
                if found is not None:
                    found.gauge.network = quality
                    self._record_measure(found)
            case sip.CallDisconnected():
                found = self._by_agent.get(event.call)
                if found is not None:
                    found.codec = event.codec or found.codec
                    found.q850 = event.q850
                self._agent_call(event.call, ev.Disconnected(event.sip_code, event.reason, event.q850), event.call_id)
            case sip.MessagesWaiting():
                self._messages_waiting(event)
            case sip.CallsRefused(count, example):
                _log.warning("%d SIP messages from strangers were dropped, the last from %s", count, example)
            case _:
                pass  # AgentStarted, AgentFailed: the box's

    def _check_sound(self, agent_key: int) -> None:
        """End a call that was answered without any sound: silence must be neither borne nor billed."""
        found = self._by_agent.get(agent_key)
        if found is not None and not found.codec and found.machine.state is CallState.TALKING:
            _log.warning("a call was answered without sound; it is ended")
            self._agent.end(agent_key, _NOT_ACCEPTABLE)
            self._event(found, ev.Disconnected(_NOT_ACCEPTABLE, "no sound was agreed"))

    def _registration(self, event: sip.RegistrationChanged) -> None:
        entry = self.registrations.get(event.account)
        if entry is None:
            return
        entry.registered, entry.sip_code, entry.reason = event.registered, event.sip_code, event.reason
        self.refresh_outlook()

    def _agent_call(self, agent_key: int, event: ev.CallEvent, call_id: str) -> None:
        found = self._by_agent.get(agent_key)
        if found is None:
            return
        found.call_id = call_id or found.call_id
        self._event(found, event)

    def _incoming(self, event: sip.IncomingCall) -> None:
        number = event.caller.number
        shown = numbering.caller_display(number, self._country) if number else None
        caller = ev.Caller(shown, event.caller.name, event.caller.absence)
        parsed = numbering.parse_number(number, self._country) if number else None
        fit = offer_to(event.account, {line: self._standing(line) for line in self._lines})
        # A second caller's tone would spoil the page.
        lines = tuple(line for line in fit if not self._faxing(line))
        record = CallOpen(
            direction="in",
            line=(lines or fit or tuple(self._lines))[0],
            number=(parsed.e164 or number) if parsed is not None else None,
            name=event.caller.name,
            account=event.account,
            call_id=event.call_id,
        )
        call = _Call(
            machine=CallMachine(event.call, Direction.IN),
            line=record.line,
            key=event.call,
            agent_key=event.call,
            incoming=True,
            opening=record,
            ringing=lines,
            account=event.account,
            call_id=event.call_id,
        )
        for line in lines:
            self._by_line[line, event.call] = call
        self._by_agent[event.call] = call
        forms = [form for form in (number, shown, parsed.e164 if parsed is not None else None) if form]
        withheld = event.caller.absence is ev.AbsenceReason.PRIVATE
        call.patterns = {
            line: self._rings(line).choose(forms, withheld=withheld, account=event.account, alert_info=event.alert_info)
            for line in lines
        }
        self._event(call, ev.Offer(caller, call.patterns.get(record.line, NORMAL)))
        if not fit:
            _log.warning("account %s rings no line: its calls are refused", event.account)
        if not lines:
            self._event(call, ev.LineRefuses(busy=bool(fit)))

    def _standing(self, line: int) -> Standing:
        """How a call finds `line`."""
        handset = self._lines[line]
        talking = handset.machine.state is LineState.TALKING
        used = Readiness.TALKING if talking else Readiness.ENGAGED
        return Standing(self._wishes[line], Readiness.IDLE if handset.idle else used)

    # --- commands of a call --------------------------------------------------------------

    def _event(self, call: _Call, event: ev.CallEvent) -> None:
        for command in call.machine.handle(event, self._scheduler.time()):
            self._do(call, command)

    def _do(self, call: _Call, command: ev.CallCommand) -> None:
        match command:
            case ev.Invite(route, emergency):
                self._invite(call, route, emergency=emergency)
            case ev.SendRinging():
                self._agent.ring(call.agent_key)
            case ev.SendAnswer():
                self._agent.answer(call.agent_key)
            case ev.SendEnd(sip_code):
                self._agent.end(call.agent_key, sip_code)
            case ev.TellLine(event):
                self._tell_lines(call, event)
            case ev.RecordStart():
                call.token = self._book.open_call(call.opening)
            case ev.RecordAnswer():
                call.gauge.begin(self._counters(call.line))
                if call.token is not None:
                    quote = self._quote_of(call)
                    self._book.answered(
                        call.token,
                        account=call.account,
                        destination=quote.destination,
                        tariff=quote.tariff,
                        call_id=call.call_id or None,
                        line=call.line,
                        pin=call.pin,
                        why=quote.why,
                    )
                self._told("call", {"line": call.line, "state": "answered", "number": call.opening.number})
            case ev.RecordEnd(ended_by, sip_code):
                self._record_end(call, ended_by, sip_code)
            case ev.StartCallTimer(timer, seconds):
                self._forget_timer(call, timer)
                due = self._scheduler.time() + seconds
                call.timers[timer] = self._scheduler.call_at(due, self._call_timer, call, timer)
            case ev.StopCallTimer(timer):
                self._forget_timer(call, timer)
            case ev.Forget():
                self._drop(call)

    def _tell_lines(self, call: _Call, event: ev.LineEvent) -> None:
        """To the call's line; while it rings to every one that rings."""
        for number in call.ringing if call.incoming else (call.line,):
            if isinstance(event, ev.Offered):
                self._lines[number].feed(replace(event, pattern=call.patterns.get(number, event.pattern)))
            else:
                self._lines[number].feed(event)

    def _invite(self, call: _Call, route: ev.Route, *, emergency: bool) -> None:
        if self._by_agent.pop(call.agent_key, None) is not None:
            # Each further attempt is a dialog of its own to the agent, so that a late answer of
            # the last one can never be taken for this one's.
            call.agent_key = self.new_key()
        call.account, call.tones = route.account, False
        self._by_agent[call.agent_key] = call
        self._agent.invite(call.agent_key, route.account, route.target, emergency=emergency, anonymous=call.anonymous)
        if call.fax:
            self._agent.fax(call.agent_key)

    def _record_end(self, call: _Call, ended_by: ev.EndedBy, sip_code: int) -> None:
        if call.token is None:
            return
        quote = self._quote_of(call)
        call.gauge.end(self._counters(call.line))
        closed = CallClosed(
            end=ended_by.value,
            sip_code=sip_code,
            q850=call.q850,
            account=call.account,
            destination=quote.destination,
            tariff=quote.tariff,
            call_id=call.call_id or None,
            codec=call.codec,
            answered_elsewhere=ended_by is ev.EndedBy.ELSEWHERE,
            quality=call.gauge.quality,
            pin=call.pin,
            why=quote.why,
        )
        stored = self._book.close(call.token, closed)
        call.token, call.unmeasured = None, call.token if closed.quality is None else None
        # Shown only once it is on the disk, whichever thread says so.
        stored.add_done_callback(lambda done: self._told("call", _stored(call, ended_by, done)))

    def _record_measure(self, call: _Call) -> None:
        """A call that the house hung up is measured by then; its record follows in a moment."""
        quality, token, call.unmeasured = call.gauge.quality, call.unmeasured, None
        if token is None or quality is None:
            return
        try:
            stored = self._book.measured(token, quality)
        except RecordError:
            _log.warning("what a call was like came too late for its record")
            return
        stored.add_done_callback(lambda done: self._told("call", {**_whose(call, done), "state": "measured"}))

    @staticmethod
    def _quote_of(call: _Call) -> routing.Quote:
        """What the account that carries the call asked for it."""
        account = call.account or ""
        return call.quotes.get(account, routing.Quote(account, registered=False))

    def _call_timer(self, call: _Call, timer: ev.CallTimer) -> None:
        call.timers.pop(timer, None)
        self._event(call, ev.CallTimerFired(timer))

    @staticmethod
    def _forget_timer(call: _Call, timer: ev.CallTimer) -> None:
        running = call.timers.pop(timer, None)
        if running is not None:
            running.cancel()

    def _drop(self, call: _Call) -> None:
        for running in call.timers.values():
            running.cancel()
        call.timers.clear()
        for number in {call.line, *call.ringing}:
            self._by_line.pop((number, call.key), None)
        self._by_agent.pop(call.agent_key, None)

    def shut(self) -> None:
        """End every call, at the end of the process."""
        for call in {id(call): call for call in self._by_line.values()}.values():
            self._event(call, ev.LineHangsUp())
