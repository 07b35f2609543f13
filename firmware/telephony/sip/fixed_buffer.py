"""A running stream's jitter buffer, held at one depth: a modem takes a frame left out or put in for noise.

The library fixes the depth of streams to come only, for all calls alike. Its functions that do it to one buffer are
exported; where a stream keeps its buffer is not. So the stream's memory is searched for a pointer to what can be
nothing else: a structure that begins with the stream's own name, and whose figures are those that the library
tells of the stream's buffer, behind a pointer to the mutex that guards it. Memory is read by way of the kernel
(proc(5), /proc/self/mem), which says no to a pointer that leads nowhere. Without that proof nothing is touched.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
from collections.abc import Iterator
from typing import Any, Final

from firmware.telephony.sip.native import Native

_log = logging.getLogger(__name__)
DEPTH_MS: Final = 80
"""Deep enough for most jitter, and short for the machines' sake: from 0.2 s one way on, each takes its own echo out of
the far hybrid for an answer (docs/voice.md, Fax).
"""
SURPLUS_MS: Final = 40
_FRAME_BYTES_MS: Final = 8  # of G.711
_STREAM_BYTES: Final = 16_384
_STRING: Final = struct.Struct("Qq")  # pj_str_t
_MUTEX_BYTES: Final = 128
_WORD: Final = 8
_STATE_WORDS: Final = 64  # more than any build's pjmedia_jb_state has
_KEEP_ALL: Final = 0  # PJMEDIA_JB_DISCARD_NONE

_C: Final = """
typedef struct { unsigned frame_size, min_prefetch, max_prefetch, most, burst, prefetch, size, more[57]; } buffer_state;
int pjmedia_stream_get_stat_jbuf(void *stream, buffer_state *state);
int pjmedia_jbuf_get_state(void *buffer, buffer_state *state);
int pjmedia_jbuf_set_fixed(void *buffer, unsigned frames);
int pjmedia_jbuf_set_discard(void *buffer, int how);
int pjmedia_jbuf_reset(void *buffer);
unsigned pjmedia_jbuf_remove_frame(void *buffer, unsigned frames);
int pj_mutex_lock(void *mutex);
int pj_mutex_unlock(void *mutex);
"""


class FixedBuffer:
    """Fixes the buffers of streams of G.711. On the SIP thread."""

    def __init__(self, native: Native) -> None:
        self._ffi: Any = native.ffi
        self._lib: Any = native.lib
        if not hasattr(self._lib, "pjmedia_jbuf_set_fixed"):
            self._ffi.cdef(_C)
        self._offset: int | None = None  # of the pointer in a stream, once it was found in one
        self._deep: set[int] = set()  # the streams whose buffers were too deep at the last look

    def fix(self, stream: int, depth_ms: int = DEPTH_MS) -> bool:
        """Hold the buffer of `stream` (its address) at `depth_ms` from now on; False if it could not be found.

        What it holds is dropped, and the depth is filled anew, now rather than at the first lost packet. A buffer
        that has that depth already is only looked at: one that ran empty has filled anew on top of what came late, and
        would stay so deep. What it holds beyond the depth at two looks, by SURPLUS_MS and more, is dropped at once.
        """
        with _memory() as memory:
            if memory is None:
                return False
            found = self._find(memory, stream)
        if found is None:
            return False
        buffer, mutex = (self._ffi.cast("void *", address) for address in found)
        state = self._ffi.new("buffer_state *")
        self._lib.pjmedia_jbuf_get_state(buffer, state)
        if state.frame_size % _FRAME_BYTES_MS or not state.frame_size:
            return False
        frame_ms = state.frame_size // _FRAME_BYTES_MS
        frames = max(1, depth_ms // frame_ms)
        if (state.min_prefetch, state.max_prefetch) == (frames, frames):
            surplus = int(state.size) - frames
            deep = surplus * frame_ms >= SURPLUS_MS
            if not deep:
                self._deep.discard(stream)
            elif stream in self._deep:
                self._deep.discard(stream)
                with self._held(mutex):
                    self._lib.pjmedia_jbuf_remove_frame(buffer, surplus)
            else:
                self._deep.add(stream)
            return True
        self._deep.discard(stream)
        with self._held(mutex):
            self._lib.pjmedia_jbuf_set_fixed(buffer, frames)
            self._lib.pjmedia_jbuf_set_discard(buffer, _KEEP_ALL)
            self._lib.pjmedia_jbuf_reset(buffer)
        self._lib.pjmedia_jbuf_get_state(buffer, state)
        return bool((state.min_prefetch, state.max_prefetch) == (frames, frames))

    @contextlib.contextmanager
    def _held(self, mutex: Any) -> Iterator[None]:
        self._lib.pj_mutex_lock(mutex)
        try:
            yield
        finally:
            self._lib.pj_mutex_unlock(mutex)

    def _find(self, memory: int, stream: int) -> tuple[int, int] | None:
        """The addresses of the stream's buffer and of its mutex."""
        body = _read(memory, stream, _STREAM_BYTES) or _read(memory, stream, _STREAM_BYTES // 2)
        offsets = range(_WORD, len(body) - _WORD, _WORD) if self._offset is None else (self._offset,)
        found = []
        for offset in offsets:
            if offset + _WORD > len(body):
                continue
            mutex, buffer = struct.unpack_from("QQ", body, offset - _WORD)
            if _is_named(memory, buffer, stream) and _is_mutex(memory, mutex) and self._alike(memory, stream, buffer):
                found.append((offset, buffer, mutex))
        if len(found) != 1:
            return None
        self._offset, buffer, mutex = found[0]
        return buffer, mutex

    def _alike(self, memory: int, stream: int, address: int) -> bool:
        """Whether the figures of what may be a buffer are those of the stream's."""
        if len(_read(memory, address, 4 * _STATE_WORDS)) < 4 * _STATE_WORDS:
            return False
        told, seen = self._ffi.new("buffer_state *"), self._ffi.new("buffer_state *")
        self._lib.pjmedia_stream_get_stat_jbuf(self._ffi.cast("void *", stream), told)
        self._lib.pjmedia_jbuf_get_state(self._ffi.cast("void *", address), seen)
        return told.frame_size > 0 and all(
            getattr(told, field) == getattr(seen, field)
            for field in ("frame_size", "min_prefetch", "max_prefetch", "most")
        )


def _is_named(memory: int, address: int, stream: int) -> bool:
    """Whether a structure there begins with a string of the library's, the stream's name."""
    head = _read(memory, address, _STRING.size)
    if len(head) < _STRING.size:
        return False
    text, length = _STRING.unpack(head)
    name = f"strm{stream:#x}".encode()
    return bool(length == len(name)) and _read(memory, text, length) == name


def _is_mutex(memory: int, address: int) -> bool:
    """The library names an unnamed mutex after its own address."""
    return f"mtx{address:#x}\0".encode() in _read(memory, address, _MUTEX_BYTES)


@contextlib.contextmanager
def _memory() -> Iterator[int | None]:
    """A file of our own memory; None where there is none."""
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        _log.warning("the jitter buffer cannot be looked for: %s", error)
        yield None
        return
    try:
        yield memory
    finally:
        os.close(memory)


def _read(memory: int, address: int, count: int) -> bytes:
    """Memory at `address`; nothing if there is none."""
    if address <= 0:
        return b""
    try:
        return os.pread(memory, count, address)
    except (OSError, OverflowError):
        return b""
