"""Files that mean harm or are merely broken: an exact error, in bounded memory; how long each takes, the bench says."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from firmware.rates import deckfile
from firmware.rates.columns import COLUMNS, MAX_PRICE
from firmware.rates.deck import Deck, import_csv
from tests.fakes.hostile_decks import FILES, HEAD, all_read

_CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return all_read(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_gets_an_exact_error_in_bounded_memory(answers: dict[str, dict[str, Any]], name: str) -> None:
    answer, expected = answers[name], FILES[name][1]
    problems = answer["problems"]
    assert all(len(cause) < 500 and cause.isprintable() for *_place, cause in problems)
    if expected:
        assert [problem[:3] for problem in problems] == [problem[:3] for problem in expected]
        for problem, wanted in zip(problems, expected, strict=True):
            assert str(wanted[3]) in problem[3]
    else:
        assert (len(problems), answer["stopped"]) == (100, True)


prices = st.integers(0, MAX_PRICE * 10**6).map(lambda micro: f"{micro // 10**6}.{micro % 10**6:06}")
increments = st.integers(1, 3600).map(str)
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(str.isprintable)
_NASTY = ["=1+1", "+33 x", "-cmd", "@x", "'q", 'a"b', "a;b,c|d", "FREE"]
rows = st.fixed_dictionaries(
    {
        "destination": st.one_of(names, st.sampled_from(_NASTY)),
        "rate_per_minute": prices, "connection_fee": prices, "per_call": prices, "minimum": prices,
        "first_increment": increments, "next_increment": increments, "grace": st.integers(0, 60).map(str),
        "steps": st.sampled_from(["", "60:0.01/1", "60:0.01/1;3600:0.05/60"]), "band": st.sampled_from(["", "night"]),
        "valid_from": st.sampled_from(["", "2026-01-01T00:00:00+00:00", "2030-06-01T12:30:00+00:00"]),
    }
)  # fmt: skip


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(st.dictionaries(st.from_regex(r"\A(?:[1-9][0-9]{0,14}|FR[0-9]{2,4})\Z"), rows, min_size=1, max_size=6))
def test_what_is_exported_is_imported_as_it_was_and_no_cell_of_it_is_run(
    tmp_path_factory: pytest.TempPathFactory, deck: dict[str, dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("decks")
    text = io.StringIO()
    columns = [name for name in COLUMNS if name in {"prefix", *next(iter(deck.values()))}]
    text.write("\t".join(columns) + "\n")
    for prefix, row in deck.items():
        cells = (({"prefix": prefix} | row)[name] for name in columns)
        text.write("\t".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells) + "\n")
    first = import_csv(io.BytesIO(text.getvalue().encode()), folder, "first")
    assert first.errors == ()
    assert first.file is not None
    with Deck.open(first.file) as opened:
        rates, exported = opened.rows(limit=200), deckfile.csv_text(opened)
    again = import_csv(io.BytesIO(exported.encode()), folder, "again")
    assert again.errors == ()
    assert again.file is not None
    with Deck.open(again.file) as opened:
        assert opened.rows(limit=200) == rates
        assert deckfile.csv_text(opened) == exported
    for line in csv.reader(io.StringIO(exported)):
        assert not any(cell.startswith(("=", "@", "\t", "\r", "+", "-")) and not cell[1:].isdigit() for cell in line)


@settings(max_examples=200, suppress_health_check=_CALM, deadline=None)
@given(
    st.sampled_from(
        [b"", HEAD, b"Indicatif;Destination;Prix (ct/s)\n", b"\xff\xfe", "prefix\tpays\ttarif\n".encode("utf-16")]
    ),
    st.one_of(st.binary(max_size=200), st.text('0123456789,;|\t"=+-./ \n€c', max_size=120).map(str.encode)),
)
@example(b"", b'"\n"\n"')
@example(b"\xef\xbb\xbf", b"\r\r\r")
def test_any_bytes_are_a_deck_or_errors(tmp_path_factory: pytest.TempPathFactory, head: bytes, data: bytes) -> None:
    report = import_csv(io.BytesIO(head + data), tmp_path_factory.mktemp("decks"), "any")
    assert report.ok == (report.file is not None)
    assert all("\n" not in line for line in report.lines())
