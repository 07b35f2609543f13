"""Three telephones, any calls, any order: no call on two lines, no bell at a lifted handset, each call one record."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony.distribution import LineWishes
from tests.fakes.household import Household

LINES = (1, 2, 3)
WISHES = (LineWishes(), LineWishes(account="office"), LineWishes(ring_accounts=("office",)))
lines = st.sampled_from(LINES)


class ThreeTelephones(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="lines-")
        self.house = Household(Path(self.folder.name), ("home", "office"), wishes=WISHES)
        self.keys = itertools.count(sip.FIRST_INCOMING_KEY)
        self.up: dict[int, str] = {}  # the agent's calls: "offered", "asked", "answered"
        self.joined: dict[int, int] = {}
        self.offered = 0

    # --- the stack's side

    def _serve(self) -> None:
        """What the agent was asked, answered as a network would."""
        while commands := self.house.agent.take():
            for command in commands:
                key = command.args[0]
                if command.name == "invite":
                    self.up[key] = "asked"
                elif command.name == "answer" and self.up.get(key) == "offered":
                    self.up[key] = "answered"
                    self.house.agent.emit(sip.CallConfirmed(key, f"call {key}"))
                    self.house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
                elif command.name == "connect":
                    assert key not in self.joined, "a call joined twice"
                    assert command.options["line"] not in self.joined.values(), "a line joined to two calls"
                    self.joined[key] = command.options["line"]
                elif command.name == "disconnect":
                    self.joined.pop(key, None)
                elif command.name == "end" and key in self.up:
                    self._gone(key, command.args[1] or 200, by_us=True)

    def _gone(self, key: int, code: int, *, by_us: bool) -> None:
        del self.up[key]
        self.joined.pop(key, None)
        self.house.agent.emit(sip.CallDisconnected(key, code, "", None, by_us=by_us, call_id=f"call {key}"))

    def _some(self, which: int, *states: str) -> int | None:
        there = [key for key, state in self.up.items() if state in states]
        return there[which % len(there)] if there else None

    # --- what may happen

    @rule(line=lines)
    def lift(self, line: int) -> None:
        if not self.house.ports[line].closed:
            self.house.lift(line)
            self._serve()

    @rule(line=lines)
    def hang_up(self, line: int) -> None:
        if self.house.ports[line].closed:
            self.house.hang_up(line)
            self._serve()

    @rule(line=lines, number=st.sampled_from(["0142685300", "3699", "112"]))
    def dial(self, line: int, number: str) -> None:
        self.house.dial(number, line)
        self._serve()

    @precondition(lambda self: len(self.up) < 4)
    @rule(account=st.sampled_from(["home", "office"]))
    def call_in(self, account: str) -> None:
        key = next(self.keys)
        self.up[key] = "offered"
        self.offered += 1
        self.house.agent.emit(
            sip.IncomingCall(key, account, ev.Caller("+33142685300", "Mamie"), "sip:x@example.org", f"call {key}")
        )
        self._serve()

    @rule(which=st.integers(0, 9))
    def far_end_answers(self, which: int) -> None:
        key = self._some(which, "asked")
        if key is not None:
            self.up[key] = "answered"
            self.house.agent.emit(sip.CallConfirmed(key, f"call {key}"))
            self.house.agent.emit(sip.CallMedia(key, "PCMA/8000", held=False))
            self._serve()

    @rule(which=st.integers(0, 9))
    def far_end_goes(self, which: int) -> None:
        key = self._some(which, "answered", "offered", "asked")
        if key is not None:
            code = {"answered": 200, "offered": 487, "asked": 486}[self.up[key]]
            self._gone(key, code, by_us=False)
            self._serve()

    @rule(seconds=st.sampled_from([0.5, 3.0, 31.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        self.house.time.pass_time(seconds)
        self._serve()

    # --- what always holds

    @invariant()
    def no_bell_rings_at_a_lifted_handset(self) -> None:
        assert not [line for line in LINES if self.house.ports[line].closed and self.house.ports[line].bell]

    @invariant()
    def every_call_is_somebodys_and_an_answered_one_of_one_line_alone(self) -> None:
        owners: dict[int, set[int]] = {}
        for (line, _), call in self.house.board._by_line.items():
            owners.setdefault(call.agent_key, set()).add(line)
        for key, state in self.up.items():
            assert owners.get(key), f"call {key} is {state} and no line's"
            if state == "answered":
                assert len(owners[key]) == 1

    @invariant()
    def a_line_that_talks_has_a_call(self) -> None:
        for line, handset in self.house.handsets.items():
            if handset.machine.state.value == "talking":
                assert (line, handset.machine.call) in self.house.board._by_line

    def teardown(self) -> None:
        for line in LINES:
            self.hang_up(line)
        for key in list(self.up):
            self._gone(key, 487, by_us=False)
        self._serve()
        self.house.time.pass_time(200)
        self._serve()
        for line in LINES:  # a call on hold rings for whoever hung up on it
            assert not self.house.ports[line].bell
            assert self.house.handsets[line].machine.state.value == "idle"
        assert self.house.board.quiet
        rows = self.house.records()
        assert sum(row["direction"] == "in" for row in rows) == self.offered
        assert all(1 <= int(row["line"]) <= len(LINES) for row in rows)
        self.house.close()
        self.folder.cleanup()


TestThreeTelephones = ThreeTelephones.TestCase
TestThreeTelephones.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
