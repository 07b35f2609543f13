"""What stands in a provider's prefix cell: one prefix, a list, a range, as spreadsheets wrote them. Pure.

One prefix: `33`, `+33`, `0033`, `33 6 1`, `33 (0)6`, `="0033"`, a short number with its country (`FR3699`).
A list: `3361, 3362 / 3363; 3364`; spaces alone part prefixes of three digits and more that begin alike
(`3361 3362`), and otherwise are how people write one number.
A range: `32484-32487`, `32484-7`; kept as the fewest prefixes that cover it (`3360-3369` is 336).
"""

from __future__ import annotations

import re
from functools import lru_cache

from firmware.rates.columns import CellError, read_prefix

MAX_IN_CELL = 1000
MAX_DIGITS = 15

_PLAIN = re.compile(r"[1-9][0-9]{0,14}")
_AS_TEXT = re.compile(r'="([^"]*)"')
_PARTS = re.compile(r"[,;/|]")
_RANGE = re.compile(r"([^-–]*[0-9])\s*[-–]\s*(\+?[0-9][0-9 ]*)")
_TRUNK = re.compile(r"\(0\)")
_BETWEEN = re.compile(r"[\s\u00a0\u202f]+")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+")


def read_prefixes(text: str, country_code: str = "", to: str = "", *, listed: bool = False) -> tuple[str, ...]:
    """The prefixes of a cell, in its order; `country_code` stands before each, `to` ends a range. Raises CellError.

    `336,337` may be two prefixes or 336337 as a spreadsheet shows it: an error, unless they are known to be `listed`.
    """
    if not country_code and not to and _PLAIN.fullmatch(text):
        return (text,)
    return _read(text, country_code, to, listed)


def cover(first: str, last: str) -> tuple[str, ...]:
    """The fewest prefixes whose numbers are those from `first` to `last`. ValueError if these make no range."""
    if len(first) != len(last) or first > last:
        msg = f"{first}-{last} is no range"
        raise ValueError(msg)
    found: list[str] = []
    _cover(first, last, found)
    return tuple(found)


@lru_cache(maxsize=4096)
def _read(text: str, country_code: str, to: str, listed: bool) -> tuple[str, ...]:  # noqa: FBT001
    base = _one(country_code) if country_code else ""
    if to:
        return _range(text, _bare(text, base), _bare(to, base), base)
    if not base and not listed and _THOUSANDS.fullmatch(text):
        cause = f"{text[:40]!r} is a list or has separators of thousands; map the column as prefix:list if it is a list"
        raise CellError("prefix-thousands", cause)
    found: list[str] = []
    for part in _PARTS.split(_unquoted(text)):
        found += _part(text, part.strip(), base)
        if len(found) > MAX_IN_CELL:
            raise CellError("prefix-many", f"the cell {text[:40]!r} holds more than {MAX_IN_CELL} prefixes")
    if not found:
        raise CellError("prefix", "the prefix is missing")
    return tuple(dict.fromkeys(found))


def _part(text: str, part: str, base: str) -> list[str]:
    if not part:
        if base and not text.strip():
            return [base]  # a whole country beside its area codes
        cause = f"a prefix is missing in {text[:40]!r}" if text.strip() else "the prefix is missing"
        raise CellError("prefix", cause)
    span = _RANGE.fullmatch(part)
    if span:
        return list(_range(text, _bare(span[1], base), _end(_bare(span[1], base), _bare(span[2], base)), base))
    words = part.split()
    if len(words) > 1 and _alike(words):
        return [_one(base + _bare(word, base)) for word in words]
    return [_one(base + _bare(part, base))]


def _range(text: str, first: str, last: str, base: str) -> tuple[str, ...]:
    if not (first.isascii() and first.isdecimal() and last.isascii() and last.isdecimal()):
        raise CellError("prefix", f"the range {text[:40]!r} is not two prefixes of digits")
    if len(first) != len(last):
        cause = f"the range {text[:40]!r} goes from {len(first)} digits to {len(last)}; both ends have as many"
        raise CellError("prefix-range", cause)
    if first > last:
        raise CellError("prefix-range", f"the range {text[:40]!r} ends before it begins")
    if len(base + first) > MAX_DIGITS:
        raise CellError("prefix-range", f"the range {text[:40]!r} has prefixes of more than {MAX_DIGITS} digits")
    _one(base + first)
    if not base and first[0] == "0":
        raise CellError("prefix-range", f"the range {text[:40]!r} begins with 0")
    return tuple(base + prefix for prefix in cover(first, last))


def _cover(first: str, last: str, found: list[str]) -> None:
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    if set(first[same:]) <= {"0"} and set(last[same:]) <= {"9"}:
        if same:
            found.append(first[:same])
        else:
            found += [str(digit) for digit in range(1 if first[0] == "0" else 0, 10)]
        return
    head, low, high = first[:same], first[same], last[same]
    rest = len(first) - same - 1
    if set(first[same + 1 :]) - {"0"}:
        _cover(first, head + low + "9" * rest, found)
        low = chr(ord(low) + 1)
    whole = high if not set(last[same + 1 :]) - {"9"} else chr(ord(high) - 1)
    found += [head + chr(digit) for digit in range(ord(low), ord(whole) + 1)]
    if whole != high:
        _cover(head + high + "0" * rest, last, found)


def _end(first: str, last: str) -> str:
    """`7` after `32484` is 32487: what is left out is as in the first."""
    return first[: len(first) - len(last)] + last if len(last) < len(first) - 1 or len(last) == 1 else last


def _alike(words: list[str]) -> bool:
    bare = [_bare(word, "") for word in words]
    return all(len(word) > 2 and word.isdecimal() for word in bare) and len({word[:2] for word in bare}) == 1  # noqa: PLR2004


def _unquoted(text: str) -> str:
    """Excel's `="0033"`: digits kept as text."""
    found = _AS_TEXT.fullmatch(text)
    return found[1] if found else text


def _bare(text: str, base: str) -> str:
    """Digits without +, 00, (0), spaces; the country's own letters stay."""
    plain = _BETWEEN.sub("", _TRUNK.sub("", _unquoted(text).removeprefix("'")))
    if plain.startswith("+"):
        plain = plain[1:]
    elif plain.startswith("00") and not base:
        plain = plain[2:]
    return plain


def _one(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    try:
        return read_prefix(_bare(text, ""))
    except CellError:
        read_prefix(text)  # its words are of the cell as it stands
        raise
