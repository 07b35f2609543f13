"""BoxService and MailService over Unix sockets: the clients, and the table both ends share.

JSON over HTTP, so that `curl --unix-socket DIR/run/box.sock http://box/v1/status` over SSH works
too; `box-api.json` describes it (OpenAPI). The core's server end is `control_server`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx

from firmware.service import (
    AccountDraft,
    AccountRow,
    BoxEvent,
    BoxService,
    BoxUnreachableError,
    CallQuery,
    CallRow,
    DeckRow,
    LogRow,
    MailLink,
    MailServer,
    MailService,
    MailStatus,
    PriceAnswer,
    ServiceError,
    Status,
    TraceRow,
)

OWNER = "owner"
PAGE = "page"
MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `takes` is query, body or nothing; path parameters are the `{names}`."""

    verb: str
    path: str
    operation: str
    roles: frozenset[str]
    takes: str = ""


_ALL = frozenset({OWNER, PAGE, MAIL})
_HOUSE = frozenset({OWNER, PAGE})

# Who may ask what. The mail process parses hostile bytes: it reads missed calls and the
# language, and can neither dial, ring, nor read an account.
ROUTES = (
    Route("GET", "/v1/status", "status", _ALL),
    Route("GET", "/v1/calls", "calls", _ALL, "query"),
    Route("GET", "/v1/accounts", "accounts", _HOUSE),
    Route("POST", "/v1/accounts", "add_account", _HOUSE, "body"),
    Route("PATCH", "/v1/accounts/{name}", "change_account", _HOUSE, "body"),
    Route("DELETE", "/v1/accounts/{name}", "remove_account", _HOUSE),
    Route("POST", "/v1/accounts/{name}/test", "test_account", _HOUSE),
    Route("GET", "/v1/settings", "settings", _ALL),
    Route("PUT", "/v1/settings/{key}", "change_setting", _HOUSE, "body"),
    Route("GET", "/v1/settings-file", "export_settings", frozenset({OWNER})),
    Route("PUT", "/v1/settings-file", "import_settings", frozenset({OWNER}), "body"),
    Route("GET", "/v1/price", "price", _HOUSE, "query"),
    Route("GET", "/v1/decks", "decks", _HOUSE),
    Route("POST", "/v1/decks", "activate_deck", _HOUSE, "body"),
    Route("DELETE", "/v1/decks/{name}", "remove_deck", _HOUSE),
    Route("POST", "/v1/lines/{line}/ring-test", "ring_test", _HOUSE),
    Route("GET", "/v1/trace", "trace", _HOUSE, "query"),
    Route("GET", "/v1/logs", "logs", _HOUSE, "query"),
    Route("GET", "/v1/page/credential", "page_credential", _HOUSE),
    Route("PUT", "/v1/page/credential", "set_page_credential", _HOUSE, "body"),
    Route("POST", "/v1/page/setup-code", "check_setup_code", _HOUSE, "body"),
)
EVENTS_PATH = "/v1/events"
ROLE_HEADER = "X-Allobox-Role"
_BY_OPERATION = {route.operation: route for route in ROUTES}
MAX_BODY_BYTES = 1 << 20


def box_socket(data: Path) -> Path:
    """Where the core listens."""
    return data / "run" / "box.sock"


def mail_socket(data: Path) -> Path:
    """Where the mail worker listens."""
    return data / "run" / "mail.sock"


class _SocketClient:
    """JSON over HTTP on one Unix socket; errors become ServiceError."""

    def __init__(self, path: Path, what: str, role: str) -> None:
        self._path = path
        self._what = what
        self._role = role
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path), verify=False),  # a Unix socket has no TLS
            base_url="http://box",
            timeout=httpx.Timeout(15.0, connect=2.0),
            headers={ROLE_HEADER: role},
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def unreachable(self, error: Exception) -> BoxUnreachableError:
        return BoxUnreachableError(
            f"{self._what} does not answer at {self._path} ({error}); is `allobox run` running with this --data?"
        )

    def call(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        timeout: float = 15.0,
    ) -> Any:
        params = None if query is None else {key: str(value) for key, value in query.items() if value is not None}
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            reply = self._http.request(verb, path, params=params, content=content, headers=headers, timeout=timeout)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error
        return self._result(reply)

    def _result(self, reply: httpx.Response) -> Any:
        try:
            answer = reply.json() if reply.content else None
        except ValueError as error:
            raise ServiceError(f"{self._what} answered {reply.status_code} without JSON", status=502) from error
        if reply.is_success:
            return answer
        told = answer if isinstance(answer, dict) else {}
        message = str(told.get("error") or f"{self._what} answered {reply.status_code}")
        raise ServiceError(message, status=reply.status_code, where=str(told.get("where") or ""))

    def stream(self, path: str, query: Mapping[str, str]) -> Iterator[BoxEvent]:
        """Server-sent events; the server sends a comment at least every 10 s."""
        try:
            with self._http.stream("GET", path, params=dict(query), timeout=httpx.Timeout(30.0, connect=2.0)) as reply:
                if not reply.is_success:
                    reply.read()
                    self._result(reply)
                for line in reply.iter_lines():
                    if line.startswith("data:"):
                        yield cast("BoxEvent", json.loads(line[5:]))
        except httpx.TransportError as error:
            raise self.unreachable(error) from error


