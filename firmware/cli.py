"""The `allobox` command: thin, one function a command. docs/cli.md documents each.

Exit code 0: done. 1: refused, failed or timed out, with one line on stderr that says why. 2:
wrong usage. Heavy modules are imported where a command needs them, so that `allobox phone lift`
starts at once.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any, cast

import click

from firmware import __version__
from firmware.cli_common import data_option, fail, service, show

# Commands that live in modules of their own, loaded when they are called: `allobox phone lift` must
# not wait for phonenumbers, nor the mail worker carry spandsp.
_ELSEWHERE = {
    "phone": "firmware.cli_phone",
    "line": "firmware.cli_line",
    "rates": "firmware.cli_rates",
    "price": "firmware.cli_rates",
}


class _Sentences(click.Group):
    """A group whose commands end in one line on stderr when the box refuses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            found = getattr(importlib.import_module(_ELSEWHERE[cmd_name]), cmd_name)
            return cast("click.Command", found)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        from firmware.service import ServiceError  # noqa: PLC0415 - start-up time

        try:
            return super().invoke(ctx)
        except ServiceError as error:
            fail(error.message)
        except BrokenPipeError:
            sys.exit(0)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="allobox")
def main() -> None:
    """Allobox: an ordinary telephone that makes and takes SIP calls."""


# --- processes ------------------------------------------------------------------------------


def _host_port(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004
        raise click.BadParameter(f"{value!r} is not HOST:PORT (for example 127.0.0.1:8080)")
    return host, int(port)


def _one_line(lines: int) -> None:
    if lines > 1:
        fail(f"--lines {lines}: this version drives one line; more come with a voice path for each")


@main.command()
@click.option("--simulate", is_flag=True, help="A simulated line and telephone, and a local test exchange to call.")
@click.option("--lines", type=click.IntRange(1, 4), default=1, show_default=True, help="How many analog lines.")
@data_option
@click.option("--page", default="127.0.0.1:8080", show_default=True, callback=_host_port, help="HOST:PORT of the page.")
@click.option("--sip-port", type=click.IntRange(0, 65535), default=0, help="The box's own SIP port (0: any free one).")
@click.option("--exchange-port", type=click.IntRange(1, 65535), default=5070, show_default=True)
def run(*, simulate: bool, lines: int, data: Path, page: tuple[str, int], sip_port: int, exchange_port: int) -> None:
    """Start the box and watch over its processes until Ctrl-C."""
    _one_line(lines)
    from firmware.house import run_house  # noqa: PLC0415

    run_house(data, simulate=simulate, lines=lines, page=page, sip_port=sip_port, exchange_port=exchange_port)


@main.command()
@data_option
@click.option("--sip-port", type=click.IntRange(0, 65535), default=None, help="Overrides sip.port of the settings.")
@click.option("--simulate", is_flag=True, help="Use the simulated line whatever the settings say.")
@click.option("--lines", type=click.IntRange(1, 4), default=None)
def core(*, data: Path, sip_port: int | None, simulate: bool, lines: int | None) -> None:
    """Run the core: line, voice, SIP, calls, rating (a process of `allobox run`)."""
    _one_line(lines or 1)
    from firmware import core as process  # noqa: PLC0415

    process.main(data, sip_port=sip_port, simulate=simulate, lines=lines)


@main.command("page")
@data_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
def page_process(*, data: Path, host: str, port: int) -> None:
    """Run the page (a process of `allobox run`)."""
    from firmware.webui import app  # noqa: PLC0415

    app.main(data, host, port)


@main.command("mail")
@data_option
def mail_process(*, data: Path) -> None:
    """Run the mail worker (a process of `allobox run`)."""
    from firmware.webmail import worker  # noqa: PLC0415

    worker.main(data)


@main.command()
@data_option
@click.option("--line", "line_number", type=click.IntRange(1, 4), default=1, show_default=True)
@click.option("--ppm", type=click.FloatRange(-200, 200), default=0.0, help="How far the telephone's clock runs off.")
@click.option(
    "--hybrid-loss", type=click.FloatRange(0, 60), default=20.0, help="dB between what it hears and sends back."
)
@click.option(
    "--bounce-ms",
    type=click.FloatRange(0, 30),
    default=5.0,
    show_default=True,
    help="How long the hook contacts bounce.",
)
@click.option("--noise", type=float, default=None, help="Line noise in dBm0.")
def telephone(
    *, data: Path, line_number: int, ppm: float, hybrid_loss: float, bounce_ms: float, noise: float | None
) -> None:
    """Run the simulated telephone (a process of `allobox run --simulate`)."""
    from firmware.fxs import telephone as simulated  # noqa: PLC0415

    simulated.main(data, line_number, ppm=ppm, hybrid_loss=hybrid_loss, bounce_ms=bounce_ms, noise=noise)


@main.command()
@data_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=5070, show_default=True)
def exchange(*, data: Path, host: str, port: int) -> None:
    """Run the test exchange (a process of `allobox run --simulate`)."""
    from firmware.exchange import main as exchange_main  # noqa: PLC0415

    exchange_main(data, host=host, port=port)


