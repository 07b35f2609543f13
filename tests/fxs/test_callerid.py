from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Literal, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.fxs import callerid, callerid_message, country, dtmf, message_waiting
from firmware.fxs.callerid import CallerIdMessage
from firmware.fxs.callerid_message import NO_EXTRAS, Extras, WaitingMessage, call_message, waiting_message
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


# --- more to tell -----------------------------------------------------------------------------------------


def shown_by(raw: bytes) -> callerid.Message | None:
    return callerid_message.parse_message(raw)


def test_a_forwarded_call_tells_who_forwarded_it_and_what_was_dialled() -> None:
    extras = Extras(redirecting="01 42 68 53 00", called="0199000001", call_type="voice")
    raw = call_message("0612345678", "Zoé", WHEN, None, extras)
    wanted = CallerIdMessage(
        "0612345678", "Zoe", "07-14T09:05", redirecting="0142685300", called="0199000001", call_type="voice"
    )
    assert shown_by(raw) == wanted
    assert heard(signals.samples(callerid.encode("v23", "0612345678", "Zoé", WHEN, None, extras))) == [wanted]


@pytest.mark.parametrize("why", ["O", "P"])
def test_a_name_may_be_absent_where_the_number_is_not(why: str) -> None:
    message = shown_by(call_message("17", None, WHEN, None, Extras(name_absence=why)))
    assert message == CallerIdMessage("17", None, "07-14T09:05", None, why)


@pytest.mark.parametrize("standard", FSK)
@pytest.mark.parametrize("absence", [None, "O", "P"])
def test_the_single_data_form_has_date_and_number_or_a_reason(standard: str, absence: str | None) -> None:
    number = None if absence else "5551212"
    sound = signals.samples(callerid.encode(standard, number, "Zoé", WHEN, absence, form="sdmf"))
    assert heard(sound, standard) == [CallerIdMessage(number, None, "07-14T09:05", absence)]
    assert call_message("5551212", None, WHEN, None, form="sdmf") == b"\x04\x0f071409055551212"


def test_a_call_type_nobody_named_is_shown_by_its_number() -> None:
    message = shown_by(b"\x80\x03\x11\x01\x55")
    assert isinstance(message, CallerIdMessage)
    assert message.call_type == "0x55"


def test_the_number_first_called_is_understood_in_its_newer_place_too() -> None:
    message = shown_by(b"\x80\x04\x12\x0217")
    assert isinstance(message, CallerIdMessage)
    assert message.called == "17"


def test_american_names_are_cut_to_what_american_displays_have() -> None:
    sound = signals.samples(callerid.transmission(country.load("US"), "5551212", "A name of more letters", WHEN))
    assert heard(sound, "bell202")[0].name == "A name of more"


@pytest.mark.parametrize(
    ("extras", "what"),
    [
        (Extras(call_type="chat"), "call type 'chat' is not known; known are voice"),
        (Extras(redirecting="home"), "redirecting number 'home'"),
        (Extras(called=""), "called number ''"),
        (Extras(name_absence="X"), "reason of absence 'X'"),
    ],
)
def test_what_cannot_be_told_is_refused(extras: Extras, what: str) -> None:
    with pytest.raises(ValueError, match=re.escape(what)):
        call_message("17", None, WHEN, None, extras)


def test_the_longest_message_still_fits_its_length_byte_and_a_modem() -> None:
    extras = Extras(redirecting="1" * 20, called="2" * 20, call_type="ring-back", name_absence="O")
    sound = signals.samples(callerid.encode("v23", "0" * 20, "N" * 80, WHEN, None, extras))
    [message] = heard(sound)
    assert (message.number, message.name, message.called) == ("0" * 20, "N" * 50, "2" * 20)
    assert len(sound) / 8 < 1700


# --- digits -----------------------------------------------------------------------------------------------


def digits_of(end: str, number: str | None, absence: str | None = None, extras: Extras = NO_EXTRAS) -> str:
    home = country.load("BE")
    home = replace(home, caller_id=replace(home.caller_id, dtmf_end=cast("Literal['C', '#']", end)))
    pcm = callerid.transmission(home, number, None, WHEN, absence, extras)
    return "".join(span.digit for span in dtmf.measure(pcm))


