"""Which column is what: by its name in six languages, by what a household said once, and in which unit."""

from __future__ import annotations

import io
import json
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from firmware.rates import mapping, mappings, names
from firmware.rates.columns import COLUMNS, CellError
from firmware.rates.deck import Deck, ImportReport, import_csv
from firmware.rates.mapping import Choice, MappingError, Use
from firmware.rates.mappings import Mappings
from firmware.rates.prices import read_date, read_money, read_tax
from firmware.rates.rate import Rate
from firmware.rates.samples import SAMPLES

HEADERS = {
    "fr": ["Indicatif", "Destination", "Prix TTC (€/min)", "Frais de mise en relation", "Premier palier", "Pas"],
    "en": ["Dial Code", "Country", "Rate per minute", "Setup fee", "Initial increment", "Increment"],
    "de": ["Vorwahl", "Ziel", "Preis/Min.", "Verbindungsgebühr", "Erster Takt", "Folgetakt"],
    "es": ["Prefijo", "Destino", "Precio por minuto", "Establecimiento de llamada", "Primer incremento", "Incremento"],
    "it": ["Prefisso", "Destinazione", "Prezzo al minuto", "Scatto alla risposta", "Primo scatto", "Scatto successivo"],
    "nl": ["Kengetal", "Bestemming", "Prijs per minuut", "Starttarief", "Eerste interval", "Volgend interval"],
}


def take(folder: Path, data: str | bytes, **more: object) -> ImportReport:
    raw = data.encode() if isinstance(data, str) else data
    return import_csv(io.BytesIO(raw), folder, "tarifs", source_name="tarifs.csv", **more)  # type: ignore[arg-type]


def rates(report: ImportReport) -> list[Rate]:
    assert report.errors == ()
    assert report.file is not None
    with Deck.open(report.file) as deck:
        return deck.rows(limit=200)


@pytest.mark.parametrize("language", HEADERS)
def test_columns_are_known_by_their_names_in_six_languages_and_any_order(tmp_path: Path, language: str) -> None:
    cells = ["33", "France", "0,02", "0,15", "30", "6"]
    order = [3, 0, 5, 2, 1, 4]
    text = "\r\n".join(";".join(row[place] for place in order) for row in (HEADERS[language], cells))
    (rate,) = rates(take(tmp_path, text))
    assert (rate.prefix, rate.destination, rate.first_increment, rate.next_increment) == ("33", "France", 30, 6)
    assert (rate.per_minute, rate.connection_fee) == (Decimal("0.02"), Decimal("0.15"))


@pytest.mark.parametrize(
    ("name", "target", "unit", "currency", "tax"),
    [
        ("Prix TTC (€/min)", "rate_per_minute", "", "EUR", "included"),
        ("Prix HT / minute", "rate_per_minute", "", "", "excluded"),
        ("Rate [ct/s]", "rate_per_minute", "cents-second", "", ""),
        ("Price per second (USD)", "rate_per_minute", "second", "USD", ""),
        ("Cent/Min", "rate_per_minute", "cents", "", ""),
        ("c€/min", "rate_per_minute", "cents", "EUR", ""),
        ("Tarif en €/min", "rate_per_minute", "", "EUR", ""),
        ("Prijs per minuut excl. btw", "rate_per_minute", "", "", "excluded"),
        ("Prezzo al minuto (IVA inclusa)", "rate_per_minute", "", "", "included"),
        ("Frais de mise en relation (€)", "connection_fee", "", "EUR", ""),
        ("Setup (ct)", "connection_fee", "cents", "", ""),
    ],
)
def test_a_name_tells_unit_currency_and_taxes(name: str, target: str, unit: str, currency: str, tax: str) -> None:
    found, _ = mapping.layout(["prefix", "destination", name], Choice())
    column = found.columns[2]
    assert column.use == Use(target, unit)
    guess = names.recognise(name)
    assert guess is not None
    assert (guess.currency, guess.tax) == (currency, tax)


@pytest.mark.parametrize("column", COLUMNS)
def test_the_decks_own_columns_are_known(column: str) -> None:
    for name in (column, column.upper().replace("_", " "), f" '{column.replace('_', '-')} "):
        guess = names.recognise(name)
        assert guess is not None
        assert (guess.target, guess.second, guess.cents) == (column, False, False)


def test_of_two_prices_the_one_with_taxes_is_taken(tmp_path: Path) -> None:
    report = take(tmp_path, "Indicatif;Destination;Prix HT;Prix TTC\n33;France;1;1,2\n")
    assert rates(report)[0].per_minute == Decimal("1.2")
    assert report.layout is not None
    assert report.layout.tax == "included"
    assert report.ignored_columns == ("Prix HT",)


def test_titles_above_the_names_are_passed_over(tmp_path: Path) -> None:
    text = "ACME Telecom\n\nTarifs au 1er janvier;;\nprefix;destination;rate_per_minute\n33;France;x\n"
    (problem,) = take(tmp_path, text).errors
    assert (problem.line, problem.column) == (5, "rate_per_minute")


