"""What each account's calls were like lately, out of the call records: what routing weighs beside the price.

Of the last LAST_CALLS calls that went out: `quality` is the mean opinion (ITU-T G.107) of those that were
measured, from 0 (MOS 1) to 1 (MOS 4.5); `reliability` the share that its account's server or network did not
fail. Too few calls say nothing. Only the account that a call ended with is known: those that it was passed on
from leave no record.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from firmware.tariffs import Standing
from firmware.telephony.ledger import Ledger

LAST_CALLS = 100
LEAST_CALLS = 3
_UNKNOWN = Standing()
_WORST_MOS, _BEST_MOS = 1.0, 4.5
_SERVER_ERROR = 500
_TIMEOUT = 408


def standings(rows: Sequence[Mapping[str, Any]]) -> dict[str, Standing]:
    """Each account's standing, of rows as `Ledger.query` gives them."""
    opinions: dict[str, list[float]] = defaultdict(list)
    through: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        account = row.get("account")
        if row.get("direction") != "out" or not account or row.get("end") in {"cancelled", "declined"}:
            continue
        code = int(row.get("sip_code") or 0)
        at_fault = row.get("end") == "failed" and (code >= _SERVER_ERROR or code in {0, _TIMEOUT})
        through[account].append(not at_fault)
        mos = (row.get("quality") or {}).get("mos")
        if mos is not None:
            opinions[account].append((float(mos) - _WORST_MOS) / (_BEST_MOS - _WORST_MOS))
    return {account: Standing(_mean(opinions[account]), _mean(through[account])) for account in through}


def _mean(shares: Sequence[float]) -> float | None:
    if len(shares) < LEAST_CALLS:
        return None
    return round(min(1.0, max(0.0, sum(shares) / len(shares))), 3)


class Standings:
    """The standings as last learnt. `learn` waits for the disk: never on the control loop."""

    def __init__(self) -> None:
        self._known: Mapping[str, Standing] = {}
        self._learning = threading.Lock()

    def __call__(self, account: str) -> Standing:
        """What is known of an account; any thread may ask, and never waits."""
        return self._known.get(account, _UNKNOWN)

    def learn(self, ledger: Ledger) -> None:
        """Read the records. A ledger that cannot be read leaves what was known."""
        with self._learning:
            self._known = standings(ledger.query(limit=LAST_CALLS, direction="out"))
