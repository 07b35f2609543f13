"""Which ring a call gets: callers before Alert-Info before the account before the line; nothing hostile rings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.accounts import ring_rules, without_rings
from firmware.config import AccountSettings, ConfigError, Settings, with_setting
from firmware.fxs import country
from firmware.telephony.ringing import (
    MAX_ALERT_INFO,
    MAX_CALLERS,
    PATTERNS,
    CallerRule,
    RingRules,
    of_alert_info,
    parse_rule,
)

MAMIE = ("+33142685300", "0142685300")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("<http://127.0.0.1/Bellcore-dr1>", "dr1"),
        ("<http://127.0.0.1/Bellcore-dr8>", "dr8"),
        ("Bellcore-r3", "dr3"),
        ("<file://bellcore-DR5>;x=y", "dr5"),
        ("<http://www.example.com>;info=Ring2", "dr2"),
        (";info=ring-7", "dr7"),
        ('<sip:a@b>;info="Ring4"', "dr4"),
        ("info=alert-external;x-line-id=0", "dr1"),
        ("info=alert-internal;x-line-id=0", "dr2"),
        ("<http://x>;info=alert-group;x-line-id=0", "dr3"),
        ("<urn:alert:source:internal>", "dr2"),
        ("<urn:alert:source:external@example.com>", "dr1"),
        ("<URN:ALERT:SERVICE:RECALL:TRANSFER>", "dr5"),
        ("<urn:alert:priority:high>", "dr3"),
        ("<urn:alert:service:normal>", "normal"),
        ("<urn:alert:locale:country:fr>, <urn:alert:source:friend>", "dr6"),
        ("<http://a/Bellcore-dr9>, <http://a/Bellcore-dr2>", "dr2"),
    ],
)
def test_the_languages_of_alert_info_are_understood(text: str, pattern: str) -> None:
    assert of_alert_info(text) == pattern


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<http://evil.example/ring.wav>",
        "Bellcore-dr0",
        "Bellcore-dr9",
        "Bellcore-dr00000001",
        "Bellcore-dr-1",
        "Bellcore-dr²",
        "xbellcore-dr2",
        "info=alert-nobody",
        "info=Ring",
        "noinfo=Ring2",
        "urn:alert:source",
        "urn:alert:",
        "urn:alert:service:",
        "urn:alert:nonsense:internal",
        "dr2",
        "../../etc/passwd;info=../dr2",
        " " * MAX_ALERT_INFO + "Bellcore-dr2",
    ],
)
def test_what_is_none_of_them_asks_for_nothing(text: str) -> None:
    assert of_alert_info(text) is None


@given(st.text(max_size=600))
def test_no_text_makes_it_stumble_and_no_ring_is_invented(text: str) -> None:
    assert of_alert_info(text) in {None, *PATTERNS}


@pytest.mark.parametrize(
    "piece", ["info=", "info= ", 'info="', "urn:alert:", "urn:alert:a:", "bellcore-", "Bellcore-dr1x"]
)
def test_repeated_beginnings_cost_no_more_than_their_length(piece: str) -> None:
    began = time.process_time()
    for _ in range(100):
        of_alert_info(piece * (1 << 14))
    assert time.process_time() - began < 2  # a square of the length would take minutes


def test_the_callers_ring_beats_alert_info_beats_the_accounts_beats_the_lines() -> None:
    rules = RingRules((parse_rule("0142685300=dr4"),), {"home": "dr3", "work": "normal", "spare": ""}, "dr1")
    ask = "<http://127.0.0.1/Bellcore-dr2>"
    assert rules.choose(MAMIE, account="home", alert_info=ask) == "dr4"
    assert rules.choose(("+33612345678",), account="home", alert_info=ask) == "dr2"
    assert rules.choose(("+33612345678",), account="home", alert_info="nonsense") == "dr3"
    assert rules.choose(("+33612345678",), account="work") == "normal"
    assert rules.choose(("+33612345678",), account="spare") == "dr1"
    assert RingRules().choose(MAMIE, account="home") == "normal"


def test_a_household_may_turn_a_deaf_ear_to_alert_info() -> None:
    assert RingRules(obey_alert_info=False).choose(MAMIE, alert_info="Bellcore-dr2") == "normal"


@pytest.mark.parametrize(
    "written", ["0142685300", "+33142685300", "0033142685300", "01 42 68 53 00", "+33 1.42-68(53)00"]
)
def test_a_caller_may_be_written_in_every_form(written: str) -> None:
    assert RingRules((parse_rule(f"{written}=dr2"),)).choose(MAMIE) == "dr2"


def test_a_whole_number_beats_a_longer_prefix_beats_a_shorter_one() -> None:
    rules = RingRules(tuple(map(parse_rule, ["01*=dr1", "0142*=dr2", "+3314268530*=dr3", "0142685300=dr4"])))
    assert rules.choose(MAMIE) == "dr4"
    assert rules.choose(("+33142685301", "0142685301")) == "dr3"
    assert rules.choose(("+33142999999", "0142999999")) == "dr2"
    assert rules.choose(("+33199999999", "0199999999")) == "dr1"
    assert rules.choose(("+33299999999", "0299999999")) == "normal"
    assert rules.choose(("0142",)) == "dr2"  # a prefix is also itself; a number within it is not
    assert RingRules((parse_rule("0142685300=dr4"),)).choose(("01426853001",)) == "normal"


def test_withheld_and_unknown_callers_have_rings_of_their_own() -> None:
    rules = RingRules(tuple(map(parse_rule, ["anonymous=dr2", "unknown=dr3"])))
    assert rules.choose((), withheld=True) == "dr2"
    assert rules.choose(()) == "dr3"
    assert rules.choose(MAMIE, withheld=True) == "normal"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0142685300", "NUMBER=RING"),
        ("0142685300=", "NUMBER=RING"),
        ("=dr2", "NUMBER=RING"),
        ("Mamie=dr2", "NUMBER=RING"),
        ("01*42=dr2", "NUMBER=RING"),
        ("0142685300=dr9", "dr8"),
        ("0142685300=wake", "dr8"),
        ("1" * 21 + "=dr1", "NUMBER=RING"),
        ("+=dr1", "NUMBER=RING"),
    ],
)
def test_a_rule_that_is_none_is_refused_in_words(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_rule(text)


def test_the_rules_are_settings_and_reach_the_switchboard() -> None:
    settings = with_setting(Settings(), "line.ring_callers", "0142*=dr2, anonymous=dr3")
    settings = with_setting(settings, "line.ring_pattern", "dr5")
    settings = with_setting(settings, "line.alert_info", "no")
    account = AccountSettings(name="home", server="a.example", user="u", ring_pattern="dr7")
    rules = ring_rules(settings.model_copy(update={"account": (account,)}))
    assert rules.callers == (CallerRule("0142", "dr2", prefix=True), CallerRule("anonymous", "dr3"))
    assert (rules.accounts, rules.line, rules.obey_alert_info) == ({"home": "dr7"}, "dr5", False)
    assert without_rings(settings.line) == without_rings(Settings().line)
    assert with_setting(settings, "line.ring_callers", "").line.ring_callers == ()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("line.ring_callers", "0142=dr9", "there is no ring 'dr9'"),
        ("line.ring_callers", "01*=dr1,01*=dr2", "named twice"),
        ("line.ring_callers", "0142=dr1,0142*=dr2,0142=dr3", "named twice"),
        ("line.ring_callers", ",".join(f"0{n}=dr1" for n in range(MAX_CALLERS + 1)), "at most 100"),
        ("line.ring_pattern", "loud", "dr8"),
        ("line.hang_up_guard_seconds", "600", "120"),
        ("line.polarity_reversal", "perhaps", "polarity_reversal"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_key(key: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        with_setting(Settings(), key, value)
    assert caught.value.where.startswith(key)


@pytest.mark.parametrize("code", country.codes())
def test_every_country_rings_all_that_may_be_chosen(code: str) -> None:
    patterns = country.load(code).ring.patterns
    assert {name for name in PATTERNS if name not in patterns} == {"normal"}
    assert patterns["dr1"] == country.load(code).ring.cadence_ms  # what Alert-Info calls an external call
    assert len({patterns[name] for name in PATTERNS[1:]}) == len(PATTERNS) - 1
