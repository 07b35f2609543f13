"""The last good accounts, which an emergency may use, and what a lifted handset may hope for."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from firmware import accounts, config
from firmware.config import Settings
from firmware.telephony.calls import Registration
from firmware.telephony.events import Outlook

HOME = {"name": "home", "server": "sip.example.org", "user": "me", "password": "s3cret"}
SPARE = {"name": "spare", "server": "sip.example.net", "user": "me", "enabled": False}


def settings(*entries: Mapping[str, object]) -> Settings:
    return config.parse({"account": list(entries)}, "settings.toml")


def test_only_accounts_that_are_switched_on_reach_the_agent_and_no_password_shows() -> None:
    (only,) = accounts.enabled(settings(HOME, SPARE))
    assert (only.name, only.password) == ("home", "s3cret")
    assert "s3cret" not in repr(only)


def test_accounts_that_worked_are_there_for_an_emergency_after_the_settings_lost_them(tmp_path: Path) -> None:
    path = tmp_path / "accounts.last-good.toml"
    kept = accounts.LastGood(path)
    assert kept.differs(settings(HOME))
    kept.keep(settings(HOME, SPARE))
    assert not kept.differs(settings(HOME))
    again = accounts.LastGood(path)
    assert again.beyond(settings(HOME), 8) == []
    (found,) = again.beyond(Settings(), 8)
    assert (found.name, found.password, found.server) == ("last-good home", "s3cret", "sip.example.org")
    (changed,) = again.beyond(settings(HOME | {"password": "mistyped"}), 8)
    assert changed.password == "s3cret"
    assert again.beyond(Settings(), 0) == []
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[account", b"account = 3"])
def test_a_damaged_copy_is_told_and_does_no_harm(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "accounts.last-good.toml"
    path.write_bytes(content)
    assert accounts.LastGood(path).beyond(Settings(), 8) == []


def test_a_copy_that_cannot_be_written_is_no_trouble_for_calls(tmp_path: Path) -> None:
    kept = accounts.LastGood(tmp_path / "missing-folder" / "x.toml")
    kept.keep(settings(HOME))
    assert kept.differs(settings(HOME))


@pytest.mark.parametrize(
    ("registrations", "outlook"),
    [
        ({}, Outlook.NO_ACCOUNT),
        ({"home": Registration()}, Outlook.READY),  # not asked yet: hope
        ({"home": Registration(registered=True, sip_code=200)}, Outlook.READY),
        ({"free": Registration(sip_code=408, reason="x")}, Outlook.READY),  # is not meant to register
    ],
)
def test_what_a_lifted_handset_may_hope_for(registrations: dict[str, Registration], outlook: Outlook) -> None:
    assert accounts.outlook_of(registrations, ["home"]) is outlook


def test_a_refused_registration_is_bad_news_and_without_any_route_it_is_the_network() -> None:
    refused = {"home": Registration(sip_code=403, reason="Forbidden")}
    assert accounts.outlook_of(refused, ["home"]) in {Outlook.UNREGISTERED, Outlook.NO_NETWORK}
