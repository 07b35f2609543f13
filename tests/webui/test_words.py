"""The page's words against what the core can say: nothing of it is left in English, or without words."""

from __future__ import annotations

from typing import Any, cast

import pytest
from flask import Flask

from firmware.service import AccountRow, ServiceError
from firmware.telephony.events import EndedBy
from firmware.telephony.sip import reasons
from firmware.webui import account_words, refusals, words
from tests.fakes.box_service import FakeBox, call_row, line_row, missed_row

NB = "\u00a0"
ENDS = [*(end.value for end in EndedBy), "interrupted"]
CORE_REASONS = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}


def account(**changes: object) -> AccountRow:
    box = FakeBox()
    row: dict[str, Any] = dict(box.add_account({"name": "OVH", "server": "sip.example.org", "user": "u"}))
    return cast("AccountRow", row | changes)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_end_of_a_call_has_words_of_its_own(app: Flask, language: str) -> None:
    with app.test_request_context("/", headers={"Accept-Language": language}):
        said = {end: words.call_end(call_row(1, end=end)) for end in ENDS}
    assert all(said.values())
    unlike = {word for end, word in said.items() if end != "caller"}
    assert len(unlike) == len(ENDS) - 1  # only both hang-ups are one word
    if language == "fr":
        assert said["elsewhere"] == "décroché ailleurs"
        assert not {word for end, word in said.items() if word == end}


def test_a_call_answered_elsewhere_is_not_missed(app: Flask) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        assert words.call_end(missed_row(1, end="elsewhere")) == "décroché ailleurs"
        assert not words.is_missed(missed_row(1, end="elsewhere"))
        for end in ENDS:
            if end != "elsewhere":
                assert words.call_end(missed_row(1, end=end)) == "manqué"


def test_every_reason_of_the_core_is_translated_and_none_is_invented(app: Flask) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        french = account_words.reason_table()
    with app.test_request_context("/", headers={"Accept-Language": "en"}):
        english = account_words.reason_table()
    assert set(french) == CORE_REASONS
    assert not [key for key in french if french[key] == english[key]]


def test_an_account_that_fails_says_why_in_french(app: Flask) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        for reason in CORE_REASONS:
            for code in (0, 401, 403, 408, 503):
                said = account_words.account_sentence(account(reason=reason, sip_code=code))
                assert reason not in said.heading + said.detail
                assert "Le serveur dit" not in said.detail
        odd = reasons.of_registration(488, "Not Acceptable Here", local=False)
        assert account_words.account_sentence(account(reason=odd, sip_code=488)).detail == (
            f"Le serveur répond{NB}: 488 Not Acceptable Here"
        )
        untrusted = account_words.account_sentence(account(reason=reasons.TLS_UNTRUSTED, sip_code=503))
        assert (untrusted.heading, untrusted.detail[:13]) == ("Pas connecté", "Le certificat")
        silent = account_words.account_sentence(account(reason=reasons.NO_ANSWER, sip_code=408))
        assert silent.heading == "Le fournisseur ne répond pas"
        own = account_words.account_sentence(account(reason="Go away", sip_code=488))
        assert own.detail == f"Le serveur dit{NB}: 488 Go away"


@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        ("account.0.server", 400, f"avec un port si besoin{NB}: sip.exemple.fr:5060"),
        ("account.3.user", 400, "Un identifiant n’a ni espace"),
        ("password", 400, "Tapez de nouveau le mot de passe"),
        ("name", 409, "Un compte porte déjà ce nom"),
        ("", 409, "supprimez-en un"),
        ("", 507, "carte mémoire"),
    ],
)
def test_what_the_core_refuses_of_an_account_is_french(app: Flask, where: str, status: int, said: str) -> None:
    error = ServiceError("settings: account.0.server: SOMETHING ENGLISH", status=status, where=where)
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        refusal = refusals.account_refusal(error)
    assert said in refusal.words
    assert refusal.core == ""


def test_only_where_nothing_better_is_known_the_cores_words_are_shown(app: Flask) -> None:
    error = ServiceError("colour: what is \u202ethis?", where="account.0.colour")
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        refusal = refusals.account_refusal(error)
        assert (refusal.words, refusal.core) == ("La box refuse cette demande.", "colour: what is this?")
    with app.test_request_context("/", headers={"Accept-Language": "en"}):
        assert refusals.account_refusal(error).words == "colour: what is this?"


def test_what_the_mail_worker_says_of_itself_is_french_on_the_log_page(app: Flask) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        told = [words.process_detail(detail) for detail in ("linked", "not linked", "paused", "http://\u202e127.0.0.1")]
    assert told == ["messagerie reliée", "aucune messagerie reliée", "envois suspendus", "http:// 127.0.0.1"]


@pytest.mark.parametrize(
    ("party", "said"),
    [
        ("0142685300", f"En ligne avec 01{NB}42{NB}68{NB}53{NB}00"),
        ("+33142685300", f"En ligne avec 01{NB}42{NB}68{NB}53{NB}00"),
        ("0012025550123", f"En ligne avec +1{NB}202-555-0123"),
        ("3699", "En ligne avec 3699"),
        ("112", "En ligne avec 112"),
        ("*31#0142685300", "En ligne avec *31#0142685300"),
        ("9999999999", "En ligne avec 9999999999"),
        ("Marie Curie", "En ligne avec Marie Curie"),
        (None, "En ligne"),
    ],
)
def test_the_line_says_who_it_talks_with(app: Flask, party: str | None, said: str) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        assert words.line_sentence(line_row(hook="off", state="talking", number=party)).heading == said
