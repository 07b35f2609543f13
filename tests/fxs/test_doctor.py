"""The line doctor measures telephones whose faults are known: what was planted must come out."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firmware.fxs import doctor, doctor_echo, doctor_hook, doctor_keys, doctor_sound
from firmware.fxs.doctor import Recording, examine, pack, unpack
from firmware.fxs.doctor_hook import Edge
from firmware.fxs.doctor_report import LIMITS, Finding, Grade, HookFigures, Item, Report
from tests.fakes.worn_telephone import RATE, WornContacts, hybrid, noise, pcm, press, rms, sine

LONGEST_FLASH = 600.0
KEYS = "#0*987654321"


def found(report: Report, item: Item) -> Finding:
    return next(finding for finding in report.findings if finding.item is item)


# --- the contacts ---------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [7.0, 7.6, 9.0, 10.0, 11.5, 16.0, 22.0])
@pytest.mark.parametrize("break_share", [0.50, 0.60, 0.66, 0.72])
@pytest.mark.parametrize("bounce", [0.0, 3.0, 5.0])
def test_a_dials_speed_and_shape_come_out(speed: float, break_share: float, bounce: float) -> None:
    for seed in range(5):
        dial = WornContacts(speed=speed, break_share=break_share, dial_bounce=bounce, seed=seed)
        dial.lift()
        dial.dial("01")
        dial.hang_up()
        figures = doctor_hook.measure(dial.edges, LONGEST_FLASH)
        assert figures.digits == (10, 1)
        assert figures.pulse_speed == pytest.approx(speed, abs=0.2)
        assert figures.break_share == pytest.approx(100 * break_share, abs=2)
        assert figures.dial_bounce_ms == pytest.approx(bounce, abs=0.01)
        assert figures.spread == pytest.approx(0, abs=0.1)
        assert figures.flashes_ms == ()


def test_an_uneven_dials_spread_comes_out() -> None:
    measured, planted = [], []
    for seed in range(20):
        dial = WornContacts(jitter=0.08, seed=seed)
        dial.lift()
        dial.dial("0000")
        openings = [edge.at for edge in dial.edges if not edge.closed]
        # What was planted, from the openings themselves: nine periods a zero.
        periods = np.diff(np.reshape(openings, (4, 10)), axis=1)
        planted.append(100 * float(periods.std() / periods.mean()))
        spread = doctor_hook.measure(dial.edges, LONGEST_FLASH).spread
        assert spread is not None
        measured.append(spread)
    assert measured == pytest.approx(planted, abs=0.01)
    assert 6 < sum(measured) / 20 < 10


@pytest.mark.parametrize("bounce", [0.0, 4.0, 12.0, 25.0, 30.0])
def test_a_cradles_bounce_comes_out_and_is_no_pulse(bounce: float) -> None:
    for seed in range(20):
        cradle = WornContacts(cradle_bounce=bounce, seed=seed)
        cradle.lift()
        cradle.dial("3")
        cradle.hang_up()
        figures = doctor_hook.measure(cradle.edges, LONGEST_FLASH)
        assert figures.cradle_bounce_ms == pytest.approx(bounce, abs=0.01)
        assert figures.digits == (3,)
        assert figures.dial_bounce_ms == 0


@pytest.mark.parametrize("ms", [125.0, 270.0, 580.0])
def test_a_flash_is_measured_and_is_no_digit(ms: float) -> None:
    hand = WornContacts(cradle_bounce=4.0)
    hand.lift()
    hand.flash(ms)
    hand.dial("1")
    hand.hang_up()
    figures = doctor_hook.measure(hand.edges, LONGEST_FLASH)
    assert figures.flashes_ms == pytest.approx((ms,), abs=0.01)
    assert figures.digits == (1,)


def test_two_calls_in_one_trace_are_told_apart() -> None:
    hand = WornContacts()
    for _ in range(2):
        hand.lift()
        hand.dial("5")
        hand.hang_up()
    assert doctor_hook.measure(hand.edges, LONGEST_FLASH).digits == (5, 5)


def test_a_trace_that_begins_or_ends_in_the_middle_is_measured_as_far_as_it_goes() -> None:
    hand = WornContacts()
    hand.lift()
    hand.dial("00")
    for first in range(1, len(hand.edges)):
        figures = doctor_hook.measure(hand.edges[first:], LONGEST_FLASH)
        assert sum(figures.digits) <= 20
        if figures.pulse_speed is not None:
            assert figures.pulse_speed == pytest.approx(10, abs=0.2)


def test_any_edges_at_all_give_figures_or_none_and_never_an_error() -> None:
    chance = random.Random(7)  # noqa: S311 - a fuzz, no secret
    for _ in range(300):
        edges = [Edge(chance.random() < 0.5, chance.uniform(0, 3)) for _ in range(chance.randint(0, 40))]
        figures = doctor_hook.measure(edges, LONGEST_FLASH)
        assert figures.pulse_speed is None or figures.pulse_speed > 0
        assert figures.break_share is None or 0 <= figures.break_share <= 100


def test_no_edges_give_no_figures() -> None:
    assert doctor_hook.measure([], LONGEST_FLASH) == HookFigures()


# --- the keys -------------------------------------------------------------------------------


def keypad(seed: int) -> list[dict[str, float]]:
    """Twelve keys, each wrong in its own way."""
    chance = random.Random(seed)  # noqa: S311 - a keypad, no secret
    return [
        {
            "low_error": chance.uniform(-4, 4),
            "high_error": chance.uniform(-4, 4),
            "low_dbm0": chance.uniform(-26, -6),
            "twist": chance.uniform(-9, 6),
            "on_ms": chance.uniform(40, 160),
            "off_ms": chance.uniform(45, 250),
        }
        for _ in KEYS
    ]


@pytest.mark.parametrize(("seed", "offset"), [(0, 0), (1, 400), (2, 0), (3, -900)])
def test_every_keys_pitch_level_twist_and_length_come_out(seed: int, offset: int) -> None:
    planted = keypad(seed)
    sound = [press(key, **figures) for key, figures in zip(KEYS, planted, strict=True)]
    line = np.concatenate([np.zeros(3000), *sound, np.zeros(1000)])
    line += noise(-58, line.size, seed) + offset
    heard = doctor_keys.measure(pcm(line))
    assert "".join(key.key for key in heard) == KEYS
    for key, wanted, after in zip(heard, planted, [*planted[1:], None], strict=True):
        assert key.low_error == pytest.approx(wanted["low_error"], abs=0.1)
        assert key.high_error == pytest.approx(wanted["high_error"], abs=0.1)
        assert key.low_dbm0 == pytest.approx(wanted["low_dbm0"], abs=0.5)
        assert key.twist_db == pytest.approx(wanted["twist"], abs=0.5)
        assert key.on_ms == pytest.approx(wanted["on_ms"], abs=2)
        if after is not None:
            assert key.off_ms == pytest.approx(wanted["off_ms"], abs=4)


def test_a_long_press_counts_once() -> None:
    line = np.concatenate([np.zeros(2000), press("5", on_ms=1800), np.zeros(2000)])
    (key,) = doctor_keys.measure(pcm(line + noise(-60, line.size)))
    assert (key.key, round(key.on_ms / 10)) == ("5", 180)


def test_a_key_that_the_recording_cuts_is_left_out_rather_than_told_as_short() -> None:
    line = np.concatenate([press("1", on_ms=200)[800:], press("2"), press("3", on_ms=200)[:800]])
    assert [key.key for key in doctor_keys.measure(pcm(line + noise(-60, line.size)))] == ["2"]


def test_a_key_pressed_under_hum_is_measured_as_without() -> None:
    line = np.concatenate([np.zeros(2000), press("7", low_error=1.2, high_error=-0.7), np.zeros(2000)])
    line += sine(50, -40, line.size) + sine(150, -45, line.size) + noise(-60, line.size)
    (key,) = doctor_keys.measure(pcm(line))
    assert (key.low_error, key.high_error) == pytest.approx((1.2, -0.7), abs=0.1)


@pytest.mark.parametrize(
    "sound",
    [
        sine(440, -10, 8000),
        sine(440, -10, 8000) + sine(330, -10, 8000),
        noise(-20, 8000),
        np.concatenate([sine(400 + 40 * n, -15, 400) + sine(1200 + 60 * n, -18, 400) for n in range(20)]),
    ],
    ids=["dial tone", "special dial tone", "noise", "a voice that glides"],
)
def test_what_is_no_key_is_left_out(sound: np.ndarray) -> None:
    line = np.concatenate([np.zeros(2000), sound, np.zeros(2000)]) + noise(-60, sound.size + 4000)
    assert doctor_keys.measure(pcm(line)) == ()


@pytest.mark.parametrize("line", [b"", bytes(2), bytes(16000), pcm(np.full(8000, 32767.0))])
def test_no_sound_has_no_keys(line: bytes) -> None:
    assert doctor_keys.measure(line) == ()


# --- the line at rest -----------------------------------------------------------------------


@pytest.mark.parametrize(("level", "mains"), [(-75.0, 50), (-60.0, 50), (-40.0, 50), (-75.0, 60), (-40.0, 60)])
def test_noise_and_hum_come_out_each_beside_the_other(level: float, mains: int) -> None:
    count = 2 * RATE
    hum = (-38.0, -52.0, -44.0)
    for seed, drift in ((1, 0.0), (2, -0.3)):
        line = noise(level, count, seed)
        for harmonic, dbm0 in enumerate(hum, start=1):
            line = line + sine((mains + drift) * harmonic, dbm0, count)
        figures, _ = doctor_sound.measure(pcm(line))
        assert figures is not None
        assert figures.mains_hz == mains
        assert figures.noise_dbm0 == pytest.approx(level, abs=1)
        assert figures.hum_dbm0 == pytest.approx(hum, abs=1)


def test_psophometric_weight_of_flat_telephone_noise_is_two_and_a_half_decibels_and_of_800_hz_none() -> None:
    # ITU-T O.41 and its long use: noise flat from 300 to 3400 Hz reads 2.5 dB lower on a psophometer.
    spectrum = np.fft.rfft(noise(-40, 4 * RATE))
    hertz = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    band = np.fft.irfft(spectrum)
    figures, _ = doctor_sound.measure(pcm(band[: 2 * RATE]))
    assert figures is not None
    assert figures.noise_dbm0p == pytest.approx(figures.noise_dbm0 - 2.5, abs=0.3)
    tone, _ = doctor_sound.measure(pcm(sine(800, -30, 2 * RATE)))
    assert tone is not None
    assert tone.noise_dbm0p == pytest.approx(-30, abs=0.2)


def test_a_word_in_the_silence_does_not_count() -> None:
    line = noise(-60, 2 * RATE)
    line[3000:7000] += noise(-25, 4000, 5)
    figures, _ = doctor_sound.measure(pcm(line))
    assert figures is not None
    assert figures.noise_dbm0 == pytest.approx(-60, abs=1)


def test_offset_comes_out_and_moves_neither_noise_nor_hum() -> None:
    line = noise(-60, 2 * RATE) + sine(50, -45, 2 * RATE) - 1000
    figures, _ = doctor_sound.measure(pcm(line))
    assert figures is not None
    assert figures.offset == pytest.approx(-100 * 1000 / 32767, abs=0.05)
    assert figures.noise_dbm0 == pytest.approx(-60, abs=1)
    assert figures.hum_dbm0[0] == pytest.approx(-45, abs=1)


def test_the_plots_peak_is_where_the_tone_is_and_as_high() -> None:
    _, spectrum = doctor_sound.measure(pcm(noise(-70, 2 * RATE) + sine(1015, -30, 2 * RATE)))
    hertz, level = max(spectrum, key=lambda point: point[1])
    assert abs(hertz - 1015) <= 16
    assert level == pytest.approx(-30, abs=1)
    assert len(spectrum) == 128


def test_clipped_samples_are_counted() -> None:
    line = sine(1000, 5.0, RATE)  # 1.86 dB beyond full scale
    share = float(np.mean(np.abs(np.rint(line)) >= 32767)) * 100
    assert doctor_sound.clipped(pcm(line)) == pytest.approx(share, abs=0.01)
    assert share > 10
    assert doctor_sound.clipped(pcm(sine(1000, 3.0, RATE))) == 0
    assert doctor_sound.clipped(b"", b"") is None


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_too_short_a_silence_has_no_figures(seconds: float) -> None:
    assert doctor_sound.measure(pcm(noise(-60, round(seconds * RATE)))) == (None, ())


# --- the echo -------------------------------------------------------------------------------


def returned(loss: float, *, delay: int = 200, background: float = -60.0, seed: int = 1) -> np.ndarray:
    """What comes back of the probe, recorded from its beginning, `delay` samples of sound card late."""
    probe = np.frombuffer(doctor_echo.probe(), np.int16).astype(np.float64)
    line = np.zeros(round(2.25 * RATE))
    echo = np.convolve(probe, hybrid(loss, delay))[: line.size]
    line[: echo.size] = echo
    return line + noise(background, line.size, seed) + sine(50, -45, line.size)


@pytest.mark.parametrize(
    ("loss", "delay", "background"),
    [(2.0, 0, -50.0), (6.0, 240, -70.0), (14.0, 960, -50.0), (22.0, 240, -50.0), (30.0, 960, -60.0), (30.0, 0, -50.0)],
)
def test_return_loss_comes_out_whatever_the_delay_noise_and_hum(loss: float, delay: int, background: float) -> None:
    echo = doctor_echo.measure(pcm(returned(loss, delay=delay, background=background)))
    assert echo is not None
    assert echo.return_loss_db == pytest.approx(loss, abs=1)
    assert not echo.at_least


@pytest.mark.parametrize("lost", [4000, 8000, 12000])
def test_a_lost_frame_costs_no_more_than_a_decibel(lost: int) -> None:
    line = returned(14)
    line = np.concatenate([line[:lost], line[lost + 80 :], np.zeros(80)])
    echo = doctor_echo.measure(pcm(line))
    assert echo is not None
    assert echo.return_loss_db == pytest.approx(14, abs=1)


def test_no_echo_is_told_as_at_least_so_much() -> None:
    echo = doctor_echo.measure(pcm(noise(-60, 18000)))
    assert echo is not None
    assert echo.at_least
    assert echo.return_loss_db > 30


def test_a_voice_over_the_probe_spoils_the_measurement_rather_than_the_figure() -> None:
    line = returned(20)
    line[3000:7500] += noise(-12, 4500, 9)
    echo = doctor_echo.measure(pcm(line))
    assert echo is None or echo.return_loss_db == pytest.approx(20, abs=1)


def test_too_short_a_recording_has_no_figure() -> None:
    assert doctor_echo.measure(pcm(returned(10))[:20000]) is None


def test_the_probe_is_two_seconds_at_minus_twenty_dbm0_and_flat() -> None:
    probe = np.frombuffer(doctor_echo.probe(), np.int16).astype(np.float64)
    assert float(np.sqrt(np.mean(probe**2))) == pytest.approx(rms(-20), rel=0.01)
    assert probe.size / RATE == pytest.approx(doctor_echo.PROBE_SECONDS)
    spectrum = np.abs(np.fft.rfft(probe[: doctor_echo.PERIOD]))[1:]
    assert spectrum.max() / spectrum.min() == pytest.approx(1, abs=0.01)


# --- the report -----------------------------------------------------------------------------


def recording(**faults: float) -> Recording:
    """A whole session with a telephone that is well but for `faults`."""
    contacts = WornContacts(speed=faults.get("speed", 10.0), dial_bounce=1.0, cradle_bounce=3.0)
    contacts.lift()
    contacts.dial("01")
    contacts.flash(faults.get("flash", 270.0))
    contacts.hang_up()
    error = faults.get("error", 0.2)
    keys = [press(key, low_error=error, low_dbm0=faults.get("level", -11.0)) for key in "#09"]
    line = np.concatenate([np.zeros(1000), *keys, np.zeros(1000)])
    return Recording(
        edges=tuple(contacts.edges),
        noise=pcm(noise(faults.get("noise", -68.0), RATE)),
        echo=pcm(returned(faults.get("loss", 20.0))),
        keys=pcm(line + noise(-65, line.size)),
        flash_ms=(120.0, 600.0),
    )


def test_a_telephone_that_is_well_is_told_so_in_every_item() -> None:
    report = examine(recording())
    assert {finding.item: finding.grade for finding in report.findings} == dict.fromkeys(Item, Grade.GOOD)


@pytest.mark.parametrize(
    ("faults", "item", "grade", "side"),
    [
        ({"speed": 7.6}, Item.PULSE_SPEED, Grade.FAIR, "low"),
        ({"speed": 6.5}, Item.PULSE_SPEED, Grade.BAD, "low"),
        ({"flash": 590.0}, Item.FLASH, Grade.FAIR, "high"),
        ({"error": 3.5}, Item.TONE_FREQUENCY, Grade.BAD, "high"),
        ({"level": -34.0}, Item.TONE_LEVEL, Grade.BAD, "low"),
        ({"noise": -30.0}, Item.NOISE, Grade.BAD, "high"),
        ({"loss": 3.0}, Item.ECHO, Grade.BAD, "low"),
    ],
)
def test_one_fault_is_found_and_no_other(faults: dict[str, float], item: Item, grade: Grade, side: str) -> None:
    report = examine(recording(**faults))
    ill = {finding.item: (finding.grade, finding.side) for finding in report.findings if finding.grade != Grade.GOOD}
    assert ill == {item: (grade, side)}


def test_what_was_not_recorded_is_not_graded() -> None:
    report = examine(Recording())
    assert {finding.grade for finding in report.findings} == {Grade.NONE}
    assert [finding.item for finding in report.findings] == list(Item)
    assert json.loads(json.dumps(report.as_json()))["sound"] is None


def test_limits_are_ranges_that_contain_each_other() -> None:
    for item, limits in LIMITS.items():
        for good, fair, sign in ((limits.good[0], limits.fair[0], 1), (limits.good[1], limits.fair[1], -1)):
            assert (good is None) == (fair is None), item
            if good is not None and fair is not None:
                assert sign * (good - fair) >= 0, item


def test_the_documented_limits_are_the_ones_in_force() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "line-doctor.md").read_text(encoding="utf-8")
    rows = {
        row.split("|")[1].split(",")[0].strip(): row.split("|")[2:4] for row in documented.splitlines() if "|" in row
    }
    for item, limits in LIMITS.items():
        for told, wanted in zip(rows[item.value], (limits.good, limits.fair), strict=True):
            figures = [float(figure) for figure in re.findall(r"-?[0-9.]+", told)]
            assert figures == [end for end in wanted if end is not None] or (told.strip(), wanted[1]) == (
                "none",
                0.0,
            ), item


# --- the process ----------------------------------------------------------------------------


def test_the_process_says_what_the_function_says() -> None:
    wanted = recording(speed=7.6)
    done = subprocess.run(
        [sys.executable, "-m", "firmware.fxs.doctor"], input=pack(wanted), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == json.loads(json.dumps(examine(wanted).as_json()))
    assert len(done.stdout) < 100_000


def test_a_recording_survives_the_pipe() -> None:
    wanted = recording()
    assert unpack(io.BytesIO(pack(wanted))) == wanted


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (b"", "header"),
        (b"nonsense\n", "header is wrong"),
        (b'{"edges": [], "flash_ms": [120, 600], "noise": 4, "echo": 0, "keys": 0}\nab', "cut"),
        (b'{"edges": [], "flash_ms": [120, 600], "noise": 99999999, "echo": 0, "keys": 0}\n', "at most"),
        (b'{"edges": [], "flash_ms": [120, 600], "noise": -2, "echo": 0, "keys": 0}\n', "at most"),
        (b'{"edges": [], "flash_ms": [600, 120], "noise": 0, "echo": 0, "keys": 0}\n', "flash window"),
        (b'{"edges": [[1]], "flash_ms": [120, 600], "noise": 0, "echo": 0, "keys": 0}\n', "header is wrong"),
        (b"{" + b" " * 200_000, "too long"),
    ],
)
def test_a_broken_recording_is_refused_in_a_sentence(given: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        unpack(io.BytesIO(given))


def test_twenty_seconds_are_the_most_that_is_taken() -> None:
    assert len(Recording(keys=bytes(2 * 8000 * 20)).keys) == 320_000
    with pytest.raises(ValueError, match="20 s"):
        Recording(noise=bytes(2), keys=bytes(2 * 8000 * 20))
    assert doctor.MAX_SECONDS == 20
