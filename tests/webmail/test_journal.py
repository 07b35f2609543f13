"""Which calls owe a mail: the cursor through links, restarts, resets and absences."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from firmware.service import BoxUnreachableError
from firmware.webmail.mailstore import Cursor, MailStore
from tests.webmail.house import ACCOUNT, House, call


def told(house: House) -> list[str]:
    return [message_from_bytes(message)["Message-ID"] for _, _, message in house.post.delivered]


def test_a_first_link_tells_no_old_call(tmp_path: Path) -> None:
    house = House(tmp_path, linked=False)
    house.box.records = [call(record) for record in range(1, 40)]
    house.store.link(ACCOUNT, house.journal.start())
    house.miss(call(40))
    house.settle()
    assert len(told(house)) == 1
    assert "allobox-40-" in told(house)[0]


def test_a_link_made_while_the_box_is_away_tells_no_old_call_either(tmp_path: Path) -> None:
    house = House(tmp_path, linked=False)
    house.box.away = True
    with pytest.raises(BoxUnreachableError):
        house.journal.start()
    before = house.clock.wall().isoformat()
    house.box.records = [call(record, started=before) for record in range(1, 450)]
    house.store.link(ACCOUNT, house.journal.start_unseen())
    assert house.postman.step() is None
    house.box.away = False
    later = (house.clock.wall() + timedelta(seconds=5)).isoformat()
    house.miss(call(450, started=later))
    house.settle()
    assert [message_id.split("-")[1] for message_id in told(house)] == ["450"]


def test_answered_and_outgoing_calls_owe_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    answered, outgoing = call(1), call(2)
    answered["answered"] = answered["started"]
    outgoing["direction"] = "out"
    house.miss(answered, outgoing)
    house.settle()
    assert told(house) == []


def test_a_box_that_is_away_is_asked_again_when_it_is_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.box.away = True
    house.miss(call(1))
    assert house.postman.step() is None
    house.box.away = False
    house.settle()  # the wish to read was kept
    assert len(told(house)) == 1


def test_the_box_is_never_asked_for_more_than_200_rows(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.miss(*[call(record) for record in range(1, 451)])
    house.postman.step()
    assert max(query.get("limit", 0) for query in house.box.questions) == 200


def test_a_restarted_worker_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = House(tmp_path)
    first.miss(call(1))
    first.settle()
    first.store.close()
    second = House(tmp_path, linked=False)
    second.box.records = [call(1), call(2)]
    second.settle()
    assert len(told(second)) == 1
    assert "allobox-2-" in told(second)[0]


def test_a_journal_begun_anew_is_read_from_its_start_without_telling_a_call_twice(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.miss(*[call(record, started=f"2025-11-23T06:{record:02d}:00+00:00") for record in range(1, 31)])
    house.settle()
    assert len(told(house)) == 30
    # Restored from a backup that knows calls 1 to 5 only; then two more were missed.
    house.box.records = house.box.records[:5]
    house.box.records += [call(6, started="2025-11-23T07:00:00+00:00"), call(7, started="2025-11-23T07:01:00+00:00")]
    house.postman.wake(recheck=True)
    house.settle()
    assert [message_id.split("-")[1] for message_id in told(house)[30:]] == ["6", "7"]
    assert len(set(told(house))) == 32


def test_calls_read_for_a_link_that_is_gone_are_not_queued_for_the_next(tmp_path: Path) -> None:
    house = House(tmp_path)
    stale, cursor = house.store.linked(), house.store.cursor()
    assert stale is not None
    assert cursor is not None
    house.store.unlink()
    house.store.link(ACCOUNT, Cursor(500))
    house.store.take(cursor, Cursor(7), [], stale.generation)
    assert house.store.cursor() == Cursor(500)


def test_a_damaged_database_is_set_aside_and_told(tmp_path: Path) -> None:
    (tmp_path / "mail.db").write_bytes(b"\x00garbage" * 400)
    house = House(tmp_path, linked=False)
    assert house.store.notice is not None
    assert house.store.linked() is None


def test_the_device_keeps_its_identity(tmp_path: Path) -> None:
    house = House(tmp_path)
    device = house.store.device
    house.store.close()
    assert MailStore(tmp_path, house.clock).device == device
