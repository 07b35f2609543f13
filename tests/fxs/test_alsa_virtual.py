"""The ALSA device in virtual time, on cards that misbehave as real ones do. The physics are tests/fakes/sound_card."""

from __future__ import annotations

import array
from dataclasses import dataclass, field

import alsaaudio
import pytest

from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE
from firmware.fxs.pcm.alsa import AlsaPcm
from firmware.fxs.pcm.alsa_card import one_clock
from firmware.fxs.pcm.alsa_playout import MOST_PERIODS, Depth
from firmware.lines import SoundWatch
from tests.fakes import sound_card
from tests.fakes.long_call import long_call
from tests.fakes.sound_card import SoundCard, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    made.cards["line"] = SoundCard()
    monkeypatch.setattr(alsaaudio, "PCM", made.pcm)
    return made


@dataclass
class Call:
    """A voice thread's loop over a device: reads a frame, writes a frame, and when it got each."""

    world: World
    pcm: AlsaPcm
    at: list[float] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    missed: int = 0

    def run(self, seconds: float) -> None:
        end = self.world.now + seconds
        while self.world.now < end:
            frame = self.pcm.read(0.2)
            if frame is None:
                self.missed += 1
                self.world.advance(self.world.now + 0.01)
                continue
            self.at.append(self.world.now)
            self.heard.append(frame)
            self.pcm.write(SILENCE)

    @property
    def longest_gap(self) -> float:
        return max(b - a for a, b in zip(self.at, self.at[1:], strict=False))


def call(world: World, capture: str = "line", playback: str = "line", periods: int = 0) -> Call:
    pcm = sound_card.line(world, capture, playback, periods)
    pcm.start()
    return Call(world, pcm)


def test_a_calm_card_keeps_three_periods_and_loses_nothing(world: World) -> None:
    one = call(world)
    one.run(60)
    stats = one.pcm.stats
    assert (stats.xruns, stats.silent, one.missed) == (0, 0, 0)
    assert stats.frames_read == stats.frames_written == pytest.approx(6000, abs=2)
    assert one.pcm.delay_frames == 1


@pytest.mark.parametrize("grain", [1, 16, FRAME_SAMPLES])
@pytest.mark.parametrize("periods", [3, 5])
def test_what_is_written_is_heard_delay_frames_later(world: World, grain: int, periods: int) -> None:
    world.cards["line"] = SoundCard(loops=True, grain=grain)
    one = call(world, periods=periods)
    one.run(0.5)
    mark = array.array("h", [1000] * FRAME_SAMPLES).tobytes()
    assert one.pcm.read(0.2) is not None
    one.pcm.write(mark)
    began = len(one.heard)
    one.run(0.2)
    first = next(n for n, frame in enumerate(one.heard[began:]) if any(frame))
    assert first == one.pcm.delay_frames


def test_repeated_underruns_make_the_buffer_deeper_and_then_it_holds(world: World) -> None:
    world.late_seconds = 0.05  # three periods bear wake-ups that are 10 ms late, not more
    one = call(world)
    one.run(60)
    xruns, deep = one.pcm.stats.xruns, one.pcm.delay_frames
    assert xruns >= 3
    assert 1 < deep <= MOST_PERIODS - 2
    one.run(60)
    assert one.pcm.stats.xruns == xruns
    assert one.pcm.delay_frames == deep
    assert one.pcm.fault is None


def test_a_depth_that_was_set_stays(world: World) -> None:
    world.late_seconds = 0.05
    one = call(world, periods=3)
    one.run(30)
    assert one.pcm.stats.xruns > 3
    assert one.pcm.delay_frames == 1


def test_the_depth_never_exceeds_what_the_card_s_buffer_holds() -> None:
    depth = Depth(0)
    depth.opened(0.0, 4 * FRAME_SAMPLES)
    for n in range(100):
        depth.xrun(1.0 + n)
    assert depth.periods == 4
    depth = Depth(12)
    depth.opened(0.0, 6 * FRAME_SAMPLES)
    assert depth.periods == 6


