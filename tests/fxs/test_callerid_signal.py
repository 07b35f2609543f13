"""Caller ID measured on its samples by means of its own (`tests.fakes.fsk`): modem, bit rate, lengths, level, content,
and the times between ring, reversal, alerting signal and message, from the ringer's steps and the samples together.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from firmware.fxs import callerid, country, message_waiting
from firmware.fxs.callerid_message import Extras, call_message, waiting_message
from firmware.fxs.country import Country
from firmware.fxs.ringer import CallerIdDue, Polarity, Ringer, RingOff, RingOn, RingStep
from tests.fakes import fsk, signals

WHEN = datetime(2026, 7, 14, 9, 5)  # noqa: DTZ001 - the telephone's wall clock
WITH_MODEM = [code for code in country.codes() if country.load(code).caller_id.standard != "dtmf"]
ALERT = (2130, 2750)


def loud(sound: signals.Samples) -> list[tuple[float, float]]:
    """(start, end) in ms of what sounds, gaps under 20 ms left out."""
    found: list[tuple[float, float]] = []
    for start, length in signals.bursts(sound, -40):
        if found and start - found[-1][1] < 20:
            found[-1] = (found[-1][0], start + length)
        else:
            found.append((start, start + length))
    return found


def message_part(sound: signals.Samples) -> signals.Samples:
    """The last thing that sounds: after an alerting signal, the message."""
    start, end = loud(sound)[-1]
    return sound[max(0, round(start * 8)) : round(end * 8)]


def sent(home: Country) -> signals.Samples:
    return signals.samples(callerid.transmission(home, "0142685300", "@@@@ Zoé", WHEN))


@pytest.mark.parametrize("code", WITH_MODEM)
def test_the_modem_is_the_country_s(code: str) -> None:
    home = country.load(code)
    taken = fsk.taken_apart(message_part(sent(home)), home.caller_id.standard)
    mark, space = {"v23": (1300, 2100), "bell202": (1200, 2200)}[home.caller_id.standard]
    assert taken.mark_hz == pytest.approx(mark, abs=2)
    assert taken.space_hz == pytest.approx(space, rel=0.01)
    assert taken.baud == pytest.approx(1200, rel=0.01)
    assert taken.seizure_ms == pytest.approx(300 / 1.2, abs=2)
    assert taken.mark_ms == pytest.approx(180 / 1.2, abs=2)
    assert taken.checksum_right


@pytest.mark.parametrize("code", WITH_MODEM)
def test_the_message_holds_date_number_and_name(code: str) -> None:
    home = country.load(code)
    message = fsk.taken_apart(message_part(sent(home)), home.caller_id.standard).message
    fields = b"\x01\x0807140905" + b"\x02\x0a0142685300" + b"\x07\x08@@@@ Zoe"
    assert message == bytes((0x80, len(fields))) + fields


@pytest.mark.parametrize("code", WITH_MODEM)
@pytest.mark.parametrize("dbm0", [-14.0, -20.0, -9.5])
def test_the_level_is_the_one_that_is_set(code: str, dbm0: float) -> None:
    home = country.load(code)
    home = replace(home, caller_id=replace(home.caller_id, level_dbm0=dbm0))
    part = message_part(sent(home))
    # The seizure, and the mark: both frequencies.
    assert signals.level(part[80:1900]) == pytest.approx(dbm0, abs=0.5)
    assert signals.level(part[2100:3100]) == pytest.approx(dbm0, abs=0.5)


@pytest.mark.parametrize("code", WITH_MODEM)
def test_off_hook_there_is_no_seizure_and_80_bits_of_mark(code: str) -> None:
    home = country.load(code)
    raw = callerid.off_hook_message(home, "0142685300", "@@@@ Zoé", WHEN)
    assert raw is not None
    taken = fsk.taken_apart(signals.samples(raw), home.caller_id.standard)
    assert taken.seizure_ms == 0
    assert taken.mark_ms == pytest.approx(80 / 1.2, abs=2)
    assert taken.checksum_right
    assert taken.message == call_message("0142685300", "@@@@ Zoé", WHEN, None)


@pytest.mark.parametrize("code", country.codes())
def test_the_alerting_signals(code: str) -> None:
    home = country.load(code)
    on_hook = signals.samples(callerid.alerting(home.caller_id, "dt-as"))
    off_hook = signals.samples(callerid.cas(home))
    for sound, least, most, dbm0 in ((on_hook, 88, 113, -13), (off_hook, 75, 85, -15)):
        [(start, end)] = loud(sound)
        assert start < 2
        assert least <= end - start <= most
        inside = sound[40 : round(end * 8) - 40]
        found = signals.peaks(inside, 2, apart_hz=100)
        assert [hertz for hertz, _ in found] == pytest.approx(ALERT, rel=0.005)
        assert [level for _, level in found] == pytest.approx([dbm0] * 2, abs=0.3)


@pytest.mark.parametrize("code", country.codes())
def test_the_call_waiting_tone_sounds_once(code: str) -> None:
    sound = signals.samples(callerid.sas(country.load(code)))
    bursts = {"BE": 2, "CH": 2, "DE": 2, "ES": 2, "IT": 3}.get(code, 1)
    assert len(signals.bursts(sound)) == bursts
    assert len(sound) < 8000 * 1.1
    pitch = 1400 if code == "BE" else {"FR": 440, "US": 440, "UK": 400}.get(code, 425)
    length = signals.bursts(sound)[0][1]
    [(hertz, _)] = signals.peaks(sound[40 : round(length * 8) - 40], 1)
    assert hertz == pytest.approx(pitch, abs=1)


def test_belgium_has_no_message_off_hook_and_no_lamp() -> None:
    home = country.load("BE")
    assert callerid.off_hook_message(home, "17", None, WHEN) is None
    assert message_waiting.transmission(home, 3, WHEN) is None


# --- timing: steps and samples together --------------------------------------------------------------------


def happened(home: Country, alert: str | None = None) -> tuple[list[tuple[float, RingStep]], list[tuple[float, float]]]:
    """The ringer's steps of the first ten seconds, and what sounds on the line, both in ms from the first step."""
    if alert is not None:
        changed = {"alert": alert, "waiting_alert": "dt-as"}
        home = replace(home, caller_id=replace(home.caller_id, **changed))  # type: ignore[arg-type]
    sound = signals.samples(callerid.transmission(home, "0142685300", "Zoé", WHEN))
    ringer = Ringer(home.ring, home.caller_id)
    steps = [(0.0, step) for step in ringer.start(0.0, "normal", len(sound) / 8)]
    while (due := ringer.next_deadline()) is not None and due < 10:
        steps += [(1000 * due, step) for step in ringer.tick(due)]
    began = next(at for at, step in steps if step == CallerIdDue())
    return steps, [(began + start, began + end) for start, end in loud(sound)]


