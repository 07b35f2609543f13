"""The call list: found, filtered, paged, exported."""

from __future__ import annotations

import csv
import io
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.service import MAX_ROWS, CallQuery
from firmware.webui.calls import PAGE_ROWS, harmless
from tests.fakes.box_service import FakeBox, call_row, missed_row
from tests.fakes.page_client import Owner


def asked_for_calls(box: FakeBox) -> list[CallQuery]:
    return [cast("CallQuery", about) for what, about in box.asked if what == "calls"]


def cells(text: str, delimiter: str = ";") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter))


def test_a_call_is_shown_with_its_cost_as_people_write_it(owner: Owner, box: FakeBox) -> None:
    box.rows = [call_row(1)]
    text = owner.get("/calls/").text.replace("\u00a0", " ")
    for shown in ("01 42 68 53 00", "1 min 23 s", "0,04 €", "France fixed"):
        assert shown in text


def test_a_missed_call_and_a_withheld_number_are_said(owner: Owner, box: FakeBox) -> None:
    box.rows = [missed_row(1), missed_row(2, number=None, name=None)]
    text = owner.get("/calls/").text
    assert text.count("manqué") >= 2
    assert "Numéro masqué" in text


def test_an_empty_list_says_what_to_do(owner: Owner) -> None:
    assert "Décrochez et composez" in owner.get("/calls/").text


def test_filters_are_handed_to_the_box_in_the_households_time(owner: Owner, box: FakeBox) -> None:
    box.asked.clear()
    owner.get("/calls/?kind=missed&search=marie&since=2026-07-14&until=2026-11-01")
    query = asked_for_calls(box)[-1]
    assert query["missed"] is True
    assert query["search"] == "marie"
    assert query["since"] == "2026-07-14T00:00:00+02:00"
    assert query["until"] == "2026-11-02T00:00:00+01:00"


def test_nonsense_in_the_address_bar_is_told_or_ignored(owner: Owner) -> None:
    response = owner.get("/calls/?kind=x'--&since=hier&until=9999-12-31&before=abc&after=-5")
    assert response.status_code == 200
    assert "« hier »" in response.text.replace("\u00a0", " ")


def test_paging_leads_through_all_calls_and_back(owner: Owner, box: FakeBox) -> None:
    box.rows = [call_row(number, name=f"Nom{number:03d}") for number in range(1, 2 * PAGE_ROWS + 11)]
    seen: list[str] = []
    path: str | None = "/calls/"
    while path:
        text = owner.get(path).text
        seen += [f"Nom{number:03d}" for number in range(200, 0, -1) if f"Nom{number:03d}" in text]
        path = link(text, "next")
        last = text
    assert seen == [f"Nom{number:03d}" for number in range(2 * PAGE_ROWS + 10, 0, -1)]
    middle = owner.get(str(link(last, "prev"))).text
    first = owner.get(str(link(middle, "prev"))).text
    assert "Nom110" in first
    assert link(first, "prev") is None
    assert all(query["limit"] <= MAX_ROWS for query in asked_for_calls(box))


def link(text: str, rel: str) -> str | None:
    before, found, _ = text.partition(f'" rel="{rel}"')
    return before.rsplit('href="', 1)[1].replace("&amp;", "&") if found else None


def test_the_export_reads_in_pages_and_misses_nobody(owner: Owner, box: FakeBox) -> None:
    box.rows = [call_row(number) for number in range(1, 2 * MAX_ROWS + 4)]
    box.asked.clear()
    response = owner.get("/calls/export.csv")
    rows = cells(response.text)
    assert len(rows) == 2 * MAX_ROWS + 4
    assert [query["limit"] for query in asked_for_calls(box)] == [MAX_ROWS] * 3
    assert response.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in response.headers["Content-Disposition"]
    assert rows[0][3] == "numéro"
    assert rows[1][3] == "'+33142685300"
    assert rows[1][9] == "0,0400"


def test_the_export_keeps_the_filter_and_speaks_english(app_owner_en: Owner, box: FakeBox) -> None:
    box.rows = [call_row(1), missed_row(2)]
    rows = cells(app_owner_en.get("/calls/export.csv?kind=missed").text, ",")
    assert [row[12] for row in rows[1:]] == ["missed"]
    assert rows[0][3] == "number"


def test_an_exact_page_of_calls_ends_the_export(owner: Owner, box: FakeBox) -> None:
    box.rows = [call_row(number) for number in range(1, MAX_ROWS + 1)]
    assert len(cells(owner.get("/calls/export.csv").text)) == MAX_ROWS + 1


def test_a_box_that_is_away_says_so_instead_of_half_a_file(owner: Owner, box: FakeBox) -> None:
    box.reachable = False
    assert owner.get("/calls/export.csv").status_code == 503


@pytest.mark.parametrize(
    "evil", ["=1+1", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\x00=1", "  =1", "=cmd|' /C calc'!A0"]
)
def test_names_from_callers_are_no_formulas(owner: Owner, box: FakeBox, evil: str) -> None:
    box.rows = [missed_row(1, name=evil, number=None)]
    name = cells(owner.get("/calls/export.csv").text)[1][4]
    assert name.startswith("'")


@given(st.text(max_size=40))
def test_no_cell_begins_like_a_formula(cell: str) -> None:
    assert not harmless(cell).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\x00"))
    assert harmless(cell).removeprefix("'") == cell.removeprefix("'")
