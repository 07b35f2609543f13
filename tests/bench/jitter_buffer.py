"""The SIP library's own jitter buffer and concealment in virtual time: losses, and packets beside the readings.

No network, no clock: the library's functions are fed with packets and read every 20 ms, as its stream does with
packets of 20 ms. So a setting is judged by hundreds of calls in a minute, and a call that slipped is told from one that
did not. One line of JSON a row.

    python -m tests.bench.jitter_buffer [--loss 0.03] [--noise 0.5] [--seeds 5] [--buffer 0 1 40 2] [--plc spandsp]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pjsua2 as pj
from cffi import FFI

from tests.bench.weather import quality
from tests.system import speech_score
from tests.system.speech_score import Samples

PACKET_MS, FRAME_MS = 20.0, 10.0
_FRAME_BYTES, _RATE, _MOST_FRAMES, _CONCEALED_FRAMES = 160, 8000, 50, 24
_LEAD_PACKETS = 50
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
        library, spandsp, samples = self._lib, self._spandsp, _FRAME_BYTES // 2
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
        *,
        loss: float,
        seed: int,
        phase_ms: float,
        noise_ms: float,
        buffer: tuple[int, int, int, int] = (0, 1, 40, 2),
        plc: str = "library",
    ) -> Heard:
        """A clip in A-law, its packets `phase_ms` after a reading. `buffer`: frames at first, least, most; discard."""
        ffi, lib = self._ffi, self._lib
        coded = speech_score.a_law(said).astype("<i2").tobytes()
        chance = random.Random(seed)  # noqa: S311 - a network, no secret
        packets = []
        for number in range(-_LEAD_PACKETS, len(coded) // (2 * _FRAME_BYTES)):
            lost = chance.random() < loss and number >= 0
            at = PACKET_MS * (number + _LEAD_PACKETS) + phase_ms + abs(chance.gauss(0, noise_ms))
            if not lost:
                packets.append((at, number))
        packets.sort()
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
        concealed, waiting = 0, iter([*packets, (float("inf"), 0)])
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


def row(library: Buffer, given: argparse.Namespace, *, moved: bool) -> dict[str, object]:
    """Calls of all phases; `moved`: where packets lie beside the reading, it is a tick later (`sip.phase`)."""
    scores, slipped = [], 0
    for seed in range(1, given.seeds + 1):
        said = speech_score.clip(speech_score.CLIPS[seed % len(speech_score.CLIPS)])
        for phase in PHASES_MS:
            near = min(phase, PACKET_MS - phase) < NEAR_MS
            heard = library.hears(
                said,
                loss=given.loss,
                seed=seed,
                phase_ms=(phase + FRAME_MS) % PACKET_MS if moved and near else phase,
                noise_ms=given.noise,
                buffer=tuple(given.buffer),
                plc=given.plc,
            )
            scores.append(quality(said, heard.samples) if given.pesq else 0.0)
            slipped += heard.slips > 0
    return {
        "reading": "moved" if moved else "as it falls",
        "calls": len(scores),
        "slipped": slipped,
        "pesq_median": round(statistics.median(scores), 2),
        "pesq_worst": round(min(scores), 2),
    }


def main() -> None:
    """Two rows: as it falls, and with the reading moved."""
    parser = argparse.ArgumentParser(description="The jitter buffer of the SIP library, in virtual time.")
    parser.add_argument("--loss", type=float, default=0.03)
    parser.add_argument("--noise", type=float, default=0.5, help="each packet's own lateness, ms")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--buffer", type=int, nargs=4, default=(0, 1, 40, 2), help="frames at first, least, most; discard"
    )
    parser.add_argument("--plc", choices=("library", "spandsp"), default="library")
    parser.add_argument("--no-pesq", dest="pesq", action="store_false")
    given = parser.parse_args()
    library = Buffer()
    for moved in (False, True):
        print(json.dumps(row(library, given, moved=moved)))
    sys.stdout.flush()
    os._exit(0)  # nothing was started that would have to end


if __name__ == "__main__":
    main()
