"""The bill on the page: a real child adds up, every amount is right to the cent, and a provider's file is checked."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask

from firmware.service import MAX_ROWS, CallQuery
from firmware.webui import bill_child, context
from firmware.webui.security import MAX_CHECK_BYTES
from tests.fakes.box_service import FakeBox, call_row, missed_row
from tests.fakes.page_client import Owner

NOVEMBER = datetime(2026, 11, 1, 8, tzinfo=UTC)


def shown(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def fill(box: FakeBox, count: int) -> None:
    """Half an hour apart: to Marie's mobile at 0.1525, to Paris at 0.04, in turn; each fourth is missed."""
    for number in range(count):
        started = NOVEMBER + timedelta(minutes=30 * number)
        stamps: dict[str, object] = {
            "started": started.isoformat(),
            "answered": (started + timedelta(seconds=4)).isoformat(),
        }
        if number % 4 == 3:
            box.rows.append(missed_row(number + 1, started=started.isoformat()))
        elif number % 2:
            box.rows.append(call_row(number + 1, **stamps))
        else:
            mobile = {"number": "+33612345678", "name": "Marie Curie", "destination": "France mobile", "cost": "0.1525"}
            box.rows.append(call_row(number + 1, **stamps, **mobile))


@pytest.fixture(autouse=True)
def _no_child_stays(app: Flask) -> Iterator[None]:
    yield
    with app.app_context():
        context.page().bills.close()


def test_the_month_is_shown_by_destination_person_account_and_day(owner: Owner, box: FakeBox) -> None:
    fill(box, 8)  # four to Marie: 0.61; two to Paris: 0.08
    text = shown(owner.get("/bill/?month=2026-11").text)
    assert "Facture – novembre 2026" in text
    assert "0,69 €" in text
    assert "6 appels" in text
    for words in ("France mobile", "0,61 €", "Marie Curie", "01 42 68 53 00", "maison", "dim. 1"):
        assert words in text, words
    english = shown(Owner(owner.http.application, language="en").get("/bill/?month=2026-11").text)
    assert "Bill for November 2026" in english
    assert "€0.69" in english


def test_the_lines_of_every_list_add_up_to_the_total(owner: Owner, box: FakeBox) -> None:
    for number in range(90):  # more people than are shown one by one
        at = (NOVEMBER + timedelta(hours=number)).isoformat()
        box.rows.append(call_row(number + 1, number=f"+331426853{number:02}", started=at, cost=f"0.0{number:02}3"))
    total = sum(Decimal(f"0.0{number:02}3") for number in range(90))
    text = shown(owner.get("/bill/?month=2026-11").text)
    for table in ("by-destination", "by-person", "by-account", "days"):
        body = re.search(rf'<table[^>]*id="{table}".*?</table>', text, re.DOTALL)
        assert body is not None
        cells = re.findall(r'<td class="end">([0-9,]+) €</td></tr>', body[0])
        assert sum(Decimal(cell.replace(",", ".")) for cell in cells) == total, table
    assert "Tous les autres" in text


def test_search_and_another_month_are_links_away(owner: Owner, box: FakeBox) -> None:
    fill(box, 8)
    text = shown(owner.get("/bill/?month=2026-11&search=marie").text)
    assert "0,61 €" in text
    assert "France fixed" not in text
    assert "month=2026-10" in text
    assert "Aucun appel n’a été passé ce mois-ci" in owner.get("/bill/?month=2026-10").text
    assert "ne correspond" in owner.get("/bill/?month=2026-11&search=zzz").text
    wrong = owner.get("/bill/?month=hier")
    assert wrong.status_code == 200
    assert "« hier » n’est pas un mois" in shown(wrong.text)


def test_each_record_is_asked_of_the_box_once_and_in_small_pages(owner: Owner, box: FakeBox) -> None:
    fill(box, 2 * MAX_ROWS + 50)
    owner.get("/bill/?month=2026-11")
    asked = [cast("CallQuery", about) for what, about in box.asked if what == "calls"]
    assert len(asked) == 3
    assert all(query["limit"] <= MAX_ROWS for query in asked)
    box.asked.clear()
    fill_one = call_row(900, started="2026-11-28T09:00:00+00:00", cost="5.0000")
    box.rows.append(fill_one)
    text = shown(owner.get("/bill/?month=2026-11&search=maison").text)
    (query,) = [cast("CallQuery", about) for what, about in box.asked if what == "calls"]
    assert query["after"] == 450
    cost = sum((Decimal(row["cost"]) for row in box.rows if row["cost"]), Decimal(0))
    assert f"{cost.quantize(Decimal('0.01')):f} €".replace(".", ",") in text


