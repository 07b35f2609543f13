"""The line doctor's report in a person's words, French or English: for the page and the command line.

The report (`service.DoctorRow`) has figures, grades and keys; the catalogue `doctor` has the sentences
by those keys: `ITEM.SIDE` what was found, `ITEM.SIDE.do` what to do, `GROUP.GRADE` what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware.i18n import translator

LANGUAGES = ("fr", "en")
GRADES = ("good", "fair", "bad")
UNMEASURED = "none"

_TRANSLATIONS = Path(__file__).parent / "translations"
_MINUS = "\N{MINUS SIGN}"
GROUPS: Mapping[str, str] = {
    "pulse-speed": "dial",
    "pulse-ratio": "dial",
    "pulse-spread": "dial",
    "pulse-bounce": "dial",
    "cradle-bounce": "cradle",
    "flash": "flash",
    "tone-level": "keys",
    "tone-twist": "keys",
    "tone-frequency": "keys",
    "tone-length": "keys",
    "noise": "sound",
    "hum": "sound",
    "offset": "sound",
    "clipping": "sound",
    "echo": "echo",
}
"""Which items are measured, and matter, together."""


@dataclass(frozen=True, slots=True)
class Told:
    """One finding: its name, its grade as a key and in a word, and one to three sentences."""

    item: str
    grade: str
    name: str
    grade_word: str
    sentences: tuple[str, ...]


def words(language: str, key: str, **values: str) -> str:
    """The sentence `key`, its %(names)s filled in; the key itself where no catalogue has it."""
    said = translator(_TRANSLATIONS, "doctor", language).gettext(key)
    return said % values if values else said


def known(language: str, key: str) -> bool:
    """Whether the catalogue has this sentence."""
    return words(language, key) != key


def figure(value: float, decimals: int, language: str) -> str:
    """A figure as the language writes it: 7,6 or 7.6; a true minus sign; no -0."""
    shown = f"{round(value, decimals) + 0.0:.{decimals}f}"
    if language.startswith("fr"):
        shown = shown.replace(".", ",")
    return shown.replace("-", _MINUS)


def findings(report: Mapping[str, Any], language: str) -> list[Told]:
    """What was measured, in the report's order, the worst first of what is not good."""
    told = [_told(finding, language) for finding in report["findings"] if finding["grade"] in GRADES]
    return sorted(told, key=lambda row: -GRADES.index(row.grade))


def unmeasured(report: Mapping[str, Any], language: str) -> list[str]:
    """Why the rest was not measured, a sentence a group."""
    missing = {GROUPS.get(finding["item"], "") for finding in report["findings"] if finding["grade"] == UNMEASURED}
    measured = {GROUPS.get(finding["item"], "") for finding in report["findings"] if finding["grade"] in GRADES}
    # Of a group that was measured in part, the rest is told by nobody's missing it: one pulse has no speed.
    ordered = [group for group in dict.fromkeys(GROUPS.values()) if group in missing]
    return [words(language, f"{group}.{'part' if group in measured else UNMEASURED}") for group in ordered]


def summary(report: Mapping[str, Any], language: str) -> tuple[str, str]:
    """The worst grade, and one sentence about it all."""
    grades = [finding["grade"] for finding in report["findings"]]
    worst = next((grade for grade in reversed(GRADES) if grade in grades), UNMEASURED)
    return worst, words(language, f"summary.{worst}")


def _told(finding: Mapping[str, Any], language: str) -> Told:
    item, grade, side = str(finding["item"]), str(finding["grade"]), str(finding["side"])
    decimals = int(finding["decimals"])
    low, high = finding["good"]
    values = {
        "value": figure(float(finding["value"]), decimals, language),
        "low": "" if low is None else figure(float(low), _fewest(low, decimals), language),
        "high": "" if high is None else figure(float(high), _fewest(high, decimals), language),
        "where": str(finding["where"]),
    }
    sentences = [words(language, f"{item}.{side}", **values)]
    if side != "ok":
        sentences.append(words(language, f"{GROUPS[item]}.{grade}"))
        sentences.append(words(language, f"{item}.{side}.do"))
    return Told(item, grade, words(language, f"name.{item}"), words(language, f"grade.{grade}"), tuple(sentences))


def _fewest(value: float, decimals: int) -> int:
    """9 rather than 9.0, but 1.5 as it is."""
    return 0 if float(value).is_integer() else decimals
