"""One line's machine: events in, commands out, by the table of `line_states`. No I/O.

What lives here: what an event means (its trigger), and what a change of state orders. What must not:
a decision where to go, which is `line_states.TRANSITIONS`' alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from firmware.numbering import Completeness, Dialled, NumberClass
from firmware.telephony import events as ev
from firmware.telephony.events import Outlook, Timer, Tone, Treatment, Words
from firmware.telephony.keys_before import MAX_PIN, PAUSE_SECONDS, UNCLEAR, KeysBefore
from firmware.telephony.line_states import POSTURES, TRANSITIONS, Act, Legs, LineState, Trigger

__all__ = ["LineMachine", "LineSettings", "LineState"]

_COLLECTING = frozenset((LineState.DIAL_TONE, LineState.SPECIAL_TONE, LineState.NOTICE, LineState.DIALLING))
_CALL_TRIGGERS: Mapping[type, Trigger] = {
    ev.Withdrawn: Trigger.WITHDRAWN,
    ev.Alerting: Trigger.ALERTED,
    ev.EarlyMedia: Trigger.MEDIA_CAME,
    ev.Rerouted: Trigger.REROUTED,
    ev.Answered: Trigger.ANSWERED,
    ev.Failed: Trigger.FAILED,
    ev.Released: Trigger.RELEASED,
    ev.Priced: Trigger.PRICED,
    ev.PinWanted: Trigger.PIN_WANTED,
    ev.Warned: Trigger.WARNED,
}
_ON_HOOK = frozenset((LineState.IDLE, LineState.RINGING, LineState.RECALL, LineState.SUSPENDED))
_BEFORE_CALL = frozenset((LineState.ANNOUNCING, LineState.KEYING, LineState.PIN, LineState.CHECKING))
_ENDS = frozenset((Trigger.WITHDRAWN, Trigger.FAILED, Trigger.RELEASED))
_RING_BACK = "callback"  # a cadence of its own where the country has one: this is no new caller
_SHOWN_DIGITS = 20  # what a telephone's display takes of a number
_NOTICES = {
    Outlook.NO_ACCOUNT: Words.NO_ACCOUNT,
    Outlook.UNREGISTERED: Words.NOT_REGISTERED,
    Outlook.NO_NETWORK: Words.NO_NETWORK,
}
_WRONG_NUMBER = Treatment(Tone.CONGESTION, Words.INVALID_NUMBER)
_BUSY = Treatment(Tone.BUSY)
_NO_PIN = Treatment(Tone.CONGESTION, Words.PIN_REFUSED)


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Times in seconds. First digit, inter-digit and after-match as Asterisk's chan_dahdi has them,
    howler sequence as French exchanges do (docs/line-states.md). `hang_up_guard`: how long a called party may hang
    up and lift again; 0 ends the call at once. `polarity_reversal`: whether the battery tells a payphone or a meter
    that a call it made was answered. `announcement`: the longest that a price may take to be said. A PIN is awaited
    like a first digit, and ended like a number: by `#`, or by `inter_digit` without one.
    """

    first_digit: float = 16.0
    inter_digit: float = 8.0
    short_pause: float = 4.0
    notice_after: float = 2.0
    service: float = 60.0
    announcement: float = 40.0
    ring_limit: float = 120.0
    treatment: float = 30.0
    howler: float = 60.0
    hang_up_guard: float = 0.0
    polarity_reversal: bool = False


@dataclass(frozen=True, slots=True)
class _Leg:
    """One of the line's calls, and how it rings. `emergency`: nobody may come between. `placed`: by this line.
    `suspended`: its guard was used once.
    """

    call: int
    caller: ev.Caller
    pattern: str = "normal"
    emergency: bool = False
    placed: bool = False
    suspended: bool = False


