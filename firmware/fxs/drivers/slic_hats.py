"""What differs between the ringing-SLIC modules, as data. Pure. Sources, and where they disagree: docs/hardware.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HatName = Literal["ag1170", "ag1171", "ks0835f"]
Level = Literal["high", "low"]
PdMode = Literal["none", "low", "high"]


@dataclass(frozen=True, slots=True)
class SlicHat:
    """A module's habits; each is a setting too.

    `fr_idle`: F/R's level outside ringing. `pd_mode`: what PD, where it is wired, does to power down:
    "low" (pulled low or let go, never driven high), "high" (driven both ways) or "none" (left alone).
    All modules ring while RM is high, and tell a closed loop by a high SHK, unless what shifts its
    level turns it round (`shk_active_high`).
    """

    fr_idle: Level
    pd_mode: PdMode
    shk_active_high: bool = True


HATS: dict[HatName, SlicHat] = {
    # Code for it powers down by driving PD high; F/R as its successor's.
    "ag1170": SlicHat(fr_idle="high", pd_mode="high"),
    # Its sheet (V1.0, 5.9): F/R high is forward. Nothing certain is known of its PD.
    "ag1171": SlicHat(fr_idle="high", pd_mode="none"),
    # Its sheet's table: F/R low outside ringing, PD low powers down and must never be driven high.
    "ks0835f": SlicHat(fr_idle="low", pd_mode="low"),
}


def habits(
    hat: HatName,
    *,
    shk_active_high: bool = True,
    fr_idle: Literal["hat", "high", "low"] = "hat",
    pd_mode: Literal["hat", "none", "low", "high"] = "hat",
) -> SlicHat:
    """The module's habits, but for those that are set otherwise ("hat": as the module's)."""
    module = HATS[hat]
    return SlicHat(
        shk_active_high=shk_active_high,
        fr_idle=module.fr_idle if fr_idle == "hat" else fr_idle,
        pd_mode=module.pd_mode if pd_mode == "hat" else pd_mode,
    )
