"""The SIP agent over TCP and TLS: who is trusted is decided before a word of SIP is spoken."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from firmware.telephony.agent import SipAccount, Transport
from firmware.telephony.sip import reasons
from tests.fakes.agent_process import AgentProcess
from tests.fakes.sip_stream_peer import StreamRegistrar


@pytest.fixture(scope="module")
def box(shared: AgentProcess) -> AgentProcess:
    return shared


@pytest.fixture(scope="module")
def ours() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def registrar(ours: trustme.CA) -> Iterator[StreamRegistrar]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(context)
    server = StreamRegistrar(context)
    yield server
    server.close()


@pytest.fixture
def ca_file(ours: trustme.CA, tmp_path: Path) -> str:
    ours.cert_pem.write_to_path(str(tmp_path / "ours.pem"))
    return str(tmp_path / "ours.pem")


def account(port: int, host: str = "localhost", **changes: object) -> SipAccount:
    fields: dict[str, object] = {"name": "home", "server": f"{host}:{port}", "user": "bob", "password": "secret"}
    return SipAccount(**{**fields, "transport": Transport.TLS, **changes})  # type: ignore[arg-type]


def outcome(box: AgentProcess, wanted: SipAccount) -> dict[str, object]:
    """The first registration event that is not just `registering`."""
    box.accounts()
    time.sleep(0.2)
    box.drain()
    box.accounts(wanted)
    while (event := box.expect("RegistrationChanged", timeout=20))["reason"] == reasons.REGISTERING:
        pass
    return event


def test_over_tcp_an_account_registers(box: AgentProcess) -> None:
    registrar = StreamRegistrar()
    assert outcome(box, account(registrar.port, transport=Transport.TCP))["registered"] is True
    assert ";transport=tcp" in registrar.registrations[0].first("contact").lower()
    registrar.close()


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_nobody_can_connect_in(box: AgentProcess, ours: trustme.CA, transport: Transport) -> None:
    """The stack holds some sixty sockets: idle connections from anybody would end every call over a stream."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(context)
    registrar = StreamRegistrar(context if transport is Transport.TLS else None)
    assert outcome(box, account(registrar.port, transport=transport, verify_tls=False))["registered"] is True
    assert _listening(box.pid) == []
    before = _cpu_seconds(box.pid)
    time.sleep(1.0)
    assert _cpu_seconds(box.pid) - before < 0.5, "the stack spins on its listener"
    registrar.close()


def _listening(pid: int) -> list[str]:
    """The process's TCP sockets that listen, as /proc/net/tcp shows them (proc(5): state 0A)."""
    mine = {str(f.readlink()) for f in Path(f"/proc/{pid}/fd").iterdir() if f.is_symlink()}
    rows = [r.split() for n in ("tcp", "tcp6") for r in Path(f"/proc/{pid}/net/{n}").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_server_of_the_accounts_own_authority_is_trusted(
    box: AgentProcess, registrar: StreamRegistrar, ca_file: str
) -> None:
    assert outcome(box, account(registrar.port, ca_file=ca_file))["registered"] is True


def test_a_server_of_an_unknown_authority_hears_no_register(
    box: AgentProcess, registrar: StreamRegistrar, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    event = outcome(box, account(registrar.port, user="ann", ca_file=str(tmp_path / "other.pem")))
    assert (event["registered"], event["reason"]) == (False, reasons.TLS_UNTRUSTED)
    assert not [r for r in registrar.registrations if "ann" in r.first("from")]


def test_a_server_of_another_name_hears_no_register(
    box: AgentProcess, registrar: StreamRegistrar, ca_file: str
) -> None:
    event = outcome(box, account(registrar.port, host="127.0.0.1", user="ida", ca_file=ca_file))
    assert (event["registered"], event["reason"]) == (False, reasons.TLS_UNTRUSTED)
    assert not [r for r in registrar.registrations if "ida" in r.first("from")]


def test_without_verification_any_certificate_will_do(box: AgentProcess, registrar: StreamRegistrar) -> None:
    assert outcome(box, account(registrar.port, verify_tls=False))["registered"] is True


def test_a_port_in_use_is_told_with_what_to_do_and_calls_fail_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        agent = AgentProcess(port=port)
        try:
            detail = str(agent.expect("AgentFailed")["detail"])
            assert f"stop what uses UDP port {port}" in detail
            agent.call("invite", 1, "home", "15", emergency=True)
            assert agent.expect("CallDisconnected", call=1)["sip_code"] == 503
        finally:
            agent.kill()
