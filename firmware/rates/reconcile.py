"""The provider's call records against ours: who is right about number, time, length and price. Pure.

`reconcile(ours, theirs, rules)` pairs each of their calls with one of ours (number, start within a
tolerance, length), and names every difference above one billing increment by its cause. Neither
list's order matters. Ties are broken by what the calls are, so that the same two lists always give
the same findings.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from firmware.rates.rate import ZERO

TOLERANCE = 90
# The farthest that two clocks of the world are apart; and how long a telephone rings before the answer.
_HOURS = 14
_RING_SECONDS = 300
# Hours that single calls are off: summer time that one of both does not know, or knows the wrong way.
_SUMMER = (-2, -1, 1, 2)
# Of one call of theirs, the nearest of ours that are looked at: a box makes few calls at a time.
_NEAREST = 12
_SAMPLE = 400
_FEW, _MANY = Decimal("0.2"), Decimal("0.8")


class Cause(StrEnum):
    """Why a call of theirs is not one of ours, or not the same."""

    OURS_ONLY = "ours-only"
    THEIRS_ONLY = "theirs-only"
    DOUBLE = "double"
    NOT_ANSWERED = "not-answered"
    OTHER_NUMBER = "other-number"
    CLOCK = "clock"
    LONGER = "longer"
    SHORTER = "shorter"
    DEARER = "dearer"
    CHEAPER = "cheaper"
    OTHER_RATE = "other-rate"


@dataclass(frozen=True, slots=True)
class Ours:
    """A call as the box has it. `started` when it was placed, `answered` None: nobody answered.

    `seconds` of conversation, `billed_seconds` by our rate; `cost` None: no price was known. `increment` (seconds)
    and `per_minute` are the rate's, None where it is not known any more.
    """

    id: int
    number: str
    started: datetime
    answered: datetime | None
    seconds: int
    billed_seconds: int
    cost: Decimal | None = None
    currency: str = ""
    destination: str = ""
    increment: int | None = None
    per_minute: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Theirs:
    """A call as the provider has it. `number` E.164 with + where it is one; `?` stands for a masked digit.

    `also`: the other instant of a local time that the night of winter time has twice. `billed_seconds`, `cost`,
    `rate` (per minute) None where the file does not say.
    """

    line: int
    number: str
    started: datetime
    seconds: int
    billed_seconds: int | None = None
    cost: Decimal | None = None
    currency: str = ""
    rate: Decimal | None = None
    also: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as the same.

    `tolerance`: seconds between the two clocks. `increment`: where ours is not known. `slack`: seconds that no
    increment is below, for each clock rounds, and a farewell takes its time on the way. `step`: the last decimal of
    their prices. `since` <= t < `until`: what their file covers; a call of ours outside is not missing there.
    `taxes`: percentages that their prices may leave out, where ours include them.
    """

    tolerance: int = TOLERANCE
    increment: int = 60
    slack: int = 3
    step: Decimal = Decimal("0.0001")
    since: datetime | None = None
    until: datetime | None = None
    taxes: tuple[Decimal, ...] = (Decimal(20), Decimal("8.5"), Decimal(21), Decimal(19), Decimal(22), Decimal("8.1"))


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `seconds` and `money` are theirs less ours; `hours` how far their clock is off."""

    cause: Cause
    ours: Ours | None
    theirs: Theirs | None
    seconds: int = 0
    money: Decimal | None = None
    currency: str = ""
    hours: int = 0


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What came of it. `matched`: pairs, different or not. `hours`: their whole file is so far off.

    `without_tax`: their prices leave out so many per cent, and were compared with that added. `other_currency`: pairs
    whose prices are in two currencies, and were not compared.
    """

    findings: tuple[Finding, ...]
    matched: int
    ours: int
    theirs: int
    hours: int = 0
    without_tax: Decimal | None = None
    other_currency: int = 0
    unpriced: int = 0

    def money(self) -> dict[str, Decimal]:
        """What their bill is above ours by the findings, by currency. A difference told twice counts once."""
        seen: set[tuple[int | None, int | None]] = set()
        sums: dict[str, Decimal] = {}
        for finding in self.findings:
            who = (finding.ours.id if finding.ours else None, finding.theirs.line if finding.theirs else None)
            if finding.money is not None and finding.currency and who not in seen:
                seen.add(who)
                sums[finding.currency] = sums.get(finding.currency, ZERO) + finding.money
        return sums


def reconcile(ours: Iterable[Ours], theirs: Iterable[Theirs], rules: Rules | None = None) -> Reconciliation:
    """Pair and compare. `ours` may hold calls that nobody answered: theirs must not."""
    return _Work(list(ours), list(theirs), rules or Rules()).done()


