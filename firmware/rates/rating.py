"""What a call costs. Pure arithmetic in whole numbers and fractions: no float, no rounding but where the terms say.

A call is a row of intervals: `first_increment` seconds from its beginning, then begun `next_increment`s
(or those of the step that it has come to). Each is priced where it begins, by the rate that holds at that
instant, which is the beginning of the call by the wall clock and the seconds since by the monotonic one.
What a bundle covers is no interval: it ends to the second where the bundle ends, and the next interval
begins there. In the simplest case, one rate and no bundle:

    billed = first increment                                   if seconds <= first increment
           = first + ceil((seconds - first) / next) * next     otherwise
    exact  = connection fee + per call + per minute * billed / 60, and the minimum at least
    amount = exact, to four decimals, half up

Fees and minimum are those of the rate that held at the beginning, and not owed by a call that began within
a bundle; the price of a service (SVA) is. A call never answered costs nothing, nor one within its grace,
nor an emergency, whatever a deck says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil

from firmware.rates.bands import MAX_CALL_DAYS, Calendar, zone_of
from firmware.rates.bundle import Bundle, BundleState, period_end
from firmware.rates.pricing import Pricing, from_tariff, to_tariff
from firmware.rates.rate import ZERO, Rate, Step
from firmware.rates.terms import MAX_DECIMALS, Rounding, Terms

__all__ = ["NOTHING", "Cost", "Part", "Pricing", "charge", "from_tariff", "longest", "price", "to_tariff"]

EMERGENCY = "emergency"
_MS = 1000
_MAX_MS = MAX_CALL_DAYS * 86_400 * _MS
_ONE_MS = timedelta(milliseconds=1)
_NEVER = 10**15
_WHENEVER = datetime(2010, 8, 25, tzinfo=UTC)
_NO_MONEY = Decimal(0).scaleb(-MAX_DECIMALS)
_HOUSEHOLD = Rounding()


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a call that was charged alike: from one second to another, in a band or by a bundle.

    `billed` seconds; `exact` is its price with what of fees and minimum falls to it. The parts' sum is the whole.
    """

    begins: Decimal
    ends: Decimal
    band: str
    bundle: str | None
    billed: int
    exact: Fraction


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of one call: `exact`, and `amount` as the terms round it, as it is shown and recorded.

    With tax, in the household's currency. Within it `service` is the price of the service called and `tax`
    the tax. `bundle` covered `bundle_seconds` of the `billed_seconds`. `original` is the amount in the
    deck's currency where that is another.
    """

    billed_seconds: int
    exact: Fraction
    amount: Decimal
    parts: tuple[Part, ...] = ()
    service: Decimal = _NO_MONEY
    bundle: str | None = None
    bundle_seconds: int = 0
    tax: Decimal = _NO_MONEY
    currency: str = ""
    original: Decimal | None = None


NOTHING = Cost(0, Fraction(0), _NO_MONEY)


def billed_seconds(rate: Rate, seconds: Decimal | int) -> int:
    """Seconds that are paid for; 0 for a call that was not answered (`seconds` <= 0)."""
    return price(rate, seconds).billed_seconds


def price(rate: Rate, seconds: Decimal | int) -> Cost:
    """What a call of `seconds` of conversation costs by `rate` alone."""
    return charge(Pricing((rate,)), _WHENEVER, seconds)


def max_seconds(rate: Rate, budget: Decimal) -> int | None:
    """As `longest`, by `rate` alone."""
    return longest(Pricing((rate,)), _WHENEVER, budget)


def charge(pricing: Pricing, started: datetime, seconds: Decimal | int) -> Cost:
    """What a call answered at `started` (aware) costs after `seconds` by the monotonic clock, to the millisecond.

    Raises ValueError if no rate of the pricing holds at `started`.
    """
    length = ceil(Fraction(seconds) * _MS)
    opening = _opening(pricing, started)
    if length <= 0 or length <= opening.rate.grace_seconds * _MS:
        return Cost(0, Fraction(0), _NO_MONEY, currency=pricing.currency)
    bill = _Bill(pricing.terms, opening.minimum)
    bill.sum, bill.service = opening.fees, opening.service
    for run in _runs(pricing, started, max(length, _MAX_MS)):
        bill.add(run, run.intervals(length), length)
        if run.ends >= length:
            break
    return bill.cost(pricing)


def longest(pricing: Pricing, started: datetime, money: Decimal) -> int | None:
    """The longest call in whole seconds that costs no more than `money`; None: no end; 0: not even a second.

    The same intervals and the same rounding as `charge`: a second more would cost more. No call is longer
    than MAX_CALL_DAYS, and one that can be paid for so long has no end.
    """
    opening = _opening(pricing, started)
    grace = opening.rate.grace_seconds
    bill = _Bill(pricing.terms, opening.minimum)
    bill.sum = opening.fees
    for run in _runs(pricing, started, _MAX_MS):
        paid = bill.affordable(run, money)
        if paid < run.count:
            return max(grace, (run.begins + paid * run.step) // _MS)
        bill.sum += run.unit * run.count
    return None


def emergency_rate(prefix: str, currency: str) -> Rate:
    """The rate of every emergency number."""
    return Rate(prefix, "Emergency", currency, ZERO, first_increment=1, next_increment=1)


# --- a call as runs of intervals ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a call owes for being answered: the rate at its beginning, fees and, within them, the service's."""

    rate: Rate
    fees: Fraction
    service: Fraction
    minimum: Fraction


