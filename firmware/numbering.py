"""Numbers: what was dialled -> complete or not, what kind, E.164, and how people write it.

Pure. `analyse` is asked at every digit; `parse_number` reads a number typed or pasted by a person;
`display` and `caller_display` are what a telephone's screen shows. The French plan is written out
here; every other country goes by the lengths of `phonenumbers`' metadata.

Rules that decide something
- Emergency numbers come first, from `EMERGENCY` below: before prefixes, lengths or any library.
  They are complete at their last digit, because no other French number begins so: the 11x and 116xxx
  families do not overlap (112, 114, 115, 119 have three digits, 116xxx and 118xxx six).
- Only the number as the country dials it is an emergency. `0033112`, `+33112` or `00112` are not:
  112 is no E.164 number, and `0033 1 12 ..` begins an ordinary one.
- COMPLETE means that no longer number exists: send at once. POSSIBLE: send after a short pause.
- `#` at the end sends at once what could be a number. `*` or `#` at the beginning is a service code.
- Overseas departments are dialled like the mainland but have country codes of their own; phonenumbers
  puts them under +33 (and then calls them invalid), so the prefixes are here.
- Digits that no French number begins with (2, 4 to 9) may be an extension at the account's own
  exchange: POSSIBLE from three digits on, sent as dialled.

Sources: ARCEP's national numbering plan (decision 2018-0881 and its list of emergency numbers, 116111 by
2017-1251); ITU-T E.164; phonenumbers' metadata for lengths abroad.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from firmware import worldnumbers as world

EMERGENCY: Mapping[str, frozenset[str]] = {
    "FR": frozenset(
        ("15", "17", "18", "112", "114", "115", "119", "116000", "116111", "116117", "191", "196", "197"),
    ),
    "BE": frozenset(("100", "101", "112", "116000")),
    "CH": frozenset(("112", "117", "118", "144", "143", "145", "147", "1414")),
    "DE": frozenset(("110", "112", "116000", "116111", "116117")),
    "ES": frozenset(("112", "061", "062", "080", "085", "091", "092", "016", "116000", "116111")),
    "GB": frozenset(("112", "999", "111", "116000", "116123")),
    "IT": frozenset(("112", "113", "114", "115", "117", "118", "1522", "1530", "116000")),
    "US": frozenset(("112", "911", "988")),
}
"""Never barred, billed or delayed. Other countries: 112."""


class Completeness(Enum):
    """How far dialling is."""

    INCOMPLETE = "incomplete"
    POSSIBLE = "possible"
    COMPLETE = "complete"
    INVALID = "invalid"


class NumberClass(Enum):
    """What kind of number it is, as prices, bars and the page name it."""

    EMERGENCY = "emergency"
    FIXED = "fixed"
    MOBILE = "mobile"
    FREE = "free"
    PREMIUM = "premium"
    SHORT = "short"
    INTERNATIONAL = "international"
    SATELLITE = "satellite"
    SERVICE = "service"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Dialled:
    """What some digits mean.

    `digits` as dialled (without a sending `#`); `e164` as "+33142685300" where there is one;
    `national` as people write it, "01 42 68 53 00"; `target` is what is dialled on SIP: E.164 for
    ordinary numbers, the digits as they are for short, emergency and unknown ones.
    """

    digits: str
    status: Completeness
    kind: NumberClass
    e164: str | None = None
    national: str = ""
    target: str = ""


_ALIASES = {"UK": "GB"}

# Dialled from anywhere in France like the mainland; a country code each. phonenumbers agrees that these
# belong to the codes given (tests/test_numbering.py); 0508 is Saint-Pierre-et-Miquelon, six digits.
_OVERSEAS: Mapping[str, tuple[str, ...]] = {
    "262": (
        *("0262", "0263", "0268", "0269", "0639", "0692", "0693", "07092", "070935", "070936", "070937"),
        *("09398", "09399", "09478", "09479", "09762", "09763", "09769"),
    ),
    "590": ("0590", "05987", "0690", "0691", "07090", "09395", "09475", "09760", "09761", "09768"),
    "594": ("0594", "05988", "0694", "070930", "070931", "070932", "070933", "09396", "09476", "09764", "09765"),
    "596": ("0596", "05989", "0696", "0697", "07091", "09397", "09477", "09766", "09767"),
}
_SAINT_PIERRE = "0508"
_OVERSEAS_CODE = {prefix: code for code, prefixes in _OVERSEAS.items() for prefix in prefixes}

# Short numbers by their first digits, with their whole length. 116xxx that are emergencies were seen before.
_FRENCH_SHORT = (("10", 4), ("116", 6), ("118", 6), ("3", 4))
_M2M = "0700"
_M2M_LENGTH = 14
_NATIONAL_LENGTH = 10
_EXTENSION_MIN, _EXTENSION_MAX = 3, 15
_SCREEN_MAX = 20
_CODE_MAX = 40
_SEPARATORS = dict.fromkeys(map(ord, " \t.-/()\u00a0\u202f\u2011\u2013"))

_WORLD_KINDS = {
    "800": NumberClass.FREE,  # universal freephone
    "808": NumberClass.PREMIUM,  # universal shared cost
    "870": NumberClass.SATELLITE,
    "881": NumberClass.SATELLITE,
    "882": NumberClass.SATELLITE,
    "883": NumberClass.SATELLITE,
    "979": NumberClass.PREMIUM,
}


@dataclass(frozen=True, slots=True)
class _Reading:
    """A plan's verdict; `sendable`: a `#` (or the caller's patience) may send it as it is."""

    status: Completeness
    kind: NumberClass = NumberClass.UNKNOWN
    e164: str | None = None
    sendable: bool = False


_BEGUN = _Reading(Completeness.INCOMPLETE)
_WRONG = _Reading(Completeness.INVALID)


def prepare() -> None:
    """Load every country's metadata now, so that nothing is imported while somebody dials."""
    world.prepare()


