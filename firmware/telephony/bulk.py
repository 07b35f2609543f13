"""Many calls that are over already, recorded together: their rows are made anywhere, and kept by one commit.

Who has calls by the thousand (an exchange's first day, a test) makes rows of them in processes of its own, for
pricing takes longer than writing, and hands them to the ledger in batches. A batch is acknowledged after its commit;
one that is handed in again, because nobody heard the answer, finds its own records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from firmware.telephony import record_table
from firmware.telephony.records import CallClosed, CallOpen, Charge

MOST_ROWS = 20_000
"""Of a batch: what a commit keeps in memory and on the journal stays small."""
_UNPRICED = Charge(0, None, None)


class Charger(Protocol):
    """As `ledger.Charger`."""

    def __call__(self, tariff: str, seconds: float, answered: datetime) -> Charge: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A call that is over. `key` is its own within the `run` that it is recorded under.

    `ringing` and `seconds` by the monotonic clock: from the start to the answer, and from there to the end.
    `seconds` None: never answered. `mono`: seconds of that clock at the start.
    """

    key: int
    opened: CallOpen
    closed: CallClosed
    started: datetime
    mono: float
    ringing: float = 0.0
    seconds: float | None = None


def row_of(call: Finished, run: str, charge: Charger | None) -> dict[str, object]:
    """The row of one call, priced by the tariff that was noted when it was placed."""
    answered_at = None if call.seconds is None else call.mono + call.ringing
    answered = None if call.seconds is None else call.started + timedelta(seconds=call.ringing)
    progress = record_table.Progress(
        call.key,
        call.started,
        call.mono,
        answered,
        answered_at,
        call.mono + call.ringing + (call.seconds or 0.0),
    )
    priced = call.closed.charge or _UNPRICED
    tariff = call.closed.tariff if call.closed.tariff is not None else call.opened.tariff
    if call.closed.charge is None and charge is not None and tariff is not None and answered is not None:
        priced = charge(tariff, call.seconds or 0.0, answered)
    return record_table.final_row(record_table.running_row(run, call.opened, progress), call.closed, priced)


def rows_of(calls: Iterable[Finished], run: str, charge: Charger | None) -> list[dict[str, object]]:
    """The rows of many."""
    return [row_of(call, run, charge) for call in calls]
