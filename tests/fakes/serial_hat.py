"""A hat with a microcontroller at the far end of a pseudo-terminal, with a telephone on its line; it can misbehave.

Written from docs/serial-hat.md, not from the driver: its own sums, its own words. The telephone's
contact bounces and stays where the hand left it whatever the hat does; ring voltage trips when the
loop closes; the hat's clock has a beginning, a wrap and a drift of its own.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import select
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

TRIP_SECONDS = 0.02
HEARTBEAT_SECONDS = 1.0
LONGEST_RING_SECONDS = 6.0
LIFT_BOUNCE_SECONDS = 0.030
DIAL_BOUNCE_SECONDS = 0.005


def crc(body: bytes) -> int:
    """CRC-16, polynomial 1021h, initial value 0, bit by bit."""
    register = 0
    for byte in body:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1) ^ (0x1021 if register & 0x8000 else 0)
            register &= 0xFFFF
    return register


def sealed(body: str) -> bytes:
    """A line of the protocol."""
    return b"%s*%04X\n" % (body.encode(), crc(body.encode()))


@dataclass
class Line:
    """One line of the hat and its telephone."""

    closed: bool = False
    ring_hz: float = 0.0
    reverse: bool = False
    power: bool = True
    closed_since: float = 0.0
    rang_since: float = 0.0
    rings: list[tuple[float, float]] = field(default_factory=list)
    """(monotonic seconds, hertz): every change of the ring voltage."""
    moved: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=1000))
    """(monotonic seconds, closed): every edge of the contact."""


class SerialHat:
    """The hat. `path` is where it is plugged in; every public method may be called from the test's thread."""

    def __init__(
        self,
        path: Path,
        seed: int = 0,
        *,
        lines: int = 1,
        abilities: str = "POLARITY,POWER",
        drift_ppm: float = 0.0,
        clock_start_ms: int = 0,
    ) -> None:
        self.path = path
        self.random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.lines = {number: Line() for number in range(1, lines + 1)}
        self.abilities = abilities
        self.protocol = 1
        self.heard: list[str] = []
        """Orders carried out or refused, without their numbers."""
        self._drift = 1 + drift_ppm / 1e6
        self._clock_start = clock_start_ms
        self._master = -1
        self._slave = -1
        self._running = True
        self._greeted = False
        self._booted_at = time.monotonic()
        self._events = 0
        self._last_heard = 0.0
        self._in = bytearray()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._lock = threading.RLock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._over = False
        # How it misbehaves.
        self.copies = 1
        self.reply_delay = 0.0
        self.silent = False
        self.deaf = False
        self.corrupt = 0.0
        self.drop = 0.0
        self.byte_seconds = 0.0
        self._trickle = bytearray()
        self.plug()
        self._thread = threading.Thread(target=self._run, name=f"fake hat {seed}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it all away."""
        self._over = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(10)
        self.unplug()
        os.close(self._wake)

    # --- the telephone -----------------------------------------------------------------------

    def contact(self, *, closed: bool, line: int = 1, bounce: float = LIFT_BOUNCE_SECONDS) -> None:
        """The hand moves the contact: it chatters up to `bounce` seconds and stays."""
        with self._lock:
            at = time.monotonic()
            times = sorted(self.random.uniform(0, bounce) for _ in range(2 * self.random.randint(0, 4)))
            self._at(at, self._edge, line, closed)
            for index, later in enumerate(times):
                self._at(at + later, self._edge, line, closed if index % 2 else not closed)
        os.eventfd_write(self._wake, 1)

    def lift(self, line: int = 1) -> None:
        self.contact(closed=True, line=line)

    def hang_up(self, line: int = 1) -> None:
        self.contact(closed=False, line=line)

    def dial(self, digit: str, *, pulses_per_second: float = 10.0, break_ratio: float = 0.66) -> float:
        """A rotary dial runs down; returns how long that takes in seconds."""
        period = 1 / pulses_per_second
        with self._lock:
            at = time.monotonic()
            for _ in range(int(digit) or 10):
                for level, begin in ((False, at), (True, at + break_ratio * period)):
                    for index in range(1 + 2 * self.random.randint(0, 2)):
                        chatter = 0.0 if index == 0 else index / 5 * DIAL_BOUNCE_SECONDS
                        self._at(begin + chatter, self._edge, 1, level if index % 2 == 0 else not level)
                at += period
        os.eventfd_write(self._wake, 1)
        return (int(digit) or 10) * period

    # --- misbehaviour ------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Bytes onto the wire, as they are."""
        with self._lock:
            self._write(data)

    def event(self, verb: str, *arguments: object) -> bytes:
        """A well-formed event with the next number."""
        with self._lock:
            self._events = (self._events + 1) % 65536
            return sealed(" ".join([verb, str(self._events), str(self.milliseconds), *map(str, arguments)]))

    def reboot(self, seconds: float) -> None:
        """Dead for a while, then as after power-on; ring voltage falls at once."""
        with self._lock:
            self._running = self._greeted = False
            self._in.clear()
            self._trickle.clear()
            for line in self.lines.values():
                self._ring(line, 0.0)
                line.reverse, line.power = False, True
            self._at(time.monotonic() + seconds, self._boot)
        os.eventfd_write(self._wake, 1)

    def unplug(self) -> None:
        """The USB plug is drawn: the device vanishes, and the hat has no power."""
        with self._lock:
            self.path.unlink(missing_ok=True)
            for descriptor in (self._master, self._slave):
                if descriptor >= 0:
                    os.close(descriptor)
            self._master = self._slave = -1
            self._running = self._greeted = False
            self._in.clear()
            self._trickle.clear()
            for line in self.lines.values():
                self._ring(line, 0.0)
        if not self._over:
            os.eventfd_write(self._wake, 1)

    def plug(self) -> None:
        """And put in again: another device, the same path."""
        with self._lock:
            self._master, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            self.path.symlink_to(os.ttyname(self._slave))
            self._boot()
        os.eventfd_write(self._wake, 1)

    def behave(self) -> None:
        """Nothing is wrong any more."""
        with self._lock:
            self.copies, self.reply_delay, self.silent, self.deaf = 1, 0.0, False, False
            self.corrupt = self.drop = self.byte_seconds = 0.0
            rest = bytes(self._trickle)
            self._trickle.clear()
            self._write(rest)
        os.eventfd_write(self._wake, 1)

    def send_event(self, verb: str, *arguments: object) -> None:
        """As the hat sends its events."""
        with self._lock:
            self._say(self.event(verb, *arguments))

    @property
    def milliseconds(self) -> int:
        """Its own clock."""
        elapsed = (time.monotonic() - self._booted_at) * self._drift
        return (self._clock_start + int(elapsed * 1000)) % (1 << 32)

    # --- inside ------------------------------------------------------------------------------

    def _at(self, when: float, action: Callable[..., object], *arguments: object) -> None:
        heapq.heappush(self._due, (when, next(self._order), lambda: action(*arguments)))

    def _run(self) -> None:
        while not self._over:
            with self._lock:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    heapq.heappop(self._due)[2]()
                self._guard(now)
                wait = min((self._due[0][0] if self._due else now + 1) - now, 0.1)
                if any(line.ring_hz for line in self.lines.values()):
                    wait = min(wait, 0.01)
                poller = select.poll()
                poller.register(self._wake, select.POLLIN)
                if self._master >= 0 and not self.deaf:
                    poller.register(self._master, select.POLLIN)
            for descriptor, _ in poller.poll(max(1, int(wait * 1000))):
                if descriptor == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._read()

    def _read(self) -> None:
        with self._lock:
            try:
                data = os.read(self._master, 4096) if self._master >= 0 else b""
            except OSError:
                return
            if not self._running:
                return
            self._in += data
            while (end := self._in.find(b"\n")) >= 0:
                line = bytes(self._in[:end])
                del self._in[: end + 1]
                self._ordered(line)
            del self._in[:-256]

    def _ordered(self, raw: bytes) -> None:
        body, mark, total = raw.rpartition(b"*")
        if not mark or len(raw) >= 120 or total != b"%04X" % crc(body):
            return
        verb, seq, *words = body.decode("ascii").split(" ")
        self._last_heard = time.monotonic()
        if verb == "HELLO":
            self._greeted = True
            self._events = self.random.randrange(65536)
            answer = f"{self.protocol} fake-1.0 {len(self.lines)} {self.abilities or '-'} {self.milliseconds}"
            self._answer(f"HELLO {seq} {answer}")
            return
        if not self._greeted:
            self._answer(f"NO {seq} {self.milliseconds} HELLO")
            return
        if verb != "PING":
            self.heard.append(" ".join([verb, *words]))
        self._answer(self._obey(verb, seq, words))

    def _obey(self, verb: str, seq: str, words: list[str]) -> str:
        done = f"OK {seq} {self.milliseconds}"
        line = self.lines.get(int(words[0])) if words else None
        match verb, words[1:]:
            case "PING", []:
                return done
            case _ if line is None:
                return f"NO {seq} {self.milliseconds} LINE"
            case "STATE", []:
                loop, battery = "CLOSED" if line.closed else "OPEN", "REVERSED" if line.reverse else "NORMAL"
                power = "ON" if line.power else "OFF"
                return f"STATE {seq} {self.milliseconds} {words[0]} {loop} {line.ring_hz:g} {battery} {power}"
            case "RING", ["OFF"]:
                self._ring(line, 0.0)
            case "RING", [hertz]:
                if line.closed:
                    return f"NO {seq} {self.milliseconds} OFFHOOK"
                self._ring(line, float(hertz))
            case "POLARITY", [battery] if "POLARITY" in self.abilities:
                line.reverse = battery == "REVERSED"
            case "POWER", [power] if "POWER" in self.abilities:
                line.power = power == "ON"
            case _:
                return f"NO {seq} {self.milliseconds} UNKNOWN"
        return done

    def _answer(self, body: str) -> None:
        for copy in range(self.copies):
            if self.reply_delay:
                self._at(time.monotonic() + self.reply_delay * (1 + copy), self._say, sealed(body))
            else:
                self._say(sealed(body))

    def _boot(self) -> None:
        if self._master < 0:
            return
        self._running, self._greeted = True, False
        self._booted_at = time.monotonic()
        self._say(sealed(f"BOOT {self.milliseconds}"))

    def _edge(self, number: int, level: bool) -> None:  # noqa: FBT001
        line = self.lines[number]
        if line.closed is level:
            return
        line.closed, line.closed_since = level, time.monotonic()
        line.moved.append((line.closed_since, level))
        if self._running and self._greeted:
            self._say(self.event("HOOK", number, "CLOSED" if level else "OPEN"))

    def _guard(self, now: float) -> None:
        """What the hat does by itself about its rings."""
        for number, line in self.lines.items():
            if not line.ring_hz:
                continue
            if line.closed and now - line.closed_since >= TRIP_SECONDS:
                self._ring(line, 0.0)
                self._say(self.event("TRIP", number))
            elif now - self._last_heard >= HEARTBEAT_SECONDS:
                self._ring(line, 0.0)
                self._say(self.event("QUIET", number, "HEARTBEAT"))
            elif now - line.rang_since >= LONGEST_RING_SECONDS:
                self._ring(line, 0.0)
                self._say(self.event("QUIET", number, "LIMIT"))

    @staticmethod
    def _ring(line: Line, hertz: float) -> None:
        if line.ring_hz != hertz:
            now = time.monotonic()
            if not line.ring_hz:
                line.rang_since = now
            line.ring_hz = hertz
            line.rings.append((now, hertz))

    def _say(self, data: bytes) -> None:
        if self.silent or not self._running or self.random.random() < self.drop:
            return
        if self.random.random() < self.corrupt:
            spoilt = bytearray(data)
            spoilt[self.random.randrange(len(spoilt))] ^= 1 << self.random.randrange(8)
            data = bytes(spoilt)
        if self.byte_seconds:
            if not self._trickle:
                self._at(time.monotonic() + self.byte_seconds, self._drip)
            self._trickle += data
        else:
            self._write(data)

    def _drip(self) -> None:
        if self._trickle:
            self._write(bytes(self._trickle[:1]))
            del self._trickle[:1]
            if self._trickle:
                self._at(time.monotonic() + self.byte_seconds, self._drip)

    def _write(self, data: bytes) -> None:
        # A box that does not read loses what its kernel cannot keep, as on a real serial line.
        if self._master >= 0 and data:
            with suppress(OSError, termios.error):
                os.write(self._master, data)
