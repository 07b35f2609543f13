"""The core as it is, but for what calls cost: quotes are read from DIR/quotes.json.

    python -m tests.fakes.priced_core core --data DIR ...

The file is {"announce": {"price": "0.34", "fee": "0.18", "remaining": "4.20"} | null, "max_seconds": 6 | null,
"reason": "budget-day" | null}; every account asks the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

from firmware.box import Box
from firmware.cli import main
from firmware.numbering import Dialled
from firmware.telephony.events import Announce, Words
from firmware.telephony.routing import Quote


def quotes(self: Box, dialled: Dialled, line: int, pin: str | None = None) -> Sequence[Quote]:
    """What the file says now."""
    del dialled, line, pin
    asked = json.loads((self._data / "quotes.json").read_text())
    of = asked.get("announce")
    announce = None
    if of is not None:
        money = {name: Decimal(of[name]) for name in ("fee", "remaining") if name in of}
        announce = Announce(Decimal(of["price"]), "minute", "EUR", **money)
    reason = asked.get("reason")
    return [
        Quote(
            name,
            entry.registered,
            announce=announce,
            max_seconds=asked.get("max_seconds"),
            reason=Words(reason) if reason is not None else None,
        )
        for name, entry in self._switchboard.registrations.items()
    ]


if __name__ == "__main__":
    Box.quotes = quotes  # type: ignore[method-assign]
    main()
