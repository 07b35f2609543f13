"""Call records as providers write them: read to the second and the cent, or refused with line, column and cause."""

from __future__ import annotations

import io
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.rates import cdrcolumns
from firmware.rates.cdr import MAX_CALLS, CdrError, CdrReport, read_cdr
from firmware.rates.columns import CellError
from firmware.rates.reconcile import Theirs

PARIS = ZoneInfo("Europe/Paris")
AT = datetime(2026, 11, 23, 13, 32, 5, tzinfo=UTC)  # 14:32:05 in Paris


def read(content: str | bytes, **mapping: str) -> CdrReport:
    raw = content.encode() if isinstance(content, str) else content
    return read_cdr(io.BytesIO(raw), PARIS, "FR", mapping=mapping, source_name="releve.csv")


def one(content: str | bytes, **mapping: str) -> Theirs:
    report = read(content, **mapping)
    assert report.lines() == []
    (call,) = report.calls
    return call


DIALECTS = {
    "plain": "number,start,duration,cost\n+33142685300,2026-11-23T14:32:05+01:00,83,0.0400\n",
    "french": "Numéro appelé;Date;Heure;Durée;Montant TTC\n01 42 68 53 00;23/11/2026;14:32:05;00:01:23;0,04 €\n",
    "excel": (
        "\ufeffsep=;\nAppelé;Date et heure;Durée (s);Coût (EUR)\n"
        '"0033142685300";"23/11/2026 14:32:05";83;"0,0400"\n'
    ),
    "tabs": "Rufnummer\tDatum\tUhrzeit\tDauer\tBetrag\n33142685300\t23.11.2026\t14:32:05\t1:23\tEUR 0,04\n",
    "american": "Called Number,Date,Time,Call Duration,Charge\n33142685300,11/23/2026,02:32:05 PM,1 min 23 s,$0.04\n",
    "title": (
        'Relevé de Monsieur "Martin\nContrat 12345\n\n'
        "Correspondant;Date de l'appel;Heure de l’appel;Durée;Prix\n"
        "0142685300;23-11-26;14h32m05s;1'23\";0,04\n;;;;\nTotal;;;;0,04\n"
    ),
    "asterisk": "calldate,dst,billsec,price\n2026-11-23 14:32:05,0142685300,83,0.04\n",
    "epoch": "timestamp;to;seconds;amount\n1795440725;+33 (0)1 42 68 53 00;83;0.04\n",
    "debits": "number,start,duration,cost\n0142685300,2026-11-23 14:32:05,83,-0.04\n",
    "apostrophes": "number,start,duration,cost\n'+33142685300,2026-11-23 14:32:05,83,'0.04\n",
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_tells_the_same_call(name: str) -> None:
    call = one(DIALECTS[name])
    assert (call.number, call.started, call.seconds, call.cost) == ("+33142685300", AT, 83, Decimal("0.04"))


def test_windows_1252_is_read_as_excel_in_france_writes_it() -> None:
    assert one(DIALECTS["french"].encode("cp1252")).currency == "EUR"


def test_currencies_are_told_by_a_column_a_sign_or_the_heading() -> None:
    head = "number;start;duration;"
    row = "0142685300;2026-11-23 14:32;83;"
    assert one(f"{head}cost;currency\n{row}1;usd\n").currency == "USD"
    assert one(f"{head}cost\n{row}1 £\n").currency == "GBP"
    assert one(f"{head}Prix EUR\n{row}1\n").currency == "EUR"
    assert one(f"{head}cost\n{row}1\n").currency == ""


def test_the_last_decimal_of_the_files_prices_is_known() -> None:
    head = "number;start;duration;cost\n"
    rows = ["0142685300;2026-11-23 14:32;83;0,04\n", "0142685300;2026-11-23 15:32;83;0,041\n"]
    assert read(head + rows[0]).step == Decimal("0.01")
    assert read(head + "".join(rows)).step == Decimal("0.001")


def test_a_day_or_a_month_comes_first_as_the_other_lines_allow() -> None:
    head = "number;date;time;duration\n"
    early, late = "0142685300;03/04/2026;10:00;60\n", "0142685300;04/25/2026;10:00;60\n"
    assert read(head + early).calls[0].started.month == 4
    both = read(head + early + late)
    assert (both.month_first, [call.started.month for call in both.calls]) == (True, [3, 4])


def test_what_is_no_outgoing_call_is_passed_over_and_counted() -> None:
    report = read(
        "number;start;duration;cost;type\n"
        "0142685300;2026-11-23 14:32:05;83;0,04;Sortant\n"
        "0142685300;2026-11-23 14:32:05;83;0;Entrant\n"
        "0142685301;2026-11-23 15:00:00;0;0;Sortant\n"  # nobody answered
        "Total;;;0,04;\n"
    )
    assert (len(report.calls), report.skipped, report.errors) == (1, 3, [])


def test_lengths_spoken_and_billed_may_both_be_told() -> None:
    call = one("number;start;durée;durée facturée\n0142685300;2026-11-23 14:32:05;61;120\n")
    assert (call.seconds, call.billed_seconds) == (61, 120)
    only = one("number;start;durée facturée\n0142685300;2026-11-23 14:32:05;120\n")
    assert (only.seconds, only.billed_seconds) == (120, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("83", 83), ("83,2", 84), ("1:23", 83), ("00:01:23", 83), ("1:00:00", 3600), ("75:00", 4500),
        ("1h02m03s", 3723),
        ("1 h 2 min", 3720), ("1 min 23 s", 83), ("45s", 45), ("2'05\"", 125), ("3 minutes", 180), ("0", 0),
        ("1h", 3600),
    ],
)  # fmt: skip
def test_lengths_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert cdrcolumns.read_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-5", "1e400", "abc", "1:2:3:4", "inf", "99999999", "9" * 500, "1h" + " " * 60 + "x"]
)
def test_a_length_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        cdrcolumns.read_seconds(text)


