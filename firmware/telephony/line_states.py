"""The states of a line, and the one table that leads from one to the next. `line` runs it.

Two rules. Everything that decides a line's state lives in this file. This file knows no call, no
account, no price and no sound.

Theory of operation
-------------------
A line is in one `LineState`. An event becomes a `Trigger` (an OffHook is LIFTED or, when the outlook
is bad, LIFTED_WITHOUT_SERVICE; a digit becomes what it makes of the number), and
`TRANSITIONS[state][trigger]` says where to go and which `Act` to do on the way. A trigger that the
state does not list changes nothing and orders nothing, as does an event of a call that is not the
line's own: a late Released of the last call cannot end this one.

Each state has a `Posture`: whether the bell rings, the handset is joined to a call, digits are
listened for, a second caller is signalled, and which timer runs. The commands of a transition are the difference of two
postures, then the sound of the new state, then the act. So a bell that rings off-hook, a handset
that stays joined to a call that is over, or a timer nobody stops cannot be written down here.

The act comes last, because doing it may come back with an event at once (a call refused before
`handle`'s commands are all carried out), and everything ordered before must then be done.

    IDLE -lift-> DIAL_TONE -digit-> DIALLING -complete-> CALLING -> ALERTING | EARLY -> TALKING
    IDLE -call-> RINGING -lift-> TALKING -far end hangs up-> TREATMENT -> HOWLER -> PARKED

With no account, no registration or no network, lifting gives the special dial tone (SPECIAL_TONE),
then a sentence (NOTICE), then the special dial tone for good (DIAL_TONE); digits count all along,
because an emergency call is tried whatever the outlook.

A number is sent when it is complete; when it could be complete, after a short pause; and when the
caller waits long, if it could be sent with a `#`. Once a call has failed or ended (TREATMENT and
after) digits mean nothing: a caller who still keys a code into a call that the far end has just
dropped must not ring the fire brigade with it. A flash gives a new dial tone there, as hanging up
does.

A second call is offered while TALKING only, unless the household wants none or the call is one for
help: everywhere else it is refused as busy, and so is a third. The caller hears ringing, the handset
the call-waiting signal (CALL_WAITING), for as long as a telephone may ring. A flash holds the first
call and answers the second (CALL_HELD); each further one swaps them. With no second call a flash does
nothing: above all it does not hang up.

    TALKING -call-> CALL_WAITING -flash-> CALL_HELD -flash-> CALL_HELD, the calls swapped
    CALL_WAITING -far end hangs up-> WAITING_ALONE -flash-> TALKING -hang up-> RINGING
    CALL_HELD    -far end hangs up-> HELD_ALONE    -flash-> TALKING -hang up-> RECALL -lift-> TALKING

A call whose price is to be said, or that wants a PIN, has not left yet (docs/announcements.md):

    CALLING -price-> ANNOUNCING -words end, or #-> CALLING
    CALLING -PIN wanted-> PIN -# or pause-> CHECKING -> CALLING's ways, ANNOUNCING, or PIN again

Digits other than # stop the words (KEYING), which begin again after a pause. An emergency number among them
drops the call that has not left and is placed itself, in every one of these states (`keys_before`). A flash
gives a new dial tone, and hanging up costs nothing.

When the far end hangs up and another call is left, the handset hears the call-waiting tone, not the
busy tone: somebody is there. A flash takes him; hanging up makes the telephone ring for him, as it
does when the handset hangs up in the middle of two calls. A held call stays up while it rings (RECALL),
and lifting resumes it. A held call that is left alone with a lifted handset is resumed by itself after
the treatment's time: nobody is kept on hold by a mistake.

Hanging up leads to IDLE from everywhere, or to a ringing telephone if a second call is left; lifting
from IDLE always gives a dial tone.

With a hang-up guard (a setting; the French exchange gave the called party one) hanging up a call that
came in only suspends it (SUSPENDED): the caller stays connected and hears silence, lifting within the
guard resumes the conversation, here or at another telephone of the house. The guard ends with the far
end's hanging up, or by running out, which ends the call; the record's end is that moment, because as long
as that the caller was connected and paid. A second caller meanwhile finds the line busy. Lifting within
the guard is resuming, but a call has its guard once: hanging up again ends it, so that no caller who stays
on the line keeps the house from calling for help.

With polarity reversal (a setting) the battery is reversed while a call that the line placed stands
answered, and normal whenever no such call is up: always on-hook, always at the dial tone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from firmware.telephony.events import Timer


class LineState(Enum):
    """Where a line is."""

    IDLE = "idle"
    RINGING = "ringing"
    DIAL_TONE = "dial-tone"
    SPECIAL_TONE = "special-tone"
    NOTICE = "notice"
    DIALLING = "dialling"
    SERVICE = "service"
    CALLING = "calling"
    ANNOUNCING = "announcing"
    KEYING = "keying"
    PIN = "pin"
    CHECKING = "checking"
    ALERTING = "alerting"
    EARLY = "early"
    TALKING = "talking"
    CALL_WAITING = "call-waiting"
    CALL_HELD = "call-held"
    WAITING_ALONE = "waiting-alone"
    HELD_ALONE = "held-alone"
    RECALL = "recall"
    SUSPENDED = "suspended"
    TREATMENT = "treatment"
    HOWLER = "howler"
    PARKED = "parked"


class Trigger(Enum):
    """What an event means to a line."""

    LIFTED = "lifted"
    LIFTED_WITHOUT_SERVICE = "lifted, no service"
    HUNG_UP = "hung up"
    HUNG_UP_GUARDED = "hung up, called party under guard"
    FLASHED = "flash"
    FLASHED_WITHOUT_SERVICE = "flash, no service"
    SERVICE_CAME = "service is back"
    SERVICE_WENT = "service is lost"
    DIGIT = "digit into a call"
    NUMBER_BEGUN = "digit of a number"
    NUMBER_COMPLETE = "number complete"
    NUMBER_WRONG = "no such number"
    CODE_COMPLETE = "service code complete"
    PAUSE_SENDS = "pause, number possible"
    PAUSE_WRONG = "pause, number too short"
    TIMED_OUT = "time-out"
    SPEECH_ENDED = "sentence ended"
    OFFERED = "call comes in"
    OFFERED_BESIDE = "second call comes in"
    WITHDRAWN = "call withdrawn"
    ALERTED = "far end rings"
    MEDIA_CAME = "early media"
    REROUTED = "another route is tried"
    ANSWERED = "answered"
    FAILED = "call failed"
    RELEASED = "far end hung up"
    OTHER_GONE = "second call is over"
    PRICED = "price to say"
    PIN_WANTED = "PIN wanted"
    WARNED = "cut is near"
    KEYED = "digit"
    SKIPPED = "#"
    HELP_DIALLED = "emergency number dialled"
    PIN_ENTERED = "PIN complete"


class Act(Enum):
    """What is ordered on the way, beside sounds, bell, voice and timers."""

    COLLECT = "collect"
    PLACE = "place call"
    PLACE_HELP = "end call, place emergency call"
    PROCEED = "let call leave"
    ENTER_PIN = "check PIN"
    WARN = "beep and word"
    USE_SERVICE = "use service"
    ANSWER = "answer"
    REFUSE = "refuse call"
    REFUSE_SECOND = "refuse second call"
    REFUSE_WAITING = "refuse waiting call"
    TAKE_WAITING = "hold call, answer waiting one"
    SWAP = "hold call, resume held one"
    RESUME = "resume held call"
    HANG_UP = "end call"
    SEND_DIGIT = "send digit"
    SOUND_TONE = "tone"
    AWAIT_PIN = "special dial tone"


class Legs(Enum):
    """What becomes of a line's two calls: the one it talks in (or rings for), and the other, which waits or is held."""

    KEEP = "keep"
    ADD = "add"
    SWAP = "swap"
    FORGET = "forget"
    PROMOTE = "promote"
    FORGET_BOTH = "forget both"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a trigger leads. `inside`: the state is not left, its timer runs on. `legs`: ADD the offered call as the
    other, SWAP the two, FORGET the other, PROMOTE it in place of the first, FORGET_BOTH.
    """

    to: LineState
    act: Act | None = None
    inside: bool = False
    legs: Legs = Legs.KEEP


@dataclass(frozen=True, slots=True)
class Posture:
    """What holds as long as a state lasts. `waiting`: a second caller is signalled; `answered`: a call stands."""

    timer: Timer | None = None
    ringing: bool = False
    listening: bool = True
    voice: bool = False
    waiting: bool = False
    answered: bool = False


POSTURES: Mapping[LineState, Posture] = {
    LineState.IDLE: Posture(listening=False),
    LineState.RINGING: Posture(Timer.RING_LIMIT, ringing=True, listening=False),
    LineState.DIAL_TONE: Posture(Timer.FIRST_DIGIT),
    LineState.SPECIAL_TONE: Posture(Timer.GUARD),
    LineState.NOTICE: Posture(Timer.FIRST_DIGIT),
    LineState.DIALLING: Posture(Timer.INTER_DIGIT),
    LineState.SERVICE: Posture(Timer.GUARD),
    LineState.CALLING: Posture(),
    LineState.ANNOUNCING: Posture(Timer.GUARD),
    LineState.KEYING: Posture(Timer.PAUSE),
    LineState.PIN: Posture(Timer.PIN),
    LineState.CHECKING: Posture(),
    LineState.ALERTING: Posture(),
    LineState.EARLY: Posture(voice=True),
    LineState.TALKING: Posture(voice=True, answered=True),
    LineState.CALL_WAITING: Posture(Timer.RING_LIMIT, voice=True, waiting=True, answered=True),
    LineState.CALL_HELD: Posture(voice=True, answered=True),
    LineState.WAITING_ALONE: Posture(Timer.RING_LIMIT),
    LineState.HELD_ALONE: Posture(Timer.TREATMENT, answered=True),
    LineState.RECALL: Posture(Timer.RING_LIMIT, ringing=True, listening=False),
    LineState.SUSPENDED: Posture(Timer.SUSPEND, listening=False),
    LineState.TREATMENT: Posture(Timer.TREATMENT),
    LineState.HOWLER: Posture(Timer.HOWLER),
    LineState.PARKED: Posture(listening=False),
}


def _off_hook(state: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """A state with the handset lifted: may always hang up, and is busy to a second caller."""
    busy = Transition(state, Act.REFUSE_SECOND, inside=True)
    return {Trigger.HUNG_UP: Transition(LineState.IDLE), Trigger.OFFERED: busy, **own}


def _dialling(state: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """A state in which digits make a number; a flash begins again."""
    return _off_hook(
        state,
        {
            Trigger.NUMBER_BEGUN: Transition(LineState.DIALLING, Act.COLLECT),
            Trigger.NUMBER_COMPLETE: Transition(LineState.CALLING, Act.PLACE),
            Trigger.NUMBER_WRONG: Transition(LineState.TREATMENT),
            Trigger.CODE_COMPLETE: Transition(LineState.SERVICE, Act.USE_SERVICE),
            Trigger.FLASHED: Transition(LineState.DIAL_TONE),
            Trigger.FLASHED_WITHOUT_SERVICE: Transition(LineState.SPECIAL_TONE),
            **own,
        },
    )


def _waiting(state: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """Off-hook with no digit yet: follows the outlook."""
    return _dialling(
        state,
        {
            Trigger.SERVICE_CAME: Transition(LineState.DIAL_TONE),
            Trigger.SERVICE_WENT: Transition(LineState.SPECIAL_TONE),
            **own,
        },
    )


def _in_call(state: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """A call of the line's own is under way."""
    return _off_hook(
        state,
        {
            Trigger.HUNG_UP: Transition(LineState.IDLE, Act.HANG_UP),
            Trigger.FAILED: Transition(LineState.TREATMENT),
            Trigger.RELEASED: Transition(LineState.TREATMENT),
            Trigger.WITHDRAWN: Transition(LineState.TREATMENT),
            **own,
        },
    )


