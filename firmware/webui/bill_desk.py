"""The page's side of `bill_child`: starts it, hands it the records of a month, asks it, and bears its death.

The records come from the core in pages of `MAX_ROWS`, each once as long as the child lives. Measured
against a copy of box.db made by SQLite's backup: that reads and writes the whole ledger for one month of
it, and whoever commits a call meanwhile waits for it (docs/bill.md).
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from firmware.callpages import pages
from firmware.rates.statement import Month
from firmware.service import BoxService, CallRow, ServiceError
from firmware.webui.household import Choices

_ANSWER_SECONDS = 60.0
_CHECK_SECONDS = 150.0
# Between two pages of a month that is read for the first time: others ask the core too.
_BREATH_SECONDS = 0.005
_KEYS = (
    "id", "direction", "line", "number", "name", "dialled", "account", "started", "answered", "seconds",
    "billed_seconds", "destination", "cost", "currency", "time_unsure", "emergency", "class", "pin", "bundle",
    "service_cost", "tax",
)  # fmt: skip
_log = logging.getLogger(__name__)


class _DeadError(Exception):
    """The child is gone, or was stopped because it took too long."""


class _Child:
    """One process; one order at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "firmware.webui.bill_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, seconds: float, **order: object) -> dict[str, Any]:
        """The answer. Raises _DeadError, or ServiceError for a refusal in words."""
        into, out = self._process.stdin, self._process.stdout
        if into is None or out is None:
            raise _DeadError
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            into.write(json.dumps(order, separators=(",", ":")).encode() + b"\n")
            into.flush()
            line = out.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise _DeadError from error
        finally:
            timer.cancel()
        if not isinstance(answer, dict):
            raise _DeadError
        if "refused" in answer:
            raise ServiceError(str(answer["refused"]))
        return answer

    def close(self) -> None:
        """End it, however it is."""
        self._process.kill()
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()


class BillDesk:
    """Bills of one box. Thread-safe: one reader after another."""

    def __init__(self, box: BoxService, decks: Path) -> None:
        self._box = box
        self._decks = decks
        self._lock = threading.Lock()
        self._checking = threading.Lock()
        self._child: _Child | None = None

    def ask(self, month: Month, choices: Choices, do: str, **order: object) -> dict[str, Any]:
        """One order about a month, with all its records known. Raises ServiceError."""
        accounts = [account["name"] for account in self._box.accounts() if account["enabled"]]
        with self._lock:
            for attempt in (1, 2):
                try:
                    return self._asked(month, choices, accounts, do, order)
                except _DeadError:
                    # It ends by itself after some minutes of rest: then another one knows nothing, and reads again.
                    self._drop()
                    if attempt == 2:  # noqa: PLR2004
                        _log.warning("the bill of %s could not be made", month)
                except ServiceError:
                    raise  # a refusal, or a core that is away: between two orders, and the child knows what it knows
                except BaseException:
                    self._drop()  # in the middle of a conversation: the next one begins anew
                    raise
        raise ServiceError("the bill could not be made: it took too long, or too much memory", status=503)

    def _asked(
        self, month: Month, choices: Choices, accounts: list[str], do: str, order: Mapping[str, object]
    ) -> dict[str, Any]:
        child = self._child = self._child or _Child()
        known = child.ask(
            _ANSWER_SECONDS,
            do="open", month=str(month), zone=str(choices.zone), country=choices.country, decks=str(self._decks),
            accounts=accounts,
        )  # fmt: skip
        begin, end = month.begin(choices.zone), month.end(choices.zone)
        for rows in pages(self._box, begin, end, cast("int | None", known["after"])):
            child.ask(
                _ANSWER_SECONDS, do="rows", after=rows[-1]["id"], rows=[_short(row) for row in rows if _costs(row)]
            )
            time.sleep(_BREATH_SECONDS)
        return child.ask(_ANSWER_SECONDS, do=do, **order)

    def check(self, choices: Choices, account: str, **order: object) -> dict[str, Any]:
        """Check a provider's file in a child of its own. Raises ServiceError in words."""
        with self._checking:
            child = _Child()
            try:
                found = child.ask(
                    _CHECK_SECONDS,
                    do="read", zone=str(choices.zone), country=choices.country, decks=str(self._decks), account=account,
                    **order,
                )  # fmt: skip
                if found["errors"]:
                    return found
                since, until = (datetime.fromisoformat(str(found[key])) for key in ("since", "until"))
                for rows in pages(self._box, since, until):
                    child.ask(_ANSWER_SECONDS, do="records", rows=[_short(row) for row in rows])
                    time.sleep(_BREATH_SECONDS)
                return child.ask(_CHECK_SECONDS, do="compare", account=account) | {"errors": []}
            except _DeadError as error:
                raise ServiceError("the file could not be checked: it took too long, or too much memory") from error
            finally:
                child.close()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _costs(row: CallRow) -> bool:
    return row["direction"] == "out" or row["cost"] is not None


def _short(row: CallRow) -> dict[str, object]:
    told: Mapping[str, object] = row
    return {key: told[key] for key in _KEYS if key in told}