def test_underruns_far_apart_cost_no_delay() -> None:
    depth = Depth(0)
    depth.opened(0.0, 800)
    assert not any(depth.xrun(1.0 + 6 * n) for n in range(50))


def test_a_stalled_thread_leaves_no_delay_behind(world: World) -> None:
    one = call(world)
    one.run(5)
    card = sound_card.playout(world, world.cards["line"])
    for stall in (0.03, 0.05, 0.09, 0.5, 3.0):
        world.advance(world.now + stall)
        one.run(5)
        ahead = card.buffer - card.avail()
        assert FRAME_SAMPLES < ahead <= 4 * FRAME_SAMPLES
        assert one.pcm.stats.reopened == 0, "the thread was away, not the card"
    assert one.pcm.stats.xruns >= 2


@pytest.mark.parametrize("error", ["No such device", "Input/output error"])
def test_a_card_that_goes_is_silence_by_the_clock_and_is_back_within_five_seconds(world: World, error: str) -> None:
    one = call(world)
    one.run(10)
    world.cards["line"].error = error
    before = len(one.at)
    gone = world.now
    one.run(0.05)
    assert one.pcm.fault is not None
    assert error in one.pcm.fault
    one.run(60)
    assert len(one.at) - before == pytest.approx((world.now - gone) * 100, abs=3)
    assert one.longest_gap < 0.03
    assert set(one.heard[before:]) == {SILENCE}
    world.cards["line"].open_seconds = 0.004  # not in step with the timer
    world.plug("line")
    back = world.now
    while one.pcm.fault is not None:
        one.run(0.01)
    assert world.now - back < 5
    one.run(5)
    card = sound_card.playout(world, world.cards["line"])
    assert card.buffer - card.avail() == pytest.approx(2 * FRAME_SAMPLES, abs=8), "no later than before"
    assert one.longest_gap < 0.03
    assert one.pcm.stats.reopened == 1
    assert one.missed == 0


def test_a_card_that_freezes_without_an_error_is_a_fault_within_two_seconds(world: World) -> None:
    one = call(world)
    one.run(5)
    card = world.cards["line"]
    card.frozen_at = world.now
    stood = world.now
    while one.pcm.fault is None:
        one.run(0.01)
    assert world.now - stood < 1.5
    card.frozen_at = None
    one.run(10)
    assert one.pcm.fault is None
    assert one.pcm.stats.reopened == 1


def test_a_fault_is_news_once_when_it_comes_and_once_when_it_goes(world: World) -> None:
    world.cards["other"] = SoundCard()
    one, other = call(world), sound_card.line(world, "other", "other")
    watch = SoundWatch({1: one.pcm, 2: other})
    one.run(1)
    assert watch.news() == []
    world.unplug("line")
    one.run(1)
    assert [watch.news(), watch.news()] == [[1], []]
    world.plug("line")
    one.run(5)
    assert [watch.news(), watch.news()] == [[1], []]


@pytest.mark.parametrize("how", ["pulled out", "frozen"])
def test_a_fault_is_on_the_line_within_two_seconds_and_gone_five_after_the_card_is_back(world: World, how: str) -> None:
    one = call(world)
    watch = SoundWatch({1: one.pcm})
    one.run(3.3)  # out of step with the watch
    assert watch.news() == []

    def told() -> float:
        began = world.now
        while not watch.news():
            one.run(watch.EVERY_SECONDS)
            assert world.now - began < 10
        return world.now - began

    if how == "frozen":
        world.cards["line"].frozen_at = world.now
    else:
        world.unplug("line")
    assert told() < 2
    one.run(7)
    world.cards["line"].frozen_at = None
    world.plug("line")
    assert told() < 5


def test_a_card_slow_to_open_holds_no_frame_up(world: World) -> None:
    one = call(world)
    one.run(1)
    world.unplug("line")
    one.run(1)
    world.cards["line"].open_seconds = 0.7
    world.plug("line")
    one.run(5)
    assert one.pcm.fault is None
    assert one.longest_gap < 0.03


