"""pjsua2 alone at the receiving end: calls, records what its bridge brings, and says how long it took.

The reference beside which the box is heard through a bad network, and the place where settings of the
jitter buffer are tried: no telephone, no line, no Python on the way of the voice. Prints one line of JSON.

    python -m tests.bench.native_listener --server HOST:PORT --record FILE [--jitter 0 0 -1 -1] [--discard 2]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import pjsua2 as pj

from tests.bench.native_roundtrip import DISCARDS, Listener, endpoint


def listen(library: pj.Endpoint, server: str, seconds: float, recording: Path) -> dict[str, object]:
    """One call. Every object of pjsua2 is gone when this returns: they must not outlive the library."""
    settings = pj.AccountConfig()
    settings.idUri = f"<sip:native@{server}>"
    settings.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account = pj.Account()
    account.create(settings)
    call = Listener(account)
    call.makeCall(f"sip:speech@{server}", pj.CallOpParam(True))  # noqa: FBT003 - by place only
    deadline = time.monotonic() + 10
    while call.media is None and not call.over and time.monotonic() < deadline:
        library.libHandleEvents(10)
    if call.media is None:
        raise RuntimeError(f"the far end did not answer: {call.over or 'timeout'}")
    recorder = pj.AudioMediaRecorder()
    recorder.createRecorder(str(recording))
    call.media.startTransmit(recorder)
    started = time.monotonic()
    while time.monotonic() - started < seconds and not call.over:
        library.libHandleEvents(200)
    statistics = call.getStreamStat(0)
    buffer = statistics.jbuf
    found = {
        "lost": buffer.lost,
        "discarded": buffer.discard,
        "empty": buffer.empty,
        "delay_ms": buffer.avgDelayMsec,
        "delay_most_ms": buffer.maxDelayMsec,
        "prefetch": buffer.prefetch,
        "burst": buffer.avgBurst,
    }
    call.hangup(pj.CallOpParam())
    deadline = time.monotonic() + 5
    while not call.over and time.monotonic() < deadline:
        library.libHandleEvents(10)
    return found


def main() -> int:
    """Listen and print."""
    parser = argparse.ArgumentParser(description="pjsua2's own receiver, recorded.")
    parser.add_argument("--server", required=True, metavar="HOST:PORT")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--jitter", type=int, nargs=4, default=(0, 0, -1, -1), metavar=("INIT", "MIN", "MAX", "MOST"))
    parser.add_argument("--discard", type=int, choices=DISCARDS, help="how it shrinks: 0 not, 1 static, 2 progressive")
    given = parser.parse_args()
    with endpoint(10, tuple(given.jitter), given.discard) as library:
        found = listen(library, given.server, given.seconds, given.record)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
