"""The files of a box under the box's own interface, while no core runs: for the command line.

Under the core's own lock, so that a core that starts meanwhile waits its turn.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from firmware.backoffice import BackOffice
from firmware.clock import SystemClock
from firmware.config import Settings, SettingsFile
from firmware.rates.book import RateBook
from firmware.rates.budget import Cap
from firmware.rates.usage import Spent
from firmware.service import DoctorRow, LineRow, ProcessRow, ServiceError, TraceRow
from firmware.tariffs import Tariffs
from firmware.telephony.ledger import Ledger

_MARKS = ("settings.toml", "settings.toml.previous", "box.db", "decks", "run")


class _NoBox:
    """No core runs: nothing is live."""

    def lines(self) -> list[LineRow]:
        return []

    def registration(self, account: str) -> tuple[bool, int, str, str | None]:
        del account
        return False, 0, "the box is not running", None

    def process(self, role: str) -> ProcessRow:
        del role
        return {"state": "down", "detail": "the box is not running"}

    def apply(self, settings: Settings) -> None:
        """Nothing to apply to: the files are what changes."""

    def register_now(self, account: str, seconds: float) -> None:
        del seconds
        raise ServiceError(f"{account} cannot be tried: the box is not running", status=503)

    def ring_test(self, line: int) -> bool:
        raise ServiceError(f"line {line} cannot ring: the box is not running", status=503)

    def spent(self, caps: Sequence[Cap]) -> list[Spent] | None:
        """No sums are kept: the records are asked."""
        del caps
        return None

    def doctor(self) -> DoctorRow:
        raise ServiceError("there is no line doctor: the box is not running", status=503)

    def start_doctor(self, line: int) -> None:
        raise ServiceError(f"line {line} cannot be examined: the box is not running", status=503)

    def stop_doctor(self) -> None:
        """Nothing is under way."""

    def trace(self, limit: int) -> list[TraceRow]:
        del limit
        raise ServiceError("there is no trace: the box is not running", status=503)

    def published(self, kind: str) -> None:
        """Nobody listens."""

    def setup_code_changed(self) -> None:
        """No handset to tell it."""

    def codecs(self) -> tuple[str, ...]:
        return ()


def is_box(data: Path) -> bool:
    """Whether `data` is a box's folder: one that was configured, priced, or run before. Raises ServiceError."""
    try:
        return any((data / mark).exists() for mark in _MARKS)
    except OSError as error:
        raise _unusable(data, error) from error


@contextmanager
def offline(data: Path) -> Iterator[BackOffice]:
    """BackOffice over the files of `data` while no core runs. Raises ServiceError if one starts up.

    What is damaged is told in `BackOffice.notices`; damaged settings can be read (the previous
    ones serve) and replaced whole, but not changed.
    """
    with _locked(data):
        settings_file = SettingsFile(data / "settings.toml")
        loaded = settings_file.load()
        clock = SystemClock()
        book = RateBook(data / "decks", loaded.settings.box.country)
        ledger = Ledger(data / "box.db", clock, Tariffs(book, clock).charge)
        ledger.start()
        try:
            yield BackOffice(
                settings_file=settings_file,
                settings=loaded.settings,
                ledger=ledger,
                book=book,
                clock=clock,
                live=_NoBox(),
                damaged=loaded.notice,
            )
        finally:
            ledger.stop()
            book.close()


@contextmanager
def _locked(data: Path) -> Iterator[IO[str]]:
    try:
        (data / "run").mkdir(parents=True, exist_ok=True)
        lock = (data / "run" / "core.lock").open("a")
    except OSError as error:
        raise _unusable(data, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServiceError(
                f"a core is starting or stopping on {data}; try again in a moment", status=503
            ) from error
        yield lock


def _unusable(data: Path, error: OSError) -> ServiceError:
    what = f"{error.filename or data}: {error.strerror}"
    if isinstance(error, PermissionError):
        return ServiceError(f"{what}; ask as the user whom the box belongs to (sudo -u allobox allobox ...)")
    return ServiceError(f"{what}; is {data} the folder meant by --data?")
