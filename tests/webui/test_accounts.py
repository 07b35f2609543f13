"""SIP accounts on the page."""

from __future__ import annotations

import pytest

from tests.fakes.box_service import GOOD_PASSWORD, FakeBox
from tests.fakes.page_client import Owner

TYPED = {
    "name": "OVH", "server": "sip3.ovh.fr:5060", "user": "0033972101010", "password": GOOD_PASSWORD,
    "number": "09 72 10 10 10", "transport": "tls", "enabled": "yes",
}  # fmt: skip


def test_a_new_account_is_added_tested_and_told_in_words(owner: Owner, box: FakeBox) -> None:
    told = owner.follow(owner.post("/accounts/add", TYPED)).text
    assert "Le compte OVH est ajouté" in told
    assert "Connecté" in told
    assert box.passwords["OVH"] == GOOD_PASSWORD
    assert box.kept["OVH"]["number"] == "+33972101010"
    assert box.kept["OVH"]["transport"] == "tls"


def test_a_wrong_password_is_told_with_the_servers_own_words(owner: Owner) -> None:
    told = owner.follow(owner.post("/accounts/add", {**TYPED, "password": "faux"})).text
    assert "refuse l’identifiant ou le mot de passe" in told
    assert "403 Wrong password &lt;b&gt;for&lt;/b&gt; user" in told
    assert "\u202e" not in told


def test_the_password_never_comes_out(owner: Owner) -> None:
    owner.post("/accounts/add", TYPED)
    refused = owner.post("/accounts/add", TYPED)
    assert refused.status_code == 422
    for page in (refused.text, owner.get("/accounts/").text, owner.get("/accounts/OVH").text):
        assert GOOD_PASSWORD not in page
    assert "enregistré, jamais montré" in owner.get("/accounts/").text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Donnez un nom"),
        ("server", "", "Il manque le nom du serveur"),
        ("user", "", "Il manque l’identifiant"),
        ("transport", "pigeon", "UDP, TCP ou TLS"),
        ("number", "mon numéro", "Écrivez le numéro"),
        ("server", "pas un serveur", "Le serveur doit être un nom ou une adresse"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_kept(
    owner: Owner, box: FakeBox, field: str, value: str, said: str
) -> None:
    response = owner.post("/accounts/add", {**TYPED, field: value})
    assert response.status_code == 422
    assert said in response.text
    assert f'id="{field}-more"' in response.text
    assert box.kept == {}
    assert 'value="0033972101010"' in response.text or field == "user"


def test_a_name_that_is_taken_is_refused_beside_the_name(owner: Owner) -> None:
    owner.post("/accounts/add", TYPED)
    response = owner.post("/accounts/add", TYPED)
    assert "Un compte porte déjà ce nom" in response.text
    assert 'aria-invalid="true"' in response.text


def test_changing_an_account_with_an_empty_password_keeps_it(owner: Owner, box: FakeBox) -> None:
    owner.post("/accounts/add", TYPED)
    owner.follow(owner.post("/accounts/OVH", {**TYPED, "password": "", "number": "01 42 68 53 00"}))
    assert box.kept["OVH"]["number"] == "+33142685300"
    assert box.passwords["OVH"] == GOOD_PASSWORD


def test_another_server_wants_the_password_again_beside_its_field(owner: Owner, box: FakeBox) -> None:
    owner.post("/accounts/add", TYPED)
    response = owner.post("/accounts/OVH", {**TYPED, "password": "", "server": "sip.evil.example"})
    assert response.status_code == 422
    assert "Tapez de nouveau le mot de passe" in response.text
    assert 'id="password-more"' in response.text
    assert box.kept["OVH"]["server"] == "sip3.ovh.fr:5060"


def test_an_account_may_be_renamed_and_switched_off(owner: Owner, box: FakeBox) -> None:
    owner.post("/accounts/add", TYPED)
    typed = {**TYPED, "name": "Maison", "password": ""}
    del typed["enabled"]
    told = owner.follow(owner.post("/accounts/OVH", typed)).text
    assert list(box.kept) == ["Maison"]
    assert "Désactivé" in told


def test_the_test_button_says_how_it_went(owner: Owner, box: FakeBox) -> None:
    owner.post("/accounts/add", TYPED)
    box.passwords["OVH"] = "changed at the provider"
    assert "refuse l’identifiant" in owner.follow(owner.post("/accounts/OVH/test")).text


def test_removing_asks_first(owner: Owner, box: FakeBox) -> None:
    owner.post("/accounts/add", TYPED)
    assert "Supprimer OVH" in owner.get("/accounts/OVH/remove").text
    assert "OVH" in box.kept
    owner.post("/accounts/OVH/remove")
    assert box.kept == {}
    assert box.passwords == {}


@pytest.mark.parametrize("path", ["/accounts/nobody", "/accounts/nobody/remove"])
def test_an_account_that_is_not_there_is_a_page_in_words(owner: Owner, path: str) -> None:
    response = owner.get(path)
    assert response.status_code == 404
    assert "Cette page n’existe pas" in response.text


def test_strange_names_stay_inside_their_links(owner: Owner, box: FakeBox) -> None:
    name = 'Été "100 %" & <fils>'
    owner.post("/accounts/add", {**TYPED, "name": name})
    assert name in box.kept
    listed = owner.get("/accounts/").text
    assert "<fils>" not in listed
    link = listed.split('href="/accounts/')[3].split('"')[0]
    assert owner.get(f"/accounts/{link}").status_code == 200


def test_packets_digits_and_codecs_are_shown_as_they_are_and_changed(owner: Owner, box: FakeBox) -> None:
    wanted = {"ptime": "30", "dtmf": "inband", "codecs": "G722, PCMA", "vad": "yes"}
    owner.post("/accounts/add", {**TYPED, **wanted})
    kept = box.kept["OVH"]
    assert (kept["ptime"], kept["dtmf"], kept["codecs"], kept["vad"]) == (30, "inband", ["G722", "PCMA"], True)
    form = owner.get("/accounts/OVH").text
    assert '<option value="30" selected>' in form
    assert '<option value="inband" selected>' in form
    assert 'value="G722, PCMA"' in form


@pytest.mark.parametrize(("field", "value"), [("ptime", "25"), ("ptime", "x"), ("dtmf", "pigeon")])
def test_a_packet_or_a_way_that_does_not_exist_is_refused_beside_its_field(
    owner: Owner, box: FakeBox, field: str, value: str
) -> None:
    response = owner.post("/accounts/add", {**TYPED, field: value})
    assert response.status_code == 422
    assert f'id="{field}-more"' in response.text
    assert box.kept == {}
