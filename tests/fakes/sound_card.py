"""Sound cards in virtual time, as ALSA's library shows them: crystals that disagree, buffers that run over and dry,
pointers that move in periods, cards that are pulled out, freeze or take their time to open.

`World` is the time; `alsaaudio.PCM` is replaced by `World.pcm`, the voice thread's sleep by `VirtualWaker`.
"""

from __future__ import annotations

import heapq
import random
import select
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import alsaaudio

from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.fxs.pcm.alsa import AlsaPcm
from firmware.fxs.pcm.alsa_card import Card
from firmware.fxs.pcm.alsa_wait import Opening, Waker

XRUN = -32
NO_DEVICE = -19


@dataclass
class SoundCard:
    """One card. Its clock is `ppm` fast; `grain` is the step in which its pointers move, in samples.

    `error` is what it answers in use (None: sound). `frozen`: it is there, but its clock stands still. What was
    played is looped back to the capture after `loop_samples` where `loops`.
    """

    ppm: float = 0.0
    grain: int = 1
    open_seconds: float = 0.0
    error: str | None = None
    loops: bool = False
    opened: int = 0
    played: dict[int, bytes] = field(default_factory=dict)
    frozen_at: float | None = None

    def position(self, now: float) -> int:
        """Samples since the beginning of time."""
        at = now if self.frozen_at is None else min(now, self.frozen_at)
        return int(at * SAMPLE_RATE_HZ * (1 + self.ppm * 1e-6) + 1e-6)

    def when(self, position: int, now: float) -> float:
        """When the clock gets to `position`."""
        if self.frozen_at is not None:
            return float("inf")
        return max(now, position / (SAMPLE_RATE_HZ * (1 + self.ppm * 1e-6)))


