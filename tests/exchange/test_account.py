from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware.exchange import credentials_path
from firmware.exchange.account import demo_account, publish


def test_the_account_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    account = demo_account(tmp_path)
    publish(tmp_path, account, "127.0.0.1", 5070)
    path = credentials_path(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    told = json.loads(path.read_text())
    assert (told["host"], told["port"], told["user"]) == ("127.0.0.1", 5070, "allobox")
    assert len(account.password) >= 20
    assert account.password not in repr(account)
    assert demo_account(tmp_path).password == account.password == told["password"]


def test_another_port_keeps_the_password(tmp_path: Path) -> None:
    publish(tmp_path, demo_account(tmp_path), "127.0.0.1", 5070)
    before = demo_account(tmp_path)
    publish(tmp_path, before, "127.0.0.1", 6070)
    assert json.loads(credentials_path(tmp_path).read_text())["port"] == 6070
    assert demo_account(tmp_path) == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"user": "x"}', "not json"])
def test_a_file_that_is_no_account_is_named(tmp_path: Path, content: str) -> None:
    path = credentials_path(tmp_path)
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ValueError, match=r"account\.json holds no account.*delete it"):
        demo_account(tmp_path)
