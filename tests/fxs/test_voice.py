from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from firmware.fxs import country, tones
from firmware.fxs.dtmf import measure
from firmware.fxs.pcm import SILENCE
from firmware.fxs.voice import LineVoice
from tests.fakes import signals

FRANCE = country.load("FR")


@dataclass
class Line:
    """A line in virtual time: what is said goes in, the hybrid sends some of what is heard back."""

    of: country.Country = FRANCE
    echo_db: float | None = None
    cancel_echo: bool = True
    digits: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    handset: list[bytes] = field(default_factory=list)
    far_end: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.voice = LineVoice(
            self.of,
            on_digit=self.digit,
            on_speech_end=lambda: self.ends.append(len(self.handset)),
            cancel_echo=self.cancel_echo,
        )
        self.voice.listen(on=True)
        self.stop_tone_at_first_digit = False

    def digit(self, digit: str) -> None:
        self.digits.append(digit)
        if self.stop_tone_at_first_digit:
            self.voice.play_nothing()

    def run(self, near: signals.Samples, far: signals.Samples | None = None) -> None:
        theirs = list(signals.frames(signals.pcm(far))) if far is not None else []
        for index, frame in enumerate(signals.frames(signals.pcm(near))):
            said = signals.samples(frame)
            if self.echo_db is not None and self.handset:
                said = said + signals.samples(self.handset[-1]) * 10 ** (-self.echo_db / 20)
            self.far_end.append(self.voice.from_line(signals.pcm(said)))
            self.handset.append(self.voice.to_line(theirs[index] if index < len(theirs) else None))

    def heard(self) -> signals.Samples:
        return signals.samples(b"".join(self.handset))

    def sent(self) -> signals.Samples:
        return signals.samples(b"".join(self.far_end))


def test_without_anything_to_say_the_line_is_silent() -> None:
    line = Line()
    line.run(signals.silence(0.2))
    assert not line.heard().any()
    assert not line.sent().any()


def test_the_far_voice_passes_untouched() -> None:
    line = Line()
    far = signals.speechlike(1)
    line.run(signals.silence(1), far)
    assert b"".join(line.handset) == signals.pcm(far)


def test_a_tone_begins_with_the_next_frame_and_replaces_the_far_voice() -> None:
    line = Line()
    line.run(signals.silence(0.1), signals.sine(1000, 0.1, -20))
    line.voice.play_tone("busy")
    line.run(signals.silence(0.4), signals.sine(1000, 0.4, -20))
    [(hertz, dbm0)] = signals.peaks(line.heard()[880:3600], 1)
    assert hertz == pytest.approx(440, abs=1)
    assert dbm0 == pytest.approx(-10, abs=0.3)
    # The far voice is gone, its last trace in the 3 ms of the cross-fade.
    frequencies, power = signals.spectrum(line.heard()[880:3600])
    assert power[np.argmin(abs(frequencies - 1000))] < -60


