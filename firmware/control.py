"""BoxService and MailService over Unix sockets: the clients. The table is `control_routes`.

JSON over HTTP, so that `curl --unix-socket DIR/run/box.sock http://box/v1/status` over SSH works
too; `box-api.json` describes it (OpenAPI). The core's server end is `control_server`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx

from firmware.control_routes import BY_OPERATION, EVENTS_PATH, OWNER, PAGE, ROLE_HEADER, box_socket, mail_socket
from firmware.service import (
    AccountDraft,
    AccountRow,
    AlertRow,
    BoxEvent,
    BoxService,
    BoxUnreachableError,
    BudgetRow,
    CallQuery,
    CallRow,
    DeckRow,
    DoctorRow,
    LogRow,
    MailLink,
    MailServer,
    MailService,
    MailStatus,
    PlanRow,
    PriceAnswer,
    ServiceError,
    Status,
    TraceRow,
)


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
        route = BY_OPERATION[operation]
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

    def plans(self) -> list[PlanRow]:
        """See BoxService."""
        return cast("list[PlanRow]", self._do("plans"))

    def set_plan(self, file: str, account: str | None) -> PlanRow:
        """See BoxService."""
        return cast("PlanRow", self._do("set_plan", body={"file": file, "account": account}))

    def remove_plan(self, account: str | None) -> None:
        """See BoxService."""
        self._do("remove_plan", query={"account": account})

    def budgets(self) -> BudgetRow:
        """See BoxService."""
        return cast("BudgetRow", self._do("budgets"))

    def set_pin(self, label: str, pin: str | None, classes: list[str], numbers: list[str]) -> BudgetRow:
        """See BoxService. The hash takes its time."""
        body = {"pin": pin, "classes": classes, "numbers": numbers}
        return cast("BudgetRow", self._do("set_pin", label=label, body=body, timeout=40.0))

    def remove_pin(self, label: str) -> None:
        """See BoxService."""
        self._do("remove_pin", label=label)

    def alerts(self, after: int, limit: int) -> list[AlertRow]:
        """See BoxService."""
        return cast("list[AlertRow]", self._do("alerts", query={"after": after, "limit": limit}))

    def ring_test(self, line: int) -> None:
        """See BoxService."""
        self._do("ring_test", line=line)

    def doctor(self) -> DoctorRow:
        """See BoxService."""
        return cast("DoctorRow", self._do("doctor"))

    def start_doctor(self, line: int) -> DoctorRow:
        """See BoxService."""
        return cast("DoctorRow", self._do("start_doctor", line=line))

    def stop_doctor(self) -> None:
        """See BoxService."""
        self._do("stop_doctor")

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
