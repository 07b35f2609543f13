"""The C library beneath pjsua2, where its Python interface stops: the bridge's master port, and a
module of ours in the stack that sees every received message first.

cffi in ABI mode on the extension's own file: no compiler. `Guard` reads a structure whose layout
depends on how the stack was built, so it proves the layout with a message of its own before it
believes it (`Guard.proven`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from cffi import FFI

from firmware.fxs.pcm import SAMPLE_RATE_HZ, frame_bytes
from firmware.telephony.sip.admission import Verdict
from firmware.telephony.sip.sdp import misleading

AUDIO: Final = 1  # PJMEDIA_FRAME_TYPE_AUDIO
_THREAD_DESC_BYTES: Final = 4096  # pj_thread_desc is 64 longs; room for any build
_FIRST_PRIORITY: Final = 1  # before the message logger and the transport layer's own checks
_RESPONSE: Final = 1  # PJSIP_RESPONSE_MSG
_OPTIONS: Final = 5  # PJSIP_OPTIONS_METHOD, the probe's
_FORBIDDEN: Final = 403
_INVALID: Final = 70_004  # PJ_EINVAL
_UNAVAILABLE: Final = 503
_TERMINATED: Final = 487  # Request Terminated
_SWALLOW, _GO_ON = 1, 0

_C: Final = """
typedef struct { int type; void *buf; size_t size; uint64_t timestamp; uint32_t bit_info; } pjmedia_frame;
typedef struct { char *ptr; long slen; } pj_str_t;
typedef struct { int type; union { struct { int code; pj_str_t reason; } status;
                                   struct { int id; pj_str_t name; void *uri; } request; } line; } message_head;
typedef struct {
  struct { void *pool, *transport, *tp_data; struct { void *internal[34]; void *rdata; } op_key; } tp_info;
  struct { long sec, msec; char packet[4000]; uint32_t zero; ssize_t len; char src_addr[28]; int src_addr_len;
           char src_name[46]; int src_port; } pkt_info;
  struct { char *msg_buf; int len; message_head *msg; } msg_info;
} rx_data;
typedef struct module {
  struct module *prev, *next; pj_str_t name; int id; int priority;
  void *load, *start, *stop, *unload;
  int (*on_rx_request)(rx_data *); int (*on_rx_response)(rx_data *);
  void *on_tx_request, *on_tx_response, *on_tsx_state;
} module;
int pjmedia_port_get_frame(void *port, pjmedia_frame *frame);
int pjmedia_port_put_frame(void *port, pjmedia_frame *frame);
int pj_thread_register(const char *name, void *desc, void **thread);
int pj_thread_is_registered(void);
void pj_log_set_level(int level);
void *pjsua_get_pjsip_endpt(void);
unsigned pjsua_call_get_max_count(void);
unsigned pjsua_call_get_count(void);
int pjsua_conf_connect(int source, int sink);
int pjsua_conf_disconnect(int source, int sink);
int pjsip_endpt_register_module(void *endpt, module *mod);
typedef struct { unsigned flag; int type; struct { pj_str_t host; int port; } addr; } host_info;
typedef struct { int type; unsigned priority, weight; char addr[28]; int addr_len; } address_record;
typedef struct { unsigned count; address_record entry[64]; } server_addresses;
typedef void resolved_callback(int status, void *token, const server_addresses *found);
typedef struct { void (*resolve)(void *resolver, void *pool, const host_info *target, void *token,
                                 resolved_callback *cb); } ext_resolver;
int pjsip_endpt_set_ext_resolver(void *endpt, ext_resolver *resolver);
int pjsip_endpt_respond_stateless(void *endpt, rx_data *request, int code, const void *text, const void *headers,
                                  const void *body);
