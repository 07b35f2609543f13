"""Reading what was typed: plain values out of forms, and messages that land beside their field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import request

from firmware.service import ServiceError
from firmware.webui.formats import bare
from firmware.webui.refusals import Refusal, other_refusal

MAX_FIELD = 1024


def text(name: str) -> str:
    """One typed value, trimmed; "" if absent."""
    return request.form.get(name, "")[:MAX_FIELD].strip()


def secret(name: str) -> str:
    """One typed password: as it is, spaces and all."""
    return request.form.get(name, "")[:MAX_FIELD]


def ticked(name: str) -> bool:
    """Whether a box is ticked."""
    return request.form.get(name) is not None


def whole(value: str | None, default: int, *, low: int, high: int) -> int:
    """A whole number from an address bar: out of range or nonsense is the default or the limit."""
    try:
        return min(high, max(low, int(value or default)))
    except ValueError:
        return default


@dataclass
class Form:
    """Values to show again and what is wrong with them, by field name; "" is the form as a whole.

    `core` holds what the core said of a field, where the page knows no better words.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    core: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        """What to show in the field."""
        shown = self.values.get(name, "")
        return "" if shown is None else bare(shown)

    def ticked(self, name: str) -> bool:
        """Whether the box is ticked."""
        return bool(self.values.get(name))

    def refuse(
        self, error: ServiceError, in_words: Callable[[ServiceError], Refusal] = other_refusal, name: str | None = None
    ) -> None:
        """Put the box's refusal beside the field it names, or on top.

        `where` may be dotted (`account.0.server`): its last part is the field, unless `name` says.
        """
        place = error.where.rsplit(".", 1)[-1] if name is None else name
        place = place if place in self.values else ""
        refusal = in_words(error)
        self.errors[place] = refusal.words
        if refusal.core:
            self.core[place] = refusal.core
