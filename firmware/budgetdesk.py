"""Budgets at work in the core: what is spent, what running calls may still spend, and what that lets through.

Runs on the control loop; only `judge` for line 0 (somebody asks for a price) and `now` may be asked from elsewhere.
What may be called and for how long is `rates.budget`'s, the sums are `rates.usage`'s; here they meet the ledger, which
tells every call as it begins and ends, the settings, and the clock. What was spent before this life of the core is
read from the records beside the loop; until it is, capped calls are refused, for the households that set a cap want
it kept. Emergencies never come here, and calls to free numbers are let through first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from firmware import numbering, pins, spending
from firmware.clock import Clock
from firmware.config import Settings
from firmware.rates import rating
from firmware.rates.budget import Asked, Cap, Judgement, Refusal, Rules, judge
from firmware.rates.bundle import Bundle, BundleState
from firmware.rates.pricing import Pricing
from firmware.rates.usage import Entry, Hold, Period, ScopeKind, Spent, Usage, beginning, entry_of
from firmware.store import StoreError
from firmware.tariffs import Verdict
from firmware.telephony.events import Words
from firmware.telephony.ledger import Ledger
from firmware.telephony.record_sums import Alert
from firmware.telephony.record_table import FIRST_SURE_INSTANT
from firmware.telephony.records import CallOpen, RecordError, parse_stamp
from firmware.telephony.routing import Quote

_log = logging.getLogger(__name__)
RETRY_SECONDS = 5.0
# Of a cap gone, at which the household is told.
TOLD_PERCENT = (80, 100)
MOST_REFUSALS_A_DAY = 20
_MOST_SAID = 1000
# A band that begins so soon may hold when the call is answered.
_RINGS = timedelta(minutes=3)
_WORDS = {
    Refusal.PREMIUM: Words.PREMIUM_BARRED,
    Refusal.SATELLITE: Words.SATELLITE_BARRED,
    Refusal.UNKNOWN: Words.UNKNOWN_BARRED,
    Refusal.CLASS: Words.BARRED,
    Refusal.UNREADABLE: Words.TECHNICAL,
}
_OF_SCOPE = {ScopeKind.CLASS: Words.BUDGET_CLASS, ScopeKind.LINE: Words.BUDGET_LINE, ScopeKind.PIN: Words.BUDGET_PIN}
_OF_PERIOD = {Period.DAY: Words.BUDGET_DAY, Period.MONTH: Words.BUDGET_MONTH}
T = TypeVar("T", int, Decimal)
_BARS = frozenset({Words.PREMIUM_BARRED, Words.SATELLITE_BARRED, Words.UNKNOWN_BARRED, Words.BARRED})


def words_of(judgement: Judgement) -> Words | None:
    """What the caller hears of a refusal; None: there is none."""
    if judgement.refusal is None:
        return None
    if judgement.refusal in _WORDS or judgement.cap is None:
        return _WORDS.get(judgement.refusal, Words.NO_CREDIT)
    of_scope = _OF_SCOPE.get(judgement.cap.scope.kind)
    return of_scope or _OF_PERIOD.get(judgement.cap.period, Words.NO_CREDIT)


@dataclass(slots=True)
class _Questions:
    """What was last asked for a line: a call to one number, by each account."""

    number: str
    pin: str | None = None
    answers: dict[str, tuple[Judgement, Pricing | None]] = field(default_factory=dict)


@dataclass(slots=True)
class _Running:
    """A call of ours that is up."""

    line: int
    number: str
    entry: Entry
    answered: bool = False


class BudgetDesk:
    """Fills `tariffs.Limits`, `telephony.calls.PinChecker` and `telephony.ledger.Watch`.

    `has_deck`: whether an account has prices at all. `told`: something about budgets changed, for who shows it; called
    on the loop or on the ledger's thread.
    """

    def __init__(
        self, *, clock: Clock, settings: Settings, has_deck: Callable[[str], bool], told: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._has_deck = has_deck
        self._told = told
        self._settings = settings
        self._rules: Rules = spending.rules_of(settings)
        self._ledger: Ledger | None = None
        self._usage = Usage(spending.zone_of(settings))
        self._readable = False
        # Calls that ended since the reading began that is under way; None: none is.
        self._since: dict[int, Entry] | None = {}
        self._latest: tuple[datetime, float] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stale = asyncio.Event()
        self._stale.set()
        self._by_clock = False
        self._questions: dict[int, _Questions] = {}
        self._running: dict[int, _Running] = {}
        self._said: set[str] = set()
        self._refusals: tuple[str, int] = ("", 0)
        self._one_pin = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what was spent before --------------------------------------------------------------

    async def keep_reading(self, ledger: Ledger) -> None:
        """Read what was spent, and again whenever that must be read by another clock or time zone; never ends."""
        self._ledger = ledger
        self._loop = loop = asyncio.get_running_loop()
        while True:
            await self._stale.wait()
            self._stale.clear()
            zone = spending.zone_of(self._settings)
            try:
                if self._since is None:
                    self._since = {}
                    await asyncio.wrap_future(ledger.flush())
                found = await loop.run_in_executor(None, spending.usage_of, ledger, self._clock, zone)
            except (StoreError, RecordError) as error:
                if self._readable:
                    self._since = None  # the next reading begins with a flush again
                else:
                    _log.warning("what was spent cannot be read yet, calls under a cap are refused: %s", error)
                self._stale.set()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.seed(found)

    def seed(self, found: spending.Read) -> None:
        """Take the sums of the records in place of those there are.

        Calls that ended since the reading began may be in them or not, and count once.
        """
        usage = found.usage
        usage.seed(entry for key, entry in (self._since or {}).items() if key not in found.own)
        for key, hold in self._usage.holds.items():
            usage.hold(key, hold)
        self._usage = usage
        self._since = None
        self._readable = True
        self._by_clock = self._clock.wall() >= FIRST_SURE_INSTANT
        self._latest = None if self._by_clock else (found.at, self._clock.monotonic())
        self._look_at_caps()
        self._told("budget")

    def now(self) -> datetime:
        """The present instant; on a box that does not know the time, as long after its last sure call as it is up."""
        wall = self._clock.wall()
        if wall >= FIRST_SURE_INSTANT:
            if not self._by_clock and self._readable:
                self._by_clock = True
                if self._loop is not None:  # the clock has been set: the records are read by it
                    self._loop.call_soon_threadsafe(self._stale.set)
            return wall
        if self._latest is None:
            return wall
        at, then = self._latest
        return at + timedelta(seconds=self._clock.monotonic() - then)

    # --- the settings -----------------------------------------------------------------------

    def apply(self, settings: Settings) -> None:
        """Other rules, or another time zone, hold for the next call."""
        before, self._settings = self._settings, settings
        self._rules = spending.rules_of(settings)
        if before.box.timezone != settings.box.timezone:
            self._stale.set()
        if before.calls.caps != settings.calls.caps:
            self._said.clear()
            self._look_at_caps()
        self._told("budget")

    # --- tariffs.Limits ---------------------------------------------------------------------

    def judge(
        self,
        dialled: numbering.Dialled,
        line: int,
        account: str,
        pricing: Pricing | None,
        started: datetime,
        pin: str | None = None,
    ) -> Verdict:
        """Whether, and how long, a call from a line may go by an account; `pricing` None: no price is known.

        `line` 0: nobody calls, somebody only asks. A fault in here refuses what it cannot judge: a bar that fails
        open is none.
        """
        try:
            judgement = self._judge(dialled, line, account, pricing, started, pin)
        except Exception:  # noqa: BLE001 - whatever it is, it must not open a bar
            _log.exception("a call could not be judged; it is refused")
            judgement = Judgement(Refusal.UNREADABLE, 0, money=Decimal(0))
        if line:
            self._remember(line, number_of(dialled), pin, account, (judgement, pricing))
        return Verdict(
            words_of(judgement),
            judgement.max_seconds,
            judgement.needs_pin,
            judgement.remaining,
            judgement.remaining_seconds,
        )

    def _remember(
        self, line: int, number: str, pin: str | None, account: str, answer: tuple[Judgement, Pricing | None]
    ) -> None:
        """For when the call is placed: what it then holds."""
        questions = self._questions.get(line)
        if questions is None or (questions.number, questions.pin) != (number, pin):
            questions = self._questions[line] = _Questions(number, pin)
        questions.answers[account] = answer

    def _judge(
        self,
        dialled: numbering.Dialled,
        line: int,
        account: str,
        pricing: Pricing | None,
        started: datetime,
        pin: str | None,
    ) -> Judgement:
        number = number_of(dialled)
        asked = Asked(
            kind=dialled.kind.value,
            forms=forms_of(dialled, self._settings.box.country),
            line=line,
            at=self.now(),
            pin=pin,
            free=pricing is not None and _free(pricing, started),
            dear=pricing is not None and _dear(pricing),
            priced=pricing is not None,
            has_deck=self._has_deck(account),
            longest=lambda money: _longest(pricing, started, money),
            cost=lambda seconds: _cost(pricing, started, seconds),
        )
        own = next((key for key, call in self._running.items() if _asks_again(call, line, number)), None)
        return judge(self._rules, self._usage if self._readable else None, asked, but=own)

    def bundle_state(self, bundle: Bundle, number: str, at: datetime) -> BundleState:
        """What is left of a bundle for a number (a deck's key), running calls counted with what they may take.

        Nothing while that cannot be read: the call is then priced as if the bundle were gone.
        """
        full = bundle.full
        if not self._readable:
            limited = full.seconds_left is not None or full.numbers_left is not None
            return BundleState(0, 0) if limited else full
        del at
        use = self._usage.bundle_use(bundle.name, Period(bundle.period), self.now())
        left = full.seconds_left
        if left is not None:
            left = 0 if use.held is None else max(0, left - use.seconds - use.held)
        numbers = full.numbers_left
        if numbers is not None:
            numbers = max(0, numbers - len(use.numbers))
        plain = number.lstrip("+ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return BundleState(left, numbers, any(known.lstrip("+") == plain for known in use.numbers))

    def unpriced(
        self, dialled: numbering.Dialled, registered: Mapping[str, bool], line: int, pin: str | None
    ) -> list[Quote]:
        """Quotes while rates fail: bars and caps hold all the same."""
        verdicts = {name: self.judge(dialled, line, name, None, self._clock.wall(), pin) for name in registered}
        return [
            Quote(
                name,
                registered=registered[name],
                max_seconds=verdict.max_seconds,
                reason=verdict.reason,
                needs_pin=verdict.needs_pin,
            )
            for name, verdict in verdicts.items()
        ]

    def quoted(self, dialled: numbering.Dialled, line: int, quotes: Sequence[Quote]) -> None:
        """A call was asked for and this is what became of it: one that every account refused is told."""
        reasons = [quote.reason for quote in quotes]
        if not reasons or any(reason is None for reason in reasons):
            return
        questions = self._questions.get(line)
        answers = [] if questions is None else [judgement for judgement, _ in questions.answers.values()]
        for cap in {judgement.cap for judgement in answers if judgement.cap is not None}:
            self._tell_cap(cap, 100)
        barred = next((reason for reason in reasons if reason in _BARS), None)
        if barred is not None:
            self._tell_refusal(number_of(dialled), dialled.kind.value, line, barred)

    # --- telephony.ledger.Watch -------------------------------------------------------------

    def opened(self, key: int, opened: CallOpen, started: datetime) -> None:
        """A call begins: from now on it holds what it may spend."""
        del started
        if opened.direction != "out" or opened.emergency:
            return
        number = opened.number or ""
        entry = Entry(
            started=self.now(), kind=opened.kind or "unknown", line=opened.line, number=number, pin=opened.pin
        )
        self._running[key] = _Running(opened.line, number, entry)
        self._hold(key)

    def answered(self, key: int, opened: CallOpen) -> None:
        """It was answered by one account: the others hold nothing any more."""
        running = self._running.get(key)
        if running is not None:
            self._hold(key, opened.account)
            running.answered = True

    def closed(self, key: int, row: Mapping[str, object]) -> None:
        """It is over: what it cost counts, what it might have cost does not."""
        running = self._running.pop(key, None)
        self._usage.release(key)
        started = parse_stamp(str(row["started"]), "started")
        if row["time_unsure"] and running is not None:
            started = running.entry.started
        entry = entry_of(row, started)
        if entry is not None:
            self._usage.add(entry)
            if self._since is not None:
                self._since[key] = entry
            self._look_at_caps()
        if running is not None:
            self._told("budget")

    def _hold(self, key: int, account: str | None = None) -> None:
        """What the call may spend by the dearest of the accounts that may carry it, or by this one."""
        running = self._running[key]
        questions = self._questions.get(running.line)
        if questions is None or questions.number != running.number:
            return
        entry = running.entry
        if questions.pin is not None and entry.pin is None:
            running.entry = entry = replace(entry, pin=questions.pin)
        able = [
            answer
            for name, answer in questions.answers.items()
            if answer[0].refusal is None and not answer[0].needs_pin and account in {None, name}
        ]
        money = [judgement.money for judgement, _ in able]
        seconds = [judgement.seconds for judgement, _ in able]
        bundles: dict[str, int | None] = {}
        for judgement, pricing in able:
            if pricing is not None and pricing.bundle is not None:
                bundles[pricing.bundle.name] = _least(
                    pricing.state.seconds_left, pricing.bundle.max_call_seconds, judgement.seconds
                )
        self._usage.hold(
            key, Hold(call=entry, money=_most(money, Decimal(0)), seconds=_most(seconds, 0), bundles=bundles)
        )

    # --- LiveBox ----------------------------------------------------------------------------

    def spent(self, caps: Sequence[Cap]) -> list[Spent] | None:
        """What each cap's calls have come to, or None: that cannot be read yet."""
        return spending.spent_by(self._usage, caps, self.now()) if self._readable else None

    # --- telephony.calls.PinChecker ---------------------------------------------------------

    def check(self, line: int, pin: str, told: Callable[[str | None], object]) -> None:
        """Say whose `pin` it is: `told` gets the label, or None for nobody's, later. One at a time."""
        del line
        task = asyncio.get_running_loop().create_task(self._check(pin, told))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, pin: str, told: Callable[[str | None], object]) -> None:
        known = [(one.label, one.hash.get_secret_value()) for one in self._settings.pin]
        known = [(label, digest) for label, digest in known if digest]
        label = None
        try:
            async with self._one_pin, asyncio.timeout(pins.APART_SECONDS):
                place = await _found_apart(pin, [digest for _, digest in known]) if known else None
            label = None if place is None else known[place][0]
        except (pins.PinError, OSError, TimeoutError, IndexError) as error:
            _log.error("a PIN could not be compared, it counts as wrong: %s", type(error).__name__)
        told(label)

    # --- what the household is told ---------------------------------------------------------

    def _look_at_caps(self) -> None:
        if not self._readable:
            return
        for cap in self._rules.caps:
            gone = spending.percent(cap, self._usage.spent(cap.scope, cap.period, self.now()))
            reached = [share for share in TOLD_PERCENT if gone >= share]
            if reached:
                self._tell_cap(cap, max(reached))

    def _tell_cap(self, cap: Cap, share: int) -> None:
        if not self._readable:
            return
        at = self.now()
        row = spending.cap_row(cap, self._usage.spent(cap.scope, cap.period, at), at, self._usage.zone)
        kept = ("cap", "scope", "name", "period", "spent", "spent_seconds", "money", "minutes")
        about = f"cap|{cap}|{row['since']}|{share}"
        self._tell(Alert("cap", about, {**{key: row[key] for key in kept}, "percent": share}))  # type: ignore[literal-required]

    def _tell_refusal(self, number: str, kind: str, line: int, reason: Words) -> None:
        today = beginning(Period.DAY, self.now(), self._usage.zone).isoformat()
        day, count = self._refusals
        count = count + 1 if day == today else 1
        self._refusals = (today, count)
        if count <= MOST_REFUSALS_A_DAY:
            detail = {"number": number, "name": kind, "line": line, "reason": reason.value}
            self._tell(Alert("refused", f"refused|{number}|{line}|{today}", detail))

    def _tell(self, alert: Alert) -> None:
        if self._ledger is None or alert.about in self._said:
            return
        if len(self._said) > _MOST_SAID:
            self._said.clear()  # the ledger keeps who was told what
        self._said.add(alert.about)
        self._ledger.alert(alert)
        # Who is told comes and reads it: not before it can be read.
        self._ledger.flush().add_done_callback(lambda _done: self._told("alert"))


