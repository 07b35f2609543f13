"""The line's voice when a fax machine is on it: what tells one, and what is no longer done to the sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from firmware.fxs import country
from firmware.fxs.fax_holes import HoleFiller
from firmware.fxs.levels import LineLevels
from firmware.fxs.pcm import FRAME_BYTES, SILENCE
from firmware.fxs.voice import LineVoice
from tests.fakes import signals

FRANCE = country.load("FR")
QUIET = bytes(FRAME_BYTES)


class Line:
    """A line in virtual time, in a call unless `far` is None."""

    def __init__(self, **options: object) -> None:
        self.faxes = 0
        self.digits: list[str] = []
        self.voice = LineVoice(
            FRANCE,
            on_digit=self.digits.append,
            on_speech_end=lambda: None,
            on_fax=self._fax,
            **options,  # type: ignore[arg-type]
        )
        self.voice.listen(on=True)

    def _fax(self) -> None:
        self.faxes += 1

    def run(self, near: signals.Samples, far: signals.Samples | None) -> tuple[bytes, bytes]:
        """What the far end got, and the handset."""
        theirs = None if far is None else list(signals.frames(signals.pcm(far)))
        sent, heard = [], []
        for index, frame in enumerate(signals.frames(signals.pcm(near))):
            sent.append(self.voice.from_line(frame))
            heard.append(self.voice.to_line(None if theirs is None else theirs[index]))
        return b"".join(sent), b"".join(heard)

    def answer(self) -> None:
        """A far end that says nothing yet."""
        self.run(signals.silence(0.05), signals.silence(0.05))


def cng() -> signals.Samples:
    return signals.sine(1100, 0.5, -13)


def ced(reversals: bool = False) -> signals.Samples:  # noqa: FBT001, FBT002
    tone = signals.sine(2100, 2.0, -13)
    if reversals:  # ITU-T V.25: every 450 ms
        tone[(np.arange(tone.size) // 3600) % 2 == 1] *= -1
    return tone


def v21_flags(seconds: float = 1.0) -> signals.Samples:
    """HDLC flags in V.21's upper channel: what a fax machine says before its first frame (ITU-T T.30 5.3.1)."""
    bits = [0, 1, 1, 1, 1, 1, 1, 0] * round(seconds * 300 / 8 + 1)
    samples = np.arange(round(seconds * signals.RATE))
    hz = np.where(np.array(bits)[samples * 300 // signals.RATE], 1650.0, 1850.0)
    return np.asarray(signals.peak(-13) * np.sin(2 * np.pi * np.cumsum(hz) / signals.RATE))


@pytest.mark.parametrize("direction", ["near", "far"])
@pytest.mark.parametrize(
    ("said", "name"), [(cng, "cng"), (ced, "ced"), (lambda: ced(reversals=True), "ced"), (v21_flags, "v21")]
)
def test_what_only_a_fax_machine_says_is_heard_from_either_end(
    said: Callable[[], signals.Samples], name: str, direction: str
) -> None:
    line = Line()
    line.answer()
    sound = said()
    rest = signals.silence(sound.size / signals.RATE)
    line.run(*((sound, rest) if direction == "near" else (rest, sound)))
    assert (line.voice.fax, line.faxes) == (name, 1)


@pytest.mark.parametrize("cancel_echo", [True, False])
def test_a_fax_is_heard_with_the_canceller_left_out_too(cancel_echo: bool) -> None:  # noqa: FBT001
    line = Line(cancel_echo=cancel_echo)
    line.answer()
    line.run(cng(), signals.silence(0.5))
    assert line.faxes == 1


@pytest.mark.parametrize("hz", [440, 950, 1004, 1020, 1209, 1336, 1400, 1800, 2000, 2225])
def test_other_steady_tones_are_no_fax(hz: int) -> None:
    line = Line()
    line.run(signals.sine(hz, 3, -10), signals.sine(hz, 3, -10))
    assert line.faxes == 0


def test_speech_and_digits_are_no_fax() -> None:
    line = Line()
    talk = signals.speechlike(20, -18)
    keys = signals.dialled(signals.KEYS * 8, 80, 70)
    line.run(talk, signals.speechlike(20, -14, seed=9))
    line.run(keys, signals.silence(keys.size / signals.RATE))
    assert line.faxes == 0


def page(seconds: float = 1.0) -> signals.Samples:
    """Something like a modem's carrier, with a bit of everything that the box would take out of a voice."""
    return signals.noise(seconds, -15) + signals.sine(50, seconds, -20) + 40 + signals.digit("5", 1000 * seconds)


def test_in_a_fax_both_directions_pass_bit_for_bit() -> None:
    line = Line(levels=LineLevels(mains_hz=50))
    line.answer()
    line.run(cng(), signals.silence(0.5))
    near, far = page(), signals.noise(1.0, -12, seed=5)
    sent, heard = line.run(near, far)
    assert sent == signals.pcm(near)
    assert heard == signals.pcm(far)
    assert line.digits == [], "a carrier is no key"


def test_the_line_s_gains_stay_in_a_fax() -> None:
    line = Line(levels=LineLevels(from_line_db=-6.0))
    line.answer()
    line.run(cng(), signals.silence(0.5))
    sent, _ = line.run(signals.sine(1700, 0.5, -10), signals.silence(0.5))
    assert signals.level(signals.samples(sent)) == pytest.approx(-16, abs=0.1)


def test_a_whistle_before_any_call_leaves_the_keys_alive() -> None:
    line = Line()
    line.voice.play_tone("dial")
    line.run(cng(), None)
    line.run(signals.dialled("112", 80, 80), None)
    assert (line.faxes, line.digits) == (0, ["1", "1", "2"])


def test_after_a_fax_call_a_new_dial_tone_has_its_digits_at_once() -> None:
    line = Line()
    line.answer()
    line.run(cng(), signals.silence(0.5))
    line.voice.play_tone("dial")
    line.run(signals.dialled("112", 80, 80), None)
    assert line.digits == ["1", "1", "2"]


def test_a_call_that_is_parted_is_forgotten_and_the_next_voice_is_cleaned_again() -> None:
    line = Line()
    line.answer()
    line.run(cng(), signals.silence(0.5))
    line.run(signals.silence(0.5), None)
    assert line.voice.fax, "half a second without a far end is a renegotiation"
    line.run(signals.silence(1.2), None)
    assert not line.voice.fax
    line.run(signals.silence(1), signals.silence(1))
    sent, _ = line.run(signals.digit("5", 500), signals.silence(0.5))
    assert line.digits == ["5"]
    assert sent[-FRAME_BYTES:] == SILENCE, "and a digit is muted"


def test_a_new_handset_s_lift_forgets_the_fax() -> None:
    line = Line()
    line.answer()
    line.run(cng(), signals.silence(0.5))
    line.voice.reset()
    line.voice.from_line(QUIET)
    assert not line.voice.fax


def test_each_fax_is_told_once() -> None:
    line = Line()
    line.answer()
    for _ in range(3):
        line.run(cng(), ced()[: cng().size])
    assert line.faxes == 1


def numbered(count: int) -> list[bytes]:
    return [bytes([number + 1]) * FRAME_BYTES for number in range(count)]


def test_a_lost_packet_is_the_one_before_once_more() -> None:
    a, b, c, d = numbered(4)
    holes = HoleFiller()
    assert [holes.fill(frame) for frame in (a, b, SILENCE, SILENCE, c, d)] == [a, b, a, b, c, d]
    assert [holes.fill(frame) for frame in (SILENCE, SILENCE, a)] == [c, d, a], "and the next as well"


def test_two_packets_are_filled_and_then_the_machine_is_silent() -> None:
    a, b = numbered(2)
    holes = HoleFiller()
    for frame in (a, b):
        holes.fill(frame)
    assert [holes.fill(SILENCE) for _ in range(6)] == [a, b, a, b, SILENCE, SILENCE]
    holes.fill(a)
    assert [holes.fill(SILENCE) for _ in range(5)] == [a, a, a, a, SILENCE], "only what came since"


def test_before_anything_came_and_after_a_reset_there_is_nothing_to_fill_with() -> None:
    holes = HoleFiller()
    assert holes.fill(SILENCE) == SILENCE
    holes.fill(numbered(1)[0])
    holes.reset()
    assert holes.fill(SILENCE) == SILENCE


def test_speech_has_its_pauses_and_a_fax_its_holes_filled() -> None:
    line = Line()
    loud = signals.noise(0.1, -15)
    gap = np.concatenate([loud, signals.silence(0.02), loud])
    _, heard = line.run(signals.silence(0.22), gap)
    assert heard == signals.pcm(gap)
    line.run(cng(), signals.silence(0.5))
    _, heard = line.run(signals.silence(0.22), gap)
    sound = signals.pcm(gap)
    assert heard == sound[:1600] + sound[1280:1600] + sound[1920:]
