"""The decks and plans in use: which one prices which account, kept in decks/active.json and swapped whole.

A deck or a plan may hold for one account or, with account None, for all that have none of their own.
Any thread may ask. Changes go to the disk first, one at a time, and no look-up waits for that.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TypedDict

from firmware import store
from firmware.rates import rating
from firmware.rates.answer import answer
from firmware.rates.bundle import UNLIMITED, Bundle, BundleState
from firmware.rates.deckfile import SUFFIX, Deck, DeckError, check_name
from firmware.rates.plan import Plan
from firmware.rates.planfile import PlanFile, open_plan, plan_files, plan_name
from firmware.rates.pricing import HOME, Pricing
from firmware.rates.rate import ZERO, Number, Rate, RateError, UnknownDestinationError, deck_key

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


class PlanEntry(TypedDict):
    """One plan, as service.PlanRow has it: a line for each use, or one for a file that is in no use."""

    name: str
    file: str
    account: str | None
    bands: list[str]
    bundles: list[str]
    active: bool


StateOf = Callable[[Bundle, str, datetime], BundleState]
"""What is left of a bundle, for a number (a deck's key), at an instant: usage knows."""


def full(bundle: Bundle, number: str, at: datetime) -> BundleState:
    """As at the beginning of a period."""
    del number, at
    return bundle.full


@dataclass(frozen=True, slots=True)
class Priced:
    """How a call to a number would be charged, and by which deck and plan. `rate` holds at its beginning."""

    pricing: Pricing
    rate: Rate
    deck: str
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class _Uses:
    """What is in use, by account (None: all that have none of their own). Swapped whole."""

    decks: Mapping[str | None, Deck] = field(default_factory=dict)
    plans: Mapping[str | None, PlanFile] = field(default_factory=dict)
    # Names that accounts had when plans were written, and the names that they have now.
    renamed: Mapping[str, str] = field(default_factory=dict)

    def deck(self, account: str | None) -> Deck | None:
        return self.decks.get(account) or self.decks.get(None)

    def plan(self, account: str | None) -> Plan | None:
        found = self.plans.get(account) or self.plans.get(None)
        return found.plan if found else None

    def bundles(self, account: str | None) -> list[Bundle]:
        """The account's own, then those that others' plans share with it."""
        own = self.plan(account)
        found = list(own.bundles) if own else []
        for file in self.plans.values():
            for bundle in file.plan.bundles:
                sharing = {self.renamed.get(name, name) for name in bundle.accounts}
                if account in sharing and all(bundle.name != other.name for other in found):
                    found.append(bundle)
        return found


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
    """The decks and plans of one box under `decks_dir`.

    `country` (FR) names the short numbers, `zone` is the household's time zone, `currency` its money.
    """

    def __init__(self, decks_dir: Path, country: str = "FR", *, zone: str = HOME, currency: str = "EUR") -> None:
        self._dir = decks_dir
        self._country = country
        self._zone = zone
        self.currency = currency
        self._changing = threading.Lock()
        self._lock = threading.Lock()
        self._uses = _Uses()
        self.notices: list[str] = []
        self._load()

    def set_country(self, country: str) -> None:
        """Short numbers are this country's from now on."""
        self._country = country

    def set_zone(self, zone: str) -> None:
        """The household's clock is that of this time zone (IANA) from now on."""
        self._zone = zone

    def key(self, number: Number) -> str:
        """What stands for a number in decks, plans and usage: 33142685300, FR3699."""
        return deck_key(number, self._country)

    def decks(self) -> list[DeckEntry]:
        """Decks in use (account None first), then files that lie there unused."""
        used = self._now().decks
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
                self._change(replace(self._uses, decks={**self._uses.decks, account: deck}))
            except DeckError:
                deck.close()
                raise
            self._prune(name)
        return self._entry(deck, account, active=True)

    def remove(self, name: str) -> None:
        """Take a deck out of use; one that is in no use is deleted. Raises DeckError if there is none."""
        with self._changing:
            decks = self._uses.decks
            left = {account: deck for account, deck in decks.items() if deck.info.name != name}
            if len(left) != len(decks):
                self._change(replace(self._uses, decks=left))
                return
            files = [path for path in self._files() if self._name_of(path) == name]
            for path in files:
                path.unlink(missing_ok=True)
        if not files:
            raise DeckError(f"there is no deck {name[:40]!r}")

    def plans(self) -> list[PlanEntry]:
        """Plans in use (account None first), then files that lie there unused."""
        used = self._now().plans
        entries = [_plan_entry(used[account], account, active=True) for account in sorted(used, key=lambda a: a or "")]
        in_use = {file.path.name for file in used.values()}
        for path in plan_files(self._dir):
            if path.name not in in_use:
                try:
                    entries.append(_plan_entry(open_plan(path), None, active=False))
                except RateError as error:
                    log.warning("%s", error)
        return entries

    def activate_plan(self, file: str, account: str | None) -> PlanEntry:
        """Take a plan file of the decks folder into use, for one account or for all; durable on return. Raises."""
        if plan_name(file) is None:
            raise DeckError(f"{file[:80]!r} is not the name of a plan in {self._dir}")
        found = open_plan(self._dir / file)
        with self._changing:
            plans = {**self._uses.plans, account: found}
            self._check_bundles(plans)
            self._change(replace(self._uses, plans=plans))
            in_use = {plan.path.name for plan in plans.values()}
            old = [path for path in plan_files(self._dir) if path.name not in in_use]
            old = [path for path in old if plan_name(path.name) == found.plan.name]
            self._drop_old(old)
        return _plan_entry(found, account, active=True)

    def remove_plan(self, account: str | None) -> None:
        """An account has no plan of its own from now on; the file stays. Raises DeckError if it had none."""
        with self._changing:
            plans = dict(self._uses.plans)
            if plans.pop(account, None) is None:
                whose = f"the account {account[:40]!r}" if account else "all accounts"
                raise DeckError(f"there is no plan for {whose}")
            self._change(replace(self._uses, plans=plans))

    def plan_of(self, account: str | None) -> Plan | None:
        """The plan of an account: its own, or that for all."""
        return self._now().plan(account)

    def bundles(self, account: str | None) -> list[Bundle]:
        """The bundles that may cover calls by an account, in the order in which they are asked."""
        return self._now().bundles(account)

    def rename_account(self, old: str, new: str | None) -> None:
        """An account has a new name, or is gone (None): its deck and plan follow, or go out of use."""
        with self._changing:
            uses = self._uses
            decks, plans, renamed = dict(uses.decks), dict(uses.plans), dict(uses.renamed)
            deck, plan = decks.pop(old, None), plans.pop(old, None)
            if new is not None:
                if deck is not None:
                    decks[new] = deck
                if plan is not None:
                    plans[new] = plan
                renamed = {name: new if now == old else now for name, now in renamed.items()}
                if any(old in bundle.accounts for file in plans.values() for bundle in file.plan.bundles):
                    renamed[old] = new
            if (decks, plans, renamed) != (uses.decks, uses.plans, uses.renamed):
                self._change(_Uses(decks, plans, renamed))

    def deck_of(self, account: str | None) -> str | None:
        """The name of the deck that prices an account."""
        deck = self._now().deck(account)
        return deck.info.name if deck else None

    def find(self, number: Number, account: str | None, at: datetime) -> Found | None:
        """The rate for a number by an account's deck, or by the deck for all. None: no price is known.

        The deck alone, in no band; `pricing` knows the plan. Raises DeckError when the deck cannot be read.
        """
        key = self.key(number)
        with self._lock:
            deck = self._uses.deck(account)
            if number.kind.value == rating.EMERGENCY:
                return Found(rating.emergency_rate(key, deck.info.currency if deck else self.currency), "")
            rate = deck.lookup(key, at) if deck else None
        return Found(rate, deck.info.name) if deck and rate else None

    def pricing(self, number: Number, account: str | None, at: datetime, states: StateOf = full) -> Priced | None:
        """How a call to a number by an account would be charged from `at` on. None: no price is known.

        An account with a deck of its own is priced by nothing else. An emergency is free without any
        deck or plan. Raises DeckError when the deck cannot be read.
        """
        key = self.key(number)
        with self._lock:
            uses = self._uses
            deck = uses.deck(account)
            if number.kind.value == rating.EMERGENCY:
                rate = rating.emergency_rate(key, deck.info.currency if deck else self.currency)
                return Priced(Pricing((rate,)), rate, "")
            # Whoever looks up holds the lock, so that nobody is left with a closed deck.
            rates = deck.rates(key, at) if deck else ()
        if deck is None:
            return None
        plan = uses.plan(account)
        bundle, state = self._bundle(uses, account, key, number, at, states)
        if plan is None and bundle is None:
            return Priced(Pricing(rates), rates[0], deck.info.name) if rates and not rates[0].band else None
        plan = plan or _NO_PLAN
        if plan.is_free(key):
            name = rates[0].destination if rates else "Free"
            rates = (Rate(key, name, deck.info.currency, ZERO, first_increment=1, next_increment=1),)
            bundle, state = None, UNLIMITED
        calendar = plan.calendar(key, at, self._zone)
        pricing = Pricing(rates, plan.terms(self.currency), calendar, bundle, state, plan.zone or self._zone)
        rate_now = pricing.rate_at(at)
        return Priced(pricing, rate_now, deck.info.name, plan.name or None) if rate_now else None

    def price(
        self,
        number: Number,
        accounts: Sequence[str | None],
        seconds: Decimal | int,
        at: datetime,
        states: StateOf = full,
    ) -> dict[str, object]:
        """What a call costs by the cheapest of these accounts, with the keys of service.PriceAnswer.

        Without accounts the deck for all answers. Raises UnknownDestinationError or DeckError.
        """
        answers = []
        for account in accounts or (None,):
            found = self.pricing(number, account, at, states)
            if found:
                cost = rating.charge(found.pricing, at, seconds)
                # An amount in other money cannot be compared: it goes after those that can.
                answers.append((found.pricing.currency != self.currency, cost.exact, account, found))
        if not answers:
            raise UnknownDestinationError(number.e164 or number.digits, self._searched(accounts))
        _, _, account, found = min(answers, key=lambda each: each[:2])
        return answer(number, found.pricing, at, seconds, account=account, deck=found.deck or None)

    def quote(self, number: Number, account: str | None, seconds: Decimal | int, at: datetime) -> dict[str, object]:
        """As `price`, by one account."""
        return self.price(number, [account], seconds, at)

    def close(self) -> None:
        """Close the decks."""
        with self._changing:
            self._swap(_Uses())

    def _now(self) -> _Uses:
        with self._lock:
            return self._uses

    @staticmethod
    def _bundle(
        uses: _Uses, account: str | None, key: str, number: Number, at: datetime, states: StateOf
    ) -> tuple[Bundle | None, BundleState]:
        """The bundle that covers a call: the first that holds for the number and has something left; else the first."""
        kind = str(number.kind.value)
        fitting = [(bundle, states(bundle, key, at)) for bundle in uses.bundles(account) if bundle.holds_for(key, kind)]
        usable = (each for each in fitting if each[1].admits and each[1].seconds_left != 0)
        return next(usable, fitting[0] if fitting else (None, UNLIMITED))

    def _check_bundles(self, plans: Mapping[str | None, PlanFile]) -> None:
        """A bundle's name is one for the whole box: what is used of it is counted by that name."""
        known: dict[str, Bundle] = {}
        for file in plans.values():
            for bundle in file.plan.bundles:
                if known.setdefault(bundle.name, bundle) != bundle:
                    raise DeckError(
                        f"{file.path.name}: another plan has a different bundle {bundle.name!r}; rename one"
                    )

    def _searched(self, accounts: Sequence[str | None]) -> str:
        names = sorted({deck for account in accounts or (None,) if (deck := self.deck_of(account))})
        if names:
            return f"searched in: {', '.join(names)}"
        return "no rate deck is in use; `allobox rates import` takes one"

    def _load(self) -> None:
        path = self._dir / ACTIVE
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            decks = {_account(entry["account"]): str(entry["file"]) for entry in kept["decks"]}
            plans = {_account(entry["account"]): str(entry["file"]) for entry in kept.get("plans", [])}
            renamed = {str(old): str(new) for old, new in kept.get("renamed", {}).items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._notice(f"{path}: cannot be read ({error}); no deck is in use, activate one again")
            return
        opened: dict[str | None, Deck] = {}
        for account, file in decks.items():
            try:
                opened[account] = Deck.open(self._dir / Path(file).name)
            except DeckError as error:
                self._notice(f"{error}; calls {f'by {account}' if account else 'by default'} have no price")
        read: dict[str | None, PlanFile] = {}
        for account, file in plans.items():
            try:
                read[account] = open_plan(self._dir / Path(file).name)
            except RateError as error:
                self._notice(f"{error}; calls {f'by {account}' if account else 'by default'} go by the deck alone")
        self._uses = _Uses(opened, read, renamed)

    def _notice(self, text: str) -> None:
        log.error("%s", text)
        self.notices.append(text)

    def _change(self, uses: _Uses) -> None:
        kept = {
            "version": 1,
            "decks": [{"account": account, "file": deck.path.name} for account, deck in uses.decks.items()],
            "plans": [{"account": account, "file": file.path.name} for account, file in uses.plans.items()],
            "renamed": dict(uses.renamed),
        }
        text = json.dumps(kept, ensure_ascii=False, indent=1) + "\n"
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            store.write_atomically(self._dir / ACTIVE, text.encode(), mode=0o644)
        except OSError as error:
            raise DeckError(f"{self._dir / ACTIVE}: cannot be written: {error.strerror}") from error
        self._swap(uses)

    def _swap(self, uses: _Uses) -> None:
        with self._lock:
            # Whoever looks up holds the lock, so that nobody is left with a closed deck.
            for deck in set(self._uses.decks.values()) - set(uses.decks.values()):
                deck.close()
            self._uses = uses

    def _prune(self, name: str) -> None:
        in_use = {deck.path.name for deck in self._uses.decks.values()}
        self._drop_old([path for path in self._files() if path.name not in in_use and self._name_of(path) == name])

    @staticmethod
    def _drop_old(paths: list[Path]) -> None:
        paths.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in paths[KEPT_BEFORE:]:
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


_NO_PLAN = Plan("")


def _plan_entry(file: PlanFile, account: str | None, *, active: bool) -> PlanEntry:
    plan = file.plan
    return {
        "name": plan.name,
        "file": file.path.name,
        "account": account,
        "bands": [band.name for band in plan.bands],
        "bundles": [bundle.name for bundle in plan.bundles],
        "active": active,
    }
