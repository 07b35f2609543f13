"""The telephone's bell and display: ring voltage, and the caller's number demodulated between rings."""

from __future__ import annotations

from firmware.fxs.callerid import CallerIdMessage, Decoder

# A little more than the country's pause: French rings are worn, and boxes late.
_PAUSE_SLACK = 1.25


class Bell:
    """`ring_pause_ms` of silence between rings belong to the ringing; `standard` as `callerid.Decoder` names it."""

    def __init__(self, ring_pause_ms: int, standard: str) -> None:
        self._pause = ring_pause_ms / 1000 * _PAUSE_SLACK
        self._standard = standard
        self._decoder = Decoder(standard)
        self._last = self._heard = float("-inf")
        self.voltage_hz = 0.0
        self.began_at: float | None = None
        self.caller: CallerIdMessage | None = None

    def voltage(self, hz: float, now: float) -> bool:
        """Ring voltage changed; True if a burst begins."""
        begins = hz > 0 and self.voltage_hz == 0
        if begins and not self.ringing(now):
            # A new call: forget the last caller, unless the number came just before this first ring (UK).
            if now - self._heard > self._pause:
                self.caller = None
            self._decoder = Decoder(self._standard)
            self.began_at = now
        self.voltage_hz = hz
        self._last = now
        return begins

    def ringing(self, now: float) -> bool:
        """Within the cadence of a ring: voltage, or the pause after it."""
        return self.began_at is not None and (self.voltage_hz > 0 or now - self._last <= self._pause)

    def rest(self) -> None:
        """The handset was lifted, or the wire pulled: the ringing is over."""
        self.began_at = None

    def clear(self) -> None:
        """Hung up: the display goes blank."""
        self.caller = None
        self._decoder = Decoder(self._standard)

    def hear(self, frame: bytes, now: float) -> bool:
        """Samples on the line while on-hook; True when a caller was understood."""
        caller = self._decoder.feed(frame)
        if caller is None:
            return False
        self.caller = caller
        self._heard = now
        return True
