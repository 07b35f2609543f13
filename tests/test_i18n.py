"""Catalogues: compiled, lazily compiled, and refused with file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware.i18n import CatalogueError, compile_catalogues, translator

HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    '"Plural-Forms: nplurals=2; plural=(n > 1);\\n"\n\n'
)


def catalogue(root: Path, language: str, body: str) -> Path:
    folder = root / language / "LC_MESSAGES"
    folder.mkdir(parents=True)
    path = folder / "words.po"
    path.write_text(HEADER + body, encoding="utf-8")
    return path


def test_a_checkout_without_mo_files_speaks_from_the_po(tmp_path: Path) -> None:
    catalogue(tmp_path, "fr", 'msgid "Missed call"\nmsgstr "Appel manqué"\n')
    assert translator(tmp_path, "words", "fr").gettext("Missed call") == "Appel manqué"
    assert not list(tmp_path.rglob("*.mo"))


def test_a_regional_language_falls_back_to_its_base_and_an_unknown_one_to_french(tmp_path: Path) -> None:
    catalogue(tmp_path, "fr", 'msgid "Missed call"\nmsgstr "Appel manqué"\n')
    for language in ("fr-CA", "fr_BE.UTF-8", "FR", "de"):
        assert translator(tmp_path, "words", language).gettext("Missed call") == "Appel manqué"


def test_a_domain_without_any_catalogue_answers_with_the_message_itself(tmp_path: Path) -> None:
    assert translator(tmp_path, "words", "fr").gettext("Missed call") == "Missed call"


def test_plurals_follow_the_catalogue(tmp_path: Path) -> None:
    catalogue(
        tmp_path, "fr", 'msgid "%(n)d call"\nmsgid_plural "%(n)d calls"\nmsgstr[0] "un appel"\nmsgstr[1] "des appels"\n'
    )
    words = translator(tmp_path, "words", "fr")
    assert [words.ngettext("%(n)d call", "%(n)d calls", n) for n in (0, 1, 2)] == ["un appel", "un appel", "des appels"]


def test_compiling_writes_what_changed_and_only_that(tmp_path: Path) -> None:
    source = catalogue(tmp_path, "fr", 'msgid "Yes"\nmsgstr "Oui"\n')
    target = source.with_suffix(".mo")
    assert compile_catalogues(tmp_path) == [target]
    assert compile_catalogues(tmp_path) == []
    later = target.stat().st_mtime_ns + 10**9
    os.utime(source, ns=(later, later))
    assert compile_catalogues(tmp_path) == [target]


def test_an_image_that_ships_only_the_mo_still_speaks(tmp_path: Path) -> None:
    source = catalogue(tmp_path, "fr", 'msgid "Yes"\nmsgstr "Oui"\n')
    compile_catalogues(tmp_path)
    source.unlink()
    assert translator(tmp_path, "words", "fr").gettext("Yes") == "Oui"


def test_a_broken_po_is_refused_with_its_name_and_line(tmp_path: Path) -> None:
    source = catalogue(tmp_path, "fr", 'msgid "Yes"\nmsgstr "Oui"\n\nnonsense here\n')
    with pytest.raises(CatalogueError, match=r"words\.po, line \d+"):
        translator(tmp_path, "words", "fr")
    assert source.exists()