def emergency_numbers(country: str = "FR") -> frozenset[str]:
    """The emergency numbers of a country, as dialled there."""
    return EMERGENCY.get(_ALIASES.get(country, country), frozenset(("112",)))


def is_emergency(digits: str, country: str = "FR") -> bool:
    """Whether exactly these digits (a sending `#` aside) call for help."""
    return digits.removesuffix("#") in emergency_numbers(country)


def analyse(dialled: str, country: str = "FR") -> Dialled:
    """What these digits, dialled so far, mean in `country` (ISO code, or UK). Never raises."""
    country = _ALIASES.get(country, country)
    digits = dialled.removesuffix("#")
    if is_emergency(dialled, country):
        return _dialled(digits, _Reading(Completeness.COMPLETE, NumberClass.EMERGENCY), country)
    if dialled[:1] in {"*", "#"}:
        return _service_code(dialled)
    if not digits:
        return _dialled("", _WRONG if dialled else _BEGUN, country)
    if not (digits.isascii() and digits.isdigit()):
        return _dialled(digits, _WRONG, country)
    reading = _home_plan(digits, country)
    if dialled.endswith("#"):
        done = reading.status is Completeness.COMPLETE or reading.sendable
        status = Completeness.COMPLETE if done else Completeness.INVALID
        reading = replace(reading, status=status)
    return _dialled(digits, reading, country)


def parse_number(text: str, country: str = "FR") -> Dialled:
    """A number as a person writes it: "+33 1 42 68 53 00", "01.42.68.53.00", "0033 (0)1 ..", "36 99".

    COMPLETE (as if sent with `#`) or INVALID, never in between.
    """
    country = _ALIASES.get(country, country)
    compact = _compact(text)
    if compact.startswith("+"):
        compact = _international_prefix(country) + compact[1:]
    found = analyse(compact.removesuffix("#") + "#", country) if compact else _dialled("", _WRONG, country)
    if found.status is Completeness.COMPLETE:
        return found
    if compact.isascii() and compact.isdigit():
        # "33142685300": E.164 that lost its +, as directories and providers write it.
        abroad = _international(compact, country)
        if abroad.e164 is not None and world.is_known(abroad.e164):
            return _dialled(compact, replace(abroad, status=Completeness.COMPLETE), country)
    return replace(found, status=Completeness.INVALID)


