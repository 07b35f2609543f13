"""Rate files between upload and yes: kept a little while under DIR/page/uploads, then forgotten."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from werkzeug.datastructures import FileStorage

from firmware.webui.deck_child import Report
from firmware.webui.say import _
from firmware.webui.security import MAX_UPLOAD_BYTES

KEEP_SECONDS = 3600.0
MAX_KEPT = 8
_TOKEN = re.compile(r"[0-9a-f]{32}")


def too_big() -> str:
    """What to do about a file that the page does not take."""
    return _(
        "The page takes files of at most %(size)d MB. Import a larger one on the box: allobox rates import FILE",
        size=MAX_UPLOAD_BYTES >> 20,
    )


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file: where it lies, what it was called, what it shall become."""

    token: str
    path: Path
    source: str
    name: str
    currency: str
    account: str | None


class Uploads:
    """The folder. Names of files are ours (random), never the browser's."""

    def __init__(self, folder: Path, wall: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._wall = wall

    def keep(self, file: FileStorage, *, source: str, name: str, currency: str, account: str | None) -> Upload:
        """Take an uploaded file in; older ones make room. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweep()
        token = secrets.token_hex(16)
        upload = Upload(token, self._folder / f"{token}.csv", source, name, currency, account)
        file.save(upload.path)
        upload.path.chmod(0o600)
        self._notes(token).write_text(
            json.dumps({"source": source, "name": name, "currency": currency, "account": account}), encoding="utf-8"
        )
        return upload

    def find(self, token: str) -> Upload | None:
        """The upload of that token, or None if it is forgotten or never was."""
        if not _TOKEN.fullmatch(token):
            return None
        path = self._folder / f"{token}.csv"
        try:
            notes = json.loads(self._notes(token).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return Upload(token, path, **notes) if path.is_file() else None

    def note(self, upload: Upload, report: Report) -> None:
        """Remember what the check found."""
        self._report(upload.token).write_text(json.dumps(report), encoding="utf-8")

    def report(self, upload: Upload) -> Report | None:
        """What the check found."""
        try:
            found: Report = json.loads(self._report(upload.token).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def forget(self, token: str) -> None:
        """Remove every trace of it."""
        if _TOKEN.fullmatch(token):
            for path in self._folder.glob(f"{token}.*"):
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        kept = sorted(self._folder.glob("*.csv"), key=lambda path: path.stat().st_mtime, reverse=True)
        now = self._wall()
        for place, path in enumerate(kept):
            if place >= MAX_KEPT - 1 or now - path.stat().st_mtime > KEEP_SECONDS:
                self.forget(path.stem)

    def _notes(self, token: str) -> Path:
        return self._folder / f"{token}.notes"

    def _report(self, token: str) -> Path:
        return self._folder / f"{token}.report"
