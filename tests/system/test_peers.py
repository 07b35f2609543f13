"""Each real peer starts, does its one essential thing, and is gone afterwards."""

from __future__ import annotations

import imaplib
import os
import socket
import ssl
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import alsaaudio
import numpy as np
import pytest

from tests.system import fetch
from tests.system.peer_baresip import Baresip
from tests.system.peer_dovecot import Dovecot
from tests.system.peer_kamailio import Kamailio
from tests.system.peer_probe import SipProbe, status
from tests.system.peer_process import LOOPBACK, PeerError, listens, wait_until
from tests.system.peer_pulse import PulseNullSink
from tests.system.peer_sipp import Sipp, SippCaller

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


def test_baresip_calls_a_number_by_kamailio_and_both_ends_hear_what_was_said(tmp_path: Path) -> None:
    tone = tmp_path / "tone.wav"
    write_tone(tone, hz=1000, seconds=30)
    with (
        Kamailio({"alice": "pw", "bob": "pw2"}, aliases={"0142685300": "bob"}) as registrar,
        Baresip("alice", "pw", f"{LOOPBACK}:{registrar.port}", audio=tone, display_name="Alice") as alice,
        Baresip(
            "bob",
            "pw2",
            f"{LOOPBACK}:{registrar.tls_port}",
            transport="tls",
            ca_file=registrar.ca_file,
            audio="echo",
            answer=False,
        ) as bob,
    ):
        assert registrar.registered() == {"alice", "bob"}
        alice.dial("0142685300")
        assert bob.wait("CALL_INCOMING")["peerdisplayname"] == "Alice"
        alice.wait("CALL_RINGING")
        bob.answer()
        alice.wait("CALL_ESTABLISHED")
        wait_until(lambda: seconds_of(bob.heard()) > 2 and seconds_of(alice.heard()) > 2, 20, "two seconds of sound")
        alice.send_digits("7")
        bob.wait("CALL_DTMF_START")
        bob.hangup()
        alice.wait("CALL_CLOSED")
        assert loudest_hz(bob.heard()[0]) == pytest.approx(1000, abs=5)
        assert loudest_hz(alice.heard()[0]) == pytest.approx(1000, abs=5)


def test_a_wrong_password_does_not_register_baresip() -> None:
    with (
        Kamailio({"alice": "pw"}) as registrar,
        Baresip("alice", "no", f"{LOOPBACK}:{registrar.port}", wait_registered=False) as alice,
    ):
        assert "401" in alice.wait("REGISTER_FAIL")["param"]
        assert registrar.registered() == set()
        assert not alice.registered()


def test_sipp_calls_a_registered_telephone_again_and_again_as_many_callers() -> None:
    callers = [
        SippCaller("0142685300", "Mamie Jeanne"),
        SippCaller("0612345678", "Élodie", asserted=True),
        SippCaller(anonymous=True),
    ]
    with (
        Kamailio({"alice": "pw"}) as registrar,
        Baresip("alice", "pw", f"{LOOPBACK}:{registrar.port}") as alice,
        Sipp(
            "uac_call.xml", f"{LOOPBACK}:{registrar.port}", service="alice", callers=callers, calls=6, pause_ms=50
        ) as sipp,
    ):
        result = sipp.wait()
        assert (result.calls, result.successful, result.failed) == (6, 6, 0), result.log
        assert 0 <= result.response_ms < 5000
        calls = [event for event in alice.events() if event["type"] == "CALL_ESTABLISHED"]
        assert [call["peeruri"].split(":")[1].split("@")[0] for call in calls[:3]] == [
            "0142685300",
            "0000000000",
            "anonymous",
        ]


def test_sipp_gives_up_while_it_rings() -> None:
    with (
        Kamailio({"alice": "pw"}) as registrar,
        Baresip("alice", "pw", f"{LOOPBACK}:{registrar.port}", answer=False) as alice,
        Sipp("uac_cancel.xml", f"{LOOPBACK}:{registrar.port}", service="alice", calls=2, pause_ms=100) as sipp,
    ):
        result = sipp.wait()
        assert (result.successful, result.failed) == (2, 0), result.log

        def kinds() -> list[str]:
            return [event["type"] for event in alice.events()]

        wait_until(lambda: kinds().count("CALL_CLOSED") == 2, 10, "both calls to be over")
        assert "CALL_ESTABLISHED" not in kinds()


def test_sipp_counts_calls_that_fail() -> None:
    with (
        Kamailio({"alice": "pw"}) as registrar,
        Sipp("uac_call.xml", f"{LOOPBACK}:{registrar.port}", service="nobody", calls=1) as sipp,
    ):
        result = sipp.wait()
        assert (result.successful, result.failed) == (0, 1)
        assert "404" in result.log


def test_dependencies_of_several_packages_are_read_with_their_alternatives() -> None:
    listed = """baresip-core
  Depends: libasound2
 |Depends: libjack-jackd2-0
  Depends: <libjack-0.125>
    libjack-jackd2-0
    libjack0
  Depends: libre0
kamailio
  PreDepends: init-system-helpers
"""
    assert fetch.dependencies(listed) == [
        ["libasound2"],
        ["libjack-jackd2-0", "libjack-jackd2-0", "libjack0"],
        ["libre0"],
        ["init-system-helpers"],
    ]


def test_an_unknown_peer_is_named_beside_those_there_are() -> None:
    with pytest.raises(fetch.FetchError, match=r"'asterisk'; there are dovecot"):
        fetch.ensure("asterisk")


def write_tone(path: Path, *, hz: float, seconds: float) -> None:
    wave_form = 8000 * np.sin(2 * np.pi * hz * np.arange(int(8000 * seconds)) / 8000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(wave_form.astype("<i2").tobytes())


def samples_of(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def seconds_of(recordings: list[Path]) -> float:
    # The header of a WAV still being written says nothing: its size does.
    return max((path.stat().st_size for path in recordings), default=0) / 16000


def loudest_hz(path: Path) -> float:
    heard = samples_of(path)
    return float(np.abs(np.fft.rfft(heard)).argmax() * 8000 / len(heard))