def display(e164: str, country: str = "FR") -> str:
    """What a telephone shows, digits only: "+33142685300" -> "0142685300"; abroad "00" and the code."""
    if not e164.startswith("+"):
        return e164
    country = _ALIASES.get(country, country)
    home = _home_form(e164, country)
    return home if home is not None else _international_prefix(country) + e164[1:]


def caller_display(number: str, country: str = "FR") -> str | None:
    """A caller's number, in whatever form a provider sends it, as a telephone shows it; None if it is none."""
    parsed = parse_number(number, country)
    if parsed.e164 is not None:
        return display(parsed.e164, country)
    digits = _compact(number).removeprefix("+")
    return digits if digits.isascii() and digits.isdigit() and len(digits) <= _SCREEN_MAX else None


def _compact(text: str) -> str:
    """Without what people put between digits."""
    return text.strip().lower().removeprefix("tel:").replace("(0)", "").translate(_SEPARATORS)


# --- plans ----------------------------------------------------------------------------------


def _home_plan(digits: str, country: str) -> _Reading:
    prefix = _international_prefix(country)
    if digits.startswith(prefix):
        return _international(digits[len(prefix) :], country)
    if country == "FR":
        return _french(digits)
    return _other_home(digits, country)


def _french(digits: str) -> _Reading:
    for prefix, length in _FRENCH_SHORT:
        if digits.startswith(prefix):
            return _by_length(digits, length, NumberClass.SHORT)
    if any(number.startswith(digits) for number in (*EMERGENCY["FR"], "10", "116", "118", "00")):
        return _BEGUN
    if digits[0] == "0":
        return _french_national(digits)
    if digits[0] == "1":
        return _WRONG
    return _extension(digits)


def _french_national(digits: str) -> _Reading:
    """Digits from a single 0."""
    if digits.startswith(_M2M):
        return _by_length(digits, _M2M_LENGTH, NumberClass.MOBILE, "+33" + digits[1:])
    return _by_length(digits, _NATIONAL_LENGTH, _french_class(digits), _french_e164(digits))


def _french_e164(digits: str) -> str:
    if digits.startswith(_SAINT_PIERRE):
        return "+508" + digits[len(_SAINT_PIERRE) :]
    code = next((_OVERSEAS_CODE[digits[:n]] for n in (6, 5, 4) if digits[:n] in _OVERSEAS_CODE), "33")
    return f"+{code}{digits[1:]}"


def _french_class(digits: str) -> NumberClass:
    match digits[1:2]:
        case "1" | "2" | "3" | "4" | "5" | "9":
            return NumberClass.FIXED
        case "6" | "7":
            return NumberClass.MOBILE
        case "8" if digits[2:3] == "0":
            # 0800 to 0805 are free, 0806 to 0809 cost what a fixed line costs.
            return NumberClass.FIXED if digits[3:4] in {"6", "7", "8", "9"} else NumberClass.FREE
        case "8":
            return NumberClass.PREMIUM
        case _:
            return NumberClass.UNKNOWN


def _international(digits: str, country: str) -> _Reading:
    """Digits behind the international prefix: country code and national number."""
    code = world.country_code(digits) if digits else None
    if code is None:
        return _BEGUN if world.begins_code(digits) else _WRONG
    national = digits[len(code) :]
    if code == "33":
        # "+33 (0)1 ..": the 0 that people leave in.
        return _french_national("0" + national.removeprefix("0")) if national else _BEGUN
    e164 = "+" + digits
    kind = _WORLD_KINDS.get(code, NumberClass.INTERNATIONAL)
    home = _home_form(e164, country)
    if home is not None:
        kind = _french_class(home) if country == "FR" else NumberClass(world.line_type(e164))
    return _by_lengths(e164, national, code, kind)


def _other_home(digits: str, country: str) -> _Reading:
    """A country known by its metadata only: numbers with the trunk prefix, or whatever may be local or short."""
    code = world.home_code(country)
    trunk = world.trunk_prefix(country)
    if code is None:
        return _extension(digits)
    if trunk.startswith(digits):
        return _BEGUN
    national = digits.removeprefix(trunk)
    e164 = f"+{code}{national}"
    reading = _by_lengths(e164, national, code, NumberClass(world.line_type(e164)))
    if trunk and digits.startswith(trunk):
        return reading
    # In a country with a trunk prefix, digits without it are local or short (America: optional).
    if reading.sendable and (not trunk or code == "1"):
        return reading
    return _extension(digits)


