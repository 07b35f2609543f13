"""What a thousand calls leave behind in the core: memory, open files, threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from firmware.telephony.sip.admission import INVITES_A_SECOND
from tests.bench.figure import Figure, Plan, median
from tests.bench.peer import BenchPeer, settle
from tests.bench.processes import memory_mb
from tests.fakes.far_end import FarEnd
from tests.system.box import RunningBox
from tests.system.peer_process import wait_until

_NUMBER = "0142685300"
_LINES = 3  # as many as the stack has slots for at once besides an emergency's
_WARM_CALLS = 60
_KEYS_MS = 45.0
_EVERY = 15
_NAMELESS = 5  # fields of a line of /proc/PID/maps without a file
_HEAP_BYTES = 64 << 20  # HEAP_MAX_SIZE of malloc's arena.c, 64 bit
_INVITE_SECONDS = 1.1 / INVITES_A_SECOND  # the box hears no more of one account's


def many_calls(plan: Plan) -> list[Figure]:
    """Resident memory of the core over 1,000 calls, each dialled, answered, joined to its sound and hung up.

    Three telephones call at the same time. The first 60 calls are not counted: caches fill. The growth is the median
    of the last fifth less that of the first, scaled to 1,000 calls.
    """
    count = plan.times(1000, 60)
    with Calling(_LINES) as calling:
        calling.make(_WARM_CALLS if not plan.quick else 15)
        before = handles(calling.box.pid("core"))
        began = time.monotonic()
        seen: list[float] = []

        def look(done: int) -> None:
            if done % _EVERY == 0:
                seen.append(memory_mb(calling.box.pid("core"))["rss"])

        calling.make(count, look)
        took = time.monotonic() - began
        time.sleep(plan.seconds(40, 3))  # dialogs linger for 32 s (RFC 3261 17.1.1.2)
        after = handles(calling.box.pid("core"))
        failures = calling.failures
    fifth = max(1, len(seen) // 5)
    grown = median(seen[-fifth:]) - median(seen[:fifth])
    share = (len(seen) - fifth) / max(1, len(seen))
    return [
        Figure(
            "core's memory, growth over 1,000 calls",
            "MB",
            grown / share * 1000 / count if share else None,
            goal=1,
            beside=f"from {seen[0]:.2f} to {seen[-1]:.2f} MB in {count} calls; files, threads {before}, then {after}",
            note=f"{count} calls by {_LINES} telephones in {took / 60:.1f} min, {len(failures)} of them failed",
            raw={"mb": seen, "before": before, "after": after, "failures": failures},
        )
    ]


def handles(pid: int) -> tuple[int, int]:
    """Open files and threads of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), len(list(Path(f"/proc/{pid}/task").iterdir()))


def thread_heaps(pid: int) -> int:
    """Malloc heaps of a process besides the main one: glibc lays each at a multiple of 64 MB of its own."""
    maps = (line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    starts = (int(fields[0].split("-")[0], 16) for fields in maps if len(fields) == _NAMELESS and fields[1] == "rw-p")
    return sum(start % _HEAP_BYTES == 0 for start in starts)


class Calling:
    """`with Calling(3) as calling: calling.make(100)`: a box whose telephones call a far end that answers at once."""

    def __init__(self, lines: int) -> None:
        self.failures: list[str] = []
        self._peer = BenchPeer()
        self._far = FarEnd()
        self.box = RunningBox(self._peer.account, more_telephones=[()] * (lines - 1))
        self._ending = threading.Event()
        self._answering = threading.Thread(target=self._answer, daemon=True)
        self._lock = threading.Lock()
        self._left = self._done = 0

    def __enter__(self) -> Self:
        self._far.__enter__()
        self._answering.start()
        try:
            self.box.__enter__()
            self.box.wait_registered("bench")
            settle(self.box)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.box.stop()
        self._ending.set()
        self._answering.join(2)
        self._far.__exit__()
        self._peer.close()

    def make(self, count: int, look: Callable[[int], None] = lambda _done: None) -> None:
        """So many calls from here on; `look` with how many are done, after each."""
        self._left, self._done = count, 0
        hands = [threading.Thread(target=self._hand, args=(line, look), daemon=True) for line in self.box.phones]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()

    def ring_in_vain(self, count: int) -> None:
        """So many calls to the box that ring and are given up. AssertionError for one that did not ring or end."""
        for _ in range(count):
            dialog = self._peer.invite(self._peer.box)
            self._until(dialog.call_id, 180)
            self._peer.cancel(self._peer.box, dialog)
            self._until(dialog.call_id, 487)
            time.sleep(_INVITE_SECONDS)

    def _until(self, call_id: str, status: int) -> None:
        def came() -> bool:
            return any(p.message.status == status and p.message.call_id == call_id for p in self._peer.received)

        wait_until(came, 10, f"a {status}")

    def _hand(self, line: int, look: Callable[[int], None]) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                self._left -= 1
            try:
                self._call(line)
            except Exception as error:  # noqa: BLE001 whatever it was, it is counted, and the next call is made
                self.failures.append(f"{type(error).__name__}: {error}"[:200])
            with self._lock:
                self._done += 1
                look(self._done)

    def _call(self, line: int) -> None:
        phone = self.box.phones[line]
        try:
            phone.lift()
            phone.wait("dial-tone", 10)
            phone.dial(_NUMBER, on=_KEYS_MS, off=_KEYS_MS)
            self.box.state("talking", line=line)
        finally:
            phone.hangup()
        self.box.state("idle", line=line)

    def _answer(self) -> None:
        number = 0
        while not self._ending.is_set():
            for packet in self._peer.nothing(0.01):
                if packet.message.method == "INVITE":
                    number += 1
                    self._peer.reply(packet, 200, "OK", body=self._peer.sdp(self._far.port), tag=f"peer{number}")
                elif packet.message.method == "BYE":
                    self._peer.reply(packet, 200, "OK")
            del self._peer.received[:-50]
