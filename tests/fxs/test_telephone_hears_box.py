"""The box's own tones, country by country, as the telephone's independent ears take them."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.fxs import country, tones
from firmware.fxs.pcm import FRAME_BYTES
from firmware.fxs.telephone_ears import Ears
from firmware.fxs.telephone_plans import PLANS, plan_of

EVENTS = {
    "dial": "dial-tone",
    "stutter": "stutter-tone",
    "ringback": "ringback",
    "busy": "busy",
    "congestion": "congestion",
    "howler": "howler",
}


# What a person would take it for at first: its first turn fits both (400 ms are a busy tone's 375, within 10 %).
BEGINS_AS = {
    ("UK", "busy"): "congestion",
    ("ES", "congestion"): "busy",
    ("BE", "stutter"): "dial-tone",
    ("UK", "stutter"): "dial-tone",
}


def words(code: str, name: str, seconds: float, *, dialled: bool, gain: float = 1.0) -> list[str]:
    ears = Ears(plan_of(code))
    ears.lifted(expect_dial_tone=not dialled)
    pcm = tones.play(tones.render(country.load(code), name), seconds)
    said: list[str] = []
    for start in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES):
        frame = np.frombuffer(pcm[start : start + FRAME_BYTES], "<i2").astype(np.float64)
        hearing = ears.feed(np.rint(frame * gain))
        if hearing and said[-1:] != [hearing]:
            said.append(hearing)
    return said


@pytest.mark.parametrize("code", sorted(PLANS))
@pytest.mark.parametrize("name", sorted(EVENTS))
def test_each_tone_of_the_box_is_heard_as_what_it_means(code: str, name: str) -> None:
    spec = country.load(code)
    if name not in spec.tones:
        pytest.skip(f"{code} has no {name} tone")
    first = name in {"dial", "stutter"}
    at_first = [BEGINS_AS[code, name]] if (code, name) in BEGINS_AS else []
    assert words(code, name, 12, dialled=not first) == [*at_first, EVENTS[name]]


@pytest.mark.parametrize("name", ["busy", "ringback", "congestion"])
def test_the_boxs_tones_are_known_20_db_down(name: str) -> None:
    assert words("FR", name, 12, dialled=True, gain=0.1) == [EVENTS[name]]


def test_the_special_dial_tone_is_a_dial_tone() -> None:
    assert words("FR", "special-dial", 3, dialled=False) == ["dial-tone"]


def test_the_call_waiting_tone_is_a_beep_and_silence() -> None:
    assert words("FR", "call-waiting", 6, dialled=True) == ["call-waiting", "silence"]


def test_the_special_information_tone_is_no_known_tone() -> None:
    assert set(words("FR", "sit", 6, dialled=True)) <= {"voice", "silence"}
