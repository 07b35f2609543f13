"""What a change of the settings asks for beyond the types: passwords given again, CA files and codecs that exist.

Looked at when something is changed, never when settings are read: a file that vanishes later must
not make the settings unreadable.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from firmware.config import AccountSettings, ConfigError, Settings
from firmware.config_fields import Codec

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


def missing_codecs(settings: Settings, known: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The accounts that name codecs outside `known`, and which; none while `known` is empty."""
    there = {codec.upper() for codec in known}
    found = [
        (account.name, [str(codec) for codec in account.codecs if codec.upper() not in there])
        for account in settings.account
        if there
    ]
    return [(name, missing) for name, missing in found if missing]


def check_codecs(before: Settings, after: Settings, known: Sequence[str]) -> None:
    """Refuse codecs that the running stack lacks where they are new in `after`. Raises ConfigError naming the key."""
    old = dict(missing_codecs(before, known))
    for name, missing in missing_codecs(after, known):
        if set(missing) - set(old.get(name, [])):
            there = ", ".join(codec for codec in get_args(Codec) if codec.upper() in {k.upper() for k in known})
            raise ConfigError(
                f"account {name}: codecs: the SIP stack of this box has no {', no '.join(missing)}; it has {there}",
                "account.codecs",
            )


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
