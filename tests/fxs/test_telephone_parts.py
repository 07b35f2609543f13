"""The telephone's keypad, contacts, bell and circuit, each alone."""

from __future__ import annotations

import threading
from datetime import datetime
from random import Random

import numpy as np
import pytest

from firmware.fxs import callerid, country
from firmware.fxs.dtmf import Detector
from firmware.fxs.pcm import FRAME_BYTES, SILENCE
from firmware.fxs.telephone_bell import Bell
from firmware.fxs.telephone_body import Settings
from firmware.fxs.telephone_dialer import Keying, frequencies, keyed
from firmware.fxs.telephone_ears import rms_of_dbm0
from firmware.fxs.telephone_hook import WIND_UP_SECONDS, Contacts, Dial, HungUpError, bounced
from firmware.fxs.telephone_set import AnalogSet, hybrid_response

RANDOM = np.random.default_rng(1)


# --- keypad ---------------------------------------------------------------------------------


@pytest.mark.parametrize("digit", list("0123456789*#ABCD"))
def test_each_key_sounds_its_two_frequencies_at_their_levels(digit: str) -> None:
    samples, end = keyed(digit, Keying(on_ms=1000, off_ms=0, level_dbm0=-11, twist_db=2), RANDOM)
    assert end == samples.size == 8000
    spectrum = np.abs(np.fft.rfft(samples)) / 4000
    loudest = sorted(np.argsort(spectrum)[-2:])
    assert tuple(float(hz) for hz in loudest) == frequencies(digit)
    assert spectrum[loudest[0]] == pytest.approx(rms_of_dbm0(-11) * np.sqrt(2), rel=0.01)
    assert spectrum[loudest[1]] == pytest.approx(rms_of_dbm0(-9) * np.sqrt(2), rel=0.01)


def test_what_is_keyed_is_understood_by_a_receiver_in_noise() -> None:
    samples, _ = keyed("0142685300*#", Keying(noise_dbm0=-35), RANDOM)
    receiver = Detector(dial_tone_filter=False)
    pcm = np.rint(samples).astype("<i2").tobytes()
    heard = [one.digit for n in range(0, len(pcm), FRAME_BYTES) for one in receiver.feed(pcm[n : n + FRAME_BYTES])]
    assert "".join(heard) == "0142685300*#"


def test_tones_and_pauses_last_as_asked() -> None:
    samples, end = keyed("55", Keying(on_ms=40, off_ms=60), RANDOM)
    sounding = np.abs(samples.reshape(-1, 80)).max(axis=1) > 0
    assert sounding.tolist() == ([True] * 4 + [False] * 6) * 2
    assert end == 2 * 800 - 480


# --- contacts -------------------------------------------------------------------------------


class Loop:
    """Keeps the edges."""

    def __init__(self, bounce_ms: float = 5.0) -> None:
        self.edges: list[tuple[bool, float]] = []
        random = Random(4)  # noqa: S311 - bounce, no secret
        self.contacts = Contacts(lambda closed, at: self.edges.append((closed, at)), bounce_ms, random)

    def settled(self, bounce_seconds: float) -> list[tuple[bool, float]]:
        """The edges without their bounce, each at its first contact."""
        kept: list[tuple[bool, float]] = []
        for closed, at in self.edges:
            if kept and at - kept[-1][1] <= bounce_seconds:
                kept[-1] = (closed, kept[-1][1])
            else:
                kept.append((closed, at))
        return kept


def test_a_lifted_handset_bounces_and_then_holds() -> None:
    counts: set[int] = set()
    for _ in range(6):
        loop = Loop()
        loop.contacts._random.seed(len(counts))
        assert loop.contacts.lift()
        assert [closed for closed, _ in loop.edges] == [n % 2 == 0 for n in range(len(loop.edges))]
        assert loop.edges[-1][0] is True
        assert loop.edges[-1][1] - loop.edges[0][1] <= 0.005
        assert loop.contacts.settled_at == loop.edges[-1][1]
        counts.add(len(loop.edges))
    assert max(counts) > 1


