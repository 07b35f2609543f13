"""Digits to numbers: the French plan, the world's lengths, and emergencies before everything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware import digitpattern, numbering, worldnumbers
from firmware.numbering import Completeness, NumberClass, analyse, caller_display, display, parse_number

INCOMPLETE, POSSIBLE, COMPLETE, INVALID = (
    Completeness.INCOMPLETE,
    Completeness.POSSIBLE,
    Completeness.COMPLETE,
    Completeness.INVALID,
)
FRENCH_EMERGENCIES = ["15", "17", "18", "112", "114", "115", "119", "116000", "116111", "116117", "191", "196", "197"]
ROOT = Path(__file__).parents[1]
COUNTRIES = ("FR", "DE", "UK", "US", "CH", "BE", "ES", "IT")

keys = st.text("0123456789*#", max_size=22)


@pytest.mark.parametrize("number", FRENCH_EMERGENCIES)
def test_an_emergency_number_is_complete_at_its_last_digit(number: str) -> None:
    for length in range(1, len(number)):
        assert analyse(number[:length]).status is INCOMPLETE
    found = analyse(number)
    assert (found.status, found.kind, found.target, found.e164) == (COMPLETE, NumberClass.EMERGENCY, number, None)


@pytest.mark.parametrize("number", FRENCH_EMERGENCIES)
def test_a_sending_hash_changes_nothing_about_an_emergency(number: str) -> None:
    found = analyse(number + "#")
    assert (found.status, found.kind, found.target) == (COMPLETE, NumberClass.EMERGENCY, number)


def test_112_is_an_emergency_in_every_country_where_it_is_one() -> None:
    for country in ("FR", "DE", "UK", "CH", "BE", "ES", "IT", "US", "PT", "XX", ""):
        assert analyse("112", country).kind is NumberClass.EMERGENCY
    assert analyse("911", "US").kind is NumberClass.EMERGENCY
    assert analyse("999", "UK").kind is NumberClass.EMERGENCY


@pytest.mark.parametrize("number", ["0033112", "+33112", "00112", "+112", "1120", "150", "0112"])
def test_what_only_looks_like_an_emergency_is_none(number: str) -> None:
    assert analyse(number).kind is not NumberClass.EMERGENCY
    assert parse_number(number).kind is not NumberClass.EMERGENCY


@pytest.mark.parametrize(
    ("dialled", "kind", "target", "written"),
    [
        ("0142685300", "fixed", "+33142685300", "01 42 68 53 00"),
        ("0942685300", "fixed", "+33942685300", "09 42 68 53 00"),
        ("0612345678", "mobile", "+33612345678", "06 12 34 56 78"),
        ("0712345678", "mobile", "+33712345678", "07 12 34 56 78"),
        ("07001234567890", "mobile", "+337001234567890", "07 00 12 34 56 78 90"),
        ("0800123456", "free", "+33800123456", "0 800 12 34 56"),
        ("0809123456", "fixed", "+33809123456", "0 809 12 34 56"),
        ("0892700000", "premium", "+33892700000", "0 892 70 00 00"),
        ("0262123456", "fixed", "+262262123456", "0262 12 34 56"),
        ("0692123456", "mobile", "+262692123456", "0692 12 34 56"),
        ("0590123456", "fixed", "+590590123456", "0590 12 34 56"),
        ("0696123456", "mobile", "+596696123456", "0696 12 34 56"),
        ("0508412345", "fixed", "+508412345", "0508 41 23 45"),
        ("1013", "short", "1013", "10 13"),
        ("3699", "short", "3699", "36 99"),
        ("118712", "short", "118712", "118 712"),
        ("116006", "short", "116006", "116 006"),
        ("0033142685300", "fixed", "+33142685300", "01 42 68 53 00"),
        ("00262692123456", "mobile", "+262692123456", "0692 12 34 56"),
        ("0014155550100", "international", "+14155550100", "+1 415-555-0100"),
        ("00442079460018", "international", "+442079460018", "+44 20 7946 0018"),
    ],
)
def test_a_number_is_complete_at_its_last_digit_and_not_before(
    dialled: str, kind: str, target: str, written: str
) -> None:
    for length in range(1, len(dialled)):
        assert analyse(dialled[:length]).status in {INCOMPLETE, POSSIBLE}, dialled[:length]
    found = analyse(dialled)
    assert (found.status, found.kind.value, found.target, found.national) == (COMPLETE, kind, target, written)


@pytest.mark.parametrize(
    "dialled", ["12", "13", "16", "110", "111", "190", "014268530012", "36999", "00999", "003314268530012", "4A", "é"]
)
def test_digits_that_no_number_begins_with_are_told_at_once(dialled: str) -> None:
    assert analyse(dialled).status is INVALID


@pytest.mark.parametrize(
    "dialled", ["01", "0142", "07001234", "00", "0033", "003", "11", "118", "3", "36", "369", "22"]
)
def test_a_beginning_waits_for_more(dialled: str) -> None:
    assert analyse(dialled).status is INCOMPLETE


def test_a_belgian_fixed_number_is_sent_at_once_though_mobiles_are_longer() -> None:
    assert analyse("003222345678").status is COMPLETE
    assert analyse("00324712345").status is INCOMPLETE
    assert analyse("0032471234567").status is COMPLETE


def test_a_german_number_may_be_longer_and_waits_for_the_pause_or_a_hash() -> None:
    assert analyse("00493012345678").status is POSSIBLE
    assert analyse("00493012345678#").status is COMPLETE
    assert analyse("00493012345678#").target == "+493012345678"


def test_a_number_that_the_metadata_do_not_know_is_sent_by_a_hash() -> None:
    unknown = next(n for n in ("00440000000", "0044111111111") if not worldnumbers.is_known("+" + n[2:]))
    assert analyse(unknown).status is INCOMPLETE
    assert analyse(unknown + "#").status is COMPLETE


def test_an_extension_of_the_accounts_own_exchange_is_dialled_as_it_is() -> None:
    assert analyse("20").status is INCOMPLETE
    found = analyse("201")
    assert (found.status, found.target, found.e164) == (POSSIBLE, "201", None)
    assert analyse("22#").target == "22"


def test_a_hash_does_not_send_half_a_french_number() -> None:
    assert analyse("014268#").status is INVALID
    assert analyse("36#").status is INVALID


@pytest.mark.parametrize("code", ["*21*0142685300#", "#21#", "*#21#", "*00#", "*61*0612345678*20#"])
def test_a_service_code_is_complete_at_its_last_hash(code: str) -> None:
    found = analyse(code)
    assert (found.status, found.kind, found.target) == (COMPLETE, NumberClass.SERVICE, code)
    assert analyse(code[:-1]).status is INCOMPLETE
    assert analyse(code[:1]).status is INCOMPLETE


def test_a_service_code_does_not_go_on_for_ever() -> None:
    assert analyse("*" + "1" * 60).status is INVALID


def test_after_preparing_no_number_imports_anything() -> None:
    numbers = ["0014155550100", "00493012345678", "00870773111632", "0086101234567", "0142685300"]
    program = (
        "import sys; from firmware import numbering; numbering.prepare(); before = set(sys.modules)\n"
        f"for number in {numbers}:\n"
        "    for n in range(len(number) + 1): numbering.analyse(number[:n])\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("code", ["590", "594", "596", "262"])
def test_overseas_prefixes_agree_with_phonenumbers(code: str) -> None:
    """Each prefix of ours is, behind its country code, a beginning of numbers that phonenumbers knows there."""
    for prefix in numbering._OVERSEAS[code]:
        national = prefix[1:]
        grows = [worldnumbers.may_continue(f"+{code}{national}{rest}") for rest in ("", *"0123456789")]
        assert grows[0], prefix
        assert any(grows[1:]), prefix


def test_overseas_example_numbers_are_dialled_with_ten_digits_from_the_mainland() -> None:
    for region, code in (("RE", 262), ("YT", 262), ("GP", 590), ("GF", 594), ("MQ", 596)):
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
            example_number = phonenumbers.example_number_for_type(region, kind)
            assert example_number is not None
            dialled = f"0{example_number.national_number}"
            found = analyse(dialled)
            assert found.e164 == f"+{code}{example_number.national_number}", dialled
            assert display(found.e164) == dialled


def test_no_mainland_example_number_is_taken_for_overseas() -> None:
    for national in ("123456789", "220123456", "320123456", "420123456", "520123456", "612345678", "912345678"):
        assert analyse("0" + national).e164 == "+33" + national


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("+33 1 42 68 53 00", "+33142685300"),
        ("01.42.68.53.00", "+33142685300"),
        ("01-42-68-53-00", "+33142685300"),
        ("01 42 68 53 00", "+33142685300"),
        ("+33 (0)1 42 68 53 00", "+33142685300"),
        ("0033 (0) 1 42 68 53 00", "+33142685300"),
        ("33142685300", "+33142685300"),
        ("14155550100", "+14155550100"),
        ("tel:+493012345678", "+493012345678"),
        ("+262 692 12 34 56", "+262692123456"),
        ("+49 30 123456", "+4930123456"),
    ],
)
def test_a_number_is_read_as_people_write_it(text: str, e164: str) -> None:
    found = parse_number(text)
    assert (found.status, found.e164) == (COMPLETE, e164)


@pytest.mark.parametrize("text", ["", " ", "anonymous", "alice", "+", "0142", "+33 1 42", "*", "+999 12"])
def test_what_is_no_number_is_invalid_when_read(text: str) -> None:
    assert parse_number(text).status is INVALID


def test_short_and_emergency_numbers_are_read_too() -> None:
    assert parse_number("36 99").target == "3699"
    assert parse_number("1 1 2").kind is NumberClass.EMERGENCY


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("+33142685300", "0142685300"),
        ("0142685300", "0142685300"),
        ("33142685300", "0142685300"),
        ("0033142685300", "0142685300"),
        ("+262692123456", "0692123456"),
        ("+14155550100", "0014155550100"),
        ("+493012345678", "00493012345678"),
        ("3699", "3699"),
        ("201", "201"),
        ("+112", "112"),
        ("anonymous", None),
        ("", None),
        ("alice", None),
        ("123456789012345678901", None),
    ],
)
def test_a_caller_is_shown_as_a_french_telephone_shows_him(sent: str, shown: str | None) -> None:
    assert caller_display(sent) == shown


def test_other_countries_go_by_their_own_trunk_and_international_prefixes() -> None:
    assert analyse("03012345678", "DE").e164 == "+493012345678"
    assert analyse("14155550100", "US").e164 == "+14155550100"
    assert analyse("011442079460018", "US").target == "+442079460018"
    assert analyse("912345678", "ES").status is COMPLETE
    assert analyse("02079460018", "UK").national == "020 7946 0018"
    assert display("+442079460018", "US") == "011442079460018"
    assert display("+493012345678", "DE") == "03012345678"


@given(keys, st.sampled_from(COUNTRIES))
@example("00", "FR")
@example("001", "US")
def test_no_digits_raise(dialled: str, country: str) -> None:
    found = analyse(dialled, country)
    assert found.status in Completeness
    parse_number(dialled, country)
    caller_display(dialled, country)


@given(st.text(max_size=20))
def test_no_text_raises(text: str) -> None:
    analyse(text)
    parse_number(text)
    caller_display(text)


numbers = st.one_of(
    st.from_regex(re.compile(r"0[1-9][0-9]{8}|10[0-9]{2}|3[0-9]{3}|118[0-9]{3}|0700[0-9]{10}"), fullmatch=True),
    st.from_regex(re.compile(r"00[1-9][0-9]{6,14}"), fullmatch=True),
    keys,
)


@given(numbers)
def test_no_beginning_of_a_complete_number_is_invalid(dialled: str) -> None:
    if analyse(dialled).status is COMPLETE:
        for length in range(1, len(dialled)):
            assert analyse(dialled[:length]).status is not INVALID, dialled[:length]


@given(numbers, st.sampled_from("0123456789"))
def test_complete_means_that_no_longer_number_begins_so(dialled: str, more: str) -> None:
    found = analyse(dialled)
    if found.status is COMPLETE and found.kind is not NumberClass.SERVICE and not dialled.endswith("#"):
        assert not (found.e164 and worldnumbers.is_known(found.e164 + more) and worldnumbers.may_continue(found.e164))


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_an_example_number_of_any_country_can_be_sent(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        found = analyse("00" + e164[1:])
        assert found.status in {COMPLETE, POSSIBLE}, e164
        assert found.e164 == e164
        for length in range(3, len(e164)):
            assert analyse("00" + e164[1:length]).status is not COMPLETE, f"{e164} is cut after {length}"


def test_every_pattern_of_phonenumbers_can_be_read_for_its_beginnings() -> None:
    codes = [str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE]
    patterns = {kind for code in codes for kind, _ in worldnumbers._kinds(code)}
    assert len(patterns) > 500
    for pattern in patterns:
        assert digitpattern.beginnings(pattern).fullmatch("") is not None, pattern


@given(st.from_regex(re.compile(r"(?:4[5-9][0-9]{2}|12(?:3|45?){1,2}|7[0-24-9]{3,5})"), fullmatch=True), st.data())
def test_each_beginning_of_a_match_is_a_beginning(number: str, data: st.DataObject) -> None:
    pattern = r"4[5-9]\d{2}|12(?:3|45?){1,2}|7[0-24-9]{3,5}"
    cut = data.draw(st.integers(0, len(number)))
    assert digitpattern.beginnings(pattern).fullmatch(number[:cut])


@pytest.mark.parametrize("digits", ["43", "13", "122", "73", "45123", "7012345"])
def test_what_cannot_grow_into_a_match_is_no_beginning(digits: str) -> None:
    assert not digitpattern.beginnings(r"4[5-9]\d{2}|12(?:3|45?){1,2}|7[0-24-9]{3,5}").fullmatch(digits)


@pytest.mark.parametrize("pattern", ["1+", "(1)", "(?:1", "1)", "a"])
def test_a_pattern_of_unknown_syntax_is_refused_with_its_place(pattern: str) -> None:
    with pytest.raises(digitpattern.PatternError, match="pattern"):
        digitpattern.beginnings(pattern)
