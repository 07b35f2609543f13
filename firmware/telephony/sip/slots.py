"""Who may have a call slot: pure. The stack has few (four in the wheel), and one is kept for emergencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What becomes of a call that wants a slot."""

    TAKE = "take"
    REFUSE = "refuse"
    PREEMPT = "preempt"


@dataclass(frozen=True, slots=True)
class Holder:
    """A call that holds a slot."""

    key: int
    emergency: bool
    answered: bool
    ending: bool = False


def decide(used: int, slots: int, *, emergency: bool) -> Verdict:
    """Whether a new call may have one of `slots`, of which `used` are taken."""
    free = slots - used
    if emergency:
        return Verdict.TAKE if free > 0 else Verdict.PREEMPT
    return Verdict.TAKE if free > 1 else Verdict.REFUSE


def victim(holders: Sequence[Holder]) -> int | None:
    """The call that gives way to an emergency: unanswered before answered, youngest first; never an emergency."""
    ordinary = [h for h in holders if not h.emergency and not h.ending]
    if not ordinary:
        return None
    return max(ordinary, key=lambda h: (not h.answered, h.key)).key