def test_lifting_twice_is_lifting_once() -> None:
    loop = Loop(0)
    assert loop.contacts.lift()
    assert not loop.contacts.lift()
    assert len(loop.edges) == 1
    assert loop.contacts.hang_up()
    assert not loop.contacts.hang_up()
    assert [closed for closed, _ in loop.edges] == [True, False]


def test_a_dialled_3_and_0_are_three_and_ten_breaks_of_66_ms_with_a_pause() -> None:
    loop = Loop(3.0)
    loop.contacts.lift()
    loop.edges.clear()
    last = loop.contacts.pulses("30", Dial(pps=20, pause_ms=300))
    edges = loop.settled(0.005)
    breaks = [at for closed, at in edges if not closed]
    makes = [at for closed, at in edges if closed]
    assert len(breaks) == len(makes) == 13
    assert [make - opened for opened, make in zip(breaks, makes, strict=True)] == pytest.approx([1 / 30] * 13, abs=1e-6)
    assert breaks[1] - breaks[0] == pytest.approx(0.05, abs=1e-6)
    assert breaks[3] - makes[2] == pytest.approx(0.3, abs=1e-6)
    assert last == makes[-1]


def test_a_worn_dial_bounces_at_break_and_make_runs_unevenly_and_does_so_again_with_the_same_seed() -> None:
    dial = Dial(pps=7.5, break_share=0.5, bounce_ms=5.0, jitter=0.1, pause_ms=400)
    turned, again, other = (list(dial.turned("57", 10.0, Random(seed))) for seed in (1, 1, 2))  # noqa: S311
    assert turned == again
    assert turned != other
    assert [closed for closed, _ in turned] == [n % 2 == 1 for n in range(len(turned))]
    assert [at for _, at in turned] == sorted(at for _, at in turned)
    strokes = list(dial.strokes("57", 10.0, Random(3)))  # noqa: S311
    assert len(strokes) == 24
    assert len(turned) > 30
    periods = [later - at for (_, at), (_, later) in zip(strokes[:10:2], strokes[2:10:2], strict=False)]
    assert all(0.9 / 7.5 <= period <= 1.1 / 7.5 for period in periods)
    assert max(periods) - min(periods) > 0.005
    assert strokes[10][1] - strokes[9][1] == pytest.approx(0.4)


def test_bounce_lasts_no_longer_than_it_should() -> None:
    for seed in range(50):
        edges = list(bounced(5.0, 0.005, Random(seed), closed=False))  # noqa: S311
        assert edges[0] == (False, 5.0)
        assert edges[-1][0] is False
        assert edges[-1][1] <= 5.005


def test_nobody_dials_sooner_than_a_finger_wheel_winds_up() -> None:
    loop = Loop(0)
    loop.contacts.lift()
    assert loop.contacts.settled_at is not None
    loop.contacts.pulses("1", Dial(pps=20))
    assert loop.edges[1][1] >= loop.contacts.settled_at + WIND_UP_SECONDS


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pps": 30.0}, "pps is 5 to 25, not 30"),
        ({"break_share": 0.9}, "break_share"),
        ({"jitter": 0.5}, "jitter"),
        ({"pause_ms": 50.0}, "pause_ms"),
        ({"pps": 22.0, "break_share": 0.8, "bounce_ms": 10.0}, "leaves nothing of a contact of 9.1 ms"),
    ],
)
def test_a_dial_that_no_telephone_has_is_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Dial(**wrong)


def test_a_detuned_set_is_off_by_as_much() -> None:
    samples, _ = keyed("5", Keying(on_ms=1000, off_ms=0, detune_percent=1.5), RANDOM)
    spectrum = np.abs(np.fft.rfft(samples))
    loudest = sorted(float(hz) for hz in np.argsort(spectrum)[-2:])
    assert loudest == pytest.approx([770 * 1.015, 1336 * 1.015], abs=1)


def test_a_flash_is_one_break_of_its_length() -> None:
    loop = Loop()
    loop.contacts.lift()
    loop.edges.clear()
    loop.contacts.flash(90)
    (opened, start), (closed, end) = loop.settled(0.006)
    assert (opened, closed) == (False, True)
    assert end - start == pytest.approx(0.09, abs=1e-6)


