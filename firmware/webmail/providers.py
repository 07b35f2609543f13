"""Which servers a mail address has, from `providers.toml`; pure.

A domain is found by its name, else by its mail exchangers when the caller has looked them up
(households' own domains at OVH or Gandi).
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from firmware.webmail.account import TLS, Server

_FILE = Path(__file__).with_name("providers.toml")
_IMAP_PORT = 993
_SMTP_PORT = 465


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, as the file has it."""

    name: str
    domains: tuple[str, ...]
    mx: tuple[str, ...]
    imap: str
    smtp: str
    smtp_port: int
    smtp_security: str
    local_part: bool
    auth: tuple[str, ...]
    app_passwords: str

    @property
    def takes_password(self) -> bool:
        """False for those that accept OAuth only."""
        return "password" in self.auth

    def servers(self, address: str) -> tuple[Server, Server]:
        """(IMAP, SMTP) for this address."""
        user = address.rpartition("@")[0] if self.local_part else address
        return (
            Server(self.imap, _IMAP_PORT, TLS, user),
            Server(self.smtp, self.smtp_port, self.smtp_security, user),
        )


@cache
def providers() -> tuple[Provider, ...]:
    """All of the file, in its order."""
    rows = tomllib.loads(_FILE.read_text(encoding="utf-8"))["provider"]
    return tuple(
        Provider(
            name=row["name"],
            domains=tuple(row["domains"]),
            mx=tuple(row.get("mx", ())),
            imap=row["imap"],
            smtp=row["smtp"],
            smtp_port=row.get("smtp_port", _SMTP_PORT),
            smtp_security=row.get("smtp_security", TLS),
            local_part=row.get("user") == "local-part",
            auth=tuple(row.get("auth", ("password",))),
            app_passwords=row.get("app_passwords", ""),
        )
        for row in rows
    )


def by_address(address: str) -> Provider | None:
    """The provider whose domain this address has."""
    domain = address.rpartition("@")[2].lower()
    return next((provider for provider in providers() if domain in provider.domains), None)


def by_exchangers(hosts: Sequence[str]) -> Provider | None:
    """The provider of a domain whose mail exchangers are `hosts`, best first."""
    for host in hosts:
        name = "." + host.lower().rstrip(".")
        for provider in providers():
            if any(name.endswith("." + suffix) for suffix in provider.mx):
                return provider
    return None


def by_server(host: str) -> Provider | None:
    """The provider that runs this server, for what it asks of a password."""
    return next((provider for provider in providers() if host in {provider.imap, provider.smtp}), None)
