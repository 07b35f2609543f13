"""A telephone that shows a second caller while it is spoken with (caller ID "type 2"; ETSI EN 300 659-2, GR-30).

It hears the alerting signal (CAS) in the voice, mutes microphone and earpiece, answers with a DTMF D, and
listens for the message; without one it opens both again. Samples in, steps out; the body carries them out.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np

from firmware.fxs.callerid_message import CallerIdMessage
from firmware.fxs.telephone_alerts import AlertEar, mark_frequency
from firmware.fxs.telephone_dialer import Keying
from firmware.fxs.telephone_display import Display
from firmware.fxs.telephone_ears import Samples
from firmware.fxs.telephone_plans import lenient

# GR-30: the answer begins within 100 ms of the CAS and lasts 55 to 65 ms.
ANSWER, ANSWER_KEYING = "D", Keying(on_ms=60.0, off_ms=0.0)
_CAS_MS = (75, 85)
# The message begins 50 to 500 ms after the answer, and a machine under load is late; it lasts 2.5 s at most.
_BEGINS_WITHIN = 0.9
_LASTS = 2.5
_CARRIER_FRAMES = 12


class Step(Enum):
    """What the telephone does."""

    ANSWER = "mute, send the answer"
    SHOWN = "show the caller, open again"
    GIVEN_UP = "open again"


class SecondCaller:
    """`muted` from the CAS to the message's end; `caller`: the last one shown, until `clear`."""

    def __init__(self, standard: str) -> None:
        self._standard = standard
        self.clear()

    def clear(self) -> None:
        """The handset was hung up: nothing is heard half, and nobody shown."""
        self._ear = AlertEar(*_CAS_MS)
        self._display = Display(lenient(self._standard))
        self._begin_by = self._until = float("-inf")
        self._heard: deque[Samples] = deque(maxlen=_CARRIER_FRAMES)
        self.muted = False
        self.caller: CallerIdMessage | None = None

    def hear(self, frame: bytes, samples: Samples, now: float) -> Step | None:
        """10 ms of the line with the handset lifted, as bytes and as numbers."""
        if not self.muted:
            if not self._ear.hear(samples):
                return None
            self.muted = True
            self._display = Display(lenient(self._standard))
            self._begin_by = now + ANSWER_KEYING.on_ms / 1000 + _BEGINS_WITHIN
            self._until = self._begin_by + _LASTS
            self._heard.clear()
            return Step.ANSWER
        message = self._display.hear(frame, now)
        if isinstance(message, CallerIdMessage):
            self.caller, self.muted = message, False
            return Step.SHOWN
        if self._begin_by < self._until:
            self._heard.append(samples)
            if mark_frequency(np.concatenate(self._heard)) is not None:
                self._begin_by = self._until  # the modem has begun
        if now > self._begin_by:
            self.muted = False
            return Step.GIVEN_UP
        return None
