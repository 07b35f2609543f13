"""The steps of a line doctor's session, and the one table that leads from one to the next. `doctor` runs it.

Everything that decides a session's step lives in this file; it knows no digit, no sample and no handset.

    IDLE -> ARMED -lift-> WELCOME -> NOISE -> ECHO -> DIAL -> FLASH -> THANKS -> OVER

A trigger that a step does not list changes nothing. Every step that has the handset gives way to an
emergency number, to hanging up, to a call that comes in and to the end of the two minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from firmware.telephony.events import Words


class Step(Enum):
    """Where a session is."""

    IDLE = "idle"
    ARMED = "armed"
    WELCOME = "welcome"
    NOISE = "noise"
    ECHO = "echo"
    DIAL = "dial"
    FLASH = "flash"
    THANKS = "thanks"
    CALL_WAITS = "call-waits"
    OVER = "over"


class Trigger(Enum):
    """What an event means to a session."""

    ARM = "asked for, handset down"
    BEGIN = "asked for by the handset"
    SPOKEN = "words ended"
    TIMED_OUT = "time-out"
    TIME_IS_UP = "two minutes are over"
    KEYED = "digit"
    KEYED_ALL = "last digit wanted"
    EMERGENCY = "emergency number"
    FLASHED = "flash"
    HUNG_UP = "hung up"
    CALLED = "call comes in"
    CALL_GONE = "caller gave up"
    CANCELLED = "cancelled"


class Track(Enum):
    """A recording of the line, by what it is for. The figures are the most that is kept, in seconds."""

    NOISE = "noise"
    ECHO = "echo"
    KEYS = "keys"


TRACK_SECONDS: Mapping[Track, float] = {Track.NOISE: 2.0, Track.ECHO: 2.3, Track.KEYS: 15.0}
"""Together less than the 20 s that an examination takes; of what is longer, the end is kept."""


class Ending(Enum):
    """Why a session is over."""

    DONE = "done"
    HUNG_UP = "hung-up"
    TIME = "time"
    CALL = "call"
    EMERGENCY = "emergency"
    CANCELLED = "cancelled"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Stage:
    """What holds at a step: words at its beginning, or the probe; the track; `seconds` at most."""

    seconds: float | None = None
    words: Words | None = None
    probe: bool = False
    track: Track | None = None


STAGES: Mapping[Step, Stage] = {
    Step.IDLE: Stage(),
    Step.ARMED: Stage(60.0),
    Step.WELCOME: Stage(15.0, Words.DOCTOR_QUIET),
    Step.NOISE: Stage(TRACK_SECONDS[Track.NOISE] + 0.2, track=Track.NOISE),
    Step.ECHO: Stage(TRACK_SECONDS[Track.ECHO] - 0.05, probe=True, track=Track.ECHO),
    Step.DIAL: Stage(40.0, Words.DOCTOR_DIAL, track=Track.KEYS),
    Step.FLASH: Stage(16.0, Words.DOCTOR_FLASH),
    Step.THANKS: Stage(20.0, Words.DOCTOR_DONE),
    Step.CALL_WAITS: Stage(20.0, Words.DOCTOR_CALL),
    Step.OVER: Stage(),
}

RUNNING = frozenset((Step.WELCOME, Step.NOISE, Step.ECHO, Step.DIAL, Step.FLASH, Step.THANKS))
"""The steps at which a session has the handset and is not concluded."""


def _step(own: Mapping[Trigger, Step]) -> Mapping[Trigger, Step]:
    """A step that has the handset: it gives way to everything that counts more."""
    return {
        Trigger.EMERGENCY: Step.OVER,
        Trigger.HUNG_UP: Step.OVER,
        Trigger.TIME_IS_UP: Step.OVER,
        Trigger.CANCELLED: Step.OVER,
        Trigger.CALLED: Step.CALL_WAITS,
        **own,
    }


TRANSITIONS: Mapping[Step, Mapping[Trigger, Step]] = {
    Step.IDLE: {Trigger.ARM: Step.ARMED, Trigger.BEGIN: Step.WELCOME},
    Step.ARMED: {
        Trigger.BEGIN: Step.WELCOME,
        Trigger.TIMED_OUT: Step.OVER,
        Trigger.CANCELLED: Step.OVER,
        Trigger.CALLED: Step.OVER,
    },
    Step.WELCOME: _step({Trigger.SPOKEN: Step.NOISE, Trigger.TIMED_OUT: Step.NOISE}),
    Step.NOISE: _step({Trigger.TIMED_OUT: Step.ECHO}),
    Step.ECHO: _step({Trigger.TIMED_OUT: Step.DIAL}),
    Step.DIAL: _step({Trigger.KEYED: Step.DIAL, Trigger.KEYED_ALL: Step.DIAL, Trigger.TIMED_OUT: Step.FLASH}),
    Step.FLASH: _step({Trigger.FLASHED: Step.THANKS, Trigger.TIMED_OUT: Step.THANKS}),
    Step.THANKS: _step({Trigger.TIMED_OUT: Step.OVER}),
    Step.CALL_WAITS: {
        Trigger.EMERGENCY: Step.OVER,
        Trigger.HUNG_UP: Step.OVER,
        Trigger.TIMED_OUT: Step.OVER,
        Trigger.CALL_GONE: Step.OVER,
        Trigger.CANCELLED: Step.OVER,
    },
    Step.OVER: {},
}
