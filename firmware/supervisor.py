"""`allobox run`: starts, watches and restarts the processes where no systemd does.

Each child is the same command that the image's units run. Its output goes to DIR/log/NAME.log
(cut at 5 MB, one old file kept), its pid to DIR/run/NAME.pid. A child that dies comes back after
a short back-off; it never takes another down with it, nor outlives the supervisor (the kernel's
parent-death signal sees to that even after `kill -9`). One that has once said that it lives (sd_notify(3):
the core does) and then falls silent hangs: it is ended, to come back like one that died.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_HEALTHY_SECONDS = 20.0
_STOP_SECONDS = 5.0
_CLEAN_SECONDS = 5.0
_CLEAN_LOOK_SECONDS = 0.02
_WATCH_SECONDS = 20.0  # as in the core's unit
_OWN_GAP_SECONDS = 2.0  # the supervisor itself stood still: nobody could be heard
_ABORT_SECONDS = 5.0  # to write down where it hung
_MAX_WORDS = 64
_LOG_BYTES = 5 << 20
_LOG_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # opened before any fork


@dataclass
class Child:
    """One process: its name and its `allobox` arguments. `after`: a module and its arguments, run whenever the
    process has ended badly, to its end before the process is started again. `watched`: it beats, as the core does.
    """

    name: str
    arguments: Sequence[str]
    nice: int = 0
    after: Sequence[str] = ()
    watched: bool = False
    ear: Ear | None = None
    beat: float | None = None
    aborted: bool = False
    cleaner: subprocess.Popen[bytes] | None = None
    clean_by: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0
    restarts: int = field(default=0)


class Ear:
    """Where a watched child's words arrive: `NOTIFY_SOCKET`, as systemd gives it."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.path = path
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._end.bind(str(path))
        self._end.settimeout(0)

    def beats(self) -> bool:
        """Whether a beat came since last asked."""
        found = False
        for _ in range(_MAX_WORDS):
            try:
                found |= b"WATCHDOG=1" in self._end.recv(256)
            except OSError:
                break
        return found

    def close(self) -> None:
        """Hear no more."""
        self._end.close()
        self.path.unlink(missing_ok=True)


class AlreadyRunningError(RuntimeError):
    """Another supervisor keeps this data folder."""


