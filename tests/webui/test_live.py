"""The live stream: one listener at the core for all browsers, pieces only when they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from firmware.service import MAX_ROWS
from firmware.webui import context, events
from firmware.webui.live import LiveFeed
from firmware.webui.spend import MonthSpend
from tests.fakes.box_service import FakeBox, call_row, line_row, missed_row
from tests.fakes.page_client import Owner

PARIS = ZoneInfo("Europe/Paris")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


@pytest.fixture
def feed(app: Flask, box: FakeBox) -> Iterator[LiveFeed]:
    with app.app_context():
        live = context.page().live
    live.start("http://allobox")
    until(lambda: box.listening is not None)
    yield live
    live.close()
    box.go_away()


class Stream:
    """A browser's event stream, read on demand."""

    def __init__(self, owner: Owner) -> None:
        self.response = owner.http.get("/events", headers={"Accept-Language": "fr"})
        assert self.response.status_code == 200
        self._chunks = self.response.iter_encoded()

    def next(self, kind: str) -> str:
        """The next fragment of that kind."""
        while True:
            chunk = next(self._chunks).decode()
            if chunk.startswith(f"event: {kind}\n"):
                return chunk


def test_the_core_sees_that_the_page_listens(feed: LiveFeed, box: FakeBox) -> None:
    assert box.listening == "http://allobox"
    assert feed.snapshot().status is not None


def test_a_change_reaches_the_browser_as_a_sentence(feed: LiveFeed, box: FakeBox, owner: Owner) -> None:
    stream = Stream(owner)
    assert "Le téléphone est raccroché" in stream.next("line")
    box.lines = [line_row(ringing=True, state="ringing", number="+33612345678")]
    box.tell("line")
    fragment = stream.next("line")
    assert "Le téléphone sonne" in fragment
    assert all(line.startswith(("event:", "data:")) for line in fragment.strip().splitlines())
    assert stream.response.mimetype == "text/event-stream"
    assert stream.response.headers["Cache-Control"] == "no-store"
    stream.response.close()
    assert feed.snapshot().version >= 2


def test_a_new_call_appears_and_what_did_not_change_is_not_sent(feed: LiveFeed, box: FakeBox, owner: Owner) -> None:
    stream = Stream(owner)
    stream.next("calls")
    box.rows.append(missed_row(1, name="Marie"))
    box.tell("call")
    chunk = next(stream._chunks).decode()
    assert chunk.startswith("event: calls\n")
    assert "Marie" in chunk
    stream.response.close()
    assert feed.snapshot().calls


def test_many_browsers_cost_the_core_one_question_an_event(feed: LiveFeed, box: FakeBox, app: Flask) -> None:
    streams = [Stream(Owner(app)) for _ in range(5)]
    for stream in streams:
        stream.next("line")
    box.asked.clear()
    box.lines = [line_row(hook="off", state="dial-tone")]
    box.tell("line")
    for stream in streams:
        assert "décroché" in stream.next("line")
        stream.response.close()
    assert [what for what, _ in box.asked if what in {"status", "calls"}] == ["status"]
    assert feed.snapshot().status is not None


def test_a_core_that_goes_away_is_shown_and_so_is_its_return(feed: LiveFeed, box: FakeBox, owner: Owner) -> None:
    stream = Stream(owner)
    stream.next("line")
    box.go_away()
    assert "La box ne répond pas" in stream.next("line")
    box.reachable = True
    assert "Le téléphone est raccroché" in stream.next("line")
    stream.response.close()
    assert feed.snapshot().status is not None


def test_a_logout_ends_the_stream(feed: LiveFeed, box: FakeBox, owner: Owner) -> None:
    stream = Stream(owner)
    stream.next("line")
    owner.post("/logout")
    box.lines = [line_row(hook="off", state="talking")]
    box.tell("line")
    rest = b"".join(stream._chunks)
    assert b"En ligne" not in rest
    assert feed.snapshot().status is not None


def test_streams_are_few_and_are_given_back(feed: LiveFeed, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_free", threading.BoundedSemaphore(2))
    owner = Owner(app)
    streams = [Stream(owner) for _ in range(2)]
    refused = owner.get("/events")
    assert refused.status_code == 503
    assert "Trop de pages ouvertes" in refused.text
    streams[0].response.close()
    Stream(owner).response.close()
    streams[1].response.close()
    assert feed.snapshot().status is not None


def test_home_shows_the_months_spend(owner: Owner, box: FakeBox) -> None:
    now = datetime.now(UTC).isoformat()
    box.rows = [
        call_row(1, started=now, cost="0.0400"),
        call_row(2, started=now, cost="1.2500"),
        missed_row(3, started=now),
    ]
    text = owner.get("/").text.replace("\u00a0", " ")
    assert "1,29 €" in text
    assert "2 appels passés" in text


def test_the_month_is_read_once_and_then_only_what_is_new(box: FakeBox) -> None:
    box.rows = [call_row(number, cost="0.0200") for number in range(1, 2 * MAX_ROWS + 2)]
    spend = MonthSpend(box)
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    totals, answered = spend.so_far(now, PARIS)
    assert totals == {"EUR": Decimal("8.02")}
    assert answered == 2 * MAX_ROWS + 1
    box.asked.clear()
    box.rows.append(call_row(1000, cost="0.5000", currency="USD"))
    totals, _ = spend.so_far(now, PARIS)
    assert totals == {"EUR": Decimal("8.02"), "USD": Decimal("0.5000")}
    assert len(box.asked) == 1
    assert spend.so_far(datetime(2027, 1, 1, tzinfo=UTC), PARIS) == ({}, 0)


def test_the_month_turns_where_the_house_stands(box: FakeBox) -> None:
    box.rows = [call_row(1, started="2026-11-30T23:30:00+00:00", cost="0.0200")]
    spend = MonthSpend(box)
    assert spend.so_far(datetime(2026, 12, 1, 8, tzinfo=UTC), PARIS)[0] == {"EUR": Decimal("0.02")}
    assert spend.so_far(datetime(2026, 12, 1, 8, tzinfo=UTC), ZoneInfo("America/Cayenne"))[0] == {}


def test_no_page_asks_for_more_than_the_contract_allows(owner: Owner, box: FakeBox, tmp_path: Path) -> None:
    box.rows = [call_row(number) for number in range(1, 500)]
    for path in ("/", "/calls/", "/log/", "/log/trace", "/calls/export.csv"):
        assert owner.get(path).status_code == 200
    for what, about in box.asked:
        if what in {"logs", "trace"}:
            assert isinstance(about, int)
            assert about <= MAX_ROWS
        if what == "calls":
            assert isinstance(about, dict)
            assert about["limit"] <= MAX_ROWS
    assert tmp_path.exists()
