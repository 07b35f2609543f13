"""Two filters, one held: single talk, double talk, another hybrid; what is left suppressed; the bare line for modems.

Both voices are espeak-ng's, at -26 dBov; the bench's row "echo" has more hybrids, recorded voices and longer calls.
"""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest
from pesq import pesq

from firmware.fxs import country
from firmware.fxs.dsp.connecttones import ModemTones
from firmware.fxs.dsp.fir import FilterHistory, Taps
from firmware.fxs.dsp.speexdsp import SpeexEcho
from firmware.fxs.echo import EchoCanceller
from firmware.fxs.echo_paths import Path, PathChooser, Trial
from firmware.fxs.echo_residual import ResidualSuppressor
from firmware.fxs.steady import SteadyTone
from firmware.fxs.voice import LineVoice
from tests.bench.echo_figures import Cancel, Hybrid, enhancement, far_voice, library, through
from tests.fakes import signals

needs_voice = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng speaks")

NEAR_FROM = 5 * signals.RATE
SHORT_LOUD, LONG, FAINT = Hybrid(6, 2), Hybrid(10, 20), Hybrid(20, 20)


@pytest.fixture(scope="module")
def far() -> signals.Samples:
    return far_voice(9)


@pytest.fixture(scope="module")
def near() -> signals.Samples:
    return far_voice(4, seed=2, voice="en-gb")


def said(out: signals.Samples, near: signals.Samples) -> float:
    return float(pesq(signals.RATE, near.astype(np.int16), out[NEAR_FROM:].astype(np.int16), "nb"))


@needs_voice
@pytest.mark.parametrize("hybrid", [SHORT_LOUD, LONG, FAINT], ids=["6 dB, 2 ms", "10 dB, 20 ms", "20 dB, 20 ms"])
def test_the_filters_alone_take_12_db_off_at_one_second_and_25_at_five(hybrid: Hybrid, far: signals.Samples) -> None:
    line = hybrid.echo(far)
    out = through(EchoCanceller().cancel, line, far)
    assert enhancement(line, out, 1) >= 12
    assert enhancement(line, out, 5) >= 25


@needs_voice
def test_with_suppression_40_db_are_off_in_single_talk(far: signals.Samples) -> None:
    line = SHORT_LOUD.echo(far)
    out = through(EchoCanceller(suppress=True).cancel, line, far)
    assert enhancement(line, out, 5) >= 40


@needs_voice
@pytest.mark.parametrize("hybrid", [SHORT_LOUD, LONG], ids=["6 dB, 2 ms", "10 dB, 20 ms"])
def test_in_double_talk_the_near_voice_is_better_than_off_and_than_the_library_alone(
    hybrid: Hybrid, far: signals.Samples, near: signals.Samples
) -> None:
    line = hybrid.echo(far)
    line[NEAR_FROM:] += near
    ways: dict[str, Cancel] = {"held": EchoCanceller().cancel, "alone": library()}
    heard = {name: said(through(way, line, far), near) for name, way in ways.items()}
    assert heard["held"] >= 3.6
    assert heard["held"] > heard["alone"]
    assert heard["held"] > said(line, near)


@needs_voice
@pytest.mark.parametrize("suppress", [False, True])
def test_both_talking_from_the_first_moment_is_no_worse_than_no_canceller(
    far: signals.Samples, near: signals.Samples, *, suppress: bool
) -> None:
    line = Hybrid(12, 8).echo(far)[: len(near)]
    out = through(EchoCanceller(suppress=suppress).cancel, line + near, far[: len(near)])
    reference = near.astype(np.int16)
    off = pesq(signals.RATE, reference, (line + near).astype(np.int16), "nb")
    assert pesq(signals.RATE, reference, out.astype(np.int16), "nb") >= off


@needs_voice
def test_a_faint_echo_beside_a_near_voice_that_always_talked_is_rather_left_in(
    far: signals.Samples, near: signals.Samples
) -> None:
    line = Hybrid(30, 8).echo(far)[: len(near)]
    reference = near.astype(np.int16)
    heard = {
        name: pesq(signals.RATE, reference, out.astype(np.int16), "nb")
        for name, out in (
            ("house", through(EchoCanceller().cancel, line + near, far[: len(near)])),
            ("off", line + near),
        )
    }
    assert heard["house"] >= heard["off"] - 0.05


