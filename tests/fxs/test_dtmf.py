from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from firmware.fxs import dtmf, dtmf_verify, wav
from firmware.fxs.dsp.vectors import Block
from tests.fakes import signals


def heard(sound: signals.Samples, *, dial_tone_filter: bool = True) -> str:
    detector = dtmf.Detector(dial_tone_filter=dial_tone_filter)
    return "".join(hit.digit for frame in signals.frames(signals.pcm(sound)) for hit in detector.feed(frame))


def first_suspicion(sound: signals.Samples) -> int | None:
    """The sample at which muting would begin: the start of the first suspect frame."""
    detector = dtmf.Detector()
    for index, frame in enumerate(signals.frames(signals.pcm(sound))):
        detector.feed(frame)
        if detector.suspect:
            return index * 80
    return None


def test_sixteen_digits_at_40_ms_on_and_off() -> None:
    keys = signals.KEYS * 20
    assert heard(signals.dialled(keys, 40, 40)) == keys


def test_the_same_digit_again_and_again_is_counted() -> None:
    assert heard(signals.dialled("1" * 50, 40, 40)) == "1" * 50


def test_a_long_press_is_one_digit() -> None:
    assert heard(signals.dialled("5", 3000, 100)) == "5"


@pytest.mark.parametrize(
    ("low", "high"), [(-9, -13), (-14, -9), (-9, -9), (-14, -10.5), (-25, -23), (0, 0), (-33, -31)]
)
def test_twist_and_level(low: float, high: float) -> None:
    assert heard(signals.dialled(signals.KEYS, 50, 50, low, high)) == signals.KEYS


def test_too_much_twist_is_refused() -> None:
    assert heard(signals.dialled(signals.KEYS, 50, 50, -25, -9)) == ""
    assert heard(signals.dialled(signals.KEYS, 50, 50, -9, -25)) == ""


