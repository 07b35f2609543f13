"""Why one account goes before another, in the reader's language: "Pourquoi cette route ?" (docs/rates.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from firmware.webui.say import _

_BY: dict[str, Callable[[], str]] = {
    "only": lambda: _("no other account may carry the call"),
    "registered": lambda: _("the next account is not connected"),
    "preferred": lambda: _("it is the line’s own account"),
    "priced": lambda: _("the next account has no price for this number"),
    "price": lambda: _("cheaper than the next"),
    "quality": lambda: _("no dearer than the next, and sounds better"),
    "reliability": lambda: _("no dearer than the next, and fails less often"),
    "order": lambda: _("no dearer than the next, and before it in your order"),
}


def reason(route: Mapping[str, Any]) -> str:
    """What set a route (a row of `PriceAnswer.routes`) above the next; empty for the last."""
    if route.get("refused"):
        return _("may not carry the call")
    said = _BY.get(str(route.get("by")))
    return said() if said else ""
