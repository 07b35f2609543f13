"""libspandsp's receiver of the tones with which fax machines and modems greet each other, by cffi.

CNG: 1100 Hz, the calling fax machine (ITU-T T.30). ANSam/PR and ANS/PR: 2100 Hz whose phase is reversed every
450 ms, the answering modem's request to disable echo cancellers (ITU-T V.25, V.8, G.168 section 7).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

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
_ANY: Final = range(1, 16)
"""Whatever a receiver tells (0: nothing)."""


class _Tones:
    """Listens to one direction of a call. `heard` stays "" until one of the tones was heard, then names it."""

    __slots__ = ("_receivers", "heard")

    # What is listened for, and the name of each kind that the receiver may tell; of several at once the last counts.
    KINDS: ClassVar[tuple[tuple[int, Mapping[int, str]], ...]]

    def __init__(self) -> None:
        self.heard = ""
        self._receivers = [(kind, _receiver(kind), names) for kind, names in self.KINDS]

    def reset(self) -> None:
        """Another call."""
        self.heard = ""
        for kind, receiver, _ in self._receivers:
            _lib.modem_connect_tones_rx_init(receiver, kind, _ffi.NULL, _ffi.NULL)

    def feed(self, pcm: bytes) -> str:
        """Hear 16-bit samples: the tone's name once heard, "" until then."""
        if self.heard:
            return self.heard
        for _, receiver, names in self._receivers:
            _lib.modem_connect_tones_rx(receiver, pcm, len(pcm) >> 1)
            self.heard = names.get(_lib.modem_connect_tones_rx_get(receiver), self.heard)
        return self.heard


class ModemTones(_Tones):
    """What asks for the bare line by itself: "ans-pr", "ansam-pr" (2100 Hz with phase reversals) or "cng"."""

    __slots__ = ()

    KINDS = ((_ANS_PR, {_ANS_PR: "ans-pr", _ANSAM_PR: "ansam-pr"}), (_CNG, {_CNG: "cng"}))


class FaxTones(_Tones):
    """Whatever only a fax machine or a modem says: "cng" (1100 Hz, after 0.4 s), "ced" (2100 Hz, after 0.8 s, with
    phase reversals or without), "v21" (the flags at 300 bit/s before a fax machine's first words, ITU-T T.30 5.3.1).
    """

    __slots__ = ()

    KINDS = (
        (_CNG, dict.fromkeys(_ANY, "cng")),
        (_ANS_PR, dict.fromkeys(_ANY, "ced")),
        (_V21_PREAMBLE, dict.fromkeys(_ANY, "v21")),
    )


def _receiver(kind: int) -> Any:
    raw = _lib.modem_connect_tones_rx_init(_ffi.NULL, kind, _ffi.NULL, _ffi.NULL)
    return _ffi.gc(raw, _lib.modem_connect_tones_rx_free)
