"""What may come in before Flask looks: over a real socket, because waitress is the thing under test."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from firmware.webui import door
from firmware.webui.security import MAX_FORM_BYTES, MAX_UPLOAD_BYTES
from tests.fakes.box_service import FakeBox, FakeMail
from tests.fakes.page_client import CREDENTIAL, PASSWORD
from tests.fakes.page_server import Served, served

_MB = 1 << 20
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Served]:
    box = FakeBox(credential=CREDENTIAL, decks_folder=tmp_path / "decks")
    with served(box, FakeMail(), tmp_path) as running:
        yield running


def dial(house: Served) -> socket.socket:
    place = urlsplit(house.url)
    return socket.create_connection((place.hostname or "", place.port or 0), timeout=20)


def head(path: str, length: object, *, cookie: str = "", host: str = "127.0.0.1", more: str = "") -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {length}", "Content-Type: text/csv"]
    lines += [f"Cookie: {cookie}"] if cookie else []
    return "\r\n".join([*lines, *([more] if more else []), "", ""]).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


class Browser:
    """Keeps cookies, over a real connection."""

    def __init__(self, house: Served) -> None:
        self._place = urlsplit(house.url).netloc
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        connection = HTTPConnection(self._place, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Cookie": self.cookie, "Accept": "text/html", **named})
        answer = connection.getresponse()
        text = answer.read().decode()
        for name, value in answer.getheaders():
            if name == "Set-Cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.split(";")[0]
        connection.close()
        return answer.status, text

    @property
    def cookie(self) -> str:
        return "; ".join(f"{key}={value}" for key, value in self.cookies.items())

    def token(self, path: str) -> str:
        found = _TOKEN.search(self.ask("GET", path)[1])
        assert found is not None
        return found[1]

    def log_in(self) -> None:
        form = urlencode({"csrf_token": self.token("/login"), "password": PASSWORD}).encode()
        code, _ = self.ask("POST", "/login", form, Content_Type="application/x-www-form-urlencoded")
        assert code == 302

    def upload(self, size: int) -> tuple[int, str]:
        edge = "0f1e2d"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{self.token("/rates/")}\r\n',
            f'--{edge}\r\nContent-Disposition: form-data; name="currency"\r\n\r\nEUR\r\n',
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="r.csv"\r\n\r\n',
        ]
        rows = b"prefix,destination,rate_per_minute\n33,France,0.02\n"
        body = "".join(parts).encode() + rows + b"#" * (size - len(rows)) + f"\r\n--{edge}--\r\n".encode()
        return self.ask("POST", "/rates/upload", body, Content_Type=f"multipart/form-data; boundary={edge}")


def test_strangers_bodies_are_refused_before_they_are_sent_and_the_login_still_works(house: Served) -> None:
    for host in ("evil.example", "127.0.0.1", "allobox.local"):
        with dial(house) as line:
            line.sendall(head("/login", 60 * _MB, host=host))
            assert status(line.recv(4096)) == 413  # not a byte of the body was sent
    browser = Browser(house)
    browser.log_in()
    assert browser.ask("GET", "/")[0] == 200


def test_a_session_cookie_that_was_not_opened_here_is_a_strangers(house: Served) -> None:
    browser = Browser(house)
    browser.token("/login")  # signed by the page, but only for the form's token
    assert "allobox_session" in browser.cookies
    for cookie in (browser.cookie, "allobox_session=eyJ0b2tlbiI6IngifQ.aaaa.bbbb", "allobox_session=", "=;;[,"):
        with dial(house) as line:
            line.sendall(head("/rates/upload", 2 * _MB, cookie=cookie))
            assert status(line.recv(4096)) == 413, cookie


def test_a_session_may_send_a_form_and_only_to_the_upload_a_file(house: Served) -> None:
    browser = Browser(house)
    browser.log_in()
    code, text = browser.upload(MAX_FORM_BYTES + _MB)
    assert code == 302, text
    code, text = browser.upload(MAX_UPLOAD_BYTES + _MB)
    assert code == 413
    assert "allobox rates import" in text
    form = b"name=" + b"x" * (2 * MAX_FORM_BYTES)
    assert browser.ask("POST", "/accounts/add", form, Content_Type="application/x-www-form-urlencoded")[0] == 413
    with dial(house) as line:
        line.sendall(head("/rates/upload", door.MAX_HEEDED_BYTES + 1, cookie=browser.cookie))
        assert status(line.recv(4096)) == 413


def test_a_closed_session_is_a_strangers(house: Served) -> None:
    browser = Browser(house)
    browser.log_in()
    kept = browser.cookie
    form = urlencode({"csrf_token": browser.token("/password")}).encode()
    assert browser.ask("POST", "/logout", form, Content_Type="application/x-www-form-urlencoded")[0] == 302
    with dial(house) as line:
        line.sendall(head("/rates/upload", 2 * _MB, cookie=kept))
        assert status(line.recv(4096)) == 413


def test_a_body_of_unknown_length_is_refused(house: Served) -> None:
    with dial(house) as line:
        line.sendall(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert status(line.recv(4096)) == 411


def test_who_asks_whether_to_send_too_much_is_told_no(house: Served) -> None:
    with dial(house) as line:
        line.sendall(head("/login", 60 * _MB, more="Expect: 100-continue"))
        assert status(line.recv(4096)) == 413


def test_a_head_without_end_is_refused(house: Served) -> None:
    with dial(house) as line:
        line.sendall(b"GET / HTTP/1.1\r\n" + b"X-Y: z\r\n" * (door.MAX_HEAD_BYTES // 8 + 1))
        assert status(line.recv(4096)) == 431


def test_a_hundred_connections_held_open_shut_nobody_out(house: Served) -> None:
    held = []
    try:
        for number in range(door.HARD_LIMIT + 40):
            line = dial(house)
            # Every other one has begun a request and goes no further.
            line.sendall(b"POST /login HTTP/1.1\r\nHost:" if number % 2 else b"")
            held.append(line)
        started = time.monotonic()
        assert Browser(house).ask("GET", "/login")[0] == 200
        assert time.monotonic() - started < 15  # not as long as the connections are let live
    finally:
        for line in held:
            line.close()
