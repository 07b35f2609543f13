"""Service codes, and prefixes that go with one call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import numbering
from firmware.numbering import Completeness, NumberClass
from firmware.telephony.services import (
    PREFIXES,
    HideNumber,
    PlainNumber,
    ShowNumber,
    SpeakSetupCode,
    UnknownService,
    analyse,
    understand,
)


@pytest.mark.parametrize("prefix", ["3651", "#31#", "*31#", "*31*", "*67"])
def test_a_prefix_hides_the_number_for_one_call(prefix: str) -> None:
    assert understand(prefix + "0142685300") == HideNumber("0142685300")


def test_star_82_shows_the_number() -> None:
    assert understand("*820142685300") == ShowNumber("0142685300")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("number", sorted(numbering.EMERGENCY["FR"]))
def test_an_emergency_behind_a_prefix_is_an_emergency_at_its_last_digit(prefix: str, number: str) -> None:
    dialled = prefix + number
    for length in range(1, len(dialled)):
        assert analyse(dialled[:length]).status is Completeness.INCOMPLETE, dialled[:length]
    found = analyse(dialled)
    assert (found.status, found.kind, found.target) == (Completeness.COMPLETE, NumberClass.EMERGENCY, number)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_number_behind_a_prefix_is_complete_when_it_is(prefix: str) -> None:
    assert analyse(prefix).status is Completeness.INCOMPLETE
    assert analyse(prefix + "014268530").status is Completeness.INCOMPLETE
    found = analyse(prefix + "0142685300")
    assert (found.status, found.target) == (Completeness.COMPLETE, "+33142685300")
    assert analyse(prefix + "00493012345678").status is Completeness.POSSIBLE
    assert analyse(prefix + "00493012345678#").status is Completeness.COMPLETE


def test_3699_is_not_mistaken_for_a_prefix() -> None:
    assert analyse("3699").status is Completeness.COMPLETE
    assert understand("3699") == PlainNumber("3699")


def test_star_00_hash_speaks_the_set_up_code() -> None:
    assert analyse("*00#").status is Completeness.COMPLETE
    assert understand("*00#") == SpeakSetupCode()


@pytest.mark.parametrize("code", ["*99#", "*21*0142685300#", "#31#", "*67*0142685300#", "*#31#", "*67"])
def test_an_unknown_code_is_named_as_such(code: str) -> None:
    assert understand(code) == UnknownService(code)


def test_a_sending_hash_is_no_part_of_a_number() -> None:
    assert understand("00493012345678#") == PlainNumber("00493012345678")
    assert understand("#31#00493012345678#") == HideNumber("00493012345678")


@given(st.text("0123456789*#", max_size=20))
def test_without_a_prefix_a_line_hears_what_numbering_says(dialled: str) -> None:
    found = analyse(dialled)
    assert found.digits == dialled.removesuffix("#") or found.digits == dialled
    if not dialled.startswith(tuple(PREFIXES)):
        assert found == numbering.analyse(dialled)
    understand(dialled)
