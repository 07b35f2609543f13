"""Server names to addresses, in threads of their own: a slow DNS must not hold up a call.

The last good answer of a name is kept when the DNS fails later; an account's servers are known
by it for as long as the box runs, and the stack is given it at once (`reach`).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable

from firmware.telephony.sip.admission import canonical

_THREADS = 3  # a name whose own servers are silent must not hold up the others
_FOREIGN = 64  # names that are no account's (a Contact's, a Record-Route's) and yet remembered


class Resolver:
    """Looks names up, a few at a time; `deliver(asked, table)` is called from its threads after each one:
    what was looked up, and the last good answer of every name.
    """

    def __init__(self, deliver: Callable[[frozenset[str], dict[str, frozenset[str]]], None]) -> None:
        self._deliver = deliver
        self._change = threading.Condition()
        self._wanted: dict[str, None] = {}  # in the order asked, each at most once
        self._kept: frozenset[str] = frozenset()
        self._closed = False
        self._good: dict[str, frozenset[str]] = {}
        self._busy: set[str] = set()
        self._threads: list[threading.Thread] = []

    def ask(self, hosts: Iterable[str]) -> None:
        """Look `hosts`, the names of all accounts, up afresh; names that were asked before are dropped."""
        with self._change:
            self._kept = frozenset(hosts)
            self._wanted = dict.fromkeys(sorted(self._kept))
        self._start()

    def ask_also(self, host: str) -> None:
        """Look another name up, before any that waits: a message is held up by it."""
        with self._change:
            if host not in self._wanted and len(self._wanted) < _FOREIGN + len(self._kept):
                self._wanted = {host: None, **self._wanted}
        self._start()

    def close(self) -> None:
        """End the thread after the look-up under way."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def _start(self) -> None:
        while len(self._threads) < _THREADS:
            # Daemons: getaddrinfo cannot be interrupted and must not hold the box at its stop.
            self._threads.append(threading.Thread(target=self._run, name="sip-dns", daemon=True))
            self._threads[-1].start()
        with self._change:
            self._change.notify_all()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._next() is not None)
                host = self._next()
                if self._closed or host is None:
                    return
                del self._wanted[host]
                self._busy.add(host)
            found = look_up(host)
            with self._change:
                self._busy.discard(host)
                if found:
                    self._keep(host, found)
                # Within the lock: an older table must not arrive after a newer one.
                self._deliver(frozenset({host}), dict(self._good))

    def _next(self) -> str | None:
        return next((h for h in self._wanted if h not in self._busy), None)

    def _keep(self, host: str, found: frozenset[str]) -> None:
        self._good[host] = found
        foreign = [h for h in self._good if h not in self._kept]
        for old in foreign[: max(0, len(foreign) - _FOREIGN)]:
            del self._good[old]


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
