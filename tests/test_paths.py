"""Where the data is when nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import paths


def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOBOX_DATA", "/srv/box")
    assert paths.default_data() == Path("/srv/box")


def test_a_checkout_keeps_it_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOBOX_DATA", raising=False)
    assert paths.default_data() == Path(__file__).resolve().parent.parent / ".data"


def test_an_installed_box_keeps_it_under_var(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLOBOX_DATA", "")
    monkeypatch.setattr(paths, "_ABOVE_PACKAGE", tmp_path)
    assert paths.default_data() == Path("/var/lib/allobox")
