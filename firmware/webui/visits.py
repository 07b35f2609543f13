"""Who came in and who tried to: the last few, kept by the page for the Log page. No password, no name."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

KEPT = 20
WRONG_PASSWORD = "wrong-password"  # noqa: S105 - what happened, not a password
WRONG_CODE = "wrong-code"
FAILURES = frozenset({WRONG_PASSWORD, WRONG_CODE})
_AGAIN = timedelta(hours=1)
_MAX_CLIENT = 64

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Visit:
    """`kind`: login, setup, new-password, or one of FAILURES. `at` is ISO, of the last of `times`."""

    at: str
    kind: str
    client: str
    times: int = 1


class Visits:
    """The last visits, in memory and, given a path, in a file of mode 0600. Thread-safe."""

    def __init__(self, path: Path | None = None, now: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._kept = self._load()

    def note(self, kind: str, client: str) -> None:
        """Remember one; the same again within the hour counts up, so that guessing fills no list."""
        now = self._now()
        visit = Visit(now.isoformat(timespec="seconds"), kind, client[:_MAX_CLIENT])
        with self._lock:
            for place, before in enumerate(self._kept):
                if (before.kind, before.client) == (visit.kind, visit.client) and _near(before.at, now):
                    visit = replace(visit, times=before.times + 1)
                    del self._kept[place]
                    break
            self._kept.append(visit)
            if len(self._kept) > KEPT:
                # Failures from a hundred addresses push out failures, not who came in.
                failures = [visit for visit in self._kept if visit.kind in FAILURES]
                others = [visit for visit in self._kept if visit.kind not in FAILURES]
                self._kept.remove((failures if len(failures) >= len(others) else others)[0])
            self._save()

    def last(self) -> list[Visit]:
        """Newest first, at most KEPT."""
        with self._lock:
            return self._kept[::-1]

    def _load(self) -> list[Visit]:
        if self._path is None:
            return []
        try:
            return [Visit(**row) for row in json.loads(self._path.read_bytes())][-KEPT:]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            _log.warning("visits: %s cannot be read: %s", self._path.name, error)
            return []

    def _save(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
                json.dump([asdict(visit) for visit in self._kept], stream)
            draft.replace(self._path)
        except OSError as error:
            # A full disk must not shut anybody out.
            _log.warning("visits: %s cannot be written: %s", self._path.name, error)


def _near(at: str, now: datetime) -> bool:
    try:
        return abs(now - datetime.fromisoformat(at)) < _AGAIN
    except (ValueError, TypeError):
        return False
