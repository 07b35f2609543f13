"""A page over a fake box."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from firmware.webui import passwords
from firmware.webui.app import create_app
from tests.fakes.box_service import FakeBox, FakeMail
from tests.fakes.page_client import CHEAP_HASHER, CREDENTIAL, Owner, Visitor


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of logins: the real cost of a hash is looked at in test_auth alone."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP_HASHER)


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(credential=CREDENTIAL, decks_folder=tmp_path / "decks")


@pytest.fixture
def mail() -> FakeMail:
    return FakeMail()


@pytest.fixture
def app(box: FakeBox, mail: FakeMail, tmp_path: Path) -> Flask:
    app = create_app(box, mail, secret_key=b"thirty-two bytes that sign nothing", data=tmp_path)
    app.testing = True
    # A broken view answers as it would for a person, and the tests see the 500.
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture
def stranger(app: Flask) -> Visitor:
    return Visitor(app)


@pytest.fixture
def owner(app: Flask) -> Owner:
    return Owner(app)


@pytest.fixture
def app_owner_en(app: Flask) -> Owner:
    return Owner(app, language="en")
