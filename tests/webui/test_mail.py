"""The linked mailbox on the page."""

from __future__ import annotations

import pytest

from tests.fakes.box_service import GOOD_PASSWORD, FakeBox, FakeMail
from tests.fakes.page_client import Owner

TYPED = {"address": "marie@laposte.net", "password": GOOD_PASSWORD, "phrase": "le chat dort sur le piano"}
BY_HAND = {
    "address": "marie@example.org", "password": GOOD_PASSWORD, "imap_host": "imap.example.org", "imap_port": "143",
    "imap_security": "starttls", "smtp_host": "smtp.example.org", "smtp_port": "587", "smtp_security": "starttls",
}  # fmt: skip


def test_an_address_and_a_password_are_enough(owner: Owner, mail: FakeMail, box: FakeBox) -> None:
    told = owner.follow(owner.post("/mail/link", TYPED)).text
    assert "marie@laposte.net" in told
    assert "imap.laposte.net" in told
    assert mail.linked == TYPED
    assert "mail" not in " ".join(what for what, _ in box.asked)
    assert GOOD_PASSWORD not in told + owner.get("/mail/").text


def test_a_refusal_is_shown_in_the_servers_own_words(owner: Owner, mail: FakeMail) -> None:
    response = owner.post("/mail/link", {**TYPED, "password": "faux-1234"})
    assert response.status_code == 422
    assert "[AUTHENTICATIONFAILED] Identifiant ou mot de passe incorrect" in response.text
    assert 'value="marie@laposte.net"' in response.text
    assert "faux-1234" not in response.text
    assert mail.linked is None


def test_an_unknown_provider_opens_the_servers(owner: Owner) -> None:
    response = owner.post("/mail/link", {**TYPED, "address": "marie@example.org"})
    assert response.status_code == 422
    assert "<details open>" in response.text
    assert "ne connaît pas les serveurs" in response.text


def test_servers_by_hand_are_passed_on(owner: Owner, mail: FakeMail) -> None:
    assert owner.post("/mail/link", BY_HAND).status_code == 302
    assert mail.linked is not None
    assert mail.linked["imap"] == {
        "host": "imap.example.org",
        "port": 143,
        "security": "starttls",
        "user": "marie@example.org",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "marie"), ("address", "marie@laposte.net\r\nBcc: x@y.fr"), ("password", ""),
        ("imap_host", "imap host"),
        ("imap_port", "0"), ("imap_port", "99999"), ("imap_port", "²"), ("smtp_security", "none"), ("notify", "x"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_before_any_server_is_asked(
    owner: Owner, mail: FakeMail, field: str, value: str
) -> None:
    response = owner.post("/mail/link", {**BY_HAND, field: value})
    assert response.status_code == 422
    assert 'class="error"' in response.text
    assert mail.linked is None


def test_a_test_mail_and_unlinking(owner: Owner, mail: FakeMail) -> None:
    owner.post("/mail/link", TYPED)
    assert "est parti vers marie@laposte.net" in owner.follow(owner.post("/mail/test")).text
    assert mail.sent == 1
    assert "est oubliée" in owner.follow(owner.post("/mail/unlink")).text
    assert mail.linked is None


def test_a_mail_that_did_not_leave_is_told(owner: Owner, mail: FakeMail) -> None:
    owner.post("/mail/link", TYPED)
    mail.last_error = "550 5.7.1 Message refused <script>"
    told = owner.follow(owner.post("/mail/test")).text
    assert "n’est pas parti" in told
    assert "550 5.7.1 Message refused &lt;script&gt;" in told


def test_a_mail_worker_that_is_away_does_not_close_the_page(owner: Owner, mail: FakeMail) -> None:
    mail.reachable = False
    response = owner.get("/mail/")
    assert response.status_code == 200
    assert "Votre téléphone marche pendant ce temps" in response.text
    for path in ("/mail/link", "/mail/test", "/mail/unlink"):
        assert owner.post(path, TYPED).status_code in {302, 422}
