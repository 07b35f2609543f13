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


def _receiver(kind: int) -> Any:
    raw = _lib.modem_connect_tones_rx_init(_ffi.NULL, kind, _ffi.NULL, _ffi.NULL)
    return _ffi.gc(raw, _lib.modem_connect_tones_rx_free)
