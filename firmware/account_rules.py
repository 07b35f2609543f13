"""What a change of the settings asks for beyond the types: passwords given again, CA files that exist.

Looked at when something is changed, never when settings are read: a file that vanishes later must
not make the settings unreadable.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from firmware.config import AccountSettings, ConfigError, Settings

_MAX_CA_BYTES = 1 << 20


def shows_password_elsewhere(before: AccountSettings, after: AccountSettings) -> str:
    """The first key whose change would show the kept password (its digest) to somebody else, or "".

    Without this, whoever has the page for a minute has the digest sent to a host of his own, and
    guesses the password at leisure.
    """
    for key in ("server", "proxy", "user", "auth_user"):
        if getattr(before, key) != getattr(after, key):
            return key
    if before.transport == "tls" and after.transport != "tls":
        return "transport"
    if before.verify_tls and not after.verify_tls:
        return "verify_tls"
    return ""


def check_ca_files(before: Settings, after: Settings) -> None:
    """Look into every CA file that is new in `after`. Raises ConfigError naming the key."""
    known = {path for _, path in _ca_files(before)}
    for key, path in _ca_files(after):
        if path not in known:
            _check(key, path)


def _ca_files(settings: Settings) -> list[tuple[str, str]]:
    named = [(f"account {account.name}: ca_file", account.ca_file) for account in settings.account]
    return [(key, path) for key, path in [*named, ("mail.ca_file", settings.mail.ca_file)] if path]


def _check(key: str, path: str) -> None:
    file = Path(path)
    if not file.is_absolute():
        raise ConfigError(f"{key}: {path!r} must be a whole path, from / on", key)
    try:
        if not file.is_file():
            raise ConfigError(f"{key}: {path} is not there, or no file", key)
        if file.stat().st_size > _MAX_CA_BYTES:
            raise ConfigError(f"{key}: {path} is too large for a file of certificates", key)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise ConfigError(f"{key}: {path} holds no certificate in PEM form ({error.reason or error})", key) from error
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be read: {error.strerror}", key) from error
