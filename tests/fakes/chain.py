"""A telephone, its line and the box as far as the order to place a call, in virtual time.

Real: the telephone's dial, keypad and circuit, the hook decoder and its watch, the handset, the line
machine, the voice path with canceller and detector. Fake: time, the wires between (edges and timers
come late, as on a busy machine) and the switchboard, which keeps what it is to call.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import Any

import numpy as np

from firmware.fxs import country
from firmware.fxs.hook import HookDecoder, HookSettings
from firmware.fxs.pcm import SILENCE
from firmware.fxs.port import Capability, LoopEdge, PortEvent
from firmware.fxs.ringer import Ringer
from firmware.fxs.telephone_dialer import Keying, keyed
from firmware.fxs.telephone_hook import Dial, Edge, bounced
from firmware.fxs.telephone_set import AnalogSet
from firmware.fxs.voice import LineVoice
from firmware.lineaudio import LineAudio
from firmware.numbering import Completeness
from firmware.telephony import services
from firmware.telephony.handset import Handset
from firmware.telephony.line import LineMachine

_FRAME = 0.01
_LONGEST_SECONDS = 240.0
HOOK_BOUNCE = 0.03


class _Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class LateTime:
    """Timers that come up to `late` seconds after their time, by `random`."""

    def __init__(self, random: Random, late: float) -> None:
        self._random = random
        self._late = late
        self._now = 1000.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Timer, Callable[[], object]]] = []

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> _Timer:
        return self.exactly(when + self._random.uniform(0, self._late), callback, *args)

    def exactly(self, when: float, callback: Callable[..., object], *args: object) -> _Timer:
        timer = _Timer()
        heapq.heappush(self._due, (max(when, self._now), next(self._order), timer, lambda: callback(*args)))
        return timer

    def run(self, until: float, done: Callable[[], bool]) -> None:
        while self._due and self._due[0][0] <= until and not done():
            when, _, timer, callback = heapq.heappop(self._due)
            self._now = when
            if not timer.cancelled:
                callback()
        if not done():
            self._now = until


class _Wire:
    """The port: the contact's edges reach `deliver` up to `late` seconds late, in order; the level is of now."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, time: LateTime, random: Random, late: float) -> None:
        self._time = time
        self._random = random
        self._late = late
        self._edges: list[Edge] = []
        self._delivered = 0.0
        self.deliver: Callable[[PortEvent], None] = lambda _: None
        self.lose: Callable[[int], bool] = lambda _: False

    def move(self, edges: Iterable[Edge]) -> float:
        """Let the contact do that; the time of the last edge."""
        for closed, at in edges:
            self._edges.append((closed, at))
            if self.lose(len(self._edges) - 1):
                continue
            self._delivered = max(self._delivered, at + self._random.uniform(0, self._late))
            self._time.exactly(self._delivered, self._hand_over, closed, at)
        return self._edges[-1][1]

    @property
    def edges(self) -> int:
        """So many there were, lost ones too."""
        return len(self._edges)

    def _hand_over(self, closed: bool, at: float) -> None:  # noqa: FBT001
        self.deliver(LoopEdge(closed, at))

    def loop_closed(self) -> bool:
        before = bisect_right(self._edges, self._time.time(), key=itemgetter(1))
        return before > 0 and self._edges[before - 1][0]

    def start(self, deliver: Callable[[PortEvent], None]) -> None: ...
    def stop(self) -> None: ...
    def start_ring(self, frequency_hz: float) -> None: ...
    def stop_ring(self) -> None: ...
    def set_polarity(self, *, reverse: bool) -> None: ...
    def set_power(self, *, on: bool) -> None: ...


class _Path:
    """The sound device: frames flow between `open` and `close`."""

    powered = False

    def open(self) -> None:
        self.powered = True

    def close(self) -> None:
        self.powered = False


