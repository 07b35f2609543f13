"""The line doctor's page: started, followed and read without a script, in both languages."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from flask import Flask

from firmware.webui.doctor import hook_plot, spectrum_plot
from tests.fakes.box_service import START, FakeBox, line_row, session_row
from tests.fakes.page_client import Owner, Visitor
from tests.fakes.sick_telephone import report

HERE = "/telephone/doctor/"


@pytest.fixture
def owner(app: Flask) -> Owner:
    return Owner(app)


def plain(text: str) -> str:
    return unescape(text).replace("\u00a0", " ").replace("\u202f", " ")


def done(**changes: object) -> dict[str, object]:
    return {"state": "done", "line": 1, "step": "over", "ending": "done", "started": START.isoformat(), **changes}


def test_the_telephones_page_leads_there_and_a_button_starts_it(owner: Owner, box: FakeBox) -> None:
    assert 'href="/telephone/doctor/"' in owner.get("/telephone/").text
    shown = plain(owner.get(HERE).text)
    assert "Examiner la ligne" in shown
    assert "*#36#" in shown
    assert 'http-equiv="refresh"' not in shown
    shown = plain(owner.follow(owner.post(f"{HERE}start/1", page=HERE)).text)
    assert ("start_doctor", 1) in box.asked
    assert "Décrochez le téléphone, et suivez la voix." in shown
    assert 'http-equiv="refresh" content="2"' in shown


@pytest.mark.parametrize(
    ("state", "step", "words"),
    [
        ("running", "noise", "Silence : la box écoute le bruit de la ligne."),
        ("running", "dial", "Avec un cadran, composez le 0, puis le 1."),
        ("examining", "over", "La box examine ce qu’elle a entendu."),
        ("running", "call-waits", "Quelqu’un appelle : raccrochez, et le téléphone sonnera."),
    ],
)
def test_each_step_is_followed(owner: Owner, box: FakeBox, state: str, step: str, words: str) -> None:
    box.doctor_row = session_row(state=state, line=1, step=step, keys="98*", started=START.isoformat())
    shown = plain(owner.get(HERE).text)
    assert words in shown
    assert "Touches comprises : 98*" in shown
    assert 'content="2"' in shown
    assert "Arrêter" in shown


def test_stop_stops_it(owner: Owner, box: FakeBox) -> None:
    owner.post(f"{HERE}start/1", page=HERE)
    shown = plain(owner.follow(owner.post(f"{HERE}stop", page=HERE)).text)
    assert ("stop_doctor", None) in box.asked
    assert "Le diagnostic a été arrêté." in shown


def test_a_second_start_is_refused_in_words(owner: Owner, box: FakeBox) -> None:
    owner.post(f"{HERE}start/1", page=HERE)
    shown = plain(owner.follow(owner.post(f"{HERE}start/1", page=HERE)).text)
    assert "La ligne ne peut pas être examinée maintenant : elle est occupée, ou un diagnostic est en cours." in shown
    assert box.doctor_row["state"] == "armed"
    assert "La box refuse" in plain(owner.follow(owner.post(f"{HERE}start/9", page=HERE)).text)


def test_the_report_says_what_is_wrong_and_what_to_do_worst_first(owner: Owner, box: FakeBox) -> None:
    box.doctor_row = session_row(**done(report=report()))
    shown = plain(owner.get(HERE).text)
    assert "Quelque chose ne va pas : voyez ci-dessous." in shown
    assert "Le cadran est lent : 7,6 impulsions par seconde (normal : 9 à 11)." in shown
    assert "Le téléphone renvoie de l’écho : 4 dB d’affaiblissement seulement" in shown
    assert "Les touches sont faibles, surtout la 5 :" in shown
    assert "La ligne ronfle : −44 dBm0 à 50 Hz" in shown
    assert shown.index("renvoie de l’écho") < shown.index("Le cadran est lent") < shown.index("La ligne est calme")
    assert shown.count('<th scope="row">') == 12


def test_the_report_in_english(app: Flask, box: FakeBox) -> None:
    box.doctor_row = session_row(**done(report=report(), ending="hung-up"))
    shown = plain(Owner(app, language="en").get(HERE).text)
    assert "The dial is slow: 7.6 pulses per second (normal: 9 to 11)." in shown
    assert "The telephone was hung up before the end: the rest is not measured." in shown
    assert "Line check" in shown


def test_a_failed_examination_is_told(owner: Owner, box: FakeBox) -> None:
    box.doctor_row = session_row(**done(state="failed", detail="<b>out of memory</b>"))
    shown = owner.get(HERE).text
    assert "L’examen a échoué" in plain(shown)
    assert "<b>out of memory" not in shown


def test_both_plots_are_drawn_as_one_line_each_without_inline_style_or_script(owner: Owner, box: FakeBox) -> None:
    box.doctor_row = session_row(**done(report=report()))
    text = owner.get(HERE).text
    drawings = [ET.fromstring(svg) for svg in re.findall(r'<svg class="plot".*?</svg>', text, re.DOTALL)]  # noqa: S314 - ours
    assert len(drawings) == 2
    for drawing in drawings:
        assert drawing.get("role") == "img"
        assert drawing.get("aria-label")
        (line,) = drawing.findall("polyline")
        width, height = (float(value) for value in str(drawing.get("viewBox")).split()[2:])
        for point in str(line.get("points")).split():
            x, y = (float(value) for value in point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
    assert "style=" not in text
    assert "<script" not in text


def test_the_hooks_plot_shows_the_pulses() -> None:
    plot = hook_plot(report()["trace"], "fr")
    assert plot is not None
    heights = [float(point.split(",")[1]) for point in plot.points.split()]
    low = max(heights)
    falls = sum(1 for before, after in pairwise(heights) if before < low == after)
    assert falls >= 10  # ten pulses, bounce besides


def test_the_spectrums_highest_point_is_the_hum() -> None:
    plot = spectrum_plot(report()["spectrum"], "fr")
    assert plot is not None
    points = [tuple(float(value) for value in point.split(",")) for point in plot.points.split()]
    x, _y = min(points, key=lambda point: point[1])
    assert (x - plot.left) / (plot.right - plot.left) * 4000 == pytest.approx(50, abs=20)


@pytest.mark.parametrize("trace", [[], [[0.0, 1]], [[float(n) / 1000, n % 2] for n in range(2000)]])
def test_any_trace_is_drawn_or_left_out(trace: list[list[float]]) -> None:
    plot = hook_plot(trace, "en")
    assert (plot is None) == (trace == [])
    if plot is not None:
        assert len(plot.points) < 40_000


def test_nothing_measured_still_makes_a_page(owner: Owner, box: FakeBox) -> None:
    from firmware.fxs.doctor import Recording, examine  # noqa: PLC0415 - only here

    box.doctor_row = session_row(**done(report=examine(Recording()).as_json()))
    shown = plain(owner.get(HERE).text)
    assert "Rien n’a pu être mesuré" in shown
    assert '<svg class="plot"' not in shown


def test_two_lines_have_a_button_each(owner: Owner, box: FakeBox) -> None:
    box.lines = [line_row(), line_row(line=2)]
    shown = owner.get(HERE).text
    assert "Examiner la ligne 1" in shown
    assert 'action="/telephone/doctor/start/2"' in shown


def test_strangers_neither_start_nor_read_it(app: Flask, box: FakeBox) -> None:
    visitor = Visitor(app)
    assert visitor.get(HERE).status_code == 302
    assert visitor.post(f"{HERE}start/1").status_code == 403
    assert visitor.post(f"{HERE}stop").status_code == 403
    assert not [what for what, _about in box.asked if "doctor" in what]
