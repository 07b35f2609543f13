"""Handset, line, switchboard and calls played together, two calls at once: nothing is left up, held or joined."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony.line_states import LineState
from tests.fakes.household import Household as Home

NUMBERS = ["0142685300", "15", "3699"]


class Household(RuleBasedStateMachine):
    """The test is the SIP side: it keeps what the box has asked of each dialog."""

    @initialize(call_waiting=st.integers(0, 3))
    def start(self, call_waiting: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name), call_waiting=call_waiting > 0)
        self.lifted = False
        self.offered: set[int] = set()
        self.placed: set[int] = set()
        self.answering: set[int] = set()
        self.up: set[int] = set()
        self.held: set[int] = set()
        self.joined: set[int] = set()
        self.ended: set[int] = set()
        self.emergencies: set[int] = set()
        self.next_key = sip.FIRST_INCOMING_KEY

    def listen(self) -> None:
        """Take what the box asked of its agent."""
        for command in self.home.agent.take():
            key = int(command.args[0]) if command.args and isinstance(command.args[0], int) else 0
            match command.name:
                case "invite":
                    self.placed.add(key)
                    if command.options["emergency"]:
                        self.emergencies.add(key)
                case "answer":
                    assert key in self.offered
                    self.offered.remove(key)
                    self.answering.add(key)
                case "hold":
                    assert key not in self.joined
                    assert key not in self.emergencies
                    self.held.add(key)
                case "resume":
                    self.held.discard(key)
                case "connect":
                    assert key not in self.ended, "a voice joined to a call that is over"
                    self.joined = self.joined | {key}
                case "disconnect":
                    self.joined -= {key}
                case "end":
                    self.over(key, by_us=True)
                case _:
                    pass

    def over(self, key: int, *, by_us: bool = False, code: int = 200) -> None:
        if key in self.ended:
            return
        for group in (self.offered, self.placed, self.answering, self.up, self.held, self.joined):
            group.discard(key)
        self.ended.add(key)
        self.home.agent.emit(sip.CallDisconnected(key, code, "", None, by_us=by_us))
        self.listen()

    @precondition(lambda self: not self.lifted)
    @rule()
    def lift(self) -> None:
        self.lifted = True
        self.home.lift()
        self.listen()

    @precondition(lambda self: self.lifted)
    @rule()
    def hang_up(self) -> None:
        self.lifted = False
        self.home.hang_up()
        self.listen()

    @precondition(lambda self: self.lifted)
    @rule()
    def flash(self) -> None:
        before = set(self.ended)
        self.home.flash()
        self.listen()
        assert self.ended == before

    @precondition(lambda self: self.lifted and not self.up)
    @rule(number=st.sampled_from(NUMBERS), answered=st.booleans())
    def dial(self, number: str, answered: bool) -> None:  # noqa: FBT001
        self.home.dial(number)
        self.listen()
        if answered:
            self.the_far_end_answers()

    @rule()
    def somebody_calls(self) -> None:
        self.next_key += 1
        self.offered.add(self.next_key)
        caller = ev.Caller("+33612345678", "Zoé")
        self.home.agent.emit(sip.IncomingCall(self.next_key, "home", caller, "sip:z@x", f"in-{self.next_key}"))
        self.listen()

    @precondition(lambda self: self.home.handset.machine.state is LineState.IDLE)
    @rule(number=st.sampled_from(["", *NUMBERS]), flashes=st.integers(0, 2))
    def two_call(self, number: str, flashes: int) -> None:
        """In one step, so that it happens often."""
        if not number:
            self.somebody_calls()
        self.lift()
        if number:
            self.dial(number, answered=False)
        self.the_far_end_answers()
        self.somebody_calls()
        for _ in range(flashes):
            self.flash()
            self.the_far_end_answers()

    @precondition(lambda self: self.placed | self.answering)
    @rule()
    def the_far_end_answers(self) -> None:
        for key in sorted(self.placed | self.answering):
            self.placed.discard(key)
            self.answering.discard(key)
            self.up.add(key)
            self.home.agent.emit(sip.CallConfirmed(key, f"c-{key}"))
            self.home.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
            self.listen()

    @precondition(lambda self: self.up | self.placed | self.answering | self.offered)
    @rule(data=st.data(), code=st.sampled_from([200, 486, 487, 503]))
    def the_far_end_ends(self, data: st.DataObject, code: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.up | self.placed | self.answering | self.offered)))
        self.over(key, code=200 if key in self.up else code)

    @rule(seconds=st.sampled_from([0.2, 1.0, 12.0, 35.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        self.home.time.pass_time(seconds)
        self.listen()

    @rule(digit=st.sampled_from("D5A"))
    def the_telephone_sounds(self, digit: str) -> None:
        self.home.handset.digit(digit)
        self.listen()

    @precondition(lambda self: self.home.handset.machine.state is LineState.CALL_WAITING)
    @rule()
    def a_piece_of_the_signal_ends(self) -> None:
        self.home.handset.speech_ended()

    @invariant()
    def one_voice_at_most_and_of_a_living_call(self) -> None:
        assert len(self.joined) <= 1
        assert not self.joined & self.held
        if not self.lifted:
            assert not self.joined

    @invariant()
    def who_is_up_is_spoken_with_or_held(self) -> None:
        assert self.up <= self.joined | self.held
        assert len(self.up | self.answering) <= 2
        assert not self.held & self.emergencies

    @invariant()
    def the_bell_rings_on_hook_only_and_for_somebody(self) -> None:
        if self.home.port.bell:
            assert not self.lifted
            assert self.offered | self.held

    def teardown(self) -> None:
        """Hang up, and let the telephone ring in vain: nothing is left, and every call has its record."""
        if not hasattr(self, "home"):
            return
        if self.lifted:
            self.hang_up()
        self.time_passes(130.0)
        self.time_passes(130.0)
        assert not self.up | self.held | self.joined | self.offered | self.placed | self.answering
        assert self.home.board.quiet
        assert not self.home.port.bell
        assert self.home.voice.hears is None
        records = self.home.records()
        assert all(record["end"] for record in records)
        self.home.lift()
        assert self.home.voice.hears == "dial"
        self.home.close()
        self.folder.cleanup()


TestHousehold = Household.TestCase
TestHousehold.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
