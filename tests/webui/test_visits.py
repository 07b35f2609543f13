"""Who came to the page: noted, bounded, shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Flask

from firmware.webui.visits import FAILURES, KEPT, WRONG_PASSWORD, Visits
from tests.fakes.page_client import PASSWORD, Visitor

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_logins_and_failures_are_on_the_log_page(app: Flask) -> None:
    for _ in range(2):
        Visitor(app, "192.168.1.66").post("/login", {"password": "Faux-faux-11"})
    told = Visitor(app, "192.168.1.20").log_in().get("/log/").text
    assert "Qui est venu sur cette page" in told
    assert "mot de passe faux, 2 fois" in told
    assert told.index("192.168.1.20") < told.index("192.168.1.66")  # newest first
    assert PASSWORD not in told
    assert "Faux-faux-11" not in told


def test_a_new_password_and_a_wrong_present_one_are_noted(app: Flask) -> None:
    owner = Visitor(app, "192.168.1.20").log_in()
    form = {"present": "Faux-faux-11", "password": "Allo-allo-2011", "again": "Allo-allo-2011"}
    owner.post("/password", form, page="/password")
    assert "mot de passe faux" in owner.get("/log/").text
    owner.post("/password", {**form, "present": PASSWORD}, page="/password")
    assert "nouveau mot de passe" in owner.get("/log/").text


def test_they_survive_a_restart_and_lie_in_a_file_of_ours_only(tmp_path: Path) -> None:
    path = tmp_path / "page" / "visits.json"
    Visits(path).note("login", "192.168.1.20")
    assert [visit.client for visit in Visits(path).last()] == ["192.168.1.20"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_flood_of_failures_pushes_out_failures_only() -> None:
    now = [NOON]
    visits = Visits(now=lambda: now[0])
    for number in range(5):
        visits.note("login", f"10.0.0.{number}")
    for number in range(500):
        now[0] += timedelta(seconds=6)
        visits.note(WRONG_PASSWORD, f"fd00::{number:x}")
    last = visits.last()
    assert len(last) == KEPT
    assert sum(visit.kind == "login" for visit in last) == 5
    assert last[0].client == "fd00::1f3"
    for number in range(500):
        visits.note("login", f"10.0.1.{number}")
    assert sum(visit.kind in FAILURES for visit in visits.last()) == KEPT // 2


def test_the_same_again_counts_up_but_not_the_next_day() -> None:
    now = [NOON]
    visits = Visits(now=lambda: now[0])
    for _ in range(3):
        visits.note(WRONG_PASSWORD, "10.0.0.1")
    now[0] += timedelta(days=1)
    visits.note(WRONG_PASSWORD, "10.0.0.1")
    assert [visit.times for visit in visits.last()] == [1, 3]


def test_a_spoilt_file_is_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "visits.json"
    for spoilt in (b"", b"[1]", b'{"a": 1}', b'[{"at": 1}]', b"\xff"):
        path.write_bytes(spoilt)
        assert Visits(path).last() == []
