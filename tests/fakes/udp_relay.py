"""A network in between on loopback: takes datagrams on two ports and lets them go on as a schedule says.

What comes on the near port goes to the far end, and the other way round, each direction with weather of
its own (`udp_schedule`). Each side sees one address only, the relay's, as behind a NAT.
"""

from __future__ import annotations

import contextlib
import heapq
import select
import socket
import threading
import time
from typing import Self

from tests.fakes.udp_schedule import Network, Schedule

Address = tuple[str, int]
_LOOPBACK = "127.0.0.1"
_LARGEST = 65_535
_IDLE_SECONDS = 0.1
CALM = Network()


class _Side:
    """One port: whom it faces, what came in on it, and the weather on the way to the other port."""

    def __init__(self, network: Network, seed: int, peer: Address | None) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((_LOOPBACK, 0))
        self.socket.settimeout(0)
        self.schedule = Schedule(network, seed)
        self.peer = peer
        self.came = self.passed = 0


class UdpRelay:
    """`with UdpRelay(far=("127.0.0.1", 4000), inward=Network(loss=0.03), seed=1) as relay:`.

    The near end sends to `near_port` (its address is learned from its first packet, or set by `face`); the
    far end, at `far`, sends to `far_port`. `inward`: from the far end to the near one; `outward`: the other way.
    The two directions' dice differ. Packets are counted from the first that arrived.
    """

    def __init__(
        self, *, far: Address | None = None, inward: Network = CALM, outward: Network = CALM, seed: int = 0
    ) -> None:
        self._near = _Side(outward, 2 * seed, None)
        self._far = _Side(inward, 2 * seed + 1, far)
        self.near_port = int(self._near.socket.getsockname()[1])
        self.far_port = int(self._far.socket.getsockname()[1])
        self.latest_ms = 0.0  # how much after its time a packet was let go at worst: the machine's share
        self._due: list[tuple[float, int, _Side, bytes]] = []
        self._count = 0
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def face(self, near: Address) -> None:
        """Send what comes from the far end there until the near end speaks itself."""
        self._near.peer = near

    def renew(self, *, inward: Network = CALM, outward: Network = CALM, seed: int = 0) -> None:
        """Other weather, from the next packet on; the counts begin anew."""
        for side, network, dice in ((self._near, outward, 2 * seed), (self._far, inward, 2 * seed + 1)):
            side.schedule = Schedule(network, dice)
            side.came = side.passed = 0
        self.latest_ms = 0.0

    @property
    def inward(self) -> tuple[int, int]:
        """Packets from the far end: how many came, how many were let go."""
        return self._far.came, self._near.passed

    @property
    def outward(self) -> tuple[int, int]:
        """Packets from the near end: how many came, how many were let go."""
        return self._near.came, self._far.passed

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join(2)
        self._near.socket.close()
        self._far.socket.close()

    def _run(self) -> None:
        sides = {self._near.socket: (self._near, self._far), self._far.socket: (self._far, self._near)}
        while not self._ending:
            wait = min(_IDLE_SECONDS, max(0.0, self._due[0][0] - time.monotonic())) if self._due else _IDLE_SECONDS
            for ready in select.select(list(sides), [], [], wait)[0]:
                self._take(*sides[ready])
            self._let_go()

    def _take(self, came_on: _Side, other: _Side) -> None:
        while True:
            try:
                packet, source = came_on.socket.recvfrom(_LARGEST)
            except OSError:  # nothing more, or the answer of a port that nobody listens on
                return
            now = time.monotonic()
            came_on.peer = source
            for at in came_on.schedule.releases(came_on.came, len(packet), now):
                self._count += 1
                heapq.heappush(self._due, (at, self._count, other, packet))
            came_on.came += 1

    def _let_go(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            at, _, side, packet = heapq.heappop(self._due)
            if side.peer is not None:
                self.latest_ms = max(self.latest_ms, (time.monotonic() - at) * 1000)
                with contextlib.suppress(OSError):
                    side.socket.sendto(packet, side.peer)
                    side.passed += 1
