"""Pure: what a bad network does to each packet of one direction, by seed and packet number alone.

The same seed, network and sequence of arrivals give the same releases, packet for packet, on any
machine: a far end and its reference may be sent through the very same weather. `udp_relay`
carries the schedule out on loopback.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

BITS = 8
UDP_IP_HEADER_BYTES = 28  # RFC 768, RFC 791: they take their time on a slow link too


@dataclass(frozen=True, slots=True)
class Bursts:
    """Gilbert-Elliott losses: a good and a bad state, left with these chances at each packet.

    `loss_good`, `loss_bad`: the chance of a packet's loss in each. The mean burst lasts `1 / to_good` packets,
    and `to_bad / (to_bad + to_good)` of all packets meet the bad state.
    """

    to_bad: float
    to_good: float
    loss_bad: float = 1.0
    loss_good: float = 0.0


@dataclass(frozen=True, slots=True)
class Network:
    """One direction's weather. Chances from 0 to 1, times in milliseconds.

    `loss`: of each packet, alone. `delay_ms`: of every packet. `jitter_ms`: each packet's own further delay, evenly
    from 0 to this; order is kept, as queues keep it. `reorder`: the chance of a packet to be overtaken, being
    held back `reorder_ms`. `duplicate`: the chance of a second copy, `duplicate_ms` later. `rates`: (first packet,
    bits a second) of the link from that packet on, 0 for no limit; what would wait longer than `queue_ms` in
    front of it is dropped. `first`: packets before this one pass untouched but for `delay_ms`.
    """

    loss: float = 0.0
    bursts: Bursts | None = None
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 30.0
    duplicate: float = 0.0
    duplicate_ms: float = 5.0
    rates: tuple[tuple[int, int], ...] = ()
    queue_ms: float = 200.0
    first: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)}: a chance goes from 0 to 1")
        if min(self.delay_ms, self.jitter_ms, self.reorder_ms, self.duplicate_ms, self.queue_ms) < 0:
            raise ValueError("a packet cannot arrive before it was sent: no time may be negative")


@dataclass(frozen=True, slots=True)
class Fate:
    """What befalls packet `index`, whenever it comes: lost, or late by `late_ms`; overtaken; doubled."""

    lost: bool
    late_ms: float = 0.0
    overtaken: bool = False
    doubled: bool = False


UNTOUCHED = Fate(lost=False)


class Schedule:
    """The fates of one direction's packets, and when each is let go.

    `fate` may be asked in any order; `releases` wants its packets in the order they came.
    """

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network
        self._seed = seed
        self._bad = [False]  # the chain's state at each packet, as far as it was asked
        self._link_free = self._last_release = float("-inf")

    def fate(self, index: int) -> Fate:
        """Of the packet `index`, from 0."""
        network = self.network
        if index < network.first:
            return UNTOUCHED
        # A generator for each packet: what befalls one shifts no other's dice. Strings seed alike everywhere.
        dice = random.Random(f"{self._seed}/{index}")  # noqa: S311 weather, no secret
        loss, state, late, order, double = (dice.random() for _ in range(5))
        lost = loss < network.loss
        if network.bursts is not None:
            bursts = network.bursts
            lost = lost or state < (bursts.loss_bad if self._is_bad(index) else bursts.loss_good)
        if lost:
            return Fate(lost=True)
        return Fate(
            lost=False,
            late_ms=late * network.jitter_ms,
            overtaken=order < network.reorder,
            doubled=double < network.duplicate,
        )

    def releases(self, index: int, size: int, now: float) -> tuple[float, ...]:
        """When the packet `index` of `size` bytes that came at `now` (seconds) is let go: never, once or twice."""
        network, fate = self.network, self.fate(index)
        if fate.lost:
            return ()
        at = now + network.delay_ms / 1000
        rate = self._rate(index)
        if rate:
            began = max(at, self._link_free)
            if began - at > network.queue_ms / 1000:
                return ()
            at = self._link_free = began + (size + UDP_IP_HEADER_BYTES) * BITS / rate
        at += fate.late_ms / 1000
        if fate.overtaken:
            at += network.reorder_ms / 1000
        else:
            at = self._last_release = max(at, self._last_release)
        return (at, at + network.duplicate_ms / 1000) if fate.doubled else (at,)

    def _rate(self, index: int) -> int:
        return next((rate for first, rate in reversed(self.network.rates) if index >= first), 0)

    def _is_bad(self, index: int) -> bool:
        bursts = self.network.bursts
        assert bursts is not None
        while len(self._bad) <= index:
            dice = random.Random(f"{self._seed}/chain/{len(self._bad)}").random()  # noqa: S311 the same
            bad = self._bad[-1]
            self._bad.append(dice >= bursts.to_good if bad else dice < bursts.to_bad)
        return self._bad[index]
