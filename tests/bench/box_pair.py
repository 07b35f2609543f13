"""Two boxes in a call with each other, all their sound by way of one relay: what each telephone says and hears.

Each registers with a scripted provider of its own, and those two join the call: the one's INVITE becomes the other's,
with the relay's ports in the session descriptions. So the weather is on the wire between the boxes, both ways.
"""

from __future__ import annotations

import time
import wave
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.lateness import frames_counted
from tests.bench.native_roundtrip import BURST_EVERY, write_bursts
from tests.bench.peer import BenchPeer
from tests.bench.weather import NUMBER, rtp_of
from tests.fakes.udp_relay import UdpRelay
from tests.fakes.udp_schedule import Network
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.speech_score import RATE, Samples

_RING_SECONDS = 15.0
SETTLE_SECONDS = 4.0
"""What is not recorded. A telephone stands still while it loads what it is to say, and three seconds later gives up,
once, what its own buffer holds too much: not a box's doing."""


@dataclass(frozen=True, slots=True)
class End:
    """One of the two: the box, its provider, and how the telephone is told of in a file's name."""

    box: RunningBox
    peer: BenchPeer
    name: str


@dataclass(frozen=True, slots=True)
class Ear:
    """What one telephone heard, and what its box says of the call. `started_at`: of the first sample, monotonic."""

    samples: Samples
    started_at: float
    row: dict[str, Any]
    telephone: dict[str, int]


class BoxPair:
    """Made by `box_pair`. `caller` and `callee` are fixed; a call is a `with pair.call(network, seed) as relay:`."""

    def __init__(self, caller: End, callee: End) -> None:
        self.caller = caller
        self.callee = callee

    @property
    def ends(self) -> tuple[End, End]:
        """The caller's, the callee's."""
        return self.caller, self.callee

    @contextmanager
    def call(self, network: Network, seed: int) -> Iterator[UdpRelay]:
        """A call in which both talk; over when the block is. `inward` of the relay is what the caller hears."""
        one, other = self.caller, self.callee
        with UdpRelay(inward=network, outward=network, seed=seed) as relay:
            one.box.phone.lift()
            one.box.phone.wait("dial-tone", 10)
            one.box.phone.dial(NUMBER)
            invite = one.peer.expect("INVITE", 15)
            relay.face(rtp_of(invite))
            rings = other.box.phone.begin_wait("ring", _RING_SECONDS)
            dialog = other.peer.invite(other.peer.box, body=other.peer.sdp(relay.far_port))
            rings.result()
            other.box.phone.lift()
            accepted = other.peer.expect(200, 10)
            dialog.remote = accepted.message.first("to")
            other.peer.ack(other.peer.box, dialog)
            one.peer.reply(invite, 200, "OK", body=one.peer.sdp(relay.near_port))
            one.peer.expect("ACK")
            for end in self.ends:
                end.box.state("talking")
            yield relay
            for end in self.ends:
                end.box.phone.hangup()
                end.peer.reply(end.peer.expect("BYE"), 200, "OK")
                end.box.state("idle")
                end.peer.nothing(0)

    def exchange(self, said: tuple[Samples, Samples], network: Network, seed: int, folder: Path) -> tuple[Ear, Ear]:
        """Both say theirs at once and hear the other; recorded at both telephones, but for the first SETTLE_SECONDS."""
        seconds = max(map(len, said)) / RATE - SETTLE_SECONDS
        mouths = [folder / f"{end.name}-mouth-{seed}.wav" for end in self.ends]
        ears = [folder / f"{end.name}-ear-{seed}.wav" for end in self.ends]
        for path, samples in zip(mouths, said, strict=True):
            _write(path, samples)
        with self.call(network, seed):
            playing = [end.box.phone.begin_play(path) for end, path in zip(self.ends, mouths, strict=True)]
            time.sleep(SETTLE_SECONDS)
            before = [end.box.phone.state() for end in self.ends]
            heard = [end.box.phone.begin_record(path, seconds) for end, path in zip(self.ends, ears, strict=True)]
            for play in playing:
                play.result()
            started = [float(record.result()["started_at"]) for record in heard]
            after = [end.box.phone.state() for end in self.ends]
        told = []
        for end, path, at, first, last in zip(self.ends, ears, started, before, after, strict=True):
            row = dict(end.box.client.calls({"limit": 1, "plot": True})[0])
            told.append(Ear(speech_score.read(path), at, row, frames_counted(first, last)))
        return told[0], told[1]

    def delays(self, network: Network, seed: int, count: int, folder: Path) -> tuple[list[float], list[float]]:
        """Milliseconds from a burst spoken at one telephone to the same heard at the other: caller to callee, and back.

        One way after the other. ValueError if nothing is heard.
        """
        path = folder / f"bursts-{seed}.wav"
        burst = write_bursts(path)
        _write(path, np.concatenate([np.zeros(2 * RATE), np.tile(speech_score.read(path), count)]).astype(np.int16))
        found = []
        with self.call(network, seed):
            for mouth, ear in (self.ends, self.ends[::-1]):
                heard = folder / f"{ear.name}-burst-{seed}.wav"
                # Two seconds of silence first: in them a buffer finds its depth.
                recording = ear.box.phone.begin_record(heard, 2 + count * BURST_EVERY + 0.8)
                spoken = mouth.box.phone.play(path)
                began = float(recording.result()["started_at"])
                found.append(
                    _ways(speech_score.read(heard), burst, (float(spoken["started_at"]) + 2 - began) * RATE, count)
                )
        return found[0], found[1]


def _ways(heard: Samples, burst: np.ndarray[Any, np.dtype[np.float64]], first: float, count: int) -> list[float]:
    """Each burst's way in ms: it left at sample `first` of the recording, the next `BURST_EVERY` later."""
    match = np.abs(np.correlate(heard.astype(float), burst, "valid"))
    ways = []
    for number in range(count):
        left = first + number * BURST_EVERY * RATE
        window = match[max(0, int(left)) : int(left + 0.45 * RATE)]
        if window.size and window.max() > match.max() / 4:
            ways.append(round((max(0, int(left)) + int(window.argmax()) - left) * 1000 / RATE, 2))
    if not ways:
        raise ValueError("no burst was heard")
    return ways


@contextmanager
def box_pair(*telephone: str, settings: Mapping[str, str] | None = None) -> Iterator[BoxPair]:
    """Two boxes, up and registered, not waiting for their sentences.

    `telephone`: arguments of both telephones, `settings` of both boxes.
    """
    with ExitStack() as stack:

        def end(name: str) -> End:
            peer = BenchPeer()
            stack.callback(peer.close)
            box = stack.enter_context(RunningBox(peer.account, telephone=telephone, settings=settings))
            return End(box, peer, name)

        pair = BoxPair(end("caller"), end("callee"))
        with ThreadPoolExecutor(2) as both:
            list(both.map(lambda one: one.box.wait_registered("bench"), pair.ends))
        yield pair


def _write(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
