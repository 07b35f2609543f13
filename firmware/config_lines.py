"""Settings of several lines: `line.KEY` is every line's, `line.N.KEY` that of line N where it differs.

Built on whatever `config.LineSettings` holds: a setting that a line has, each line may have its own way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, create_model

MOST_LINES: Final = 4  # as many calls as the development wheel of pjsua2 holds
_OWN = re.compile(r"line\.([1-9][0-9]*)\.(.+)")
_SHARED = frozenset({"count"})
_PINS = ("shk", "rm", "fr", "pd")


def some_of(model: type[BaseModel]) -> type[BaseModel]:
    """A model with the fields of `model`, each of which may be left out (None)."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name in _SHARED:
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner: Any = some_of(kind)
        else:
            inner = Annotated[(kind, *field.metadata)] if field.metadata else kind
        fields[name] = (inner | None, None)
    made: type[BaseModel] = create_model(
        f"Some{model.__name__}", __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )
    return made


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `own` says otherwise, tables within tables."""
    both = dict(base)
    for key, value in own.items():
        before = both.get(key)
        both[key] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return both


def own_key(key: str) -> tuple[str, str] | None:
    """("2", "gpio.shk") of `line.2.gpio.shk`; None for any other key."""
    found = _OWN.fullmatch(key)
    return (found[1], found[2]) if found else None


def conflict(lines: Mapping[int, Any]) -> str | None:
    """What two lines cannot share, in a sentence that says what to set; None if all is well.

    `lines`: number to `config.LineSettings`, those in use.
    """
    seen: dict[tuple[str, object], int] = {}
    for number, line in lines.items():
        for kind, what, setting in _exclusive(line):
            other = seen.setdefault((kind, what), number)
            if other != number:
                return f"lines {other} and {number} cannot share {kind} {what}: set line.{number}.{setting}"
    return None


def _exclusive(line: Any) -> Iterator[tuple[str, object, str]]:
    """What a line needs for itself: its kind, which one, and the setting that names it."""
    if line.driver == "simulated":
        return
    if line.driver == "gpio_slic":
        for name in _PINS:
            pin = getattr(line.gpio, name)
            if pin is not None:
                yield "GPIO pin", pin, f"gpio.{name}"
        for pin in line.gpio.mt8870:
            yield "GPIO pin", pin, "gpio.mt8870"
    elif line.serial.line:
        yield f"line {line.serial.line} of the serial hat", line.serial.device, "serial.line"
    yield "the sound card (capture)", line.alsa.capture, "alsa.capture"
    yield "the sound card (playback)", line.alsa.playback, "alsa.playback"
