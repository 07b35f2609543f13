"""Which accounts carry a call, and in what order. Pure: quotes in, routes out.

Quotes are made elsewhere (rates, budgets, bars); an emergency is routed without asking any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from firmware.telephony.events import Outlook, Route, Tone, Treatment, Words


@dataclass(frozen=True, slots=True)
class Announce:
    """What the handset is told before the call goes out: the price, and what is left of the budget.

    `price` a minute or a call, `fee` besides for being answered. `remaining` money and seconds: None, no limit.
    """

    price: Decimal
    per: Literal["minute", "call"]
    currency: str
    fee: Decimal = Decimal(0)
    remaining: Decimal | None = None
    remaining_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What an account asks for a call.

    `price`: of a call of the expected length, all accounts in one currency; None where no deck knows the number.
    `max_seconds`: how long the budget lets it last. `reason`: why the account may not carry it (BARRED,
    NO_CREDIT); None if it may. `destination` and `tariff` go into the call record as they are, and so does
    `why`: JSON, how this price came about. `announce`: what is said before it rings, None: nothing.
    `needs_pin`: the caller must key a PIN first. `quality`: what calls by this account were like lately, 0 bad
    to 1 good, None: unknown.
    """

    account: str
    registered: bool
    price: Decimal | None = None
    max_seconds: float | None = None
    reason: Words | None = None
    destination: str | None = None
    tariff: str | None = None
    announce: Announce | None = None
    needs_pin: bool = False
    why: str | None = None
    quality: float | None = None


def choose(quotes: Sequence[Quote], *, target: str, emergency: bool = False, preferred: str = "") -> tuple[Route, ...]:
    """Routes in the order to try them: registered before unregistered, the line's `preferred` account before
    others, cheap before dear.

    A known price goes before an unknown one; equals keep the order of `quotes`, which is the
    household's order of accounts. An account with a `reason`, or with no second left in its budget, is
    left out. An emergency goes by every account, registered first, whatever its price, reason or budget.
    """
    if emergency:
        return tuple(Route(quote.account, target) for quote in sorted(quotes, key=lambda q: not q.registered))
    able = [quote for quote in quotes if not _refusal(quote)]
    return tuple(
        Route(quote.account, target, quote.max_seconds) for quote in sorted(able, key=lambda q: _order(q, preferred))
    )


def no_route(quotes: Sequence[Quote], outlook: Outlook = Outlook.READY) -> Treatment:
    """What the caller hears when `choose` finds nothing: what stopped the cheapest, or the state of the box."""
    if not quotes or outlook is not Outlook.READY:
        words = {
            Outlook.NO_ACCOUNT: Words.NO_ACCOUNT,
            Outlook.NO_NETWORK: Words.NO_NETWORK,
            Outlook.UNREGISTERED: Words.NOT_REGISTERED,
        }.get(outlook, Words.NO_ROUTE)
        return Treatment(Tone.CONGESTION, words)
    refused = (_refusal(quote) for quote in sorted(quotes, key=_order))
    return Treatment(Tone.CONGESTION, next(filter(None, refused), Words.NO_ROUTE))


def _refusal(quote: Quote) -> Words | None:
    if quote.reason is None and quote.max_seconds is not None and quote.max_seconds <= 0:
        return Words.NO_CREDIT
    return quote.reason


def _order(quote: Quote, preferred: str = "") -> tuple[bool, bool, bool, Decimal]:
    return (not quote.registered, quote.account != preferred, quote.price is None, quote.price or Decimal(0))
