"""Looks at the streams of answered calls, on the SIP thread: every five seconds, and when one ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from firmware.telephony.quality_meter import LOOK_SECONDS, Meter, NetworkQuality, StreamReading
from firmware.telephony.sip.agenda import Agenda

_log = logging.getLogger(__name__)
Look = Callable[[], StreamReading | None]


@dataclass(slots=True)
class _Measured:
    look: Look
    meter: Meter = field(default_factory=Meter)


class Measures:
    """The meters of the calls that are up, by the calls' keys. `now` gives monotonic seconds."""

    def __init__(self, agenda: Agenda, now: Callable[[], float]) -> None:
        self._agenda = agenda
        self._now = now
        self._calls: dict[int, _Measured] = {}

    def begin(self, key: int, look: Look) -> None:
        """A call was answered; `look` reads its stream, None while it has none."""
        self._calls[key] = _Measured(look)
        self._next(key)

    def sealed(self, key: int, last: StreamReading | None) -> None:
        """The call's stream is about to end, by a renegotiation or with the call; `last` is its last reading."""
        call = self._calls.get(key)
        if call is not None:
            if last is not None:
                call.meter.look(last)
            call.meter.seal()

    def end(self, key: int) -> NetworkQuality | None:
        """The call is over: its measure, once; None if there is none (any more)."""
        call = self._calls.pop(key, None)
        self._agenda.cancel(f"look {key}")
        if call is None:
            return None
        self._look(call)
        return call.meter.quality()

    def _next(self, key: int) -> None:
        self._agenda.at(self._now() + LOOK_SECONDS, f"look {key}", partial(self._due, key))

    def _due(self, key: int) -> None:
        call = self._calls.get(key)
        if call is not None:
            self._next(key)
            self._look(call)

    @staticmethod
    def _look(call: _Measured) -> None:
        try:
            reading = call.look()
        except Exception:  # noqa: BLE001 a figure must never keep a call from being hung up
            _log.exception("a call's counters cannot be read")
            return
        if reading is not None:
            call.meter.look(reading)
