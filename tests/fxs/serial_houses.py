"""Households whose serial hat misbehaves: real driver, session, handset and line machine, with a box's own times.

The pseudo-terminal is real; hat, contact and voice are not. Each house goes by a seed of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from firmware.fxs import country
from firmware.fxs.drivers.serial_mcu import SerialHat, SerialMcuPort
from firmware.fxs.port import PortEvent
from firmware.telephony.line import LineState
from tests.fakes.handset import OneHandset
from tests.fakes.serial_hat import LIFT_BOUNCE_SECONDS
from tests.fakes.serial_hat import SerialHat as FakeHat

WITHIN_SECONDS = 2.0
FR = country.load("FR")


async def garbage(hat: FakeHat, chance: random.Random) -> None:
    for _ in range(8):
        hat.say(chance.randbytes(chance.randint(1, 900)))
        await asyncio.sleep(0.02)


async def half_lines(hat: FakeHat, chance: random.Random) -> None:
    for _ in range(4):
        line = hat.event("HOOK", 1, "CLOSED")
        hat.say(line[: chance.randrange(1, len(line))])
        await asyncio.sleep(chance.uniform(0, 0.1))


async def silence(hat: FakeHat, chance: random.Random) -> None:
    hat.silent = True
    await asyncio.sleep(chance.choice([0.1, 0.4, 1.1, 1.4]))


async def reboot(hat: FakeHat, chance: random.Random) -> None:
    down = chance.uniform(0, 0.8)
    hat.reboot(down)
    await asyncio.sleep(down)


async def reboots(hat: FakeHat, chance: random.Random) -> None:
    for _ in range(5):
        hat.reboot(0.02)
        await asyncio.sleep(chance.uniform(0.03, 0.1))


async def unplugged(hat: FakeHat, chance: random.Random) -> None:
    hat.unplug()
    await asyncio.sleep(chance.choice([0.0, 0.05, 0.3, 0.9]))
    hat.plug()


async def answers_twice(hat: FakeHat, chance: random.Random) -> None:
    hat.copies = chance.randint(2, 5)
    await asyncio.sleep(0.4)


async def answers_late(hat: FakeHat, chance: random.Random) -> None:
    hat.reply_delay, hat.copies = chance.uniform(0.05, 0.7), chance.randint(1, 2)
    await asyncio.sleep(0.8)


async def another_protocol(hat: FakeHat, chance: random.Random) -> None:
    hat.protocol = chance.choice([0, 2, 99])
    hat.reboot(0)
    await asyncio.sleep(0.3)
    hat.protocol = 1
    hat.reboot(0.05)
    await asyncio.sleep(0.05)


async def flood_of_edges(hat: FakeHat, chance: random.Random) -> None:
    for _ in range(chance.randint(5, 30)):
        hat.say(b"".join(hat.event("HOOK", 1, "CLOSED" if chance.random() < 0.5 else "OPEN") for _ in range(60)))
        await asyncio.sleep(0.01)
    hat.send_event("HOOK", 1, "OPEN")


async def flood_without_an_end(hat: FakeHat, chance: random.Random) -> None:
    for _ in range(chance.randint(5, 30)):
        hat.say(bytes(chance.choices(b"OKHOOK* 0123456789", k=4000)))
        await asyncio.sleep(0.01)


async def slow_bytes(hat: FakeHat, chance: random.Random) -> None:
    hat.byte_seconds = chance.uniform(0.001, 0.01)
    await asyncio.sleep(0.6)


async def spoilt_bytes(hat: FakeHat, chance: random.Random) -> None:
    hat.corrupt = chance.uniform(0.2, 1.0)
    await asyncio.sleep(0.8)


async def lost_lines(hat: FakeHat, chance: random.Random) -> None:
    hat.drop = chance.uniform(0.2, 0.9)
    await asyncio.sleep(0.8)


async def deaf(hat: FakeHat, chance: random.Random) -> None:
    hat.deaf = True
    await asyncio.sleep(chance.choice([0.2, 1.2]))


async def false_alarms(hat: FakeHat, chance: random.Random) -> None:
    for _ in range(10):
        hat.send_event("FAULT", 1, "OVERHEAT")
        hat.send_event(chance.choice(["TRIP", "QUIET", "DIGIT", "HOOK", "FAULT"]), chance.randint(0, 9), "X")
        hat.send_event("FAULT", 1, "CLEAR")
        await asyncio.sleep(0.01)


MISBEHAVIOURS = (
    *(garbage, half_lines, silence, reboot, reboots, unplugged, answers_twice, answers_late, another_protocol),
    *(flood_of_edges, flood_without_an_end, slow_bytes, spoilt_bytes, lost_lines, deaf, false_alarms),
)


async def _until(true: Callable[[], bool], seconds: float, what: Callable[[], str]) -> float:
    """How long it took. Fails in words."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, what()
        await asyncio.sleep(0.002)
    return time.monotonic() - began


