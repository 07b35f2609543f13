"""The states of a call, and the one table that leads from one to the next. `call` runs it.

Theory of operation
-------------------
An outgoing call starts as NEW, is CALLING while an account has been asked, ALERTING once the far end
rings or sounds, TALKING when answered. An incoming call is OFFERED while the telephone rings and
ANSWERING from the lifted handset to the caller's ACK. ENDING waits for the stack to confirm what we
ended; OVER is for ever.

A call that its account cannot carry (`causes`: the account's, the provider's or the way's fault) is
tried again by the next route, as long as the far end has not rung. An emergency call is tried by
every route after any failure at all, and then again from the first, after a pause (WAITING), a
limited number of rounds, as long as the handset stays lifted.

Before a call leaves it may have to be allowed by a PIN (LOCKED) or its price be heard (ANNOUNCING); an emergency
never is. Nothing of such a call has left the box: who hangs up then pays nothing, and the record says DECLINED.
Another route that is dearer than what was heard is announced in its turn before its INVITE; that can only be
while nothing rings, because a call that rings stays with its route. A right PIN brings the call's routes anew.

An answered call with a limit is warned (`CallSettings.warnings`) and then cut. All of that is counted from the
answer, and the cut comes after the record's answer, so never early.

Every way to OVER passes exactly one RecordEnd if there was a RecordStart. ENDING runs a RELEASE
timer, so that a stack that never confirms cannot keep a call for ever. A call that the line hung up
is recorded as over then, not when the stack confirms: what is said is said, and a bill counts to it.

A trigger that the state does not list changes nothing. SIP may answer 200 to an INVITE that we have
just cancelled: ENDING then orders the end once more, which is a BYE this time (RFC 3261 15).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from firmware.telephony.events import CallTimer


class CallState(Enum):
    """Where a call is."""

    NEW = "new"
    LOCKED = "locked"
    ANNOUNCING = "announcing"
    CALLING = "calling"
    WAITING = "waiting"
    ALERTING = "alerting"
    OFFERED = "offered"
    ANSWERING = "answering"
    TALKING = "talking"
    ENDING = "ending"
    OVER = "over"


class CallTrigger(Enum):
    """What an event means to a call."""

    PLACE = "place"
    PLACE_PRICED = "place, price to say"
    PLACE_LOCKED = "place, PIN needed"
    PLACE_NOWHERE = "place, no route"
    LINE_READY = "price heard"
    UNLOCKED = "PIN right"
    UNLOCKED_PRICED = "PIN right, price to say"
    UNLOCKED_NOWHERE = "PIN right, no route"
    PIN_WRONG = "PIN wrong"
    PIN_SPENT = "PIN wrong, the last try"
    PREPARE_OUT = "line says nothing"
    OFFER = "INVITE"
    TRYING = "100"
    RINGING = "180"
    MEDIA = "early media"
    CONFIRMED = "200, ACK"
    FAILED = "failed"
    FAILED_NEXT = "failed, another route"
    FAILED_PRICED = "failed, another route, price to say"
    FAILED_LOCKED = "failed, another route, PIN needed"
    FAILED_ROUND = "emergency failed by all routes"
    BYE = "BYE"
    CANCELLED = "CANCEL"
    LIFTED = "line answers"
    REFUSED = "line refuses"
    HUNG_UP = "line hangs up"
    SETUP_OUT = "no sign of life"
    RETRY = "pause over"
    NO_ANSWER = "rings too long"
    CREDIT_LOW = "credit nearly used up"
    CREDIT_OUT = "credit used up"
    RELEASED_LATE = "stack does not confirm"


class CallAct(Enum):
    """What is ordered on the way, beside the timers."""

    BEGIN = "record, INVITE"
    BEGIN_PRICED = "record, say price"
    BEGIN_LOCKED = "record, ask for PIN"
    FAIL_AT_ONCE = "record, treat caller"
    GO = "INVITE"
    PRICE = "say price"
    NEXT_PRICED = "say price of next route"
    NEXT_LOCKED = "ask for PIN of next route"
    ASK_AGAIN = "ask for PIN again"
    SHUT_OUT = "record end, treat caller"
    DECLINE = "record end, declined"
    WARN = "warn"
    NEXT = "INVITE by next route"
    PAUSE = "pause"
    RING = "record, 180, ring"
    TELL_RINGING = "ringback"
    TELL_MEDIA = "early media"
    ANSWER = "200"
    TALK = "record answer"
    TREAT = "record end, treat caller by cause"
    GIVE_UP = "CANCEL, record end, treat caller"
    RELEASE = "record end, busy tone"
    MISS = "record end, stop ringing"
    TURN_AWAY = "refuse, record end"
    CANCEL = "CANCEL, record end"
    HANG_UP = "BYE, record end"
    CUT = "BYE, record end, say why"
    ABANDON = "BYE, record end, treat line"
    END_AGAIN = "BYE"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class CallTransition:
    """Where a trigger leads, and what is done. `inside`: the state is not left, its timers run on."""

    to: CallState
    act: CallAct | None = None
    inside: bool = False


TIMERS: Mapping[CallState, frozenset[CallTimer]] = {
    CallState.NEW: frozenset(),
    CallState.LOCKED: frozenset((CallTimer.PREPARE,)),
    CallState.ANNOUNCING: frozenset((CallTimer.PREPARE,)),
    CallState.CALLING: frozenset((CallTimer.SETUP,)),
    CallState.WAITING: frozenset((CallTimer.RETRY,)),
    CallState.ALERTING: frozenset((CallTimer.NO_ANSWER,)),
    CallState.OFFERED: frozenset(),
    CallState.ANSWERING: frozenset((CallTimer.SETUP,)),
    CallState.TALKING: frozenset((CallTimer.MAX_DURATION, CallTimer.WARNING)),
    CallState.ENDING: frozenset((CallTimer.RELEASE,)),
    CallState.OVER: frozenset(),
}
"""Which timers run in a state (MAX_DURATION, and WARNING before it, only where a budget sets one)."""

_C, _A, _T = CallState, CallAct, CallTrigger

_SETTING_UP: Mapping[CallTrigger, CallTransition] = {
    _T.CONFIRMED: CallTransition(_C.TALKING, _A.TALK),
    _T.FAILED: CallTransition(_C.OVER, _A.TREAT),
    _T.FAILED_NEXT: CallTransition(_C.CALLING, _A.NEXT),
    _T.FAILED_ROUND: CallTransition(_C.WAITING, _A.PAUSE),
    _T.HUNG_UP: CallTransition(_C.ENDING, _A.CANCEL),
}


def _preparing(state: CallState) -> Mapping[CallTrigger, CallTransition]:
    """Nothing has left yet: hanging up costs nothing, and a line that never says anything cannot keep the call."""
    return {
        _T.HUNG_UP: CallTransition(_C.OVER, _A.DECLINE),
        _T.PREPARE_OUT: CallTransition(_C.OVER, _A.SHUT_OUT),
        # The route before was given up, and its far end answers all the same.
        _T.CONFIRMED: CallTransition(state, _A.END_AGAIN, inside=True),
    }


TRANSITIONS: Mapping[CallState, Mapping[CallTrigger, CallTransition]] = {
    _C.NEW: {
        _T.PLACE: CallTransition(_C.CALLING, _A.BEGIN),
        _T.PLACE_PRICED: CallTransition(_C.ANNOUNCING, _A.BEGIN_PRICED),
        _T.PLACE_LOCKED: CallTransition(_C.LOCKED, _A.BEGIN_LOCKED),
        _T.PLACE_NOWHERE: CallTransition(_C.OVER, _A.FAIL_AT_ONCE),
        _T.OFFER: CallTransition(_C.OFFERED, _A.RING),
    },
    _C.LOCKED: {
        **_preparing(_C.LOCKED),
        _T.UNLOCKED: CallTransition(_C.CALLING, _A.GO),
        _T.UNLOCKED_PRICED: CallTransition(_C.ANNOUNCING, _A.PRICE),
        _T.UNLOCKED_NOWHERE: CallTransition(_C.OVER, _A.SHUT_OUT),
        _T.PIN_WRONG: CallTransition(_C.LOCKED, _A.ASK_AGAIN),
        _T.PIN_SPENT: CallTransition(_C.OVER, _A.SHUT_OUT),
    },
    _C.ANNOUNCING: {
        **_preparing(_C.ANNOUNCING),
        _T.LINE_READY: CallTransition(_C.CALLING, _A.GO),
    },
    _C.CALLING: {
        **_SETTING_UP,
        _T.FAILED_PRICED: CallTransition(_C.ANNOUNCING, _A.NEXT_PRICED),
        _T.FAILED_LOCKED: CallTransition(_C.LOCKED, _A.NEXT_LOCKED),
        _T.TRYING: CallTransition(_C.CALLING),
        _T.RINGING: CallTransition(_C.ALERTING, _A.TELL_RINGING),
        _T.MEDIA: CallTransition(_C.ALERTING, _A.TELL_MEDIA),
        _T.SETUP_OUT: CallTransition(_C.ENDING, _A.GIVE_UP),
    },
    _C.WAITING: {
        _T.RETRY: CallTransition(_C.CALLING, _A.NEXT),
        _T.HUNG_UP: CallTransition(_C.OVER, _A.CANCEL),
    },
    _C.ALERTING: {
        **_SETTING_UP,
        # Inside: 180 is repeated every minute (RFC 3261 13.3.1.1) and must not restart NO_ANSWER.
        _T.RINGING: CallTransition(_C.ALERTING, _A.TELL_RINGING, inside=True),
        _T.MEDIA: CallTransition(_C.ALERTING, _A.TELL_MEDIA, inside=True),
        _T.NO_ANSWER: CallTransition(_C.ENDING, _A.GIVE_UP),
    },
    _C.OFFERED: {
        _T.LIFTED: CallTransition(_C.ANSWERING, _A.ANSWER),
        _T.REFUSED: CallTransition(_C.ENDING, _A.TURN_AWAY),
        _T.HUNG_UP: CallTransition(_C.ENDING, _A.TURN_AWAY),
        _T.CANCELLED: CallTransition(_C.OVER, _A.MISS),
    },
    _C.ANSWERING: {
        _T.CONFIRMED: CallTransition(_C.TALKING, _A.TALK),
        _T.HUNG_UP: CallTransition(_C.ENDING, _A.HANG_UP),
        _T.CANCELLED: CallTransition(_C.OVER, _A.RELEASE),
        _T.SETUP_OUT: CallTransition(_C.ENDING, _A.ABANDON),
    },
    _C.TALKING: {
        _T.HUNG_UP: CallTransition(_C.ENDING, _A.HANG_UP),
        _T.BYE: CallTransition(_C.OVER, _A.RELEASE),
        _T.CREDIT_LOW: CallTransition(_C.TALKING, _A.WARN, inside=True),
        _T.CREDIT_OUT: CallTransition(_C.ENDING, _A.CUT),
    },
    _C.ENDING: {
        _T.CONFIRMED: CallTransition(_C.ENDING, _A.END_AGAIN, inside=True),
        _T.BYE: CallTransition(_C.OVER, _A.FORGET),
        _T.RELEASED_LATE: CallTransition(_C.OVER, _A.FORGET),
    },
    _C.OVER: {},
}
