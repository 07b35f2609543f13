"""Hanging up and lifting again, the battery turned round, the tone that stutters: the machine, then a household."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony import services
from firmware.telephony.events import Outlook, Timer, Tone
from firmware.telephony.line import LineMachine, LineSettings
from firmware.telephony.line_states import POSTURES, TRANSITIONS, LineState, Trigger
from firmware.telephony.mailboxes import Mailboxes
from tests.fakes.household import Household

GUARD = 60.0
ZOE = ev.Caller("0612345678", "Zoé")


def machine(**settings: object) -> LineMachine:
    return LineMachine(services.analyse, LineSettings(**settings))  # type: ignore[arg-type]


def give(line: LineMachine, *events: ev.LineEvent) -> list[ev.LineCommand]:
    commands: list[ev.LineCommand] = []
    for event in events:
        commands += line.handle(event, 1.0)
    return commands


def answered_by_lifting(line: LineMachine, call: int = 7) -> None:
    give(line, ev.Offered(call, ZOE), ev.OffHook())
    assert line.state is LineState.TALKING


def placed(line: LineMachine, digits: str = "0142685300") -> int:
    give(line, ev.OffHook(), *(ev.DigitDialled(digit) for digit in digits))
    assert line.call is not None
    return line.call


# --- the guard ------------------------------------------------------------------------------------


def test_the_called_party_hangs_up_and_lifts_again_and_the_call_goes_on() -> None:
    line = machine(hang_up_guard=GUARD)
    answered_by_lifting(line)
    down = give(line, ev.OnHook())
    assert line.state is LineState.SUSPENDED
    assert down == [
        ev.DisconnectVoice(7),
        ev.ListenForDigits(on=False),
        ev.PlayNothing(),
        ev.StartTimer(Timer.SUSPEND, GUARD),
    ]
    up = give(line, ev.OffHook())
    assert (line.state, line.call) == (LineState.TALKING, 7)
    assert [command for command in up if not isinstance(command, ev.PlayNothing)] == [
        ev.StopTimer(Timer.SUSPEND),
        ev.ListenForDigits(on=True),
        ev.ConnectVoice(7),
    ]


@pytest.mark.parametrize("outlook", list(Outlook))
def test_resuming_asks_for_no_service(outlook: Outlook) -> None:
    line = machine(hang_up_guard=GUARD)
    answered_by_lifting(line)
    give(line, ev.OnHook(), ev.OutlookChanged(outlook), ev.OffHook())
    assert line.state is LineState.TALKING


def test_the_guard_runs_out_and_the_call_is_over() -> None:
    line = machine(hang_up_guard=GUARD)
    answered_by_lifting(line)
    give(line, ev.OnHook())
    assert give(line, ev.TimerFired(Timer.SUSPEND)) == [ev.HangUp(7)]
    assert (line.state, line.call) == (LineState.IDLE, None)
    assert ev.PlayTone(Tone.DIAL) in give(line, ev.OffHook())


@pytest.mark.parametrize("end", [ev.Released(7), ev.Withdrawn(7)])
def test_the_far_end_hanging_up_ends_the_guard(end: ev.LineEvent) -> None:
    line = machine(hang_up_guard=GUARD)
    answered_by_lifting(line)
    give(line, ev.OnHook())
    assert ev.StopTimer(Timer.SUSPEND) in give(line, end)
    assert (line.state, line.call) == (LineState.IDLE, None)


def test_a_second_caller_during_the_guard_is_told_busy_and_the_bell_stays_still() -> None:
    line = machine(hang_up_guard=GUARD)
    answered_by_lifting(line)
    give(line, ev.OnHook())
    assert give(line, ev.Offered(8, ZOE)) == [ev.RefuseCall(8, busy=True)]
    assert line.state is LineState.SUSPENDED


def test_who_placed_the_call_ends_it_by_hanging_up_whatever_the_guard() -> None:
    line = machine(hang_up_guard=GUARD)
    call = placed(line)
    give(line, ev.Answered(call))
    assert give(line, ev.OnHook())[-1] == ev.HangUp(call)
    assert line.state is LineState.IDLE


def test_without_a_guard_hanging_up_ends_the_call_that_came_in() -> None:
    line = machine()
    answered_by_lifting(line)
    assert give(line, ev.OnHook())[-1] == ev.HangUp(7)


def test_a_flash_or_a_late_word_of_another_call_does_not_touch_the_guard() -> None:
    line = machine(hang_up_guard=GUARD)
    answered_by_lifting(line)
    give(line, ev.OnHook())
    assert give(line, ev.Flash(), ev.Released(6), ev.DigitDialled("1"), ev.OnHook(), ev.TimerFired(Timer.HOWLER)) == []
    assert line.state is LineState.SUSPENDED


def test_the_guard_is_on_hook_in_the_table() -> None:
    posture, edges = POSTURES[LineState.SUSPENDED], TRANSITIONS[LineState.SUSPENDED]
    assert (posture.voice, posture.ringing, posture.listening) == (False, False, False)
    assert Trigger.HUNG_UP not in edges
    assert {edge.to for edge in edges.values()} == {LineState.TALKING, LineState.SUSPENDED, LineState.IDLE}


# --- polarity -------------------------------------------------------------------------------------


def turned(commands: list[ev.LineCommand]) -> list[bool]:
    return [command.reverse for command in commands if isinstance(command, ev.SetPolarity)]


def test_the_battery_is_reversed_from_the_answer_of_a_placed_call_to_its_release() -> None:
    line = machine(polarity_reversal=True)
    call = placed(line)
    assert turned(give(line, ev.Alerting(call), ev.EarlyMedia(call))) == []
    assert turned(give(line, ev.Answered(call))) == [True]
    assert turned(give(line, ev.DigitDialled("1"), ev.Flash())) == []
    over = give(line, ev.Released(call))
    assert turned(over) == [False]
    assert turned(give(line, ev.OnHook())) == []


def test_hanging_up_turns_it_back_and_a_failed_call_never_turned_it() -> None:
    line = machine(polarity_reversal=True)
    give(line, ev.Answered(placed(line)))
    assert turned(give(line, ev.OnHook())) == [False]
    call = placed(line)
    assert turned(give(line, ev.Failed(call, ev.Treatment(Tone.BUSY)), ev.OnHook())) == []


def test_calls_that_come_in_and_lines_that_are_not_set_so_keep_their_battery() -> None:
    line = machine(polarity_reversal=True, hang_up_guard=GUARD)
    answered_by_lifting(line)
    assert turned(give(line, ev.OnHook(), ev.OffHook(), ev.Released(7), ev.OnHook())) == []
    plain = machine()
    assert turned(give(plain, ev.Answered(placed(plain)), ev.OnHook())) == []


def test_it_stays_reversed_while_the_placed_call_is_held_and_turns_back_when_it_alone_has_ended() -> None:
    line = machine(polarity_reversal=True)
    call = placed(line)
    give(line, ev.Answered(call))
    assert turned(give(line, ev.Offered(9, ZOE), ev.Flash())) == []
    assert (line.call, line.other) == (9, call)
    assert turned(give(line, ev.Released(call))) == [False]
    assert (line.state, line.call) == (LineState.TALKING, 9)


# --- messages -------------------------------------------------------------------------------------


def test_the_dial_tone_stutters_while_messages_wait() -> None:
    line = machine()
    assert give(line, ev.MessagesChanged(waiting=True)) == []
    assert ev.PlayTone(Tone.STUTTER) in give(line, ev.OffHook())
    assert give(line, ev.MessagesChanged(waiting=False)) == []
    assert ev.PlayTone(Tone.DIAL) in give(line, ev.OnHook(), ev.OffHook())


def test_a_line_without_service_says_so_rather_than_that_messages_wait() -> None:
    line = machine()
    give(line, ev.MessagesChanged(waiting=True), ev.OutlookChanged(Outlook.NO_NETWORK))
    assert ev.PlayTone(Tone.SPECIAL_DIAL) in give(line, ev.OffHook())


# --- a household ----------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path)
    yield household
    household.close()


def fit(house: Household, **settings: object) -> None:
    """Give the line these settings."""
    house.handset.machine = LineMachine(services.analyse, LineSettings(**settings), house.board.new_key)  # type: ignore[arg-type]


def ring_in(house: Household, key: int, **more: str) -> int:
    caller = ev.Caller("+33142685300", "Mamie")
    house.agent.emit(sip.IncomingCall(key, "home", caller, "sip:x@y", f"in-{key}", **more))
    return key


def answer(house: Household, key: int) -> None:
    ring_in(house, key)
    house.lift()
    house.agent.emit(sip.CallConfirmed(key, f"in-{key}"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    house.agent.take()


def test_the_call_is_kept_up_for_the_guard_and_its_record_ends_with_it(house: Household) -> None:
    fit(house, hang_up_guard=30.0)
    answer(house, 1_000_001)
    house.time.pass_time(10)
    house.hang_up()
    assert not [c for c in house.agent.take() if c.name == "end"]
    assert not house.handset.idle
    house.time.pass_time(10)
    assert not [c for c in house.agent.take() if c.name == "end"]
    house.time.pass_time(21)
    assert [c.args for c in house.agent.take() if c.name == "end"] == [(1_000_001, 0)]
    assert house.handset.idle
    (record,) = house.records()
    assert record["end"] == "callee"
    assert 39 <= record["seconds"] <= 43  # 10 talked, 30 of guard


def test_a_caller_who_gives_up_during_the_guard_leaves_a_line_that_rings_again(house: Household) -> None:
    fit(house, hang_up_guard=30.0)
    answer(house, 1_000_001)
    house.hang_up()
    second = ring_in(house, 1_000_002)
    assert [c.args for c in house.agent.take() if c.name == "end"] == [(second, 486)]
    house.agent.emit(sip.CallDisconnected(1_000_001, 200, "OK", None, by_us=False))
    assert house.handset.idle
    ring_in(house, 1_000_003)
    assert house.port.bell


def test_hanging_up_a_second_time_ends_the_call_and_help_is_called_at_once(house: Household) -> None:
    fit(house, hang_up_guard=60.0)
    answer(house, 1_000_001)
    house.hang_up()
    house.lift()
    assert "connect" in [c.name for c in house.agent.take()]
    house.hang_up()
    assert [c.args[0] for c in house.agent.take() if c.name == "end"] == [1_000_001]
    house.lift()
    assert house.voice.hears == "dial"
    house.dial("112")
    assert house.invites()[0].options["emergency"]


def test_help_is_called_for_once_the_guard_is_over(house: Household) -> None:
    fit(house, hang_up_guard=30.0)
    answer(house, 1_000_001)
    house.hang_up()
    house.time.pass_time(30)
    house.lift()
    assert house.voice.hears == "dial"
    house.dial("112")
    assert house.invites()[0].options["emergency"]


def test_messages_of_any_account_stutter_on_every_lift_until_none_waits(house: Household) -> None:
    house.board.accounts_changed(["home", "work"])
    house.register("home")
    house.agent.emit(sip.MessagesWaiting("work", waiting=True, new=2, old=0))
    house.agent.emit(sip.MessagesWaiting("home", waiting=False))
    house.agent.emit(sip.MessagesWaiting("stranger", waiting=True))
    house.lift()
    assert house.voice.hears == "stutter"
    house.hang_up()
    house.board.accounts_changed(["home"])  # the account went, and its mailbox with it
    house.lift()
    assert house.voice.hears == "dial"


def test_a_ring_that_nobody_answers_is_refused_480_and_recorded_as_not_answered(house: Household) -> None:
    fit(house, ring_limit=60.0)
    key = ring_in(house, 1_000_001)
    house.time.pass_time(59)
    assert not [c for c in house.agent.take() if c.name == "end"]
    house.time.pass_time(2)
    assert [c.args for c in house.agent.take() if c.name == "end"] == [(key, 480)]
    house.time.pass_time(10)
    assert not house.port.bell
    (record,) = house.records()
    assert (record["end"], record["sip_code"]) == ("no-answer", 480)


def test_a_lamp_is_put_out_by_the_first_word_of_a_server_and_by_nobody_before(tmp_path: Path) -> None:
    house = Household(tmp_path)
    told: list[bool] = []
    feed = house.handset.feed

    def note(event: ev.LineEvent) -> None:
        if isinstance(event, ev.MessagesChanged):
            told.append(event.waiting)
        feed(event)

    house.handset.feed = note  # type: ignore[method-assign]
    house.board.accounts_changed(["home"])
    assert told == []
    house.agent.emit(sip.MessagesWaiting("home", waiting=False))
    house.agent.emit(sip.MessagesWaiting("home", waiting=False, new=0, old=3))
    assert told == [False]
    house.agent.emit(sip.MessagesWaiting("home", waiting=True))
    house.board.accounts_changed([])
    assert told == [False, True, False]
    house.close()


def test_how_many_wait_is_the_sum_where_every_server_says_and_unknown_else() -> None:
    boxes = Mailboxes()
    assert Mailboxes().waiting is None
    assert not boxes.keep(["home"])
    assert boxes.hear(sip.MessagesWaiting("home", waiting=True, new=2))
    assert boxes.hear(sip.MessagesWaiting("work", waiting=True, new=3))
    assert (boxes.waiting, boxes.count) == (True, 5)
    assert not boxes.hear(sip.MessagesWaiting("idle", waiting=False))
    assert boxes.hear(sip.MessagesWaiting("work", waiting=True))
    assert [boxes.count] == [None]
    assert boxes.hear(sip.MessagesWaiting("work", waiting=True, new=5000))
    assert boxes.count == 99
    assert boxes.keep(["idle"])
    assert (boxes.waiting, boxes.count) == (False, 0)


def test_a_third_message_is_told_to_the_display_too(house: Household) -> None:
    told: list[int | None] = []
    feed = house.handset.feed

    def note(event: ev.LineEvent) -> None:
        if isinstance(event, ev.MessagesChanged):
            told.append(house.board.mailboxes.count)
        feed(event)

    house.handset.feed = note  # type: ignore[method-assign]
    for new in (2, 2, 3):
        house.agent.emit(sip.MessagesWaiting("home", waiting=True, new=new))
    assert told == [2, 3]
