"""The library's own jitter buffers behind memory that it takes for a stream: what `FixedBuffer` makes of them.

`python -m tests.fakes.jitter_buffers` prints a line of JSON. A process of its own: the library lives once in one.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pjsua2 import pjsua2 as pj

from firmware.telephony.sip.fixed_buffer import FixedBuffer
from firmware.telephony.sip.native import Native

_WORDS = 4096
_FRAME_BYTES, _DECOY_BYTES = 80, 38
_FRAME_MS, _MOST_FRAMES = 10, 50
_C = """
int pj_init(void);
void pj_caching_pool_init(void *factory, const void *policy, size_t capacity);
void *pj_pool_create(void *factory, const char *name, size_t initial, size_t increment, void *callback);
int pj_mutex_create_simple(void *pool, const char *name, void **mutex);
int pjmedia_jbuf_create(void *pool, const pj_str_t *name, unsigned bytes, unsigned ms, unsigned most, void **buffer);
void pjmedia_jbuf_put_frame(void *buffer, const void *frame, size_t size, int number);
"""


class Streams:
    """A make-believe stream whose buffer and mutex are real."""

    def __init__(self) -> None:
        self.native = Native(str(sys.modules["pjsua2._pjsua2"].__file__))
        self.buffers = FixedBuffer(self.native)
        self.ffi: Any = self.native.ffi
        self.lib: Any = self.native.lib
        self.ffi.cdef(_C)
        self.native.hush()
        assert self.lib.pj_init() == 0
        self._factory = self.ffi.new("char[]", 1 << 16)
        self.lib.pj_caching_pool_init(self._factory, self.ffi.NULL, 0)
        self.pool = self.lib.pj_pool_create(self._factory, b"test", 1 << 16, 1 << 16, self.ffi.NULL)
        self.stream = self.ffi.new("uint64_t[]", _WORDS)
        self.address = int(self.ffi.cast("uintptr_t", self.stream))
        mutex = self.ffi.new("void **")
        assert self.lib.pj_mutex_create_simple(self.pool, self.ffi.NULL, mutex) == 0
        self.mutex = int(self.ffi.cast("uintptr_t", mutex[0]))
        self.name = f"strm{self.address:#x}"
        self.decoy = self.buffer("another", _DECOY_BYTES)
        self.place = self._where()

    def buffer(self, name: str, frame_bytes: int = _FRAME_BYTES) -> int:
        text, _kept = self.native.text(name)
        made = self.ffi.new("void **")
        assert self.lib.pjmedia_jbuf_create(self.pool, text, frame_bytes, _FRAME_MS, _MOST_FRAMES, made) == 0
        return int(self.ffi.cast("uintptr_t", made[0]))

    def _where(self) -> int:
        """In which word of a stream the library looks for its buffer: the one that changes what it tells."""
        real = self.buffer(self.name)
        for word in range(1, _WORDS):
            self._fill()
            self.stream[word] = real
            if self.state(self.address, of_stream=True).frame_size == _FRAME_BYTES:
                return word
        raise AssertionError("the library looks nowhere")

    def _fill(self) -> None:
        self.ffi.buffer(self.stream)[:] = self.decoy.to_bytes(8, sys.byteorder) * _WORDS

    def state(self, address: int, *, of_stream: bool = False) -> Any:
        found = self.ffi.new("buffer_state *")
        ask = self.lib.pjmedia_stream_get_stat_jbuf if of_stream else self.lib.pjmedia_jbuf_get_state
        ask(self.ffi.cast("void *", address), found)
        return found

    def lay(self, buffer: int, mutex: int, *more: int) -> int:
        """Put them where the library looks, and the buffer at `more` words besides; the buffer again."""
        self._fill()
        for word in (self.place, *more):
            self.stream[word], self.stream[word - 1] = buffer, mutex
        return buffer

    def told(self, buffer: int) -> list[int]:
        state = self.state(buffer)
        return [state.min_prefetch, state.max_prefetch, state.size]

    def put(self, buffer: int, count: int) -> None:
        for number in range(count):
            frame = self.ffi.new("char[]", _FRAME_BYTES)
            self.lib.pjmedia_jbuf_put_frame(self.ffi.cast("void *", buffer), frame, _FRAME_BYTES, number)


def main() -> None:
    """Everything, once."""
    assert pj.PJ_SUCCESS == 0
    streams = Streams()
    fix, report = streams.buffers.fix, {}
    nameless = streams.lay(streams.buffer("strm0x1234"), streams.mutex)
    report["wrong name"] = [fix(streams.address), streams.told(nameless)]
    unguarded = streams.lay(streams.buffer(streams.name), streams.decoy)
    report["no mutex"] = [fix(streams.address), streams.told(unguarded)]
    twice = streams.lay(streams.buffer(streams.name), streams.mutex, streams.place + 20)
    report["two of them"] = [fix(streams.address), streams.told(twice)]
    other = streams.lay(streams.buffer(streams.name, _DECOY_BYTES), streams.mutex)
    report["no G.711"] = [fix(streams.address), streams.told(other)]
    right = streams.lay(streams.buffer(streams.name), streams.mutex)
    streams.put(right, 3)
    report["right"] = [fix(streams.address), streams.told(right)]
    streams.put(right, 11)
    report["a little more"] = [[fix(streams.address), streams.told(right)] for _ in range(3)]
    deep = streams.lay(streams.buffer(streams.name), streams.mutex)
    fix(streams.address)
    streams.put(deep, 20)
    report["far more"] = [[fix(streams.address), streams.told(deep)] for _ in range(3)]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
