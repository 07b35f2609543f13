"""Quotes: what each account asks for a number, why one goes before another, and what it charges in the end."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from firmware import numbering
from firmware.clock import ManualClock
from firmware.rates.book import RateBook
from firmware.rates.deck import import_csv
from firmware.rates.planfile import make_plan
from firmware.rates.pricing import from_tariff
from firmware.tariffs import Choice, Standing, Tariffs
from firmware.telephony import routing
from firmware.telephony.routing import Quote

NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
PARIS = numbering.parse_number("+33142685300")
HEAD = "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment,per_call,service_per_call\n"
DECKS = {
    "dear": "33,France,0.04,0,60,60,0,0\n33892,SVA,0,0,60,60,3.00,2.90\n",
    "cheap": "33,France,0.02,0,60,60,0,0\n",
    "fee": "33,France,0,0.05,60,60,0,0\n",
}


@pytest.fixture
def tariffs(tmp_path: Path) -> Tariffs:
    """Three accounts, each with a deck of its own."""
    book = RateBook(tmp_path)
    for name, rows in DECKS.items():
        report = import_csv(io.BytesIO((HEAD + rows).encode()), tmp_path, name)
        assert report.file is not None, report.lines()
        book.activate(report.file.name, name, name)
    return Tariffs(book, ManualClock(start=NOON))


def asked(tariffs: Tariffs, number: numbering.Dialled = PARIS, preferred: str = "", **ready: bool) -> list[Quote]:
    accounts = {name: ready.get(name, True) for name in (*DECKS, "none")}
    return routing.explained(tariffs.quotes(number, accounts), preferred=preferred)


def order(quotes: list[Quote], preferred: str = "") -> list[str]:
    return [route.account for route in routing.choose(quotes, target="x", preferred=preferred)]


def why(quotes: list[Quote], account: str) -> dict[str, Any]:
    kept = json.loads(next(quote for quote in quotes if quote.account == account).why or "")
    assert isinstance(kept, dict)
    return kept


def test_the_cheapest_for_the_expected_length_goes_first(tariffs: Tariffs) -> None:
    # Three minutes: 0.06 by the minute, 0.05 by the call, 0.12; one minute: 0.02, 0.05, 0.04.
    assert order(asked(tariffs)) == ["fee", "cheap", "dear", "none"]
    tariffs.choice = Choice(expected_seconds=60)
    assert order(asked(tariffs)) == ["cheap", "dear", "fee", "none"]


def test_what_set_a_route_above_the_next_is_said(tariffs: Tariffs) -> None:
    quotes = asked(tariffs)
    told = why(quotes, "fee")
    assert (told["rank"], told["of"], told["by"], told["price"]) == (1, 4, "price", "0.0500")
    assert (told["deck"], told["prefix"], told["destination"]) == ("fee", "33", "France")
    assert [(other["account"], other["rank"], other["price"]) for other in told["others"]] == [
        ("cheap", 2, "0.0600"),
        ("dear", 3, "0.1200"),
        ("none", 4, None),
    ]
    assert (why(quotes, "dear")["by"], why(quotes, "none")["by"]) == ("priced", None)
    assert why(asked(tariffs, fee=False), "dear")["by"] == "priced"
    assert why(asked(tariffs, cheap=False, none=False, dear=False), "fee")["by"] == "registered"
    assert why(asked(tariffs, preferred="dear"), "dear")["by"] == "preferred"


def test_an_equal_price_goes_by_quality_then_by_reliability_then_by_the_households_order(tariffs: Tariffs) -> None:
    tariffs.choice = Choice(expected_seconds=150)  # three begun minutes
    known = {"cheap": Standing(0.62, 1.0), "fee": Standing(0.9, 0.7)}
    tariffs.standing = lambda account: known.get(account, Standing())
    assert order(asked(tariffs)) == ["fee", "cheap", "dear", "none"], "a weight of 0 leaves the price alone"
    same = [
        Quote(name, registered=True, price=Decimal(1), quality=q, reliability=r)
        for name, q, r in (("a", 0.5, 1.0), ("b", 0.9, 0.5))
    ]
    assert order(same) == ["b", "a"]
    assert why(routing.explained(same), "b")["by"] == "quality"
    same = [Quote(name, registered=True, price=Decimal(1), reliability=r) for name, r in (("a", 0.7), ("b", None))]
    assert (order(same), why(routing.explained(same), "b")["by"]) == (["b", "a"], "reliability")
    same = [Quote(name, registered=True, price=Decimal(1), quality=q) for name, q in (("a", 0.91), ("b", 0.93))]
    assert (order(same), why(routing.explained(same), "a")["by"]) == (["a", "b"], "order"), (
        "less than a tenth is chance"
    )


def test_what_the_household_weighs_counts_against_the_price(tariffs: Tariffs) -> None:
    known = {"fee": Standing(quality=0.2)}
    tariffs.standing = lambda account: known.get(account, Standing())
    tariffs.choice = Choice(quality_weight=50)
    # 0.05 * (1 + 0.50 * 0.8) = 0.07, above the 0.06 of the other.
    quotes = asked(tariffs)
    assert order(quotes)[:2] == ["cheap", "fee"]
    assert why(quotes, "fee")["weighed"] == "0.07"
    tariffs.choice = Choice(quality_weight=20)  # 0.05 * 1.16 = 0.058
    assert order(asked(tariffs))[:2] == ["fee", "cheap"]


def test_an_emergency_is_routed_by_registration_alone(tariffs: Tariffs) -> None:
    quotes = tariffs.quotes(numbering.parse_number("112"), {"dear": False, "cheap": True})
    assert [quote.price for quote in quotes] == [Decimal(0)] * 2
    routes = routing.choose(quotes, target="112", emergency=True)
    assert [route.account for route in routes] == ["cheap", "dear"]


def test_each_route_is_charged_by_its_own_tariff(tariffs: Tariffs) -> None:
    """A failover re-prices: what is kept with the call is the tariff of the account that carried it."""
    quotes = {quote.account: quote for quote in asked(tariffs)}
    amounts = {name: tariffs.charge(quotes[name].tariff or "", 61.0, NOON).cost for name in DECKS}
    assert amounts == {"dear": Decimal("0.0800"), "cheap": Decimal("0.0400"), "fee": Decimal("0.0500")}
    assert quotes["none"].tariff is None


def test_a_service_is_announced_and_recorded_apart(tariffs: Tariffs) -> None:
    tariffs.choice = Choice(announce_above=Decimal("0.15"))
    number = numbering.parse_number("0892700000")
    (quote,) = tariffs.quotes(number, {"dear": True})
    assert quote.announce is not None
    assert (quote.announce.price, quote.announce.per) == (Decimal("3.00"), "call")
    charge = tariffs.charge(quote.tariff or "", 60.0, NOON)
    assert (charge.cost, charge.service_cost) == (Decimal("3.0000"), Decimal("2.9000"))
    (quote,) = tariffs.quotes(PARIS, {"dear": True})
    assert quote.announce is None


def test_money_without_a_rate_of_exchange_is_not_compared(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    for name, currency, minute in (("euro", "EUR", "0.05"), ("dollar", "USD", "0.01")):
        text = f"prefix,destination,rate_per_minute\n33,France,{minute}\n"
        report = import_csv(io.BytesIO(text.encode()), tmp_path, name, currency=currency)
        assert report.file is not None
        book.activate(report.file.name, name, name)
    tariffs = Tariffs(book, ManualClock(start=NOON))
    accounts = {"dollar": True, "euro": True}
    quotes = routing.explained(tariffs.quotes(PARIS, accounts))
    assert order(quotes) == ["euro", "dollar"]
    assert (why(quotes, "dollar")["comparable"], why(quotes, "dollar")["currency"]) == (False, "USD")
    assert book.price(PARIS, list(accounts), 60, NOON)["account"] == "euro"
    book.activate_plan(make_plan("exchange = '0.9'\n", tmp_path, "usd").path.name, "dollar")
    quotes = routing.explained(tariffs.quotes(PARIS, accounts))
    assert order(quotes) == ["dollar", "euro"]  # 3 * 0.01 * 0.9
    assert from_tariff(quotes[0].tariff or "").currency == "EUR"
    assert book.price(PARIS, list(accounts), 60, NOON)["cost"] == "0.0090"
