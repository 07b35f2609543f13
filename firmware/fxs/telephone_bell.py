"""The telephone's bell, and whose ringing the display shows: ring voltage, and messages heard between rings."""

from __future__ import annotations

from firmware.fxs.callerid_message import CallerIdMessage, Message
from firmware.fxs.telephone_display import PULSE_SECONDS, Display
from firmware.fxs.telephone_plans import RINGS, DisplayPlan, lenient

# A little more than the country's pause: French rings are worn, and boxes late.
_PAUSE_SLACK = 1.25
# A burst or a pause may be so far off its cadence: a share, and what a busy machine adds.
_SLACK_SHARE = 0.1
_SLACK_SECONDS = 0.1
# After a ring pulse (RP-AS) comes a message; no cadence begins with so short a burst and so long a pause.
_AFTER_PULSE = 0.45


class Bell:
    """`ring_pause_ms` of silence between rings belong to the ringing; `display` is a plan, or a standard as
    `callerid.Decoder` names it, listened for all the time.
    """

    def __init__(self, ring_pause_ms: int, display: DisplayPlan | str) -> None:
        self._pause = ring_pause_ms / 1000 * _PAUSE_SLACK
        self.display = Display(lenient(display) if isinstance(display, str) else display)
        self._last = self._announced = float("-inf")
        self._rhythm: list[float] = []
        self._answered = False
        self.voltage_hz = 0.0
        self.began_at: float | None = None

    @property
    def caller(self) -> CallerIdMessage | None:
        """Who is on the display."""
        return self.display.caller

    def voltage(self, hz: float, now: float) -> bool:
        """Ring voltage changed; True if a burst begins."""
        begins = hz > 0 and self.voltage_hz == 0
        ends = hz == 0 and self.voltage_hz > 0
        if begins and self.ringing(now):
            self._rhythm.append(now - self._last)
            if not _follows_a_cadence(self._rhythm):
                self.began_at = None
        elif ends:
            self._rhythm.append(now - self._last)
        if begins and not self.ringing(now):
            # A new call: forget the last caller, unless the number came just before this first ring (UK).
            if now - self._announced > self._pause:
                self.display.caller = None
            self._announced = float("-inf")
            self.display.forget_sound()
            self._rhythm = []
            self._answered = False
            self.began_at = now
        if begins:
            self.display.ring_begins()
        elif ends:
            self.display.rung(now - self._last, now)
        if begins or ends:
            self._last = now
        self.voltage_hz = hz
        return begins

    def reversed(self, now: float) -> None:
        """The battery was turned round, or back."""
        self.display.reversed(now)

    def ringing(self, now: float) -> bool:
        """Within the cadence of a ring: voltage, or the pause after it."""
        if self.began_at is None or self.voltage_hz > 0:
            return self.began_at is not None
        return now - self._last <= (_AFTER_PULSE if self._was_pulse() else self._pause)

    def _was_pulse(self) -> bool:
        return len(self._rhythm) == 1 and self._rhythm[0] <= PULSE_SECONDS

    def presents(self, now: float) -> bool:
        """Whether the caller on the display is the one who rings now, or whose ringing was answered."""
        return self.caller is not None and (self.ringing(now) or self._answered)

    def rest(self, *, answered: bool = False) -> None:
        """The ringing is over: the handset was lifted, the box rests the voice path, or the wire was pulled."""
        self._answered = answered
        self.began_at = None

    def clear(self) -> None:
        """Hung up: the display goes blank. The lamp and the clock stay."""
        self.display.caller = None
        self._announced = float("-inf")
        self._answered = False
        self.display.forget_sound()

    def hear(self, frame: bytes, now: float) -> Message | None:
        """Samples on the line while on-hook; the message that was understood."""
        message = self.display.hear(frame, now)
        if isinstance(message, CallerIdMessage) and not self.ringing(now):
            self._announced = now
        return message


def _follows_a_cadence(rhythm: list[float]) -> bool:
    """Whether bursts and pauses so far (seconds: on, off, on ...) are those of one ringing.

    A burst cut short, or one that comes too early, is the next call's after the last was given up.
    """
    return any(
        all(
            abs(length - cadence[place % len(cadence)] / 1000)
            <= cadence[place % len(cadence)] / 1000 * _SLACK_SHARE + _SLACK_SECONDS
            for place, length in enumerate(rhythm)
        )
        for cadence in RINGS
    )
