"""The core's socket: what each caller may ask, and how a refusal reads at the other end."""

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from firmware.backoffice import BackOffice
from firmware.config import SettingsFile
from firmware.control import BoxClient
from firmware.control_routes import EVENTS_PATH, MAIL, PAGE, ROUTES, box_socket
from firmware.control_server import ControlServer
from firmware.eventhub import EventHub
from firmware.offline import offline
from firmware.service import BoxUnreachableError, ServiceError

CANARY = "canary-Passw0rd"


class Core:
    """A control server on a loop of its own, as in the core."""

    def __init__(self, data: Path, office: BackOffice) -> None:
        self.hub = EventHub()
        self.ledger = office._ledger
        self._loop = asyncio.new_event_loop()
        self._server = ControlServer(box_socket(data), office, self.hub)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(10)

    def publish(self, kind: str, **data: object) -> None:
        self._loop.call_soon_threadsafe(self.hub.publish, kind, data)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _shut(self) -> None:
        await self._server.stop()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="allobox-") as folder:
        yield Path(folder)


@pytest.fixture
def core(data: Path) -> Iterator[Core]:
    with offline(data) as office:
        running = Core(data, office)
        yield running
        running.stop()


@pytest.fixture
def box(data: Path, core: Core) -> Iterator[BoxClient]:  # noqa: ARG001 - it must run
    client = BoxClient(data)
    yield client
    client.close()


def test_nobody_at_the_socket_is_told_with_the_path_and_what_to_do(data: Path) -> None:
    with pytest.raises(BoxUnreachableError, match=r"run/box\.sock.*allobox run"):
        BoxClient(data).status()


def test_an_account_is_added_changed_and_removed_and_its_password_never_comes_back(box: BoxClient) -> None:
    row = box.add_account({"name": "home", "server": "sip.example.org", "user": "me", "password": CANARY})
    assert row["has_password"]
    assert CANARY not in str(box.accounts()) + str(box.settings()) + box.export_settings() + str(box.status())
    assert box.change_account("home", {"transport": "tls"})["transport"] == "tls"
    box.remove_account("home")
    assert box.accounts() == []


TLS_ACCOUNT = {
    "name": "home",
    "server": "sip.example.org",
    "user": "me",
    "password": CANARY,
    "transport": "tls",
    "proxy": "proxy.example.org",
}
ELSEWHERE = [
    {"server": "thief.example.net"},
    {"proxy": "thief.example.net"},
    {"proxy": ""},
    {"user": "other"},
    {"auth_user": "other"},
    {"transport": "udp"},
    {"verify_tls": False},
    {"server": "thief.example.net", "password": "********"},
    {"server": "thief.example.net", "name": "renamed"},
]


@pytest.mark.parametrize("changes", ELSEWHERE)
def test_a_kept_password_goes_nowhere_else_unless_it_is_given_again(
    box: BoxClient, data: Path, changes: dict[str, object]
) -> None:
    box.add_account(TLS_ACCOUNT)  # type: ignore[arg-type]
    with pytest.raises(ServiceError, match="give its password again") as caught:
        box.change_account("home", changes)
    assert caught.value.where == "password"
    assert CANARY not in caught.value.message
    assert box.accounts()[0]["server"] == "sip.example.org"
    box.change_account("home", changes | {"password": "given-again"})
    assert "given-again" in (data / "settings.toml").read_text()


@pytest.mark.parametrize(
    "changes", [{"name": "maison"}, {"display_name": "Mamie"}, {"enabled": False}, {"codecs": ["PCMU"]}]
)
def test_what_sends_no_password_elsewhere_changes_without_it(
    box: BoxClient, data: Path, changes: dict[str, object]
) -> None:
    box.add_account(TLS_ACCOUNT)  # type: ignore[arg-type]
    box.change_account("home", changes)
    assert CANARY in (data / "settings.toml").read_text()