# --- what the box says ----------------------------------------------------------------------


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True)
def status(*, data: Path, as_json: bool) -> None:
    """Say how lines, accounts, page and mail are."""
    with service(data) as box:
        told = box.status()
    if as_json:
        show(told)
        return
    click.echo(f"Allobox {told['version']}, {told['country']}, since {told['started']}")
    for row in told["lines"]:
        fault = f" FAULT: {row['fault']}" if row["fault"] else ""
        click.echo(f"line {row['line']}: {row['state']} ({row['hook']}-hook), {row['outlook']}{fault}")
    for account in told["accounts"]:
        click.echo(f"account {account['name']}: {_registration(account)}")
    for name in ("sip", "page", "mail"):
        row_of = cast("dict[str, Any]", told)[name]
        click.echo(f"{name}: {row_of['state']} {row_of['detail']}".rstrip())


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
def calls(*, data: Path, as_json: bool, limit: int) -> None:
    """List the calls, newest first, with what they cost."""
    rows: list[Any] = []
    with service(data) as box:
        while len(rows) < limit:
            query: Any = {"limit": min(200, limit - len(rows))}
            if rows:
                query["before"] = rows[-1]["id"]
            some = box.calls(query)
            rows += some
            if len(some) < query["limit"]:
                break
    if as_json:
        show(rows)
        return
    for row in rows:
        cost = f"{row['cost']} {row['currency']}" if row["cost"] is not None else "-"
        who = row["name"] or row["number"] or "-"
        click.echo(
            f"{row['started'][:19]}  {row['direction']:3}  {who:24}  {row['seconds']:6} s  {row['end']:10}  {cost}"
        )


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True)
def accounts(*, data: Path, as_json: bool) -> None:
    """List the SIP accounts and how their registration goes."""
    with service(data) as box:
        rows = box.accounts()
    if as_json:
        show(rows)
        return
    for row in rows:
        click.echo(f"{row['name']}: {row['user']}@{row['server']} ({row['transport']}), {_registration(row)}")


def _registration(row: Any) -> str:
    if not row["enabled"]:
        return "switched off"
    return "registered" if row["registered"] else f"not registered: {row['reason'] or 'not asked yet'}"


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True)
def contacts(*, data: Path, as_json: bool) -> None:
    """List the contacts of the linked mailbox (none before contacts are linked)."""
    del data
    if as_json:
        show([])
    else:
        click.echo("no contacts: this version links mail, not yet address books", err=True)


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True)
@click.option("--limit", type=click.IntRange(1, 200), default=100, show_default=True)
def logs(*, data: Path, as_json: bool, limit: int) -> None:
    """Show the core's last log lines."""
    with service(data) as box:
        rows = box.logs(limit)
    if as_json:
        show(rows)
        return
    for row in rows:
        click.echo(f"{row['at']} {row['level']:7} {row['where']}: {row['message']}")


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True)
@click.option("--limit", type=click.IntRange(1, 200), default=60, show_default=True, help="How many messages.")
@click.option("--text", is_flag=True, help="Whole messages, not only the ladder.")
def trace(*, data: Path, as_json: bool, limit: int, text: bool) -> None:
    """Show the SIP ladder of the last calls, secrets redacted."""
    with service(data) as box:
        rows = box.trace(limit)
    if as_json:
        show(rows)
        return
    from firmware.telephony.agent import TraceMessage  # noqa: PLC0415
    from firmware.telephony.trace import ladder  # noqa: PLC0415

    click.echo(ladder([TraceMessage(**row) for row in rows]))
    if text:
        for row in rows:
            click.echo(f"\n--- {row['at']} {'to' if row['outgoing'] else 'from'} {row['peer']}\n{row['text']}")


