"""How a call would be judged: the E-model (ITU-T G.107), reduced to what a box at one end can measure. Pure.

    R = Ro - Is - Id - Ie,eff                                             (G.107, 7.1; A = 0: no advantage)

Everything about the telephones and the rooms stands at G.107's defaults (table 3), so the first two terms are
numbers: Ro = 94.7688 and Is = 1.4136. What remains is delay and loss; without either R is 93.2.

Delay (7.4), with the one-way delay Ta = T in ms and Tr = 2 T, is Id = Idte + Idle + Idd:

    Idte  the talker's own echo, TELR 65 dB     Idle  the listener's, WEPL 110 dB     Idd  too long to converse
    TERV = TELR - 40 lg((1 + T/10) / (1 + T/150)) + 6 exp(-0.3 T^2)       Re = 80 + 2.5 (TERV - 14)
    Idte = ((Roe - Re)/2 + sqrt((Roe - Re)^2/4 + 100) - 1) (1 - exp(-T))  Roe = -1.5 (No - RLR) = 94.77
           (taken as 0 where the formula is below it, under 5 ms)
    Rle  = 10.5 (WEPL + 7) (Tr + 1)^-0.25         Idle = (Ro - Rle)/2 + sqrt((Ro - Rle)^2/4 + 169)
    Idd  = 0 to 100 ms; then, with X = lb(Ta/100), 25 ((1 + X^6)^(1/6) - 3 (1 + (X/3)^6)^(1/6) + 2)

Codec and loss (7.5), with Ppl in per cent and BurstR = 1, losses taken as random:

    Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)

Ie and Bpl are ITU-T G.113's (appendix I). Mean opinion (annex B), MOS between 1 and 4.5:

    MOS = 1 + 0.035 R + R (R - 60) (100 - R) 7e-6

The three words follow G.109: R from 80 on is "satisfied" or better, from 70 on "some users dissatisfied".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_RO: Final = 94.7688
_IS: Final = 1.4136
_ROE: Final = 94.77
_TELR_DB: Final = 65.0
_WEPL_DB: Final = 110.0
_CONVERSATION_MS: Final = 100.0
_WORST_IE: Final = 95.0
_BEST_MOS: Final = 4.5
_LONGEST_MS: Final = 10_000.0
EXCELLENT_R: Final = 80.0
GOOD_R: Final = 70.0


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a codec takes from R without loss (`ie`), and how robust it is against loss (`bpl`)."""

    ie: float
    bpl: float


# G.113 appendix I, each with the concealment that the stack has. G.722 is heard here through a line of 8 kHz, on
# which it is G.711 but for the band: it has no factor of its own on this scale (G.107.1 has another scale).
_G711: Final = Impairment(0.0, 25.1)
IMPAIRMENTS: Final = {
    "PCMA": _G711,
    "PCMU": _G711,
    "G722": _G711,
    "G729": Impairment(11.0, 19.0),
    "G723": Impairment(15.0, 16.1),
}


def impairment(codec: str) -> Impairment | None:
    """That of `codec` ("PCMA/8000", as SDP names it); None where G.113 gives none (iLBC, Opus, Speex)."""
    return IMPAIRMENTS.get(codec.partition("/")[0].upper())


def delay_impairment(one_way_ms: float) -> float:
    """Id of a one-way delay in ms, mouth to ear (below 0 taken as 0, above 10 s as 10 s)."""
    delay = min(max(0.0, one_way_ms), _LONGEST_MS)
    terv = _TELR_DB - 40 * math.log10((1 + delay / 10) / (1 + delay / 150)) + 6 * math.exp(-0.3 * delay * delay)
    talker = _ROE - (80 + 2.5 * (terv - 14))
    idte = (talker / 2 + math.sqrt(talker * talker / 4 + 100) - 1) * (1 - math.exp(-delay))
    listener = _RO - 10.5 * (_WEPL_DB + 7) * math.pow(2 * delay + 1, -0.25)
    idle = listener / 2 + math.sqrt(listener * listener / 4 + 169)
    return max(0.0, idte) + idle + _conversation_impairment(delay)


def _conversation_impairment(delay: float) -> float:
    if delay <= _CONVERSATION_MS:
        return 0.0
    x = math.log2(delay / _CONVERSATION_MS)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def loss_impairment(codec: Impairment, loss_percent: float) -> float:
    """Ie,eff of a codec at a random loss in per cent (taken between 0 and 100)."""
    loss = min(max(0.0, loss_percent), 100.0)
    return codec.ie + (_WORST_IE - codec.ie) * loss / (loss + codec.bpl)


def r_factor(codec: Impairment, one_way_ms: float, loss_percent: float) -> float:
    """R, 0 (nothing is understood) to 93.2, of what arrives by this codec so late and with so much lost."""
    return max(0.0, _RO - _IS - delay_impairment(one_way_ms) - loss_impairment(codec, loss_percent))


def mos(r: float) -> float:
    """The mean opinion that goes with R, 1.0 to 4.5."""
    if r <= 0:
        return 1.0
    if r >= 100:  # noqa: PLR2004 annex B's own border
        return _BEST_MOS
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def word(r: float) -> str:
    """R for people: excellent, good or poor."""
    if r >= EXCELLENT_R:
        return "excellent"
    return "good" if r >= GOOD_R else "poor"
