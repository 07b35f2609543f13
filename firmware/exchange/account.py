"""The demonstration account: a user, a password made at first start, kept readable by its owner only."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

USER = "allobox"
REALM = "allobox.test"
PORT = 5070
NUMBER = "+33199000000"  # of ARCEP's range for fiction, as are the numbers that the exchange serves


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """What a telephone box needs to register with the test exchange."""

    user: str
    password: str = field(repr=False)
    realm: str = REALM
    number: str = NUMBER


def folder(data: Path) -> Path:
    """The exchange's own folder below the box's data folder."""
    return data / "exchange"


def credentials_path(data: Path) -> Path:
    """The file that tells where the exchange is and how to register (mode 0600)."""
    return folder(data) / "account.json"


def demo_account(data: Path) -> DemoAccount:
    """The account as kept, or a new one. ValueError names a file that cannot be understood."""
    path = credentials_path(data)
    try:
        held = json.loads(path.read_text())
        return DemoAccount(user=str(held["user"]), password=str(held["password"]))
    except FileNotFoundError:
        return DemoAccount(USER, secrets.token_urlsafe(18))
    except (ValueError, KeyError, TypeError):
        msg = f"{path} holds no account of the test exchange: delete it, and another is made"
        raise ValueError(msg) from None


def publish(data: Path, account: DemoAccount, host: str, port: int) -> None:
    """Keep the account, with where the exchange now listens. The file is whole at every moment."""
    path = credentials_path(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"account.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    told = {
        "host": host,
        "port": port,
        "user": account.user,
        "password": account.password,
        "realm": account.realm,
        "number": account.number,
    }
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(told, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
