"""The SIP library's own jitter buffer and concealment in virtual time: losses, and packets beside the readings.

No network, no clock: the library's functions are fed with packets and read every 20 ms, as its stream does with
packets of 20 ms. So a setting is judged by hundreds of calls in a minute, and a call that slipped is told from one that
did not. One line of JSON a row.

    python -m tests.bench.jitter_buffer [--loss 0.03] [--noise 0.5] [--seeds 5] [--buffer 0 1 40 2] [--plc spandsp]
    python -m tests.bench.jitter_buffer --splices
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pjsua2 as pj
from cffi import FFI

from firmware.fxs.splice import SpliceMender
from tests.bench.weather import quality
from tests.fakes.udp_schedule import Network, Schedule
from tests.system import speech_score
from tests.system.speech_score import Samples
from tests.voice_analysis import tone_clicks

PACKET_MS, FRAME_MS = 20.0, 10.0
_FRAME_BYTES, _RATE, _MOST_FRAMES, _CONCEALED_FRAMES = 160, 8000, 50, 24
_SAMPLES = _FRAME_BYTES // 2
_LEAD_PACKETS = 50
_PACKET_BYTES = 172  # RTP and 20 ms of A-law
_NORMAL = 1  # PJMEDIA_JB_NORMAL_FRAME
PHASES_MS = (0.5, 4.5, 8.5, 12.5, 16.5, 19.5)
NEAR_MS = 4.0

_C = """
typedef struct { char *ptr; long slen; } pj_str_t;
void *pjsua_pool_create(const char *name, size_t initial, size_t increment);
int pjmedia_jbuf_create(void *pool, const pj_str_t *name, unsigned size, unsigned ptime, unsigned most, void **jb);
int pjmedia_jbuf_set_adaptive(void *jb, unsigned prefetch, unsigned least, unsigned most);
int pjmedia_jbuf_set_discard(void *jb, int how);
void pjmedia_jbuf_put_frame3(void *jb, const void *frame, size_t size, uint32_t bits, int seq, uint32_t ts, int *gone);
void pjmedia_jbuf_get_frame3(void *jb, void *frame, size_t *size, char *kind, uint32_t *bits, uint32_t *ts, int *seq);
int pjmedia_jbuf_destroy(void *jb);
int pjmedia_plc_create(void *pool, unsigned rate, unsigned samples, unsigned options, void **plc);
int pjmedia_plc_save(void *plc, void *frame);
int pjmedia_plc_generate(void *plc, void *frame);
"""
_SPANDSP = (
    "void *plc_init(void *s); int plc_rx(void *s, void *amp, int len); int plc_fillin(void *s, void *amp, int len);"
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out; `slips`: how often the voice moved."""

    samples: Samples
    slips: int


