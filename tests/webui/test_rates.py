"""Rates on the page, with real decks: import with a preview, search, change, find a price."""

from __future__ import annotations

import errno
import io
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage

from firmware.rates import mappings
from firmware.rates.deck import Deck
from firmware.rates.mapping import Choice
from firmware.service import PriceAnswer
from firmware.webui import context, deck_child, rate_import, reading
from firmware.webui.deck_child import Problem
from firmware.webui.rate_words import problem_words
from firmware.webui.uploads import KEEP_SECONDS, MAX_KEPT, Uploads
from tests.fakes.box_service import FakeBox, call_row
from tests.fakes.page_client import Owner

GOOD = """prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment,currency
1,United States and Canada,0,0,60,60,EUR
33,France fixed,0.02,0,60,60,EUR
336,France mobile,"0,15",0.05,60,1,EUR
"""
BAD = """prefix,destination,rate_per_minute
33,France,0.02
34,Espagne,"0,2O"
044,Royaume-Uni,0.02
33,France encore,0.03
"""


def upload(owner: Owner, content: str | bytes, name: str = "Tarifs 2026.csv", **more: str) -> str:
    """Upload and go to the preview; its address."""
    raw = content.encode() if isinstance(content, str) else content
    response = owner.post("/rates/upload", {"file": (io.BytesIO(raw), name), "currency": "EUR", **more})
    assert response.status_code == 302, response.text
    return response.headers["Location"]


def imported(owner: Owner, content: str = GOOD) -> str:
    """Import a good file; the deck's address."""
    preview = upload(owner, content)
    response = owner.post(preview.replace("preview", "take"))
    assert response.status_code == 302, response.text
    return response.headers["Location"]


def only_deck(box: FakeBox) -> Deck:
    assert box.decks_folder is not None
    return Deck.open(box.decks_folder / box.decks_in_use[0]["file"])


def test_a_good_file_is_previewed_and_only_then_taken(owner: Owner, box: FakeBox) -> None:
    preview = upload(owner, GOOD)
    text = owner.get(preview).text
    assert "3 lignes" in text
    assert "tarifs-2026" in text
    assert box.decks_in_use == []
    assert not list((box.decks_folder or Path()).glob("*.deck"))
    response = owner.post(preview.replace("preview", "take"))
    listed = owner.follow(response).text.replace("\u00a0", " ").replace("\u202f", " ")
    assert box.decks_in_use[0]["name"] == "tarifs-2026"
    for shown in (
        "France mobile",
        "15 c/min",
        "2 c/min",
        "gratuit",
        "première minute indivisible, puis à la seconde",
        "0,05 €",
    ):
        assert shown in listed
    assert owner.get(preview).status_code == 404


def test_every_error_of_a_bad_file_is_shown_with_its_line_and_nothing_changes(owner: Owner, box: FakeBox) -> None:
    text = owner.get(upload(owner, BAD)).text.replace("\u00a0", " ").replace("\u202f", " ")
    assert "3 erreurs. Rien n’a été modifié." in text
    assert "ligne 3, colonne rate_per_minute : le prix « 0,2O » n’est pas un nombre (lettre O ?)" in text
    assert "ligne 4, colonne prefix : « 044 » n’est pas un préfixe" in text
    assert "ligne 5, colonne prefix : le préfixe 33 figure déjà" in text
    assert "Mettre en service" not in text
    assert box.decks_in_use == []


def test_a_bad_file_cannot_be_taken_by_hand(owner: Owner, box: FakeBox) -> None:
    preview = upload(owner, BAD)
    response = owner.post(preview.replace("preview", "take"))
    assert response.headers["Location"] == preview
    assert box.decks_in_use == []