@pytest.mark.parametrize("name", [name for name in country.TONE_NAMES if name != "call-waiting"])
def test_a_tone_s_cadence_goes_on_for_ever(name: str) -> None:
    line = Line()
    line.voice.play_tone(name)
    line.run(signals.silence(13))
    rendered = tones.render(FRANCE, name)
    wanted = (rendered.once + rendered.loop * (1 + 13 * 16000 // len(rendered.loop)))[: 13 * 16000]
    ours = b"".join(line.handset)
    # Only the very first frame differs: it is faded in from what was before.
    assert ours[160:] == wanted[160:]


@pytest.mark.parametrize("code", country.codes())
def test_nothing_clicks_when_tones_start_change_and_stop(code: str) -> None:
    line = Line(country.load(code))
    names = ["dial", "busy", "dial", "sit", "ringback"]
    for name in names:
        line.voice.play_tone(name)
        line.run(signals.silence(0.133 + 0.01))
        line.voice.play_nothing()
        line.run(signals.silence(0.05))
        line.voice.play_tone(name)
        line.run(signals.silence(0.07))
    # The steepest sine (1800 Hz at the loudest level) moves by 2 pi f / rate of its peak; a click more.
    loudest = max(segment_peak(code, name) for name in names)
    assert np.max(np.abs(np.diff(line.heard()))) < loudest


def segment_peak(code: str, name: str) -> float:
    """The steepest step of the tone itself, with a tenth for the ramps."""
    spec = country.load(code).tones[name]
    return max(
        1.1 * sum(2 * np.pi * part.hz / signals.RATE * signals.peak(part.dbm0) for part in segment.components)
        for segment in (*spec.once_segments(), *spec.loop_segments())
    )


def test_a_tone_cut_in_by_a_voice_fades_over_three_milliseconds() -> None:
    line = Line()
    line.voice.play_tone("dial")
    line.run(signals.silence(0.105))
    line.voice.play_nothing()
    line.run(signals.silence(0.05))
    after = line.heard()[880:]
    assert np.max(np.abs(after[:10])) > 500
    assert not after[24:].any()


def test_speech_plays_once_then_the_tone_and_its_end_is_told_once() -> None:
    line = Line()
    words = signals.sine(800, 0.234, -15)
    line.voice.play_samples(signals.pcm(words), then_tone="busy")
    line.run(signals.silence(1.0))
    assert line.ends == [23]
    assert signals.peaks(line.heard()[200:1700], 1)[0][0] == pytest.approx(800, abs=1)
    assert signals.peaks(line.heard()[2000:5000], 1)[0][0] == pytest.approx(440, abs=1)


def test_speech_alone_gives_way_to_the_far_voice() -> None:
    line = Line()
    line.voice.play_samples(signals.pcm(signals.sine(800, 0.1, -15)))
    line.run(signals.silence(0.3), signals.sine(1200, 0.3, -15))
    assert line.ends == [9]
    assert signals.peaks(line.heard()[1000:], 1)[0][0] == pytest.approx(1200, abs=1)


def test_speech_that_is_cut_short_is_not_told_as_ended() -> None:
    line = Line()
    line.voice.play_samples(signals.pcm(signals.sine(800, 0.1, -15)))
    line.run(signals.silence(0.09))
    line.voice.play_tone("dial")
    line.run(signals.silence(0.3))
    assert line.ends == []


def test_empty_speech_ends_at_once() -> None:
    line = Line()
    line.voice.play_samples(b"")
    line.run(signals.silence(0.02))
    assert line.ends == [0]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        Line().voice.play_samples(b"abc")


def test_an_unknown_tone_is_refused_where_it_is_asked() -> None:
    with pytest.raises(ValueError, match="'fanfare' is not known"):
        Line().voice.play_tone("fanfare")


def test_call_waiting_is_heard_over_the_far_voice() -> None:
    line = Line()
    far = signals.sine(1000, 1.0, -20)
    line.voice.play_tone("call-waiting")
    line.run(signals.silence(1.0), far)
    during, after = line.heard()[200:2200], line.heard()[2600:]
    assert signals.peaks(during, 1)[0][0] == pytest.approx(440, abs=1)
    assert np.array_equal(after, np.round(far[2600:]))
    # No edge where the two meet: neither is steeper than its own sine.
    assert np.max(np.abs(np.diff(line.heard()))) < 2 * signals.peak(-13)


# --- both directions cut --------------------------------------------------------------------


def test_an_interruption_cuts_both_directions_waits_and_is_told_once() -> None:
    line = Line(cancel_echo=False)
    line.run(signals.sine(600, 0.1, -20), signals.sine(1000, 0.1, -20))
    line.voice.interrupt(signals.pcm(signals.sine(2500, 0.2, -15)), 160)
    line.run(signals.sine(600, 1.0, -20), signals.sine(1000, 1.0, -20))
    # 200 ms of samples, 160 of waiting and 40 for the way there and back.
    assert line.ends == [10 + 20 + 16 + 4]
    assert signals.peaks(line.heard()[960:2320], 1)[0][0] == pytest.approx(2500, abs=2)
    assert not line.heard()[2480:3980].any()
    assert signals.level(line.heard()[4100:]) == pytest.approx(-20, abs=0.3)
    assert not line.sent()[1000:4080].any()
    assert signals.level(line.sent()[4600:]) == pytest.approx(-20, abs=0.3)


def test_without_a_wait_the_voice_is_back_with_the_next_frame() -> None:
    line = Line()
    line.voice.interrupt(signals.pcm(signals.sine(2500, 0.1, -15)), 0)
    line.run(signals.silence(0.3), signals.sine(1000, 0.3, -20))
    assert line.ends == [10]
    assert signals.level(line.heard()[840:]) == pytest.approx(-20, abs=0.3)


def test_a_digit_that_begins_as_the_wait_ends_is_heard_out() -> None:
    line = Line()
    line.voice.interrupt(b"", 100)
    near = signals.silence(1.0)
    near[1040:1520] = signals.digit("D", 60)  # the wait is over at 1120
    line.run(near, signals.sine(1000, 1.0, -20))
    assert line.digits == ["D"]
    # Heard in time: whoever waited for it has half a second to go on, in silence.
    [end] = line.ends
    assert 60 <= end <= 80
    assert not line.heard()[160 : 80 * end].any()
    assert not line.sent()[160 : 80 * end].any()


def test_an_interruption_that_is_replaced_is_not_told_as_ended() -> None:
    line = Line()
    line.voice.interrupt(signals.pcm(signals.sine(2500, 0.2, -15)), 160)
    line.run(signals.silence(0.1), signals.sine(1000, 0.1, -20))
    line.voice.play_nothing()
    line.run(signals.silence(0.5), signals.sine(1000, 0.5, -20))
    assert line.ends == []
    assert signals.level(line.heard()[960:]) == pytest.approx(-20, abs=0.3)


def test_half_a_sample_is_no_interruption() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        Line().voice.interrupt(b"abc", 0)


# --- digits ---------------------------------------------------------------------------------


def test_digits_are_told_in_order() -> None:
    line = Line()
    line.run(signals.dialled("0142685300", 60, 60))
    assert "".join(line.digits) == "0142685300"


def test_digits_are_not_told_unless_wanted() -> None:
    line = Line()
    line.voice.listen(on=False)
    line.run(signals.dialled("12", 60, 60))
    line.voice.listen(on=True)
    line.run(signals.dialled("34", 60, 60))
    assert line.digits == ["3", "4"]


@pytest.mark.parametrize("echo_db", [3, 8, 14])
@pytest.mark.parametrize(("code", "name"), [("FR", "dial"), ("FR", "special-dial"), ("DE", "dial"), ("CH", "dial")])
def test_digits_are_heard_over_the_line_s_own_dial_tone(code: str, name: str, echo_db: float) -> None:
    line = Line(country.load(code), echo_db=echo_db)
    line.voice.play_tone(name)
    line.run(np.concatenate([signals.silence(0.5), signals.dialled(signals.KEYS, 60, 60)]))
    assert "".join(line.digits) == signals.KEYS


@pytest.mark.parametrize("press_ms", [50, 120, 400, 1000])
@pytest.mark.parametrize("code", ["FR", "DE"])
def test_stopping_the_dial_tone_at_the_first_digit_does_not_split_it(code: str, press_ms: float) -> None:
    line = Line(country.load(code), echo_db=8)
    line.stop_tone_at_first_digit = True
    line.voice.play_tone("dial")
    line.run(np.concatenate([signals.silence(0.4), signals.dialled("3699", press_ms, 80)]))
    assert "".join(line.digits) == "3699"


def test_a_digit_is_muted_in_band_within_20_ms() -> None:
    line = Line()
    onset = 4037
    near = signals.noise(1.2, -45)
    near[onset : onset + 800] += signals.digit("5", 100)
    line.run(near)
    leak = signals.bursts(line.sent(), -25)
    assert len(leak) <= 1
    # 20 ms, and the 3 ms over which it fades.
    assert all(length <= 24 for _, length in leak)
    assert line.digits == ["5"]


def test_speech_after_a_digit_is_back_within_40_ms() -> None:
    line = Line()
    near = np.concatenate([signals.digit("5", 100), signals.sine(1000, 0.3, -20)])
    line.run(near)
    late = line.sent()[800 + 320 :]
    assert signals.level(late) == pytest.approx(-20, abs=1)


def test_what_leaks_of_a_digit_is_no_digit_to_the_far_end() -> None:
    line, far = Line(), Line()
    line.run(signals.dialled(signals.KEYS * 3, 80, 83.3))
    far.run(line.sent())
    assert "".join(line.digits) == signals.KEYS * 3
    assert far.digits == []


def test_muting_can_be_left_out() -> None:
    line = Line()
    line.voice.mute_digits = False
    line.run(signals.dialled("5", 100, 50))
    assert signals.level(line.sent()[:800]) > -12
    assert line.digits == ["5"]


@pytest.mark.parametrize("cancel_echo", [True, False])
@pytest.mark.parametrize("on_ms", [40, 61, 100])
def test_the_far_end_s_digits_coming_back_as_echo_are_not_ours(on_ms: float, cancel_echo: bool) -> None:  # noqa: FBT001
    line = Line(echo_db=8, cancel_echo=cancel_echo)
    theirs = np.concatenate([np.zeros(33), signals.dialled("0123456789*#" * 3, on_ms, 53.7)])
    line.run(np.zeros(len(theirs)), theirs)
    assert line.digits == []


def test_our_digits_count_while_the_far_end_sends_others() -> None:
    line = Line(echo_db=14)
    line.run(signals.dialled("147*" * 3, 80, 80), signals.dialled("369#" * 3, 80, 80) * 0.1)
    assert "".join(line.digits) == "147*" * 3


# --- echo and DC ----------------------------------------------------------------------------


def test_the_far_end_does_not_hear_itself() -> None:
    line = Line(echo_db=10)
    far = signals.speechlike(5)
    line.run(signals.silence(5), far)
    assert signals.level(line.sent()[3 * 8000 :]) < signals.level(far[3 * 8000 :]) - 10 - 18


def test_without_canceller_the_echo_comes_back() -> None:
    line = Line(echo_db=10, cancel_echo=False)
    far = signals.speechlike(2)
    line.run(signals.silence(2), far)
    assert signals.level(line.sent()) == pytest.approx(signals.level(far) - 10, abs=0.5)


@pytest.mark.parametrize("cancel_echo", [True, False])
def test_direct_current_does_not_reach_the_far_end(cancel_echo: bool) -> None:  # noqa: FBT001
    line = Line(cancel_echo=cancel_echo)
    line.run(signals.sine(1000, 3, -20) + 400)
    assert abs(np.mean(line.sent()[2 * 8000 :])) < 10


def test_reset_stops_tones_and_forgets_digits() -> None:
    line = Line()
    line.voice.play_tone("dial")
    line.run(signals.digit("5", 20))
    line.voice.reset()
    line.run(signals.silence(0.1))
    assert not line.heard()[320:].any()
    assert line.digits == []


def test_a_late_sound_device_is_compensated() -> None:
    voice = LineVoice(FRANCE, on_digit=lambda _: None, on_speech_end=lambda: None, reference_delay_frames=5)
    far = list(signals.frames(signals.pcm(signals.speechlike(5))))
    played: list[bytes] = [SILENCE] * 6
    left = []
    for frame in far:
        echo = signals.samples(played[-6]) * 0.3
        left.append(voice.from_line(signals.pcm(echo)))
        played.append(voice.to_line(frame))
    tail = signals.samples(b"".join(left))[3 * 8000 :]
    whole = signals.samples(b"".join(far))[3 * 8000 :] * 0.3
    assert signals.level(tail) < signals.level(whole) - 18


def test_a_digit_without_a_tone_of_its_own_is_sounded_for_the_far_end_only() -> None:
    """A dial's: mixed with the voice, ramped, and not taken for a key of the handset."""
    line, far = Line(), Line()
    said = signals.sine(700, 1.2, -25)
    line.run(said[:800])
    for digit in "58":
        line.voice.sound_digit(digit)
    line.run(said[800:])
    far.run(line.sent())
    assert "".join(far.digits) == "58"
    assert line.digits == []
    assert signals.level(line.heard()) < -60
    assert signals.level(line.sent()[-1600:]) == pytest.approx(-25, abs=1), "the voice goes on"
    spans = measure(signals.pcm(line.sent()))
    assert [(round(s.ms, -1), round(s.low_dbm0), round(s.high_dbm0)) for s in spans] == [(100, -8, -6)] * 2


def test_more_digits_than_a_hand_can_dial_do_not_pile_up_and_a_new_call_begins_without_them() -> None:
    line = Line()
    for _ in range(1000):
        line.voice.sound_digit("1")
    line.voice.reset()
    line.run(np.zeros(1600))
    assert signals.level(line.sent()) < -60
    with pytest.raises(ValueError, match="is no key"):
        line.voice.sound_digit("x")
