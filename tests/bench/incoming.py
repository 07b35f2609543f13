"""From the exchange to the hand: ring voltage after an INVITE, voice both ways after the answer."""

from __future__ import annotations

import math
import struct
import tempfile
import time
import wave
from pathlib import Path

from firmware.fxs.hook import HookSettings
from firmware.telephony.sip.admission import INVITES_A_SECOND
from tests.bench.figure import Figure, Plan, spread
from tests.bench.handset import first_sound
from tests.bench.peer import BenchPeer, Talker, box_and_peer
from tests.system.box import RunningBox

_BETWEEN_CALLS = 1.5 / INVITES_A_SECOND  # a faster provider's INVITEs are put off, as a flood's are
_BOUNCE_MS = 5.0  # of the simulated telephone's contacts, at most


def ring(plan: Plan) -> list[Figure]:
    """From before the provider's `sendto` of an INVITE to ring voltage at the telephone's end of the wire.

    Each call is cancelled once it rings.
    """
    took = []
    with box_and_peer() as (box, peer):
        for _ in range(plan.times(40, 6)):
            rings = box.phone.begin_wait("ring", 10)
            sent = time.monotonic()
            dialog = peer.invite(peer.box)
            rings.result()
            took.append((float(box.phone.mark()["ring_on"]) - sent) * 1000)
            peer.cancel(peer.box, dialog)
            peer.expect(487)
            box.state("idle")
            time.sleep(_BETWEEN_CALLS)
    return [spread("INVITE received to ring voltage", took, goal=50, note=f"{len(took)} calls, each cancelled")]


def answer(plan: Plan) -> list[Figure]:
    """From the answer to voice in both directions, the later of the two.

    The answer is the moment from which the box may know that the handset is up: while it rings, ring
    trip asks for 40 ms of closed loop, bounce included, so the figure begins 40 ms less the longest
    bounce after the contacts' last bounce: never later than the box's own decision. Near: until the
    provider's RTP socket gets the first packet with the voice of a telephone that has been talking since
    it was lifted. Far: until the telephone plays the first audible sample of a provider that talks
    from the moment it has the 200.
    """
    trip = HookSettings().trip_closed_ms - _BOUNCE_MS
    near, far = [], []
    with tempfile.TemporaryDirectory() as folder, box_and_peer() as (box, peer):
        speech = Path(folder, "tone.wav")
        _write_tone(speech, 0.6)
        for _ in range(plan.times(30, 5)):
            lifted, voice, sound = _answered(box, peer, speech)
            near.append((voice - lifted) * 1000 - trip)
            far.append((sound - lifted) * 1000 - trip)
    both = [max(pair) for pair in zip(near, far, strict=True)]
    ways = [spread("", way).cells() for way in (near, far)]
    return [
        spread(
            "answer to two-way voice",
            both,
            goal=60,
            beside=f"to the far end {ways[0][1]}, p99 {ways[0][2]}; to the telephone {ways[1][1]}, p99 {ways[1][2]}",
            note=f"{len(both)} calls; ring trip ({trip:g} ms after the last bounce) is not in it",
            raw={"near_ms": near, "far_ms": far},
        )
    ]


def _answered(box: RunningBox, peer: BenchPeer, speech: Path) -> tuple[float, float, float]:
    """One call: when the contacts rested, when the far end heard, when the telephone heard."""
    with Talker() as talker:
        rings = box.phone.begin_wait("ring", 10)
        dialog = peer.invite(peer.box, body=peer.sdp(talker.port))
        rings.result()
        time.sleep(0.3)  # an idle moment of the first ring: nobody lifts within milliseconds
        box.phone.lift()
        talking = box.phone.begin_play(speech)
        accepted = peer.expect(200)
        talker.start(accepted)
        dialog.remote = accepted.message.first("to")
        peer.ack(peer.box, dialog)
        heard = first_sound(box)
        lifted = float(box.phone.mark()["lift_settled"])
        deadline = time.monotonic() + 5
        while talker.first_voice is None and time.monotonic() < deadline:
            time.sleep(0.01)
        voice = talker.first_voice
        talking.result()
        box.phone.hangup()
        peer.reply(peer.expect("BYE"), 200, "OK")
        box.state("idle")
    if voice is None:
        raise TimeoutError("the far end heard nothing for 5 s")
    return lifted, voice, heard


def _write_tone(path: Path, seconds: float) -> None:
    """500 Hz at about -9 dBm0."""
    samples = [round(8000 * math.sin(2 * math.pi * 500 * n / 8000)) for n in range(int(8000 * seconds))]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
