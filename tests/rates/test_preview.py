"""What a new deck changes: against the one in use, for calls that were made, and what is kept until it holds."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.rates import preview, rating
from firmware.rates.deck import Deck, DeckError, import_csv
from firmware.rates.plan import read_plan
from firmware.rates.preview import Household, PastCall, compare, what_if

HOUSE = Household()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
HEADER = "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment,per_call,minimum"


def made(folder: Path, rows: str, header: str = "prefix,destination,rate_per_minute", **more: object) -> Path:
    report = import_csv(io.BytesIO(f"{header}\n{rows}".encode()), folder, "d", **more)  # type: ignore[arg-type]
    assert report.errors == (), report.lines()
    assert report.file is not None
    return report.file


def test_decks_are_compared_by_what_numbers_cost(tmp_path: Path) -> None:
    old = made(tmp_path, "33,France,0.02\n336,France mobile,0.10\n44,UK,0.05\n674,Nauru,1\n34,Spain,0.03\n")
    new = made(tmp_path, "33,France,0.02\n331,Paris,0.02\n336,Mobile,0.15\n44,UK,0.01\n1,USA,0\n34,Spain,0.06\n")
    with Deck.open(old) as before, Deck.open(new) as after:
        found = compare(before, after, NOW)
    assert (found.same, found.dearer, found.cheaper, found.new, found.gone) == (2, 2, 1, 1, 1)
    assert [(move.destination, move.before, move.after, move.percent) for move in found.risen] == [
        ("Mobile", Decimal("0.3000"), Decimal("0.4500"), 50),
        ("Spain", Decimal("0.0900"), Decimal("0.1800"), 100),
    ]
    assert [(move.destination, move.percent) for move in found.fallen] == [("UK", -80)]
    assert [move.destination for move in found.appeared] == ["USA"]
    assert [(move.destination, move.after) for move in found.vanished] == [("Nauru", None)]


def test_one_destination_moves_once_and_ten_at_most(tmp_path: Path) -> None:
    old = made(tmp_path, "".join(f"{n},To {n % 15},0.01\n" for n in range(100, 200)))
    new = made(tmp_path, "".join(f"{n},To {n % 15},{n / 100:.2f}\n" for n in range(100, 200)))
    with Deck.open(old) as before, Deck.open(new) as after:
        found = compare(before, after, NOW)
    assert found.dearer == 100
    assert [move.prefix for move in found.risen] == [str(n) for n in range(199, 189, -1)]
    assert len({move.destination for move in found.risen}) == preview.MOST_MOVED


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    *[st.dictionaries(st.text("123", min_size=1, max_size=4), st.integers(0, 3), min_size=1, max_size=12)] * 2,
)
def test_a_comparison_says_what_looking_each_prefix_up_says(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, int], new: dict[str, int]
) -> None:
    folder = tmp_path_factory.mktemp("decks")
    paths = [made(folder, "".join(f"{p},To {p},{price}\n" for p, price in rows.items())) for rows in (old, new)]
    counts = dict.fromkeys(("same", "dearer", "cheaper", "new", "gone"), 0)
    with Deck.open(paths[0]) as before, Deck.open(paths[1]) as after:
        for prefix in {*old, *new}:
            a, b = (deck.lookup(prefix, NOW) for deck in (before, after))
            if a is None or b is None:
                counts["new" if a is None else "gone"] += 1
            else:
                verdict = (b.per_minute > a.per_minute) - (b.per_minute < a.per_minute)
                counts[{0: "same", 1: "dearer", -1: "cheaper"}[verdict]] += 1
        found = compare(before, after, NOW)
    assert {name: getattr(found, name) for name in counts} == counts


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(*[st.integers(0, 3_000_000)] * 4, *[st.integers(1, 400)] * 2)
def test_the_price_compared_is_that_of_a_call_of_three_minutes(
    tmp_path_factory: pytest.TempPathFactory, minute: int, fee: int, call: int, least: int, first: int, following: int
) -> None:
    prices = ",".join(f"{price / 10**6:.6f}" for price in (minute, fee))
    more = ",".join(f"{price / 10**6:.6f}" for price in (call, least))
    path = made(tmp_path_factory.mktemp("d"), f"33,France,{prices},{first},{following},{more}\n", HEADER)
    with Deck.open(path) as deck:
        (row,) = deck.in_force(NOW)
        assert preview._money(preview._cost(deck, row)) == rating.price(deck.rate_of(row), preview.SECONDS).amount


def test_calls_that_were_made_are_priced_again(tmp_path: Path) -> None:
    old = made(tmp_path, "33,France,0.02\n44,UK,0.05\n674,Nauru,1\n")
    new = made(tmp_path, "33,France,0.03\n44,UK,0.01\n1,USA,0.01\n")
    calls = [
        PastCall("+33142685300", NOW, 61),  # 0.04 -> 0.06
        PastCall("+442071838750", NOW, 60),  # 0.05 -> 0.01
        PastCall("112", NOW, 300),  # free by any deck
        PastCall("+6744443333", NOW, 60),
        PastCall("+12125551212", NOW, 60),
        PastCall("+81312345678", NOW, 60),
    ]
    with Deck.open(old) as before, Deck.open(new) as after:
        found = what_if(calls, HOUSE, before, after, now=NOW, at=NOW)
        assert (found.calls, found.compared, found.before, found.after) == (6, 3, Decimal("0.0900"), Decimal("0.0700"))
        assert (found.lost, found.gained, found.gained_cost, found.unknown) == (1, 1, Decimal("0.0100"), 1)
        assert found.difference == Decimal("-0.0200")
        first = what_if(calls, HOUSE, None, after, now=NOW, at=NOW)
        assert (first.compared, first.gained) == (1, 3)
    dollars = made(tmp_path, "33,France,0.03\n", currency="USD")
    with Deck.open(old) as before, Deck.open(dollars) as after:
        assert what_if(calls, HOUSE, before, after, now=NOW, at=NOW).difference is None


def test_calls_are_priced_by_their_accounts_plan_at_their_own_hours(tmp_path: Path) -> None:
    header = "prefix,destination,rate_per_minute,band"
    old = made(tmp_path, "33,France,0.02,\n33,France,0.01,night\n", header)
    new = made(tmp_path, "33,France,0.02,\n33,France,0.04,night\n", header)
    plan = read_plan('free = ["33800"]\n[[band]]\nname = "night"\nfrom = "22:00"\nto = "06:00"\n', "nights")
    house = Household(plans={"ovh": plan})
    night = datetime(2026, 6, 1, 21, 0, tzinfo=UTC)  # 23:00 in Paris
    calls = [
        PastCall("+33142685300", night, 60, "ovh"),
        PastCall("+33142685300", NOW.replace(hour=12), 60, "ovh"),
        PastCall("+33142685300", night, 60, "free"),  # an account without a plan has no nights
        PastCall("+33800123456", night, 60, "ovh"),
    ]
    with Deck.open(old) as before, Deck.open(new) as after:
        found = what_if(calls, house, before, after, now=NOW, at=NOW)
    assert (found.compared, found.before, found.after) == (4, Decimal("0.0500"), Decimal("0.0800"))


def test_the_prices_in_use_hold_until_the_day_and_the_new_ones_from_it(tmp_path: Path) -> None:
    old = made(tmp_path, "33,France,0.02\n3367,Old mobile,0.10\n674,Nauru,1\n44,UK,0.05\n")
    report = import_csv(
        io.BytesIO(b"prefix,destination,rate_per_minute\n33,France,0.03\n336,Mobile,0.15\n44,UK,0.05\n"),
        tmp_path, "d", valid_from=LATER, base=old,
    )  # fmt: skip
    assert report.file is not None
    assert (report.rows, report.kept) == (3, 4)

    def price(key: str, at: datetime) -> str | None:
        rate = deck.lookup(key, at)
        return str(rate.per_minute) if rate else None

    moment = timedelta(seconds=1)
    with Deck.open(report.file) as deck:
        for key, before, after in (
            ("33142685300", "0.0200", "0.0300"),
            ("33612345678", "0.0200", "0.1500"),
            ("33671234567", "0.1000", "0.1500"),  # its own row is gone: the new list's shorter prefix holds
            ("6744443333", "1.0000", None),  # nor does a price live on that the new list has not
            ("442071838750", "0.0500", "0.0500"),
        ):
            assert (price(key, LATER - moment), price(key, LATER)) == (before, after), key
        exported = io.StringIO()
        deck.export(exported)
        rows = deck.rows(limit=200)
        assert [rate.prefix for rate in rows if rate.withdrawn] == ["674"]
        assert not any(rate.free for rate in rows)
        with Deck.open(old) as was:
            assert compare(was, deck, LATER, at_before=NOW).gone == 1
            assert compare(was, deck, NOW).same == 4
    again = import_csv(io.BytesIO(exported.getvalue().encode()), tmp_path, "again")
    assert again.errors == ()
    assert again.file is not None
    with Deck.open(again.file) as deck:
        assert deck.rows(limit=200) == rows


def test_a_row_with_a_band_ends_with_its_list(tmp_path: Path) -> None:
    header = "prefix,destination,rate_per_minute,band"
    old = made(tmp_path, "33,France,0.02,\n33,France,0.01,night\n", header)
    path = made(tmp_path, "33,France,0.03,\n", header, valid_from=LATER, base=old)
    with Deck.open(path) as deck:
        assert {rate.band for rate in deck.rates("33142685300", NOW)} == {"", "night"}
        assert [(rate.band, str(rate.per_minute)) for rate in deck.rates("33142685300", LATER)] == [("", "0.0300")]


def test_two_currencies_are_not_kept_in_one_deck(tmp_path: Path) -> None:
    old = made(tmp_path, "33,France,0.02\n", currency="USD")
    with pytest.raises(DeckError, match="is in USD, the file in EUR"):
        made(tmp_path, "33,France,0.03\n", valid_from=LATER, base=old)
    assert len(list(tmp_path.iterdir())) == 1
