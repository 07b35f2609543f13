"""The whole way in virtual time but over real TCP and TLS: journal, outbox, SMTP server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.webmail.account import Password, Server
from firmware.webmail.mailbox import SmtpPost
from firmware.webmail.mailstore import Cursor
from firmware.webmail.outbox import Outbox
from firmware.webmail.postman import Postman
from tests.fakes.mail_servers import SmtpServer
from tests.system.peer_process import PrivateCa
from tests.webmail.house import ACCOUNT, House, call

SECRET = "bonjour 2010"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=["tls", "starttls"])
def smtp(request: pytest.FixtureRequest, certs: PrivateCa) -> Iterator[SmtpServer]:
    with SmtpServer({ACCOUNT.address: SECRET}, certs, security=request.param) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, smtp: SmtpServer, certs: PrivateCa) -> House:
    house = House(tmp_path, linked=False)
    house.outbox = Outbox(
        house.store,
        SmtpPost(lambda: str(certs.ca_file)),
        house.clock,
        lambda: 0.5,
        lambda: house.journal.household.language,
    )
    house.postman = Postman(house.journal, house.outbox, house.store)
    server = Server(smtp.host, smtp.port, smtp.security, ACCOUNT.address)
    house.store.link(replace(ACCOUNT, smtp=server, credential=Password(SECRET)), Cursor(0))
    return house


def test_a_missed_call_is_one_mail_at_the_server(house: House, smtp: SmtpServer) -> None:
    house.miss(call(1, name="Mamie Jeanne"))
    house.settle()
    [mail] = smtp.mails()
    assert mail["Subject"] == "Appel manqué de Mamie Jeanne (01 42 68 53 00)"
    assert smtp.envelopes == [(ACCOUNT.address, [ACCOUNT.address])]
    assert b"\n" not in smtp.received[0].replace(b"\r\n", b"")


def test_a_server_that_was_down_gets_each_mail_once_when_it_is_back(house: House, smtp: SmtpServer) -> None:
    smtp.stop()
    house.miss(call(1), call(2))
    for _ in range(4):
        wait = house.postman.step()
        assert wait is not None
        house.clock.advance(wait)
    linked = house.store.linked()
    assert linked is not None
    assert "Connection refused" in (linked.trouble or "")
    smtp.start()
    house.settle()
    assert len(smtp.received) == len({mail["Message-ID"] for mail in smtp.mails()}) == 2


def test_a_refused_recipient_is_kept_and_told_and_the_next_mail_goes(house: House, smtp: SmtpServer) -> None:
    smtp.replies_to_rcpt.append("550 5.1.1 Boite inconnue")
    house.miss(call(1), call(2))
    house.settle()
    assert len(smtp.received) == 1
    assert house.store._db.execute("SELECT state, error FROM outbox").fetchone()["state"] == "refused"


def test_greylisting_delays_a_mail_and_loses_none(house: House, smtp: SmtpServer) -> None:
    smtp.replies_to_data.append("451 4.7.1 revenez plus tard")
    house.miss(call(1))
    assert house.postman.step() == 30
    house.settle()
    assert len(smtp.received) == 1


def test_a_password_changed_at_the_provider_pauses_the_mailbox_in_its_words(house: House, smtp: SmtpServer) -> None:
    smtp.refusal = "535 5.7.8 Mot de passe change"
    linked = house.store.linked()
    assert linked is not None
    house.store.link(replace(linked.account, credential=Password("ancien")), Cursor(0))
    house.miss(call(1))
    assert house.postman.step() is None
    paused = house.store.linked()
    assert paused is not None
    assert "Mot de passe change" in (paused.paused or "")
    assert smtp.logins == 1
