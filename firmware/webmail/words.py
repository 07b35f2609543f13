"""Words for people, and text from strangers made harmless.

A caller's name and a server's reply come from whoever wrote them: before they stand in a mail, a
header or a status they lose line breaks, control and text-direction characters, and their excess.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from firmware.i18n import translator

Translator = Callable[[str], str]
MAX_SERVER_WORDS = 300
_CATALOGUES = Path(__file__).parent / "translations"
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BASE64 = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")
_MAX_MARKS = 2  # combining marks in a row: enough for every living script, too few to smear a line


def speak(language: str) -> Translator:
    """The words of the mail part in `language` ("fr", "en"; anything else French)."""
    return translator(_CATALOGUES, "mail", language or "fr").gettext


def is_plain(text: str) -> bool:
    """Whether `text` is one line without control or text-direction characters."""
    return all(unicodedata.category(character) not in _HARMFUL for character in text)


def clean(text: str, limit: int) -> str:
    """`text` as one harmless line of at most `limit` characters, an ellipsis where it was cut."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[: 8 * limit]):
        category = unicodedata.category(character)
        if category in {"Mn", "Me"}:
            marks += 1
            if marks > _MAX_MARKS:
                continue
        else:
            marks = 0
        if category == "Cf":
            continue
        kept.append(" " if category in _HARMFUL else character)
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def server_words(raw: bytes | str, secret: str) -> str:
    """A server's reply for a person to read; the password never, should the server repeat it."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = text[: 4 * MAX_SERVER_WORDS]
    if secret:
        text = _BASE64.sub(lambda found: "***" if _holds(found[0], secret) else found[0], text.replace(secret, "***"))
    return clean(text, MAX_SERVER_WORDS)


def _holds(encoded: str, secret: str) -> bool:
    """Whether this base64 is (or would be, cut short) that of the secret, alone or in a SASL message."""
    try:
        decoded = base64.b64decode(encoded[: len(encoded) // 4 * 4])
    except ValueError:
        return False
    kept = secret.encode()[:-2] or secret.encode()  # the last bytes may have been cut off above
    return kept in decoded