def test_a_column_of_minutes_is_minutes() -> None:
    assert one("number;start;Durée (minutes)\n0142685300;2026-11-23 14:32:05;1,5\n").seconds == 90


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.04", "0.04"), ("0,04 €", "0.04"), ("€0.04", "0.04"), ("EUR 1,5", "1.5"), ("1 234,50", "1234.50"),
        ("1.234,50", "1234.50"), ("1,234.50", "1234.50"), (",5", "0.5"), ("-0.04", "-0.04"), ("'-0.04", "-0.04"),
    ],
)  # fmt: skip
def test_prices_are_read_to_their_last_decimal(text: str, amount: str) -> None:
    found = cdrcolumns.read_cost(text)
    assert found is not None
    assert found[0] == Decimal(amount)


@pytest.mark.parametrize("text", ["1e400", "0,2O", "=1+1", "NaN", "1.2.3", "9" * 12, "٣"])
def test_a_price_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CellError):
        cdrcolumns.read_cost(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("01 42 68 53 00", "+33142685300"), ("0033142685300", "+33142685300"), ("+44 20 7946 0123", "+442079460123"),
        ("01426853xx", "+331426853??"), ("014268****", "+3314268????"), ("3699", "3699"),
        ("tel:+33142685300", "+33142685300"),
        ("sip:33142685300@sip.example.org", "+33142685300"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_providers_write_them(text: str, number: str) -> None:
    assert cdrcolumns.read_number(text, "FR") == number


def test_every_error_comes_at_once_with_its_line_column_and_cause() -> None:
    report = read(
        "Appelé;Date;Heure;Durée;Montant\n"
        "0142685300;23/11/2026;14:32:05;83;0,04\n"
        "3,31427E+10;31/02/2026;14:32;x;0,2O\n"
        "Marie;23/11/2026;25:00;83;1\n"
        '0142685300;23/11/2026;"14:32;83;1\n'
    )
    assert report.calls == []
    power = "the number '3,31427E+10' was turned into a power of ten by a spreadsheet; format the column as text"
    assert report.lines() == [
        f"releve.csv, line 3, column Appelé: {power}",
        "releve.csv, line 3, column Date: '31/02/2026' is no date; write 2026-11-23 14:32:05 or 23/11/2026 14:32:05",
        "releve.csv, line 3, column Durée: the length 'x' is not a time; write 83, 1:23 or 0:01:23",
        "releve.csv, line 3, column Montant: the price '0,2O' is not a number",
        "releve.csv, line 4, column Appelé: 'Marie' is not a telephone number",
        "releve.csv, line 4, column Date: '25:00' is no time of day",
        "releve.csv, line 5: a quote is opened and not closed on this line (unexpected end of data)",
    ]


def test_columns_that_nobody_knows_are_asked_for_and_may_be_given() -> None:
    odd = "B;Quand;Combien;Argent\n0142685300;2026-11-23 14:32:05;83;0,04\n"
    (error,) = read(odd).lines()
    assert "no line names the columns of number" in error
    assert "'B;Quand;Combien;Argent'" in error
    assert one(odd, number="B", start="quand", seconds="3", cost="Argent").cost == Decimal("0.04")
    (error,) = read(odd, number="C", start="quand", seconds="3").lines()
    assert "looked for number=C, start=quand, seconds=3" in error
    assert "there is no field 'colour'" in read(odd, colour="B").lines()[0]


def test_the_hour_that_comes_twice_and_offsets_are_both_understood() -> None:
    head = "number;start;duration\n"
    twice = one(f"{head}0142685300;25/10/2026 02:30:00;60\n")
    assert (twice.started, twice.also) == (
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    )
    told = one(f"{head}0142685300;2026-10-25T02:30:00Z;60\n")
    assert (told.started, told.also) == (datetime(2026, 10, 25, 2, 30, tzinfo=UTC), None)


def test_the_span_of_a_file_is_whole_days_of_the_household() -> None:
    report = read("number;start;duration\n0142685300;2026-10-25 01:00;60\n0142685300;2026-10-25 23:00;60\n")
    since, until = report.span(PARIS) or (AT, AT)
    assert (since.isoformat(), until.isoformat()) == ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")
    assert until.astimezone(UTC) - since.astimezone(UTC) == timedelta(hours=25)


HOSTILE = {
    "nothing": b"",
    "zip": b"PK\x03\x04" + b"\x00" * 1000,
    "gzip": b"\x1f\x8b\x08" + b"x" * 1000,
    "binary": bytes(range(256)) * 400,
    "nul": b"number;start;duration\n0142685300;\x00;60\n",
    "a line of 20 MB": b"number;start;duration\n" + b"9" * 20_000_000,
    "a heading of 20 MB": b";" * 20_000_000,
    "10,000 columns": b"number;start;duration" + b";x" * 10_000 + b"\n" + b"1;" * 10_000,
    "a quote for ever": b'number;start;duration\n"' + b"x;\n" * 100_000,
    "calls without end": b"number;start;duration\n" + b"0142685300;2026-11-23 14:32:05;60\n" * (MAX_CALLS + 10),
    "errors without end": b"number;start;duration\n" + b"x;y;z\n" * 200_000,
    "only commas": b",,,,\n" * 100_000,
    "no columns": b"hello;world\n" * 200_000,
    "spaces in a cell": b"number;start;duration\n" + (b"1h" + b" " * 4000 + b"x;1;1h" + b" " * 4000 + b"x\n") * 50,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_bounded_time_and_memory(name: str) -> None:
    content = HOSTILE[name]
    if len(content) < MAX_CALLS * 20:  # tracing makes more take too long; as many calls are the same again
        tracemalloc.start()
    begun = time.process_time()
    report = read(content)
    spent = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]  # 0 untraced
    tracemalloc.stop()
    assert report.calls == []
    assert 1 <= len(report.errors) <= 100
    assert all(len(line) < 400 for line in report.lines())
    assert spent < 20  # of a slow machine under a tracer: a bound, not a figure
    assert peak < 64_000_000


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(CdrError, match="cannot be read"):
        read_cdr(tmp_path / "none.csv", PARIS, "FR")


@given(st.binary(max_size=600))
def test_whatever_a_file_holds_it_is_calls_or_errors(noise: bytes) -> None:
    for content in (noise, b"number;start;duration;cost\n" + noise):
        report = read(content)
        assert bool(report.calls) != bool(report.errors)
