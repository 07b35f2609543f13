"""Bursts of DTMF for the test set, and the two ears that hear them: ours, and libspandsp's receiver alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from cffi import FFI

from firmware.fxs.dsp.library import open_library
from firmware.fxs.dsp.spandsp import SONAMES, DtmfReceiver
from firmware.fxs.dtmf import Detector, DigitSpan
from tests.fakes import signals
from tests.fakes.signals import COLUMNS, KEYS, RATE, ROWS, Samples


def burst(
    key: str,
    *,
    on_ms: float = 50,
    off_ms: float = 50,
    low: float = -17,
    high: float = -17,
    low_percent: float = 0,
    high_percent: float = 0,
    phase: float = 0,
) -> Samples:
    """One digit and the silence after it, to the sample; levels in dBm0 of each tone; `phase` in radians."""
    index = KEYS.index(key)
    on, whole = round(on_ms * RATE / 1000), round((on_ms + off_ms) * RATE / 1000)
    t = np.arange(on) / RATE
    out = np.zeros(whole)
    for hz, percent, dbm0 in ((ROWS[index // 4], low_percent, low), (COLUMNS[index % 4], high_percent, high)):
        out[:on] += signals.peak(dbm0) * np.sin(2 * np.pi * hz * (1 + percent / 100) * t + phase)
    return out


def joined(bursts: Iterable[Samples]) -> bytes:
    """As a line's samples, with silence before and behind."""
    return signals.pcm(np.concatenate([np.zeros(800), *bursts, np.zeros(800)]))


def ours(pcm: bytes, *, dial_tone_filter: bool = True) -> str:
    """What the box's detector hears, as on a line."""
    detector = Detector(dial_tone_filter=dial_tone_filter)
    return "".join(hit.digit for frame in signals.frames(pcm) for hit in detector.feed(frame))


def plain(pcm: bytes, *, dial_tone_filter: bool = False) -> str:
    """What libspandsp's receiver hears, set as it comes."""
    receiver = DtmfReceiver(dial_tone_filter=dial_tone_filter)
    digits = []
    for frame in signals.frames(pcm):
        receiver.feed(frame)
        digits.append(receiver.digits())
    return "".join(digits)


def our_spans(pcm: bytes) -> list[DigitSpan]:
    """The digits with their times, told as they end."""
    detector = Detector()
    spans: list[DigitSpan] = []
    for frame in signals.frames(pcm):
        detector.feed(frame)
        spans += detector.ended
    return spans


class PlainReports:
    """libspandsp's own reports of tones beginning and ending: the digit ("" at its end), its level in dBm0, and for
    how many ms it had been otherwise.
    """

    def __init__(self) -> None:
        ffi: Any = FFI()
        ffi.cdef("""
            typedef void (*report_t)(void *user, int code, int level, int delay);
            void *dtmf_rx_init(void *s, void *callback, void *user_data);
            void dtmf_rx_set_realtime_callback(void *s, report_t callback, void *user_data);
            int dtmf_rx(void *s, const char *amp, int samples);
            int dtmf_rx_free(void *s);
        """)
        self._lib, _ = open_library(ffi, SONAMES, "libspandsp2")
        self.events: list[tuple[str, int, float]] = []

        def report(_user: object, code: int, level: int, samples: int) -> None:
            self.events.append((chr(code) if code else "", level, samples * 1000 / RATE))

        self._callback = ffi.callback("report_t", report)
        self._state = ffi.gc(self._lib.dtmf_rx_init(ffi.NULL, ffi.NULL, ffi.NULL), self._lib.dtmf_rx_free)
        self._lib.dtmf_rx_set_realtime_callback(self._state, self._callback, ffi.NULL)

    def feed(self, pcm: bytes) -> None:
        """Hear 16-bit samples."""
        self._lib.dtmf_rx(self._state, pcm, len(pcm) // 2)
