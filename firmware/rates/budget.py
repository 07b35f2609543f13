"""Which calls may be placed, and how long each may last. Pure: rules, sums and a call in, a judgement out.

First come the bars. A call to a class that the household has not allowed (premium, satellite, unknown until it does)
is refused, unless its number is allowed, or a PIN that allows it is given. Then the caps, in money and in minutes:
the call may last as long as the tightest cap that concerns it pays for, running calls counted with all that they may
still spend. What is left is thus never spent twice, and the sum never passes a cap by more than the unit of the
tariff in which the call is cut.

Emergencies and calls that cost nothing are never asked about: they have no bar and no cap, whatever is broken. A cap
whose past cannot be read (the call records are not open yet, or damaged) refuses what it concerns: the households that
set one want it kept; nobody else notices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import Enum

from firmware.numbering import NumberClass
from firmware.rates.usage import ZERO, Period, Scope, ScopeKind, Usage

# A call that may last less than this is none: the budget is used up.
LEAST_SECONDS = 10
# A call may be cut so late. The next one counts that in, so that several lines late at once pass a cap by one unit.
LATE_SECONDS = 1
MAX_CAPS = 40
MAX_NUMBERS = 200
MAX_MINUTES = 60 * 24 * 31
MAX_MONEY = Decimal(1_000_000)
_A_MONTH = MAX_MINUTES * 60

EMERGENCY = NumberClass.EMERGENCY.value
FREE = NumberClass.FREE.value
UNKNOWN = NumberClass.UNKNOWN.value
PREMIUM = NumberClass.PREMIUM.value
# Classes that a household may bar or allow; emergencies and free numbers it cannot bar.
CLASSES = (
    NumberClass.FIXED.value,
    NumberClass.MOBILE.value,
    NumberClass.SHORT.value,
    NumberClass.INTERNATIONAL.value,
    PREMIUM,
    NumberClass.SATELLITE.value,
    UNKNOWN,
)
ALLOWED_AT_FIRST = ("fixed", "mobile", "short", "international")


class Refusal(Enum):
    """Why a call is not placed."""

    PREMIUM = "premium"
    SATELLITE = "satellite"
    UNKNOWN = "unknown"
    CLASS = "class"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    UNREADABLE = "unreadable"


_BARS = {"premium": Refusal.PREMIUM, "satellite": Refusal.SATELLITE, UNKNOWN: Refusal.UNKNOWN}
_USED_UP = {Period.DAY: Refusal.DAY, Period.WEEK: Refusal.WEEK, Period.MONTH: Refusal.MONTH}


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `money` and at most `seconds` a `period`, for the calls of `scope`; None: no such cap."""

    scope: Scope
    period: Period
    money: Decimal | None = None
    seconds: int | None = None

    def __str__(self) -> str:
        """As settings write it: `all month 20.00`, `line:2 day 60min`, `class:mobile month 5.00 120min`."""
        parts = [str(self.scope), self.period.value]
        parts += [] if self.money is None else [f"{self.money:f}"]
        parts += [] if self.seconds is None else [f"{self.seconds // 60}min"]
        return " ".join(parts)

    def concerns(self, asked: Asked) -> bool:
        """Whether a call is one of those it caps."""
        match self.scope.kind:
            case ScopeKind.ALL:
                return True
            case ScopeKind.CLASS:
                return asked.kind == self.scope.name
            case ScopeKind.LINE:
                return str(asked.line) == self.scope.name
            case ScopeKind.PIN:
                return asked.pin is not None and asked.pin == self.scope.name
            case ScopeKind.BUNDLE:
                return False


@dataclass(frozen=True, slots=True)
class Numbers:
    """Single numbers, and prefixes (written with a * behind), each in E.164 or as dialled at home."""

    patterns: tuple[str, ...] = ()

    def has(self, forms: Iterable[str]) -> bool:
        """Whether one of the forms of a number (+33892700000, 0892700000) is among them."""
        known = tuple(forms)
        return any(
            form.startswith(pattern[:-1]) if pattern.endswith("*") else form == pattern
            for pattern in self.patterns
            for form in known
        )