@pytest.mark.parametrize("high_off", [-1.5, 0, 1.5])
@pytest.mark.parametrize("low_off", [-1.5, 0, 1.5])
def test_either_or_both_frequencies_off_by_one_and_a_half_percent_are_accepted(low_off: float, high_off: float) -> None:
    parts = []
    for index in range(16):
        row, column = signals.ROWS[index // 4], signals.COLUMNS[index % 4]
        tones = ((row * (1 + low_off / 100), -11), (column * (1 + high_off / 100), -9))
        parts += [sum(signals.sine(hz, 0.04, level) for hz, level in tones), signals.silence(0.0407)]
    assert heard(np.concatenate(parts * 4)) == signals.KEYS * 4


@pytest.mark.parametrize("off_percent", [-5.0, -3.5, 3.5, 5.0])
def test_frequencies_off_by_three_and_a_half_percent_or_more_are_refused(off_percent: float) -> None:
    sound = np.concatenate(
        [part for key in signals.KEYS for part in (signals.digit(key, 60, off_percent=off_percent), np.zeros(480))]
    )
    assert heard(sound) == ""


@pytest.mark.parametrize("ms", [15, 20, 22.9])
def test_bursts_below_23_milliseconds_are_no_digits(ms: float) -> None:
    assert heard(signals.dialled(signals.KEYS * 10, ms, 47)) == ""


def broken(key: str, gap_ms: float, on_ms: float = 60) -> signals.Samples:
    piece = signals.digit(key, on_ms)
    return np.concatenate([piece, signals.silence(gap_ms / 1000), piece, signals.silence(0.1)])


@pytest.mark.parametrize("gap_ms", [5, 10, 15, 20])
def test_an_interruption_of_20_ms_or_less_does_not_split_a_digit(gap_ms: float) -> None:
    for key in signals.KEYS:
        for start in (0, 3.3, 7.1):
            assert heard(np.concatenate([signals.silence(start / 1000), broken(key, gap_ms)])) == key


@pytest.mark.parametrize("gap_ms", [40, 43.5, 47])
def test_a_pause_of_40_ms_does(gap_ms: float) -> None:
    for key in signals.KEYS:
        for start in (0, 3.3, 7.1):
            assert heard(np.concatenate([signals.silence(start / 1000), broken(key, gap_ms)])) == key * 2


@pytest.mark.parametrize("gap_ms", [0, 10, 20])
def test_digits_that_differ_need_no_pause(gap_ms: float) -> None:
    keys = "12369854*7410#DC"
    parts = [part for key in keys for part in (signals.digit(key, 70), signals.silence(gap_ms / 1000))]
    assert heard(np.concatenate([*parts, signals.silence(0.1)])) == keys


@pytest.mark.parametrize("ratio_db", [20, 15])
def test_digits_in_noise(ratio_db: float) -> None:
    keys = signals.KEYS * 5
    sound = signals.dialled(keys, 50, 50, -10, -10)
    assert heard(sound + signals.noise(len(sound) / 8000, -10 - ratio_db)) == keys


@pytest.mark.parametrize("dial_tone", [(440,), (350, 440)])
def test_digits_are_heard_over_a_dial_tone_as_loud_as_they_are(dial_tone: tuple[int, ...]) -> None:
    sound = signals.dialled(signals.KEYS * 2, 50, 50, -16, -14)
    tone = sum(signals.sine(hz, len(sound) / 8000, -13) for hz in dial_tone)
    assert heard(sound + tone) == signals.KEYS * 2
    assert heard(sound + tone, dial_tone_filter=False) != signals.KEYS * 2


def test_dial_tone_noise_and_silence_are_no_digits() -> None:
    assert heard(signals.sine(440, 5, -10)) == ""
    assert heard(signals.noise(20, -15)) == ""
    assert heard(signals.silence(1)) == ""


def test_a_digit_is_told_within_50_ms_of_its_onset() -> None:
    for offset in range(0, 160, 7):
        detector = dtmf.Detector()
        sound = np.concatenate([np.zeros(800 + offset), signals.digit("6", 100), np.zeros(400)])
        hits = [hit for frame in signals.frames(signals.pcm(sound)) for hit in detector.feed(frame)]
        assert [hit.digit for hit in hits] == ["6"]
        assert hits[0].at_sample - (800 + offset) <= 50 * 8


def test_muting_begins_within_20_ms_of_the_onset_of_any_digit() -> None:
    rng = np.random.default_rng(5)
    for trial in range(480):
        onset = int(rng.integers(400, 1600))
        sound = np.concatenate([np.zeros(onset), signals.digit(signals.KEYS[trial % 16], 50), np.zeros(200)])
        begins = first_suspicion(sound + signals.noise(len(sound) / 8000, -60, seed=trial))
        assert begins is not None
        assert begins - onset <= 20 * 8


def test_suspicion_ends_soon_after_the_digit() -> None:
    detector = dtmf.Detector()
    sound = np.concatenate([signals.digit("3", 100), np.zeros(800)])
    states = []
    for frame in signals.frames(signals.pcm(sound)):
        detector.feed(frame)
        states.append(detector.suspect)
    assert states[9]
    assert not any(states[15:])


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng speaks the test sentences")
@pytest.mark.parametrize("voice", ["fr", "fr+f2"])
def test_speech_is_neither_digits_nor_muted(tmp_path: Path, voice: str) -> None:
    sentence = (
        "Bonjour, vous êtes bien chez la famille Durand. Il était une fois une petite fille de village, la plus jolie "
        "qu'on eût su voir ; sa mère en était folle, et sa mère-grand plus folle encore. Zéro un, quarante-deux."
    )
    file = tmp_path / "speech.wav"
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(file), sentence], check=True, timeout=60)  # noqa: S607
    detector = dtmf.Detector()
    muted = digits = count = 0
    for frame in signals.frames(wav.read(file)):
        digits += len(detector.feed(frame))
        muted += detector.suspect
        count += 1
    assert count > 800
    assert digits == 0
    assert muted / count < 0.005


def test_generated_digits_have_their_frequencies_levels_and_times() -> None:
    sound = signals.samples(dtmf.generate("7D", 100, 60, -12, -8))
    assert len(sound) == 2 * 160 * 8
    for at, wanted in ((0, (852, 1209)), (1280, (941, 1633))):
        (low, low_level), (high, high_level) = signals.peaks(sound[at + 16 : at + 784], 2, apart_hz=100)
        assert (low, high) == pytest.approx(wanted, abs=1)
        assert (low_level, high_level) == pytest.approx((-12, -8), abs=0.3)
        assert not sound[at + 800 : at + 1280].any()


