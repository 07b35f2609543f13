"""Secrets at rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.webmail.vault import Vault, VaultError


def test_what_is_sealed_is_opened_by_the_same_key_in_the_same_context(tmp_path: Path) -> None:
    sealed = Vault(tmp_path / "mail.key").seal(b"secret", "account a")
    assert b"secret" not in sealed
    assert Vault(tmp_path / "mail.key").open(sealed, "account a") == b"secret"
    with pytest.raises(VaultError):
        Vault(tmp_path / "mail.key").open(sealed, "account b")


def test_the_key_is_the_owners_alone_and_made_so_again(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "mail.key")
    sealed = vault.seal(b"secret", "a")
    assert (tmp_path / "mail.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "mail.key").chmod(0o644)
    assert vault.open(sealed, "a") == b"secret"
    assert (tmp_path / "mail.key").stat().st_mode & 0o777 == 0o600


def test_another_device_or_an_altered_byte_opens_nothing(tmp_path: Path) -> None:
    sealed = Vault(tmp_path / "one.key").seal(b"secret", "a")
    Vault(tmp_path / "two.key").seal(b"other", "a")
    with pytest.raises(VaultError, match="not the key"):
        Vault(tmp_path / "two.key").open(sealed, "a")
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(VaultError):
            Vault(tmp_path / "one.key").open(bytes(altered), "a")
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            Vault(tmp_path / "one.key").open(sealed[:length], "a")


def test_a_forgotten_key_opens_nothing_and_the_next_seal_makes_another(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "mail.key")
    sealed = vault.seal(b"secret", "a")
    vault.forget()
    vault.forget()
    with pytest.raises(VaultError, match="gone"):
        vault.open(sealed, "a")
    vault.seal(b"secret", "a")
    with pytest.raises(VaultError):
        vault.open(sealed, "a")


def test_a_damaged_key_is_told_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mail.key").write_bytes(b"short")
    with pytest.raises(VaultError, match="5 bytes"):
        Vault(tmp_path / "mail.key").seal(b"secret", "a")
    assert (tmp_path / "mail.key").read_bytes() == b"short"


def test_two_seals_of_the_same_secret_differ(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "mail.key")
    assert vault.seal(b"secret", "a") != vault.seal(b"secret", "a")
