"""A line as a port of the bridge: what it spoke in a tick is mixed in the same tick, and what it hears comes in it.

The bridge's own microphone (slot 0) hands a frame on one tick later, by way of a buffer made for
sound cards whose two halves have different clocks; here one thread drives both. And there is one slot 0
for several lines. So each line is a port of its own: the library's null port, its read and write
functions replaced by ours. That structure's layout depends on how the stack was built, and is proven on
the port itself before anything is replaced; without proof the first line stays with slot 0 (`native.SlotZero`),
and there is no second one.
"""

from __future__ import annotations

from typing import Any, Final

from firmware.fxs.pcm import FRAME_MS, SAMPLE_RATE_HZ, frame_bytes
from firmware.telephony.sip.native import AUDIO, Native, quiet

_NONE: Final = 0  # PJMEDIA_FRAME_TYPE_NONE
_MEDIA_AUDIO: Final = 1  # PJMEDIA_TYPE_AUDIO, and PJMEDIA_FORMAT_DETAIL_AUDIO
_BOTH_WAYS: Final = 3  # PJMEDIA_DIR_ENCODING_DECODING
_CHANNELS, _BITS = 1, 16
_POOL_BYTES: Final = 1000
_FAILED: Final = 70_001  # PJ_EUNKNOWN

_C: Final = """
typedef struct source_port {
  pj_str_t name; uint32_t signature; int dir;
  struct { uint32_t id; int type, detail_type;
           unsigned clock_rate, channels, frame_usec, bits; uint32_t average_bps, most_bps; } format;
  void *data; long number; void *group_lock; void *clock_source;
  int (*put_frame)(struct source_port *, pjmedia_frame *);
  int (*get_frame)(struct source_port *, pjmedia_frame *); void *on_destroy;
} source_port;
typedef struct { const char *file; void *base; const char *symbol; void *address; } dl_info;
int dladdr(const void *address, dl_info *info);
void *pjsua_pool_create(const char *name, size_t initial, size_t increment);
int pjmedia_null_port_create(void *pool, unsigned rate, unsigned channels, unsigned samples, unsigned bits,
                             source_port **port);
int pjmedia_port_destroy(void *port);
int pjsua_conf_add_port(void *pool, source_port *port, int *slot);
"""