class LineMachine:
    """One line. `analyse` tells what the digits dialled so far are (`services.analyse`);
    `next_key` makes keys for new calls, shared by all lines of a box; `call_waiting`: whether a second
    caller may wait, or is told that the line is busy.
    """

    def __init__(
        self,
        analyse: Callable[[str], Dialled],
        settings: LineSettings | None = None,
        next_key: Callable[[], int] | None = None,
        *,
        call_waiting: bool = True,
    ) -> None:
        self._analyse = analyse
        self._settings = settings or LineSettings()
        self._next_key = next_key or itertools.count(1).__next__
        self._outlook = Outlook.READY
        self._digits = ""
        self._call_waiting = call_waiting
        self._first: _Leg | None = None
        self._second: _Leg | None = None
        self._joined: int | None = None
        self._messages = False
        self._reversed = False
        self._treatment = _BUSY
        self._announce: ev.Announce | None = None
        self._again = False
        self._keys = KeysBefore()
        self.state = LineState.IDLE
        self.since = 0.0

    @property
    def call(self) -> int | None:
        """The call that the line is in or rings for."""
        return None if self._first is None else self._first.call

    @property
    def other(self) -> int | None:
        """The second call, which waits or is held."""
        return None if self._second is None else self._second.call

    @property
    def digits(self) -> str:
        """What has been dialled since the dial tone."""
        return self._digits

    def handle(self, event: ev.LineEvent, now: float) -> list[ev.LineCommand]:
        """Take `event` at `now` (monotonic seconds); the commands to carry out, in their order."""
        trigger = self._trigger(event, now)
        if isinstance(event, ev.OutlookChanged):
            self._outlook = event.outlook
        elif isinstance(event, ev.MessagesChanged):
            self._messages = event.waiting
        transition = None if trigger is None else TRANSITIONS[self.state].get(trigger)
        if trigger is None or transition is None:
            return []
        self._remember(event, trigger, now)
        if trigger is Trigger.HUNG_UP_GUARDED and self._first is not None:
            self._first = replace(self._first, suspended=True)
        before, self.state = self.state, transition.to
        if transition.to is not before:
            self.since = now
        left, waiting = self.call, self.other
        if transition.act in {Act.PLACE, Act.PLACE_HELP}:
            self._first = self._placed()
        self._move(transition.legs, event)
        commands: list[ev.LineCommand] = []
        if not transition.inside:
            commands = self._posture(before, timer_fired=isinstance(event, ev.TimerFired))
        commands += self._act(transition.act, event, left, waiting)
        if transition.to in {LineState.IDLE, LineState.TREATMENT}:
            self._first = self._second = None
        return commands

    def _placed(self) -> _Leg:
        """A call to what was dialled."""
        digits = self._digits.removesuffix("#")
        shown = ev.Caller(digits) if len(digits) <= _SHOWN_DIGITS else ev.Caller(absence=ev.AbsenceReason.UNAVAILABLE)
        emergency = self._analyse(self._digits).kind is NumberClass.EMERGENCY
        return _Leg(self._next_key(), shown, emergency=emergency, placed=True)

    def _move(self, legs: Legs, event: ev.LineEvent) -> None:
        match legs:
            case Legs.ADD if isinstance(event, ev.Offered):
                self._second = _Leg(event.call, event.caller, event.pattern)
            case Legs.SWAP:
                self._first, self._second = self._second, self._first
            case Legs.FORGET:
                self._second = None
            case Legs.PROMOTE:
                self._first, self._second = self._second, None
            case Legs.FORGET_BOTH:
                self._first = self._second = None
            case _:
                pass

    # --- what an event means -------------------------------------------------------------

    def _trigger(self, event: ev.LineEvent, now: float) -> Trigger | None:
        ready = self._outlook is Outlook.READY
        match event:
            case ev.OffHook():
                return Trigger.LIFTED if ready else Trigger.LIFTED_WITHOUT_SERVICE
            case ev.OnHook():
                return Trigger.HUNG_UP_GUARDED if self._guarded() else Trigger.HUNG_UP
            case ev.Flash():
                return Trigger.FLASHED if ready or self._first is not None else Trigger.FLASHED_WITHOUT_SERVICE
            case ev.DigitDialled(digit):
                return self._key_trigger(digit, now) if self.state in _BEFORE_CALL else self._digit_trigger(digit)
            case ev.DigitUnclear() if self.state in _BEFORE_CALL:
                return self._key_trigger(UNCLEAR, now)
            case ev.DigitUnclear():
                # 115 without a 1 is another service's number: better none than that.
                return Trigger.NUMBER_WRONG if self.state in _COLLECTING else None
            case ev.TimerFired(timer):
                return self._timer_trigger(timer)
            case ev.OutlookChanged(outlook):
                if outlook is self._outlook:
                    return None
                return Trigger.SERVICE_CAME if outlook is Outlook.READY else Trigger.SERVICE_WENT
            case ev.MessagesChanged():
                return None  # heard at the next dial tone
            case ev.SpeechEnded():
                return Trigger.SPEECH_ENDED
            case ev.Offered():
                return Trigger.OFFERED_BESIDE if self._may_wait() else Trigger.OFFERED
            case _:
                trigger = _CALL_TRIGGERS[type(event)]
                if event.call == self.call:
                    return trigger
                if trigger is Trigger.WARNED and event.call == self.other:
                    return trigger  # held, it costs as much
                return Trigger.OTHER_GONE if event.call == self.other and trigger in _ENDS else None

    def _may_wait(self) -> bool:
        """Whether a second caller may be signalled into the call. Never into one for help."""
        talking = self.state is LineState.TALKING and self._first is not None and not self._first.emergency
        return talking and self._call_waiting

    def _guarded(self) -> bool:
        """Whether hanging up now only suspends the call: one that came in, the only one, and for the first time."""
        if self.state is not LineState.TALKING or self._first is None or self._settings.hang_up_guard <= 0:
            return False
        return not self._first.placed and not self._first.suspended

    def _digit_trigger(self, digit: str) -> Trigger | None:
        if self.state not in _COLLECTING:
            return Trigger.DIGIT
        if digit not in "0123456789*#":
            return None  # A to D are on no telephone: speech that sounded like one
        dialled = self._analyse(self._digits + digit)
        match dialled.status:
            case Completeness.COMPLETE if dialled.kind is NumberClass.SERVICE:
                return Trigger.CODE_COMPLETE
            case Completeness.COMPLETE:
                return Trigger.NUMBER_COMPLETE
            case Completeness.INVALID:
                return Trigger.NUMBER_WRONG
            case _:
                return Trigger.NUMBER_BEGUN

    def _key_trigger(self, digit: str, now: float) -> Trigger | None:
        """A digit while a call has not left yet: see `keys_before`."""
        if digit not in "0123456789*#" + UNCLEAR:
            return None
        in_pin = self.state is LineState.PIN
        if digit == "#":
            if self._keys.helps(self._emergency):
                return Trigger.HELP_DIALLED
            if not in_pin:
                return Trigger.SKIPPED
            return Trigger.PIN_ENTERED if self._keys.pin else None
        keys = self._keys.pressed(digit, now)
        if keys.helps(self._emergency) and not in_pin and not keys.runs_on:
            return Trigger.HELP_DIALLED
        return Trigger.PIN_ENTERED if in_pin and len(keys.pin) >= MAX_PIN else Trigger.KEYED

    def _emergency(self, digits: str) -> bool:
        dialled = self._analyse(digits)
        return dialled.kind is NumberClass.EMERGENCY and dialled.status is Completeness.COMPLETE

    def _timer_trigger(self, timer: Timer) -> Trigger | None:
        if timer is not POSTURES[self.state].timer:
            return None
        if timer in {Timer.PAUSE, Timer.PIN} and self._keys.helps(self._emergency):
            return Trigger.HELP_DIALLED
        if timer is Timer.PIN:
            return Trigger.PIN_ENTERED if self._keys.pin else Trigger.TIMED_OUT
        if timer is not Timer.INTER_DIGIT:
            return Trigger.TIMED_OUT
        # As if the caller had sent it with a #; but a service code is never ended by waiting.
        sent = self._analyse(self._digits + "#")
        sendable = sent.status is Completeness.COMPLETE and sent.kind is not NumberClass.SERVICE
        return Trigger.PAUSE_SENDS if sendable else Trigger.PAUSE_WRONG

    def _remember(self, event: ev.LineEvent, trigger: Trigger, now: float) -> None:
        """Keep what the event carries, now that it counts."""
        self._remember_keys(event, trigger, now)
        if isinstance(event, ev.DigitDialled) and self.state in _COLLECTING:
            self._digits += event.digit
        elif isinstance(event, ev.Offered) and self.state is LineState.IDLE:
            self._first = _Leg(event.call, event.caller, event.pattern)
        match trigger:
            case Trigger.NUMBER_WRONG | Trigger.PAUSE_WRONG:
                self._treatment = _WRONG_NUMBER
            case Trigger.FAILED if isinstance(event, ev.Failed):
                # Early media has said why: the tone alone then.
                heard = self.state is LineState.EARLY
                self._treatment = Treatment(event.treatment.tone) if heard else event.treatment
            case Trigger.RELEASED if isinstance(event, ev.Released) and event.treatment is not None:
                self._treatment = event.treatment
            case Trigger.TIMED_OUT if self.state is LineState.PIN:
                self._treatment = _NO_PIN
            case Trigger.RELEASED | Trigger.WITHDRAWN | Trigger.TIMED_OUT:
                self._treatment = _BUSY
            case _:
                pass

    def _remember_keys(self, event: ev.LineEvent, trigger: Trigger, now: float) -> None:
        """What is dialled before the call leaves, and what it is told."""
        match event:
            case ev.Priced(_, announce):
                self._announce, self._keys = announce, KeysBefore(now)
            case ev.PinWanted(_, again):
                self._again, self._keys = again, KeysBefore(now)
            case ev.DigitDialled(digit) if self.state in _BEFORE_CALL and digit != "#":
                self._keys = self._keys.pressed(digit, now)
            case ev.DigitUnclear() if self.state in _BEFORE_CALL:
                self._keys = self._keys.pressed(UNCLEAR, now)
            case ev.TimerFired(Timer.PAUSE) if trigger is Trigger.TIMED_OUT:
                self._keys = KeysBefore(now)
            case _:
                pass
        if trigger is Trigger.HELP_DIALLED:
            self._digits = self._keys.group

    # --- what is ordered -----------------------------------------------------------------

    def _posture(self, before: LineState, *, timer_fired: bool) -> list[ev.LineCommand]:
        """From one posture to the next: first what ends, then what begins."""
        old, new = POSTURES[before], POSTURES[self.state]
        commands: list[ev.LineCommand] = []
        if old.ringing and not new.ringing:
            commands.append(ev.StopRinging())
        if old.waiting and not new.waiting:
            commands.append(ev.StopWaiting())
        if old.timer is not None and old.timer is not new.timer and not timer_fired:
            commands.append(ev.StopTimer(old.timer))
        joined, wanted = self._joined, self.call if new.voice else None
        self._joined = wanted
        if joined is not None and joined != wanted:
            commands.append(ev.DisconnectVoice(joined))
        if old.listening is not new.listening:
            commands.append(ev.ListenForDigits(new.listening))
        if self.state in {LineState.DIAL_TONE, LineState.SPECIAL_TONE}:
            self._digits = ""
        sound = self._sound(before)
        if sound is not None:
            commands.append(sound)
        if new.timer is not None:
            commands.append(ev.StartTimer(new.timer, self._seconds()))
        reverse = self._settings.polarity_reversal and new.answered and self._has_placed()
        if reverse is not self._reversed:
            self._reversed = reverse
            commands.append(ev.SetPolarity(reverse))
        if wanted is not None and joined != wanted:
            commands.append(ev.ConnectVoice(wanted))
        if new.ringing and not old.ringing and self._first is not None:
            pattern = _RING_BACK if self.state is LineState.RECALL else self._first.pattern
            commands.append(ev.StartRinging(self._first.caller, pattern))
        if new.waiting and not old.waiting and self._second is not None:
            commands.append(ev.SignalWaiting(self._second.caller))
        return commands

    def _has_placed(self) -> bool:
        """Whether one of the line's calls is of its own making."""
        return any(leg is not None and leg.placed for leg in (self._first, self._second))

    def _sound(self, before: LineState) -> ev.LineCommand | None:
        """What the handset hears on entering a state; None: as before."""
        match self.state:
            case LineState.DIAL_TONE if self._outlook is Outlook.READY:
                return ev.PlayTone(Tone.STUTTER if self._messages else Tone.DIAL)
            case LineState.DIAL_TONE:
                return ev.PlayTone(Tone.SPECIAL_DIAL)
            case LineState.SPECIAL_TONE:
                return ev.PlayTone(Tone.SPECIAL_DIAL)
            case LineState.NOTICE:
                return ev.Speak(_NOTICES.get(self._outlook, Words.TECHNICAL))
            case LineState.ANNOUNCING if self._announce is not None:
                return ev.SpeakPrice(self._announce)
            case LineState.PIN if not self._keys.pin:
                return ev.Speak(Words.PIN_WRONG if self._again else Words.PIN_ENTER)
            case LineState.ALERTING:
                return ev.PlayTone(Tone.RINGBACK)
            case LineState.TREATMENT if self._treatment.words is not None:
                return ev.Speak(self._treatment.words)
            case LineState.TREATMENT:
                return ev.PlayTone(self._treatment.tone)
            case LineState.HOWLER:
                return ev.PlayTone(Tone.HOWLER)
            case LineState.WAITING_ALONE | LineState.HELD_ALONE:
                return ev.PlayTone(Tone.CALL_WAITING)
            case state if state in _ON_HOOK and before in _ON_HOOK:
                return None
            case _ if POSTURES[before].voice and POSTURES[self.state].voice:
                return None
            case _ if before in {LineState.DIALLING, LineState.EARLY} and self.state is not LineState.IDLE:
                return None  # silent already
            case _:
                return ev.PlayNothing()

    def _seconds(self) -> float:
        times = self._settings
        match self.state:
            case LineState.DIAL_TONE | LineState.NOTICE:
                return times.first_digit
            case LineState.SPECIAL_TONE:
                return times.notice_after
            case LineState.DIALLING:
                possible = self._analyse(self._digits).status is Completeness.POSSIBLE
                return times.short_pause if possible else times.inter_digit
            case LineState.SERVICE:
                return times.service
            case LineState.ANNOUNCING:
                return times.announcement
            case LineState.KEYING:
                return PAUSE_SECONDS
            case LineState.PIN if self._keys.helps(self._emergency):
                return PAUSE_SECONDS
            case LineState.PIN:
                return times.inter_digit if self._keys.pin else times.first_digit
            case LineState.RINGING | LineState.CALL_WAITING | LineState.WAITING_ALONE | LineState.RECALL:
                return times.ring_limit
            case LineState.HOWLER:
                return times.howler
            case LineState.SUSPENDED:
                return times.hang_up_guard
            case _:
                return times.treatment

    def _act(self, act: Act | None, event: ev.LineEvent, left: int | None, waiting: int | None) -> list[ev.LineCommand]:
        """`left` and `waiting`: the line's two calls before they were moved."""
        if isinstance(event, ev.Offered) and act is Act.REFUSE_SECOND:
            return [ev.RefuseCall(event.call, busy=True)]
        if act is Act.USE_SERVICE:
            return [ev.UseService(self._digits)]
        if act is Act.SOUND_TONE:
            return [ev.PlayTone(self._treatment.tone)]
        if act is Act.HANG_UP and left is not None:
            return [ev.HangUp(left)]
        if act is Act.WARN and isinstance(event, ev.Warned):
            return [ev.Warn(event.seconds)]
        if act is Act.REFUSE_WAITING and waiting is not None:
            return [ev.RefuseCall(waiting, busy=False)]
        call = self.call
        if call is None:
            return []
        match act:
            case Act.PLACE:
                return [ev.PlaceCall(call, self._digits.removesuffix("#"))]
            case Act.ANSWER:
                return [ev.AnswerCall(call)]
            case Act.REFUSE:
                return [ev.RefuseCall(call, busy=False)]
            case Act.TAKE_WAITING if left is not None:
                return [ev.HoldCall(left), ev.AnswerCall(call)]
            case Act.SWAP if left is not None:
                return [ev.HoldCall(left), ev.ResumeCall(call)]
            case Act.RESUME:
                return [ev.ResumeCall(call)]
            case Act.SEND_DIGIT if isinstance(event, ev.DigitDialled):
                return [ev.SendDigit(call, event.digit, event.pulse)]
            case _:
                return self._act_before(act, call, left)

    def _act_before(self, act: Act | None, call: int, left: int | None) -> list[ev.LineCommand]:
        """What is ordered while the call has not left."""
        match act:
            case Act.PLACE_HELP if left is not None:
                return [ev.HangUp(left), ev.PlaceCall(call, self._digits)]
            case Act.PROCEED:
                return [ev.Proceed(call)]
            case Act.AWAIT_PIN if not self._keys.pin:
                return [ev.PlayTone(Tone.SPECIAL_DIAL)]
            case Act.ENTER_PIN:
                pin, self._keys = self._keys.pin, KeysBefore()
                return [ev.EnterPin(call, pin)]
            case _:
                return []
