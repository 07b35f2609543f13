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
    """`event` as `allobox phone wait` names it; `cadence` on, off in ms, () = continuous.

    `hold_ms`: how long after its last sound the tone still counts as heard, where that is not the
    cadence's own pause.
    """

    event: str
    hz: tuple[float, ...]
    cadence: tuple[int, ...] = ()
    hold_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TonePlan:
    """A country's tones; the ring voltage's longest pause tells that ringing is over."""

    tones: tuple[KnownTone, ...]
    ring_pause_ms: int


def _plan(
    dial: tuple[tuple[float, ...], ...],
    ringback: tuple[tuple[float, ...], int, int],
    busy: tuple[tuple[float, ...], int],
    congestion: tuple[tuple[float, ...], int],
    waiting: tuple[float, int, int],
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
    ),
}


# Ring cadences, on and off in ms, that a telephone may hear anywhere: a burst that fits none of them, as the ringing
# went so far, belongs to another call. National ones (indications.conf.sample), then distinctive ones of boxes.
RINGS: tuple[tuple[int, ...], ...] = (
    (1500, 3500),  # France
    (1000, 4000),  # Germany, Switzerland, Italy
    (1000, 3000),  # Belgium
    (1500, 3000),  # Spain
    (2000, 4000),  # United States
    (400, 200, 400, 2000),  # United Kingdom
    (750, 1250),
    (500, 500, 500, 3500),
)


def plan_of(country: str) -> TonePlan:
    """The plan of an ISO 3166 country. Raises ValueError naming those it knows."""
    try:
        return PLANS[country.upper()]
    except KeyError:
        msg = f"the telephone's ears do not know the tones of {country!r}; they know {', '.join(sorted(PLANS))}"
        raise ValueError(msg) from None
