"""What the sources say of each country's tones, written down beside the code under test and not read from it.

Sources: Asterisk's indications.conf.sample (frequencies, cadences), France Télécom's « Sonneries, tonalités et
numérotation » (French ringback), Mediatrix 4100 manual (DE, CH levels), ZyXEL IES-1248 manual (UK levels), spandsp's
global-tones.xml (US levels, SIT, French route tone), ATA makers' French profiles. Levels in dBm0 for each component.
Howlers of FR, BE, ES, IT, confirmation and all route tones but the French are from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

ENDLESS = 0.0


@dataclass(frozen=True)
class Part:
    """Sines (Hz -> dBm0) together for `ms`, ENDLESS for ever; none: silence."""

    sines: dict[int, float]
    ms: float


@dataclass(frozen=True)
class Fact:
    """Parts played once, then those that repeat."""

    once: list[Part]
    loop: list[Part]


def fact(dbm0: float, loop: str, once: str = "") -> Fact:
    """`350@-22+440 750 | 440 750`: hertz (with a level of its own), then ms (none: endless), for each part."""

    def parts(text: str) -> list[Part]:
        found = []
        for piece in filter(None, text.split("|")):
            sines, _, ms = piece.strip().partition(" ")
            pairs = [sine.partition("@") for sine in sines.split("+") if sine != "0"]
            found.append(Part({int(hz): float(own or dbm0) for hz, _, own in pairs}, float(ms or ENDLESS)))
        return found

    return Fact(parts(once), parts(loop))


_HOWLER = "1400+2060+2450+2600 100 | 0 100"
_SIX, _THREE = 6, 3


def _stutter(hz: str, times: int) -> str:
    return "|".join(f"{hz} 100 | 0 100" for _ in range(times))


def _confirmation(hz: str, dbm0: float) -> Fact:
    return fact(dbm0, "0 1000", f"{hz} 100 | 0 100 | {hz} 100 | 0 100 | {hz} 100")


FACTS: dict[str, dict[str, Fact]] = {
    "FR": {
        "dial": fact(-10, "440"),
        "special-dial": fact(-10, "330+440"),
        "stutter": fact(-10, "440", _stutter("440", _SIX)),
        "route": fact(-10, "440 50 | 0 50"),
        "ringback": fact(-8, "440 1500 | 0 3500"),
        "busy": fact(-10, "440 500 | 0 500"),
        "congestion": fact(-10, "440 250 | 0 250"),
        "sit": fact(-12, "950 300 | 0 30 | 1400 300 | 0 30 | 1800 300 | 0 1000"),
        "howler": fact(-10, _HOWLER),
        "call-waiting": fact(-13, "440 300 | 0 10000"),
        "confirmation": _confirmation("440", -10),
    },
    "DE": {
        "dial": fact(-16, "425"),
        "special-dial": fact(-16, "400+425"),
        "stutter": fact(-16, "425", _stutter("425", _THREE)),
        "route": fact(-16, "425 50 | 0 50"),
        "ringback": fact(-16, "425 1000 | 0 4000"),
        "busy": fact(-16, "425 480 | 0 480"),
        "congestion": fact(-16, "425 240 | 0 240"),
        "sit": fact(-16, "950 333 | 1400 333 | 1800 333 | 0 1000"),
        "howler": fact(-19, _HOWLER),
        "call-waiting": fact(-16, "425 200 | 0 200 | 425 200 | 0 5000"),
        "confirmation": _confirmation("425", -16),
    },
    "UK": {
        "dial": fact(-18, "350@-22+440@-18"),
        "special-dial": fact(-18, "350@-22+440 750 | 440 750"),
        "stutter": fact(-18, "350@-22+440 750 | 440 750"),
        "route": fact(-18, "400 50 | 0 50"),
        "ringback": fact(-18, "400+450 400 | 0 200 | 400+450 400 | 0 2000"),
        "busy": fact(-18, "400 375 | 0 375"),
        "congestion": fact(-18, "400 400 | 0 350 | 400 225 | 0 525"),
        "sit": fact(-18, "950 330 | 0 15 | 1400 330 | 0 15 | 1800 330 | 0 1000"),
        "howler": fact(-10, _HOWLER),
        "call-waiting": fact(-18, "400 100 | 0 4000"),
        "confirmation": _confirmation("400", -18),
    },
    "US": {
        "dial": fact(-13, "350+440"),
        "special-dial": fact(-13, "350+440", _stutter("350+440", _THREE)),
        "stutter": fact(-13, "350+440", _stutter("350+440", _SIX)),
        "route": fact(-13, "440 50 | 0 50"),
        "ringback": fact(-19, "440+480 2000 | 0 4000"),
        "busy": fact(-24, "480+620 500 | 0 500"),
        "congestion": fact(-24, "480+620 250 | 0 250"),
        "sit": fact(-13, "950 330 | 1400 330 | 1800 330 | 0 1000"),
        "howler": fact(-10, _HOWLER),
        "call-waiting": fact(-13, "440 300 | 0 10000"),
        "confirmation": _confirmation("350+440", -13),
    },
    "CH": {
        "dial": fact(-8, "425"),
        "special-dial": fact(-8, "340+425 1100 | 0 1100"),
        "stutter": fact(-8, "425", _stutter("425", _THREE)),
        "route": fact(-13, "425 50 | 0 50"),
        "ringback": fact(-13, "425 1000 | 0 4000"),
        "busy": fact(-13, "425 500 | 0 500"),
        "congestion": fact(-13, "425 200 | 0 200"),
        "sit": fact(-13, "950 333 | 1400 333 | 1800 333 | 0 1000"),
        "howler": fact(-19, _HOWLER),
        "call-waiting": fact(-13, "425 200 | 0 200 | 425 200 | 0 4000"),
        "confirmation": _confirmation("425", -13),
    },
    "BE": {
        "dial": fact(-12, "425"),
        "special-dial": fact(-12, "425 1000 | 0 250"),
        "stutter": fact(-12, "425 1000 | 0 250"),
        "route": fact(-12, "425 50 | 0 50"),
        "ringback": fact(-12, "425 1000 | 0 3000"),
        "busy": fact(-12, "425 500 | 0 500"),
        "congestion": fact(-12, "425 167 | 0 167"),
        "sit": fact(-12, "900 330 | 1400 330 | 1800 330 | 0 1000"),
        "howler": fact(-10, _HOWLER),
        "call-waiting": fact(-12, "1400 175 | 0 175 | 1400 175 | 0 3500"),
        "confirmation": _confirmation("425", -12),
    },
    "ES": {
        "dial": fact(-12, "425"),
        "special-dial": fact(-12, "425 1000 | 0 100"),
        "stutter": fact(-12, "425", _stutter("425", _SIX)),
        "route": fact(-12, "425 50 | 0 50"),
        "ringback": fact(-12, "425 1500 | 0 3000"),
        "busy": fact(-12, "425 200 | 0 200"),
        "congestion": fact(-12, "425 200 | 0 200 | 425 200 | 0 200 | 425 200 | 0 600"),
        "sit": fact(-12, "950 333 | 1400 333 | 1800 333 | 0 1000"),
        "howler": fact(-10, _HOWLER),
        "call-waiting": fact(-12, "425 175 | 0 175 | 425 175 | 0 3500"),
        "confirmation": _confirmation("425", -12),
    },
    "IT": {
        "dial": fact(-12, "425 200 | 0 200 | 425 600 | 0 1000"),
        "special-dial": fact(-12, "470 400 | 425 400"),
        "stutter": fact(-12, "470 400 | 425 400"),
        "route": fact(-12, "425 50 | 0 50"),
        "ringback": fact(-12, "425 1000 | 0 4000"),
        "busy": fact(-12, "425 500 | 0 500"),
        "congestion": fact(-12, "425 200 | 0 200"),
        "sit": fact(-12, "950 330 | 1400 330 | 1800 330 | 0 1000"),
        "howler": fact(-10, _HOWLER),
        "call-waiting": fact(-12, "425 400 | 0 100 | 425 250 | 0 100 | 425 150 | 0 14000"),
        "confirmation": _confirmation("425", -12),
    },
}

# Ring cadence in ms and frequency in Hz: Asterisk; Microsemi's VE880 profiles, Mediatrix for DE and CH.
RINGS: dict[str, tuple[tuple[int, ...], float]] = {
    "FR": ((1500, 3500), 50),
    "DE": ((1000, 4000), 25),
    "UK": ((400, 200, 400, 2000), 25),
    "US": ((2000, 4000), 20),
    "CH": ((1000, 4000), 25),
    "BE": ((1000, 3000), 25),
    "ES": ((1500, 3000), 25),
    "IT": ((1000, 4000), 25),
}