def test_an_account_without_a_password_moves_freely(box: BoxClient) -> None:
    box.add_account({"name": "home", "server": "sip.example.org", "user": "me"})
    assert box.change_account("home", {"server": "b.example.org"})["server"] == "b.example.org"


def test_an_import_moves_no_kept_password_to_another_server(box: BoxClient, data: Path) -> None:
    box.add_account(TLS_ACCOUNT)  # type: ignore[arg-type]
    moved = box.export_settings().replace('"sip.example.org"', '"thief.example.net"')
    with pytest.raises(ServiceError, match="imported settings: account 'home': give its password again") as caught:
        box.import_settings(moved)
    assert caught.value.where == "password"
    assert "thief" not in (data / "settings.toml").read_text()
    box.import_settings(moved.replace('user = "me"', 'user = "me"\npassword = "new-one"'))
    assert box.accounts()[0]["server"] == "thief.example.net"


def test_a_removed_accounts_password_is_in_no_file_of_the_box(box: BoxClient, data: Path) -> None:
    box.add_account(TLS_ACCOUNT)  # type: ignore[arg-type]
    box.change_setting("box.language", "en")
    box.remove_account("home")
    assert [path for path in data.glob("*.toml*") if CANARY in path.read_text()] == []


def test_a_ca_file_must_hold_a_certificate_when_it_is_set_and_may_vanish_later(
    box: BoxClient, data: Path, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    (tmp_path / "empty.pem").touch()
    (tmp_path / "key.pem").write_bytes(trustme.CA().private_key_pem.bytes())
    for bad, said in (
        (tmp_path / "gone.pem", "is not there"),
        (tmp_path / "empty.pem", "no certificate"),
        (tmp_path / "key.pem", "no certificate"),
        (tmp_path, "is not there, or no file"),
        ("ca.pem", "whole path"),
    ):
        with pytest.raises(ServiceError, match=said):
            box.add_account({"name": "home", "server": "sip.example.org", "user": "me", "ca_file": str(bad)})
        with pytest.raises(ServiceError, match=f"mail.ca_file: .*{said}"):
            box.change_setting("mail.ca_file", str(bad))
    box.change_setting("mail.ca_file", str(authority))
    box.add_account({"name": "home", "server": "sip.example.org", "user": "me", "ca_file": str(authority)})
    authority.unlink()
    box.change_account("home", {"display_name": "Mamie"})
    assert SettingsFile(data / "settings.toml").load().notice == ""


def test_a_password_sent_back_masked_stays_what_it_was(box: BoxClient, data: Path) -> None:
    box.add_account({"name": "home", "server": "sip.example.org", "user": "me", "password": CANARY})
    box.change_account("home", {"password": "********", "display_name": "Mamie"})
    assert CANARY in (data / "settings.toml").read_text()


def test_a_refused_account_names_the_field_and_changes_nothing(box: BoxClient) -> None:
    with pytest.raises(ServiceError) as caught:
        box.add_account({"name": "home", "server": "not a host", "user": "me"})
    assert "server" in caught.value.where
    assert "HOST" in caught.value.message
    assert box.accounts() == []


def test_the_ninth_account_is_refused_before_the_wheel_aborts(box: BoxClient) -> None:
    for index in range(8):
        box.add_account({"name": f"a{index}", "server": "sip.example.org", "user": "me"})
    with pytest.raises(ServiceError, match="8 accounts is the most"):
        box.add_account({"name": "a8", "server": "sip.example.org", "user": "me"})
    assert len(box.accounts()) == 8


@pytest.mark.parametrize("name", ["home/../x", "é nom", "a b", "100%", "?x=1"])
def test_odd_names_travel_through_the_path_unharmed_or_are_refused_in_words(box: BoxClient, name: str) -> None:
    try:
        row = box.add_account({"name": name, "server": "sip.example.org", "user": "me"})
    except ServiceError as error:
        assert "name" in error.where  # noqa: PT017 - either outcome is right, and each is checked
    else:
        assert row["name"] == name
        box.remove_account(name)
        assert box.accounts() == []


def test_settings_survive_an_export_and_import_with_the_accounts_passwords(box: BoxClient, data: Path) -> None:
    box.add_account({"name": "home", "server": "sip.example.org", "user": "me", "password": CANARY})
    box.set_page_credential("$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA")
    exported = box.export_settings()
    box.change_setting("box.language", "en")
    box.import_settings(exported)
    assert box.settings()["box.language"] == "fr"
    assert CANARY in (data / "settings.toml").read_text()
    assert box.page_credential() == "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA"


def test_an_import_that_is_no_settings_file_changes_nothing(box: BoxClient) -> None:
    before = box.settings()
    for text in ("[box", "\x00", "[box]\nlanguage = 'de'", "account = 3"):
        with pytest.raises(ServiceError, match="imported settings"):
            box.import_settings(text)
    assert box.settings() == before


@pytest.mark.usefixtures("core")
def test_the_mail_process_reads_calls_and_may_neither_ring_nor_see_accounts(data: Path) -> None:
    mail = BoxClient(data, MAIL)
    assert mail.calls({"missed": True}) == []
    for refused in (
        mail.accounts,
        lambda: mail.ring_test(1),
        mail.doctor,
        lambda: mail.start_doctor(1),
        mail.stop_doctor,
        mail.page_credential,
        mail.export_settings,
    ):
        with pytest.raises(ServiceError, match="may not") as caught:
            refused()
        assert caught.value.status == 403


def test_the_mail_process_sees_no_account_in_settings_status_or_events(data: Path, box: BoxClient, core: Core) -> None:
    box.add_account({"name": "home", "server": "sip.example.org", "user": "me", "password": CANARY})
    mail = BoxClient(data, MAIL)
    assert {key.partition(".")[0] for key in mail.settings()} == {"box", "mail"}
    assert mail.status()["accounts"] == []
    assert mail.status()["country"] == "FR"
    stream = mail.events("mail", "")
    next(stream)
    core.publish("account", name="home")
    core.publish("call", id=1)
    heard = [next(stream)]
    while heard[-1]["kind"] != "call":
        heard.append(next(stream))
    assert "account" not in [event["kind"] for event in heard]


@pytest.mark.usefixtures("core")
def test_the_pages_many_listeners_leave_room_for_the_mail_worker(data: Path) -> None:
    pages = [BoxClient(data, PAGE) for _ in range(15)]
    streams = [page.events("page", "") for page in pages]
    for stream in streams[:14]:
        next(stream)
    with pytest.raises(ServiceError, match="14 listeners"):
        next(streams[14])
    assert next(BoxClient(data, MAIL).events("mail", ""))["kind"] == "process"


def post(data: Path, verb: str, path: str, body: str) -> tuple[int, dict[str, str]]:
    transport = httpx.HTTPTransport(uds=str(box_socket(data)))
    with httpx.Client(transport=transport, base_url="http://box") as client:
        reply = client.request(verb, path, content=body)
    return reply.status_code, reply.json()


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize(
    ("verb", "path", "body", "where"),
    [
        ("POST", "/v1/accounts", '{"draft": 5}', "draft"),
        ("POST", "/v1/accounts", '{"draft": [["name", "x"]]}', "draft"),
        ("POST", "/v1/accounts", '{"draft": null}', "draft"),
        ("PATCH", "/v1/accounts/home", '{"changes": "x"}', "changes"),
        ("PUT", "/v1/settings/box.name", '{"value": 5}', "value"),
        ("PUT", "/v1/settings/box.name", '{"value": "\\ud800"}', ""),
        ("PUT", "/v1/settings-file", '{"text": {}}', "text"),
        ("PUT", "/v1/page/credential", '{"credential": true}', "credential"),
        ("POST", "/v1/page/setup-code", '{"code": 123456}', "code"),
        ("POST", "/v1/decks", '{"file": "x", "name": "x", "account": 3}', "account"),
        ("POST", "/v1/decks", '{"file": ["x"], "name": "x"}', "file"),
        ("POST", "/v1/accounts", "[" * 100_000, ""),
    ],
)
def test_a_body_of_the_wrong_kind_is_refused_and_names_the_key(
    data: Path, verb: str, path: str, body: str, where: str
) -> None:
    status, told = post(data, verb, path, body)
    assert (status, told["where"]) == (400, where), told


def test_slow_questions_keep_nobody_from_logging_in(data: Path, core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    begun = threading.Semaphore(0)

    def slow(*_: object, **__: object) -> list[object]:
        begun.release()
        go_on.wait(30)
        return []

    monkeypatch.setattr(core.ledger, "query", slow)
    monkeypatch.setattr(core.ledger, "count", slow)
    threads = [threading.Thread(target=lambda: BoxClient(data).calls({})) for _ in range(4)]
    threads += [threading.Thread(target=lambda: BoxClient(data).status()) for _ in range(1)]
    for thread in threads:
        thread.start()
    for _ in range(3):  # both slow workers, and the status that counts
        assert begun.acquire(timeout=10)
    box = BoxClient(data)
    assert box.page_credential() is None
    assert box.status()["calls_today"] == 0
    assert box.settings()["box.language"] == "fr"
    go_on.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.usefixtures("core")
def test_the_page_may_not_export_the_settings(data: Path) -> None:
    with pytest.raises(ServiceError, match="may not"):
        BoxClient(data, PAGE).export_settings()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": 201}, "between 1 and 200"),
        ({"limit": 0}, "between 1 and 200"),
        ({"direction": "up"}, "direction"),
        ({"since": "soon"}, "since"),
    ],
)
def test_a_question_about_calls_that_makes_no_sense_is_refused(
    box: BoxClient, query: dict[str, object], said: str
) -> None:
    with pytest.raises(ServiceError, match=said):
        box.calls(query)  # type: ignore[arg-type]


