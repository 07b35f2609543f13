"""Two boxes with a fax machine each, called by way of Kamailio, their sound by way of a network that loses packets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.service import AccountDraft, CallRow
from tests.fakes import fax_page
from tests.fakes.fax_machine import FaxClient
from tests.fakes.udp_relay import UdpRelay
from tests.fakes.udp_schedule import Network
from tests.system.box import RunningBox
from tests.system.peers import LOOPBACK, Kamailio, wait_until

NUMBER = "0142685300"
_USERS = {"office": "pw-office", "home": "pw-home"}


class FaxBox(RunningBox):
    """A box whose telephone is a fax machine, `fax`."""

    def __init__(self, registrar: Kamailio, user: str, ppm: str) -> None:
        server = f"{LOOPBACK}:{registrar.port}"
        account: AccountDraft = {"name": "home", "server": server, "user": user, "password": _USERS[user]}
        super().__init__(account, telephone=("--ppm", ppm), settings={"sip.bind": LOOPBACK})
        self.fax = FaxClient(self.data)

    def program(self, role: str) -> list[str]:
        return [sys.executable, "-m", "tests.fakes.fax_machine"] if role == "telephone" else super().program(role)


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was sent: how it went at both machines, whether it arrived point for point, the boxes' records."""

    sent: dict[str, Any]
    received: dict[str, Any]
    identical: bool
    records: tuple[CallRow, CallRow]
    packets: tuple[int, int]  # that were let go and that came, both ways together
    machine_ms: float


class FaxHouse:
    """The two boxes. Their telephones' clocks are 60 ppm apart."""

    def __init__(self, office: FaxBox, home: FaxBox, relay: UdpRelay, folder: Path) -> None:
        self.office, self.home, self._relay, self._folder = office, home, relay, folder
        self._count = 0

    def page(self, network: Network, *, rows: int = 150, seed: int = 1) -> Page:
        """Send a page from the office to the house."""
        self._count += 1
        original = self._folder / f"{self._count}-sent.tif"
        arrived = self._folder / f"{self._count}-arrived.tif"
        drawn = fax_page.drawn(rows, seed)
        fax_page.write(original, drawn)
        self._relay.renew(inward=network, outward=network, seed=seed)
        receiving = self.home.fax.begin_receive(arrived)
        sending = self.office.fax.begin_send(NUMBER, original)
        sent, received = sending.result(), receiving.result()
        for box in (self.office, self.home):
            box.state("idle")
        same = arrived.exists() and fax_page.read(arrived) == drawn
        ways = (self._relay.inward, self._relay.outward)
        return Page(
            sent,
            received,
            same,
            (self._record(self.office), self._record(self.home)),
            (sum(passed for _, passed in ways), sum(came for came, _ in ways)),
            self._relay.latest_ms,
        )

    def _record(self, box: FaxBox) -> CallRow:
        """The call's, with its measure."""

        def newest() -> CallRow:
            return box.client.calls({"limit": 1})[0]

        wait_until(lambda: len(box.client.calls({"limit": 200})) >= self._count, 10, "the record")
        wait_until(lambda: newest().get("quality") is not None, 10, "the call's measure")
        return newest()


@contextmanager
def fax_house(folder: Path) -> Iterator[FaxHouse]:
    """Both registered and idle."""
    with UdpRelay() as relay:
        trunk = ("office", relay.near_port, relay.far_port)
        with (
            Kamailio(_USERS, ("udp",), aliases={"+33142685300": "home"}, trunk=trunk) as registrar,
            FaxBox(registrar, "office", "30") as office,
            FaxBox(registrar, "home", "-30") as home,
        ):
            for box in (office, home):
                box.wait_registered("home")
            yield FaxHouse(office, home, relay, folder)