def _die_with_parent() -> None:
    """In the child, before exec: SIGTERM when the supervisor is gone, however it went."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Keeps the children of one data folder alive until told to stop."""

    def __init__(self, data: Path, children: Sequence[Child], say: Callable[[str], None]) -> None:
        self._data = data
        self._children = list(children)
        self._say = say
        self._stopping = False
        self._logs_due = 0.0
        self._looked = 0.0

    def run(self, ready: Callable[[], None]) -> None:
        """Start everything, call `ready`, watch until SIGTERM or SIGINT, then stop everything."""
        for folder in ("run", "log"):
            (self._data / folder).mkdir(parents=True, exist_ok=True)
        pid_file = self._claim()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            for child in self._children:
                if child.watched:
                    child.ear = Ear(self._data / "run" / f"{child.name}.notify")
                self._start(child)
            ready()
            while not self._stopping:
                self._watch()
                time.sleep(0.05)
        finally:
            self._end()
            pid_file.unlink(missing_ok=True)

    def _claim(self) -> Path:
        pid_file = self._data / "run" / "supervisor.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            # A pid may have been given to somebody else since.
            if pid != os.getpid() and (b"allobox" in command or b"firmware" in command):
                raise AlreadyRunningError(
                    f"`allobox run` already keeps {self._data} (process {pid}); stop it, or give another --data"
                )
        pid_file.write_text(f"{os.getpid()}\n")
        return pid_file

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, child: Child) -> None:
        log = self._data / "log" / f"{child.name}.log"
        child.beat, child.aborted = None, False
        ear = {} if child.ear is None else {"NOTIFY_SOCKET": str(child.ear.path)}
        watch = {"WATCHDOG_USEC": str(round(_WATCH_SECONDS * 1e6))} if ear else {}
        with log.open("ab") as out:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "firmware", *child.arguments],
                env={**os.environ, **ear, **watch},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # The supervisor has one helper thread at most, and the child calls nothing but prctl.
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        if child.nice:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.process.pid, child.nice)
        child.started = time.monotonic()
        (self._data / "run" / f"{child.name}.pid").write_text(f"{child.process.pid}\n")

    def _cut_logs(self) -> None:
        """Keep one old part of a log that has grown: copied and emptied, for its process goes on writing."""
        for child in self._children:
            log = self._data / "log" / f"{child.name}.log"
            with contextlib.suppress(OSError):
                if log.stat().st_size > _LOG_BYTES:
                    shutil.copyfile(log, log.with_suffix(".log.1"))
                    os.truncate(log, 0)

    def _watch(self) -> None:
        now = time.monotonic()
        if now >= self._logs_due:
            self._logs_due = now + _LOG_SECONDS
            self._cut_logs()
        stood_still, self._looked = now - self._looked > _OWN_GAP_SECONDS, now
        for child in self._children:
            self._listen(child, now, stood_still=stood_still)
            if child.process is not None and (code := child.process.poll()) is not None:
                child.process = None
                if code != 0:
                    self._clean(child)
                if now - child.started > _HEALTHY_SECONDS:
                    child.pause = _FIRST_PAUSE
                child.due = now + child.pause
                child.pause = min(child.pause * 2, _LONGEST_PAUSE)
                child.restarts += 1
                self._say(
                    f"{child.name} ended ({_why(code)}); its log is {self._data}/log/{child.name}.log; restarting"
                )
            if child.process is None and now >= child.due and self._cleaned(child, now):
                self._start(child)

    def _listen(self, child: Child, now: float, *, stood_still: bool) -> None:
        """End a child that lives no more though it runs: SIGABRT first, at which it says where it hangs."""
        if child.ear is None or child.process is None:
            return
        if child.ear.beats() or (stood_still and child.beat is not None):
            child.beat = now
        silent = now - child.beat if child.beat is not None else 0.0
        if silent > _WATCH_SECONDS + _ABORT_SECONDS:
            child.process.kill()
        elif silent > _WATCH_SECONDS and not child.aborted:
            child.aborted = True
            self._say(f"{child.name} has been silent for {silent:.0f} s: it hangs, and is ended")
            child.process.send_signal(signal.SIGABRT)

    def _clean(self, child: Child) -> None:
        """As a unit's ExecStopPost: take away what a process that died may have left behind, ring voltage above all."""
        if not child.after:
            return
        with (self._data / "log" / f"{child.name}.log").open("ab") as out:
            child.cleaner = subprocess.Popen(
                [sys.executable, "-m", *child.after], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        child.clean_by = time.monotonic() + _CLEAN_SECONDS

    def _cleaned(self, child: Child, now: float) -> bool:
        """Whether nothing is being cleaned up after it any more; what takes too long is ended."""
        cleaner = child.cleaner
        if cleaner is None:
            return True
        if cleaner.poll() is None:
            if now < child.clean_by:
                return False
            cleaner.kill()
            cleaner.wait()
        child.cleaner = None
        if cleaner.returncode != 0:
            self._say(f"{' '.join(child.after)} ended with {_why(cleaner.returncode)}: {self._last_word(child)}")
        return True

    def _last_word(self, child: Child) -> str:
        """The last line of a child's log: most often it says why."""
        log = self._data / "log" / f"{child.name}.log"
        try:
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - 400))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            lines = []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it left no word")
        return f"{last[:200]} (more in {log})"

    def _end(self) -> None:
        alive = [child for child in self._children if child.process is not None]
        for child in alive:
            if child.process is not None:
                child.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for child in alive:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            if child.process.returncode != 0:
                self._clean(child)
            (self._data / "run" / f"{child.name}.pid").unlink(missing_ok=True)
        for child in self._children:
            if child.ear is not None:
                child.ear.close()
        while not all(self._cleaned(child, time.monotonic()) for child in self._children):
            time.sleep(_CLEAN_LOOK_SECONDS)


def _why(code: int) -> str:
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"
