"""Who is logged in: random tokens in the browser, their hashes here.

The page owns nothing else. A token is void after `IDLE_SECONDS` without a visit, after `LIFE_SECONDS`
in any case, at logout, and when the password it was opened under has changed. The file survives a
restart of the page (and a crash), so that a household need not log in again after an update.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

IDLE_SECONDS = 7 * 86400
LIFE_SECONDS = 30 * 86400
_MAX_SESSIONS = 64
_SAVE_EVERY_SECONDS = 3600

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Session:
    opened: float
    seen: float
    saved: float
    credential: str


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


class Sessions:
    """The open sessions, in memory and, given a path, in a file of mode 0600. Thread-safe."""

    def __init__(self, path: Path | None = None, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self._lock = threading.Lock()
        self._open: dict[str, _Session] = self._load()

    def open(self, credential: str) -> str:
        """A new session's token, opened under the password that `credential` fingerprints."""
        token = secrets.token_urlsafe(32)
        now = self._wall()
        with self._lock:
            self._open[_hash(token)] = _Session(now, now, now, credential)
            while len(self._open) > _MAX_SESSIONS:
                del self._open[min(self._open, key=lambda key: self._open[key].seen)]
            self._save()
        return token

    def valid(self, token: str, credential: str) -> bool:
        """Whether this token opens the page now; a visit keeps it fresh."""
        key = _hash(token)
        now = self._wall()
        with self._lock:
            session = self._open.get(key)
            if session is None:
                return False
            # A clock that was wrong at boot must not void sessions: only ages above zero count.
            stale = now - session.seen > IDLE_SECONDS or now - session.opened > LIFE_SECONDS
            if stale or not secrets.compare_digest(session.credential, credential):
                del self._open[key]
                self._save()
                return False
            session.seen = now
            if now - session.saved > _SAVE_EVERY_SECONDS:
                session.saved = now
                self._save()
            return True

    def is_open(self, token: str) -> bool:
        """Whether this page opened it and has not closed it; whether it is still good, `valid` says."""
        with self._lock:
            return _hash(token) in self._open

    def close(self, token: str) -> None:
        """Log this one out."""
        with self._lock:
            if self._open.pop(_hash(token), None) is not None:
                self._save()

    def close_all(self) -> None:
        """Log everybody out (the password changed)."""
        with self._lock:
            self._open.clear()
            self._save()

    def _load(self) -> dict[str, _Session]:
        if self._path is None:
            return {}
        try:
            rows = json.loads(self._path.read_bytes())
            return {str(key): _Session(**row) for key, row in rows.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("sessions: %s cannot be read (%s); everybody logs in again", self._path.name, error)
            return {}

    def _save(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                json.dump({key: asdict(session) for key, session in self._open.items()}, stream)
            draft.replace(self._path)
        except OSError as error:
            # A full disk must not shut the owner out of the page that would tell of it.
            _log.warning("sessions: %s cannot be written: %s", self._path.name, error)
