"""What households said of their providers' columns, kept in decks/mappings.json for the next file.

A file is known by its first line (`mapping.signature`); one that names no columns, by its deck. The
page and the command line both write here: under a lock, whole.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from firmware import store
from firmware.rates import mapping
from firmware.rates.mapping import Choice, MappingError, Tax, Use
from firmware.rates.names import MAX_NAME

FILE = "mappings.json"
MAX_KEPT = 64
MAX_BYTES = 1 << 20
_LOCK = ".mappings.lock"
_VERSION = 1

log = logging.getLogger(__name__)


class Mappings:
    """The remembered choices under `decks_dir`."""

    def __init__(self, decks_dir: Path) -> None:
        self._dir = decks_dir

    def find(self, columns: Sequence[str]) -> Choice | None:
        """What was chosen for files with these columns; None: nothing was."""
        return self._found(mapping.signature(columns))

    def of_deck(self, name: str) -> Choice | None:
        """What was chosen for this deck's files, which do not name their columns."""
        return self._found(_headless(name))

    def remember(self, columns: Sequence[str], choice: Choice, name: str) -> None:
        """Keep a choice; the one used longest ago goes if there are many. Raises OSError."""
        if choice == Choice():
            return
        kept = _headless(name) if choice.headless else mapping.signature(columns)
        entry = {
            "signature": kept,
            "deck": name,
            "columns": [] if choice.headless else [column[:MAX_NAME] for column in columns],
            "uses": {column: use.text() for column, use in choice.uses.items()},
            "headless": choice.headless,
            "currency": choice.currency,
            "tax": choice.tax,
            "tax_percent": choice.tax_percent,
            "used": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with self._locked():
            others = [other for other in self._entries() if other.get("signature") != kept]
            text = json.dumps(
                {"version": _VERSION, "mappings": [entry, *others][:MAX_KEPT]}, ensure_ascii=False, indent=1
            )
            store.write_atomically(self._dir / FILE, f"{text}\n".encode(), mode=0o644)

    def _found(self, signature: str) -> Choice | None:
        entry = next((entry for entry in self._entries() if entry.get("signature") == signature), None)
        if entry is None:
            return None
        try:
            return _choice(entry)
        except (MappingError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning(
                "%s: the mapping %s is not understood and was left aside (%s)", self._dir / FILE, signature, error
            )
            return None

    def _entries(self) -> list[dict[str, Any]]:
        path = self._dir / FILE
        try:
            with path.open("rb") as file:
                entries = json.loads(file.read(MAX_BYTES))["mappings"]
            return [entry for entry in entries if isinstance(entry, dict)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.warning("%s: cannot be read (%s); columns are mapped anew", path, error)
            return []

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._dir / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def to_json(choice: Choice) -> dict[str, object]:
    """A choice between two processes."""
    return {
        "uses": {column: use.text() for column, use in choice.uses.items()},
        "headless": choice.headless,
        "currency": choice.currency,
        "tax": choice.tax,
        "tax_percent": choice.tax_percent,
    }


def from_json(kept: Any) -> Choice:
    """What `to_json` wrote. Raises MappingError, KeyError, TypeError."""
    return _choice(kept)


def _choice(entry: dict[str, Any]) -> Choice:
    uses = {}
    for column, text in entry["uses"].items():
        target, _, unit = str(text).partition(":")
        uses[str(column)] = Use(target, unit)
    tax = str(entry.get("tax", ""))
    if tax not in {"", "included", "excluded"}:
        raise MappingError(f"{tax[:20]!r} is no answer to whether taxes are in")
    return Choice(
        uses,
        headless=bool(entry.get("headless")),
        currency=str(entry.get("currency", ""))[:3],
        tax=cast("Tax", tax),
        tax_percent=str(entry.get("tax_percent", ""))[:8],
    )


def _headless(name: str) -> str:
    return f"deck:{name}"
