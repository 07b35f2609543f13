"""What differs from country to country on an analog line: tones, ring, flash, caller ID, gains.

The figures live in `countries/*.toml` (one file a country, each figure with its source); this
module only reads and checks them. Rendering is `tones`, timing is `hook` and `ringer`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

TONE_NAMES = (
    "dial",
    "special-dial",
    "stutter",
    "route",
    "ringback",
    "busy",
    "congestion",
    "sit",
    "howler",
    "call-waiting",
    "confirmation",
)
MAX_TONE_MS = 60_000
MAX_HZ = 3800
"""Above it a tone would fold or be filtered away at 8 kHz."""

_MAX_SIGNAL = 3000
_STRICT = ConfigDict(extra="forbid")


class CountryError(ValueError):
    """No such country, or its file is wrong; the message names file, key and what is wrong."""


@dataclass(frozen=True, slots=True)
class Component:
    """One sine of a tone."""

    hz: int
    dbm0: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a tone: the sum of `components` (none: silence) for `ms` (None: for ever)."""

    components: tuple[Component, ...]
    ms: int | None


_PART = re.compile(r"(?P<hz>\d+)(?:@(?P<dbm0>[+-]?\d+(?:\.\d+)?))?")


def parse_segments(text: str, dbm0: float) -> tuple[Segment, ...]:
    """Segments of `"350@-22+440/400, 0/200"`: hertz joined by `+`, `/` milliseconds (none: for ever),
    `@` a component's own level instead of `dbm0`; `0` is silence. Raises ValueError with what is wrong.
    """
    segments = []
    for part in (piece.strip() for piece in text.split(",") if piece.strip()):
        tones, slash, duration = part.partition("/")
        if slash and not duration.isdecimal():
            msg = f"segment {part!r}: {duration!r} is not a number of milliseconds"
            raise ValueError(msg)
        ms = int(duration) if slash else None
        if ms is not None and not 0 < ms <= MAX_TONE_MS:
            msg = f"segment {part!r}: {ms} ms is not between 1 and {MAX_TONE_MS}"
            raise ValueError(msg)
        components = []
        for tone in tones.split("+"):
            match = _PART.fullmatch(tone.strip())
            if match is None:
                msg = f"segment {part!r}: {tone!r} is not a frequency such as 440 or 440@-10"
                raise ValueError(msg)
            hertz = int(match["hz"])
            if hertz == 0:
                continue
            if hertz > MAX_HZ:
                msg = f"segment {part!r}: {hertz} Hz is above {MAX_HZ} Hz"
                raise ValueError(msg)
            components.append(Component(hertz, float(match["dbm0"] or dbm0)))
        segments.append(Segment(tuple(components), ms))
    for segment in segments[:-1]:
        if segment.ms is None:
            msg = f"{text!r}: only the last segment may last for ever"
            raise ValueError(msg)
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class ToneSpec:
    """A call-progress tone: what is played `once`, then the `loop`; components are at `level_dbm0` each."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    level_dbm0: float
    loop: str
    once: str = ""

    def __post_init__(self) -> None:
        if not self.loop.strip():
            raise ValueError("the loop is empty (0/1000 is silence)")
        if any(segment.ms is None for segment in self.once_segments()):
            raise ValueError("what plays once cannot last for ever")
        endless = [segment.ms is None for segment in self.loop_segments()]
        if any(endless) and len(endless) > 1:
            raise ValueError("a loop is one endless segment, or a cadence of timed ones")

    def once_segments(self) -> tuple[Segment, ...]:
        """The introduction."""
        return parse_segments(self.once, self.level_dbm0)

    def loop_segments(self) -> tuple[Segment, ...]:
        """What repeats."""
        return parse_segments(self.loop, self.level_dbm0)

    def hertz(self) -> frozenset[int]:
        """Every frequency in it."""
        segments = (*self.once_segments(), *self.loop_segments())
        return frozenset(component.hz for segment in segments for component in segment.components)


@dataclass(frozen=True, slots=True)
class RingSpec:
    """Ringing. `cadence_ms` alternates on and off from the start of a ring; `patterns` are distinctive ones."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    frequency_hz: float
    cadence_ms: tuple[int, ...]
    patterns: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 10 <= self.frequency_hz <= 70:  # noqa: PLR2004 - 16 2/3 to 60 Hz ring in the field
            msg = f"frequency_hz {self.frequency_hz}: ring voltage has 10 to 70 Hz"
            raise ValueError(msg)
        for name, cadence in {"cadence_ms": self.cadence_ms, **self.patterns}.items():
            if not cadence or len(cadence) % 2 or min(cadence) < 1:
                msg = f"{name} {list(cadence)}: wanted pairs of on and off in milliseconds"
                raise ValueError(msg)


