"""One line's machine: events in, commands out, by the table of `line_states`. No I/O.

What lives here: what an event means (its trigger), and what a change of state orders. What must not:
a decision where to go, which is `line_states.TRANSITIONS`' alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firmware.numbering import Completeness, Dialled, NumberClass
from firmware.telephony import events as ev
from firmware.telephony.events import Outlook, Timer, Tone, Treatment, Words
from firmware.telephony.line_states import POSTURES, TRANSITIONS, Act, LineState, Trigger

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
}
_NOTICES = {
    Outlook.NO_ACCOUNT: Words.NO_ACCOUNT,
    Outlook.UNREGISTERED: Words.NOT_REGISTERED,
    Outlook.NO_NETWORK: Words.NO_NETWORK,
}
_WRONG_NUMBER = Treatment(Tone.CONGESTION, Words.INVALID_NUMBER)
_BUSY = Treatment(Tone.BUSY)


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Times in seconds. First digit, inter-digit and after-match as Asterisk's chan_dahdi has them,
    howler sequence as French exchanges do (docs/line-states.md).
    """

    first_digit: float = 16.0
    inter_digit: float = 8.0
    short_pause: float = 4.0
    notice_after: float = 2.0
    service: float = 60.0
    ring_limit: float = 120.0
    treatment: float = 30.0
    howler: float = 60.0


