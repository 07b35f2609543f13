"""The line doctor's session: which step it is at, what is said, played and recorded there. Pure.

What lives here: what an event means, and what a change of step orders: `handle(event, now) -> commands`.
What must not: a decision where to go, which is `doctor_steps.TRANSITIONS`' alone; a sample, a socket, a
process. A session is in one `Step`; `STAGES` says what is spoken, played and recorded in it and how
long it lasts at most.

It never stands in the way. Digits are read on at every step, and the moment the last of them are an
emergency number the session is over and they are called. A call that comes in ends the session: the
caller hears ringing, the household that somebody calls, and hanging up makes the telephone ring.
Hanging up ends it, and so do two minutes.

The dial is asked for 0 then 1, the keys for all of them backwards, because the telephones that come
here are those whose digits go wrong: of 1 then 0, a worn dial makes 15, 17 and 18, and of 1 2 3 4 5,
keys that stick make 112, 114 or 15. Backwards, a 1 is the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firmware.telephony.doctor_steps import (
    RUNNING,
    STAGES,
    TRACK_SECONDS,
    TRANSITIONS,
    Ending,
    Step,
    Track,
    Trigger,
)
from firmware.telephony.events import Words

__all__ = ["RUNNING", "TRACK_SECONDS", "TRANSITIONS", "DoctorSession", "Ending", "Step", "Track"]

SESSION_SECONDS = 120.0
_PAUSE_SECONDS = 8.0
"""A number dialled slower than this between two digits is none: the line's own inter-digit time."""
_KEPT_DIGITS = 16
_AFTER_DIGIT_SECONDS = 6.0
_SETTLE_SECONDS = 0.6
_ALL_KEYS = frozenset("0123456789*#")
_DIAL_DIGITS = 2


# --- events ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arm:
    """Somebody asked for a session at the page or the command line; the handset is still down."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The line is the session's now: its handset is lifted and its service code was dialled."""


@dataclass(frozen=True, slots=True)
class Key:
    """A digit, by tone or by pulses."""

    digit: str
    pulse: bool = False


@dataclass(frozen=True, slots=True)
class Flashed:
    """The R key."""


@dataclass(frozen=True, slots=True)
class HungUp:
    """The handset was hung up."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was being played has ended."""


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The wait that was asked for last is over."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call comes in for this line."""


@dataclass(frozen=True, slots=True)
class CallGone:
    """That caller gave up, or somebody else answered."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody at the page or the command line had enough."""


Event = Arm | Begin | Key | Flashed | HungUp | Spoken | TimeUp | Called | CallGone | Cancel

# --- commands -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Speak; `Spoken` follows."""

    words: Words


@dataclass(frozen=True, slots=True)
class PlayProbe:
    """Play the test signal; `Spoken` follows."""


@dataclass(frozen=True, slots=True)
class Hush:
    """Let the handset hear nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """Record to this track from now on, and to no other; None: to none."""

    track: Track | None


@dataclass(frozen=True, slots=True)
class Wait:
    """`TimeUp` in `seconds`, in place of any wait before; None: no wait."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Conclude:
    """Nothing more is recorded. `examine`: there is something to examine."""

    ending: Ending
    examine: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """The line machine has the handset again; `digits` are to be called at once."""

    digits: str = ""


Command = Say | PlayProbe | Hush | Record | Wait | Conclude | Leave

_ENDINGS: Mapping[Trigger, Ending] = {
    Trigger.EMERGENCY: Ending.EMERGENCY,
    Trigger.HUNG_UP: Ending.HUNG_UP,
    Trigger.TIME_IS_UP: Ending.TIME,
    Trigger.CANCELLED: Ending.CANCELLED,
    Trigger.CALLED: Ending.CALL,
}


_UNEXAMINED = frozenset((Ending.CANCELLED, Ending.EMERGENCY))