def test_a_child_that_died_is_replaced_and_the_bill_is_the_same(app: Flask, owner: Owner, box: FakeBox) -> None:
    fill(box, 8)
    assert "0,69" in owner.get("/bill/?month=2026-11").text
    with app.app_context():
        desk = context.page().bills
    assert desk._child is not None
    first = desk._child._process
    first.kill()
    first.wait()
    assert "0,69" in owner.get("/bill/?month=2026-11").text
    assert desk._child._process.pid != first.pid


def test_a_core_that_is_away_is_told_and_what_was_read_is_still_known(owner: Owner, box: FakeBox) -> None:
    fill(box, 8)
    assert "0,69" in owner.get("/bill/?month=2026-11").text
    box.reachable = False
    gone = owner.get("/bill/?month=2026-11")
    assert gone.status_code == 503
    assert "La box ne répond pas" in gone.text
    box.reachable = True
    box.asked.clear()
    assert "0,69" in owner.get("/bill/?month=2026-11").text
    (query,) = [cast("CallQuery", about) for what, about in box.asked if what == "calls"]
    assert query["after"] == 8


def test_calls_of_unsure_time_are_read_again(owner: Owner, box: FakeBox) -> None:
    fill(box, 2)
    box.rows[0] = cast("Any", dict(box.rows[0]) | {"time_unsure": True})
    text = shown(owner.get("/bill/?month=2026-11").text)
    assert "avant que l’horloge de la box soit à l’heure" in text
    box.rows[0] = cast("Any", dict(box.rows[0]) | {"time_unsure": False, "started": "2026-10-01T08:00:00+00:00"})
    assert "0,04 €" in shown(owner.get("/bill/?month=2026-11").text)


def test_exports_hold_every_call_and_no_formula(owner: Owner, box: FakeBox) -> None:
    fill(box, 8)
    at = (NOVEMBER + timedelta(days=9)).isoformat()
    box.rows.append(call_row(99, name='=HYPERLINK("http://evil")', destination="@SUM(1)", started=at, cost="1.0000"))
    response = owner.get("/bill/export.csv?month=2026-11")
    assert response.mimetype == "text/csv"
    assert "allobox-2026-11-call.csv" in response.headers["Content-Disposition"]
    read = list(csv.DictReader(io.StringIO(response.text.removeprefix("\ufeff")), delimiter=";"))
    assert len(read) == 7
    assert sum(Decimal(line["coût"].replace(",", ".")) for line in read) == Decimal("1.69")
    assert read[-1]["nom"].startswith("'=")
    assert read[-1]["destination"].startswith("'@")
    for by in ("destination", "person", "account", "day", "line", "nonsense"):
        assert owner.get(f"/bill/export.csv?month=2026-11&by={by}").status_code == 200
    told = json.loads(owner.get("/bill/export.json?month=2026-11").text)
    assert (told["month"], told["totals"][0]["cost"]) == ("2026-11", "1.6900")


def test_the_printed_bill_lists_every_call(owner: Owner, box: FakeBox) -> None:
    fill(box, 8)
    text = shown(owner.get("/bill/print?month=2026-11").text)
    assert text.count(">Marie Curie") == 1 + 4
    assert "0,69 €" in text
    assert "Tous les appels" in text
    css = owner.get("/static/page.css").text
    assert "@media print" in css


def test_what_strangers_say_is_only_text(owner: Owner, box: FakeBox) -> None:
    fill(box, 1)
    box.rows[0]["name"] = '<script>alert(1)</script>"><b>\u202e'
    for path in ("/bill/?month=2026-11", "/bill/print?month=2026-11"):
        text = owner.get(path).text
        assert "<script>alert" not in text
        assert "\u202e" not in text


# --- the provider's file ----------------------------------------------------------------------


def provider(box: FakeBox) -> str:
    lines = ["Numéro appelé;Date;Heure;Durée;Montant"]
    for row in box.rows:
        if row["answered"]:
            started = datetime.fromisoformat(row["started"]) + timedelta(hours=1)  # Paris, in winter
            lines.append(
                f"{row['number']};{started:%d/%m/%Y;%H:%M:%S};{row['seconds']};{row['cost']}".replace(".", ",")
            )
    return "\n".join(lines) + "\n"


def give(owner: Owner, content: str | bytes, **more: str) -> Any:
    raw = content.encode() if isinstance(content, str) else content
    return owner.post(
        "/bill/compare", {"file": (io.BytesIO(raw), "relevé.csv"), "account": "maison", "zone": "house", **more}
    )


@pytest.fixture
def house(box: FakeBox) -> FakeBox:
    box.add_account({"name": "maison", "server": "sip.example.org", "user": "maison"})
    fill(box, 8)
    return box