@needs_voice
def test_a_filter_that_rehearses_is_ahead_of_the_library_s_own_until_it_is_good_and_then_does_so_no_more(
    far: signals.Samples,
) -> None:
    line = FAINT.echo(far)
    canceller = EchoCanceller()
    out, alone = through(canceller.cancel, line, far), through(library(), line, far)
    assert enhancement(line, out, 1) > enhancement(line, alone, 1) + 3
    assert canceller._rehearsals > 0, "it was good before the three seconds were over"
    assert not canceller._chooser.learns_well


@needs_voice
@pytest.mark.parametrize(("seconds", "hurried"), [(0.002, False), (0.004, True)])
def test_a_machine_that_has_no_time_rehearses_ten_times_and_no_more(
    far: signals.Samples, seconds: float, *, hurried: bool
) -> None:
    line = LONG.echo(far)
    canceller = EchoCanceller(clock=itertools.count(0.0, seconds).__next__)
    begun = 0
    for near, other in zip(signals.frames(signals.pcm(line)), signals.frames(signals.pcm(far)), strict=True):
        before = canceller._rehearsals
        canceller.cancel(near, other)
        begun += canceller._rehearsals < before
    assert begun == 10 if hurried else begun > 30


@needs_voice
def test_another_hybrid_in_mid_call_is_learnt_too(far: signals.Samples) -> None:
    before, after = SHORT_LOUD.echo(far), Hybrid(10, 8, seed=11).echo(far)
    line = np.concatenate([before[: 4 * signals.RATE], after[4 * signals.RATE :]])
    out = through(EchoCanceller().cancel, line, far)
    assert enhancement(line, out, 8) >= 20


class Fickle(PathChooser):
    """Changes its mind between the two that differ most, every five frames."""

    __slots__ = ("turns",)

    def trusts(self, plain: float, adapting: float) -> bool:
        super().trusts(plain, adapting)
        return False

    def choose(self, plain: float, adapting: float, held: float) -> Path:
        super().choose(plain, adapting, held)
        self.turns = getattr(self, "turns", 0) + 1
        return Path.ADAPTING if self.turns // 5 % 2 else Path.PLAIN


class Deaf(SteadyTone):
    """Takes no tone for one."""

    def feed(self, pcm: bytes) -> bool:
        return bool(pcm) and False


def test_no_click_where_the_filters_change_places() -> None:
    canceller = EchoCanceller()
    voice = signals.speechlike(3)
    through(canceller.cancel, SHORT_LOUD.echo(voice), voice)
    canceller._chooser = Fickle()
    canceller._steady = Deaf()
    tone = signals.sine(300, 1, -10)
    line = SHORT_LOUD.echo(tone)
    out = through(canceller.cancel, line, tone)
    # It did change: the tone comes and goes. The steepest of it is a sine's own slope, and the ramp's.
    assert signals.level(out[960:1040]) > signals.level(out[1360:1440]) + 10
    assert np.max(np.abs(np.diff(out[800:]))) < 1.15 * np.max(np.abs(np.diff(line[800:])))


def test_the_held_copy_is_what_the_library_learnt() -> None:
    voice = signals.speechlike(3)
    line = np.convolve(voice, signals.hybrid(10, 20))[: len(voice)]
    echo, notch = SpeexEcho(80, 256), SpeexEcho(80, 80)
    history = FilterHistory(80, echo.tail_samples)
    left = plain = 0.0
    frames = zip(signals.frames(signals.pcm(line)), signals.frames(signals.pcm(voice)), strict=True)
    for count, (one, other) in enumerate(frames):
        echo.cancel(one, other)
        through_notch = signals.samples(notch.cancel(one, bytes(160)))
        history.push(other)
        if count == 200:
            taps = Taps(echo.response())
        if count > 200:
            left += float(np.sum((through_notch - history.filtered(taps)) ** 2))
            plain += float(np.sum(through_notch**2))
    assert signals.db(plain / left) > 25


def test_a_filter_of_another_length_or_half_a_frame_is_refused() -> None:
    history = FilterHistory(80, 320)
    with pytest.raises(ValueError, match="a response of 5 samples, not 320"):
        history.filtered(Taps([0.0] * 5))
    with pytest.raises(ValueError, match="a filter's frame of 100 bytes, not 160"):
        history.push(bytes(100))


# --- the choice, of energies alone ----------------------------------------------------------


def settled() -> PathChooser:
    """Only the far end talked, and a copy was adopted that leaves a thousandth."""
    chooser = PathChooser()
    trials = []
    for _ in range(60):
        held = 1.0 if Trial.ADOPT in trials else 1000.0
        chooser.trusts(1000.0, 1.0)
        chooser.choose(1000.0, 1.0, held)
        trials.append(chooser.consider(held, 1.0))
    assert Trial.ADOPT in trials
    return chooser