def test_saying_no_forgets_the_file(owner: Owner, box: FakeBox, tmp_path: Path) -> None:
    preview = upload(owner, GOOD)
    assert list((tmp_path / "page" / "uploads").iterdir())
    owner.post(preview.replace("preview", "forget"))
    assert not list((tmp_path / "page" / "uploads").iterdir())
    assert box.decks_in_use == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ne contient aucun tarif"),
        (b"PK\x03\x04zip", "n’est pas du texte CSV"),
        (b"\x00\x01\x02", "texte"),
    ],
)
def test_what_is_no_rate_file_is_told(owner: Owner, content: bytes, said: str) -> None:
    assert said in owner.get(upload(owner, content)).text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": "../../etc/passwd"}, "Un nom est fait de"),
        ({"currency": "EURO"}, "Une monnaie a trois lettres"),
        ({"file": ""}, "Choisissez un fichier"),
    ],
)
def test_a_wrong_form_is_refused_before_anything_is_kept(
    owner: Owner, tmp_path: Path, typed: dict[str, str], said: str
) -> None:
    data: dict[str, object] = {"file": (io.BytesIO(GOOD.encode()), "t.csv"), "currency": "EUR", **typed}
    response = owner.post("/rates/upload", data)
    assert response.status_code == 422
    assert said in response.text
    assert not (tmp_path / "page" / "uploads").exists()


@pytest.mark.parametrize("name", ["..\\..\\evil.csv", "/etc/passwd", "<script>.csv", "\u202egpj.csv", "x" * 300])
def test_a_hostile_file_name_is_only_a_name(owner: Owner, tmp_path: Path, name: str) -> None:
    text = owner.get(upload(owner, GOOD, name)).text
    assert "<script>" not in text
    assert "\u202e" not in text
    kept = [path.name for path in (tmp_path / "page" / "uploads").iterdir()]
    assert all(path.split(".")[0].isalnum() and len(path) < 48 for path in kept)


@pytest.mark.parametrize("token", ["0" * 32, "..%2f..%2fetc", "x"])
def test_a_preview_that_is_not_there_is_a_page_in_words(owner: Owner, token: str) -> None:
    assert owner.get(f"/rates/preview/{token}").status_code == 404
    assert owner.post(f"/rates/take/{token}").status_code == 404


def test_uploads_are_few_and_do_not_last(tmp_path: Path, app: Flask, owner: Owner) -> None:
    for _ in range(MAX_KEPT + 3):
        upload(owner, GOOD)
    folder = tmp_path / "page" / "uploads"
    assert len(list(folder.glob("*.csv"))) <= MAX_KEPT
    later = Uploads(folder, wall=lambda: 4e9)
    assert KEEP_SECONDS < 4e9
    later._sweep()
    assert not list(folder.iterdir())
    with app.app_context():
        assert context.page().uploads == folder


def test_a_deck_is_searched_by_name_and_prefix(owner: Owner) -> None:
    address = imported(owner)
    assert "France mobile" in owner.get(f"{address}?search=mobile").text
    assert "United States" not in owner.get(f"{address}?search=33").text
    assert "Aucun tarif ne correspond" in owner.get(f"{address}?search=Nauru").text