@dataclass(slots=True)
class _Pair:
    ours: Ours
    theirs: Theirs
    hours: int = 0


class _Work:
    """One reconciliation."""

    def __init__(self, ours: list[Ours], theirs: list[Theirs], rules: Rules) -> None:
        self.rules = rules
        self.tolerance = timedelta(seconds=rules.tolerance)
        # By what they are, never by where they stood.
        self.answered = sorted((call for call in ours if call.answered is not None), key=_ours_key)
        self.silent = sorted((call for call in ours if call.answered is None), key=_ours_key)
        self.theirs = sorted(theirs, key=_theirs_key)
        # A file that names no currency is in that of the account's other calls, where they have but one.
        known = {call.currency for call in ours if call.currency}
        self.currency = known.pop() if len(known) == 1 else ""
        self.pairs: list[_Pair] = []
        self.findings: list[Finding] = []
        self.ours_left = dict(enumerate(self.answered))
        self.theirs_left = dict(enumerate(self.theirs))

    def done(self) -> Reconciliation:
        hours = self._common_hours()
        self._match(hours, _same_number, any_length=True)
        # Before a call is looked for at another hour: a twin is likelier than a clock that is off for one call.
        self._doubles()
        for other in sorted({0, *(hours + more for more in _SUMMER)} - {hours}, key=lambda other: (abs(other), other)):
            self._match(other, _same_number, any_length=False)
        self._match(hours, _other_number, any_length=False, cause=Cause.OTHER_NUMBER)
        self._not_answered(hours)
        self._left_over()
        priced = [pair for pair in self.pairs if _priced(pair)]
        tax = self._missing_tax(priced)
        self._compare(tax)
        return Reconciliation(
            findings=tuple(sorted(self.findings, key=_finding_key)),
            matched=len(self.pairs),
            ours=len([call for call in self.answered if self._covered(call)]),
            theirs=len(self.theirs),
            hours=hours,
            without_tax=tax,
            other_currency=sum(_both_cost(pair) and not _priced(pair) for pair in self.pairs),
            unpriced=sum(not _both_cost(pair) for pair in self.pairs),
        )

    # --- pairing ------------------------------------------------------------------------------

    def _common_hours(self) -> int:
        """How many whole hours their clock is off for most calls: 0 unless another makes more of them fit."""
        # A few hundred calls, from all over the file, tell as much as all of them.
        every = -(-len(self.theirs) // _SAMPLE) or 1
        sample = dict(list(self.theirs_left.items())[::every])
        best, most = 0, -1
        for hours in sorted(range(-_HOURS, _HOURS + 1), key=lambda hours: (abs(hours), hours)):
            found = {theirs for _, theirs, _ in self._candidates(hours, _same_number, any_length=False, among=sample)}
            if len(found) > most:
                best, most = hours, len(found)
            if most == len(sample):
                break
        return best

    def _match(
        self, hours: int, fits: Callable[[Ours, Theirs], bool], *, any_length: bool, cause: Cause | None = None
    ) -> None:
        """The best pairs first, each call once."""
        scored = [
            (*score, mine, theirs) for mine, theirs, score in self._candidates(hours, fits, any_length=any_length)
        ]
        for *_, mine, theirs in sorted(scored):
            if mine in self.ours_left and theirs in self.theirs_left:
                pair = _Pair(self.ours_left.pop(mine), self.theirs_left.pop(theirs), hours)
                self.pairs.append(pair)
                if hours:
                    self._find(Cause.CLOCK, pair, hours=hours)
                if cause is not None:
                    self._find(cause, pair)

    def _candidates(
        self,
        hours: int,
        fits: Callable[[Ours, Theirs], bool],
        *,
        any_length: bool,
        among: Mapping[int, Theirs] | None = None,
    ) -> Iterator[tuple[int, int, tuple[bool, float, int, Decimal]]]:
        """(ours, theirs, score: lower is likelier) of what could be the same call."""
        left = sorted(self.ours_left)
        starts = [self.answered[mine].started for mine in left]
        shift = timedelta(hours=hours)
        for number, theirs in (self.theirs_left if among is None else among).items():
            near = []
            for instant in {theirs.started, theirs.also or theirs.started}:
                at = instant - shift
                first = bisect_left(starts, at - self.tolerance - timedelta(seconds=_RING_SECONDS))
                for mine in left[first : bisect_right(starts, at + self.tolerance)]:
                    call = self.answered[mine]
                    apart = _apart(call, at)
                    if apart > self.tolerance or not fits(call, theirs):
                        continue
                    length = abs(_longer(call, theirs))
                    mismatch = length > self._threshold(call)
                    if mismatch and not any_length:
                        continue
                    money = abs(theirs.cost - call.cost) if theirs.cost is not None and call.cost is not None else ZERO
                    near.append(((mismatch, apart.total_seconds(), length, money), mine))
            for score, mine in sorted(near)[:_NEAREST]:
                yield mine, number, score

    def _doubles(self) -> None:
        """What is left of theirs and overlaps another of theirs to the same number: the same call twice."""
        by_number: dict[str, list[int]] = defaultdict(list)
        for number, theirs in enumerate(self.theirs):
            by_number[theirs.number].append(number)
        slack = max(self.rules.increment, self.rules.slack)
        for number, theirs in list(self.theirs_left.items()):
            twins = by_number[theirs.number]
            first = bisect_left(twins, theirs.started - self.tolerance, key=lambda twin: self.theirs[twin].started)
            for twin in twins[first : first + _NEAREST]:
                other = self.theirs[twin]
                if other.started > theirs.started + self.tolerance:
                    break
                if twin not in self.theirs_left and abs(other.seconds - theirs.seconds) <= slack:
                    del self.theirs_left[number]
                    self._theirs_alone(Cause.DOUBLE, theirs)
                    break

    def _theirs_alone(self, cause: Cause, theirs: Theirs, call: Ours | None = None) -> None:
        currency = theirs.currency or self.currency if theirs.cost is not None else ""
        self.findings.append(Finding(cause, call, theirs, theirs.seconds, theirs.cost, currency))

    def _not_answered(self, hours: int) -> None:
        starts = [call.started for call in self.silent]
        taken: set[int] = set()
        for number, theirs in list(self.theirs_left.items()):
            at = theirs.started - timedelta(hours=hours)
            first = bisect_left(starts, at - self.tolerance - timedelta(seconds=_RING_SECONDS))
            for place in range(first, bisect_right(starts, at + self.tolerance)):
                call = self.silent[place]
                if place not in taken and _same_number(call, theirs):
                    taken.add(place)
                    del self.theirs_left[number]
                    self._theirs_alone(Cause.NOT_ANSWERED, theirs, call)
                    break

    def _left_over(self) -> None:
        for theirs in self.theirs_left.values():
            self._theirs_alone(Cause.THEIRS_ONLY, theirs)
        for call in self.ours_left.values():
            if self._covered(call):
                money = None if call.cost is None else -call.cost
                self.findings.append(Finding(Cause.OURS_ONLY, call, None, -call.seconds, money, call.currency))

    def _covered(self, call: Ours) -> bool:
        since, until = self.rules.since, self.rules.until
        return (since is None or call.started >= since) and (until is None or call.started < until)

    # --- comparing ----------------------------------------------------------------------------

    def _threshold(self, call: Ours) -> int:
        return max(call.increment or self.rules.increment, self.rules.slack)

    def _missing_tax(self, pairs: Sequence[_Pair]) -> Decimal | None:
        """The tax that their prices leave out, when most of them are ours less it and few are ours."""
        paid = [(pair.theirs.cost or ZERO, pair.ours.cost or ZERO) for pair in pairs if pair.ours.cost]
        if len(paid) < 3:  # noqa: PLR2004 - two prices prove nothing
            return None

        def fitting(factor: Decimal) -> int:
            return sum(abs(theirs * factor - ours) <= self.rules.step * factor for theirs, ours in paid)

        if fitting(Decimal(1)) > len(paid) * _FEW:
            return None
        for tax in self.rules.taxes:
            if fitting(1 + tax / 100) >= len(paid) * _MANY:
                return tax
        return None

    def _compare(self, tax: Decimal | None) -> None:
        factor = Decimal(1) if tax is None else 1 + tax / 100
        odd: dict[tuple[str, str], list[tuple[_Pair, Decimal]]] = defaultdict(list)
        even: dict[tuple[str, str], int] = defaultdict(int)
        for pair in self.pairs:
            longer = _longer(pair.ours, pair.theirs)
            apart = abs(longer) > self._threshold(pair.ours)
            cost = None if not _priced(pair) else (pair.theirs.cost or ZERO) * factor
            money = None if cost is None else cost - (pair.ours.cost or ZERO)
            if apart:
                self._find(Cause.LONGER if longer > 0 else Cause.SHORTER, pair, seconds=longer, money=money)
            if money is None or cost is None:
                continue
            place = (pair.ours.destination, pair.ours.currency)
            if abs(money) <= self._money_slack(pair.ours, factor) or (apart and self._explained(pair, money, factor)):
                even[place] += 1
            else:
                odd[place].append((pair, cost))
        for place, pairs in odd.items():
            systematic = len(pairs) >= even[place] and self._one_rate(pairs, factor)
            for pair, cost in pairs:
                money = cost - (pair.ours.cost or ZERO)
                told = _told_rate(pair)
                if told is False or (told is None and systematic):
                    self._find(Cause.OTHER_RATE, pair, money=money)
                else:
                    self._find(Cause.DEARER if money > 0 else Cause.CHEAPER, pair, money=money)

    def _money_slack(self, call: Ours, factor: Decimal) -> Decimal:
        """One increment's price, or the last decimal of their prices where that is more."""
        step = self.rules.step * factor
        if call.per_minute is None:
            return step
        return max(step, call.per_minute * (call.increment or self.rules.increment) / 60)

    def _explained(self, pair: _Pair, money: Decimal, factor: Decimal) -> bool:
        """Whether the other length alone makes the other price."""
        if pair.ours.per_minute is None:
            return True
        billed = pair.theirs.billed_seconds if pair.theirs.billed_seconds is not None else pair.theirs.seconds
        expected = pair.ours.per_minute * (billed - pair.ours.billed_seconds) / 60
        return abs(money - expected) <= self._money_slack(pair.ours, factor)

    def _one_rate(self, pairs: Sequence[tuple[_Pair, Decimal]], factor: Decimal) -> bool:
        """Whether one other price a minute, or one factor on ours, makes all of these prices."""
        step = self.rules.step * factor
        lengths = [(Decimal(_their_billed(pair)), cost) for pair, cost in pairs]
        ratios = [(pair.ours.cost or ZERO, cost) for pair, cost in pairs]
        for told in (lengths, ratios):
            if len({basis for basis, _ in told}) < 2 or not all(basis for basis, _ in told):  # noqa: PLR2004
                continue
            basis, cost = max(told)
            if all(abs(other * cost / basis - price) <= step * (1 + other / basis) for other, price in told):
                return True
        return False

    def _find(
        self, cause: Cause, pair: _Pair, *, seconds: int = 0, money: Decimal | None = None, hours: int = 0
    ) -> None:
        self.findings.append(
            Finding(
                cause, pair.ours, pair.theirs, seconds, money, pair.ours.currency if money is not None else "", hours
            )
        )


def _same_number(ours: Ours, theirs: Theirs) -> bool:
    """Whether it may be the same number, masked digits or not."""
    if ours.number == theirs.number:
        return True
    if "?" not in theirs.number or len(ours.number) != len(theirs.number):
        return False
    return all(mark in {"?", digit} for digit, mark in zip(ours.number, theirs.number, strict=True))


def _other_number(ours: Ours, theirs: Theirs) -> bool:
    return not _same_number(ours, theirs)


def _apart(call: Ours, at: datetime) -> timedelta:
    """How far an instant is from the call's beginning: some providers stamp the dialling, some the answer."""
    placed = abs(at - call.started)
    return placed if call.answered is None else min(placed, abs(at - call.answered))


def _longer(ours: Ours, theirs: Theirs) -> int:
    """Seconds that theirs is longer than ours, by what is nearest: conversation or billed."""
    if theirs.billed_seconds is not None:
        billed = theirs.billed_seconds - ours.billed_seconds
        spoken = theirs.seconds - ours.seconds
        return max(billed, spoken, key=abs)
    return min(theirs.seconds - ours.seconds, theirs.seconds - ours.billed_seconds, key=abs)


def _their_billed(pair: _Pair) -> int:
    if pair.theirs.billed_seconds is not None:
        return pair.theirs.billed_seconds
    return pair.ours.billed_seconds or pair.theirs.seconds


def _both_cost(pair: _Pair) -> bool:
    return pair.theirs.cost is not None and pair.ours.cost is not None


def _priced(pair: _Pair) -> bool:
    """Whether the two prices can be compared."""
    return _both_cost(pair) and (not pair.theirs.currency or pair.theirs.currency == pair.ours.currency)


def _told_rate(pair: _Pair) -> bool | None:
    """Whether the price a minute that their file tells is ours; None: it does not tell."""
    if pair.theirs.rate is None or pair.ours.per_minute is None:
        return None
    return pair.theirs.rate == pair.ours.per_minute


def _ours_key(call: Ours) -> tuple[object, ...]:
    return (call.started, call.number, call.seconds, call.cost or ZERO, call.id)


def _theirs_key(call: Theirs) -> tuple[object, ...]:
    return (call.started, call.number, call.seconds, call.cost or ZERO, call.line)


def _finding_key(finding: Finding) -> tuple[object, ...]:
    call = finding.ours or finding.theirs
    if call is None:
        raise AssertionError("a finding is about a call")
    return (call.started, call.number, finding.cause, call.seconds, finding.theirs.line if finding.theirs else 0)
