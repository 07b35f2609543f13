"""Every number of the test exchange, called by a real telephone of somebody else's make."""

from __future__ import annotations

import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.service import AccountDraft
from tests.system import fetch
from tests.system.box import RunningBox
from tests.system.peer_exchange import TestExchange
from tests.system.peers import Baresip, PeerError, SipProbe, wait_until

pytestmark = pytest.mark.system
RATE = 8000


@pytest.fixture(scope="module")
def exchange() -> Iterator[TestExchange]:
    with TestExchange() as running:
        yield running


@pytest.fixture(scope="module")
def caller(exchange: TestExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Baresip]:
    chirp = tmp_path_factory.mktemp("sound") / "bursts.wav"
    with wave.open(str(chirp), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((8000 * np.sin(2 * np.pi * 700 * np.arange(RATE * 20) / RATE)).astype("<i2").tobytes())
    with Baresip(exchange.user, exchange.password, exchange.server, audio=chirp, answer=False) as telephone:
        yield telephone


def call(caller: Baresip, number: str, *, listen: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Dial, be answered, listen for so many seconds, hang up: what was heard."""
    # One recording a second is all that baresip can name.
    known = set(caller.heard())
    wait_until(lambda: not any(time.time() - path.stat().st_mtime < 1.1 for path in known), 5, "a second to pass")
    before = len(caller.events())
    caller.dial(number)
    caller.wait("CALL_ESTABLISHED", after=before)

    def recording() -> list[Path]:
        return [path for path in caller.heard() if path not in known]

    wait_until(lambda: any(path.stat().st_size > listen * RATE * 2 for path in recording()), listen + 20, "sound")
    caller.hangup()
    caller.wait("CALL_CLOSED", after=before)
    wait_until(lambda: samples(recording()[0]).size > 0, 5, "a recording with its length written")
    return samples(recording()[0])


def samples(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def share_at(heard: np.ndarray[Any, np.dtype[np.int16]], hz: float, within: float = 15) -> float:
    """How much of the power lies within some hertz of a frequency."""
    if not heard.any():
        return 0.0
    power = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    bins = np.fft.rfftfreq(len(heard), 1 / RATE)
    return float(power[np.abs(bins - hz) < within].sum() / power.sum())


def refusal(caller: Baresip, number: str) -> str:
    before = len(caller.events())
    caller.dial(number)
    return str(caller.wait("CALL_CLOSED", after=before)["param"])


def test_the_speaking_clock_speaks_at_once_and_its_tops_are_on_the_second(caller: Baresip) -> None:
    heard = call(caller, "3699", listen=11.5)
    assert np.abs(heard[: 2 * RATE].astype(int)).max() > 2000
    ended = time.time()
    # A top is 80 ms of nothing but 1000 Hz.
    window = RATE // 50
    tops = [
        start
        for start in range(0, len(heard) - window, window)
        if share_at(heard[start : start + window], 1000, 120) > 0.95
    ]
    loud = [start for start in tops if np.abs(heard[start : start + window].astype(int)).max() > 4000]
    starts = [start for start, before in zip(loud, [-RATE, *loud], strict=False) if start - before > RATE // 2]
    assert len(starts) == 4
    assert np.diff(starts) == pytest.approx([RATE] * 3, abs=2 * window)
    fraction = (ended - (len(heard) - starts[-1]) / RATE) % 1
    assert min(fraction, 1 - fraction) < 0.35  # a busy machine hangs up late


def test_the_echo_gives_back_what_was_said(caller: Baresip) -> None:
    heard = call(caller, "0199000001", listen=2)
    assert share_at(heard[RATE:], 700) > 0.95


def test_the_milliwatt_is_1004_hz_at_0_dbm0(caller: Baresip) -> None:
    heard = call(caller, "+33199000006", listen=2)[RATE // 2 :]
    power = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert power.argmax() * RATE / len(heard) == pytest.approx(1004, abs=1)
    rms = float(np.sqrt(np.mean(heard.astype(float) ** 2)))
    assert 20 * np.log10(rms * np.sqrt(2) / 32767) + 3.14 == pytest.approx(0, abs=0.2)


def test_emergency_numbers_are_answered_with_words(caller: Baresip) -> None:
    heard = call(caller, "112", listen=13).astype(int)
    loud = [bool(np.abs(heard[start : start + RATE]).max() > 1500) for start in range(0, len(heard) - RATE, RATE)]
    assert sum(loud) >= 9  # both sentences, the second not on top of the first


@pytest.mark.parametrize(("number", "answer"), [("0199000003", "486"), ("0199000005", "404"), ("0142685300", "404")])
def test_refusals_are_those_of_the_table(caller: Baresip, number: str, answer: str) -> None:
    assert refusal(caller, number).startswith(answer)


def test_a_number_that_never_answers_rings_until_the_caller_gives_up(caller: Baresip) -> None:
    before = len(caller.events())
    caller.dial("0199000004")
    caller.wait("CALL_RINGING", after=before)
    with pytest.raises(PeerError):
        caller.wait("CALL_ESTABLISHED", 1.5, after=before)
    caller.hangup()
    caller.wait("CALL_CLOSED", after=before)


def test_early_media_is_heard_before_the_refusal(caller: Baresip) -> None:
    before = len(caller.events())
    caller.dial("0199000007")
    caller.wait("CALL_PROGRESS", after=before)
    closed = caller.wait("CALL_CLOSED", 30, after=before)
    assert closed["param"].startswith("480")
    assert not any(event["type"] == "CALL_ESTABLISHED" for event in caller.events()[before:])


def test_a_number_that_hangs_up_does(caller: Baresip) -> None:
    before = len(caller.events())
    caller.dial("0199000008")
    caller.wait("CALL_ESTABLISHED", after=before)
    caller.wait("CALL_CLOSED", 10, after=before)


def test_one_is_called_back_by_mamie_jeanne_five_seconds_after_hanging_up(caller: Baresip) -> None:
    before = len(caller.events())
    caller.dial("0199000002")
    caller.wait("CALL_ESTABLISHED", after=before)
    caller.hangup()
    caller.wait("CALL_CLOSED", after=before)
    hung_up = time.monotonic()
    ring = caller.wait("CALL_INCOMING", 20, after=before)
    assert time.monotonic() - hung_up > 4.5
    assert ring["peerdisplayname"] == "Mamie Jeanne"
    assert ring["peeruri"].startswith("sip:+33142685300@")
    after = len(caller.events())
    caller.answer()
    caller.wait("CALL_ESTABLISHED", after=after)
    caller.hangup()
    caller.wait("CALL_CLOSED", after=after)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("prefix", ["3651", "#31#"])
def test_a_box_that_hides_its_number_is_served_and_called_back_all_the_same(prefix: str) -> None:
    with TestExchange() as own:  # of its own: a call back rings at the last who registered
        draft: AccountDraft = {"name": "demo", "server": own.server, "user": own.user, "password": own.password}
        with RunningBox(draft) as box:
            box.wait_registered("demo")
            for number in ("0199000001", "0199000002"):
                box.phone.lift()
                box.phone.wait("dial-tone", 10)
                box.phone.dial(prefix + number)
                box.state("talking")
                if number.endswith("1"):
                    wait_until(lambda: box.phone.roundtrip(1) != [None], 10, "the echo")
                box.phone.hangup()
            box.phone.wait("ring", 20)
            box.phone.wait("caller-id", 10)
            shown = box.phone.state()["caller_id"]
            assert (shown["number"], shown["name"]) == ("0142685300", "Mamie Jeanne")
            invites = [row["text"] for row in box.client.trace(200) if row["text"].startswith("INVITE sip:+33199")]
            assert len(invites) >= 4  # two calls, each asked once for the password
            assert all("sip:anonymous@anonymous.invalid" in text for text in invites)


def test_refusals_carry_their_q850_cause(exchange: TestExchange) -> None:
    with SipProbe(exchange.port, exchange.user, exchange.host) as probe:
        answer = probe.call(f"sip:0199000005@{exchange.server}", exchange.password)
    assert answer.startswith("SIP/2.0 404")
    assert "Reason: Q.850;cause=1" in answer


def test_a_wrong_password_neither_registers_nor_calls(exchange: TestExchange) -> None:
    with SipProbe(exchange.port, exchange.user, exchange.host) as probe:
        assert probe.register("wrong") == 403
        assert probe.call(f"sip:3699@{exchange.server}", "wrong").startswith("SIP/2.0 403")


def test_rubbish_does_not_stop_it(exchange: TestExchange) -> None:
    with SipProbe(exchange.port, exchange.user, exchange.host) as probe:
        for rubbish in (
            b"",
            b"\0" * 3000,
            b"INVITE\r\n\r\n",
            b"REGISTER sip:x SIP/2.0\r\nVia: x\r\n\r\n",
            b"\xff" * 65000,
        ):
            probe.send(rubbish)
        assert probe.register(exchange.password, expires=10) == 200


def test_a_taken_port_is_said_in_one_line(exchange: TestExchange, tmp_path: Path) -> None:
    program = f"import firmware.exchange as e, pathlib; e.main(pathlib.Path({str(tmp_path)!r}), port={exchange.port})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=fetch.CHECKOUT, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"UDP port {exchange.port}" in done.stderr.splitlines()[-1]
    assert "--port" in done.stderr.splitlines()[-1]


def test_it_ends_at_once_when_told_even_in_a_call() -> None:
    with (
        TestExchange() as exchange,
        Baresip(exchange.user, exchange.password, exchange.server) as caller,
    ):
        caller.dial("0199000001")
        caller.wait("CALL_ESTABLISHED")
        started = time.monotonic()
        exchange.stop()
        assert time.monotonic() - started < 3.9  # not by force, which comes after 4 s
        caller.wait("CALL_CLOSED")
