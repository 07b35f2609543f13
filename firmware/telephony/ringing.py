"""Which cadence an incoming call rings with. Pure.

The most particular wish wins, and of two wishes the household's own:

1. the caller, if the household gave the number a ring (`line.ring_callers`): the whole number before a
   prefix, a longer prefix before a shorter one;
2. Alert-Info of the INVITE (RFC 3261 20.4), which only an account's own servers can send;
3. the account's ring (`ring_pattern` of the account);
4. the line's ring (`line.ring_pattern`), which is the country's own unless it is set.

Alert-Info is what a provider or a PBX wrote: it is read for a few known words and names, and whatever
else it holds is ignored. An address in it is never opened (RFC 3261 20.4 warns of it).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NORMAL = "normal"
PATTERNS = (NORMAL, *(f"dr{number}" for number in range(1, 9)))
"""What may be chosen: the country's own ring, and eight distinctive ones (`ring.patterns` of a country)."""

WITHHELD, UNKNOWN = "anonymous", "unknown"
"""In place of a number: callers who withhold theirs, and those of whom no number came."""

MAX_ALERT_INFO = 512
"""Characters of Alert-Info that are read; the rest is ignored."""

MAX_CALLERS = 100
"""Rules for callers that a household may set."""

_RULE = re.compile(r"(?P<who>\+?[0-9]{1,20}\*?|anonymous|unknown)=(?P<pattern>[a-z0-9-]{1,16})")
_VISUAL = str.maketrans("", "", " .-()/\t")

# What PBXs write after `info=` (Broadsoft, Asterisk, Yealink, Grandstream agree on these).
_INFO = {"external": "dr1", "internal": "dr2", "group": "dr3", "community-1": "dr4", "community-2": "dr5"}
# RFC 7462 section 9: urn:alert:<category>:<indication>. A rarer indication follows its parent ("internal:x").
_URNS = {
    "service:normal": NORMAL,
    "service:forward": "dr4",
    "service:recall": "dr5",
    "service:auto-callback": "dr5",
    "service:crisis": "dr8",
    "source:unclassified": NORMAL,
    "source:external": "dr1",
    "source:internal": "dr2",
    "source:friend": "dr6",
    "source:family": "dr7",
    "priority:normal": NORMAL,
    "priority:high": "dr3",
    "priority:low": NORMAL,
}
# Each alternative reads a bounded piece, so the whole takes time in proportion to the text.
_WISH = re.compile(
    r"\bbellcore-d?r(?P<bellcore>[0-9]{1,4})\b"
    r"|\binfo\s?=\s?\"?\s?(?:ring-?(?P<ring>[0-9]{1,4})\b|alert-(?P<alert>[a-z0-9-]{1,20}))"
    r"|\burn:alert:(?P<urn>[a-z0-9:.-]{1,80})",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class CallerRule:
    """One caller's ring: `who` is digits with or without `+`, `WITHHELD` or `UNKNOWN`; `prefix`: what begins so."""

    who: str
    pattern: str
    prefix: bool = False


def parse_rule(text: str) -> CallerRule:
    """`+33142685300=dr2`, `0142*=dr3`, `anonymous=dr4`. Raises ValueError with what is wrong and what is wanted."""
    found = _RULE.fullmatch(text.translate(_VISUAL) if "=" in text and text[:1] in "+0123456789" else text.strip())
    if found is None:
        raise ValueError(
            f"{text[:60]!r} is no caller's ring: NUMBER=RING, a prefix ending in *, or anonymous or unknown for the "
            "number (for example +33142685300=dr2, 0142*=dr3, anonymous=dr4)"
        )
    who, pattern = found["who"], found["pattern"]
    if pattern not in PATTERNS:
        raise ValueError(f"{text[:60]!r}: there is no ring {pattern!r}; there are {', '.join(PATTERNS)}")
    prefix = who.endswith("*")
    who = who.removesuffix("*")
    # As a French telephone writes it: what one knows a foreign number by begins with 00.
    return CallerRule("+" + who[2:] if who.startswith("00") and len(who) > len("00") else who, pattern, prefix)


def of_caller(rules: Sequence[CallerRule], numbers: Sequence[str], *, withheld: bool) -> str | None:
    """The caller's own ring, or None. `numbers`: every form of his (+33142685300, 0142685300), none if none came."""
    if not numbers:
        wanted = WITHHELD if withheld else UNKNOWN
        return next((rule.pattern for rule in rules if rule.who == wanted), None)
    forms = {"+" + number[2:] if number.startswith("00") else number for number in numbers}
    fitting = [
        rule
        for rule in rules
        if rule.who in forms or (rule.prefix and any(number.startswith(rule.who) for number in forms))
    ]
    # Of two that say the same the first; a whole number before any prefix.
    best = max(fitting, key=lambda rule: (not rule.prefix, len(rule.who)), default=None)
    return best.pattern if best is not None else None


def of_alert_info(text: str) -> str | None:
    """The first ring that an Alert-Info header's value asks for in a language known here, or None.

    `<http://127.0.0.1/Bellcore-dr3>`, `;info=Ring2`, `info=alert-external`, `<urn:alert:source:internal>`
    (RFC 7462). Rings beyond eight are none.
    """
    for found in _WISH.finditer(text[:MAX_ALERT_INFO]):
        number = found["bellcore"] or found["ring"]
        if number is not None:
            pattern = f"dr{int(number)}" if 1 <= int(number) < len(PATTERNS) else None
        elif found["alert"] is not None:
            pattern = _INFO.get(found["alert"].lower())
        else:
            pattern = _of_urn(found["urn"].lower())
        if pattern is not None:
            return pattern
    return None


def _of_urn(name: str) -> str | None:
    """The nearest known indication, parent by parent: one that is not understood means what its parent does."""
    labels = name.strip(":.-").split(":")
    for end in range(len(labels), 1, -1):
        pattern = _URNS.get(":".join(labels[:end]))
        if pattern is not None:
            return pattern
    return None


@dataclass(frozen=True, slots=True)
class RingRules:
    """The household's wishes. `accounts`: account -> ring, "" where the account has none of its own."""

    callers: Sequence[CallerRule] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    line: str = NORMAL
    obey_alert_info: bool = True

    def choose(self, numbers: Sequence[str], *, withheld: bool = False, account: str = "", alert_info: str = "") -> str:
        """The ring of one call, one of `PATTERNS`, by the order told at the top of this module."""
        return (
            of_caller(self.callers, numbers, withheld=withheld)
            or (of_alert_info(alert_info) if self.obey_alert_info else None)
            or self.accounts.get(account)
            or self.line
        )
