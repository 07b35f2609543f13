"""libspandsp's receiver of the tones with which fax machines and modems greet each other, by cffi.

CNG: 1100 Hz, the calling fax machine (ITU-T T.30). ANSam/PR and ANS/PR: 2100 Hz whose phase is reversed every
450 ms, the answering modem's request to disable echo cancellers (ITU-T V.25, V.8, G.168 section 7).
"""

from __future__ import annotations

from typing import Any, Final

from cffi import FFI

from firmware.fxs.dsp.library import open_library
from firmware.fxs.dsp.spandsp import SONAMES

_ffi: Final[Any] = FFI()
_ffi.cdef("""
typedef struct modem_connect_tones_rx_state_s modem_connect_tones_rx_state_t;
modem_connect_tones_rx_state_t *modem_connect_tones_rx_init(modem_connect_tones_rx_state_t *s, int tone_type,
                                                            void *callback, void *user_data);
int modem_connect_tones_rx(modem_connect_tones_rx_state_t *s, const char *amp, int len);
int modem_connect_tones_rx_get(modem_connect_tones_rx_state_t *s);
int modem_connect_tones_rx_free(modem_connect_tones_rx_state_t *s);
""")
_lib, _ = open_library(_ffi, SONAMES, "libspandsp2")

_CNG: Final = 1
_ANS_PR: Final = 3
_ANSAM_PR: Final = 5
_V21_PREAMBLE: Final = 6


class ModemTones:
    """Listens to one direction of a call. `heard` stays "" until one of the tones was heard, then names it."""

    __slots__ = ("_answer", "_calling", "heard")

    def __init__(self) -> None:
        self.heard = ""
        self._calling = _receiver(_CNG)
        self._answer = _receiver(_ANS_PR)

    def reset(self) -> None:
        """Another call."""
        self.heard = ""
        _lib.modem_connect_tones_rx_init(self._calling, _CNG, _ffi.NULL, _ffi.NULL)
        _lib.modem_connect_tones_rx_init(self._answer, _ANS_PR, _ffi.NULL, _ffi.NULL)

    def feed(self, pcm: bytes) -> str:
        """Hear 16-bit samples: "cng", "ans-pr" or "ansam-pr" once heard, "" until then."""
        if self.heard:
            return self.heard
        count = len(pcm) >> 1
        _lib.modem_connect_tones_rx(self._calling, pcm, count)
        _lib.modem_connect_tones_rx(self._answer, pcm, count)
        if _lib.modem_connect_tones_rx_get(self._calling) == _CNG:
            self.heard = "cng"
        else:
            kind = _lib.modem_connect_tones_rx_get(self._answer)
            self.heard = {_ANS_PR: "ans-pr", _ANSAM_PR: "ansam-pr"}.get(kind, "")
        return self.heard


class FaxTones:
    """Listens to one direction of a call for whatever only a fax machine or a modem says.

    `heard` stays "" until then: "cng" (1100 Hz, after 0.4 s), "ced" (2100 Hz, after 0.8 s, with phase reversals or
    without), "v21" (the flags at 300 bit/s before a fax machine's first words, ITU-T T.30 5.3.1).
    """

    __slots__ = ("_receivers", "heard")

    def __init__(self) -> None:
        self.heard = ""
        self._receivers = [(name, kind, _receiver(kind)) for name, kind in _FAX]

    def reset(self) -> None:
        """Another call."""
        self.heard = ""
        for _, kind, receiver in self._receivers:
            _lib.modem_connect_tones_rx_init(receiver, kind, _ffi.NULL, _ffi.NULL)

    def feed(self, pcm: bytes) -> str:
        """Hear 16-bit samples; what was heard, "" until then."""
        if self.heard:
            return self.heard
        for name, _, receiver in self._receivers:
            _lib.modem_connect_tones_rx(receiver, pcm, len(pcm) >> 1)
            if _lib.modem_connect_tones_rx_get(receiver):
                self.heard = name
        return self.heard


_FAX: Final = (("cng", _CNG), ("ced", _ANS_PR), ("v21", _V21_PREAMBLE))


def _receiver(kind: int) -> Any:
    raw = _lib.modem_connect_tones_rx_init(_ffi.NULL, kind, _ffi.NULL, _ffi.NULL)
    return _ffi.gc(raw, _lib.modem_connect_tones_rx_free)
