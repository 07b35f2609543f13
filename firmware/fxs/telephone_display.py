"""The display of a telephone: which messages it listens for, when, and what it then shows. Samples in, words out.

Each country's telephones are woken by what its exchanges send first (ETSI EN 300 659-1: the first ring, a
dual-tone alerting signal, a short ring pulse, with or without a polarity reversal), and only then hear a message;
a British one wants its reversal and then the tone (SIN 227). Any message with a date sets the clock.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from firmware.fxs.callerid import Decoder
from firmware.fxs.callerid_message import CallerIdMessage, Message, WaitingMessage
from firmware.fxs.pcm import FRAME_SAMPLES, SAMPLE_RATE_HZ
from firmware.fxs.telephone_alerts import AlertEar, mark_frequency
from firmware.fxs.telephone_plans import ALWAYS, PULSE, REVERSAL, REVERSAL_TONE, RING, TONE, DisplayPlan

MARKS_HZ = {"v23": 1300.0, "bell202": 1200.0}
_MARK_SLACK_HZ = 40.0
_RING_WINDOW = 6.0
_ALERT_WINDOW = 4.0  # the message begins within 0.5 s, and lasts 2.5 at most
_BEGINS_WITHIN = 1.2  # 500 ms by the standard, and what a busy machine adds
_REVERSAL_WINDOW = 1.5
PULSE_SECONDS = 0.35
_KEPT_FRAMES = 300
_LOUD = 100.0  # sample value: about -47 dBm0


class Display:
    """`caller` is the last one shown, `lamp` and `waiting` say what a mailbox told, `clock` is `MM-DDTHH:MM`."""

    def __init__(self, plan: DisplayPlan) -> None:
        self._plan = plan
        self._decoder = Decoder(plan.standard)
        self._ear = AlertEar(88, 110)
        self._until = float("inf") if ALWAYS in plan.wakes else float("-inf")
        self._begin_by = float("inf")
        self._reversed_at = float("-inf")
        self._kept: deque[np.ndarray] = deque(maxlen=_KEPT_FRAMES)
        self.caller: CallerIdMessage | None = None
        self.lamp = False
        self.waiting: int | None = None
        self.clock: str | None = None

    def reversed(self, now: float) -> None:
        """The battery was turned round."""
        self._reversed_at = now
        self._wake(REVERSAL, now)

    def rung(self, seconds: float, now: float) -> None:
        """Ring voltage was on for so long, and is off."""
        self._wake(PULSE if seconds <= PULSE_SECONDS else RING, now)

    def ring_begins(self) -> None:
        """Ring voltage drowns whatever was being said."""
        self._sleep()

    def forget_sound(self) -> None:
        """Another call, or the handset: half a message is none."""
        self._sleep()

    def hear(self, frame: bytes, now: float) -> Message | None:
        """10 ms of the line, on-hook; the message that was understood in them."""
        samples = np.frombuffer(frame, np.int16).astype(np.float64)
        if self._ear.hear(samples):
            if now - self._reversed_at <= _REVERSAL_WINDOW:
                self._wake(REVERSAL_TONE, now)
            self._wake(TONE, now)
            return None
        if now > self._until:
            return None
        if self._begin_by != float("inf"):
            if float(np.abs(samples).max(initial=0.0)) > _LOUD:
                self._begin_by = float("inf")
            elif now > self._begin_by:
                self._sleep()  # nobody speaks: the alert was somebody's voice
                return None
        self._kept.append(samples)
        for message in self._decoder.hear(frame):
            if self._own_modem():
                self._show(message)
                return message
        return None

    def _wake(self, by: str, now: float) -> None:
        if by not in self._plan.wakes:
            return
        self._decoder = Decoder(self._plan.standard)
        self._kept.clear()
        tone = by in {TONE, REVERSAL_TONE}
        self._begin_by = now + _BEGINS_WITHIN if tone else float("inf")
        self._until = max(self._until, now + (_ALERT_WINDOW if tone else _RING_WINDOW))

    def _sleep(self) -> None:
        self._decoder = Decoder(self._plan.standard)
        self._kept.clear()
        self._begin_by = float("inf")
        if ALWAYS not in self._plan.wakes:
            self._until = float("-inf")

    def _own_modem(self) -> bool:
        """Whether the mark was where this country has it: the library's receivers take each other's."""
        wanted = MARKS_HZ.get(self._plan.standard)
        if wanted is None:
            return True
        needed = round((self._decoder.last_ms + 100) * SAMPLE_RATE_HZ / 1000 / FRAME_SAMPLES)
        mark = mark_frequency(np.concatenate(list(self._kept)[-needed:]))
        return mark is not None and abs(mark - wanted) <= _MARK_SLACK_HZ

    def _show(self, message: Message) -> None:
        if message.time is not None:
            self.clock = message.time
        if isinstance(message, WaitingMessage):
            self.lamp, self.waiting = message.waiting, message.count
        else:
            self.caller = message
