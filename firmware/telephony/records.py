"""Call records as values: how a call begins and ends, what it costs, and what one may ask of the list.

Pure: `record_table` puts these into SQL rows, `ledger` keeps them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from firmware.telephony.quality_record import CallQuality

MAX_ROWS = 200
MAX_TEXT = 128


class RecordError(ValueError):
    """A call record or a question about records that makes no sense. `where` names the field."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call costs. `cost` in `currency`, or None where no price is known.

    `bundle` took `bundle_seconds` of it. Within `cost`: `service_cost` is the price of the service called (SVA),
    `tax` the tax; None where nobody told them apart.
    """

    billed_seconds: int
    cost: Decimal | None
    currency: str | None
    bundle: str | None = None
    bundle_seconds: int | None = None
    service_cost: Decimal | None = None
    tax: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOpen:
    """A call as it begins. `direction` in or out; `number` E.164 with +, or a short number.

    `tariff` is the price that held when the call was placed, in the words of whoever priced it;
    the ledger keeps it and hands it back when the call is charged. `kind` is the number's class
    (`numbering.NumberClass`), `pin` the label of the PIN that allowed the call (never the PIN), `why` the
    choice of the route explained, as JSON.
    """

    direction: str
    line: int
    number: str | None = None
    name: str | None = None
    dialled: str | None = None
    account: str | None = None
    destination: str | None = None
    tariff: str | None = None
    call_id: str = ""
    emergency: bool = False
    kind: str | None = None
    pin: str | None = None
    why: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the table would refuse, where the caller can still be told."""
        if self.direction not in {"in", "out"}:
            raise RecordError("direction", f"{self.direction!r} is neither 'in' nor 'out'")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallClosed:
    """A call as it ends; None keeps what the opening said.

    `seconds` and `charge` are the ledger's own measure and the charger's unless given here.
    `answered_elsewhere`: another telephone of the account took it, so nobody missed it. `quality` where it is known
    already; else `Ledger.measured` brings it.
    """

    end: str
    sip_code: int = 0
    q850: int | None = None
    account: str | None = None
    number: str | None = None
    destination: str | None = None
    tariff: str | None = None
    call_id: str | None = None
    codec: str = ""
    seconds: float | None = None
    charge: Charge | None = None
    answered_elsewhere: bool = False
    quality: CallQuality | None = None
    pin: str | None = None
    why: str | None = None


def clean(text: str | None) -> str | None:
    """What the network says, made storable: at most MAX_TEXT characters, no controls, no bidi overrides.

    Kept otherwise as it came; whoever shows it escapes it.
    """
    if text is None:
        return None
    if text.isascii() and text.isprintable():
        return text[:MAX_TEXT]  # nearly always
    kept = (c for c in text[: 4 * MAX_TEXT] if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"})
    return "".join(kept)[:MAX_TEXT]


def stamp(instant: datetime) -> str:
    """UTC to the second, e.g. `2026-01-01T12:00:00Z`; sorts as text."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_stamp(text: str, where: str) -> datetime:
    """ISO 8601, taken as UTC without an offset. Raises RecordError."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordError(where, f"{text[:40]!r} is no date; write 2026-01-31 or 2026-01-31T12:00:00+01:00") from error
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise RecordError(where, f"{text[:40]!r} is out of range") from error


def fold(text: str) -> str:
    """Lower case without accents, for searching: `Zoé` is found by `zoe`."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A filter of the call list (the keys of `service.CallQuery`); newest first unless `oldest_first`.

    `plot`: the rows carry the points of their calls' delay and loss too.
    """

    limit: int = 50
    before: int | None = None
    after: int | None = None
    direction: str | None = None
    end: str | None = None
    search: str | None = None
    since: str | None = None
    until: str | None = None
    missed: bool | None = None
    oldest_first: bool = False
    plot: bool = False

    def sql(self) -> tuple[str, list[object]]:
        """The statement and its parameters. Raises RecordError for what cannot be asked."""
        for name in ("limit", "before", "after"):
            number = getattr(self, name)
            if number is not None and (not isinstance(number, int) or not 0 <= number < 2**63):
                raise RecordError(name, f"{str(number)[:20]!r} is no whole number from 0 on")
        for name in ("direction", "end", "search", "since", "until"):
            if not isinstance(getattr(self, name), str | None):
                raise RecordError(name, "must be text")
        if not 1 <= self.limit <= MAX_ROWS:
            raise RecordError("limit", f"{self.limit} rows; between 1 and {MAX_ROWS} can be asked for")
        conditions, parameters = [], list[object]()
        for condition, parameter in self._conditions():
            conditions.append(condition)
            parameters.append(parameter)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        order = "ASC" if self.oldest_first else "DESC"
        # Every condition is a constant of `_conditions`; values go as parameters.
        return f"SELECT * FROM calls {where}ORDER BY id {order} LIMIT ?", [*parameters, self.limit]  # noqa: S608

    def _conditions(self) -> Iterator[tuple[str, object]]:
        if self.before is not None:
            yield "id < ?", self.before
        if self.after is not None:
            yield "id > ?", self.after
        if self.direction:
            if self.direction not in {"in", "out"}:
                raise RecordError("direction", f"{self.direction[:20]!r} is neither 'in' nor 'out'")
            yield "direction = ?", self.direction
        if self.end:
            yield "ended_by = ?", clean(self.end)
        if self.missed is not None:
            yield "missed = ?", int(self.missed)
        if self.since:
            yield "started >= ?", stamp(parse_stamp(self.since, "since"))
        if self.until:
            yield "started < ?", stamp(parse_stamp(self.until, "until"))
        if self.search and self.search.strip():
            yield "instr(haystack, ?) > 0", _needle(self.search)


def _needle(text: str) -> str:
    """The searched text, folded; a number as people write it loses its spaces and its 0, 00 or +."""
    digits = "".join(c for c in text if c not in " .-()/\u00a0\u202f")
    if digits.lstrip("+").isdecimal():
        return digits.lstrip("+").lstrip("0") or digits
    return fold(clean(text.strip()) or "")
