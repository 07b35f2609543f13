"""A call over hours on sound cards in virtual time: the thread stalls, cards are pulled out and put back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial

from firmware.fxs.pcm import FRAME_BYTES, SILENCE
from firmware.telephony.bridgeclock import BridgeClock, Elastic
from tests.fakes import sound_card
from tests.fakes.sound_card import SoundCard, World

_SETTLED_SECONDS = 15.0


@dataclass
class Bridge:
    """A conference bridge that keeps when it was ticked, and a call on its only line."""

    world: World
    joined: bool = True
    ticks: int = 0
    last: float = 0.0
    longest: float = 0.0

    def register_thread(self) -> None:
        """No stack, no threads."""

    def line(self, _line: int) -> Bridge:
        return self

    def tick(self) -> None:
        if self.ticks:
            self.longest = max(self.longest, self.world.now - self.last)
        self.last = self.world.now
        self.ticks += 1

    def put(self, frame: bytes) -> None:
        assert len(frame) == FRAME_BYTES

    def get(self) -> bytes:
        return SILENCE


@dataclass
class Outcome:
    """What a long call was like. Seconds, samples, and counts.

    `levels`: samples ahead of the line right after a frame was written, in stretches with nothing wrong.
    """

    seconds: float = 0.0
    ticks: int = 0
    longest_gap: float = 0.0
    slowest_return: float = 0.0
    pulls: int = 0
    stalls: int = 0
    xruns: int = 0
    reopened: int = 0
    periods: int = 0
    levels: list[int] = field(default_factory=list)


def _trouble(world: World, names: list[str], last: float, seed: int) -> tuple[list[tuple[float, float]], list[float]]:
    """When cards are away (from, to), as events of the world, and when the thread is to stall."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    pulls, stalls = [], []
    at = world.now + 30
    while at < last - 60:
        if chance.random() < 0.3:
            name, back = chance.choice(names), at + chance.uniform(0.2, 30)
            world.at(at, partial(world.unplug, name))
            world.at(back, partial(world.plug, name))
            pulls.append((at, back))
            at = back
        else:
            stalls.append(at)
        at += chance.uniform(20, 60)
    return pulls, stalls


def long_call(world: World, capture: str, playback: str, hours: float, ppm: float, seed: int = 4) -> Outcome:
    """Run it; `alsaaudio.PCM` must be `world.pcm`. Two names are two cards, `ppm` off in opposite directions."""
    names = sorted({capture, playback})
    world.cards |= {name: SoundCard(ppm=ppm if name == capture else -ppm, grain=8) for name in names}
    began, last = world.now, world.now + hours * 3600
    pulls, stalls = _trouble(world, names, last, seed)
    chance = random.Random(seed)  # noqa: S311 - a simulation
    bridge = Bridge(world)
    clock = BridgeClock(_no_buffers, lambda _: None)
    clock.set_bridge(bridge)
    end = clock.end(1)
    pcm = sound_card.line(world, capture, playback)
    pcm.start()
    end.open()
    outcome = Outcome(pulls=len(pulls), stalls=len(stalls))
    troubled, back = began, [to for _, to in pulls]
    while world.now < last:
        if stalls and world.now >= stalls[0]:
            stalls.pop(0)
            world.advance(world.now + chance.uniform(0.02, 0.4))
            troubled = world.now
        frame = pcm.read(0.2)
        if frame is None:
            end.starve(world.now)
            world.advance(world.now + 0.01)
            continue
        far = end.swap(frame, world.now)
        pcm.write(SILENCE if far is None else far)
        if pcm.fault is not None:
            troubled = world.now
        elif back and world.now > back[0]:
            outcome.slowest_return = max(outcome.slowest_return, world.now - back.pop(0))
        elif world.now - troubled > _SETTLED_SECONDS:
            outcome.levels.append(_level(world, playback))
    pcm.stop()
    outcome.seconds, outcome.ticks, outcome.longest_gap = world.now - began, bridge.ticks, bridge.longest
    outcome.xruns, outcome.reopened = pcm.stats.xruns, pcm.stats.reopened
    outcome.periods = pcm.delay_frames + 2
    return outcome


def _level(world: World, playback: str) -> int:
    card = sound_card.playout(world, world.cards[playback])
    return card.buffer - card.avail()


def _no_buffers() -> Elastic:
    raise AssertionError("the only line needs no buffers")
