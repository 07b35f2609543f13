"""The line doctor's ear on the voice thread: the line's frames as they came, and nothing else changed."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from firmware.fxs import country
from firmware.fxs.pcm import FRAME_BYTES
from firmware.fxs.voice import LineVoice
from tests.fakes.worn_telephone import noise, pcm


def line(*, cancel_echo: bool) -> LineVoice:
    return LineVoice(
        country.load("FR"), on_digit=lambda _digit: None, on_speech_end=lambda: None, cancel_echo=cancel_echo
    )


@pytest.mark.parametrize("cancel_echo", [True, False])
def test_a_tap_gets_each_frame_before_canceller_and_offset_removal_and_changes_none(*, cancel_echo: bool) -> None:
    spoken = pcm(noise(-20, 80 * 60) + 700)
    frames = [spoken[at : at + FRAME_BYTES] for at in range(0, len(spoken), FRAME_BYTES)]
    tapped, plain = line(cancel_echo=cancel_echo), line(cancel_echo=cancel_echo)
    kept: deque[bytes] = deque(maxlen=20)
    for voice in (tapped, plain):
        voice.play_tone("busy")
    cleaned = []
    for position, frame in enumerate(frames):
        tapped.tap = kept.append if position >= 10 else None
        cleaned.append((tapped.from_line(frame), tapped.to_line(None)))
    assert list(kept) == frames[-20:]
    assert cleaned == [(plain.from_line(frame), plain.to_line(None)) for frame in frames]
    assert np.any(np.frombuffer(cleaned[-1][0], np.int16) != np.frombuffer(frames[-1], np.int16))
    tapped.tap = None
    tapped.from_line(frames[0])
    assert list(kept) == frames[-20:]
