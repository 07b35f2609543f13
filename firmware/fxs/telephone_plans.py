"""The call-progress tones that the telephone's owner knows by ear, by country.

Deliberately not the box's `countries/*.toml`: an ear that read the box's own tables would never
find fault with them. Sources: ITU-T E.180 Supplement 2 as Asterisk's indications.conf.sample,
DAHDI's zonedata.c and spandsp's global-tones.xml quote it; France Télécom's ringback 1.5 s / 3.5 s.
"""

from __future__ import annotations

from dataclasses import dataclass

_HOWLER_HZ = (1400.0, 2060.0, 2450.0, 2600.0)


@dataclass(frozen=True, slots=True)
class KnownTone:
    """`event` as `allobox phone wait` names it; `cadence` on, off, on, off ... in ms, () = continuous.

    `beside`: the frequencies it alternates with, where it knows no silence.

    `hold_ms`: how long after its last sound the tone still counts as heard, where that is not the
    cadence's own pause.
    """

    event: str
    hz: tuple[float, ...]
    cadence: tuple[int, ...] = ()
    hold_ms: int | None = None
    beside: tuple[float, ...] = ()


# What may wake a display on-hook: the names of `DisplayPlan.wakes`.
RING, PULSE, TONE, REVERSAL, REVERSAL_TONE, ALWAYS = (
    "ring",
    "ring-pulse",
    "dt-as",
    "reversal",
    "reversal-dt-as",
    "always",
)


@dataclass(frozen=True, slots=True)
class DisplayPlan:
    """A country's display: `standard` as `callerid.Decoder` names it; `wakes`: what makes it listen."""

    standard: str
    wakes: frozenset[str]


def lenient(standard: str) -> DisplayPlan:
    """A display that listens to the line all the time."""
    return DisplayPlan(standard, frozenset({ALWAYS}))


# ETSI EN 300 659-1: after the first ring, or after one of the alerts before it.
_ETSI = DisplayPlan("v23", frozenset({RING, PULSE, TONE}))
# SIN 227: the reversal, then the tone; neither alone.
_BRITISH = DisplayPlan("v23", frozenset({REVERSAL_TONE}))
# GR-30: after the first ring; data for the display may come without any alert.
_AMERICAN = DisplayPlan("bell202", frozenset({RING, ALWAYS}))
_DIGITS = DisplayPlan("dtmf", frozenset({RING, PULSE, REVERSAL}))


@dataclass(frozen=True, slots=True)
class TonePlan:
    """A country's tones; the ring voltage's longest pause tells that ringing is over."""

    tones: tuple[KnownTone, ...]
    ring_pause_ms: int
    display: DisplayPlan = _ETSI


def _plan(
    dial: tuple[tuple[float, ...], ...],
    ringback: tuple[tuple[float, ...], int, int],
    busy: tuple[tuple[float, ...], int],
    congestion: tuple[tuple[float, ...], int],
    waiting: tuple[float, int, int],
    display: DisplayPlan = _ETSI,
) -> TonePlan:
    return TonePlan(
        tones=(
            *(KnownTone("dial-tone", hz) for hz in dial),
            KnownTone("stutter-tone", dial[0], (100, 100)),
            KnownTone("ringback", ringback[0], ringback[1:]),
            KnownTone("busy", busy[0], (busy[1], busy[1])),
            KnownTone("congestion", congestion[0], (congestion[1], congestion[1])),
            KnownTone("call-waiting", (waiting[0],), waiting[1:], hold_ms=1000),
            KnownTone("howler", _HOWLER_HZ, (100, 100)),
        ),
        ring_pause_ms=ringback[2],
        display=display,
    )


