"""Timed loop edges to what the hand did: lift, hang up, flash (R key), rotary digits. Pure.

Theory of operation. A `_Contact` cleans the raw edges: a new level counts, from its first edge on,
once it has lasted as long as the situation asks (a lift bounces up to 30 ms, a dial's contact
5 ms). Above it stand three states:

  ON_HOOK   loop open. A closed loop, stable, is a lift; while ringing (ring trip) closed time is
            summed over a window instead, because ring current chops the loop.
  OFF_HOOK  loop closed. Breaks seen before count as pulses until the loop stays closed for
            `interdigit_ms`: then they are a digit.
  BREAK     loop open since `_since`. Closing after less than `pulse_min_ms` is bounce, below the
            flash window a pulse, inside it a flash; staying open beyond it is hanging up.

With pulse dialling the flash window begins at 120 ms at least, so that a rotary 1 (one break of
some 66 ms, 95 on a worn dial at 7 per second) is never a flash, and every break below it is a pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from firmware.fxs.country import Country

PULSE_FLASH_FLOOR_MS = 120.0
_EPSILON = 1e-6
MAX_PULSES = 10


@dataclass(frozen=True, slots=True)
class HookUp:
    """The handset was lifted; `at` is when that was certain (after debounce)."""

    at: float


@dataclass(frozen=True, slots=True)
class HookDown:
    """The handset was hung up: the loop stayed open longer than any flash; `at` is that moment."""

    at: float


@dataclass(frozen=True, slots=True)
class HookFlash:
    """The R key, told when the loop had closed again for good."""

    at: float


@dataclass(frozen=True, slots=True)
class PulseDigit:
    """A rotary digit (`0` is ten pulses), told once the inter-digit pause was certain."""

    digit: str
    at: float


HookEvent = HookUp | HookDown | HookFlash | PulseDigit


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Times in milliseconds. `flash_ms` is the window as applied; build it with `for_country`."""

    flash_ms: tuple[float, float] = (PULSE_FLASH_FLOOR_MS, 600.0)
    pulse: bool = True
    pulse_min_ms: float = 20.0
    interdigit_ms: float = 200.0
    lift_stable_ms: float = 16.0
    contact_stable_ms: float = 5.0
    closing_bounce_ms: float = 30.0
    trip_closed_ms: float = 40.0
    trip_window_ms: float = 160.0

    def __post_init__(self) -> None:
        low, high = self.flash_ms
        if not self.pulse_min_ms < low < high:
            msg = f"flash window {low} to {high} ms: must rise, above the shortest pulse ({self.pulse_min_ms} ms)"
            raise ValueError(msg)
        if self.pulse and low < PULSE_FLASH_FLOOR_MS:
            msg = f"flash window from {low} ms: with pulse dialling it begins at {PULSE_FLASH_FLOOR_MS:.0f} ms or later"
            raise ValueError(msg)
        if not 0 < self.contact_stable_ms < self.pulse_min_ms:
            msg = f"contact_stable_ms {self.contact_stable_ms}: must be above 0 and below {self.pulse_min_ms}"
            raise ValueError(msg)
        if not 0 < self.trip_closed_ms <= self.trip_window_ms:
            msg = f"trip_closed_ms {self.trip_closed_ms}: must be above 0, at most {self.trip_window_ms}"
            raise ValueError(msg)

    @classmethod
    def for_country(cls, country: Country, *, pulse: bool = True) -> HookSettings:
        """The country's flash window, its lower end raised where pulse dialling needs it."""
        low, high = country.flash_ms
        floor = PULSE_FLASH_FLOOR_MS if pulse else 0.0
        return cls(flash_ms=(max(float(low), floor), float(high)), pulse=pulse)


class _State(Enum):
    ON_HOOK = "on-hook"
    OFF_HOOK = "off-hook"
    BREAK = "break"


class _Contact:
    """Debounce on timestamps: `level` changes once another has lasted, `changed` is that change's first edge."""

    def __init__(self) -> None:
        self.level = False
        self.raw = False
        self.raw_since = 0.0
        self._first: float | None = None

    def edge(self, closed: bool, at: float) -> None:  # noqa: FBT001 - the level is the value
        """The contact made or broke at `at`."""
        if closed == self.raw:
            return
        self.raw, self.raw_since = closed, at
        if closed != self.level and self._first is None:
            self._first = at

    def due(self, stable: float) -> float | None:
        """When the raw level will have lasted; None when nothing is under way."""
        return None if self._first is None else self.raw_since + stable

    def settle(self, at: float, stable: float) -> float | None:
        """The first edge of a change that is certain by `at`, or None."""
        if self._first is None or at + _EPSILON < self.raw_since + stable:
            return None
        first, self._first = self._first, None
        if self.raw == self.level:
            return None  # it bounced and fell back
        self.level = self.raw
        return first


