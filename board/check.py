"""`python -m board.check`: all of the image that can be validated without building it.

One line a check, then a summary; exit code 1 when any failed. What it cannot know (whether the image
builds and boots) is said in docs/hardware.md.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from board import check_boot, check_buildroot, check_system
from board.tree import Tree

Check = Callable[[Tree], Iterator[str]]

CHECKS: tuple[Check, ...] = (
    check_buildroot.external_tree,
    check_buildroot.packages,
    check_buildroot.versions,
    check_buildroot.runtime,
    check_buildroot.symbols_exist,
    check_buildroot.paths_exist,
    check_boot.partitions,
    check_boot.boot_counters,
    check_boot.bundles,
    check_boot.consoles,
    check_boot.pins,
    check_boot.sound,
    check_boot.serial_hats,
    check_system.commands,
    check_system.units_verify,
    check_system.units_wanted,
    check_system.users,
    check_system.sockets,
    check_system.core_unit,
    check_system.packet_filter,
    check_system.ssh,
    check_system.no_secrets,
    check_system.scripts,
)
_TOOLS = {"systemd-analyze": "units were only read", "nft": "the packet filter was only read"}


def problems(check: Check, tree: Tree) -> list[str]:
    """What a check finds wrong; a file that is missing or unreadable is found, not raised."""
    try:
        return list(check(tree))
    except (OSError, ValueError, KeyError, IndexError) as error:
        return [f"could not be read: {type(error).__name__}: {error}"]


def differences(tree: Tree) -> list[str]:
    """Python packages that Buildroot has in another version than the tests ran with."""
    odd: list[str] = []
    for symbol, version in tree.upstream.items():
        name = symbol.removeprefix("BR2_PACKAGE_PYTHON_").lower().replace("_", "-")
        name = {"alsaaudio": "pyalsaaudio", "serial": "pyserial"}.get(name, name)
        replaced = f"python-{name}-allobox" in tree.packages
        if version and not replaced and name in tree.lock and tree.lock[name][0] != version:
            odd.append(f"{name} {version} ({tree.lock[name][0]})")
    return odd


def main(arguments: Sequence[str]) -> int:
    """Check the checkout that ARGUMENTS names, or this one."""
    tree = Tree(Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1])
    failed = 0
    for check in CHECKS:
        found = problems(check, tree)
        failed += bool(found)
        summary = " ".join((check.__doc__ or "").split("\n\n")[0].split())
        click.echo(f"{'FAILED' if found else 'ok    '}  {check.__name__}: {summary}")
        for problem in found:
            click.echo(f"          {problem}")
    for tool, loss in _TOOLS.items():
        if shutil.which(tool) is None and not Path(f"/usr/sbin/{tool}").exists():
            click.echo(f"note    no {tool} here: {loss}")
    if odd := differences(tree):
        click.echo(f"note    Buildroot's version (the tests'): {', '.join(odd)}")
    click.echo("note    nothing was built and nothing booted: docs/hardware.md says what that leaves open")
    click.echo(
        f"image-check: {len(CHECKS) - failed} of {len(CHECKS)} checks passed" + (f", {failed} FAILED" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
