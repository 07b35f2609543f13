"""The store: whole or not at all, and never in the telephone's way."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from firmware import store
from firmware.clock import ManualClock

NOTES = store.Schema(
    0x4E4F5445, (("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",), ("ALTER TABLE notes ADD k",))
)
CLOCK = ManualClock()


def test_a_new_database_gets_every_step_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "box.db"
    opened = store.open_writer(path, NOTES, CLOCK)
    assert opened.notice is None
    pragma = {
        name: opened.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("user_version", "application_id", "journal_mode", "synchronous", "foreign_keys", "mmap_size")
    }
    assert pragma == {
        "user_version": 2,
        "application_id": NOTES.application_id,
        "journal_mode": "delete",
        "synchronous": 3,  # EXTRA
        "foreign_keys": 1,
        "mmap_size": 0,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    opened.connection.close()


def test_an_old_database_is_brought_up_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    old = store.open_writer(path, store.Schema(NOTES.application_id, NOTES.steps[:1]), CLOCK).connection
    old.execute("INSERT INTO notes (text) VALUES ('kept')")
    old.close()
    new = store.open_writer(path, NOTES, CLOCK).connection
    assert new.execute("SELECT text, k FROM notes").fetchall() == [("kept", None)]
    new.close()


def test_a_failing_step_leaves_the_old_version_whole(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    store.open_writer(path, NOTES, CLOCK).connection.close()
    broken = store.Schema(NOTES.application_id, (*NOTES.steps, ("CREATE TABLE extra (a)", "CREATE TABLE notes (a)")))
    with pytest.raises(store.StoreError, match="already exists"):
        store.open_writer(path, broken, CLOCK)
    again = store.open_writer(path, NOTES, CLOCK).connection
    assert again.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone() == (0,)
    again.close()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    store.open_writer(path, NOTES, CLOCK).connection.close()
    with pytest.raises(store.StoreError, match=r"newer Allobox.*schema 2.*knows 1"):
        store.open_writer(path, store.Schema(NOTES.application_id, NOTES.steps[:1]), CLOCK)
    assert path.exists()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(store.StoreError, match="another program"):
        store.open_writer(path, NOTES, CLOCK)
    with pytest.raises(store.StoreError, match="not the kind"):
        store.open_reader(path, application_id=NOTES.application_id)


@pytest.mark.parametrize("damage", ["rubbish", "truncated", "scribbled"])
def test_a_damaged_database_is_set_aside_and_a_fresh_one_begun(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "box.db"
    connection = store.open_writer(path, NOTES, CLOCK).connection
    with store.transaction(connection, path):
        connection.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 500,)] * 200)
    connection.close()
    whole = path.read_bytes()
    path.write_bytes(
        {
            "rubbish": os.urandom(9000),
            "truncated": whole[: len(whole) // 2],
            "scribbled": whole[:8192] + b"\xff" * 4096 + whole[12288:],
        }[damage]
    )
    (tmp_path / "box.db-journal").write_bytes(b"")
    spoilt = path.read_bytes()
    opened = store.open_writer(path, NOTES, CLOCK)
    assert opened.notice is not None
    assert "box.db.corrupt-20260101T000000Z" in opened.notice
    assert (tmp_path / "box.db.corrupt-20260101T000000Z").read_bytes() == spoilt
    opened.connection.execute("INSERT INTO notes (text) VALUES ('calls go on')")
    opened.connection.close()


def test_a_full_disk_is_told_apart_and_nothing_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    connection = store.open_writer(path, NOTES, CLOCK).connection
    connection.execute("INSERT INTO notes (text) VALUES ('before')")
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then answers as on a full disk
    with pytest.raises(store.StoreFullError, match="disk is full"), store.transaction(connection, path):
        connection.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 2000,)] * 50)
    assert connection.execute("SELECT text FROM notes").fetchall() == [("before",)]
    connection.close()


def test_a_transaction_ends_with_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    connection = store.open_writer(path, NOTES, CLOCK).connection

    def write(second: str | None, trouble: type[Exception] | None) -> None:
        with store.transaction(connection, path):
            connection.execute("INSERT INTO notes (text) VALUES ('first')")
            connection.execute("INSERT INTO notes (text) VALUES (?)", (second,))
            if trouble:
                raise trouble

    with pytest.raises(RuntimeError):
        write("second", RuntimeError)
    with pytest.raises(sqlite3.IntegrityError):
        write(None, None)
    assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    write("second", None)
    assert connection.execute("SELECT count(*) FROM notes").fetchone() == (2,)
    connection.close()


def test_a_reader_cannot_write_and_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "with space & ?.db"
    store.open_writer(path, NOTES, CLOCK).connection.close()
    for immutable in (False, True):
        reader = store.open_reader(path, immutable=immutable, application_id=NOTES.application_id)
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("INSERT INTO notes (text) VALUES ('no')")
        reader.close()
    with pytest.raises(store.StoreError, match=r"missing\.db: no such database"):
        store.open_reader(tmp_path / "missing.db")


def test_a_folder_where_the_file_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "box.db").mkdir()
    with pytest.raises(store.StoreError, match=r"box\.db: cannot be opened for writing"):
        store.open_writer(tmp_path / "box.db", NOTES, CLOCK)


def test_an_atomic_write_replaces_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "active.json"
    store.write_atomically(path, b"old")
    store.write_atomically(path, b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(TypeError):
        store.write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert [entry.name for entry in tmp_path.iterdir()] == ["active.json"]
    assert path.read_bytes() == b"new"
