"""Which accounts carry a call, and in what order. Pure: quotes in, routes out.

Quotes are made elsewhere (rates, budgets, bars); an emergency is routed without asking any of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from firmware.telephony.events import Announce, Outlook, Route, Tone, Treatment, Words

__all__ = ["Announce", "Quote", "choose", "explained", "no_route"]

_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Quote:
    """What an account asks for a call.

    `price`: of a call of the expected length, all accounts in one currency; None where no deck knows the number,
    or in money that has no rate of exchange. `max_seconds`: how long the budget lets it last. `reason`: why the
    account may not carry it (BARRED, NO_CREDIT); None if it may. `destination` and `tariff` go into the call
    record as they are, and so does `why`: JSON, how this price came about. `announce`: what is said before it
    rings, None: nothing. `needs_pin`: the caller must key a PIN first.

    `quality` and `reliability`: what calls by this account were like lately and how many came through, 0 bad to
    1 good, None: unknown, which counts as good. `weighed`: `price` with what the household makes of the two.
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
    reliability: float | None = None
    weighed: Decimal | None = None


def choose(quotes: Sequence[Quote], *, target: str, emergency: bool = False, preferred: str = "") -> tuple[Route, ...]:
    """Routes in the order to try them: registered before unregistered, the line's `preferred` account before
    others, cheap before dear.

    A known price goes before an unknown one; of equals the better and then the more reliable goes first (by
    tenths: less is chance), and else the order of `quotes` stays, which is the household's order of accounts.
    An account with a `reason`, or with no second left in its budget, is left out. An emergency goes by every
    account, registered first, whatever its price, reason or budget.
    """
    if emergency:
        return tuple(Route(quote.account, target) for quote in sorted(quotes, key=lambda q: not q.registered))
    return tuple(
        Route(quote.account, target, quote.max_seconds, quote.announce, quote.needs_pin)
        for quote in _able(quotes, preferred)
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


RULES = ("only", "registered", "preferred", "priced", "price", "quality", "reliability", "order")
"""What can set a route above the next, in the order in which it is asked."""


def explained(quotes: Sequence[Quote], *, preferred: str = "") -> list[Quote]:
    """The same quotes, each `why` with its place among all: "Pourquoi cette route ?" ("Why this route?").

    Added to the JSON that says how the price came about: `rank` from 1 (null: refused), `of` how many, `by` which
    of RULES set it above the next (null: the last, or refused), `preferred`, `refused` (Words' value, or null)
    and `others`: the accounts in their order, each with account, rank, price, weighed, registered, refused.
    """
    able = _able(quotes, preferred)
    ranks = {quote.account: rank for rank, quote in enumerate(able, 1)}
    above = {
        upper.account: next((rule for rule, a, b in zip(RULES[1:], *orders, strict=False) if a != b), RULES[-1])
        for upper, lower in pairwise(able)
        for orders in [(_order(upper, preferred), _order(lower, preferred))]
    }
    if len(able) == 1:
        above = {able[0].account: RULES[0]}
    rows = {
        quote.account: {
            "account": quote.account,
            "rank": ranks.get(quote.account),
            "price": _text(quote.price),
            "weighed": _text(quote.weighed),
            "registered": quote.registered,
            "refused": refused.value if (refused := _refusal(quote)) else None,
        }
        for quote in [*able, *(quote for quote in quotes if quote.account not in ranks)]
    }
    told = []
    for quote in quotes:
        why = json.loads(quote.why) if quote.why else {"account": quote.account}
        why |= {
            "rank": ranks.get(quote.account),
            "of": len(able),
            "by": above.get(quote.account),
            "preferred": quote.account == preferred,
            "refused": rows[quote.account]["refused"],
            "others": [row for name, row in rows.items() if name != quote.account],
        }
        told.append(replace(quote, why=json.dumps(why, ensure_ascii=False, separators=(",", ":"))))
    return told


def _able(quotes: Sequence[Quote], preferred: str) -> list[Quote]:
    return sorted((quote for quote in quotes if not _refusal(quote)), key=lambda quote: _order(quote, preferred))


def _text(price: Decimal | None) -> str | None:
    return None if price is None else f"{price:f}"


def _refusal(quote: Quote) -> Words | None:
    if quote.reason is None and quote.max_seconds is not None and quote.max_seconds <= 0:
        return Words.NO_CREDIT
    return quote.reason


def _order(quote: Quote, preferred: str = "") -> tuple[bool, bool, bool, Decimal, Decimal, Decimal]:
    weighed = quote.price if quote.weighed is None else quote.weighed
    return (
        not quote.registered,
        quote.account != preferred,
        weighed is None,
        weighed or Decimal(0),
        -_tenths(quote.quality),
        -_tenths(quote.reliability),
    )


def _tenths(share: float | None) -> Decimal:
    return Decimal(1) if share is None else Decimal(share).quantize(_TENTH)