class LineMachine:
    """One line. `analyse` tells what the digits dialled so far are (`services.analyse`);
    `next_key` makes keys for new calls, shared by all lines of a box.
    """

    def __init__(
        self,
        analyse: Callable[[str], Dialled],
        settings: LineSettings | None = None,
        next_key: Callable[[], int] | None = None,
    ) -> None:
        self._analyse = analyse
        self._settings = settings or LineSettings()
        self._next_key = next_key or itertools.count(1).__next__
        self._outlook = Outlook.READY
        self._digits = ""
        self._offered: ev.Offered | None = None
        self._treatment = _BUSY
        self.state = LineState.IDLE
        self.since = 0.0
        self.call: int | None = None

    @property
    def digits(self) -> str:
        """What has been dialled since the dial tone."""
        return self._digits

    def handle(self, event: ev.LineEvent, now: float) -> list[ev.LineCommand]:
        """Take `event` at `now` (monotonic seconds); the commands to carry out, in their order."""
        trigger = self._trigger(event)
        if isinstance(event, ev.OutlookChanged):
            self._outlook = event.outlook
        transition = None if trigger is None else TRANSITIONS[self.state].get(trigger)
        if trigger is None or transition is None:
            return []
        self._remember(event, trigger)
        before, self.state = self.state, transition.to
        if transition.to is not before:
            self.since = now
        if transition.act is Act.PLACE:
            self.call = self._next_key()
        commands: list[ev.LineCommand] = []
        if not transition.inside:
            commands = self._posture(before, timer_fired=isinstance(event, ev.TimerFired))
        commands += self._act(transition.act, event)
        if transition.to in {LineState.IDLE, LineState.TREATMENT}:
            self.call = None
        return commands

    # --- what an event means -------------------------------------------------------------

    def _trigger(self, event: ev.LineEvent) -> Trigger | None:
        ready = self._outlook is Outlook.READY
        match event:
            case ev.OffHook():
                return Trigger.LIFTED if ready else Trigger.LIFTED_WITHOUT_SERVICE
            case ev.OnHook():
                return Trigger.HUNG_UP
            case ev.Flash():
                return Trigger.FLASHED if ready else Trigger.FLASHED_WITHOUT_SERVICE
            case ev.DigitDialled(digit):
                return self._digit_trigger(digit)
            case ev.TimerFired(timer):
                return self._timer_trigger(timer)
            case ev.OutlookChanged(outlook):
                if outlook is self._outlook:
                    return None
                return Trigger.SERVICE_CAME if outlook is Outlook.READY else Trigger.SERVICE_WENT
            case ev.SpeechEnded():
                return Trigger.SPEECH_ENDED
            case ev.Offered():
                return Trigger.OFFERED
            case _:
                return _CALL_TRIGGERS[type(event)] if event.call == self.call else None

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

    def _timer_trigger(self, timer: Timer) -> Trigger | None:
        if timer is not POSTURES[self.state].timer:
            return None
        if timer is not Timer.INTER_DIGIT:
            return Trigger.TIMED_OUT
        # As if the caller had sent it with a #; but a service code is never ended by waiting.
        sent = self._analyse(self._digits + "#")
        sendable = sent.status is Completeness.COMPLETE and sent.kind is not NumberClass.SERVICE
        return Trigger.PAUSE_SENDS if sendable else Trigger.PAUSE_WRONG

    def _remember(self, event: ev.LineEvent, trigger: Trigger) -> None:
        """Keep what the event carries, now that it counts."""
        if isinstance(event, ev.DigitDialled) and self.state in _COLLECTING:
            self._digits += event.digit
        elif isinstance(event, ev.Offered) and self.state is LineState.IDLE:
            self._offered, self.call = event, event.call
        match trigger:
            case Trigger.NUMBER_WRONG | Trigger.PAUSE_WRONG:
                self._treatment = _WRONG_NUMBER
            case Trigger.FAILED if isinstance(event, ev.Failed):
                # Early media has said why: the tone alone then.
                heard = self.state is LineState.EARLY
                self._treatment = Treatment(event.treatment.tone) if heard else event.treatment
            case Trigger.RELEASED | Trigger.WITHDRAWN | Trigger.TIMED_OUT:
                self._treatment = _BUSY
            case _:
                pass

    # --- what is ordered -----------------------------------------------------------------

    def _posture(self, before: LineState, *, timer_fired: bool) -> list[ev.LineCommand]:
        """From one posture to the next: first what ends, then what begins."""
        old, new = POSTURES[before], POSTURES[self.state]
        commands: list[ev.LineCommand] = []
        if old.ringing and not new.ringing:
            commands.append(ev.StopRinging())
        if old.timer is not None and old.timer is not new.timer and not timer_fired:
            commands.append(ev.StopTimer(old.timer))
        if old.voice and not new.voice and self.call is not None:
            commands.append(ev.DisconnectVoice(self.call))
        if old.listening is not new.listening:
            commands.append(ev.ListenForDigits(new.listening))
        if self.state in {LineState.DIAL_TONE, LineState.SPECIAL_TONE}:
            self._digits = ""
        sound = self._sound(before)
        if sound is not None:
            commands.append(sound)
        if new.timer is not None:
            commands.append(ev.StartTimer(new.timer, self._seconds()))
        if new.voice and not old.voice and self.call is not None:
            commands.append(ev.ConnectVoice(self.call))
        if new.ringing and not old.ringing and self._offered is not None:
            commands.append(ev.StartRinging(self._offered.caller, self._offered.pattern))
        return commands

    def _sound(self, before: LineState) -> ev.LineCommand | None:
        """What the handset hears on entering a state; None: as before."""
        match self.state:
            case LineState.DIAL_TONE:
                return ev.PlayTone(Tone.DIAL if self._outlook is Outlook.READY else Tone.SPECIAL_DIAL)
            case LineState.SPECIAL_TONE:
                return ev.PlayTone(Tone.SPECIAL_DIAL)
            case LineState.NOTICE:
                return ev.Speak(_NOTICES.get(self._outlook, Words.TECHNICAL))
            case LineState.ALERTING:
                return ev.PlayTone(Tone.RINGBACK)
            case LineState.TREATMENT if self._treatment.words is not None:
                return ev.Speak(self._treatment.words)
            case LineState.TREATMENT:
                return ev.PlayTone(self._treatment.tone)
            case LineState.HOWLER:
                return ev.PlayTone(Tone.HOWLER)
            case LineState.RINGING:
                return None
            case LineState.IDLE if before is LineState.RINGING:
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
            case LineState.RINGING:
                return times.ring_limit
            case LineState.HOWLER:
                return times.howler
            case _:
                return times.treatment

    def _act(self, act: Act | None, event: ev.LineEvent) -> list[ev.LineCommand]:
        if isinstance(event, ev.Offered) and act is Act.REFUSE_SECOND:
            return [ev.RefuseCall(event.call, busy=True)]
        if act is Act.USE_SERVICE:
            return [ev.UseService(self._digits)]
        if act is Act.SOUND_TONE:
            return [ev.PlayTone(self._treatment.tone)]
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
            case Act.HANG_UP:
                return [ev.HangUp(call)]
            case Act.SEND_DIGIT if isinstance(event, ev.DigitDialled):
                return [ev.SendDigit(call, event.digit)]
            case _:
                return []
