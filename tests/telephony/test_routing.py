"""Which account carries the call."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony.events import Outlook, Words
from firmware.telephony.routing import Quote, choose, no_route

CHEAP = Quote("cheap", registered=True, price=Decimal("0.01"))
DEAR = Quote("dear", registered=True, price=Decimal("0.20"))
DOWN = Quote("down", registered=False, price=Decimal(0))
UNPRICED = Quote("unpriced", registered=True)


def accounts(*quotes: Quote, emergency: bool = False) -> list[str]:
    return [route.account for route in choose(quotes, target="+33142685300", emergency=emergency)]


def test_the_cheapest_registered_account_goes_first_and_the_unregistered_last() -> None:
    assert accounts(DOWN, DEAR, CHEAP) == ["cheap", "dear", "down"]


def test_an_unknown_price_goes_after_a_known_one_even_free_after_dear() -> None:
    assert accounts(UNPRICED, DEAR) == ["dear", "unpriced"]


def test_equal_prices_keep_the_households_order() -> None:
    twins = [Quote(name, registered=True, price=Decimal("0.02")) for name in ("b", "a", "c")]
    assert accounts(*twins) == ["b", "a", "c"]


def test_the_target_and_the_budget_go_with_the_route() -> None:
    (route,) = choose([Quote("a", registered=True, max_seconds=60.0)], target="3699")
    assert (route.account, route.target, route.max_seconds) == ("a", "3699", 60.0)


def test_a_barred_account_and_an_empty_budget_carry_nothing() -> None:
    barred = Quote("barred", registered=True, reason=Words.BARRED)
    empty = Quote("empty", registered=True, max_seconds=0.0)
    assert accounts(barred, empty, DEAR) == ["dear"]
    assert accounts(barred, empty) == []
    assert no_route([barred]).words is Words.BARRED
    assert no_route([empty]).words is Words.NO_CREDIT


def test_an_emergency_goes_by_every_account_whatever_it_costs() -> None:
    barred = Quote("barred", registered=True, reason=Words.BARRED, max_seconds=0.0)
    assert accounts(DOWN, DEAR, barred, CHEAP, emergency=True) == ["dear", "barred", "cheap", "down"]
    routes = choose([barred], target="112", emergency=True)
    assert routes[0].max_seconds is None


def test_without_accounts_the_caller_hears_why() -> None:
    assert no_route([], Outlook.NO_ACCOUNT).words is Words.NO_ACCOUNT
    assert no_route([], Outlook.NO_NETWORK).words is Words.NO_NETWORK
    assert no_route([], Outlook.UNREGISTERED).words is Words.NOT_REGISTERED
    assert no_route([]).words is Words.NO_ROUTE
    assert no_route([CHEAP], Outlook.NO_NETWORK).words is Words.NO_NETWORK


quotes = st.lists(
    st.builds(
        Quote,
        account=st.text("abcdef", min_size=1, max_size=3),
        registered=st.booleans(),
        price=st.none() | st.decimals(0, 9, places=4),
        max_seconds=st.none() | st.floats(-1, 1000),
        reason=st.none() | st.sampled_from([Words.BARRED, Words.NO_CREDIT]),
    ),
    max_size=8,
    unique_by=lambda quote: quote.account,
)


@given(quotes)
def test_an_emergency_leaves_no_account_out(offered: list[Quote]) -> None:
    assert sorted(accounts(*offered, emergency=True)) == sorted(quote.account for quote in offered)


@given(quotes)
def test_no_dearer_registered_account_goes_before_a_cheaper_one(offered: list[Quote]) -> None:
    by_name = {quote.account: quote for quote in offered}
    chosen = [by_name[name] for name in accounts(*offered)]
    registered = [quote.registered for quote in chosen]
    assert registered == sorted(registered, reverse=True)
    prices = [quote.price for quote in chosen if quote.registered and quote.price is not None]
    assert prices == sorted(prices)
    assert all(quote.reason is None for quote in chosen)