class BoxClient(BoxService):
    """The core, from another process."""

    def __init__(self, data: Path, role: str = OWNER) -> None:
        self._socket = _SocketClient(box_socket(data), "the box", role)
        self._data = data
        self._role = role

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def answers(self) -> bool:
        """Whether a core listens: a socket file may outlive a killed one."""
        try:
            self.status()
        except BoxUnreachableError:
            return False
        return True

    def _do(
        self,
        operation: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        timeout: float = 15.0,
        **path: object,
    ) -> Any:
        route = _BY_OPERATION[operation]
        where = route.path.format(**{key: quote(str(value), safe="") for key, value in path.items()})
        return self._socket.call(route.verb, where, query=query, body=body, timeout=timeout)

    def status(self) -> Status:
        """See BoxService."""
        return cast("Status", self._do("status"))

    def calls(self, query: CallQuery) -> list[CallRow]:
        """See BoxService."""
        return cast("list[CallRow]", self._do("calls", query=query))

    def accounts(self) -> list[AccountRow]:
        """See BoxService."""
        return cast("list[AccountRow]", self._do("accounts"))

    def add_account(self, draft: AccountDraft) -> AccountRow:
        """See BoxService."""
        return cast("AccountRow", self._do("add_account", body={"draft": draft}))

    def change_account(self, name: str, changes: Mapping[str, object]) -> AccountRow:
        """See BoxService."""
        return cast("AccountRow", self._do("change_account", name=name, body={"changes": dict(changes)}))

    def remove_account(self, name: str) -> None:
        """See BoxService."""
        self._do("remove_account", name=name)

    def test_account(self, name: str) -> AccountRow:
        """See BoxService."""
        return cast("AccountRow", self._do("test_account", name=name))

    def settings(self) -> dict[str, object]:
        """See BoxService."""
        return cast("dict[str, object]", self._do("settings"))

    def change_setting(self, key: str, value: str) -> None:
        """See BoxService."""
        self._do("change_setting", key=key, body={"value": value})

    def export_settings(self) -> str:
        """See BoxService."""
        return cast("str", self._do("export_settings"))

    def import_settings(self, text: str) -> None:
        """See BoxService."""
        self._do("import_settings", body={"text": text})

    def price(self, number: str, seconds: int, at: str | None) -> PriceAnswer:
        """See BoxService."""
        return cast("PriceAnswer", self._do("price", query={"number": number, "seconds": seconds, "at": at}))

    def decks(self) -> list[DeckRow]:
        """See BoxService."""
        return cast("list[DeckRow]", self._do("decks"))

    def activate_deck(self, file: str, name: str, account: str | None) -> DeckRow:
        """See BoxService."""
        return cast("DeckRow", self._do("activate_deck", body={"file": file, "name": name, "account": account}))

    def remove_deck(self, name: str) -> None:
        """See BoxService."""
        self._do("remove_deck", name=name)

    def ring_test(self, line: int) -> None:
        """See BoxService."""
        self._do("ring_test", line=line)

    def trace(self, limit: int) -> list[TraceRow]:
        """See BoxService."""
        return cast("list[TraceRow]", self._do("trace", query={"limit": limit}))

    def logs(self, limit: int) -> list[LogRow]:
        """See BoxService."""
        return cast("list[LogRow]", self._do("logs", query={"limit": limit}))

    def page_credential(self) -> str | None:
        """See BoxService."""
        return cast("str | None", self._do("page_credential"))

    def set_page_credential(self, credential: str) -> None:
        """See BoxService."""
        self._do("set_page_credential", body={"credential": credential})

    def check_setup_code(self, code: str) -> bool:
        """See BoxService."""
        return cast("bool", self._do("check_setup_code", body={"code": code}))

    def events(self, role: str, detail: str) -> Iterator[BoxEvent]:
        """See BoxService. A connection of its own: a stream never holds up a question."""
        socket = _SocketClient(box_socket(self._data), "the box", self._role)
        try:
            yield from socket.stream(EVENTS_PATH, {"role": role, "detail": detail})
        finally:
            socket.close()


class MailClient(MailService):
    """The mail worker, from the page."""

    def __init__(self, data: Path) -> None:
        self._socket = _SocketClient(mail_socket(data), "the mail worker", PAGE)

    def mail_status(self) -> MailStatus:
        """See MailService."""
        return cast("MailStatus", self._socket.call("GET", "/v1/mail"))

    def mail_presets(self, address: str) -> dict[str, MailServer] | None:
        """See MailService."""
        return cast(
            "dict[str, MailServer] | None", self._socket.call("GET", "/v1/mail/presets", query={"address": address})
        )

    def mail_link(self, link: MailLink) -> MailStatus:
        """See MailService. Two logins over a slow server take their time."""
        return cast("MailStatus", self._socket.call("POST", "/v1/mail/link", body=link, timeout=60.0))

    def mail_unlink(self) -> None:
        """See MailService."""
        self._socket.call("POST", "/v1/mail/unlink")

    def mail_test(self) -> MailStatus:
        """See MailService."""
        return cast("MailStatus", self._socket.call("POST", "/v1/mail/test", timeout=60.0))


def box_client(data: Path, role: str = OWNER) -> BoxClient:
    """A client of the core that keeps its state in `data`; connects at the first question."""
    return BoxClient(data, role)


def mail_client(data: Path) -> MailClient:
    """A client of the mail worker."""
    return MailClient(data)