@dataclass(frozen=True, slots=True)
class PinRights:
    """What a PIN allows besides what everybody may do. `label` is what records and caps call it."""

    label: str
    classes: frozenset[str] = frozenset()
    numbers: Numbers = Numbers()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a household has decided. `longest_seconds`: the most any call may last that costs something."""

    caps: tuple[Cap, ...] = ()
    classes: frozenset[str] = frozenset(ALLOWED_AT_FIRST)
    numbers: Numbers = Numbers()
    pins: tuple[PinRights, ...] = ()
    longest_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that somebody wants to place by one account.

    `kind`: the number's class; `forms`: the number in E.164 and as dialled at home; `pin`: the label of the PIN that
    was given. `free`: it cannot cost anything. `dear`: the service called has a price, as a premium number's.
    `priced`: its price is known; `has_deck`: the account has prices at all. `longest`: the most whole seconds that an
    amount of money pays for, None without end. `cost`: what that many seconds cost at most.
    """

    kind: str
    forms: tuple[str, ...]
    line: int
    at: datetime
    pin: str | None = None
    free: bool = False
    dear: bool = False
    priced: bool = True
    has_deck: bool = True
    longest: Callable[[Decimal], int | None]
    cost: Callable[[int], Decimal]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`refusal`: why not, or None. `needs_pin`: it may be placed once a PIN that allows it is given.

    `max_seconds`: how long it may last, None without end. `remaining`, `remaining_seconds`: what the tightest caps
    have left, None where there is none. `money`: what it may cost at most, cut late, None without end. `cap`: what
    limits or refuses it.
    """

    refusal: Refusal | None = None
    max_seconds: int | None = None
    needs_pin: bool = False
    remaining: Decimal | None = None
    remaining_seconds: int | None = None
    money: Decimal | None = None
    cap: Cap | None = None
    free: bool = False

    @property
    def seconds(self) -> int | None:
        """The seconds that it may count at most, cut late; None without end, 0 for a call that counts nothing."""
        if self.free:
            return 0
        return None if self.max_seconds is None else self.max_seconds + LATE_SECONDS


UNASKED = Judgement(money=ZERO, free=True)
"""What emergencies and free calls get."""


def judge(rules: Rules, usage: Usage | None, asked: Asked, *, but: int | None = None) -> Judgement:
    """Whether a call may be placed and for how long. `usage` None: what was spent cannot be read.

    `but`: the running call that asks again (another account, a PIN), whose own hold does not stand in its way.
    """
    if asked.kind in {EMERGENCY, FREE}:
        return UNASKED
    bar = _bar(rules, asked)
    if bar is not None:
        return bar
    return UNASKED if asked.free else _capped(rules, usage, asked, but)


def _bar(rules: Rules, asked: Asked) -> Judgement | None:
    wanted = {asked.kind, *([PREMIUM] if asked.dear else []), *([UNKNOWN] if _unknown(rules, asked) else [])}
    barred = sorted(wanted - rules.classes)
    if not barred or rules.numbers.has(asked.forms):
        return None
    able = [pin for pin in rules.pins if wanted <= pin.classes | rules.classes or pin.numbers.has(asked.forms)]
    if any(pin.label == asked.pin for pin in able):
        return None
    if able and asked.pin is None:
        return Judgement(needs_pin=True)
    return Judgement(_BARS.get(barred[0], Refusal.CLASS))


def _unknown(rules: Rules, asked: Asked) -> bool:
    """Whether nobody knows what it costs where somebody should: a deck without it, or a cap that counts money."""
    return not asked.priced and (
        asked.has_deck or any(cap.money is not None and cap.concerns(asked) for cap in rules.caps)
    )


def _capped(rules: Rules, usage: Usage | None, asked: Asked, but: int | None) -> Judgement:
    money: tuple[Decimal, Cap] | None = None
    time: tuple[int, Cap] | None = None
    for cap in rules.caps:
        if not cap.concerns(asked):
            continue
        if usage is None:
            return Judgement(Refusal.UNREADABLE, 0, remaining=ZERO, money=ZERO, cap=cap)
        spent = usage.spent(cap.scope, cap.period, asked.at, but=but)
        if cap.money is not None:
            left = ZERO if spent.held_money is None else max(ZERO, cap.money - spent.money - spent.held_money)
            money = (left, cap) if money is None or left < money[0] else money
        if cap.seconds is not None:
            rest = 0 if spent.held_seconds is None else max(0, cap.seconds - spent.seconds - spent.held_seconds)
            time = (rest, cap) if time is None or rest < time[0] else time
    # More money never pays for less time: of several amounts the least counts.
    limits: list[tuple[int, Cap | None]] = [] if time is None else [time]
    if money is not None and (longest := asked.longest(money[0])) is not None:
        limits.append((longest, money[1]))
    if rules.longest_seconds is not None:
        limits.append((rules.longest_seconds, None))
    lasts, by = min(limits, key=lambda limit: limit[0]) if limits else (None, None)
    used_up = by is not None and lasts is not None and lasts < LEAST_SECONDS
    return Judgement(
        refusal=_USED_UP[by.period] if used_up and by is not None else None,
        max_seconds=0 if used_up else lasts,
        remaining=None if money is None else money[0],
        remaining_seconds=None if time is None else time[0],
        money=ZERO if used_up else _most(asked, lasts),
        cap=by,
    )


def _most(asked: Asked, lasts: int | None) -> Decimal | None:
    """What the call may come to: for ever, if its price stops rising (a price per call)."""
    if lasts is None and asked.longest(MAX_MONEY) is not None:
        return None
    return asked.cost(_A_MONTH if lasts is None else lasts + LATE_SECONDS)


# --- as people write them --------------------------------------------------------------------

_MINUTES = re.compile(r"([0-9]{1,6})\s?min\Z")
_MONEY = re.compile(r"[0-9]{1,7}(?:[.,][0-9]{1,4})?\Z")
_NUMBER = re.compile(r"\+?[0-9]{1,15}\*?\Z")
_SEPARATORS = dict.fromkeys(map(ord, " .-/()\u00a0\u202f"))
_EXAMPLES = "for example: all month 20.00, line:2 day 60min, class:mobile month 5.00 120min, pin:Zoé day 1.00"


def parse_cap(text: str) -> Cap:
    """`SCOPE PERIOD [MONEY] [MINUTESmin]`. Raises ValueError with what is wrong and what is wanted."""
    words = text.split()
    money: Decimal | None = None
    seconds: int | None = None
    while words and (words[-1] == "min" or _MINUTES.match(words[-1]) or _MONEY.match(words[-1])):
        word = words.pop()
        if word == "min" and words:
            word = words.pop() + word
        if found := _MINUTES.match(word):
            if seconds is not None:
                raise ValueError(f"{text[:60]!r}: minutes are said twice; {_EXAMPLES}")
            seconds = parse_minutes(found[1]) * 60
        else:
            if money is not None:
                raise ValueError(f"{text[:60]!r}: two amounts of money; {_EXAMPLES}")
            money = parse_money(word)
    period = next((one for one in Period if words and one.value == words[-1].lower()), None)
    if period is None or (money is None and seconds is None):
        raise ValueError(f"{text[:60]!r} is no cap: SCOPE day|week|month MONEY and/or MINUTESmin ({_EXAMPLES})")
    return Cap(parse_scope(" ".join(words[:-1])), period, money, seconds)


def parse_scope(text: str) -> Scope:
    """`all`, `class:NAME`, `line:N`, `pin:LABEL`. Raises ValueError."""
    kind, _, name = text.partition(":")
    name = name.strip()
    match kind.strip().lower(), name:
        case ("all", ""):
            return Scope()
        case ("class", kind_name) if kind_name in CLASSES:
            return Scope(ScopeKind.CLASS, kind_name)
        case ("class", _):
            raise ValueError(f"{text[:60]!r}: no class {name[:40]!r} can be capped; there are {', '.join(CLASSES)}")
        case ("line", number) if re.fullmatch(r"[1-9]", number):
            return Scope(ScopeKind.LINE, number)
        case ("pin", label) if label:
            return Scope(ScopeKind.PIN, label)
        case _:
            raise ValueError(f"{text[:60]!r} is neither all, class:NAME, line:N nor pin:LABEL ({_EXAMPLES})")


def parse_money(text: str) -> Decimal:
    """An amount with up to four decimals, by point or comma. Raises ValueError."""
    if not _MONEY.match(text):
        raise ValueError(f"{text[:40]!r} is no amount of money (for example 20 or 2.50)")
    try:
        amount = Decimal(text.replace(",", "."))
    except InvalidOperation as error:
        raise ValueError(f"{text[:40]!r} is no amount of money (for example 20 or 2.50)") from error
    if amount > MAX_MONEY:
        raise ValueError(f"{text[:40]!r} is more than anybody spends: at most {MAX_MONEY}")
    return amount


def parse_minutes(text: str) -> int:
    """Whole minutes. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) > MAX_MINUTES:
        raise ValueError(f"{text[:40]!r} minutes: wanted a whole number, at most {MAX_MINUTES} (a month)")
    return int(text)


