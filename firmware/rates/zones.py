"""The world's time zones by prefix, for a plan that goes by the destination's clock.

From phonenumbers' table (12 ms, 2 MB), read when such a plan is made and written into it: the core
knows only what stands in its plan. A prefix with several zones takes its country's main one.
"""

from __future__ import annotations

from phonenumbers.tzdata import TIMEZONE_DATA

from firmware.rates.bands import zone_of

# Where a country code, or one beneath it, has several zones: the one where most of its people live.
_MAIN = frozenset(
    (
        *("America/New_York", "America/Mexico_City", "America/Sao_Paulo", "America/Santiago", "America/Guayaquil"),
        *("America/Argentina/Buenos_Aires", "America/Nuuk", "Europe/Madrid", "Europe/Lisbon", "Europe/London"),
        *("Europe/Moscow", "Europe/Kyiv", "Europe/Kiev", "Europe/Paris", "Europe/Berlin", "Europe/Oslo"),
        *("Asia/Jakarta", "Asia/Shanghai", "Asia/Ulaanbaatar", "Asia/Kuala_Lumpur", "Asia/Tashkent"),
        *("Australia/Sydney", "Pacific/Auckland", "Pacific/Port_Moresby", "Pacific/Tahiti", "Pacific/Tarawa"),
        *("Pacific/Pohnpei", "Africa/Kinshasa", "Asia/Nicosia", "Asia/Hebron", "Indian/Reunion"),
    )
)


def zones() -> dict[str, str]:
    """The time zone of each prefix that has another than the prefix above it."""
    found: dict[str, str] = {}
    for prefix in sorted(TIMEZONE_DATA, key=len):
        listed = TIMEZONE_DATA[prefix]
        zone = next((name for name in listed if name in _MAIN), listed[0])
        above = next((found[prefix[:n]] for n in range(len(prefix) - 1, 0, -1) if prefix[:n] in found), None)
        if zone != above and _exists(zone):
            found[prefix] = zone
    return found


def _exists(zone: str) -> bool:
    try:
        zone_of(zone)
    except ValueError:  # the machine's time zones are of another year
        return False
    return True


def zones_text(table: str) -> str:
    """`zones` as a table of TOML."""
    lines = (f'{prefix} = "{zone}"' for prefix, zone in sorted(zones().items()))
    return f"[{table}]\n" + "\n".join(lines) + "\n"