def test_an_error_names_the_column_as_the_file_does(tmp_path: Path) -> None:
    report = take(tmp_path, "Indicatif;Destination;Prix (€/min)\n06;France;0,O2\n")
    cause = "the prefix '06' begins with 0; E.164 has the country code first (33 for France), without 00"
    assert report.lines() == [
        f"tarifs.csv, line 2, column Indicatif: {cause}",
        "tarifs.csv, line 2, column Prix (€/min): the price '0,O2' is not a number (letter O?)",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_what_excel_writes_is_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = "Indicatif\tDestination\tPrix\r\n" + "".join(f"262{n}\tRéunion {n}\t0,05\r\n" for n in range(300))
    raw = text.encode(encoding)
    if encoding == "utf-16-be":
        raw = b"\xfe\xff" + raw
    found = rates(take(tmp_path, raw))
    assert (len(found), found[0].destination) == (200, "Réunion 0")


def test_half_a_utf_16_letter_is_an_error_and_no_crash(tmp_path: Path) -> None:
    raw = "Indicatif\tDestination\tPrix\n33\tFran".encode("utf-16-le") + b"\x00\xd8\x41"
    report = take(tmp_path, raw)
    assert [problem.line for problem in report.errors] == [2]


@pytest.mark.parametrize(
    ("cell", "unit", "price"),
    [
        ("0,02 €", "", "0.02"),
        ("€0.02", "", "0.02"),
        ("2 ct/min", "", "0.02"),
        ("2c", "cents", "0.02"),
        ("1,2", "cents", "0.012"),
        ("0.0002", "second", "0.012"),
        ("0.02", "cents-second", "0.012"),
        ("0,0002/s", "second", "0.012"),
        ("gratuit", "", "0"),
        ("Inclus", "cents", "0"),
        (".5", "", "0.5"),
    ],
)
def test_a_price_is_read_as_people_write_it_and_exactly(cell: str, unit: str, price: str) -> None:
    assert read_money(cell, Use("rate_per_minute", unit).factor).micro == Decimal(price) * 10**6


@pytest.mark.parametrize(
    ("cell", "factor", "cause"),
    [
        ("0.33333333", 60, "more than six decimals"),
        ("999999999", 60, "above 10000"),
        ("1e400", 60, "without an exponent"),
        ("-1", 60, "it is negative"),
        ("1 234,5", 60, "separators of thousands"),
        ("=1+1", 1, "it is a formula"),
        ("0,02 € €", 1, "is not a number"),
    ],
)
def test_a_price_that_cannot_be_is_an_error(cell: str, factor: int, cause: str) -> None:
    with pytest.raises(CellError, match=cause):
        read_money(cell, Fraction(factor))


def test_a_tax_is_added_and_rounded_half_up(tmp_path: Path) -> None:
    # 0.016667 x 1.20 = 0.0200004; 0.0000025 x 1.2 = 0.000003
    assert read_money("0.016667", tax=Fraction(20)).micro == 20_000
    assert read_money("0.0000025", tax=read_tax("20")).micro == 3
    choice = Choice(tax="excluded", tax_percent="5,5")
    (rate,) = rates(take(tmp_path, "Indicatif;Destination;Prix HT\n33;France;1\n", choice=choice))
    assert rate.per_minute == Decimal("1.055")
    (rate,) = rates(take(tmp_path, "Indicatif;Destination;Prix TTC\n33;France;1\n", choice=Choice(tax_percent="20")))
    assert rate.per_minute == 1
    for wrong in ("x", "-5", "101", "1e1"):
        with pytest.raises(CellError, match="percentage"):
            read_tax(wrong)


def test_dates_are_read_in_the_order_that_was_said() -> None:
    last = datetime(2026, 12, 31).astimezone().timestamp()
    for text, order in (("31/12/2026", "dmy"), ("12/31/2026", "mdy"), ("31.12.2026", ""), ("2026-12-31", "dmy")):
        assert read_date(text, order) == last
    for text, order in (("31/12/2026", ""), ("31/12/2026", "mdy"), ("31.12.2026", "iso"), ("30.02.2026", "")):
        with pytest.raises(CellError, match="no date"):
            read_date(text, order)


def test_a_cell_in_another_currency_is_an_error(tmp_path: Path) -> None:
    report = take(tmp_path, "prefix;destination;rate\n33;France;0,02 €\n44;UK;$0.02\n")
    (problem,) = report.errors
    assert (problem.line, problem.kind) == (3, "currency-mixed")
    assert take(tmp_path, "prefix;destination;USD/min\n33;France;0,02\n").currency == "USD"


def test_a_mapping_says_what_no_name_tells(tmp_path: Path) -> None:
    text = "Zone d'appel;Racines;Coût unitaire;Racines\nFrance;33;2;x\n"
    assert "missing: prefix, destination, rate_per_minute" in take(tmp_path, text).errors[0].cause
    uses = mapping.parse(["Zone d'appel=destination", "#2=prefix", "coût  UNITAIRE=rate_per_minute:cents"])
    report = take(tmp_path, text, choice=Choice(uses))
    (rate,) = rates(report)
    assert (rate.prefix, rate.destination, rate.per_minute) == ("33", "France", Decimal("0.02"))


def test_a_file_without_names_is_mapped_by_place(tmp_path: Path) -> None:
    choice = Choice(mapping.parse(["#1=destination", "#3=prefix", "#2=rate_per_minute"]), headless=True)
    assert [rate.prefix for rate in rates(take(tmp_path, "France;0,02;33\nEspagne;0,03;34\n", choice=choice))] == [
        "33",
        "34",
    ]
    assert "by their place" in take(tmp_path, "France;0,02;33\n", choice=Choice(headless=True)).errors[0].cause


@pytest.mark.parametrize(
    "typed", ["prefix", "=prefix", "x=price", "x=prefix:cents", "x=rate_per_minute:hours", "x=valid_from:ydm"]
)
def test_a_mapping_that_cannot_be_is_told(typed: str) -> None:
    with pytest.raises(MappingError):
        mapping.parse([typed])


def test_a_mapping_of_columns_that_are_not_there_or_twice_is_an_error(tmp_path: Path) -> None:
    text = "prefix;destination;rate\n33;France;1\n"
    for typed, kind in ((["#9=-"], "column-unknown"), (["nom=-"], "column-unknown"), (["rate=prefix"], "")):
        report = take(tmp_path, text, choice=Choice(mapping.parse(typed)))
        assert kind in {problem.kind for problem in report.errors} | {""}
        assert report.file is None
    report = take(tmp_path, text, choice=Choice(mapping.parse(["#1=destination", "#2=destination"])))
    assert "column-twice" in {problem.kind for problem in report.errors}


def test_what_was_chosen_is_kept_for_the_providers_next_file(tmp_path: Path) -> None:
    remembered = Mappings(tmp_path)
    text = "Zone d'appel;Racines;Coût unitaire\nFrance;33;2\n"
    choice = Choice(mapping.parse(["#1=destination", "#2=prefix", "#3=rate_per_minute:cents"]), tax_percent="20")
    first = take(tmp_path, text, choice=choice)
    remembered.remember(first.columns, first.choice, "tarifs")
    later = take(tmp_path, text.upper().replace("2", "3"), recall=Mappings(tmp_path).find)
    assert (later.recalled, rates(later)[0].per_minute) == (True, Decimal("0.036"))
    other = take(tmp_path, text.replace("Racines", "Prefixes d'appel"), recall=remembered.find)
    assert not other.ok
    now = take(tmp_path, text, recall=remembered.find, choice=Choice(mapping.parse(["#3=rate_per_minute"])))
    assert rates(now)[0].per_minute == Decimal("2.4")


def test_a_choice_for_files_without_names_is_kept_by_their_deck(tmp_path: Path) -> None:
    choice = Choice(mapping.parse(["#1=prefix"]), headless=True)
    Mappings(tmp_path).remember(["1"], choice, "ovh")
    assert Mappings(tmp_path).of_deck("ovh") == choice
    assert Mappings(tmp_path).of_deck("free") is None
    assert Mappings(tmp_path).find(["1"]) is None


def test_mappings_are_few_and_a_damaged_list_hinders_nothing(tmp_path: Path) -> None:
    remembered = Mappings(tmp_path)
    for number in range(mappings.MAX_KEPT + 3):
        remembered.remember([f"column {number}"], Choice(currency="USD"), "x")
    kept = json.loads((tmp_path / mappings.FILE).read_text())["mappings"]
    assert len(kept) == mappings.MAX_KEPT
    assert remembered.find(["column 0"]) is None
    for rubbish in (b"{", b"[]", b'{"mappings": 1}', b'{"mappings": [1, {"signature": "x"}]}', b"[" * 100_000, b"\xff"):
        (tmp_path / mappings.FILE).write_bytes(rubbish)
        assert remembered.find(["column 5"]) is None
    signature = mapping.signature(["a"])
    (tmp_path / mappings.FILE).write_text(
        json.dumps({"mappings": [{"signature": signature, "uses": {"a": "nonsense"}}]})
    )
    assert remembered.find(["a"]) is None
    remembered.remember(["a"], Choice(currency="USD"), "x")
    assert remembered.find(["a"]) == Choice(currency="USD")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_each_sample_is_read_whole(tmp_path: Path, sample: Path) -> None:
    report = import_csv(sample, tmp_path, sample.stem)
    assert report.errors == ()
    assert report.file is not None
    with Deck.open(report.file) as deck:
        assert deck.search("FR3699")
        assert not any(rate.prefix.startswith("0") for rate in deck.rows(limit=200))
