"""Decks: CSV in, every error at once, longest prefix out; nothing half-applied and nothing unbounded."""

from __future__ import annotations

import io
import os
import re
import sqlite3
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware import store
from firmware.rates import csvlines, deckfile, reading
from firmware.rates.deck import Deck, DeckError, ImportReport, RowError, deck_name, import_csv, read_rate
from firmware.rates.samples import SAMPLE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "prefix,destination,rate_per_minute,connection_fee,first_increment,next_increment"


def take(folder: Path, text: str | bytes, **more: object) -> ImportReport:
    """Import this text as tarifs.csv."""
    data = text.encode() if isinstance(text, str) else text
    return import_csv(io.BytesIO(data), folder, "tarifs", source_name="tarifs.csv", **more)  # type: ignore[arg-type]


def opened(folder: Path, text: str | bytes, **more: object) -> Deck:
    """The deck that this text makes."""
    report = take(folder, text, **more)
    assert report.errors == ()
    assert report.file is not None
    return Deck.open(report.file)


def price_of(deck: Deck, key: str, at: datetime = NOW) -> str | None:
    """Destination of a number's rate."""
    found = deck.lookup(key, at)
    return found.destination if found else None


def test_the_longest_prefix_wins(tmp_path: Path) -> None:
    rows = "33,France,0.02,0,60,60\n336,France mobile,0.03,0,60,60\n3,Region 3,1,0,1,1\nFR3699,Clock,0.1,0,60,60"
    with opened(tmp_path, f"{HEADER}\n{rows}") as deck:
        assert price_of(deck, "33142685300") == "France"
        assert price_of(deck, "33612345678") == "France mobile"
        assert price_of(deck, "3699") == "Region 3"
        assert price_of(deck, "FR3699") == "Clock"
        assert price_of(deck, "442071838750") is None
        assert price_of(deck, "") is None
        assert price_of(deck, "33" + "1" * 200) == "France"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sets(st.text("123", min_size=1, max_size=6), min_size=1, max_size=30), st.text("123", min_size=1, max_size=9))
def test_the_longest_prefix_is_found_whatever_the_deck(
    tmp_path_factory: pytest.TempPathFactory, prefixes: set[str], number: str
) -> None:
    folder = tmp_path_factory.mktemp("decks")
    with opened(folder, HEADER + "".join(f"\n{prefix},to {prefix},1,0,1,1" for prefix in sorted(prefixes))) as deck:
        fitting = [prefix for prefix in prefixes if number.startswith(prefix)]
        assert price_of(deck, number) == (f"to {max(fitting, key=len)}" if fitting else None)


def test_a_rate_holds_from_its_date_on(tmp_path: Path) -> None:
    text = (
        "prefix;destination;rate_per_minute;valid_from\n"
        "33;always;0,01;\n33;from August;0,02;2010-08-01T00:00+02:00\n336;from 2030;0,03;2030-01-01T00:00Z\n"
    )
    with opened(tmp_path, text) as deck:
        assert price_of(deck, "336", datetime(2010, 7, 31, 21, 59, 59, tzinfo=UTC)) == "always"
        assert price_of(deck, "336", datetime(2010, 7, 31, 22, 0, tzinfo=UTC)) == "from August"
        assert price_of(deck, "336", datetime(2030, 1, 1, tzinfo=UTC)) == "from 2030"


def test_every_column_is_read_in_any_order_case_and_dialect(tmp_path: Path) -> None:
    text = (
        "\ufeffsep=;\r\nMinimum;Per Call;NEXT-INCREMENT; first_increment ;Connection_Fee;Rate_per_Minute;Destination;"
        'PREFIX;Currency;Remark\r\n0,5;1,25;1;30;0,15;"0,00512";"Réunion ; ""mobile""";+262692;usd;x\r\n;;;;;;;;;\r\n'
    )
    report = take(tmp_path, text)
    assert report.ignored_columns == ("Remark",)
    assert report.file is not None
    with Deck.open(report.file) as deck:
        found = deck.lookup("262692123456", NOW)
        assert found is not None
        assert (found.destination, found.currency) == ('Réunion ; "mobile"', "USD")
        assert [found.per_minute, found.connection_fee, found.per_call, found.minimum] == [
            Decimal(text) for text in ("0.00512", "0.15", "1.25", "0.5")
        ]
        assert (found.first_increment, found.next_increment) == (30, 1)