PLANS = {
    "FR": _plan(
        dial=((440.0,), (330.0, 440.0)),
        ringback=((440.0,), 1500, 3500),
        busy=((440.0,), 500),
        congestion=((440.0,), 250),
        waiting=(440.0, 300, 10000),
    ),
    "DE": _plan(
        dial=((425.0,),),
        ringback=((425.0,), 1000, 4000),
        busy=((425.0,), 480),
        congestion=((425.0,), 240),
        waiting=(425.0, 200, 5000),
    ),
    "CH": _plan(
        dial=((425.0,),),
        ringback=((425.0,), 1000, 4000),
        busy=((425.0,), 500),
        congestion=((425.0,), 200),
        waiting=(425.0, 200, 4000),
    ),
    "US": _plan(
        dial=((350.0, 440.0),),
        ringback=((440.0, 480.0), 2000, 4000),
        busy=((480.0, 620.0), 500),
        congestion=((480.0, 620.0), 250),
        waiting=(440.0, 300, 10000),
        display=_AMERICAN,
    ),
    "UK": TonePlan(
        tones=(
            KnownTone("dial-tone", (350.0, 440.0)),
            KnownTone("stutter-tone", (440.0,)),  # the special dial tone's other half
            KnownTone("ringback", (400.0, 450.0), (400, 200, 400, 2000)),
            KnownTone("congestion", (400.0,), (400, 350, 225, 525)),
            KnownTone("busy", (400.0,), (375, 375)),
            KnownTone("call-waiting", (400.0,), (100, 4000), hold_ms=1000),
            KnownTone("howler", _HOWLER_HZ, (100, 100)),
        ),
        ring_pause_ms=2000,
        display=_BRITISH,
    ),
    "BE": TonePlan(
        tones=(
            KnownTone("dial-tone", (425.0,)),
            KnownTone("stutter-tone", (425.0,), (1000, 250)),
            KnownTone("ringback", (425.0,), (1000, 3000)),
            KnownTone("busy", (425.0,), (500, 500)),
            KnownTone("congestion", (425.0,), (167, 167)),
            KnownTone("call-waiting", (1400.0,), (175, 175, 175, 3500), hold_ms=1000),
            KnownTone("howler", _HOWLER_HZ, (100, 100)),
        ),
        ring_pause_ms=3000,
        display=_DIGITS,
    ),
    "ES": TonePlan(
        tones=(
            KnownTone("dial-tone", (425.0,)),
            KnownTone("stutter-tone", (425.0,), (100, 100)),
            KnownTone("ringback", (425.0,), (1500, 3000)),
            KnownTone("busy", (425.0,), (200, 200)),
            KnownTone("congestion", (425.0,), (200, 200, 200, 200, 200, 600)),
            KnownTone("call-waiting", (425.0,), (175, 175, 175, 3500), hold_ms=1000),
            KnownTone("howler", _HOWLER_HZ, (100, 100)),
        ),
        ring_pause_ms=3000,
    ),
    "IT": TonePlan(
        tones=(
            KnownTone("dial-tone", (425.0,), (200, 200, 600, 1000)),
            KnownTone("stutter-tone", (470.0,), (400, 400), beside=(425.0,)),
            KnownTone("ringback", (425.0,), (1000, 4000)),
            KnownTone("busy", (425.0,), (500, 500)),
            KnownTone("congestion", (425.0,), (200, 200)),
            KnownTone("call-waiting", (425.0,), (400, 100, 250, 100, 150, 14000), hold_ms=1000),
            KnownTone("howler", _HOWLER_HZ, (100, 100)),
        ),
        ring_pause_ms=4000,
    ),
}


# Ring cadences, on and off in ms, that a telephone may hear anywhere: a burst that fits none of them, as the ringing
# went so far, belongs to another call. National ones (indications.conf.sample), then distinctive ones of boxes
# (Bellcore's dr rings with whatever pause the country has).
_BURSTS: tuple[tuple[int, ...], ...] = (
    (800, 400, 800),
    (400, 200, 400, 200, 800),
    (300, 200, 1000, 200, 300),
    (500,),
    (250, 250, 250),
    (400, 400, 400, 400, 400),
    (1000, 500, 300),
)
RINGS: tuple[tuple[int, ...], ...] = (
    (1500, 3500),  # France
    (1000, 4000),  # Germany, Switzerland, Italy
    (1000, 3000),  # Belgium
    (1500, 3000),  # Spain
    (2000, 4000),  # United States
    (400, 200, 400, 2000),  # United Kingdom
    (1000, 2000),
    (750, 1250),
    (750, 1250, 750, 2750),
    (500, 500, 500, 3500),
    (500, 500, 500, 4000),
    *((*bursts, pause) for bursts in _BURSTS for pause in (2000, 3000, 3500, 4000)),
)


def plan_of(country: str) -> TonePlan:
    """The plan of an ISO 3166 country. Raises ValueError naming those it knows."""
    try:
        return PLANS[country.upper()]
    except KeyError:
        msg = f"the telephone's ears do not know the tones of {country!r}; they know {', '.join(sorted(PLANS))}"
        raise ValueError(msg) from None
