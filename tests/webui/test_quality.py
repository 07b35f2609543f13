"""What a call was like, on the page: the word in the list, the call's own page, the spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from firmware.service import CallRow
from firmware.webui.quality_plot import clock, delay_plot, loss_plot
from tests.fakes.box_service import FakeBox, call_row, missed_row
from tests.fakes.page_client import Owner

LIKE: dict[str, Any] = {
    "word": "excellent", "mos": 4.38, "r_factor": 91.5, "codec": "PCMA/8000", "packet_ms": 20.0, "sent": 4150,
    "received": 4148, "lost_received": 2, "lost_sent": 0, "lost_received_percent": 0.05, "lost_sent_percent": 0.0,
    "discarded": 1, "concealed": 3, "jitter_ms": 2.1, "jitter_max_ms": 9.4, "buffer_ms": 20.0, "buffer_max_ms": 60.0,
    "round_trip_ms": 34.2, "delay_ms": 77.1, "drift_ppm": -12.5, "gaps": 0, "drops": 0, "xruns": 4,
}  # fmt: skip
PLOT = {"seconds": 5, "delay_ms": [77, 81, 240], "loss_percent": [0.0, 0.4, 7.5]}


def measured(record: int = 1, **changes: object) -> CallRow:
    return call_row(record, quality=LIKE | changes, plot=PLOT)


def text_of(html: str) -> str:
    return html.replace("\u00a0", " ").replace("\u202f", " ")


@pytest.mark.parametrize(("word", "told"), [("excellent", "excellente"), ("good", "bonne"), ("poor", "mauvaise")])
def test_the_list_says_the_word_and_leads_to_the_calls_page(owner: Owner, box: FakeBox, word: str, told: str) -> None:
    box.rows = [measured(7, word=word), call_row(8), missed_row(9)]
    text = owner.get("/calls/").text
    (link,) = re.findall(r'<a class="like-[a-z]+" href="([^"]+)"[^>]*>([^<]+)</a>', text)
    assert link == ("/calls/7", told)
    assert owner.get(link[0]).status_code == 200


def test_the_word_in_english(app_owner_en: Owner, box: FakeBox) -> None:
    box.rows = [measured(1, word="poor"), measured(2, word="good"), measured(3, word="excellent")]
    text = app_owner_en.get("/calls/").text
    assert re.findall(r">(poor|good|excellent)</a>", text) == ["excellent", "good", "poor"]


def test_a_codec_without_a_judgement_still_has_its_figures(owner: Owner, box: FakeBox) -> None:
    box.rows = [measured(1, word=None, mos=None, r_factor=None, codec="opus/48000")]
    assert ">chiffres</a>" in owner.get("/calls/").text
    text = owner.get("/calls/1").text
    assert "opus/48000" in text
    assert "Qualité" not in text


def test_a_fax_is_called_one_in_both_languages(owner: Owner, box: FakeBox, app_owner_en: Owner) -> None:
    box.rows = [measured(1, word="poor", fax=True)]
    assert "un fax ou un modem" in text_of(owner.get("/calls/1").text)
    assert "A fax machine or a modem" in app_owner_en.get("/calls/1").text
    box.rows = [measured(1, word="poor", fax=False)]
    assert "fax" not in owner.get("/calls/1").text


def test_the_calls_page_shows_the_figures_and_two_drawings_without_a_script(owner: Owner, box: FakeBox) -> None:
    box.rows = [measured(1)]
    box.asked.clear()
    response = owner.get("/calls/1")
    text = text_of(response.text)
    for shown in ("excellente", "4,4", "77 ms", "34 ms", "4 148", "2 (0,1 %)", "PCMA/8000, 20 ms", "-12 ppm", "2,1 ms"):
        assert shown in text, shown
    assert text.count('<svg class="plot"') == 2
    assert "'none'" in response.headers["Content-Security-Policy"]
    assert 'href="/calls/" aria-current="page"' in text
    box.rows = [call_row(1, quality=LIKE, plot=PLOT | {"loss_percent": [0.0, 4.0, 1.0]})]
    assert all(f">{mark} %</text>" in text_of(owner.get("/calls/1").text) for mark in ("0", "2,5", "5"))
    main = text[text.index("<main") :]
    assert not re.search(r"style=|<script|\son[a-z]+=", main)
    assert ("calls", {"after": 0, "oldest_first": True, "limit": 1, "plot": True}) in box.asked


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"word": "poor", "received": 0, "lost_received_percent": 100.0}, "Rien n’est arrivé"),
        ({"word": "poor", "lost_sent_percent": 9.0}, "vos paroles"),
        ({"word": "poor", "lost_received_percent": 9.0}, "s’est perdue"),
        ({"word": "poor", "delay_ms": 700.0}, "on se coupe la parole"),
        ({"word": "good"}, "Un peu de perte"),
    ],
)
def test_the_page_says_what_spoilt_the_call(owner: Owner, box: FakeBox, changes: dict[str, Any], told: str) -> None:
    box.rows = [measured(1, **changes)]
    assert told in owner.get("/calls/1").text


def test_a_call_without_a_measure_says_so(owner: Owner, box: FakeBox) -> None:
    box.rows = [missed_row(1), call_row(2, quality=None, plot=None)]
    for record in (1, 2):
        assert "Rien n’a été mesuré" in owner.get(f"/calls/{record}").text


@pytest.mark.parametrize("path", ["/calls/0", "/calls/2", "/calls/99999999999999999999", "/calls/x"])
def test_there_is_no_page_of_a_call_that_is_not_there(owner: Owner, box: FakeBox, path: str) -> None:
    box.rows = [measured(1), measured(3)]
    assert owner.get(path).status_code == 404


def test_the_words_of_strangers_are_escaped_on_the_calls_page(owner: Owner, box: FakeBox) -> None:
    evil = "<script>alert(1)</script>"
    box.rows = [call_row(1, name=evil, account=evil, end=evil, quality=LIKE | {"codec": evil, "word": evil}, plot=PLOT)]
    for path in ("/calls/", "/calls/1"):
        assert evil not in owner.get(path).text


def test_the_spreadsheet_has_the_figures_at_its_end_and_none_for_a_call_without(owner: Owner, box: FakeBox) -> None:
    box.rows = [measured(2), missed_row(1)]
    rows = list(csv.reader(io.StringIO(owner.get("/calls/export.csv").text.removeprefix("\ufeff")), delimiter=";"))
    assert rows[0][12:15] == ["issue", "qualité", "MOS"]
    assert rows[1][13:] == ["excellente", "4,38", "91,5", "0,05", "0,0", "2,1", "77,1", "34,2"]
    assert rows[2][13:] == [""] * 8


def plain_figure(value: float) -> str:
    return f"{value:g}"


def test_a_drawing_holds_every_point_within_its_frame() -> None:
    drawing = delay_plot([60, 60, 390], 5, plain_figure)
    assert drawing is not None
    corners = [tuple(map(float, corner.split(","))) for corner in drawing.points.split()]
    assert len(corners) == 6
    assert all(drawing.left <= x <= drawing.right and drawing.top <= y <= drawing.bottom for x, y in corners)
    assert [text for _y, text in drawing.up] == ["0", "200", "400"]
    assert [text for _x, text in drawing.across] == ["0:00", "0:05", "0:10", "0:15"]
    assert corners[0][0] == drawing.left
    assert corners[-1][0] == drawing.right


@pytest.mark.parametrize("draw", [delay_plot, loss_plot])
@pytest.mark.parametrize("seconds", [5, 320, 86_400])
def test_a_drawing_of_any_call_has_few_marks(draw: Callable[..., Any], seconds: int) -> None:
    drawing = draw([1e9, -3.0] * 60, seconds, plain_figure)
    assert len(drawing.across) <= 8
    assert draw([], seconds, plain_figure) is None
    assert draw([1.0], 0, plain_figure) is None


def test_a_time_within_a_call() -> None:
    assert [clock(at) for at in (5, 75, 3600)] == ["0:05", "1:15", "1:00:00"]
