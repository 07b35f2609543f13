"""The hand on the simulated telephone: speaks to its control socket. Standard library only, quick to import.

One connection a command, so that several may run at once; `begin_*` returns while the telephone is
still at it.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

EVENTS = (
    "ring",
    "caller-id",
    "dial-tone",
    "stutter-tone",
    "ringback",
    "busy",
    "congestion",
    "call-waiting",
    "howler",
    "message-waiting",
    "voice",
    "silence",
)
_SPACES = re.compile(r"[\s.\-/()]")
# On top of what the command itself may take.
_GRACE_SECONDS = 10.0
_MAX_PATH = 107


class PhoneError(Exception):
    """The telephone refused, failed or timed out; the words are for a person."""


def control_path(data: Path, line: int) -> Path:
    """Where the telephone of `line` listens."""
    return data / "run" / f"phone{line}.sock"


def clean_digits(text: str, *, pulse: bool = False) -> str:
    """The keys to press: spaces, dots, dashes, slashes and brackets dropped.

    Raises ValueError for what is no key, or is none on a rotary dial.
    """
    digits = _SPACES.sub("", text).upper()
    keys = "0123456789" if pulse else "0123456789*#ABCD"
    wrong = next((digit for digit in digits if digit not in keys), None)
    if wrong is not None:
        what = "a rotary dial has 0-9" if pulse else "keys are 0-9, *, #, A-D"
        msg = f"{text!r}: cannot dial {wrong!r}; {what}"
        raise ValueError(msg)
    if not digits:
        msg = f"{text!r}: no digit to dial"
        raise ValueError(msg)
    return digits


class Pending:
    """A command under way; `result` waits for its end."""

    def __init__(self, end: socket.socket, what: str) -> None:
        self._end = end
        self._what = what
        self._file = end.makefile("rb")

    def accepted(self) -> Pending:
        """Return once the telephone has begun. Raises PhoneError if it will not."""
        self._reply()
        return self

    def result(self) -> dict[str, Any]:
        """The reply. Raises PhoneError."""
        try:
            return self._reply()
        finally:
            self.close()

    def close(self) -> None:
        """Lose interest: the telephone stops waiting or recording."""
        self._file.close()
        self._end.close()

    def _reply(self) -> dict[str, Any]:
        try:
            line = self._file.readline()
        except TimeoutError as error:
            msg = f"the telephone did not finish `{self._what}` in time"
            raise PhoneError(msg) from error
        except OSError as error:
            msg = f"the telephone's process went away during `{self._what}`: {error}"
            raise PhoneError(msg) from error
        if not line:
            msg = f"the telephone's process went away during `{self._what}`"
            raise PhoneError(msg)
        reply = json.loads(line)
        if "error" in reply:
            raise PhoneError(str(reply["error"]))
        return dict(reply)


class PhoneClient:
    """The telephone of `line` at `data`. Every method raises PhoneError with a person's words."""

    def __init__(self, data: Path, line: int = 1) -> None:
        self._path = control_path(data, line)
        self._line = line

    def lift(self) -> None:
        """Off-hook."""
        self._run("lift")

    def hangup(self) -> None:
        """On-hook; returns after 1.1 s, when no exchange takes it for a flash any more."""
        self._run("hangup")

    def flash(self, ms: float | None = None) -> None:
        """Press R; 270 ms unless told."""
        self._run("flash", ms=ms)

    def dial(
        self,
        digits: str,
        *,
        pulse: bool = False,
        pps: float | None = None,
        break_share: float | None = None,
        bounce: float | None = None,
        jitter: float | None = None,
        pause: float | None = None,
        on: float | None = None,
        off: float | None = None,
        level: float | None = None,
        twist: float | None = None,
        noise: float | None = None,
        detune: float | None = None,
    ) -> None:
        """Dial by tones (`on`, `off` ms, low tone's `level` dBm0, `twist` dB, `noise` dBm0, `detune` %) or by pulses.

        A worn dial: `pps` pulses a second, `break_share` of each open, contacts that `bounce` ms, pulses
        uneven by `jitter` (a share), `pause` ms between digits. Raises ValueError for what is no digit.
        """
        cleaned = clean_digits(digits, pulse=pulse)
        tones = {"on": on, "off": off, "level": level, "twist": twist, "noise": noise, "detune": detune}
        dial = {"pps": pps, "break": break_share, "bounce": bounce, "jitter": jitter, "pause": pause}
        how = dial if pulse else tones
        self._run("dial", digits=cleaned, pulse=pulse, **how)

    def play(self, path: Path) -> dict[str, Any]:
        """Play a PCM WAV file into the microphone; `started_at`, `ended_at` in monotonic seconds."""
        return self.begin_play(path).result()

    def begin_play(self, path: Path) -> Pending:
        """Play, without waiting for the end."""
        return self._begin("play", path=str(path.absolute())).accepted()

    def record(self, path: Path, seconds: float) -> dict[str, Any]:
        """Record the earpiece: 8 kHz 16-bit mono; `started_at` in monotonic seconds."""
        return self.begin_record(path, seconds).result()

    def begin_record(self, path: Path, seconds: float) -> Pending:
        """Record from now on, without waiting for the end."""
        return self._begin("record", path=str(path.absolute()), seconds=seconds).accepted()

    def wait(self, event: str, timeout: float = 30.0) -> dict[str, Any]:
        """Until `event` (of EVENTS) is heard, at once if it is; returns the state then."""
        return self.begin_wait(event, timeout).result()

    def begin_wait(self, event: str, timeout: float = 30.0) -> Pending:
        """Wait from now on: an event that comes and goes before `result` counts."""
        return self._begin("wait", timeout + _GRACE_SECONDS, event=event, timeout=timeout).accepted()

    def state(self) -> dict[str, Any]:
        """Hook, ringing, hearing, caller_id, slipped_frames and more."""
        return dict(self._run("state")["state"])

    def mark(self) -> dict[str, Any]:
        """For benches: lift_settled, first_sound, digit_end, ring_on, hang_up, now; monotonic seconds or None."""
        return dict(self._run("mark")["marks"])

    def roundtrip(self, count: int = 5) -> list[float | None]:
        """For benches: acoustic round trips in ms through an echo at the far end; None where nothing came back."""
        return list(self._run("roundtrip", count=count)["ms"])

    def _run(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self._begin(command, **arguments).result()

    def _begin(self, command: str, limit: float | None = None, **arguments: Any) -> Pending:
        end = self._connect()
        end.settimeout(limit)
        request = {"command": command} | {key: value for key, value in arguments.items() if value is not None}
        try:
            end.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            end.close()
            msg = f"the telephone's process went away: {error}"
            raise PhoneError(msg) from error
        return Pending(end, command)

    def _connect(self) -> socket.socket:
        if len(str(self._path)) > _MAX_PATH:
            msg = f"{self._path}: too long for a Unix socket ({_MAX_PATH} characters); choose a shorter data directory"
            raise PhoneError(msg)
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            end.connect(str(self._path))
        except OSError as error:
            end.close()
            msg = (
                f"no simulated telephone on line {self._line} ({self._path}: {error.strerror or error}); "
                "start one with `allobox run --simulate` or `allobox telephone`, or name its --data"
            )
            raise PhoneError(msg) from error
        return end