def test_belgian_and_danish_digits_as_their_telephones_expect_them() -> None:
    assert digits_of("C", "+32 2 123 45 67") == "A003221234567C"
    assert digits_of("C", "17", extras=Extras(redirecting="112")) == "A17D112C"
    assert digits_of("C", None) == "B00C"
    assert digits_of("C", None, "P") == "B10C"
    assert digits_of("#", "17") == "A17#"
    assert digits_of("#", None) == "D3#"
    assert digits_of("#", None, "P") == "D1#"


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("A17C", CallerIdMessage("17")),
        ("A17D112C", CallerIdMessage("17", redirecting="112")),
        ("A17#", CallerIdMessage("17")),
        ("D17C", CallerIdMessage("17")),
        ("D1#", CallerIdMessage(absence="P")),
        ("D3#", CallerIdMessage(absence="O")),
        ("B10C", CallerIdMessage(absence="P")),
        ("B00C", CallerIdMessage(absence="O")),
        ("17#", None),
        ("C", None),
        ("AC", None),
    ],
)
def test_digit_sequences_of_other_makers_are_understood(keys: str, shown: CallerIdMessage | None) -> None:
    assert heard(signals.dialled(keys, 60, 60), "dtmf") == ([shown] if shown else [])


# --- waiting messages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 255, None])
def test_what_a_mailbox_says_is_understood(count: int | None) -> None:
    sound = signals.samples(message_waiting.transmission(country.load("FR"), count, WHEN, "3103") or b"")
    decoder = callerid.Decoder("v23")
    padded = signals.pcm(np.concatenate([sound, signals.silence(0.3)]))
    found = [message for frame in signals.frames(padded) for message in decoder.hear(frame)]
    assert found == [WaitingMessage(count != 0, count, "07-14T09:05", "3103")]


def test_a_lamp_message_is_no_caller() -> None:
    assert callerid.parse(waiting_message(2, WHEN)) is None
    assert heard(signals.samples(message_waiting.transmission(country.load("FR"), 2, WHEN) or b"")) == []


@pytest.mark.parametrize("body", [b"BBb", b"", b"BB", b"BBBB"])
def test_a_lamp_that_says_neither_on_nor_off_is_nothing(body: bytes) -> None:
    assert shown_by(bytes((0x06, len(body))) + body) is None


def test_a_count_alone_lights_the_lamp_and_nothing_at_all_does_not() -> None:
    assert shown_by(b"\x82\x03\x13\x01\x02") == WaitingMessage(waiting=True, count=2)
    assert shown_by(b"\x82\x03\x13\x01\x00") == WaitingMessage(waiting=False, count=0)
    assert shown_by(b"\x82\x0a\x01\x0807140905") is None


@pytest.mark.parametrize("count", [-1, 256])
def test_more_messages_than_a_byte_holds_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="wanted 0 to 255"):
        waiting_message(count, WHEN)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Γιώργος Παπαδόπουλος", "Giorgos Papadopoulos"),
        ("ΟΥΡΑΝΟΣ Θεός ψυχή", "OURANOS Theos psychi"),
        ("Щука ЩУКА Алексей Ёлкин", "Shchuka SHCHUKA Aleksei Elkin"),
        ("Київ Їжак", "Kiiv Izhak"),
        ("Љубав Џорџ", "Ljubav Dzordz"),
        ("İstanbul Işık Ğ", "Istanbul Isik G"),
        ("Þór Ðe", "Thor De"),
        ("e\u0301te\u0301", "ete"),
        ("", ""),
    ],
)
def test_names_in_other_alphabets_are_written_in_latin_letters(name: str, shown: str) -> None:
    assert callerid.displayable(name) == shown


@given(st.text(max_size=200), st.integers(1, 60))
def test_any_name_becomes_printable_ascii_of_bounded_length(name: str, longest: int) -> None:
    shown = callerid.displayable(name, longest)
    assert len(shown) <= longest
    assert all(" " <= letter <= "~" for letter in shown)
    assert shown == shown.strip()
