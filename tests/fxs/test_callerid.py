from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs import callerid, country
from firmware.fxs.callerid import CallerIdMessage
from firmware.fxs.dsp import spandsp
from tests.fakes import signals

WHEN = datetime(2026, 7, 14, 9, 5)  # noqa: DTZ001 - the telephone's wall clock
FSK = ("v23", "bell202")
SHOWN = CallerIdMessage("0142685300", "Zoe Loeb", "07-14T09:05")


def heard(sound: signals.Samples, standard: str = "v23") -> list[CallerIdMessage]:
    decoder = callerid.Decoder(standard)
    # The last bits come out of the modem's filters under the silence that follows.
    padded = signals.pcm(np.concatenate([sound, signals.silence(0.2)]))
    return [message for frame in signals.frames(padded) if (message := decoder.feed(frame)) is not None]


def sent(standard: str = "v23", number: str | None = "0142685300", name: str | None = "Zoé Lœb") -> signals.Samples:
    return signals.samples(callerid.encode(standard, number, name, WHEN))


@pytest.mark.parametrize("standard", FSK)
def test_number_name_and_time_arrive(standard: str) -> None:
    assert heard(sent(standard), standard) == [SHOWN]


@pytest.mark.parametrize(("standard", "mark", "space"), [("v23", 1300, 2100), ("bell202", 1200, 2200)])
def test_mark_and_space_are_the_standard_s(standard: str, mark: float, space: float) -> None:
    # Decoding proves nothing here: each receiver also understands the other's modem.
    sound = sent(standard)
    marks = sound[int((300 / 1200 + 0.02) * 8000) : int((480 / 1200 - 0.02) * 8000)]
    [(hertz, dbm0)] = signals.peaks(marks, 1)
    assert hertz == pytest.approx(mark, abs=2)
    assert -17 < dbm0 < -11
    # A body of zeros is nine spaces in ten bits: long stretches of the space frequency.
    adsi = {"v23": spandsp.ADSI_V23, "bell202": spandsp.ADSI_BELL202}[standard]
    zeros = signals.samples(spandsp.adsi_modulate(adsi, bytes((0x80, 60)) + bytes(60), 300, 180))
    part = zeros[int(510 / 1200 * 8000) : int(1000 / 1200 * 8000)]
    analytic = np.fft.ifft(np.fft.fft(part) * np.where(np.arange(len(part)) < len(part) // 2, 2, 0))
    instantaneous = np.diff(np.unwrap(np.angle(analytic))) * 8000 / (2 * np.pi)
    assert np.median(instantaneous) == pytest.approx(space, abs=15)


def test_seizure_and_mark_last_as_etsi_asks() -> None:
    sound = sent()
    [(start, length)] = signals.bursts(sound)
    assert start < 2
    bits = 300 + 180 + 10 + 10 * (3 + (2 + 8) + (2 + 10) + (2 + 8))
    assert length == pytest.approx(bits / 1.2, abs=12)


def test_a_french_message_fits_between_two_rings() -> None:
    ring = country.load("FR").ring
    longest = callerid.encode("v23", "0" * 20, "N" * 50, WHEN)
    silence_ms = ring.cadence_ms[1] - country.load("FR").caller_id.delay_ms
    assert len(longest) / 16 <= silence_ms - 200


@pytest.mark.parametrize("standard", FSK)
@pytest.mark.parametrize(("ratio_db", "least"), [(30, 20), (20, 20), (14, 19)])
def test_messages_in_noise(standard: str, ratio_db: float, least: int) -> None:
    sound = sent(standard)
    power = signals.level(sound)
    right = 0
    for seed in range(20):
        noise = signals.noise(len(sound) / 8000 + 0.001, power - ratio_db, seed)[: len(sound)]
        right += heard(sound + noise, standard) == [SHOWN]
    assert right >= least


@pytest.mark.parametrize("gain_db", [-15, -10, 5])
def test_messages_at_other_levels(gain_db: float) -> None:
    assert heard(sent() * 10 ** (gain_db / 20)) == [SHOWN]


def test_a_damaged_message_is_not_shown() -> None:
    sound = sent()
    sound[4500:4700] = 0
    assert heard(sound) == []


@pytest.mark.parametrize("absence", ["O", "P"])
def test_an_absent_number_tells_why(absence: str) -> None:
    sound = signals.samples(callerid.encode("v23", None, None, WHEN, absence))
    assert heard(sound) == [CallerIdMessage(None, None, "07-14T09:05", absence, absence)]


def test_a_name_without_number_keeps_both_facts() -> None:
    sound = signals.samples(callerid.encode("v23", None, "Standard", WHEN, "P"))
    assert heard(sound) == [CallerIdMessage(None, "Standard", "07-14T09:05", "P")]


def test_without_number_or_reason_it_is_not_available() -> None:
    [message] = heard(signals.samples(callerid.encode("v23", None, None, WHEN)))
    assert message.absence == "O"


def test_two_messages_in_a_row_both_arrive() -> None:
    both = np.concatenate([sent(), signals.silence(3), sent(number="17")])
    assert [message.number for message in heard(both)] == ["0142685300", "17"]


def test_belgian_digits() -> None:
    assert heard(sent("dtmf"), "dtmf") == [CallerIdMessage(number="0142685300")]
    withheld = signals.samples(callerid.encode("dtmf", None, None, WHEN, "P"))
    assert heard(withheld, "dtmf") == [CallerIdMessage(absence="P")]


def test_a_digit_sequence_left_unfinished_is_forgotten() -> None:
    sound = np.concatenate([signals.dialled("A012", 70, 70), signals.silence(6), signals.dialled("3C", 70, 70)])
    assert heard(sound, "dtmf") == []


def test_the_british_transmission_begins_with_the_alerting_signal() -> None:
    sound = signals.samples(callerid.transmission(country.load("UK"), "02079460000", None, WHEN))
    alert, gap = sound[40:840], sound[910:2070]
    assert [hertz for hertz, _ in signals.peaks(alert, 2, apart_hz=100)] == pytest.approx([2130, 2750], abs=2)
    assert not gap.any()
    assert [message.number for message in heard(sound)] == ["02079460000"]


def test_the_french_transmission_is_the_message_alone() -> None:
    assert callerid.transmission(country.load("FR"), "17", None, WHEN) == callerid.encode("v23", "17", None, WHEN)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Éléonore D’Aubigné", "Eleonore D'Aubigne"),
        ("Œuvre & Cœur", "OEuvre & Coeur"),
        ("Straße", "Strasse"),
        ("  Ça\n va  ", "Ca va"),
        ("日本 Tokyo", "Tokyo"),
        ("x" * 80, "x" * 50),
        ("Łódź", "Lodz"),
    ],
)
def test_names_are_shown_in_ascii(name: str, shown: str) -> None:
    assert callerid.displayable(name) == shown


