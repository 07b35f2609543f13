"""What is dialled before a call has left: into a price that is being said, or as a PIN. Pure.

An emergency number may be dialled there at any moment. Digits that follow each other make a group; a pause
(`PAUSE_SECONDS`) ends it. A group that is exactly an emergency number calls for help: at once into a price,
where digits have no other meaning; after the pause, or a `#`, in a PIN, which may begin with the same digits.
Digits that run on from the number dialled (`RUN_ON_SECONDS`) are too many of it rather than another number:
they too call for help only with the pause, so that an extension keyed too early rings no fire brigade.

A digit that nobody could read (`?`) spoils its group and the PIN: 115 without a 1 is another service's number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

PAUSE_SECONDS = 3.0
RUN_ON_SECONDS = 1.0
MAX_PIN = 16
UNCLEAR = "?"
_MAX_GROUP = 16


@dataclass(frozen=True, slots=True)
class KeysBefore:
    """The digits so far. `began`: when the state that hears them was entered; `last`: the last digit's moment."""

    began: float = 0.0
    last: float = float("-inf")
    group: str = field(default="", repr=False)
    pin: str = field(default="", repr=False)
    runs_on: bool = False

    def pressed(self, digit: str, now: float) -> KeysBefore:
        """With one more digit; a `*` begins the PIN anew."""
        if digit == "*":
            return replace(self, group="", pin="", last=now, runs_on=False)
        fresh = not self.group or now - self.last > PAUSE_SECONDS
        runs_on = now - self.began < RUN_ON_SECONDS if fresh else self.runs_on
        group = digit if fresh else self.group + digit
        return KeysBefore(self.began, now, group[: _MAX_GROUP + 1], (self.pin + digit)[: MAX_PIN + 1], runs_on)

    def helps(self, emergency: Callable[[str], bool]) -> bool:
        """Whether the group, as it stands, is an emergency number."""
        return bool(self.group) and UNCLEAR not in self.group and emergency(self.group)