def test_what_a_file_leaves_out_has_a_documented_value(tmp_path: Path) -> None:
    with opened(tmp_path, "prefix\tdestination\trate_per_minute\n33\tFrance\t.02\n", currency="chf") as deck:
        found = deck.lookup("33", NOW)
        assert found is not None
        assert (found.currency, found.first_increment, found.next_increment) == ("CHF", 60, 60)
        assert found.valid_from is None
        assert found.connection_fee + found.per_call + found.minimum == 0


def test_a_file_that_excel_in_france_wrote_is_read(tmp_path: Path) -> None:
    text = "prefix;destination;rate_per_minute\r\n262;Réunion – fixe;0,05\r\n"
    with opened(tmp_path, text.encode("cp1252")) as deck:
        assert price_of(deck, "262") == "Réunion – fixe"


@pytest.mark.parametrize(
    ("row", "column", "cause"),
    [
        ("33,France,0O2,0,60,60", "rate_per_minute", "the price '0O2' is not a number (letter O?)"),
        ('33,France,"0,2O",0,60,60', "rate_per_minute", "the price '0,2O' is not a number (letter O?)"),
        ("33,France,1e400,0,60,60", "rate_per_minute", "is not a number: write it without an exponent"),
        ("33,France,NaN,0,60,60", "rate_per_minute", "the price 'NaN' is not a number"),
        ("33,France,Infinity,0,60,60", "rate_per_minute", "is not a number"),
        ("33,France,-0.02,0,60,60", "rate_per_minute", "it is negative"),
        ("33,France,,0,60,60", "rate_per_minute", "the cell is empty"),
        ("33,France,0.02 PLN,0,60,60", "rate_per_minute", "leave the currency out"),
        ("33,France,1 000.50,0,60,60", "rate_per_minute", "separators of thousands"),
        ("33,France,٠.٢,0,60,60", "rate_per_minute", "is not a number"),
        ("33,France,0.1234567,0,60,60", "rate_per_minute", "more than six decimals"),
        ("33,France,10001,0,60,60", "rate_per_minute", "above 10000"),
        ("33,France,=1+1,0,60,60", "rate_per_minute", "it is a formula; paste the values"),
        ("33,France,0.02,x,60,60", "connection_fee", "the price 'x' is not a number"),
        ("33,France,0.02,0,0,60", "first_increment", "not between 1 and 3600"),
        ("33,France,0.02,0,60,1.5", "next_increment", "not a whole number of seconds"),
        ("33,France,0.02,0,60,999999999999", "next_increment", "not a whole number"),
        ("033,France,0.02,0,60,60", "prefix", "begins with 0; E.164 has the country code first"),
        (",France,0.02,0,60,60", "prefix", "the prefix is missing"),
        ("3.3E+10,France,0.02,0,60,60", "prefix", "power of ten by a spreadsheet"),
        ("3312345678901234,France,0.02,0,60,60", "prefix", "is not 1 to 15 digits"),
        ("33',France,0.02,0,60,60", "prefix", "is not 1 to 15 digits"),
        ("33,,0.02,0,60,60", "destination", "the destination is missing"),
        (f"33,{'x' * 81},0.02,0,60,60", "destination", "longer than 80 characters"),
        ("33,Fr\x1bance,0.02,0,60,60", "destination", "control characters"),
        ("33,Fr\u202eance,0.02,0,60,60", "destination", "control characters"),
        ("33,France,0.02,0,60,60,7", None, "the line has 7 columns, the first line 6"),
        ("33,France,0,02,0,60,60", None, "put a price with a decimal comma between quotes"),
        ('33,"France,0.02,0,60,60', None, "a quote is opened and not closed"),
        ("33,Fr\x00ance,0.02,0,60,60", None, "NUL bytes"),
    ],
)
def test_an_error_names_line_column_value_and_cause(tmp_path: Path, row: str, column: str | None, cause: str) -> None:
    report = take(tmp_path, f"{HEADER}\n1,US,0,0,1,1\n\n{row}\n")
    assert report.file is None
    (problem,) = report.errors
    assert (problem.line, problem.column) == (4, column)
    assert cause in problem.cause
    text = problem.text("tarifs.csv")
    assert text.startswith("tarifs.csv, line 4, column" if column else "tarifs.csv, line 4: ")
    assert list(tmp_path.iterdir()) == []


