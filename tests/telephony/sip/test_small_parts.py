"""Slots, back-off, agenda, words: the small pure parts."""

from __future__ import annotations

import pytest

from firmware.telephony.agent import SipAccount
from firmware.telephony.sip import reasons
from firmware.telephony.sip.accounts import hosts_of, unusable
from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.retry import BackOff
from firmware.telephony.sip.slots import Holder, Verdict, decide, victim


def holders(*kinds: str) -> list[Holder]:
    return [Holder(n, emergency="e" in k, answered="a" in k, ending="x" in k) for n, k in enumerate(kinds)]


@pytest.mark.parametrize(
    ("held", "emergency", "verdict"),
    [
        (0, False, Verdict.TAKE),
        (2, False, Verdict.TAKE),
        (3, False, Verdict.REFUSE),
        (3, True, Verdict.TAKE),
        (4, True, Verdict.PREEMPT),
    ],
)
def test_the_last_of_four_slots_is_an_emergencys(held: int, emergency: bool, verdict: Verdict) -> None:  # noqa: FBT001
    assert decide(held, 4, emergency=emergency) is verdict


def test_who_gives_way_is_unanswered_then_youngest_and_never_an_emergency() -> None:
    assert victim(holders("a", "-", "a", "e")) == 1
    assert victim(holders("a", "a", "e")) == 1
    assert victim(holders("a", "-x", "e")) == 0
    assert victim(holders("e", "ea")) is None


def test_the_back_off_doubles_to_a_minute_within_its_jitter() -> None:
    low, high = BackOff(lambda: 0.0), BackOff(lambda: 0.999999)
    assert [round(low.failed()) for _ in range(6)] == [4, 8, 16, 32, 48, 48]
    assert [round(high.failed()) for _ in range(6)] == [6, 12, 24, 48, 72, 72]
    low.succeeded()
    assert round(low.failed()) == 4


def test_the_agenda_gives_what_is_due_once_and_the_latest_under_a_key() -> None:
    agenda, done = Agenda(), list[str]()
    agenda.at(2.0, "b", lambda: done.append("b"))
    agenda.at(1.0, "a", lambda: done.append("a, too early"))
    agenda.at(3.0, "a", lambda: done.append("a"))
    agenda.at(1.0, "c", lambda: done.append("c"))
    agenda.cancel("c")
    assert agenda.wait(0.0, 10.0) == 2.0
    for now in (1.5, 2.5, 3.5, 4.5):
        for action in agenda.due(now):
            action()
    assert done == ["b", "a"]
    assert agenda.wait(0.0, 1.0) == 1.0


@pytest.mark.parametrize(
    ("code", "phrase", "status", "local", "reason"),
    [
        (200, "OK", 0, False, reasons.REGISTERED),
        (401, "Unauthorized", 0, False, reasons.BAD_PASSWORD),
        (403, "Forbidden", 0, False, reasons.FORBIDDEN),
        (408, "Request Timeout", 0, True, reasons.NO_ANSWER),
        (503, "x", 120_101, True, reasons.NO_NETWORK),
        (503, "x", 120_111, True, reasons.REFUSED_CONNECTION),
        (503, "SSL certificate verification error", 171_173, True, reasons.TLS_UNTRUSTED),
        (502, "Host unresolved (PJ_ERESOLVE)", 70_018, True, reasons.NO_NAME),
        (488, "Not\u00a0here", 0, False, "the server answers 488 Not\u00a0here"),
    ],
)
def test_outcomes_in_words(code: int, phrase: str, status: int, local: bool, reason: str) -> None:  # noqa: FBT001
    assert reasons.of_registration(code, phrase, local=local, status=status) == reason


def test_what_the_stack_could_not_take_is_refused_before() -> None:
    good = SipAccount("home", "sip.example.org:5060", "bob", "pässword")
    assert unusable(good) == ""
    for server, user in [("a b", "bob"), ("x>;y", "bob"), ("x", "bo b"), ("x", "bob\r\nVia: x"), ("", "bob")]:
        assert unusable(SipAccount("home", server, user, "p")) == reasons.BAD_ACCOUNT
    assert unusable(SipAccount("home", "x", "bob", "p", display_name="a\nb")) == reasons.BAD_ACCOUNT
    assert hosts_of(SipAccount("h", "a:1", "b", "p", proxy="[::1]:2", trusted_hosts=("c",))) == ["a", "::1", "c"]
