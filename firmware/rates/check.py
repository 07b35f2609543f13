"""The provider's file checked against the box's own records: both sides made ready, and the answer as JSON.

In a process of its own (`allobox bill check`, the page's child), with the decks opened read-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo

from firmware.rates.cdr import CdrReport
from firmware.rates.compare import Comparer
from firmware.rates.reconcile import TOLERANCE, Cause, Finding, Ours, Reconciliation, Rules, Theirs, reconcile
from firmware.rates.statement import amount, entry_of

# A clock may be off by hours: calls of the days around are asked for, though none of them can be missing.
MARGIN = timedelta(hours=15)


def ours_of(row: Mapping[str, object], account: str, prices: Comparer, zone: tzinfo) -> Ours | None:
    """An outgoing call by this account as `reconcile` takes it; None for any other. Raises StatementError."""
    if row.get("direction") != "out" or row.get("account") != account or row.get("emergency"):
        return None
    answered = row.get("answered")
    # Who was not answered is on no bill, and still a call to find a wrong bill by.
    entry = entry_of({**row, "answered": answered or row.get("started")}, zone)
    if entry is None:
        return None
    terms = prices.terms(entry)
    return Ours(
        id=entry.id,
        number=entry.number,
        started=entry.started.astimezone(UTC),
        answered=None if answered is None else _instant(str(answered)),
        seconds=entry.seconds,
        billed_seconds=entry.billed_seconds,
        cost=entry.cost,
        currency=entry.currency,
        destination=entry.destination,
        increment=terms[0] if terms else None,
        per_minute=terms[1] if terms else None,
    )


def check(
    report: CdrReport,
    rows: Iterable[Mapping[str, object]],
    account: str,
    prices: Comparer,
    zone: tzinfo,
    *,
    span: tuple[datetime, datetime] | None = None,
    tolerance: int = TOLERANCE,
) -> Reconciliation:
    """Their file against our records of its days (`span`, else those of the file). Raises StatementError."""
    since, until = span or report.span(zone) or (None, None)
    ours = [call for row in rows if (call := ours_of(row, account, prices, zone)) is not None]
    return reconcile(ours, report.calls, Rules(tolerance=tolerance, step=report.step, since=since, until=until))


def asked_span(span: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    """Of which records `check` wants to know, for a file of that span."""
    return span[0] - MARGIN, span[1] + MARGIN


def as_json(found: Reconciliation, report: CdrReport, zone: tzinfo) -> dict[str, object]:
    """`allobox bill check --json`; docs/bill.md explains each key."""
    counts = {cause.value: sum(finding.cause is cause for finding in found.findings) for cause in Cause}
    return {
        "source": report.source,
        "columns": dict(report.columns),
        "skipped": report.skipped,
        "ours": found.ours,
        "theirs": found.theirs,
        "matched": found.matched,
        "clock_hours": found.hours,
        "without_tax": None if found.without_tax is None else f"{found.without_tax:f}",
        "other_currency": found.other_currency,
        "not_priced": found.unpriced,
        "difference": [{"currency": code, "money": amount(money)} for code, money in sorted(found.money().items())],
        "causes": {cause: count for cause, count in counts.items() if count},
        "findings": [_finding(finding, zone) for finding in found.findings],
    }


def _finding(finding: Finding, zone: tzinfo) -> dict[str, object]:
    return {
        "cause": finding.cause.value,
        "seconds": finding.seconds,
        "money": None if finding.money is None else amount(finding.money),
        "currency": finding.currency or None,
        "clock_hours": finding.hours,
        "ours": None if finding.ours is None else _ours(finding.ours, zone),
        "theirs": None if finding.theirs is None else _theirs(finding.theirs, zone),
    }


def _ours(call: Ours, zone: tzinfo) -> dict[str, object]:
    return {"id": call.id, **_call(call, zone), "destination": call.destination or None}


def _theirs(call: Theirs, zone: tzinfo) -> dict[str, object]:
    return {"line": call.line, **_call(call, zone)}


def _call(call: Ours | Theirs, zone: tzinfo) -> dict[str, object]:
    return {
        "number": call.number,
        "started": call.started.astimezone(zone).isoformat(),
        "seconds": call.seconds,
        "billed_seconds": call.billed_seconds,
        "cost": None if call.cost is None else amount(call.cost),
        "currency": call.currency or None,
    }


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