def test_one_row_is_changed_by_making_a_new_deck(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    before = box.decks_in_use[0]["file"]
    form = owner.get(f"{address}/row?prefix=336").text
    assert 'value="0.15"' in form
    typed = {
        "destination": "France mobile", "rate_per_minute": "0,12", "connection_fee": "", "first_increment": "30",
        "next_increment": "6", "per_call": "0", "minimum": "",
    }  # fmt: skip
    owner.follow(owner.post(f"{address}/row?prefix=336", typed))
    assert box.decks_in_use[0]["file"] != before
    with only_deck(box) as deck:
        row = next(rate for rate in deck.rows() if rate.prefix == "336")
        assert str(row.per_minute) == "0.1200"
        assert (row.first_increment, row.next_increment) == (30, 6)
        assert len(deck.rows()) == 3


def test_a_row_typed_wrong_is_told_and_not_kept(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    before = box.decks_in_use[0]["file"]
    typed = {"destination": "", "rate_per_minute": "0,l2", "first_increment": "0", "next_increment": "x"}
    response = owner.post(f"{address}/row?prefix=336", typed)
    assert response.status_code == 422
    assert response.text.count('class="error"') == 4
    assert "(lettre l" in response.text
    assert box.decks_in_use[0]["file"] == before


def test_rows_are_added_and_removed(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    nauru = {
        "prefix": "674",
        "destination": "Nauru",
        "rate_per_minute": "0.99",
        "first_increment": "60",
        "next_increment": "60",
    }
    added = owner.post(f"{address}/add", nauru)
    assert "Nauru" in owner.follow(added).text
    address = added.headers["Location"].split("?")[0]
    twice = owner.post(f"{address}/add", nauru)
    assert twice.status_code == 422
    assert "a déjà un tarif" in twice.text
    owner.post(f"{address}/row/remove?prefix=674")
    with only_deck(box) as deck:
        assert [rate.prefix for rate in deck.rows()] == ["1", "33", "336"]


@pytest.mark.parametrize("query", ["prefix=999", "", "prefix=33&valid=hier", "prefix=33&valid=2026-01-01"])
def test_a_row_that_is_not_there_is_a_page_in_words(owner: Owner, query: str) -> None:
    address = imported(owner)
    assert owner.get(f"{address}/row?{query}").status_code == 404


def test_a_deck_is_exported_as_it_can_be_imported(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    text = owner.get(f"{address}/export.csv").text
    again = imported(owner, text)
    assert again.startswith("/rates/decks/")
    with only_deck(box) as deck:
        assert len(deck.rows()) == 3


def test_a_deck_taken_out_of_use_is_asked_about_first(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    assert "Retirer les tarifs tarifs-2026" in owner.get(f"{address}/remove").text
    owner.post(f"{address}/remove")
    assert box.decks_in_use == []


def test_an_older_deck_can_be_taken_into_use_again(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    box.decks_in_use[0]["active"] = False
    assert "Mettre en service" in owner.get(address).text
    owner.post(f"{address}/use")
    assert box.decks_in_use[0]["active"] is True


def test_a_file_name_from_the_address_bar_never_leaves_the_folder(owner: Owner, box: FakeBox) -> None:
    imported(owner)
    box.decks_in_use[0]["file"] = "../settings.toml"
    assert owner.get("/rates/decks/..%2Fsettings.toml").status_code in {404, 500}


def test_the_price_finder_says_it_as_people_do(owner: Owner) -> None:
    text = owner.get("/rates/?number=01+42+68+53+00&minutes=7").text.replace("\u00a0", " ")
    for shown in ("0,14 €", "2 c/min", "toute minute entamée est due", "01 42 68 53 00"):
        assert shown in text
    assert re.search(r"Pourquoi cette route ?.*maison.*moins cher que le suivant.*mobile", text, re.DOTALL)
    assert "Aucun prix n’est connu" in owner.get("/rates/?number=%2B674123456").text
    assert owner.get("/rates/?number=0142685300&minutes=-9").status_code == 200


def test_each_kind_of_error_has_french_words(app: Flask) -> None:
    kinds = (
        "price", "price-decimals", "price-range", "prefix", "destination", "increment", "currency", "currency-mixed",
        "date", "column-twice", "column-missing", "columns", "too-many-columns", "duplicate", "empty", "not-csv",
        "line-too-long", "binary", "quotes",
    )  # fmt: skip
    for kind in kinds:
        problem: Problem = {"line": 2, "column": None, "value": "x", "kind": kind, "cause": "SOMETHING ENGLISH"}
        with app.test_request_context("/", headers={"Accept-Language": "fr"}):
            assert "ENGLISH" not in problem_words(problem), kind
        with app.test_request_context("/", headers={"Accept-Language": "en"}):
            assert problem_words(problem) == "line 2: SOMETHING ENGLISH"


def test_a_row_keeps_what_was_not_changed_of_it(owner: Owner, box: FakeBox) -> None:
    head = "prefix,destination,rate_per_minute,per_call,grace,steps,band,service_per_call\n"
    address = imported(owner, f"{head}33,France,0.02,1,5,60:0.01/1,,0.5\n33,France by night,0.01,0,,,nuit,\n")
    listed = owner.get(address).text.replace("\u00a0", " ")
    for shown in ("puis 1 c/min à partir de 1 min 00 s", "rien jusqu’à 5 s", "plage nuit"):
        assert shown in listed
    form = owner.get(f"{address}/row?prefix=33").text
    assert 'value="60:0.0100/1"' in form
    typed = {
        "destination": "France", "rate_per_minute": "0.04", "per_call": "1", "first_increment": "60",
        "next_increment": "60", "grace": "5", "steps": "60:0.01/1", "service_per_call": "0.5",
    }  # fmt: skip
    changed = owner.post(f"{address}/row?prefix=33", typed)
    address = changed.headers["Location"].split("?")[0]
    night = typed | {
        "destination": "La nuit",
        "rate_per_minute": "0.03",
        "grace": "",
        "steps": "",
        "service_per_call": "",
    }
    owner.follow(owner.post(f"{address}/row?prefix=33&band=nuit", night))
    with only_deck(box) as deck:
        day, dark = sorted(deck.rows(), key=lambda rate: rate.band)
        assert (str(day.per_minute), day.grace_seconds, len(day.steps), str(day.service_per_call)) == (
            "0.0400", 5, 1, "0.5000",
        )  # fmt: skip
        assert (dark.band, dark.destination, str(dark.per_minute), dark.steps) == ("nuit", "La nuit", "0.0300", ())


UNKNOWN = "Zone d'appel;Racines;Coût unitaire\nFrance;0033;3\nFrance mobile;336, 337;10\n"
CHOSEN = {"column-0": "destination", "column-1": "prefix", "column-2": "rate_per_minute:cents"}


def test_columns_that_no_name_tells_are_asked_for_once(owner: Owner, box: FakeBox) -> None:
    asked = upload(owner, UNKNOWN)
    assert "/rates/columns/" in asked
    shown = owner.get(asked).text
    assert "Zone d&#39;appel" in shown
    assert "336, 337" in shown
    refused = owner.post(asked, {"column-0": "destination"})
    assert refused.status_code == 422
    assert "Il manque encore" in refused.text
    twice = owner.post(asked, CHOSEN | {"column-1": "destination"})
    assert "Deux colonnes sont" in twice.text
    wrong = owner.post(asked, CHOSEN | {"tax": "beaucoup"})
    assert "Écrivez la taxe en pour cent" in wrong.text
    told = owner.post(asked, CHOSEN | {"tax": "20 %"})
    preview = told.headers["Location"]
    text = owner.follow(told).text.replace("\u00a0", " ")
    assert "3 lignes" in text
    assert "20 % de taxe sont ajoutés" in text
    assert "prix par minute, en centimes" in text
    assert owner.post(preview.replace("preview", "take")).status_code == 302
    with only_deck(box) as deck:
        assert [(rate.prefix, str(rate.per_minute)) for rate in deck.rows()] == [
            ("33", "0.0360"), ("336", "0.1200"), ("337", "0.1200"),
        ]  # fmt: skip
    again = upload(owner, UNKNOWN.upper())
    assert "/rates/preview/" in again, "asked once"
    assert "3 lignes" in owner.get(again).text
    assert "Comme vous l’aviez choisi" in owner.get(again.replace("preview", "columns")).text


def test_a_file_whose_first_line_is_a_rate_is_shown_anew(owner: Owner, box: FakeBox) -> None:
    asked = upload(owner, "France;33;0,02\nEspagne;34;0,03\n", name="Nu.csv")
    anew = owner.post(asked, {"headless": "yes"})
    assert anew.headers["Location"] == asked
    chosen = {"column-0": "destination", "column-1": "prefix", "column-2": "rate_per_minute", "headless": "yes"}
    told = owner.post(asked, chosen)
    assert "2 lignes" in owner.follow(told).text
    owner.post(told.headers["Location"].replace("preview", "take"))
    assert box.decks_in_use[0]["rows"] == 2
    assert "/rates/preview/" in upload(owner, "France;33;0,03\n", name="Nu.csv"), "known by its deck"


def test_a_preview_says_what_changes_and_what_last_months_calls_would_have_cost(owner: Owner, box: FakeBox) -> None:
    imported(owner)
    now = datetime.now(UTC)
    number = {"number": "+33142685300", "account": "maison"}
    for at, days in ((1, 40), (2, 20), (3, 1)):
        started = (now - timedelta(days=days)).isoformat()
        box.rows.append(call_row(at, **number, started=started, answered=started, seconds=90))
    text = owner.get(upload(owner, GOOD.replace("33,France fixed,0.02", "33,France fixed,0.05"))).text
    text = text.replace("\u00a0", " ").replace("\u202f", " ")
    assert "+0,12 €" in text, "two calls of two begun minutes: the third is of another month"
    assert "2 appels : 0,08 € selon les tarifs en service, 0,20 € selon ceux-ci" in text
    assert "+150 %" in text
    assert "<strong>1</strong> plus chers" in text


def test_prices_from_a_day_on_keep_those_in_use_until_then(owner: Owner, box: FakeBox) -> None:
    imported(owner)
    preview = upload(owner, "prefix,destination,rate_per_minute\n33,France,0.05\n", valid_from="2031-01-01")
    assert "Ils valent à partir du 1 janvier 2031" in owner.get(preview).text.replace("\u00a0", " ")
    owner.post(preview.replace("preview", "take"))
    with only_deck(box) as deck:
        prices = [deck.lookup("33142685300", datetime(year, 6, 1, tzinfo=UTC)) for year in (2030, 2031)]
    assert [str(rate.per_minute) for rate in prices if rate] == ["0.0200", "0.0500"]
    refused = owner.post(
        "/rates/upload", {"file": (io.BytesIO(GOOD.encode()), "t.csv"), "currency": "EUR", "valid_from": "demain"}
    )
    assert (refused.status_code, "Écrivez le jour comme" in refused.text) == (422, True)


def test_a_deck_that_the_core_refuses_leaves_things_as_they_were(owner: Owner, box: FakeBox) -> None:
    imported(owner)
    assert box.decks_folder is not None
    before = sorted(path.name for path in box.decks_folder.iterdir())
    preview = upload(owner, GOOD.replace("0.02", "0.07"), account="personne")
    assert owner.post(preview.replace("preview", "take")).status_code >= 400
    assert sorted(path.name for path in box.decks_folder.iterdir()) == before
    assert "Mettre en service" in owner.get(preview).text, "it may be tried again"


def test_a_long_reading_shows_how_far_it_is(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    run = deck_child.run

    def slow(order: deck_child.Order, _started: object) -> deck_child.Report:
        Path(order["progress"]).write_text("42")
        assert go_on.wait(30)
        return run(order)

    monkeypatch.setattr(deck_child, "run", slow)
    monkeypatch.setattr(rate_import, "PATIENCE_SECONDS", 0.05)
    preview = upload(owner, GOOD)
    try:
        text = owner.get(preview).text
        assert 'value="42"' in text
        assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in text
        assert owner.post(preview.replace("preview", "take")).headers["Location"] == preview, "not before it is read"
        stream = owner.http.get(f"{preview}/progress")
        told = iter(stream.response)
        assert "data: 42" in str(next(told))
    finally:
        go_on.set()
    assert "event: over" in str(list(told)[-1])
    stream.close()
    assert "3 lignes" in owner.get(preview).text


def test_an_upload_that_a_full_disk_refuses_is_told_and_leaves_nothing(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: FileStorage, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileStorage, "save", full)
    response = owner.post("/rates/upload", {"file": (io.BytesIO(GOOD.encode()), "t.csv"), "currency": "EUR"})
    assert response.status_code == 422
    assert "son disque est peut-être plein" in response.text
    assert not list((tmp_path / "page" / "uploads").iterdir())


def test_a_reading_that_is_cancelled_ends(owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_import, "PATIENCE_SECONDS", 0.05)
    begun = threading.Event()
    ask = deck_child._ask

    def watched(mode: list[str], order: Any, seconds: float, started: Any = lambda _: None) -> Any:
        def told(child: Any) -> None:
            started(child)
            begun.set()

        return ask(mode, order, seconds, told)

    monkeypatch.setattr(deck_child, "_ask", watched)
    rows = "".join(f"{prefix},To {prefix % 100},0.02\n" for prefix in range(100_000, 300_000))
    preview = upload(owner, f"prefix,destination,rate_per_minute\n{rows}")
    threads = list(reading._under_way.values())
    assert begun.wait(30)
    owner.post(preview.replace("preview", "forget"))
    for thread in threads:
        thread.join(30)
    assert not reading._under_way
    assert not reading._children
    assert not list((tmp_path / "page" / "uploads").iterdir())


def test_a_reading_that_breaks_off_is_told_in_words(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        deck_child, "run", lambda order, _: deck_child._ask(["nonsense"], {"source": order["source"]}, 30)
    )
    text = owner.get(upload(owner, GOOD)).text
    assert "Le fichier n’a pas pu être lu. Rien n’a été modifié." in text


def test_former_rates_are_listed_and_used_again_for_whom_they_were(owner: Owner, box: FakeBox) -> None:
    address = imported(owner)
    box.decks_in_use[0]["active"] = False
    box.add_account({"name": "OVH", "server": "sip3.ovh.fr", "user": "x", "password": "y"})
    box.decks_in_use.append({**box.decks_in_use[0], "active": True, "account": "OVH", "file": "tarifs-2026-new.deck"})
    text = owner.get("/rates/").text
    assert "Anciens tarifs" in text
    assert "remplacés" in text
    assert '<option value="OVH" selected>' in owner.get(address).text
    owner.post(f"{address}/use", {"account": "OVH"})
    assert box.decks_in_use[-1]["account"] == "OVH"


def order(source: Path, folder: Path, **more: object) -> deck_child.Order:
    """What the page asks of the child for this file."""
    asked: deck_child.Order = {
        "path": str(source), "folder": str(folder), "decks": str(folder), "name": "big", "currency": "EUR",
        "source": source.name, "choice": mappings.to_json(Choice()), "valid_from": None, "base": None, "country": "FR",
        "zone": "Europe/Paris", "plans": [], "calls": [], "progress": str(folder.parent / "big.progress"),
    }  # fmt: skip
    return asked | more  # type: ignore[return-value] # keys of Order


def test_a_hundred_thousand_rates_are_read_and_compared_in_the_childs_memory(tmp_path: Path) -> None:
    head = "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment,currency\n"
    source = tmp_path / "big.csv"
    source.write_text(
        head
        + "".join(f"{prefix},Destination {prefix} of many,0.02,0.05,60,1,EUR\n" for prefix in range(10**5, 2 * 10**5))
    )
    report = deck_child.run(order(source, tmp_path / "decks"))
    assert (report["errors"], report["rows"]) == ([], 100_000)
    assert report["file"] is not None
    source.write_text(source.read_text().replace("0.02", "0.03", 40_000))
    calls = [("+12125551212", "2026-11-01T10:00:00+00:00", 60, None)]
    base = str(tmp_path / "decks" / report["file"])
    again = deck_child.run(
        order(source, tmp_path / "decks", base=base, calls=calls, valid_from="2030-01-01T00:00:00+01:00")
    )
    assert again["changes"] is not None
    assert (again["changes"]["dearer"], again["changes"]["same"], again["kept"]) == (40_000, 60_000, 100_000)
    assert again["again"] is not None
    assert (again["again"]["difference"], again["again"]["before"]) == ("0.0100", "0.0700")
    assert int((tmp_path / "big.progress").read_text()) in range(100)


def test_a_price_is_told_for_another_time_and_a_time_that_is_none_is_named(owner: Owner, box: FakeBox) -> None:
    asked: list[str | None] = []
    told = box.price

    def price(number: str, seconds: int, at: str | None) -> PriceAnswer:
        asked.append(at)
        return told(number, seconds, at)

    box.price = price  # type: ignore[method-assign]
    reply = owner.get("/rates/?number=0142685300&minutes=1&when=2026-12-25T20:30")
    assert reply.status_code == 200
    assert 'value="2026-12-25T20:30"' in reply.text
    owner.get("/rates/?number=0142685300&minutes=1")
    assert asked == ["2026-12-25T20:30", None]
    wrong = owner.get("/rates/?number=0142685300&when=%3Cdemain%3E").text
    assert "&lt;demain&gt; » n’est pas une date" in wrong
    assert len(asked) == 2
