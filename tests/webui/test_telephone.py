"""The telephone's page: ringing it, and where the household lives."""

from __future__ import annotations

import pytest

from tests.fakes.box_service import FakeBox, line_row
from tests.fakes.page_client import Owner

TYPED = {
    "country": "FR", "timezone": "Europe/Paris", "language": "fr", "pulse": "yes", "caller_id": "yes",
    "call_waiting": "yes", "echo_canceller": "yes", "echo_tail_ms": "32",
}  # fmt: skip


def test_the_bell_can_be_tried(owner: Owner, box: FakeBox) -> None:
    assert "sonne trois fois" in owner.follow(owner.post("/telephone/ring/1")).text
    assert box.rung == [1]


def test_each_line_is_shown_and_rung_for_itself(owner: Owner, box: FakeBox) -> None:
    box.lines = [line_row(hook="off", state="talking"), line_row(line=2)]
    for path in ("/", "/telephone/"):
        text = owner.get(path).text
        assert text.index("Ligne 1") < text.index("Ligne 2")
    assert "/telephone/ring/2" in owner.get("/telephone/").text
    owner.follow(owner.post("/telephone/ring/2"))
    assert box.rung == [2]


def test_with_one_line_nothing_is_numbered(owner: Owner) -> None:
    assert "Ligne 1" not in owner.get("/").text


def test_a_bell_that_cannot_ring_says_why(owner: Owner, box: FakeBox) -> None:
    box.lines = [line_row(hook="off", state="talking")]
    told = owner.follow(owner.post("/telephone/ring/1")).text
    assert "il est occupé, débranché ou absent" in told
    assert box.rung == []


def test_only_what_changed_is_set(owner: Owner, box: FakeBox) -> None:
    typed = {**TYPED, "timezone": "America/Cayenne", "language": "en"}
    del typed["pulse"]
    assert "Enregistré" in owner.follow(owner.post("/telephone/settings", typed)).text
    changes = [about for what, about in box.asked if what == "change_setting"]
    assert changes == [("box.timezone", "America/Cayenne"), ("box.language", "en"), ("line.pulse", "false")]
    assert "America/Cayenne" in owner.get("/telephone/").text


def test_nothing_to_change_changes_nothing(owner: Owner, box: FakeBox) -> None:
    assert "Rien à modifier" in owner.follow(owner.post("/telephone/settings", TYPED)).text
    assert not [what for what, _ in box.asked if what == "change_setting"]


def test_echo_and_level_are_choices_of_the_household(owner: Owner, box: FakeBox) -> None:
    typed = {**TYPED, "echo_tail_ms": "128", "echo_suppression": "yes", "automatic_gain": "yes"}
    owner.post("/telephone/settings", typed)
    changes = [about for what, about in box.asked if what == "change_setting"]
    assert changes == [
        ("line.echo_tail_ms", "128"), ("line.echo_suppression", "true"), ("line.automatic_gain", "true"),
    ]  # fmt: skip


def test_a_length_of_echo_that_was_set_over_ssh_is_offered_and_stays(owner: Owner, box: FakeBox) -> None:
    box.flat["line.echo_tail_ms"] = 48
    assert "48 ms d’écho, comme réglé" in owner.get("/telephone/").text
    owner.post("/telephone/settings", {**TYPED, "echo_tail_ms": "48"})
    assert not [what for what, _ in box.asked if what == "change_setting"]


@pytest.mark.parametrize(
    ("field", "value"), [("timezone", "Europe/Pariss"), ("country", "XX"), ("timezone", "$(reboot)")]
)
def test_what_the_box_refuses_is_said_beside_the_field(owner: Owner, box: FakeBox, field: str, value: str) -> None:
    response = owner.post("/telephone/settings", {**TYPED, field: value})
    assert response.status_code == 422
    assert 'class="error"' in response.text
    assert box.flat["box.timezone"] == "Europe/Paris"
    assert box.flat["box.country"] == "FR"


def test_a_new_time_zone_is_the_pages_too(owner: Owner, box: FakeBox) -> None:
    owner.post("/telephone/settings", {**TYPED, "timezone": "Indian/Reunion"})
    box.asked.clear()
    owner.get("/calls/?since=2026-07-14")
    assert ("calls", {"since": "2026-07-14T00:00:00+04:00", "limit": 51}) in box.asked