int pjsip_transport_get_default_port_for_type(int type);
int pj_sockaddr_init(int family, void *address, const pj_str_t *host, uint16_t port);
void *pjsip_ua_find_dialog(const pj_str_t *call_id, const pj_str_t *local_tag, const pj_str_t *remote_tag, int lock);
void pjsip_dlg_dec_lock(void *dialog);
void *pjsip_dlg_get_inv_session(void *dialog);
int pjsip_inv_terminate(void *session, int code, int notify);
int pjsip_tsx_terminate(void *transaction, int code);
"""


QUIET: Final = 64  # a sample's magnitude: 54 dB below the loudest


def quiet(frame: bytes) -> bool:
    """Whether 16-bit samples are as good as silence."""
    samples = memoryview(frame).cast("h")
    return max(samples) < QUIET and min(samples) > -QUIET


class Native:
    """The extension's file, opened a second time as a C library. `path` is where Python found it."""

    def __init__(self, path: str) -> None:
        self.ffi: Any = FFI()
        self.ffi.cdef(_C)
        self.lib: Any = self.ffi.dlopen(path)
        self.ports: tuple[Port, ...] = ()  # the lines', the first line's first
        self.bridge: MasterPort | None = None
        self.faxes: set[int] = set()  # the calls that carry one, by whatever key

    def hush(self) -> None:
        """No log on the standard output before libInit has set one of its own."""
        self.lib.pj_log_set_level(0)

    def call_slots(self) -> int:
        """How many calls this build holds at once, after libInit."""
        return int(self.lib.pjsua_call_get_max_count())

    def calls_in_use(self) -> int:
        """How many slots are taken. A call that we ended keeps its own until the far end has answered."""
        return int(self.lib.pjsua_call_get_count())

    def respond(self, request: Any, code: int) -> None:
        """Answer a request without making anything of it."""
        null = self.ffi.NULL
        self.lib.pjsip_endpt_respond_stateless(self.lib.pjsua_get_pjsip_endpt(), request, code, null, null, null)

    def terminate(self, call_id: str, local_tag: str, remote_tags: Iterable[str]) -> bool:
        """End a dialog here and now, whoever has not answered yet; False if there is none.

        Its INVITE is repeated no more, its CANCEL or BYE is, and its slot is free. On the SIP thread, outside any
        callback. The dialog is found by its names and held locked, so nothing can go stale.
        """
        names = [self.text(name) for name in (call_id, local_tag)]
        for remote_tag in remote_tags:
            far = self.text(remote_tag)
            dialog = self.lib.pjsip_ua_find_dialog(names[0][0], names[1][0], far[0], 1)
            if dialog == self.ffi.NULL:
                continue
            session = self.lib.pjsip_dlg_get_inv_session(dialog)
            if session != self.ffi.NULL:
                self.lib.pjsip_inv_terminate(session, _TERMINATED, 1)
            self.lib.pjsip_dlg_dec_lock(dialog)
            return True
        return False

    def give_up(self, transaction: int, code: int) -> None:
        """End a client transaction that lives, as if `code` had come. On the SIP thread, outside any callback."""
        self.lib.pjsip_tsx_terminate(self.ffi.cast("void *", transaction), code)

    def text(self, text: str) -> tuple[Any, Any]:
        """A pj_str_t, and the characters that must outlive it."""
        data = text.encode()
        characters = self.ffi.new("char[]", data)
        return self.ffi.new("pj_str_t *", {"ptr": characters, "slen": len(data)}), characters

    def port(self, line: int) -> Port | None:
        """The port of `line` (1, 2 ...), None if there is none."""
        return self.ports[line - 1] if 0 < line <= len(self.ports) else None

    def connect(self, one: int, other: int) -> int:
        """Both ways between two slots of the bridge; the library's status, 0 when done."""
        # The library aborts the process on a slot that cannot be.
        if min(one, other) < 0:
            return _INVALID
        return int(self.lib.pjsua_conf_connect(one, other) or self.lib.pjsua_conf_connect(other, one))

    def disconnect(self, one: int, other: int) -> int:
        """Undo `connect`; the library's status, 0 when done."""
        if min(one, other) < 0:
            return _INVALID
        return int(self.lib.pjsua_conf_disconnect(one, other) or self.lib.pjsua_conf_disconnect(other, one))


class Port(Protocol):
    """A line's place in the bridge: `agent.LinePort`, with its slot and the calls joined to it."""

    calls: set[int]

    @property
    def slot(self) -> int | None:
        """Its number in the bridge."""

    @property
    def joined(self) -> bool:
        """Whether a call is."""

    @property
    def quiet(self) -> bool:
        """Whether silence in place of what it said and heard last would not be noticed."""

    def put(self, frame: bytes) -> None:
        """Have `frame` read at the next tick."""

    def get(self) -> bytes:
        """What the last tick brought."""


