"""Messages for a display in a recording: callers and waiting messages, by whichever standard, at whatever level.
For `allobox line decode`; nothing of a call depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from firmware.fxs import recognise
from firmware.fxs.callerid import MODEM_DBM0, STANDARDS, Decoder
from firmware.fxs.callerid_message import Message
from firmware.fxs.dsp.level import dbm0_of_power, pcm_of, power, samples_of
from firmware.fxs.pcm import FRAME_BYTES, FRAME_MS, SAMPLE_RATE_HZ

_BYTES_PER_MS: Final = 2 * SAMPLE_RATE_HZ / 1000
# What libspandsp's receivers hold back: the last bits of a message come out under the silence after it.
_FLUSH: Final = bytes(2 * SAMPLE_RATE_HZ // 5)
_BLOCK: Final = SAMPLE_RATE_HZ // 50
_FAINT_DBM0: Final = -24.0
"""Below it a recording is raised: the receivers give up at -31 dBm0, and a file's level is nobody's promise."""
_MARKS_HZ: Final = {"v23": 1300.0, "bell202": 1200.0}
_MARK_SCAN_HZ: Final = range(1150, 1360, 8)
_LONGEST_LEAD_MS: Final = 450.0
_PAUSE: Final = 0.05
_MARK_MS: Final = (70.0, 15.0)
"""Where before the first byte the mark is looked at: off-hook there are 66 ms of it."""


@dataclass(frozen=True, slots=True)
class Transmission:
    """A message, the standard that sent it (by the frequency of its mark), and where its data lie."""

    message: Message
    standard: str
    start_ms: float
    end_ms: float


def transmissions(pcm: bytes, standard: str) -> list[Transmission]:
    """Every message of a recording (8 kHz, 16 bit); by `standard`, or else by the first other one that has any."""
    raised = _raised(pcm)
    for tried in (standard, *(other for other in STANDARDS if other != standard)):
        found = _by(tried, raised)
        if found:
            return found
    return []


def _raised(pcm: bytes) -> bytes:
    samples = samples_of(pcm)
    loudest = max((power(samples[at : at + _BLOCK]) for at in range(0, len(samples), _BLOCK)), default=0.0)
    level = dbm0_of_power(loudest)
    if not loudest or level >= _FAINT_DBM0:
        return pcm
    gain = 10 ** ((MODEM_DBM0 - level) / 20)
    return pcm_of(sample * gain for sample in samples)


def _by(standard: str, pcm: bytes) -> list[Transmission]:
    decoder = Decoder(standard)
    padded = pcm + _FLUSH
    found = []
    for at in range(0, len(padded), FRAME_BYTES):
        for message in decoder.hear(padded[at : at + FRAME_BYTES]):
            end = (at + FRAME_BYTES) / _BYTES_PER_MS
            sent_by = _modem(pcm, end - decoder.data_ms, standard) if standard in _MARKS_HZ else standard
            begins = end - decoder.last_ms if standard == "dtmf" else _beginning(pcm, end - decoder.data_ms - FRAME_MS)
            found.append(Transmission(message, sent_by, begins - 50, end + 50))
    return found


def _beginning(pcm: bytes, data_ms: float) -> float:
    """Where the seizure, or the mark alone, begins that leads to data: up to there it sounds without a pause."""
    at = int(data_ms * _BYTES_PER_MS) // 2 * 2
    data = power(samples_of(pcm[at : at + 4 * _BLOCK]))
    least = max(0.0, data_ms - _LONGEST_LEAD_MS)
    while data_ms > least:
        at = int((data_ms - FRAME_MS) * _BYTES_PER_MS) // 2 * 2
        if at < 0 or power(samples_of(pcm[at : at + FRAME_BYTES])) < _PAUSE * data:
            break
        data_ms -= FRAME_MS
    return data_ms


def _modem(pcm: bytes, data_ms: float, believed: str) -> str:
    """Whose mark lies before the data, which begin at `data_ms` (the receivers take each other's)."""
    first, last = (max(0, int((data_ms - before - FRAME_MS) * _BYTES_PER_MS) // 2 * 2) for before in _MARK_MS)
    mark = samples_of(pcm[first:last])
    if not mark:
        return believed
    heard = max(_MARK_SCAN_HZ, key=lambda hz: recognise.energy_at(mark, hz))
    return min(_MARKS_HZ, key=lambda standard: abs(_MARKS_HZ[standard] - heard))
