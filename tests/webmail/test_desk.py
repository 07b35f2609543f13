"""Linking, testing and unlinking as the page asks for it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from firmware.service import MailLink, ServiceError
from firmware.webmail.account import Credential, Server
from firmware.webmail.desk import MailDesk
from firmware.webmail.trouble import MailboxError, Trouble
from tests.webmail.house import House, call, trouble

LINK: MailLink = {"address": "jeanne@laposte.net", "password": "bonjour 2010", "phrase": "le chat dort"}


class Logins:
    """What the servers would say to a login."""

    def __init__(self) -> None:
        self.tried: list[tuple[str, Server, str]] = []
        self.imap: MailboxError | None = None
        self.smtp: MailboxError | None = None

    def check_imap(self, server: Server, credential: Credential, ca_file: str) -> None:
        self.tried.append(("imap", server, ca_file))
        assert credential.secret
        if self.imap is not None:
            raise self.imap

    def check_smtp(self, server: Server, credential: Credential, ca_file: str) -> None:
        self.tried.append(("smtp", server, ca_file))
        assert credential.secret
        if self.smtp is not None:
            raise self.smtp


class DeskHouse(House):
    def __init__(self, data: Path) -> None:
        super().__init__(data, linked=False)
        self.logins = Logins()
        self.exchangers: dict[str, list[str]] = {}
        self.desk = MailDesk(
            self.store,
            self.journal,
            self.post,
            self.clock,
            check_imap=self.logins.check_imap,
            check_smtp=self.logins.check_smtp,
            exchangers=lambda domain: self.exchangers.get(domain, []),
            ca_file=lambda: self.journal.ca_file,
            wake=self.postman.wake,
        )


@pytest.fixture
def house(tmp_path: Path) -> DeskHouse:
    return DeskHouse(tmp_path)


def refused(house: DeskHouse, link: object) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        house.desk.mail_link(link)  # type: ignore[arg-type]
    return caught.value


def test_a_known_address_is_linked_by_address_and_password_alone(house: DeskHouse) -> None:
    status = house.desk.mail_link(LINK)
    assert [(which, server.host, server.user) for which, server, _ in house.logins.tried] == [
        ("imap", "imap.laposte.net", "jeanne"),
        ("smtp", "smtp.laposte.net", "jeanne"),
    ]
    assert status["linked"]
    assert (status["address"], status["phrase"], status["language"]) == ("jeanne@laposte.net", "le chat dort", "fr")
    assert "bonjour" not in str(status)


def test_the_ca_file_of_the_settings_counts_at_once(house: DeskHouse) -> None:
    house.box.ca_file = "/data/ca.pem"
    house.desk.mail_link(LINK)
    assert {ca_file for _, _, ca_file in house.logins.tried} == {"/data/ca.pem"}


def test_a_password_that_imap_refuses_is_not_tried_at_smtp_and_nothing_is_kept(house: DeskHouse) -> None:
    house.logins.imap = MailboxError(Trouble.LOGIN, "IMAP", "imap.laposte.net", 993, "[AUTHENTICATIONFAILED] Non.")
    error = refused(house, LINK)
    assert "imap.laposte.net:993 (IMAP)" in error.message
    assert "[AUTHENTICATIONFAILED] Non." in error.message
    assert "webmail" in error.message
    assert (error.status, error.where) == (422, "password")
    assert [which for which, _, _ in house.logins.tried] == ["imap"]
    assert not house.desk.mail_status()["linked"]


def test_gmail_refusing_says_how_an_app_password_is_made(house: DeskHouse) -> None:
    house.logins.imap = MailboxError(
        Trouble.LOGIN, "IMAP", "imap.gmail.com", 993, "Application-specific password required"
    )
    error = refused(house, {**LINK, "address": "jeanne@gmail.com"})
    assert "https://myaccount.google.com/apppasswords" in error.message


@pytest.mark.parametrize("language", ["fr", "en"])
def test_outlook_is_told_to_need_oauth_before_any_password_travels(house: DeskHouse, language: str) -> None:
    house.box.language = language
    error = refused(house, {**LINK, "address": "jeanne@outlook.fr"})
    assert "OAuth" in error.message
    assert error.where == "address"
    assert ("Allobox ne sait pas" in error.message or "qu’Allobox" in error.message) is (language == "fr")
    assert house.logins.tried == []
    with pytest.raises(ServiceError, match="OAuth"):
        house.desk.mail_presets("jeanne@outlook.fr")


def test_an_unknown_domain_needs_its_servers_typed(house: DeskHouse) -> None:
    error = refused(house, {**LINK, "address": "jeanne@maison.example"})
    assert "maison.example" in error.message
    server = {"host": "192.168.1.4", "port": 143, "security": "starttls", "user": "jeanne"}
    status = house.desk.mail_link({**LINK, "address": "jeanne@maison.example", "imap": server, "smtp": server})  # type: ignore[typeddict-item]
    assert status["imap"] == server


def test_a_domain_of_ones_own_at_ovh_is_known_by_its_exchangers(house: DeskHouse) -> None:
    house.exchangers["maison.example"] = ["mx1.mail.ovh.net"]
    presets = house.desk.mail_presets("jeanne@maison.example")
    assert presets is not None
    assert presets["imap"]["host"] == "ssl0.ovh.net"
    assert house.desk.mail_presets("jeanne@autre.example") is None


def test_linking_works_while_the_box_is_away_and_tells_no_old_call(house: DeskHouse) -> None:
    house.box.records = [call(1, started=house.clock.wall().isoformat())]
    house.box.away = True
    assert house.desk.mail_link(LINK)["linked"]
    house.box.away = False
    house.settle()
    assert house.post.delivered == []


def test_two_links_at_once_are_one_too_many(house: DeskHouse) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(server: Server, credential: Credential, ca_file: str) -> None:
        assert (server.host, credential.secret, ca_file) == ("imap.laposte.net", "bonjour 2010", "")
        inside.set()
        assert go_on.wait(10)

    house.desk._check_imap = slow
    first = threading.Thread(target=house.desk.mail_link, args=(LINK,))
    first.start()
    assert inside.wait(10)
    assert refused(house, LINK).status == 409
    go_on.set()
    first.join(10)
    assert house.desk.mail_status()["linked"]


def test_a_test_mail_goes_at_once_and_ends_a_pause(house: DeskHouse) -> None:
    house.desk.mail_link(LINK)
    house.post.at_login.append(trouble(Trouble.LOGIN, "535 non"))
    house.miss(call(1))
    house.postman.step()
    paused = house.desk.mail_status()
    assert "535 non" in (paused["last_error"] or "")
    assert paused["queued"] == 1
    status = house.desk.mail_test()
    assert status["last_error"] is None
    house.settle()
    assert len(house.post.delivered) == 2
    assert house.desk.mail_status()["sent"] == 1


def test_a_failed_test_says_what_the_server_said(house: DeskHouse) -> None:
    house.desk.mail_link(LINK)
    house.post.at_mail.append(trouble(Trouble.MAIL_REFUSED, "554 spam"))
    with pytest.raises(ServiceError, match="554 spam"):
        house.desk.mail_test()


def test_nothing_linked_is_nothing_to_test(house: DeskHouse) -> None:
    with pytest.raises(ServiceError) as caught:
        house.desk.mail_test()
    assert caught.value.status == 409


def test_a_lost_key_asks_for_a_new_link_which_mends_it(house: DeskHouse, tmp_path: Path) -> None:
    house.desk.mail_link(LINK)
    (tmp_path / "mail.key").unlink()
    assert "à nouveau" in (house.desk.mail_status()["last_error"] or "")
    with pytest.raises(ServiceError):
        house.desk.mail_test()
    house.desk.mail_link(LINK)
    assert house.desk.mail_status()["last_error"] is None


def test_unlinking_forgets_and_a_new_link_starts_afresh(house: DeskHouse) -> None:
    house.desk.mail_link(LINK)
    house.miss(call(1))
    house.desk.mail_unlink()
    assert house.desk.mail_status()["address"] is None
    house.desk.mail_link(LINK)
    house.settle()
    assert house.post.delivered == []


def test_a_full_disk_is_told_and_nothing_is_half_linked(house: DeskHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.store._vault, "seal", full)
    error = refused(house, LINK)
    assert error.status == 507
    assert "No space left" in error.message
    assert not house.desk.mail_status()["linked"]
