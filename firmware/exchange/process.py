"""`allobox exchange` as a process: puts front and switch together and serves until told to end."""

from __future__ import annotations

import logging
import secrets
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from firmware.exchange.account import demo_account, folder, publish
from firmware.exchange.front import Front
from firmware.exchange.numbers import table
from firmware.exchange.proxy import Proxy
from firmware.exchange.registrar import Registrar
from firmware.exchange.speech import SpeechError
from firmware.exchange.switch import Switch

log = logging.getLogger(__name__)


def serve(data: Path, host: str, port: int) -> None:
    """See `firmware.exchange.main`. "exchange ready at HOST:PORT" is logged once it serves."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        account = demo_account(data)
        front = Front(host, port)
    except (OSError, ValueError) as error:
        _give_up(error)
    switch = Switch(folder(data) / "sound", front.address, account.user)
    try:
        switch.start()
        registrar = Registrar({account.user: account.password}, account.realm, secrets.token_bytes(32))
        front.start(Proxy(front.address, (host, switch.port), registrar))
        publish(data, account, *front.address)
        log.info("exchange ready at %s:%d for user %s", *front.address, account.user)
        for written, meaning in table():
            log.info("  %s  %s", written, meaning)
        while not stopping:
            switch.run_once()
    except (SpeechError, OSError) as error:
        _give_up(error)
    finally:
        switch.stop()  # its BYEs go through the front
        front.stop()


def _give_up(error: Exception) -> NoReturn:
    sys.stderr.write(f"allobox exchange: {error}\n")
    raise SystemExit(1) from None
