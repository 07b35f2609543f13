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
    PLACE_NOWHERE = "place, no route"
    OFFER = "INVITE"
    TRYING = "100"
    RINGING = "180"
    MEDIA = "early media"
    CONFIRMED = "200, ACK"
    FAILED = "failed"
    FAILED_NEXT = "failed, another route"
    FAILED_ROUND = "emergency failed by all routes"
    BYE = "BYE"
    CANCELLED = "CANCEL"
    LIFTED = "line answers"
    REFUSED = "line refuses"
    HUNG_UP = "line hangs up"
    SETUP_OUT = "no sign of life"
    RETRY = "pause over"
    NO_ANSWER = "rings too long"
    CREDIT_OUT = "credit used up"
    RELEASED_LATE = "stack does not confirm"


class CallAct(Enum):
    """What is ordered on the way, beside the timers."""

    BEGIN = "record, INVITE"
    FAIL_AT_ONCE = "record, treat caller"
    NEXT = "INVITE by next route"
    PAUSE = "pause"
    RING = "record, 180, ring"
    TELL_RINGING = "ringback"
    TELL_MEDIA = "early media"
    ANSWER = "200"
    TALK = "record answer"
    TREAT = "record end, treat caller"
    GIVE_UP = "CANCEL, record end, treat caller"
    RELEASE = "record end, busy tone"
    MISS = "record end, stop ringing"
    TURN_AWAY = "refuse, record end"
    CANCEL = "CANCEL, record end"
    HANG_UP = "BYE, record end"
    CUT = "BYE, record end, busy tone"
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
    CallState.CALLING: frozenset((CallTimer.SETUP,)),
    CallState.WAITING: frozenset((CallTimer.RETRY,)),
    CallState.ALERTING: frozenset((CallTimer.NO_ANSWER,)),
    CallState.OFFERED: frozenset(),
    CallState.ANSWERING: frozenset((CallTimer.SETUP,)),
    CallState.TALKING: frozenset((CallTimer.MAX_DURATION,)),
    CallState.ENDING: frozenset((CallTimer.RELEASE,)),
    CallState.OVER: frozenset(),
}
"""Which timers run in a state (MAX_DURATION only where a budget sets one)."""

_C, _A, _T = CallState, CallAct, CallTrigger

_SETTING_UP: Mapping[CallTrigger, CallTransition] = {
    _T.CONFIRMED: CallTransition(_C.TALKING, _A.TALK),
    _T.FAILED: CallTransition(_C.OVER, _A.TREAT),
    _T.FAILED_NEXT: CallTransition(_C.CALLING, _A.NEXT),
    _T.FAILED_ROUND: CallTransition(_C.WAITING, _A.PAUSE),
    _T.HUNG_UP: CallTransition(_C.ENDING, _A.CANCEL),
}

TRANSITIONS: Mapping[CallState, Mapping[CallTrigger, CallTransition]] = {
    _C.NEW: {
        _T.PLACE: CallTransition(_C.CALLING, _A.BEGIN),
        _T.PLACE_NOWHERE: CallTransition(_C.OVER, _A.FAIL_AT_ONCE),
        _T.OFFER: CallTransition(_C.OFFERED, _A.RING),
    },
    _C.CALLING: {
        **_SETTING_UP,
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
        _T.CREDIT_OUT: CallTransition(_C.ENDING, _A.CUT),
    },
    _C.ENDING: {
        _T.CONFIRMED: CallTransition(_C.ENDING, _A.END_AGAIN, inside=True),
        _T.BYE: CallTransition(_C.OVER, _A.FORGET),
        _T.RELEASED_LATE: CallTransition(_C.OVER, _A.FORGET),
    },
    _C.OVER: {},
}
