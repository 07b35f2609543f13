"""Secrets at rest: AES-256-GCM under a key of this device, DIR/mail.key (0600).

The key lies beside the data (there is no secure element on these boards): this protects a copied
database, a backup or an export, not a stolen card. Removing the key forgets every secret at once.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firmware.store import sync_folder, write_atomically

log = logging.getLogger(__name__)
_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class VaultError(Exception):
    """The secret cannot be read: the key is gone, another, or the sealed bytes were altered."""


class Vault:
    """Seals and opens secrets; makes the key at the first seal."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seal(self, secret: bytes, context: str) -> bytes:
        """Sealed bytes; only `open` with the same `context` reads them. Raises OSError, VaultError."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        key = self._key() or self._make()
        return _VERSION + nonce + AESGCM(key).encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The secret. Raises VaultError."""
        key = self._key()
        if key is None:
            msg = f"{self._path} is gone"
            raise VaultError(msg)
        head = len(_VERSION) + _NONCE_BYTES
        if not sealed.startswith(_VERSION) or len(sealed) <= head:
            msg = "the sealed secret has an unknown form"
            raise VaultError(msg)
        try:
            return AESGCM(key).decrypt(sealed[len(_VERSION) : head], sealed[head:], context.encode())
        except InvalidTag:
            msg = f"{self._path} is not the key that sealed this secret"
            raise VaultError(msg) from None

    def forget(self) -> None:
        """Remove the key: whatever it sealed is lost for good. Idempotent."""
        self._path.unlink(missing_ok=True)
        sync_folder(self._path.parent)

    def _key(self) -> bytes | None:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"{self._path}: {error.strerror}"
            raise VaultError(msg) from error
        with os.fdopen(handle, "rb") as file:
            if os.fstat(handle).st_mode & 0o077:
                log.warning("%s was readable by others; closed to them", self._path)
                os.fchmod(handle, 0o600)
            key = file.read(_KEY_BYTES + 1)
        if len(key) != _KEY_BYTES:
            msg = f"{self._path} holds {len(key)} bytes, not a key of {_KEY_BYTES}"
            raise VaultError(msg)
        return key

    def _make(self) -> bytes:
        """A new key, whole or not at all after a power cut."""
        key = secrets.token_bytes(_KEY_BYTES)
        write_atomically(self._path, key, 0o600)
        return key
