"""A whole box for the tests: core and telephone as the processes they are, on a data folder of its own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firmware import __version__
from firmware.control import BoxClient
from firmware.fxs.phone_client import PhoneClient, PhoneError
from firmware.offline import offline
from firmware.service import CallRow, ServiceError
from firmware.telephony import announcements
from tests.system.peer_process import wait_until

START_SECONDS = 30
ROOT = Path(__file__).resolve().parents[2]


def spoken_before(data: Path) -> None:
    """The French sentences as a box of this version has them after its first minute, made once for all tests.

    Speaking them takes two seconds of a core: a box a test would make the tests late that run beside it.
    """
    source = Path(announcements.__file__)
    texts = sorted(source.parent.glob("translations/*/LC_MESSAGES/announcements.po"))
    version = hashlib.sha256(b"".join(file.read_bytes() for file in (source, *texts))).hexdigest()[:16]
    kept = ROOT / ".cache" / "sentences" / f"{__version__}-{version}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as fresh:
                subprocess.run([sys.executable, "-m", announcements.__name__, fresh, "fr"], check=True, cwd=ROOT)
                (Path(fresh) / "fr" / ".version").write_text(__version__, encoding="utf-8")
                shutil.copytree(fresh, kept)
    shutil.copytree(kept, data / "announcements", dirs_exist_ok=True)


class RunningBox:
    """`with RunningBox() as box:` then `box.phone.lift()`, `box.client.status()`, `box.calls()`.

    `accounts` are added before the core starts; `telephone` are more arguments of the simulated
    telephone (`--ppm 200`), `more_telephones` those of lines 2, 3 ..., one for each (`phones[2]`, log
    "telephone2"). The folder goes at the end; after a failure its logs are shown.
    """

    def __init__(
        self,
        *accounts: Mapping[str, Any],
        telephone: tuple[str, ...] = (),
        more_telephones: Sequence[tuple[str, ...]] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="allobox-box-", dir="/tmp"))
        self.phone = PhoneClient(self.data)
        self.client = BoxClient(self.data)
        self._telephones = {1: telephone, **dict(enumerate(more_telephones, 2))}
        self.phones = {line: self.phone if line == 1 else PhoneClient(self.data, line) for line in self._telephones}
        self._accounts = accounts
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        with offline(self.data) as office:
            for account in accounts:
                office.add_account(account)  # type: ignore[arg-type]
            for key, value in (settings or {}).items():
                office.change_setting(key, value)

    def run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `allobox NAME --data DIR ARGUMENTS`; its log is DIR/NAME.log (a digit in NAME: only there)."""
        with (self.data / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.program(name.rstrip("0123456789")), "--data", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        self._processes[name] = process
        return process

    def program(self, role: str) -> list[str]:
        """The command that plays this role."""
        return [sys.executable, "-m", "firmware", role]

    def start(self) -> None:
        """Start core and telephones and wait until all serve."""
        lines = len(self._telephones)
        spoken_before(self.data)
        self.run("core", "--simulate", *(["--lines", str(lines)] if lines > 1 else []))
        for line, arguments in self._telephones.items():
            self.run("telephone" if line == 1 else f"telephone{line}", "--line", str(line), *arguments)
        wait_until(self._serves, START_SECONDS, "core and telephone to be up")

    def _serves(self) -> bool:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise AssertionError(f"{name} ended with {process.returncode}:\n{self.log(name)}")
        try:
            return (
                self.client.status()["sip"]["state"] == "up"
                and all(phone.state()["line_connected"] for phone in self.phones.values())
                and all(row["fault"] is None for row in self.client.status()["lines"])
            )
        except (ServiceError, PhoneError):
            return False

    def wait_registered(self, name: str, *, registered: bool = True) -> None:
        """Until the account is (not) registered."""

        def ready() -> bool:
            return any(row["name"] == name and row["registered"] is registered for row in self.client.accounts())

        wait_until(ready, 20, f"account {name} to be registered={registered}")

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._processes[name].kill()
        self._processes[name].wait()

    def pid(self, name: str) -> int:
        """The process's id."""
        return self._processes[name].pid

    def calls(self, count: int = 1) -> list[CallRow]:
        """The newest records first, once at least `count` are there."""
        wait_until(lambda: len(self.client.calls({"limit": 200})) >= count, 15, f"{count} call records")
        return self.client.calls({"limit": 200})

    def state(self, wanted: str, seconds: float = 15, line: int = 1) -> None:
        """Until the line is in that state."""

        def there() -> bool:
            return self.client.status()["lines"][line - 1]["state"] == wanted

        wait_until(there, seconds, f"line {line} to be {wanted}")

    def log(self, name: str = "core") -> str:
        """The end of a process's log."""
        try:
            return (self.data / f"{name}.log").read_text(errors="replace")[-6000:]
        except OSError:
            return "(no log)"

    def stop(self) -> None:
        """Stop everything, and drop the folder."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 8
        for process in self._processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.client.close()
        if not os.environ.get("ALLOBOX_KEEP_PEERS"):
            shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            print(self.log(), self.log("telephone"))
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(f"--- core\n{self.log()}\n--- telephone\n{self.log('telephone')}")
        self.stop()
