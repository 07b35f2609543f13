"""The decks in use: which one prices whom, kept over a restart, swapped while others look up."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest

from firmware import numbering, store
from firmware.rates.book import BookError, RateBook
from firmware.rates.deck import DeckError, import_csv
from firmware.rates.rate import UnknownDestinationError
from firmware.rates.samples import SAMPLE
from firmware.service import DeckRow, PriceAnswer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARIS = numbering.parse_number("+33142685300", "FR")
CLOCK = numbering.parse_number("3699", "FR")


class Kind(Enum):
    """A class of number that no plan has."""

    STRANGE = "strange"


@dataclass(frozen=True)
class Strange:
    """A number of nowhere."""

    digits: str = "999123"
    e164: str | None = "+999123"
    kind: Kind = Kind.STRANGE


def deck(folder: Path, name: str, price: str, currency: str = "EUR") -> str:
    """A deck with one price for France; returns its file's name."""
    text = f"prefix,destination,rate_per_minute\n33,France,{price}\n"
    report = import_csv(io.BytesIO(text.encode()), folder, name, currency=currency)
    assert report.file is not None
    return report.file.name


def per_minute(book: RateBook, account: str | None = None) -> str:
    """What France costs."""
    return str(book.quote(PARIS, account, 60, NOW)["rate_per_minute"])


