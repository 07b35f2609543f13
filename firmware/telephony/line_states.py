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
listened for, and which timer runs. The commands of a transition are the difference of two
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
does. In a call a flash does nothing (call waiting is not here yet), above all it does not hang up.

Hanging up leads to IDLE from everywhere, and lifting from IDLE always gives a dial tone.
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
    ALERTING = "alerting"
    EARLY = "early"
    TALKING = "talking"
    TREATMENT = "treatment"
    HOWLER = "howler"
    PARKED = "parked"


class Trigger(Enum):
    """What an event means to a line."""

    LIFTED = "lifted"
    LIFTED_WITHOUT_SERVICE = "lifted, no service"
    HUNG_UP = "hung up"
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
    WITHDRAWN = "call withdrawn"
    ALERTED = "far end rings"
    MEDIA_CAME = "early media"
    REROUTED = "another route is tried"
    ANSWERED = "answered"
    FAILED = "call failed"
    RELEASED = "far end hung up"


class Act(Enum):
    """What is ordered on the way, beside sounds, bell, voice and timers."""

    COLLECT = "collect"
    PLACE = "place call"
    USE_SERVICE = "use service"
    ANSWER = "answer"
    REFUSE = "refuse call"
    REFUSE_SECOND = "refuse second call"
    HANG_UP = "end call"
    SEND_DIGIT = "send digit"
    SOUND_TONE = "tone"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a trigger leads. `inside`: the state is not left, its timer runs on."""

    to: LineState
    act: Act | None = None
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Posture:
    """What holds as long as a state lasts."""

    timer: Timer | None = None
    ringing: bool = False
    listening: bool = True
    voice: bool = False


POSTURES: Mapping[LineState, Posture] = {
    LineState.IDLE: Posture(listening=False),
    LineState.RINGING: Posture(Timer.RING_LIMIT, ringing=True, listening=False),
    LineState.DIAL_TONE: Posture(Timer.FIRST_DIGIT),
    LineState.SPECIAL_TONE: Posture(Timer.GUARD),
    LineState.NOTICE: Posture(Timer.FIRST_DIGIT),
    LineState.DIALLING: Posture(Timer.INTER_DIGIT),
    LineState.SERVICE: Posture(Timer.GUARD),
    LineState.CALLING: Posture(),
    LineState.ALERTING: Posture(),
    LineState.EARLY: Posture(voice=True),
    LineState.TALKING: Posture(voice=True),
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
    LineState.CALLING: _in_call(
        LineState.CALLING,
        {
            Trigger.ALERTED: Transition(LineState.ALERTING),
            Trigger.MEDIA_CAME: Transition(LineState.EARLY),
            Trigger.ANSWERED: Transition(LineState.TALKING),
        },
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
        {Trigger.DIGIT: Transition(LineState.TALKING, Act.SEND_DIGIT, inside=True)},
    ),
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
