"""One line's glue: the port's edges to line events, the line machine's commands to ring and voice.

Everything here runs on the control loop. Decisions are the pure machines' (`fxs.hook`,
`fxs.ringer`, `line`); calls are the switchboard's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from firmware.fxs.hook import HookDecoder, HookDown, HookEvent, HookFlash, HookUp, PulseDigit, PulsesUnclear
from firmware.fxs.port import Capability, DigitEvent, FxsPort, LineFault, LineRestored, LoopEdge, PortEvent
from firmware.fxs.ringer import Ringer
from firmware.fxs.waiting import WaitingSettings
from firmware.telephony import events as ev
from firmware.telephony.handset_bell import HandsetBell
from firmware.telephony.handset_waiting import OffHookId, WaitingCaller
from firmware.telephony.hook_watch import HookWatch
from firmware.telephony.line import LineMachine, LineState
from firmware.telephony.scheduling import Cancellable, Scheduler

_log = logging.getLogger(__name__)
_AWAITING_DIGITS = frozenset((LineState.DIAL_TONE, LineState.SPECIAL_TONE, LineState.NOTICE))
_ALONE = _AWAITING_DIGITS | {LineState.IDLE, LineState.DIALLING, LineState.SERVICE, LineState.PARKED}
_EDGES_KEPT = 2048


class HandsetVoice(Protocol):
    """The line's voice path as the control loop commands it; every method returns at once."""

    def open(self) -> None:
        """Power the voice path: frames flow."""
        ...

    def close(self) -> None:
        """Let the voice path sleep."""
        ...

    def reset(self) -> None:
        """Start a new off-hook with a fresh detector and canceller."""
        ...

    def play_tone(self, name: str) -> None:
        """Play a country tone for ever."""
        ...

    def play_samples(self, pcm: bytes) -> None:
        """Play samples once."""
        ...

    def interrupt(self, pcm: bytes, wait_ms: int) -> None:
        """Cut both directions, play samples and wait for a digit."""
        ...

    def play_nothing(self) -> None:
        """Let the far voice pass."""
        ...

    def mix(self, pcm: bytes) -> None:
        """Play samples once over the far voice; none: stop that."""
        ...

    def sound_digit(self, digit: str) -> None:
        """Let the far end hear a digit's tone."""
        ...

    def listen(self, *, on: bool, mute: bool) -> None:
        """Detect digits; `mute` keeps them out of the voice sent to the far end."""
        ...


class MoneySpeech(Protocol):
    """What is said of money. Where nothing can be said there are beeps."""

    def price(self, announce: ev.Announce, told: Callable[[bytes], object]) -> None:
        """Have the price said: `told` gets the samples on the control loop, now or within seconds."""
        ...

    def warning(self, seconds: float) -> bytes:
        """Make a beep and a word: a call ends in so many seconds."""
        ...


class Silence:
    """`MoneySpeech` for a line that has none: prices and ends come unsaid."""

    def price(self, announce: ev.Announce, told: Callable[[bytes], object]) -> None:
        """Say nothing, at once."""
        del announce
        told(b"")

    def warning(self, seconds: float) -> bytes:
        """Beep nothing."""
        del seconds
        return b""


class Exchange(Protocol):
    """What a line orders from the switchboard."""

    def place(self, line: int, call: int, digits: str) -> None: ...  # noqa: D102
    def proceed(self, line: int, call: int) -> None: ...  # noqa: D102
    def enter_pin(self, line: int, call: int, pin: str) -> None: ...  # noqa: D102
    def answer(self, line: int, call: int) -> None: ...  # noqa: D102
    def refuse(self, line: int, call: int, *, busy: bool) -> None: ...  # noqa: D102
    def hang_up(self, line: int, call: int) -> None: ...  # noqa: D102
    def connect(self, line: int, call: int) -> None: ...  # noqa: D102
    def disconnect(self, line: int, call: int) -> None: ...  # noqa: D102
    def hold(self, line: int, call: int) -> None: ...  # noqa: D102
    def resume(self, line: int, call: int) -> None: ...  # noqa: D102
    def send_digit(self, line: int, call: int, digit: str, *, pulse: bool) -> None: ...  # noqa: D102
    def tones_wanted(self, line: int, call: int) -> bool: ...  # noqa: D102
    def use_service(self, line: int, code: str) -> None: ...  # noqa: D102


