"""libspeexdsp by cffi: the echo canceller and the resampler. Its gain control and noise
suppressor are left alone: what the caller says must arrive as it was said.
"""

from __future__ import annotations

from typing import Any, Final

from cffi import FFI

from firmware.fxs.dsp.library import open_library

_ffi: Final[Any] = FFI()
_ffi.cdef("""
typedef struct SpeexEchoState_ SpeexEchoState;
SpeexEchoState *speex_echo_state_init(int frame_size, int filter_length);
void speex_echo_state_destroy(SpeexEchoState *st);
void speex_echo_state_reset(SpeexEchoState *st);
void speex_echo_cancellation(SpeexEchoState *st, const char *rec, const char *play, char *out);
int speex_echo_ctl(SpeexEchoState *st, int request, void *ptr);

typedef struct SpeexResamplerState_ SpeexResamplerState;
SpeexResamplerState *speex_resampler_init(uint32_t channels, uint32_t in_hz, uint32_t out_hz, int quality, int *err);
void speex_resampler_destroy(SpeexResamplerState *st);
int speex_resampler_process_int(SpeexResamplerState *st, uint32_t channel, const char *in, uint32_t *in_len,
                                char *out, uint32_t *out_len);
int speex_resampler_get_output_latency(SpeexResamplerState *st);
int speex_resampler_set_rate_frac(SpeexResamplerState *st, uint32_t ratio_num, uint32_t ratio_den,
                                  uint32_t in_hz, uint32_t out_hz);
""")
_lib, SONAME = open_library(_ffi, ("libspeexdsp.so.1",), "libspeexdsp1")

_SET_SAMPLING_RATE: Final = 24
_GET_IMPULSE_RESPONSE_SIZE: Final = 27
_GET_IMPULSE_RESPONSE: Final = 29


class SpeexEcho:
    """One echo canceller at 8 kHz. Frames are of `frame_samples`; the filter spans `tail_samples`."""

    __slots__ = ("_frame_bytes", "_out", "_response", "_state", "_unit", "_view", "tail_samples")

    def __init__(self, frame_samples: int, tail_samples: int) -> None:
        self._frame_bytes = frame_samples * 2
        self._out = _ffi.new("char[]", self._frame_bytes)
        self._view = _ffi.buffer(self._out)
        self._state = _ffi.gc(_lib.speex_echo_state_init(frame_samples, tail_samples), _lib.speex_echo_state_destroy)
        rate = _ffi.new("int *", 8000)
        _lib.speex_echo_ctl(self._state, _SET_SAMPLING_RATE, rate)
        size = _ffi.new("int32_t *")
        _lib.speex_echo_ctl(self._state, _GET_IMPULSE_RESPONSE_SIZE, size)
        self.tail_samples = int(size[0])
        """The filter's length: the tail asked for, in whole frames."""
        self._response = _ffi.new("int32_t[]", self.tail_samples)
        # Its transform divides by the two frames that it spans on the way there, not on the way back.
        self._unit = 32767.0 * 2 * frame_samples

    def response(self) -> list[float]:
        """The echo path as learnt by now, `tail_samples` long, 1.0 for an echo as loud as the voice sent.

        It includes the notch at 0 Hz through which the library sends the near voice.
        """
        _lib.speex_echo_ctl(self._state, _GET_IMPULSE_RESPONSE, self._response)
        unit = self._unit
        return [tap / unit for tap in self._response]

    def cancel(self, near: bytes, far: bytes) -> bytes:
        """`near` without the echo of `far`. Both must be one frame long (ValueError)."""
        if len(near) != self._frame_bytes or len(far) != self._frame_bytes:
            msg = f"echo canceller: frames of {len(near)} and {len(far)} bytes, not {self._frame_bytes}"
            raise ValueError(msg)
        _lib.speex_echo_cancellation(self._state, near, far, self._out)
        return bytes(self._view)

    def reset(self) -> None:
        """Forget the line."""
        _lib.speex_echo_state_reset(self._state)


def _resampler(from_hz: int, to_hz: int, quality: int) -> Any:
    error = _ffi.new("int *")
    raw = _lib.speex_resampler_init(1, from_hz, to_hz, quality, error)
    if raw == _ffi.NULL or error[0]:
        msg = f"cannot resample from {from_hz} Hz to {to_hz} Hz (speexdsp error {error[0]})"
        raise ValueError(msg)
    return _ffi.gc(raw, _lib.speex_resampler_destroy)


