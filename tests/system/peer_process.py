"""A test peer's process: started with a log of its own, waited for, stopped for certain.

What is particular to Kamailio, Dovecot and the rest lives in their own modules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import trustme

LOOPBACK = "127.0.0.1"


class PeerError(RuntimeError):
    """A test peer did not do what it should; the message ends with its log."""


def free_port() -> int:
    """A port of loopback that nobody uses for UDP or TCP now.

    Always both: a port that is free for TCP only is one in a few hundred times a box's for RTP.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind((LOOPBACK, 0))
            port = int(first.getsockname()[1])
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as second, contextlib.suppress(OSError):
                second.bind((LOOPBACK, port))
                return port


def listens(port: int) -> bool:
    """Whether somebody accepts TCP connections on loopback at `port`."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def wait_until(true: Callable[[], bool], seconds: float, what: str, *, every: float = 0.03) -> None:
    """Poll until `true()`; PeerError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            msg = f"waited {seconds:g} s in vain for: {what}"
            raise PeerError(msg)
        time.sleep(every)


class PeerProcess:
    """One program with its folder and its log file. Use as a context manager, or start and stop.

    Its whole process group dies with the test run, whatever happens to that: a guard waits for
    the end of a pipe that only this process holds open.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.name = name
        self.command = list(command)
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
        self.log_file = self.folder / f"{name}.log"
        self.environment = dict(environment or os.environ)
        self.stop_signal = stop_signal
        self.stdin = stdin
        self.process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The program's process id; PeerError if it was not started."""
        if self.process is None:
            raise PeerError(f"{self.name} was not started")
        return self.process.pid

    def log(self, last: int = 60) -> str:
        """The last lines of what the program printed."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-last:])
        except OSError:
            return "(no log)"

    def start(self, ready: Callable[[], bool] | None = None, *, seconds: float = 20) -> None:
        """Start, then wait until `ready()`; PeerError with the log if that fails."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=self.stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", 'read -r end; kill -KILL "-$0"', str(self.process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        if ready is None:
            return
        try:
            wait_until(lambda: not self.running or ready(), seconds, f"{self.name} to be ready")
        except PeerError as error:
            self.stop()
            self.fail(str(error))
        if self.process.poll() is not None:
            self.stop()
            self.fail(f"{self.name} ended at once (exit code {self.process.returncode})")

    def fail(self, what: str) -> NoReturn:
        """Raise PeerError: `what` and the end of the log."""
        msg = f"{what}\n--- {self.name} ({' '.join(self.command[:6])} ...), {self.log_file}:\n{self.log()}"
        raise PeerError(msg)

    def stop(self, seconds: float = 4) -> None:
        """Ask it to end, then make the whole process group. Idempotent."""
        process = self.process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. The log is shown with whatever went wrong; the folder goes, unless ALLOBOX_KEEP_PEERS is set."""
        self.stop()
        if error is not None:
            error.add_note(f"--- {self.name}'s log:\n{self.log()}")
        if self._own_folder and "ALLOBOX_KEEP_PEERS" not in os.environ:
            shutil.rmtree(self.folder, ignore_errors=True)


class PrivateCa:
    """A certificate authority of the test's own, and one certificate for loopback made by it."""

    def __init__(self, folder: Path, *names: str) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert(*(names or ("localhost", LOOPBACK)))
        self.ca_file = folder / "ca.pem"
        self.certificate_file = folder / "server.pem"
        self.key_file = folder / "server.key"
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate.private_key_pem.write_to_path(str(self.key_file))
        self.certificate_file.unlink(missing_ok=True)
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(self.certificate_file), append=True)
        self.key_file.chmod(0o600)
