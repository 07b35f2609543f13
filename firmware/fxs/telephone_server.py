"""Drives the telephone from other processes: JSON lines over a Unix socket, one thread a client.

Request `{"command": NAME, ...}`; reply one line, `{"error": WORDS}` if it was refused. `wait`, `play`
and `record` first reply `{"accepted": true}` when they have begun. A client that goes away ends its
wait or its recording.
"""

from __future__ import annotations

import json
import logging
import math
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from firmware.fxs import telephone_wav
from firmware.fxs.pcm import SAMPLE_RATE_HZ
from firmware.fxs.phone_client import EVENTS, clean_digits, control_path
from firmware.fxs.telephone_body import RefusedError, Telephone
from firmware.fxs.telephone_dialer import Keying
from firmware.fxs.telephone_hook import DIAL_RANGES, FLASH_MS, Dial, HungUpError
from firmware.fxs.telephone_measure import roundtrip

_log = logging.getLogger(__name__)
_MAX_REQUEST = 65536
_GLANCE_SECONDS = 0.2
_MAX_SECONDS = 86400.0

# How a request names `DIAL_RANGES`.
_DIAL_KEYS = ("pps", "break", "bounce", "jitter", "pause")

Request = dict[str, Any]
Reply = dict[str, Any]


def number(request: Request, key: str, default: float, low: float, high: float) -> float:
    """A figure of the request. Raises RefusedError if it is none or out of range."""
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        msg = f"{key}: {value!r} is not a number"
        raise RefusedError(msg)
    if not low <= value <= high:
        msg = f"{key}: {value:g} is out of range, {low:g} to {high:g}"
        raise RefusedError(msg)
    return float(value)


def word(request: Request, key: str) -> str:
    """A string of the request. Raises RefusedError if there is none."""
    value = request.get(key)
    if not isinstance(value, str) or not value:
        msg = f"{key}: a word is missing"
        raise RefusedError(msg)
    return value


def _dial(request: Request) -> Dial:
    """The dial that a request describes, a new one's figures where it says nothing. Raises ValueError."""
    usual = Dial()
    given = {
        name: number(request, key, 0, low, high)
        for key, (name, (low, high)) in zip(_DIAL_KEYS, DIAL_RANGES.items(), strict=True)
        if key in request
    }
    return replace(usual, **given)


