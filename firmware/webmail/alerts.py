"""Mails about budgets: a cap nearly or wholly gone, a call that was refused. Pure.

Of a refused call the number stands in the text and never in the subject: whoever dialled it chose it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from firmware.service import AlertRow
from firmware.webmail.account import Account
from firmware.webmail.messages import Household, Mail, letter, spoken_time, written_number
from firmware.webmail.words import Translator, clean, speak

MAX_LABEL = 64
_WHOLE = 100


def budget_alert(row: AlertRow, account: Account, household: Household, device: str, now: datetime) -> Mail:
    """The mail about one alert. Its Message-ID depends on the alert, the device and the mailbox alone."""
    _ = speak(account.language or household.language)
    if row["kind"] == "cap":
        subject, lines = _cap(row, household, _)
    else:
        subject, lines = _refused(row, household, _)
    lines += ["", _("Caps, allowed numbers and PINs are on the box\u2019s page, under Budgets.")]
    told = hashlib.sha256(f"{device}|alert|{row['id']}|{row['at']}".encode()).hexdigest()[:24]
    message_id = f"<allobox-alert-{row['id']}-{told}@{account.address.rpartition('@')[2]}>"
    message = letter(account, subject, lines, message_id, now, _)
    return Mail(0, message_id, account.address, account.recipient, message)


def _cap(row: AlertRow, household: Household, _: Translator) -> tuple[str, list[str]]:
    whose = _scope(row, _)
    share = int(row.get("percent", 0))
    when = spoken_time(row["at"], household.timezone, _)
    if share >= _WHOLE:
        subject = _("Telephone budget used up: %s") % whose
        lines = [_("%(when)s: the budget %(whose)s is used up.") % {"when": when, "whose": whose}]
        lines += [_("Calls that cost something are refused until it begins anew. Emergencies and free numbers work.")]
    else:
        subject = _("%(share)d %% of the telephone budget used: %(whose)s") % {"share": share, "whose": whose}
        lines = [
            _("%(when)s: %(share)d %% of the budget %(whose)s is used.")
            % {"when": when, "share": share, "whose": whose}
        ]
    money, minutes = row.get("money"), row.get("minutes")
    if money is not None:
        spent = clean(str(row.get("spent", "")), MAX_LABEL)
        lines.append(_("Spent: %(spent)s of %(cap)s.") % {"spent": spent, "cap": clean(money, MAX_LABEL)})
    if minutes is not None:
        used = -(-int(row.get("spent_seconds", 0)) // 60)
        lines.append(_("Used: %(used)d of %(cap)d minutes.") % {"used": used, "cap": minutes})
    return subject, lines


def _scope(row: AlertRow, _: Translator) -> str:
    """Whose calls, and how often: of all calls a month, of line 2 a day, of the PIN Zoe a week."""
    name = clean(str(row.get("name", "")), MAX_LABEL)
    whose = {
        "class": _("of calls of the class %s") % class_name(name, _),
        "line": _("of line %s") % name,
        "pin": _("of the PIN %s") % name,
    }.get(str(row.get("scope")), _("of all calls"))
    often = {"day": _("a day"), "week": _("a week"), "month": _("a month")}.get(str(row.get("period")), "")
    return f"{whose} {often}".strip()


def class_name(name: str, _: Translator) -> str:
    """A class of numbers in words."""
    return {
        "fixed": _("landlines"),
        "mobile": _("mobiles"),
        "short": _("short numbers"),
        "international": _("abroad"),
        "premium": _("premium numbers"),
        "satellite": _("satellite telephones"),
        "unknown": _("unknown destinations"),
    }.get(name, name)


def _refused(row: AlertRow, household: Household, _: Translator) -> tuple[str, list[str]]:
    kind = class_name(clean(str(row.get("name", "")), MAX_LABEL), _)
    if row.get("reason") == "unknown-barred":
        kind = class_name("unknown", _)
    about = {
        "when": spoken_time(row["at"], household.timezone, _),
        "number": written_number(str(row.get("number", "")), household.country),
        "line": int(row.get("line", 0)),
        "kind": kind,
    }
    lines = [
        _("%(when)s: a call to %(number)s on line %(line)d was refused (%(kind)s).") % about,
        _("If that is as it should be, nothing needs doing; if you did not dial it, ask who did."),
    ]
    return _("A call was refused: %s") % kind, lines