def test_the_error_reads_as_the_house_promises(tmp_path: Path) -> None:
    report = take(tmp_path, "prefix;destination;rate_per_minute\n" + "1;US;0\n" * 0 + "33;France;0,2O\n")
    expected = "tarifs.csv, line 2, column rate_per_minute: the price '0,2O' is not a number (letter O?)"
    assert report.lines() == [expected]


def test_all_errors_come_at_once_in_the_order_of_lines_and_a_hundred_at_most(tmp_path: Path) -> None:
    rows = ["33,France,0.02,0,60,60", "34,Spain,x,y,0,60", "33,France again,0.02,0,60,60", "0,Zero,0.02,0,60,60"]
    report = take(tmp_path, "\n".join([HEADER, *rows]))
    assert [(problem.line, problem.column) for problem in report.errors] == [
        (3, "rate_per_minute"),
        (3, "connection_fee"),
        (3, "first_increment"),
        (4, "prefix"),
        (5, "prefix"),
    ]
    assert "the prefix 33 stands on line 2 already" in report.errors[3].cause
    many = take(tmp_path, HEADER + "\n33,France,x,0,60,60" * 5000)
    assert (len(many.errors), many.stopped) == (100, True)
    assert many.lines()[-1] == "tarifs.csv: more than 100 errors, the rest was not read"


def test_a_prefix_twice_is_found_across_the_whole_file(tmp_path: Path) -> None:
    rows = [f"{n},Somewhere,0.02,0,60,60" for n in range(10000, 22000)]
    report = take(tmp_path, "\n".join([HEADER, *rows, rows[0], rows[11000]]))
    assert [(problem.line, problem.kind, problem.value) for problem in report.errors] == [
        (12002, "duplicate", "10000"),
        (12003, "duplicate", "21000"),
    ]
    dated = "prefix,destination,rate_per_minute,valid_from\n33,a,1,2026-01-01\n33,b,1,\n33,c,1,2026-01-01\n"
    (problem,) = take(tmp_path, dated).errors
    assert (problem.line, problem.cause) == (4, "the prefix 33 stands on line 2 already with the same date")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "the file holds no rates"),
        ("\n \n;;\n", "the file holds no rates"),
        (HEADER, "the file holds no rates"),
        ("33,France,0.02\n", "missing: prefix, destination, rate_per_minute"),
        ("prefix,destination\n33,France\n", "missing: rate_per_minute"),
        ("prefix,prefix,destination,rate_per_minute\n", "the column 'prefix' stands twice"),
        ("prefix,destination,rate_per_minute,conection_fee\n", "is 'connection_fee' meant?"),
        ("PK\x03\x04\x00\x00", "workbook"),
        (b"\xff\xfep\x00r\x00", "missing: prefix, destination, rate_per_minute"),
        (b"\xff\xfe\x00\x00p\x00\x00\x00", "UTF-32"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"SQLite format 3\x00", "a database"),
        ("prefix,destination,rate_per_minute,currency\n33,a,1,EUR\n34,b,1,USD\n", "USD, that of line 2 in EUR"),
        ("prefix,destination,rate_per_minute,currency\n33,a,1,euros\n", "not three letters"),
        ("prefix,destination,rate_per_minute,valid_from\n33,a,1,31/12/2010\n", "'31/12/2010' is no date"),
        ("prefix,destination,rate_per_minute,valid_from\n33,a,1,0001-01-01T00:00+23:59\n", "is no date"),
    ],
)
def test_a_file_that_is_no_deck_says_why(tmp_path: Path, text: str | bytes, cause: str) -> None:
    report = take(tmp_path, text)
    assert cause in report.errors[0].cause
    assert report.file is None
    assert list(tmp_path.iterdir()) == []


