"""What the commands share: the data folder, the box, JSON, and how a refusal ends."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from firmware.paths import default_data

if TYPE_CHECKING:
    from firmware.service import BoxService

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, readable=False, path_type=Path),
    default=default_data,
    help="The box's data folder (default: $ALLOBOX_DATA, .data in a checkout, else /var/lib/allobox).",
)


def fail(message: str) -> NoReturn:
    """One line on stderr, exit code 1."""
    click.echo("allobox: " + " ".join(message.split()), err=True)
    sys.exit(1)


def show(answer: object) -> None:
    """JSON on stdout."""
    click.echo(json.dumps(answer, ensure_ascii=False, indent=2))


@contextmanager
def service(data: Path, *, begin: bool = False) -> Iterator[BoxService]:
    """The running box; or, when none runs on `data`, its files under the same interface.

    The files are locked meanwhile, so that a core that starts now waits its turn. Only with `begin`
    may `data` become a box by this. What is wrong with the files is told in one line on stderr.
    """
    from firmware.control import BoxClient  # noqa: PLC0415 - start-up time

    # What the box's modules log is the core's log; a command says what counts in its one line.
    logging.getLogger("firmware").addHandler(logging.NullHandler())
    client = BoxClient(data)
    try:
        if client.answers():
            yield client
            return
    finally:
        client.close()
    from firmware.offline import is_box, offline  # noqa: PLC0415 - only without a running core
    from firmware.service import ServiceError  # noqa: PLC0415

    if not begin and not is_box(data):
        raise ServiceError(
            f"there is no box in {data}; give its folder with --data, or begin one with `allobox run`, `account add`, "
            "`config set`, `config import` or `rates import`"
        )
    with offline(data) as files:
        try:
            yield files
        except ServiceError as error:
            told = [notice for notice in files.notices if notice not in error.message]
            raise ServiceError("; ".join([error.message, *told]), status=error.status, where=error.where) from error
        if files.notices:
            click.echo("allobox: " + "; ".join(" ".join(notice.split()) for notice in files.notices), err=True)