class DoctorSession:
    """One session. `is_emergency` tells whether exactly these digits call for help.

    Times are monotonic seconds. A new session is a new object.
    """

    def __init__(self, is_emergency: Callable[[str], bool]) -> None:
        self._is_emergency = is_emergency
        self._digits = ""
        self._since = ""
        self._digit_at = 0.0
        self._keys: set[str] = set()
        self._pulsed = 0
        self._until = 0.0
        self._hushed = False
        self._enough = False
        self.step = Step.IDLE
        self.ending: Ending | None = None

    @property
    def has_handset(self) -> bool:
        """Whether the handset's events are the session's."""
        return self.step in RUNNING or self.step is Step.CALL_WAITS

    @property
    def keys_heard(self) -> str:
        """The keys that were understood so far at the step DIAL, as a keypad has them."""
        return "".join(key for key in "123456789*0#" if key in self._keys)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take `event` at `now`; the commands to carry out, in their order."""
        trigger = self._trigger(event, now)
        to = TRANSITIONS[self.step].get(trigger)
        if to is None:
            return []
        if trigger is Trigger.BEGIN:
            self._until = now + SESSION_SECONDS
        if to is self.step:
            return self._keyed(trigger, now)
        before, self.step = self.step, to
        return self._turn(before, trigger, now)

    # --- what an event means -------------------------------------------------------------

    def _trigger(self, event: Event, now: float) -> Trigger:
        match event:
            case Arm():
                return Trigger.ARM
            case Begin():
                return Trigger.BEGIN
            case Key(digit, pulse):
                return self._digit(digit, now, pulse=pulse)
            case Flashed():
                return Trigger.FLASHED
            case HungUp():
                return Trigger.HUNG_UP
            case Spoken():
                return Trigger.SPOKEN
            case TimeUp():
                return Trigger.TIME_IS_UP if self.step in RUNNING and now >= self._until else Trigger.TIMED_OUT
            case Called():
                return Trigger.CALLED
            case CallGone():
                return Trigger.CALL_GONE
            case Cancel():
                return Trigger.CANCELLED

    def _digit(self, digit: str, now: float, *, pulse: bool) -> Trigger:
        """Keep it; is it the last of an emergency number, or of what was asked for?"""
        if now - self._digit_at > _PAUSE_SECONDS:
            self._digits = self._since = ""
        self._digits = (self._digits + digit)[-_KEPT_DIGITS:]
        self._since = (self._since + digit)[-_KEPT_DIGITS:]
        self._digit_at = now
        if self._emergency():
            return Trigger.EMERGENCY
        if self.step is not Step.DIAL:
            return Trigger.KEYED
        if pulse:
            self._pulsed += 1
        elif digit in _ALL_KEYS:
            self._keys.add(digit)
        if self._pulsed < _DIAL_DIGITS and not self._keys >= _ALL_KEYS:
            return Trigger.KEYED
        if not self._enough:
            self._enough, self._since = True, ""
        return Trigger.KEYED_ALL

    def _emergency(self) -> str:
        """The emergency number that the last digits are, the longest; "" for none.

        What came since all that was asked for had been dialled counts first: 1, then 15, is 15 and not 115.
        But that 1 may have been the first of 112.
        """
        tails = (self._digits[start:] for start in range(len(self._digits)))
        candidates = [self._since] if self._enough else []
        return next((some for some in [*candidates, *tails] if some.isdecimal() and self._is_emergency(some)), "")

    # --- what is ordered -----------------------------------------------------------------

    def _keyed(self, trigger: Trigger, now: float) -> list[Command]:
        """A digit within DIAL: nothing of the box is to sound under it."""
        commands: list[Command] = [] if self._hushed else [Hush()]
        self._hushed = True
        seconds = _SETTLE_SECONDS if trigger is Trigger.KEYED_ALL else _AFTER_DIGIT_SECONDS
        return [*commands, self._wait(seconds, now)]

    def _wait(self, seconds: float | None, now: float) -> Wait:
        """Wait, but not beyond the session's end."""
        if seconds is None or self.step not in RUNNING:
            return Wait(seconds)
        return Wait(max(0.0, min(seconds, self._until - now)))

    def _turn(self, before: Step, trigger: Trigger, now: float) -> list[Command]:
        """From one step to the next: first what ends, then what begins."""
        old, new = STAGES[before], STAGES[self.step]
        commands: list[Command] = []
        if old.track is not new.track:
            commands.append(Record(new.track))
        if self.step not in RUNNING and before in RUNNING:
            commands.append(self._conclude(before, trigger))
        elif self.step is Step.OVER and before is Step.ARMED:
            self.ending = Ending.NOBODY if trigger is Trigger.TIMED_OUT else _ENDINGS[trigger]
            commands.append(Conclude(self.ending, examine=False))
        commands.append(self._wait(new.seconds, now))
        if self.step is Step.OVER:
            called = self._emergency() if trigger is Trigger.EMERGENCY else ""
            commands.append(Leave(called))
        elif new.words is not None:
            commands.append(Say(new.words))
        elif new.probe:
            commands.append(PlayProbe())
        elif self.step is Step.NOISE:
            commands.append(Hush())
        return commands

    def _conclude(self, before: Step, trigger: Trigger) -> Conclude:
        if before is Step.THANKS and trigger in {Trigger.HUNG_UP, Trigger.TIMED_OUT, Trigger.TIME_IS_UP}:
            self.ending = Ending.DONE
        else:
            self.ending = _ENDINGS[trigger]
        return Conclude(self.ending, examine=self.ending not in _UNEXAMINED)
