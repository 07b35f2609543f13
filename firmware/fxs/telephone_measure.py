"""Round trip at the telephone: chirps out, matched filter on what comes back. Needs an echo at the far end."""

from __future__ import annotations

import numpy as np

from firmware.fxs.pcm import FRAME_MS, SAMPLE_RATE_HZ
from firmware.fxs.telephone_body import Telephone
from firmware.fxs.telephone_ears import Samples, rms_of_dbm0

_CHIRP_SECONDS = 0.03
_LOW_HZ = 500.0
_HIGH_HZ = 3000.0
_LEVEL_DBM0 = -6.0
_LISTEN_SECONDS = 0.7
# The filter's peak over its median output: speech and tones stay below, a chirp's echo is far above.
_CLEAR = 8.0


def chirp() -> Samples:
    """A linear sweep with soft ends: its autocorrelation is one sharp peak."""
    times = np.arange(round(_CHIRP_SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * (_LOW_HZ * times + (_HIGH_HZ - _LOW_HZ) / (2 * _CHIRP_SECONDS) * times**2)
    swept: Samples = rms_of_dbm0(_LEVEL_DBM0) * np.sqrt(2) * np.sin(phase) * np.hanning(times.size)
    return swept


def roundtrip(telephone: Telephone, count: int) -> list[float | None]:
    """Milliseconds from a sample spoken to the same sample heard, `count` times; None where nothing came back.

    Acoustic: a spoken frame leaves when its last sample is in, so 10 ms of each figure are the
    telephone's own frame. Raises RefusedError on-hook.
    """
    return [_once(telephone) for _ in range(count)]


def _once(telephone: Telephone) -> float | None:
    tap = telephone.tap(_LISTEN_SECONDS)
    sent = chirp()
    sound = telephone.put(sent)
    tap.full.wait()
    if sound.started_at is None or not tap.frames or tap.cut:
        return None
    heard = np.frombuffer(tap.pcm(), np.int16).astype(np.float64)
    match = np.abs(np.correlate(heard, sent, "valid"))
    peak = int(np.argmax(match))
    floor = max(float(np.median(match)), float(sent @ sent) * 1e-4)
    if match[peak] < _CLEAR * floor:
        return None
    frame, offset = divmod(peak, FRAME_MS * SAMPLE_RATE_HZ // 1000)
    arrived = tap.frames[frame][0] + offset / SAMPLE_RATE_HZ
    return round((arrived - sound.started_at) * 1000, 3)
