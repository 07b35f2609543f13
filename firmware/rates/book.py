"""The decks in use: which deck prices which account, kept in decks/active.json and swapped whole.

A deck may hold for one account or, with account None, for all that have none of their own. Any
thread may ask. Changes go to the disk first, one at a time, and no look-up waits for that.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TypedDict

from firmware import store
from firmware.rates import rating
from firmware.rates.deckfile import SUFFIX, Deck, DeckError, check_name
from firmware.rates.rate import Number, Rate, RateError, UnknownDestinationError, deck_key

log = logging.getLogger(__name__)

# What every method may raise; DeckError and UnknownDestinationError are kinds of it.
BookError = RateError

ACTIVE = "active.json"
# Of each name, files no longer in use that are kept so that a mistaken import can be taken back.
KEPT_BEFORE = 1


class DeckEntry(TypedDict):
    """One deck, as service.DeckRow has it: a line for each use, or one for a file that is in no use."""

    name: str
    file: str
    account: str | None
    rows: int
    currency: str
    imported: str
    active: bool


def _account(name: object) -> str | None:
    if name is None or isinstance(name, str):
        return name
    raise TypeError(f"{name!r} is no account")


@dataclass(frozen=True, slots=True)
class Found:
    """A rate and the deck that it is from."""

    rate: Rate
    deck: str


class RateBook:
    """The decks of one box under `decks_dir`. `country` (FR) names the short numbers."""

    def __init__(self, decks_dir: Path, country: str = "FR") -> None:
        self._dir = decks_dir
        self._country = country
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._decks: dict[str | None, Deck] = {}
        self.notices: list[str] = []
        self._load()

    def set_country(self, country: str) -> None:
        """Short numbers are this country's from now on."""
        self._country = country

    def decks(self) -> list[DeckEntry]:
        """Decks in use (account None first), then files that lie there unused."""
        with self._lock:
            used = dict(self._decks)
        entries = [self._entry(used[account], account, active=True) for account in sorted(used, key=lambda a: a or "")]
        in_use = {deck.path.name for deck in used.values()}
        for path in self._files():
            if path.name not in in_use:
                try:
                    with Deck.open(path) as deck:
                        entries.append(self._entry(deck, None, active=False))
                except DeckError as error:
                    log.warning("%s", error)
        return entries

    def activate(self, file: str, name: str, account: str | None) -> DeckEntry:
        """Take a deck file into use, for one account or for all; durable on return. Raises DeckError.

        `file` is a bare file name in the decks folder. Older files of the same name are dropped but for the last.
        """
        check_name(name)
        if Path(file).name != file or not file.endswith(SUFFIX) or file.startswith("."):
            raise DeckError(f"{file[:80]!r} is not the name of a deck in {self._dir}")
        deck = Deck.open(self._dir / file)
        if deck.info.name != name:
            found = deck.info.name
            deck.close()
            raise DeckError(f"{file} holds the deck {found!r}, not {name!r}")
        with self._changing:
            try:
                self._change({**self._decks, account: deck})
            except DeckError:
                deck.close()
                raise
            self._prune(name)
        return self._entry(deck, account, active=True)

    def remove(self, name: str) -> None:
        """Take a deck out of use; one that is in no use is deleted. Raises DeckError if there is none."""
        with self._changing:
            left = {account: deck for account, deck in self._decks.items() if deck.info.name != name}
            if len(left) != len(self._decks):
                self._change(left)
                return
            files = [path for path in self._files() if self._name_of(path) == name]
            for path in files:
                path.unlink(missing_ok=True)
        if not files:
            raise DeckError(f"there is no deck {name[:40]!r}")

    def rename_account(self, old: str, new: str | None) -> None:
        """An account has a new name, or is gone (None): its deck follows, or goes out of use."""
        with self._changing:
            decks = dict(self._decks)
            deck = decks.pop(old, None)
            if deck is not None:
                self._change(decks if new is None else {**decks, new: deck})

    def deck_of(self, account: str | None) -> str | None:
        """The name of the deck that prices an account."""
        with self._lock:
            deck = self._decks.get(account) or self._decks.get(None)
        return deck.info.name if deck else None

    def find(self, number: Number, account: str | None, at: datetime) -> Found | None:
        """The rate for a number by an account's deck, or by the deck for all. None: no price is known.

        An account with a deck of its own is priced by nothing else. An emergency is free without any
        deck. Raises DeckError when the deck cannot be read.
        """
        key = deck_key(number, self._country)
        with self._lock:
            deck = self._decks.get(account) or self._decks.get(None)
            if number.kind.value == rating.EMERGENCY:
                return Found(rating.emergency_rate(key, deck.info.currency if deck else "EUR"), "")
            rate = deck.lookup(key, at) if deck else None
        return Found(rate, deck.info.name) if deck and rate else None

    def price(
        self, number: Number, accounts: Sequence[str | None], seconds: Decimal | int, at: datetime
    ) -> dict[str, object]:
        """What a call costs by the cheapest of these accounts, with the keys of service.PriceAnswer.

        Without accounts the deck for all answers. Raises UnknownDestinationError or DeckError.
        """
        answers = []
        for account in accounts or (None,):
            found = self.find(number, account, at)
            if found:
                answers.append((rating.price(found.rate, seconds).exact, account, found))
        if not answers:
            raise UnknownDestinationError(number.e164 or number.digits, self._searched(accounts))
        _, account, found = min(answers, key=lambda answer: answer[0])
        return rating.answer(number, found.rate, seconds, account=account, deck=found.deck or None)

    def quote(self, number: Number, account: str | None, seconds: Decimal | int, at: datetime) -> dict[str, object]:
        """As `price`, by one account."""
        return self.price(number, [account], seconds, at)

    def close(self) -> None:
        """Close the decks."""
        with self._changing:
            self._swap({})

    def _searched(self, accounts: Sequence[str | None]) -> str:
        names = sorted({deck for account in accounts or (None,) if (deck := self.deck_of(account))})
        if names:
            return f"searched in: {', '.join(names)}"
        return "no rate deck is in use; `allobox rates import` takes one"

    def _load(self) -> None:
        path = self._dir / ACTIVE
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            uses = {_account(entry["account"]): str(entry["file"]) for entry in kept["decks"]}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self._notice(f"{path}: cannot be read ({error}); no deck is in use, activate one again")
            return
        for account, file in uses.items():
            try:
                self._decks[account] = Deck.open(self._dir / Path(file).name)
            except DeckError as error:
                self._notice(f"{error}; calls {f'by {account}' if account else 'by default'} have no price")

    def _notice(self, text: str) -> None:
        log.error("%s", text)
        self.notices.append(text)

    def _change(self, decks: dict[str | None, Deck]) -> None:
        uses = [{"account": account, "file": deck.path.name} for account, deck in decks.items()]
        text = json.dumps({"version": 1, "decks": uses}, ensure_ascii=False, indent=1) + "\n"
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            store.write_atomically(self._dir / ACTIVE, text.encode(), mode=0o644)
        except OSError as error:
            raise DeckError(f"{self._dir / ACTIVE}: cannot be written: {error.strerror}") from error
        self._swap(decks)

    def _swap(self, decks: dict[str | None, Deck]) -> None:
        with self._lock:
            # Whoever looks up holds the lock, so that nobody is left with a closed deck.
            for deck in set(self._decks.values()) - set(decks.values()):
                deck.close()
            self._decks = decks

    def _prune(self, name: str) -> None:
        in_use = {deck.path.name for deck in self._decks.values()}
        old = [path for path in self._files() if path.name not in in_use and self._name_of(path) == name]
        old.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in old[KEPT_BEFORE:]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(path for path in self._dir.glob(f"*{SUFFIX}") if not path.name.startswith("."))

    @staticmethod
    def _name_of(path: Path) -> str:
        return path.name.removesuffix(SUFFIX).rpartition("-")[0]

    @staticmethod
    def _entry(deck: Deck, account: str | None, *, active: bool) -> DeckEntry:
        info = deck.info
        return {
            "name": info.name,
            "file": deck.path.name,
            "account": account,
            "rows": info.rows,
            "currency": info.currency,
            "imported": info.imported,
            "active": active,
        }
