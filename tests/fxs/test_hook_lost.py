"""Edges that were lost, doubled, late, swapped or stamped by a broken clock."""

from __future__ import annotations

import math
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs import country
from firmware.fxs.hook import HookDecoder, HookDown, HookEvent, HookFlash, HookSettings, HookUp, PulseDigit
from tests.fakes.contact import Edge, kinds


def lifted() -> HookDecoder:
    decoder = HookDecoder()
    decoder.handle(edge_closed=True, at=1.0)
    assert decoder.tick(2) == [HookUp(pytest.approx(1.016))]  # type: ignore[arg-type]
    return decoder


def dialled(pulses: int, start: float = 3.0, period: float = 0.1, share: float = 0.66) -> list[Edge]:
    return [(level, start + period * (n + (share if level else 0))) for n in range(pulses) for level in (False, True)]


def fed(decoder: HookDecoder, edges: list[Edge], until: float) -> list[str]:
    events: list[HookEvent] = []
    for closed, at in edges:
        events += decoder.handle(closed, at)
    return kinds(events + decoder.tick(until))


# --- the level is read ----------------------------------------------------------------------


def test_a_lost_hang_up_is_found_by_reading_the_level() -> None:
    decoder = lifted()
    events = decoder.resync(closed=False, now=5.0)
    events += decoder.tick(7)
    assert kinds(events) == ["HookDown"]
    assert not decoder.off_hook


def test_a_break_whose_end_was_lost_is_a_pulse_if_it_was_over_when_no_pulse_is_longer() -> None:
    decoder = lifted()
    decoder.handle(edge_closed=False, at=3.0)
    assert decoder.next_deadline() == pytest.approx(3.006)
    decoder.tick(3.01)
    assert decoder.next_deadline() == pytest.approx(3.12), "the level is worth a look then"
    assert decoder.resync(closed=True, now=3.15) == []
    assert kinds(decoder.tick(4)) == ["PulseDigit1"]
    assert decoder.off_hook


def test_a_break_whose_end_was_lost_is_a_flash_if_it_lasted_longer_than_a_pulse() -> None:
    decoder = lifted()
    decoder.handle(edge_closed=False, at=3.0)
    assert decoder.resync(closed=False, now=3.12) == []
    events = decoder.resync(closed=True, now=3.63)  # looked at when it would have been hanging up
    assert kinds(events + decoder.tick(4)) == ["HookFlash"]


def test_without_a_look_in_time_nobody_knows_whether_it_was_a_pulse_or_a_flash() -> None:
    decoder = lifted()
    decoder.handle(edge_closed=False, at=3.0)
    assert kinds([*decoder.resync(closed=True, now=3.4), *decoder.tick(4)]) == ["PulsesUnclear"]
    assert fed(decoder, dialled(3, 5.0), 6) == ["PulseDigit3"], "the doubt is over with its digit"


def test_without_pulse_dialling_a_lost_end_makes_a_flash() -> None:
    decoder = HookDecoder(HookSettings.for_country(country.load("UK"), pulse=False))
    decoder.handle(edge_closed=True, at=1.0)
    decoder.tick(2)
    decoder.handle(edge_closed=False, at=3.0)
    assert kinds([*decoder.resync(closed=True, now=3.1), *decoder.tick(4)]) == ["HookFlash"]


# --- pulses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", range(1, 10))
def test_a_5_that_lost_one_edge_in_its_middle_is_still_a_5(lost: int) -> None:
    edges = dialled(5)
    decoder = lifted()
    events: list[HookEvent] = []
    for number, (closed, at) in enumerate(edges):
        if number != lost:
            events += decoder.handle(closed, at)
    if lost == 9:  # the last make: nothing follows, so the level is read
        events += decoder.resync(closed=True, now=3.55)
    assert kinds(events + decoder.tick(5)) == ["PulseDigit5"]


def test_a_5_whose_first_break_was_not_seen_is_still_a_5() -> None:
    assert fed(lifted(), dialled(5)[1:], 5) == ["PulseDigit5"]


@pytest.mark.parametrize("period", [0.05, 0.1, 0.13])
def test_a_pulse_lost_whole_in_the_middle_is_missed_and_counted(period: float) -> None:
    edges = dialled(6, period=period)
    assert fed(lifted(), edges[:4] + edges[6:], 5) == ["PulseDigit6"]


def test_a_2_of_a_3_that_lost_its_middle_is_known_by_the_speed_of_the_digits_before() -> None:
    decoder = lifted()
    assert fed(decoder, dialled(4), 4) == ["PulseDigit4"]
    edges = dialled(3, 5.0)
    assert fed(decoder, edges[:2] + edges[4:], 6) == ["PulseDigit3"]


def test_and_is_no_digit_where_no_speed_is_known() -> None:
    edges = dialled(3)
    assert fed(lifted(), edges[:2] + edges[4:], 4) == ["PulsesUnclear"]


def test_two_slow_pulses_after_a_faster_telephone_s_digit_are_a_2() -> None:
    decoder = lifted()
    assert fed(decoder, dialled(5, period=0.046), 4) == ["PulseDigit5"]
    assert fed(decoder, dialled(2, 5.0, period=0.14), 6) == ["PulseDigit2"]


def test_a_1_of_which_only_the_end_was_seen_may_have_been_anything() -> None:
    assert fed(lifted(), dialled(1)[1:], 4) == ["PulsesUnclear"]


