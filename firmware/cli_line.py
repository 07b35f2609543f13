"""`allobox line encode|decode`: the line's signals to WAV files and back; `line doctor` is `cli_doctor`'s."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypedDict

import click

from firmware.cli_doctor import doctor
from firmware.clock import SystemClock
from firmware.fxs import (
    callerid,
    callerid_message,
    callerid_recording,
    country,
    dtmf,
    message_waiting,
    recognise,
    tones,
    wav,
)
from firmware.fxs.pcm import SAMPLE_RATE_HZ

MAX_SECONDS = 600.0
_BYTES_PER_MS = 2 * SAMPLE_RATE_HZ / 1000
# Between CAS and message a telephone answers: 160 ms are waited for it, 60 it takes, 50 pass after it.
_ANSWER_BYTES = 2 * SAMPLE_RATE_HZ * 270 // 1000

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
    message_waiting: dict[str, Any] | None
    standard: str | None


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
_WHY = click.Choice(["O", "P"])
_form = click.option("--form", type=click.Choice(callerid_message.FORMS), help="Several data or one; the country's.")
_standard = click.option("--standard", type=click.Choice(callerid.STANDARDS), help="Other than the country's.")
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
@click.option("--absence", type=_WHY, help="Why there is no number: not available, withheld.")
@click.option("--name-absence", type=_WHY, help="Why there is no name.")
@click.option("--redirecting", metavar="NUMBER", help="Who forwarded the call.")
@click.option("--called", metavar="NUMBER", help="The number that was dialled first.")
@click.option("--call-type", type=click.Choice(list(callerid_message.CALL_TYPES)))
@click.option("--off-hook", is_flag=True, help="As a second caller is shown: call-waiting tone, CAS, message.")
@_form
@_standard
@_country
@_seconds
@_out
@_refusals
def encode_caller_id(
    number: str | None,
    name: str | None,
    when: str | None,
    absence: str | None,
    name_absence: str | None,
    redirecting: str | None,
    called: str | None,
    call_type: str | None,
    form: str | None,
    standard: str | None,
    code: str,
    seconds: float | None,
    out: Path,
    *,
    off_hook: bool,
) -> None:
    """The message that a telephone hears between its first two rings, or when somebody waits."""
    of = _changed(country.load(code), standard, form)
    extras = callerid_message.Extras(name_absence, redirecting, called, call_type)
    if not off_hook:
        pcm: bytes | None = callerid.transmission(of, number, name, _local_time(when), absence, extras)
    else:
        pcm = callerid.off_hook_message(of, number, name, _local_time(when), absence, extras)
        pcm = pcm and callerid.sas(of) + callerid.cas(of) + bytes(_ANSWER_BYTES) + pcm
    if pcm is None:
        msg = f"no telephone shows who waits by standard {of.caller_id.standard!r}"
        raise ValueError(msg)
    _save(out, pcm, seconds)


@encode.command("message-waiting")
@click.option("--count", type=click.IntRange(0, callerid_message.MAX_COUNT), help="How many; 0: the lamp goes out.")
@click.option("--number", help="The mailbox's.")
@click.option("--time", "when", metavar="ISO", help="Sets the display's clock; default now.")
@_form
@_standard
@_country
@_seconds
@_out
@_refusals
def encode_message_waiting(
    count: int | None,
    number: str | None,
    when: str | None,
    form: str | None,
    standard: str | None,
    code: str,
    seconds: float | None,
    out: Path,
) -> None:
    """The message that puts the lamp of a telephone on its hook on or out. Without --count some wait."""
    of = _changed(country.load(code), standard, form)
    pcm = message_waiting.transmission(of, count, _local_time(when), number)
    if pcm is None:
        msg = f"no telephone has a lamp by standard {of.caller_id.standard!r}"
        raise ValueError(msg)
    _save(out, pcm, seconds)


@encode.command("alert")
@click.argument("name", type=click.Choice(["dt-as", "sas", "cas"]))
@_country
@_seconds
@_out
@_refusals
def encode_alert(name: str, code: str, seconds: float | None, out: Path) -> None:
    """What makes a display listen: DT-AS before a ring; call-waiting tone (sas) and CAS in a call."""
    of = country.load(code)
    makers = {
        "dt-as": lambda: callerid.alerting(of.caller_id, "dt-as"),
        "sas": lambda: callerid.sas(of),
        "cas": lambda: callerid.cas(of),
    }
    _save(out, makers[name](), seconds)


def _changed(of: country.Country, standard: str | None, form: str | None) -> country.Country:
    """The country with another caller-ID standard or form."""
    changes: dict[str, Any] = {
        key: value for key, value in (("standard", standard), ("format", form)) if value is not None
    }
    return replace(of, caller_id=replace(of.caller_id, **changes))


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
    if decoded["message_waiting"]:
        told = decoded["message_waiting"]
        count = "" if told["count"] is None else f", {told['count']}"
        click.echo(f"message waiting: {'on' if told['waiting'] else 'off'}{count}")
    for tone in decoded["tones"]:
        click.echo(f"{tone['start_ms']:>8} ms  {tone['tone']}  {tone['ms']} ms")
    if not any(decoded.values()):
        click.echo("no digit, no caller ID, no tone")


def analyse(pcm: bytes, of: country.Country) -> Decoded:
    """Everything that is known in `pcm` (8 kHz, 16 bit)."""
    digits = dtmf.measure(pcm)
    found = callerid_recording.transmissions(pcm, of.caller_id.standard)
    callers = [asdict(sent.message) for sent in found if isinstance(sent.message, callerid_message.CallerIdMessage)]
    lamps = [asdict(sent.message) for sent in found if isinstance(sent.message, callerid_message.WaitingMessage)]
    apart = [(span.start_ms - 20, span.start_ms + span.ms + 20) for span in digits]
    apart += [(sent.start_ms, sent.end_ms) for sent in found]
    steady = recognise.without(recognise.bursts(pcm, of), apart)
    return {
        "dtmf": [{"digit": span.digit, "start_ms": round(span.start_ms), "ms": round(span.ms)} for span in digits],
        "caller_id": callers[0] if callers else None,
        "tones": [
            {"tone": heard.tone, "start_ms": round(heard.start_ms), "ms": round(heard.ms)}
            for heard in recognise.tones(steady, of, len(pcm) / _BYTES_PER_MS)
        ],
        "message_waiting": lamps[0] if lamps else None,
        "standard": found[0].standard if found else None,
    }
