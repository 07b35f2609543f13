from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs import country
from firmware.fxs.hook import HookDecoder, HookDown, HookEvent, HookFlash, HookSettings, HookUp, PulseDigit
from firmware.fxs.telephone_hook import Dial
from tests.fakes.contact import BouncingContact, Edge, kinds


def run(edges: list[Edge], until: float, settings_: HookSettings | None = None) -> list[HookEvent]:
    """Edges and ticks as a control loop gives them: a tick at each deadline."""
    decoder = HookDecoder(settings_)
    return feed(decoder, edges, until)


def feed(decoder: HookDecoder, edges: list[Edge], until: float) -> list[HookEvent]:
    events: list[HookEvent] = []
    for closed, at in edges:
        while (due := decoder.next_deadline()) is not None and due <= at:
            events += decoder.tick(due)
        events += decoder.handle(closed, at)
    while (due := decoder.next_deadline()) is not None and due <= until:
        events += decoder.tick(due)
    return events


def lifted() -> tuple[HookDecoder, BouncingContact]:
    contact = BouncingContact(bounce_ms=0)
    contact.lift()
    contact.wait(200)
    return HookDecoder(), contact


def outcome(contact: BouncingContact, settings_: HookSettings | None = None) -> list[str]:
    return kinds(run(contact.edges, contact.now_ms / 1000 + 2, settings_))


def test_a_clean_lift_is_told_after_16_ms() -> None:
    assert run([(True, 1.0)], 2) == [HookUp(pytest.approx(1.016))]  # type: ignore[arg-type]


def test_hanging_up_is_told_once_no_flash_is_that_long() -> None:
    [_, down] = run([(True, 1.0), (False, 2.0)], 4)
    assert down == HookDown(pytest.approx(2.6))  # type: ignore[arg-type]


@given(seed=st.integers(0, 10_000))
def test_a_bouncing_lift_is_one_lift_told_soon(seed: int) -> None:
    contact = BouncingContact(seed)
    contact.lift()
    events = run(contact.edges, 5)
    assert kinds(events) == ["HookUp"]
    assert events[0].at <= contact.edges[-1][1] + 0.017


@given(seed=st.integers(0, 10_000), talk_ms=st.floats(100, 5000))
def test_a_bouncing_hang_up_is_one_hang_up_and_no_digit(seed: int, talk_ms: float) -> None:
    contact = BouncingContact(seed)
    contact.lift()
    contact.wait(talk_ms)
    contact.hang_up()
    assert outcome(contact) == ["HookUp", "HookDown"]


@given(data=st.data(), seed=st.integers(0, 10_000), digits=st.text("0123456789", min_size=1, max_size=5))
@settings(max_examples=250, deadline=None)
def test_every_worn_dial_is_read(data: st.DataObject, seed: int, digits: str) -> None:
    """7 to 22 pulses a second, breaks of 20 to 100 ms in any make ratio, 5 ms of bounce at break and make."""
    pps = data.draw(st.floats(7, 22))
    share = data.draw(st.floats(max(0.2, 0.0205 * pps), min(0.7, 0.098 * pps)))
    dial = Dial(pps=pps, break_share=share, bounce_ms=5, jitter=0.02, pause_ms=data.draw(st.floats(250, 900)))
    edges = [(True, 1.0), *dial.turned(digits, 2.0, Random(seed))]  # noqa: S311 - chatter, no secret
    assert kinds(run(edges, edges[-1][1] + 1)) == ["HookUp", *(f"PulseDigit{digit}" for digit in digits)]


@given(seed=st.integers(0, 1000), jitter=st.floats(0, 0.15), digit=st.sampled_from("0123456789"))
def test_an_uneven_dial_is_read(seed: int, jitter: float, digit: str) -> None:
    contact = BouncingContact(seed)
    contact.lift()
    contact.wait(500)
    contact.dial(digit, jitter=jitter)
    assert outcome(contact) == ["HookUp", f"PulseDigit{digit}"]


