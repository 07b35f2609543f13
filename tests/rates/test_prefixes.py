"""Prefix cells as providers and their spreadsheets write them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.rates.columns import CellError
from firmware.rates.prefixes import MAX_IN_CELL, cover, read_prefixes


@pytest.mark.parametrize(
    ("cell", "prefixes"),
    [
        ("33", "33"),
        ("+33", "33"),
        ("0033", "33"),
        ("'+33", "33"),
        ('="0033"', "33"),
        ("33 6 1", "3361"),
        ("33\u00a06", "33 6".replace(" ", "")),
        ("+33 (0)6", "336"),
        ("FR3699", "FR3699"),
        ("3361,3362", "3361 3362"),
        ("3361 / 3362; 3363|3364", "3361 3362 3363 3364"),
        ("3361 3362", "3361 3362"),
        ("212, 213, 212", "212 213"),
        ("32484-32487", "32484 32485 32486 32487"),
        ("32484 – 7", "32484 32485 32486 32487"),
        ("0032484-0032487", "32484 32485 32486 32487"),
        ("3360-3369", "336"),
        ("331-335, 339", "331 332 333 334 335 339"),
        ("32498-32502", "32498 32499 32500 32501 32502"),
        ("100000000000-999999999999", "1 2 3 4 5 6 7 8 9"),
    ],
)
def test_a_cell_holds_one_prefix_a_list_or_a_range(cell: str, prefixes: str) -> None:
    assert read_prefixes(cell) == tuple(prefixes.split())


def test_area_codes_follow_their_country() -> None:
    assert read_prefixes("484,485-487", "32") == ("32484", "32485", "32486", "32487")
    assert read_prefixes("204,226", "+1") == ("1204", "1226")
    assert read_prefixes("", "0032") == ("32",)
    assert read_prefixes("32484", to="32487") == ("32484", "32485", "32486", "32487")
    assert read_prefixes("484", "32", "485") == ("32484", "32485")


def test_a_list_that_may_be_one_number_is_read_only_if_it_is_known_to_be_one() -> None:
    with pytest.raises(CellError, match="prefix:list"):
        read_prefixes("336,337")
    assert read_prefixes("336,337", listed=True) == ("336", "337")


@pytest.mark.parametrize(
    ("cell", "cause"),
    [
        ("1-999999999999", "goes from 1 digits to 12; both ends have as many"),
        ("32487-32484", "ends before it begins"),
        ("0-9", "the prefix '0' begins with 0"),
        ("1234567890123456-1234567890123457", "more than 15 digits"),
        ("FR3699-FR3700", "is not 1 to 15 digits"),
        ("06", "begins with 0"),
        ("", "the prefix is missing"),
        ("3361,,3362", "a prefix is missing"),
        ("33.0", "is not 1 to 15 digits"),
        ("3.36E+10", "power of ten by a spreadsheet"),
        ("=33", "it is a formula"),
        ("-33", "is not 1 to 15 digits"),
        ("33-", "is not 1 to 15 digits"),
        ("٣٣", "is not 1 to 15 digits"),
        ("²", "is not 1 to 15 digits"),
        ("\u202e33", "is not 1 to 15 digits"),
        ("11, " * (MAX_IN_CELL + 1), f"more than {MAX_IN_CELL} prefixes"),
        ("123456789012345-987654321098765, " * 20, f"more than {MAX_IN_CELL} prefixes"),
    ],
)
def test_a_cell_that_is_no_prefix_says_why(cell: str, cause: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(CellError, match=cause.replace("+", r"\+")) as error:
        read_prefixes(cell)
    assert len(str(error.value)) < 200
    assert time.perf_counter() - begun < 2


@given(st.integers(1, 6), st.data())
def test_a_range_is_covered_by_the_fewest_prefixes_and_nothing_else(digits: int, data: st.DataObject) -> None:
    numbers = st.integers(10 ** (digits - 1), 10**digits - 1)
    first, last = sorted((data.draw(numbers), data.draw(numbers)))
    prefixes = cover(str(first), str(last))
    covered: set[int] = set()
    for prefix in prefixes:
        spare = digits - len(prefix)
        block = set(range(int(prefix) * 10**spare, (int(prefix) + 1) * 10**spare))
        assert not covered & block
        covered |= block
    assert (min(covered), max(covered), len(covered)) == (first, last, last - first + 1)
    # The fewest: no ten of them make a shorter one.
    parents = [prefix[:-1] for prefix in prefixes if len(prefix) > 1]
    assert all(parents.count(parent) < 10 for parent in set(parents))


@given(st.text(alphabet="0123456789 ,;/|-–+()=\"'.eE\u00a0FR", max_size=40))
def test_any_cell_is_prefixes_or_an_error(cell: str) -> None:
    try:
        found = read_prefixes(cell)
    except CellError:
        return
    assert found
    assert all(prefix.isascii() and prefix.isalnum() and len(prefix) <= 15 for prefix in found)