class Guest(Protocol):
    """Who has the handset for a while before the line machine has it: the line doctor."""

    def takes(self, event: ev.LineEvent) -> bool:
        """Deal with `event`; False leaves it to the line machine."""
        ...


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """What the page shows of a line."""

    line: int
    state: str
    off_hook: bool
    ringing: bool
    outlook: str
    party: str | None
    fault: str | None


class Handset:
    """A line with its telephone, from contact to command."""

    def __init__(
        self,
        line: int,
        *,
        port: FxsPort,
        voice: HandsetVoice,
        hook: HookDecoder,
        ringer: Ringer,
        machine: LineMachine,
        scheduler: Scheduler,
        caller_id: Callable[[ev.Caller], bytes | None],
        speech: Callable[[ev.Words, str], bytes | None],
        changed: Callable[[LineSnapshot], None],
        off_hook_id: Callable[[ev.Caller], OffHookId | None] = lambda _: None,
        lamp: Callable[[bool], bytes | None] = lambda _: None,
        waiting: WaitingSettings | None = None,
        money: MoneySpeech | None = None,
    ) -> None:
        self.line = line
        self.machine = machine
        self._port = port
        self._voice = voice
        self._hook = HookWatch(line, port=port, hook=hook, scheduler=scheduler, told=self._hook_events)
        self._scheduler = scheduler
        self._speech = speech
        self._money: MoneySpeech = money or Silence()
        self._sounds = 0  # how often what the handset hears was changed
        self._changed = changed
        self._exchange: Exchange | None = None
        self._timers: dict[ev.Timer, Cancellable] = {}
        self._off_hook = False
        self._bell = HandsetBell(
            line,
            port=port,
            voice=voice,
            ringer=ringer,
            scheduler=scheduler,
            caller_id=caller_id,
            lamp=lamp,
            power=self._power,
            idle=lambda: self.idle,
            ring_trip=lambda on: self._hook.set_ringing(ringing=on),
        )
        self._waiting = WaitingCaller(voice, scheduler, off_hook_id, waiting)
        self._parties: dict[int, str | None] = {}
        self._party: str | None = None
        self._outlook = ev.Outlook.READY
        self._fault: str | None = None
        self._told: LineSnapshot | None = None
        self._deaf = True
        self._talking: int | None = None  # the call that has the voice
        self.guest: Guest | None = None
        # The contact's edges since the handset was last down, bounce and all, for the line doctor.
        self.edges: deque[LoopEdge] = deque(maxlen=_EDGES_KEPT)

    def join(self, exchange: Exchange) -> None:
        """Say who places this line's calls. Once, before any event."""
        self._exchange = exchange
        self._hook.start()

    # --- from the line -------------------------------------------------------------------

    def port_event(self, event: PortEvent) -> None:
        """Take an edge, a fault or a return of the port, on the control loop."""
        match event:
            case LoopEdge(closed, at):
                self.edges.append(event)
                self._hook.edge(closed, at)
                if self._hook.pulsing and self.machine.state in _AWAITING_DIGITS:
                    self._voice.play_nothing()  # as an exchange does, at the first pulse
            case DigitEvent(digit, _):
                self._dialled(digit)
            case LineFault(detail, _):
                self._fault = detail
                _log.warning("line %d: %s", self.line, detail)
                self._hook.level(False)  # noqa: FBT003 - the level: nothing is there
            case LineRestored(closed, _):
                self._fault = None
                self._bell.rested()
                self._hook.level(closed)
        self._tell()

    def digit(self, digit: str) -> None:
        """Take a DTMF digit of the software detector, on the control loop; a hat that hears them is believed alone."""
        if not self._hat_hears:
            self._dialled(digit)

    @property
    def _hat_hears(self) -> bool:
        return Capability.DIGITS in self._port.capabilities

    def _dialled(self, digit: str) -> None:
        if not self._waiting.digit(digit) and not self._deaf:
            self._hook.end_digit()  # mixed dialling: a rotary digit still waits for its pause
            self.feed(ev.DigitDialled(digit))

    def speech_ended(self) -> None:
        """Take the end of played samples, on the control loop."""
        if not self._waiting.ended():
            self.feed(ev.SpeechEnded())

    def _hook_events(self, events: Sequence[HookEvent]) -> None:
        for event in events:
            match event:
                case HookUp():
                    self._off_hook = True
                    self._bell.lifted()
                    self._voice.reset()
                    self._power()
                    self.feed(ev.OffHook())
                case HookDown():
                    self._off_hook = False
                    self._talking = None
                    self._voice.close()  # first: hanging up may make it ring for another caller
                    self.feed(ev.OnHook())
                    self.edges.clear()
                case HookFlash():
                    self.feed(ev.Flash())
                case PulseDigit(digit=digit):
                    self.feed(ev.DigitDialled(digit, pulse=True))
                case PulsesUnclear():
                    self.feed(ev.DigitUnclear())

    def _power(self) -> None:
        """Open the voice path; a sound card that is not there must not cost the call its signalling."""
        try:
            self._voice.open()
        except OSError as error:
            _log.error("line %d: no voice: %s", self.line, error)

    # --- from the calls ------------------------------------------------------------------

    def feed(self, event: ev.LineEvent) -> None:
        """Let the line machine have `event`, and do what it orders; a guest is asked first."""
        if self.guest is not None and self.guest.takes(event):
            self._tell()
            return
        if isinstance(event, ev.OutlookChanged):
            self._outlook = event.outlook
        if isinstance(event, ev.MessagesChanged):
            self._bell.messages(waiting=event.waiting)
        elif isinstance(event, ev.Offered):
            self._parties[event.call] = event.caller.name or event.caller.number
        before = self.machine.state
        for command in self.machine.handle(event, self._scheduler.time()):
            self._do(command)
        if self.machine.state is LineState.IDLE is not before:
            self._bell.rested()
        self._tell()

    def _do(self, command: ev.LineCommand) -> None:
        exchange = self._exchange
        assert exchange is not None  # noqa: S101 - joined before any event
        if isinstance(command, ev.PlayTone | ev.Speak | ev.SpeakPrice | ev.PlayNothing):
            self._sounds += 1
        match command:
            case ev.PlayTone(tone):
                self._voice.play_tone(tone.value)
            case ev.Speak(words, digits):
                self._speak(words, digits)
            case ev.SpeakPrice(announce):
                self._voice.play_nothing()
                self._money.price(announce, partial(self._play_price, self._sounds))
            case ev.Warn(seconds):
                self._voice.mix(self._money.warning(seconds))
            case ev.PlayNothing():
                self._voice.play_nothing()
            case ev.ListenForDigits(on):
                self._deaf = not on
                self._voice.listen(on=on and not self._hat_hears, mute=False)
            case ev.StartRinging(caller, pattern):
                self._bell.start(caller, pattern)
            case ev.StopRinging():
                self._bell.stop(off_hook=self._off_hook)
            case ev.SetPolarity(reverse):
                self._port.set_polarity(reverse=reverse)
            case ev.ConnectVoice(call):
                self._talking = call
                self._voice.listen(on=True, mute=not exchange.tones_wanted(self.line, call))
                self._deaf = False
                exchange.connect(self.line, call)
            case ev.SignalWaiting(caller):
                self._waiting.begin(caller)
            case ev.StopWaiting():
                self._waiting.end()
            case ev.StartTimer(timer, seconds):
                self._forget(timer)
                self._timers[timer] = self._scheduler.call_at(
                    self._scheduler.time() + seconds, self._timer_fired, timer
                )
            case ev.StopTimer(timer):
                self._forget(timer)
            case _:
                self._order(exchange, command)

    def _order(self, exchange: Exchange, command: ev.LineCommand) -> None:
        """What the switchboard is to do."""
        match command:
            case ev.PlaceCall(call, digits):
                self._parties[call] = digits
                exchange.place(self.line, call, digits)
            case ev.Proceed(call):
                exchange.proceed(self.line, call)
            case ev.EnterPin(call, pin):
                exchange.enter_pin(self.line, call, pin)
            case ev.UseService(code):
                exchange.use_service(self.line, code)
            case ev.AnswerCall(call):
                exchange.answer(self.line, call)
            case ev.RefuseCall(call, busy):
                exchange.refuse(self.line, call, busy=busy)
            case ev.HangUp(call):
                exchange.hang_up(self.line, call)
            case ev.DisconnectVoice(call):
                self._voice.mix(b"")
                self._talking = None if self._talking == call else self._talking
                exchange.disconnect(self.line, call)
            case ev.HoldCall(call):
                exchange.hold(self.line, call)
            case ev.ResumeCall(call):
                exchange.resume(self.line, call)
            case ev.SendDigit(call, digit, pulse):
                exchange.send_digit(self.line, call, digit, pulse=pulse)
            case _:
                pass

    def _speak(self, words: ev.Words, digits: str) -> None:
        speech = self._speech(words, digits)
        if speech is None:  # not rendered (yet): the tone that follows must do
            self._scheduler.call_at(self._scheduler.time(), self.speech_ended)
        else:
            self._voice.play_samples(speech)

    def _play_price(self, turn: int, pcm: bytes) -> None:
        """What was made of a price, unless the handset hears something else by now."""
        if turn != self._sounds:
            return
        if pcm:
            self._voice.play_samples(pcm)
        else:
            self._scheduler.call_at(self._scheduler.time(), self._price_unsaid, turn)

    def _price_unsaid(self, turn: int) -> None:
        if turn == self._sounds:
            self.feed(ev.SpeechEnded())

    def _forget(self, timer: ev.Timer) -> None:
        running = self._timers.pop(timer, None)
        if running is not None:
            running.cancel()

    def _timer_fired(self, timer: ev.Timer) -> None:
        self._timers.pop(timer, None)
        self.feed(ev.TimerFired(timer))

    def speak(self, words: ev.Words, digits: str = "") -> None:
        """Let a service answer in words, into whatever the handset hears."""
        if self._off_hook:
            self._speak(words, digits)

    def play(self, pcm: bytes) -> None:
        """Play samples into the lifted handset, in place of whatever it hears."""
        if self._off_hook:
            self._voice.play_samples(pcm)

    def tones_wanted(self, call: int, *, wanted: bool) -> None:
        """Leave the tones of keys in the voice of the call that is connected, or take them out of it."""
        if call == self._talking and self._off_hook:
            self._voice.listen(on=True, mute=not wanted)

    def sound_digit(self, call: int, digit: str) -> None:
        """Let the far end of the connected call hear a digit's tone."""
        if call == self._talking and self._off_hook:
            self._voice.sound_digit(digit)

    def hush(self) -> None:
        """Let the handset hear nothing of the box."""
        self._voice.play_nothing()

    @property
    def off_hook(self) -> bool:
        """Whether the handset is lifted."""
        return self._off_hook

    @property
    def idle(self) -> bool:
        """Whether the line could ring now. A call that is only suspended keeps it."""
        free = not self._off_hook and not self._bell.ringing and self._fault is None
        return free and self.machine.state is LineState.IDLE

    # --- for the page --------------------------------------------------------------------

    def snapshot(self) -> LineSnapshot:
        """Say how the line is, in a value that any thread may keep."""
        return LineSnapshot(
            line=self.line,
            state=self.machine.state.value,
            off_hook=self._off_hook,
            ringing=self._bell.ringing,
            outlook=self._outlook.value,
            party=self._party if self.machine.state not in _ALONE else None,
            fault=self._fault,
        )

    def _tell(self) -> None:
        calls = {self.machine.call, self.machine.other}
        self._parties = {call: party for call, party in self._parties.items() if call in calls}
        if self.machine.call is not None:
            self._party = self._parties.get(self.machine.call)
        snapshot = self.snapshot()
        if snapshot != self._told:
            self._told = snapshot
            self._changed(snapshot)

    def shut(self) -> None:
        """Ring off and voice closed, at the end of the process."""
        self._hook.stop()
        self._bell.shut()
        self._voice.close()
