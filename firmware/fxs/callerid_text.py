"""Names in the letters that telephones' displays show. Pure.

ETSI EN 300 659-3 asks for ISO 8859-1, GR-30 for ASCII; what displays of both kinds have in common is
printable ASCII. Accents are taken off, ligatures spelt out, Greek and Cyrillic written in Latin letters
(ELOT 743 and ICAO 9303, as far as single letters go: a display has 16 places, not a philologist's needs).
"""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_NAME: Final = 50
"""Longest name of a message (ETSI EN 300 659-3); GR-30's 15 is the country's setting."""

# What NFKD does not take apart, or takes apart into something that displays cannot show.
_SPELT: Final = (
    {"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h", "ŋ": "n"}
    | {"’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "–": "-", "—": "-", "…": "...", "€": "EUR"}
)  # fmt: skip
_GREEK: Final = dict(zip("αβγδεζηικλμνξοπρσςτυφω", "avgdeziiklmnxoprsstyfo", strict=True)) | {
    "θ": "th",
    "χ": "ch",
    "ψ": "ps",
}
_CYRILLIC: Final = dict(zip("абвгдезийклмнопрстуфыэѕіјґ", "abvgdeziiklmnoprstufyezijg", strict=True)) | {
    "ж": "zh",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ъ": "",
    "ь": "",
    "ю": "iu",
    "я": "ia",
    "є": "ie",
    "ї": "i",
    "ђ": "dj",
    "љ": "lj",
    "њ": "nj",
    "ћ": "c",
    "џ": "dz",
    "ё": "e",
}
_LOWER: Final = _SPELT | _GREEK | _CYRILLIC
_LETTERS: Final = str.maketrans(
    {letter.upper(): latin.capitalize() for letter, latin in _LOWER.items() if len(letter.upper()) == 1}
    | {"Œ": "OE", "Æ": "AE"}
    | _LOWER
)
_DIGRAPHS: Final = {"ου": "ou", "ού": "ou", "Ου": "Ou", "Ού": "Ou", "ΟΥ": "OU", "ΟΎ": "OU"}


def displayable(name: str, longest: int = MAX_NAME) -> str:
    """`name` in at most `longest` printable ASCII characters; what has no Latin spelling is dropped."""
    return " ".join(_latin(word) for word in name.split() if _latin(word))[:longest].rstrip()


def _latin(word: str) -> str:
    whole = unicodedata.normalize("NFC", word)
    for greek, latin in _DIGRAPHS.items():
        whole = whole.replace(greek, latin)
    spelt = whole.translate(_LETTERS)
    # The accents come off now; the base letters that were hidden under them are spelt after that.
    base = "".join(letter for letter in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(letter))
    shown = "".join(letter for letter in base.translate(_LETTERS) if " " <= letter <= "~").strip()
    # Щука is Shchuka, but ЩУКА is SHCHUKA.
    return shown.upper() if len(word) > 1 and word.isupper() else shown
