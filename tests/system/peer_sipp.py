"""SIPp as the outside world: many scripted calls, counted."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system import fetch
from tests.system.peer_process import LOOPBACK, PeerProcess, free_port

SCENARIOS = Path(__file__).resolve().parent / "sipp"


@dataclass(frozen=True, slots=True)
class SippCaller:
    """Who calls. `asserted` puts number and name into P-Asserted-Identity and leaves another From
    (as trunks do); `anonymous` withholds both (RFC 3323)."""

    number: str = ""
    name: str = ""
    asserted: bool = False
    anonymous: bool = False

    def line(self) -> str:
        """The injection file's fields: From address; one more header line."""
        address = f"<sip:{self.number}@{LOOPBACK}>"
        if any(sign in self.number + self.name for sign in ';"\r\n'):
            msg = f"a caller of SIPp cannot have ';', '\"' or line breaks: {self}"
            raise ValueError(msg)
        if self.anonymous:
            return '"Anonymous" <sip:anonymous@anonymous.invalid>;Privacy: id\n'
        named = f'"{self.name}" {address}' if self.name else address
        if self.asserted:
            return f"<sip:0000000000@{LOOPBACK}>;P-Asserted-Identity: {named}\n"
        return f"{named};Subject: Allo\n"


@dataclass(frozen=True, slots=True)
class SippResult:
    """What came of a run. `response_ms`: mean time to the scenario's measured answer (180 or 200)."""

    calls: int
    successful: int
    failed: int
    response_ms: float
    log: str


class Sipp:
    """`with Sipp("uac_call.xml", f"127.0.0.1:{port}", service="alice", callers=[...], calls=100) as sipp: sipp.wait()`

    Calls follow each other (`limit` at once, at most `rate` new ones a second); `callers` are taken
    in turn, from the first again after the last. `pause_ms` is the scenario's `<pause/>`: how long
    a call is held, or rings. RTP sent to SIPp comes back (its RTP echo).
    """

    def __init__(
        self,
        scenario: str | Path,
        target: str,
        *,
        service: str = "service",
        callers: Sequence[SippCaller] = (SippCaller("0142685300"),),
        calls: int = 1,
        rate: float = 10,
        limit: int = 1,
        pause_ms: int = 1000,
        options: Sequence[str] = (),
    ) -> None:
        root = fetch.ensure("sipp")
        self._peer = PeerProcess("sipp", [], environment={**fetch.environment(), "TERM": "dumb"})
        folder = self._peer.folder
        self.port = free_port()
        (folder / "callers.csv").write_text("SEQUENTIAL\n" + "".join(caller.line() for caller in callers))
        self._statistics = folder / "statistics.csv"
        self._errors = folder / "errors.log"
        path = scenario if isinstance(scenario, Path) else SCENARIOS / scenario
        self._peer.command = [
            *(str(root / "usr/bin/sipp"), target, "-sf", str(path), "-inf", str(folder / "callers.csv")),
            *("-s", service, "-i", LOOPBACK, "-p", str(self.port), "-mi", LOOPBACK, "-mp", str(free_port())),
            *("-m", str(calls), "-r", str(rate), "-l", str(limit), "-d", str(pause_ms), "-rtp_echo", "-nostdin"),
            *("-trace_stat", "-stf", str(self._statistics), "-fd", "1", "-trace_err", "-error_file", str(self._errors)),
            *options,
        ]

    def start(self) -> None:
        """Begin to call."""
        self._peer.start()

    def wait(self, seconds: float = 120) -> SippResult:
        """The result when all calls are over; PeerError with SIPp's log after `seconds`."""
        process = self._peer.process
        if process is None:
            self._peer.fail("SIPp was not started")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._peer.fail(f"SIPp was not done after {seconds:g} s")
        return self.result()

    def result(self) -> SippResult:
        """The counts as of the last second, or at the end."""
        try:
            with self._statistics.open(newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        except OSError:
            rows = []
        if not rows:
            self._peer.fail("SIPp left no statistics")
        last = rows[-1]
        means = [name for name in last if name and name.startswith("ResponseTime") and name.endswith("(C)")]
        return SippResult(
            calls=int(last["TotalCallCreated"]),
            successful=int(last["SuccessfulCall(C)"]),
            failed=int(last["FailedCall(C)"]),
            response_ms=_milliseconds(last[means[0]] if means else ""),
            log=self.log(),
        )

    def log(self) -> str:
        """What SIPp says went wrong."""
        return self._errors.read_text(errors="replace")[-4000:] if self._errors.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- SIPp's errors:\n{self.log()}")
        self._peer.__exit__(kind, error, trace)


def _milliseconds(clock: str) -> float:
    """SIPp's HH:MM:SS:microseconds (or HH:MM:SS) as milliseconds."""
    fields = [int(part) for part in clock.split(":") if part.isdigit()]
    if len(fields) < 3:
        return 0.0
    hours, minutes, seconds, *rest = fields
    return (hours * 3600 + minutes * 60 + seconds) * 1000 + (rest[0] / 1000 if rest else 0)
