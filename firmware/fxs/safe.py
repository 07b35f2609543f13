"""Ring voltage off, by whoever is left: what the core's unit and `allobox run` call when the core has ended.

    python -m firmware.fxs.safe --data DIR

A core that is killed in mid-ring leaves RM high, and 75 V on the line. `remember` keeps beside the
settings which pins the core has really taken; `main` takes the ring off those. It asks the settings only
if nothing was kept, and reads them loosely: it must work when nothing else does. A simulated line loses
its voltage with the core's socket; a hat with a microcontroller takes it off itself when the core's
heartbeat stops (docs/serial-hat.md).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LAST = "last-lines.json"
_MAX_BYTES = 1 << 20
_MAX_LINES = 16
_HIGHEST_PIN = 53  # BCM numbers of a Raspberry Pi's chip
_SETTINGS = ("settings.toml", "settings.toml.previous")
_PINS = {"shk": 27, "rm": 17, "fr": 12}

Wiring = Mapping[str, object]
"""One line: `driver`, and for `gpio_slic` the BCM numbers `shk`, `rm`, `fr` and `fr_idle` ("high" or "low")."""


def remember(data: Path, lines: Sequence[Wiring]) -> None:
    """Keep what the lines are wired to, atomically. Raises OSError."""
    path = data / LAST
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps([dict(line) for line in lines]) + "\n")
    # Not fsynced: who loses power loses the ring with it.
    fresh.replace(path)


def recall(data: Path) -> list[dict[str, Any]]:
    """The lines as the core last took them, else as the settings have them, else as the previous ones had."""
    kept = _kept(data / LAST)
    if kept is not None:
        return kept
    for name in _SETTINGS:
        found = _settings(data / name)
        if found is not None:
            return found
    return []


def _kept(path: Path) -> list[dict[str, Any]] | None:
    try:
        rows = json.loads(_read(path))
    except (OSError, ValueError, RecursionError):
        return None
    good = isinstance(rows, list) and all(isinstance(row, dict) and "driver" in row for row in rows)
    return rows[:_MAX_LINES] if good else None


def _settings(path: Path) -> list[dict[str, Any]] | None:
    try:
        line = tomllib.loads(_read(path)).get("line", {})
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    count = line.get("count", 1)
    numbers = range(1, min(count, _MAX_LINES) + 1) if isinstance(count, int) else range(1, 2)
    return [_line(line, line.get(str(number))) for number in numbers]


def _line(shared: Mapping[str, Any], own: object) -> dict[str, Any]:
    """One line as `line.KEY` and its own `line.N.KEY` have it."""
    own = own if isinstance(own, dict) else {}
    gpio = [table for table in (shared.get("gpio"), own.get("gpio")) if isinstance(table, dict)]
    merged = {key: value for table in gpio for key, value in table.items()}
    return {**merged, "driver": own.get("driver") or shared.get("driver")}


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES).decode()


def make_safe(lines: Sequence[Wiring], pin_factory: object | None = None) -> list[str]:
    """Take the ring off every line that has pins of its own; what went wrong, a sentence a line."""
    troubles = []
    for number, line in enumerate(lines, 1):
        if line.get("driver") != "gpio_slic":
            continue
        from firmware.fxs.drivers.gpio_slic import SlicPins, ring_off  # noqa: PLC0415 - only where there are pins

        pins = {name: _pin(line.get(name), usual) for name, usual in _PINS.items()}
        try:
            ring_off(
                SlicPins(shk=pins["shk"], rm=pins["rm"], fr=pins["fr"]),
                fr_idle="low" if _idles_low(line) else "high",
                pin_factory=pin_factory,
            )
        except Exception as error:  # noqa: BLE001 - the next line's ring must go all the same
            troubles.append(f"line {number}: the ring could not be taken off: {error}")
    return troubles


def _idles_low(line: Wiring) -> bool:
    """F/R's level at rest; what the settings leave to the module is low for the KS0835F alone."""
    return line.get("fr_idle") == "low" or (line.get("fr_idle") != "high" and line.get("hat") == "ks0835f")


def _pin(value: object, usual: int) -> int:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _HIGHEST_PIN
    return value if good and isinstance(value, int) else usual


def main(arguments: list[str] | None = None) -> int:
    """0 when no line can ring any more, 1 with a sentence a line on stderr where that could not be done."""
    parser = argparse.ArgumentParser(prog="python -m firmware.fxs.safe", description="Take the ring off every line.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ALLOBOX_DATA", "/var/lib/allobox")))
    data = parser.parse_args(arguments).data
    troubles = make_safe(recall(data))
    for trouble in troubles:
        sys.stderr.write(f"allobox: {trouble}\n")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