class SlotZero:
    """The first line by the bridge's own microphone and loudspeaker: what it says is mixed a tick later."""

    slot = 0

    def __init__(self, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self.silence = bytes(frame_bytes(rate_hz))
        self.calls: set[int] = set()
        self.spoken: bytes | None = None
        self.heard = self.silence

    @property
    def joined(self) -> bool:
        """Whether a call is."""
        return bool(self.calls)

    @property
    def quiet(self) -> bool:
        """Whether silence in place of what it said and heard last would not be noticed."""
        return quiet(self.spoken or self.silence) and quiet(self.heard)

    def put(self, frame: bytes) -> None:
        """What the line spoke."""
        self.spoken = frame

    def get(self) -> bytes:
        """What the last tick brought; once, then silence."""
        heard, self.heard = self.heard, self.silence
        return heard


class MasterPort:
    """`agent.Bridge` on the bridge's master port: whoever calls `tick` is its clock."""

    def __init__(self, native: Native, address: int, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        size = self._size = frame_bytes(rate_hz)
        ffi = native.ffi
        self._native = native
        self._lib = native.lib
        self._ffi = ffi
        self._zero = next((port for port in native.ports if isinstance(port, SlotZero)), None)
        self._port = ffi.cast("void *", address)
        self._in_buffer = ffi.new("char[]", size)
        self._out_buffer = ffi.new("char[]", size)
        self._in = ffi.new("pjmedia_frame *", {"type": AUDIO, "buf": self._in_buffer, "size": size})
        self._out = ffi.new("pjmedia_frame *")
        self._out_view = ffi.buffer(self._out_buffer, size)
        self._in_view = ffi.buffer(self._in_buffer, size)
        self._threads: list[Any] = []
        self._lock = threading.Lock()
        self._open = True
        self.ticks = 0
        self.ticked_at = 0.0  # CLOCK_MONOTONIC
        self.skipped = 0
        self._skip_until = 0.0

    def register_thread(self) -> None:
        """Make the calling thread known to the stack. Its descriptor must outlive it, so it is kept here."""
        if self._lib.pj_thread_is_registered():
            return
        descriptor = self._ffi.new("char[]", _THREAD_DESC_BYTES)
        handle = self._ffi.new("void **")
        if self._lib.pj_thread_register(b"voice", descriptor, handle) != 0:
            raise RuntimeError("the SIP stack does not accept the voice thread")
        self._threads.append((descriptor, handle))

    def line(self, line: int) -> Port | None:
        """The port of `line` (1, 2 ...), None if there is none."""
        return self._native.port(line)

    def tick(self) -> None:
        """10 ms of the bridge. What is put into and got from the lines' ports goes through here."""
        with self._lock:
            if not self._open:
                return
            now = time.monotonic()
            if self._skip_until and self._may_skip(now):
                self.skipped += 1
                return
            self.ticks += 1
            self.ticked_at = now
            zero, out = self._zero, self._out
            if zero is not None and zero.spoken is not None:
                self._in_view[:], zero.spoken = zero.spoken, None
                self._lib.pjmedia_port_put_frame(self._port, self._in)
            out.type, out.buf, out.size = AUDIO, self._out_buffer, self._size
            status = self._lib.pjmedia_port_get_frame(self._port, out)
            if zero is not None:
                sound = status == 0 and out.type == AUDIO and out.size == self._size
                zero.heard = bytes(self._out_view) if sound else zero.silence

    def skip(self, seconds: float) -> None:
        """Leave one tick out, in a moment of the next `seconds` in which nobody would hear that."""
        self._skip_until = time.monotonic() + seconds

    def _may_skip(self, now: float) -> bool:
        """Whether this is the moment. Not while two lines talk: it would be too many a moment to wait for."""
        talking = [port for port in self._native.ports if port.joined]
        if now > self._skip_until or len(talking) != 1:
            self._skip_until = 0.0
            return False
        if not talking[0].quiet:
            return False
        self._skip_until = 0.0
        return True

    def close(self) -> None:
        """Before the stack goes: from now on `tick` touches nothing."""
        with self._lock:
            self._open = False


class Guard:
    """A module of the stack, ahead of all its others: strangers' messages end here, unheard and unanswered.

    `request(source, text)` and `answer(source, text)` judge; they are called on the SIP thread.
    """

    def __init__(
        self,
        native: Native,
        request: Callable[[str, str], Verdict],
        answer: Callable[[str, str], Verdict],
        failed: Callable[[], None],
    ) -> None:
        self._native = native
        self._ffi = native.ffi
        self._request = request
        self._answer = answer
        self._failed = failed
        self._token = b""
        self._probe_port = 0
        self.proven = False
        # A crash in a judge must not let a stranger in: on error the message is swallowed.
        self._on_request = self._ffi.callback("int(rx_data *)", self._rx_request, error=_SWALLOW)
        self._on_answer = self._ffi.callback("int(rx_data *)", self._rx_answer, error=_GO_ON)
        self._name = self._ffi.new("char[]", b"mod-allobox")
        self._module = self._ffi.new("module *")

    def install(self) -> None:
        """Put the module into the stack, after libInit. Raises RuntimeError if it is refused."""
        module = self._module
        module.name.ptr, module.name.slen = self._name, len(self._ffi.string(self._name))
        module.id, module.priority = -1, _FIRST_PRIORITY
        module.on_rx_request, module.on_rx_response = self._on_request, self._on_answer
        status = self._native.lib.pjsip_endpt_register_module(self._native.lib.pjsua_get_pjsip_endpt(), module)
        if status != 0:
            message = f"the SIP stack refuses the guard module (status {status})"
            raise RuntimeError(message)

    def expect(self, token: bytes, port: int) -> None:
        """The next request that holds `token` and came from our own `port` proves the layout."""
        self._token, self._probe_port = token, port

    def _rx_request(self, received: Any) -> int:
        try:
            if self._token and self._prove(received):
                return _SWALLOW
            if not self.proven:
                # While the proof is on its way nobody is let in; without it the stack's own callbacks judge.
                return _SWALLOW if self._token else _GO_ON
            verdict = self._request(*self._read(received))
            if verdict is Verdict.BUSY:
                self._native.respond(received, _UNAVAILABLE)
            if verdict is Verdict.PASS:
                self._hide(received)
        except Exception:  # noqa: BLE001 nothing may escape into C
            self._failed()
            return _SWALLOW
        return _GO_ON if verdict is Verdict.PASS else _SWALLOW

    def _rx_answer(self, received: Any) -> int:
        try:
            if not self.proven:
                return _GO_ON
            verdict = self._answer(*self._read(received))
            if verdict is Verdict.DENY_CHALLENGE:
                head = received.msg_info.msg
                if head.type == _RESPONSE and head.line.status.code in {401, 407}:
                    head.line.status.code = _FORBIDDEN
                    return _GO_ON
            elif verdict is Verdict.SOFTEN:
                received.msg_info.msg.line.status.code = _FORBIDDEN
                return _GO_ON
            if verdict is Verdict.PASS:
                self._hide(received)
        except Exception:  # noqa: BLE001 nothing may escape into C
            self._failed()
            return _GO_ON
        return _GO_ON if verdict is Verdict.PASS else _SWALLOW

    def _hide(self, received: Any) -> None:
        """Rename in place the attributes that the stack must not see; it reads the description after us."""
        info = received.msg_info
        text = self._ffi.buffer(info.msg_buf, info.len)
        for at in misleading(bytes(text)):
            text[at : at + 1] = b"x"

    def _read(self, received: Any) -> tuple[str, str]:
        ffi, info = self._ffi, received.msg_info
        source = ffi.string(received.pkt_info.src_name, 46).decode("ascii", "replace")
        return source, bytes(ffi.buffer(info.msg_buf, info.len)).decode("utf-8", "replace")

    def _prove(self, received: Any) -> bool:
        """Whether this is the awaited probe; if its fields lie where we think, the layout is proven."""
        ffi, packet = self._ffi, received.pkt_info
        if self._token not in bytes(ffi.buffer(packet.packet, 600)):
            return False
        self._token = b""
        start = int(ffi.cast("uintptr_t", packet.packet))
        self.proven = (
            packet.src_port == self._probe_port
            and 0 < packet.len < len(packet.packet)
            and start <= int(ffi.cast("uintptr_t", received.msg_info.msg_buf)) < start + packet.len
            and 0 < received.msg_info.len <= packet.len
            and received.msg_info.msg.type == 0
            and received.msg_info.msg.line.request.id == _OPTIONS
        )
        return True
