"""Each real peer starts, does its one essential thing, and is gone afterwards."""

from __future__ import annotations

import imaplib
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import alsaaudio
import pytest

from tests.system import fetch
from tests.system.peer_dovecot import Dovecot
from tests.system.peer_kamailio import Kamailio
from tests.system.peer_probe import SipProbe, status
from tests.system.peer_process import PeerError, listens, wait_until
from tests.system.peer_pulse import PulseNullSink

pytestmark = pytest.mark.system

# A 1000 Hz tone goes out by one ALSA stream and is looked for in another; prints the loudest frequency.
_PLAY_AND_CAPTURE = """
import alsaaudio, numpy, time
wave = (8000 * numpy.sin(2 * numpy.pi * 1000 * numpy.arange(80) / 8000)).astype("<i2").tobytes()
args = dict(device="pulse", channels=1, rate=8000, format=alsaaudio.PCM_FORMAT_S16_LE, periodsize=80)
capture = alsaaudio.PCM(alsaaudio.PCM_CAPTURE, **args)
play = alsaaudio.PCM(alsaaudio.PCM_PLAYBACK, **args)
heard, loud = b"", b""
deadline = time.monotonic() + 20
while len(loud) < 8000 and time.monotonic() < deadline:
    play.write(wave)
    block = capture.read()[1]
    if numpy.frombuffer(block, "<i2").astype(float).std() > 4000:
        loud += block
spectrum = abs(numpy.fft.rfft(numpy.frombuffer(loud, "<i2")))
print(spectrum.argmax() * 8000 / (len(loud) / 2))
"""


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


def test_what_is_played_on_the_null_sink_through_alsa_is_captured_from_it() -> None:
    with PulseNullSink() as card:
        done = subprocess.run(
            [sys.executable, "-c", _PLAY_AND_CAPTURE],
            env=card.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{done.stderr}\n{card.log()}"
        assert float(done.stdout) == pytest.approx(1000, abs=8)


def test_this_process_can_adopt_the_null_sink_and_lets_go_of_it() -> None:
    before = dict(os.environ)
    with PulseNullSink() as card:
        card.adopt()
        alsaaudio.PCM(device="pulse", channels=1, rate=8000).close()
        assert os.environ["PULSE_SERVER"] == f"unix:{card.socket}"
    assert dict(os.environ) == before


def test_a_peer_dies_with_the_process_that_started_it_even_by_kill_9(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys
from tests.system.peer_process import PeerProcess
peer = PeerProcess("sleeper", ["/bin/sh", "-c", "sleep 300 & sleep 300"], folder=pathlib.Path({str(tmp_path)!r}))
peer.start()
print(peer.pid, flush=True)
sys.stdin.read()
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=fetch.CHECKOUT
    )
    assert starter.stdout is not None
    group = int(starter.stdout.readline())
    os.killpg(group, 0)
    starter.kill()
    starter.communicate()

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(gone, 20, "the peer's process group to be gone")


def test_kamailio_registers_who_knows_the_password_and_forgets_who_leaves() -> None:
    with Kamailio({"alice": "pw", "bob": "pw2"}) as registrar, SipProbe(registrar.port, "alice") as alice:
        assert alice.register("wrong") == 401
        assert registrar.registered() == set()
        assert alice.register("pw") == 200
        assert registrar.registered() == {"alice"}
        assert alice.register("pw", expires=0) == 200
        assert registrar.registered() == set()
        assert SipProbe(registrar.port, "mallory").register("pw") == 404


def test_kamailio_offers_tls_under_the_private_authority() -> None:
    with Kamailio({"alice": "pw"}) as registrar:
        trust = ssl.create_default_context(cafile=str(registrar.ca_file))
        with (
            socket.create_connection((registrar.host, registrar.tls_port), timeout=10) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as link,
        ):
            link.sendall(SipProbe(1).request("OPTIONS", "sip:allobox.test").replace("/UDP", "/TLS").encode())
            assert link.recv(4096).startswith(b"SIP/2.0 200")


def test_kamailio_can_be_told_to_refuse_a_number_and_can_go_away_and_come_back() -> None:
    with Kamailio({"alice": "pw"}, responses={"0899": 503}) as registrar, SipProbe(registrar.port, "outside") as probe:
        probe.send(probe.request("INVITE", f"sip:0899@{registrar.realm}"))
        assert status(probe.final()) == 503
        registrar.stop()
        probe.send(probe.request("OPTIONS", f"sip:{registrar.realm}"))
        with pytest.raises((PeerError, OSError)):
            probe.receive(0.3)
        registrar.start()
        probe.send(probe.request("OPTIONS", f"sip:{registrar.realm}"))
        assert status(probe.final()) == 200
