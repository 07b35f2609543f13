"""What phonenumbers knows of the world's numbers, behind a few plain questions. Its only import.

Pure. Numbers are E.164 with `+`; countries are ISO codes. The metadata are not an oracle: they may be
older than a number, so a number they do not know is never refused here, only not recognised early.
"""

from __future__ import annotations

from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, PhoneNumberType

from firmware.digitpattern import beginnings

_LONGEST_CODE = 3
_KIND_FIELDS = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip")
_TYPES = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.PAGER: "mobile",
    PhoneNumberType.TOLL_FREE: "free",
    PhoneNumberType.PREMIUM_RATE: "premium",
    PhoneNumberType.SHARED_COST: "premium",
    PhoneNumberType.UNKNOWN: "unknown",
}


def prepare() -> None:
    """Load what phonenumbers otherwise imports at the first number of each country (50 ms, 2 MB)."""
    PhoneMetadata.load_all()


def country_code(digits: str) -> str | None:
    """The country code that these digits (E.164 without `+`) begin with; None: none, or not enough digits."""
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    beginnings_of = (digits[:n] for n in range(1, min(_LONGEST_CODE, len(digits)) + 1))
    return next((code for code in beginnings_of if int(code) in known), None)


def begins_code(digits: str) -> bool:
    """Whether some country code begins with, or is begun by, these digits."""
    return len(digits) < _LONGEST_CODE or country_code(digits) is not None


def home_code(country: str) -> str | None:
    """A country's code, "49" for DE; None if phonenumbers does not know the country."""
    code: int = phonenumbers.country_code_for_region(country)
    return str(code) if code else None


def trunk_prefix(country: str) -> str:
    """What is dialled before a national number at home: "0" in Germany, "" in Spain."""
    metadata = PhoneMetadata.metadata_for_region(country)
    return "" if metadata is None else str(metadata.national_prefix or "")


@cache
def lengths(code: str) -> tuple[int, ...]:
    """Lengths of national numbers behind a country code, ascending."""
    return tuple(sorted({n for kind_lengths in _general(code) for n in kind_lengths if n > 0}))


def is_known(e164: str) -> bool:
    """Whether this is a number that exists, as far as the metadata go."""
    number = _parsed(e164)
    return number is not None and bool(phonenumbers.is_valid_number(number))


def line_type(e164: str) -> str:
    """Tell fixed, mobile, free, premium or unknown."""
    number = _parsed(e164)
    return "unknown" if number is None else _TYPES.get(phonenumbers.number_type(number), "fixed")


def may_continue(e164: str) -> bool:
    """Whether a longer number that exists begins with these digits. True when in doubt."""
    code = country_code(e164[1:])
    if code is None:
        return True
    national = e164[1 + len(code) :]
    return any(longest > len(national) and beginnings(kind).fullmatch(national) for kind, longest in _kinds(code))


def written(e164: str, *, at_home: bool) -> str:
    """As people write it: "030 123456" at home, "+49 30 123456" from abroad."""
    number = _parsed(e164)
    if number is None:
        return e164
    form = PhoneNumberFormat.NATIONAL if at_home else PhoneNumberFormat.INTERNATIONAL
    return str(phonenumbers.format_number(number, form))


def _parsed(e164: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(e164)
    except NumberParseException:
        return None


@cache
def _metadata(code: str) -> tuple[PhoneMetadata, ...]:
    found = (
        PhoneMetadata.metadata_for_nongeo_region(int(code))
        if region == "001"  # satellites, universal freephone: no country
        else PhoneMetadata.metadata_for_region(region)
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    )
    return tuple(metadata for metadata in found if metadata is not None)


def _general(code: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(m.general_desc.possible_length) for m in _metadata(code) if m.general_desc is not None)


@cache
def _kinds(code: str) -> tuple[tuple[str, int], ...]:
    """(pattern, longest length) of every kind of number behind a country code."""
    kinds: set[tuple[str, int]] = set()
    for metadata in _metadata(code):
        for field in (*_KIND_FIELDS, "pager", "uan", "voicemail"):
            kind = getattr(metadata, field)
            if kind is not None and kind.national_number_pattern:
                # Without lengths of its own a kind has those of the country.
                kinds.add((kind.national_number_pattern, max(kind.possible_length or lengths(code))))
    return tuple(kinds)
