"""A far end that echoes RTP, loses what it is told to, and answers RTCP (RFC 3550)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Self

_SR, _RR = 200, 201  # RFC 3550 12.1


class FarEnd:
    """Echoes RTP, but for every `lose_every`-th packet, and every `double_every`-th twice; answers each sender report
    after `wait` seconds.

    Its receiver reports say that `missing` packets were lost; LSR as RFC 3550 6.4.1 wants it, and the least DLSR that
    the stack does not take for none: the wait is the network's.
    """

    def __init__(self, *, lose_every: int = 0, double_every: int = 0, missing: int = 0, wait: float = 0.0) -> None:
        self.lose_every, self.double_every, self.missing, self.wait = lose_every, double_every, missing, wait
        self.reports = 0
        while True:  # an even port and the next one, both free
            self._rtp, self._rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
            self._rtp.bind(("127.0.0.1", 0))
            self.port = self._rtp.getsockname()[1]
            with contextlib.suppress(OSError):
                if self.port % 2 == 0:
                    self._rtcp.bind(("127.0.0.1", self.port + 1))
                    break
            self._rtp.close()
            self._rtcp.close()
        self._ending = False
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._echo, self._report)]

    def __enter__(self) -> Self:
        for sock in (self._rtp, self._rtcp):
            sock.settimeout(0.2)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        for thread in self._threads:
            thread.join(2)
        self._rtp.close()
        self._rtcp.close()

    def _packets(self, sock: socket.socket) -> Iterator[tuple[bytes, tuple[str, int]]]:
        while not self._ending:
            with contextlib.suppress(TimeoutError):
                yield sock.recvfrom(2000)

    def _echo(self) -> None:
        for packet, source in self._packets(self._rtp):
            number = struct.unpack(">H", packet[2:4])[0] if len(packet) > 12 else 0
            if packet[1] & 0x7F == 8 and not (self.lose_every and number % self.lose_every == 0):
                for _ in range(2 if self.double_every and number % self.double_every == 0 else 1):
                    self._rtp.sendto(packet, source)

    def _report(self) -> None:
        for packet, source in self._packets(self._rtcp):
            if len(packet) < 28 or packet[1] != _SR:
                continue
            ours, ntp_high, ntp_low = struct.unpack(">III", packet[4:16])
            lsr = (ntp_high & 0xFFFF) << 16 | ntp_low >> 16
            time.sleep(self.wait)
            block = struct.pack(">IIIIII", ours, self.missing, 0, 0, lsr, 1)
            self._rtcp.sendto(struct.pack(">BBHI", 0x81, _RR, 7, 0xABCD) + block, source)
            self.reports += 1
