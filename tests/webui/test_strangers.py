"""What a stranger can make the page show: names from SIP, reasons of servers, log lines. Never as markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from flask import Flask

from firmware.webui import context
from tests.fakes.box_service import FakeBox, FakeMail, line_row, missed_row
from tests.fakes.page_client import Owner

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><b>",
    "javascript:alert(1)",
    "</title><script>",
    "{{7*7}}",
    "{% raw %}",
    "%(name)s",
    "%s%d%n",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "<iframe srcdoc='x'>",
    "\u202ereversed",
    "\u2066isolate\u2069",
    "a\x00b",
    "\x1b[31mred",
    "line\r\nSet-Cookie: x=1",
    "\ud83d",
    "\u2028para",
    "<a href=//evil.example>",
    "<form action=//evil.example>",
    "<base href=//evil>",
    "<meta http-equiv=refresh>",
    "x" * 5000,
    "<style>*{display:none}</style>",
    "data: x\n\nevent: line",
    "\N{ZERO WIDTH JOINER}" * 200,
    "<math><mtext></p><img src>",
]


class _Tags(HTMLParser):
    """Counts what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))


def shape(html: str) -> list[tuple[str, tuple[str, ...]]]:
    parser = _Tags()
    parser.feed(html)
    return parser.tags


def infest(box: FakeBox, mail: FakeMail, text: str) -> None:
    """Put `text` wherever somebody else has a say."""
    clean = text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    box.rows = [missed_row(1, name=clean, number=clean, destination=clean, end="busy", account=clean, dialled=clean)]
    box.lines = [line_row(ringing=True, state="ringing", number=clean)]
    box.kept.clear()
    box.add_account({"name": "OVH", "server": "sip.example.org", "user": "u"})
    box.kept["OVH"].update({"reason": clean, "sip_code": 403, "user": clean, "number": clean})
    box.log_rows = [{"at": "2026-11-23T10:00:00+00:00", "level": "INFO", "where": clean, "message": clean}]
    box.trace_rows = [
        {
            "at": "2026-11-23T10:00:00+00:00",
            "outgoing": False,
            "peer": clean,
            "summary": clean,
            "call_id": clean,
            "text": clean,
        }
    ]
    mail.linked = {"address": "a@laposte.net", "password": "x", "phrase": clean}
    mail.last_error = clean


PAGES = ["/", "/calls/", "/accounts/", "/accounts/OVH", "/telephone/", "/mail/", "/log/", "/log/trace", "/rates/"]


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_strangers_text_is_text_on_every_page(owner: Owner, box: FakeBox, mail: FakeMail, payload: str) -> None:
    infest(box, mail, "harmless")
    before = {path: shape(owner.get(path).text) for path in PAGES}
    infest(box, mail, payload)
    for path in PAGES:
        response = owner.get(path)
        assert response.status_code == 200, path
        assert shape(response.text) == before[path], path
        assert not any(bad in response.text for bad in "\u202e\u2066\x00\x1b\u2028"), path
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_strangers_text_cannot_forge_an_event_of_the_stream(
    app: Flask, owner: Owner, box: FakeBox, mail: FakeMail, payload: str
) -> None:
    infest(box, mail, payload)
    with app.app_context():
        live = context.page().live
        live.refresh(calls=True)
    response = owner.http.get("/events")
    chunks = response.iter_encoded()
    received = b"".join(next(chunks) for _ in range(4)).decode("utf-8", "replace")
    response.close()
    events = [line for line in received.splitlines() if line.startswith("event:")]
    assert events == ["event: line", "event: accounts", "event: calls"]
    assert all(line.startswith(("event: ", "data: ", "retry: ")) for line in received.splitlines() if line)
    assert "<script" not in received


def test_what_is_typed_comes_back_as_text(owner: Owner) -> None:
    for payload in PAYLOADS:
        if "\ud83d" in payload:
            continue
        typed = dict.fromkeys(("name", "server", "user", "number", "transport", "auth_user", "display_name"), payload)
        response = owner.post("/accounts/add", typed)
        assert response.status_code == 422
        assert "<script>" not in response.text
        assert "onerror=alert(1)>" not in response.text.replace("&gt;", "")
        found = owner.http.get("/calls/", query_string={"search": payload, "since": payload})
        assert found.status_code == 200
        assert "<script>" not in found.text