class Hostile(io.RawIOBase):
    """A file made while it is read, so that only the reader's own memory counts."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """As RawIOBase."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._rest:
            self._rest = next(self._pieces, b"")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _pieces(first: bytes, piece: bytes, count: int, last: bytes = b"") -> Iterator[bytes]:
    yield first
    for _ in range(count):
        yield piece
    yield last


HEAD = (HEADER + "\n").encode()
MEGA = 1024 * 1024


@pytest.mark.parametrize(
    ("pieces", "kinds"),
    [
        (_pieces(HEAD, b"3" * MEGA, 100, b"\n33,France,x,0,60,60\n"), ["line-too-long", "price"]),
        (_pieces(HEAD, b"\x00" * MEGA, 40), ["line-too-long"]),
        (_pieces(HEAD, b'"' * MEGA, 40, b"\n"), ["line-too-long"]),
        (_pieces(HEAD, b"3" * MEGA, 300), ["file-too-large"]),
        (_pieces(HEAD, b"," * 10_000 + b"\n", 1, b"1," * 1500 + b"1\n"), ["line-too-long", "too-many-columns"]),
        (
            _pieces(HEAD, b"33,=cmd|'/c calc'!A0,0.02,0,60,60\n", 1, b"34,@x,=1,+1,0,60\n"),
            ["price"] * 2 + ["increment"],
        ),
    ],
    ids=["one line of 100 MB", "NUL", "quotes", "300 MB", "10,000 columns", "formulas"],
)
def test_a_hostile_file_is_refused_in_bounded_memory(tmp_path: Path, pieces: Iterator[bytes], kinds: list[str]) -> None:
    tracemalloc.start()
    try:
        report = import_csv(io.BufferedReader(Hostile(pieces)), tmp_path, "tarifs")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [problem.kind for problem in report.errors] == kinds
    assert peak < 16 * MEGA
    assert all(len(problem.text("x")) < 400 for problem in report.errors)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: f"{HEADER}\n{text}".encode())))
def test_rubbish_never_breaks_the_import(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    report = take(tmp_path_factory.mktemp("decks"), data)
    assert report.ok == (report.file is not None)
    assert all("\n" not in line for line in report.lines())


def test_too_many_rows_and_destinations_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ROWS", 10)
    rows = "".join(f"\n{n},Somewhere,0.02,0,60,60" for n in range(10, 30))
    (problem,) = take(tmp_path, HEADER + rows).errors
    assert (problem.line, problem.kind) == (12, "too-many-rows")
    monkeypatch.setattr(reading, "MAX_DESTINATIONS", 3)
    rows = "".join(f"\n{n},To {n},0.02,0,60,60" for n in range(10, 19))
    (problem,) = take(tmp_path, HEADER + rows).errors
    assert (problem.line, problem.kind) == (5, "too-many")


def test_a_dry_run_finds_the_errors_and_leaves_nothing(tmp_path: Path) -> None:
    report = take(tmp_path, f"{HEADER}\n33,France,0.02,0,60,60", dry_run=True)
    assert (report.ok, report.rows, report.file) == (True, 1, None)
    assert list(tmp_path.iterdir()) == []


def test_the_same_contents_make_the_same_file(tmp_path: Path) -> None:
    text = f"{HEADER}\n33,France,0.02,0,60,60\n"
    first, again = take(tmp_path, text), take(tmp_path, text.replace("\n", "\r\n"))
    other = take(tmp_path, text.replace("0.02", "0.03"))
    assert first.file == again.file != other.file
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        report.file.name for report in (first, other) if report.file
    )
    assert re.fullmatch(r"tarifs-[0-9a-f]{12}\.deck", first.file.name if first.file else "")


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = deckfile.begin

    def small(connection: sqlite3.Connection) -> None:
        begin(connection)
        connection.execute("PRAGMA max_page_count = 8")

    monkeypatch.setattr(deckfile, "begin", small)
    rows = "".join(f"\n{n},To {n},0.02,0,60,60" for n in range(10_000, 20_000))
    with pytest.raises(DeckError, match="disk is full"):
        take(tmp_path, HEADER + rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "Ä", "a/b", "..", "-x", "x" * 41, "a\n", "A"])
