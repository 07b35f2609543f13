"""A signal a little faster or slower, by libspeexdsp's resampler: a receiver of fixed frequencies hears it in tune.

A telephone whose tones are 1.5 % high is beyond the band in which libspandsp's receiver hears every digit; on a copy
that is 0.6 % lower it is only 0.9 % away.
"""

from __future__ import annotations

from typing import Any, Final

from cffi import FFI

from firmware.fxs.dsp.library import open_library

_ffi: Final[Any] = FFI()
_ffi.cdef("""
typedef struct SpeexResamplerState_ SpeexResamplerState;
SpeexResamplerState *speex_resampler_init(uint32_t channels, uint32_t in_hz, uint32_t out_hz, int quality, int *err);
void speex_resampler_destroy(SpeexResamplerState *st);
int speex_resampler_process_int(SpeexResamplerState *st, uint32_t channel, const char *in, uint32_t *in_len,
                                char *out, uint32_t *out_len);
int speex_resampler_reset_mem(SpeexResamplerState *st);
""")
_lib, _ = open_library(_ffi, ("libspeexdsp.so.1",), "libspeexdsp1")

_RATE_HZ: Final = 8000
_QUALITY: Final = 1
"""16 taps: images of the telephone band stay 40 dB down, more than a digit receiver asks for."""
MAX_SAMPLES: Final = 800
"""The longest piece `feed` takes."""


class Retuner:
    """A stream of 16-bit samples at 8 kHz, its frequencies times `1 + percent / 100`.

    Raises ValueError for a change of more than 10 %, which is no tuning.
    """

    __slots__ = ("_in", "_out", "_out_count", "_room", "_state")

    def __init__(self, percent: float) -> None:
        if not -10 <= percent <= 10:  # noqa: PLR2004 - see above
            raise ValueError(f"frequencies moved by {percent} %: wanted -10 to 10")
        error = _ffi.new("int *")
        # Played at 8 kHz, fewer samples of the same sound are a higher one.
        raw = _lib.speex_resampler_init(1, round(_RATE_HZ * (1 + percent / 100)), _RATE_HZ, _QUALITY, error)
        if raw == _ffi.NULL or error[0]:
            raise ValueError(f"cannot move frequencies by {percent} % (speexdsp error {error[0]})")
        self._state = _ffi.gc(raw, _lib.speex_resampler_destroy)
        self._room = MAX_SAMPLES * 2
        self._out = _ffi.new("char[]", self._room * 2)
        self._in = _ffi.new("uint32_t *")
        self._out_count = _ffi.new("uint32_t *")

    def feed(self, pcm: bytes) -> tuple[Any, int]:
        """The retuned samples, as a C buffer that the next call overwrites, and how many there are.

        Raises ValueError for more than MAX_SAMPLES at once.
        """
        count = len(pcm) >> 1
        if count > MAX_SAMPLES:
            raise ValueError(f"{count} samples at once: at most {MAX_SAMPLES}")
        self._in[0], self._out_count[0] = count, self._room
        _lib.speex_resampler_process_int(self._state, 0, pcm, self._in, self._out, self._out_count)
        return self._out, self._out_count[0]

    def reset(self) -> None:
        """Forget what is still in the filter."""
        _lib.speex_resampler_reset_mem(self._state)
