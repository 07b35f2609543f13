"""What the commands share: the data folder, the box, JSON, and how a refusal ends."""

from __future__ import annotations

import json
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
    type=click.Path(file_okay=False, path_type=Path),
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
def service(data: Path) -> Iterator[BoxService]:
    """The running box; or, when none runs on `data`, its files under the same interface.

    The files are locked meanwhile, so that a core that starts now waits its turn.
    """
    from firmware.control import BoxClient  # noqa: PLC0415 - start-up time
    from firmware.control_routes import box_socket  # noqa: PLC0415

    client = BoxClient(data)
    try:
        if box_socket(data).exists() and client.answers():
            yield client
            return
    finally:
        client.close()
    from firmware.backoffice import offline  # noqa: PLC0415 - only without a running core

    with offline(data) as files:
        yield files
