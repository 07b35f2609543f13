"""Two calls in a household: switchboard, line and handset together, and what the books say afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from tests.fakes.household import Household

A_NUMBER = "0142685300"
B = sip.FIRST_INCOMING_KEY
ZOE = ev.Caller("+33612345678", "Zoé")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path)
    yield household
    household.close()


def orders(house: Household) -> list[tuple[object, ...]]:
    return [(c.name, *c.args) for c in house.agent.take()]


def talk(house: Household, digits: str = A_NUMBER) -> int:
    """Call A and be answered."""
    house.lift()
    house.dial(digits)
    (invite,) = house.invites()
    key = int(invite.args[0])
    house.agent.emit(sip.CallConfirmed(key, "a"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    house.agent.take()
    return key


def calls_in(house: Household, key: int = B, caller: ev.Caller = ZOE) -> None:
    house.agent.emit(sip.IncomingCall(key, "home", caller, "sip:zoe@example.org", f"in-{key}"))


def answered(house: Household, key: int = B) -> None:
    house.agent.emit(sip.CallConfirmed(key, f"in-{key}"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))


def over(house: Household, key: int, *, by_us: bool = False) -> None:
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=by_us))


def ends(house: Household) -> dict[str, str]:
    return {str(record["number"]): str(record["end"]) for record in house.records()}


def test_a_second_caller_hears_ringing_and_the_handset_is_told_who_he_is(house: Household) -> None:
    talk(house)
    calls_in(house)
    assert orders(house) == [("ring", B)]
    assert house.voice.hears == "alert 160"
    house.handset.digit("D")
    assert house.voice.hears == "caller-id 0612345678 Zoé 0"
    house.handset.speech_ended()
    house.time.pass_time(11)
    assert house.voice.hears == "call-waiting"
    assert orders(house) == [], "nothing of it is anybody's digit"
    assert house.handset.snapshot().party == A_NUMBER


def test_a_telephone_without_a_display_is_asked_once(house: Household) -> None:
    talk(house)
    calls_in(house)
    house.handset.speech_ended()
    house.handset.digit("D")
    house.time.pass_time(25)
    assert house.voice.hears == "call-waiting"
    assert orders(house) == [("ring", B)]


def test_a_flash_holds_one_and_answers_the_other_and_a_second_one_swaps_back(house: Household) -> None:
    a = talk(house)
    calls_in(house)
    orders(house)
    house.flash()
    assert orders(house) == [("disconnect", a), ("connect", B), ("hold", a), ("answer", B)]
    assert house.voice.hears is None
    answered(house)
    assert house.handset.snapshot().party == "Zoé"
    house.flash()
    assert orders(house) == [("disconnect", B), ("connect", a), ("hold", B), ("resume", a)]
    assert house.handset.snapshot().party == A_NUMBER
    house.dial("7")
    assert orders(house) == [("send_digit", a, "7")]


def test_hanging_up_rings_for_the_waiting_caller_with_his_number(house: Household) -> None:
    a = talk(house)
    calls_in(house)
    orders(house)
    house.hang_up()
    assert orders(house) == [("disconnect", a), ("end", a, 0)]
    assert house.port.bell
    over(house, a, by_us=True)
    house.time.pass_time(2.0)
    assert house.voice.hears == "caller-id 0612345678 Zoé"
    house.lift()
    assert ("answer", B) in orders(house)
    answered(house)
    house.time.pass_time(5)
    over(house, B)
    assert house.voice.hears == "busy"
    assert ends(house) == {"+33142685300": "caller", "+33612345678": "caller"}


def test_hanging_up_on_one_rings_back_for_the_held_one_and_lifting_resumes_it(house: Household) -> None:
    a = talk(house)
    calls_in(house)
    house.flash()
    answered(house)
    orders(house)
    house.hang_up()
    assert orders(house) == [("disconnect", B), ("end", B, 0)]
    house.time.pass_time(0.3)  # within a burst: it rings as for a call back
    assert house.port.bell
    over(house, B, by_us=True)
    house.time.pass_time(7.0)
    house.lift()
    assert not house.port.bell
    assert orders(house) == [("connect", a), ("resume", a)]
    house.hang_up()
    assert ("end", a, 0) in orders(house)
    over(house, a, by_us=True)
    assert ends(house) == {"+33142685300": "caller", "+33612345678": "callee"}
    assert house.board.quiet


def test_the_held_call_goes_on_in_the_books_while_the_other_is_spoken_with(house: Household) -> None:
    a = talk(house)
    calls_in(house)
    house.flash()
    answered(house)
    house.time.pass_time(60)
    over(house, B)
    assert house.voice.hears == "call-waiting"
    house.flash()
    assert ("resume", a) in orders(house)
    house.hang_up()
    over(house, a, by_us=True)
    by_number = {record["number"]: record["seconds"] for record in house.records()}
    assert by_number["+33612345678"] in {60, 61}
    assert 60 <= by_number["+33142685300"] <= 64


def test_a_third_caller_is_told_busy(house: Household) -> None:
    talk(house)
    calls_in(house)
    orders(house)
    calls_in(house, B + 1, ev.Caller("+33142685301"))
    assert ("end", B + 1, 486) in orders(house)
    assert house.handset.machine.state.value == "call-waiting"


def test_a_waiting_caller_who_gives_up_is_a_missed_call_and_the_voice_is_back(house: Household) -> None:
    talk(house)
    calls_in(house)
    house.agent.emit(sip.CallDisconnected(B, 487, "Request Terminated", None, by_us=False))
    assert house.voice.hears is None
    assert house.handset.machine.state.value == "talking"
    house.records()
    (missed,) = house.ledger.query(missed=True)
    assert missed["name"] == "Zoé"


def test_a_caller_whom_nobody_takes_is_told_so_after_two_minutes(house: Household) -> None:
    talk(house)
    calls_in(house)
    house.time.pass_time(121)
    assert ("end", B, 480) in orders(house)
    assert house.voice.hears is None


def test_a_household_without_call_waiting_is_busy(tmp_path: Path) -> None:
    house = Household(tmp_path, call_waiting=False)
    talk(house)
    calls_in(house)
    assert ("end", B, 486) in orders(house)
    assert house.voice.hears is None
    house.close()


@pytest.mark.parametrize("number", ["15", "112", "#31#112"])
def test_a_call_for_help_is_not_disturbed_and_a_flash_changes_nothing(house: Household, number: str) -> None:
    talk(house, number)
    calls_in(house)
    assert [order for order in orders(house) if order[0] == "end"] == [("end", B, 486)]
    assert house.voice.hears is None
    house.flash()
    assert orders(house) == []
    assert house.handset.machine.state.value == "talking"


def test_before_the_answer_a_second_caller_is_told_busy(house: Household) -> None:
    house.lift()
    house.dial(A_NUMBER)
    house.agent.emit(sip.CallProgress(house.invites()[0].args[0], 180, media=False, call_id="a"))
    calls_in(house)
    assert ("end", B, 486) in orders(house)
    assert house.voice.hears == "ringback"


def test_an_emergency_after_two_calls_is_placed_at_its_last_digit(house: Household) -> None:
    a = talk(house)
    calls_in(house)
    house.flash()
    answered(house)
    house.hang_up()  # rings back for the held one
    house.lift()
    house.hang_up()
    over(house, B, by_us=True)
    house.lift()
    house.dial("15")
    (invite,) = house.invites()
    assert invite.options["emergency"]
    over(house, a, by_us=True)


def test_the_shutdown_ends_both(house: Household) -> None:
    a = talk(house)
    calls_in(house)
    house.flash()
    answered(house)
    orders(house)
    house.board.shut()
    assert {order for order in orders(house) if order[0] == "end"} == {("end", a, 0), ("end", B, 0)}
