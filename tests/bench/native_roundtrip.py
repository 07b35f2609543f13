"""Round trip of sound over SIP and RTP with pjsua2's own player and recorder, against the exchange's echo.

The figure beside which the box's own round trip is read: the same path without telephone, line and
Python on the way of the voice. Prints one line of JSON.

    python tests/bench/native_roundtrip.py [--seconds 30] [--server HOST:PORT --user U --password-file F]

Without --server it starts an exchange of its own. A noise burst is played into the call and, in
the same bridge, into the recorder; the recorder mixes in what the echo returns. The lag between
the two is the round trip.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import platform
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pjsua2 as pj

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from firmware.exchange.account import REALM
from tests.system.peer_exchange import TestExchange

RATE = 8000
BURST_EVERY = 0.5
BURST_SECONDS = 0.05
LONGEST = 0.4
GUARD = RATE // 200
DISCARDS = (0, 1, 2)  # pjmedia_jb_discard_algo: none, static, progressive (the library's own)


def write_bursts(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Half a second with one noise burst at its start, to be repeated; the burst."""
    burst: np.ndarray[Any, np.dtype[np.float64]] = 6000 * np.random.default_rng(1).standard_normal(
        int(BURST_SECONDS * RATE)
    )
    whole = np.zeros(int(BURST_EVERY * RATE))
    whole[: len(burst)] = burst.clip(-20000, 20000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(whole.astype("<i2").tobytes())
    return burst


def lags_ms(recording: Path, burst: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """For each burst heard directly, how much later its echo comes."""
    with wave.open(str(recording), "rb") as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    match = np.correlate(heard, burst, "valid")
    threshold = match.max() / 4
    peaks: list[int] = []
    while match.max() > threshold:
        peak = int(match.argmax())
        peaks.append(peak)
        match[max(0, peak - GUARD) : peak + GUARD] = 0
    peaks.sort()
    # A direct burst follows half a second after the last; what is nearer is an echo.
    lags, direct = [], None
    for peak in peaks:
        if direct is None or peak - direct > LONGEST * RATE:
            direct = peak
        else:
            lags.append((peak - direct) / RATE * 1000)
    return lags


class Listener(pj.Call):
    """A call whose sound is wanted."""

    def __init__(self, account: pj.Account) -> None:
        super().__init__(account)
        self.media: pj.AudioMedia | None = None
        self.over = ""

    def onCallState(self, _prm: pj.OnCallStateParam) -> None:  # noqa: N802 - pjsua2's name
        """Called by pjsua2."""
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.over = f"{info.lastStatusCode} {info.lastReason}"

    def onCallMediaState(self, _prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802 - pjsua2's name
        """Called by pjsua2."""
        info = self.getInfo()  # held: its media list lives no longer than it
        if info.media[0].status == pj.PJSUA_CALL_MEDIA_ACTIVE:
            self.media = self.getAudioMedia(0)


def _discard(known: Any, wanted: int) -> Any:
    """`wanted` as pjsua2 takes it: 2.15.1 hands out a copy of the enum, in memory that is ours, and takes one back."""
    if isinstance(known, int):
        return wanted
    value = ctypes.c_int.from_address(int(known))
    if value.value != DISCARDS[-1]:
        raise RuntimeError("pjsua2's discard algorithm is not where it was, or not what it was")
    value.value = wanted
    return known


@contextlib.contextmanager
def endpoint(
    frame_ms: int, jitter: tuple[int, ...] = (0, 0, -1, -1), discard: int | None = None
) -> Iterator[pj.Endpoint]:
    """pjsua2 with the settings for least delay (null device, 8 kHz, a jitter buffer that begins with nothing).

    `jitter`: the buffer's jbInit, jbMinPre, jbMaxPre, jbMax in ms, -1 for the library's own; `discard`: of DISCARDS,
    None for the library's own.
    """
    library = pj.Endpoint()
    library.libCreate()
    settings = pj.EpConfig()
    settings.logConfig.level = settings.logConfig.consoleLevel = 1
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    media = settings.medConfig
    media.clockRate = media.sndClockRate = RATE
    media.audioFramePtime = frame_ms
    media.ecTailLen = 0
    media.jbInit, media.jbMinPre, media.jbMaxPre, media.jbMax = jitter
    if discard is not None:
        media.jbDiscardAlgo = _discard(media.jbDiscardAlgo, discard)
    media.noVad = True
    library.libInit(settings)
    transport = pj.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    library.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    library.audDevManager().setNullDev()
    for codec in library.codecEnum2():
        library.codecSetPriority(codec.codecId, 200 if codec.codecId == "PCMA/8000/1" else 0)
    library.libStart()
    try:
        yield library
    finally:
        library.libDestroy()


def _talk(library: pj.Endpoint, sound: Path, recording: Path, how: dict[str, Any]) -> float:
    """Call the echo, play and record; this process's CPU as a fraction of a core.

    Every object of pjsua2 is gone when this returns: they must not outlive the library.
    """
    server, user = how["server"], how["user"]
    settings = pj.AccountConfig()
    settings.idUri = f"<sip:{user}@{server}>"
    settings.sipConfig.authCreds.append(pj.AuthCredInfo("Digest", REALM, user, 0, how["password"]))
    settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account = pj.Account()
    account.create(settings)
    call = Listener(account)
    call.makeCall(f"sip:{how['number']}@{server}", pj.CallOpParam(True))  # noqa: FBT003 - by place only
    deadline = time.monotonic() + 10
    while call.media is None and not call.over and time.monotonic() < deadline:
        library.libHandleEvents(10)
    if call.media is None:
        print(f"the echo did not answer: {call.over or 'timeout'}", file=sys.stderr)
        return 0.0
    player, recorder = pj.AudioMediaPlayer(), pj.AudioMediaRecorder()
    player.createPlayer(str(sound))
    recorder.createRecorder(str(recording))
    player.startTransmit(call.media)
    player.startTransmit(recorder)
    call.media.startTransmit(recorder)
    started, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - started < how["seconds"] and not call.over:
        library.libHandleEvents(200)
    cpu = (time.process_time() - cpu) / (time.monotonic() - started)
    call.hangup(pj.CallOpParam())
    deadline = time.monotonic() + 5
    while not call.over and time.monotonic() < deadline:
        library.libHandleEvents(10)
    return cpu


def measure(frame_ms: int, **how: Any) -> dict[str, Any]:
    """Call the echo with `how` = server, user, password, number, seconds: the lags and the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        sound, recording = Path(folder, "bursts.wav"), Path(folder, "heard.wav")
        burst = write_bursts(sound)
        with endpoint(frame_ms) as library:
            cpu = _talk(library, sound, recording, how)
        lags = lags_ms(recording, burst) if recording.exists() else []
    if not lags:
        raise RuntimeError("no echo was heard")
    return {
        "frame_ms": frame_ms,
        "bursts": len(lags),
        "median_ms": round(float(np.median(lags)), 2),
        "p99_ms": round(float(np.percentile(lags, 99)), 2),
        "lowest_ms": round(min(lags), 2),
        "highest_ms": round(max(lags), 2),
        "cpu_percent_of_a_core": round(100 * cpu, 2),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Native round trip against the test exchange's echo.")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--frame-ms", type=int, default=10, choices=(10, 20))
    parser.add_argument("--number", default="0199000001")
    parser.add_argument("--server", default="", metavar="HOST:PORT")
    parser.add_argument("--user", default="allobox")
    parser.add_argument("--password-file", type=Path)
    given = parser.parse_args()
    what = {"number": given.number, "seconds": given.seconds}
    if given.server:
        if given.password_file is None:
            parser.error("--server needs --password-file")
        password = given.password_file.read_text().strip()
        result = measure(given.frame_ms, server=given.server, user=given.user, password=password, **what)
    else:
        with TestExchange() as exchange:
            result = measure(
                given.frame_ms, server=exchange.server, user=exchange.user, password=exchange.password, **what
            )
    print(json.dumps({"figure": "native round trip", "machine": platform.processor() or platform.machine(), **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
