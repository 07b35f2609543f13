"""French and English: every sentence has words in both, and every page speaks one of them only."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask

from firmware.webui import formats, words
from firmware.webui.language import CATALOGUES, DOMAIN, LANGUAGES
from tests.fakes.box_service import FakeBox, FakeMail, line_row
from tests.fakes.page_client import Owner, Visitor
from tests.fakes.page_server import lived_in

_ROOT = CATALOGUES.parent
_PLACE = re.compile(r"%\(\w+\)[sd]")
PAGES = [
    "/", "/calls/", "/calls/?kind=missed&search=zzz", "/calls/120", "/rates/",
    "/rates/?number=0142685300&minutes=3", "/accounts/",
    "/accounts/add", "/accounts/OVH", "/accounts/OVH/remove", "/telephone/", "/telephone/doctor/", "/mail/",
    "/mail/?by_hand=1", "/bill/", "/bill/print", "/bill/check", "/log/", "/log/trace", "/password", "/nowhere",
]  # fmt: skip


def sentences() -> set[str | tuple[str, ...]]:
    found = extract_from_dir(
        str(_ROOT),
        method_map=[("**.py", "python"), ("templates/**.html", "jinja2")],
        keywords={"_": None, "ngettext": (1, 2)},
    )
    return {message for _file, _line, message, _comments, _context in found}


def catalogue(language: str) -> dict[str | tuple[str, ...], str | tuple[str, ...]]:
    with (CATALOGUES / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as stream:
        read = read_po(stream, locale=language, abort_invalid=True)
    assert not [message.id for message in read if message.fuzzy and message.id]
    return {
        (message.id if isinstance(message.id, str) else tuple(message.id)): (
            message.string if isinstance(message.string, str) else tuple(message.string or ())
        )
        for message in read
        if message.id
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_has_its_words_and_none_is_left_over(language: str) -> None:
    known = catalogue(language)
    assert sentences() - set(known) == set()
    assert set(known) - sentences() == set()
    for message, told in known.items():
        forms = [told] if isinstance(told, str) else list(told)
        assert all(forms), message
        asked = set(_PLACE.findall(message if isinstance(message, str) else message[-1]))
        assert set(_PLACE.findall(forms[-1])) == asked, message


def test_french_is_written_as_french_is() -> None:
    for message, told in catalogue("fr").items():
        for form in [told] if isinstance(told, str) else told:
            assert not re.search(r"\w'\w", form), f"{message}: a typewriter apostrophe"
            assert not re.search(r"(?<![\u202f\u00a0])[;!?]", form), f"{message}: no thin space before {form!r}"


class _Words(HTMLParser):
    """The sentences that a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.shown.add(" ".join(data.split()))


@pytest.fixture
def house(box: FakeBox, tmp_path: Path) -> FakeBox:
    lived_in(box, tmp_path)
    return box


@pytest.mark.parametrize("path", PAGES)
def test_every_page_speaks_the_readers_language_only(app: Flask, house: FakeBox, path: str) -> None:
    own = {
        language: {str(told) for told in catalogue(language).values() if isinstance(told, str)}
        for language in LANGUAGES
    }
    for language, other in (("fr", "en"), ("en", "fr")):
        response = Owner(app, language=language).get(path)
        assert response.status_code in {200, 404}
        assert f'<html lang="{language}"' in response.text
        page = _Words()
        page.feed(response.text)
        foreign = page.shown & (own[other] - own[language])
        assert foreign - {"Français", "English"} == set()
    assert house.credential


def test_french_is_the_default_and_english_is_asked_for(app: Flask) -> None:
    for asked, spoken in (
        ("", "fr"),
        ("de-DE,de;q=0.9", "fr"),
        ("en-US,en;q=0.8", "en"),
        ("de,en;q=0.5,fr;q=0.4", "en"),
        ("fr-CA", "fr"),
    ):
        assert f'<html lang="{spoken}"' in Visitor(app, language=asked).get("/login").text, asked


def test_the_switch_wins_over_the_browser_and_works_before_the_login(app: Flask) -> None:
    visitor = Visitor(app, language="fr")
    response = visitor.post("/preferences", {"language": "en", "next": "/login"})
    assert response.headers["Location"] == "/login"
    assert "Come in" in visitor.get("/login").text
    visitor.post("/preferences", {"theme": "dark", "next": "/login"})
    assert 'data-theme="dark"' in visitor.get("/login").text


def test_a_switch_takes_only_what_there_is_and_leads_nowhere_else(app: Flask) -> None:
    visitor = Visitor(app)
    response = visitor.post("/preferences", {"language": "xx", "theme": '"><b>', "next": "//evil.example"})
    assert response.headers["Location"] == "/"
    assert "allobox_" not in " ".join(response.headers.getlist("Set-Cookie")).replace("allobox_session", "")
    visitor.http.set_cookie("allobox_language", "../../etc")
    visitor.http.set_cookie("allobox_theme", '"><script>')
    assert "<script>" not in visitor.get("/login").text