class BridgePort:
    """`agent.LinePort`: `put` a frame of `rate_hz`, tick the bridge, `get` a frame. All on the thread that ticks.

    `slot` is the port's number in the bridge, None when the layout was not proven. `calls` are the calls joined
    to it, by whatever key; the SIP thread's. The port lives as long as the stack, and this object must outlive
    it: the stack holds pointers into it.
    """

    def __init__(self, native: Native, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        ffi = self._ffi = native.ffi
        self._rate_hz = rate_hz
        self._size = frame_bytes(rate_hz)
        self._silence = bytes(self._size)
        self._lib = native.lib
        if not hasattr(self._lib, "pjmedia_null_port_create"):
            ffi.cdef(_C)
        self.calls: set[int] = set()
        self._spoken = ffi.new("char[]", self._size)
        self._spoken_view = ffi.buffer(self._spoken, self._size)
        self._heard = ffi.new("char[]", self._size)
        self._heard_view = ffi.buffer(self._heard, self._size)
        self._fresh = False
        self._brought = False
        self._reader = ffi.callback("int(source_port *, pjmedia_frame *)", self._read, error=_FAILED)
        self._writer = ffi.callback("int(source_port *, pjmedia_frame *)", self._write, error=_FAILED)
        self.slot: int | None = self._add()

    @property
    def joined(self) -> bool:
        """Whether a call is joined to this line."""
        return bool(self.calls)

    @property
    def quiet(self) -> bool:
        """Whether silence in place of what it said and heard last would not be noticed."""
        return quiet(bytes(self._spoken_view)) and quiet(bytes(self._heard_view))

    def put(self, frame: bytes) -> None:
        """What the line spoke; it replaces a frame that nobody has read."""
        self._spoken_view[:] = frame
        self._fresh = True

    def get(self) -> bytes:
        """What the last tick brought; once, then silence."""
        if not self._brought:
            return self._silence
        self._brought = False
        return bytes(self._heard_view)

    def _read(self, _port: Any, frame: Any) -> int:
        if self._fresh and frame.size >= self._size:
            self._fresh = False
            self._ffi.memmove(frame.buf, self._spoken, self._size)
            frame.size, frame.type = self._size, AUDIO
        else:
            frame.type = _NONE
        return 0

    def _write(self, _port: Any, frame: Any) -> int:
        self._brought = bool(frame.type == AUDIO and frame.size == self._size)
        if self._brought:
            self._ffi.memmove(self._heard, frame.buf, self._size)
        return 0

    def _add(self) -> int | None:
        ffi, lib = self._ffi, self._lib
        pool = lib.pjsua_pool_create(b"line", _POOL_BYTES, _POOL_BYTES)
        made = ffi.new("source_port **")
        if lib.pjmedia_null_port_create(pool, self._rate_hz, _CHANNELS, self._size // 2, _BITS, made) != 0:
            return None
        port, slot = made[0], ffi.new("int *")
        if self._proven(port) and lib.pjsua_conf_add_port(pool, port, slot) == 0:
            return int(slot[0])
        lib.pjmedia_port_destroy(port)
        return None

    def _proven(self, port: Any) -> bool:
        """Whether the port's fields lie where we think; if so its read function is ours, and was seen to be called."""
        return self._fields_lie_right(port) and self._try(port) == bytes(self._size) and self._replaced(port)

    def _fields_lie_right(self, port: Any) -> bool:
        ffi, null, form = self._ffi, self._ffi.NULL, port.format
        name = b"null-port"
        return bool(
            port.name.slen == len(name)
            and bytes(ffi.buffer(port.name.ptr, len(name))) == name
            and port.dir == _BOTH_WAYS
            and (form.type, form.detail_type) == (_MEDIA_AUDIO, _MEDIA_AUDIO)
            and (form.clock_rate, form.channels, form.frame_usec, form.bits)
            == (self._rate_hz, _CHANNELS, FRAME_MS * 1000, _BITS)
            and form.average_bps == form.most_bps == self._rate_hz * _BITS
            and (port.data, port.number, port.group_lock, port.clock_source) == (null, 0, null, null)
            and all(self._is_library_code(f) for f in (port.put_frame, port.get_frame, port.on_destroy))
        )

    def _is_library_code(self, address: Any) -> bool:
        """Whether `address` lies in the file that holds the port's creator."""
        ffi, here, there = self._ffi, self._ffi.new("dl_info *"), self._ffi.new("dl_info *")
        libc = ffi.dlopen(None)
        creator = ffi.addressof(self._lib, "pjmedia_null_port_create")
        return bool(
            libc.dladdr(ffi.cast("void *", address), here) != 0
            and libc.dladdr(ffi.cast("void *", creator), there) != 0
            and here.base == there.base
        )

    def _replaced(self, port: Any) -> bool:
        port.get_frame, port.put_frame = self._reader, self._writer
        self.put(bytes(n % 251 for n in range(self._size)))
        spoken = bytes(self._spoken_view)
        return self._try(port) == spoken and self._try(port) is None and self._hears(port, spoken[::-1])

    def _hears(self, port: Any, sound: bytes) -> bool:
        """Whether what is written to the port comes out here, and nothing does after a tick without sound."""
        ffi = self._ffi
        buffer = ffi.new("char[]", sound)
        for kind, expected in ((AUDIO, sound), (_NONE, self._silence)):
            frame = ffi.new("pjmedia_frame *", {"type": kind, "buf": buffer, "size": self._size})
            if self._lib.pjmedia_port_put_frame(port, frame) != 0 or self.get() != expected:
                return False
        return True

    def _try(self, port: Any) -> bytes | None:
        """What a read of the port gives; None if nothing."""
        ffi = self._ffi
        buffer = ffi.new("char[]", b"\xaa" * self._size)
        frame = ffi.new("pjmedia_frame *", {"type": _NONE, "buf": buffer, "size": self._size})
        status = self._lib.pjmedia_port_get_frame(port, frame)
        if status != 0 or frame.type != AUDIO or frame.size != self._size:
            return None
        return bytes(ffi.buffer(buffer, self._size))
