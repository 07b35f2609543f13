"""Whether a call is on hold: what is wanted, what the far end has agreed to, and the re-INVITE between. Pure.

One re-INVITE at a time (RFC 3261 14.1); a hand that changes its mind meanwhile is heard when that one has
been answered. A hold that is refused for good is let be: the voice is parted from the line anyhow. Taking
back is tried again, for without it the two would not hear each other.
"""

from __future__ import annotations

from dataclasses import dataclass

_REQUEST_PENDING = 491
_OK, _REFUSED, _SERVER = 200, 300, 500
_CHALLENGES = frozenset((401, 407))
_BUSY_SECONDS = 0.3
_REFUSED_SECONDS = 1.0
_CHALLENGE_SECONDS = 10.0
_MOST_TRIES = 5


@dataclass(slots=True)
class Hold:
    """One call's. Methods that return seconds ask for a `due` then; None: not before something happens."""

    wanted: bool = False
    agreed: bool = False
    asked: bool | None = None
    tries: int = 0
    challenged: bool = False

    def want(self, *, on: bool) -> None:
        """Hold, or take back."""
        self.wanted, self.tries = on, 0

    def due(self) -> bool | None:
        """What to ask the far end now: True to hold, False to take back, None nothing."""
        if self.challenged:
            # The stack was to ask again with credentials, and has had time enough.
            self.asked, self.challenged = None, False
        return self.wanted if self.asked is None and self.wanted is not self.agreed else None

    def sent(self) -> None:
        """The re-INVITE has left."""
        self.asked, self.challenged = self.wanted, False

    def not_sent(self) -> float | None:
        """It could not: the far end's own is under way, or the ACK still is."""
        return self._again(_BUSY_SECONDS)

    def answered(self, status: int, *, ours: bool, chance: float) -> float | None:
        """Its final answer. `ours`: we made the Call-ID; `chance`: 0 to 1, drawn anew."""
        if self.asked is None or status < _OK:
            return None
        if status in _CHALLENGES:
            self.challenged = True
            return _CHALLENGE_SECONDS
        asked, self.asked, self.challenged = self.asked, None, False
        if status < _REFUSED:
            self.agreed, self.tries = asked, 0
            return 0.0
        if status == _REQUEST_PENDING:
            # RFC 3261 14.1: whoever made the Call-ID waits longer, so that the two do not meet again.
            return self._again(2.1 + 1.9 * chance if ours else 2.0 * chance)
        return self._again(_REFUSED_SECONDS) if status >= _SERVER or not self.wanted else None

    def _again(self, seconds: float) -> float | None:
        self.tries += 1
        return seconds if self.tries <= _MOST_TRIES else None
