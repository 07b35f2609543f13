"""The hat's millisecond counter in the box's time (CLOCK_MONOTONIC). Pure.

Theory of operation. host = hat + offset. A reply proves two things about the offset: the hat read
its counter after the box had asked (offset >= sent - hat), and before the box had the answer (offset
<= received - hat). Every line that carries a time proves the second. The clock keeps the tightest
of both bounds and lets each loosen by the most the two crystals may drift apart: quick exchanges
narrow the interval, slow ones change nothing, so that latency never moves the estimate (the
interval form of the minimum-delay filter of NTP, RFC 5905 section 10). Its middle is the estimate,
its half width the bound of the error, as long as it is narrow. A hat that answered late once (it was
busy, or its line was) leaves it wide: then what came quickest is believed, for a line is rarely as
slow on its way as a hat is to answer, and a middle that moves would tear a bounce into a pulse.
"""

from __future__ import annotations

_WRAP = 1 << 32
_HALF_WRAP = _WRAP >> 1
_TICK_SECONDS = 0.001
DRIFT_PPM = 5000.0
"""A ceramic resonator's tolerance; a crystal has a hundredth of it."""
LATEST_SECONDS = 2.0
_TRUSTED_SECONDS = 0.005


class HatClock:
    """One hat's clock since its start. `exchanged` first; seconds but for `ms`, the hat's counter modulo 2**32."""

    def __init__(self, drift_ppm: float = DRIFT_PPM) -> None:
        self._drift = drift_ppm / 1e6
        self.reset()

    def reset(self) -> None:
        """The hat has begun anew: nothing is known of its clock."""
        self._ticks: int | None = None
        self._low = self._high = 0.0
        self._as_of = 0.0

    @property
    def uncertainty(self) -> float:
        """Half the width of what is known of the offset, in seconds."""
        return (self._high - self._low) / 2

    def exchanged(self, sent: float, ms: int, received: float) -> None:
        """A reply: asked at `sent`, stamped `ms` by the hat, read at `received`."""
        first = self._ticks is None
        ticks = self._ticks = self._unwrapped(ms)
        hat = ticks * _TICK_SECONDS
        # The counter shows whole milliseconds: the hat's own time is up to one later.
        low, high = sent - hat - _TICK_SECONDS, received - hat
        if not first:
            self._age(received)
            low, high = max(self._low, low), min(self._high, high)
            if low > high:  # it drifts more than any resonator, or was reset unnoticed: believe the last exchange
                low, high = sent - hat - _TICK_SECONDS, received - hat
        self._low, self._high, self._as_of = low, high, received

    def host_time(self, ms: int, received: float) -> float:
        """When the hat's counter showed `ms`; at most `received`, when the line with it was read.

        A stamp older than any line can be late is no time, and the line's arrival serves.
        """
        if self._ticks is None:
            return received
        hat = self._unwrapped(ms) * _TICK_SECONDS
        self._age(received)
        if (high := received - hat) >= self._low:
            self._high = min(self._high, high)
        at = hat + self._high - min((self._high - self._low - _TICK_SECONDS) / 2, _TRUSTED_SECONDS)
        return min(at, received) if received - at < LATEST_SECONDS else received

    def _unwrapped(self, ms: int) -> int:
        """The counter without its wraps: the value nearest to the last reply's."""
        if self._ticks is None:
            return ms
        return self._ticks + (ms - self._ticks + _HALF_WRAP) % _WRAP - _HALF_WRAP

    def _age(self, now: float) -> None:
        loose = max(0.0, now - self._as_of) * self._drift
        self._low -= loose
        self._high += loose
        self._as_of = max(self._as_of, now)