@given(seed=st.integers(0, 1000), ms=st.floats(125, 590))
def test_the_r_key_is_a_flash(seed: int, ms: float) -> None:
    contact = BouncingContact(seed)
    contact.lift()
    contact.wait(500)
    contact.flash(ms)
    assert outcome(contact) == ["HookUp", "HookFlash"]


def test_a_french_r_key_of_270_ms_is_a_flash_at_once() -> None:
    events = run([(True, 1.0), (False, 2.0), (True, 2.27)], 3)
    assert events[1:] == [HookFlash(pytest.approx(2.276))]  # type: ignore[arg-type]


def test_a_rotary_1_is_never_a_flash() -> None:
    for pps in (7, 8, 10, 12, 20):
        contact = BouncingContact(pps, dial_bounce_ms=5)
        contact.lift()
        contact.wait(500)
        contact.dial("1", pps=pps)
        assert outcome(contact) == ["HookUp", "PulseDigit1"]


def test_without_pulse_dialling_a_british_recall_is_a_flash() -> None:
    british = HookSettings.for_country(country.load("UK"), pulse=False)
    assert british.flash_ms == (70, 600)
    assert kinds(run([(True, 1.0), (False, 2.0), (True, 2.1)], 3, british)) == ["HookUp", "HookFlash"]
    assert kinds(run([(True, 1.0), (False, 2.0), (True, 2.06)], 3, british)) == ["HookUp"]


def test_with_pulse_dialling_the_flash_window_begins_at_120_ms() -> None:
    assert HookSettings.for_country(country.load("FR")).flash_ms == (120, 600)
    assert HookSettings.for_country(country.load("FR"), pulse=False).flash_ms == (90, 600)


def test_the_digit_is_told_after_the_pause_between_digits() -> None:
    edges = [(True, 1.0), (False, 2.0), (True, 2.066)]
    [_, digit] = run(edges, 4)
    assert digit == PulseDigit("1", pytest.approx(2.266))  # type: ignore[arg-type]


def test_pulses_show_before_the_digit_is_known() -> None:
    decoder, contact = lifted()
    feed(decoder, contact.edges, 1)
    assert not decoder.pulsing
    feed(decoder, [(False, 2.0), (True, 2.066)], 2.08)
    assert decoder.pulsing


def test_more_than_ten_pulses_are_no_digit() -> None:
    contact = BouncingContact()
    contact.lift()
    contact.wait(300)
    contact.dial("0")
    contact.dial("1")
    assert outcome(contact) == ["HookUp", "PulsesUnclear"]


def test_hanging_up_in_the_middle_of_a_digit_discards_it() -> None:
    contact = BouncingContact()
    contact.lift()
    contact.wait(300)
    contact.dial("5")
    contact.wait(20)
    contact.hang_up()
    assert outcome(contact) == ["HookUp", "HookDown"]


def test_a_cradle_chattering_after_a_flash_is_no_digit() -> None:
    edges = [(True, 1.0), (False, 2.0), (True, 2.3), (False, 2.306), (True, 2.328)]
    assert kinds(run(edges, 4)) == ["HookUp", "HookFlash"]


def test_breaks_of_less_than_18_ms_are_nothing() -> None:
    edges: list[Edge] = [(True, 1.0)]
    for i in range(10):
        edges += [(False, 2 + i / 10), (True, 2.0175 + i / 10)]
    assert kinds(run(edges, 5)) == ["HookUp"]


@given(late=st.floats(0, 3))
def test_late_ticks_change_nothing_but_when_it_is_told(late: float) -> None:
    contact = BouncingContact(7)
    contact.lift()
    contact.wait(500)
    contact.dial("3")
    contact.wait(600)
    contact.flash(250)
    contact.wait(600)
    contact.hang_up()
    decoder = HookDecoder()
    events = [event for closed, at in contact.edges for event in decoder.handle(closed, at)]
    events += decoder.tick(contact.now_ms / 1000 + 1 + late)
    assert kinds(events) == ["HookUp", "PulseDigit3", "HookFlash", "HookDown"]
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_the_same_edge_twice_is_one_edge() -> None:
    assert kinds(run([(True, 1.0), (True, 1.01), (False, 2.0), (False, 2.3)], 4)) == ["HookUp", "HookDown"]


