"""A line at 16 kHz: what of the voice's upper half goes from the telephone to the far end and back, by codec."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.bench.peer import BenchPeer
from tests.fakes.sip_peer import RtpEcho
from tests.system.box import RunningBox

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

RATE = 16_000
NUMBER = "0142685300"
LOW_HZ, HIGH_HZ = 1000.0, 5000.0


@pytest.fixture(scope="module")
def ends() -> Iterator[tuple[RunningBox, BenchPeer]]:
    peer = BenchPeer()
    account = {**peer.account, "codecs": ["G722", "PCMA"]}
    try:
        # A steady tone that comes back from the far end is an echo to any canceller.
        settings = {"line.sample_rate": "16000", "line.echo_canceller": "off"}
        with RunningBox(account, settings=settings) as box:
            box.wait_registered("bench")
            yield box, peer
    finally:
        peer.close()


def tones(path: Path, seconds: float) -> Path:
    times = np.arange(round(seconds * RATE)) / RATE
    both = 4000 * np.sin(2 * np.pi * LOW_HZ * times) + 4000 * np.sin(2 * np.pi * HIGH_HZ * times)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(both.astype("<i2").tobytes())
    return path


def levels(path: Path) -> tuple[float, float]:
    """dB of both tones in the loudest second of what the telephone recorded."""
    with wave.open(str(path), "rb") as file:
        assert file.getframerate() == RATE
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    pieces = [samples[at : at + RATE] for at in range(0, len(samples) - RATE + 1, RATE // 4)]
    loudest = max(pieces, key=lambda piece: float(np.sum(piece**2))) * np.hanning(RATE)
    spectrum = np.abs(np.fft.rfft(loudest)) * 4 / RATE
    return tuple(20 * np.log10(spectrum[round(hz)] + 1e-3) for hz in (LOW_HZ, HIGH_HZ))


def call(box: RunningBox, peer: BenchPeer, codec: str, folder: Path) -> tuple[tuple[float, float], RtpEcho]:
    """A call to an echo; what comes back of both tones, and what the far end got."""
    recording = folder / "heard.wav"
    with RtpEcho() as echo:
        box.phone.lift()
        box.phone.wait("dial-tone", 10)
        box.phone.dial(NUMBER)
        invite = peer.expect("INVITE", 15)
        peer.reply(invite, 200, "OK", body=peer.sdp(echo.port, codecs=codec))
        peer.expect("ACK")
        box.state("talking")
        recorded = box.phone.begin_record(recording, 2.0)
        box.phone.play(tones(folder / "said.wav", 1.6))
        recorded.result()
        box.phone.hangup()
        peer.reply(peer.expect("BYE"), 200, "OK")
        box.state("idle")
        peer.nothing(0)
    return levels(recording), echo


def test_g722_carries_five_kilohertz_from_mouth_to_ear_and_a_law_does_not(
    ends: tuple[RunningBox, BenchPeer], tmp_path: Path
) -> None:
    (low, high), echo = call(*ends, "9", tmp_path)
    sent = 20 * np.log10(4000)
    assert low == pytest.approx(sent, abs=2)
    assert high == pytest.approx(sent, abs=3)
    assert {len(packet) - 12 for packet in echo.seen if packet[1] & 0x7F == 9} == {160}
    (low, high), _ = call(*ends, "8", tmp_path)
    assert low == pytest.approx(sent, abs=2)
    assert high < sent - 40


def test_a_wide_line_knows_who_calls_and_is_dialled_as_any_other(ends: tuple[RunningBox, BenchPeer]) -> None:
    """Ring, caller ID by FSK, digits by keys: all of it is sound of 8 kHz on a line of 16."""
    box, peer = ends
    peer.invite(peer.box)
    box.phone.wait("caller-id", 15)
    assert box.phone.state()["caller_id"]["number"] == NUMBER
    box.phone.lift()
    answer = peer.expect(200, 10)
    assert "G722/8000" not in answer.message.body, "A-law alone was offered"
    box.phone.hangup()
    box.state("idle")
    peer.nothing(0)