def test_a_near_voice_holds_the_copy_however_little_the_other_filter_leaves_of_it() -> None:
    chooser = settled()
    assert chooser.proven
    seen = []
    for _ in range(100):
        assert not chooser.trusts(3000.0, 1500.0)
        chooser.choose(3000.0, 1500.0, 2000.0)  # the adapting filter eats a quarter of the near voice
        seen.append((chooser.path, chooser.consider(2000.0, 1500.0)))
    assert chooser.near_talks
    assert {path for path, _ in seen[10:]} == {Path.HELD}
    assert {trial for _, trial in seen} == {Trial.NONE}


def test_a_copy_under_trial_is_dropped_when_a_near_voice_comes_up() -> None:
    chooser = settled()
    while chooser.consider(10.0, 10.0) is not Trial.BEGIN:
        chooser.trusts(1000.0, 1.0)
        chooser.choose(1000.0, 1.0, 3.0)
    assert not chooser.trusts(3000.0, 2000.0)
    chooser.choose(3000.0, 2000.0, 2000.0)
    assert chooser.consider(2000.0, 1.0) is Trial.DROP


def test_a_clean_filter_is_trusted_in_three_frames_of_four() -> None:
    chooser = settled()
    trusted = []
    for _ in range(40):
        trusted.append(chooser.trusts(1000.0, 1.0))
        if not trusted[-1]:
            chooser.choose(1000.0, 1.0, 1.0)
            chooser.consider(1.0, 0.0)
    assert sum(trusted) == 30


@pytest.mark.parametrize(("left", "path"), [(950.0, Path.HELD), (600.0, Path.ADAPTING)])
def test_a_filter_unproven_is_heard_only_if_it_takes_off_what_counts(left: float, path: Path) -> None:
    chooser = PathChooser()
    for _ in range(20):
        chooser.trusts(1000.0, left)
        chooser.choose(1000.0, left, 1000.0)  # nothing is held yet: that is the line as it is
    assert chooser.path is path


def test_a_filter_that_went_after_a_near_voice_is_neither_heard_nor_copied_for_six_seconds() -> None:
    chooser = PathChooser()

    def frames(count: int, left: float) -> set[tuple[Path, Trial]]:
        seen = set()
        for _ in range(count):
            chooser.trusts(1000.0, left)
            seen.add((chooser.choose(1000.0, left, 1000.0), chooser.consider(1000.0, 1000.0)))
        return seen

    assert {path for path, _ in frames(20, 2000.0)} <= {Path.HELD, Path.PLAIN}, "it made it worse"
    caught = frames(580, 300.0)
    assert Path.ADAPTING not in {path for path, _ in caught}, "what it takes off is the voice that it caught"
    assert {trial for _, trial in caught} == {Trial.NONE}
    assert not chooser.learns_well
    assert Path.ADAPTING in {path for path, _ in frames(50, 300.0)}


@pytest.mark.parametrize(("left", "well"), [(100.0, True), (500.0, False)])
def test_to_learn_harder_is_for_a_filter_that_leaves_little_beside_no_near_voice(left: float, *, well: bool) -> None:
    chooser = PathChooser()
    assert not chooser.learns_well, "nothing is known yet"
    for _ in range(30):
        chooser.choose(1000.0, left, 1000.0)
    assert chooser.learns_well is well
    assert not settled().learns_well


def test_a_filter_that_makes_it_worse_is_not_heard() -> None:
    chooser = PathChooser()
    for _ in range(20):
        chooser.choose(1000.0, 5000.0, 4000.0)
    assert chooser.path is Path.PLAIN


def test_a_copy_that_is_no_better_is_not_adopted() -> None:
    chooser = PathChooser()
    trials = []
    for _ in range(60):
        chooser.choose(1000.0, 10.0, 1000.0)
        trials.append(chooser.consider(1000.0, 990.0))
    assert not chooser.proven
    assert Trial.DROP in trials
    assert Trial.ADOPT not in trials


# --- what is left, suppressed ---------------------------------------------------------------