class World:
    """The time, what is to happen in it, and the cards that are plugged in."""

    def __init__(self, seed: int = 1, late_seconds: float = 0.0005) -> None:
        self.now = 1000.0
        self.cards: dict[str, SoundCard] = {}
        self.pcms: dict[int, FakePcm] = {}
        self.late = random.Random(seed)  # noqa: S311 - a simulation
        self.late_seconds = late_seconds
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = 0

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Let something happen at `when`."""
        self._order += 1
        heapq.heappush(self._events, (when, self._order, what))

    def advance(self, to: float) -> None:
        """Time passes, and what is to happen in it happens."""
        while self._events and self._events[0][0] <= to:
            when, _, what = heapq.heappop(self._events)
            self.now = max(self.now, when)
            what()
        self.now = max(self.now, to)

    @property
    def next_event(self) -> float:
        return self._events[0][0] if self._events else float("inf")

    def unplug(self, name: str) -> None:
        self.cards[name].error = "No such device"

    def plug(self, name: str) -> None:
        self.cards[name].error = None

    def pcm(self, kind: int, _mode: int, *, device: str, periodsize: int, periods: int, **_rest: object) -> FakePcm:
        """In place of `alsaaudio.PCM`."""
        card = self.cards.get(device)
        if card is None or card.error is not None:
            raise alsaaudio.ALSAAudioError(f"{card.error if card else 'No such file or directory'} [{device}]")
        card.opened += 1
        return FakePcm(self, card, kind, periodsize, periods)


class FakePcm:
    """One direction of a card, non-blocking, with ALSA's default thresholds."""

    def __init__(self, world: World, card: SoundCard, kind: int, period: int, periods: int) -> None:
        self.world, self.card, self.kind = world, card, kind
        self.period, self.buffer = period, period * periods
        self.handle = 1000 + len(world.pcms)
        world.pcms[self.handle] = self
        self.closed = False
        self.start: int | None = None
        self.done = 0

    def info(self) -> dict[str, int]:
        return {"rate": SAMPLE_RATE_HZ, "channels": 1, "buffer_size": self.buffer}

    def polldescriptors(self) -> list[tuple[int, int]]:
        return [(self.handle, select.POLLIN)]

    def polldescriptors_revents(self, _ready: object) -> int:
        return select.POLLIN

    def drop(self) -> None:
        self._check()
        self.start = None

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        del self.world.pcms[self.handle]

    def _check(self) -> None:
        assert not self.closed, "used after it was closed"
        if self.card.error is not None:
            raise alsaaudio.ALSAAudioError(f"{self.card.error} [card]")

    def _pointer(self) -> int:
        assert self.start is not None
        moved = self.card.position(self.world.now) - self.start
        return moved - moved % self.card.grain

    def ready_at(self) -> float:
        """When there is a period to be read."""
        if self.card.error is not None or self.start is None:
            return self.world.now
        wanted = self.done + self.period
        return self.card.when(self.start + wanted + -wanted % self.card.grain, self.world.now)

    def avail(self) -> int:
        if self.card.error is not None:
            return NO_DEVICE
        if self.start is None:
            return 0 if self.kind == alsaaudio.PCM_CAPTURE else self.buffer
        ahead = self._pointer() - self.done
        if self.kind == alsaaudio.PCM_CAPTURE:
            return ahead if ahead < self.buffer else XRUN
        return self.buffer + ahead if ahead < 0 else XRUN

    def read(self) -> tuple[int, bytes]:
        self._check()
        assert self.kind == alsaaudio.PCM_CAPTURE
        if self.start is None:
            self.start, self.done = self.card.position(self.world.now), 0
            return 0, b""
        ahead = self.avail()
        if ahead == XRUN:
            self.start = None
            return XRUN, b""
        count = min(ahead, self.period)
        first = self.start + self.done
        self.done += count
        return count, self._heard(first, count)

    def _heard(self, first: int, count: int) -> bytes:
        if not self.card.loops:
            return bytes(2 * count)
        played = self.card.played
        return b"".join(played.pop(at, b"\0\0") for at in range(first, first + count))

    def write(self, sound: bytes) -> int:
        self._check()
        assert self.kind == alsaaudio.PCM_PLAYBACK
        if self.start is not None and self.avail() == XRUN:
            self.start = None
            return XRUN
        room = self.avail()
        if self.start is None:
            self.start, self.done = self.card.position(self.world.now), 0
        count = min(room, len(sound) // 2)
        if self.card.loops:
            first = self.start + self.done
            self.card.played |= {first + i: sound[2 * i : 2 * i + 2] for i in range(count)}
        self.done += count
        return count


class VirtualWaker(Waker):
    """Sleep that costs nothing; who is woken by a card comes up to `late_seconds` late, as on a busy machine."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._watched: tuple[int, ...] = ()
        self._woken = False

    def now(self) -> float:
        return self.world.now

    def watch(self, descriptors: Iterable[tuple[int, int]]) -> None:
        self._watched = tuple(descriptor for descriptor, _ in descriptors)
        super().watch(())

    def wake(self) -> None:
        self._woken = True

    def wait(self, seconds: float) -> dict[int, int]:
        world, end = self.world, self.world.now + seconds
        while not self._woken and world.now < end:
            pcms = [world.pcms[handle] for handle in self._watched]
            ready = min((pcm.ready_at() for pcm in pcms), default=float("inf"))
            if ready <= min(end, world.next_event):
                world.advance(ready)
                if all(pcm.card.error is None for pcm in pcms):
                    world.advance(world.now + world.late.random() * world.late_seconds)
                return dict.fromkeys(self._watched, select.POLLIN)
            world.advance(min(end, world.next_event))
        self._woken = False
        return {}

    def rest(self, seconds: float) -> None:
        world, end = self.world, self.world.now + seconds
        while not self._woken and world.now < end:
            world.advance(min(end, world.next_event))
        self._woken = False


class VirtualOpening(Opening[Card]):
    """A try that takes the card's own time."""

    def __init__(self, world: World, name: str, make: Callable[[], Card], ended: Callable[[], None]) -> None:
        self._world = world
        self._open: Card | OSError | None = None
        self._gone = False

        def end() -> None:
            if self._gone:
                return
            try:
                self._open = make()
            except OSError as error:
                self._open = error
            ended()

        world.at(world.now + (world.cards[name].open_seconds if name in world.cards else 0.0), end)

    def result(self) -> Card | OSError | None:
        return self._open

    def abandon(self) -> None:
        self._gone = True
        if isinstance(self._open, Card):
            self._open.close()


def line(world: World, capture: str = "line", playback: str = "line", periods: int = 0) -> AlsaPcm:
    """An AlsaPcm in that world (`alsaaudio.PCM` must be `world.pcm`)."""
    return AlsaPcm(
        capture,
        playback,
        periods,
        waker=VirtualWaker(world),
        opening=lambda make, ended: VirtualOpening(world, capture, make, ended),
    )


def playout(world: World, card: SoundCard) -> FakePcm:
    """The playback of `card` that is open now."""
    return next(pcm for pcm in world.pcms.values() if pcm.card is card and pcm.kind == alsaaudio.PCM_PLAYBACK)