def test_a_name_that_no_display_can_show_is_left_out() -> None:
    assert heard(sent(name="日本")) == [CallerIdMessage("0142685300", None, "07-14T09:05")]


def test_numbers_lose_their_spaces() -> None:
    assert heard(sent(number="01 42 68 53 00"))[0].number == "0142685300"


@pytest.mark.parametrize("number", ["", "anonymous", "1" * 21, "01\x00"])
def test_a_number_that_cannot_be_shown_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="wanted 1 to 20 of"):
        callerid.encode("v23", number, None, WHEN)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="'v22' is not known; known are v23"):
        callerid.encode("v22", "1", None, WHEN)
    with pytest.raises(ValueError, match="'v22' is not known"):
        callerid.Decoder("v22")
    with pytest.raises(ValueError, match="reason of absence 'Q'"):
        callerid.encode("v23", None, None, WHEN, "Q")


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_no_message_breaks_the_parser(raw: bytes) -> None:
    callerid.parse(raw)


@given(
    number=st.none() | st.text("0123456789*#+", min_size=1, max_size=20),
    name=st.none() | st.text(max_size=70),
    when=st.datetimes(),
    absence=st.sampled_from([None, "O", "P"]),
)
def test_what_is_encoded_is_what_is_shown(
    number: str | None, name: str | None, when: datetime, absence: str | None
) -> None:
    shown = callerid.parse(callerid.message(number, name, when, absence))
    assert shown is not None
    assert shown.number == number
    assert shown.name == ((callerid.displayable(name) or None) if name else None)
    assert shown.time == when.strftime("%m-%dT%H:%M")
    assert shown.absence == ((absence or "O") if number is None else None)


def test_the_older_single_message_is_understood() -> None:
    body = b"07140905" + b"5551212"
    assert callerid.parse(bytes((4, len(body))) + body) == CallerIdMessage("5551212", None, "07-14T09:05")
    assert callerid.parse(bytes((4, 9)) + b"07140905P") == CallerIdMessage(None, None, "07-14T09:05", "P")
