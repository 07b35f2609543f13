"""What `allobox run` sets up: the children, and on a simulated first start an account and prices.

The supervisor watches; the core owns the data; here is only the order of a first morning.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click

from firmware.cli_common import fail
from firmware.config import SettingsFile
from firmware.control import BoxClient
from firmware.service import ServiceError
from firmware.supervisor import AlreadyRunningError, Child, Supervisor

_START_SECONDS = 30.0
_MAX_SOCKET_PATH = 100


def _wait(what: str, ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.1)
    click.echo(f"allobox: {what} did not come up within {_START_SECONDS:.0f} s; see the logs", err=True)
    return False


def _probe(address: tuple[str, int], option: str, kind: socket.SocketKind) -> None:
    """Refuse in words before anything starts, rather than in a loop of restarts."""
    try:
        family, _, _, _, where = socket.getaddrinfo(*address, type=kind)[0]
        with socket.socket(family, kind) as trial:
            if kind is socket.SOCK_STREAM:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        fail(f"{option} {address[0]}:{address[1]} cannot be used: {error.strerror or error}; choose another")


def _children(
    data: Path, *, simulate: bool, lines: int | None, page: tuple[str, int], sip_port: int, exchange_port: int
) -> list[Child]:
    here = ["--data", str(data)]
    counted = [] if lines is None else ["--lines", str(lines)]
    children = [
        Child(
            "core",
            ["core", *here, *counted, *(["--simulate"] if simulate else [])],
            after=["firmware.fxs.safe", *here],
            watched=True,
        ),
        Child("page", ["page", *here, "--host", page[0], "--port", str(page[1])], nice=5),
        Child("mail", ["mail", *here], nice=5),
    ]
    if sip_port:
        children[0].arguments = [*children[0].arguments, "--sip-port", str(sip_port)]
    if simulate:
        settings = SettingsFile(data / "settings.toml").load().settings
        telephone = ["telephone", *here, "--country", settings.box.country, "--line"]
        children += [
            Child(f"telephone{line}", [*telephone, str(line)]) for line in range(1, (lines or settings.line.count) + 1)
        ]
        children.append(Child("exchange", ["exchange", *here, "--port", str(exchange_port)]))
    return children


def _first_morning(data: Path, box: BoxClient) -> None:
    """Give a simulated box its account on the test exchange and a sample of prices, once."""
    from firmware.exchange import credentials_path  # noqa: PLC0415 - only when simulating
    from firmware.rates.deck import import_csv  # noqa: PLC0415
    from firmware.rates.samples import SAMPLE, SAMPLE_NAME  # noqa: PLC0415

    path = credentials_path(data)
    if not box.accounts() and _wait("the test exchange", path.exists):
        known = json.loads(path.read_text())
        box.add_account(
            {
                "name": "exchange",
                "server": f"{known['host']}:{known['port']}",
                "user": known["user"],
                "password": known["password"],
                "display_name": "Allobox",
                "number": known.get("number", ""),
            }
        )
    if not box.decks():
        report = import_csv(SAMPLE, data / "decks", SAMPLE_NAME)
        if report.file is not None:
            box.activate_deck(report.file.name, SAMPLE_NAME, None)


def _welcome(data: Path, page: tuple[str, int], *, simulate: bool) -> None:
    box = BoxClient(data)
    try:
        if not _wait("the core", box.answers):
            return
        if simulate:
            _first_morning(data, box)
        _wait("the page", lambda: box.status()["page"]["state"] == "up")
    except (ServiceError, OSError, ValueError) as error:
        click.echo(f"allobox: {error}", err=True)
    finally:
        box.close()
    host = "127.0.0.1" if page[0] in {"0.0.0.0", "::"} else page[0]  # noqa: S104 - compared, not bound
    click.echo(f"\nAllobox is up.  Page: http://{host}:{page[1]}/   Data: {data}")
    if simulate:
        click.echo(
            "Lift the telephone from another terminal:\n"
            "  .venv/bin/allobox phone lift\n"
            "  .venv/bin/allobox phone wait dial-tone\n"
            "  .venv/bin/allobox phone dial 3699\n"
            "  .venv/bin/allobox phone record clock.wav --seconds 10\n"
            "  .venv/bin/allobox phone hangup\n"
            "  .venv/bin/allobox calls\n"
        )
    click.echo("Ctrl-C stops it.")


def run_house(
    data: Path, *, simulate: bool, lines: int | None, page: tuple[str, int], sip_port: int, exchange_port: int
) -> None:
    """Run until SIGTERM or Ctrl-C. `lines` None: as many as the settings say."""
    data = data.resolve()
    if len(str(data / "run" / "line1.signal")) > _MAX_SOCKET_PATH:
        fail(f"{data}: too long a path for Unix sockets; give a --data of at most {_MAX_SOCKET_PATH - 20} characters")
    _probe(page, "--page", socket.SOCK_STREAM)
    if simulate:
        _probe(("127.0.0.1", exchange_port), "--exchange-port", socket.SOCK_DGRAM)
    os.umask(0o027)
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        fail(f"{data}: the data folder cannot be made: {error}")
    children = _children(
        data, simulate=simulate, lines=lines, page=page, sip_port=sip_port, exchange_port=exchange_port
    )
    click.echo(f"Allobox starts: {', '.join(child.name for child in children)} (logs in {data}/log)")
    supervisor = Supervisor(data, children, lambda text: click.echo(f"allobox: {text}", err=True))
    welcome = threading.Thread(target=_welcome, args=(data, page), kwargs={"simulate": simulate}, daemon=True)
    try:
        supervisor.run(welcome.start)
    except AlreadyRunningError as error:
        fail(str(error))