# --- ring trip ------------------------------------------------------------------------------


def ringing() -> HookDecoder:
    decoder = HookDecoder()
    decoder.set_ringing(ringing=True)
    return decoder


def test_a_lift_while_ringing_is_told_within_200_ms() -> None:
    [up] = feed(ringing(), [(True, 1.0)], 2)
    assert up == HookUp(pytest.approx(1.04))  # type: ignore[arg-type]


@pytest.mark.parametrize(("hertz", "share"), [(50, 0.5), (50, 0.3), (25, 0.5), (20, 0.4), (25, 0.7)])
def test_a_lift_chopped_by_the_ring_current_is_told_within_200_ms(hertz: float, share: float) -> None:
    edges: list[Edge] = []
    for cycle in range(int(hertz)):
        at = 1 + cycle / hertz
        edges += [(True, at), (False, at + share / hertz)]
    events = feed(ringing(), edges, 1.9)
    assert events
    assert events[0].at < 1.2
    assert kinds(events)[0] == "HookUp"


def test_the_bell_s_own_current_is_no_lift() -> None:
    edges: list[Edge] = []
    for cycle in range(75):
        at = 1 + cycle / 50
        edges += [(True, at), (False, at + 0.002)]
    assert feed(ringing(), edges, 4) == []


@given(seed=st.integers(0, 10_000), hertz=st.floats(16.6, 50), share=st.floats(0.32, 0.7), phase=st.floats(0, 1))
def test_a_lift_that_bounces_and_is_chopped_is_told_within_200_ms(
    seed: int, hertz: float, share: float, phase: float
) -> None:
    contact = BouncingContact(seed)
    contact.lift()
    lifted_at = contact.edges[0][1]
    moments = [lifted_at + n / 2000 for n in range(600)]
    bounced = {at: level for level, at in contact.edges}
    level, edges = False, list[Edge]()
    closed = False
    for at in sorted([*moments, *bounced]):
        closed = bounced.get(at, closed)
        passes = closed and ((at - lifted_at) * hertz + phase) % 1 < share
        if passes is not level:
            level = passes
            edges.append((level, at))
    events = feed(ringing(), edges, lifted_at + 0.3)
    assert kinds(events)[:1] == ["HookUp"]
    assert events[0].at <= lifted_at + 0.2
    assert not [kind for kind in kinds(events) if kind.startswith("Pulse")]


@given(seed=st.integers(0, 10_000))
def test_a_bouncing_lift_in_the_silence_between_rings_is_told_within_200_ms(seed: int) -> None:
    contact = BouncingContact(seed)
    contact.lift()
    [up] = feed(ringing(), contact.edges, 2)
    assert up.at <= contact.edges[0][1] + 0.2


def test_a_lift_in_the_silence_between_rings_is_told_as_fast() -> None:
    decoder = ringing()
    assert kinds(feed(decoder, [(True, 3.0)], 3.1)) == ["HookUp"]


def test_after_the_rings_the_ordinary_rules_hold() -> None:
    decoder = ringing()
    feed(decoder, [(True, 1.0), (False, 1.005)], 2)
    decoder.set_ringing(ringing=False)
    assert feed(decoder, [(True, 3.0)], 4) == [HookUp(pytest.approx(3.016))]  # type: ignore[arg-type]


# --- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"flash_ms": (90.0, 600.0)}, "begins at 120 ms"),
        ({"flash_ms": (700.0, 600.0)}, "must rise"),
        ({"contact_stable_ms": 25.0}, "contact_stable_ms"),
        ({"trip_closed_ms": 500.0}, "trip_closed_ms"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        HookSettings(**wrong)  # type: ignore[arg-type]
