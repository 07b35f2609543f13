"""A serial hat's session in virtual time: greeting, heartbeat, wishes, lost and repeated messages."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs.drivers import serial_protocol as words
from firmware.fxs.drivers import serial_vocabulary as said
from firmware.fxs.drivers.serial_session import Session
from firmware.fxs.drivers.serial_vocabulary import Phase, Timing, Wanted, Wish
from firmware.fxs.port import Capability, DigitEvent, LineFault, LineRestored, LoopEdge, PortEvent

TIMING = Timing()
ALL = frozenset({"POLARITY", "POWER", "DTMF", "ONHOOK"})


class Desk:
    """A session on a bench: its orders are kept, its deadlines kept, and a hat may answer them."""

    def __init__(self, *lines: int, abilities: frozenset[str] = ALL, hat_lines: int = 1) -> None:
        self.now = 100.0
        self.session = Session("/dev/hat", self.now)
        self.abilities = abilities
        self.hat_lines = hat_lines
        self.sent: list[list[str]] = []
        self.told: list[tuple[int, PortEvent]] = []
        self.opened = self.closed = 0
        self.there = True
        self.answers = True
        self.protocol = 1
        self.state = {line: ["OPEN", "0", "NORMAL", "ON"] for line in (1, 2)}
        self.events = 10
        for line in lines or (1,):
            self.handle(Wanted(line, Wish()))

    @property
    def ms(self) -> int:
        return int(self.now * 1000) - 90_000

    def handle(self, event: said.SessionEvent) -> None:
        for command in self.session.handle(event, self.now):
            match command:
                case said.OpenDevice():
                    self.opened += 1
                    self.handle(said.Opened() if self.there else said.Gone("/dev/hat is not there"))
                case said.CloseDevice():
                    self.closed += 1
                case said.Send(data):
                    self._order(data)
                case said.Tell(line, event_):
                    self.told.append((line, event_))

    def _order(self, data: bytes) -> None:
        assert data.endswith(b"\n")
        assert len(data) <= words.MAX_LINE_BYTES
        verb, seq, *rest = data[:-6].decode().split(" ")
        self.sent.append([verb, *rest])
        if self.answers:
            self.reply(verb, int(seq), rest)

    def reply(self, verb: str, seq: int, rest: list[str]) -> None:
        match verb, rest:
            case "HELLO", _:
                self.hear(words.Hello(seq, self.protocol, "desk", self.hat_lines, self.abilities, self.ms))
            case "PING", _:
                self.hear(words.Done(seq, self.ms))
            case "STATE", [line]:
                loop, hertz, battery, power = self.state[int(line)]
                self.hear(
                    words.State(
                        seq,
                        self.ms,
                        int(line),
                        closed=loop == "CLOSED",
                        ring_hz=float(hertz),
                        reverse=battery == "REVERSED",
                        power=power == "ON",
                    )
                )
            case _, [line, value]:
                place = {"RING": 1, "POLARITY": 2, "POWER": 3}[verb]
                self.state[int(line)][place] = "0" if (verb, value) == ("RING", "OFF") else value
                self.hear(words.Done(seq, self.ms))

    def hear(self, message: words.Message) -> None:
        self.handle(said.Heard(message))

    def hook(self, *, closed: bool, line: int = 1, number: int | None = None) -> None:
        self.events = self.events + 1 if number is None else number
        self.state[line][0] = "CLOSED" if closed else "OPEN"
        self.hear(words.Hook(self.events, self.ms, line, closed))

    def wish(self, line: int = 1, **changes: float | bool) -> None:
        self.handle(Wanted(line, Wish(**changes)))  # type: ignore[arg-type]

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := max(self.session.next_deadline(), self.now)) <= end:
            before = (self.now, due)
            self.now = due
            self.handle(said.Ticked())
            assert self.session.next_deadline() > before[1] - 1e-9
            self.now += 1e-6
        self.now = end

    def orders(self, *verbs: str) -> list[list[str]]:
        """What was sent since last asked, but for the heartbeat."""
        found = [order for order in self.sent if order[0] in (verbs or ("RING", "POLARITY", "POWER"))]
        self.sent.clear()
        return found

    def events_of(self, line: int = 1) -> list[PortEvent]:
        found = [event for number, event in self.told if number == line]
        self.told = [pair for pair in self.told if pair[0] != line]
        return found

    def restored(self) -> list[bool]:
        """The loop as told by each return of the hat; nothing else may have been told."""
        found = self.events_of()
        assert all(isinstance(event, LineRestored) for event in found)
        return [event.closed for event in found if isinstance(event, LineRestored)]


@pytest.fixture
def desk() -> Desk:
    """One line, up, nothing wanted."""
    made = Desk()
    made.run(0.01)
    assert made.session.phase is Phase.UP
    assert made.restored() == [False]
    made.orders()
    return made


# --- coming up ------------------------------------------------------------------------------


def test_a_hat_is_opened_greeted_and_asked_how_its_line_is() -> None:
    desk = Desk()
    desk.state[1][0] = "CLOSED"
    desk.run(0.01)
    assert [order[0] for order in desk.sent][:2] == ["HELLO", "STATE"]
    assert desk.session.capabilities == frozenset(Capability)
    assert desk.session.loop_closed(1)
    assert [type(event) for event in desk.events_of()] == [LineRestored]


def test_a_device_that_is_not_there_is_told_once_and_tried_again_until_it_is() -> None:
    desk = Desk()
    desk.there = False
    desk.run(5)
    (fault,) = desk.events_of()
    assert isinstance(fault, LineFault)
    assert fault.detail == "/dev/hat is not there"
    assert 9 <= desk.opened <= 13, "a tenth of a second at first, half a second in the end"
    desk.there = True
    desk.run(0.6)
    assert [type(event) for event in desk.events_of()] == [LineRestored]


def test_a_hat_of_another_protocol_is_refused_in_words_and_taken_once_it_was_updated() -> None:
    desk = Desk()
    desk.protocol = 2
    desk.run(3)
    (fault,) = desk.events_of()
    assert isinstance(fault, LineFault)
    assert "(desk) speaks protocol 2, this box 1: update" in fault.detail
    assert desk.session.phase is Phase.REFUSED
    desk.wish(ring_hz=50.0)
    assert not desk.orders(), "nothing is ordered in a language that the hat does not know"
    desk.protocol = 1
    desk.run(1.1)
    assert [type(event) for event in desk.events_of()] == [LineRestored]
    assert desk.orders() == [["RING", "1", "50"]]


def test_a_device_that_never_greets_is_closed_and_opened_again() -> None:
    desk = Desk()
    desk.answers = False
    desk.run(3.5)
    assert desk.closed == 2
    assert len(desk.orders("HELLO")) > 10
    assert [type(event) for event in desk.events_of()] == [LineFault]


def test_a_hello_that_nobody_asked_for_begins_nothing() -> None:
    desk = Desk()
    desk.answers = False
    desk.run(0.01)
    desk.hear(words.Hello(999, 1, "x", 1, ALL, 5))
    assert desk.session.phase is Phase.GREETING


def test_a_line_that_the_hat_does_not_have_is_a_fault_in_words_and_the_others_work() -> None:
    desk = Desk(1, 2)
    desk.run(2)
    assert [type(event) for event in desk.events_of(1)] == [LineRestored]
    (fault,) = desk.events_of(2)
    assert isinstance(fault, LineFault)
    assert "has 1 line(s), and none of number 2" in fault.detail


# --- heartbeat ------------------------------------------------------------------------------


def test_the_box_says_that_it_lives_four_times_a_second_and_asks_once_how_the_line_is(desk: Desk) -> None:
    desk.sent.clear()
    desk.run(10)
    assert len([order for order in desk.sent if order[0] == "PING"]) == pytest.approx(40, abs=1)
    assert len(desk.orders("STATE")) == pytest.approx(9, abs=2)
    assert not desk.events_of()


def test_a_silent_hat_is_a_fault_after_a_second_though_its_events_go_on(desk: Desk) -> None:
    desk.answers = False
    desk.run(0.9)
    assert not desk.events_of()
    desk.hook(closed=True)
    desk.run(0.2)
    kinds = [type(event) for event in desk.events_of()]
    assert kinds == [LoopEdge, LineFault]
    assert desk.closed == 1
    assert not desk.session.loop_closed(1), "what is not there is open"
    desk.answers = True
    desk.run(1)
    assert desk.restored() == [True]


def test_a_hat_back_within_the_grace_is_no_fault_and_its_level_is_kept_meanwhile(desk: Desk) -> None:
    desk.hook(closed=True)
    desk.events_of()
    desk.handle(said.Gone("unplugged"))
    assert desk.session.loop_closed(1)
    desk.run(0.3)
    assert [type(event) for event in desk.events_of()] == [LineRestored]


# --- wishes ---------------------------------------------------------------------------------


def test_a_wish_is_ordered_once_and_confirmed(desk: Desk) -> None:
    desk.wish(ring_hz=50.0)
    desk.run(3)
    assert desk.orders() == [["RING", "1", "50"]]
    desk.wish()
    desk.run(3)
    assert desk.orders() == [["RING", "1", "OFF"]]
    desk.wish(reverse=True, power=False)
    assert sorted(desk.orders()) == [["POLARITY", "1", "REVERSED"], ["POWER", "1", "OFF"]]


def test_the_end_of_a_ring_is_ordered_first_and_its_beginning_last(desk: Desk) -> None:
    desk.wish(ring_hz=25.0, reverse=True, power=False)
    assert [order[0] for order in desk.orders()] == ["POWER", "POLARITY", "RING"]
    desk.wish()
    assert [order[0] for order in desk.orders()] == ["RING", "POWER", "POLARITY"]


def test_what_the_hat_cannot_is_not_ordered() -> None:
    desk = Desk(abilities=frozenset({"TELEPATHY"}))
    desk.run(0.01)
    desk.wish(ring_hz=25.0, reverse=True, power=False)
    assert desk.orders() == [["RING", "1", "25"]]
    assert not desk.session.capabilities


def test_an_order_that_is_not_answered_is_repeated_until_it_is(desk: Desk) -> None:
    desk.answers = False
    desk.wish(ring_hz=50.0)
    desk.run(0.5)
    assert desk.orders() == [["RING", "1", "50"]] * 3
    desk.answers = True
    desk.run(0.5)
    desk.orders()
    desk.run(0.5)
    assert not desk.orders()


def test_a_late_answer_counts_and_one_given_twice_does_nothing(desk: Desk) -> None:
    desk.answers = False
    desk.wish(ring_hz=50.0)
    first = desk.session._seq
    desk.run(0.15)
    desk.hear(words.Done(first, desk.ms))
    desk.hear(words.Done(first, desk.ms))
    desk.orders()
    desk.answers = True
    desk.state[1][1] = "50"
    desk.run(2)
    assert not desk.orders()


def test_the_last_wish_has_the_last_word_whatever_is_answered_before(desk: Desk) -> None:
    desk.answers = False
    desk.wish(ring_hz=50.0)
    on = desk.session._seq
    desk.wish()
    off = desk.session._seq
    assert desk.orders() == [["RING", "1", "50"], ["RING", "1", "OFF"]]
    desk.hear(words.Done(off, desk.ms))
    desk.hear(words.Done(on, desk.ms))  # out of order: as if it rang now
    assert desk.orders() == [["RING", "1", "OFF"]]


def test_a_refusal_is_not_argued_with_until_something_else_was_wanted(desk: Desk) -> None:
    desk.answers = False
    desk.wish(ring_hz=50.0)
    desk.hear(words.Refused(desk.session._seq, desk.ms, "OFFHOOK"))
    desk.answers = True
    desk.run(3)
    assert desk.orders() == [["RING", "1", "50"]]
    desk.wish()
    desk.wish(ring_hz=50.0)
    assert desk.orders()[-1] == ["RING", "1", "50"]


def test_a_stalled_hat_costs_no_memory_and_finds_what_is_wanted_now(desk: Desk) -> None:
    desk.answers = False
    for index in range(5000):
        desk.wish(ring_hz=float(20 + index % 30))
    assert len(desk.session._pending) <= 64
    desk.wish(ring_hz=25.0)
    desk.orders()
    desk.answers = True
    desk.run(2.5)
    assert desk.state[1][1] == "25"


def test_a_line_that_is_let_go_is_left_without_ring(desk: Desk) -> None:
    desk.wish(ring_hz=50.0)
    desk.handle(Wanted(1, None))
    assert desk.orders() == [["RING", "1", "50"], ["RING", "1", "OFF"]]
    desk.hook(closed=True)
    assert not desk.events_of()


# --- ringing --------------------------------------------------------------------------------


def test_a_trip_is_a_lift_and_the_ring_is_not_ordered_again_in_this_burst(desk: Desk) -> None:
    desk.wish(ring_hz=50.0)
    desk.orders()
    desk.state[1][:2] = ["CLOSED", "0"]
    desk.hear(words.Trip(11, desk.ms, 1))
    assert [event.closed for event in desk.events_of() if isinstance(event, LoopEdge)] == [True]
    desk.run(3)
    assert not desk.orders()
    desk.wish()
    desk.wish(ring_hz=50.0)
    assert desk.orders() == [["RING", "1", "50"]], "the next burst is another matter"


@pytest.mark.parametrize(("still", "ordered"), [(True, [["RING", "1", "50"]]), (False, [])])
def test_after_a_restart_in_mid_ring_it_rings_again_only_if_that_is_still_wanted(
    desk: Desk,
    still: bool,  # noqa: FBT001 - a parameter of the test
    ordered: list[list[str]],
) -> None:
    desk.wish(ring_hz=50.0)
    desk.orders()
    desk.answers = False
    desk.state[1][1] = "0"
    desk.hear(words.Booted(3))
    if not still:
        desk.wish()
    desk.answers = True
    desk.run(0.4)
    assert [type(event) for event in desk.events_of()] == [LineRestored]
    assert desk.orders() == ordered


def test_a_restart_that_was_not_seen_is_learnt_from_the_next_refusal(desk: Desk) -> None:
    desk.answers = False
    desk.run(0.3)
    desk.hear(words.Refused(desk.session._seq, 5, "HELLO"))
    assert desk.session.phase is Phase.GREETING
    desk.answers = True
    desk.run(0.3)
    assert [type(event) for event in desk.events_of()] == [LineRestored]


def test_a_hat_that_rings_unasked_is_told_to_stop(desk: Desk) -> None:
    desk.state[1][1] = "25"
    desk.run(1.5)
    assert desk.orders() == [["RING", "1", "OFF"]]


def test_a_ring_that_the_hat_took_off_for_want_of_a_heartbeat_is_ordered_again_but_not_one_too_long(
    desk: Desk,
) -> None:
    desk.wish(ring_hz=50.0)
    desk.orders()
    desk.hear(words.Quiet(11, desk.ms, 1, "HEARTBEAT"))
    assert desk.orders() == [["RING", "1", "50"]]
    desk.state[1][1] = "0"
    desk.hear(words.Quiet(12, desk.ms, 1, "LIMIT"))
    desk.run(2)
    assert not desk.orders()


# --- events ---------------------------------------------------------------------------------


def test_edges_have_the_time_at_which_they_happened_not_that_of_their_arrival(desk: Desk) -> None:
    desk.run(5)
    happened, stamp = desk.now, desk.ms
    desk.now += 0.4
    desk.hear(words.Hook(11, stamp, 1, closed=True))
    (edge,) = desk.events_of()
    assert isinstance(edge, LoopEdge)
    assert edge.at == pytest.approx(happened, abs=0.003)


def test_an_event_told_twice_or_overtaken_is_heard_once(desk: Desk) -> None:
    desk.hook(closed=True, number=11)
    desk.hook(closed=False, number=12)
    desk.hook(closed=True, number=11)
    desk.hook(closed=False, number=12)
    assert [event.closed for event in desk.events_of() if isinstance(event, LoopEdge)] == [True, False]


def test_a_lost_event_is_noticed_by_its_number_and_the_level_asked_for(desk: Desk) -> None:
    desk.hook(closed=True, number=11)
    desk.events_of()
    desk.orders()
    desk.state[1][0] = "OPEN"  # 12 was lost
    desk.hear(words.Digit(13, desk.ms, 1, "5"))
    assert desk.orders("STATE") == [["STATE", "1"]]
    kinds = desk.events_of()
    assert [type(event) for event in kinds] == [LoopEdge, DigitEvent]
    assert not desk.session.loop_closed(1)


def test_the_counter_of_events_may_turn(desk: Desk) -> None:
    desk.hook(closed=True, number=65535)
    desk.orders()
    desk.hook(closed=False, number=0)
    assert len(desk.events_of()) == 2
    assert not desk.orders("STATE")


def test_a_lost_edge_without_another_event_is_mended_within_a_second(desk: Desk) -> None:
    desk.state[1][0] = "CLOSED"
    desk.run(1.3)
    assert [event.closed for event in desk.events_of() if isinstance(event, LoopEdge)] == [True]


def test_a_hat_that_chatters_for_ever_is_heard_so_often_and_its_last_level_is_told(desk: Desk) -> None:
    began = desk.now
    closed = False
    for _ in range(20_000):
        desk.now += 0.0001
        closed = not closed
        desk.hook(closed=closed)
        if desk.session.next_deadline() <= desk.now:
            desk.handle(said.Ticked())
    desk.hook(closed=True)
    heard = [event for event in desk.events_of() if isinstance(event, LoopEdge)]
    assert len(heard) <= TIMING.edges_per_second * (1 + desk.now - began) + 1
    desk.run(0.1)
    last = [event for event in [*heard, *desk.events_of()] if isinstance(event, LoopEdge)][-1]
    assert last.closed


def test_digits_count_only_from_a_hat_that_said_it_hears_them() -> None:
    desk = Desk(abilities=frozenset())
    desk.run(0.01)
    desk.events_of()
    desk.hear(words.Digit(11, desk.ms, 1, "5"))
    assert not desk.events_of()


def test_a_fault_of_the_hats_own_is_told_and_its_end_with_the_loop_as_it_is_then(desk: Desk) -> None:
    desk.hear(words.Fault(11, desk.ms, 1, "OVERHEAT"))
    desk.hear(words.Fault(12, desk.ms, 1, "OVERHEAT"))
    (fault,) = desk.events_of()
    assert isinstance(fault, LineFault)
    assert "reports OVERHEAT on its line 1" in fault.detail
    desk.hook(closed=True, number=13)
    assert not desk.events_of()
    assert not desk.session.loop_closed(1)
    desk.hear(words.Fault(14, desk.ms, 1, ""))
    assert desk.restored() == [True]


def test_a_fault_told_between_greeting_and_state_is_not_covered_up() -> None:
    desk = Desk()
    desk.answers = False
    desk.run(0.01)
    seq = desk.session._seq
    desk.hear(words.Hello(seq, 1, "desk", 1, ALL, desk.ms))
    desk.hear(words.Fault(11, desk.ms, 1, "SHORT"))
    desk.answers = True
    desk.run(0.5)
    assert [type(event) for event in desk.events_of()] == [LineFault]


def test_events_and_wishes_of_two_lines_do_not_mix() -> None:
    desk = Desk(1, 2, hat_lines=2)
    desk.run(0.01)
    desk.events_of(1), desk.events_of(2)
    desk.orders()
    desk.hook(closed=True, line=2)
    desk.wish(2, reverse=True)
    assert not desk.events_of(1)
    assert [type(event) for event in desk.events_of(2)] == [LoopEdge]
    assert (desk.session.loop_closed(1), desk.session.loop_closed(2)) == (False, True)
    assert desk.orders() == [["POLARITY", "2", "REVERSED"]]


# --- anything at all ------------------------------------------------------------------------

_SMALL = st.integers(0, 12)
_MESSAGES: list[st.SearchStrategy[words.Message]] = [
    st.builds(words.Hello, _SMALL, st.integers(0, 2), st.just("x"), st.integers(1, 2), st.just(ALL), _SMALL),
    st.builds(words.Done, _SMALL, st.integers(0, (1 << 32) - 1)),
    st.builds(words.Refused, _SMALL, _SMALL, st.sampled_from(["HELLO", "OFFHOOK"])),
    st.builds(
        words.State,
        _SMALL,
        _SMALL,
        st.integers(1, 3),
        st.booleans(),
        st.sampled_from([0.0, 25.0]),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(words.Booted, _SMALL),
    st.builds(words.Hook, _SMALL, _SMALL, st.integers(1, 3), st.booleans()),
    st.builds(words.Trip, _SMALL, _SMALL, st.integers(1, 3)),
    st.builds(words.Quiet, _SMALL, _SMALL, st.integers(1, 3), st.sampled_from(["HEARTBEAT", "LIMIT"])),
    st.builds(words.Fault, _SMALL, _SMALL, st.integers(1, 3), st.sampled_from(["", "X"])),
]
_WISHES = st.builds(Wish, st.sampled_from([0.0, 25.0, 50.0]), st.booleans(), st.booleans())
_EVENTS = st.one_of(
    st.builds(said.Opened),
    st.builds(said.Gone, st.just("gone")),
    st.builds(said.Heard, st.one_of(_MESSAGES)),
    st.builds(Wanted, st.integers(1, 2), st.one_of(st.none(), _WISHES)),
    st.builds(said.Ticked),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_EVENTS, st.sampled_from([0.0, 0.01, 0.3, 1.5]))))
def test_no_order_of_events_raises_grows_or_rings_a_line_that_nobody_wants_to_ring(
    happened: list[tuple[said.SessionEvent, float]],
) -> None:
    session = Session("/dev/hat", 0.0)
    now = 0.0
    wishes: dict[int, Wish | None] = {}
    for event, passes in happened:
        now += passes
        if isinstance(event, Wanted):
            wishes[event.line] = event.wish
        for command in session.handle(event, now):
            if isinstance(command, said.Send):
                verb, _, *rest = command.data[:-6].decode().split(" ")
                if verb == "RING" and rest[1] != "OFF":
                    wish = wishes[int(rest[0])]
                    assert wish is not None
                    assert float(rest[1]) == wish.ring_hz
            if isinstance(command, said.Tell):
                assert wishes.get(command.line) is not None
        assert len(session._pending) <= 64


@pytest.mark.parametrize("seed", range(5))
def test_whatever_was_lost_on_the_way_hat_and_box_agree_in_the_end(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    desk = Desk()
    real_reply: Callable[[str, int, list[str]], None] = desk.reply
    lossy = True

    def reply(verb: str, seq: int, rest: list[str]) -> None:
        if lossy and chance.random() < 0.3:
            return
        if lossy and chance.random() < 0.3 and verb in {"RING", "POLARITY", "POWER"}:
            real_reply("PING", seq, [])  # it says so, and did nothing
        else:
            real_reply(verb, seq, rest)

    desk.reply = reply  # type: ignore[method-assign]
    wish = Wish()
    for _ in range(40):
        wish = Wish(chance.choice([0.0, 25.0]), chance.random() < 0.5, chance.random() < 0.5)
        desk.handle(Wanted(1, wish))
        if chance.random() < 0.5:
            desk.hook(closed=chance.random() < 0.5)
        desk.run(chance.uniform(0, 0.5))
    lossy = False
    desk.run(3)
    loop, hertz, battery, power = desk.state[1]
    assert (float(hertz), battery == "REVERSED", power == "ON") == (wish.ring_hz, wish.reverse, wish.power)
    assert desk.session.loop_closed(1) is (loop == "CLOSED")