NB = "\u00a0"
SAID: list[tuple[Callable[..., str], tuple[object, ...], str, str]] = [
    (formats.number, ("+33142685300",), f"01{NB}42{NB}68{NB}53{NB}00", f"01{NB}42{NB}68{NB}53{NB}00"),
    (formats.number, ("+12025550123",), f"+1{NB}202-555-0123", f"+1{NB}202-555-0123"),
    (formats.number, ("3699",), "3699", "3699"),
    (formats.number, ("+999",), "+999", "+999"),
    (formats.number, (None,), "", ""),
    (formats.money, ("0.0200", "EUR"), f"0,02{NB}€", "€0.02"),
    (formats.money, ("0.0050", "EUR"), f"0,005{NB}€", "€0.005"),
    (formats.money, ("1234.5000", "EUR"), f"1\u202f234,50{NB}€", "€1,234.50"),
    (formats.money, ("0.0000", "EUR"), "gratuit", "free"),
    (formats.money, ("nan", "EUR"), "", ""),
    (formats.exact, ("0.0280", "EUR"), f"0,0280{NB}€", "€0.0280"),
    (formats.amount_of, (Decimal("0.285"), "EUR"), f"0,29{NB}€", "€0.29"),
    (formats.rate, ("0.0200", "EUR"), "2 c/min", "2 c/min"),
    (formats.rate, ("0.0190", "EUR"), "1,9 c/min", "1.9 c/min"),
    (formats.rate, ("1.2000", "EUR"), f"1,20{NB}€/min", "€1.20/min"),
    (formats.rate, ("0.0200", "USD"), "2 ¢/min", "2 ¢/min"),
    (formats.rate, ("0", "EUR"), "gratuit", "free"),
    (
        formats.steps,
        (60, 1),
        "première minute indivisible, puis à la seconde",
        "first minute indivisible, then by the second",
    ),
    (formats.steps, (60, 60), "toute minute entamée est due", "every minute begun is due"),
    (formats.steps, (1, 1), "à la seconde", "by the second"),
    (formats.steps, (30, 6), "30 premières secondes indivisibles, puis par 6 s", "first 30 s indivisible, then by 6 s"),
    (formats.duration, (83,), f"1{NB}min{NB}23{NB}s", f"1{NB}min{NB}23{NB}s"),
    (formats.duration, (3725,), f"1{NB}h{NB}02", f"1{NB}h{NB}02"),
    (formats.duration, (0,), f"0{NB}s", f"0{NB}s"),
    (formats.when, ("2020-11-23T13:32:00+00:00",), "23 nov. 2020\u00a014:32", "23 Nov 2020\u00a014:32"),
    (formats.when, ("hier",), "", ""),
    (formats.plain, ("a\u202eb\x00c\r\nd",), "a b c d", "a b c d"),
    (formats.plain, ("x" * 500,), "x" * 128, "x" * 128),
]


@pytest.mark.parametrize(("function", "given", "french", "english"), SAID)
def test_figures_are_written_as_people_write_them(
    app: Flask, function: Callable[..., str], given: tuple[object, ...], french: str, english: str
) -> None:
    for language, expected in (("fr", french), ("en", english)):
        with app.test_request_context("/", headers={"Accept-Language": language}):
            assert function(*given) == expected


def test_numbers_are_national_where_the_house_stands(app: Flask, box: FakeBox) -> None:
    box.flat["box.country"] = "US"
    with app.test_request_context("/"):
        assert formats.number("+12025550123").replace(NB, " ") == "(202) 555-0123"
        assert formats.number("+33142685300").replace(NB, " ") == "+33 1 42 68 53 00"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (line_row(), "Le téléphone est raccroché"),
        (line_row(ringing=True, state="ringing", number="+33612345678"), "Le téléphone sonne"),
        (line_row(hook="off", state="talking", number="+33142685300"), f"En ligne avec 01{NB}42{NB}68{NB}53{NB}00"),
        (line_row(hook="off", state="talking"), "En ligne"),
        (line_row(hook="off", state="calling", number="3699"), "Appel vers 3699"),
        (line_row(hook="off", state="dial-tone"), "Le téléphone est décroché"),
        (line_row(hook="off", state="dialling"), "Quelqu’un compose un numéro"),
        (line_row(hook="off", state="parked"), "Le combiné est resté décroché"),
        (line_row(hook="off", state="treatment"), "L’appel est terminé"),
        (line_row(hook="off", state="a state of tomorrow"), "Le téléphone est décroché"),
        (line_row(fault="no ring voltage"), "La ligne est en défaut"),
    ],
)
def test_the_lines_state_is_a_sentence(app: Flask, line: object, said: str) -> None:
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        assert words.line_sentence(line).heading == said  # type: ignore[arg-type]


def test_every_state_of_the_line_machine_has_its_own_words(app: Flask) -> None:
    line_states = pytest.importorskip("firmware.telephony.line_states")
    with app.test_request_context("/", headers={"Accept-Language": "fr"}):
        for state in line_states.LineState:
            hook = "on" if state.value in {"idle", "ringing"} else "off"
            said = words.line_sentence(line_row(state=state.value, hook=hook, ringing=state.value == "ringing"))
            default = words.line_sentence(line_row(state="?", hook="off"))
            assert hook == "on" or state.value == "dial-tone" or said != default, state


def test_mail_pages_speak_too(app: Flask, mail: FakeMail) -> None:
    mail.linked = {"address": "marie@laposte.net", "password": "x"}
    assert "Chaque appel manqué envoie un courriel" in Owner(app).get("/mail/").text
    assert "Each missed call sends one mail" in Owner(app, language="en").get("/mail/").text