def _two_calls(state: LineState, left: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """Talking in one call while another waits or is held; `left` is where the far end's hanging up leads."""
    alone = Transition(left, legs=Legs.PROMOTE)
    return _in_call(
        state,
        {
            Trigger.FAILED: alone,
            Trigger.RELEASED: alone,
            Trigger.WITHDRAWN: alone,
            Trigger.OTHER_GONE: Transition(LineState.TALKING, legs=Legs.FORGET),
            Trigger.DIGIT: Transition(state, Act.SEND_DIGIT, inside=True),
            Trigger.WARNED: Transition(state, Act.WARN, inside=True),
            **own,
        },
    )


def _before_call(state: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """Nothing of the call has left: help may be called instead, and a flash begins again."""
    return _in_call(
        state,
        {
            Trigger.HELP_DIALLED: Transition(LineState.CALLING, Act.PLACE_HELP),
            Trigger.FLASHED: Transition(LineState.DIAL_TONE, Act.HANG_UP, legs=Legs.FORGET_BOTH),
            Trigger.FLASHED_WITHOUT_SERVICE: Transition(LineState.SPECIAL_TONE, Act.HANG_UP, legs=Legs.FORGET_BOTH),
            **own,
        },
    )


def _over(state: LineState, own: Mapping[Trigger, Transition]) -> Mapping[Trigger, Transition]:
    """Off-hook with nothing left to do but hang up, or flash for a new dial tone."""
    return _off_hook(
        state,
        {
            Trigger.FLASHED: Transition(LineState.DIAL_TONE),
            Trigger.FLASHED_WITHOUT_SERVICE: Transition(LineState.SPECIAL_TONE),
            **own,
        },
    )


_UNDER_WAY: Mapping[Trigger, Transition] = {
    Trigger.ALERTED: Transition(LineState.ALERTING),
    Trigger.MEDIA_CAME: Transition(LineState.EARLY),
    Trigger.ANSWERED: Transition(LineState.TALKING),
    Trigger.PRICED: Transition(LineState.ANNOUNCING),
    Trigger.PIN_WANTED: Transition(LineState.PIN),
}

TRANSITIONS: Mapping[LineState, Mapping[Trigger, Transition]] = {
    LineState.IDLE: {
        Trigger.LIFTED: Transition(LineState.DIAL_TONE),
        Trigger.LIFTED_WITHOUT_SERVICE: Transition(LineState.SPECIAL_TONE),
        Trigger.OFFERED: Transition(LineState.RINGING),
    },
    LineState.RINGING: {
        Trigger.LIFTED: Transition(LineState.TALKING, Act.ANSWER),
        Trigger.LIFTED_WITHOUT_SERVICE: Transition(LineState.TALKING, Act.ANSWER),
        Trigger.OFFERED: Transition(LineState.RINGING, Act.REFUSE_SECOND, inside=True),
        Trigger.WITHDRAWN: Transition(LineState.IDLE),
        Trigger.TIMED_OUT: Transition(LineState.IDLE, Act.REFUSE),
    },
    LineState.DIAL_TONE: _waiting(LineState.DIAL_TONE, {Trigger.TIMED_OUT: Transition(LineState.TREATMENT)}),
    LineState.SPECIAL_TONE: _waiting(LineState.SPECIAL_TONE, {Trigger.TIMED_OUT: Transition(LineState.NOTICE)}),
    LineState.NOTICE: _waiting(
        LineState.NOTICE,
        {
            Trigger.SPEECH_ENDED: Transition(LineState.DIAL_TONE),
            Trigger.TIMED_OUT: Transition(LineState.TREATMENT),
        },
    ),
    LineState.DIALLING: _dialling(
        LineState.DIALLING,
        {
            Trigger.PAUSE_SENDS: Transition(LineState.CALLING, Act.PLACE),
            Trigger.PAUSE_WRONG: Transition(LineState.TREATMENT),
        },
    ),
    LineState.SERVICE: _over(
        LineState.SERVICE,
        {
            Trigger.SPEECH_ENDED: Transition(LineState.DIAL_TONE),
            Trigger.TIMED_OUT: Transition(LineState.DIAL_TONE),
        },
    ),
    LineState.CALLING: _in_call(LineState.CALLING, _UNDER_WAY),
    LineState.ANNOUNCING: _before_call(
        LineState.ANNOUNCING,
        {
            Trigger.SPEECH_ENDED: Transition(LineState.CALLING, Act.PROCEED),
            Trigger.TIMED_OUT: Transition(LineState.CALLING, Act.PROCEED),
            Trigger.SKIPPED: Transition(LineState.CALLING, Act.PROCEED),
            Trigger.KEYED: Transition(LineState.KEYING),
        },
    ),
    LineState.KEYING: _before_call(
        LineState.KEYING,
        {
            Trigger.KEYED: Transition(LineState.KEYING),
            Trigger.SKIPPED: Transition(LineState.CALLING, Act.PROCEED),
            Trigger.TIMED_OUT: Transition(LineState.ANNOUNCING),
        },
    ),
    LineState.PIN: _before_call(
        LineState.PIN,
        {
            Trigger.KEYED: Transition(LineState.PIN),
            Trigger.PIN_ENTERED: Transition(LineState.CHECKING, Act.ENTER_PIN),
            # Digits are awaited, and that is heard, most of all where there are no words.
            Trigger.SPEECH_ENDED: Transition(LineState.PIN, Act.AWAIT_PIN, inside=True),
            Trigger.TIMED_OUT: Transition(LineState.TREATMENT, Act.HANG_UP),
        },
    ),
    LineState.CHECKING: _before_call(
        LineState.CHECKING, {**_UNDER_WAY, Trigger.KEYED: Transition(LineState.CHECKING, inside=True)}
    ),
    LineState.ALERTING: _in_call(
        LineState.ALERTING,
        {
            Trigger.MEDIA_CAME: Transition(LineState.EARLY),
            Trigger.ANSWERED: Transition(LineState.TALKING),
            Trigger.REROUTED: Transition(LineState.CALLING),
        },
    ),
    # No ALERTED here: a 180 after early media must not cover what the network says.
    LineState.EARLY: _in_call(
        LineState.EARLY,
        {
            Trigger.ANSWERED: Transition(LineState.TALKING),
            Trigger.REROUTED: Transition(LineState.CALLING),
            Trigger.DIGIT: Transition(LineState.EARLY, Act.SEND_DIGIT, inside=True),
        },
    ),
    LineState.TALKING: _in_call(
        LineState.TALKING,
        {
            Trigger.DIGIT: Transition(LineState.TALKING, Act.SEND_DIGIT, inside=True),
            Trigger.WARNED: Transition(LineState.TALKING, Act.WARN, inside=True),
            Trigger.OFFERED_BESIDE: Transition(LineState.CALL_WAITING, legs=Legs.ADD),
            Trigger.HUNG_UP_GUARDED: Transition(LineState.SUSPENDED),
        },
    ),
    LineState.CALL_WAITING: _two_calls(
        LineState.CALL_WAITING,
        LineState.WAITING_ALONE,
        {
            Trigger.FLASHED: Transition(LineState.CALL_HELD, Act.TAKE_WAITING, legs=Legs.SWAP),
            Trigger.HUNG_UP: Transition(LineState.RINGING, Act.HANG_UP, legs=Legs.PROMOTE),
            Trigger.TIMED_OUT: Transition(LineState.TALKING, Act.REFUSE_WAITING, legs=Legs.FORGET),
        },
    ),
    LineState.CALL_HELD: _two_calls(
        LineState.CALL_HELD,
        LineState.HELD_ALONE,
        {
            Trigger.FLASHED: Transition(LineState.CALL_HELD, Act.SWAP, legs=Legs.SWAP),
            Trigger.HUNG_UP: Transition(LineState.RECALL, Act.HANG_UP, legs=Legs.PROMOTE),
        },
    ),
    LineState.WAITING_ALONE: _in_call(
        LineState.WAITING_ALONE,
        {
            Trigger.FLASHED: Transition(LineState.TALKING, Act.ANSWER),
            Trigger.HUNG_UP: Transition(LineState.RINGING),
            Trigger.TIMED_OUT: Transition(LineState.TREATMENT, Act.REFUSE),
        },
    ),
    LineState.HELD_ALONE: _in_call(
        LineState.HELD_ALONE,
        {
            Trigger.FLASHED: Transition(LineState.TALKING, Act.RESUME),
            Trigger.HUNG_UP: Transition(LineState.RECALL),
            Trigger.TIMED_OUT: Transition(LineState.TALKING, Act.RESUME),
        },
    ),
    LineState.RECALL: {
        Trigger.LIFTED: Transition(LineState.TALKING, Act.RESUME),
        Trigger.LIFTED_WITHOUT_SERVICE: Transition(LineState.TALKING, Act.RESUME),
        Trigger.OFFERED: Transition(LineState.RECALL, Act.REFUSE_SECOND, inside=True),
        Trigger.FAILED: Transition(LineState.IDLE),
        Trigger.RELEASED: Transition(LineState.IDLE),
        Trigger.WITHDRAWN: Transition(LineState.IDLE),
        Trigger.TIMED_OUT: Transition(LineState.IDLE, Act.HANG_UP),
    },
    LineState.SUSPENDED: {
        Trigger.LIFTED: Transition(LineState.TALKING),
        Trigger.LIFTED_WITHOUT_SERVICE: Transition(LineState.TALKING),
        Trigger.OFFERED: Transition(LineState.SUSPENDED, Act.REFUSE_SECOND, inside=True),
        Trigger.FAILED: Transition(LineState.IDLE),
        Trigger.RELEASED: Transition(LineState.IDLE),
        Trigger.WITHDRAWN: Transition(LineState.IDLE),
        Trigger.TIMED_OUT: Transition(LineState.IDLE, Act.HANG_UP),
    },
    LineState.TREATMENT: _over(
        LineState.TREATMENT,
        {
            Trigger.SPEECH_ENDED: Transition(LineState.TREATMENT, Act.SOUND_TONE, inside=True),
            Trigger.TIMED_OUT: Transition(LineState.HOWLER),
        },
    ),
    LineState.HOWLER: _over(LineState.HOWLER, {Trigger.TIMED_OUT: Transition(LineState.PARKED)}),
    LineState.PARKED: _over(LineState.PARKED, {}),
}