Alert = Literal["ring", "none", "dt-as", "reversal", "reversal-dt-as", "ring-pulse"]
"""What tells a telephone to listen: the first ring, or before it a dual-tone alerting signal (DT-AS: 2130 and
2750 Hz), a polarity reversal, both, or a short ring pulse (RP-AS). ETSI EN 300 659-1, clause 6."""


@dataclass(frozen=True, slots=True)
class CallerIdSpec:
    """How the caller is shown, and waiting messages. Times in ms, levels in dBm0.

    `alert` comes before a caller's message (`ring`: it follows the first ring by `delay_ms`, and ends
    `guard_ms` before the next), `waiting_alert` before a message-waiting one, which rings nobody.
    After a reversal `reversal_ms` pass, after a DT-AS of `alert_ms` `alert_gap_ms`, after a ring pulse of
    `pulse_ms` `pulse_gap_ms`; ringing starts `lead_ms` after a message that came before it.
    Off-hook (call waiting) the alerting signal lasts `cas_ms`, and `off_hook_mark_bits` of mark come first.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    standard: Literal["v23", "bell202", "dtmf"] = "v23"
    format: Literal["mdmf", "sdmf"] = "mdmf"
    alert: Alert = "ring"
    waiting_alert: Alert = "dt-as"
    waiting_plain: bool = False
    level_dbm0: float = -14.0
    seizure_bits: int = 300
    mark_bits: int = 180
    off_hook_mark_bits: int = 80
    delay_ms: int = 600
    guard_ms: int = 200
    lead_ms: int = 400
    alert_ms: int = 100
    alert_dbm0: float = -13.0
    alert_gap_ms: int = 150
    reversal_ms: int = 300
    pulse_ms: int = 250
    pulse_gap_ms: int = 600
    cas_ms: int = 80
    cas_dbm0: float = -15.0
    longest_name: int = 50
    dtmf_end: Literal["C", "#"] = "C"
    dtmf_on_ms: int = 70
    dtmf_off_ms: int = 70

    def __post_init__(self) -> None:
        if self.waiting_alert == "ring":
            raise ValueError("waiting_alert: a message-waiting message rings nobody")
        if not -30 <= self.level_dbm0 <= 0:  # noqa: PLR2004 - telephones hear -38 dBm0 at best
            raise ValueError(f"level_dbm0 {self.level_dbm0}: wanted -30 to 0")
        shortest = {
            **dict.fromkeys(("delay_ms", "guard_ms", "lead_ms", "alert_gap_ms", "reversal_ms", "pulse_gap_ms"), 0),
            **dict.fromkeys(("alert_ms", "pulse_ms", "cas_ms", "dtmf_on_ms", "dtmf_off_ms"), 40),
            **dict.fromkeys(("mark_bits", "off_hook_mark_bits"), 55),
            "seizure_bits": 0,
            "longest_name": 1,
        }
        for name, least in shortest.items():
            if not least <= getattr(self, name) <= _MAX_SIGNAL:
                raise ValueError(f"{name} {getattr(self, name)}: wanted {least} to {_MAX_SIGNAL}")

    @property
    def before_ring(self) -> bool:
        """Whether the caller is told before the first ring."""
        return self.alert != "ring"

    def fitting(self, *, can_reverse: bool) -> CallerIdSpec:
        """The same on a hat that may be unable to reverse the polarity: DT-AS alone, or, where the reversal
        was all, after the first ring. ETSI's telephones take either; a British one wants its reversal.
        """
        if can_reverse:
            return self
        instead: dict[Alert, Alert] = {"reversal-dt-as": "dt-as", "reversal": "ring"}
        waiting = instead.get(self.waiting_alert, self.waiting_alert)
        return replace(
            self,
            alert=instead.get(self.alert, self.alert),
            waiting_alert="none" if waiting == "ring" else waiting,
        )


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Dialling, in seconds: to the first digit, between digits, and after a number that may be complete."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    first_digit_s: float = 20.0
    interdigit_s: float = 8.0
    complete_s: float = 4.0


@dataclass(frozen=True, slots=True)
class Gains:
    """Wanted gain of the hat's codec in dB, towards SIP (`from_line`) and towards the handset (`to_line`)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    from_line_db: float = 0.0
    to_line_db: float = -7.0


