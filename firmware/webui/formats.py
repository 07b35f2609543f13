"""Numbers, prices, times and durations as people of the house write them; text from strangers made harmless.

Pure but for the language (Flask-Babel's) and the household's choices. Escaping is Jinja's; here only
what escaping cannot mend: control and text-direction characters.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import phonenumbers
from babel.dates import format_date as babel_date
from babel.dates import format_datetime as babel_datetime
from babel.dates import format_time as babel_time
from babel.numbers import format_decimal, get_currency_symbol
from flask_babel import get_locale

from firmware.webui.context import page
from firmware.webui.say import _

_REGIONS = {"UK": "GB"}
_MAX_TEXT = 128
_DIALLED = re.compile(r"[0-9]{7,17}")
_CENT = Decimal("0.01")
SPACE = "\u00a0"


def plain(text: object) -> str:
    """Text from the network as a person may be shown it: no controls, no text-direction tricks, at most 128."""
    shown = "".join(char if _harmless(char) else " " for char in str(text or ""))
    return " ".join(shown.split())[:_MAX_TEXT]


def block(text: object) -> str:
    """Like `plain`, but lines and length stay: SIP messages and logs."""
    return "".join(char if char in "\n\t" or _harmless(char) else "\ufffd" for char in str(text or ""))


def bare(text: object) -> str:
    """Like `plain`, but spaces and length stay: what goes back into a field."""
    return "".join(filter(_harmless, str(text)))


def _harmless(char: str) -> bool:
    # Cc controls, Cf text direction and joiners, Cs lone halves, Zl and Zp line breaks.
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def number(value: str | None) -> str:
    """A telephone number as it is written here: 01 42 68 53 00, abroad +1 202-555-0123.

    E.164, or digits as they were dialled; names, short numbers and service codes stay as they are.
    """
    if not value:
        return ""
    text = plain(value)
    dialled = _DIALLED.fullmatch(text) is not None
    if not text.startswith("+") and not dialled:
        return text
    country = page().household.choices().country
    region = _REGIONS.get(country, country)
    try:
        parsed = phonenumbers.parse(text, region if dialled else None)
    except phonenumbers.NumberParseException:
        return text
    # Digits may be anything, such as half a number: only a real one is written as one.
    if not (phonenumbers.is_valid_number(parsed) if dialled else phonenumbers.is_possible_number(parsed)):
        return text
    national = parsed.country_code == phonenumbers.country_code_for_region(region)
    style = phonenumbers.PhoneNumberFormat.NATIONAL if national else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return str(phonenumbers.format_number(parsed, style)).replace(" ", SPACE)


def money(value: str | Decimal | None, currency: str | None) -> str:
    """An amount: 0,02 €; "free" for nothing. Below a cent, as many decimals as it has."""
    amount = _decimal(value)
    if amount is None:
        return ""
    if amount == 0:
        return _("free")
    return amount_of(amount, currency)


def difference(value: str | Decimal | None, currency: str | None) -> str:
    """What something costs more or less: +1,40 €, −0,30 €; ±0,00 € for neither."""
    amount = _decimal(value)
    if amount is None:
        return ""
    sign = "+" if amount > 0 else "\u2212" if amount < 0 else "±"
    return sign + amount_of(abs(amount), currency)


def percent(value: int) -> str:
    """+30 %, −5 %; +2 100 %."""
    sign = "+" if value > 0 else "\u2212" if value < 0 else "±"
    return f"{sign}{format_decimal(abs(value), locale=get_locale())}{SPACE}%"


def prefix(value: str) -> str:
    """A deck's prefix as it is dialled: +336, or a short number without its country."""
    shown = plain(value)
    return f"+{shown}" if shown[:1] in "123456789" else shown[2:]


def day(iso: str | None) -> str:
    """A day in full: 1 janvier 2027."""
    moment = local(iso)
    return babel_date(moment, "long", locale=get_locale()) if moment else ""