def test_an_answer_has_the_contracted_keys(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    report = import_csv(SAMPLE, tmp_path, "webmail-2010")
    assert report.file is not None
    row = book.activate(report.file.name, "webmail-2010", None)
    assert set(row) == set(DeckRow.__annotations__)
    answer = book.quote(PARIS, None, 90, NOW)
    assert answer == {
        "number": "+33142685300",
        "destination": "France fixed",
        "class": "fixed",
        "account": None,
        "currency": "EUR",
        "rate_per_minute": "0.0200",
        "connection_fee": "0.0000",
        "first_increment": 60,
        "next_increment": 60,
        "billed_seconds": 120,
        "cost": "0.0400",
        "free": False,
        "max_seconds": None,
        "deck": "webmail-2010",
        "per_call": "0.0000",
        "minimum": "0.0000",
        "prefix": "33",
        "deck_currency": "EUR",
        "band": "",
        "grace_seconds": 0,
        "steps": "",
        "service_per_call": "0.0000",
        "service_per_minute": "0.0000",
        "service_cost": "0.0000",
        "tax": "0.0000",
        "bundle": None,
        "bundle_seconds": 0,
        "parts": [
            {"from": "0.000", "to": "90.000", "band": "", "bundle": None, "billed_seconds": 120, "cost": "0.0400"}
        ],
    }
    assert PriceAnswer.__required_keys__ <= set(answer)
    clock = book.quote(CLOCK, None, 30, NOW)
    assert (clock["number"], clock["class"], clock["cost"]) == ("3699", "short", "0.0200")
    america = book.quote(numbering.parse_number("+12125551212", "FR"), None, 3600, NOW)
    assert (america["free"], america["cost"]) == (True, "0.0000")


@pytest.mark.parametrize("number", sorted(numbering.EMERGENCY["FR"]))
def test_an_emergency_is_free_whatever_the_deck_says(tmp_path: Path, number: str) -> None:
    book = RateBook(tmp_path)
    dialled = numbering.parse_number(number, "FR")
    assert book.quote(dialled, None, 600, NOW)["cost"] == "0.0000"
    greedy = import_csv(
        io.BytesIO(f"prefix,destination,rate_per_minute,per_call\nFR{number},x,9,9\n1,y,9,9\n".encode()),
        tmp_path,
        "greedy",
    )
    assert greedy.file is not None
    book.activate(greedy.file.name, "greedy", None)
    answer = book.quote(dialled, None, 600, NOW)
    assert (answer["cost"], answer["free"], answer["class"]) == ("0.0000", True, "emergency")


def test_an_account_is_priced_by_its_own_deck_and_nothing_else(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    book.activate(deck(tmp_path, "all", "0.05"), "all", None)
    book.activate(deck(tmp_path, "ovh", "0.01"), "ovh", "ovh")
    america = import_csv(io.BytesIO(b"prefix,destination,rate_per_minute\n1,US,0"), tmp_path, "us")
    assert america.file is not None
    book.activate(america.file.name, "us", "us")
    assert (per_minute(book), per_minute(book, "ovh"), per_minute(book, "other")) == ("0.0500", "0.0100", "0.0500")
    with pytest.raises(UnknownDestinationError, match=r"\+33142685300.*searched in: us"):
        book.quote(PARIS, "us", 60, NOW)
    cheapest = book.price(PARIS, ["us", "other", "ovh"], 60, NOW)
    assert (cheapest["account"], cheapest["cost"]) == ("ovh", "0.0100")
    assert book.find(PARIS, "us", NOW) is None


def test_without_a_deck_no_price_is_known(tmp_path: Path) -> None:
    book = RateBook(tmp_path / "none yet")
    assert book.find(PARIS, None, NOW) is None
    assert book.decks() == []
    with pytest.raises(BookError, match="no rate deck is in use"):
        book.quote(PARIS, None, 60, NOW)
    with pytest.raises(UnknownDestinationError, match=r"\+999123"):
        book.quote(Strange(), None, 60, NOW)


def test_decks_in_use_are_remembered(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    book.activate(deck(tmp_path, "all", "0.05"), "all", None)
    book.activate(deck(tmp_path, "ovh", "0.01"), "ovh", "ovh")
    book.close()
    again = RateBook(tmp_path)
    assert (per_minute(again), per_minute(again, "ovh")) == ("0.0500", "0.0100")
    assert [(row["name"], row["account"], row["active"]) for row in again.decks()] == [
        ("all", None, True),
        ("ovh", "ovh", True),
    ]
    again.rename_account("ovh", "ovh2")
    assert (per_minute(RateBook(tmp_path), "ovh2"), per_minute(RateBook(tmp_path), "ovh")) == ("0.0100", "0.0500")
    again.rename_account("ovh2", None)
    assert per_minute(RateBook(tmp_path), "ovh2") == "0.0500"


def test_a_new_import_keeps_the_one_before_and_drops_older_ones(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    files = []
    for price in ("0.01", "0.02", "0.03"):
        files.append(deck(tmp_path, "all", price))
        book.activate(files[-1], "all", None)
    assert {path.name for path in tmp_path.glob("*.deck")} == set(files[1:])
    assert [(row["file"], row["active"]) for row in book.decks()] == [(files[2], True), (files[1], False)]
    book.activate(files[1], "all", None)
    assert per_minute(book) == "0.0200"


def test_a_deck_goes_out_of_use_first_and_off_the_disk_next(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    file = deck(tmp_path, "all", "0.01")
    book.activate(file, "all", None)
    book.remove("all")
    assert book.find(PARIS, None, NOW) is None
    assert [(row["file"], row["active"]) for row in book.decks()] == [(file, False)]
    book.remove("all")
    assert book.decks() == []
    with pytest.raises(DeckError, match="no deck 'all'"):
        book.remove("all")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("../all-1.deck", "all"),
        ("/etc/passwd", "all"),
        ("all.csv", "all"),
        ("missing-1.deck", "missing"),
        (".hidden.deck", "hidden"),
        ("", "all"),
    ],
)
def test_only_a_deck_of_the_folder_can_be_taken(tmp_path: Path, file: str, name: str) -> None:
    book = RateBook(tmp_path)
    with pytest.raises(DeckError):
        book.activate(file, name, None)
    assert not (tmp_path / "active.json").exists()


def test_a_deck_under_another_name_is_refused(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    with pytest.raises(DeckError, match="holds the deck 'all', not 'other'"):
        book.activate(deck(tmp_path, "all", "1"), "other", None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", '{"decks":[{"account":null}]}', '{"decks":7}', "\x00", "[" * 100_000),
        '{"decks":[{"account":3,"file":"x"}]}',
    ],
)
def test_a_spoilt_list_of_decks_leaves_calls_without_a_price_but_possible(tmp_path: Path, text: str) -> None:
    (tmp_path / "active.json").write_text(text)
    book = RateBook(tmp_path)
    assert book.find(PARIS, None, NOW) is None
    assert len(book.notices) == 1
    assert "active.json" in book.notices[0]
    book.activate(deck(tmp_path, "all", "0.01"), "all", None)
    assert per_minute(RateBook(tmp_path)) == "0.0100"


def test_a_deck_that_has_gone_or_spoilt_is_told_and_others_hold(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    file = deck(tmp_path, "all", "0.05")
    book.activate(file, "all", None)
    book.activate(deck(tmp_path, "ovh", "0.01"), "ovh", "ovh")
    (tmp_path / file).write_bytes(b"rubbish" * 1000)
    again = RateBook(tmp_path)
    assert again.find(PARIS, None, NOW) is None
    assert per_minute(again, "ovh") == "0.0100"
    assert "calls by default have no price" in again.notices[0]


def test_a_swap_that_cannot_be_kept_does_not_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = RateBook(tmp_path)
    book.activate(deck(tmp_path, "all", "0.05"), "all", None)
    before = (tmp_path / "active.json").read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("firmware.store.write_atomically", full)
    with pytest.raises(DeckError, match="No space left"):
        book.activate(deck(tmp_path, "new", "0.09"), "new", None)
    assert per_minute(book) == "0.0500"
    assert (tmp_path / "active.json").read_text() == before
    assert json.loads(before)["decks"][0]["account"] is None


def test_prices_are_found_while_decks_are_swapped(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    names = [(deck(tmp_path, f"d{n}", f"0.0{n}"), f"d{n}") for n in (1, 2)]
    book.activate(*names[0], None)
    seen: set[str] = set()
    troubles: list[Exception] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                seen.add(per_minute(book))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
                troubles.append(error)
                return

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        book.activate(*names[turn % 2], None)
    done.set()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert seen <= {"0.0100", "0.0200"}
    assert isinstance(book.quote(PARIS, None, Decimal("61.5"), NOW)["billed_seconds"], int)


def test_a_look_up_does_not_wait_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = RateBook(tmp_path)
    book.activate(deck(tmp_path, "all", "0.05"), "all", None)
    new = deck(tmp_path, "all", "0.09")
    writing, go_on = threading.Event(), threading.Event()
    write = store.write_atomically

    def slow(path: Path, data: bytes, mode: int = 0o600) -> None:
        writing.set()
        assert go_on.wait(20)
        write(path, data, mode)

    monkeypatch.setattr(store, "write_atomically", slow)
    change = threading.Thread(target=book.activate, args=(new, "all", None))
    change.start()
    assert writing.wait(20)
    assert per_minute(book) == "0.0500"
    go_on.set()
    change.join()
    assert per_minute(book) == "0.0900"


def test_a_time_out_of_range_is_refused(tmp_path: Path) -> None:
    book = RateBook(tmp_path)
    book.activate(deck(tmp_path, "all", "0.05"), "all", None)
    with pytest.raises(BookError, match="out of range"):
        book.quote(PARIS, None, 60, datetime(1, 1, 1))  # noqa: DTZ001 - as a person may type it
