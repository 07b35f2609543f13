"""What the page may ask for, and which servers an address has."""

from __future__ import annotations

import pytest

from firmware.service import ServiceError
from firmware.webmail.account import (
    Password,
    credential_from_bytes,
    credential_to_bytes,
    parse_address,
    parse_link,
    parse_server,
)
from firmware.webmail.providers import by_address, by_exchangers, by_server, providers
from firmware.webmail.words import speak

_ = speak("en")
GOOD = {"address": "jeanne@laposte.net", "password": "secret"}
SERVER = {"host": "mail.example.org", "port": 993, "security": "tls", "user": "jeanne"}


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Jeanne.Martin+box@LaPoste.NET ", "Jeanne.Martin+box@laposte.net"),
        ("jeanne@bücher.example", "jeanne@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_kept_as_mail_needs_it(typed: str, kept: str) -> None:
    assert parse_address(typed, _) == kept


@pytest.mark.parametrize(
    "typed",
    ["", "jeanne", "@laposte.net", "jeanne@", "jeanne@localhost", "a b@c.de", "jeanne@x.fr\r\nBcc: y@z.fr",
     "é@laposte.net",
     "j@" + "a" * 260 + ".fr", "x" * 65 + "@laposte.net", "j..m@laposte.net", "j@-x.fr", "j@a..fr", 7, None,
     "<j@laposte.net>", "j@laposte.net,k@laposte.net", "j@[127.0.0.1]"],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_name(typed: object) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_address(typed, _)
    assert caught.value.where == "address"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"password": ""}, "password"),
        ({"password": "a\r\nLOGOUT"}, "password"),
        ({"password": "x" * 513}, "password"),
        ({"password": None}, "password"),
        ({"phrase": "two\nlines"}, "phrase"),
        ({"phrase": "\u202etxt"}, "phrase"),
        ({"phrase": "x" * 121}, "phrase"),
        ({"notify": "nobody"}, "notify"),
        ({"language": "de"}, "language"),
        ({"colour": "red"}, "colour"),
        ({"imap": SERVER}, "smtp"),
        ({"imap": "mail.example.org", "smtp": SERVER}, "imap"),
        ({"imap": {**SERVER, "port": 0}, "smtp": SERVER}, "imap.port"),
        ({"imap": {**SERVER, "port": True}, "smtp": SERVER}, "imap.port"),
        ({"imap": {**SERVER, "port": "9x"}, "smtp": SERVER}, "imap.port"),
        ({"imap": SERVER, "smtp": {**SERVER, "security": "none"}}, "smtp.security"),
        ({"imap": SERVER, "smtp": {**SERVER, "host": "a b"}}, "smtp.host"),
        ({"imap": SERVER, "smtp": {**SERVER, "host": "mail.example.org:465"}}, "smtp.host"),
        ({"imap": SERVER, "smtp": {**SERVER, "user": "a\nb"}}, "smtp.user"),
        ({"imap": SERVER, "smtp": {**SERVER, "tls": True}}, "smtp"),
    ],
)
def test_a_link_with_a_fault_names_the_field(change: dict[str, object], where: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_link({**GOOD, **change}, _)
    assert caught.value.where == where


@pytest.mark.parametrize("tree", [None, [], "x", 3])
def test_a_link_that_is_no_object_is_refused(tree: object) -> None:
    with pytest.raises(ServiceError):
        parse_link(tree, _)


def test_a_refusal_never_repeats_the_password() -> None:
    with pytest.raises(ServiceError) as caught:
        parse_link({**GOOD, "password": "s3cret\nword"}, _)
    assert "s3cret" not in caught.value.message
    assert "secret" not in repr(parse_link(GOOD, _))


def test_servers_on_the_local_network_are_welcome() -> None:
    server = parse_server(
        {**SERVER, "host": "192.168.1.20", "port": "143", "security": "starttls"}, "j@x.fr", "imap", _
    )
    assert (server.host, server.port, server.security) == ("192.168.1.20", 143, "starttls")
    assert parse_server({**SERVER, "host": "[fe80::1]"}, "j@x.fr", "imap", _).host == "fe80::1"
    assert parse_server({**SERVER, "user": ""}, "j@x.fr", "imap", _).user == "j@x.fr"


def test_a_credential_keeps_its_kind_and_an_unknown_kind_is_refused() -> None:
    assert credential_from_bytes(credential_to_bytes(Password("clé"))) == Password("clé")
    with pytest.raises(ValueError, match="oauth2"):
        credential_from_bytes(b'{"kind": "oauth2"}')


@pytest.mark.parametrize(
    ("address", "imap", "smtp", "user"),
    [
        ("jeanne@laposte.net", "imap.laposte.net", "smtp.laposte.net", "jeanne"),
        ("jeanne@free.fr", "imap.free.fr", "smtp.free.fr", "jeanne"),
        ("jeanne@orange.fr", "imap.orange.fr", "smtp.orange.fr", "jeanne@orange.fr"),
        ("jeanne@wanadoo.fr", "imap.orange.fr", "smtp.orange.fr", "jeanne@wanadoo.fr"),
        ("jeanne@club-internet.fr", "imap.sfr.fr", "smtp.sfr.fr", "jeanne@club-internet.fr"),
        ("jeanne@neuf.fr", "imap.sfr.fr", "smtp.sfr.fr", "jeanne@neuf.fr"),
        ("jeanne@gmail.com", "imap.gmail.com", "smtp.gmail.com", "jeanne@gmail.com"),
        ("jeanne@yahoo.fr", "imap.mail.yahoo.com", "smtp.mail.yahoo.com", "jeanne@yahoo.fr"),
        ("jeanne@gmx.fr", "imap.gmx.com", "mail.gmx.com", "jeanne@gmx.fr"),
        ("jeanne@fastmail.com", "imap.fastmail.com", "smtp.fastmail.com", "jeanne@fastmail.com"),
    ],
)
def test_known_addresses_need_no_servers_typed(address: str, imap: str, smtp: str, user: str) -> None:
    provider = by_address(address)
    assert provider is not None
    first, second = provider.servers(address)
    assert (first.host, first.port, first.security, first.user) == (imap, 993, "tls", user)
    assert (second.host, second.port, second.security, second.user) == (smtp, 465, "tls", user)


@pytest.mark.parametrize(
    ("exchanger", "name"),
    [
        ("mx1.mail.ovh.net", "OVH"),
        ("spool.mail.gandi.net.", "Gandi"),
        ("in1-smtp.messagingengine.com", "Fastmail"),
        ("ASPMX.L.GOOGLE.COM", "Gmail"),
        ("example-org.mail.protection.outlook.com", "Outlook"),
    ],
)
def test_a_domain_of_ones_own_is_known_by_its_exchangers(exchanger: str, name: str) -> None:
    provider = by_exchangers(["mx.unknown.example", exchanger])
    assert provider is not None
    assert provider.name == name


def test_a_lookalike_exchanger_is_nobody() -> None:
    assert by_exchangers(["evilovh.net", "ovh.net.example.org", ""]) is None


def test_every_provider_is_encrypted_and_found_again_by_its_server() -> None:
    for provider in providers():
        for server in provider.servers("jeanne@example.org"):
            assert server.security in {"tls", "starttls"}
            assert by_server(server.host) is not None
    outlook = by_address("jeanne@hotmail.fr")
    assert outlook is not None
    assert not outlook.takes_password