def test_hanging_up_ends_a_dialled_digit() -> None:
    loop = Loop(0)
    loop.contacts.lift()
    done = threading.Timer(0.15, loop.contacts.hang_up)
    done.start()
    with pytest.raises(HungUpError, match="hung up meanwhile"):
        loop.contacts.pulses("0000", Dial())
    done.join()
    assert loop.edges[-1][0] is False


def test_who_has_not_lifted_can_neither_flash_nor_dial() -> None:
    with pytest.raises(HungUpError, match="lift it first"):
        Loop().contacts.flash(100)
    with pytest.raises(HungUpError, match="lift it first"):
        Loop().contacts.pulses("1", Dial())


# --- bell -----------------------------------------------------------------------------------


def fsk() -> list[bytes]:
    samples = callerid.encode("v23", "0612345678", "Zoé Œuf", datetime(2026, 7, 14, 9, 5))  # noqa: DTZ001 - as displayed
    samples += bytes(-len(samples) % FRAME_BYTES)
    return [samples[n : n + FRAME_BYTES] for n in range(0, len(samples), FRAME_BYTES)]


def test_the_caller_is_read_between_the_rings_and_forgotten_at_the_next_call() -> None:
    bell = Bell(3500, "v23")
    assert bell.voltage(50, 100.0)
    assert not bell.voltage(0, 101.5)
    assert any(bell.hear(frame, 102.0 + 0.01 * n) for n, frame in enumerate([*fsk(), *[SILENCE] * 20]))
    assert bell.caller is not None
    assert (bell.caller.number, bell.caller.name, bell.caller.time) == ("0612345678", "Zoe OEuf", "07-14T09:05")
    assert bell.voltage(50, 105.0)
    assert bell.caller is not None
    bell.voltage(0, 106.5)
    assert bell.ringing(110.0)
    assert not bell.ringing(111.0)
    assert bell.voltage(50, 200.0)
    assert bell.caller is None


def test_a_caller_told_before_the_first_ring_is_kept() -> None:
    bell = Bell(2000, "v23")
    assert any(bell.hear(frame, 10.0) for frame in [*fsk(), *[SILENCE] * 20])
    bell.voltage(25, 10.5)
    assert bell.caller is not None


def rung(bell: Bell, at: float, ms: int = 1500) -> float:
    """A burst; when it ended."""
    assert bell.voltage(50, at)
    bell.voltage(0, at + ms / 1000)
    return at + ms / 1000


def with_a_caller(bell: Bell, at: float) -> None:
    assert any(bell.hear(frame, at) for frame in [*fsk(), *[SILENCE] * 20])


@pytest.mark.parametrize(
    ("last_ms", "pause"),
    [
        (1500, 2.5),  # given up in the pause, and the next call comes 2.5 s after the ring
        (1500, 0.3),
        (700, 3.5),  # given up within a ring
        (700, 1.0),
    ],
)
def test_a_burst_out_of_cadence_is_another_call(last_ms: int, pause: float) -> None:
    bell = Bell(3500, "v23")
    with_a_caller(bell, rung(bell, 100.0) + 1)
    ended = rung(bell, 105.0, last_ms)
    assert bell.presents(ended)
    bell.voltage(50, ended + pause)
    assert bell.caller is None
    assert bell.began_at == ended + pause


def test_a_call_given_up_right_after_its_number_leaves_no_number_to_the_next() -> None:
    bell = Bell(3500, "v23")
    ended = rung(bell, 100.0)
    with_a_caller(bell, ended + 1)
    bell.voltage(50, ended + 2.5)
    assert (bell.caller, bell.ringing(ended + 2.5)) == (None, True)


def test_ringing_that_the_box_gave_up_is_over_whatever_the_cadence_says() -> None:
    bell = Bell(3500, "v23")
    ended = rung(bell, 100.0)
    with_a_caller(bell, ended + 1)
    bell.rest()
    assert not bell.ringing(ended + 1)
    assert bell.caller is not None  # the display still shows whom one missed
    assert not bell.presents(ended + 1)
    bell.voltage(50, ended + 3.5)
    assert bell.caller is None


