"""The page's password: what is good enough, its argon2id hash, and who keeps it.

The hash lives in the core (`box.page_credential`); only this process ever sees the password.
Rules from BSI TR-03148: at least 8 characters of at least two kinds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from firmware.service import BoxService, BoxUnreachableError
from firmware.webui.say import _

MIN_LENGTH = 8
MAX_LENGTH = 256
MIN_KINDS = 2

# RFC 9106 scaled to a Pi: 32 MiB, three passes, one lane: about 0.3 s there, and two at once fit the unit's memory.
_hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
_one_at_a_time = threading.Lock()


def weakness(password: str) -> str | None:
    """Why this password will not do, in the reader's language; None if it will."""
    if len(password) < MIN_LENGTH:
        return _("The password needs at least %(count)d characters.", count=MIN_LENGTH)
    if len(password) > MAX_LENGTH:
        return _("The password may have at most %(count)d characters.", count=MAX_LENGTH)
    kinds = (str.islower, str.isupper, str.isdigit, lambda char: not char.isalnum())
    if sum(any(kind(char) for char in password) for kind in kinds) < MIN_KINDS:
        return _("Mix at least two kinds: small letters, capitals, digits, other signs.")
    return None


class Credential:
    """The page's hash as the core keeps it, remembered for a few seconds so that a page costs no question."""

    _MEMORY_SECONDS = 5.0

    def __init__(self, box: BoxService, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._box = box
        self._monotonic = monotonic
        self._known: str | None = None
        self._asked_at: float | None = None

    def current(self) -> str | None:
        """The hash, or None before set-up. Raises BoxUnreachableError if the core never answered."""
        now = self._monotonic()
        if self._asked_at is None or now - self._asked_at > self._MEMORY_SECONDS:
            try:
                self._known = self._box.page_credential()
                self._asked_at = now
            except BoxUnreachableError:
                # The page stays up while the core restarts, for those who had come in before.
                if self._asked_at is None:
                    raise
        return self._known

    def fingerprint(self) -> str:
        """Names the present password without telling it: sessions opened under another one are void."""
        return sha256((self.current() or "").encode()).hexdigest()[:16]

    def verify(self, password: str) -> bool:
        """Whether this is the password. Renews the hash when its cost is out of date."""
        self._asked_at = None
        known = self.current()
        if known is None or len(password) > MAX_LENGTH:
            return False
        with _one_at_a_time:
            try:
                _hasher.verify(known, password)
            except (VerificationError, InvalidHashError):
                return False
        if _hasher.check_needs_rehash(known):
            self.store(password)
        return True

    def store(self, password: str) -> None:
        """Hash and hand to the core. Raises ServiceError."""
        with _one_at_a_time:
            credential = _hasher.hash(password)
        self._box.set_page_credential(credential)
        self._asked_at = None