class House:
    """A hat, its driver and a handset on this loop; its wires are the test's."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        wrap_soon = (1 << 32) - self.chance.randrange(20_000)
        self.hat = FakeHat(
            folder / f"hat{seed}", seed, drift_ppm=self.chance.uniform(-3000, 3000), clock_start_ms=wrap_soon
        )
        self.port = SerialMcuPort(SerialHat(str(self.hat.path)))
        self.loop = asyncio.get_running_loop()
        self.phone = OneHandset(self.port, self.loop)
        self.took: list[tuple[float, str]] = []

    def start(self) -> None:
        self.port.start(self._deliver)

    def _deliver(self, event: PortEvent) -> None:
        self.loop.call_soon_threadsafe(self.phone.handset.port_event, event)

    def stop(self) -> None:
        self.port.stop()
        self.hat.close()

    def _dial_tone(self) -> bool:
        line = self.hat.lines[1]
        ready = self.phone.voice.hears == "dial" and self.phone.handset.machine.state is LineState.DIAL_TONE
        return ready and line.closed and not line.ring_hz

    def __str__(self) -> str:
        edges = [(round(edge.at, 4), edge.closed) for edge in self.phone.handset.edges][-20:]
        voice = f"hearing {self.phone.voice.hears}, edges {edges}"
        return f"{self.hat.path.name}: {self.phone.handset.snapshot()} with {self.hat.lines[1]}, {voice}"

    async def suffer(self, times: int) -> None:
        await _until(lambda: self.phone.restored, 10, lambda: f"the hat never came up: {self}")
        deck = list(MISBEHAVIOURS)
        for _ in range(times):
            if not deck:
                deck = list(MISBEHAVIOURS)
            misbehave = deck.pop(self.chance.randrange(len(deck)))
            await self._once(misbehave)

    async def _once(self, misbehave: Callable[[FakeHat, random.Random], Awaitable[None]]) -> None:
        name = misbehave.__name__
        ringing = self.chance.random() < 0.4
        if ringing:
            self.port.start_ring(50.0)
            await asyncio.sleep(0.05)
        await misbehave(self.hat, self.chance)
        self.hat.behave()
        if ringing:
            self.port.stop_ring()
        self.hat.lift()
        self.took.append((await _until(self._dial_tone, WITHIN_SECONDS, lambda: f"{name}: {self}"), name))
        await asyncio.sleep(2 * LIFT_BOUNCE_SECONDS)  # the contact comes to rest, and nothing changes
        # After edges that never were, the lift's own may be a digit; after all else it is nothing but a lift.
        assert misbehave is flood_of_edges or self._dial_tone(), f"{name}: {self}"
        self.hat.hang_up()
        await _until(
            lambda: self.phone.handset.machine.state is LineState.IDLE and not self.phone.handset.snapshot().off_hook,
            5,
            lambda: f"{name}: the handset stayed up: {self}",
        )


async def suffer(folder: Path, seeds: Sequence[int], times: int) -> list[House]:
    """Houses of these seeds, at the same time, `times` misbehaviours each. AssertionError without dial tone in time."""
    houses = [House(folder, seed) for seed in seeds]
    try:
        for house in houses:
            house.start()
        await asyncio.gather(*(house.suffer(times) for house in houses))
    finally:
        for house in houses:
            house.stop()
    return houses