def test_a_name_that_makes_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeckError, match="deck name"):
        import_csv(SAMPLE, tmp_path, name)


def test_a_file_names_its_deck(tmp_path: Path) -> None:
    assert deck_name("Tarifs Été 2026 (v2).csv") == "tarifs-ete-2026-v2"
    assert deck_name("€€€.csv") == "rates"
    assert deckfile.check_name(deck_name("x" * 200)) == "x" * 40
    with pytest.raises(DeckError, match=r"none\.csv: cannot be read"):
        import_csv(tmp_path / "none.csv", tmp_path, "x")


def test_the_sample_prices_the_summer_of_2010(tmp_path: Path) -> None:
    report = import_csv(SAMPLE, tmp_path, "webmail-2010")
    assert report.errors == ()
    assert report.file is not None
    with Deck.open(report.file) as deck:
        prices = {
            key: (found.destination, str(found.per_minute))
            for key in (
                "12125551212",
                "14165551212",
                "33142685300",
                "33612345678",
                "6744443333",
                "FR112",
                "33800123456",
            )
            if (found := deck.lookup(key, NOW))
        }
        premium = deck.lookup("33899123456", NOW)
        jamaica = deck.lookup("18765551212", NOW)
    assert prices == {
        "12125551212": ("United States and Canada", "0.0000"),
        "14165551212": ("United States and Canada", "0.0000"),
        "33142685300": ("France fixed", "0.0200"),
        "33612345678": ("France mobile", "0.0200"),
        "6744443333": ("Nauru", "0.9900"),
        "FR112": ("France emergency", "0.0000"),
        "33800123456": ("France free number", "0.0000"),
    }
    assert premium is not None
    assert premium.per_call == 3
    assert jamaica is not None
    assert not jamaica.free, "an island under code 1 is not the United States"


def test_an_export_is_read_back_as_it_was(tmp_path: Path) -> None:
    text = (
        "prefix;destination;rate_per_minute;per_call;valid_from;currency\n"
        '33;"Fra;nce ""x""";0,00512;1;;USD\n33;=HYPERLINK(1);0,02;0;2026-01-01T00:00Z;USD\n44;-1+1 dial;0;0;;USD\n'
        "45;+45 mobile;0;0;;USD\n46;'quoted;0;0;;USD\n"
    )
    with opened(tmp_path, text) as deck:
        out = io.StringIO()
        assert deck.export(out) == 5
        rows = deck.rows(limit=200)
    assert "'=HYPERLINK(1)" in out.getvalue()
    assert not re.search(r"(?m)(^|,)\"?[=@]", out.getvalue())
    with opened(tmp_path, out.getvalue()) as again:
        assert again.rows(limit=200) == rows
        assert [rate.destination for rate in rows] == [
            'Fra;nce "x"', "=HYPERLINK(1)", "-1+1 dial", "+45 mobile", "'quoted",
        ]  # fmt: skip


