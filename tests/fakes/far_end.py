"""A far end in RTP: says a recording in A-law packets of 20 ms, paced, and keeps what comes with its moment."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

PACKET_SAMPLES = 160
PACKET_SECONDS = 0.02
RATE = 8000
_PCMA = 8
_HEADER = struct.Struct("!BBHII")  # RFC 3550 5.1
_QUIET_CODE = 0xD5
_SSRC = 0xFA4E4D

Samples = NDArray[np.int16]


def a_law_codes(samples: Samples) -> bytes:
    """G.711 A-law, a byte a sample, even bits inverted. `samples`: 16 bits."""
    wide = samples.astype(np.int32)
    magnitude = np.where(wide < 0, -wide - 1, wide).clip(0, 32767)
    segment = np.zeros_like(magnitude)
    for bit in range(8, 15):
        segment += magnitude >= 1 << bit
    step = magnitude >> np.maximum(segment + 3, 4) & 0x0F
    coded = segment << 4 | step | np.where(wide < 0, 0, 0x80)
    return bytes((coded ^ 0x55).astype(np.uint8))


def a_law_samples(codes: bytes) -> Samples:
    """And back: the middle of each step."""
    code = np.frombuffer(codes, np.uint8).astype(np.int32) ^ 0x55
    segment, step = code >> 4 & 7, code & 0x0F
    magnitude = np.where(segment, (step + 16.5) * 2.0 ** (segment + 3), (step + 0.5) * 16)
    signed: Samples = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return signed


@dataclass(frozen=True, slots=True)
class Heard:
    """A packet with sound that came: RTP timestamp, samples, monotonic seconds."""

    timestamp: int
    samples: Samples
    at: float


class FarEnd:
    """`with FarEnd() as far:` listens on `port`; `say` speaks, silence between.

    Packets go to `to` from `start` on without a break, as a telephone's do.
    """

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.sent_at: list[float] = []  # of each packet, monotonic seconds
        self.longest_gap = 0.0  # between two packets of ours: the machine's share
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = int(self._socket.getsockname()[1])
        self._speech = b""
        self._place = 0  # in `_speech`, of the next packet
        self._first = -1  # of the packets, with the beginning of `_speech`
        self._said = threading.Event()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    def start(self, to: tuple[str, int]) -> None:
        """Send packets from now on."""
        speaker = threading.Thread(target=self._speak, args=(to,), daemon=True)
        self._threads.append(speaker)
        speaker.start()

    def say(self, samples: Samples) -> int:
        """Say `samples` from the next packet on; the number of that packet, once the last has left."""
        with self._lock:
            self._speech, self._place, self._first = a_law_codes(samples), 0, -1
            self._said.clear()
        self._said.wait(len(samples) / RATE + 10)
        return max(self._first, 0)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(2)
        self._socket.close()

    def _next(self) -> bytes:
        with self._lock:
            if self._speech and self._first < 0:
                self._first = len(self.sent_at)
            codes = self._speech[self._place : self._place + PACKET_SAMPLES]
            self._place += PACKET_SAMPLES
            if self._place >= len(self._speech):
                self._said.set()
        return codes.ljust(PACKET_SAMPLES, bytes([_QUIET_CODE]))

    def _speak(self, to: tuple[str, int]) -> None:
        due, number = time.monotonic(), 0
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            head = _HEADER.pack(0x80, _PCMA, number & 0xFFFF, number * PACKET_SAMPLES & 0xFFFFFFFF, _SSRC)
            self._socket.sendto(head + self._next(), to)
            now = time.monotonic()
            if self.sent_at:
                self.longest_gap = max(self.longest_gap, now - self.sent_at[-1])
            self.sent_at.append(now)
            number += 1
            due += PACKET_SECONDS

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                packet = self._socket.recv(2000)
            except OSError:
                continue
            now = time.monotonic()
            if len(packet) > _HEADER.size and packet[1] & 0x7F == _PCMA:
                timestamp = int(_HEADER.unpack_from(packet)[3])
                self.heard.append(Heard(timestamp, a_law_samples(packet[_HEADER.size :]), now))
