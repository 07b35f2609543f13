"""The six digits that prove who sets the page's password stands at the telephone: only the handset tells them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

_SETUP_TRIES = 5


class SetupCode:
    """Six digits that only the handset tells; five wrong guesses make a new one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._changed = changed
        self._tries = 0
        self.digits = self._fresh()

    @staticmethod
    def _fresh() -> str:
        return f"{secrets.randbelow(1_000_000):06d}"

    def check(self, code: str) -> bool:
        """Compare in constant time; a right guess also spends the code."""
        with self._lock:
            right = secrets.compare_digest(code.strip().encode(), self.digits.encode())
            self._tries += 1
            if right or self._tries >= _SETUP_TRIES:
                self.digits = self._fresh()
                self._tries = 0
                self._changed()
            return right
