"""One line of a hat, as its session knows it: what is wanted, what is confirmed, what was told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from firmware.fxs.drivers.serial_protocol import Order, hertz
from firmware.fxs.drivers.serial_vocabulary import Wish
from firmware.fxs.port import Capability

Value = float | bool
_SAME = 0.05  # the wire has tenths of a hertz

# What a wish is ordered by, and how its value is written.
WISHES: dict[Order, Callable[[Value], str]] = {
    Order.RING: lambda value: hertz(value) if value else "OFF",
    Order.POWER: lambda value: "ON" if value else "OFF",
    Order.POLARITY: lambda value: "REVERSED" if value else "NORMAL",
}


@dataclass(slots=True)
class HatLine:
    """`sent`: the latest value of each kind that was ordered and is not confirmed yet."""

    number: int
    wish: Wish
    edges_per_second: float
    budget_at: float
    closed: bool = False
    """The loop, as the hat last said."""
    told_closed: bool = False
    """The loop, as the box was last told."""
    synced: bool = False
    """The hat has said how the line is since it was greeted."""
    faulty: bool = False
    """The box was told that the hat is gone."""
    hat_fault: str = ""
    """What the hat itself says is wrong with the line."""
    tripped: bool = False
    """The hat took the ring off: it stays off until the box has wished for silence."""
    state_due: float = 0.0
    confirmed: dict[Order, Value] = field(default_factory=dict)
    sent: dict[Order, Value] = field(default_factory=dict)
    refused: dict[Order, Value] = field(default_factory=dict)
    _budget: float = field(init=False)

    def __post_init__(self) -> None:
        self._budget = self.edges_per_second

    def forget(self) -> None:
        """The hat is gone or has begun anew: what it had confirmed is no more."""
        self.synced = self.tripped = False
        self.hat_fault = ""
        self.confirmed.clear()
        self.sent.clear()
        self.refused.clear()

    @property
    def loop_closed(self) -> bool:
        """The loop; open while a fault is told."""
        return self.closed and not self.faulty and not self.hat_fault

    @property
    def owes_edge(self) -> bool:
        """Whether the box does not know the present level yet."""
        return self.synced and self.closed is not self.told_closed and not self.hat_fault

    @property
    def owed_at(self) -> float:
        """When an edge that was held back may be told."""
        return self.budget_at + 1 / self.edges_per_second

    def may_tell(self, now: float) -> bool:
        """Take one edge from the budget: a contact chatters a while, a broken hat for ever."""
        gained = max(0.0, now - self.budget_at) * self.edges_per_second
        self._budget = min(self.edges_per_second, self._budget + gained)
        self.budget_at = now
        if not self.owes_edge or self._budget < 1:
            return False
        self._budget -= 1
        self.told_closed = self.closed
        return True

    @property
    def silent(self) -> bool:
        """Whether the hat has confirmed that no unwanted ring is on this line, or never spoke of it."""
        ringing = self.confirmed.get(Order.RING, 0.0) or self.sent.get(Order.RING, 0.0)
        return not self.synced or bool(self.wish.ring_hz) or not ringing

    def orders(self, capabilities: frozenset[Capability]) -> Iterator[tuple[Order, Value]]:
        """What to order now: wishes that are neither confirmed, nor on their way, nor refused.

        The ring's end comes first, its beginning last. They are taken for sent.
        """
        if not self.synced:
            return
        for kind, value in self._wishes(capabilities):
            expected = self.sent.get(kind, self.confirmed.get(kind))
            if expected is not None and abs(expected - value) < _SAME:
                self.refused.pop(kind, None)
            elif self.refused.get(kind) != value:
                self.refused.pop(kind, None)
                self.sent[kind] = value
                yield kind, value

    def carried_out(self, kind: Order, value: Value) -> None:
        """The hat has done as ordered."""
        self.confirmed[kind] = value
        if self.sent.get(kind) == value:
            del self.sent[kind]

    def not_carried_out(self, kind: Order, value: Value) -> None:
        """The hat will not: it is not asked again until something else was wanted."""
        self.refused[kind] = value
        self.sent.pop(kind, None)

    def _wishes(self, capabilities: frozenset[Capability]) -> list[tuple[Order, Value]]:
        ring = 0.0 if self.tripped else self.wish.ring_hz
        wishes: list[tuple[Order, Value]] = []
        if Capability.POWER_DENIAL in capabilities:
            wishes.append((Order.POWER, self.wish.power))
        if Capability.POLARITY_REVERSAL in capabilities:
            wishes.append((Order.POLARITY, self.wish.reverse))
        wishes.insert(len(wishes) if ring else 0, (Order.RING, ring))
        return wishes
