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


LIST = "Zone d'appel;Racines;Coût unitaire\nFrance;0033;3\nFrance mobile;336, 337;10\n"


def test_a_providers_columns_are_shown_mapped_once_and_remembered(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "grille.csv"
    source.write_text(LIST, encoding="utf-8")
    refused = box("rates", "import", str(source))
    assert refused.exit_code == 1
    assert "allobox rates columns FILE" in refused.stderr
    shown = box("rates", "columns", str(source))
    assert shown.exit_code == 1
    assert "#2   Racines                      (not known)              0033, 336, 337" in shown.stdout
    maps = ("--map", "zone d'appel=destination", "--map", "Racines=prefix", "--map", "#3=rate_per_minute:cents")
    assert "rate_per_minute:cents    3, 10" in box("rates", "columns", str(source), *maps).stdout
    assert box("rates", "import", str(source), *maps, "--add-tax", "20").exit_code == 0
    assert "0.0360 EUR" in box("price", "0142685300").stdout
    source.write_text(LIST.replace(";3\n", ";4\n"), encoding="utf-8")
    assert "As chosen for this provider before." in box("rates", "columns", str(source)).stdout
    assert box("rates", "import", str(source)).exit_code == 0
    assert "0.0480 EUR" in box("price", "0142685300").stdout


def test_a_file_without_names_is_remembered_by_its_decks_name(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "bare.csv"
    source.write_text("33;France;0,02\n", encoding="utf-8")
    maps = ("--map", "#1=prefix", "--map", "#2=destination", "--map", "#3=rate_per_minute", "--no-header")
    assert box("rates", "import", str(source), *maps).exit_code == 0
    source.write_text("33;France;0,03\n", encoding="utf-8")
    assert box("rates", "import", str(source)).exit_code == 0
    assert "0.0300 EUR" in box("price", "0142685300").stdout


def test_a_preview_says_what_changes_and_changes_nothing(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "new.csv"
    source.write_text("prefix,destination,rate_per_minute\n33,France,0.02\n44,UK,1\n", encoding="utf-8")
    box("rates", "import", str(source))
    before = box("rates", "list", "--json").stdout
    source.write_text("prefix,destination,rate_per_minute\n33,France,0.03\n1,US,0\n", encoding="utf-8")
    result = box("rates", "import", str(source), "--preview")
    assert result.exit_code == 0, result.output
    assert "three minutes: 1 prefixes dearer, 0 cheaper, 0 as before, 1 new, 1 without a price now" in result.stdout
    assert "0.0600 -> 0.0900 EUR (+50 %)" in result.stdout
    assert "No calls in the last 31 days" in result.stdout
    assert result.stdout.endswith("Dry run: nothing was changed.\n")
    assert box("rates", "list", "--json").stdout == before
    assert len(list((box.data / "decks").glob("*.deck"))) == 1


def test_prices_from_a_day_on_leave_those_in_use_until_then(box: Box, tmp_path: Path) -> None:
    box("rates", "import", str(SAMPLE))
    source = tmp_path / "webmail-2010.csv"
    source.write_text("prefix,destination,rate_per_minute\n33,France,0.03\n", encoding="utf-8")
    result = box("rates", "import", str(source), "--valid-from", "2031-01-01")
    assert "Its prices hold from 2031-01-01 on; 208 rates kept until then." in result.stdout
    assert "0.0200 EUR" in box("price", "0142685300").stdout
    assert "0.0300 EUR" in box("price", "0142685300", "--at", "2031-01-02T12:00").stdout
    assert box("price", "+6744443333").exit_code == 0
    assert box("price", "+6744443333", "--at", "2031-01-02T12:00").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--map", "x=price"], 2, "there is no column 'price'"),
        (["--map", "prefix"], 2, "maps nothing"),
        (["--valid-from", "soon"], 2, "is no date"),
        (["--add-tax", "x"], 1, "not a percentage"),
        (["--currency", "euros"], 1, "three letters"),
        (["--map", "nothing=-"], 1, "has no column 'nothing'"),
    ],
)
def test_an_option_that_cannot_be_is_told_and_changes_nothing(
    box: Box, arguments: list[str], code: int, words: str
) -> None:
    result = box("rates", "import", str(SAMPLE), *arguments)
    assert result.exit_code == code, result.output
    assert words in " ".join(result.stderr.split())
    assert not list(box.data.glob("decks/*.deck"))
