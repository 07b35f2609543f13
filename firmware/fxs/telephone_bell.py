"""The telephone's bell and display: ring voltage, and the caller's number demodulated between rings."""

from __future__ import annotations

from firmware.fxs.callerid import CallerIdMessage, Decoder
from firmware.fxs.telephone_plans import RINGS

# A little more than the country's pause: French rings are worn, and boxes late.
_PAUSE_SLACK = 1.25
# A burst or a pause may be so far off its cadence: a share, and what a busy machine adds.
_SLACK_SHARE = 0.1
_SLACK_SECONDS = 0.1


class Bell:
    """`ring_pause_ms` of silence between rings belong to the ringing; `standard` as `callerid.Decoder` names it."""

    def __init__(self, ring_pause_ms: int, standard: str) -> None:
        self._pause = ring_pause_ms / 1000 * _PAUSE_SLACK
        self._standard = standard
        self._decoder = Decoder(standard)
        self._last = self._announced = float("-inf")
        self._rhythm: list[float] = []
        self._answered = False
        self.voltage_hz = 0.0
        self.began_at: float | None = None
        self.caller: CallerIdMessage | None = None

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
                self.caller = None
            self._decoder = Decoder(self._standard)
            self._rhythm = []
            self._answered = False
            self.began_at = now
        if begins or ends:
            self._last = now
        self.voltage_hz = hz
        return begins

    def ringing(self, now: float) -> bool:
        """Within the cadence of a ring: voltage, or the pause after it."""
        return self.began_at is not None and (self.voltage_hz > 0 or now - self._last <= self._pause)

    def presents(self, now: float) -> bool:
        """Whether the caller on the display is the one who rings now, or whose ringing was answered."""
        return self.caller is not None and (self.ringing(now) or self._answered)

    def rest(self, *, answered: bool = False) -> None:
        """The ringing is over: the handset was lifted, the box rests the voice path, or the wire was pulled."""
        self._answered = answered
        self.began_at = None

    def clear(self) -> None:
        """Hung up: the display goes blank."""
        self.caller = None
        self._answered = False
        self._decoder = Decoder(self._standard)

    def hear(self, frame: bytes, now: float) -> bool:
        """Samples on the line while on-hook; True when a caller was understood."""
        caller = self._decoder.feed(frame)
        if caller is None:
            return False
        self.caller = caller
        if not self.ringing(now):
            self._announced = now
        return True


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
