"""libspandsp by cffi: the DTMF receiver and the caller-ID (ADSI) modems.

Debian ships 0.0.6 (libspandsp.so.2), Buildroot 3.x (libspandsp.so.3), whose `dtmf_rx_parms`
takes floats instead of ints: both are bound. DTMF generation is not used from here:
`dtmf_tx_init` differs between the two, and two sines need no library.
"""

from __future__ import annotations

from typing import Any, Final

from cffi import FFI

from firmware.fxs.dsp.library import open_library

SONAMES = ("libspandsp.so.2", "libspandsp.so.3")

_COMMON = """
typedef struct dtmf_rx_state_s dtmf_rx_state_t;
dtmf_rx_state_t *dtmf_rx_init(dtmf_rx_state_t *s, void *callback, void *user_data);
int dtmf_rx(dtmf_rx_state_t *s, const char *amp, int samples);
int dtmf_rx_status(dtmf_rx_state_t *s);
size_t dtmf_rx_get(dtmf_rx_state_t *s, char *digits, int max);
int dtmf_rx_free(dtmf_rx_state_t *s);

typedef struct adsi_tx_state_s adsi_tx_state_t;
typedef struct adsi_rx_state_s adsi_rx_state_t;
adsi_tx_state_t *adsi_tx_init(adsi_tx_state_t *s, int standard);
void adsi_tx_set_preamble(adsi_tx_state_t *s, int preamble, int ones, int postamble, int stop_bits);
int adsi_tx_put_message(adsi_tx_state_t *s, const char *msg, int len);
int adsi_tx(adsi_tx_state_t *s, char *amp, int max_len);
int adsi_tx_free(adsi_tx_state_t *s);
typedef void (*put_msg_func_t)(void *user_data, const uint8_t *msg, int len);
adsi_rx_state_t *adsi_rx_init(adsi_rx_state_t *s, int standard, put_msg_func_t put_msg, void *user_data);
int adsi_rx(adsi_rx_state_t *s, const char *amp, int len);
int adsi_rx_free(adsi_rx_state_t *s);
"""
_PARMS = {
    "libspandsp.so.2": "void dtmf_rx_parms(dtmf_rx_state_t *s, int filter, int twist, int reverse, int level);",
    "libspandsp.so.3": "void dtmf_rx_parms(dtmf_rx_state_t *s, int filter, float twist, float reverse, float level);",
}

_ffi: Final[Any] = FFI()
_ffi.cdef(_COMMON)
_lib, SONAME = open_library(_ffi, SONAMES, "libspandsp2")
_ffi.cdef(_PARMS[SONAME])

ADSI_BELL202: Final = 1
ADSI_V23: Final = 2
MIN_ADSI_MESSAGE: Final = 2
MAX_ADSI_MESSAGE: Final = 253
"""Longest message: type, length and body share a 256-byte buffer with the checksum."""

NOTCHES_HZ: Final = frozenset({350, 440})
"""What the DTMF receiver's dial-tone filter takes out."""

_MAX_DIGITS: Final = 128
_ADSI_CHUNK_SAMPLES: Final = 800
_ADSI_MAX_CHUNKS: Final = 60


class DtmfReceiver:
    """One DTMF receiver (blocks of 102 samples, two agreeing blocks make a digit).

    `dial_tone_filter` puts sharp notches at 350 and 440 Hz before the detector; twist limits are
    in dB (normal: low group stronger; reverse: high group stronger), the threshold in dBm0.
    """

    __slots__ = ("_digits", "_parameters", "_state")

    def __init__(
        self,
        *,
        dial_tone_filter: bool = False,
        twist_db: int = 8,
        reverse_twist_db: int = 4,
        threshold_dbm0: int = -42,
    ) -> None:
        self._parameters = (int(dial_tone_filter), twist_db, reverse_twist_db, threshold_dbm0)
        self._digits = _ffi.new("char[]", _MAX_DIGITS + 1)
        self._state = _ffi.gc(_lib.dtmf_rx_init(_ffi.NULL, _ffi.NULL, _ffi.NULL), _lib.dtmf_rx_free)
        _lib.dtmf_rx_parms(self._state, *self._parameters)

    def reset(self) -> None:
        """Forget everything heard."""
        _lib.dtmf_rx_init(self._state, _ffi.NULL, _ffi.NULL)
        _lib.dtmf_rx_parms(self._state, *self._parameters)

    def feed(self, pcm: bytes) -> int:
        """Hear 16-bit samples. Returns the status after the last block: 0 nothing, 'x' one block
        that looks like a digit (not yet believed), else the digit now heard, as character codes.
        """
        return self.feed_buffer(pcm, len(pcm) >> 1)

    def feed_buffer(self, samples: Any, count: int) -> int:
        """The same for `count` samples in a C buffer (or bytes)."""
        _lib.dtmf_rx(self._state, samples, count)
        return int(_lib.dtmf_rx_status(self._state))

    def digits(self) -> str:
        """Digits that began since the last call."""
        count = _lib.dtmf_rx_get(self._state, self._digits, _MAX_DIGITS)
        return bytes(_ffi.buffer(self._digits, count)).decode("ascii") if count else ""


def adsi_modulate(standard: int, message: bytes, seizure_bits: int, mark_bits: int) -> bytes:
    """The FSK signal of a caller-ID `message` (type, length, body; the checksum is added here).

    Raises ValueError when the message is too long for one transmission.
    """
    if not MIN_ADSI_MESSAGE <= len(message) <= MAX_ADSI_MESSAGE:
        msg = f"a caller-ID message has {MIN_ADSI_MESSAGE} to {MAX_ADSI_MESSAGE} bytes, not {len(message)}"
        raise ValueError(msg)
    state = _ffi.gc(_lib.adsi_tx_init(_ffi.NULL, standard), _lib.adsi_tx_free)
    # The library's own default mark is too short for the standards; one stop bit, ten marks at the end.
    _lib.adsi_tx_set_preamble(state, seizure_bits, mark_bits, 10, 1)
    if _lib.adsi_tx_put_message(state, message, len(message)) <= 0:
        msg = f"libspandsp refuses a caller-ID message of {len(message)} bytes"
        raise ValueError(msg)
    out = _ffi.new("char[]", _ADSI_CHUNK_SAMPLES * 2)
    chunks = []
    for _ in range(_ADSI_MAX_CHUNKS):
        count = _lib.adsi_tx(state, out, _ADSI_CHUNK_SAMPLES)
        chunks.append(bytes(_ffi.buffer(out, count * 2)))
        if count < _ADSI_CHUNK_SAMPLES:
            break
    return b"".join(chunks)


class AdsiReceiver:
    """One caller-ID receiver; `feed` returns the messages whose checksum was right."""

    __slots__ = ("_callback", "_messages", "_state")

    def __init__(self, standard: int) -> None:
        self._messages: list[bytes] = []
        messages = self._messages

        def put(_user: object, message: Any, length: int) -> None:
            messages.append(bytes(_ffi.buffer(message, length)))

        # The library keeps only the address: the Python object must live as long as the state.
        self._callback = _ffi.callback("put_msg_func_t", put)
        self._state = _ffi.gc(_lib.adsi_rx_init(_ffi.NULL, standard, self._callback, _ffi.NULL), _lib.adsi_rx_free)

    def feed(self, pcm: bytes) -> list[bytes]:
        """Hear 16-bit samples; messages (type, length, body) that ended in them."""
        _lib.adsi_rx(self._state, pcm, len(pcm) >> 1)
        if not self._messages:
            return []
        heard = list(self._messages)
        self._messages.clear()
        return heard
