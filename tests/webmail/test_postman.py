"""The thread that listens to the box: it reads on arrival, at each call, and never gives up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware.service import BoxEvent
from firmware.webmail.trouble import Trouble
from tests.webmail.house import House, call, trouble

HELLO: BoxEvent = {"kind": "process", "data": {"role": "mail", "state": "up"}}
CALL: BoxEvent = {"kind": "call", "data": {"line": 1}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def listen(house: House, attempts: int) -> list[float]:
    """Follow the streams that there are, for so many attempts; the pauses that were made."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == attempts:
            house.postman.stop()

    house.postman.listen(house.box, sleep)
    return pauses


def test_pauses_grow_to_five_seconds_while_nobody_answers(house: House) -> None:
    assert listen(house, 8) == [0.25, 0.5, 1, 2, 4, 5, 5, 5]


def test_a_stream_that_came_about_starts_the_pauses_anew(house: House) -> None:
    house.box.streams.append([])  # connected, but cut before anything came
    house.box.streams.append([HELLO])
    assert listen(house, 4) == [0.25, 0.25, 0.5, 1]


def test_calls_missed_while_away_are_read_on_arrival(house: House) -> None:
    house.settle()
    house.box.records.append(call(1))
    house.settle()
    assert house.post.delivered == []  # nobody told us
    house.box.streams.append([HELLO])
    listen(house, 1)
    house.settle()
    assert len(house.post.delivered) == 1


def test_each_call_is_read_when_it_is_told(house: House) -> None:
    counts = []

    def stream() -> Iterator[BoxEvent]:
        yield HELLO
        house.settle()
        house.box.records.append(call(1))
        house.settle()
        counts.append(len(house.post.delivered))
        yield CALL
        house.settle()
        counts.append(len(house.post.delivered))
        yield {"kind": "line", "data": {}}

    house.box.streams.append(stream())
    listen(house, 1)
    assert counts == [0, 1]


def test_the_box_is_told_how_the_mail_is_and_again_when_that_changes(house: House) -> None:
    house.box.streams.append([HELLO, CALL, CALL])
    house.box.streams.append([HELLO])
    assert house.postman.detail() == "linked"
    listen(house, 2)
    assert house.box.details == ["linked", "linked"]
    house.post.at_login.append(trouble(Trouble.LOGIN))
    house.miss(call(1))
    house.postman.step()
    assert house.postman.detail() == "paused"
    house.store.unlink()
    assert house.postman.detail() == "not linked"


def test_a_changed_language_counts_for_the_next_mail(house: House) -> None:
    house.settle()
    house.box.language = "en"
    house.box.streams.append([HELLO, {"kind": "settings", "data": {}}])
    listen(house, 1)
    house.miss(call(1))
    house.settle()
    assert b"Missed call" in house.post.delivered[0][2]
