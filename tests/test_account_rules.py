"""What a change of an account asks of the running stack: codecs that it has."""

from __future__ import annotations

import pytest

from firmware.account_rules import check_codecs, missing_codecs
from firmware.config import ConfigError, Settings, parse

WHEEL = ("iLBC", "GSM", "PCMU", "PCMA", "G722", "L16")


def with_codecs(*codecs: str) -> Settings:
    account = {"name": "home", "server": "sip.example.org", "user": "me", "codecs": list(codecs)}
    return parse({"account": [account]}, "settings")


def test_a_codec_that_the_stack_lacks_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ConfigError, match=r"account home: codecs: the SIP stack of this box has no opus") as caught:
        check_codecs(Settings(), with_codecs("opus", "PCMA"), WHEEL)
    assert "it has PCMA, PCMU, G722, iLBC" in str(caught.value)
    assert caught.value.where == "account.codecs"


def test_a_stack_that_has_it_takes_it_however_it_spells_it() -> None:
    check_codecs(Settings(), with_codecs("opus", "PCMA"), (*WHEEL, "Opus"))
    assert missing_codecs(with_codecs("opus"), (*WHEEL, "OPUS")) == []


def test_settings_from_another_box_stay_changeable_and_are_told() -> None:
    before = with_codecs("opus", "PCMA")
    check_codecs(before, with_codecs("opus", "PCMU"), WHEEL)
    assert missing_codecs(before, WHEEL) == [("home", ["opus"])]


def test_while_no_stack_runs_nothing_is_known_and_nothing_refused() -> None:
    check_codecs(Settings(), with_codecs("opus"), ())
