"""Rate files between upload and yes: kept a little while under DIR/page/uploads, then forgotten."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from werkzeug.datastructures import FileStorage

from firmware.webui.deck_child import Report
from firmware.webui.say import _
from firmware.webui.security import MAX_UPLOAD_BYTES

KEEP_SECONDS = 3600.0
MAX_KEPT = 4
_TOKEN = re.compile(r"[0-9a-f]{32}")


def too_big() -> str:
    """What to do about a file that the page does not take."""
    return _(
        "The page takes files of at most %(size)d MB. Import a larger one on the box: allobox rates import FILE",
        size=MAX_UPLOAD_BYTES >> 20,
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What an uploaded file shall become. `valid_from` ISO or ""; `choice` as `mappings.to_json` has it."""

    source: str
    name: str
    currency: str
    account: str | None
    valid_from: str = ""
    choice: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file: where it lies, what was wished of it, and where its deck is made."""

    token: str
    path: Path
    wish: Wish

    @property
    def made(self) -> Path:
        """The folder of the deck that was made of it, until it is taken into use."""
        return self.path.with_suffix(".made")

    @property
    def progress(self) -> Path:
        """How far it is read."""
        return self.path.with_suffix(".progress")


class Uploads:
    """The folder. Names of files are ours (random), never the browser's."""

    def __init__(self, folder: Path, wall: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._wall = wall

    def keep(self, file: FileStorage, wish: Wish) -> Upload:
        """Take an uploaded file in; older ones make room. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweep()
        token = secrets.token_hex(16)
        upload = Upload(token, self._folder / f"{token}.csv", wish)
        try:
            file.save(upload.path)
            upload.path.chmod(0o600)
            self._write(token, "notes", asdict(wish))
        except OSError:
            self.forget(token)
            raise
        return upload

    def find(self, token: str) -> Upload | None:
        """The upload of that token, or None if it is forgotten or never was."""
        if not _TOKEN.fullmatch(token):
            return None
        path = self._folder / f"{token}.csv"
        notes = self._read(token, "notes")
        return Upload(token, path, Wish(**notes)) if notes is not None and path.is_file() else None

    def change(self, upload: Upload, **changes: Any) -> Upload:
        """Wish something else of it; what was found before is forgotten."""
        wish = replace(upload.wish, **changes)
        self._write(upload.token, "notes", asdict(wish))
        self._path(upload.token, "report").unlink(missing_ok=True)
        return replace(upload, wish=wish)

    def note(self, upload: Upload, report: Report | dict[str, str]) -> None:
        """Remember what the reading found; nothing if the upload was forgotten meanwhile."""
        if upload.path.is_file():
            self._write(upload.token, "report", report)

    def report(self, upload: Upload) -> Report | None:
        """What the reading found."""
        return cast("Report | None", self._read(upload.token, "report"))

    def forget(self, token: str) -> None:
        """Remove every trace of it."""
        if _TOKEN.fullmatch(token):
            for path in self._folder.glob(f"{token}.*"):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        kept = sorted(self._folder.glob("*.csv"), key=lambda path: path.stat().st_mtime, reverse=True)
        now = self._wall()
        for place, path in enumerate(kept):
            if place >= MAX_KEPT - 1 or now - path.stat().st_mtime > KEEP_SECONDS:
                self.forget(path.stem)
        for path in self._folder.iterdir():  # what a child wrote of an upload that was forgotten meanwhile
            left = self._folder / f"{path.name.partition('.')[0]}.csv"
            if not left.exists() and now - path.stat().st_mtime > KEEP_SECONDS:
                self.forget(left.stem)

    def _write(self, token: str, kind: str, content: object) -> None:
        draft = self._path(token, f"{kind}-draft")
        draft.write_text(json.dumps(content), encoding="utf-8")
        draft.replace(self._path(token, kind))

    def _read(self, token: str, kind: str) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path(token, kind).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _path(self, token: str, kind: str) -> Path:
        return self._folder / f"{token}.{kind}"
