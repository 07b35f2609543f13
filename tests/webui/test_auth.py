"""Set-up, login, logout, a new password."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask

from firmware.webui import context, passwords
from firmware.webui.app import create_app, secret_key
from firmware.webui.attempts import FORGET_SECONDS, FREE_FAILURES, Attempts
from firmware.webui.sessions import IDLE_SECONDS, LIFE_SECONDS, Sessions
from tests.fakes.box_service import FakeBox, FakeMail
from tests.fakes.page_client import CREDENTIAL, PASSWORD, Owner, Visitor

NEW = {"password": "Quarante-deux", "again": "Quarante-deux"}


def test_the_first_start_from_elsewhere_needs_the_handsets_code(app: Flask, box: FakeBox) -> None:
    box.credential = None
    visitor = Visitor(app, "192.168.1.9")
    assert visitor.follow(visitor.get("/")).status_code == 200
    refused = visitor.post("/setup", NEW, page="/setup")
    assert refused.status_code == 422
    assert "Ce n’est pas le bon code" in refused.text
    assert box.credential is None
    welcome = visitor.post("/setup", {**NEW, "code": "123 456"}, page="/setup")
    assert visitor.follow(welcome).status_code == 200
    assert str(box.credential).startswith("$argon2id$")
    assert NEW["password"] not in str(box.credential)


def test_the_first_start_at_the_machine_itself_needs_no_code(app: Flask, box: FakeBox) -> None:
    box.credential = None
    visitor = Visitor(app, "127.0.0.1")
    assert "*00#" not in visitor.get("/setup").text
    assert visitor.post("/setup", NEW, page="/setup").headers["Location"] == "/"
    assert ("check_setup_code", None) not in box.asked


def test_a_proxy_on_the_box_is_not_taken_for_the_machine(app: Flask, box: FakeBox) -> None:
    box.credential = None
    visitor = Visitor(app, "127.0.0.1")
    assert "*00#" in visitor.get("/setup", X_Forwarded_For="198.51.100.7").text


def test_guessing_the_code_is_slowed_down(app: Flask, box: FakeBox) -> None:
    box.credential = None
    visitor = Visitor(app)
    statuses = [visitor.post("/setup", {**NEW, "code": f"{n:06d}"}, page="/setup").status_code for n in range(12)]
    assert statuses[0] == 422
    assert statuses[-1] == 429
    assert sum(what == "check_setup_code" for what, _ in box.asked) <= 10


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("court1", "court1", "au moins 8 caractères"),
        ("minuscules", "minuscules", "au moins deux genres"),
        ("12345678", "12345678", "au moins deux genres"),
        ("Assez-long", "Autre-chose", "différents"),
        ("a1" * 200, "a1" * 200, "au plus 256"),
        ("", "", "au moins 8 caractères"),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(
    app: Flask, box: FakeBox, password: str, again: str, said: str
) -> None:
    box.credential = None
    visitor = Visitor(app, "127.0.0.1")
    response = visitor.post("/setup", {"password": password, "again": again}, page="/setup")
    assert response.status_code == 422
    assert said in response.text
    assert box.credential is None


def test_once_set_up_set_up_is_over(stranger: Visitor, box: FakeBox) -> None:
    before = box.credential
    assert stranger.post("/setup", {**NEW, "code": box.setup_code}).headers["Location"] == "/login"
    assert box.credential == before


def test_the_right_password_opens_and_leads_on(stranger: Visitor) -> None:
    asked = stranger.get("/calls/?kind=missed")
    assert asked.headers["Location"] == "/login?next=/calls/?kind%3Dmissed" or "next=" in asked.headers["Location"]
    response = stranger.post("/login", {"password": PASSWORD, "next": "/calls/?kind=missed"})
    assert response.headers["Location"] == "/calls/?kind=missed"
    assert stranger.get("/").status_code == 200


def test_the_wrong_password_does_not(stranger: Visitor) -> None:
    response = stranger.post("/login", {"password": "faux-1234"})
    assert response.status_code == 403
    assert "Ce n’est pas le bon mot de passe" in response.text
    assert stranger.get("/").status_code == 302


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "evil", "/\r\nX: y", ""],
)
def test_login_never_leads_to_another_site(stranger: Visitor, target: str) -> None:
    assert stranger.post("/login", {"password": PASSWORD, "next": target}).headers["Location"] == "/"


def test_a_thousand_guesses_get_ten_evaluations_and_the_owner_still_comes_in(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        credential = context.page().credential
    verify = credential.verify
    evaluated: list[str] = []

    def counted(password: str) -> bool:
        evaluated.append(password)
        return verify(password)

    monkeypatch.setattr(credential, "verify", counted)
    owner = Owner(app, "192.168.1.20")
    owner.post("/logout")
    evaluated.clear()
    thief = Visitor(app, "192.168.1.66")
    token = thief.token()
    for guess in range(1000):
        response = thief.http.post("/login", data={"csrf_token": token, "password": f"guess-{guess}"})
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) >= 1
    assert "secondes" in response.text
    assert 1 <= len(evaluated) <= 10
    # Behind the same address, but in the browser that has logged in before:
    owner.http.environ_base["REMOTE_ADDR"] = "192.168.1.66"
    assert owner.post("/login", {"password": PASSWORD}).status_code == 302


def test_strangers_from_a_thousand_addresses_share_ten_tries_a_minute() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    admitted = sum(attempts.admit(f"10.0.{n // 250}.{n % 250}", known=False) == 0 for n in range(1000))
    assert admitted == 10
    assert attempts.admit("device owner", known=True) == 0
    now[0] = 60.0
    assert attempts.admit("10.9.9.9", known=False) == 0


def test_waits_double_up_to_a_minute_and_are_forgotten_after_a_quiet_while() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    waits: list[float] = []
    for _ in range(12):
        now[0] += waits[-1] if waits else 0
        assert attempts.admit("client", known=True) == 0
        now[0] += 0.001
        waits.append(0.0 if len(waits) < FREE_FAILURES - 1 else attempts.admit("client", known=True))
    assert [round(wait) for wait in waits] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    now[0] += FORGET_SECONDS + 1
    assert [attempts.admit("client", known=True) for _ in range(FREE_FAILURES)] == [0, 0, 0]


def test_evaluations_of_one_client_stay_under_ten_a_minute() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    admitted = 0
    while now[0] < 60.0:
        admitted += attempts.admit("client", known=True) == 0
        now[0] += 0.25
    assert admitted <= 10


def test_logout_closes_the_session_for_whoever_has_its_cookie(app: Flask, owner: Owner) -> None:
    thief = Visitor(app)
    cookie = owner.http.get_cookie("allobox_session")
    assert cookie is not None
    thief.http.set_cookie("allobox_session", cookie.value)
    assert thief.get("/").status_code == 200
    owner.post("/logout")
    assert owner.get("/").status_code == 302
    assert thief.get("/").status_code == 302


def test_a_new_password_asks_for_the_present_one_and_ends_other_sessions(
    app: Flask, owner: Owner, box: FakeBox
) -> None:
    other = Owner(app, "192.168.1.21")
    wrong = owner.post("/password", {"present": "faux-1234", **NEW})
    assert wrong.status_code == 422
    assert "Ce n’est pas le mot de passe actuel" in wrong.text
    before = box.credential
    assert owner.post("/password", {"present": PASSWORD, **NEW}).status_code == 302
    assert box.credential != before
    assert owner.get("/").status_code == 200
    assert other.get("/").status_code == 302


def test_a_password_changed_elsewhere_voids_sessions(app: Flask, owner: Owner, box: FakeBox) -> None:
    with app.app_context():
        context.page().credential.store("Un-autre-42")
    assert owner.get("/").status_code == 302
    assert box.credential is not None


def test_sessions_survive_a_restart_of_the_page(tmp_path: Path, box: FakeBox) -> None:
    first = create_app(box, FakeMail(), secret_key=b"k" * 32, data=tmp_path)
    owner = Owner(first)
    cookie = owner.http.get_cookie("allobox_session")
    assert cookie is not None
    again = Visitor(create_app(box, FakeMail(), secret_key=b"k" * 32, data=tmp_path))
    again.http.set_cookie("allobox_session", cookie.value)
    assert again.get("/").status_code == 200
    kept = tmp_path / "page" / "sessions.json"
    assert kept.stat().st_mode & 0o077 == 0


def test_sessions_end_by_idleness_and_by_age() -> None:
    now = [1e9]
    sessions = Sessions(wall=lambda: now[0])
    idle, busy = sessions.open("c"), sessions.open("c")
    while now[0] < 1e9 + LIFE_SECONDS - IDLE_SECONDS / 2:
        now[0] += IDLE_SECONDS / 2
        assert sessions.valid(busy, "c")
    assert not sessions.valid(idle, "c")
    now[0] = 1e9 + LIFE_SECONDS + 1
    assert not sessions.valid(busy, "c")


def test_a_damaged_session_file_only_means_logging_in_again(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    for content in (b"{", b"[1]", b'{"a": {"opened": 1}}', b"\xff\xfe", b"null"):
        path.write_bytes(content)
        sessions = Sessions(path)
        assert sessions.valid(sessions.open("c"), "c")


def test_the_key_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    key = secret_key(tmp_path / "page")
    assert len(key) >= 32
    assert secret_key(tmp_path / "page") == key
    assert secret_key(tmp_path / "other") != key
    assert (tmp_path / "page" / "secret.key").stat().st_mode & 0o077 == 0


def test_no_password_reaches_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        visitor = Visitor(app)
        visitor.post("/login", {"password": "canari-faux-1"})
        owner = visitor.log_in()
        owner.post("/password", {"present": PASSWORD, **NEW}, page="/password")
        owner.post(
            "/accounts/add",
            {"name": "a", "server": "b.example", "user": "c", "password": "canari-sip-1", "transport": "udp"},
            page="/accounts/add",
        )
    for secret in ("canari", PASSWORD, NEW["password"]):
        assert secret not in caplog.text


def test_the_hash_is_argon2id_at_its_real_cost_and_an_older_one_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", real)
    box = FakeBox(credential=CREDENTIAL)
    assert passwords.Credential(box).verify(PASSWORD)
    assert str(box.credential).startswith("$argon2id$v=19$m=32768,t=3,p=1$")
    assert not passwords.Credential(box).verify(PASSWORD + " ")
