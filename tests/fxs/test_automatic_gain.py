"""The gentle automatic gain: soft voices up, loud ones down, slowly; nothing in silence, nothing for a fax."""

from __future__ import annotations

import numpy as np
import pytest

from firmware import config
from firmware.fxs import country
from firmware.fxs.automatic_gain import RANGE_DB, AutomaticGain
from firmware.fxs.voice import LineVoice
from tests.fakes import signals

SPEECH_DBM0 = -20.0
"""-26 dBov, where the gain wants a voice: a full-scale sine is +3.14 dBm0 and -3 dBov."""


def evened(gain: AutomaticGain, sound: signals.Samples, *, learn: bool = True) -> tuple[signals.Samples, list[float]]:
    """What came of it, and the gain after each frame in dB."""
    out, course = [], []
    for frame in signals.frames(signals.pcm(sound)):
        out.append(gain.apply(frame, learn=learn))
        course.append(gain.db)
    return signals.samples(b"".join(out)), course


def talk(seconds: float, dbm0: float, noise_dbm0: float = -70.0) -> signals.Samples:
    """Words of half a second with a third of a second between them, on a line that is never quite silent."""
    voice = signals.speechlike(seconds, dbm0)
    spoken = (np.arange(len(voice)) / signals.RATE % 0.833) < 0.5
    return np.asarray(voice * spoken + signals.noise(seconds, noise_dbm0))


@pytest.mark.parametrize("off_db", [-6.0, 6.0])
def test_a_voice_too_soft_or_too_loud_comes_nearer_to_what_networks_expect(off_db: float) -> None:
    gain = AutomaticGain()
    _, course = evened(gain, talk(15, SPEECH_DBM0 + off_db))
    plain, _ = evened(AutomaticGain(), talk(15, SPEECH_DBM0))
    said = signals.level(plain[-4 * signals.RATE :])
    out, _ = evened(gain, talk(4, SPEECH_DBM0 + off_db))
    assert signals.level(out) == pytest.approx(said, abs=2.5)
    assert np.sign(course[-1]) == -np.sign(off_db)
    assert max(map(abs, course)) <= RANGE_DB


def test_a_voice_at_the_right_level_is_left_alone() -> None:
    _, course = evened(AutomaticGain(), talk(10, SPEECH_DBM0))
    assert max(map(abs, course)) < 2.5


