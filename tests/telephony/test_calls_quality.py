"""The switchboard and what a call was like: whoever hangs up, the record gets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.telephony import agent as sip
from firmware.telephony.quality_meter import NetworkQuality, StreamReading
from tests.fakes.household import Household

LIKE = NetworkQuality(StreamReading(codec="PCMA/8000", packet_ms=20.0, sent=500, received=490, lost_here=10))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path, ("home",))
    yield household
    household.close()


def talking(house: Household) -> int:
    house.lift()
    house.dial("0142685300")
    (invite,) = house.invites()
    key = int(invite.args[0])
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    house.time.pass_time(10)
    return key


def over(house: Household, key: int) -> None:
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=False, codec="PCMA/8000", call_id="abc"))


def test_a_call_that_the_far_end_ends_is_recorded_with_its_measure(house: Household) -> None:
    key = talking(house)
    house.agent.emit(sip.CallMeasured(key, LIKE))
    over(house, key)
    (record,) = house.records()
    assert (record["end"], record["quality"]["lost_received"]) == ("callee", 10)


def test_a_call_that_the_house_hangs_up_is_recorded_at_once_and_its_measure_follows(house: Household) -> None:
    key = talking(house)
    house.hang_up()
    house.time.pass_time(2)
    (record,) = house.records()
    assert (record["end"], record["quality"]) == ("caller", None)
    house.told.clear()
    house.agent.emit(sip.CallMeasured(key, LIKE))
    (after,) = house.records()
    assert after == record | {"quality": after["quality"]}
    assert after["quality"]["received"] == 490
    assert ("call", {"line": 1, "id": record["id"], "state": "measured"}) in house.told
    over(house, key)
    assert house.records() == [after]


def test_a_measure_of_a_call_that_nobody_knows_changes_nothing(house: Household) -> None:
    house.agent.emit(sip.CallMeasured(77, LIKE))
    key = talking(house)
    house.agent.emit(sip.CallMeasured(key + 500, LIKE))
    over(house, key)
    house.agent.emit(sip.CallMeasured(key, LIKE))
    (record,) = house.records()
    assert record["quality"] is None
