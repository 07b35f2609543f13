"""Which column of a provider's file holds what, and in which unit it is written. Pure.

A mapping is proposed from the columns' names (names.py), corrected by the household once, and kept
for files with the same first line (mappings.py). Targets are the deck's columns and a few that
providers have instead:

prefix_more     digits that follow those of `prefix`: the area code beside a country code; may be a list
prefix_to       the last prefix of a range that begins with `prefix`
increments      both increments in one cell: `60/1`, or one number for both
destination_more   joined to the destination: `Belgique` and `mobile`

Units: prices `minute` (as the deck has it), `second`, `cents` (a minute), `cents-second`; fees `cents`;
dates `iso`, `dmy` (31/12/2026), `mdy` (12/31/2026); prefixes `list` (336,337 are two prefixes).
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from firmware.rates import names
from firmware.rates.columns import COLUMNS, REQUIRED, CellError

IGNORED = "-"
EXTRA = ("prefix_more", "prefix_to", "destination_more", "increments")
TARGETS = (*COLUMNS, *EXTRA)
PRICES = ("rate_per_minute", "service_per_minute")
FEES = ("connection_fee", "per_call", "minimum", "service_per_call")
DATES = ("valid_from",)
Tax = Literal["", "included", "excluded"]

_PRICE_UNITS: dict[str, Fraction] = {
    "": Fraction(1), "minute": Fraction(1), "second": Fraction(60),
    "cents": Fraction(1, 100), "cents-second": Fraction(60, 100),
}  # fmt: skip
_FEE_UNITS = {"": Fraction(1), "unit": Fraction(1), "cents": Fraction(1, 100)}
_DATE_UNITS = ("", "iso", "dmy", "mdy")
_PLACE = re.compile(r"#([0-9]{1,3})")


class MappingError(Exception):
    """A mapping that cannot be; the message is for people."""


@dataclass(frozen=True, slots=True)
class Use:
    """What one column of a file holds: a target, or IGNORED; and its unit ("": the deck's own)."""

    target: str
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse what does not exist, with what does."""
        if self.target not in (*TARGETS, IGNORED):
            raise MappingError(f"there is no column {self.target[:40]!r} in a deck; known: {', '.join(TARGETS)}, -")
        if self.unit not in units(self.target):
            known = ", ".join(unit for unit in units(self.target) if unit) or "none"
            raise MappingError(f"{self.target} has no unit {self.unit[:20]!r}; known: {known}")

    @property
    def factor(self) -> Fraction:
        """What a price in this unit is multiplied by to be the deck's."""
        return (_PRICE_UNITS if self.target in PRICES else _FEE_UNITS).get(self.unit, Fraction(1))

    def text(self) -> str:
        """As it is typed after the equals sign."""
        return f"{self.target}:{self.unit}" if self.unit else self.target


@dataclass(frozen=True, slots=True)
class Choice:
    """What a household chose for a provider's files: uses by column name (`names.key`) or `#3`, and what no cell tells.

    `headless`: the first line is a rate already, and columns are known by their place only.
    `currency` "" : as the file says. `tax`: whether the file's prices hold taxes; `tax_percent` is
    added to them if not.
    """

    uses: Mapping[str, Use] = field(default_factory=dict)
    headless: bool = False
    currency: str = ""
    tax: Tax = ""
    tax_percent: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file as it will be read. `place` counts from 0; `use` None: its name says nothing."""

    place: int
    name: str
    use: Use | None

    @property
    def target(self) -> str:
        """What it holds, or IGNORED."""
        return self.use.target if self.use else IGNORED


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is read: its columns, and what their names told besides."""

    columns: tuple[Column, ...]
    currency: str = ""
    tax: Tax = ""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the columns that nobody knows."""
        return tuple(column.name[:40] for column in self.columns if column.use is None and column.name.strip())

    @property
    def missing(self) -> tuple[str, ...]:
        """Required targets that no column has."""
        have = {column.target for column in self.columns}
        return tuple(name for name in REQUIRED if name not in have)

    def places(self) -> dict[str, Column]:
        """The column of each target."""
        return {column.target: column for column in self.columns if column.target != IGNORED}


def units(target: str) -> tuple[str, ...]:
    """The units that a target may be written in; "" is the deck's own."""
    if target in PRICES:
        return tuple(_PRICE_UNITS)
    if target in FEES:
        return tuple(_FEE_UNITS)
    if target == "prefix":
        return ("", "list")
    return _DATE_UNITS if target in DATES else ("",)


def parse(typed: Sequence[str]) -> dict[str, Use]:
    """`Indicatif=prefix`, `Prix=rate_per_minute:cents`, `#3=-` as uses by column. Raises MappingError."""
    uses: dict[str, Use] = {}
    for text in typed:
        name, equals, use = text.rpartition("=")
        if not equals or not name.strip():
            raise MappingError(f"{text[:60]!r} maps nothing; write NAME=TARGET, such as Indicatif=prefix")
        target, _, unit = use.strip().partition(":")
        place = _PLACE.fullmatch(name.strip())
        uses[name.strip() if place else names.key(name)] = Use(target.strip(), unit.strip())
    return uses


def signature(columns: Sequence[str]) -> str:
    """What tells a provider's files from another's: their first line, spelling of case and accents aside."""
    plain = "\x1f".join(names.key(name) for name in columns)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def layout(columns: Sequence[str], choice: Choice) -> tuple[Layout, list[CellError]]:
    """How a file with these column names is read, and everything that is wrong with them."""
    chosen, errors = _chosen(columns, choice)
    taken = {use.target: place for place, use in chosen.items() if use.target != IGNORED}
    guesses = {} if choice.headless else _guesses(columns, chosen, taken)
    made: list[Column] = []
    currencies: set[str] = set()
    tax: Tax = choice.tax
    for place, name in enumerate(columns):
        guess = guesses.get(place)
        if place in chosen:
            made.append(Column(place, name, chosen[place]))
            guess = names.recognise(name)
            guess = guess if guess and guess.target == chosen[place].target else None
        elif guess is not None:
            made.append(Column(place, name, Use(guess.target, _unit(guess))))
        else:
            made.append(Column(place, name, None))
        if guess is not None and guess.target in (*PRICES, *FEES):
            currencies |= {guess.currency} - {""}
            if not tax and guess.target == "rate_per_minute":
                tax = "excluded" if guess.tax == "excluded" else "included" if guess.tax else ""
    found = Layout(tuple(made), currencies.pop() if len(currencies) == 1 else "", tax)
    if not choice.headless:
        errors += _misspelt(found)
    if found.missing:
        cause = f"missing: {', '.join(found.missing)} (known: {', '.join(COLUMNS)})"
        said = "columns must be given by their place (#1=prefix ...)" if choice.headless else (
            "the first line must name the columns"
        )  # fmt: skip
        errors.append(CellError("column-missing", f"{said}; {cause}"))
    return found, errors


def fit(columns: Sequence[str]) -> int:
    """How much a line looks like one of column names: how many required targets its cells name."""
    targets = {guess.target for name in columns if (guess := names.recognise(name))}
    return len(targets & set(REQUIRED))


def with_uses(choice: Choice, uses: Mapping[str, Use]) -> Choice:
    """The choice, changed for these columns."""
    return replace(choice, uses={**choice.uses, **uses})


def _chosen(columns: Sequence[str], choice: Choice) -> tuple[dict[int, Use], list[CellError]]:
    chosen: dict[int, Use] = {}
    errors: list[CellError] = []
    keys = [names.key(name) for name in columns]
    for name, use in choice.uses.items():
        place = _PLACE.fullmatch(name)
        places = [int(place[1]) - 1] if place else [at for at, key in enumerate(keys) if key == name]
        if not places or not 0 <= places[0] < len(columns):
            errors.append(CellError("column-unknown", f"the file has no column {name[:40]!r}, which the mapping names"))
            continue
        chosen[places[0]] = use
    seen: dict[str, int] = {}
    for at, use in sorted(chosen.items()):
        if use.target != IGNORED and use.target in seen:
            cause = f"the mapping has two columns for {use.target}: {seen[use.target] + 1} and {at + 1}"
            errors.append(CellError("column-twice", cause))
        seen[use.target] = at
    return chosen, errors


def _guesses(columns: Sequence[str], chosen: Mapping[int, Use], taken: Mapping[str, int]) -> dict[int, names.Guess]:
    """One column a target, the one whose name says it best; with taxes rather than without."""
    best: dict[str, tuple[tuple[int, int, int], int, names.Guess]] = {}
    for place, name in enumerate(columns):
        guess = names.recognise(name) if place not in chosen else None
        if guess is None or guess.target in taken:
            continue
        order = (int(guess.tax == "excluded"), guess.rank, place)
        if guess.target not in best or order < best[guess.target][0]:
            best[guess.target] = (order, place, guess)
    if "prefix_more" in best and "prefix" not in best and "prefix" not in taken:
        # A part of a thing is the thing where there is no other part.
        order, place, guess = best.pop("prefix_more")
        best["prefix"] = (order, place, names.Guess("prefix", guess.rank))
    if "destination_more" in best and "destination" not in best and "destination" not in taken:
        order, place, guess = best.pop("destination_more")
        best["destination"] = (order, place, names.Guess("destination", guess.rank))
    if "prefix_to" in best and "prefix" not in best and "prefix" not in taken:
        del best["prefix_to"]
    return {place: guess for _, place, guess in best.values()}


def _unit(guess: names.Guess) -> str:
    if guess.target in PRICES:
        return {(0, 0): "", (1, 0): "second", (0, 1): "cents", (1, 1): "cents-second"}[guess.second, guess.cents]
    return "cents" if guess.target in FEES and guess.cents else ""


def _misspelt(found: Layout) -> list[CellError]:
    """Columns that stand twice, and names that are nearly the deck's own: a price is not left out by a slip."""
    errors: list[CellError] = []
    seen: set[str] = set()
    for column in found.columns:
        plain = names.key(column.name).replace(" ", "_").replace("-", "_")
        if plain in COLUMNS and plain in seen:
            errors.append(CellError("column-twice", f"the column {plain!r} stands twice"))
        seen.add(plain)
        if column.use is None and plain and plain not in COLUMNS:
            near = difflib.get_close_matches(plain, COLUMNS, 1, 0.8)
            if near:
                errors.append(
                    CellError("column-unknown", f"unknown column {column.name[:40]!r}; is {near[0]!r} meant?")
                )
    return errors
