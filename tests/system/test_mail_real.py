"""The mail worker as a process, against Dovecot and aiosmtpd under a private authority, and a core at its socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import imapclient
import pytest

from firmware.control import mail_client
from firmware.control_routes import box_socket, mail_socket
from firmware.control_server import ControlServer
from firmware.eventhub import EventHub
from firmware.service import MailLink, MailServer, ServiceError
from firmware.webmail.worker import MEMORY_BYTES
from tests.fakes.box_service import FakeBox, missed_row
from tests.fakes.mail_servers import SmtpServer
from tests.system.peer_dovecot import Dovecot
from tests.system.peer_process import PeerProcess, wait_until

pytestmark = pytest.mark.system

USER, PASSWORD = "jeanne@example.org", "bonjour à tous 2010"


class Core:
    """A box in memory behind the core's own socket server."""

    def __init__(self, data: Path) -> None:
        self.box = FakeBox()
        self.hub = EventHub()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="core", daemon=True)
        self._thread.start()
        self._data = data
        self.start()

    def start(self) -> None:
        self._server = ControlServer(box_socket(self._data), self.box, self.hub)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(10)

    def miss(self, record: int, **changes: object) -> None:
        self.box.rows.append(missed_row(record, **changes))
        self._loop.call_soon_threadsafe(self.hub.publish, "call", {"line": 1, "state": "ended"})

    def close(self) -> None:
        self.stop()

        async def end() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class MailHouse:
    """Dovecot, an SMTP server that delivers into it, a core, and the worker under test."""

    def __init__(self, data: Path, imap: Dovecot, security: str) -> None:
        self.data = data
        self.imap = imap
        self.security = security
        self.smtp = SmtpServer({USER: PASSWORD}, imap.certs, security=security, deliver=self._deliver)
        self.smtp.start()
        self.core = Core(data)
        self.core.box.flat["mail.ca_file"] = str(imap.ca_file)
        self.mail = mail_client(data)
        self.worker = self._start_worker()

    def _start_worker(self) -> PeerProcess:
        command = [sys.executable, "-m", "firmware", "mail", "--data", str(self.data)]
        worker = PeerProcess("allobox-mail", command, folder=self.data)
        worker.start(self._answers)
        return worker

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            return line.connect_ex(str(mail_socket(self.data))) == 0

    def kill_worker(self) -> None:
        os.kill(self.worker.pid, signal.SIGKILL)
        self.worker.stop()

    def restart_worker(self) -> None:
        self.worker = self._start_worker()

    def _client(self) -> imapclient.IMAPClient:
        trust = imapclient.tls.create_default_context()
        trust.load_verify_locations(self.imap.ca_file)
        client = imapclient.IMAPClient(self.imap.host, self.imap.tls_port, ssl_context=trust)
        client.plain_login(USER, PASSWORD)
        return client

    def _deliver(self, raw: bytes) -> None:
        with self._client() as client:
            client.append("INBOX", raw)

    def inbox(self) -> list[EmailMessage]:
        """What the person finds in the mailbox."""
        with self._client() as client:
            client.select_folder("INBOX", readonly=True)
            found = client.fetch(client.search(), ["RFC822"]) if client.search() else {}
            return [message_from_bytes(found[key][b"RFC822"], policy=default) for key in sorted(found)]

    def servers(self) -> tuple[MailServer, MailServer]:
        imap_port = self.imap.tls_port if self.security == "tls" else self.imap.port
        return (
            {"host": "127.0.0.1", "port": imap_port, "security": self.security, "user": USER},
            {"host": "localhost", "port": self.smtp.port, "security": self.security, "user": USER},
        )

    def link(self, password: str = PASSWORD) -> MailLink:
        imap, smtp = self.servers()
        return {"address": USER, "password": password, "imap": imap, "smtp": smtp, "phrase": "le chat dort"}

    def wait_for_mails(self, count: int) -> list[EmailMessage]:
        wait_until(lambda: len(self.smtp.received) >= count, 30, f"{count} mails at the SMTP server")
        return self.inbox()

    def close(self) -> None:
        self.worker.stop()
        self.core.close()
        self.smtp.__exit__(None, None, None)


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot({USER: PASSWORD}) as imap:
        yield imap


