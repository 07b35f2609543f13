"""A fax machine at the far end of the simulated wire: a telephone whose microphone and earpiece are a modem.

`python -m tests.fakes.fax_machine --data DIR --line N` is the process, `FaxClient` orders it: `send` lifts, dials and
sends a page, `receive` waits for the bell and takes one. All that `allobox phone` can do it can, too.
"""

from __future__ import annotations

import argparse
import gc
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from firmware.fxs.pcm import FRAME_SAMPLES
from firmware.fxs.phone_client import Pending, PhoneClient
from firmware.fxs.telephone_body import RefusedError, Settings, Telephone
from firmware.fxs.telephone_dialer import Keying
from firmware.fxs.telephone_ears import Samples
from firmware.fxs.telephone_server import ControlServer, Reply, Request, _Handler, number, word
from firmware.fxs.telephone_set import WIDE_SILENCE, AnalogSet
from tests.fakes.fax_modem import FaxModem

_TONE_SECONDS = 15.0
_RING_SECONDS = 60.0
_PAGE_SECONDS = 180.0
_FULL_SCALE = 32767


class _ModemSet(AnalogSet):
    """The circuit, with a modem across it while there is one."""

    modem: FaxModem | None = None

    def hear(self, frame: bytes, at: float, whole: bytes = WIDE_SILENCE) -> Samples:
        if self.modem is not None:
            self.modem.hear(frame)
        return super().hear(frame, at, whole)

    def speak(self, at: float, *, connected: bool) -> bytes:
        line = super().speak(at, connected=connected)
        if self.modem is None:
            return line
        said = self.modem.speak()  # its timers run by what it says, heard or not
        if not connected:
            return line
        sum_ = np.frombuffer(line, np.int16).astype(np.int32) + np.frombuffer(said, np.int16)
        frame = np.clip(sum_, -_FULL_SCALE - 1, _FULL_SCALE).astype(np.int16)
        assert frame.size == FRAME_SAMPLES
        return frame.tobytes()

    @property
    def busy(self) -> bool:
        return self.modem is not None or super().busy


class FaxMachine(Telephone):
    """The telephone with its modem. Orders come from any thread."""

    def __init__(self, data: Path, line: int, settings: Settings) -> None:
        super().__init__(data, line, settings)
        self._modems = _ModemSet(settings.hybrid_loss_db, settings.noise_dbm0, settings.seed)
        self._set = self._modems

    def send(self, digits: str, page: Path) -> dict[str, Any]:
        """Lift, dial, send; how it went. Raises RefusedError without a dial tone."""
        self.lift()
        if not self.wait("dial-tone", _TONE_SECONDS, self.begin_wait("dial-tone")):
            raise RefusedError("no dial tone")
        self.dial(digits, Keying())
        return self._run_modem(FaxModem(send=page))

    def receive(self, page: Path) -> dict[str, Any]:
        """Answer the bell and take a page; how it went. Raises RefusedError if nobody calls."""
        if not self.wait("ring", _RING_SECONDS, self.begin_wait("ring")):
            raise RefusedError("nobody called")
        self.lift()
        return self._run_modem(FaxModem(receive=page))

    def _run_modem(self, modem: FaxModem) -> dict[str, Any]:
        began = time.monotonic()
        before = self.state()
        self._modems.modem = modem
        try:
            while modem.result is None and time.monotonic() < began + _PAGE_SECONDS:
                time.sleep(0.05)
        finally:
            self._modems.modem = None
        after = self.state()
        self.hang_up()
        self.stay_down()
        stalls = {key: int(after[key]) - int(before[key]) for key in ("slipped_frames", "late_frames", "late_ticks")}
        return {**modem.outcome().as_json(), "seconds": time.monotonic() - began, **stalls}


class _FaxHandler(_Handler):
    """Two orders more."""

    def _answer(self, line: bytes) -> Reply:
        request: Request = json.loads(line)
        machine = self.server.telephone
        assert isinstance(machine, FaxMachine)
        match request.get("command"):
            case "fax-send":
                self._tell({"accepted": True})
                return machine.send(word(request, "digits"), Path(word(request, "path")))
            case "fax-receive":
                self._tell({"accepted": True})
                return machine.receive(Path(word(request, "path")))
            case _:
                return super()._answer(line)


class FaxClient(PhoneClient):
    """Orders the machine of a line; `result()` of what these return tells how it went (`fax_modem.Outcome`)."""

    def begin_send(self, digits: str, page: Path) -> Pending:
        """Lift, dial, send."""
        return self._begin("fax-send", _PAGE_SECONDS + _TONE_SECONDS + 20, digits=digits, path=str(page)).accepted()

    def begin_receive(self, page: Path) -> Pending:
        """Wait for the bell, answer, receive."""
        return self._begin("fax-receive", _PAGE_SECONDS + _RING_SECONDS + 20, path=str(page)).accepted()


def main() -> None:
    """The process, until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--line", type=int, default=1)
    parser.add_argument("--ppm", type=float, default=0.0)
    given = parser.parse_args()
    machine = FaxMachine(given.data, given.line, Settings(ppm=number({"ppm": given.ppm}, "ppm", 0, -1000, 1000)))
    server = ControlServer(given.data, given.line, machine)
    server._server.RequestHandlerClass = _FaxHandler
    done = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: done.set())
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    machine.start()
    server.start()
    done.wait()
    server.stop()
    machine.stop()


if __name__ == "__main__":
    main()
