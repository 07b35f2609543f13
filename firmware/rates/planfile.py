"""Plans as files: plan-NAME-HASH.toml beside the decks, immutable, made in the process that was given the plan."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from firmware import store
from firmware.rates.deckfile import DeckError, check_name
from firmware.rates.plan import BAKED, MAX_BYTES, Plan, read_plan

_FILE = re.compile(r"plan-([a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?)-[0-9a-f]{12}\.toml")


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan and where it stands."""

    path: Path
    plan: Plan


def plan_name(file: str) -> str | None:
    """The plan's name in that of its file; None if it is no plan's."""
    match = _FILE.fullmatch(file)
    return match[1] if match else None


def plan_files(folder: Path) -> list[Path]:
    """The plans that lie in a folder."""
    return sorted(path for path in folder.glob("plan-*.toml") if plan_name(path.name) is not None)


def open_plan(path: Path) -> PlanFile:
    """Read a plan file. Raises DeckError, or PlanError with every problem."""
    name = plan_name(path.name)
    if name is None:
        raise DeckError(f"{path.name[:80]!r} is not the name of a plan")
    return PlanFile(path, read_plan(plan_text(path), name))


def plan_text(path: Path) -> str:
    """What a file holds, if it may be a plan. Raises DeckError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeckError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise DeckError(f"{path}: longer than {MAX_BYTES // 1024} kB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeckError(f"{path}: no UTF-8 text (byte {error.start})") from error


def make_plan(text: str, decks_dir: Path, name: str) -> PlanFile:
    """Check a plan and make `decks_dir`/plan-NAME-HASH.toml of it, durably; it is not yet in use.

    One that goes by the destination's clock gets the world's time zones besides, as far as it does not name its own.
    Raises PlanError with every problem, or DeckError when the file cannot be written.
    """
    text, plan = checked(text, name)
    data = text.encode()
    path = decks_dir / f"plan-{name}-{hashlib.sha256(data).hexdigest()[:12]}.toml"
    try:
        decks_dir.mkdir(parents=True, exist_ok=True)
        store.write_atomically(path, data, mode=0o644)  # no secret, and other processes of the box read it
    except OSError as error:
        raise DeckError(f"{decks_dir}: the plan cannot be written: {error.strerror}") from error
    return PlanFile(path, plan)


def checked(text: str, name: str) -> tuple[str, Plan]:
    """A plan's text as `make_plan` keeps it, and the plan. Raises PlanError; DeckError for a name that will not do."""
    check_name(name)
    if len(text) <= MAX_BYTES and _wants_zones(text):
        from firmware.rates.zones import zones_text  # noqa: PLC0415 - a table that nothing but this needs

        text = f"{text.rstrip()}\n\n{zones_text(BAKED)}"
    return text, read_plan(text, name)


def without_zones(text: str) -> str:
    """A plan as a person wrote it, without the time zones that `make_plan` added."""
    return text.partition(f"\n[{BAKED}]\n")[0]


def _wants_zones(text: str) -> bool:
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError):
        return False  # `read_plan` will say why
    return tree.get("clock") == "destination" and BAKED not in tree
