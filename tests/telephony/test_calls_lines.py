"""Several telephones on one switchboard: who rings, who has the call, and that nobody's call is another's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony.distribution import LineWishes, Readiness, Standing, offer_to
from tests.fakes.household import Household

CALLER = ev.Caller("+33142685300", "Mamie Jeanne")
ANYBODY = LineWishes()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    household = Household(tmp_path, ("home", "office"), wishes=(ANYBODY, ANYBODY))
    yield household
    household.close()


def ring_in(house: Household, key: int = sip.FIRST_INCOMING_KEY, account: str = "home") -> int:
    house.agent.emit(sip.IncomingCall(key, account, CALLER, "sip:x@example.org", f"in-{key}"))
    return key


def bells(house: Household) -> list[bool]:
    return [port.bell for port in house.ports.values()]


def states(house: Household) -> list[str]:
    return [handset.machine.state.value for handset in house.handsets.values()]


def ended(house: Household) -> list[tuple[int, int]]:
    return [command.args for command in house.agent.take() if command.name == "end"]


# --- who is offered a call -----------------------------------------------------------------------

standings = st.dictionaries(
    st.integers(1, 4),
    st.builds(
        Standing,
        st.builds(LineWishes, ring_accounts=st.lists(st.sampled_from(["home", "office"]), max_size=2).map(tuple)),
        st.sampled_from(Readiness),
    ),
)


@given(standings, st.sampled_from(["home", "office"]))
def test_every_idle_line_of_the_account_rings_or_else_one_that_is_in_use(lines: dict[int, Standing], who: str) -> None:
    offered = offer_to(who, lines)
    able = {number for number, line in lines.items() if line.wishes.rings_for(who)}
    idle = {number for number in able if lines[number].readiness is Readiness.IDLE}
    assert set(offered) == idle if idle else len(offered) == min(1, len(able))
    assert set(offered) <= able
    assert list(offered) == sorted(offered)
    if not idle and any(lines[number].readiness is Readiness.TALKING for number in able):
        assert lines[offered[0]].readiness is Readiness.TALKING


# --- ringing -------------------------------------------------------------------------------------


def test_both_telephones_ring_the_first_to_lift_has_the_call_and_the_other_falls_silent(house: Household) -> None:
    key = ring_in(house)
    assert bells(house) == [True, True]
    assert [command.name for command in house.agent.take()] == ["ring"]
    house.lift(2)
    assert bells(house) == [False, False]
    assert states(house) == ["idle", "talking"]
    assert [command.args for command in house.agent.take() if command.name == "answer"] == [(key,)]
    house.agent.emit(sip.CallConfirmed(key, "in"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    house.time.pass_time(10)
    house.lift(1)
    assert house.voices[1].hears == "dial"
    house.agent.emit(sip.CallDisconnected(key, 200, "OK", None, by_us=False))
    assert states(house) == ["dial-tone", "treatment"]
    (record,) = house.records()
    assert (record["line"], record["seconds"], record["missed"]) == (2, 11, False), "10.2 seconds"


def test_the_voice_of_a_call_goes_to_the_line_that_answered(house: Household) -> None:
    key = ring_in(house)
    house.lift(2)
    joined = [command for command in house.agent.take() if command.name == "connect"]
    assert [(command.args, command.options) for command in joined] == [((key,), {"line": 2})]


def test_a_caller_who_gives_up_silences_every_bell_and_is_one_missed_call(house: Household) -> None:
    key = ring_in(house)
    house.agent.emit(sip.CallDisconnected(key, 487, "Request Terminated", None, by_us=False))
    assert bells(house) == [False, False]
    assert states(house) == ["idle", "idle"]
    (record,) = house.records()
    assert record["missed"]
    assert house.board.quiet


def test_a_call_that_nobody_takes_is_given_up_once_no_line_rings_any_more(house: Household) -> None:
    key = ring_in(house)
    house.time.pass_time(119)
    assert ended(house) == []
    house.time.pass_time(2)
    assert bells(house) == [False, False]
    assert ended(house) == [(key, 480)]


def test_only_the_idle_telephone_rings_and_a_third_caller_waits_for_nobody_who_dials(tmp_path: Path) -> None:
    house = Household(tmp_path, call_waiting=False, wishes=(ANYBODY, ANYBODY))
    house.lift(1)
    key = ring_in(house)
    assert bells(house) == [False, True]
    assert house.voices[1].hears == "dial"
    second = ring_in(house, key + 1)
    assert ended(house) == [(second, 486)]
    assert bells(house) == [False, True]
    house.lift(2)
    third = ring_in(house, key + 2)
    assert ended(house) == [(third, 486)]
    assert states(house) == ["dial-tone", "talking"]
    house.close()


def test_an_account_rings_only_the_lines_that_want_it(tmp_path: Path) -> None:
    wishes = (LineWishes(ring_accounts=("home",)), LineWishes(ring_accounts=("office",)))
    house = Household(tmp_path, ("home", "office", "spare"), wishes=wishes)
    key = ring_in(house, account="office")
    assert bells(house) == [False, True]
    house.agent.emit(sip.CallDisconnected(key, 487, "gone", None, by_us=False))
    key = ring_in(house, key + 1, account="spare")
    assert bells(house) == [False, False]
    assert ended(house) == [(key, 480)]
    house.agent.emit(sip.CallDisconnected(key, 480, "", None, by_us=True))
    assert house.board.quiet
    assert [row["line"] for row in house.records()] == [1, 2]
    house.close()


def test_a_ring_test_rings_one_telephone_and_a_caller_the_other(house: Household) -> None:
    assert house.board.ring_test(2)
    assert bells(house) == [False, True]
    ring_in(house)
    assert bells(house) == [True, True]
    house.lift(2)
    assert states(house) == ["ringing", "treatment"]
    house.lift(1)
    assert states(house)[0] == "talking"


# --- calling -------------------------------------------------------------------------------------


def test_each_line_calls_by_its_own_account_first(tmp_path: Path) -> None:
    house = Household(tmp_path, ("home", "office"), wishes=(ANYBODY, LineWishes(account="office")))
    for line in (1, 2):
        house.lift(line)
        house.dial("0142685300", line)
    assert [invite.args[1] for invite in house.invites()] == ["home", "office"]
    house.close()


def test_an_own_account_that_is_not_registered_does_not_silence_the_line(tmp_path: Path) -> None:
    house = Household(tmp_path, ("home", "office"), wishes=(ANYBODY, LineWishes(account="office")))
    house.register("office", ok=False)
    house.lift(2)
    house.dial("0142685300", 2)
    assert [invite.args[1] for invite in house.invites()] == ["home"]
    house.close()


def test_two_calls_at_once_end_each_for_itself(house: Household) -> None:
    keys = []
    for line in (1, 2):
        house.lift(line)
        house.dial("0142685300", line)
        keys.append(house.invites()[0].args[0])
        house.agent.emit(sip.CallConfirmed(keys[-1], f"call {line}"))
        house.agent.emit(sip.CallMedia(keys[-1], "PCMA/8000", held=False))
    assert states(house) == ["talking", "talking"]
    house.agent.take()
    house.hang_up(1)
    assert ended(house) == [(keys[0], 0)]
    assert states(house) == ["idle", "talking"]
    house.agent.emit(sip.CallDisconnected(keys[1], 200, "OK", None, by_us=False))
    assert house.voices[2].hears == "busy"
    house.agent.emit(sip.CallDisconnected(keys[0], 200, "OK", None, by_us=True))
    assert sorted((row["line"], row["end"]) for row in house.records()) == [(1, "caller"), (2, "callee")]


def test_an_emergency_goes_out_on_the_second_line_while_the_first_one_talks(house: Household) -> None:
    house.lift(1)
    house.dial("0142685300")
    key = house.invites()[0].args[0]
    house.agent.emit(sip.CallConfirmed(key, "abc"))
    house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
    house.lift(2)
    house.dial("112", 2)
    (invite,) = house.invites()
    assert invite.options == {"emergency": True, "anonymous": False}
    assert states(house)[0] == "talking"


def test_the_end_of_the_process_ends_each_call_once(house: Household) -> None:
    key = ring_in(house)
    house.agent.take()
    house.board.shut()
    assert ended(house) == [(key, 480)]