@pytest.mark.parametrize("twice", range(10))
def test_an_edge_that_comes_twice_is_one_edge(twice: int) -> None:
    edges = dialled(5)
    edges.insert(twice, edges[twice])
    assert fed(lifted(), edges, 5) == ["PulseDigit5"]


@pytest.mark.parametrize("first", range(9))
def test_two_edges_that_come_the_wrong_way_round_leave_the_digit_or_none(first: int) -> None:
    edges = dialled(5)
    edges[first], edges[first + 1] = edges[first + 1], edges[first]
    decoder = lifted()
    told = fed(decoder, edges, 3.55)
    told += kinds([*decoder.resync(closed=True, now=3.56), *decoder.tick(5)])
    assert told in (["PulseDigit5"], ["PulsesUnclear"])


def test_a_hang_up_told_twice_is_no_pulse() -> None:
    decoder = lifted()
    assert fed(decoder, [(False, 3.0), (False, 3.4)], 5) == ["HookDown"]


# --- late reading ---------------------------------------------------------------------------


@given(ticks=st.lists(st.floats(0, 1), max_size=20))
@settings(max_examples=100)
def test_ticks_that_overtake_edges_change_no_digit(ticks: list[float]) -> None:
    """At 22 pulses a second, each edge read 15 ms after it happened, ticks at any time between."""
    bounced = [
        (level if n % 2 == 0 else not level, at + n * 0.0015)
        for level, at in dialled(7, period=1 / 22)
        for n in (0, 1, 2)
    ]
    decoder = lifted()
    read = [(at + 0.015, (closed, at)) for closed, at in bounced]
    moments = sorted(read + [(3 + tick, None) for tick in ticks], key=itemgetter(0))
    events: list[HookEvent] = []
    for now, edge in moments:
        if edge is None:
            # As the handset does: at a deadline, and only when the level read agrees with the last edge.
            events += decoder.tick(now) if now < 3 + 7 / 22 + 0.1 else []
        else:
            events += decoder.handle(*edge, now)
    assert kinds(events + decoder.tick(6)) == ["PulseDigit7"]


def test_an_edge_read_after_a_tick_keeps_its_time() -> None:
    decoder = HookDecoder()
    decoder.tick(10)
    decoder.handle(edge_closed=True, at=9.0)
    assert decoder.tick(10.017) == [HookUp(pytest.approx(9.016))]  # type: ignore[arg-type]


def test_an_edge_from_before_an_event_is_taken_as_of_the_event() -> None:
    decoder = lifted()
    decoder.handle(edge_closed=False, at=3.0)
    assert kinds(decoder.tick(3.7)) == ["HookDown"]
    decoder.handle(edge_closed=True, at=3.5)
    assert decoder.tick(4) == [HookUp(pytest.approx(3.616))]  # type: ignore[arg-type]


def test_a_break_that_no_tick_looked_at_is_hung_up_at_its_time() -> None:
    decoder = lifted()
    assert decoder.handle(edge_closed=False, at=3.0) == []
    assert decoder.handle(edge_closed=True, at=9.0) == [HookDown(pytest.approx(3.6))]  # type: ignore[arg-type]


# --- clocks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stamp", [1e9, math.inf, math.nan, -math.inf, -5.0, 0.0])
def test_a_stamp_that_cannot_be_right_costs_its_edge_only(stamp: float) -> None:
    decoder = lifted()
    decoder.handle(False, stamp, 3.0)  # noqa: FBT003 - the level
    decoder.handle(True, 3.003, 3.004)  # noqa: FBT003
    decoder.resync(closed=True, now=3.1)
    decoder.tick(4)
    if not decoder.off_hook:  # an old stamp may have made it a hang-up long ago, and a lift now
        pytest.fail("a chatter of 3 ms hung up")
    assert fed(decoder, dialled(4, 5.0), 6) == ["PulseDigit4"]


# --- mixed dialling -------------------------------------------------------------------------


def test_a_tone_ends_the_rotary_digit_before_it() -> None:
    decoder = lifted()
    fed(decoder, dialled(3), 3.3)
    assert decoder.end_digit(3.31) == [PulseDigit("3", 3.31)]
    assert decoder.tick(4) == []
    assert decoder.end_digit(4.1) == []


def test_a_tone_in_the_middle_of_a_break_ends_nothing() -> None:
    decoder = lifted()
    fed(decoder, [*dialled(3), (False, 3.3)], 3.33)
    assert decoder.end_digit(3.34) == []


# --- after a lift ---------------------------------------------------------------------------


@pytest.mark.parametrize("hertz", [20, 25, 50])
def test_ring_current_that_has_not_gone_yet_dials_nothing_after_the_trip(hertz: float) -> None:
    decoder = HookDecoder()
    decoder.set_ringing(ringing=True)
    edges: list[Edge] = []
    cycle = 0
    while (at := 1 + cycle / hertz) < 1.16:
        edges += [(True, at), (False, at + 0.5 / hertz)]
        cycle += 1
    events = fed(decoder, [*edges, (True, at)], 3)
    assert events == ["HookUp"]


def test_a_flash_then_a_digit() -> None:
    decoder = lifted()
    events: list[HookEvent] = []
    for closed, at in [(False, 3.0), (True, 3.27), *dialled(2, 3.6)]:
        events += decoder.handle(closed, at)
    assert [type(event) for event in events + decoder.tick(5)] == [HookFlash, PulseDigit]
