"""Who calls, from the INVITE's headers: pure. Untrusted text is cleaned and bounded here.

The order is RFC 3325's: P-Asserted-Identity (our provider's word), then From (the caller's own).
"""

from __future__ import annotations

import re
import unicodedata

from firmware.telephony.events import AbsenceReason, Caller
from firmware.telephony.sip.message import NameAddress, SipMessage, Uri, parse_name_address

MAX_TEXT = 128
_ASSERTED, _ASSERTED_CHARACTERS = 2, 512
_VISUAL = re.compile(r"[\s().\-/]")
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}")
_ANONYMOUS_USERS = frozenset({"anonymous", "anonyme", "unavailable", "unknown", "private", "restricted", "withheld"})


def caller_of(invite: SipMessage) -> Caller:
    """The caller: number as received (`+` kept, visual separators off) and name, or why there is none."""
    if _wants_privacy(invite):
        return Caller(None, None, AbsenceReason.PRIVATE)
    origin = invite.address("from")
    asserted = _asserted(invite)
    # A withheld caller may still be asserted inside the provider's network: From decides (RFC 3323 4.1.1.3).
    if origin is not None and origin.uri.host == "anonymous.invalid":
        return Caller(None, None, AbsenceReason.PRIVATE)
    candidates = [*asserted, *([origin] if origin else [])]
    number = next((n for n in (number_of(c.uri) for c in candidates) if n), None)
    name = next((n for n in (_name_of(c, number) for c in candidates) if n), None)
    if number is not None:
        return Caller(number, name)
    if origin is not None and origin.uri.user.lower() in _ANONYMOUS_USERS - {"unavailable", "unknown"}:
        return Caller(None, None, AbsenceReason.PRIVATE)
    return Caller(None, name, AbsenceReason.UNAVAILABLE)


def number_of(uri: Uri) -> str | None:
    """The telephone number in a URI's user part, or None when it is a name."""
    candidate = _VISUAL.sub("", uri.user)
    return candidate if _NUMBER.fullmatch(candidate) else None


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """`text` without control, format (bidi) or private characters, spaces gathered, at most `limit` long."""
    visible = "".join(" " if c.isspace() else c for c in text[: limit * 4] if c.isspace() or _shown(c))
    return " ".join(visible.split())[:limit]


def _shown(character: str) -> bool:
    # Cc control, Cf format (bidi overrides, zero width), Co private, Cs surrogate, Cn unassigned.
    return not unicodedata.category(character).startswith("C")


def _wants_privacy(invite: SipMessage) -> bool:
    values = ";".join(invite.headers.get("privacy", []) + invite.headers.get("rpid-privacy", []))
    wanted = {v.strip().lower() for v in re.split(r"[;,]", values)}
    return bool(wanted & {"id", "user", "header", "critical"}) and "none" not in wanted


def _asserted(invite: SipMessage) -> list[NameAddress]:
    found: list[NameAddress] = []
    # RFC 3325 9.1 knows two values at most; the search below takes the square of the length.
    for value in invite.headers.get("p-asserted-identity", [])[:_ASSERTED]:
        # Two values may share a line (a sip and a tel URI); a comma in a quoted name is no separator.
        for part in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", value[:_ASSERTED_CHARACTERS]):
            address = parse_name_address(part)
            if address is not None:
                found.append(address)
    return found


def _name_of(address: NameAddress, number: str | None) -> str | None:
    name = clean(address.name)
    # Many providers repeat the number as the name: that is no name.
    if not name or _VISUAL.sub("", name).lstrip("+") == (number or "").lstrip("+"):
        return None
    return None if name.lower() in _ANONYMOUS_USERS else name
