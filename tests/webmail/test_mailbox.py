"""IMAP and SMTP on loopback: TLS, logins, refusals in the server's words, and servers that misbehave."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware.webmail import mailbox, tls
from firmware.webmail.account import Account, Password, Server
from firmware.webmail.mailbox import SmtpPost, check_imap, check_smtp
from firmware.webmail.trouble import MailboxError, Trouble, in_words
from firmware.webmail.words import speak
from tests.fakes.mail_servers import ScriptedServer, SmtpServer
from tests.system.peer_process import PrivateCa, free_port
from tests.webmail.house import ACCOUNT

USER, SECRET = "jeanne@example.org", "clé à molette 2010"
GREETING = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> PrivateCa:
    return PrivateCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=["tls", "starttls"])
def smtp(request: pytest.FixtureRequest, certs: PrivateCa) -> Iterator[SmtpServer]:
    with SmtpServer({USER: SECRET}, certs, security=request.param) as server:
        yield server


def at(server: SmtpServer | ScriptedServer, security: str = "") -> Server:
    return Server(server.host, server.port, security or getattr(server, "security", "tls"), USER)


def account(server: SmtpServer) -> Account:
    return replace(ACCOUNT, smtp=at(server), credential=Password(SECRET))


def refusal(check: object, server: Server, secret: str = SECRET, ca_file: str = "") -> MailboxError:
    with pytest.raises(MailboxError) as caught:
        check(server, Password(secret), ca_file)  # type: ignore[operator]
    return caught.value


def test_a_mail_goes_over_both_kinds_of_tls(smtp: SmtpServer, certs: PrivateCa) -> None:
    with SmtpPost(lambda: str(certs.ca_file)).open(account(smtp)) as session:
        session.send(USER, USER, b"Subject: un\r\n\r\nAllo\r\n.point\r\n")
        session.send(USER, USER, b"Subject: deux\r\n\r\nAllo\r\n")
    assert [mail["Subject"] for mail in smtp.mails()] == ["un", "deux"]
    assert smtp.received[0].endswith(b"\r\n.point\r\n")
    assert smtp.envelopes[0] == (USER, [USER])
    assert smtp.logins == 1


def test_a_wrong_password_is_refused_in_the_servers_words(smtp: SmtpServer, certs: PrivateCa) -> None:
    smtp.refusal = "535 5.7.8 Mot de passe refuse, voyez nos reglages"
    error = refusal(check_smtp, at(smtp), "wrong", str(certs.ca_file))
    assert error.trouble is Trouble.LOGIN
    assert "Mot de passe refuse, voyez nos reglages" in in_words(error, speak("fr"))
    assert error.where == "password"


def test_a_server_under_an_unknown_authority_hears_no_password(smtp: SmtpServer) -> None:
    error = refusal(check_smtp, at(smtp))
    assert error.trouble is Trouble.UNTRUSTED
    assert "Rien ne lui a été envoyé" in in_words(error, speak("fr"))
    assert smtp.logins == 0


def test_a_server_with_another_name_hears_no_password(tmp_path: Path) -> None:
    other = PrivateCa(tmp_path, "mail.example.net")
    with SmtpServer({USER: SECRET}, other) as server:
        error = refusal(check_smtp, at(server), ca_file=str(other.ca_file))
        assert error.trouble is Trouble.UNTRUSTED
        assert server.logins == 0


def test_a_server_without_starttls_hears_no_password() -> None:
    with ScriptedServer([b"220 old.example.org\r\n", b"250-old\r\n250 AUTH PLAIN LOGIN\r\n"]) as old:
        assert refusal(check_smtp, at(old, "starttls")).trouble is Trouble.NO_TLS
    assert not any(b"AUTH" in said for said in old.heard)
    with ScriptedServer([b"* OK IMAP4rev1\r\n"]) as old:
        assert refusal(check_imap, at(old, "starttls")).trouble is Trouble.NO_TLS
    assert not any(b"LOGIN" in said or b"AUTHENTICATE" in said for said in old.heard)


def test_a_temporary_refusal_of_the_login_is_not_taken_for_a_wrong_password(smtp: SmtpServer, certs: PrivateCa) -> None:
    smtp.refusal = "454 4.7.0 Temporary authentication failure"
    assert refusal(check_smtp, at(smtp), "wrong", str(certs.ca_file)).trouble is Trouble.BUSY


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        ("550 5.1.1 no such user", Trouble.MAIL_REFUSED),
        ("451 4.7.1 greylisted", Trouble.MAIL_LATER),
        ("421 4.3.2 shutting down", Trouble.BUSY),
    ],
)
def test_each_reply_to_a_mail_has_its_meaning_and_the_next_mail_still_goes(
    smtp: SmtpServer, certs: PrivateCa, reply: str, trouble: Trouble
) -> None:
    for replies in (smtp.replies_to_rcpt, smtp.replies_to_data):
        replies.append(reply)
        with SmtpPost(lambda: str(certs.ca_file)).open(account(smtp)) as session:
            with pytest.raises(MailboxError, match=reply[:3]) as caught:
                session.send(USER, USER, b"Subject: un\r\n\r\n")
            assert caught.value.trouble is trouble
            session.send(USER, USER, b"Subject: deux\r\n\r\n")
    assert [mail["Subject"] for mail in smtp.mails()] == ["deux", "deux"]


@pytest.mark.parametrize("check", [check_imap, check_smtp])
def test_nobody_there_and_no_such_name_are_told(check: object) -> None:
    error = refusal(check, Server("127.0.0.1", free_port(), "tls", USER))
    assert error.trouble is Trouble.UNREACHABLE
    assert "Connection refused" in error.words
    assert refusal(check, Server("nowhere.invalid", 993, "tls", USER)).trouble is Trouble.UNREACHABLE


@pytest.mark.parametrize("check", [check_imap, check_smtp])
def test_a_server_that_says_nothing_is_left_at_the_deadline(check: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "CHECK_SECONDS", 0.4)
    with ScriptedServer([b""]) as silent:
        error = refusal(check, at(silent, "starttls"))
    assert error.trouble is Trouble.SLOW


@pytest.mark.parametrize(("check", "word"), [(check_imap, b"* OK a\r\n"), (check_smtp, b"220-a\r\n")])
def test_a_server_that_trickles_is_left_at_the_deadline(
    check: object, word: bytes, monkeypatch: pytest.MonkeyPatch, certs: PrivateCa
) -> None:
    monkeypatch.setattr(mailbox, "CHECK_SECONDS", 0.6)
    with ScriptedServer([word], certs=certs, endless=word, every=0.05) as slow:
        assert refusal(check, at(slow), ca_file=str(certs.ca_file)).trouble is Trouble.SLOW


@pytest.mark.parametrize("check", [check_imap, check_smtp])
@pytest.mark.parametrize("endless", [b"220-" + b"x" * 500 + b"\r\n", b"* OK " + b"y" * 9000 + b"\r\n", b"z" * 4096])
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_server_that_never_stops_talking_is_cut_off(
    check: object, endless: bytes, certs: PrivateCa, *, encrypted: bool
) -> None:
    with ScriptedServer([b""], certs=certs if encrypted else None, endless=endless) as chatty:
        error = refusal(check, at(chatty, "tls" if encrypted else "starttls"), ca_file=str(certs.ca_file))
    assert error.trouble in {Trouble.UNREACHABLE, Trouble.ODD, Trouble.BUSY}


def test_a_literal_of_four_gigabytes_is_not_believed(certs: PrivateCa) -> None:
    with ScriptedServer([b"* OK {4294967296}\r\n"], certs=certs, endless=b"x" * 8192) as liar:
        assert refusal(check_imap, at(liar), ca_file=str(certs.ca_file)).trouble in {Trouble.UNREACHABLE, Trouble.ODD}


@pytest.mark.parametrize("check", [check_imap, check_smtp])
def test_something_else_at_the_port_is_named_as_such(check: object, certs: PrivateCa) -> None:
    with ScriptedServer([b"HTTP/1.1 400 Bad Request\r\n\r\n"], certs=certs) as web:
        assert refusal(check, at(web), ca_file=str(certs.ca_file)).trouble is Trouble.ODD


@pytest.mark.parametrize("check", [check_imap, check_smtp])
def test_encryption_expected_where_there_is_none_says_which_to_try(check: object) -> None:
    with ScriptedServer([b"220 plain.example.org ESMTP\r\n"]) as plain:
        error = refusal(check, at(plain, "tls"))
    assert error.trouble is Trouble.NO_TLS
    assert "starttls" in in_words(error, speak("fr"))


def test_a_server_that_repeats_the_password_does_not_get_it_shown(certs: PrivateCa) -> None:
    encoded = base64.b64encode(f"\0{USER}\0{SECRET}".encode())
    script = [b"220 x\r\n", b"250-x\r\n250 AUTH PLAIN\r\n", b"535 " + encoded + b" " + SECRET.encode() + b"\r\n"]
    with ScriptedServer(script, certs=certs) as echo:
        error = refusal(check_smtp, at(echo), ca_file=str(certs.ca_file))
    assert error.trouble is Trouble.LOGIN
    assert SECRET not in error.words
    assert encoded.decode() not in error.words


def test_a_server_without_plain_gets_the_password_by_login(certs: PrivateCa) -> None:
    script = [
        b"220 x\r\n",
        b"250-x\r\n250 AUTH LOGIN\r\n",
        b"334 VXNlcjo=\r\n",
        b"334 UGFzczo=\r\n",
        b"235 ok\r\n",
        b"221 bye\r\n",
    ]
    with ScriptedServer(script, certs=certs) as server:
        check_smtp(at(server), Password(SECRET), str(certs.ca_file))
    assert base64.b64decode(server.heard[3]) == SECRET.encode()


def test_a_user_name_with_spaces_and_quotes_stays_one_word(certs: PrivateCa) -> None:
    with ScriptedServer([GREETING, b"%TAG OK in\r\n", b"%TAG OK out\r\n"], certs=certs) as imap:
        server = replace(at(imap), user='jeanne "x\\y" {3}')
        check_imap(server, Password('se"cret'), str(certs.ca_file))
    assert imap.heard[0].split(b" ", 1)[1] == b'LOGIN "jeanne \\"x\\\\y\\" {3}" "se\\"cret"\r\n'


def test_a_line_lost_during_the_imap_login_is_no_wrong_password(certs: PrivateCa) -> None:
    with ScriptedServer([GREETING, b"* BYE gone\r\n"], certs=certs, hang_up=True) as imap:
        assert refusal(check_imap, at(imap), "plain", str(certs.ca_file)).trouble is Trouble.UNREACHABLE


def test_an_imap_server_in_trouble_is_not_taken_for_a_wrong_password(certs: PrivateCa) -> None:
    # imaplib tags its commands with a random prefix, which the script cannot know: the server echoes it.
    with ScriptedServer([GREETING, b"%TAG NO [UNAVAILABLE] try later\r\n"], certs=certs) as imap:
        error = refusal(check_imap, at(imap), "plain", str(certs.ca_file))
    assert error.trouble is Trouble.BUSY
    assert "try later" in error.words


def test_an_authorities_file_that_is_none_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "absent.pem"):
        error = refusal(check_smtp, Server("127.0.0.1", 1, "tls", USER), ca_file=str(path))
        assert error.trouble is Trouble.BAD_CA_FILE
        assert error.where == "mail.ca_file"


def test_all_addresses_of_a_dead_server_together_get_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port())) for _ in range(3)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: rows)
    times = iter([0.0, 0.0, 1.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(tls, "time", SimpleNamespace(monotonic=lambda: next(times)))
    error = refusal(check_smtp, Server("dead.example.org", 465, "tls", USER))
    assert error.trouble is Trouble.UNREACHABLE
