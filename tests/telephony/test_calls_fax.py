"""The switchboard and faxes: the agent is told, the record says so, and nobody knocks on a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.telephony import agent as sip
from firmware.telephony.events import Caller
from firmware.telephony.quality_meter import NetworkQuality, StreamReading
from tests.fakes.agent import Command
from tests.fakes.household import Household

LIKE = NetworkQuality(StreamReading(codec="PCMA/8000", packet_ms=20.0, sent=500, received=490, lost_here=10))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path, ("home", "other"))
    yield household
    household.close()


def placed(house: Household) -> int:
    house.lift()
    house.dial("0142685300")
    (invite,) = house.invites()
    return int(invite.args[0])


def talking(house: Household) -> int:
    key = placed(house)
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.emit(sip.CallMedia(key, "G722/16000", held=False))
    house.time.pass_time(10)
    return key


def told(house: Household) -> list[Command]:
    return [command for command in house.agent.commands if command.name == "fax"]


def finished(house: Household, key: int) -> dict[str, object]:
    house.agent.emit(sip.CallMeasured(key, LIKE))
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=False, codec="PCMA/8000", call_id="abc"))
    (record,) = [row for row in house.records() if row["direction"] == "out"]
    return dict(record["quality"])


def test_the_agent_is_told_once_and_the_record_says_it_was_a_fax(house: Household) -> None:
    key = talking(house)
    house.board.fax(1)
    house.board.fax(1)
    assert [command.args for command in told(house)] == [(key,)]
    assert finished(house, key)["fax"] is True


def test_a_call_of_people_is_recorded_as_none(house: Household) -> None:
    assert finished(house, talking(house))["fax"] is False


def test_a_fax_machine_heard_without_a_call_is_nobody_s(house: Household) -> None:
    house.board.fax(1)
    house.lift()
    house.board.fax(1)
    assert not told(house)


def test_the_next_way_out_is_told_too(house: Household) -> None:
    key = placed(house)
    house.board.fax(1)
    house.agent.emit(sip.CallDisconnected(key, 503, "no", None, by_us=False))
    calls = [command.args for command in told(house)]
    assert calls[0] == (key,)
    assert calls[1:] == [(int(house.invites()[-1].args[0]),)]


def test_a_second_caller_finds_a_fax_busy_and_is_recorded(house: Household) -> None:
    talking(house)
    house.board.fax(1)
    house.agent.take()
    house.agent.emit(sip.IncomingCall(1_000_000, "home", Caller("0142685301"), "sip:0142685301@x", "in"))
    house.time.pass_time(0.1)
    assert Command("end", (1_000_000, 486), {}) in house.agent.commands
    assert house.voice.hears is None, "no tone over the page"
    house.agent.emit(sip.CallDisconnected(1_000_000, 486, "Busy", None, by_us=True))
    (record,) = [row for row in house.records() if row["direction"] == "in"]
    assert (record["line"], record["end"]) == (1, "busy")


def test_the_fax_is_over_with_its_call(house: Household) -> None:
    key = talking(house)
    house.board.fax(1)
    finished(house, key)
    house.hang_up()
    house.time.pass_time(5)
    house.agent.take()
    house.agent.emit(sip.IncomingCall(1_000_000, "home", Caller("0142685301"), "sip:0142685301@x", "in"))
    house.time.pass_time(0.1)
    assert [c.name for c in house.agent.commands if c.name in {"end", "ring"}] == ["ring"]
