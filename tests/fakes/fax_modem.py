"""libspandsp's fax machine (ITU-T T.30, G3, V.17) as samples in and samples out: no clock, no line.

Two of them back to back, `exchange`, are the reference beside which a page through boxes is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from cffi import FFI

from firmware.fxs.pcm import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SILENCE
from tests.fakes.far_end import a_law_codes, a_law_samples
from tests.fakes.udp_schedule import Network, Schedule

_ffi: Final[Any] = FFI()
_ffi.cdef("""
typedef struct fax_state_s fax_state_t;
typedef struct t30_state_s t30_state_t;
typedef struct { int bit_rate, error_correcting, pages_sent, pages_received, more[60]; } fax_statistics;
typedef void (*phase_e)(t30_state_t *machine, void *mine, int result);
fax_state_t *fax_init(fax_state_t *fax, int calling);
int fax_free(fax_state_t *fax);
int fax_rx(fax_state_t *fax, char *samples, int count);
int fax_tx(fax_state_t *fax, char *samples, int most);
void fax_set_transmit_on_idle(fax_state_t *fax, int on);
t30_state_t *fax_get_t30_state(fax_state_t *fax);
int t30_set_ecm_capability(t30_state_t *machine, int on);
int t30_set_supported_modems(t30_state_t *machine, int modems);
void t30_set_tx_file(t30_state_t *machine, const char *path, int first, int last);
void t30_set_rx_file(t30_state_t *machine, const char *path, int last);
void t30_set_phase_e_handler(t30_state_t *machine, phase_e handler, void *mine);
void t30_get_transfer_statistics(t30_state_t *machine, fax_statistics *statistics);
const char *t30_completion_code_to_str(int result);
""")
_lib: Final[Any] = _ffi.dlopen("libspandsp.so.2")

_V27TER_V29_V17 = 1 | 2 | 4
_LONGEST_SECONDS = 120
_PACKET_FRAMES = 2  # of 10 ms


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a fax went at one end. `result` is T.30's own word, "OK" for a page that arrived; `bit_rate` a second."""

    result: str
    bit_rate: int
    error_correcting: bool
    pages: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class FaxModem:
    """One machine. It calls if it has a page to `send`, else it answers and receives into `receive`."""

    def __init__(self, *, send: Path | None = None, receive: Path | None = None) -> None:
        if (send is None) == (receive is None):
            raise ValueError("a fax machine sends a page or receives one")
        self.result: str | None = None
        self._fax = _ffi.gc(_lib.fax_init(_ffi.NULL, send is not None), _lib.fax_free)
        self._machine = _lib.fax_get_t30_state(self._fax)
        self._out = _ffi.new("char[]", FRAME_BYTES)
        self._calls = send is not None

        def over(_machine: Any, _mine: Any, result: int) -> None:
            self.result = _ffi.string(_lib.t30_completion_code_to_str(result)).decode()

        self._over = _ffi.callback("phase_e", over)  # the library keeps only the address
        _lib.t30_set_phase_e_handler(self._machine, self._over, _ffi.NULL)
        _lib.t30_set_ecm_capability(self._machine, 1)
        _lib.t30_set_supported_modems(self._machine, _V27TER_V29_V17)
        _lib.fax_set_transmit_on_idle(self._fax, 1)
        if send is not None:
            _lib.t30_set_tx_file(self._machine, str(send).encode(), -1, -1)
        else:
            _lib.t30_set_rx_file(self._machine, str(receive).encode(), -1)

    def speak(self) -> bytes:
        """The next 10 ms for the line."""
        count = _lib.fax_tx(self._fax, self._out, FRAME_SAMPLES)
        return bytes(_ffi.buffer(self._out, 2 * count)).ljust(FRAME_BYTES, b"\0")

    def hear(self, frame: bytes) -> None:
        """10 ms from the line."""
        _lib.fax_rx(self._fax, _ffi.from_buffer("char[]", bytearray(frame)), FRAME_SAMPLES)

    def outcome(self) -> Outcome:
        """How it stands."""
        told = _ffi.new("fax_statistics *")
        _lib.t30_get_transfer_statistics(self._machine, told)
        pages = told.pages_sent if self._calls else told.pages_received
        return Outcome(self.result or "not finished", told.bit_rate, bool(told.error_correcting), pages)


def exchange(
    send: Path, receive: Path, network: Network, seed: int = 0, *, fill: bool = False
) -> tuple[Outcome, Outcome, float]:
    """A page between two machines back to back, in A-law packets of 20 ms that the network loses, in virtual time.

    How it went at both ends, and the seconds that it took. A lost packet is 20 ms of silence, or with `fill` the
    packet before once more.
    """
    caller, callee = FaxModem(send=send), FaxModem(receive=receive)
    there, back = (_wire(network, dice, fill=fill) for dice in (2 * seed, 2 * seed + 1))
    for packet in range(_LONGEST_SECONDS * 1000 // FRAME_MS // _PACKET_FRAMES):
        said = [there(packet, [caller.speak() for _ in range(_PACKET_FRAMES)])]
        said.append(back(packet, [callee.speak() for _ in range(_PACKET_FRAMES)]))
        for listener, frames in zip((callee, caller), said, strict=True):
            for frame in frames:
                listener.hear(frame)
        if caller.result is not None and callee.result is not None:
            break
    seconds = (packet + 1) * _PACKET_FRAMES * FRAME_MS / 1000
    return caller.outcome(), callee.outcome(), seconds


def exchange_with_echo(send: Path, receive: Path, delay_ms: int, return_db: float) -> bool:
    """Whether a page gets through, in virtual time, where each end's hybrid sends some of what it hears back.

    `delay_ms`: one way, in whole frames of 10 ms; `return_db`: how far below what is heard its echo is.
    """
    machines = FaxModem(send=send), FaxModem(receive=receive)
    gain = 10 ** (-return_db / 20)
    ways = tuple(deque([SILENCE] * (delay_ms // FRAME_MS)) for _ in machines)
    heard = [SILENCE, SILENCE]
    for _ in range(_LONGEST_SECONDS * 1000 // FRAME_MS):
        for way, machine, frame in zip(ways, machines, heard, strict=True):
            echo = gain * np.frombuffer(frame, np.int16)
            line = np.frombuffer(machine.speak(), np.int16) + echo
            way.append(np.clip(np.rint(line), -32768, 32767).astype(np.int16).tobytes())
        heard = [ways[1].popleft(), ways[0].popleft()]
        for machine, frame in zip(machines, heard, strict=True):
            machine.hear(frame)
        if all(machine.result is not None for machine in machines):
            break
    return all(machine.result == "OK" for machine in machines)


def _wire(network: Network, seed: int, *, fill: bool) -> Callable[[int, list[bytes]], list[bytes]]:
    schedule = Schedule(network, seed)
    last = [SILENCE] * _PACKET_FRAMES

    def carried(packet: int, frames: list[bytes]) -> list[bytes]:
        nonlocal last
        if schedule.fate(packet).lost:
            return last if fill else [SILENCE] * len(frames)
        last = [a_law_samples(a_law_codes(np.frombuffer(frame, np.int16))).tobytes() for frame in frames]
        return last

    return carried