def parse_caps(texts: Sequence[str]) -> tuple[Cap, ...]:
    """Each one a cap, none twice for the same calls and period. Raises ValueError."""
    if len(texts) > MAX_CAPS:
        raise ValueError(f"{len(texts)} caps are too many: at most {MAX_CAPS}")
    caps = tuple(parse_cap(text) for text in texts)
    whose = [(cap.scope, cap.period) for cap in caps]
    twice = next((one for one in whose if whose.count(one) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice[0]} is capped twice a {twice[1].value}; keep one of the two")
    return caps


def parse_number(text: str) -> str:
    """A number or prefix (0892*) as it is compared: without separators, 00 as +. Raises ValueError."""
    compact = text.strip().translate(_SEPARATORS)
    if compact.startswith("00"):
        compact = "+" + compact[2:]
    if not _NUMBER.match(compact):
        raise ValueError(
            f"{text[:40]!r} is no number: digits, with a + before and, for a prefix, a * behind "
            "(for example +33892700000, 3639, 0892*)"
        )
    return compact


def parse_numbers(texts: Sequence[str]) -> Numbers:
    """Each one a number or prefix. Raises ValueError."""
    if len(texts) > MAX_NUMBERS:
        raise ValueError(f"{len(texts)} numbers are too many: at most {MAX_NUMBERS}")
    return Numbers(tuple(dict.fromkeys(parse_number(text) for text in texts)))
