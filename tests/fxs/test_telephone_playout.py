"""Which frame sounds at which tick, when one end stumbles."""

from __future__ import annotations

from firmware.fxs.telephone_playout import Playout


def frame(number: int) -> bytes:
    return number.to_bytes(4, "big")


def steady(playout: Playout, first: int, count: int) -> list[bytes]:
    heard = []
    for number in range(first, first + count):
        playout.arrived(number, frame(number))
        heard += playout.tick(stalled=False)
    return heard


def test_frames_in_time_all_sound_in_order_and_none_waits() -> None:
    playout = Playout()
    assert steady(playout, 7, 500) == [frame(n) for n in range(7, 507)]
    assert (playout.slipped_frames, playout.depth) == (0, 0)


def test_before_the_first_frame_nothing_slips() -> None:
    playout = Playout()
    assert [playout.tick(stalled=False) for _ in range(50)] == [[]] * 50
    assert playout.slipped_frames == 0


def test_a_frame_that_comes_after_its_tick_is_one_slip_and_the_delay_stays() -> None:
    playout = Playout()
    steady(playout, 0, 10)
    assert playout.tick(stalled=False) == []
    playout.arrived(10, frame(10))
    assert steady(playout, 11, 5) == [frame(n) for n in range(11, 16)]
    assert (playout.slipped_frames, playout.late_frames, playout.depth) == (1, 1, 0)


def test_when_the_box_rests_the_last_tick_is_no_slip() -> None:
    playout = Playout()
    steady(playout, 0, 10)
    playout.tick(stalled=False)
    playout.reset()
    steady(playout, 90, 5)
    assert playout.slipped_frames == 0


def test_a_box_that_stands_still_slips_at_every_tick() -> None:
    playout = Playout()
    steady(playout, 0, 10)
    for _ in range(30):
        playout.tick(stalled=False)
    assert playout.slipped_frames == 30


def test_a_box_that_answers_later_from_now_on_is_followed_after_three_frames() -> None:
    playout = Playout()
    steady(playout, 0, 10)
    heard = []
    for number in range(10, 60):
        heard += playout.tick(stalled=False)
        playout.arrived(number, frame(number))
    assert heard == [frame(n) for n in range(12, 59)]
    assert (playout.slipped_frames, playout.depth) == (3, 1)


def test_a_burst_after_the_boxs_stall_is_not_kept_as_delay() -> None:
    playout = Playout()
    steady(playout, 0, 10)
    for _ in range(6):
        playout.tick(stalled=False)
    for number in range(10, 17):
        playout.arrived(number, frame(number))
    assert playout.tick(stalled=False) == [frame(16)]
    assert steady(playout, 17, 5) == [frame(n) for n in range(17, 22)]
    assert (playout.slipped_frames, playout.late_frames, playout.depth) == (6, 6, 0)


def test_the_telephones_own_stall_loses_nothing() -> None:
    playout = Playout()
    heard = steady(playout, 0, 10)
    for _ in range(3):
        heard += playout.tick(stalled=True)
    for number in (10, 11, 12):
        playout.arrived(number, frame(number))
    heard += steady(playout, 13, 5)
    assert heard == [frame(n) for n in range(18)]
    assert (playout.slipped_frames, playout.depth) == (0, 0)


def test_delay_that_buys_nothing_is_shed_within_seconds() -> None:
    playout = Playout()
    playout.arrived(0, frame(0))
    playout.arrived(1, frame(1))
    steady(playout, 2, 1000)
    assert (playout.depth, playout.dropped_frames, playout.slipped_frames) == (0, 2, 0)


def test_a_flood_does_not_become_delay() -> None:
    playout = Playout()
    for number in range(2000):
        playout.arrived(number, frame(number))
        if number % 4 == 0:
            playout.tick(stalled=False)
    assert playout.depth <= 52


def test_a_box_that_starts_over_is_heard_at_once() -> None:
    playout = Playout()
    steady(playout, 5000, 10)
    assert steady(playout, 1, 5)[-3:] == [frame(n) for n in range(3, 6)]


def test_the_counter_wraps() -> None:
    playout = Playout()
    first = 2**32 - 5
    heard = []
    for n in range(10):
        playout.arrived((first + n) % 2**32, frame(n))
        heard += playout.tick(stalled=False)
    assert heard == [frame(n) for n in range(10)]
