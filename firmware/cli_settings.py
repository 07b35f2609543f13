"""`allobox account ...` and `allobox config ...`: SIP accounts and settings, on the box or on its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import click

from firmware.cli_common import data_option, fail, service, show

_MAX_PASSWORD = 1024


@click.group()
def account() -> None:
    """Add, change and remove SIP accounts."""


def _password(password_file: str | None) -> str | None:
    if password_file is None:
        return None
    try:
        with click.open_file(password_file) as file:
            password = str(file.read(_MAX_PASSWORD + 3)).strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{password_file}: the password cannot be read: {error}")
    if not password:
        fail(f"{password_file}: there is no password in it")
    if len(password) > _MAX_PASSWORD:
        fail(f"{password_file}: more than {_MAX_PASSWORD} characters are no password; is it the right file?")
    if len(password.splitlines()) > 1:
        fail(f"{password_file}: a password is one line, this file has several")
    return password


def _account_options(function: Any) -> Any:
    for option in (
        click.option("--ca-file", help="A private certificate authority for TLS."),
        click.option("--register/--no-register", default=None, help="Whether to register."),
        click.option("--verify-tls/--no-verify-tls", default=None),
        click.option("--enable/--disable", "enabled", default=None),
        click.option(
            "--message-waiting/--no-message-waiting",
            default=None,
            help="Ask the provider whether voice messages wait (stutter tone, the telephone's lamp).",
        ),
        click.option("--ring-pattern", help="How its calls ring: normal, dr1 to dr8; empty: as the line does."),
        click.option(
            "--vad/--no-vad", default=None, help="Send nothing while the handset is silent (off: send silence)."
        ),
        click.option(
            "--dtmf",
            type=click.Choice(["auto", "rfc4733", "inband", "info"]),
            help="How digits are sent in a call; auto: rfc4733 where the far end takes it, else inband.",
        ),
        click.option("--ptime", type=click.Choice(["10", "20", "30", "40"]), help="Milliseconds of sound in a packet."),
        click.option("--codecs", help="In order of preference, of PCMA,PCMU,G722,iLBC,opus."),
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
    if "ptime" in draft:
        draft["ptime"] = int(draft["ptime"])
    if password is not None:
        draft["password"] = password
    if draft.get("ca_file"):
        draft["ca_file"] = str(Path(draft["ca_file"]).absolute())  # the core's folder is another
    return draft


@account.command("add")
@click.argument("name")
@click.option("--server", required=True, help="Registrar HOST[:PORT].")
@click.option("--user", required=True)
@_account_options
@data_option
def account_add(*, data: Path, name: str, **given: Any) -> None:
    """Add account NAME."""
    with service(data, begin=True) as box:
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


@click.group()
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
    with service(data, begin=True) as box:
        box.change_setting(key, value)
    if key == "sip.port":
        from firmware import config as settings  # noqa: PLC0415 - start-up time

        for remark in settings.remarks(settings.with_setting(settings.Settings(), key, value)):
            click.echo(f"allobox: {remark}", err=True)


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
    with service(data, begin=True) as box:
        box.import_settings(text)
