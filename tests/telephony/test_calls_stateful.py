"""Handset, line, switchboard and calls played together, two calls at once: nothing is left up, held or joined."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from firmware.telephony import agent as sip
from firmware.telephony import events as ev
from firmware.telephony.line_states import LineState
from tests.fakes.household import Household as Home

PRICE = ev.Announce(Decimal("0.34"), "minute", "EUR")
BEFORE = {LineState.ANNOUNCING, LineState.KEYING, LineState.PIN, LineState.CHECKING}
NUMBERS = ["0142685300", "15", "3699"]


class Household(RuleBasedStateMachine):
    """The test is the SIP side: it keeps what the box has asked of each dialog."""

    heard_out = False

    @initialize(
        call_waiting=st.integers(0, 3),
        price=st.booleans(),
        pin=st.booleans(),
        limit=st.sampled_from([None, 11.0, 70.0]),
        broken=st.sampled_from(["", "", "words late", "no words", "pins mute", "pins", "rates"]),
    )
    def start(self, call_waiting: int, price: bool, pin: bool, limit: float | None, broken: str) -> None:  # noqa: FBT001
        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name), call_waiting=call_waiting > 0)
        self.priced, self.locked, self.broken = price, pin, broken
        if price:
            self.home.tariff.announce[""] = PRICE
        if pin:
            self.home.tariff.locked = {"home": "Zoé"}
            self.home.pins.labels = {"4711": "Zoé"}
        if limit is not None:
            self.home.tariff.limit[""] = limit
        self.home.tariff.broken = broken == "rates"
        self.home.money.at_once = not broken.endswith("words") and broken != "words late"
        self.home.pins.broken = broken == "pins"
        self.home.pins.waiting = [] if broken == "pins mute" else None
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
                    if self.priced and self.broken != "rates" and not command.options["emergency"]:
                        assert self.heard_out, "an INVITE before its price was heard"
                    self.heard_out = False
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
        at_dial_tone = self.home.handset.machine.state is LineState.DIAL_TONE
        self.home.dial(number)
        self.listen()
        if number == "15" and at_dial_tone:
            assert self.emergencies & self.placed, "something came between a hand and help"
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
        self.heard_out = seconds >= 35  # words that never end are given up
        self.home.time.pass_time(seconds)
        self.listen()
        self.heard_out = False

    @precondition(lambda self: not self.lifted and self.home.handset.machine.state is LineState.IDLE)
    @rule(keys=st.sampled_from(["", "", "#", "7", "4711#", "15"]), help_too=st.booleans())
    def a_dear_call_is_placed(self, keys: str, help_too: bool) -> None:  # noqa: FBT001
        """In one step, so that it happens often."""
        self.lift()
        self.dial("0142685300", answered=False)
        if self.home.handset.machine.state in BEFORE:
            self.the_caller_deals_with_money(keys)
            if help_too and self.home.handset.machine.state in BEFORE:
                self.help_is_needed_in_the_middle_of_it("17")

    @precondition(lambda self: self.home.handset.machine.state in BEFORE)
    @rule(keys=st.sampled_from(["#", "4711#", "12#", "7", "*", "15#", ""]))
    def the_caller_deals_with_money(self, keys: str) -> None:
        """Skips, hears all of it, gives a PIN, or only plays with the keys."""
        state = self.home.handset.machine.state
        if state in {LineState.ANNOUNCING, LineState.KEYING}:
            self.heard_out = "#" in keys or not keys
        if not keys and state is LineState.ANNOUNCING and self.home.money.at_once:
            self.home.handset.speech_ended()
        self.home.dial(keys)
        self.listen()
        self.heard_out = False

    @precondition(lambda self: self.home.money.unsaid)
    @rule(pcm=st.sampled_from([b"", b"words"]))
    def words_come_late(self, pcm: bytes) -> None:
        """For this call or for one that is over; without a sample the call goes at once."""
        self.heard_out = not pcm
        self.home.money.unsaid.pop(0)(pcm)
        self.home.time.pass_time(0)
        self.listen()
        self.heard_out = False

    @precondition(lambda self: self.home.pins.waiting)
    @rule()
    def a_pin_is_compared_late(self) -> None:
        waiting = self.home.pins.waiting
        assert waiting is not None
        waiting.pop(0)()
        self.listen()

    @precondition(lambda self: self.home.handset.machine.state in BEFORE)
    @rule(number=st.sampled_from(["15", "112", "116000"]))
    def help_is_needed_in_the_middle_of_it(self, number: str) -> None:
        self.home.time.pass_time(3.5)
        self.listen()
        if self.home.handset.machine.state not in BEFORE:
            return
        before = set(self.emergencies)
        self.home.dial(number)
        self.home.time.pass_time(3.1)
        self.listen()
        assert len(self.emergencies - before) == 1, "something came between a hand and help"

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
