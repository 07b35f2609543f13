"""Who ticks the conference bridge, and how the frames of each line come to that tick.

The bridge has one clock, the devices of several lines have one each. One open line is the master: the
bridge ticks when its device brings a frame. The line whose call comes first becomes it and exchanges
frames with the bridge directly, with no delay and no resampling. A line that joins while another's call
is up has an elastic buffer each way (`Elastic`: `fxs.elastic`), until its own call is parted from it.

A master that closes leaves its place to the next open line that wakes up, at most 10 ms later. That line's
ticks lie elsewhere between those of the others: the first comes nearer than 5 ms to where the old
master's would have been, which is within the buffers' slack, so nobody's call loses a frame. A line that
keeps its buffers as master reads them with its own clock, so nothing jumps there either. A master whose
device has died is replaced when four frames of another line went by without a tick; if there is no other,
its thread makes up for the ticks now and then, so that the far end hears silence instead of nothing.

What the bridge gives a line is mended (`LineEnd`'s `mend`) before a buffer cuts it into other frames.

`LineEnd.swap` belongs to the line's voice thread; `open` and `close` come from the control loop and only
set a flag. Any voice thread may tick, hence the lock, which the control loop never takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from firmware.fxs.pcm import FRAME_MS
from firmware.telephony.agent import Bridge, LinePort

_FRAME_SECONDS: Final = FRAME_MS / 1000
_HALF_FRAME_SECONDS: Final = _FRAME_SECONDS / 2
_UNSERVED_FRAMES: Final = 4
_MOST_STEPS: Final = 6
_MOST_STARVED: Final = 25
_PATIENCE_SECONDS: Final = 0.001
_PATIENCE_TIMES: Final = 2


class Elastic(Protocol):
    """One direction of a line between two clocks; `fxs.elastic.Elastic` is it. Times are CLOCK_MONOTONIC."""

    gaps: int
    drops: int

    @property
    def short(self) -> bool:
        """Whether the next `pull` would give a gap."""
        ...

    @property
    def ppm(self) -> float:
        """How much faster the writer's clock runs than the reader's."""
        ...

    def push(self, frame: bytes, now: float) -> None:
        """One frame of the writer's clock."""
        ...

    def pull(self, now: float) -> bytes:
        """One frame of the reader's; silence if there is none."""
        ...


class BridgeClock:
    """The bridge as all lines share it. `elastic` makes a buffer for one direction of one line."""

    def __init__(self, elastic: Callable[[], Elastic], sleep: Callable[[float], None] = time.sleep) -> None:
        self.bridge: Bridge | None = None
        self.master: LineEnd | None = None
        self.ticks = 0
        self._elastic = elastic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._ticked_at = 0.0
        self._ends: tuple[LineEnd, ...] = ()

    def end(
        self,
        line: int,
        elastic: Callable[[], Elastic] | None = None,
        mend: Callable[[bytes], bytes] = lambda far: far,
    ) -> LineEnd:
        """The end of `line`; one for each, made before any frame flows. `elastic`: for frames of another size.

        `mend`: what is done to each frame that the bridge gives this line, on whichever thread ticked it.
        """
        made = LineEnd(self, line, elastic or self._elastic, mend)
        self._ends += (made,)
        return made

    def set_bridge(self, bridge: Bridge | None) -> None:
        """Use this bridge (or none) from the next frame on."""
        self.bridge = bridge

    # --- for the ends, on their voice threads ---------------------------------------------

    def vacant(self) -> bool:
        """Whether no open line is the master."""
        return self.master is None or not self.master.is_open

    def others_talk(self, end: LineEnd) -> bool:
        """Whether another open line is joined to a call."""
        return any(other.joined and other.is_open for other in self._ends if other is not end)

    def tick(self, end: LineEnd, now: float) -> bool:
        """The master's device brought a frame: one step of the bridge. False if `end` is not the master."""
        with self._lock:
            if self.master is not end:
                return False
            self._step(now)
            return True

    def take(self, end: LineEnd, instead_of: LineEnd | None, now: float) -> None:
        """`end` becomes the master, unless somebody else has just become it, and ticks what is overdue."""
        with self._lock:
            if self.master is not instead_of:
                return
            self.master = end
            overdue = now - self._ticked_at
            steps = int((overdue + _HALF_FRAME_SECONDS) / _FRAME_SECONDS)
            for _ in range(steps if steps <= _MOST_STEPS else 1):
                self._step(now)

    def starve(self, end: LineEnd, now: float) -> None:
        """The device of the master, or of who would be, has brought nothing for a while: tick by time."""
        with self._lock:
            if self.vacant():
                self.master = end
            if self.master is end:
                steps = int((now - self._ticked_at) / _FRAME_SECONDS)
                for _ in range(min(steps, _MOST_STARVED)):
                    self._step(now)

    def join(self, end: LineEnd) -> tuple[Elastic, Elastic] | None:
        """`end` has a call now: its buffers (to the bridge, from it), or None: it is the master, and direct."""
        with self._lock:
            if self.master is end or not self.others_talk(end):
                self.master = end
                return None
        return end.elastic(), end.elastic()

    def _step(self, now: float) -> None:
        bridge = self.bridge
        if bridge is None:
            return
        elastic = [
            (end, end.port, *end.buffers)
            for end in self._ends
            if end.is_open and end.port is not None and end.buffers is not None
        ]
        for _, port, up, _ in elastic:
            # After a stall of the whole process every device has frames waiting: let the others fetch theirs first.
            for _ in range(_PATIENCE_TIMES):
                if up.short:
                    self._sleep(_PATIENCE_SECONDS)
            port.put(up.pull(now))
        bridge.tick()
        for end, port, _, down in elastic:
            down.push(end.mend(port.get()), now)
        self._ticked_at = now
        self.ticks += 1

    def wait_for(self, down: Elastic) -> None:
        """The same patience on the other side."""
        for _ in range(_PATIENCE_TIMES):
            if down.short:
                self._sleep(_PATIENCE_SECONDS)


