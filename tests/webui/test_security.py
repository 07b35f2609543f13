"""Every route that exists, and every way to come at it wrongly. New routes fall in by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from firmware.service import BoxUnreachableError
from firmware.webui.app import create_app
from firmware.webui.security import BEFORE_SETUP, PUBLIC, SAFE_METHODS
from tests.fakes.box_service import FakeBox, FakeMail
from tests.fakes.page_client import CREDENTIAL, Owner, Visitor

_SAMPLES: dict[str, object] = {
    "name": "maison",
    "file": "demo-0123.deck",
    "token": "0" * 32,
    "line": 1,
    "record": 1,
    "filename": "page.css",
}
_ROUTES = create_app(FakeBox(), FakeMail(), secret_key=b"x" * 32).url_map


def path_of(rule: Rule) -> str:
    return _ROUTES.bind("localhost").build(rule.endpoint, {name: _SAMPLES[name] for name in rule.arguments})


def rules(*, mutating: bool) -> list[Rule]:
    return [rule for rule in _ROUTES.iter_rules() if bool((rule.methods or set()) - SAFE_METHODS) is mutating]


MUTATING = pytest.mark.parametrize("rule", rules(mutating=True), ids=lambda rule: rule.endpoint)
EVERY = pytest.mark.parametrize("rule", list(_ROUTES.iter_rules()), ids=lambda rule: rule.endpoint)


def touched(box: FakeBox) -> list[str]:
    """What the box was asked to do or tell, beyond who may come in and how the house is called."""
    return [what for what, _about in box.asked if what not in {"page_credential", "settings"}]


def test_the_matrix_sees_the_routes() -> None:
    assert len(rules(mutating=True)) >= 20
    assert {rule.endpoint for rule in _ROUTES.iter_rules()} >= PUBLIC


def test_no_route_is_open_that_is_not_named_open() -> None:
    assert frozenset({"static", "auth.setup", "auth.login", "preferences.save"}) == PUBLIC
    assert PUBLIC - {"auth.login"} == BEFORE_SETUP


@EVERY
def test_a_stranger_learns_nothing(rule: Rule, stranger: Visitor, box: FakeBox) -> None:
    box.add_account({"name": "canari", "server": "sip.example.org", "user": "canari"})
    box.asked.clear()
    methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    for method in methods:
        response = stranger.http.open(path_of(rule), method=method, headers={"Accept": "text/html"})
        if rule.endpoint not in PUBLIC:
            assert response.status_code in {302, 403}, (method, response.status_code)
            if response.status_code == 302:
                assert response.headers["Location"].startswith("/login")
            assert "canari" not in response.text
    assert touched(box) == []


@EVERY
def test_before_set_up_everything_but_set_up_is_closed(rule: Rule, app: Flask, box: FakeBox) -> None:
    box.credential = None
    stranger = Visitor(app)
    for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
        response = stranger.http.open(path_of(rule), method=method)
        if rule.endpoint == "home.show":
            assert response.headers["Location"] == "/setup"
        elif rule.endpoint not in BEFORE_SETUP:
            assert response.status_code == 403
    assert touched(box) == []


@MUTATING
def test_a_change_without_a_token_is_refused(rule: Rule, owner: Owner, box: FakeBox) -> None:
    for token in (None, "", "wrong", owner.token()[:-2] + "xx"):
        box.asked.clear()
        data = {} if token is None else {"csrf_token": token}
        response = owner.http.post(path_of(rule), data=data)
        assert response.status_code == 400, (token, response.status_code)
        assert touched(box) == []


@MUTATING
def test_a_token_of_another_browser_is_refused(rule: Rule, owner: Owner, app: Flask, box: FakeBox) -> None:
    foreign = Visitor(app).token()
    box.asked.clear()
    assert owner.http.post(path_of(rule), data={"csrf_token": foreign}).status_code == 400
    assert touched(box) == []


@MUTATING
def test_a_change_from_another_site_is_refused(rule: Rule, owner: Owner, box: FakeBox) -> None:
    token = owner.token()
    box.asked.clear()
    for header, value in (
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:81"),
        ("Origin", "https://localhost"),
        ("Origin", "http://localhost.evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "none"),
    ):
        response = owner.http.post(path_of(rule), data={"csrf_token": token}, headers={header: value})
        assert response.status_code == 403, (header, value)
    assert touched(box) == []


@MUTATING
def test_a_link_or_picture_changes_nothing(rule: Rule, owner: Owner, box: FakeBox) -> None:
    box.asked.clear()
    response = owner.get(path_of(rule))
    if "GET" not in (rule.methods or set()):
        assert response.status_code == 405
    changing = ("add", "change", "remove", "activate", "ring", "set_", "import", "test")
    assert not [what for what in touched(box) if what.startswith(changing)]


@EVERY
def test_another_site_cannot_load_our_answers_into_its_page(rule: Rule, owner: Owner, box: FakeBox) -> None:
    box.asked.clear()
    response = owner.get(path_of(rule), Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
    assert response.status_code == 403
    assert touched(box) == []


def test_a_link_from_another_site_may_lead_here(stranger: Visitor) -> None:
    assert stranger.get("/login", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status_code == 200


@EVERY
def test_a_foreign_host_is_refused_before_anything(rule: Rule, owner: Owner, box: FakeBox) -> None:
    box.asked.clear()
    for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
        response = owner.http.open(path_of(rule), method=method, headers={"Host": "evil.example"})
        assert response.status_code == 421
        assert "evil" not in response.text
    assert touched(box) == []


@EVERY
def test_every_answer_carries_the_headers(rule: Rule, owner: Owner) -> None:
    if rule.endpoint == "events.stream":
        pytest.skip("never ends; its headers are seen in test_live")
    response = owner.get(path_of(rule))
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    if rule.endpoint != "static":
        assert response.headers["Cache-Control"] == "no-store"


def test_cookies_are_out_of_reach(app: Flask) -> None:
    visitor = Visitor(app)
    visitor.get("/login")
    response = visitor.post("/login", {"password": "Allo-allo-2010"})
    cookies = response.headers.getlist("Set-Cookie")
    assert {cookie.split("=")[0] for cookie in cookies} == {"allobox_session", "allobox_device"}
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie


def test_templates_and_scripts_hold_nothing_inline() -> None:
    folder = Path(__file__).parents[2] / "firmware" / "webui"
    for template in (folder / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        for forbidden in (
            " style=",
            " onclick",
            " onload",
            " onsubmit",
            "<style",
            "javascript:",
            "|safe",
            "| safe",
            "http://",
            "https://",
        ):
            assert forbidden not in text, (template.name, forbidden)
        assert "<script>" not in text


def test_a_page_of_an_open_session_stays_up_while_the_box_is_away(owner: Owner, box: FakeBox) -> None:
    box.reachable = False
    response = owner.get("/")
    assert response.status_code == 503
    assert "La box ne répond pas" in response.text
    assert 'http-equiv="refresh"' in response.text
    box.reachable = True
    assert owner.get("/").status_code == 200


def test_nobody_comes_in_while_the_box_was_never_there(tmp_path: Path) -> None:
    box = FakeBox(reachable=False, credential=CREDENTIAL)
    visitor = Visitor(create_app(box, FakeMail(), secret_key=b"x" * 32, data=tmp_path))
    for path in ("/", "/calls/", "/login", "/setup"):
        assert visitor.get(path).status_code == 503
    assert visitor.http.post("/accounts/add").status_code == 503


def test_an_upload_is_bounded_and_a_form_more_so(owner: Owner) -> None:
    big = "x" * (2 << 20)
    assert owner.http.post("/accounts/add", data={"csrf_token": owner.token(), "name": big}).status_code == 413


def test_an_origin_that_is_no_address_is_refused_in_words(owner: Owner) -> None:
    for origin in ("http://[", "http://[::1", "http://]", "//", "http://localhost:port"):
        response = owner.post("/preferences", {"language": "en"}, Origin=origin)
        assert response.status_code == 403, origin


def test_an_address_is_answered_without_asking_the_core_for_names(stranger: Visitor, box: FakeBox) -> None:
    stranger.get("/static/page.css", Host="192.168.1.5")
    assert ("settings", None) not in box.asked


def test_a_failing_view_says_so_in_words(owner: Owner, box: FakeBox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(box, "accounts", broken)
    response = owner.get("/accounts/")
    assert response.status_code == 500
    assert "Votre téléphone continue de marcher" in response.text
    assert "ZeroDivision" not in response.text


def test_unreachable_is_its_own_error() -> None:
    assert BoxUnreachableError("away").status == 503
