"""Allobox's own test exchange, started as the process that users start."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from firmware.exchange.account import demo_account, publish
from tests.system import fetch
from tests.system.peer_process import LOOPBACK, PeerProcess, free_port

_PROGRAM = """
import pathlib, sys
import firmware.exchange
firmware.exchange.main(pathlib.Path(sys.argv[1]), port=int(sys.argv[2]))
"""


class TestExchange:
    """`with TestExchange() as exchange:` register at `host`:`port` as `user` with `password`, and dial its numbers."""

    __test__ = False  # no test of pytest's, whatever its name

    def __init__(self, data: Path | None = None) -> None:
        self._peer = PeerProcess("exchange", [])
        self.host, self.port = LOOPBACK, free_port()
        self.data = data or self._peer.folder
        account = demo_account(self.data)
        publish(self.data, account, self.host, self.port)
        self.user, self.password, self.realm = account.user, account.password, account.realm
        self._peer.environment["PYTHONPATH"] = str(fetch.CHECKOUT)
        self._peer.command = [sys.executable, "-c", _PROGRAM, str(self.data), str(self.port)]

    @property
    def pid(self) -> int:
        """Its process, to measure."""
        return self._peer.pid

    @property
    def server(self) -> str:
        """HOST:PORT, as an account's server is written."""
        return f"{self.host}:{self.port}"

    def stop(self) -> None:
        """Tell it to end, and wait."""
        self._peer.stop()

    def log(self) -> str:
        """The end of its log."""
        return self._peer.log()

    def __enter__(self) -> Self:
        self._peer.start(lambda: "exchange ready" in self._peer.log(200), seconds=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._peer.__exit__(kind, error, trace)
