"""Digits in a call, as far as the far end takes them: events, or tones that stay in the voice or are made for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.telephony import agent as sip
from tests.fakes.household import Household


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    made = Household(tmp_path)
    yield made
    made.close()


def talk(house: Household, *, tones: bool) -> int:
    """A call that is answered; its agent's key."""
    house.lift()
    house.dial("0142685300")
    key: int = house.invites()[0].args[0]
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False, tones=tones))
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.take()
    return key


def digits_sent(house: Household) -> str:
    return "".join(c.args[1] for c in house.agent.take() if c.name == "send_digit")


def test_events_carry_keys_and_dials_and_the_tone_is_taken_out(house: Household) -> None:
    talk(house, tones=False)
    assert house.voice.muting
    house.dial("5")
    house.rotary("3")
    assert digits_sent(house) == "53"
    assert house.voice.sounded == ""


def test_in_the_voice_a_keys_own_tone_stays_and_a_dials_is_made(house: Household) -> None:
    talk(house, tones=True)
    assert not house.voice.muting
    house.dial("5")
    house.rotary("3")
    assert digits_sent(house) == ""
    assert house.voice.sounded == "3"


def test_a_far_end_that_refuses_a_digit_hears_it_and_those_to_come(house: Household) -> None:
    key = talk(house, tones=False)
    house.dial("5")
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False, tones=True))
    house.agent.emit(sip.DigitRefused(key, "5"))
    assert house.voice.sounded == "5"
    assert not house.voice.muting
    house.dial("6")
    assert digits_sent(house) == "5"


def test_a_digit_refused_after_hanging_up_is_heard_by_nobody(house: Household) -> None:
    key = talk(house, tones=False)
    house.hang_up()
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False, tones=True))
    house.agent.emit(sip.DigitRefused(key, "5"))
    house.agent.emit(sip.DigitRefused(999, "5"))
    assert house.voice.sounded == ""


def test_another_account_that_is_tried_next_begins_with_events_again(tmp_path: Path) -> None:
    house = Household(tmp_path, ("home", "work"))
    try:
        house.lift()
        house.dial("0142685300")
        first = house.invites()[0].args[0]
        house.agent.emit(sip.CallMedia(first, "PCMA/8000", held=False, tones=True))
        house.agent.emit(sip.CallDisconnected(first, 503, "Service Unavailable", None, by_us=False))
        (second,) = house.invites()
        assert second.args[1] == "work"
        house.agent.emit(sip.CallConfirmed(second.args[0], "def"))
        assert house.voice.muting
        house.dial("5")
        assert digits_sent(house) == "5"
    finally:
        house.close()


def test_an_emergency_call_is_placed_whatever_way_its_digits_go(house: Household) -> None:
    house.lift()
    house.dial("112")
    (invite,) = house.invites()
    assert invite.options["emergency"]
    key = invite.args[0]
    house.agent.emit(sip.DigitRefused(key, "5"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False, tones=True))
    house.agent.emit(sip.CallConfirmed(key, "sos"))
    assert not house.voice.muting
