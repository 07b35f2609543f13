"""A beep and a word laid over a conversation: no click at either end, and nothing of it at the far end.

Clicks are sought as the greatest step from one sample to the next: in a sine of amplitude A at f Hz that is
2 pi f A / 8000, and a sum of sines has no greater one than the sum of theirs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from firmware.fxs import country
from firmware.fxs.overlay import DUCK_DB
from tests.fakes import signals
from tests.fxs.test_voice import Line

FAR_DBM0, BEEP_DBM0, NEAR_DBM0 = -18.0, -14.0, -20.0


def step(hertz: float, dbm0: float) -> float:
    """The greatest step of that sine."""
    return signals.peak(dbm0) * 2 * math.pi * hertz / 8000


def greatest_step(samples: signals.Samples) -> float:
    return float(np.abs(np.diff(samples.astype(float))).max())


def run(line: Line, seconds: float, far_hz: float = 500) -> None:
    """Time goes on in a far voice that is one steady sine, never beginning anew."""
    count, start = round(8000 * seconds), 80 * len(line.handset)
    far = signals.peak(FAR_DBM0) * np.sin(2 * np.pi * far_hz * np.arange(start, start + count) / 8000)
    line.run(np.zeros(count), far)


# With half again of room: a ramp of 3 ms adds to the slope of what it ramps.
ROOM = 1.5


def test_a_beep_is_heard_over_the_far_voice_which_is_lowered_and_comes_back() -> None:
    line = Line()
    run(line, 0.5)
    line.voice.mix(signals.pcm(signals.sine(1000, 0.4, BEEP_DBM0)))
    run(line, 1.0)
    heard = line.heard()
    during = {round(hertz): dbm0 for hertz, dbm0 in signals.peaks(heard[4400:6800], 2)}
    assert during[1000] == pytest.approx(BEEP_DBM0, abs=0.5)
    assert during[500] == pytest.approx(FAR_DBM0 - DUCK_DB, abs=0.5)
    [(hertz, dbm0)] = signals.peaks(heard[8000:11200], 1)
    assert hertz == pytest.approx(500, abs=1)
    assert dbm0 == pytest.approx(FAR_DBM0, abs=0.2)


@pytest.mark.parametrize("cut_after", [0.01, 0.05, 0.173, 0.39, None])
def test_nothing_clicks_when_a_warning_begins_ends_is_stopped_or_replaced(cut_after: float | None) -> None:
    for instead in (b"", signals.pcm(signals.sine(700, 0.3, BEEP_DBM0))):
        line = Line()
        run(line, 0.3)
        # A sample that begins and ends at its peak: unramped it would be a step of 4,600.
        beep = signals.peak(BEEP_DBM0) * np.cos(2 * np.pi * 1000 * np.arange(3201) / 8000)
        line.voice.mix(signals.pcm(beep))
        run(line, 0.6 if cut_after is None else cut_after)
        line.voice.mix(instead)
        run(line, 0.6)
        allowed = ROOM * (step(500, FAR_DBM0) + step(1000, BEEP_DBM0))
        assert greatest_step(line.heard()) <= allowed


@pytest.mark.parametrize("code", ["FR", "DE", "UK", "US"])
@pytest.mark.parametrize("after", [0.005, 0.1, 0.2345, None])
def test_nothing_clicks_when_a_sentence_begins_is_skipped_or_replaced(code: str, after: float | None) -> None:
    for then in ("nothing", "ringback"):
        line = Line(of=country.load(code))
        run(line, 0.2)
        speech = signals.peak(BEEP_DBM0) * np.cos(2 * np.pi * 900 * np.arange(4003) / 8000)
        line.voice.play_samples(signals.pcm(speech))
        run(line, 0.8 if after is None else after)
        if then == "nothing":
            line.voice.play_nothing()
        else:
            line.voice.play_tone(then)
        run(line, 0.5)
        tone = max(
            sum(step(part.hz, part.dbm0) for part in segment.components)
            for segment in line.of.tones["ringback"].loop_segments()
        )
        assert greatest_step(line.heard()) <= ROOM * (max(step(900, BEEP_DBM0), tone) + step(500, FAR_DBM0))


@pytest.mark.parametrize("echo_db", [6, 12, 20])
def test_the_far_end_hears_nothing_of_a_warning_whatever_the_hybrid_sends_back(echo_db: float) -> None:
    sent = []
    for warning in (signals.sine(1000, 0.5, BEEP_DBM0), signals.silence(0.5)):
        line = Line(echo_db=echo_db)
        run(line, 1.0)
        line.voice.mix(signals.pcm(warning))
        run(line, 1.0)
        sent.append(line.sent())
    before, during = sent[0][:8000], (sent[0] - sent[1])[8000:]  # less what comes back of the far tone, which fades
    assert before.any()
    pieces = during[: len(during) // 160 * 160].reshape(-1, 160)
    beep = np.abs(pieces @ np.exp(-2j * np.pi * 1000 * np.arange(160) / 8000)) / 80
    # Its first milliseconds come back while the mouth is faded out.
    assert beep.max() < signals.peak(BEEP_DBM0 - 45)


def test_the_handset_is_heard_again_right_after_a_warning() -> None:
    line = Line()
    line.voice.mix(signals.pcm(signals.sine(1000, 0.3, BEEP_DBM0)))
    near = signals.sine(600, 1.0, NEAR_DBM0)
    line.run(near, np.zeros(8000))
    sent = line.sent()
    assert not sent[160:2400].any()
    assert signals.level(sent[3200:]) == pytest.approx(NEAR_DBM0, abs=1)
    assert greatest_step(sent[160:]) <= ROOM * step(600, NEAR_DBM0)


def test_a_call_waiting_message_is_not_mixed_with_and_the_rest_of_the_warning_follows_it() -> None:
    line = Line()
    line.voice.mix(signals.pcm(signals.sine(1000, 0.5, BEEP_DBM0)))
    run(line, 0.2)
    message = signals.pcm(signals.sine(1700, 0.3, -14))
    line.voice.interrupt(message, 0)
    run(line, 0.3)
    exact = signals.pcm(line.heard()[1600:4000])
    assert exact[48:] == message[48:], "behind the cross-fade of 3 ms the message is what it is"
    run(line, 0.3)
    assert 1000 in {round(hertz) for hertz, _ in signals.peaks(line.heard()[4200:5800], 2)}


def test_a_warning_over_a_tone_lowers_the_tone() -> None:
    line = Line()
    line.voice.play_tone("ringback")
    run(line, 0.3)
    line.voice.mix(signals.pcm(signals.sine(1000, 0.3, BEEP_DBM0)))
    run(line, 0.5)
    assert max(signals.peaks(line.heard()[2800:4400], 2), key=lambda peak: peak[1])[0] == pytest.approx(1000, abs=5)


def test_reset_ends_a_warning_and_half_a_sample_is_refused() -> None:
    line = Line()
    line.voice.mix(signals.pcm(signals.sine(1000, 1.0, BEEP_DBM0)))
    line.run(signals.silence(0.1))
    line.voice.reset()
    line.run(signals.silence(0.3))
    assert not line.heard()[900:].any()
    with pytest.raises(ValueError, match="whole"):
        line.voice.mix(b"abc")


@pytest.mark.parametrize("samples", [1, 2, 79, 80, 81])
def test_the_shortest_warnings_pass_without_harm(samples: int) -> None:
    line = Line()
    line.voice.mix(signals.pcm(signals.sine(1000, 1.0, BEEP_DBM0)[:samples]))
    run(line, 0.1)
    assert greatest_step(line.heard()) <= ROOM * (step(500, FAR_DBM0) + step(1000, BEEP_DBM0))


def test_a_fax_is_not_beeped_into() -> None:
    line = Line()
    run(line, 0.1)
    line.voice.fax = "CED"
    line.voice.mix(signals.pcm(signals.sine(1000, 0.3, BEEP_DBM0)))
    run(line, 0.5)
    assert [round(hertz) for hertz, _ in signals.peaks(line.heard()[1600:4000], 1)] == [500]
    assert line.sent().shape == (4800,)