@pytest.fixture(params=["tls", "starttls"])
def house(dovecot: Dovecot, request: pytest.FixtureRequest) -> Iterator[MailHouse]:
    data = Path(tempfile.mkdtemp(dir="/tmp", prefix="mail-"))
    house = MailHouse(data, dovecot, request.param)
    with house._client() as client:
        client.select_folder("INBOX")
        if client.search():
            client.delete_messages(client.search())
            client.expunge()
    try:
        yield house
    finally:
        house.close()
        shutil.rmtree(data)


def test_a_missed_call_arrives_in_the_linked_mailbox_as_one_mail(house: MailHouse) -> None:
    house.core.box.rows.append(missed_row(1))  # before the link: nobody is told
    status = house.mail.mail_link(house.link())
    assert status["linked"]
    assert house.core.box.asked  # the worker spoke to the core
    house.core.miss(2, name="Mamie Jeanne")
    [mail] = house.wait_for_mails(1)
    assert mail["Subject"] == "Appel manqué de Mamie Jeanne (01 42 68 53 00)"
    assert "le chat dort" in mail.get_content()
    house.core.miss(3, number=None)
    mails = house.wait_for_mails(2)
    assert [str(mail["Subject"]) for mail in mails][1] == "Appel manqué (numéro masqué)"
    assert len({mail["Message-ID"] for mail in mails}) == 2
    wait_until(lambda: house.mail.mail_status()["sent"] == 2, 10, "the worker's own count")
    assert house.mail.mail_status()["queued"] == 0


def test_a_wrong_password_is_refused_in_dovecots_own_words(house: MailHouse) -> None:
    with pytest.raises(ServiceError) as caught:
        house.mail.mail_link(house.link("wrong"))
    assert "Authentication failed" in caught.value.message
    assert "a refusé la connexion" in caught.value.message
    assert (caught.value.status, caught.value.where) == (422, "password")
    assert house.smtp.logins == 0  # IMAP said no first
    assert not house.mail.mail_status()["linked"]
    assert "wrong" not in house.worker.log()


def test_an_authority_that_nobody_knows_is_refused_and_hears_no_password(house: MailHouse) -> None:
    house.core.box.flat["mail.ca_file"] = ""
    with pytest.raises(ServiceError, match="ne prouve pas son identité") as caught:
        house.mail.mail_link(house.link())
    assert caught.value.where == "imap"
    assert house.smtp.logins == 0


def test_a_worker_killed_with_a_mail_in_its_outbox_delivers_it_once_when_it_is_back(house: MailHouse) -> None:
    house.mail.mail_link(house.link())
    house.smtp.stop()
    house.core.miss(1)
    wait_until(lambda: house.mail.mail_status()["last_error"] is not None, 20, "the server's absence to be told")
    status = house.mail.mail_status()
    assert status["queued"] == 1
    assert "injoignable" in (status["last_error"] or "")
    house.kill_worker()
    house.core.miss(2)  # nobody listens; the journal keeps it
    house.smtp.start()
    house.restart_worker()
    house.mail.mail_test()  # the person tries, and the back-off ends
    mails = house.wait_for_mails(3)
    assert sorted(str(mail["Subject"]).split(" ")[0] for mail in mails) == ["Allobox", "Appel", "Appel"]
    wait_until(lambda: house.mail.mail_status()["queued"] == 0, 10, "an empty outbox")
    assert len(house.smtp.received) == 3


def test_a_core_that_went_and_came_back_is_listened_to_again(house: MailHouse) -> None:
    house.mail.mail_link(house.link())
    house.core.stop()
    house.core.box.rows.append(missed_row(1))
    house.core.start()
    assert len(house.wait_for_mails(1)) == 1
    wait_until(lambda: house.core.hub.listening("mail") == ("up", "linked"), 20, "the worker at the core's stream")


def test_a_stopped_worker_leaves_at_once_and_no_secret_behind(house: MailHouse) -> None:
    house.mail.mail_link(house.link())
    house.mail.mail_test()
    process = house.worker.process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    print(next(line for line in status.splitlines() if line.startswith("VmRSS")))
    limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
    assert f"Max data size             {MEMORY_BYTES}" in limits
    process.terminate()
    assert process.wait(8) == 0
    assert not mail_socket(house.data).exists()
    for file in house.data.rglob("*"):
        if file.is_file():
            assert PASSWORD.encode() not in file.read_bytes(), file
