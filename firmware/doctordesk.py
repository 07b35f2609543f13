"""The line doctor at work in the core: a session's orders to handset, recording and examination.

Runs on the control loop. What a session does next is `telephony.doctor`'s, what a recording says
`fxs.doctor`'s, in a process of its own; here is what joins them. At most one session at a time. The
handset's line machine is left alone: the session is the handset's guest while the machine is in
SERVICE, and goes by giving it back a dial tone, or an emergency number to dial.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from firmware.fxs import doctor_echo
from firmware.fxs.doctor import Recording, pack
from firmware.fxs.doctor_hook import Edge
from firmware.fxs.pcm import FRAME_MS
from firmware.service import DoctorRow, ServiceError
from firmware.telephony import doctor as dr
from firmware.telephony import events as ev
from firmware.telephony.handset import Handset
from firmware.telephony.line import LineState
from firmware.telephony.scheduling import Cancellable, Scheduler
from firmware.telephony.services import DOCTOR_CODE

_log = logging.getLogger(__name__)
_EXAMINE_SECONDS = 90.0
_DIALLABLE = frozenset((LineState.DIAL_TONE, LineState.SPECIAL_TONE, LineState.NOTICE))

Sink = Callable[[bytes], object]
Examined = Callable[[Mapping[str, Any] | None, str], None]


class DoctorDesk:
    """`row` is what the page and the command line see; every change of it is told.

    `tap(line, sink)` lets the voice thread hand each raw frame of the line to `sink` (None: no more);
    `examine(recording, examined)` has it examined elsewhere and calls back on the loop with the report,
    or None and why there is none.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        handsets: Mapping[int, Handset],
        tap: Callable[[int, Sink | None], None],
        is_emergency: Callable[[str], bool],
        flash_ms: tuple[float, float],
        examine: Callable[[Recording, Examined], None],
        told: Callable[[], None],
        wall: Callable[[], datetime],
    ) -> None:
        self._scheduler = scheduler
        self._handsets = handsets
        self._tap = tap
        self._is_emergency = is_emergency
        self._flash_ms = flash_ms
        self._examine = examine
        self._told = told
        self._wall = wall
        self._session: dr.DoctorSession | None = None
        self._handset: Handset | None = None
        self._tracks: dict[dr.Track, deque[bytes]] = {}
        self._timer: Cancellable | None = None
        self._held: ev.Offered | None = None
        self._leaving_on_hook = False
        self.row: DoctorRow = {
            "state": "idle",
            "line": None,
            "step": dr.Step.IDLE.value,
            "keys": "",
            "ending": None,
            "started": None,
            "detail": "",
            "report": None,
        }

    # --- asked from outside --------------------------------------------------------------

    def start(self, line: int) -> None:
        """Begin with the lifted handset, or wait a minute for it to be lifted. Raises ServiceError."""
        handset = self._handsets.get(line)
        if handset is None:
            raise ServiceError(f"there is no line {line}", status=404, where="line")
        if self._session is not None or self.row["state"] == "examining":
            raise ServiceError("the line doctor is at work already: wait until it is done, or stop it", status=409)
        state = handset.machine.state
        if handset.idle:
            self._open(handset)
            self._give(dr.Arm())
        elif handset.off_hook and state in _DIALLABLE:
            self._open(handset)
            self._dial_code()
        else:
            raise ServiceError(
                f"line {line} is in use or unplugged: hang up the telephone, or lift it and wait for the dial tone",
                status=409,
                where="line",
            )

    def stop(self) -> None:
        """End the session, if there is one; nothing is examined."""
        self._give(dr.Cancel())

    def begin(self, line: int) -> None:
        """Take the handset that dialled the doctor's code (or for which `start` dialled it)."""
        handset = self._handsets[line]
        if self._session is None and self.row["state"] != "examining":
            self._open(handset)
        if self._handset is not handset or self._session is None or self._session.has_handset:
            handset.speak(ev.Words.DOCTOR_BUSY)
            return
        self._give(dr.Begin())

    # --- the handset's guest -------------------------------------------------------------

    def takes(self, event: ev.LineEvent) -> bool:
        """See `handset.Guest`."""
        session = self._session
        if session is None:
            return False
        if not session.has_handset:
            self._watch(event)
            return False
        match event:
            case ev.DigitDialled(digit, pulse):
                self._give(dr.Key(digit, pulse))
            case ev.Flash():
                self._give(dr.Flashed())
            case ev.SpeechEnded():
                self._give(dr.Spoken())
            case ev.TimerFired():
                pass  # a service's time is the session's own
            case ev.Offered() if self._held is None:
                self._held = event
                self._give(dr.Called())
            case ev.Withdrawn(call) if self._held is not None and self._held.call == call:
                self._held = None
                self._give(dr.CallGone())
            case ev.OnHook():
                self._leaving_on_hook = True
                self._give(dr.HungUp())
                self._leaving_on_hook = False
                return False
            case _:
                return False
        return True

    def _watch(self, event: ev.LineEvent) -> None:
        """While the handset is still down: a lift begins the session, a call ends it."""
        if isinstance(event, ev.Offered):
            self._give(dr.Called())
        elif isinstance(event, ev.OffHook):
            # Once the line machine has it, and plays its dial tone.
            self._scheduler.call_at(self._scheduler.time(), self._dial_code)

    def _dial_code(self) -> None:
        """As the household would: so the line is in SERVICE, as with any code."""
        handset, session = self._handset, self._session
        if handset is None or session is None or session.has_handset:
            return
        if handset.machine.state not in _DIALLABLE:
            self._give(dr.Cancel())
            return
        for digit in DOCTOR_CODE:
            handset.feed(ev.DigitDialled(digit))

    # --- the session ---------------------------------------------------------------------

    def _open(self, handset: Handset) -> None:
        self._session = dr.DoctorSession(self._is_emergency)
        self._handset = handset
        self._tracks = {}
        self._held = None
        handset.guest = self
        self.row = {
            "state": "armed",
            "line": handset.line,
            "step": dr.Step.ARMED.value,
            "keys": "",
            "ending": None,
            "started": self._wall().isoformat(timespec="seconds"),
            "detail": "",
            "report": None,
        }

    def _give(self, event: dr.Event) -> None:
        session, handset = self._session, self._handset
        if session is None or handset is None:
            return
        for command in session.handle(event, self._scheduler.time()):
            self._do(command, handset)
        state = "armed" if session.step is dr.Step.ARMED else "running"
        if session.ending is None:
            self._tell(state=state, step=session.step.value, keys=session.keys_heard)

    def _do(self, command: dr.Command, handset: Handset) -> None:
        match command:
            case dr.Say(words):
                handset.speak(words)
            case dr.PlayProbe():
                handset.play(doctor_echo.probe())
            case dr.Hush():
                handset.hush()
            case dr.Record(track):
                self._record(track, handset)
            case dr.Wait(seconds):
                self._wait(seconds)
            case dr.Conclude(ending, examine):
                self._conclude(handset, ending, examine=examine)
            case dr.Leave(digits):
                self._leave(handset, digits)

    def _record(self, track: dr.Track | None, handset: Handset) -> None:
        if track is None:
            self._tap(handset.line, None)
            return
        frames: deque[bytes] = deque(maxlen=math.ceil(dr.TRACK_SECONDS[track] * 1000 / FRAME_MS))
        self._tracks[track] = frames
        self._tap(handset.line, frames.append)

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self._scheduler.call_at(self._scheduler.time() + seconds, self._time_up)

    def _time_up(self) -> None:
        self._timer = None
        self._give(dr.TimeUp())

    def _conclude(self, handset: Handset, ending: dr.Ending, *, examine: bool) -> None:
        self._tap(handset.line, None)
        _log.info("line %d: the line doctor's session is over (%s)", handset.line, ending.value)
        if not examine:
            self._tracks = {}
            self._tell(state="done", step=dr.Step.OVER.value, ending=ending.value)
            return
        # `list` of a deque is one step of the interpreter: the voice thread may be adding its last frame.
        pcm = {track: b"".join(list(frames)) for track, frames in self._tracks.items()}
        self._tracks = {}
        recording = Recording(
            edges=tuple(Edge(edge.closed, edge.at) for edge in handset.edges),
            noise=pcm.get(dr.Track.NOISE, b""),
            echo=pcm.get(dr.Track.ECHO, b""),
            keys=pcm.get(dr.Track.KEYS, b""),
            flash_ms=self._flash_ms,
        )
        self._tell(state="examining", step=dr.Step.OVER.value, ending=ending.value)
        self._examine(recording, self._examined)

    def _examined(self, report: Mapping[str, Any] | None, trouble: str) -> None:
        if report is None:
            _log.warning("the line doctor's examination failed: %s", trouble)
            self._tell(state="failed", detail=trouble)
        else:
            self._tell(state="done", report=dict(report))

    def _leave(self, handset: Handset, digits: str) -> None:
        """Give the handset back, and what came for it meanwhile."""
        held, self._held = self._held, None
        self._session = self._handset = None
        handset.guest = None
        if handset.off_hook and digits:
            # A new dial tone, and the number into it: the way that every emergency call goes.
            handset.feed(ev.Flash())
            for digit in digits:
                handset.feed(ev.DigitDialled(digit))
        elif handset.off_hook:
            handset.feed(ev.SpeechEnded())
        if held is not None:
            # Hanging up is still on its way to the line machine: the telephone can ring right after.
            self._scheduler.call_at(self._scheduler.time(), handset.feed, held)

    def _tell(self, **changes: object) -> None:
        row = cast("DoctorRow", {**self.row, **changes})
        if row != self.row:
            self.row = row
            self._told()


async def examine_apart(recording: Recording, humbly: Callable[[], None]) -> Mapping[str, Any]:
    """Have a process of its own examine it; `humbly` runs in it before exec. Raises ServiceError if it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware.fxs.doctor"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=humbly,
    )
    try:
        out, complaint = await asyncio.wait_for(process.communicate(pack(recording)), _EXAMINE_SECONDS)
    except TimeoutError:
        raise ServiceError(f"the examination took more than {_EXAMINE_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = complaint.decode(errors="replace").strip().splitlines()
        raise ServiceError(said[-1] if said else f"the examination ended with {process.returncode}")
    try:
        return cast("Mapping[str, Any]", json.loads(out))
    except ValueError as error:
        raise ServiceError(f"the examination said something that is no report: {error}") from error
