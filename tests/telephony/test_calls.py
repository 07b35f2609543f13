"""The switchboard with a whole household: lift, dial, ring, fail; emergencies in every worst state."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware import numbering
from firmware.fxs.port import LoopEdge
from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from tests.fakes.household import Household

CALLER = ev.Caller("+33142685300", "Mamie Jeanne")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path, ("home", "spare"))
    yield household
    household.close()


def ring_in(house: Household, key: int = sip.FIRST_INCOMING_KEY, caller: ev.Caller = CALLER) -> int:
    house.agent.emit(sip.IncomingCall(key, "home", caller, "sip:x@example.org", f"in-{key}"))
    return key


def test_lift_dial_talk_and_hang_up_leaves_one_record(house: Household) -> None:
    house.lift()
    assert house.voice.hears == "dial"
    house.dial("0142685300")
    (invite,) = house.invites()
    key, account, target = invite.args
    assert (account, target) == ("home", "+33142685300")
    assert house.voice.hears is None
    house.agent.emit(sip.CallProgress(key, 180, media=False, call_id="abc"))
    assert house.voice.hears == "ringback"
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    assert "connect" in house.agent.names()
    assert house.voice.hears is None
    assert house.voice.muting
    house.time.pass_time(65)
    house.hang_up()
    assert ("end", (key, 0)) in [(c.name, c.args) for c in house.agent.take()]
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=True, codec="PCMA/8000", call_id="abc"))
    (record,) = house.records()
    assert record["number"] == "+33142685300"
    assert record["dialled"] == "0142685300"
    assert record["end"] == "caller"
    assert record["seconds"] in {65, 66, 67}
    assert (record["account"], record["call_id"], record["codec"]) == ("home", "abc", "PCMA/8000")


def test_a_rotary_dial_reaches_the_same_number(house: Household) -> None:
    house.lift()
    house.rotary("3699")
    (invite,) = house.invites()
    assert invite.args[2] == "3699"


def test_dial_tone_stops_at_the_first_pulse_not_after_the_digit(house: Household) -> None:
    house.lift()
    house.port.closed = False
    house._contact(closed=False)
    house.time.pass_time(0.066)
    house._contact(closed=True)
    house.time.pass_time(0.02)
    house._contact(closed=False)
    assert house.voice.hears is None


def test_early_media_beats_local_ringback_and_a_later_180_does_not_cover_it(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallProgress(key, 183, media=True, call_id="abc"))
    house.agent.emit(sip.CallProgress(key, 180, media=False, call_id="abc"))
    assert house.voice.hears is None
    assert "connect" in house.agent.names()


def test_busy_far_end_gives_busy_tone_and_a_busy_record(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallDisconnected(key, 486, "Busy Here", None, by_us=False))
    assert house.voice.hears == "busy"
    assert house.records()[0]["end"] == "busy"


def test_far_end_hanging_up_gives_busy_tone_then_howler_then_silence_then_dial_tone_again(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.emit(sip.CallDisconnected(key, 200, "Normal", None, by_us=False))
    assert house.voice.hears == "busy"
    house.time.pass_time(31)
    assert house.voice.hears == "howler"
    house.time.pass_time(61)
    assert house.voice.hears is None
    house.hang_up()
    house.lift()
    assert house.voice.hears == "dial"


def test_a_failing_account_hands_over_to_the_next_and_a_late_answer_of_the_first_is_ignored(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    first = house.invites()[0].args[0]
    house.agent.emit(sip.CallDisconnected(first, 503, "Service Unavailable", None, by_us=False))
    (second,) = house.invites()
    assert second.args[1] == "spare"
    house.agent.emit(sip.CallDisconnected(first, 486, "late", None, by_us=False))
    assert house.handset.machine.state.value == "calling"
    house.agent.emit(sip.CallConfirmed(second.args[0], "abc"))
    house.hang_up()
    house.agent.emit(sip.CallDisconnected(second.args[0], 200, "OK", None, by_us=True))
    (record,) = house.records()
    assert record["account"] == "spare"


def test_an_incoming_call_rings_shows_the_caller_and_is_answered_by_lifting(house: Household) -> None:
    key = ring_in(house)
    assert house.port.bell
    assert ("ring", (key,)) in [(c.name, c.args) for c in house.agent.take()]
    house.time.pass_time(1.6)
    assert not house.port.bell
    house.time.pass_time(1.0)
    assert house.voice.hears == "caller-id 0142685300 Mamie Jeanne"
    house.time.pass_time(3.0)
    assert house.port.bell
    house.lift()
    assert not house.port.bell
    assert ("answer", (key,)) in [(c.name, c.args) for c in house.agent.take()]
    house.agent.emit(sip.CallConfirmed(key, "in"))
    house.time.pass_time(10)
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=False))
    (record,) = house.records()
    assert (record["direction"], record["name"], record["number"]) == ("in", "Mamie Jeanne", "+33142685300")
    assert record["end"] in {"caller", "callee"}


def test_an_anonymous_caller_shows_the_reason(house: Household) -> None:
    ring_in(house, caller=ev.Caller(None, None, ev.AbsenceReason.PRIVATE))
    house.time.pass_time(2.6)
    assert house.voice.hears == "caller-id P "


def test_a_caller_who_gives_up_stops_the_bell_and_is_a_missed_call(house: Household) -> None:
    key = ring_in(house)
    house.agent.emit(sip.CallDisconnected(key, 487, "Request Terminated", None, by_us=False))
    assert not house.port.bell
    house.time.pass_time(10)
    assert not house.port.bell
    house.records()
    (record,) = house.ledger.query(missed=True)
    assert record["name"] == "Mamie Jeanne"


def test_digits_in_a_call_go_to_the_far_end(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.take()
    house.dial("1#")
    assert [(c.name, c.args) for c in house.agent.take()] == [("send_digit", (key, "1")), ("send_digit", (key, "#"))]


def test_a_hidden_number_is_called_without_the_prefix(house: Household) -> None:
    house.lift()
    house.dial("#31#0142685300")
    (invite,) = house.invites()
    assert invite.args[2] == "+33142685300"
    assert invite.options["anonymous"]


def test_the_setup_code_is_spoken(house: Household) -> None:
    house.lift()
    house.dial("*00#")
    assert house.voice.hears == "setup-code 123456"


def test_a_ring_test_rings_stops_by_itself_and_leaves_no_record(house: Household) -> None:
    assert house.board.ring_test(1)
    assert house.port.bell
    house.time.pass_time(20)
    assert not house.port.bell
    assert house.board.ring_test(1)
    house.lift()
    assert not house.port.bell
    house.hang_up()
    assert house.records() == []
    assert not house.board.ring_test(2)


def test_no_account_gives_the_special_dial_tone_then_words(tmp_path: Path) -> None:
    house = Household(tmp_path, ())
    house.lift()
    assert house.voice.hears == "special-dial"
    house.time.pass_time(5)
    assert house.spoken == [ev.Words.NO_ACCOUNT]
    house.close()


def test_a_broken_rate_deck_does_not_silence_the_telephone(house: Household) -> None:
    house.tariff.broken = True
    house.lift()
    house.dial("0142685300")
    assert len(house.invites()) == 1


# --- emergencies, each feature's worst state -----------------------------------------------------


@pytest.mark.parametrize("number", sorted(numbering.emergency_numbers("FR")))
def test_every_emergency_number_goes_out_at_its_last_digit_and_asks_no_rates(tmp_path: Path, number: str) -> None:
    house = Household(tmp_path)
    house.tariff.broken = True
    house.lift()
    house.dial(number)
    (invite,) = house.invites()
    assert invite.args[2] == number
    assert invite.options == {"emergency": True, "anonymous": False}
    assert house.tariff.asked == 0
    house.close()


def test_an_emergency_goes_out_while_no_account_is_registered(house: Household) -> None:
    house.register("home", ok=False)
    house.register("spare", ok=False)
    house.lift()
    assert house.voice.hears == "special-dial"
    house.dial("112")
    (invite,) = house.invites()
    assert invite.options["emergency"]


def test_an_emergency_uses_the_last_good_accounts_when_the_settings_have_none(tmp_path: Path) -> None:
    house = Household(tmp_path, ())
    house.last_good = ["last-good home"]
    house.lift()
    house.dial("18")
    (invite,) = house.invites()
    assert invite.args[1:] == ("last-good home", "18")
    house.close()


def test_an_emergency_tries_every_account_and_again_while_the_handset_stays_lifted(house: Household) -> None:
    house.lift()
    house.dial("15")
    tried = []
    for _ in range(4):
        (invite,) = house.invites()
        tried.append(invite.args[1])
        house.agent.emit(sip.CallDisconnected(invite.args[0], 503, "no", None, by_us=False))
        house.time.pass_time(3)
    assert tried == ["home", "spare", "home", "spare"]


def test_an_emergency_is_never_anonymous_whatever_prefix_was_dialled(house: Household) -> None:
    house.lift()
    house.dial("#31#112")
    (invite,) = house.invites()
    assert invite.options == {"emergency": True, "anonymous": False}


def test_an_emergency_goes_out_when_the_record_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "box.db").mkdir()  # no database can be opened there
    house = Household(tmp_path)
    house.lift()
    house.dial("17")
    (invite,) = house.invites()
    house.agent.emit(sip.CallConfirmed(invite.args[0], "abc"))
    assert house.handset.machine.state.value == "talking"
    house.hang_up()
    house.close()


def test_an_emergency_is_dialled_by_a_rotary_dial_after_a_failed_call(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallDisconnected(key, 404, "Not Found", None, by_us=False))
    house.hang_up()
    house.lift()
    house.rotary("112")
    assert house.invites()[0].args[2] == "112"


def test_a_ringing_telephone_that_is_answered_and_hung_up_can_call_for_help_at_once(house: Household) -> None:
    key = ring_in(house)
    house.lift()
    house.agent.emit(sip.CallConfirmed(key, "in"))
    house.hang_up()  # the BYE has not been answered yet: the old call still holds its slot
    house.lift()
    house.dial("15")
    assert house.invites()[0].options["emergency"]


def test_a_lift_whose_edge_was_lost_is_found_by_reading_the_level(house: Household) -> None:
    house.port.closed = True  # its edge never comes
    house.time.pass_time(1.3)
    assert house.voice.hears == "dial"


def test_a_hang_up_whose_edge_was_lost_is_found_too(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    house.port.closed = False
    house.time.pass_time(2.5)
    assert house.handset.machine.state.value == "idle"
    assert "end" in house.agent.names()


def test_edges_that_are_queued_behind_a_busy_loop_are_not_overtaken_by_the_level(house: Household) -> None:
    house.lift()
    at = house.time.time()
    for number in range(6):  # one digit 6, each edge handed over 70 ms late
        for closed, when in ((False, number * 0.1), (True, number * 0.1 + 0.066)):
            house.time.pass_time(max(0.0, at + when + 0.07 - house.time.time()))
            elapsed = house.time.time() - at
            house.port.closed = (elapsed % 0.1) >= 0.066 or elapsed > 0.566
            house.handset.port_event(LoopEdge(closed, at + when))
    house.time.pass_time(1.0)
    assert house.handset.machine.digits == "6"


def test_an_emergency_is_recorded_as_free(house: Household) -> None:
    house.lift()
    house.dial("112")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.hang_up()
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=True))
    assert house.records()[0]["emergency"]


def test_the_page_is_told_who_the_line_talks_with_until_it_is_over(house: Household) -> None:
    house.lift()
    assert house.handset.snapshot().party is None
    house.dial("0142685300")
    assert house.handset.snapshot().party == "0142685300"
    house.hang_up()
    assert house.handset.snapshot().party is None
    ring_in(house)
    assert house.handset.snapshot().party == "Mamie Jeanne"
    house.lift()
    assert house.handset.snapshot().party == "Mamie Jeanne"


def test_a_call_answered_without_any_sound_is_ended_rather_than_borne_in_silence(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.time.pass_time(1.5)
    assert ("end", (key, 488)) in [(c.name, c.args) for c in house.agent.take()]
    assert house.voice.hears == "busy"
    assert house.records()[0]["sip_code"] == 488


def test_the_record_of_a_refused_call_keeps_the_networks_cause(house: Household) -> None:
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallDisconnected(key, 404, "Not Found", 1, by_us=False))
    assert house.records()[0]["q850"] == 1


def test_a_call_interrupted_by_the_cores_death_keeps_account_and_destination(house: Household) -> None:
    house.tariff.destination = "France fixed"
    house.lift()
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    (call,) = house.ledger._live.values()
    assert (call.opened.account, call.opened.destination, call.opened.call_id) == ("home", "France fixed", "abc")