def moments(steps: list[tuple[float, RingStep]], kind: type[RingStep]) -> list[float]:
    return [at for at, step in steps if isinstance(step, kind)]


@pytest.mark.parametrize("code", ["FR", "DE", "CH", "ES", "IT", "US"])
def test_after_the_first_ring_and_before_the_second(code: str) -> None:
    home = country.load(code)
    steps, [(begins, ends)] = happened(home)
    first_off, second_on = moments(steps, RingOff)[0], moments(steps, RingOn)[1]
    assert first_off == pytest.approx(home.ring.cadence_ms[0], abs=1)
    assert begins - first_off == pytest.approx(600, abs=5)
    assert second_on - ends >= 200


def test_belgian_digits_fit_between_the_first_two_rings() -> None:
    home = country.load("BE")
    steps, _ = happened(home)
    digits = signals.samples(callerid.transmission(home, "0142685300", None, WHEN))
    heard = signals.bursts(digits)
    assert len(heard) == 12
    assert [length for _, length in heard] == pytest.approx([70] * 12, abs=4)
    due = moments(steps, CallerIdDue)[0]
    assert due - moments(steps, RingOff)[0] == pytest.approx(600, abs=1)
    assert moments(steps, RingOn)[1] - (due + heard[-1][0] + heard[-1][1]) >= 200


