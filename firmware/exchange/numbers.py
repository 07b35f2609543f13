"""The numbers that the test exchange serves, and what happens on each: the one table.

Documentation, the page and the exchange all read it. Nothing here calls: a service is a sequence
of steps, which `switch` carries out. The 01 99 00 xx xx numbers are the range that ARCEP sets
aside for fiction, so no real subscriber has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """A SIP answer: 180, 183 (with media), 200, or a refusal with its Q.850 cause (RFC 3326)."""

    code: int
    q850: int | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a sentence; the next step follows when it has been said."""

    text: str
    language: str = "fr"


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait in silence."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Tell the time, again and again."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Give back what is heard, with no delay of its own."""


@dataclass(frozen=True, slots=True)
class Milliwatt:
    """1004 Hz at 0 dBm0, the tone that lines are measured with."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call from this side."""


@dataclass(frozen=True, slots=True)
class CallBack:
    """Once the caller has hung up: wait, then call back as `name` and `number`, and do `then`."""

    seconds: float
    name: str
    number: str
    then: tuple[Step, ...]


Step = Reply | Say | Pause | Clock | Echo | Milliwatt | HangUp | CallBack


@dataclass(frozen=True, slots=True)
class Number:
    """One number: as it is dialled, as people write it, what it does (French, English), its steps."""

    digits: str
    written: str
    french: str
    english: str
    steps: tuple[Step, ...]


_ANSWER = Reply(200)

NUMBERS: tuple[Number, ...] = (
    Number("3699", "3699", "l'horloge parlante", "the speaking clock", (_ANSWER, Clock())),
    Number("0199000001", "01 99 00 00 01", "l'écho : vous vous entendez", "echo: you hear yourself", (_ANSWER, Echo())),
    Number(
        "0199000002",
        "01 99 00 00 02",
        "vous rappelle cinq secondes après que vous avez raccroché",
        "calls you back five seconds after you hang up",
        (
            _ANSWER,
            CallBack(
                5,
                "Mamie Jeanne",
                "+33142685300",
                (
                    Pause(0.5),
                    Say("Allô ? Ici Mamie Jeanne. Votre téléphone sonne et m'entend. Dites-moi quelque chose."),
                    Echo(),
                ),
            ),
            Say("Raccrochez : on vous rappelle dans cinq secondes."),
            Pause(20),
            HangUp(),
        ),
    ),
    Number("0199000003", "01 99 00 00 03", "toujours occupé", "always busy", (Reply(486, 17),)),
    Number("0199000004", "01 99 00 00 04", "sonne sans réponse", "rings, never answers", (Reply(180),)),
    Number("0199000005", "01 99 00 00 05", "numéro non attribué", "unassigned number", (Reply(404, 1),)),
    Number(
        "0199000006",
        "01 99 00 00 06",
        "le milliwatt : 1004 Hz à 0 dBm0",
        "the milliwatt: 1004 Hz at 0 dBm0",
        (_ANSWER, Milliwatt()),
    ),
    Number(
        "0199000007",
        "01 99 00 00 07",
        "un message avant tout décroché (183), puis un refus",
        "an announcement before any answer (183), then a refusal",
        (
            Reply(183),
            Say("Ceci est un message diffusé avant le décroché : il ne vous est pas facturé."),
            Reply(480, 18),
        ),
    ),
    Number(
        "0199000008",
        "01 99 00 00 08",
        "décroche, puis raccroche au bout de trois secondes",
        "answers, then hangs up after three seconds",
        (_ANSWER, Milliwatt(), Pause(3), HangUp()),
    ),
)

EMERGENCY = frozenset({"112", "15", "17", "18", "110", "114", "115", "116000", "116117", "119", "191", "196", "197"})

EMERGENCY_STEPS: tuple[Step, ...] = (
    _ANSWER,
    Pause(0.3),
    Say("Ceci est un central d'essai. Aucun secours ne vous entend. En cas d'urgence, prenez un autre téléphone."),
    Pause(0.5),
    Say("This is a test exchange. No help can hear you. In an emergency, use another telephone.", "en"),
    Pause(0.5),
    HangUp(),
)

UNKNOWN_STEPS: tuple[Step, ...] = (Reply(404, 1),)

_BY_DIGITS = {number.digits: number for number in NUMBERS}


def national(called: str) -> str:
    """The called number as dialled in France: +33199000001, 0033..., sip user parameters and spaces are taken off.

    Anything that is no number is "".
    """
    digits = re.sub(r"[ ().\-]", "", called.partition(";")[0])
    if not re.fullmatch(r"\+?[0-9*#]{1,32}", digits):
        return ""
    for prefix in ("+33", "0033"):
        if digits.startswith(prefix):
            rest = digits.removeprefix(prefix)
            # A short number may come written internationally too: +333699, +33112.
            return rest if rest in EMERGENCY or rest in _BY_DIGITS else f"0{rest}"
    return digits.removeprefix("+")


def steps_for(called: str) -> tuple[Step, ...]:
    """What happens to a call to `called`, the user part of a request's URI."""
    digits = national(called)
    if digits in EMERGENCY:
        return EMERGENCY_STEPS
    number = _BY_DIGITS.get(digits)
    return number.steps if number else UNKNOWN_STEPS


def table(language: str = "fr") -> list[tuple[str, str]]:
    """Number as written, and what it does, for people: rows of documentation and of the page."""
    return [(number.written, number.french if language == "fr" else number.english) for number in NUMBERS]


def sentences() -> set[Say]:
    """Every sentence of the table, to be rendered before anybody calls."""
    found: set[Say] = set()

    def collect(steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, Say):
                found.add(step)
            elif isinstance(step, CallBack):
                collect(step.then)

    for number in NUMBERS:
        collect(number.steps)
    collect(EMERGENCY_STEPS)
    return found
