"""CSV cells that a spreadsheet shows and does not run.

A cell that begins with `=`, `+`, `-`, `@` or a control is a formula to Excel and its kin, and to some with a wide form
of these signs too (U+FF1D); a leading apostrophe makes it text. Telephone numbers such as +33 1 42 68 53 00 are left
readable: the worst a spreadsheet makes of them is a number.
"""

from __future__ import annotations

import re
import unicodedata

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(?:[ .,][0-9]+)*")


def safe_cell(text: str) -> str:
    """`text`, with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if _dangerous(text) and not _PLAIN_NUMBER.fullmatch(text) else text


def plain_cell(text: str) -> str:
    """What `safe_cell` was given."""
    return text[1:] if text.startswith("'") and _dangerous(text[1:]) else text


def _dangerous(text: str) -> bool:
    return unicodedata.normalize("NFKC", text[:1]).startswith(_DANGEROUS)
