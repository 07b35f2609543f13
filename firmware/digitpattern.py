r"""Can these digits still grow into a number? Prefix matching for phonenumbers' patterns.

Pure. `re` tells whether a whole number matches, not whether a beginning could. `beginnings` rewrites
a pattern into one that matches every beginning of what the pattern matches. It knows the syntax that
phonenumbers' metadata use and no more: digits, `\\d`, `[..]`, `(?:..)`, `|`, `?`, `{n}`, `{n,m}`.
"""

from __future__ import annotations

import re
from functools import cache

_REPEAT = re.compile(r"\{(\d+)(?:,(\d+))?\}|\?")


class PatternError(ValueError):
    """A pattern that uses syntax this module does not know."""


@cache
def beginnings(pattern: str) -> re.Pattern[str]:
    """A compiled pattern whose `fullmatch` accepts each beginning of what `pattern` accepts."""
    beginning, _, end = _alternatives(pattern, 0)
    if end != len(pattern):
        raise PatternError(f"pattern {pattern!r}: unexpected {pattern[end]!r} at {end}")
    return re.compile(beginning)


# Each parser returns (regex of the beginnings, regex of the whole, where it stopped).


def _alternatives(pattern: str, at: int) -> tuple[str, str, int]:
    begun: list[str] = []
    whole: list[str] = []
    while True:
        beginning, entire, at = _sequence(pattern, at)
        begun.append(beginning)
        whole.append(entire)
        if pattern[at : at + 1] != "|":
            return f"(?:{'|'.join(begun)})", f"(?:{'|'.join(whole)})", at
        at += 1


def _sequence(pattern: str, at: int) -> tuple[str, str, int]:
    parts: list[tuple[str, str]] = []
    while at < len(pattern) and pattern[at] not in "|)":
        beginning, entire, at = _item(pattern, at)
        parts.append((beginning, entire))
    begun = ""
    for beginning, entire in reversed(parts):
        # Stopped inside this part, or past it and inside what follows.
        begun = f"(?:{beginning}|{entire}{begun})" if begun else beginning
    return begun, "".join(entire for _, entire in parts), at


def _item(pattern: str, at: int) -> tuple[str, str, int]:
    beginning, entire, at = _atom(pattern, at)
    repeat = _REPEAT.match(pattern, at)
    if repeat is None:
        return beginning, entire, at
    most = int(repeat[2] or repeat[1] or 1)
    begun = f"{entire}{{0,{max(most - 1, 0)}}}{beginning}"
    return begun, entire + repeat[0], repeat.end()


def _atom(pattern: str, at: int) -> tuple[str, str, int]:
    if pattern.startswith("(?:", at):
        beginning, entire, end = _alternatives(pattern, at + 3)
        if pattern[end : end + 1] != ")":
            raise PatternError(f"pattern {pattern!r}: the group at {at} is not closed")
        return beginning, entire, end + 1
    if pattern.startswith("\\d", at):
        end = at + 2
    elif pattern[at] == "[":
        end = pattern.index("]", at) + 1
    elif pattern[at].isdigit():
        end = at + 1
    else:
        raise PatternError(f"pattern {pattern!r}: unknown syntax {pattern[at]!r} at {at}")
    return pattern[at:end] + "?", pattern[at:end], end
