"""The mails: what people read, and what a hostile caller's name cannot do to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.service import CallRow
from firmware.webmail.account import Account
from firmware.webmail.messages import Household, missed_call, spoken_time, trial, written_number
from firmware.webmail.words import clean, speak
from tests.webmail.house import ACCOUNT, call

NOW = datetime(2025, 11, 23, 6, 53, tzinfo=UTC)


def letter(row: CallRow, account: Account = ACCOUNT, household: Household | None = None) -> EmailMessage:
    mail = missed_call(row, account, household or Household(), "device", NOW)
    return message_from_bytes(mail.message, policy=default)


def test_a_missed_call_from_a_known_name_reads_as_people_say_it() -> None:
    mail = letter(call(1, name="Mamie Jeanne"))
    assert mail["Subject"] == "Appel manqué de Mamie Jeanne (01 42 68 53 00)"
    text = mail.get_content()
    assert "Mamie Jeanne (01 42 68 53 00) a appelé le dimanche 23 novembre 2025 à 07 h 52" in text
    assert "Pour rappeler : 01 42 68 53 00" in text


def test_the_mailbox_writes_to_itself_and_no_robot_answers() -> None:
    mail = letter(call(1))
    assert mail["From"].addresses[0].addr_spec == mail["To"].addresses[0].addr_spec == "jeanne@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content_charset() == "utf-8"


def test_an_english_household_reads_english() -> None:
    mail = letter(call(1, name="Jo"), household=Household(language="en", country="UK", timezone="Europe/London"))
    assert mail["Subject"] == "Missed call from Jo (+33 1 42 68 53 00)"
    assert "on Sunday 23 November 2025 at 06:52" in mail.get_content()


def test_the_language_of_the_link_comes_before_that_of_the_box() -> None:
    mail = letter(call(1), account=replace(ACCOUNT, language="en"))
    assert str(mail["Subject"]).startswith("Missed call")


def test_a_withheld_number_says_so() -> None:
    mail = letter(call(1, number=None))
    assert mail["Subject"] == "Appel manqué (numéro masqué)"
    assert "rappeler" not in mail.get_content()


def test_the_phrase_that_only_the_household_knows_is_in_every_mail() -> None:
    account = replace(ACCOUNT, phrase="le chat dort sur le toit")
    assert "le chat dort sur le toit" in letter(call(1), account=account).get_content()
    test = message_from_bytes(trial(account, Household(), "token", NOW).message, policy=default)
    assert "le chat dort sur le toit" in test.get_content()


def test_the_message_id_is_of_the_call_and_the_device() -> None:
    def of(row: CallRow, device: str = "device") -> str:
        return missed_call(row, ACCOUNT, Household(), device, NOW).message_id

    assert of(call(1)) == of(call(1, name="anything"))
    assert len({of(call(1)), of(call(2)), of(call(1), "other"), of(call(1, started="2025-11-24T06:52:10+00:00"))}) == 4
    assert of(call(1)).endswith("@example.org>")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=60))
def test_no_name_or_number_adds_a_header_a_line_or_a_direction(name: str, number: str) -> None:
    hostile = letter(call(1, name=name, number=number))
    assert set(hostile.keys()) == set(letter(call(1)).keys())
    subject = str(hostile["Subject"])
    assert not any(character in subject for character in "\r\n\x00\x1b\u202e\u2066\u2028")
    assert len(subject) < 140
    assert hostile.get_content().splitlines().count("-- ") == 1


@pytest.mark.parametrize(
    "name",
    [
        "Jeanne\r\nBcc: all@example.net",
        "Jeanne\n\nBody",
        "=?utf-8?q?Jeanne=0D=0ABcc:_x=40y.z?=",
        "Jeanne\x0bX: y",
        "\u202egnp.exe",
        "a" * 5000,
        "Z\u0335\u0336\u0337\u0338" * 50,
        "\ud800lone",
    ],
)
def test_names_that_tried_it(name: str) -> None:
    mail = letter(call(1, name=name))
    assert mail["Bcc"] is None
    assert mail["X"] is None
    assert [address.addr_spec for address in mail["To"].addresses] == ["jeanne@example.org"]


def test_a_name_loses_its_excess_only() -> None:
    assert clean("  Mémé \t Zoë  ", 64) == "Mémé Zoë"
    assert clean("x" * 70, 64) == "x" * 63 + "…"
    assert clean("Ma\u200drie", 64) == "Marie"


@pytest.mark.parametrize(
    ("number", "country", "written"),
    [
        ("+33142685300", "FR", "01 42 68 53 00"),
        ("+12024561414", "FR", "+1 202-456-1414"),
        ("+262262123456", "FR", "+262 262 12 34 56"),
        ("3699", "FR", "3699"),
        ("jeanne", "FR", "jeanne"),
        ("+999", "FR", "+999"),
        ("+442079460123", "UK", "020 7946 0123"),
    ],
)
def test_numbers_are_written_as_in_the_country(number: str, country: str, written: str) -> None:
    assert written_number(number, country) == written


def test_an_unknown_zone_is_told_in_utc_and_odd_times_as_they_are() -> None:
    _ = speak("en")
    assert spoken_time("2025-11-23T06:52:10+00:00", "Mars/Olympus", _) == "Sunday 23 November 2025 at 06:52 UTC"
    assert spoken_time("2025-11-23T06:52:10", "Europe/Paris", _) == "Sunday 23 November 2025 at 07:52"
    assert spoken_time("yesterday", "Europe/Paris", _) == "yesterday"


def test_both_languages_say_everything() -> None:
    french = speak("fr")
    assert french("Missed call from %s") != "Missed call from %s"
    assert speak("xx")("Missed call from %s") == french("Missed call from %s")
