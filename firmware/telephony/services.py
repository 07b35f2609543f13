"""Service codes: what a caller dials to order something from the box rather than to call. Pure.

Two kinds. A *prefix* stands before a number and goes with that one call: hide or show the caller's
number. A *code* stands alone, `*...#`. Both are known here only by their digits; carrying them out is
`calls`' business. An emergency number behind a prefix is an emergency first, and its caller is shown.

Prefixes that hide: 3651 (France's "secret appel par appel"), and `#31#`, `*31#` and `*31*`. GSM telephones
hide with `#31#`, French fixed-line boxes with `*31#` or `*31*`; on GSM `*31#` would show instead. Somebody
who wants to hide and is shown is harmed, the other way round nearly nobody, and the box hides nobody for
good: so all of them hide. `*67` hides and `*82` shows, as on American adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from firmware import numbering
from firmware.numbering import Completeness, Dialled, NumberClass


@dataclass(frozen=True, slots=True)
class HideNumber:
    """Call `digits` without showing the caller's number."""

    digits: str


@dataclass(frozen=True, slots=True)
class ShowNumber:
    """Call `digits` and show the caller's number, whatever the settings."""

    digits: str


@dataclass(frozen=True, slots=True)
class SpeakSetupCode:
    """Speak the code that sets the page's password from another machine."""


@dataclass(frozen=True, slots=True)
class DiagnoseLine:
    """Measure this line and its telephone: the line doctor."""


@dataclass(frozen=True, slots=True)
class UnknownService:
    """No such code: say so."""

    code: str


@dataclass(frozen=True, slots=True)
class PlainNumber:
    """No service: a number to call."""

    digits: str


ServiceAction = HideNumber | ShowNumber | SpeakSetupCode | DiagnoseLine | UnknownService | PlainNumber

PREFIXES: Mapping[str, type[HideNumber | ShowNumber]] = {
    "3651": HideNumber,
    "#31#": HideNumber,
    "*31#": HideNumber,
    "*31*": HideNumber,
    "*67": HideNumber,
    "*82": ShowNumber,
}

DOCTOR_CODE = "*#36#"
"""36 is DO on the keys: doctor. `*#..#` asks how something is, as on GSM telephones (3GPP TS 22.030)."""

CODES: Mapping[str, type[SpeakSetupCode | DiagnoseLine]] = {
    "*00#": SpeakSetupCode,
    DOCTOR_CODE: DiagnoseLine,
}


def understand(dialled: str) -> ServiceAction:
    """What these digits, dialled in full, order."""
    prefix = _prefix(dialled)
    digits = dialled[len(prefix) :].removesuffix("#") if prefix is not None else ""
    if prefix is not None and digits.isdigit():
        return PREFIXES[prefix](digits)
    if dialled in CODES:
        return CODES[dialled]()
    if dialled[:1] in {"*", "#"}:
        return UnknownService(dialled)
    return PlainNumber(dialled.removesuffix("#"))


def analyse(dialled: str, country: str = "FR") -> Dialled:
    """`numbering.analyse`, aware of prefixes: status and kind of the number behind, digits as dialled.

    This is what a line asks at every digit: with a prefix alone the number is still to come.
    """
    prefix = _prefix(dialled)
    if prefix is None:
        return numbering.analyse(dialled, country)
    rest = dialled[len(prefix) :]
    if not rest:
        return Dialled(dialled, Completeness.INCOMPLETE, NumberClass.SERVICE, None, dialled, dialled)
    if rest[0] in {"*", "#"}:
        # `*67*0142685300#` is a code of its own, not a number behind *67.
        if prefix[0] == "*":
            return numbering.analyse(dialled, country)
        return Dialled(dialled, Completeness.INVALID, NumberClass.SERVICE, None, dialled, dialled)
    return replace(numbering.analyse(rest, country), digits=dialled)


def _prefix(dialled: str) -> str | None:
    return next((prefix for prefix in PREFIXES if dialled.startswith(prefix)), None)
