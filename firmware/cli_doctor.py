"""`allobox line doctor`: has the box examine a line and its telephone, and prints what it found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from firmware.cli_common import data_option, fail, show

if TYPE_CHECKING:
    from firmware.service import BoxService, DoctorRow

_LOOK_SECONDS = 0.3
_LONGEST_SECONDS = 300.0
"""A minute to lift, two for the session, and the examination on a small box."""
_BUSY = frozenset({"armed", "running", "examining"})
_MARKS = {"good": "  ", "fair": "! ", "bad": "!!"}


@click.command()
@click.option("--line", "line_number", type=click.IntRange(1, 4), default=1, show_default=True, help="Which line.")
@click.option("--json", "as_json", is_flag=True, help="The whole report, for programs.")
@click.option("--last", is_flag=True, help="The last report again; nothing is measured.")
@click.option("--language", type=click.Choice(["fr", "en"]), help="Of the report (the telephone's own).")
@data_option
def doctor(*, line_number: int, as_json: bool, last: bool, language: str | None, data: Path) -> None:
    """Measure dial, keys, noise and echo of a telephone; say what is wrong and what to do.

    Lift the handset and do what the voice (and this command) says. Hanging up ends it, Ctrl-C too.
    """
    from firmware.control import BoxClient  # noqa: PLC0415 - start-up time
    from firmware.service import ServiceError  # noqa: PLC0415

    client = BoxClient(data)
    try:
        spoken = language or str(client.status()["language"])
        row = client.doctor() if last else _session(client, line_number, spoken)
    except ServiceError as error:
        fail(error.message)
    finally:
        client.close()
    if as_json:
        show(row)
    _verdict(row, spoken, quiet=as_json)


def _session(box: BoxService, line: int, language: str) -> DoctorRow:
    """Start, tell each step on standard error, and wait for the end."""
    from firmware.doctorwords import words  # noqa: PLC0415 - start-up time

    row = box.start_doctor(line)
    told = ""
    deadline = time.monotonic() + _LONGEST_SECONDS
    try:
        while row["state"] in _BUSY and time.monotonic() < deadline:
            now = "examining" if row["state"] == "examining" else f"step.{row['step']}"
            if now != told:
                told = now
                click.echo(words(language, now), err=True)
            time.sleep(_LOOK_SECONDS)
            row = box.doctor()
    except KeyboardInterrupt:
        box.stop_doctor()
        fail(words(language, "ending.cancelled"))
    return row


def _verdict(row: DoctorRow, language: str, *, quiet: bool) -> None:
    """Print the report; exit code 1 where there is none."""
    from firmware.doctorwords import known, words  # noqa: PLC0415 - start-up time

    ending = f"ending.{row['ending']}"
    report = row["report"]
    if report is None:
        if row["state"] == "failed":
            fail(f"{words(language, 'failed')} ({row['detail']})")
        fail(words(language, ending if known(language, ending) else "summary.none"))
    if quiet:
        return
    if known(language, ending):
        click.echo(words(language, ending))
    _print(report, language)


def _print(report: dict[str, Any], language: str) -> None:
    from firmware.doctorwords import findings, summary, unmeasured  # noqa: PLC0415 - start-up time

    click.echo(summary(report, language)[1])
    for row in findings(report, language):
        click.echo(f"{_MARKS[row.grade]} {row.sentences[0]}")
        for sentence in row.sentences[1:]:
            click.echo(f"   {sentence}")
    for sentence in unmeasured(report, language):
        click.echo(f"-- {sentence}")
