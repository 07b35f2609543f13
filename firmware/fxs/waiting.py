"""The call-waiting signal into a call, with the second caller's number off-hook. Pure.

Theory of operation
-------------------
A second caller is told by the country's call-waiting tone (SAS) over the voice, repeated for as long as he
waits (REPEATING). A caller who can be shown begins with an ALERT: the tone, then the alerting signal (CAS:
2130 + 2750 Hz, 80 ms), then a wait in which a telephone that has a display answers with a DTMF D, some with
an A. It has muted itself by then, and is sent the MESSAGE (FSK without channel seizure). Both speech
directions are cut from the first sample of a piece to the end of its wait: the handset must not speak over
it, and the far end hears none of it. Without an answer in time the voice is back at once. Either way the
tone returns by the country's cadence, counted from its first beginning, and the telephone is not asked again.
(ETSI EN 300 659-2; Bellcore GR-575, SR-3004.)

The waits within a piece are counted in samples by the voice (`LineVoice.interrupt`), which also extends
them once it has heard a digit: the end of a wait and an answer cannot cross. The deadlines here are the
cadence's, and a guard against a voice that never tells the end of a piece.

The digits of a telephone that answers are nobody's: not dialled, and never sent to the far end
(`swallows`), not even when they are believed a little after the caller has given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

_EPSILON = 1e-6
_ANSWERS = frozenset("AD")
_LETTERS = frozenset("ABCD")


class WaitingState(Enum):
    """Where the signal is."""

    SILENT = "silent"
    ALERTING = "alerting"
    SENDING = "sending"
    PAUSING = "pausing"
    REPEATING = "repeating"


class Piece(Enum):
    """What cuts the voice: tone, CAS and the wait for an answer; or the message."""

    ALERT = "alert"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class CallerWaits:
    """A second caller waits. `shown`: there is a message of who he is."""

    shown: bool


@dataclass(frozen=True, slots=True)
class NobodyWaits:
    """He gave up, was taken, or the call is over."""


@dataclass(frozen=True, slots=True)
class PieceEnded:
    """The voice has come to the end of a piece and of its wait."""


@dataclass(frozen=True, slots=True)
class DigitHeard:
    """A DTMF digit from the telephone."""

    digit: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """`next_deadline()` has come."""


WaitingEvent = CallerWaits | NobodyWaits | PieceEnded | DigitHeard | TimePassed


@dataclass(frozen=True, slots=True)
class SendPiece:
    """Cut both speech directions, play this piece, and wait so many seconds for a digit to begin."""

    piece: Piece
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class RepeatTone:
    """Play the call-waiting tone over the voice, in its cadence, for ever."""


@dataclass(frozen=True, slots=True)
class RestoreVoice:
    """Nothing but the voice."""


WaitingCommand = SendPiece | RepeatTone | RestoreVoice


class _Cue(Enum):
    BEGIN = "caller waits"
    BEGIN_SHOWN = "caller waits, to be shown"
    ANSWER = "telephone answers"
    ENDED = "piece ended"
    TIME = "time"
    STOP = "nobody waits"


_S = WaitingState
_STOP: Mapping[_Cue, tuple[WaitingState, WaitingCommand | None]] = {_Cue.STOP: (_S.SILENT, RestoreVoice())}

_TABLE: Mapping[WaitingState, Mapping[_Cue, tuple[WaitingState, WaitingCommand | None]]] = {
    _S.SILENT: {
        _Cue.BEGIN: (_S.REPEATING, RepeatTone()),
        _Cue.BEGIN_SHOWN: (_S.ALERTING, SendPiece(Piece.ALERT)),
    },
    _S.ALERTING: {
        **_STOP,
        _Cue.ANSWER: (_S.SENDING, SendPiece(Piece.MESSAGE)),
        _Cue.ENDED: (_S.PAUSING, None),
        _Cue.TIME: (_S.REPEATING, RepeatTone()),
    },
    _S.SENDING: {
        **_STOP,
        _Cue.ENDED: (_S.PAUSING, None),
        _Cue.TIME: (_S.REPEATING, RepeatTone()),
    },
    _S.PAUSING: {
        **_STOP,
        _Cue.TIME: (_S.REPEATING, RepeatTone()),
    },
    _S.REPEATING: _STOP,
}


@dataclass(frozen=True, slots=True)
class WaitingSettings:
    """Seconds. `period`: of the call-waiting tone's cadence; `answer`: how long after the CAS a telephone's
    answer may begin (160 ms: GR-30, and what exchange line cards use); `guard`: the longest that a piece may take;
    `afterglow`: how long after a piece its answer may still be believed.
    """

    period: float = 10.3
    answer: float = 0.16
    guard: float = 5.0
    afterglow: float = 0.3


class WaitingSignal:
    """One line's. Times are monotonic seconds; give it `TimePassed` at `next_deadline()`."""

    def __init__(self, settings: WaitingSettings | None = None) -> None:
        self._settings = settings or WaitingSettings()
        self._began = 0.0
        self._cut_until = float("-inf")
        self._deadline: float | None = None
        self.state = WaitingState.SILENT

    @property
    def cutting(self) -> bool:
        """Whether a piece is being played: the ends of what is played belong to it."""
        return self.state in {WaitingState.ALERTING, WaitingState.SENDING}

    def next_deadline(self) -> float | None:
        """When time decides; None when it does not."""
        return self._deadline

    def swallows(self, digit: str, now: float) -> bool:
        """Whether a digit heard at `now` is the telephone's answer, or one that was cut off with the voice."""
        if self.cutting:
            return True
        return digit in _LETTERS and (self.state is not WaitingState.SILENT or now <= self._cut_until)

    def handle(self, event: WaitingEvent, now: float) -> list[WaitingCommand]:
        """Take `event` at `now`; what the voice is to do."""
        cue = self._cue(event, now)
        step = None if cue is None else _TABLE[self.state].get(cue)
        if step is None:
            return []
        cut = self.cutting
        if self.state is WaitingState.SILENT:
            self._began = now
        self.state, command = step
        if isinstance(command, SendPiece) and command.piece is Piece.ALERT:
            command = SendPiece(Piece.ALERT, self._settings.answer)
        if cut and not self.cutting:
            self._cut_until = now + self._settings.afterglow
        if self.cutting:
            self._deadline = now + self._settings.guard
        elif self.state is WaitingState.PAUSING:
            self._deadline = self._began + self._settings.period
        else:
            self._deadline = None
        return [] if command is None else [command]

    def _cue(self, event: WaitingEvent, now: float) -> _Cue | None:
        match event:
            case CallerWaits(shown):
                return _Cue.BEGIN_SHOWN if shown else _Cue.BEGIN
            case NobodyWaits():
                return _Cue.STOP
            case PieceEnded():
                return _Cue.ENDED
            case DigitHeard(digit):
                return _Cue.ANSWER if digit in _ANSWERS else None
            case TimePassed():
                due = self._deadline is not None and now + _EPSILON >= self._deadline
                return _Cue.TIME if due else None
