"""Timed loop edges to what the hand did: lift, hang up, flash (R key), rotary digits. Pure.

Theory of operation. A `Contact` cleans the raw edges: a new level counts, from its first edge on,
once it has lasted as long as the situation asks (a lift bounces up to 30 ms, a dial's contact
5 ms). Above it stand three states:

  ON_HOOK   loop open. A closed loop, stable, is a lift; while ringing (ring trip) closed time is
            summed over a window instead, because ring current chops the loop.
  OFF_HOOK  loop closed. Breaks seen before count as pulses until the loop stays closed for
            `interdigit_ms`: then they are a digit.
  BREAK     loop open since `_since`. Closing after less than `pulse_min_ms` is bounce, below the
            flash window a pulse, inside it a flash; staying open beyond it is hanging up.

With pulse dialling the flash window begins at 120 ms at least, so that a rotary 1 (one break of
some 66 ms, 100 on a worn dial at 7 per second) is never a flash, and every break below it is a pulse.

Times. Every decision goes by the edges' own times and falls at its own deadline, however late the
`tick` comes. An edge that was stamped before a tick and read after it (the line's reader waited for
its turn) takes that tick back, as far as it told nothing. Edges are believed in the order in which
they come: one older than the one before, or than the last event, is taken as of then, and none
lies in the future.

Lost edges. The same level twice, some time apart, says that an edge between was lost: a break or a
make that nobody saw is then counted (`hook_pulses`), or the digit is told as unclear. `resync` takes
the level as read from the line; it must be called before `tick` whenever something is due, since what
is due (hanging up, above all) may only look so for want of an edge.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from enum import Enum

from firmware.fxs.hook_contact import Contact
from firmware.fxs.hook_pulses import SLOWEST_SECONDS, PulseTrain
from firmware.fxs.hook_settings import HookSettings

__all__ = [
    "HookDecoder",
    "HookDown",
    "HookEvent",
    "HookFlash",
    "HookSettings",
    "HookUp",
    "PulseDigit",
    "PulsesUnclear",
]

_EPSILON = 1e-6
_TWIN_SECONDS = 0.01
"""The same level twice within less is chatter with an edge lost, no pulse: none is that short."""
_READ_LATE_SECONDS = 0.1
"""By so much a reading may be late and still tell a pulse that has just ended from a flash."""
_TYPICAL_BREAK_SECONDS = 0.06


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


@dataclass(frozen=True, slots=True)
class PulsesUnclear:
    """The dial was turned, but too many edges were lost, or it gave more than ten pulses: no digit to tell."""

    at: float


HookEvent = HookUp | HookDown | HookFlash | PulseDigit | PulsesUnclear


class _Phase(Enum):
    ON_HOOK = "on-hook"
    OFF_HOOK = "off-hook"
    BREAK = "break"


class _Loop:
    """What the edges so far come to, and by when: `decided`."""

    __slots__ = (
        "closed_at",
        "contact",
        "decided",
        "looked",
        "mended",
        "phase",
        "quiet_until",
        "since",
        "train",
        "twice",
    )

    def __init__(self) -> None:
        self.contact = Contact()
        self.train = PulseTrain()
        self.phase = _Phase.ON_HOOK
        self.since = 0.0
        self.looked = False
        self.mended = False
        self.twice: tuple[float, float] | None = None
        self.closed_at = 0.0
        self.quiet_until = 0.0
        self.decided = 0.0

    def twin(self) -> _Loop:
        """The same, to go back to."""
        other = copy(self)
        other.contact, other.train = copy(self.contact), copy(self.train)
        return other

    def open(self, at: float) -> None:
        """A break began."""
        self.phase, self.since, self.looked = _Phase.BREAK, at, False
        if not self.train.begun:
            self.train.clear()  # doubts about a digit that never was


class HookDecoder:
    """One line's hook. Give it every edge and a `tick` at `next_deadline()`; times are monotonic seconds."""

    def __init__(self, settings: HookSettings | None = None) -> None:
        self._settings = settings or HookSettings()
        self._loop = _Loop()
        self._before = self._loop.twin()
        self._read = 0.0
        self._ringing = False
        self._closed_spans: list[tuple[float, float]] = []

    @property
    def off_hook(self) -> bool:
        """Whether the handset counts as lifted (a break under way does not change that)."""
        return self._loop.phase is not _Phase.ON_HOOK

    @property
    def pulsing(self) -> bool:
        """Whether a rotary digit is under way: dial tone may stop at its first pulse."""
        return self._loop.train.begun

    @property
    def closed(self) -> bool:
        """The loop as the last edge or reading said it."""
        return self._loop.contact.raw

    def set_ringing(self, *, ringing: bool) -> None:
        """Ring voltage is (not) on the line: ring-trip rules for a lift. Ask `next_deadline` again: it may be due."""
        self._ringing = ringing
        self._closed_spans.clear()

    def handle(self, edge_closed: bool, at: float, now: float | None = None) -> list[HookEvent]:  # noqa: FBT001 - a level
        """One raw edge, bounce included, stamped `at`; `now` (if given) is later than any edge can be.

        A stamp from the future, from before the last edge or event, or that is no number, is mended.
        """
        if now is not None and not at <= now:
            at = now
        if not math.isfinite(at):
            at = self._loop.decided
        if at < self._loop.decided:
            # A tick was before it: what that decided was told to nobody, and goes by the edge instead.
            self._loop = self._before
        loop = self._loop
        contact = loop.contact
        if edge_closed is not contact.raw and loop.decided - at >= _TWIN_SECONDS and (loop.mended or loop.twice):
            # The edge that was thought lost, overtaken by the one after it.
            if loop.twice:
                self._mend(*loop.twice)
                self._before = loop.twin()
            loop.mended = False
            return []
        at = max(at, loop.decided)
        events = self.tick(at)
        loop.decided = at
        loop.mended = False
        if edge_closed is contact.raw:
            settled = contact.raw is contact.level and self.off_hook and self._settings.pulse
            if settled and at - contact.raw_since >= _TWIN_SECONDS and loop.twice is None:
                loop.twice = contact.raw_since, at
        else:
            if contact.raw and self._ringing:
                self._closed_spans.append((contact.raw_since, at))
            contact.edge(edge_closed, at)
        self._before = loop.twin()
        return events

    def resync(self, closed: bool, now: float, since: float | None = None) -> list[HookEvent]:  # noqa: FBT001 - a level
        """The loop's level as read at `now`, edges on their way having had their time: repairs a lost one.

        `since`: when it was first read so, if that was before.
        """
        if closed is self.closed:
            events = self.tick(now)
        else:
            due = self._contact_due()
            events = self.tick(due) if due is not None and due <= now else []  # what the last edge meant
            events += self.handle(closed, self._moment(closed, now if since is None else since))
            events += self.tick(now)
            if not closed:
                for loop in (self._loop, self._before):
                    loop.train.roughly()  # nobody knows when this break began
        self._read = max(self._read, now)
        return events

    def end_digit(self, now: float) -> list[HookEvent]:
        """Something else than a pulse was dialled (a tone): the rotary digit before it is over, without its pause."""
        events = self.tick(now)
        loop = self._loop
        if loop.phase is _Phase.OFF_HOOK and loop.train.begun:
            loop.decided = max(loop.decided, now)
            events.append(self._digit(loop.decided))
            self._before = loop.twin()
        return events

    def next_deadline(self) -> float | None:
        """When to `resync` and `tick` next if no edge comes; None when nothing can happen without one."""
        candidates = (self._contact_due(), self._state_due(), self._twice_due())
        return min((due for due in candidates if due is not None), default=None)

    def tick(self, now: float) -> list[HookEvent]:
        """Everything that is certain by `now`, in order of time."""
        loop = self._loop
        events: list[HookEvent] = []
        while True:
            contact, state = self._contact_due(), self._state_due()
            twice = self._twice_due()
            if loop.twice is not None and twice is not None and twice <= now + _EPSILON:
                # It may bring what is due forward or back, so it comes first.
                self._mend(*loop.twice)
            elif contact is not None and contact <= now + _EPSILON and (state is None or contact <= state):
                loop.decided = max(loop.decided, contact)
                self._settle(loop.decided, events)
            elif state is not None and state <= now + _EPSILON:
                loop.decided = max(loop.decided, state)
                self._run_out(loop.decided, events)
            else:
                break
        if events:
            self._before = loop.twin()
        return events

    # --- what is due -----------------------------------------------------------------------

    def _contact_due(self) -> float | None:
        if self._tripping:
            return self._trip_due()
        return self._loop.contact.due(self._stable())

    @property
    def _tripping(self) -> bool:
        return self._ringing and self._loop.phase is _Phase.ON_HOOK and not self._loop.contact.level

    def _stable(self) -> float:
        ms = self._settings.contact_stable_ms if self.off_hook else self._settings.lift_stable_ms
        return ms / 1000

    def _trip_due(self) -> float | None:
        """When closed time within the window will be enough, if the loop is closed and stays so."""
        if not self._loop.contact.raw:
            return None
        begin = self._loop.contact.raw_since
        needed = self._settings.trip_closed_ms / 1000
        window = self._settings.trip_window_ms / 1000
        self._closed_spans = [span for span in self._closed_spans if span[1] > begin - window]
        for start, end in self._closed_spans:
            # What lies before the window, as of the present closing, no longer counts.
            needed -= max(0.0, end - max(start, begin - window))
        return begin + max(0.0, needed)

    def _twice_due(self) -> float | None:
        """When it is certain that a level that came twice stays, or was the chatter of its change."""
        twice = self._loop.twice
        return None if twice is None else max(twice[1], self._loop.contact.raw_since) + self._stable()

    def _state_due(self) -> float | None:
        """When the present state ends by itself, or is worth a look at the level."""
        if self._loop.phase is _Phase.BREAK:
            # A break longer than any pulse: is the loop still open, or was its closing lost?
            low, high = self._settings.flash_ms
            return self._loop.since + (high if self._loop.looked else low) / 1000
        if self._loop.phase is _Phase.OFF_HOOK and self._loop.train.begun:
            return self._loop.closed_at + self._settings.interdigit_ms / 1000
        return None

    # --- what happened ---------------------------------------------------------------------

    def _settle(self, at: float, events: list[HookEvent]) -> None:
        if self._tripping:
            first = self._loop.contact.settle(at, 0.0)
            self._closed_spans.clear()
        else:
            first = self._loop.contact.settle(at, self._stable())
        if first is None:
            return
        if self._loop.phase is _Phase.ON_HOOK:
            if self._loop.contact.level:
                self._loop.phase, self._loop.closed_at = _Phase.OFF_HOOK, first
                self._loop.quiet_until = at + self._settings.lift_quiet_ms / 1000
                self._loop.train.clear()
                events.append(HookUp(at))
        elif self._loop.contact.level:
            self._close(first, at, events)
        else:
            self._loop.open(first)

    def _close(self, closed: float, at: float, events: list[HookEvent]) -> None:
        """The loop closed again at `closed`: what was that break?"""
        settings = self._settings
        broken_ms = (closed - self._loop.since) * 1000
        chatter = self._loop.since < self._loop.quiet_until
        self._loop.phase = _Phase.OFF_HOOK
        if broken_ms + _EPSILON >= settings.flash_ms[0]:
            self._loop.train.clear()
            self._loop.closed_at = closed
            self._loop.quiet_until = closed + settings.closing_bounce_ms / 1000
            events.append(HookFlash(at))
        elif settings.pulse and not chatter and broken_ms + _EPSILON >= settings.pulse_min_ms:
            self._loop.train.add(self._loop.since)
            self._loop.closed_at = closed

    def _run_out(self, at: float, events: list[HookEvent]) -> None:
        if self._loop.phase is not _Phase.BREAK:
            events.append(self._digit(at))
        elif not self._loop.looked:
            self._loop.looked = True
        else:
            self._loop.phase = _Phase.ON_HOOK
            self._loop.train.clear()
            events.append(HookDown(at))

    def _digit(self, at: float) -> HookEvent:
        digit = self._loop.train.end()
        return PulsesUnclear(at) if digit is None else PulseDigit(digit, at)

    # --- what was lost ---------------------------------------------------------------------

    def _mend(self, since: float, at: float) -> None:
        """The level of `since` came again at `at`: if it stayed, then an edge was lost between the two, or two."""
        loop = self._loop
        contact, train = loop.contact, loop.train
        loop.twice = None
        if contact.raw is not contact.level:
            return  # the edge that was lost was only the first of this change's chatter
        if not contact.raw and loop.since >= loop.quiet_until:
            if at - since < SLOWEST_SECONDS:
                # Opened twice within what a pulse takes: it had closed between, so the pulse was whole.
                train.add(loop.since)
                loop.open(at)
                loop.mended = True
            elif train.begun:
                train.doubt()
        elif contact.raw and at >= loop.quiet_until:
            # Closed twice: there was a break between, of whatever length. Alone it is no digit.
            train.add(train.last + at - loop.closed_at if train.begun else at - _TYPICAL_BREAK_SECONDS, guessed=True)
            loop.closed_at = at
            loop.mended = True
        contact.raw_since = max(contact.raw_since, at)

    def _moment(self, closed: bool, now: float) -> float:  # noqa: FBT001 - the level read
        """When the edge that was lost may have been: after the last that is known, by `now`.

        A break that nobody saw end is taken for a pulse where the level was read soon after the longest
        pulse, and for a flash where it was read open then.
        """
        known = max(self._loop.decided, self._read)
        if not closed or self._loop.phase is not _Phase.BREAK:
            return max(known, now)
        low, high = (self._loop.since + ms / 1000 for ms in self._settings.flash_ms)
        if self._settings.pulse and known < low:
            if now > low + _READ_LATE_SECONDS:
                self._loop.train.doubt()
            return max(known, min(now, low - 0.001))
        # Closed for long enough, before it would have been hanging up, to count.
        return max(known, min(now, high - 2 * self._stable())) if now < high + _READ_LATE_SECONDS else now