class _Handler(socketserver.StreamRequestHandler):
    """One client."""

    server: _Server

    def handle(self) -> None:
        """Answer its requests, one after the other."""
        while line := self.rfile.readline(_MAX_REQUEST):
            try:
                reply = self._answer(line)
            except (RefusedError, HungUpError, OSError, ValueError) as error:
                reply = {"error": str(error)}
            if not self._tell(reply):
                return

    def _answer(self, line: bytes) -> Reply:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            raise RefusedError("a request is one JSON object on one line")
        commands: dict[str, Callable[[Request], Reply]] = {
            "lift": self._lift,
            "hangup": self._hang_up,
            "flash": self._flash,
            "dial": self._dial,
            "play": self._play,
            "record": self._record,
            "wait": self._wait,
            "state": self._state,
            "mark": self._mark,
            "roundtrip": self._roundtrip,
        }
        name = word(request, "command")
        if name not in commands:
            msg = f"command {name!r} is unknown; known are {', '.join(commands)}"
            raise RefusedError(msg)
        return commands[name](request)

    def _lift(self, _request: Request) -> Reply:
        self.server.telephone.lift()
        return {}

    def _hang_up(self, _request: Request) -> Reply:
        self.server.telephone.hang_up()
        # Who lifts again at once would have pressed R: the hand is back only when the call is over for sure.
        self.server.telephone.stay_down()
        return {}

    def _flash(self, request: Request) -> Reply:
        self.server.telephone.flash(number(request, "ms", FLASH_MS, 10, 5000))
        return {}

    def _dial(self, request: Request) -> Reply:
        pulse = request.get("pulse") is True
        digits = clean_digits(word(request, "digits"), pulse=pulse)
        if pulse:
            self.server.telephone.dial_pulses(digits, _dial(request))
        else:
            usual = Keying()
            noise = number(request, "noise", 0, -100, 3) if "noise" in request else None
            keying = Keying(
                on_ms=number(request, "on", usual.on_ms, 1, 10000),
                off_ms=number(request, "off", usual.off_ms, 0, 10000),
                level_dbm0=number(request, "level", usual.level_dbm0, -60, 3),
                twist_db=number(request, "twist", usual.twist_db, -30, 30),
                detune_percent=number(request, "detune", usual.detune_percent, -10, 10),
                noise_dbm0=noise,
            )
            self.server.telephone.dial(digits, keying)
        return {}

    def _play(self, request: Request) -> Reply:
        rate = self.server.telephone.rate_hz
        samples = telephone_wav.read(Path(word(request, "path")), rate)
        self._tell({"accepted": True})
        return self.server.telephone.play(samples, rate)

    def _record(self, request: Request) -> Reply:
        path = Path(word(request, "path"))
        seconds = number(request, "seconds", 0, 0.001, _MAX_SECONDS)
        if not path.parent.is_dir():
            msg = f"{path}: there is no directory {path.parent}"
            raise RefusedError(msg)
        rate = self.server.telephone.rate_hz
        tap = self.server.telephone.tap(seconds, wide=rate != SAMPLE_RATE_HZ)
        self._tell({"accepted": True})
        while not tap.full.wait(_GLANCE_SECONDS):
            if self._gone():
                self.server.telephone.leave(tap)
        frames = tap.pcm()
        telephone_wav.write(path, frames, rate)
        if tap.cut:
            msg = f"{path}: the handset was hung up after {len(frames) / rate / 2:.2f} s; the file holds that much"
            raise HungUpError(msg)
        return {"started_at": tap.started_at}

    def _wait(self, request: Request) -> Reply:
        telephone = self.server.telephone
        event = word(request, "event")
        if event not in EVENTS:
            msg = f"event {event!r} is unknown; known are {', '.join(EVENTS)}"
            raise RefusedError(msg)
        timeout = number(request, "timeout", 30, 0, _MAX_SECONDS)
        ticket = telephone.begin_wait(event)
        self._tell({"accepted": True})
        deadline = time.monotonic() + timeout
        while not telephone.wait(event, max(0.0, min(_GLANCE_SECONDS, deadline - time.monotonic())), ticket):
            if time.monotonic() >= deadline or self._gone():
                state = telephone.state()
                msg = (
                    f"no {event} within {timeout:g} s (handset {state['hook']}-hook, hearing {state['hearing']}"
                    f"{'' if state['line_connected'] else ', no box on the line'})"
                )
                raise RefusedError(msg)
        return self._state(request)

    def _state(self, _request: Request) -> Reply:
        return {"state": self.server.telephone.state()}

    def _mark(self, _request: Request) -> Reply:
        return {"marks": self.server.telephone.marks()}

    def _roundtrip(self, request: Request) -> Reply:
        return {"ms": roundtrip(self.server.telephone, int(number(request, "count", 5, 1, 1000)))}

    def _tell(self, reply: Reply) -> bool:
        try:
            self.wfile.write(json.dumps(reply).encode() + b"\n")
        except OSError:
            return False
        return True

    def _gone(self) -> bool:
        """Whether the client has hung up on us."""
        try:
            readable = select.select([self.connection], [], [], 0)[0]
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32
    telephone: Telephone


class ControlServer:
    """Raises OSError when another telephone of this line runs, or the socket cannot be made."""

    def __init__(self, data: Path, line: int, telephone: Telephone) -> None:
        self._path = control_path(data, line)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if _answers(self._path):
            msg = f"line {line} has its telephone already: one answers at {self._path}"
            raise OSError(msg)
        self._path.unlink(missing_ok=True)
        try:
            self._server = _Server(str(self._path), _Handler)
        except OSError as error:
            msg = f"cannot listen at {self._path}: {error}"
            raise OSError(msg) from error
        self._path.chmod(0o600)
        self._server.telephone = telephone
        self._thread = threading.Thread(target=self._server.serve_forever, name="telephone-control", daemon=True)

    def start(self) -> None:
        """Answer clients."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        try:
            end.connect(str(path))
        except OSError:
            return False
        return True