def number_of(dialled: numbering.Dialled) -> str:
    """How call records name the number."""
    return dialled.e164 or dialled.target or dialled.digits


def forms_of(dialled: numbering.Dialled, country: str) -> tuple[str, ...]:
    """The number in E.164 and as dialled at home, however it was dialled."""
    number = number_of(dialled)
    return tuple(dict.fromkeys((number, numbering.display(number, country))))


def _asks_again(call: _Running, line: int, number: str) -> bool:
    """Whether a call that is up is the one asked about: another account or a PIN is tried for it."""
    return not call.answered and (call.line, call.number) == (line, number)


def _dear(pricing: Pricing) -> bool:
    """Whether the service called has a price of its own, as premium numbers' and some short numbers' do."""
    return any(rate.service_per_call or rate.service_per_minute for rate in pricing.rates)


def _free(pricing: Pricing, started: datetime) -> bool:
    """Whether no call at this price can cost anything, whatever band or bundle it is in."""
    return pricing.bundle is None and all(rate.free for rate in pricing.rates) and pricing.rate_at(started) is not None


def _longest(pricing: Pricing | None, started: datetime, money: Decimal) -> int | None:
    """The longest that money pays for, by the dearer of now and when it may be answered."""
    if pricing is None:
        return None
    moments = (started, started + _RINGS) if pricing.calendar.bands else (started,)
    longest = [rating.longest(pricing, moment, money) for moment in moments]
    return min((one for one in longest if one is not None), default=None)


def _cost(pricing: Pricing | None, started: datetime, seconds: int) -> Decimal:
    """What it costs at most, answered now or when it may be."""
    if pricing is None:
        return Decimal(0)
    moments = (started, started + _RINGS) if pricing.calendar.bands else (started,)
    return max(rating.charge(pricing, moment, seconds).amount for moment in moments)


def _most(amounts: Sequence[T | None], nothing: T) -> T | None:
    """The largest; None, without end, is larger than any."""
    most = nothing
    for amount in amounts:
        if amount is None:
            return None
        most = max(most, amount)
    return most


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


async def _found_apart(pin: str, hashes: Sequence[str]) -> int | None:
    """Which hash is this PIN's, said by a process of its own. Raises PinError, OSError, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *pins.COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=pins.humbly,
    )
    try:
        answer, _ = await process.communicate(pins.find_question(pin, hashes))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return pins.found(answer)