def test_wrong_setup_codes_make_a_new_one_after_five_tries(box: BoxClient) -> None:
    assert not any(box.check_setup_code("0") for _ in range(12))


def test_events_arrive_while_the_listener_shows_as_up(box: BoxClient, core: Core) -> None:
    stream = box.events("page", "http://127.0.0.1:8080/")
    heard = []
    ready = threading.Event()

    def listen() -> None:
        for event in stream:
            heard.append(event)
            ready.set()
            if event["kind"] == "line":
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    for _ in range(100):
        if core.hub.listening("page")[0] == "up":
            break
        threading.Event().wait(0.05)
    assert core.hub.listening("page") == ("up", "http://127.0.0.1:8080/")
    core.publish("line", state="ringing")
    listener.join(10)
    assert heard[-1] == {"kind": "line", "data": {"state": "ringing"}}


def test_offline_the_same_interface_serves_the_files_and_a_second_one_is_locked_out(data: Path) -> None:
    with offline(data) as office:
        office.add_account({"name": "home", "server": "sip.example.org", "user": "me"})
        with pytest.raises(ServiceError, match="starting or stopping"), offline(data):
            pass
    with offline(data) as office:
        assert [row["name"] for row in office.accounts()] == ["home"]
        with pytest.raises(ServiceError, match="not running"):
            office.ring_test(1)


def test_the_openapi_file_tells_every_route_and_no_other() -> None:
    told = json.loads((Path(__file__).parent.parent / "firmware" / "box-api.json").read_text())["paths"]
    documented = {(verb.upper(), path, told[path][verb]["operationId"]) for path in told for verb in told[path]}
    served = {(route.verb, route.path, route.operation) for route in ROUTES} | {("GET", EVENTS_PATH, "events")}
    assert documented == served
