"""One line's sound as the control loop commands it: the voice thread and what it plays, as one."""

from __future__ import annotations

import logging

from firmware.fxs.voice import LineVoice
from firmware.telephony.media import VoicePath

_log = logging.getLogger(__name__)


class LineAudio:
    """`handset.HandsetVoice` over a `VoicePath` (frames) and its `LineVoice` (what they carry)."""

    def __init__(self, path: VoicePath, voice: LineVoice) -> None:
        self._path = path
        self._voice = voice

    def open(self) -> None:
        """Power the voice path."""
        self._path.open()

    def close(self) -> None:
        """Let it sleep, with nothing left to play when it wakes."""
        self._voice.play_nothing()
        if self._path.is_open:
            self._path.close()
            self._tell()

    def _tell(self) -> None:
        """Into the log how the line fared between two clocks, if it was."""
        end = self._path.end
        if end.ppm is not None:
            told = "line %d: its clock runs %+.0f ppm beside the bridge's; %d gaps, %d drops so far"
            _log.info(told, end.line, end.ppm, end.gaps, end.drops)

    def reset(self) -> None:
        """Start afresh: detector, canceller, and whatever played."""
        self._voice.reset()

    def play_tone(self, name: str) -> None:
        """Play a country tone for ever."""
        self._voice.play_tone(name)

    def play_samples(self, pcm: bytes) -> None:
        """Play samples once."""
        self._voice.play_samples(pcm)

    def interrupt(self, pcm: bytes, wait_ms: int) -> None:
        """Cut both directions, play samples and wait for a digit."""
        self._voice.interrupt(pcm, wait_ms)

    def mix(self, pcm: bytes) -> None:
        """Play samples once over the far voice; none: stop that."""
        self._voice.mix(pcm)

    def play_nothing(self) -> None:
        """Let the far voice pass."""
        self._voice.play_nothing()

    def sound_digit(self, digit: str) -> None:
        """Let the far end hear a digit's tone."""
        self._voice.sound_digit(digit)

    def listen(self, *, on: bool, mute: bool) -> None:
        """Detect digits; `mute` keeps them out of what the far end hears."""
        self._voice.mute_digits = mute
        self._voice.listen(on)