# --- settings -------------------------------------------------------------------------------


@main.group()
def account() -> None:
    """Add, change and remove SIP accounts."""


def _password(password_file: str | None) -> str | None:
    if password_file is None:
        return None
    try:
        with click.open_file(password_file) as file:
            return str(file.read(1024)).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{password_file}: the password cannot be read: {error}")


def _account_options(function: Any) -> Any:
    for option in (
        click.option("--ca-file", help="A private certificate authority for TLS."),
        click.option("--register/--no-register", default=None, help="Whether to register."),
        click.option("--verify-tls/--no-verify-tls", default=None),
        click.option("--enable/--disable", "enabled", default=None),
        click.option("--codecs", help="In order of preference, e.g. PCMA,PCMU,G722."),
        click.option("--proxy", help="Outbound proxy HOST[:PORT]."),
        click.option("--display-name"),
        click.option("--number", help="The account's own number, E.164."),
        click.option("--transport", type=click.Choice(["udp", "tcp", "tls"])),
        click.option("--password-file", help="A file that holds the password (- is standard input)."),
        click.option("--auth-user", help="User name for authentication, if it is not USER."),
    ):
        function = option(function)
    return function


def _draft(given: dict[str, Any]) -> dict[str, Any]:
    password = _password(given.pop("password_file"))
    draft = {key: value for key, value in given.items() if value is not None}
    if "codecs" in draft:
        draft["codecs"] = [codec.strip() for codec in draft["codecs"].split(",") if codec.strip()]
    if password is not None:
        draft["password"] = password
    return draft


@account.command("add")
@click.argument("name")
@click.option("--server", required=True, help="Registrar HOST[:PORT].")
@click.option("--user", required=True)
@_account_options
@data_option
def account_add(*, data: Path, name: str, **given: Any) -> None:
    """Add account NAME."""
    with service(data) as box:
        box.add_account(cast("Any", {"name": name, **_draft(given)}))
    click.echo(f"account {name} added")


@account.command("set")
@click.argument("name")
@click.option("--server")
@click.option("--user")
@_account_options
@data_option
def account_set(*, data: Path, name: str, **given: Any) -> None:
    """Change what is given of account NAME."""
    changes = _draft(given)
    if not changes:
        raise click.UsageError("nothing to change: give at least one option")
    with service(data) as box:
        box.change_account(name, changes)
    click.echo(f"account {name} changed")


@account.command("remove")
@click.argument("name")
@data_option
def account_remove(*, data: Path, name: str) -> None:
    """Remove account NAME."""
    with service(data) as box:
        box.remove_account(name)
    click.echo(f"account {name} removed")


@main.group()
def config() -> None:
    """Show and change the settings."""


@config.command("show")
@data_option
@click.option("--json", "as_json", is_flag=True)
def config_show(*, data: Path, as_json: bool) -> None:
    """List all settings; secrets are masked."""
    with service(data) as box:
        flat = box.settings()
    if as_json:
        show(flat)
        return
    for key, value in flat.items():
        click.echo(f"{key} = {json.dumps(value, ensure_ascii=False)}")


@config.command("set")
@click.argument("key")
@click.argument("value")
@data_option
def config_set(*, data: Path, key: str, value: str) -> None:
    """Set KEY to VALUE."""
    with service(data) as box:
        box.change_setting(key, value)


@config.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def config_export(*, data: Path, file: Path) -> None:
    """Write the settings to FILE, without secrets."""
    with service(data) as box:
        text = box.export_settings()
    try:
        file.write_text(text)
    except OSError as error:
        fail(f"{file}: cannot be written: {error}")


@config.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def config_import(*, data: Path, file: Path) -> None:
    """Replace the settings by FILE; the secrets of accounts that stay are kept."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: cannot be read: {error}")
    with service(data) as box:
        box.import_settings(text)
