"""Checks of the Buildroot external tree: does it hang together, and does it match the lock?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from board.tree import EXTERNAL, Package, Tree, symbols

# What a Python package of the lock is called in Buildroot where the rule (python-NAME) does not hold.
_NAMES = {
    "pyalsaaudio": "PYTHON_ALSAAUDIO",
    "pyserial": "PYTHON_SERIAL",
    "gpiozero": "PYTHON_GPIOZERO_ALLOBOX",
    "pjsua2-python": "PJSUA2_PYTHON",
}
_NOT_IN_THE_IMAGE = {"setuptools"}  # builds the package, on the build machine
_SCRIPTS = ("POST_BUILD_SCRIPT", "POST_IMAGE_SCRIPT", "_FILE", "_FILES", "_SOURCE", "_OVERLAY")


def external_tree(tree: Tree) -> Iterator[str]:
    """external.desc names ALLOBOX, external.mk reads the packages, Config.in sources each of them."""
    if not re.search(r"^name: ALLOBOX$", (tree.board / "external.desc").read_text(), re.MULTILINE):
        yield "external.desc: the name must be ALLOBOX"
    if "$(BR2_EXTERNAL_ALLOBOX_PATH)/package/*/*.mk" not in (tree.board / "external.mk").read_text():
        yield "external.mk does not include package/*/*.mk"
    sourced = re.findall(r'source "\$BR2_EXTERNAL_ALLOBOX_PATH/([^"]+)"', (tree.board / "Config.in").read_text())
    yield from (
        f"Config.in sources {path}, which is not there" for path in sourced if not (tree.board / path).is_file()
    )
    wanted = {f"package/{name}/Config.in" for name in tree.packages}
    yield from (f"Config.in does not source {path}" for path in sorted(wanted - set(sourced)))


def packages(tree: Tree) -> Iterator[str]:
    """Each package has Config.in with its symbol, a .mk that builds, and hashes for all that it fetches."""
    for name, package in tree.packages.items():
        if f"config {package.symbol}\n" not in package.text("Config.in"):
            yield f"{name}: Config.in does not define {package.symbol}"
        if not re.search(r"^\$\(eval \$\([a-z-]+-package\)\)$", package.text(".mk"), re.MULTILINE):
            yield f"{name}: {name}.mk builds nothing"
        for needed in ("VERSION", "SITE", "LICENSE", "LICENSE_FILES"):
            if needed not in package.variables:
                yield f"{name}: {package.prefix}_{needed} is missing"
        yield from _hashes(package)


def _hashes(package: Package) -> Iterator[str]:
    variables = package.variables
    if variables.get("SITE_METHOD") == "local":
        return  # nothing is fetched
    if "HASH_FILES" in variables:
        # Another package's: then version, archive and hash must all be that one's.
        other = variables["HASH_FILES"].removeprefix("$(").removesuffix("_HASH_FILES)")
        for part in ("VERSION", "SOURCE", "SITE"):
            if variables.get(part) != f"$({other}_{part})":
                yield f"{package.name}: its hash is {other}'s but its {part} is not"
        return
    source = package.expand(variables.get("SOURCE", f"{package.name}-$({package.prefix}_VERSION).tar.gz"))
    for file in [source, *variables.get("LICENSE_FILES", "").split()]:
        if not re.fullmatch("[0-9a-f]{64}", package.hashes.get(file, "")):
            yield f"{package.name}: {package.name}.hash has no sha256 of {file}"


def versions(tree: Tree) -> Iterator[str]:
    """Version and archive of our Python packages are those of requirements.lock; allobox is pyproject's."""
    if tree.packages["allobox"].variables.get("VERSION") != tree.project["version"]:
        yield f"allobox: ALLOBOX_VERSION is not pyproject.toml's {tree.project['version']}"
    for name, package in tree.packages.items():
        if not name.startswith("python-"):
            continue
        version = package.variables.get("VERSION", "")
        source = package.expand(package.variables.get("SOURCE", ""))
        python = re.sub(rf"-{re.escape(version)}\.tar\.gz$", "", source).lower().replace("_", "-")
        if python not in tree.lock:
            yield f"{name}: requirements.lock has no {python!r}"
            continue
        pinned, digests = tree.lock[python]
        if version != pinned:
            yield f"{name}: version {version}, but requirements.lock pins {python} {pinned}"
        elif package.hashes.get(source) not in digests:
            yield f"{name}: the sha256 of {source} is none of requirements.lock's"


def runtime(tree: Tree) -> Iterator[str]:
    """Every dependency of pyproject.toml is selected by the package allobox."""
    selected = set(re.findall(r"^\tselect (BR2_\w+)", tree.packages["allobox"].text("Config.in"), re.MULTILINE))
    for requirement in tree.project["dependencies"]:
        name = re.split(r"[;<>=! ]", requirement)[0].lower()
        symbol = f"BR2_PACKAGE_{_NAMES.get(name, 'PYTHON_' + name.upper().replace('-', '_'))}"
        if name not in _NOT_IN_THE_IMAGE and symbol not in selected:
            yield f"allobox: Config.in does not select {symbol}, which pyproject.toml's {name!r} needs"


def symbols_exist(tree: Tree) -> Iterator[str]:
    """Every symbol that a defconfig sets, or a Config.in selects or depends on, is ours or known upstream."""
    ours = {
        symbol
        for package in tree.packages.values()
        for symbol in re.findall(r"^config (BR2_\w+)", package.text("Config.in"), re.MULTILINE)
    }
    known = ours | set(tree.upstream)
    for path in tree.defconfigs:
        text = path.read_text()
        yield from (f"{path.name}: no such symbol: {name}" for name in symbols(text) if name not in known)
        lines = re.findall(r"^(?:# )?(BR2_\w+)(?:=| is not set)", text, re.MULTILINE)
        yield from (f"{path.name}: {name} is set twice" for name in sorted({n for n in lines if lines.count(n) > 1}))
        if symbols(text).get("BR2_PACKAGE_ALLOBOX") != "y":
            yield f"{path.name}: BR2_PACKAGE_ALLOBOX is not set"
    for package in tree.packages.values():
        used = re.findall(r"^\t(?:select|depends on) (.*?)(?:#.*)?$", package.text("Config.in"), re.MULTILINE)
        for name in sorted({symbol for line in used for symbol in re.findall(r"BR2_\w+", line)} - known):
            yield f"{package.name}: Config.in uses {name}, which nobody defines"


def paths_exist(tree: Tree) -> Iterator[str]:
    """Every file of the external tree that a defconfig names is there."""
    for path in tree.defconfigs:
        for symbol, value in symbols(path.read_text()).items():
            for word in value.strip('"').split():
                if word.startswith(EXTERNAL):
                    target = tree.board / word.removeprefix(EXTERNAL).lstrip("/")
                    if not target.exists():
                        yield f"{path.name}: {symbol} names {word}, which is not there"
