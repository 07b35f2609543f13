"""Each real peer starts, does its one essential thing, and is gone afterwards."""

from __future__ import annotations

import imaplib
import ssl

import pytest

from tests.system.peer_dovecot import Dovecot
from tests.system.peer_process import listens

pytestmark = pytest.mark.system


def test_dovecot_takes_the_right_password_over_both_kinds_of_tls_and_is_gone_afterwards() -> None:
    with Dovecot({"jeanne@example.org": "bonjour 2010"}) as imap:
        trust = ssl.create_default_context(cafile=str(imap.ca_file))
        with imaplib.IMAP4_SSL(imap.host, imap.tls_port, ssl_context=trust) as client:
            client.login("jeanne@example.org", "bonjour 2010")
            client.append("INBOX", "", "", b"Subject: essai\r\n\r\nAllo\r\n")
            assert client.select("INBOX") == ("OK", [b"1"])
        with imaplib.IMAP4(imap.host, imap.port) as client:
            client.starttls(trust)
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                client.login("jeanne@example.org", "wrong")
    assert not listens(imap.tls_port)


def test_a_client_without_the_private_authority_refuses_dovecot() -> None:
    with Dovecot({"jeanne": "x"}) as imap, pytest.raises(ssl.SSLCertVerificationError):
        imaplib.IMAP4_SSL(imap.host, imap.tls_port, ssl_context=ssl.create_default_context())
