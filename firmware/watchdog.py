"""The core's word to systemd: that it is up, and that it is alive (sd_notify(3), WatchdogSec=).

A core whose loop or whose voice thread hangs is a dead telephone that no restart would notice: it
falls silent here, and systemd ends it and starts another. Without systemd nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

_log = logging.getLogger(__name__)
_BEATS = 3  # beats within the time that systemd allows
STUCK_SECONDS = 5.0
"""A voice thread that is wanted passes its loop every 10 ms, and five times a second without a device."""


class Voice(Protocol):
    """What is watched of a line's voice path (`telephony.media.VoicePath`)."""

    @property
    def is_open(self) -> bool:
        """Whether frames are wanted."""
        ...

    @property
    def turns(self) -> int:
        """How often its thread has passed its loop."""
        ...


class Notifier:
    """`NOTIFY_SOCKET` and `WATCHDOG_USEC` of `environment`, as systemd sets them; silent without."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An abstract address begins with a zero byte, written as @.
        self._address = "\0" + address[1:] if address[:1] == "@" else address
        microseconds = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        self.watched_seconds = int(microseconds) / 1e6 if meant and microseconds.isdecimal() else 0.0
        """How long systemd waits for a beat; 0: it does not."""

    def tell(self, state: str) -> None:
        """Send one assignment, such as `READY=1`. Lost rather than waited for."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
                end.settimeout(0)
                end.sendto(state.encode(), self._address)
        except OSError as error:
            _log.warning("systemd does not hear %s: %s", state, error)


class VoiceWatch:
    """Whether the voice threads move. Times in monotonic seconds."""

    def __init__(self, voices: Callable[[], Iterable[Voice]]) -> None:
        self._voices = voices
        self._seen: dict[int, tuple[int, float]] = {}

    def stuck(self, now: float) -> str:
        """Which line's voice thread has stood still for too long, or ""."""
        for number, voice in enumerate(self._voices(), 1):
            turns, since = self._seen.get(number, (-1, now))
            if not voice.is_open or voice.turns != turns:
                self._seen[number] = (voice.turns, now)
            elif now - since > STUCK_SECONDS:
                return f"the voice thread of line {number} has stood still for {now - since:.0f} s"
        return ""


async def beat(notifier: Notifier, trouble: Callable[[float], str]) -> None:
    """Tell systemd that the loop turns, as long as `trouble(now)` is ""; ends at once where nobody watches."""
    loop = asyncio.get_running_loop()
    told = False
    while notifier.watched_seconds > 0:
        wrong = trouble(loop.time())
        if not wrong:
            notifier.tell("WATCHDOG=1")
        elif not told:
            _log.critical("%s: the core gives up, for systemd to start it anew", wrong)
        told = bool(wrong)
        await asyncio.sleep(notifier.watched_seconds / _BEATS)
