"""A PjsuaAgent in a process of its own (the library lives once a process), driven by JSON lines.

The parent uses `AgentProcess`; `python -m tests.fakes.agent_process` is the child. The child's line
is a paced PCM that sends a steady 1004 Hz tone and measures what comes back.
"""

from __future__ import annotations

import dataclasses
import json
import math
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from firmware.fxs.elastic import Elastic
from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmStats
from firmware.telephony.agent import DigitWay, SipAccount, SipSettings, Transport
from firmware.telephony.bridgeclock import BridgeClock
from firmware.telephony.media import VoicePath
from firmware.telephony.sip.resolver import look_up

ROOT = Path(__file__).parents[2]


class TonePcm:
    """A line whose telephone hums: a LinePcm paced by the monotonic clock."""

    delay_frames = 0
    fault: str | None = None

    def __init__(self) -> None:
        self.stats = PcmStats()
        self.heard: float = 0.0  # mean square of the last frame from the box
        self._running = False
        self._due = 0.0
        step = 2 * math.pi * 1000 / SAMPLE_RATE_HZ
        tone = [round(8000 * math.sin(step * n)) for n in range(FRAME_SAMPLES)]
        self._frame = struct.pack(f"<{FRAME_SAMPLES}h", *tone)

    def start(self) -> None:
        self._due = time.monotonic()
        self._running = True

    def stop(self) -> None:
        self._running = False

    def hush(self) -> None:
        """The telephone is silent from now on."""
        self._frame = bytes(2 * FRAME_SAMPLES)

    def read(self, timeout: float) -> bytes | None:
        if not self._running:
            time.sleep(min(timeout, 0.01))
            return None
        self._due += 0.01
        time.sleep(max(0.0, self._due - time.monotonic()))
        self.stats.frames_read += 1
        return self._frame

    def write(self, frame: bytes) -> None:
        samples = struct.unpack(f"<{FRAME_SAMPLES}h", frame)
        self.heard = sum(s * s for s in samples) / FRAME_SAMPLES
        self.stats.frames_written += 1


class FakeNames:
    """The DNS as a test wants it: names ending in `.test` have the addresses of `table`; without any they hang."""

    def __init__(self) -> None:
        self.table: dict[str, list[str]] = {}
        self._real = look_up

    def look_up(self, host: str) -> frozenset[str]:
        if not host.endswith(".test"):
            return self._real(host)
        limit = time.monotonic() + 30
        while time.monotonic() < limit and host not in self.table:
            time.sleep(0.02)
        return frozenset(self.table.get(host, []))


class PlainVoice:
    """No canceller, no tones: frames pass."""

    def from_line(self, frame: bytes) -> bytes:
        return frame

    def to_line(self, far: bytes | None) -> bytes:
        return far if far is not None else bytes(2 * FRAME_SAMPLES)


