from __future__ import annotations

import dataclasses
from importlib import resources

import pytest

from firmware.fxs import country

FR_TOML = resources.files("firmware.fxs").joinpath("countries", "fr.toml").read_text("utf-8")


def refused(text: str) -> str:
    with pytest.raises(country.CountryError) as caught:
        country.parse(text, "fr.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_eight_countries_load() -> None:
    assert country.codes() == ("BE", "CH", "DE", "ES", "FR", "IT", "UK", "US")
    for code in country.codes():
        assert country.load(code).code == code


def test_france() -> None:
    france = country.load("fr")
    assert france.ring.frequency_hz == 50
    assert france.ring.cadence_ms == (1500, 3500)
    assert france.caller_id.delay_ms == 600
    assert not france.caller_id.before_ring
    assert france.caller_id.standard == "v23"
    assert france.flash_ms == (90, 600)
    assert france.tones["ringback"].level_dbm0 == -8


def test_what_comes_before_the_ring_is_within_the_standard() -> None:
    # ETSI EN 300 659-1: FSK 500 to 2000 ms after the first ring and 200 before the second; 45 to 500 ms after a
    # DT-AS of 88 to 110; 500 to 800 after a ring pulse of 200 to 300; ring 200 to 500 after FSK; reversal 100 before.
    for code in country.codes():
        spec = country.load(code).caller_id
        assert 500 <= spec.delay_ms <= 2000
        assert spec.guard_ms >= 200
        assert 88 <= spec.alert_ms <= 110
        assert 45 <= spec.alert_gap_ms <= 500
        assert 200 <= spec.pulse_ms <= 300
        assert 500 <= spec.pulse_gap_ms <= 800
        assert 200 <= spec.lead_ms <= 500
        assert spec.reversal_ms >= 100
        assert 75 <= spec.cas_ms <= 85
        assert (spec.seizure_bits, spec.mark_bits, spec.off_hook_mark_bits) == (300, 180, 80)
        assert spec.level_dbm0 == -14


def test_who_is_told_when() -> None:
    told = {
        code: (country.load(code).caller_id.standard, country.load(code).caller_id.alert) for code in country.codes()
    }
    etsi = ("v23", "ring")
    assert told == {
        **dict.fromkeys(("FR", "DE", "CH", "ES", "IT"), etsi),
        "UK": ("v23", "reversal-dt-as"),
        "US": ("bell202", "ring"),
        "BE": ("dtmf", "ring"),
    }


def test_an_unknown_country_is_told_with_the_known_ones() -> None:
    with pytest.raises(country.CountryError, match="country 'ZZ' is not known; known are BE, CH"):
        country.load("ZZ")


def test_a_path_is_no_country() -> None:
    with pytest.raises(country.CountryError, match="is not known"):
        country.load("../countries/fr")


def test_countries_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        country.load("FR").code = "XX"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "key", "what"),
    [
        ("frequency_hz = 50", "frequency_hz = 500", "ring", "10 to 70 Hz"),
        ("frequency_hz = 50", 'frequency_hz = "fast"', "ring.frequency_hz", "valid number"),
        ("cadence_ms = [1500, 3500]  #", "cadence_ms = [1500]  #", "ring", "pairs of on and off"),
        ("flash_ms = [90, 600]", "flash_ms = [600, 90]", "whole file", "two rising values"),
        ('standard = "v23"', 'standard = "v24"', "caller_id.standard", "'v23', 'bell202' or 'dtmf'"),
        ('loop = "440/500, 0/500"', 'loop = "440/fast"', "tones.busy", "'fast' is not a number of milliseconds"),
        ('loop = "440/500, 0/500"', 'loop = "La/500"', "tones.busy", "'La' is not a frequency"),
        ('loop = "440/500, 0/500"', 'loop = "4400/500"', "tones.busy", "4400 Hz is above 3800 Hz"),
        ('loop = "440/500, 0/500"', 'loop = "440, 0/500"', "tones.busy", "only the last segment"),
        ('loop = "440/500, 0/500"', 'loop = ""', "tones.busy", "the loop is empty"),
        ('loop = "440/500, 0/500"', 'loop = "440/0, 0/500"', "tones.busy", "0 ms is not between"),
        ('alert = "ring" ', 'alert = "bell" ', "caller_id.alert", "'ring-pulse'"),
        ('waiting_alert = "dt-as"', 'waiting_alert = "ring"', "caller_id", "rings nobody"),
        ("pulse_ms = 250", "pulse_ms = 5", "caller_id", "pulse_ms 5: wanted 40 to 3000"),
        ("level_dbm0 = -14", "level_dbm0 = 14", "caller_id", "wanted -30 to 0"),
        ("[tones.busy]", "[tones.buzy]", "whole file", "missing ['busy'], unknown ['buzy']"),
        ("first_digit_s = 20.0", "first_digit = 20.0", "timeouts.first_digit", "Unexpected keyword"),
    ],
)
def test_a_wrong_figure_is_refused_with_file_key_and_reason(old: str, new: str, key: str, what: str) -> None:
    assert old in FR_TOML
    message = refused(FR_TOML.replace(old, new))
    assert message.startswith("fr.toml: ")
    assert key in message
    assert what in message


def test_broken_toml_is_refused_with_its_line() -> None:
    assert "line 2" in refused("code = 'FR'\nname = =")


def test_segments_are_read_as_written() -> None:
    first, second = country.parse_segments("350@-22+440/400, 0/200", -18)
    assert first == country.Segment((country.Component(350, -22.0), country.Component(440, -18.0)), 400)
    assert second == country.Segment((), 200)
    assert country.parse_segments("440", -10) == (country.Segment((country.Component(440, -10.0),), None),)
