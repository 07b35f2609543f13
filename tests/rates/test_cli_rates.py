"""`allobox rates` and `allobox price` as a person types them, on a box that is not running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from firmware.cli import main
from firmware.rates.samples import SAMPLE


class Box:
    """Runs commands on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        (self.data / "run").mkdir(parents=True)  # it has run before

    def __call__(self, *arguments: str) -> Result:
        """`allobox ARGUMENTS --data ...`."""
        return CliRunner().invoke(main, [*arguments, "--data", str(self.data)])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box that is not running."""
    return Box(tmp_path)


def test_a_deck_is_imported_listed_priced_and_exported(box: Box, tmp_path: Path) -> None:
    result = box("rates", "import", str(SAMPLE))
    assert result.exit_code == 0, result.output
    assert "The deck webmail-2010 is in use for all accounts" in result.output
    (row,) = json.loads(box("rates", "list", "--json").stdout)
    assert (row["name"], row["active"], row["currency"]) == ("webmail-2010", True, "EUR")
    assert "webmail-2010" in box("rates", "list").output
    answer = json.loads(box("price", "01 42 68 53 00", "--seconds", "61", "--json").stdout)
    assert (answer["number"], answer["class"], answer["cost"]) == ("+33142685300", "fixed", "0.0400")
    assert "France fixed: 0.0200 EUR for 60 s" in box("price", "0142685300").stdout
    assert "free" in box("price", "+12125551212").stdout
    assert "3.8000 EUR for 60 s (0.8000 a minute, 60 s billed, 3.0000 a call)" in box("price", "0899123456").stdout
    exported = box("rates", "export").stdout
    assert exported.startswith("prefix,destination,rate_per_minute")
    target = tmp_path / "out.csv"
    assert box("rates", "export", str(target)).exit_code == 0
    assert target.read_text(encoding="utf-8").splitlines() == exported.splitlines()
    assert box("rates", "import", str(target), "--name", "again").exit_code == 0
    assert box("rates", "remove", "again").exit_code == 0
    assert box("rates", "export").exit_code == 1


def test_a_faulty_file_is_told_line_by_line_and_changes_nothing(box: Box, tmp_path: Path) -> None:
    box("rates", "import", str(SAMPLE))
    before = box("rates", "list", "--json").stdout
    bad = tmp_path / "tarifs.csv"
    bad.write_text('prefix;destination;rate_per_minute\n33;France;0,2O\n0044;"UK;1\n', encoding="utf-8")
    result = box("rates", "import", str(bad))
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0] == (
        "allobox: tarifs.csv, line 2, column rate_per_minute: the price '0,2O' is not a number (letter O?)"
    )
    assert lines[1].startswith("allobox: tarifs.csv, line 3: a quote is opened and not closed")
    assert box("rates", "list", "--json").stdout == before


def test_a_dry_run_changes_nothing(box: Box) -> None:
    result = box("rates", "import", str(SAMPLE), "--dry-run")
    assert (result.exit_code, "Dry run" in result.output) == (0, True)
    assert json.loads(box("rates", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["price", "+33142685300"], 1, "no rate deck is in use"),
        (["price", "+33142685300", "--seconds", "-1"], 2, "seconds"),
        (["price", "+33142685300", "--at", "soon"], 1, "soon"),
        (["rates", "import", "/nowhere/x.csv"], 1, "cannot be read"),
        (["rates", "import", str(SAMPLE), "--name", "Ä/.."], 1, "deck name"),
        (["rates", "import", str(SAMPLE), "--currency", "€"], 1, "three letters"),
        (["rates", "import", str(SAMPLE), "--account", "nobody"], 1, "nobody"),
        (["rates", "export", "--name", "none"], 1, "there is no deck 'none'"),
        (["rates", "remove", "none"], 1, "there is no deck 'none'"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(box: Box, arguments: list[str], code: int, words: str) -> None:
    result = box(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    if code == 1:
        assert len(result.stderr.splitlines()) == 1
