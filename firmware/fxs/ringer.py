"""A country's ring as timed steps: ring voltage on and off, the battery's polarity, and when the caller's message
is due. Pure.

Before the first ring comes what the country's telephones wait for (`CallerIdSpec.alert`): a polarity reversal,
a short ring pulse, or nothing but the sound of the message itself, and the message, whose length the caller of
`start` tells. Where the caller is shown after the first ring, the message waits for the first silence that is
long enough for it. `announce` sends a message without ringing (message waiting).

The caller carries the steps out; what it must never forget, ring voltage off and the battery turned back, comes
out of `stop` every time the ringer was running.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from firmware.fxs.country import Alert, CallerIdSpec, RingSpec

_EPSILON = 1e-6
_SETTLE = 0.1
"""Before a message that nothing precedes: the voice path wakes meanwhile."""
_TAIL = 0.05
"""A message leaves a voice path so much after it was ordered, at most; the battery is not turned under its end."""
_REST = 0.3
"""After a message without a ring, before the voice path sleeps: one that woke late has not come to its end."""
_LATE = 0.1
"""So much of the silence after the message may be lost to a busy machine."""


@dataclass(frozen=True, slots=True)
class RingOn:
    """Put ring voltage of this frequency on the line."""

    frequency_hz: float


@dataclass(frozen=True, slots=True)
class RingOff:
    """Take ring voltage off the line."""


@dataclass(frozen=True, slots=True)
class Polarity:
    """Turn the battery round, or back. On a hat that cannot, nothing happens (`CallerIdSpec.fitting`)."""

    reverse: bool


@dataclass(frozen=True, slots=True)
class Wake:
    """Keep the voice path awake: a message is being sent, or about to be."""


@dataclass(frozen=True, slots=True)
class CallerIdDue:
    """The moment in which the telephone listens for the message has come: send it now."""


@dataclass(frozen=True, slots=True)
class AnnouncementOver:
    """What `announce` sent is on the display: the line rests again."""


RingStep = RingOn | RingOff | Polarity | Wake | CallerIdDue | AnnouncementOver


class Ringer:
    """One line's ringing. Times are monotonic seconds, `message_ms` milliseconds; `tick` at `next_deadline()`."""

    def __init__(self, ring: RingSpec, caller_id: CallerIdSpec | None = None) -> None:
        self._ring = ring
        self._spec = caller_id or CallerIdSpec()
        self._cadence: tuple[int, ...] = ring.cadence_ms
        # What comes before the cadence: each step so many seconds after the one before it.
        self._prelude: deque[tuple[float, RingStep]] = deque()
        self._prelude_at: float | None = None
        self._phase = -1
        self._phase_ends: float | None = None
        # Seconds of the message that waits for a silence, and when it is to be sent in this one.
        self._owed = 0.0
        self._owed_at: float | None = None
        self._voltage = self._reversed = False

    @property
    def ringing(self) -> bool:
        """Between `start` and `stop`, silences and what precedes the first ring included."""
        return self._phase_ends is not None

    @property
    def announcing(self) -> bool:
        """Between `announce` and its end."""
        return self._phase_ends is None and self._prelude_at is not None

    @property
    def voltage(self) -> bool:
        """Whether ring voltage is on, by the steps handed out."""
        return self._voltage

    def start(self, now: float, pattern: str = "normal", message_ms: float = 0) -> list[RingStep]:
        """Begin to ring, in the country's own cadence or in a distinctive `pattern` (unknown: its own).

        `message_ms`: how long what is sent at `CallerIdDue` lasts; 0: nobody is shown, none is due.
        """
        steps = self.stop(now)
        self._cadence = self._ring.patterns.get(pattern, self._ring.cadence_ms)
        self._phase, self._phase_ends = -1, now
        if message_ms and self._spec.before_ring:
            self._precede(self._spec.alert, message_ms / 1000, now)
        else:
            self._owed = message_ms / 1000
        return steps + self.tick(now)

    def announce(self, now: float, message_ms: float) -> list[RingStep]:
        """Send a message of that length without ringing. Nothing while it rings, or without a message."""
        if self.ringing or message_ms <= 0:
            return []
        steps = self.stop(now)
        self._precede(self._spec.waiting_alert, message_ms / 1000, now)
        self._prelude.append((_REST, AnnouncementOver()))
        return steps + self.tick(now)

    def stop(self, now: float) -> list[RingStep]:  # noqa: ARG002 - all of a machine's inputs carry their time
        """Stop, wherever it is. Empty when the ringer was not running."""
        if self.next_deadline() is None:
            return []
        turn_back = [Polarity(reverse=False)] if self._reversed else []
        self._phase_ends = self._prelude_at = self._owed_at = None
        self._prelude.clear()
        self._owed = 0.0
        self._voltage = self._reversed = False
        return [RingOff(), *turn_back]

    def next_deadline(self) -> float | None:
        """When the next step is due; None when there is nothing to do."""
        if self._prelude_at is not None:
            return self._prelude_at
        if self._phase_ends is None:
            return None
        return self._phase_ends if self._owed_at is None else min(self._phase_ends, self._owed_at)

    def tick(self, now: float) -> list[RingStep]:
        """Steps that are due by `now`. After a long sleep the cadence goes on from `now`, without a flurry."""
        steps: list[RingStep] = []
        while self._prelude_at is not None and self._prelude_at <= now + _EPSILON:
            steps.append(self._next_of_prelude(now))
        if self._prelude_at is not None or self._phase_ends is None:
            return steps
        if now - self._phase_ends > sum(self._cadence) / 1000:
            self._phase_ends, self._owed_at = now, None
        while (due := self.next_deadline()) is not None and due <= now + _EPSILON:
            if due != self._owed_at:
                steps.append(self._advance(due))
                continue
            self._owed_at = None
            # Too late for this silence, the message waits for the next that is long enough.
            if now + self._owed + self._spec.guard_ms / 1000 <= self._phase_ends + _LATE:
                self._owed = 0.0
                steps.append(CallerIdDue())
        return steps

    # --- before the first ring -----------------------------------------------------------------------------

    def _precede(self, alert: Alert, message: float, now: float) -> None:
        """Plan the alert, the message of so many seconds, and the battery's return after it."""
        spec, over = self._spec, message + _TAIL
        if alert.startswith("reversal"):
            self._prelude += [(0.0, Wake()), (_SETTLE, Polarity(reverse=True))]
            self._prelude += [(spec.reversal_ms / 1000, CallerIdDue()), (over, Polarity(reverse=False))]
        elif alert == "ring-pulse":
            self._prelude += [(0.0, RingOn(self._ring.frequency_hz)), (spec.pulse_ms / 1000, RingOff())]
            # While there is ring voltage on the line a hat's voice path is no place to be.
            self._prelude += [(0.0, Wake()), (spec.pulse_gap_ms / 1000, CallerIdDue()), (over, Wake())]
        else:
            self._prelude += [(0.0, Wake()), (_SETTLE, CallerIdDue()), (over, Wake())]
        self._prelude_at = now

    def _next_of_prelude(self, now: float) -> RingStep:
        """The step that is due. What follows keeps its distance from it, however late it was."""
        _, step = self._prelude.popleft()
        self._note(step)
        if self._prelude:
            self._prelude_at = now + self._prelude[0][0]
        else:
            self._prelude_at = None
            if self._phase_ends is not None:
                self._phase_ends = now + max(0.0, self._spec.lead_ms / 1000 - _TAIL)
        return step

    # --- the cadence ---------------------------------------------------------------------------------------

    def _advance(self, at: float) -> RingStep:
        """From one phase of the cadence into the next."""
        self._phase = (self._phase + 1) % len(self._cadence)
        silence = self._cadence[self._phase] / 1000
        self._phase_ends = at + silence
        if self._phase % 2 == 0:
            return self._note(RingOn(self._ring.frequency_hz))
        if self._owed:
            self._find_room(at, silence)
        return self._note(RingOff())

    def _find_room(self, at: float, silence: float) -> None:
        """Let the message follow this burst if the silence after it is long enough. Where none of the cadence's
        is, its last one is stretched, once: who calls is worth more than the rhythm.
        """
        delay, after = self._spec.delay_ms / 1000, self._spec.guard_ms / 1000
        needed = delay + self._owed + after
        longest = max(self._cadence[1::2]) / 1000
        if silence < needed:
            if longest >= needed or self._phase != len(self._cadence) - 1:
                return
            self._phase_ends = at + needed
        self._owed_at = at + delay

    def _note(self, step: RingStep) -> RingStep:
        """Remember what the line is left with."""
        match step:
            case RingOn():
                self._voltage = True
            case RingOff():
                self._voltage = False
            case Polarity(reverse):
                self._reversed = reverse
        return step
