"""Money and time in words: French and English, never better than they are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony import moneywords
from firmware.telephony.events import Announce

CALL = Announce(Decimal("0.34"), "minute", "EUR", Decimal("0.18"), Decimal("4.20"))


@pytest.mark.parametrize(
    ("money", "french", "english"),
    [
        ("0", "0 centime", "0 cents"),
        ("0.0001", "0,01 centime", "0.01 cents"),
        ("0.00000001", "0,01 centime", "0.01 cents"),
        ("0.005", "0,5 centime", "0.5 cents"),
        ("0.01", "1 centime", "1 cent"),
        ("0.015", "1,5 centime", "1.5 cents"),
        ("0.02", "2 centimes", "2 cents"),
        ("0.0234", "2,34 centimes", "2.34 cents"),
        ("0.02341", "2,35 centimes", "2.35 cents"),
        ("0.34", "34 centimes", "34 cents"),
        ("0.80", "80 centimes", "80 cents"),
        ("0.99999", "1 euro", "1 euro"),
        ("1", "1 euro", "1 euro"),
        ("1.01", "1 euro 1", "1 euro and 1 cent"),
        ("1.4", "1 euro 40", "1 euro and 40 cents"),
        ("1.401", "1 euro 41", "1 euro and 41 cents"),
        ("2.999", "3 euros", "3 euros"),
        ("12.05", "12 euros 5", "12 euros and 5 cents"),
        ("1234", "1234 euros", "1234 euros"),
        ("1e400", "999999999 euros", "999999999 euros"),
        ("-3", "0 centime", "0 cents"),
    ],
)
def test_a_price_is_said_as_people_say_it_and_never_too_low(money: str, french: str, english: str) -> None:
    assert moneywords.amount(Decimal(money), "EUR", "fr", up=True) == french
    assert moneywords.amount(Decimal(money), "EUR", "en", up=True) == english


@pytest.mark.parametrize(
    ("money", "said"),
    [("4.209", "4 euros 20"), ("0.999999", "99,99 centimes"), ("0.00009", "0 centime"), ("1.009", "1 euro")],
)
def test_what_is_left_is_never_said_too_high(money: str, said: str) -> None:
    assert moneywords.amount(Decimal(money), "EUR", "fr", up=False) == said


@pytest.mark.parametrize(
    ("currency", "french", "english"),
    [
        ("CHF", "1 franc 50", "1 franc and 50 centimes"),
        ("USD", "1 dollar 50", "1 dollar and 50 cents"),
        ("GBP", "une livre 50", "1 pound and 50 pence"),
        ("SEK", "1,5 S E K", "1.5 S E K"),
    ],
)
def test_other_currencies_have_their_names_or_their_letters(currency: str, french: str, english: str) -> None:
    assert moneywords.amount(Decimal("1.50"), currency, "fr", up=True) == french
    assert moneywords.amount(Decimal("1.50"), currency, "en", up=True) == english


@given(st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=6))
def test_a_price_is_rounded_up_and_a_rest_down_by_less_than_a_cent(money: Decimal) -> None:
    def read(said: str) -> Decimal:
        words = said.replace(",", ".").split()
        if words[1].startswith("cent"):
            return Decimal(words[0]) / 100
        return Decimal(words[0]) + (Decimal(words[2]) / 100 if len(words) > 2 else 0)

    up = read(moneywords.amount(money, "EUR", "fr", up=True))
    down = read(moneywords.amount(money, "EUR", "fr", up=False))
    assert down <= money <= up
    assert up - down <= Decimal("0.01")


@pytest.mark.parametrize(
    ("seconds", "french", "english"),
    [
        (0, "0 seconde", "0 seconds"),
        (1, "une seconde", "1 second"),
        (10, "10 secondes", "10 seconds"),
        (21, "vingt et une secondes", "21 seconds"),
        (60, "une minute", "1 minute"),
        (90, "90 secondes", "90 seconds"),
        (119.9, "119 secondes", "119 seconds"),
        (279, "4 minutes", "4 minutes"),
        (1260, "vingt et une minutes", "21 minutes"),
        (36000, "600 minutes", "600 minutes"),
    ],
)
def test_a_time_is_said_in_seconds_or_whole_minutes(seconds: float, french: str, english: str) -> None:
    assert moneywords.duration(seconds, "fr") == french
    assert moneywords.duration(seconds, "en") == english


def test_the_sentences_before_and_in_a_call() -> None:
    assert moneywords.price(CALL, "fr") == (
        "Cet appel coûte 34 centimes la minute, plus 18 centimes de mise en relation."
    )
    assert moneywords.left(CALL, "fr") == "Il vous reste 4 euros 20."
    assert moneywords.price(CALL, "en") == "This call costs 34 cents a minute, plus 18 cents to connect."
    assert moneywords.left(CALL, "en") == "You have 4 euros and 20 cents left."
    assert moneywords.ends_in(60, "fr") == "Encore une minute."
    assert moneywords.ends_in(10, "en") == "10 seconds left."


def test_a_price_a_minute_alone_a_price_a_call_and_a_fee_alone() -> None:
    assert moneywords.price(replace(CALL, fee=Decimal(0)), "fr") == "Cet appel coûte 34 centimes la minute."
    once = Announce(Decimal("1.50"), "call", "EUR", Decimal("0.20"))
    assert moneywords.price(once, "fr") == "Cet appel coûte 1 euro 70, quelle que soit sa durée."
    assert moneywords.price(replace(CALL, price=Decimal(0)), "fr") == (
        "Cet appel coûte 18 centimes, quelle que soit sa durée."
    )


def test_what_is_left_may_be_money_time_both_or_without_end() -> None:
    assert moneywords.left(replace(CALL, remaining=None), "fr") is None
    assert moneywords.left(replace(CALL, remaining=None, remaining_seconds=720), "fr") == "Il vous reste 12 minutes."
    assert moneywords.left(replace(CALL, remaining_seconds=90), "en") == (
        "You have 4 euros and 20 cents left, and 90 seconds."
    )


def test_only_what_is_above_the_threshold_or_worse_than_what_was_heard_is_worth_saying() -> None:
    assert CALL.above(Decimal("0.33"))
    assert not CALL.above(Decimal("0.34"))
    assert not CALL.above(None)
    assert CALL.dearer(None)
    assert not CALL.dearer(replace(CALL, price=Decimal("0.40")))
    assert CALL.dearer(replace(CALL, fee=Decimal("0.10")))
    assert CALL.dearer(replace(CALL, currency="CHF"))
    assert CALL.dearer(replace(CALL, per="call"))


def test_both_catalogues_say_the_same_things_and_nobody_is_left_with_a_name_for_a_sentence() -> None:
    said = {}
    for language in ("fr", "en"):
        path = Path(moneywords.__file__).parent / "translations" / language / "LC_MESSAGES" / "announcements.po"
        with path.open("rb") as stream:
            said[language] = {entry.id: entry.string for entry in read_po(stream, locale=language) if entry.id}
    assert said["fr"].keys() == said["en"].keys()
    assert all(all(words) if isinstance(words, tuple) else words for texts in said.values() for words in texts.values())