def test_comfort_noise_is_as_loud_as_the_line_was() -> None:
    suppressor = ResidualSuppressor()
    frames = list(signals.frames(signals.pcm(signals.noise(3, -60))))
    for frame in frames[:200]:
        suppressor.pass_on(frame)
    line = 80 * signals.peak(-25) ** 2
    left = b"".join(suppressor.suppress(frame, line, near_talks=False) for frame in frames[200:])
    assert signals.level(signals.samples(left)[1600:]) == pytest.approx(-60, abs=2.5)


def test_a_near_voice_is_let_through_within_its_first_frame() -> None:
    suppressor = ResidualSuppressor()
    line = 80 * signals.peak(-25) ** 2
    quiet = signals.pcm(signals.noise(0.01, -50))
    for _ in range(50):
        suppressor.suppress(quiet, line, near_talks=False)
    assert suppressor.gain < 0.02
    voice = signals.pcm(signals.sine(400, 0.01, -20))
    suppressor.suppress(voice, line, near_talks=True)
    assert suppressor.gain == 1
    assert suppressor.suppress(voice, line, near_talks=True) == voice


def far_end_hears(
    voice: LineVoice, far: signals.Samples, response: signals.Samples, *, bent: float = 0.0
) -> signals.Samples:
    """The echo of `far` behind the voice engine, the line answering one frame late as in a box.

    `bent`: so much of a full-scale voice is distortion, which no linear filter takes out.
    """
    played = far - bent * far * np.abs(far) / 32768
    line = signals.frames(signals.pcm(np.convolve(played, response)[: len(far)]))
    sent = []
    for other, back in zip(signals.frames(signals.pcm(far)), line, strict=True):
        voice.to_line(other)
        sent.append(voice.from_line(back))
    return signals.samples(b"".join(sent))


@pytest.mark.parametrize(("tail_ms", "least_db", "most_db"), [(32, -3, 6), (80, 12, 99)])
def test_a_longer_tail_takes_out_what_comes_back_late(tail_ms: int, least_db: float, most_db: float) -> None:
    voice = LineVoice(
        country.load("FR"),
        on_digit=lambda _: None,
        on_speech_end=lambda: None,
        echo_tail_ms=tail_ms,
        suppress_echo=False,
    )
    far = signals.speechlike(6)
    response = signals.hybrid(12, 8 * 55)
    out = far_end_hears(voice, far, response)
    assert least_db <= enhancement(np.convolve(far, response)[: len(far)], out, 5) <= most_db


def test_the_voice_engine_suppresses_what_is_left_when_told_to() -> None:
    far, response = signals.speechlike(4), signals.hybrid(6, 8)
    left = {}
    for suppress in (False, True):
        voice = LineVoice(
            country.load("FR"), on_digit=lambda _: None, on_speech_end=lambda: None, suppress_echo=suppress
        )
        left[suppress] = signals.level(far_end_hears(voice, far, response, bent=0.3)[2 * signals.RATE :])
    assert left[True] < left[False] - 10


# --- fax machines and modems ----------------------------------------------------------------


def answer_tone(seconds: float, *, reversals: bool) -> signals.Samples:
    t = np.arange(round(seconds * signals.RATE)) / signals.RATE
    turned = np.floor(t / 0.45) % 2 if reversals else 0 * t
    return np.asarray(signals.peak(-12) * np.sin(2 * np.pi * 2100 * t + np.pi * turned))


@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize(
    ("name", "tone"), [("cng", signals.sine(1100, 0.6, -15)), ("ans-pr", answer_tone(3, reversals=True))]
)
def test_a_fax_machine_or_modem_on_either_side_gets_the_bare_line_until_the_next_call(
    side: str, name: str, tone: signals.Samples
) -> None:
    canceller = EchoCanceller()
    other = signals.noise(len(tone) / signals.RATE, -60)
    through(canceller.cancel, *((tone, other) if side == "near" else (other, tone)))
    assert canceller.modem == name
    assert canceller.bypassed
    data = signals.noise(1, -20)
    line = data + np.roll(data, 9) / 3
    assert np.array_equal(through(canceller.cancel, line, data), np.round(line))
    canceller.reset()
    assert not canceller.bypassed
    assert not canceller.modem


def test_an_answer_tone_without_reversals_leaves_the_canceller_on() -> None:
    tones = ModemTones()
    assert not any(tones.feed(frame) for frame in signals.frames(signals.pcm(answer_tone(3, reversals=False))))


@needs_voice
def test_voices_are_no_modems(far: signals.Samples, near: signals.Samples) -> None:
    tones = ModemTones()
    assert not any(tones.feed(frame) for frame in signals.frames(signals.pcm(np.concatenate([far, near]))))