def test_a_search_goes_by_prefix_or_by_name_without_accents(tmp_path: Path) -> None:
    rows = "262,Réunion,1,0,1,1\n2626,Réunion mobile,1,0,1,1\n33,France,1,0,1,1\nFR3699,Clock,1,0,1,1"
    with opened(tmp_path, f"{HEADER}\n{rows}") as deck:
        assert [rate.prefix for rate in deck.search("reunion")] == ["262", "2626"]
        assert [rate.prefix for rate in deck.search("+262 6")] == ["2626"]
        assert [rate.prefix for rate in deck.search("fr36")] == ["FR3699"]
        assert [rate.prefix for rate in deck.search("2", limit=1, offset=1)] == ["2626"]
        assert deck.search("%") == deck.search("' OR 1=1") == []
        assert [rate.prefix for rate in deck.rows(offset=2, limit=1)] == ["33"]
        with pytest.raises(DeckError):
            deck.rows(limit=201)


def test_one_row_is_changed_in_a_new_file(tmp_path: Path) -> None:
    text = f"{HEADER}\n33,France,0.02,0,60,60\n34,Spain,0.03,0,60,60\n"
    with opened(tmp_path, text) as deck:
        form = {"prefix": "33", "destination": "France entière", "rate_per_minute": "0,05", "valid_from": ""}
        changed = deckfile.with_row(deck, tmp_path, read_rate(form, "EUR"), instead_of=("33", None))
        removed = deckfile.with_row(deck, tmp_path, None, instead_of=("34", None))
        form["prefix"] = "34"
        with pytest.raises(DeckError, match="has a row for 34"):
            deckfile.with_row(deck, tmp_path, read_rate(form, "EUR"), instead_of=("33", None))
        with pytest.raises(DeckError, match="in EUR, the row in USD"):
            deckfile.with_row(deck, tmp_path, read_rate(form, "USD"), instead_of=("33", None))
        assert price_of(deck, "33") == "France"
    with Deck.open(changed) as new:
        assert [(rate.destination, str(rate.per_minute)) for rate in new.rows()] == [
            ("France entière", "0.0500"),
            ("Spain", "0.0300"),
        ]
        assert price_of(new, "33") == "France entière"
        assert [rate.prefix for rate in new.search("entiere")] == ["33"]
    with Deck.open(removed) as new:
        assert (new.info.rows, price_of(new, "34")) == (1, None)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_row_typed_wrong_names_its_columns() -> None:
    with pytest.raises(RowError) as error:
        read_rate({"prefix": "0", "rate_per_minute": "a", "first_increment": "-1", "color": "red"}, "EUR")
    assert {problem.column for problem in error.value.errors} == {
        "prefix", "destination", "rate_per_minute", "first_increment", "color",
    }  # fmt: skip


def test_a_file_that_is_no_deck_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x-1.deck"
    with pytest.raises(DeckError, match="no such"):
        Deck.open(path)
    path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(DeckError, match=r"x-1\.deck"):
        Deck.open(path)
    path.unlink()
    store.write_atomically(path, b"")
    with pytest.raises(DeckError, match="not the kind of database"):
        Deck.open(path)


def test_lines_of_any_length_are_counted(tmp_path: Path) -> None:
    for length in (csvlines.MAX_LINE - 1, csvlines.MAX_LINE, csvlines.MAX_LINE + 1, csvlines.MAX_LINE + 5):
        filler = "x" * length
        report = take(tmp_path, f"{HEADER}\n{filler}\n33,France,bad,0,60,60")
        assert [problem.line for problem in report.errors][-1] == 3


def test_what_a_killed_import_left_is_swept_away(tmp_path: Path) -> None:
    old, young = tmp_path / ".deck-old", tmp_path / ".deck-young"
    for path in (old, young):
        path.write_bytes(b"half a deck")
    os.utime(old, (0, 0))
    take(tmp_path, f"{HEADER}\n33,France,0.02,0,60,60")
    assert (old.exists(), young.exists()) == (False, True)
