"""Delay from mouth to ear through a network that jitters: two boxes; pjsua2 alone and baresip behind a like relay."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.box_pair import box_pair
from tests.bench.figure import Figure, Plan, median, p99
from tests.bench.native_roundtrip import write_bursts
from tests.bench.peer import BenchPeer
from tests.bench.weather import NUMBER, end_call, rtp_of, take
from tests.fakes.far_end import PACKET_SAMPLES, RATE, FarEnd
from tests.fakes.sip_peer import RtpEcho
from tests.fakes.udp_relay import UdpRelay
from tests.fakes.udp_schedule import Network
from tests.system import speech_score
from tests.system.box import RunningBox
from tests.system.peers import Baresip

GOALS = {0: 60, 20: 90, 60: 150}
_CALM = "mouth to ear between two boxes, no jitter"
_CHECKOUT = Path(__file__).resolve().parents[2]
_SETTLE_SECONDS = 3.0  # in which a buffer finds its depth
_BARESIP_FRAMES = "5-10"  # its own default


def voice_delay(plan: Plan) -> list[Figure]:
    """From a sample spoken at one telephone to the same sample heard at the other, two boxes and the network between.

    One way, mouth to ear: the telephone's frame, a box's way out, 20 ms of packet, the network, the other box's jitter
    buffer and way in; in several calls, each way in turn, for the clocks lie otherwise beside each other in each. Each
    packet is late by its own 0 to N ms, in order. pjsua2 alone: its player and recorder, packets turned back on the
    wire. baresip: from a packet sent to the packet in which it gives the same sound back. Each has its own network
    noise in it, N/2 ms and more.
    """
    figures = []
    with box_pair() as pair, tempfile.TemporaryDirectory() as folder:
        peer = BenchPeer()
        try:
            for jitter, goal in GOALS.items():
                network = Network(jitter_ms=jitter)
                calls = [
                    pair.delays(network, seed=jitter + number, count=plan.times(8, 3), folder=Path(folder))
                    for number in range(plan.times(4, 1))
                ]
                there, back = ([way for call in calls for way in call[end]] for end in (0, 1))
                native = native_delays(peer, network, seed=jitter, seconds=plan.seconds(10, 5))
                other = baresip_delays(network, seed=jitter, count=plan.times(12, 4))
                figures.append(
                    Figure(
                        f"mouth to ear between two boxes, {jitter} ms of jitter" if jitter else _CALM,
                        "ms",
                        median(there + back),
                        p99(there + back),
                        goal=goal,
                        beside=f"pjsua2 alone {native['median_ms']:.0f} ms, baresip {median(other):.0f} ms",
                        note=f"{len(calls)} calls, {len(there)} bursts from the caller ({median(there):.0f} ms), "
                        f"{len(back)} to it ({median(back):.0f} ms); baresip's buffer at its default of "
                        f"{_BARESIP_FRAMES} frames",
                        raw={"to_callee_ms": there, "to_caller_ms": back, "native": native, "baresip": other},
                    )
                )
        finally:
            peer.close()
    return figures


def box_delays(box: RunningBox, peer: BenchPeer, network: Network, *, seed: int, count: int) -> list[float]:
    """Milliseconds of the chirps that came back to one box, turned round on the wire. ValueError if none did."""
    with RtpEcho() as mirror, UdpRelay(far=("127.0.0.1", mirror.port), inward=network, seed=seed) as relay:
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial(NUMBER)
        take(peer, relay)
        box.state("talking")
        time.sleep(_SETTLE_SECONDS)
        trips = [trip for trip in box.phone.roundtrip(count) if trip is not None]
        end_call(box, peer)
    if not trips:
        raise ValueError("no chirp came back")
    return trips


def native_delays(peer: BenchPeer, network: Network, *, seed: int, seconds: float) -> dict[str, Any]:
    """`native_roundtrip` on the same way, in a process of its own."""
    with (
        tempfile.NamedTemporaryFile("w", encoding="utf-8") as secret,
        RtpEcho() as mirror,
        UdpRelay(far=("127.0.0.1", mirror.port), inward=network, seed=seed) as relay,
    ):
        secret.write("none is asked")
        secret.flush()
        talker = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.bench.native_roundtrip", "--server", peer.server),
                *("--user", "native", "--password-file", secret.name, "--seconds", str(seconds)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=_CHECKOUT,
        )
        try:
            take(peer, relay)
            peer.reply(peer.expect("BYE", seconds + 10), 200, "OK")
            out, problems = talker.communicate(timeout=30)
        finally:
            talker.kill()
            talker.wait()
    if talker.returncode:
        raise RuntimeError(f"pjsua2 alone failed: {problems[-500:]}")
    return dict(json.loads(out.splitlines()[-1]))


def baresip_delays(network: Network, *, seed: int, count: int) -> list[float]:
    """Milliseconds from noise bursts in the far end's packets to the same in baresip's. ValueError if none came."""
    peer = BenchPeer()
    try:
        with (
            FarEnd() as far,
            UdpRelay(far=("127.0.0.1", far.port), inward=network, seed=seed) as relay,
            Baresip("echo", audio="echo", record=False, jitter_frames=_BARESIP_FRAMES) as baresip,
        ):
            to = ("127.0.0.1", baresip.port)
            dialog = peer.invite(to, user="echo", body=peer.sdp(relay.near_port))
            accepted = peer.expect(200)
            relay.face(rtp_of(accepted))
            dialog.remote = accepted.message.first("to")
            peer.ack(to, dialog)
            far.start(("127.0.0.1", relay.far_port))
            time.sleep(_SETTLE_SECONDS)
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                burst = write_bursts(Path(file.name))
                first = far.say(np.tile(speech_score.read(Path(file.name)), count))
            time.sleep(0.8)
            found = _burst_delays(far, burst, first, count)
            peer.request("BYE", to, dialog)
    finally:
        peer.close()
    if not found:
        raise ValueError("baresip gave nothing back")
    return found


def _burst_delays(far: FarEnd, burst: np.ndarray[Any, np.dtype[np.float64]], first: int, count: int) -> list[float]:
    """Each burst's way: from the sending of its first packet to the coming of the packet with its first sample."""
    packets = list(far.heard)
    sound = np.concatenate([packet.samples for packet in packets]).astype(float)
    match = np.correlate(sound, burst, "valid")
    starts = np.cumsum([0, *(len(packet.samples) for packet in packets)])
    every = RATE // 2
    delays = []
    for number in range(count):
        sent = far.sent_at[first + number * every // PACKET_SAMPLES]
        came = [n for n, packet in enumerate(packets) if sent <= packet.at <= sent + 0.5]
        if not came:
            continue
        begin, end = int(starts[came[0]]), min(int(starts[came[-1] + 1]), len(match))
        peak = begin + int(match[begin:end].argmax())
        if match[peak] < match.max() / 4:
            continue
        packet = int(np.searchsorted(starts, peak, "right")) - 1
        delays.append(round((packets[packet].at - sent) * 1000 + (peak - int(starts[packet])) * 1000 / RATE, 2))
    return delays