class LineEnd:
    """One line's end of the bridge. `swap` a frame for a frame; `failed` counts what the bridge refused.

    `gaps`, `drops` and `ppm` tell of the buffers, of those of earlier calls too: frames of silence because an
    end came late, sound given up, and how much faster the line's clock runs than the bridge's.
    """

    def __init__(
        self, clock: BridgeClock, line: int, elastic: Callable[[], Elastic], mend: Callable[[bytes], bytes]
    ) -> None:
        self.line = line
        self.elastic = elastic
        self.mend = mend
        self.is_open = False
        self.joined = False
        self.port: LinePort | None = None
        self.buffers: tuple[Elastic, Elastic] | None = None
        self.failed = 0
        self._clock = clock
        self._known: Bridge | None = None
        self._afresh = False
        self._seen = -1
        self._unserved = 0
        self._swapped_at = 0.0
        self._gaps = 0
        self._drops = 0
        self._ppm: float | None = None

    @property
    def is_master(self) -> bool:
        """Whether this line's device clocks the bridge."""
        return self._clock.master is self

    @property
    def gaps(self) -> int:
        """Frames of silence since the beginning."""
        buffers = self.buffers
        return self._gaps + (buffers[0].gaps + buffers[1].gaps if buffers is not None else 0)

    @property
    def drops(self) -> int:
        """Times that sound was given up since the beginning."""
        buffers = self.buffers
        return self._drops + (buffers[0].drops + buffers[1].drops if buffers is not None else 0)

    @property
    def ppm(self) -> float | None:
        """This line's clock against the bridge's, as last known; None: never compared."""
        buffers = self.buffers
        return buffers[0].ppm if buffers is not None else self._ppm

    # --- from the control loop

    def open(self) -> None:
        """Frames flow from now on."""
        self._afresh = True
        self.is_open = True

    def close(self) -> None:
        """They do not. Who was the master is one no more."""
        self.is_open = False

    # --- on the voice thread

    def swap(self, near: bytes, now: float) -> bytes | None:
        """The line's frame for the bridge's; None: no bridge, or no call on this line."""
        port = self._port()
        if port is None:
            return None
        if self._afresh:
            self._afresh = False
            self._part()
            self._unserved = 0
        joined = port.joined
        if joined is not self.joined:
            self._part()
            self.joined = joined
            if joined:
                self.buffers = self._clock.join(self)
        elif joined and self.buffers is None and not self.is_master:
            # This device was thought dead, and another line has become the master.
            self.buffers = self._clock.join(self)
        return self._through(port, near, now)

    def starve(self, now: float) -> None:
        """The device has brought no frame for a while, though it should: the call must not notice."""
        if self.is_open and self.joined and self._port() is not None:
            self._clock.starve(self, now)

    def _through(self, port: LinePort, near: bytes, now: float) -> bytes | None:
        clock, buffers = self._clock, self.buffers
        if buffers is not None:
            buffers[0].push(near, now)
        elif self.joined:
            port.put(near)
            if clock.tick(self, now):
                return self.mend(port.get())
            return None
        if not (self.is_master and clock.tick(self, now)):
            self._watch(now)
        self._swapped_at = now
        if buffers is None:
            return None
        clock.wait_for(buffers[1])
        return buffers[1].pull(now)

    def _watch(self, now: float) -> None:
        """Become the master if there is none, or its device is dead."""
        clock = self._clock
        if clock.ticks != self._seen:
            self._seen, self._unserved = clock.ticks, 0
        elif now - self._swapped_at > _HALF_FRAME_SECONDS:  # frames that come in a burst tell nothing
            self._unserved += 1
        master = clock.master
        if clock.vacant():
            if self.joined or not clock.others_talk(self):
                clock.take(self, master, now)
        elif self._unserved >= _UNSERVED_FRAMES:
            clock.take(self, master, now)

    def _part(self) -> None:
        self.joined = False
        if self.buffers is not None:
            self._gaps, self._drops, self._ppm = self.gaps, self.drops, self.ppm
            self.buffers = None

    def _port(self) -> LinePort | None:
        """This line's port in the bridge, the calling thread registered with it; None (and asked again) if refused."""
        bridge = self._clock.bridge
        if bridge is not self._known:
            self._part()
            self._known = self.port = None
            if bridge is not None:
                try:
                    bridge.register_thread()
                except Exception:  # noqa: BLE001 without a bridge the line still has its tones
                    self.failed += 1
                    return None
                self.port = bridge.line(self.line)
            self._known = bridge
        return self.port
