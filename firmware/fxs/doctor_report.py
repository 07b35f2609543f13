"""What the line doctor reports: figures, and a grade for each. Pure values and one table of limits.

What lives here: the shapes (frozen, JSON-able) and `LIMITS`, whose every figure has its source in
docs/line-doctor.md. What must not: measuring (`doctor_hook`, `doctor_keys`, `doctor_sound`,
`doctor_echo`), and words for people (the catalogue `doctor`, by the keys of this file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How good a figure is. NONE: it could not be measured."""

    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"
    NONE = "none"


class Item(StrEnum):
    """What is graded, in the order in which it is told."""

    PULSE_SPEED = "pulse-speed"
    PULSE_RATIO = "pulse-ratio"
    PULSE_SPREAD = "pulse-spread"
    PULSE_BOUNCE = "pulse-bounce"
    CRADLE_BOUNCE = "cradle-bounce"
    FLASH = "flash"
    TONE_LEVEL = "tone-level"
    TONE_TWIST = "tone-twist"
    TONE_FREQUENCY = "tone-frequency"
    TONE_LENGTH = "tone-length"
    NOISE = "noise"
    HUM = "hum"
    OFFSET = "offset"
    CLIPPING = "clipping"
    ECHO = "echo"


OK = "ok"
LOW = "low"
HIGH = "high"
UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class Limits:
    """`good` and `fair` are closed ranges, None an open end; beyond `fair` is bad. `unit` as people write it."""

    unit: str
    good: tuple[float | None, float | None]
    fair: tuple[float | None, float | None]
    decimals: int = 1

    def grade(self, value: float) -> tuple[Grade, str]:
        """The grade of `value`, and on which side of the good range it lies."""
        if _within(value, self.good):
            return Grade.GOOD, OK
        low = self.good[0]
        side = LOW if low is not None and value < low else HIGH
        return (Grade.FAIR if _within(value, self.fair) else Grade.BAD), side


def _within(value: float, limits: tuple[float | None, float | None]) -> bool:
    low, high = limits
    return (low is None or value >= low) and (high is None or value <= high)


LIMITS: Mapping[Item, Limits] = {
    Item.PULSE_SPEED: Limits("/s", (9.0, 11.0), (7.0, 22.0)),
    Item.PULSE_RATIO: Limits("%", (58.0, 72.0), (40.0, 80.0), decimals=0),
    Item.PULSE_SPREAD: Limits("%", (None, 4.0), (None, 12.0)),
    Item.PULSE_BOUNCE: Limits("ms", (None, 3.0), (None, 5.0)),
    Item.CRADLE_BOUNCE: Limits("ms", (None, 15.0), (None, 30.0)),
    Item.TONE_LEVEL: Limits("dBm0", (-18.0, -3.0), (-30.0, 0.0)),
    Item.TONE_TWIST: Limits("dB", (-1.0, 4.0), (-8.0, 6.0)),
    Item.TONE_FREQUENCY: Limits("%", (-1.5, 1.5), (-2.5, 2.5)),
    Item.TONE_LENGTH: Limits("ms", (65.0, None), (40.0, None), decimals=0),
    Item.NOISE: Limits("dBm0p", (None, -55.0), (None, -45.0), decimals=0),
    Item.HUM: Limits("dBm0", (None, -50.0), (None, -40.0), decimals=0),
    Item.OFFSET: Limits("%", (-1.0, 1.0), (-5.0, 5.0)),
    Item.CLIPPING: Limits("%", (None, 0.0), (None, 0.1), decimals=2),
    Item.ECHO: Limits("dB", (12.0, None), (6.0, None), decimals=0),
}
"""FLASH is not here: its window is the country's."""

_FLASH_MARGIN = 0.08
"""A break this near (as a share) to an end of the window is fair: an R key wears."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One graded figure. `side` is ok, low, high or unmeasured; `good` the range that is normal.

    `where` names what was worst (a key, a frequency), "" where there is nothing to name.
    """

    item: Item
    grade: Grade
    side: str
    value: float | None = None
    unit: str = ""
    good: tuple[float | None, float | None] = (None, None)
    decimals: int = 1
    where: str = ""


@dataclass(frozen=True, slots=True)
class HookFigures:
    """What the contacts did. Shares in percent, times in milliseconds; None: there was nothing to measure.

    `digits` are the breaks of each train; `break_share` is break over break and make.
    """

    digits: tuple[int, ...] = ()
    pulse_speed: float | None = None
    break_share: float | None = None
    spread: float | None = None
    dial_bounce_ms: float | None = None
    cradle_bounce_ms: float | None = None
    flashes_ms: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """One press of a key. Levels in dBm0, errors in percent of the nominal frequency, times in milliseconds."""

    key: str
    low_hz: float
    high_hz: float
    low_error: float
    high_error: float
    low_dbm0: float
    high_dbm0: float
    on_ms: float
    off_ms: float | None = None

    @property
    def twist_db(self) -> float:
        """High group over low group (ITU-T Q.24)."""
        return self.high_dbm0 - self.low_dbm0