@dataclass(frozen=True, slots=True)
class _Run:
    """Like intervals in a row: `count` of `step` ms from `begins` to `ends` (all in ms; the last may be cut short).

    `unit` is the price of each, `service` what of that is the service's. `left`: seconds that the bundle has.
    """

    begins: int
    ends: int
    step: int
    count: int
    unit: Fraction
    service: Fraction
    band: str
    bundle: str | None = None
    left: int | None = None

    def intervals(self, length: int) -> int:
        """How many of them a call of `length` ms has begun."""
        return min(self.count, -(-(length - self.begins) // self.step))

    def billed(self, intervals: int) -> int:
        """Seconds that so many count for."""
        seconds = -(-intervals * self.step // _MS)
        return seconds if self.left is None else min(seconds, self.left)


def _opening(pricing: Pricing, started: datetime) -> _Opening:
    band = pricing.calendar.band_at(started)
    rate = pricing.rate_in(band)
    if rate is None:
        raise ValueError(f"no rate holds at {started.isoformat()}")
    terms = pricing.terms
    service = _priced(terms, rate.service_per_call)
    cover = _Cover(pricing, started)
    if cover.until(0, band, _MAX_MS):
        return _Opening(rate, service, service, Fraction(0))
    per_call = _priced(terms, rate.per_call)
    fees = _priced(terms, rate.connection_fee) + per_call
    return _Opening(rate, fees, service, _priced(terms, rate.minimum))


def _runs(pricing: Pricing, started: datetime, horizon: int) -> Iterator[_Run]:
    """The runs of a call from its beginning to `horizon` ms at least, in order and without a gap."""
    cover = _Cover(pricing, started)
    calendar, terms = pricing.calendar, pricing.terms
    band, rate = calendar.band_at(started), pricing.rate_at(started)
    change = 0 if calendar.bands else horizon
    at = 0
    while at < horizon:
        if change <= at and calendar.bands:
            instant = started + timedelta(milliseconds=at)
            band = calendar.band_at(instant)
            # A band that the deck has no rate for goes on as the one before.
            rate = pricing.rate_in(band) or rate
            change = at + _other_band(calendar, instant, band, horizon - at)
        if rate is None:
            return
        step, step_end = _step(rate, at // _MS)
        limit = min(change, horizon)
        covered = cover.until(at, band, limit)
        if covered and pricing.bundle is not None:
            if rate.service_per_minute:
                covered = min(covered, step_end * _MS)
            run = _covered(terms, pricing.bundle, rate, step, at, covered, cover.left, band)
            cover.use(run)
        else:
            if at == 0:
                length, limit = rate.first_increment, 1  # one interval
            else:
                length, limit = step.increment, min(limit, step_end * _MS, cover.renewal)
            count = -(-(limit - at) // (length * _MS))
            unit = _priced(terms, step.per_minute * length, 60)
            service = _priced(terms, rate.service_per_minute * length, 60)
            run = _Run(at, at + count * length * _MS, length * _MS, count, unit, service, band)
        yield run
        at = run.ends


def _covered(
    terms: Terms, bundle: Bundle, rate: Rate, step: Step, at: int, until: int, left: int | None, band: str
) -> _Run:
    """A run within the bundle: it costs nothing but the service, if there is one that is paid a minute."""
    if rate.service_per_minute:
        length = rate.first_increment if at == 0 else step.increment
        count = 1 if at == 0 else -(-(until - at) // (length * _MS))
        service = _priced(terms, rate.service_per_minute * length, 60)
        return _Run(at, at + count * length * _MS, length * _MS, count, service, service, band, bundle.name, left)
    length = bundle.increment
    count = -(-(until - at) // (length * _MS))
    return _Run(at, until, length * _MS, count, Fraction(0), Fraction(0), band, bundle.name, left)


class _Cover:
    """How far a call's bundle covers it, as the call goes on."""

    def __init__(self, pricing: Pricing, started: datetime) -> None:
        self._bundle = pricing.bundle
        self._zone = zone_of(pricing.zone) if pricing.bundle is not None else UTC
        self._started = started
        self._by_band = bool(pricing.bundle and pricing.bundle.bands) or any(
            rate.service_per_minute for rate in pricing.rates
        )
        self.left = pricing.state.seconds_left
        self._admits = pricing.state.admits
        self.renewal = _NEVER
        if pricing.bundle is not None:
            self.renewal = self._renewal(0)

    def until(self, at: int, band: str, limit: int) -> int:
        """Up to which ms from `at` on the bundle covers, at most `limit`; 0: it does not."""
        bundle = self._bundle
        if bundle is None:
            return 0
        if at >= self.renewal:
            self._renew(bundle.full, at)
        if not self._admits or self.left == 0 or (bundle.bands and band not in bundle.bands):
            return 0
        # A bundle that asks for no band goes on through all of them, but for a service that is paid by them.
        until = min(limit if self._by_band else _NEVER, self.renewal)
        if bundle.max_call_seconds is not None:
            until = min(until, bundle.max_call_seconds * _MS)
        if self.left is not None:
            until = min(until, at + self.left * _MS)
        return until if until > at else 0

    def use(self, run: _Run) -> None:
        """Take what the whole run uses out of the bundle."""
        if self.left is not None:
            self.left -= run.billed(run.count)

    def _renew(self, full: BundleState, at: int) -> None:
        """Another period: the bundle is full, and this number the first that it counts."""
        self.left = full.seconds_left
        self._admits = full.numbers_left is None or full.numbers_left > 0
        self.renewal = self._renewal(at)

    def _renewal(self, at: int) -> int:
        assert self._bundle is not None  # noqa: S101 - asked of a bundle only
        instant = self._started + timedelta(milliseconds=at)
        return max(at + 1, _ms(period_end(self._bundle.period, instant, self._zone) - self._started))


def _other_band(calendar: Calendar, instant: datetime, band: str, horizon: int) -> int:
    """How many ms on another band begins; `horizon` if none does before."""
    moment = instant
    while True:
        moment = calendar.next_change(moment)
        span = _ms(moment - instant)
        if span >= horizon:
            return horizon
        if calendar.band_at(moment) != band:
            return max(1, span)


def _step(rate: Rate, second: int) -> tuple[Step, int]:
    """The step that holds at a second of the call, and the second at which the next one begins."""
    step = Step(0, rate.per_minute, rate.next_increment)
    for following in rate.steps:
        if following.from_second > second:
            return step, following.from_second
        step = following
    return step, _NEVER


def _ms(span: timedelta) -> int:
    """In whole milliseconds, up."""
    return -(-span // _ONE_MS)


# --- sums and amounts --------------------------------------------------------------------------


@dataclass
class _Bill:
    """The sum so far, in the deck's currency, with tax."""

    terms: Terms
    minimum: Fraction
    sum: Fraction = Fraction(0)
    service: Fraction = Fraction(0)
    billed: int = 0
    bundle_seconds: int = 0
    parts: list[Part] = field(default_factory=list)

    def add(self, run: _Run, intervals: int, length: int) -> None:
        """Take in so many intervals of a run, of a call of `length` ms."""
        part = run.unit * intervals
        seconds = run.billed(intervals)
        fees = Fraction(0) if self.parts else self.sum
        self.sum += part
        self.service += run.service * intervals
        self.billed += seconds
        if run.bundle is not None:
            self.bundle_seconds += seconds
        ends = Decimal(min(run.ends, length)).scaleb(-3)
        last = self.parts[-1] if self.parts else None
        if last is not None and (last.band, last.bundle) == (run.band, run.bundle):
            self.parts[-1] = Part(
                last.begins, ends, last.band, last.bundle, last.billed + seconds, last.exact + part + fees
            )
        else:
            begins = Decimal(run.begins).scaleb(-3)
            self.parts.append(Part(begins, ends, run.band, run.bundle, seconds, part + fees))

    def affordable(self, run: _Run, money: Decimal) -> int:
        """How many intervals of a run can follow before the call costs more than `money`."""

        def fits(intervals: int) -> bool:
            return _amount(self.terms, self.total(self.sum + run.unit * intervals)) <= money

        if fits(run.count):
            return run.count
        low, high = 0, run.count  # none is as good as what came before; all are too many
        while high - low > 1:
            middle = (low + high) // 2
            if fits(middle):
                low = middle
            else:
                high = middle
        return low

    def total(self, whole: Fraction) -> Fraction:
        """A sum, and the minimum at least."""
        return max(whole, self.minimum)

    def cost(self, pricing: Pricing) -> Cost:
        """What the call costs."""
        terms = pricing.terms
        exact = self.total(self.sum)
        exchange = Fraction(1) if terms.exchange is None else Fraction(terms.exchange)
        parts = [
            Part(part.begins, part.ends, part.band, part.bundle, part.billed, part.exact * exchange)
            for part in self.parts
        ]
        if exact > self.sum and parts:
            last = parts[-1]
            more = last.exact + (exact - self.sum) * exchange
            parts[-1] = Part(last.begins, last.ends, last.band, last.bundle, last.billed, more)
        amount = _amount(terms, exact)
        return Cost(
            billed_seconds=self.billed,
            exact=exact * exchange,
            amount=amount,
            parts=tuple(parts),
            service=_amount(terms, self.service),
            bundle=next((part.bundle for part in parts if part.bundle), None),
            bundle_seconds=self.bundle_seconds,
            tax=_HOUSEHOLD.amount(terms.tax.part(Fraction(amount))),
            currency=pricing.currency,
            original=None if terms.exchange is None else terms.rounding.amount(exact),
        )


def _priced(terms: Terms, price: Decimal, divisor: int = 1) -> Fraction:
    """A price of the deck with its tax, rounded if the terms round every interval."""
    exact = Fraction(price) / divisor * terms.tax.factor
    return terms.rounding.apply(exact) if terms.rounding.place == "interval" else exact


def _amount(terms: Terms, exact: Fraction) -> Decimal:
    """A sum in the deck's currency as the household sees it: rounded as the provider does, then exchanged."""
    amount = terms.rounding.amount(exact)
    if terms.exchange is None:
        return amount
    return _HOUSEHOLD.amount(Fraction(amount) * Fraction(terms.exchange))
