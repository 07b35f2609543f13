from __future__ import annotations

import phonenumbers
import pytest

from firmware.exchange import numbers


@pytest.mark.parametrize(
    "called",
    ["0199000001", "+33199000001", "0033199000001", "01 99 00 00 01", "0199000001;phone-context=+33", "01-99-00-00-01"],
)
def test_a_number_is_known_however_it_is_written(called: str) -> None:
    assert isinstance(numbers.steps_for(called)[1], numbers.Echo)


@pytest.mark.parametrize("called", ["3699", "+333699", "00333699"])
def test_the_speaking_clock_is_known_as_a_short_number(called: str) -> None:
    assert isinstance(numbers.steps_for(called)[1], numbers.Clock)


@pytest.mark.parametrize("called", [*sorted(numbers.EMERGENCY), "+33112", "+3315"])
def test_every_emergency_number_is_answered_with_words_in_french_and_english(called: str) -> None:
    steps = numbers.steps_for(called)
    assert steps[0] == numbers.Reply(200)
    spoken = [step for step in steps if isinstance(step, numbers.Say)]
    assert [say.language for say in spoken] == ["fr", "en"]
    assert "secours" in spoken[0].text
    assert "test exchange" in spoken[1].text


@pytest.mark.parametrize("called", ["", "allobox", "0142685300", "01990000012", "+33", "911", "1" * 200, "०१९९०००००१"])
def test_every_other_number_is_unassigned(called: str) -> None:
    assert numbers.steps_for(called) == (numbers.Reply(404, 1),)


def test_no_number_of_the_table_can_be_a_real_subscriber() -> None:
    for number in numbers.NUMBERS:
        assert number.digits == "3699" or number.digits.startswith("019900")
        if number.digits != "3699":
            assert phonenumbers.format_number(
                phonenumbers.parse(number.digits, "FR"), phonenumbers.PhoneNumberFormat.NATIONAL
            ) == (number.written)


def test_the_table_for_people_has_each_number_once_in_both_languages() -> None:
    for language in ("fr", "en"):
        rows = numbers.table(language)
        assert len({written for written, _ in rows}) == len(numbers.NUMBERS)
        assert all(meaning for _, meaning in rows)


def test_sentences_of_a_call_back_are_rendered_before_anybody_calls() -> None:
    assert any("Mamie Jeanne" in sentence.text for sentence in numbers.sentences())