class AgentProcess:
    """The parent's side."""

    def __init__(self, **settings: Any) -> None:
        self._skipped: list[dict[str, Any]] = []
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self._replies: queue.Queue[Any] = queue.Queue()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.agent_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.call("start", **{"bind": "127.0.0.1", **settings})
        started = self.expect("AgentStarted") if not settings.get("port") else {"port": settings["port"]}
        self.port = int(started["port"])
        self.address = ("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        return self._child.pid

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the agent (or of the child); its JSON result."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([method, args, options]) + "\n")
        self._child.stdin.flush()
        result = self._replies.get(timeout=20)
        assert not (isinstance(result, dict) and "raised" in result), result
        return result

    def accounts(self, *accounts: SipAccount) -> None:
        self.call(
            "set_accounts",
            *[{**dataclasses.asdict(a), "transport": a.transport.value, "digits": a.digits.value} for a in accounts],
        )

    def expect(self, kind: str, timeout: float = 10.0, **fields: Any) -> dict[str, Any]:
        """The first event of `kind` with these fields that was not taken yet."""
        limit = time.monotonic() + timeout
        for event in self._skipped:
            if event["kind"] == kind and all(event.get(k) == v for k, v in fields.items()):
                self._skipped.remove(event)
                return event
        while (left := limit - time.monotonic()) > 0:
            try:
                event = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if event["kind"] == kind and all(event.get(k) == v for k, v in fields.items()):
                return event
            self._skipped.append(event)
        raise AssertionError(f"no {kind} {fields} in {timeout} s, only {self._skipped}")

    def drain(self) -> list[dict[str, Any]]:
        """The events that nobody expected."""
        found, self._skipped = self._skipped, []
        while not self._queue.empty():
            found.append(self._queue.get())
        return found

    def close(self) -> float:
        """Stop the agent and the child; how long the agent took, in seconds."""
        seconds = float(self.call("stop"))
        assert self._child.stdin is not None
        self._child.stdin.close()
        assert self._child.wait(10) == 0, "the agent's process did not end well"
        return seconds

    def kill(self) -> None:
        """End the child if it is still there."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait(5)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if not line.startswith("{"):
                continue
            packet = json.loads(line)
            if "reply" in packet:
                self._replies.put(packet["reply"])
            else:
                self._queue.put(packet["event"])


@contextmanager
def agent_that_ends_well() -> Iterator[AgentProcess]:
    """An agent in a process of its own: no callback of it fails, and it ends within three seconds."""
    agent = AgentProcess()
    try:
        yield agent
        assert agent.call("errors") == 0
        assert agent.close() < 3.0
    finally:
        agent.kill()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _account(fields: dict[str, Any]) -> SipAccount:
    lists = {k: tuple(fields[k]) for k in ("codecs", "trusted_hosts")}
    kinds = {"transport": Transport(fields["transport"]), "digits": DigitWay(fields["digits"])}
    return SipAccount(**{**fields, **lists, **kinds})


def main() -> None:  # noqa: PLR0915 a table of commands
    """The child."""
    from firmware.telephony.pjsua_agent import PjsuaAgent  # noqa: PLC0415 only the child loads the library
    from firmware.telephony.sip import resolver  # noqa: PLC0415 beside it

    sys.setswitchinterval(0.0005)
    output = threading.Lock()

    def say(packet: dict[str, Any]) -> None:
        with output:
            sys.stdout.write(json.dumps(packet) + "\n")
            sys.stdout.flush()

    names = FakeNames()
    resolver.look_up = names.look_up
    agent = PjsuaAgent()
    pcm = TonePcm()
    clock = BridgeClock(Elastic)
    path = VoicePath(pcm, PlainVoice(), clock.end(1), name="1")
    for line in sys.stdin:
        method, args, options = json.loads(line)
        result: Any = None
        try:
            if method == "start":
                agent.start(
                    SipSettings(**options),
                    lambda e: say({"event": {"kind": type(e).__name__, **_plain(dataclasses.asdict(e))}}),
                )
            elif method == "stop":
                began = time.monotonic()
                path.shutdown()
                agent.stop(10)
                result = time.monotonic() - began
            elif method == "set_accounts":
                agent.set_accounts([_account(a) for a in args])
            elif method == "voice":
                clock.set_bridge(agent.bridge())
                if args[0]:
                    path.open()
                else:
                    path.close()
            elif method == "names":
                names.table.update(args[0])
            elif method == "heard":
                result = pcm.heard
            elif method == "hush":
                pcm.hush()
            elif method == "ticks":
                bridge: Any = agent.bridge()
                result = {"ticked_at": bridge.ticked_at, "skipped": bridge.skipped, "ticks": bridge.ticks}
            elif method == "voice_stats":
                result = dataclasses.asdict(path.stats)
            elif method == "errors":
                result = agent.errors
            elif method == "trace":
                result = [dataclasses.asdict(m) for m in agent.trace(args[0])]
            else:
                getattr(agent, method)(*args, **options)
        except (RuntimeError, OSError, TypeError, ValueError) as error:
            result = {"raised": repr(error)}
        say({"reply": result})


if __name__ == "__main__":
    main()
