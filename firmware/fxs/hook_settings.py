"""The hook decoder's times: a country's flash window, and what contacts and dials need. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.fxs.country import Country

PULSE_FLASH_FLOOR_MS = 120.0


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Times in milliseconds. `flash_ms` is the window as applied; build it with `for_country`.

    `pulse_min_ms`: breaks of 20 ms are pulses, less a little for a dial's jitter. `lift_quiet_ms`: so
    soon after lifting nobody has wound a dial up; breaks are the cradle's chatter, or ring current
    that has not gone yet. `closing_bounce_ms`: the same after a flash.
    """

    flash_ms: tuple[float, float] = (PULSE_FLASH_FLOOR_MS, 600.0)
    pulse: bool = True
    pulse_min_ms: float = 18.0
    interdigit_ms: float = 200.0
    lift_stable_ms: float = 16.0
    lift_quiet_ms: float = 120.0
    contact_stable_ms: float = 6.0
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