@dataclass(frozen=True, slots=True)
class SoundFigures:
    """The line at rest. Levels in dBm0; `noise_dbm0p` weighted as ITU-T O.41 has it; `offset` in percent of full scale.

    `hum_dbm0`: mains and its second and third harmonic, at `mains_hz`, twice and three times that.
    """

    noise_dbm0: float
    noise_dbm0p: float
    mains_hz: int
    hum_dbm0: tuple[float, ...]
    offset: float


@dataclass(frozen=True, slots=True)
class EchoFigures:
    """What the telephone sends back of a test signal. `at_least`: there was less of it than noise."""

    return_loss_db: float
    at_least: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured. `trace` is (seconds, 1 closed or 0 open), `spectrum` (hertz, dBm0 of that band)."""

    findings: tuple[Finding, ...]
    hook: HookFigures
    keys: tuple[KeyFigures, ...] = ()
    sound: SoundFigures | None = None
    echo: EchoFigures | None = None
    clipped: float | None = None
    trace: tuple[tuple[float, int], ...] = ()
    spectrum: tuple[tuple[float, float], ...] = ()

    def as_json(self) -> dict[str, object]:
        """Plain lists, dictionaries and numbers (rounded to a thousandth), for `json.dumps`."""
        told = asdict(self)
        told["keys"] = [asdict(key) | {"twist_db": key.twist_db} for key in self.keys]
        plain = _plain(told)
        assert isinstance(plain, dict)  # noqa: S101 - as `asdict` made it
        return plain


def _plain(value: object) -> object:
    match value:
        case dict():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float():
            return round(value, 3)
        case _:
            return value


def judge(
    hook: HookFigures,
    keys: tuple[KeyFigures, ...],
    sound: SoundFigures | None,
    echo: EchoFigures | None,
    clipped: float | None,
    flash_ms: tuple[float, float],
) -> tuple[Finding, ...]:
    """One finding an item, in the order of `Item`. `flash_ms` is the window that counts as the R key."""
    worst = _Keys(keys)
    level = worst.of(Item.TONE_LEVEL, lambda key: (key.low_dbm0, key.high_dbm0))
    twist = worst.of(Item.TONE_TWIST, lambda key: (key.twist_db,))
    frequency = worst.of(Item.TONE_FREQUENCY, lambda key: (key.low_error, key.high_error))
    length = worst.of(Item.TONE_LENGTH, lambda key: (key.on_ms,))
    hum = None if sound is None else max(sound.hum_dbm0)
    where = "" if sound is None or hum is None else f"{sound.mains_hz * (sound.hum_dbm0.index(hum) + 1)} Hz"
    return (
        _finding(Item.PULSE_SPEED, hook.pulse_speed),
        _finding(Item.PULSE_RATIO, hook.break_share),
        _finding(Item.PULSE_SPREAD, hook.spread),
        _finding(Item.PULSE_BOUNCE, hook.dial_bounce_ms),
        _finding(Item.CRADLE_BOUNCE, hook.cradle_bounce_ms),
        _flash(hook.flashes_ms, flash_ms),
        level,
        twist,
        frequency,
        length,
        _finding(Item.NOISE, None if sound is None else sound.noise_dbm0p),
        _finding(Item.HUM, hum, where),
        _finding(Item.OFFSET, None if sound is None else sound.offset),
        _finding(Item.CLIPPING, clipped),
        _finding(Item.ECHO, None if echo is None else echo.return_loss_db),
    )


def _finding(item: Item, value: float | None, where: str = "") -> Finding:
    limits = LIMITS[item]
    if value is None:
        return Finding(item, Grade.NONE, UNMEASURED, None, limits.unit, limits.good, limits.decimals)
    # Judged as it is shown: 9.0 of "normal: 9 to 11" is never slow.
    grade, side = limits.grade(round(value, limits.decimals))
    return Finding(item, grade, side, value, limits.unit, limits.good, limits.decimals, where)


def _flash(flashes: tuple[float, ...], window: tuple[float, float]) -> Finding:
    if not flashes:
        return Finding(Item.FLASH, Grade.NONE, UNMEASURED, None, "ms", window, 0)
    low, high = window
    margin = _FLASH_MARGIN * (high - low)
    worst = max(flashes, key=lambda ms: abs(ms - (low + high) / 2))
    inside = low <= worst <= high
    if low + margin <= worst <= high - margin:
        return Finding(Item.FLASH, Grade.GOOD, OK, worst, "ms", window, 0)
    side = LOW if worst < (low + high) / 2 else HIGH
    return Finding(Item.FLASH, Grade.FAIR if inside else Grade.BAD, side, worst, "ms", window, 0)


_Values = Callable[[KeyFigures], Sequence[float]]


class _Keys:
    """Picks the worst of many presses."""

    def __init__(self, keys: tuple[KeyFigures, ...]) -> None:
        self._keys = keys

    def of(self, item: Item, values: _Values) -> Finding:
        """The finding of the value farthest outside, or nearest to the edge of, the good range; `where` is its key."""
        found = [(value, key.key) for key in self._keys for value in values(key)]
        if not found:
            return _finding(item, None)
        low, high = LIMITS[item].good

        def excess(row: tuple[float, str]) -> float:
            return max(
                low - row[0] if low is not None else float("-inf"),
                row[0] - high if high is not None else float("-inf"),
            )

        value, key = max(found, key=excess)
        return _finding(item, value, key)
