"""A hat with a DTMF receiver of its own: its digits dial, and the software detector's do not count twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.fxs.port import Capability, DigitEvent
from tests.fakes.household import Household


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    made = Household(tmp_path)
    made.port.capabilities = frozenset({Capability.DIGITS})
    yield made
    made.close()


def hat_dials(house: Household, digits: str) -> None:
    for digit in digits:
        house.handset.port_event(DigitEvent(digit, house.time.time()))
        house.time.pass_time(0.1)


def test_a_number_heard_by_the_hat_is_called(house: Household) -> None:
    house.lift()
    hat_dials(house, "0142685300")
    house.time.pass_time(5)
    (invite,) = house.invites()
    assert "42685300" in str(invite)


def test_an_emergency_heard_by_the_hat_is_called(house: Household) -> None:
    house.lift()
    hat_dials(house, "112")
    house.time.pass_time(5)
    assert "112" in str(house.invites()[0])


def test_the_detector_is_off_while_dialling_and_what_it_says_is_passed_over(house: Household) -> None:
    house.lift()
    assert not house.voice.listening
    for digit in "0142685300":
        house.handset.digit(digit)
        hat_dials(house, digit)
    house.time.pass_time(5)
    (invite,) = house.invites()
    assert "00114422" not in str(invite)
    assert "42685300" in str(invite)


def test_without_such_a_hat_the_detector_listens(house: Household) -> None:
    house.port.capabilities = frozenset()
    house.lift()
    assert house.voice.listening
