"""The household's own choices as the page needs them: country, time zone, language, the box's names.

Asked of the core seldom and remembered; while the core is away the last known ones serve.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from firmware.service import BoxService, ServiceError

_MEMORY_SECONDS = 30.0
_RETRY_SECONDS = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choices:
    """`country` as ISO 3166 (UK for the United Kingdom), `names` lower-case."""

    country: str = "FR"
    language: str = "fr"
    timezone: str = "Europe/Paris"
    names: frozenset[str] = frozenset({"allobox", "allobox.local"})

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that people of the house read dates in."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("Europe/Paris")


class Household:
    """The choices, at most half a minute old. Thread-safe; one thread asks, the others go on with what is known."""

    def __init__(
        self, box: BoxService, extra_names: Iterable[str] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._box = box
        own = socket.gethostname().lower()
        self._extra = frozenset({own, f"{own}.local"} | {name.lower() for name in extra_names})
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asking = False
        self._forgotten = 0
        self._choices = Choices(names=Choices().names | self._extra)
        self._ask_after = float("-inf")

    def choices(self) -> Choices:
        """What is chosen now; the last known when the core is away."""
        with self._lock:
            before = self._choices
            if self._asking or self._monotonic() < self._ask_after:
                return before
            self._asking = True
            forgotten = self._forgotten
        after, fresh_for = before, _RETRY_SECONDS
        try:
            # Outside the lock: however slow the core is, it delays this one request.
            after, fresh_for = self._from(self._box.settings(), before), _MEMORY_SECONDS
        except ServiceError as error:
            _log.info("settings: %s", error)
        finally:
            with self._lock:
                self._asking = False
                self._choices = after
                # What was changed while we asked is not in the answer: ask again.
                if forgotten == self._forgotten:
                    self._ask_after = self._monotonic() + fresh_for
        return after

    def forget(self) -> None:
        """Ask again at the next page: something was changed."""
        with self._lock:
            self._forgotten += 1
            self._ask_after = float("-inf")

    def _from(self, flat: dict[str, object], before: Choices) -> Choices:
        hosts = flat.get("page.hosts")
        named = {str(name).lower() for name in hosts} if isinstance(hosts, (list, tuple)) else Choices().names
        return Choices(
            country=str(flat.get("box.country", before.country)),
            language=str(flat.get("box.language", before.language)),
            timezone=str(flat.get("box.timezone", before.timezone)),
            names=frozenset(named) | self._extra,
        )
