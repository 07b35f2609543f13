"""Server names to addresses, in a thread of its own: a slow DNS must not hold up a call.

The last good answer of a name is kept when the DNS fails later; an account's servers are known
by it for as long as the box runs.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Iterable

from firmware.telephony.sip.admission import canonical


class Resolver:
    """Looks names up one after another; `deliver` is called from its thread, only when something changed."""

    def __init__(self, deliver: Callable[[dict[str, frozenset[str]]], None]) -> None:
        self._deliver = deliver
        self._names: queue.SimpleQueue[tuple[str, ...] | None] = queue.SimpleQueue()
        self._good: dict[str, frozenset[str]] = {}
        self._thread: threading.Thread | None = None

    def ask(self, hosts: Iterable[str]) -> None:
        """Look `hosts` up afresh; the whole table of good answers follows if any changed."""
        if self._thread is None:
            # A daemon: getaddrinfo cannot be interrupted and must not hold the box at its stop.
            self._thread = threading.Thread(target=self._run, name="sip-dns", daemon=True)
            self._thread.start()
        self._names.put(tuple(hosts))

    def close(self) -> None:
        """End the thread after the look-up under way."""
        self._names.put(None)

    def _run(self) -> None:
        while (hosts := self._names.get()) is not None:
            changed = False
            for host in hosts:
                found = look_up(host)
                if found and found != self._good.get(host):
                    self._good[host] = found
                    changed = True
            if changed:
                self._deliver(dict(self._good))


def literal(host: str) -> frozenset[str]:
    """`host` itself when it is an address, else nothing."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return frozenset()
    return frozenset({canonical(host)})


def look_up(host: str) -> frozenset[str]:
    """All addresses of `host` now; empty when the name cannot be found."""
    direct = literal(host)
    if direct:
        return direct
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(canonical(str(row[4][0])) for row in rows)