def test_a_sound_server_that_never_answers_is_a_fault_too_and_stop_waits_for_nobody(world: World) -> None:
    world.cards["line"].open_seconds = 1e9
    one = call(world)
    began = world.now
    while one.pcm.fault is None:
        one.run(0.05)
    assert world.now - began < 2
    one.run(1)
    assert one.at, "the timer paces now"
    one.pcm.stop()
    one.pcm.start()
    world.cards["line"].open_seconds = 0.0
    one.run(1)
    assert one.pcm.fault is None


def test_stop_closes_every_handle_whatever_was_going_on(world: World) -> None:
    one = call(world)
    for n in range(40):
        if n % 3 == 0:
            world.unplug("line")
        one.run(0.013 * n)
        world.plug("line")
        one.run(0.01 * n)
        one.pcm.stop()
        assert one.pcm.read(0.2) is None
        assert not world.pcms
        one.pcm.start()


def test_capture_overruns_are_survived(world: World) -> None:
    one = call(world)
    one.run(2)
    world.advance(world.now + 0.095)  # no reader has been away for long enough to be told: a burst
    one.run(2)
    assert one.pcm.fault is None
    for _ in range(5):
        world.advance(world.now + 0.2)  # beyond the capture buffer
        one.run(2)
    assert one.pcm.stats.xruns >= 5
    assert one.pcm.fault is None
    assert len(one.at) > 1000


@pytest.mark.parametrize(
    ("capture", "playback", "one"),
    [
        ("default", "default", True),
        ("line", "default", False),
        ("hw:CARD=a", "plughw:CARD=a,DEV=0", True),
        ("plughw:a,0", "hw:CARD=a", True),
        ("hw:CARD=a", "hw:CARD=b", False),
        ("dsnoop:CARD=a,DEV=0", "dmix:CARD=a,DEV=0", True),
    ],
)
def test_names_of_one_card_have_one_clock(capture: str, playback: str, *, one: bool) -> None:
    assert one_clock(capture, playback) is one


@pytest.mark.parametrize("ppm", [-200.0, 200.0])
def test_two_cards_with_their_own_clocks_neither_run_dry_nor_fill(world: World, ppm: float) -> None:
    world.cards |= {"ear": SoundCard(ppm=ppm), "mouth": SoundCard(ppm=-ppm)}
    one = call(world, "mouth", "ear")
    one.run(10)
    before = one.pcm.stats.xruns
    card = sound_card.playout(world, world.cards["ear"])
    levels, ratios = [], []
    for _ in range(230):
        one.run(1)
        levels.append(card.buffer - card.avail())
        ratios.append(one.pcm.ppm)
    assert one.pcm.stats.xruns == before
    assert max(levels) - min(levels) < 2 * SAMPLE_RATE_HZ // 1000, "two milliseconds, from the tenth second on"
    assert all(ratio == pytest.approx(-2 * ppm, abs=40) for ratio in ratios), "and so is the ratio"


@pytest.mark.parametrize(("capture", "playback", "ppm"), [("line", "line", 200.0), ("mouth", "ear", -200.0)])
def test_an_hour_s_call_with_stalls_and_cards_pulled_out_and_back_lives_and_its_delay_does_not_grow(
    world: World, capture: str, playback: str, ppm: float
) -> None:
    told = long_call(world, capture, playback, hours=1, ppm=ppm)
    assert told.pulls >= 20
    assert told.stalls >= 50
    assert told.reopened == told.pulls
    assert told.xruns > told.stalls
    assert told.slowest_return < 5
    assert told.longest_gap < 0.5, "nothing longer than the stalls themselves, which are up to 0.4 s"
    assert told.ticks == pytest.approx(told.seconds * 100, rel=0.005)
    first, last = told.levels[:2000], told.levels[-2000:]
    assert sum(last) / len(last) < sum(first) / len(first) + FRAME_SAMPLES / 4
    assert max(told.levels) <= (told.periods + 1) * FRAME_SAMPLES
    assert not world.pcms
