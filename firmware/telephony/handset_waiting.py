"""A second caller at one line's handset: the pure signal (`fxs.waiting`), the voice and the loop's timer as one.

Runs on the control loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from firmware.fxs.waiting import (
    CallerWaits,
    DigitHeard,
    NobodyWaits,
    Piece,
    PieceEnded,
    RepeatTone,
    RestoreVoice,
    SendPiece,
    TimePassed,
    WaitingEvent,
    WaitingSettings,
    WaitingSignal,
)
from firmware.telephony import events as ev
from firmware.telephony.scheduling import Cancellable, Scheduler

_TONE = ev.Tone.CALL_WAITING.value


class WaitingVoice(Protocol):
    """What the signal needs of the line's voice."""

    def play_tone(self, name: str) -> None:
        """Play a country tone for ever."""
        ...

    def play_nothing(self) -> None:
        """Let the far voice pass."""
        ...

    def interrupt(self, pcm: bytes, wait_ms: int) -> None:
        """Cut both directions, play samples and wait for a digit."""
        ...


@dataclass(frozen=True, slots=True)
class OffHookId:
    """Who waits, as samples (8 kHz, 16 bit): tone and CAS, which ask the telephone, and what it is then sent."""

    alert: bytes
    message: bytes


class WaitingCaller:
    """`shown` makes the samples of a caller; None: he cannot or shall not be shown off-hook."""

    def __init__(
        self,
        voice: WaitingVoice,
        scheduler: Scheduler,
        shown: Callable[[ev.Caller], OffHookId | None],
        settings: WaitingSettings | None = None,
    ) -> None:
        self._voice = voice
        self._scheduler = scheduler
        self._shown = shown
        self._signal = WaitingSignal(settings)
        self._samples: OffHookId | None = None
        self._timer: Cancellable | None = None

    def begin(self, caller: ev.Caller) -> None:
        """He waits from now on."""
        self._samples = self._shown(caller)
        self._feed(CallerWaits(self._samples is not None))

    def end(self) -> None:
        """He does not any more."""
        self._feed(NobodyWaits())
        self._samples = None

    def digit(self, digit: str) -> bool:
        """Whether a digit that was heard belongs to the signal, and to nobody else."""
        swallowed = self._signal.swallows(digit, self._scheduler.time())
        self._feed(DigitHeard(digit))
        return swallowed

    def ended(self) -> bool:
        """Whether an end of played samples belongs to the signal."""
        cutting = self._signal.cutting
        if cutting:
            self._feed(PieceEnded())
        return cutting

    def _feed(self, event: WaitingEvent) -> None:
        for command in self._signal.handle(event, self._scheduler.time()):
            match command:
                case SendPiece(piece, wait) if self._samples is not None:
                    pcm = self._samples.alert if piece is Piece.ALERT else self._samples.message
                    self._voice.interrupt(pcm, round(1000 * wait))
                case RepeatTone():
                    self._voice.play_tone(_TONE)
                case RestoreVoice():
                    self._voice.play_nothing()
                case _:
                    pass
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._signal.next_deadline()
        if due is not None:
            self._timer = self._scheduler.call_at(due, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._feed(TimePassed())