def _by_length(digits: str, length: int, kind: NumberClass, e164: str | None = None) -> _Reading:
    if len(digits) > length:
        return _WRONG
    if len(digits) < length:
        return _Reading(Completeness.INCOMPLETE, kind)
    return _Reading(Completeness.COMPLETE, kind, e164)


def _by_lengths(e164: str, national: str, code: str, kind: NumberClass) -> _Reading:
    """Complete when no longer number can be, possible where a shorter one exists too."""
    lengths = world.lengths(code)
    if len(national) > lengths[-1]:
        return _WRONG
    if len(national) == lengths[-1]:
        return _Reading(Completeness.COMPLETE, kind, e164, sendable=True)
    if len(national) not in lengths:
        return _Reading(Completeness.INCOMPLETE, kind)
    if not world.is_known(e164):
        # Metadata may be older than the number: a # or a long pause still sends it.
        return _Reading(Completeness.INCOMPLETE, kind, e164, sendable=True)
    status = Completeness.POSSIBLE if world.may_continue(e164) else Completeness.COMPLETE
    return _Reading(status, kind, e164, sendable=True)


def _extension(digits: str) -> _Reading:
    if len(digits) > _EXTENSION_MAX:
        return _WRONG
    enough = len(digits) >= _EXTENSION_MIN
    return _Reading(Completeness.POSSIBLE if enough else Completeness.INCOMPLETE, sendable=True)


def _service_code(dialled: str) -> Dialled:
    """`*21*0142685300#`, `#21#`, `*#21#`, `*00#`: complete at the `#` that follows a digit."""
    if len(dialled) > _CODE_MAX or any(digit not in "0123456789*#" for digit in dialled):
        status = Completeness.INVALID
    elif dialled.endswith("#") and dialled.strip("*#"):
        status = Completeness.COMPLETE
    else:
        status = Completeness.INCOMPLETE
    return Dialled(dialled, status, NumberClass.SERVICE, None, dialled, dialled)


# --- writing --------------------------------------------------------------------------------


def _international_prefix(country: str) -> str:
    return "011" if country == "US" else "00"


def _home_form(e164: str, country: str) -> str | None:
    """As dialled inside the country, or None for a number abroad."""
    if country == "FR":
        if e164.startswith("+508"):
            home = _SAINT_PIERRE + e164[4:]
            return home if len(home) == _NATIONAL_LENGTH else None
        for code in ("33", *_OVERSEAS):
            home = "0" + e164[1 + len(code) :]
            if e164.startswith("+" + code) and _french_e164(home) == e164:
                return home
        return None
    own = world.home_code(country)
    if own is None or world.country_code(e164[1:]) != own:
        return None
    national = e164[1 + len(own) :]
    return national if own == "1" else world.trunk_prefix(country) + national


def _dialled(digits: str, reading: _Reading, country: str) -> Dialled:
    written = _written(digits, reading, country)
    return Dialled(digits, reading.status, reading.kind, reading.e164, written, reading.e164 or digits)


def _written(digits: str, reading: _Reading, country: str) -> str:
    """As people write it: 01 42 68 53 00, 0 892 70 00 00, 0262 12 34 56, 36 99, 118 712, +49 30 123456."""
    if reading.e164 is None:
        match len(digits):
            case 4 if reading.status is Completeness.COMPLETE:
                return _grouped(digits, 2)
            case 6 if reading.status is Completeness.COMPLETE:
                return _grouped(digits, 3)
            case _:
                return digits
    home = _home_form(reading.e164, country)
    if home is not None and country == "FR":
        if home.startswith("08"):
            return f"0 {home[1:4]} {_grouped(home[4:], 2)}"
        if home[:4] in _OVERSEAS_CODE or home.startswith(_SAINT_PIERRE):
            return f"{home[:4]} {_grouped(home[4:], 2)}"
        return _grouped(home, 2)
    return world.written(reading.e164, at_home=home is not None)


def _grouped(digits: str, size: int) -> str:
    return " ".join(digits[at : at + size] for at in range(0, len(digits), size))
