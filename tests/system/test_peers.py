"""Each real peer starts, does its one essential thing, and is gone afterwards."""

from __future__ import annotations

import imaplib
import ssl
import subprocess
import sys

import alsaaudio
import pytest

from tests.system.peer_dovecot import Dovecot
from tests.system.peer_process import listens
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


def test_this_process_can_adopt_the_null_sink_and_finds_no_device_before_or_after() -> None:
    def opens() -> bool:
        try:
            alsaaudio.PCM(device="pulse", channels=1, rate=8000).close()
        except alsaaudio.ALSAAudioError:
            return False
        return True

    assert not opens()
    with PulseNullSink() as card:
        card.adopt()
        assert opens()
    assert not opens()
