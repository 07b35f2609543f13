"""`allobox line encode|decode`: the line's signals to WAV files and back; `line doctor` is `cli_doctor`'s."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypedDict

import click

from firmware.cli_doctor import doctor
from firmware.clock import SystemClock
from firmware.fxs import callerid, country, dtmf, recognise, tones, wav
from firmware.fxs.pcm import FRAME_BYTES, SAMPLE_RATE_HZ

MAX_SECONDS = 600.0
_BYTES_PER_MS = 2 * SAMPLE_RATE_HZ / 1000
# What libspandsp's receivers hold back: the last bits of a message come out under the silence after it.
_FLUSH = bytes(2 * SAMPLE_RATE_HZ // 5)

P = ParamSpec("P")


class Digit(TypedDict):
    """One row of `dtmf`."""

    digit: str
    start_ms: int
    ms: int


class Tone(TypedDict):
    """One row of `tones`: a country's tone by name, or its frequencies."""

    tone: str
    start_ms: int
    ms: int


class Decoded(TypedDict):
    """`allobox line decode --json`."""

    dtmf: list[Digit]
    caller_id: dict[str, str | None] | None
    tones: list[Tone]


def _refusals(command: Callable[P, None]) -> Callable[P, None]:
    """Refusals and failures as one line on standard error, exit code 1."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (ValueError, OSError) as error:
            click.echo(f"allobox line: {error}", err=True)
            sys.exit(1)

    return guarded


_country = click.option("--country", "code", default="FR", show_default=True, metavar="CC", help="Whose line.")
_seconds = click.option(
    "--seconds", type=click.FloatRange(0.01, MAX_SECONDS), help="Length of the file (tone: 5; else as needed)."
)
_out = click.argument("out", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.wav")


def _save(out: Path, pcm: bytes, seconds: float | None) -> None:
    """At least what there is; filled up with silence to `seconds`."""
    if seconds is not None:
        pcm = pcm.ljust(2 * round(seconds * SAMPLE_RATE_HZ), b"\0")
    wav.write(out, pcm)
    click.echo(f"{out}: {len(pcm) / _BYTES_PER_MS / 1000:.2f} s")


@click.group()
def line() -> None:
    """Tones, digits and caller ID to WAV files (8 kHz, 16 bit) and back; what is wrong with a telephone."""


line.add_command(doctor)


@line.group()
def encode() -> None:
    """Write what the line would sound like."""


@encode.command("tone")
@click.argument("name", type=click.Choice(country.TONE_NAMES))
@_country
@_seconds
@_out
@_refusals
def encode_tone(name: str, code: str, seconds: float | None, out: Path) -> None:
    """A call-progress tone of a country."""
    samples = tones.render(country.load(code), name)
    _save(out, tones.play(samples, 5.0 if seconds is None else seconds), None)


@encode.command("dtmf")
@click.argument("digits")
@click.option("--on", "on_ms", type=click.FloatRange(5, 5000), default=70, show_default=True, help="Milliseconds.")
@click.option("--off", "off_ms", type=click.FloatRange(0, 5000), default=70, show_default=True, help="Milliseconds.")
@_country
@_seconds
@_out
@_refusals
def encode_dtmf(digits: str, on_ms: float, off_ms: float, code: str, seconds: float | None, out: Path) -> None:
    """Digits (0-9 * # A-D) as the country's telephones send them."""
    levels = country.load(code).dtmf
    if not digits:
        raise ValueError("no digits to send")
    pcm = dtmf.generate(digits, on_ms, off_ms, levels.low_dbm0, levels.high_dbm0)
    _save(out, pcm, seconds)


@encode.command("caller-id")
@click.option("--number", help="As a display shows it; none: not available.")
@click.option("--name", help="Shown in ASCII.")
@click.option("--time", "when", metavar="ISO", help="Date and time; default now.")
@click.option("--absence", type=click.Choice(["O", "P"]), help="Why there is no number: not available, withheld.")
@_country
@_seconds
@_out
@_refusals
def encode_caller_id(
    number: str | None,
    name: str | None,
    when: str | None,
    absence: str | None,
    code: str,
    seconds: float | None,
    out: Path,
) -> None:
    """The message that a telephone hears between its first two rings."""
    pcm = callerid.transmission(country.load(code), number, name, _local_time(when), absence)
    _save(out, pcm, seconds)


def _local_time(text: str | None) -> datetime:
    """ISO time as the telephone's wall clock has it (without an offset it is local already)."""
    if text is None:
        return SystemClock().wall().astimezone()
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no ISO time such as 2026-07-14T09:05"
        raise click.BadParameter(msg, param_hint="--time") from error
    return when if when.tzinfo is None else when.astimezone()


@line.command("decode")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.wav")
@_country
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_refusals
def decode(file: Path, code: str, *, as_json: bool) -> None:
    """Which digits, caller ID and tones are in a WAV file (any rate, 8 or 16 bit)."""
    decoded = analyse(wav.read(file), country.load(code))
    if as_json:
        click.echo(json.dumps(decoded, ensure_ascii=False))
        return
    for digit in decoded["dtmf"]:
        click.echo(f"{digit['start_ms']:>8} ms  digit {digit['digit']}  {digit['ms']} ms")
    if decoded["caller_id"]:
        shown = ", ".join(f"{key} {value}" for key, value in decoded["caller_id"].items() if value)
        click.echo(f"caller ID: {shown}")
    for tone in decoded["tones"]:
        click.echo(f"{tone['start_ms']:>8} ms  {tone['tone']}  {tone['ms']} ms")
    if not any(decoded.values()):
        click.echo("no digit, no caller ID, no tone")


def analyse(pcm: bytes, of: country.Country) -> Decoded:
    """Everything that is known in `pcm` (8 kHz, 16 bit)."""
    digits = dtmf.measure(pcm)
    caller, data = _caller(pcm, of.caller_id.standard)
    apart = [(span.start_ms - 20, span.start_ms + span.ms + 20) for span in digits] + data
    steady = recognise.without(recognise.bursts(pcm, of), apart)
    return {
        "dtmf": [{"digit": span.digit, "start_ms": round(span.start_ms), "ms": round(span.ms)} for span in digits],
        "caller_id": asdict(caller) if caller is not None else None,
        "tones": [
            {"tone": heard.tone, "start_ms": round(heard.start_ms), "ms": round(heard.ms)}
            for heard in recognise.tones(steady, of, len(pcm) / _BYTES_PER_MS)
        ],
    }


def _caller(pcm: bytes, standard: str) -> tuple[callerid.CallerIdMessage | None, list[tuple[float, float]]]:
    """The first caller ID, by the country's standard or another, and where its data lie (ms)."""
    for tried in (standard, *(other for other in callerid.STANDARDS if other != standard)):
        decoder = callerid.Decoder(tried)
        padded = pcm + _FLUSH
        for at in range(0, len(padded), FRAME_BYTES):
            heard = decoder.feed(padded[at : at + FRAME_BYTES])
            if heard is None:
                continue
            end = (at + FRAME_BYTES) / _BYTES_PER_MS
            when = datetime(2000, 1, 1)  # noqa: DTZ001 - only the length of the message is wanted
            absence = heard.absence if heard.absence in {"O", "P"} else None
            length = len(callerid.encode(tried, heard.number, heard.name, when, absence)) / _BYTES_PER_MS
            return heard, [(end - length - 50, end + 50)]
    return None, []
