"""The `allobox` command: thin, one function a command. docs/cli.md documents each.

Exit code 0: done. 1: refused, failed or timed out, with one line on stderr that says why. 2:
wrong usage. Heavy modules are imported where a command needs them, so that `allobox phone lift`
starts at once.
"""

from __future__ import annotations

import importlib
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import click

from firmware import __version__
from firmware.cli_common import data_option, fail, service, show

# Commands that live in modules of their own, loaded when they are called: `allobox phone lift` must
# not wait for phonenumbers, nor the mail worker carry spandsp.
_ELSEWHERE = {
    "phone": "firmware.cli_phone",
    "line": "firmware.cli_line",
    "rates": "firmware.cli_rates",
    "price": "firmware.cli_price",
    "bill": "firmware.cli_bill",
    "account": "firmware.cli_settings",
    "config": "firmware.cli_settings",
    "budget": "firmware.cli_budget",
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


@main.command()
@click.option("--simulate", is_flag=True, help="A simulated line and telephone, and a local test exchange to call.")
@click.option("--lines", type=click.IntRange(1, 4), help="How many analog lines (as line.count says).")
@data_option
@click.option("--page", default="127.0.0.1:8080", show_default=True, callback=_host_port, help="HOST:PORT of the page.")
@click.option("--sip-port", type=click.IntRange(0, 65535), default=0, help="The box's own SIP port (0: any free one).")
@click.option("--exchange-port", type=click.IntRange(1, 65535), default=5070, show_default=True)
def run(
    *, simulate: bool, lines: int | None, data: Path, page: tuple[str, int], sip_port: int, exchange_port: int
) -> None:
    """Start the box and watch over its processes until Ctrl-C."""
    from firmware.house import run_house  # noqa: PLC0415

    run_house(data, simulate=simulate, lines=lines, page=page, sip_port=sip_port, exchange_port=exchange_port)


@main.command()
@data_option
@click.option("--sip-port", type=click.IntRange(0, 65535), default=None, help="Overrides sip.port of the settings.")
@click.option("--simulate", is_flag=True, help="Use the simulated line whatever the settings say.")
@click.option("--lines", type=click.IntRange(1, 4), default=None)
def core(*, data: Path, sip_port: int | None, simulate: bool, lines: int | None) -> None:
    """Run the core: line, voice, SIP, calls, rating (a process of `allobox run`)."""
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
@click.option("--country", default="FR", show_default=True, metavar="CC", help="Where it was bought: its display.")
@click.option("--second-caller/--no-second-caller", default=True, help="Whether its display shows a caller who waits.")
def telephone(
    *,
    data: Path,
    line_number: int,
    ppm: float,
    hybrid_loss: float,
    bounce_ms: float,
    noise: float | None,
    country: str,
    second_caller: bool,
) -> None:
    """Run the simulated telephone (a process of `allobox run --simulate`)."""
    from firmware.fxs import telephone as simulated  # noqa: PLC0415

    simulated.main(
        data,
        line_number,
        ppm=ppm,
        hybrid_loss=hybrid_loss,
        bounce_ms=bounce_ms,
        noise=noise,
        country=country,
        second_caller=second_caller,
    )


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
    """List the calls, newest first, with what they cost; times are the box's own (box.timezone)."""
    rows: list[Any] = []
    with service(data) as box:
        zone = ZoneInfo(str(box.settings()["box.timezone"]))
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
        started = _local(row["started"], zone)
        click.echo(f"{started}  {row['direction']:3}  {who:24}  {row['seconds']:6} s  {row['end']:10}  {cost}")


def _local(started: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(started).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


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