def test_it_moves_by_no_more_than_two_decibels_a_second_and_only_while_a_voice_is_heard() -> None:
    sound = talk(10, SPEECH_DBM0 - 12)
    _, course = evened(AutomaticGain(), sound)
    steps = np.abs(np.diff(course))
    assert max(steps) <= 2.0 / 100 + 1e-6
    levels = np.mean(sound[: len(sound) // 80 * 80].reshape(-1, 80) ** 2, axis=1)
    pauses = levels[1:] < np.mean(signals.noise(1, -70) ** 2) * 4
    assert pauses.sum() > 200
    assert not steps[pauses].any(), "between words nothing pumps"


@pytest.mark.parametrize("noise_dbm0", [-65.0, -55.0, -45.0])
def test_noise_alone_is_never_made_louder(noise_dbm0: float) -> None:
    gain = AutomaticGain()
    noise = signals.noise(20, noise_dbm0)
    out, course = evened(gain, noise)
    assert set(course) == {0.0}
    assert np.array_equal(out, np.round(noise))


def test_a_soft_voice_on_a_noisy_line_is_not_raised_with_its_noise() -> None:
    _, quiet = evened(AutomaticGain(), talk(15, SPEECH_DBM0 - 12, -75))
    _, noisy = evened(AutomaticGain(), talk(15, SPEECH_DBM0 - 12, -50))
    assert quiet[-1] > 6
    assert noisy[-1] < 1


def test_what_would_clip_is_turned_down_in_its_own_frame() -> None:
    gain = AutomaticGain()
    evened(gain, talk(15, SPEECH_DBM0 - 12))
    assert gain.db > 6
    out, course = evened(gain, signals.sine(400, 0.1, 2))
    assert np.max(np.abs(out)) <= 29_100
    assert course[0] < 1


def test_while_the_far_end_talks_nothing_is_learnt() -> None:
    _, course = evened(AutomaticGain(), talk(5, SPEECH_DBM0 - 12), learn=False)
    assert set(course) == {0.0}


def test_another_call_begins_at_nought() -> None:
    gain = AutomaticGain()
    evened(gain, talk(10, SPEECH_DBM0 - 12))
    gain.reset()
    assert gain.db == 0
    frame = signals.pcm(signals.sine(400, 0.01, -30))
    assert gain.apply(frame, learn=True) == frame


# --- in the voice engine ---------------------------------------------------------------------


def line(*, cancel_echo: bool = True, automatic_gain: bool = True) -> LineVoice:
    return LineVoice(
        country.load("FR"),
        on_digit=lambda _: None,
        on_speech_end=lambda: None,
        cancel_echo=cancel_echo,
        automatic_gain=automatic_gain,
    )


def far_end_hears(voice: LineVoice, near: signals.Samples, far: signals.Samples) -> signals.Samples:
    out = []
    for said, heard in zip(signals.frames(signals.pcm(near)), signals.frames(signals.pcm(far)), strict=True):
        voice.to_line(heard)
        out.append(voice.from_line(said))
    return signals.samples(b"".join(out))


def test_a_soft_voice_is_raised_only_where_that_was_wished_for() -> None:
    near, far = talk(15, SPEECH_DBM0 - 12), signals.silence(15)
    last = slice(-2 * signals.RATE, None)
    plain = signals.level(far_end_hears(line(automatic_gain=False), near, far)[last])
    assert signals.level(far_end_hears(line(), near, far)[last]) > plain + 5
    # Without the canceller nobody knows a fax machine when it is heard.
    bare = signals.level(far_end_hears(line(cancel_echo=False), near, far)[last])
    assert bare == pytest.approx(plain, abs=0.3)


def test_a_fax_machine_gets_the_bare_line() -> None:
    voice = line()
    cng = signals.sine(1100, 3, -35)
    far_end_hears(voice, np.concatenate([talk(8, SPEECH_DBM0 - 12), cng]), signals.silence(11))
    data = signals.noise(1, -35)
    assert signals.level(far_end_hears(voice, data, signals.silence(1))) == pytest.approx(-35, abs=0.3)


def test_the_echo_of_the_far_end_is_no_soft_voice() -> None:
    voice = line()
    far = signals.speechlike(8, -15)
    echo = np.convolve(far, signals.hybrid(8, 16))[: len(far)] + signals.noise(8, -70)
    far_end_hears(voice, echo, far)
    assert voice._evener is not None
    assert voice._evener.db == 0


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("line.echo_tail_ms", "3", "wanted 4 to 256"),
        ("line.2.echo_tail_ms", "257", "wanted 4 to 256"),
        ("line.echo_tail_ms", "long", "echo_tail_ms"),
        ("line.automatic_gain", "perhaps", "automatic_gain"),
        ("line.echo_suppression", "2", "echo_suppression"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(key: str, value: str, told: str) -> None:
    with pytest.raises(config.ConfigError, match=told):
        config.with_setting(config.Settings(), key, value)


def test_each_line_may_have_its_own_echo_and_gain() -> None:
    settings = config.Settings()
    for key, value in (("2.echo_tail_ms", "128"), ("2.echo_suppression", "true"), ("automatic_gain", "yes")):
        settings = config.with_setting(settings, f"line.{key}", value)
    one, two = settings.line.of(1), settings.line.of(2)
    assert (one.echo_tail_ms, one.echo_suppression, one.automatic_gain) == (32, False, True)
    assert (two.echo_tail_ms, two.echo_suppression, two.automatic_gain) == (128, True, True)