def resample(pcm: bytes, from_hz: int, to_hz: int, quality: int = 8) -> bytes:
    """16-bit mono `pcm` at another rate, aligned with the original (the filter's delay is taken off).

    Raises ValueError when the library cannot make the ratio.
    """
    if from_hz == to_hz:
        return pcm
    state = _resampler(from_hz, to_hz, quality)
    delay = int(_lib.speex_resampler_get_output_latency(state))
    wanted = len(pcm) // 2 * to_hz // from_hz
    # Silence behind the end pushes out what the filter still holds.
    source = pcm + bytes(2 * (delay + 1) * (from_hz // to_hz + 2))
    consumed = _ffi.new("uint32_t *", len(source) // 2)
    room = wanted + 4 * delay + 64
    out = _ffi.new("char[]", room * 2)
    produced = _ffi.new("uint32_t *", room)
    code = _lib.speex_resampler_process_int(state, 0, source, consumed, out, produced)
    if code:
        msg = f"cannot resample from {from_hz} Hz to {to_hz} Hz (speexdsp error {code})"
        raise ValueError(msg)
    return bytes(_ffi.buffer(out, produced[0] * 2))[delay * 2 : (delay + wanted) * 2]


class _Stream:
    """A resampler frame after frame, and room for what comes out. Raises ValueError when the library refuses."""

    __slots__ = ("_out", "_produced", "_state", "_taken", "_view")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._state = _resampler(from_hz, to_hz, _QUALITY_3)
        self._taken = _ffi.new("uint32_t *")
        self._produced = _ffi.new("uint32_t *")
        self._out = _ffi.new("char[]", 2 * _MOST_OUT)
        self._view = _ffi.buffer(self._out)

    @property
    def delay_samples(self) -> int:
        """How much later a sample comes out than it went in, in samples that come out."""
        return int(_lib.speex_resampler_get_output_latency(self._state))

    def _process(self, pcm: bytes, most: int) -> bytes:
        """At most so many samples (of _MOST_OUT) of `pcm`; `_taken[0]` is how many of it were used up."""
        self._taken[0], self._produced[0] = len(pcm) // 2, most
        code = _lib.speex_resampler_process_int(self._state, 0, pcm, self._taken, self._out, self._produced)
        if code:
            msg = f"resampler: speexdsp error {code}"
            raise ValueError(msg)
        return bytes(self._view[: 2 * self._produced[0]])


class Converter(_Stream):
    """From one rate to another, one a whole multiple of the other, frame after frame; `delay_seconds` late.

    Raises ValueError when the library cannot make the ratio.
    """

    __slots__ = ("_from", "_to")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        super().__init__(from_hz, to_hz)
        self._from, self._to = from_hz, to_hz

    @property
    def delay_seconds(self) -> float:
        """How much later a sample comes out than it went in."""
        return self.delay_samples / self._to

    def convert(self, pcm: bytes) -> bytes:
        """16-bit `pcm`, whole samples of both rates, at the other. ValueError for more than 1024 samples."""
        count = len(pcm) // 2
        if count * self._to // self._from > _MOST_OUT:
            msg = f"converter: {count} samples at once"
            raise ValueError(msg)
        return self._process(pcm, _MOST_OUT)


_QUALITY_3: Final = 3  # 80 dB of stop band, flat to 3.4 kHz, 3 ms late: a telephone's band exactly
_MOST_OUT: Final = 1024


class Resampler(_Stream):
    """8 kHz to nearly 8 kHz, continuously: the ratio may change before every frame, without a click.

    Ratios are `steps` / UNIT samples in for each one out. The library reduces a fraction and counts its
    phase in what is left of the denominator. Beyond 65,535 it refuses (RESAMPLER_ERR_OVERFLOW) and goes
    on with a wrong ratio; when the denominator shrinks it forgets the finer part of its phase, which
    is a click of up to a sample. So UNIT is the greatest prime below, which nothing reduces, and the
    ratio 1 itself, which would be 1/1, is refused here.
    """

    UNIT: Final = 65_521

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        super().__init__(8000, 8000)
        self._steps = -1

    def frame(self, pcm: bytes, steps: int, samples: int) -> tuple[bytes, int]:
        """`samples` samples of the 16-bit `pcm` at `steps` / UNIT, and how many of it were used up.

        Fewer come out when `pcm` is too short. Raises ValueError for more than 1024, or a ratio that
        cannot be.
        """
        if not 0 < samples <= _MOST_OUT:
            msg = f"resampler: {samples} samples at once; 1 to {_MOST_OUT}"
            raise ValueError(msg)
        if steps != self._steps:
            self._set(steps)
        return self._process(pcm, samples), int(self._taken[0])

    def _set(self, steps: int) -> None:
        if not 0 < steps < 2 * self.UNIT or steps == self.UNIT:
            msg = f"resampler: the ratio {steps}/{self.UNIT} is none that can be changed to without a click"
            raise ValueError(msg)
        code = _lib.speex_resampler_set_rate_frac(self._state, steps, self.UNIT, 8000, 8000)
        if code:
            msg = f"resampler: the ratio {steps}/{self.UNIT} is refused (speexdsp error {code})"
            raise ValueError(msg)
        self._steps = steps
