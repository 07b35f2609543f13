"""The mails themselves: what a missed call looks like, in French or English. Pure.

Plain text in UTF-8 and headers that only the standard library's generator writes: a caller's name
comes from a stranger and stands in the subject.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from firmware.service import CallRow
from firmware.webmail.account import Account
from firmware.webmail.words import Translator, clean, speak

MAX_NAME = 64
MAX_NUMBER = 32
_POLICY = SMTP.clone(cte_type="7bit")  # quoted-printable or base64: any server takes it
_REGIONS = {"UK": "GB"}  # the box says UK


@dataclass(frozen=True, slots=True)
class Mail:
    """A finished mail: envelope and bytes. `record` is the call record it tells of."""

    record: int
    message_id: str
    sender: str
    recipient: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Household:
    """What the box's settings say of the people who read the mails."""

    language: str = "fr"
    timezone: str = "Europe/Paris"
    country: str = "FR"

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Household:
        """From BoxService.settings()."""
        return cls(
            language=str(settings.get("box.language") or "fr"),
            timezone=str(settings.get("box.timezone") or "Europe/Paris"),
            country=str(settings.get("box.country") or "FR"),
        )


def missed_call(row: CallRow, account: Account, household: Household, device: str, now: datetime) -> Mail:
    """The mail about one missed call. Its Message-ID depends on the call, the device and the mailbox alone."""
    _ = speak(account.language or household.language)
    name = clean(row["name"] or "", MAX_NAME)
    number = written_number(row["number"] or "", household.country)
    who = f"{name} ({number})" if name and number else name or number
    subject = _("Missed call from %s") % who if who else _("Missed call (number withheld)")
    when = spoken_time(row["started"], household.timezone, _)
    if who:
        lines = [_("%(who)s called on %(when)s and nobody answered.") % {"who": who, "when": when}]
    else:
        lines = [_("Somebody who withheld their number called on %s and nobody answered.") % when]
    if number:
        lines += ["", _("To call back: %s") % number]
    message_id = _message_id(row, account, device)
    message = letter(account, subject, lines, message_id, now, _)
    return Mail(row["id"], message_id, account.address, account.recipient, message)


def trial(account: Account, household: Household, token: str, now: datetime) -> Mail:
    """The test mail; `token` makes its Message-ID unique."""
    _ = speak(account.language or household.language)
    message_id = f"<allobox-test-{token}@{account.address.rpartition('@')[2]}>"
    lines = [_("This mailbox is linked: from now on, every missed call sends a mail like this one.")]
    message = letter(account, _("Allobox: test mail"), lines, message_id, now, _)
    return Mail(0, message_id, account.address, account.recipient, message)


def readdressed(message: bytes, sender: str, recipient: str) -> bytes:
    """The same mail between other addresses: the mailbox was changed while it waited."""
    letter = message_from_bytes(message, policy=_POLICY)
    for header, address in (("From", sender), ("To", recipient)):
        del letter[header]
        letter[header] = Address("Allobox" if header == "From" else "", addr_spec=address)
    return letter.as_bytes()


def _message_id(row: CallRow, account: Account, device: str) -> str:
    # The start belongs to it: after a reset the journal counts from 1 again.
    told = hashlib.sha256(f"{device}|{row['id']}|{row['started']}".encode()).hexdigest()[:24]
    return f"<allobox-{row['id']}-{told}@{account.address.rpartition('@')[2]}>"


def letter(account: Account, subject: str, lines: list[str], message_id: str, now: datetime, _: Translator) -> bytes:
    """A mail's bytes: its headers, the lines, and the signature with the household's phrase."""
    written = EmailMessage(policy=_POLICY)
    written["From"] = Address("Allobox", addr_spec=account.address)
    written["To"] = Address(addr_spec=account.recipient)
    written["Subject"] = subject
    written["Date"] = format_datetime(now.astimezone(UTC))
    written["Message-ID"] = message_id
    written["Auto-Submitted"] = "auto-generated"  # RFC 3834 clause 5: no holiday reply, please
    written["X-Auto-Response-Suppress"] = "All"
    written["Content-Language"] = _("en")
    signature = [_("Allobox, your telephone. This mail came out of your own mailbox.")]
    if account.phrase:
        signature.append(_("Your phrase, by which you know that this mail is true: %s") % account.phrase)
    written.set_content("\n".join([*lines, "", "-- ", *signature, ""]))
    return written.as_bytes()


def written_number(number: str, country: str) -> str:
    """A number as people of `country` write it: 01 42 68 53 00; others +1 202-456-1414. Odd ones as they are."""
    plain = clean(number, MAX_NUMBER)
    if not plain.startswith("+"):
        return plain
    region = _REGIONS.get(country, country)
    try:
        parsed = phonenumbers.parse(plain)
    except phonenumbers.NumberParseException:
        return plain
    here = parsed.country_code == phonenumbers.country_code_for_region(region)
    style = phonenumbers.PhoneNumberFormat.NATIONAL if here else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return str(phonenumbers.format_number(parsed, style))


def spoken_time(started: str, timezone: str, _: Translator) -> str:
    """Such as: Sunday 23 November 2025 at 07:52, in the household's time; the ISO text if it is none."""
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return clean(started, MAX_NUMBER)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    zone_name = ""
    try:
        local = moment.astimezone(ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, ValueError, OverflowError):
        local, zone_name = moment.astimezone(UTC), " UTC"
    told = _("%(weekday)s %(day)d %(month)s %(year)d at %(hour)02d:%(minute)02d") % {
        "weekday": _weekdays(_)[local.weekday()],
        "day": local.day,
        "month": _months(_)[local.month - 1],
        "year": local.year,
        "hour": local.hour,
        "minute": local.minute,
    }
    return told + zone_name


def _weekdays(_: Translator) -> tuple[str, ...]:
    return (_("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"), _("Sunday"))


def _months(_: Translator) -> tuple[str, ...]:
    return (
        _("January"), _("February"), _("March"), _("April"), _("May"), _("June"),
        _("July"), _("August"), _("September"), _("October"), _("November"), _("December"),
    )  # fmt: skip
