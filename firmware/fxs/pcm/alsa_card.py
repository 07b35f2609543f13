"""A sound card opened through ALSA, both ways: 8 or 16 kHz, 16 bit, mono, 10 ms. The only alsaaudio import."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import alsaaudio

from firmware.fxs.pcm import SAMPLE_RATE_HZ, frame_bytes

_log = logging.getLogger(__name__)
_CAPTURE_PERIODS: Final = 16
"""Room for a voice thread that is held up; it costs no delay, for what is captured is read at once."""

CardError: Final = alsaaudio.ALSAAudioError
"""What a card raises in use: it is gone, or does not answer."""


class Card:
    """Both directions, open. Raises OSError with a person's words if they cannot be."""

    def __init__(self, capture: str, playback: str, periods: int, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        self.capture, _ = _open(alsaaudio.PCM_CAPTURE, "capture", capture, _CAPTURE_PERIODS, rate_hz)
        try:
            self.playback, self.buffer_samples = _open(alsaaudio.PCM_PLAYBACK, "playback", playback, periods, rate_hz)
        except OSError:
            self.capture.close()
            raise
        self.descriptors: list[tuple[int, int]] = self.capture.polldescriptors()

    def close(self) -> None:
        """At once: what is still to be played is dropped (closing alone would wait for it)."""
        for pcm in (self.playback, self.capture):
            try:
                pcm.drop()
            except CardError:
                _log.debug("a card that is gone has nothing to drop")
            pcm.close()


def _open(kind: int, word: str, device: str, periods: int, rate_hz: int) -> tuple[Any, int]:
    try:
        pcm = alsaaudio.PCM(
            kind,
            alsaaudio.PCM_NONBLOCK,
            device=device,
            rate=rate_hz,
            channels=1,
            format=alsaaudio.PCM_FORMAT_S16_LE,
            periodsize=frame_bytes(rate_hz) // 2,
            periods=periods,
        )
    except CardError as error:
        cards = ", ".join(alsaaudio.cards()) or "none"
        raise OSError(
            f"the sound card for {word} cannot be opened: {error}. Cards here: {cards}; `aplay -L` lists the names, "
            f"`allobox config set line.alsa.{word} NAME` sets one"
        ) from error
    got = pcm.info()
    if (got["rate"], got["channels"]) != (rate_hz, 1):
        pcm.close()
        raise OSError(
            f"the sound card for {word}, {device}, gives {got['rate']} Hz and {got['channels']} channels and cannot do "
            f"{rate_hz} Hz mono: let ALSA convert, as in line.alsa.{word} = plug{device}"
        )
    return pcm, int(got["buffer_size"])


def one_clock(capture: str, playback: str) -> bool:
    """Whether two ALSA names mean the same card, and with it the same crystal: "hw:CARD=a" and "plughw:a,0" do."""

    def card(name: str) -> str:
        found = re.fullmatch(r"\w+:(?:.*?CARD=)?([\w-]+).*", name)
        return found[1] if found else name

    return card(capture) == card(playback)
