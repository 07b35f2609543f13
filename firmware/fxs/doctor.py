"""The line doctor: edges and samples of one household's telephone to a report.

`examine` is pure. `python -m firmware.fxs.doctor` is the process in which the core has it done: a
`Recording` on standard input (`pack`), the report as JSON on standard output. Both are bounded, and
minutes of arithmetic there never touch a call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from firmware.fxs import doctor_echo, doctor_hook, doctor_keys, doctor_sound
from firmware.fxs.doctor_hook import MAX_EDGES, Edge
from firmware.fxs.doctor_report import Report, judge
from firmware.fxs.pcm import SAMPLE_RATE_HZ

MAX_SECONDS = 20.0
"""All samples of a recording together."""

_MAX_PCM = round(2 * SAMPLE_RATE_HZ * MAX_SECONDS)
_MAX_HEADER = 128 * 1024
_MAX_TRACE = 400


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded. `noise`: nobody speaks; `echo`: from the probe's beginning; `keys`: while keys are pressed.

    Samples are 16-bit little-endian at 8 kHz, as the line delivered them, before any canceller.
    `flash_ms` is the window in which a break is the R key.
    """

    edges: tuple[Edge, ...] = ()
    noise: bytes = b""
    echo: bytes = b""
    keys: bytes = b""
    flash_ms: tuple[float, float] = (120.0, 600.0)

    def __post_init__(self) -> None:
        if len(self.noise) + len(self.echo) + len(self.keys) > _MAX_PCM:
            msg = f"more than {MAX_SECONDS:.0f} s of samples"
            raise ValueError(msg)
        if any(len(piece) % 2 for piece in (self.noise, self.echo, self.keys)):
            raise ValueError("half a sample")
        low, high = self.flash_ms
        if not 0 < low < high:
            msg = f"flash window {low} to {high} ms: must rise from above 0"
            raise ValueError(msg)


def examine(recording: Recording) -> Report:
    """Measure and judge everything that was recorded; what was not is graded `none`."""
    hook = doctor_hook.measure(recording.edges, recording.flash_ms[1])
    keys = doctor_keys.measure(recording.keys)
    sound, spectrum = doctor_sound.measure(recording.noise)
    echo = doctor_echo.measure(recording.echo)
    clipped = doctor_sound.clipped(recording.noise, recording.keys, recording.echo)
    return Report(
        findings=judge(hook, keys, sound, echo, clipped, recording.flash_ms),
        hook=hook,
        keys=keys,
        sound=sound,
        echo=echo,
        clipped=clipped,
        trace=_trace(recording.edges),
        spectrum=spectrum,
    )


def _trace(edges: Sequence[Edge]) -> tuple[tuple[float, int], ...]:
    """The edges for a plot, from 0 s on; the last of them where there are too many."""
    kept = doctor_hook.alternating(edges)[-_MAX_TRACE:]
    return tuple((edge.at - kept[0].at, int(edge.closed)) for edge in kept)


def pack(recording: Recording) -> bytes:
    """A recording as the process reads it: one line of JSON, then the samples."""
    header = {
        "edges": [[int(edge.closed), edge.at] for edge in recording.edges[-MAX_EDGES:]],
        "flash_ms": list(recording.flash_ms),
        "noise": len(recording.noise),
        "echo": len(recording.echo),
        "keys": len(recording.keys),
    }
    return json.dumps(header).encode() + b"\n" + recording.noise + recording.echo + recording.keys


def unpack(stream: IO[bytes]) -> Recording:
    """The recording that `pack` made. Raises ValueError with what is wrong with it."""
    line = stream.readline(_MAX_HEADER + 1)
    if len(line) > _MAX_HEADER or not line.endswith(b"\n"):
        raise ValueError("the recording's header is too long, or cut")
    try:
        header: dict[str, Any] = json.loads(line)
        sizes = [int(header[name]) for name in ("noise", "echo", "keys")]
        edges = tuple(Edge(bool(closed), float(at)) for closed, at in header["edges"])
        low, high = (float(ms) for ms in header["flash_ms"])
    except (KeyError, TypeError, ValueError) as error:
        msg = f"the recording's header is wrong: {error!r}"
        raise ValueError(msg) from error
    if min(sizes) < 0 or sum(sizes) > _MAX_PCM:
        msg = f"{sum(sizes)} bytes of samples: at most {_MAX_PCM}"
        raise ValueError(msg)
    pieces = [stream.read(size) for size in sizes]
    if [len(piece) for piece in pieces] != sizes:
        raise ValueError("the recording is cut")
    noise, echo, keys = pieces
    return Recording(edges, noise, echo, keys, (low, high))


def main() -> int:
    """Read a recording, write its report. Exit code 1 with one line if it is none."""
    try:
        report = examine(unpack(sys.stdin.buffer))
    except ValueError as error:
        sys.stderr.write(f"line doctor: {error}\n")
        return 1
    json.dump(report.as_json(), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
