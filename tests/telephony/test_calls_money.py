"""A household and its money: prices before the INVITE, PINs, warnings and the cut; emergencies come between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony.line_states import LineState
from tests.fakes.household import Household

NUMBER, TARGET = "0892700000", "+33892700000"
DEAR = ev.Announce(Decimal("0.34"), "minute", "EUR", Decimal("0.18"), Decimal("4.20"))
DEARER = replace(DEAR, price=Decimal("0.80"))
CHEAP = replace(DEAR, price=Decimal("0.02"), fee=Decimal(0))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path, ("home", "spare"))
    yield household
    household.close()


def dial(house: Household, number: str = NUMBER) -> None:
    house.lift()
    house.dial(number)


def answered(house: Household, key: int) -> None:
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))


def in_state(house: Household, state: LineState) -> bool:
    return house.handset.machine.state is state


# --- the price ------------------------------------------------------------------------------


def test_the_price_is_heard_before_anything_leaves_and_then_the_call_goes_by_itself(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house)
    assert house.voice.hears == "price 0.34 4.20"
    house.time.pass_time(8)
    assert house.invites() == []
    house.handset.speech_ended()
    (invite,) = house.invites()
    assert invite.args[1:] == ("home", TARGET)
    assert house.voice.hears is None


def test_a_hash_skips_the_words(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house)
    house.dial("#")
    assert len(house.invites()) == 1
    assert house.voice.hears is None


def test_hanging_up_on_the_price_sends_nothing_costs_nothing_and_is_recorded(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house)
    house.hang_up()
    assert house.agent.take() == []
    (record,) = house.records()
    assert (record["end"], record["number"], record["sip_code"]) == ("declined", TARGET, 0)
    assert (record["seconds"], record["billed_seconds"], record["answered"]) == (0, 0, None)
    house.lift()
    assert house.voice.hears == "dial"


@pytest.mark.parametrize("threshold", [None, Decimal("0.34"), Decimal(1)])
def test_money_below_the_household_s_threshold_passes_unsaid(house: Household, threshold: Decimal | None) -> None:
    house.announce_above, house.tariff.announce[""] = threshold, DEAR
    dial(house)
    assert len(house.invites()) == 1


def test_a_connection_fee_above_the_threshold_is_told_too(house: Household) -> None:
    house.announce_above, house.tariff.announce[""] = Decimal("0.15"), replace(CHEAP, fee=Decimal("0.18"))
    dial(house)
    assert in_state(house, LineState.ANNOUNCING)


def test_words_that_take_long_to_make_are_dropped_if_the_caller_did_not_wait_for_them(house: Household) -> None:
    house.tariff.announce[""], house.money.at_once = DEAR, False
    dial(house)
    assert house.voice.hears is None
    house.dial("#")
    house.invites()
    house.money.unsaid[0](b"too late")
    house.time.pass_time(1)
    assert house.voice.hears is None
    assert in_state(house, LineState.CALLING)


def test_words_that_never_come_let_the_call_go_in_the_end(house: Household) -> None:
    house.tariff.announce[""], house.money.at_once = DEAR, False
    dial(house)
    house.time.pass_time(39)
    assert house.invites() == []
    house.time.pass_time(2)
    assert len(house.invites()) == 1


def test_no_words_at_all_let_the_call_go_at_once(house: Household) -> None:
    house.tariff.announce[""], house.money.at_once = DEAR, False
    dial(house)
    house.money.unsaid[0](b"")
    house.time.pass_time(0.1)
    assert len(house.invites()) == 1


def test_another_account_that_is_dearer_is_announced_before_its_invite(house: Household) -> None:
    house.tariff.announce |= {"home": DEAR, "spare": DEARER}
    dial(house)
    house.dial("#")
    (first,) = house.invites()
    house.agent.emit(sip.CallDisconnected(first.args[0], 503, "", None, by_us=False))
    assert house.voice.hears == "price 0.80 4.20"
    assert house.invites() == []
    house.handset.speech_ended()
    (second,) = house.invites()
    assert second.args[1] == "spare"
    assert second.args[0] != first.args[0]


def test_a_failover_declined_at_its_price_is_recorded_so(house: Household) -> None:
    house.tariff.announce |= {"home": CHEAP, "spare": DEARER}
    dial(house)
    (first,) = house.invites()
    house.agent.emit(sip.CallDisconnected(first.args[0], 503, "", None, by_us=False))
    house.hang_up()
    assert house.invites() == []
    assert house.records()[0]["end"] == "declined"


def test_another_account_that_is_no_dearer_is_tried_without_a_word(house: Household) -> None:
    house.tariff.announce |= {"home": DEARER, "spare": DEAR}
    dial(house)
    house.dial("#")
    (first,) = house.invites()
    house.agent.emit(sip.CallDisconnected(first.args[0], 503, "", None, by_us=False))
    assert len(house.invites()) == 1


def test_a_call_that_rings_stays_with_its_account_and_is_never_talked_into(house: Household) -> None:
    house.tariff.announce["spare"] = DEARER
    dial(house)
    (first,) = house.invites()
    house.agent.emit(sip.CallProgress(first.args[0], 180, media=False, call_id="abc"))
    house.agent.emit(sip.CallDisconnected(first.args[0], 503, "", None, by_us=False))
    assert house.invites() == []
    assert house.voice.hears == "all-lines-busy"


def test_a_flash_gives_a_new_dial_tone_and_nothing_has_left(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house)
    house.flash()
    assert house.voice.hears == "dial"
    assert house.agent.take() == []
    house.tariff.announce.clear()
    house.dial("3699")
    assert len(house.invites()) == 1


def test_a_stray_key_stops_the_words_and_they_begin_again(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house)
    house.time.pass_time(2)
    house.dial("7")
    assert house.voice.hears is None
    house.time.pass_time(3)
    assert house.voice.hears == "price 0.34 4.20"
    assert house.invites() == []


def test_somebody_who_calls_meanwhile_finds_the_line_busy(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house)
    house.agent.take()
    key = sip.FIRST_INCOMING_KEY
    house.agent.emit(sip.IncomingCall(key, "home", ev.Caller("+33142685300"), "sip:x@y", "in"))
    assert ("end", (key, 486)) in [(c.name, c.args) for c in house.agent.take()]
    house.handset.speech_ended()
    assert len(house.invites()) == 1


# --- the PIN --------------------------------------------------------------------------------


@pytest.fixture
def locked(house: Household) -> Household:
    house.tariff.locked = {"home": "Zoé", "spare": "Zoé"}
    house.pins.labels = {"4711": "Zoé", "0000": "Léo", "1512": "Zoé"}
    return house


def test_a_right_pin_lets_the_call_out_and_its_label_is_in_the_record_the_pin_nowhere(locked: Household) -> None:
    dial(locked)
    assert locked.voice.hears == "pin-enter"
    assert locked.invites() == []
    locked.dial("4711#")
    assert locked.pins.asked == [(1, "4711")]
    (invite,) = locked.invites()
    answered(locked, invite.args[0])
    locked.time.pass_time(5)
    locked.hang_up()
    (record,) = locked.records()
    assert record["pin"] == "Zoé"
    assert "4711" not in repr(locked.records()) + repr(locked.told) + repr(locked.handset.snapshot())


def test_digits_are_awaited_with_a_tone_once_the_words_are_over_until_the_first_of_them(locked: Household) -> None:
    dial(locked)
    locked.handset.speech_ended()
    assert locked.voice.hears == "special-dial"
    locked.dial("4")
    assert locked.voice.hears is None
    locked.handset.speech_ended()
    assert locked.voice.hears is None
    locked.dial("711#")
    assert len(locked.invites()) == 1


def test_a_pin_dialled_by_pulses_ends_with_a_pause(locked: Household) -> None:
    locked.lift()
    locked.rotary(NUMBER)
    locked.rotary("4711")
    assert locked.invites() == []
    locked.time.pass_time(8)
    assert len(locked.invites()) == 1


def test_a_star_begins_the_pin_again(locked: Household) -> None:
    dial(locked)
    locked.dial("99*4711#")
    assert locked.pins.asked == [(1, "4711")]


def test_a_pin_that_has_no_end_is_checked_at_sixteen_digits(locked: Household) -> None:
    dial(locked)
    locked.dial("9" * 20)
    assert locked.pins.asked == [(1, "9" * 16)]


def test_a_price_is_told_after_the_pin(locked: Household) -> None:
    locked.tariff.announce[""] = DEAR
    dial(locked)
    locked.dial("4711#")
    assert locked.voice.hears == "price 0.34 4.20"
    locked.dial("#")
    assert len(locked.invites()) == 1


def test_three_wrong_pins_are_the_end_and_a_minute_must_pass(locked: Household) -> None:
    dial(locked)
    locked.dial("1#")
    assert locked.voice.hears == "pin-wrong"
    locked.dial("2#3#")
    assert locked.voice.hears == "pin-refused"
    assert locked.invites() == []
    assert locked.records()[0]["end"] == "refused"
    locked.hang_up()
    dial(locked)
    assert locked.voice.hears == "pin-refused"
    locked.hang_up()
    locked.time.pass_time(60)
    dial(locked)
    assert locked.voice.hears == "pin-enter"


def test_hanging_up_between_wrong_pins_gains_no_tries(locked: Household) -> None:
    for pin in ("1", "2"):
        dial(locked)
        locked.dial(f"{pin}#")
        locked.hang_up()
    dial(locked)
    locked.dial("3#")
    assert locked.voice.hears == "pin-refused"


def test_a_right_pin_of_somebody_who_may_not_opens_nothing(locked: Household) -> None:
    dial(locked)
    locked.dial("0000#")
    assert locked.voice.hears == "pin-refused"
    assert locked.invites() == []


def test_no_pin_at_all_is_told_and_the_handset_lives_on(locked: Household) -> None:
    dial(locked)
    locked.time.pass_time(17)
    assert locked.voice.hears == "pin-refused"
    assert locked.records()[0]["end"] == "declined"
    locked.flash()
    assert locked.voice.hears == "dial"


def test_a_checker_that_breaks_refuses_and_one_that_never_answers_is_given_up(locked: Household) -> None:
    locked.pins.broken = True
    dial(locked)
    locked.dial("4711#")
    assert locked.voice.hears == "pin-refused"
    locked.hang_up()
    locked.pins.broken, locked.pins.waiting = False, []
    dial(locked)
    locked.dial("4711#")
    locked.time.pass_time(121)
    assert locked.voice.hears == "technical"
    locked.pins.waiting[0]()
    assert locked.invites() == []


def test_an_answer_for_a_call_that_was_hung_up_opens_nothing(locked: Household) -> None:
    locked.pins.waiting = []
    dial(locked)
    locked.dial("4711#")
    locked.hang_up()
    locked.pins.waiting[0]()
    assert locked.invites() == []
    assert locked.board.quiet


# --- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["15", "17", "18", "112", "114", "115", "116000", "196"])
@pytest.mark.parametrize("broken", ["", "words", "rates"])
def test_an_emergency_number_dialled_into_a_price_goes_out_at_once(house: Household, number: str, broken: str) -> None:
    house.tariff.announce[""] = DEAR
    house.money.at_once = broken != "words"
    dial(house)
    house.time.pass_time(1.5)
    house.tariff.broken = broken == "rates"
    house.dial(number)
    (invite,) = house.invites()
    assert invite.args[2] == number
    assert invite.options["emergency"]
    assert [record["end"] for record in house.records() if record["end"]] == ["declined"]


@pytest.mark.parametrize("wait", [0.0, 1.0, 2.9, 4.0])
def test_an_emergency_number_is_called_whatever_digits_came_before_it(house: Household, wait: float) -> None:
    """Run on from the number dialled, it takes the pause; a stray key costs the pause too."""
    house.tariff.announce[""] = DEAR
    dial(house)
    house.time.pass_time(wait)
    house.dial("15")
    house.time.pass_time(3)
    assert [c.args[2] for c in house.invites()] == ["15"]


def test_too_many_digits_of_the_number_ring_no_ambulance(house: Household) -> None:
    house.tariff.announce[""] = DEAR
    dial(house, NUMBER + "1500")
    house.time.pass_time(3)
    assert house.invites() == []
    assert house.voice.hears == "price 0.34 4.20"


@pytest.mark.parametrize("end", ["#", ""])
@pytest.mark.parametrize("before", ["", "12"])
@pytest.mark.parametrize("worst", ["", "broken", "mute"])
def test_an_emergency_number_dialled_as_a_pin_is_called(locked: Household, end: str, before: str, worst: str) -> None:
    locked.pins.broken = worst == "broken"
    locked.pins.waiting = [] if worst == "mute" else None
    dial(locked)
    locked.dial(before)
    locked.time.pass_time(3)
    locked.dial("15" + end)
    locked.time.pass_time(3)
    (invite,) = locked.invites()
    assert invite.args[2] == "15"
    assert invite.options["emergency"]
    assert locked.pins.asked == []


def test_a_pin_that_begins_like_an_emergency_number_is_a_pin(locked: Household) -> None:
    dial(locked)
    locked.dial("1512#")
    assert locked.pins.asked == [(1, "1512")]
    assert [c.args[2] for c in locked.invites()] == [TARGET]


def test_help_is_called_while_a_pin_is_being_checked(locked: Household) -> None:
    locked.pins.waiting = []
    dial(locked)
    locked.dial("4711#")
    locked.time.pass_time(2)
    locked.dial("112")
    (invite,) = locked.invites()
    assert invite.options["emergency"]
    locked.pins.waiting[0]()
    assert locked.invites() == []


def test_an_emergency_call_itself_is_never_priced_locked_warned_or_cut(locked: Household) -> None:
    locked.tariff.announce[""], locked.tariff.limit[""] = DEAR, 30.0
    dial(locked, "112")
    (invite,) = locked.invites()
    assert locked.tariff.asked == 0
    answered(locked, invite.args[0])
    locked.time.pass_time(3600)
    assert locked.voice.laid == []
    assert in_state(locked, LineState.TALKING)


# --- the end of the money -------------------------------------------------------------------


def test_a_minute_and_ten_seconds_before_its_end_a_call_is_warned_and_then_cut_on_the_second(
    house: Household,
) -> None:
    house.tariff.limit[""] = 90.0
    dial(house)
    (invite,) = house.invites()
    key = invite.args[0]
    house.time.pass_time(3)
    answered(house, key)
    house.time.pass_time(29.9)
    assert house.voice.laid == []
    house.time.pass_time(0.2)
    assert house.voice.laid == ["warning 60"]
    house.time.pass_time(49.8)
    assert house.voice.laid == ["warning 60"]
    house.time.pass_time(0.2)
    assert house.voice.laid == ["warning 60", "warning 10"]
    house.time.pass_time(9.8)
    assert ("end", (key, 0)) not in [(c.name, c.args) for c in house.agent.take()]
    house.time.pass_time(0.2)
    assert ("end", (key, 0)) in [(c.name, c.args) for c in house.agent.take()]
    assert house.voice.hears == "budget-cut"
    house.handset.speech_ended()
    assert house.voice.hears == "busy"
    (record,) = house.records()
    assert (record["end"], record["seconds"]) == ("credit", 90)


def test_a_call_too_short_for_a_warning_gets_those_that_fit(house: Household) -> None:
    house.tariff.limit[""] = 10.5
    dial(house)
    answered(house, house.invites()[0].args[0])
    house.time.pass_time(0.6)
    assert house.voice.laid == ["warning 10"]
    house.time.pass_time(10)
    assert house.records()[0]["end"] == "credit"


def test_who_hangs_up_before_the_cut_is_warned_no_more(house: Household) -> None:
    house.tariff.limit[""] = 65.0
    dial(house)
    answered(house, house.invites()[0].args[0])
    house.time.pass_time(6)
    house.hang_up()
    house.time.pass_time(100)
    assert house.voice.laid == ["warning 60"]


def test_the_limit_is_that_of_the_account_that_carries_the_call(house: Household) -> None:
    house.tariff.limit |= {"home": 600.0, "spare": 20.0}
    dial(house)
    (first,) = house.invites()
    house.agent.emit(sip.CallDisconnected(first.args[0], 503, "", None, by_us=False))
    (second,) = house.invites()
    answered(house, second.args[0])
    house.time.pass_time(20.1)
    assert house.records()[0]["end"] == "credit"


def test_a_call_on_hold_is_warned_into_the_other_one_and_cut(house: Household) -> None:
    house.tariff.limit[""] = 70.0
    dial(house)
    placed = house.invites()[0].args[0]
    answered(house, placed)
    key = sip.FIRST_INCOMING_KEY
    house.agent.emit(sip.IncomingCall(key, "home", ev.Caller("+33142685300"), "sip:x@y", "in"))
    house.flash()
    answered(house, key)
    house.time.pass_time(12)
    assert house.voice.laid == ["warning 60"]
    house.agent.take()
    house.time.pass_time(60)
    assert ("end", (placed, 0)) in [(c.name, c.args) for c in house.agent.take()]
    assert in_state(house, LineState.TALKING)


@pytest.mark.parametrize(
    "words",
    [
        ev.Words.PREMIUM_BARRED,
        ev.Words.SATELLITE_BARRED,
        ev.Words.UNKNOWN_BARRED,
        ev.Words.BUDGET_DAY,
        ev.Words.BUDGET_MONTH,
        ev.Words.BUDGET_CLASS,
        ev.Words.BUDGET_LINE,
        ev.Words.BUDGET_PIN,
    ],
)
def test_each_refusal_has_words_of_its_own_and_a_record(house: Household, words: ev.Words) -> None:
    house.tariff.reason = words
    dial(house)
    assert house.voice.hears == words.value
    assert house.records()[0]["end"] == "refused"
    house.handset.speech_ended()
    assert house.voice.hears == "congestion"