def test_a_true_copy_has_no_difference_and_nothing_is_kept(owner: Owner, house: FakeBox, tmp_path: Path) -> None:
    response = give(owner, provider(house))
    text = shown(response.text)
    assert response.status_code == 200
    assert "Aucune différence" in text
    assert "6 appels dans le fichier, 6 ici par maison, 6 appariés" in text
    assert not list((tmp_path / "page" / "uploads").iterdir())


def test_differences_are_named_and_priced(owner: Owner, house: FakeBox) -> None:
    lines = provider(house).splitlines()
    lines[1] = lines[1].replace("0,1525", "2,1525")  # dearer by two euros
    del lines[2]  # one is missing
    lines += [lines[3], "0899123456;03/11/2026;03:00:00;60;3,00"]  # one twice, one never made
    text = shown(give(owner, "\n".join(lines)).text)
    for words in (
        "4 différences",
        "Plus cher (1)",
        "Chez nous seulement (1)",
        "Facturé deux fois (1)",
        "Chez l’opérateur seulement (1)",
    ):
        assert words in text, words
    assert "ligne 2" in text
    utc = shown(give(owner, provider(house), zone="utc").text)
    assert "décalée de +1 h" in utc


def test_errors_are_told_with_line_and_column_and_nothing_is_compared(owner: Owner, house: FakeBox) -> None:
    assert house.rows
    response = give(owner, "Appelé;Date;Durée\n0142685300;hier;60\nMarie;01/11/2026 10:00;x\n")
    text = shown(response.text)
    assert response.status_code == 422
    for words in (
        "3 erreurs. Rien n’a été comparé.",
        "ligne 2, colonne Date : « hier » n’est pas une date",
        "ligne 3, colonne Appelé : « Marie » n’est pas un numéro",
        "ligne 3, colonne Durée : « x » n’est pas une durée",
    ):
        assert words in text, words


def test_columns_are_named_once_and_remembered_for_the_account(owner: Owner, house: FakeBox) -> None:
    odd = provider(house).replace("Numéro appelé;Date;Heure;Durée;Montant", "B;Jour;Quand;Combien;Argent")
    asked = give(owner, odd)
    assert asked.status_code == 422
    assert "indiquez ci-dessous comment elles s’appellent" in shown(asked.text)
    columns = {"number": "B", "time": "Quand", "seconds": "Combien", "cost": "Argent"}
    assert "Aucune différence" in give(owner, odd, **columns).text
    form = owner.get("/bill/check?account=maison").text
    assert 'value="Combien"' in form
    assert house.rows


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"account": "nobody"}, "de quel compte"),
        ({"month": "x"}, "n’est pas un mois"),
        ({"file": ""}, "Choisissez un fichier"),
    ],
)
def test_a_wrong_form_is_refused_beside_its_field(
    owner: Owner, house: FakeBox, more: dict[str, str], said: str
) -> None:
    response = give(owner, provider(house), **more)
    assert response.status_code == 422
    assert said in shown(response.text)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"\x00\x01\x02" * 99, b"9" * 1_000_000, b"a;b;c\n" * 5000])
def test_a_hostile_file_costs_a_child_and_not_the_page(owner: Owner, house: FakeBox, content: bytes) -> None:
    response = give(owner, content)
    assert response.status_code == 422
    assert "Rien n’a été comparé" in response.text
    assert house.rows


def test_a_file_above_the_limit_is_refused(owner: Owner) -> None:
    response = owner.post(
        "/bill/compare", {"file": (io.BytesIO(b"x" * (MAX_CHECK_BYTES + 1)), "x.csv"), "account": "maison"}
    )
    assert response.status_code == 413


def test_the_child_ends_by_itself_when_nobody_asks() -> None:
    out = io.StringIO()
    bill_child.serve(io.BytesIO(b'{"do":"open"}\n'), out, lambda: False)
    assert out.getvalue() == ""


def test_the_child_refuses_a_month_that_is_too_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bill_child, "MAX_ENTRIES", 5)
    clerk = bill_child.Clerk()
    order = {"zone": "Europe/Paris", "country": "FR", "decks": str(tmp_path), "accounts": []}
    clerk.answer({"do": "open", "month": "2026-10", **order})
    rows = [dict(call_row(n)) for n in range(4)]
    assert clerk.answer({"do": "rows", "after": 3, "rows": rows}) == {"after": 3}
    clerk.answer({"do": "open", "month": "2026-11", **order})
    assert clerk.answer({"do": "rows", "after": 3, "rows": rows}) == {"after": 3}  # October made room
    assert "more than 5 calls" in clerk.answer({"do": "rows", "after": 7, "rows": rows})["refused"]
