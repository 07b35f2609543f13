"""What the checks read: the external tree, the overlay and the lock, as parsed facts. Nothing is judged here."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

EXTERNAL = "$(BR2_EXTERNAL_ALLOBOX_PATH)"


@dataclass(frozen=True)
class Package:
    """One package of ours: its folder, and the variables that its .mk assigns (without their prefix)."""

    name: str
    folder: Path

    @property
    def prefix(self) -> str:
        """Buildroot's variable prefix."""
        return self.name.upper().replace("-", "_")

    @property
    def symbol(self) -> str:
        """Buildroot's configuration symbol."""
        return f"BR2_PACKAGE_{self.prefix}"

    @cached_property
    def variables(self) -> dict[str, str]:
        """VERSION, SITE ... as written, line continuations joined."""
        text = self.text(".mk").replace("\\\n", " ")
        found = re.findall(rf"^{self.prefix}_(\w+)\s*[:+]?=\s*(.*)$", text, re.MULTILINE)
        return {name: " ".join(value.split()) for name, value in found}

    @cached_property
    def hashes(self) -> dict[str, str]:
        """File -> sha256, of the .hash file."""
        return {
            file: digest
            for digest, file in re.findall(r"^sha256\s+([0-9a-f]+)\s+(\S+)", self.text(".hash"), re.MULTILINE)
        }

    def text(self, suffix: str) -> str:
        """`Config.in` or NAME.SUFFIX; "" if it is not there."""
        path = self.folder / (f"{self.name}{suffix}" if suffix.startswith(".") else suffix)
        return path.read_text() if path.is_file() else ""

    def expand(self, value: str) -> str:
        """`value` with the package's own variables put in."""
        own = rf"\$\({self.prefix}_(\w+)\)"
        return re.sub(own, lambda match: self.variables.get(match[1], match[0]), value)


@dataclass(frozen=True)
class Unit:
    """A systemd unit of the overlay."""

    path: Path

    @cached_property
    def settings(self) -> list[tuple[str, str]]:
        """(key, value) in order; comments left out."""
        lines = (line.strip() for line in self.path.read_text().replace("\\\n", " ").splitlines())
        return [
            (key.strip(), value.strip())
            for line in lines
            if line[:1] not in "#;["
            for key, _, value in [line.partition("=")]
            if key
        ]

    def values(self, *keys: str) -> list[str]:
        """Every non-empty value of these keys."""
        return [value for key, value in self.settings if key in keys and value]

    def commands(self) -> Iterator[list[str]]:
        """What it executes, as words, systemd's prefixes taken off."""
        for value in self.values(
            "ExecStart", "ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost", "ExecReload"
        ):
            yield shlex.split(value.lstrip("-@:+!"))


@dataclass(frozen=True)
class Tree:
    """A checkout."""

    root: Path

    @property
    def board(self) -> Path:
        """The external tree."""
        return self.root / "board"

    @property
    def rpi(self) -> Path:
        """The one board there is."""
        return self.board / "raspberrypi4-64"

    @property
    def overlay(self) -> Path:
        """What lies over the root file system."""
        return self.root / "buildroot-overlay"

    @property
    def defconfigs(self) -> list[Path]:
        """The boards' configurations."""
        return sorted((self.board / "configs").glob("*_defconfig"))

    @cached_property
    def packages(self) -> dict[str, Package]:
        """Ours, by name."""
        folders = sorted(path for path in (self.board / "package").iterdir() if path.is_dir())
        return {folder.name: Package(folder.name, folder) for folder in folders}

    @cached_property
    def units(self) -> dict[str, Unit]:
        """Units and drop-ins of the overlay, by file name (drop-ins as UNIT.d/NAME)."""
        base = self.overlay / "usr/lib/systemd/system"
        plain = [path for path in sorted(base.iterdir()) if path.is_file() and not path.is_symlink()]
        drop_ins = sorted(base.glob("*.d/*.conf"))
        return {str(path.relative_to(base)): Unit(path) for path in [*plain, *drop_ins]}

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """The users table: name -> fields (groups-only lines under their group's name)."""
        text = self.packages["allobox"].text(".mk")
        table = re.search(r"^define ALLOBOX_USERS\n(.*?)^endef", text, re.MULTILINE | re.DOTALL)
        rows = [line.split(None, 8) for line in (table[1] if table else "").splitlines() if line.strip()]
        return {(row[0] if row[0] != "-" else row[2]): row for row in rows}

    @cached_property
    def lock(self) -> dict[str, tuple[str, set[str]]]:
        """requirements.lock: package -> (version, sha256 of its archives)."""
        found: dict[str, tuple[str, set[str]]] = {}
        name = ""
        for line in (self.root / "requirements.lock").read_text().splitlines():
            if pin := re.match(r"([A-Za-z0-9._-]+)==(\S+)", line):
                name = pin[1].lower().replace("_", "-")
                found[name] = (pin[2], set())
            elif digest := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
                found[name][1].add(digest[1])
        return found

    @cached_property
    def project(self) -> dict[str, Any]:
        """pyproject.toml's [project]."""
        table: dict[str, Any] = tomllib.loads((self.root / "pyproject.toml").read_text())["project"]
        return table

    @cached_property
    def upstream(self) -> dict[str, str]:
        """Buildroot's own symbols that we use -> version it has there of a Python package, or ""."""
        rows = (
            line.split() for line in (self.board / "upstream-symbols.txt").read_text().splitlines() if line[:3] == "BR2"
        )
        return {row[0]: row[1] if len(row) > 1 else "" for row in rows}

    def files(self) -> Iterator[Path]:
        """Every file of the external tree and the overlay."""
        for top in (self.board, self.overlay):
            yield from (path for path in sorted(top.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)


def symbols(text: str) -> dict[str, str]:
    """A defconfig: symbol -> value ("n" where it is not set)."""
    found = dict(re.findall(r"^(BR2_\w+)=(.*)$", text, re.MULTILINE))
    return found | dict.fromkeys(re.findall(r"^# (BR2_\w+) is not set$", text, re.MULTILINE), "n")
