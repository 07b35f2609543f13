"""The live calls on the SIP thread: slots, dialogs, sound, and what the control loop is told of them.

A call's handle is held here from its first moment to DISCONNECTED and let go in `bury`, outside any
callback of the stack: collected earlier it would hang up, collected inside a callback it would crash.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from firmware.telephony.agent import (
    FIRST_INCOMING_KEY,
    AgentEvent,
    CallConfirmed,
    CallDisconnected,
    CallMeasured,
    CallMedia,
    CallProgress,
    DigitRefused,
    DigitWay,
    IncomingCall,
    SipAccount,
)
from firmware.telephony.quality_meter import StreamReading
from firmware.telephony.ringing import MAX_ALERT_INFO
from firmware.telephony.sip import reasons
from firmware.telephony.sip.admission import Dialog
from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.hold import Hold
from firmware.telephony.sip.hooks import SLOT_NOT_FREE, CallHandle, DialogState, StackError
from firmware.telephony.sip.identity import MAX_TEXT, caller_of, clean
from firmware.telephony.sip.measuring import Measures
from firmware.telephony.sip.message import SipMessage, challenge_realm, q850_cause, sdp_holds, taken_elsewhere
from firmware.telephony.sip.slots import Holder, Verdict, decide, victim

_PREEMPT_STEP_SECONDS = 1.5
_PREEMPT_LIMIT_SECONDS = 10.0
_PREEMPT_LOOK_SECONDS = 0.05
# A call that was hung up keeps its slot until the far end has answered or 32 s are over. When slots run out it
# loses it: for an emergency once its CANCEL or BYE can have been answered, for an ordinary call after some repeats.
_GHOST_SECONDS = {True: 0.3, False: 4.0}
_LINGER_SECONDS = 32.0  # RFC 3261 17.1.1.2, 64*T1: retransmissions of a call that is over
_SETTLE_SECONDS = 0.1  # after the answer, when sound flows
_ALERT_INFOS = 8  # headers; what is read of them is bounded besides
_G711 = ("PCMA", "PCMU")  # what a fax machine or a modem gets through
_FAX_LOOK_SECONDS = 0.5
_DIGITS = frozenset("0123456789*#ABCD")
_ANONYMOUS_URI = '"Anonymous" <sip:anonymous@anonymous.invalid>'  # RFC 3323 4.1.1.3


class CallStack(Protocol):
    """What of the stack is used here; `stack.Stack` is it."""

    def place(self, account: SipAccount, target: str, headers: Sequence[tuple[str, str]], local_uri: str) -> CallHandle:
        """INVITE. Raises StackError."""

    def calls_in_use(self) -> int:
        """How many slots are taken, those of calls that are being ended too."""

    def terminate(self, call_id: str, local_tag: str, remote_tags: Iterable[str]) -> bool:
        """End a call that was hung up and whose far end is silent; False if it is gone."""


@dataclass(slots=True)
class _Order:
    """An outgoing call as asked."""

    key: int
    account: SipAccount
    target: str
    emergency: bool
    anonymous: bool


@dataclass(slots=True)
class _Waiting:
    """An emergency without a slot; times in monotonic seconds."""

    order: _Order
    until: float
    next_victim: float = 0.0


@dataclass(frozen=True, slots=True)
class _Ghost:
    """A call that we hung up, whose far end may never answer; `since` in monotonic seconds."""

    call_id: str
    local_tag: str
    since: float


@dataclass(slots=True)
class _Live:
    """A call that holds a slot."""

    key: int
    handle: CallHandle
    account: str
    order: _Order | None = None
    call_id: str = ""
    answered: bool = False
    ending: bool = False
    line: int = 0  # that wants to be joined, 0 for none
    hold: Hold = field(default_factory=Hold)
    fax: bool = False
    plain: Hold = field(default_factory=Hold)  # the same steps lead to G.711
    codec: str = ""
    held: bool = False
    digits: DigitWay = DigitWay.AUTO
    events: bool = True  # the far end takes telephone events, as far as it has said
    refused: bool = False  # it has refused a digit
    told: tuple[str, bool, bool] | None = None
    q850: int | None = None
    elsewhere: bool = False
    realm: str = ""
    final: tuple[int, str] | None = None

    @property
    def tones(self) -> bool:
        """Whether digits go as tones in the voice."""
        match self.digits:
            case DigitWay.TONES:
                return True
            case DigitWay.AUTO:
                return self.refused or not self.events
            case DigitWay.INFO:
                return self.refused
            case DigitWay.EVENTS:
                return False


class CallDesk:
    """All calls. `dialogs` maps their Call-IDs to their dialogs (shared with `Admission`); `learn_realm` pins
    a realm for an account that has none; `codecs_of` are an account's.
    """

    def __init__(
        self,
        *,
        stack: CallStack,
        agenda: Agenda,
        now: Callable[[], float],
        deliver: Callable[[AgentEvent], None],
        dialogs: dict[str, Dialog],
        learn_realm: Callable[[str, str], bool],
        slots: int,
        codecs_of: Callable[[str], tuple[str, ...]] = lambda _account: _G711,
    ) -> None:
        self._stack = stack
        self._agenda = agenda
        self._now = now
        self._deliver = deliver
        self._dialogs = dialogs
        self._learn_realm = learn_realm
        self._slots = slots
        self._codecs_of = codecs_of
        self._calls: dict[int, _Live] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._ghosts: list[_Ghost] = []  # the longest dead first
        self._next_key = FIRST_INCOMING_KEY
        self._measures = Measures(agenda, now)
        self.errors = 0

    def __len__(self) -> int:
        return len(self._calls)

    def busy(self, account: str) -> bool:
        """Whether a call runs on this account."""
        return any(c.account == account for c in self._calls.values())

    # --- commands

    def invite(self, key: int, account: SipAccount | None, target: str, *, emergency: bool, anonymous: bool) -> None:
        """Call out, now or (an emergency without a slot) as soon as a call has given way."""
        if account is None:
            self._fail(key, 404, reasons.NO_ACCOUNT)
            return
        order = _Order(key, account, target, emergency, anonymous)
        self._exorcise(emergency=emergency)
        verdict = decide(self._used(), self._slots, emergency=emergency)
        if verdict is Verdict.REFUSE:
            self._fail(key, 503, reasons.NO_SLOT)
        elif verdict is Verdict.PREEMPT:
            self._waiting[key] = _Waiting(order, self._now() + _PREEMPT_LIMIT_SECONDS)
            self._preempt(key)
        else:
            self._place(order)

    def ring(self, key: int) -> None:
        """180."""
        self._steer(key, lambda call: call.handle.ring())

    def answer(self, key: int) -> None:
        """200."""
        self._steer(key, lambda call: call.handle.accept())

    def end(self, key: int, sip_code: int) -> None:
        """End it, whatever its state."""
        if self._waiting.pop(key, None) is not None:
            self._fail(key, 487, "cancelled")
            return
        call = self._calls.get(key)
        if call is not None and not call.ending:
            incoming = call.order is None
            self._hang_up(call, (sip_code or 603) if incoming and not call.answered else 0)

    def end_all(self) -> None:
        """For the stop."""
        self._waiting.clear()
        for call in list(self._calls.values()):
            if not call.ending:
                self._hang_up(call, 480 if call.order is None and not call.answered else 0)

    def connect(self, key: int, line: int) -> None:
        """Join its sound with `line`, now or when there is some."""
        call = self._calls.get(key)
        if call is not None:
            call.line = line
            self._steer(key, lambda c: c.handle.join(c.line))
            if call.answered:
                self._settle_soon(key)

    def disconnect(self, key: int) -> None:
        """Part them."""
        call = self._calls.get(key)
        if call is not None:
            call.line = 0
            self._steer(key, lambda c: c.handle.part())

    def hold(self, key: int) -> None:
        """Put the far end on hold, as soon as that can be."""
        self._park(key, on=True)

    def resume(self, key: int) -> None:
        """Take it back."""
        self._park(key, on=False)

    def fax(self, key: int) -> None:
        """It carries a fax: G.711, and nothing that bends the sound."""
        call = self._calls.get(key)
        if call is not None and not call.fax:
            call.fax = True
            self._bare(call)

    def codecs_for(self, handle: CallHandle) -> tuple[str, ...]:
        """What an offer of the far end is answered with: G.711 in a fax, else also G.711."""
        call = self._of(handle)
        if call is None:
            return ()
        codecs = self._codecs_of(call.account)
        return _G711 if call.fax else (*codecs, *(codec for codec in _G711 if codec not in codecs))

    def send_digit(self, key: int, digit: str) -> None:
        """As the account wants it and the far end takes it; whoever has the voice is told when it must be a tone."""
        call = self._calls.get(key)
        if call is None or digit not in _DIGITS or call.final is not None:
            return
        if call.tones:
            self._deliver(DigitRefused(key, digit))
            return
        try:
            if call.digits is DigitWay.INFO:
                call.handle.inform(digit)
            else:
                call.handle.dial(digit)
        except StackError:
            self.errors += 1
            self.on_digit_refused(call.handle, digit)

    # --- the stack's news

    def judge_offer(self, slot: int) -> int:
        """0 if an incoming call may have a slot (the stack gave it number `slot`), else how to refuse it."""
        # The stack counts the newcomer already.
        if decide(self._used(newcomers=1), self._slots, emergency=False) is not Verdict.TAKE:
            return 486
        # The slot's last call has ended in this same round and is not buried yet: see `CallHandle`.
        return SLOT_NOT_FREE if any(c.handle.slot == slot for c in self._calls.values()) else 0

    def offered(self, account: str, handle: CallHandle, invite: SipMessage, digits: DigitWay = DigitWay.AUTO) -> None:
        """An INVITE of the account's own server; `digits` as the account wants them sent."""
        key = self._next_key
        self._next_key += 1
        self._keep(_Live(key, handle, account, call_id=invite.call_id, digits=digits), theirs=True)
        origin = invite.address("from")
        self._deliver(
            IncomingCall(
                key,
                account,
                caller_of(invite),
                clean(invite.first("from")) if origin is None else f"sip:{clean(origin.uri.user)}@{origin.uri.host}",
                invite.call_id[:MAX_TEXT],
                clean(", ".join(invite.headers.get("alert-info", [])[:_ALERT_INFOS]), MAX_ALERT_INFO),
            )
        )

    def on_state(
        self, handle: CallHandle, state: DialogState, code: int, phrase: str, message: SipMessage | None
    ) -> None:
        """The dialog's state."""
        call = self._of(handle)
        if call is None:
            return
        if message is not None:
            self._note(call, message)
        if state is DialogState.CONFIRMED and not call.answered:
            call.answered = True
            if call.call_id in self._dialogs:
                self._dialogs[call.call_id].answered = True
            self._deliver(CallConfirmed(call.key, call.call_id))
            self._measures.begin(call.key, call.handle.reading)
            self._settle_soon(key=call.key)
            self._look_at_hold(call, 0.0)
            if call.fax:
                self._bare(call)
        elif state is DialogState.DISCONNECTED:
            call.final = (code, phrase)

    def on_message(self, handle: CallHandle, message: SipMessage) -> None:
        """A received message that has taken effect."""
        call = self._of(handle)
        if call is None:
            return
        self._note(call, message)
        if 100 <= message.status < 200 and message.cseq_method == "INVITE" and call.order is not None:  # noqa: PLR2004
            media = message.has_sdp and handle.media().flows
            self._deliver(CallProgress(call.key, message.status, media, call.call_id))
        if message.cseq_method == "INVITE":
            again = call.hold.answered(message.status, ours=call.order is not None, chance=random.random())  # noqa: S311
            self._look_at_hold(call, again)
            again = call.plain.answered(message.status, ours=call.order is not None, chance=random.random())  # noqa: S311
            self._look_at_codec(call, again)
        held = sdp_holds(message.body) if message.has_sdp else None
        if held is not None and call.answered:
            call.held = held
            self._tell_media(call)

    def on_media(self, handle: CallHandle) -> None:
        """Sound (re)negotiated: joints are made anew."""
        call = self._of(handle)
        if call is None:
            return
        media = handle.media()
        if media.flows:
            call.codec = media.codec or call.codec
            call.held = media.held
            call.events = media.events
        if call.line:
            self._steer(call.key, lambda c: c.handle.join(c.line))
        self._tell_media(call)
        if call.fax:
            self._bare(call)

    def on_digit_refused(self, handle: CallHandle, digit: str) -> None:
        """The far end does not take digits so; from now on they are tones, unless the account wants events only."""
        call = self._of(handle)
        if call is None or call.digits is DigitWay.EVENTS:
            return
        call.refused = True
        self._tell_media(call)
        self._deliver(DigitRefused(call.key, digit))

    def on_stream_end(self, handle: CallHandle, last: StreamReading | None) -> None:
        """Its counters go with it: they are added to the call's."""
        call = self._of(handle)
        if call is not None:
            self._measures.sealed(call.key, last)

    def bury(self) -> bool:
        """Let go of the calls that are over, tell, and serve who waits for a slot; whether any was."""
        over = [key for key, call in self._calls.items() if call.final is not None]
        again = [order for key in over if (order := self._bury_one(key)) is not None]
        # Only now, with no handle of a dead call left, may a slot be taken anew.
        for order in again:
            self._place(order)
        if over:
            for key in list(self._waiting):
                self._preempt(key)
        return bool(over)

    # --- inside

    def _settle_soon(self, key: int) -> None:
        self._agenda.at(self._now() + _SETTLE_SECONDS, f"phase {key}", partial(self._settle, key))

    def _settle(self, key: int) -> None:
        """Its packets beside the bridge's ticks: looked at once a stream, for half a second."""
        call = self._calls.get(key)
        again = call.handle.settle() if call is not None and not call.ending and call.final is None else None
        if again is not None:
            self._agenda.at(self._now() + again, f"phase {key}", partial(self._settle, key))

    def _park(self, key: int, *, on: bool) -> None:
        call = self._calls.get(key)
        if call is not None:
            call.hold.want(on=on)
            self._settle_hold(key)

    def _settle_hold(self, key: int) -> None:
        """Ask the far end for what is wanted, if the call stands and it is not so."""
        call = self._calls.get(key)
        if call is None or call.ending or call.final is not None or not call.answered:
            return
        on = call.hold.due()
        if on is None:
            return
        try:
            call.handle.hold(on=on)
        except StackError:
            self._look_at_hold(call, call.hold.not_sent())
        else:
            call.hold.sent()

    def _look_at_hold(self, call: _Live, seconds: float | None) -> None:
        if seconds is not None:
            # Never at once: the stack calls back in the middle of things.
            self._agenda.at(self._now() + seconds, f"hold {call.key}", partial(self._settle_hold, call.key))

    def _bare(self, call: _Live) -> None:
        """What a fax needs of the stream that there is, and of the far end."""
        self._keep_bare(call.key)
        call.plain.want(on=True)
        self._look_at_codec(call, 0.0)

    def _keep_bare(self, key: int) -> None:
        """Now, and twice a second: a buffer that has grown is brought back."""
        if key in self._calls:
            self._steer(key, lambda c: c.handle.go_bare())
            self._agenda.at(self._now() + _FAX_LOOK_SECONDS, f"fax {key}", partial(self._keep_bare, key))

    def _settle_codec(self, key: int) -> None:
        """Ask the far end for G.711, if the call stands and speaks something else."""
        call = self._calls.get(key)
        if call is None or call.ending or call.final is not None or not call.answered or not call.codec:
            return
        if call.codec.partition("/")[0] in _G711 or not call.plain.due():
            return
        try:
            call.handle.ask_for(_G711)
        except StackError:
            self._look_at_codec(call, call.plain.not_sent())
        else:
            call.plain.sent()

    def _look_at_codec(self, call: _Live, seconds: float | None) -> None:
        if seconds is not None:
            self._agenda.at(self._now() + seconds, f"codec {call.key}", partial(self._settle_codec, call.key))

    def _of(self, handle: CallHandle) -> _Live | None:
        return next((c for c in self._calls.values() if c.handle is handle), None)

    def _used(self, newcomers: int = 0) -> int:
        return max(len(self._calls), self._stack.calls_in_use() - newcomers)

    def _exorcise(self, *, emergency: bool) -> None:
        """End ghosts until a new call may have a slot, or none is old enough."""
        limit = self._now() - _GHOST_SECONDS[emergency]
        while self._ghosts and decide(self._used(), self._slots, emergency=emergency) is not Verdict.TAKE:
            ghost = self._ghosts[0]
            if ghost.since > limit:
                return
            dialog = self._dialogs.get(ghost.call_id)
            self._stack.terminate(ghost.call_id, ghost.local_tag, sorted(dialog.tags) if dialog is not None else [""])
            del self._ghosts[0]

    def _holders(self) -> Iterable[Holder]:
        for c in self._calls.values():
            yield Holder(c.key, c.order is not None and c.order.emergency, c.answered, c.ending)

    def _keep(self, call: _Live, *, theirs: bool) -> None:
        self._calls[call.key] = call
        if call.call_id:
            self._dialogs[call.call_id] = Dialog(call.account, theirs)
            self._agenda.cancel(f"dialog {call.call_id}")

    def _drop(self, call_id: str) -> None:
        self._dialogs.pop(call_id, None)
        self._ghosts = [g for g in self._ghosts if g.call_id != call_id]

    def _place(self, order: _Order) -> None:
        headers = [("Privacy", "id")] if order.anonymous else []
        if order.anonymous:
            headers.append(("P-Preferred-Identity", f"<sip:{order.account.user}@{order.account.server}>"))
        try:
            handle = self._stack.place(order.account, order.target, headers, _ANONYMOUS_URI if order.anonymous else "")
        except StackError as error:
            self._fail(order.key, 503, reasons.of_status(error.status, str(error)) or clean(str(error)))
            return
        live = _Live(order.key, handle, order.account.name, order, handle.call_id, digits=order.account.digits)
        self._keep(live, theirs=False)

    def _bury_one(self, key: int) -> _Order | None:
        """Drop a dead call; its order if it is to be placed again, for the server's first challenge has
        taught us its realm (RFC 3261 22.2).
        """
        call = self._calls.pop(key)
        if call.ending:
            self._ghosts.append(_Ghost(call.call_id, call.handle.local_tag, self._now()))
        self._agenda.at(self._now() + _LINGER_SECONDS, f"dialog {call.call_id}", partial(self._drop, call.call_id))
        code, phrase = call.final or (0, "")
        if code in {401, 407} and call.order and not call.ending and self._learn_realm(call.account, call.realm):
            return call.order
        self._tell_measured(key)
        self._deliver(
            CallDisconnected(
                key,
                200 if call.elsewhere or (call.answered and code < 300) else code,  # noqa: PLR2004
                reasons.of_text(phrase) or clean(phrase),
                call.q850,
                call.ending,
                call.codec,
                call.call_id,
            )
        )
        return None

    def _preempt(self, key: int) -> None:
        """An emergency waits: place it if a slot is free, else end one ordinary call and look again."""
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        self._exorcise(emergency=True)
        if self._used() < self._slots:
            del self._waiting[key]
            self._place(waiting.order)
            return
        now = self._now()
        if now >= waiting.until:
            del self._waiting[key]
            self._fail(key, 503, reasons.NO_SLOT)
            return
        loser = victim(list(self._holders())) if now >= waiting.next_victim else None
        if loser is not None:
            waiting.next_victim = now + _PREEMPT_STEP_SECONDS
            call = self._calls[loser]
            self._hang_up(call, 486 if call.order is None and not call.answered else 0)
        self._agenda.at(now + _PREEMPT_LOOK_SECONDS, f"preempt {key}", partial(self._preempt, key))

    def _hang_up(self, call: _Live, code: int) -> None:
        call.ending = True
        self._tell_measured(call.key)  # hung up, it has no stream any more, though the far end may still be asked
        try:
            call.handle.hang_up(code)
        except StackError as error:
            self.errors += 1
            call.final = call.final or (500, str(error))

    def _steer(self, key: int, action: Callable[[_Live], object]) -> None:
        call = self._calls.get(key)
        if call is None or call.final is not None:
            return
        try:
            action(call)
        except StackError:
            # The far end was quicker: its DISCONNECTED is on the way.
            self.errors += 1

    def _note(self, call: _Live, message: SipMessage) -> None:
        cause = q850_cause(message)
        call.q850 = cause if cause is not None else call.q850
        call.elsewhere = call.elsewhere or (message.method == "CANCEL" and taken_elsewhere(message))
        if message.status in {401, 407}:
            call.realm = challenge_realm(message)

    def _tell_media(self, call: _Live) -> None:
        news = (call.codec, call.held, call.tones)
        if call.codec and news != call.told:
            call.told = news
            self._deliver(CallMedia(call.key, *news))

    def _tell_measured(self, key: int) -> None:
        measured = self._measures.end(key)
        if measured is not None:
            self._deliver(CallMeasured(key, measured))

    def _fail(self, key: int, code: int, reason: str) -> None:
        self._deliver(CallDisconnected(key, code, reason, None, by_us=True))
