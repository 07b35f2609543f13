"""`allobox phone`: the hand on the simulated telephone. Thin; starts quickly (no numpy, nothing but click)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from firmware.cli_common import fail
from firmware.fxs.phone_client import EVENTS, PhoneClient, PhoneError, clean_digits
from firmware.paths import default_data

_OF_A_DIAL = frozenset(("pps", "break_percent", "bounce", "jitter", "pause"))
_Command = TypeVar("_Command", bound=Callable[..., Any])


class _PhoneGroup(click.Group):
    """Turns the telephone's refusals into one line on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PhoneError as error:
            fail(str(error))


def _which(command: _Command) -> _Command:
    """--data and --line, on the group as on each of its commands; the nearer one wins."""
    line = click.option("--line", type=click.IntRange(1, 99), help="Which line's telephone (1).")
    data = click.option(
        "--data", type=click.Path(path_type=Path, file_okay=False), help="The box's data directory (ALLOBOX_DATA)."
    )
    return data(line(command))


def _client(context: click.Context, data: Path | None, line: int | None) -> PhoneClient:
    group = context.parent.params if context.parent else {}
    return PhoneClient(data or group.get("data") or default_data(), line or group.get("line") or 1)


@click.group(cls=_PhoneGroup)
@_which
def phone(data: Path | None, line: int | None) -> None:
    """Lift, dial, talk and listen on the simulated telephone."""
    del data, line  # read from the context by the commands


@phone.command()
@_which
@click.pass_context
def lift(context: click.Context, data: Path | None, line: int | None) -> None:
    """Take the handset off the hook."""
    _client(context, data, line).lift()


@phone.command()
@_which
@click.pass_context
def hangup(context: click.Context, data: Path | None, line: int | None) -> None:
    """Put the handset down; returns when it has been down for longer than any flash (1.1 s)."""
    _client(context, data, line).hangup()


@phone.command()
@click.option("--ms", type=click.FloatRange(10, 5000), help="Length of the break (270).")
@_which
@click.pass_context
def flash(context: click.Context, ms: float | None, data: Path | None, line: int | None) -> None:
    """Press the R key: break the loop for a moment."""
    _client(context, data, line).flash(ms)


@phone.command()
@click.argument("digits")
@click.option("--pulse", is_flag=True, help="Turn a rotary dial instead of pressing keys.")
@click.option("--pps", type=click.FloatRange(5, 25), help="Pulses a second (10).")
@click.option("--break", "break_percent", type=click.FloatRange(20, 85), metavar="PERCENT", help="Open share (67).")
@click.option("--bounce", type=click.FloatRange(0, 10), metavar="MS", help="Chatter of a worn dial's contact.")
@click.option("--jitter", type=click.FloatRange(0, 30), metavar="PERCENT", help="How uneven its pulses are (0).")
@click.option("--pause", type=click.FloatRange(200, 10000), metavar="MS", help="Pause between its digits (700).")
@click.option("--on", type=click.FloatRange(1, 10000), metavar="MS", help="Length of each tone (70).")
@click.option("--off", type=click.FloatRange(0, 10000), metavar="MS", help="Pause after each tone (70).")
@click.option("--level", type=click.FloatRange(-60, 3), metavar="DBM0", help="Level of the low tone (-11).")
@click.option("--twist", type=click.FloatRange(-30, 30), metavar="DB", help="High tone over low tone (2).")
@click.option("--noise", type=click.FloatRange(-100, 3), metavar="DBM0", help="White noise beside the tones (none).")
@click.option("--detune", type=click.FloatRange(-10, 10), metavar="PERCENT", help="Both tones off by so much (0).")
@_which
@click.pass_context
def dial(
    context: click.Context,
    /,
    digits: str,
    data: Path | None,
    line: int | None,
    *,
    pulse: bool,
    **how: float | None,
) -> None:
    """Dial DIGITS (0-9 * # A-D; spaces, dots and dashes are ignored); returns when they are sent."""
    given = [name for name, value in how.items() if value is not None]
    turned = [f"--{name.removesuffix('_percent')}" for name in given if name in _OF_A_DIAL]
    keyed = [f"--{name}" for name in given if name not in _OF_A_DIAL]
    if pulse and keyed:
        msg = f"{', '.join(keyed)}: only for tones, not with --pulse"
        raise click.UsageError(msg)
    if turned and not pulse:
        msg = f"{', '.join(turned)}: only with --pulse"
        raise click.UsageError(msg)
    try:
        clean_digits(digits, pulse=pulse)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="DIGITS") from error
    share, jitter = (_share(how.pop(name)) for name in ("break_percent", "jitter"))
    _client(context, data, line).dial(digits, pulse=pulse, break_share=share, jitter=jitter, **how)


@phone.command()
@click.argument("file", type=click.Path(path_type=Path))
@_which
@click.pass_context
def play(context: click.Context, file: Path, data: Path | None, line: int | None) -> None:
    """Play a PCM WAV file (any rate) into the microphone; returns when it has ended."""
    _client(context, data, line).play(file)


@phone.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seconds", type=click.FloatRange(0, 86400, min_open=True), required=True, help="How long.")
@_which
@click.pass_context
def record(context: click.Context, file: Path, seconds: float, data: Path | None, line: int | None) -> None:
    """Record what the earpiece hears to a WAV file (8 kHz, 16 bit, mono)."""
    _client(context, data, line).record(file, seconds)


@phone.command()
@click.argument("event", type=click.Choice(EVENTS))
@click.option("--timeout", type=click.FloatRange(0, 86400), default=30.0, show_default=True, help="Seconds.")
@_which
@click.pass_context
def wait(context: click.Context, event: str, timeout: float, data: Path | None, line: int | None) -> None:
    """Wait until EVENT is heard (or the bell rings); at once if it is."""
    _client(context, data, line).wait(event, timeout)


@phone.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@_which
@click.pass_context
def state(context: click.Context, data: Path | None, line: int | None, *, as_json: bool) -> None:
    """What the telephone's owner sees and hears."""
    now = _client(context, data, line).state()
    if as_json:
        click.echo(json.dumps(now))
        return
    for key, value in now.items():
        click.echo(f"{key.replace('_', ' ') + ':':18}{_shown(value)}")


@phone.command(hidden=True)
@click.option("--count", type=click.IntRange(1, 1000), default=5, help="Chirps.")
@_which
@click.pass_context
def measure(context: click.Context, count: int, data: Path | None, line: int | None) -> None:
    """For benches: moments of the call, and round trips through an echo at the far end."""
    client = _client(context, data, line)
    click.echo(json.dumps({"marks": client.mark(), "roundtrip_ms": client.roundtrip(count)}))


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
    return str(value)
