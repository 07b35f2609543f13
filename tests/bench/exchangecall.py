"""A box in a call with the test exchange, as `make run` has it, for figures of sound and of load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from firmware.service import AccountDraft
from tests.bench.peer import settle
from tests.system.box import RunningBox
from tests.system.peer_exchange import TestExchange

ECHO = "0199000001"
MILLIWATT = "0199000006"


def account(exchange: TestExchange) -> AccountDraft:
    """The exchange's demonstration account."""
    return {"name": "exchange", "server": exchange.server, "user": exchange.user, "password": exchange.password}


class HumbleBox(RunningBox):
    """A box whose core may not have real-time priority, root or not (capabilities(7): CAP_SYS_NICE)."""

    def program(self, role: str) -> list[str]:
        program = super().program(role)
        return ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", *program] if role == "core" else program


@contextmanager
def registered_box(exchange: TestExchange, kind: type[RunningBox] = RunningBox) -> Iterator[RunningBox]:
    """A box that is up, registered, and has done what it does once."""
    with kind(account(exchange)) as box:
        box.wait_registered("exchange")
        settle(box)
        yield box


def call(box: RunningBox, number: str = ECHO) -> None:
    """Lift and dial; returns once both talk."""
    box.phone.lift()
    box.phone.wait("dial-tone", 10)
    box.phone.dial(number)
    box.state("talking")
