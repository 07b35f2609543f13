"""Calls through a bad network: a far end that says a clip through the relay to the box, or to pjsua2 alone.

Both hear the same packets: the relay's dice hang on the seed and the packet's number, and the packets are
counted from the far end's first, which leaves once the call is answered.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pesq import pesq

from tests.bench.peer import BenchPeer
from tests.fakes.far_end import FarEnd
from tests.fakes.sip_peer import Packet
from tests.fakes.udp_relay import UdpRelay
from tests.fakes.udp_schedule import Network
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.speech_score import Samples

NUMBER = "0142685300"
LEAD_SECONDS = 1.0  # of silence before a clip, in which buffers find their depth
TAIL_SECONDS = 0.8
_CHECKOUT = Path(__file__).resolve().parents[2]
_START_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Reception:
    """What came out at the end of the way. `machine_ms`: the worst moment of the far end and the relay."""

    samples: Samples
    machine_ms: float
    details: dict[str, Any]


def rtp_of(packet: Packet) -> tuple[str, int]:
    """Where a session description wants its sound. ValueError without any."""
    where = re.search(r"^c=IN IP4 (\S+)", packet.text, re.MULTILINE)
    port = re.search(r"^m=audio (\d+)", packet.text, re.MULTILINE)
    if where is None or port is None:
        raise ValueError(f"no sound in this message:\n{packet.text}")
    return where[1], int(port[1])


def take(peer: BenchPeer, relay: UdpRelay, seconds: float = 15) -> Packet:
    """Answer the next INVITE, its sound by way of the relay."""
    invite = peer.expect("INVITE", seconds)
    relay.face(rtp_of(invite))
    peer.reply(invite, 200, "OK", body=peer.sdp(relay.near_port))
    peer.expect("ACK")
    return invite


def end_call(box: RunningBox, peer: BenchPeer) -> None:
    """Handset down. The BYE may have come twice meanwhile: no later call is to take it for its own."""
    box.phone.hangup()
    peer.reply(peer.expect("BYE"), 200, "OK")
    box.state("idle")
    peer.nothing(0)


def _length(said: Samples) -> float:
    return LEAD_SECONDS + len(said) / speech_score.RATE + TAIL_SECONDS


def _say(far: FarEnd, relay: UdpRelay, said: Samples) -> None:
    far.start(("127.0.0.1", relay.far_port))
    far.say(np.pad(said, (int(LEAD_SECONDS * speech_score.RATE), 0)))
    time.sleep(TAIL_SECONDS)


def _machine_ms(far: FarEnd, relay: UdpRelay) -> float:
    return max(relay.latest_ms, far.longest_gap * 1000 - 20)


def box_hears(box: RunningBox, peer: BenchPeer, said: Samples, network: Network, seed: int, folder: Path) -> Reception:
    """One call from the telephone; what its earpiece got."""
    recording = folder / f"box-{time.monotonic_ns()}.wav"
    with FarEnd() as far, UdpRelay(far=("127.0.0.1", far.port), inward=network, seed=seed) as relay:
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial(NUMBER)
        take(peer, relay)
        box.state("talking")
        heard = box.phone.begin_record(recording, _length(said))
        _say(far, relay, said)
        heard.result()
        end_call(box, peer)
        late = _machine_ms(far, relay)
        counts = relay.inward
    return Reception(speech_score.read(recording), late, {"came": counts[0], "passed": counts[1]})


def native_hears(
    peer: BenchPeer,
    said: Samples,
    network: Network,
    seed: int,
    folder: Path,
    *,
    jitter: Sequence[int] = (0, 0, -1, -1),
    discard: int | None = None,
) -> Reception:
    """The same by pjsua2's own receiver and recorder, in a process of its own."""
    recording = folder / f"native-{time.monotonic_ns()}.wav"
    with FarEnd() as far, UdpRelay(far=("127.0.0.1", far.port), inward=network, seed=seed) as relay:
        listener = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.bench.native_listener", "--server", peer.server),
                *("--seconds", str(_length(said)), "--record", str(recording)),
                *("--jitter", *map(str, jitter)),
                *(() if discard is None else ("--discard", str(discard))),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=_CHECKOUT,
        )
        try:
            take(peer, relay)
            _say(far, relay, said)
            bye = peer.expect("BYE", _START_SECONDS + 5)
            peer.reply(bye, 200, "OK")
            out, problems = listener.communicate(timeout=10)
        finally:
            listener.kill()
            listener.wait()
        late = _machine_ms(far, relay)
        counts = relay.inward
    if listener.returncode:
        raise RuntimeError(f"pjsua2 alone failed: {problems[-500:]}")
    details = json.loads(out.splitlines()[-1]) | {"came": counts[0], "passed": counts[1]}
    return Reception(speech_score.read(recording), late, details)


@contextmanager
def weather_box() -> Iterator[tuple[RunningBox, BenchPeer]]:
    """A box registered with a peer, not waiting for its sentences."""
    peer = BenchPeer()
    try:
        with RunningBox(peer.account) as box:
            box.wait_registered("bench")
            yield box, peer
    finally:
        peer.close()


def quality(said: Samples, heard: Samples) -> float:
    """PESQ of what was heard, laid over what was said."""
    cut, _ = speech_score.aligned(said, heard)
    return float(pesq(speech_score.RATE, said, cut, "nb"))