def exact(value: str | Decimal | None, currency: str | None) -> str:
    """An amount to the last of its four decimals, as the ledger has it: 0,0280 €."""
    amount = _decimal(value)
    return (
        ""
        if amount is None
        else _with_symbol(format_decimal(amount, format="#,##0.0000", locale=get_locale()), currency)
    )


def amount_of(amount: Decimal | str, currency: str | None) -> str:
    """An amount even if nothing: 0,00 €."""
    amount = Decimal(amount)
    pattern = "#,##0.00##" if 0 < abs(amount) < _CENT else "#,##0.00"
    rounded = amount if pattern != "#,##0.00" else amount.quantize(_CENT, ROUND_HALF_UP)
    return _with_symbol(format_decimal(rounded, format=pattern, locale=get_locale()), currency)


def _with_symbol(shown: str, currency: str | None) -> str:
    symbol = get_currency_symbol(currency, locale=get_locale()) if currency else ""
    if str(get_locale()).startswith("en") and len(symbol) == 1:
        return f"{symbol}{shown}"
    return f"{shown}{SPACE}{symbol}".strip()


def rate(value: str | Decimal | None, currency: str | None) -> str:
    """A price a minute as people say it: 2 c/min, 1,20 €/min, free."""
    amount = _decimal(value)
    if amount is None:
        return ""
    if amount == 0:
        return _("free")
    if amount < 1 and currency in {"EUR", "USD", "CAD", "AUD", "CHF"}:
        cents = format_decimal(amount * 100, format="#,##0.##", locale=get_locale())
        return _("%(cents)s c/min", cents=cents) if currency in {"EUR", "CHF"} else _("%(cents)s ¢/min", cents=cents)
    return _("%(amount)s/min", amount=amount_of(amount, currency))


def steps(first: int | None, following: int | None) -> str:
    """Billing steps in words: "first minute indivisible, then by the second"."""
    if not first or not following:
        return ""
    if first == following == 1:
        return _("by the second")
    if first == following:
        return _("every minute begun is due") if first == 60 else _("by %(count)d s", count=first)  # noqa: PLR2004
    begin = _("first minute indivisible") if first == 60 else _("first %(count)d s indivisible", count=first)  # noqa: PLR2004
    then = _("then by the second") if following == 1 else _("then by %(count)d s", count=following)
    return f"{begin}, {then}"


def duration(seconds: int) -> str:
    """2 min 05 s."""
    hours, rest = divmod(max(0, int(seconds)), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}{SPACE}h{SPACE}{minutes:02d}"
    if minutes:
        return f"{minutes}{SPACE}min{SPACE}{left:02d}{SPACE}s"
    return f"{left}{SPACE}s"


def local(iso: str | None) -> datetime | None:
    """An ISO instant in the household's time zone; None if it is none."""
    if not iso:
        return None
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(page().household.choices().zone)


def when(iso: str | None) -> str:
    """Today 14:32, yesterday 9:05, or 3 March 14:32."""
    moment = local(iso)
    if moment is None:
        return ""
    today = datetime.now(moment.tzinfo).date()
    clock = babel_time(moment, "short", locale=get_locale())
    if moment.date() == today:
        return _("today %(time)s", time=clock)
    if moment.date() == today - timedelta(days=1):
        return _("yesterday %(time)s", time=clock)
    pattern = "d MMM" if moment.year == today.year else "d MMM y"
    return f"{babel_date(moment, pattern, locale=get_locale())}{SPACE}{clock}"


def full_when(iso: str | None) -> str:
    """The whole date and time, for titles and lists of years ago."""
    moment = local(iso)
    return babel_datetime(moment, "medium", locale=get_locale()) if moment else ""


def month(moment: datetime) -> str:
    """The month's name: novembre."""
    return babel_date(moment, "LLLL", locale=get_locale())


def _decimal(value: str | Decimal | None) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