class Buffer:
    """The library, once a process."""

    def __init__(self) -> None:
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        settings = pj.EpConfig()
        settings.logConfig.level = settings.logConfig.consoleLevel = 0
        self._endpoint.libInit(settings)
        self._ffi: Any = FFI()
        self._ffi.cdef(_C + _SPANDSP)
        self._lib: Any = self._ffi.dlopen(str(sys.modules["pjsua2._pjsua2"].__file__))
        self._spandsp: Any = self._ffi.dlopen("libspandsp.so.2")

    def _concealment(self, plc: str, concealer: Any) -> tuple[Callable[[Any], object], Callable[[Any], object]]:
        """What learns from a frame that came, and what makes up one that did not."""
        library, spandsp, samples = self._lib, self._spandsp, _SAMPLES
        if plc == "library":
            return partial(library.pjmedia_plc_save, concealer), partial(library.pjmedia_plc_generate, concealer)
        state = spandsp.plc_init(self._ffi.NULL)
        return (
            lambda frame: spandsp.plc_rx(state, frame, samples),
            lambda frame: spandsp.plc_fillin(state, frame, samples),
        )

    def hears(
        self,
        said: Samples,
        packets: Sequence[tuple[float, int]],
        *,
        buffer: tuple[int, int, int, int] = (0, 1, 40, 2),
        plc: str = "library",
    ) -> Heard:
        """A clip in A-law. `packets`: when each comes (ms after the first reading) and its number, those below zero of
        silence. `buffer`: frames at first, least, most; discard.
        """
        ffi, lib = self._ffi, self._lib
        coded = speech_score.a_law(said).astype("<i2").tobytes()
        pool = lib.pjsua_pool_create(b"study", 4000, 4000)
        made, concealer, characters = ffi.new("void **"), ffi.new("void **"), ffi.new("char[]", b"study")
        name = ffi.new("pj_str_t *", {"ptr": characters, "slen": 5})
        lib.pjmedia_jbuf_create(pool, name, _FRAME_BYTES, int(FRAME_MS), _MOST_FRAMES, made)
        lib.pjmedia_jbuf_set_adaptive(made[0], *buffer[:3])
        lib.pjmedia_jbuf_set_discard(made[0], buffer[3])
        lib.pjmedia_plc_create(pool, _RATE, _FRAME_BYTES // 2, 0, concealer)
        keep, fill = self._concealment(plc, concealer[0])
        frame, size, kind = ffi.new("char[]", _FRAME_BYTES), ffi.new("size_t *"), ffi.new("char *")
        bits, stamp, number_out, gone = (ffi.new(f"{t} *") for t in ("uint32_t", "uint32_t", "int", "int"))
        out: list[bytes] = []
        positions: list[int] = []
        concealed, waiting = 0, iter([*sorted(packets), (float("inf"), 0)])
        due, number = next(waiting)
        reading, end = 0.0, PACKET_MS * (len(coded) // (2 * _FRAME_BYTES) + _LEAD_PACKETS) + 600
        while reading < end:
            while due <= reading:
                for half in (0, 1):
                    at = (2 * number + half) * _FRAME_BYTES
                    sound = coded[at : at + _FRAME_BYTES] if number >= 0 else bytes(_FRAME_BYTES)
                    place = 2 * (number + _LEAD_PACKETS) + half
                    lib.pjmedia_jbuf_put_frame3(made[0], sound, len(sound), 0, place, place * 80, gone)
                due, number = next(waiting)
            for _ in (0, 1):
                size[0] = _FRAME_BYTES
                lib.pjmedia_jbuf_get_frame3(made[0], frame, size, kind, bits, stamp, number_out)
                if ord(kind[0]) == _NORMAL:
                    keep(frame)
                    concealed = 0
                    if number_out[0] >= 2 * (_LEAD_PACKETS - 5):
                        positions.append(len(out) - number_out[0])
                elif concealed < _CONCEALED_FRAMES:
                    fill(frame)
                    concealed += 1
                else:
                    ffi.memmove(frame, bytes(_FRAME_BYTES), _FRAME_BYTES)
                out.append(bytes(ffi.buffer(frame, _FRAME_BYTES)))
            reading += PACKET_MS
        lib.pjmedia_jbuf_destroy(made[0])
        slips = sum(one != other for one, other in itertools.pairwise(positions))
        return Heard(np.frombuffer(b"".join(out), "<i2"), slips)


def weathered(
    samples: int, network: Network, seed: int, *, phase_ms: float, noise_ms: float
) -> list[tuple[float, int]]:
    """A clip's packets and those of a second of silence before it, as they come through `network`.

    Each `phase_ms` after a reading, and late by `noise_ms` or so of its own.
    """
    chance = random.Random(seed)  # noqa: S311 - a network, no secret
    schedule = Schedule(network, seed)
    return [
        (1000 * at + phase_ms + abs(chance.gauss(0, noise_ms)), index - _LEAD_PACKETS)
        for index in range(_LEAD_PACKETS + samples // int(_RATE * PACKET_MS / 1000))
        for at in schedule.releases(index, _PACKET_BYTES, index * PACKET_MS / 1000)
    ]


def row(library: Buffer, given: argparse.Namespace, *, moved: bool) -> dict[str, object]:
    """Calls of all phases; `moved`: where packets lie beside the reading, it is a tick later (`sip.phase`)."""
    scores, slipped = [], 0
    for seed in range(1, given.seeds + 1):
        said = speech_score.clip(speech_score.CLIPS[seed % len(speech_score.CLIPS)])
        for phase in PHASES_MS:
            near = min(phase, PACKET_MS - phase) < NEAR_MS
            packets = weathered(
                len(said),
                Network(loss=given.loss, first=_LEAD_PACKETS),
                seed,
                phase_ms=(phase + FRAME_MS) % PACKET_MS if moved and near else phase,
                noise_ms=given.noise,
            )
            heard = library.hears(said, packets, buffer=tuple(given.buffer), plc=given.plc)
            scores.append(quality(said, heard.samples) if given.pesq else 0.0)
            slipped += heard.slips > 0
    return {
        "reading": "moved" if moved else "as it falls",
        "calls": len(scores),
        "slipped": slipped,
        "pesq_median": round(statistics.median(scores), 2),
        "pesq_worst": round(min(scores), 2),
    }


def spliced(library: Buffer, hz: float, phase_ms: float) -> dict[str, object]:
    """Clicks of a tone of five minutes whose packets overtake each other, as they come and mended (`fxs.splice`)."""
    wave = 8000 * np.sin(2 * np.pi * hz * np.arange(300 * _RATE) / _RATE)
    said = wave.astype(np.int16)
    packets = weathered(len(said), Network(reorder=0.02, duplicate=0.02), 4, phase_ms=phase_ms, noise_ms=0.3)
    pcm, mender = library.hears(said, packets).samples.tobytes(), SpliceMender()
    mended = b"".join(mender.mend(pcm[at : at + 2 * _SAMPLES]) for at in range(0, len(pcm), 2 * _SAMPLES))
    return {
        "hz": hz,
        "phase_ms": phase_ms,
        "clicks": len(tone_clicks(_within(pcm), hz)),
        "mended": mender.mended,
        "clicks_mended": len(tone_clicks(_within(mended), hz)),
    }


def _within(pcm: bytes) -> Samples:
    """The tone without what lies before and after it."""
    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero(samples)
    return samples[loud[0] + _RATE : loud[-1] - _RATE]


def main() -> None:
    """Two rows: as it falls, and with the reading moved; or those of the splices."""
    parser = argparse.ArgumentParser(description="The jitter buffer of the SIP library, in virtual time.")
    parser.add_argument("--loss", type=float, default=0.03)
    parser.add_argument("--noise", type=float, default=0.5, help="each packet's own lateness, ms")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--buffer", type=int, nargs=4, default=(0, 1, 40, 2), help="frames at first, least, most; discard"
    )
    parser.add_argument("--plc", choices=("library", "spandsp"), default="library")
    parser.add_argument("--no-pesq", dest="pesq", action="store_false")
    parser.add_argument("--splices", action="store_true", help="clicks of tones whose packets overtake each other")
    given = parser.parse_args()
    library = Buffer()
    if given.splices:
        rows = [spliced(library, hz, phase) for hz in (440.0, 580.0, 1004.0, 1500.0) for phase in (2.0, 10.0)]
    else:
        rows = [row(library, given, moved=moved) for moved in (False, True)]
    for one in rows:
        print(json.dumps(one))
    sys.stdout.flush()
    os._exit(0)  # nothing was started that would have to end


if __name__ == "__main__":
    main()
