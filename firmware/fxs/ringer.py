"""A country's ring cadence as timed steps: ring voltage on, off, and when caller ID is due. Pure.

The caller carries the steps out; what it must never forget, ring voltage off, comes out of `stop`
every time the ringer was running.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.fxs.country import RingSpec

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class RingOn:
    """Put ring voltage of this frequency on the line."""

    frequency_hz: float


@dataclass(frozen=True, slots=True)
class RingOff:
    """Take ring voltage off the line."""


@dataclass(frozen=True, slots=True)
class CallerIdDue:
    """The silence in which the telephone listens for the caller has come: send it now."""


RingStep = RingOn | RingOff | CallerIdDue


class Ringer:
    """One line's ringing. Times are monotonic seconds; `tick` at `next_deadline()`."""

    def __init__(self, ring: RingSpec) -> None:
        self._ring = ring
        self._cadence: tuple[int, ...] = ring.cadence_ms
        self._phase = 0
        self._phase_ends: float | None = None
        self._caller_id_at: float | None = None
        self._caller_id_owed = False

    @property
    def ringing(self) -> bool:
        """Between `start` and `stop`, silences included."""
        return self._phase_ends is not None

    @property
    def voltage(self) -> bool:
        """Whether ring voltage is on, by the steps handed out."""
        return self.ringing and self._phase % 2 == 0

    def start(self, now: float, pattern: str = "normal") -> list[RingStep]:
        """Begin to ring, in the country's own cadence or in a distinctive `pattern` (unknown: its own)."""
        steps = self.stop(now)
        self._cadence = self._ring.patterns.get(pattern, self._ring.cadence_ms)
        if self._ring.caller_id_first:
            # A silent phase before the first ring, numbered -1.
            self._phase, self._phase_ends = -1, now + self._ring.caller_id_lead_ms / 1000
            self._caller_id_owed = False
            return [*steps, CallerIdDue()]
        self._phase, self._phase_ends = 0, now + self._cadence[0] / 1000
        self._caller_id_owed = True
        return [*steps, RingOn(self._ring.frequency_hz)]

    def stop(self, now: float) -> list[RingStep]:  # noqa: ARG002 - all of a machine's inputs carry their time
        """Stop, wherever the cadence is. Empty when the ringer was not running."""
        if self._phase_ends is None:
            return []
        self._phase_ends = self._caller_id_at = None
        return [RingOff()]

    def next_deadline(self) -> float | None:
        """When the next step is due; None when not ringing."""
        if self._phase_ends is None:
            return None
        return self._phase_ends if self._caller_id_at is None else min(self._phase_ends, self._caller_id_at)

    def tick(self, now: float) -> list[RingStep]:
        """Steps that are due by `now`. After a long sleep the cadence goes on from `now`, without a flurry."""
        steps: list[RingStep] = []
        if self._phase_ends is not None and now - self._phase_ends > sum(self._cadence) / 1000:
            self._phase_ends, self._caller_id_at = now, None
        while (due := self.next_deadline()) is not None and due <= now + _EPSILON:
            if due == self._caller_id_at:
                self._caller_id_at = None
                if self._phase_ends is not None and self._phase_ends > now:  # else the next ring has come: too late
                    steps.append(CallerIdDue())
            else:
                steps.append(self._advance(due))
        return steps

    def _advance(self, at: float) -> RingStep:
        """From one phase of the cadence into the next."""
        self._phase = (self._phase + 1) % len(self._cadence)
        self._phase_ends = at + self._cadence[self._phase] / 1000
        if self._phase % 2 == 0:
            return RingOn(self._ring.frequency_hz)
        if self._phase == len(self._cadence) - 1 and self._caller_id_owed:
            self._caller_id_owed = False
            self._caller_id_at = at + self._ring.caller_id_delay_ms / 1000
        return RingOff()
