"""The far end of the bench's calls: a registrar and provider that stamps what comes, and a talker in RTP.

Stamps are CLOCK_MONOTONIC, taken in the receiving thread right after the datagram was read (and a
SIP message parsed, some 0.1 ms); the telephone's marks are of the same clock.
"""

from __future__ import annotations

import math
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from firmware.service import AccountDraft
from tests.fakes.sip_peer import Packet, SipPeer
from tests.system.box import RunningBox

_PACKET_SECONDS = 0.02
_PACKET_SAMPLES = 160
_PCMA = 8
# Magnitude code of 2048 of 32767: half a telephone's tone, and well above what its hybrid gives back of ours.
_LOUD_CODE = 0x40


def _alaw(sample: int) -> int:
    """ITU-T G.711, from 16 bits."""
    magnitude = abs(sample)
    segment = (magnitude >> 8).bit_length()
    code = segment << 4 | magnitude >> (segment + 3 if segment else 4) & 0x0F
    return (code | (0x80 if sample >= 0 else 0)) ^ 0x55


# 500 Hz: sixteen samples a turn.
_TURN = bytes(_alaw(round(8000 * math.sin(2 * math.pi * n / 16))) for n in range(16))


class _Stamped(list[Packet]):
    """Received messages, each with when it came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[int, float] = {}

    def append(self, packet: Packet) -> None:
        self.times[id(packet)] = time.monotonic()  # the packet is kept, so its id stays its own
        super().append(packet)


class BenchPeer(SipPeer):
    """A `SipPeer` that knows when each message came and where the box is."""

    def __init__(self) -> None:
        super().__init__()
        self._stamped = self.received = _Stamped()

    def came_at(self, packet: Packet) -> float:
        """Monotonic seconds."""
        return self._stamped.times[id(packet)]

    @property
    def box(self) -> tuple[str, int]:
        """Where the box registered from."""
        return self.registrations[-1].source

    @property
    def account(self) -> AccountDraft:
        """What the box needs to register here."""
        return {
            "name": "bench",
            "server": self.server,
            "user": self.rules.user,
            "password": self.rules.password,
        }


@contextmanager
def box_and_peer() -> Iterator[tuple[RunningBox, BenchPeer]]:
    """A box registered with a peer, its sentences spoken (so that no process works beside the first call)."""
    peer = BenchPeer()
    try:
        with RunningBox(peer.account) as box:
            box.wait_registered("bench")
            settle(box)
            yield box, peer
    finally:
        peer.close()


def settle(box: RunningBox) -> None:
    """Until what a box does once after its start is done."""
    deadline = time.monotonic() + 60
    while "announcements ready" not in box.log() and time.monotonic() < deadline:
        time.sleep(0.2)


def hang_up(box: RunningBox) -> None:
    """Handset down, and the line back to idle (a hook's flash window later)."""
    box.phone.hangup()
    box.state("idle")


class Talker:
    """One end of an RTP stream in A-law: speaks 500 Hz in 20 ms packets from `start` on, and listens.

    `first_voice`: when the first packet that carries sound arrived, None before.
    """

    def __init__(self) -> None:
        self.first_voice: float | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port = int(self._socket.getsockname()[1])
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

    def start(self, answer: Packet) -> None:
        """Speak to where a 200's session description says, the first packet now."""
        where = re.search(r"^c=IN IP4 (\S+)", answer.text, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", answer.text, re.MULTILINE)
        if where is None or port is None:
            raise ValueError(f"no sound in this answer:\n{answer.text}")
        speaker = threading.Thread(target=self._speak, args=((where[1], int(port[1])),), daemon=True)
        self._threads.append(speaker)
        speaker.start()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(2)
        self._socket.close()

    def _speak(self, to: tuple[str, int]) -> None:
        payload = _TURN * (_PACKET_SAMPLES // len(_TURN))
        due, sequence = time.monotonic(), 0
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            head = struct.pack("!BBHII", 0x80, _PCMA, sequence & 0xFFFF, sequence * _PACKET_SAMPLES, 0xA110)
            self._socket.sendto(head + payload, to)
            sequence += 1
            due += _PACKET_SECONDS

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                packet = self._socket.recv(2000)
            except TimeoutError:
                continue
            except OSError:
                return
            now = time.monotonic()
            voice = len(packet) > 12 and packet[1] & 0x7F == _PCMA
            if voice and self.first_voice is None and max((b ^ 0x55) & 0x7F for b in packet[12:]) >= _LOUD_CODE:
                self.first_voice = now
