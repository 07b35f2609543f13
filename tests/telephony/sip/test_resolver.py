"""Names to addresses beside a DNS that is slow or away."""

from __future__ import annotations

import threading
import time

import pytest

from firmware.telephony.sip import resolver
from firmware.telephony.sip.resolver import Resolver


class Dns:
    """Answers from `table`; names in `silent` wait until they are taken out."""

    def __init__(self) -> None:
        self.table: dict[str, frozenset[str]] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.told: list[tuple[frozenset[str], dict[str, frozenset[str]]]] = []

    def look_up(self, host: str) -> frozenset[str]:
        self.asked.append(host)
        limit = time.monotonic() + 20
        while host in self.silent and time.monotonic() < limit:
            time.sleep(0.005)
        return self.table.get(host, frozenset())

    def wait_for(self, host: str) -> dict[str, frozenset[str]]:
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            for asked, table in list(self.told):
                if host in asked:
                    return table
            time.sleep(0.005)
        raise AssertionError(f"{host} was not told, only {self.told}")


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    fake = Dns()
    monkeypatch.setattr(resolver, "look_up", fake.look_up)
    return fake


def test_a_silent_name_does_not_hold_up_another(dns: Dns) -> None:
    dns.silent, dns.table = {"a"}, {"b": frozenset({"192.0.2.2"})}
    under_test = Resolver(lambda asked, table: dns.told.append((asked, table)))
    under_test.ask(["a", "b"])
    assert dns.wait_for("b") == dns.table
    dns.silent.clear()
    assert dns.wait_for("a") == dns.table
    under_test.close()


def test_the_last_good_answer_stays_when_the_dns_fails(dns: Dns) -> None:
    good = {"a": frozenset({"192.0.2.1"})}
    dns.table = dict(good)
    under_test = Resolver(lambda asked, table: dns.told.append((asked, table)))
    under_test.ask(["a"])
    assert dns.wait_for("a") == good
    dns.told.clear()
    dns.table.clear()
    under_test.ask(["a"])
    assert dns.wait_for("a") == good
    under_test.close()


def test_asked_over_and_over_while_the_dns_is_away_a_name_waits_once(dns: Dns) -> None:
    names = ["a", "b", "c", "d"]
    dns.silent = set(names)
    under_test = Resolver(lambda asked, table: dns.told.append((asked, table)))
    for _ in range(500):
        under_test.ask(names)
    dns.silent.clear()
    for name in names:
        dns.wait_for(name)
    under_test.close()
    limit = time.monotonic() + 5
    while time.monotonic() < limit and any(t.name == "sip-dns" for t in threading.enumerate()):
        time.sleep(0.01)
    assert len(dns.asked) <= 2 * len(names)