@dataclass(frozen=True, slots=True)
class DtmfLevels:
    """Level of each of the two tones that telephones of the country send."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    low_dbm0: float = -11.0
    high_dbm0: float = -9.0


@dataclass(frozen=True, slots=True)
class Country:
    """One country's line. `flash_ms` is the accepted break of the R key; see `hook` for pulse dialling's rule."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    code: str
    name: str
    impedance: str
    flash_ms: tuple[int, int]
    ring: RingSpec
    tones: dict[str, ToneSpec]
    caller_id: CallerIdSpec = CallerIdSpec()
    timeouts: Timeouts = Timeouts()
    gains: Gains = Gains()
    dtmf: DtmfLevels = DtmfLevels()

    def __post_init__(self) -> None:
        low, high = self.flash_ms
        if not 50 <= low < high <= 2000:  # noqa: PLR2004 - below is a pulse, above is hanging up
            msg = f"flash_ms {list(self.flash_ms)}: wanted two rising values between 50 and 2000"
            raise ValueError(msg)
        missing = [name for name in TONE_NAMES if name not in self.tones]
        unknown = [name for name in self.tones if name not in TONE_NAMES]
        if missing or unknown:
            msg = f"tones: missing {missing}, unknown {unknown}; wanted are {', '.join(TONE_NAMES)}"
            raise ValueError(msg)

    def __hash__(self) -> int:
        """Countries are told apart by code: their dictionaries cannot be hashed."""
        return hash(self.code)


_ADAPTER = TypeAdapter(Country)


def codes() -> tuple[str, ...]:
    """The known countries, in capitals, sorted."""
    files = resources.files(__package__).joinpath("countries").iterdir()
    return tuple(sorted(file.name[:-5].upper() for file in files if file.name.endswith(".toml")))


def parse(text: str, file: str) -> Country:
    """The country that `text` (TOML, from `file`) describes. Raises CountryError: file, key, what is wrong."""
    try:
        return _ADAPTER.validate_python(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        msg = f"{file}: {error}"
        raise CountryError(msg) from error
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False):
            key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
            problems.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
        msg = f"{file}: {'; '.join(problems)}"
        raise CountryError(msg) from error


@lru_cache(maxsize=32)
def load(code: str) -> Country:
    """The country with this ISO 3166 code (UK for the United Kingdom), any case.

    Raises CountryError when there is none, or when its file is wrong.
    """
    known = codes()
    if code.upper() not in known:
        msg = f"country {code!r} is not known; known are {', '.join(known)}"
        raise CountryError(msg)
    name = f"{code.lower()}.toml"
    country = parse(resources.files(__package__).joinpath("countries", name).read_text("utf-8"), name)
    if country.code != code.upper():
        msg = f"{name}: code: is {country.code!r}, but the file is named for {code.upper()!r}"
        raise CountryError(msg)
    return country