class HookDecoder:
    """One line's hook. Give it every edge and a `tick` at `next_deadline()`; times are monotonic seconds.

    Late ticks are harmless: every decision goes by the edges' own times, not by when it was asked.
    """

    def __init__(self, settings: HookSettings | None = None) -> None:
        self._settings = settings or HookSettings()
        self._contact = _Contact()
        self._state = _State.ON_HOOK
        self._since = 0.0
        self._closed_at = 0.0
        self._pulses = 0
        self._now = 0.0
        self._ringing = False
        self._closed_spans: list[tuple[float, float]] = []

    @property
    def off_hook(self) -> bool:
        """Whether the handset counts as lifted (a break under way does not change that)."""
        return self._state is not _State.ON_HOOK

    @property
    def pulsing(self) -> bool:
        """Whether a rotary digit is under way: dial tone may stop at its first pulse."""
        return self._pulses > 0

    def set_ringing(self, *, ringing: bool) -> None:
        """Ring voltage is (not) on the line: ring-trip rules for a lift. Ask `next_deadline` again: it may be due."""
        self._ringing = ringing
        self._closed_spans.clear()

    def handle(self, edge_closed: bool, at: float) -> list[HookEvent]:  # noqa: FBT001 - the edge's level
        """One raw edge, bounce included. An edge older than the last is taken as of then."""
        at = max(at, self._now)
        events = self.tick(at)
        if self._contact.raw and not edge_closed and self._ringing:
            self._closed_spans.append((self._contact.raw_since, at))
        self._contact.edge(edge_closed, at)
        return events

    def resync(self, closed: bool, now: float) -> list[HookEvent]:  # noqa: FBT001 - the level read
        """The loop's level as read at `now`: repairs a lost edge."""
        return self.handle(closed, now)

    def next_deadline(self) -> float | None:
        """When to `tick` next if no edge comes; None when nothing can happen without one."""
        candidates = [due for due in (self._contact_due(), self._state_due()) if due is not None]
        return min(candidates, default=None)

    def tick(self, now: float) -> list[HookEvent]:
        """Everything that is certain by `now`, in order of time."""
        self._now = max(self._now, now)
        events: list[HookEvent] = []
        while True:
            contact, state = self._contact_due(), self._state_due()
            if contact is not None and contact <= self._now + _EPSILON and (state is None or contact <= state):
                self._settle(contact, events)
            elif state is not None and state <= self._now + _EPSILON:
                self._run_out(state, events)
            else:
                return events

    def _contact_due(self) -> float | None:
        if self._ringing and self._state is _State.ON_HOOK and not self._contact.level:
            return self._trip_due()
        return self._contact.due(self._stable())

    def _stable(self) -> float:
        ms = self._settings.contact_stable_ms if self.off_hook else self._settings.lift_stable_ms
        return ms / 1000

    def _trip_due(self) -> float | None:
        """When closed time within the window will be enough, if the loop is closed and stays so."""
        if not self._contact.raw:
            return None
        begin = self._contact.raw_since
        needed = self._settings.trip_closed_ms / 1000
        window = self._settings.trip_window_ms / 1000
        self._closed_spans = [span for span in self._closed_spans if span[1] > begin - window]
        for start, end in self._closed_spans:
            # What lies before the window, as of the present closing, no longer counts.
            needed -= max(0.0, end - max(start, begin - window))
        return begin + max(0.0, needed)

    def _state_due(self) -> float | None:
        """When the present state ends by itself."""
        if self._state is _State.BREAK:
            return self._since + self._settings.flash_ms[1] / 1000
        if self._state is _State.OFF_HOOK and self._pulses:
            return self._closed_at + self._settings.interdigit_ms / 1000
        return None

    def _settle(self, at: float, events: list[HookEvent]) -> None:
        if self._ringing and self._state is _State.ON_HOOK and not self._contact.level:
            first: float | None = self._contact.settle(at, 0.0)
            self._closed_spans.clear()
        else:
            first = self._contact.settle(at, self._stable())
        if first is None:
            return
        if self._state is _State.ON_HOOK:
            if self._contact.level:
                self._state, self._closed_at, self._pulses = _State.OFF_HOOK, first, 0
                events.append(HookUp(at))
        elif self._contact.level:
            self._close(first, at, events)
        else:
            self._state, self._since = _State.BREAK, first

    def _close(self, closed: float, at: float, events: list[HookEvent]) -> None:
        """The loop closed again at `closed`: what was that break?"""
        broken_ms = (closed - self._since) * 1000
        bouncing = (self._since - self._closed_at) * 1000 < self._settings.closing_bounce_ms and not self._pulses
        self._state = _State.OFF_HOOK
        if broken_ms + _EPSILON >= self._settings.flash_ms[0]:
            self._pulses = 0
            self._closed_at = closed
            events.append(HookFlash(at))
        elif broken_ms + _EPSILON < self._settings.pulse_min_ms or not self._settings.pulse:
            return
        elif bouncing and broken_ms < self._settings.closing_bounce_ms:
            return  # the cradle still chatters after a lift or a flash
        else:
            self._pulses += 1
            self._closed_at = closed

    def _run_out(self, at: float, events: list[HookEvent]) -> None:
        if self._state is _State.BREAK:
            self._state, self._pulses = _State.ON_HOOK, 0
            events.append(HookDown(at))
            return
        pulses, self._pulses = self._pulses, 0
        if pulses <= MAX_PULSES:
            events.append(PulseDigit(str(pulses % MAX_PULSES), at))
