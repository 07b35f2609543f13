"""Gettext catalogues for every part that speaks to a person: the page, the mails, the announcements.

A domain's folder holds `<language>/LC_MESSAGES/<domain>.po`. `make` compiles them to `.mo`
(`python -m firmware.i18n`); where a `.mo` is missing or older than its `.po`, `translator` compiles
the `.po` into memory, so that a checkout, a test and the image read the same words.
"""

from __future__ import annotations

import gettext
import io
import sys
from functools import cache
from pathlib import Path

DEFAULT_LANGUAGE = "fr"


class CatalogueError(Exception):
    """A `.po` that cannot be read: names the file, the line and what is wrong."""


def compile_po(source: Path) -> bytes:
    """The `.mo` bytes of a `.po`; fuzzy entries are left out. CatalogueError names file and line."""
    # Only where no .mo was compiled: Babel costs 60 ms to import, and the core must not pay for it.
    from babel.core import UnknownLocaleError  # noqa: PLC0415
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import PoFileError, read_po  # noqa: PLC0415

    try:
        with source.open("rb") as stream:
            # The folder names the language; Babel writes no plural rule without one.
            catalogue = read_po(stream, locale=source.parent.parent.name, abort_invalid=True)
    except PoFileError as error:
        msg = f"{source}, line {error.lineno + 1}: {error}"
        raise CatalogueError(msg) from error
    except (UnknownLocaleError, ValueError) as error:
        msg = f"{source}: {error}"
        raise CatalogueError(msg) from error
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    return compiled.getvalue()


def compile_catalogues(root: Path) -> list[Path]:
    """Write the `.mo` beside every `LC_MESSAGES/*.po` under `root`; returns those written."""
    written: list[Path] = []
    for source in sorted(root.rglob("LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if _fresh(source, target):
            continue
        # A reader in another process sees the old file or the whole new one.
        draft = target.with_suffix(".mo.new")
        draft.write_bytes(compile_po(source))
        draft.replace(target)
        written.append(target)
    return written


def translator(domain_dir: Path, domain: str, language: str) -> gettext.NullTranslations:
    """The words of `domain` in `language` ("fr", "en", "fr-CA", "en_GB.UTF-8").

    Falls back from a regional language to its base, then to French; a domain that has no catalogue
    at all answers each message with itself.
    """
    base = language.replace("-", "_").split(".")[0]
    for candidate in dict.fromkeys((base, base.split("_")[0].lower(), DEFAULT_LANGUAGE)):
        folder = domain_dir / candidate / "LC_MESSAGES"
        if (folder / f"{domain}.po").is_file() or (folder / f"{domain}.mo").is_file():
            return _load(folder / f"{domain}.po")
    return gettext.NullTranslations()


@cache
def _load(source: Path) -> gettext.GNUTranslations:
    target = source.with_suffix(".mo")
    compiled = target.read_bytes() if _fresh(source, target) else compile_po(source)
    return gettext.GNUTranslations(io.BytesIO(compiled))


def _fresh(source: Path, target: Path) -> bool:
    """Whether the `.mo` may stand for the `.po` (an image may ship only the `.mo`)."""
    if not target.is_file():
        return False
    return not source.is_file() or target.stat().st_mtime_ns >= source.stat().st_mtime_ns


def main() -> None:
    """`python -m firmware.i18n`: compile what changed, tell what was written."""
    try:
        written = compile_catalogues(Path(__file__).parent)
    except CatalogueError as error:
        sys.exit(str(error))
    for path in written:
        sys.stdout.write(f"compiled {path}\n")


if __name__ == "__main__":
    main()