class _Board:
    """The switchboard: keeps what was to be called, and refuses nothing."""

    def __init__(self) -> None:
        self.placed: list[str] = []

    def place(self, line: int, call: int, digits: str) -> None:
        del line, call
        self.placed.append(digits)

    def __getattr__(self, _order: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Chain:
    """One lifted handset. `edges` and `sounds` are scheduled at times; then `run`, then look at `board.placed`."""

    def __init__(
        self,
        seed: int,
        *,
        code: str = "FR",
        pulse: bool = True,
        late: float = 0.02,
        loss_db: float | None = 15.0,
        noise_dbm0: float | None = None,
        voice: bool = True,
    ) -> None:
        self.random = Random(seed)  # noqa: S311 - a test, no secret
        home = country.load(code)
        self.time = LateTime(self.random, late)
        self.wire = _Wire(self.time, self.random, late)
        self.set = AnalogSet(loss_db, noise_dbm0, seed)
        self.board = _Board()
        self._path = _Path()
        self._voice = LineVoice(
            home,
            on_digit=lambda digit: self._later(self.handset.digit, digit),
            on_speech_end=lambda: self._later(self.handset.speech_ended),
        )
        wire: Any = self.wire
        path: Any = self._path
        self.machine = LineMachine(services.analyse)  # French numbers over any country's tones
        self.handset = Handset(
            1,
            port=wire,
            voice=LineAudio(path, self._voice),
            hook=HookDecoder(HookSettings.for_country(home, pulse=pulse)),
            ringer=Ringer(home.ring),
            machine=self.machine,
            scheduler=self.time,
            caller_id=lambda _: None,
            speech=lambda *_: None,
            changed=lambda _: None,
        )
        board: Any = self.board
        self.handset.join(board)
        self.wire.deliver = self.handset.port_event
        if voice:
            self.time.exactly(self.time.time(), self._frame)

    def lift(self) -> float:
        """Take the handset off now; when its contact rests."""
        return self.wire.move(bounced(self.time.time(), HOOK_BOUNCE, self.random, closed=True))

    def turn(self, digits: str, dial: Dial, at: float) -> float:
        """Turn the dial at `at`; the last edge's time."""
        return self.wire.move(dial.turned(digits, at, self.random))

    def press(self, digits: str, keying: Keying, at: float) -> float:
        """Press the keys at `at`; the end of the last pause."""
        samples, _ = keyed(digits, keying, np.random.default_rng(self.random.getrandbits(32)))
        self.time.exactly(at, self.set.put, samples)
        return at + samples.size / 8000

    def run(self, until: float) -> None:
        """Let time pass, no longer than until a call is to be placed."""
        self.time.run(min(until, self.time.time() + _LONGEST_SECONDS), lambda: bool(self.board.placed))

    def _later(self, callback: Callable[..., object], *args: object) -> None:
        self.time.call_at(self.time.time(), callback, *args)

    def _frame(self) -> None:
        """10 ms of the voice thread, and of the telephone behind the two wires."""
        now = self.time.time()
        if self._path.powered:
            closed = self.wire.loop_closed()
            self.set.hear(self._voice.to_line(None) if closed else SILENCE, now)
            self._voice.from_line(self.set.speak(now, connected=closed))
        else:
            self.set.speak(now, connected=False)
        self.time.exactly(now + _FRAME, self._frame)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A number, how it was dialled, and what the box would have called (None: nobody)."""

    seed: int
    dialled: str
    placed: str | None
    how: str

    @property
    def right(self) -> bool:
        """Digit for digit."""
        return self.dialled == self.placed

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.dialled} came out as {self.placed} ({self.how})"


_SHAPES = (
    *("01########", "02########", "03########", "04########", "05########", "09########"),
    *("061#######", "062#######", "077#######", "08########", "30##", "36##", "39##", "10##", "118###"),
    *("15", "17", "18", "112", "00442079######", "004930######", "0012125######"),
)
_KEYED_SHAPES = (*_SHAPES, "#31#0145######", "*6706########")


def a_number(random: Random, *, keys: bool = False) -> str:
    """One that is complete at its last digit and not before; with `keys` also such as have * and # in them."""
    while True:
        shape = random.choice(_KEYED_SHAPES if keys else _SHAPES)
        prefix = "#31#" if shape.startswith("#31#") else ""
        number = prefix + "".join(random.choice("0123456789") if c == "#" else c for c in shape[len(prefix) :])
        before = [services.analyse(number[:n]).status for n in range(1, len(number))]
        ended = {Completeness.COMPLETE, Completeness.INVALID}
        if services.analyse(number).status is Completeness.COMPLETE and not ended.intersection(before):
            return number


def by_dial(seed: int, pps: float, *, voice: bool = False) -> Outcome:
    """A number on a worn dial of that speed: any make ratio with breaks of 20 to 100 ms, 5 ms of bounce, uneven."""
    chain = Chain(seed, voice=voice)
    random = chain.random
    number = a_number(random)
    dial = Dial(
        pps=pps,
        break_share=random.uniform(max(0.2, 0.021 * pps), min(0.7, 0.095 * pps)),
        bounce_ms=5.0,
        jitter=0.04,
        pause_ms=random.uniform(300, 900),
    )
    end = chain.turn(number, dial, chain.lift() + random.uniform(0.15, 1.5))
    chain.run(end + 10)
    return Outcome(seed, number, _placed(chain), str(dial))


def by_keys(seed: int, code: str = "FR") -> Outcome:
    """A number on a keypad over the dial tone that its hybrid returns: weak, noisy, twisted, detuned, fast."""
    random = Random(seed)  # noqa: S311 - a test, no secret
    twist = random.uniform(-8, 4)
    weaker = random.uniform(-36, -8)
    noise_below = random.uniform(12, 30)
    chain = Chain(
        seed, code=code, voice=True, loss_db=random.uniform(12, 25), noise_dbm0=weaker - noise_below, late=0.02
    )
    number = a_number(random, keys=True)
    keying = Keying(
        on_ms=random.uniform(40, 100),
        off_ms=random.uniform(40, 100),
        level_dbm0=weaker - min(0.0, twist),
        twist_db=twist,
        detune_percent=random.uniform(-1.5, 1.5),
    )
    end = chain.press(number, keying, chain.lift() + random.uniform(0.25, 2.0))
    chain.run(end + 10)
    return Outcome(seed, number, _placed(chain), f"{keying}, noise {noise_below:.1f} dB below")


def by_dial_losing(seed: int, lost: int, pps: float = 10.0) -> Outcome | None:
    """A number of four digits whose `lost`th edge (bounce counted) never reaches the box; None: it has not so many."""
    chain = Chain(seed, voice=False)
    lifted = chain.lift()
    before = chain.wire.edges
    chain.wire.lose = lambda number: number == before + lost
    number = chain.random.choice(("3", "10")) + f"{chain.random.randrange(1000):03d}"
    number = number[:4]
    end = chain.turn(number, Dial(pps=pps, bounce_ms=2.0), lifted + 1.0)
    chain.run(end + 10)
    return Outcome(seed, number, _placed(chain), f"edge {lost} lost") if before + lost < chain.wire.edges else None


def by_both(seed: int) -> Outcome:
    """A number begun on a dial and ended on keys, or the other way round, or to and fro."""
    chain = Chain(seed)
    random = chain.random
    number = a_number(random)
    dial = Dial(pps=random.uniform(7, 22), break_share=random.uniform(0.55, 0.66), pause_ms=random.uniform(300, 700))
    at = chain.lift() + random.uniform(0.3, 1.5)
    how = ""
    for digit in number:
        if random.random() < 0.5:
            how += "p"
            at = chain.turn(digit, dial, at) + random.uniform(0.08, 0.6)
        else:
            how += "t"
            at = chain.press(digit, Keying(), at) + random.uniform(0.0, 0.3)
        # Who goes from one to the other takes as long as a finger does; a rotary digit winds up first.
        at += 0.15
    chain.run(at + 10)
    return Outcome(seed, number, _placed(chain), f"{how} {dial}")


def _placed(chain: Chain) -> str | None:
    return chain.board.placed[0] if chain.board.placed else None