def test_in_britain_reversal_300_ms_alert_150_ms_message_400_ms_ring() -> None:
    steps, [(alert, alert_ends), (begins, ends)] = happened(country.load("UK"))
    reversal, back = moments(steps, Polarity)
    assert alert - reversal == pytest.approx(300, abs=5)
    assert 88 <= alert_ends - alert <= 114
    assert begins - alert_ends == pytest.approx(150, abs=5)
    # Ten bits of mark end the message.
    assert moments(steps, RingOn)[0] - ends == pytest.approx(400, abs=12)
    assert ends < back < moments(steps, RingOn)[0]


@pytest.mark.parametrize("alert", ["dt-as", "ring-pulse", "reversal-dt-as"])
def test_any_country_may_be_told_before_its_first_ring(alert: str) -> None:
    steps, sounds = happened(country.load("FR"), alert)
    begins, ends = sounds[-1]
    if alert == "ring-pulse":
        assert len(sounds) == 1
        on, off = moments(steps, RingOn), moments(steps, RingOff)
        assert 200 <= off[0] - on[0] <= 300
        assert 500 <= begins - off[0] <= 800
        first = on[1]
    else:
        assert 45 <= begins - sounds[0][1] <= 500
        first = moments(steps, RingOn)[0]
    assert 200 <= first - ends <= 500


# --- messages that wait ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", WITH_MODEM)
@pytest.mark.parametrize("count", [0, 3, None])
def test_the_lamp(code: str, count: int | None) -> None:
    home = country.load(code)
    raw = message_waiting.transmission(home, count, WHEN)
    assert raw is not None
    sound = signals.samples(raw)
    parts = loud(sound)
    if code == "US":
        assert len(parts) == 1
    else:  # an alerting signal first
        assert [hz for hz, _ in signals.peaks(sound[40:680], 2, apart_hz=100)] == pytest.approx(ALERT, rel=0.005)
        assert 45 <= parts[1][0] - parts[0][1] <= 500
    taken = fsk.taken_apart(message_part(sound), home.caller_id.standard)
    lamp = b"\x0b\x01" + (b"\x00" if count == 0 else b"\xff")
    if code == "US":
        assert taken.message == b"\x82\x03" + lamp
        return
    fields = b"\x01\x0807140905" + lamp + b"\x11\x01\x81" + (b"" if count is None else bytes((0x13, 1, count)))
    assert taken.message == bytes((0x82, len(fields))) + fields


def test_the_single_data_lamp_says_it_three_times() -> None:
    assert waiting_message(1, WHEN, form="sdmf") == b"\x06\x03BBB"
    assert waiting_message(0, WHEN, form="sdmf") == b"\x06\x03ooo"


# --- heard again: signals of plain mathematics ------------------------------------------------------------------


def understood(sound: signals.Samples, standard: str) -> list[callerid.Message]:
    decoder = callerid.Decoder(standard)
    padded = signals.pcm(np.concatenate([signals.silence(0.1), sound, signals.silence(0.3)]))
    return [message for frame in signals.frames(padded) for message in decoder.hear(frame)]


@pytest.mark.parametrize("standard", sorted(fsk.TONES))
@pytest.mark.parametrize("off", [0.985, 1.0, 1.015])
@pytest.mark.parametrize("baud", [1188.0, 1212.0])
@pytest.mark.parametrize("dbm0", [-28.0, -6.0])
def test_foreign_modems_within_their_tolerance_are_heard(standard: str, off: float, baud: float, dbm0: float) -> None:
    raw = call_message("0142685300", "Zoé", WHEN, None, Extras(redirecting="0612345678"))
    sound = fsk.modulated(raw, standard, off=off, baud=baud, dbm0=dbm0)
    sound += signals.noise(len(sound) / 8000 + 0.01, dbm0 - 25)[: len(sound)]
    [message] = understood(sound, standard)
    assert isinstance(message, callerid.CallerIdMessage)
    assert (message.number, message.name, message.redirecting) == ("0142685300", "Zoe", "0612345678")


def test_a_wrong_checksum_is_not_shown() -> None:
    raw = bytearray(call_message("0142685300", "Zoé", WHEN, None))
    right = fsk.modulated(bytes(raw), "v23")
    raw[12] ^= 1  # the modulator computes its checksum anew: damage the signal of the right one instead
    wrong = fsk.modulated(bytes(raw), "v23")
    damaged = np.concatenate([wrong[:5000], right[5000:]])
    assert understood(right, "v23")
    assert understood(damaged, "v23") == []
