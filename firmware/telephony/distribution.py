"""Which lines an incoming call is offered to. Pure.

Every line rings for every account unless its wishes name some. Of the lines that would ring for the call's
account all the idle ones do; whoever lifts first has the call. Only when none is idle is it offered to
one that is in use, which knows whether a second caller may wait (`line`) or is told that it is busy:
one that talks before one that dials, and among equals the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Readiness(IntEnum):
    """What a line could do with a call, the best first."""

    IDLE = 0
    TALKING = 1
    ENGAGED = 2


@dataclass(frozen=True, slots=True)
class LineWishes:
    """What the household wants of a line: `account` carries its calls before the others; the accounts that
    ring it are `ring_accounts`, empty: all.
    """

    account: str = ""
    ring_accounts: tuple[str, ...] = ()

    def rings_for(self, account: str) -> bool:
        """Whether this account's calls are for this line."""
        return not self.ring_accounts or account in self.ring_accounts


@dataclass(frozen=True, slots=True)
class Standing:
    """A line as a call finds it."""

    wishes: LineWishes
    readiness: Readiness


def offer_to(account: str, lines: Mapping[int, Standing]) -> tuple[int, ...]:
    """The lines to offer a call of `account` to, lowest number first; none if it rings nowhere."""
    able = {number: line.readiness for number, line in lines.items() if line.wishes.rings_for(account)}
    idle = tuple(sorted(number for number, readiness in able.items() if readiness is Readiness.IDLE))
    if idle or not able:
        return idle
    return (min(able, key=lambda number: (able[number], number)),)
