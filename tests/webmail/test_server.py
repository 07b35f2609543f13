"""The worker's socket, over HTTP as the page's client speaks it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from firmware.control import mail_client
from firmware.control_routes import mail_socket
from firmware.service import MailLink, MailServer, MailService, MailStatus, ServiceError
from firmware.webmail.server import MAX_BODY_BYTES, MailSocket, SocketTakenError, may_call

STATUS: MailStatus = {
    "linked": False, "address": None, "imap": None, "smtp": None, "language": "fr", "phrase": "",
    "queued": 0, "sent": 0, "last_error": None, "last_sent": None,
}  # fmt: skip


class Desk(MailService):
    def __init__(self) -> None:
        self.asked: list[object] = []

    def mail_status(self) -> MailStatus:
        return STATUS

    def mail_presets(self, address: str) -> dict[str, MailServer] | None:
        self.asked.append(address)
        return None

    def mail_link(self, link: MailLink) -> MailStatus:
        self.asked.append(link)
        raise ServiceError("535 non", status=422, where="password")

    def mail_unlink(self) -> None:
        self.asked.append("unlink")

    def mail_test(self) -> MailStatus:
        raise RuntimeError("a fault of ours")


class Serving:
    """A MailSocket in a loop of its own."""

    def __init__(self, data: Path, desk: Desk) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.allowed = True
        self.socket = MailSocket(mail_socket(data), desk, lambda _uid: self.allowed)

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self.socket.start(), self.loop).result(10)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.socket.stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="mail-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def serving(data: Path, desk: Desk) -> Iterator[Serving]:
    serving = Serving(data, desk)
    serving.start()
    yield serving
    serving.close()


@pytest.fixture
def http(data: Path, serving: Serving) -> Iterator[httpx.Client]:
    assert serving.thread.is_alive()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(mail_socket(data))), base_url="http://mail") as client:
        yield client


@pytest.mark.usefixtures("serving")
def test_the_pages_client_is_understood(data: Path, desk: Desk) -> None:
    client = mail_client(data)
    assert client.mail_status() == STATUS
    assert client.mail_presets("jeanne+box@free.fr") is None
    client.mail_unlink()
    link: MailLink = {"address": "jeanne@free.fr", "password": "secret"}
    with pytest.raises(ServiceError) as caught:
        client.mail_link(link)
    assert (caught.value.message, caught.value.status, caught.value.where) == ("535 non", 422, "password")
    assert desk.asked == ["jeanne+box@free.fr", "unlink", link]


@pytest.mark.usefixtures("serving")
def test_the_socket_is_open_to_owner_and_group_only(data: Path) -> None:
    assert stat.S_IMODE(mail_socket(data).stat().st_mode) == 0o660


def test_a_stranger_is_refused(http: httpx.Client, serving: Serving, desk: Desk) -> None:
    serving.allowed = False
    for verb, path in (("GET", "/v1/mail"), ("POST", "/v1/mail/unlink"), ("GET", "/v1/nothing")):
        assert http.request(verb, path).status_code == 403
    assert desk.asked == []


def test_who_may_call() -> None:
    assert may_call(os.geteuid())
    assert may_call(0)
    assert not may_call(None)
    assert not may_call(65534)
    assert not may_call(4_000_000)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 10_000, b"\xff\xfe", b'{"password": "s3cret"'])
def test_a_body_that_is_no_json_is_refused_without_being_repeated(
    http: httpx.Client, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    with caplog.at_level(logging.DEBUG):
        reply = http.post("/v1/mail/link", content=body)
    assert reply.status_code == 400
    assert reply.json()["error"]
    assert "s3cret" not in reply.text + caplog.text


def test_a_body_too_large_an_unknown_route_and_a_wrong_verb_are_json_errors(http: httpx.Client) -> None:
    assert http.post("/v1/mail/link", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    assert http.get("/v1/mail/secrets").json()["error"].endswith("Not Found")
    assert http.get("/v1/mail/link").status_code == 405


def test_the_password_is_not_logged(http: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        http.post("/v1/mail/link", json={"address": "j@free.fr", "password": "s3cret"})
    assert "s3cret" not in caplog.text


def test_a_fault_of_ours_is_told_without_its_entrails(http: httpx.Client) -> None:
    reply = http.post("/v1/mail/test")
    assert reply.status_code == 500
    assert "fault of ours" not in reply.text


@pytest.mark.usefixtures("serving")
def test_a_second_worker_on_the_same_data_is_refused_and_the_first_goes_on(data: Path, desk: Desk) -> None:
    second = Serving(data, desk)
    with pytest.raises(SocketTakenError, match="another mail worker"):
        second.start()
    second.loop.call_soon_threadsafe(second.loop.stop)
    assert mail_client(data).mail_status() == STATUS


def test_a_path_too_long_for_a_socket_says_what_to_do(tmp_path: Path, desk: Desk) -> None:
    serving = Serving(tmp_path / ("x" * 120), desk)
    with pytest.raises(OSError, match="shorter --data"):
        serving.start()
    serving.close()


def test_a_socket_left_by_a_killed_worker_is_taken_over(data: Path, desk: Desk) -> None:
    import socket  # noqa: PLC0415 - only here

    (data / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(mail_socket(data)))
    serving = Serving(data, desk)
    serving.start()
    assert mail_client(data).mail_status() == STATUS
    serving.close()
    assert not mail_socket(data).exists()