@pytest.mark.parametrize("code", country.codes())
def test_a_whole_ringing_is_one_call_in_every_country_and_pattern_on_a_busy_machine(code: str) -> None:
    ring = country.load(code).ring
    random = Random(7)  # noqa: S311 - lateness, no secret
    for cadence in [ring.cadence_ms, *ring.patterns.values()]:
        bell = Bell(3500, "v23")
        now = began = 100.0
        for cycle in range(4):
            for place, ms in enumerate(cadence):
                bell.voltage(0 if place % 2 else 50, now + random.uniform(0, 0.05))
                now += ms / 1000
            if cycle == 0:
                with_a_caller(bell, now - 0.2)
        assert bell.caller is not None, cadence
        assert bell.began_at == pytest.approx(began, abs=0.05)


def test_the_caller_of_an_answered_call_stays_presented_and_one_missed_does_not() -> None:
    bell = Bell(3500, "v23")
    ended = rung(bell, 100.0)
    with_a_caller(bell, ended + 1)
    bell.rest(answered=True)
    assert bell.presents(ended + 60)
    bell.clear()
    assert not bell.presents(ended + 61)
    with_a_caller(bell, rung(bell, 200.0) + 1)
    assert bell.presents(205.0)
    assert not bell.presents(210.0)


# --- circuit --------------------------------------------------------------------------------


def test_the_hybrid_loses_what_it_says() -> None:
    circuit = AnalogSet(20.0, None, 1)
    sent = np.random.default_rng(2).normal(0, 3000, 80 * 200)
    back = b""
    for n in range(200):
        circuit.hear(np.rint(sent[n * 80 : n * 80 + 80]).astype("<i2").tobytes(), n / 100)
        back += circuit.speak(n / 100, connected=True)
    reflected = np.frombuffer(back, "<i2").astype(float)
    loss = 10 * np.log10(np.mean(sent**2) / np.mean(reflected**2))
    assert loss == pytest.approx(20.0, abs=0.5)
    assert np.sum(hybrid_response(6.0) ** 2) == pytest.approx(10**-0.6)


def test_a_tap_keeps_the_very_samples_and_exactly_as_many_as_asked() -> None:
    circuit = AnalogSet(20.0, None, 1)
    tap = circuit.tap(200)
    frames = [np.random.default_rng(n).integers(-32768, 32767, 80).astype("<i2").tobytes() for n in range(5)]
    for n, frame in enumerate(frames):
        circuit.hear(frame, float(n))
    assert tap.full.is_set()
    assert tap.pcm() == b"".join(frames)[:400]
    assert tap.started_at == 0.0


def test_sounds_mix_clip_and_end() -> None:
    circuit = AnalogSet(None, None, 1)
    loud = circuit.put(np.full(100, 30000.0))
    other = circuit.put(np.full(40, 20000.0))
    first = np.frombuffer(circuit.speak(5.0, connected=True), "<i2")
    assert first.tolist() == [32767] * 40 + [30000] * 40
    assert (other.finished.is_set(), loud.finished.is_set()) == (True, False)
    second = np.frombuffer(circuit.speak(5.01, connected=True), "<i2")
    assert second.tolist() == [30000] * 20 + [0] * 60
    assert loud.at(100) == pytest.approx(5.0125)
    assert circuit.speak(5.02, connected=True) == SILENCE


def test_with_the_contact_open_nothing_reaches_the_line() -> None:
    circuit = AnalogSet(20.0, -40.0, 1)
    circuit.put(np.full(80, 30000.0))
    circuit.hear(b"\x10\x10" * 80, 0.0)
    assert circuit.speak(0.0, connected=False) == SILENCE


def test_line_noise_has_its_level() -> None:
    circuit = AnalogSet(None, -40.0, 1)
    noise = np.frombuffer(b"".join(circuit.speak(0.0, connected=True) for _ in range(100)), "<i2").astype(float)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(rms_of_dbm0(-40), rel=0.05)


def test_a_fast_clock_has_short_ticks() -> None:
    assert Settings(ppm=200).tick_seconds == pytest.approx(0.01 * (1 - 200e-6), abs=1e-9)
    with pytest.raises(ValueError, match="5000"):
        Settings(ppm=5000)
    with pytest.raises(ValueError, match="nan"):
        Settings(ppm=float("nan"))