def test_generated_digits_are_heard() -> None:
    assert heard(signals.samples(dtmf.generate(signals.KEYS, 40, 40))) == signals.KEYS
    assert heard(signals.samples(dtmf.generate("12ab"))) == "12AB"


def test_a_key_that_no_telephone_has_is_refused() -> None:
    with pytest.raises(ValueError, match="digit 3 of '12X4': 'X' is no key"):
        dtmf.generate("12X4")


def test_impossible_times_are_refused() -> None:
    with pytest.raises(ValueError, match="0 ms with a pause"):
        dtmf.generate("1", on_ms=0)
    with pytest.raises(ValueError, match="pause of -1 ms"):
        dtmf.generate("1", off_ms=-1)


def test_digits_of_a_recording_are_measured() -> None:
    sound = np.concatenate([signals.silence(0.5), signals.dialled("19", 100, 200)])
    spans = dtmf.measure(signals.pcm(sound))
    assert [span.digit for span in spans] == ["1", "9"]
    assert [span.start_ms for span in spans] == pytest.approx([500, 800], abs=3)
    assert [span.ms for span in spans] == pytest.approx([100, 100], abs=3)
    assert [span.low_dbm0 for span in spans] == pytest.approx([-11, -11], abs=0.2)
    assert [span.high_dbm0 for span in spans] == pytest.approx([-9, -9], abs=0.2)
    assert [span.low_percent for span in spans] == pytest.approx([0, 0], abs=0.1)


def test_a_digit_under_way_at_the_end_of_a_recording_is_measured_too() -> None:
    [span] = dtmf.measure(signals.pcm(np.concatenate([signals.silence(0.2), signals.digit("8", 333)])))
    assert span.digit == "8"
    assert (span.start_ms, span.ms) == pytest.approx((200, 333), abs=3)


def test_a_digit_told_says_its_levels_frequencies_and_onset() -> None:
    detector = dtmf.Detector()
    sound = np.concatenate([signals.silence(0.1), signals.digit("9", 60, low=-15, high=-12, off_percent=1.2)])
    [hit] = [hit for frame in signals.frames(signals.pcm(sound)) for hit in detector.feed(frame)]
    assert (hit.low_dbm0, hit.high_dbm0) == pytest.approx((-15, -12), abs=0.2)
    assert (hit.low_percent, hit.high_percent) == pytest.approx((1.2, 1.2), abs=0.1)
    assert hit.onset_sample == pytest.approx(800, abs=16)


@pytest.mark.parametrize("length", [2, 32, 158, 160, 320, 1000, 1 << 16])
def test_pieces_of_any_length_are_heard_alike(length: int) -> None:
    pcm = signals.pcm(np.concatenate([signals.dialled("0142685300", 50, 50), signals.silence(0.2)]))
    detector = dtmf.Detector()
    digits, ended = "", []
    for at in range(0, len(pcm), length):
        digits += "".join(hit.digit for hit in detector.feed(pcm[at : at + length]))
        ended += detector.ended
    assert digits == "".join(span.digit for span in ended) == "0142685300"
    assert [span.ms for span in ended] == pytest.approx([50] * 10, abs=3)


@pytest.mark.parametrize("hertz", [(705, 1266), (716, 1243), (1050, 1500), (450, 1336)])
def test_a_steady_sound_that_is_no_digit_costs_little(hertz: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    real = dtmf_verify.measure

    def counted(block: Block, *, over_dial_tone: bool) -> dtmf_verify.Measured | None:
        measured.append(1)
        return real(block, over_dial_tone=over_dial_tone)

    monkeypatch.setattr(dtmf_verify, "measure", counted)
    sound = sum(signals.sine(hz, 10, -10) for hz in hertz)
    assert heard(np.asarray(sound)) == ""
    assert len(measured) < 280  # of 1000 frames
    assert heard(np.concatenate([np.asarray(sound), signals.silence(0.05), signals.dialled("1", 40, 40)])) == "1"


def test_reset_forgets_a_digit_under_way() -> None:
    detector = dtmf.Detector()
    for frame in signals.frames(signals.pcm(signals.digit("8", 20))):
        detector.feed(frame)
    detector.reset()
    assert not detector.suspect
    assert detector.feed(bytes(160)) == []
