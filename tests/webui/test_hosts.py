"""Host headers: ours, and those of DNS rebinding."""

from __future__ import annotations

import pytest

from firmware.webui.hosts import is_loopback, is_ours, well_formed

NAMES = frozenset({"allobox", "allobox.local"})

OURS = [
    "localhost",
    "localhost:8080",
    "LOCALHOST",
    "127.0.0.1",
    "127.0.0.1:8080",
    "127.8.8.8",
    "192.168.1.20",
    "192.168.1.20:80",
    "10.0.0.5",
    "172.16.4.4:8080",
    "169.254.7.7",
    "100.64.1.1",
    "[::1]",
    "[::1]:8080",
    "[fe80::1]",
    "[fd00::20]:8080",
    "[2a01:e0a:1:2::3]",
    "allobox",
    "allobox:8080",
    "Allobox.local",
    "allobox.local:80",
]

# ruff: noqa: S104 - hosts are only looked at here
FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "allobox.evil.example",
    "evil-allobox.local",
    "localhost.evil.example",
    "localhost.",
    "allobox.local.",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "192.168.1.20.xip.io",
    "0.0.0.0",
    "0.0.0.0:8080",
    "[::]",
    "[::]:8080",
    "[::ffff:192.168.1.20]",
    "[::ffff:127.0.0.1]:8080",
    "[::ffff:c0a8:114]",
    "[::192.168.1.20]",
    "[2002:c0a8:114::]",
    "[2001:0:1:2:3:4:5:6]",
    "[ff02::1]",
    "224.0.0.1",
    "255.255.255.255",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:",
    "localhost:abc",
    "",
    " ",
    "localhost localhost",
    "local_host",
    "user@localhost",
    "localhost/",
    "localhost,evil.example",
    "[::1",
    "::1",
    "[fe80::1%25eth0]",
    "xn--allobx-y1a.local",
    "allobox\u202e",
    "allobox.local\x00",
    "*",
]


@pytest.mark.parametrize("host", OURS)
def test_the_boxs_own_hosts_are_answered(host: str) -> None:
    assert is_ours(host, NAMES)


@pytest.mark.parametrize("host", FOREIGN)
def test_foreign_and_twisted_hosts_are_not(host: str) -> None:
    assert not is_ours(host, NAMES)


def test_what_is_no_host_at_all_is_told_apart() -> None:
    assert well_formed("evil.example:80")
    assert not well_formed("127.0.0.1:65536")


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.168.1.2", False),
        ("::ffff:192.168.1.2", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, here: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(address) is here
