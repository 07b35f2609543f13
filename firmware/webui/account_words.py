"""How an account's registration goes, in a person's words.

The core says why in sentences that are stable (telephony/sip/reasons.py); each is a key of the table
here, and a test compares the two. What is not in it are a server's own words, shown as such.
"""

from __future__ import annotations

import re

from firmware.service import AccountRow
from firmware.webui.formats import plain
from firmware.webui.say import _
from firmware.webui.sentence import Sentence

_ANSWERS = re.compile(r"the server answers (?P<code>[0-9]{3})(?: (?P<phrase>.*))?")
_SILENT = frozenset(
    {
        "the server's name cannot be found: check its spelling and the DNS",
        "the server does not answer: check its address, port and transport",
        "the server refuses the connection: check its port and transport",
        "the server is out of order: trying again",
    }
)
_NOT_YET = frozenset({"registering", "not registered yet"})


def reason_table() -> dict[str, str]:
    """The core's sentences and what the reader sees."""
    return {
        "not registered yet": _("It has not been tried yet."),
        "registered": _("Connected"),
        "registering": _("Connecting"),
        "registration is switched off": _("It is used without registering."),
        "unregistered": _("The connection was ended."),
        "no network: the cable or the Wi-Fi is down, or there is no route to the server": _(
            "No network: the cable or the Wi-Fi is down, or no way leads to the server."
        ),
        "the server's name cannot be found: check its spelling and the DNS": _(
            "The server's name cannot be found: check how it is spelled."
        ),
        "the server does not answer: check its address, port and transport": _(
            "The server does not answer: check its address, port and transport."
        ),
        "the server refuses the connection: check its port and transport": _(
            "The server refuses the connection: check its port and transport."
        ),
        "the user name or the password is wrong": _("The user name or the password is wrong."),
        "the server asks for another realm than the one set: leave the realm empty to follow it": _(
            "The server asks for another realm than the one that is set."
        ),
        "the server forbids this account: ask the provider": _("The server forbids this account: ask the provider."),
        "the server does not know this user": _("The server does not know this user name."),
        "the server is out of order: trying again": _("The server is out of order: the box goes on trying."),
        "the server's certificate is not trusted: wrong name, expired, or unknown authority": _(
            "The server's certificate is not trusted: wrong name, out of date, or of an unknown authority."
        ),
        "the encrypted connection failed: check the port and that the server speaks TLS": _(
            "The encrypted connection failed: check the port, and that the server speaks TLS."
        ),
        "too many accounts for this box: remove one": _("Too many accounts for this box: remove one."),
        "the account's settings are not usable: check server, user and proxy": _(
            "These settings cannot be used: check the server, the user name and the proxy."
        ),
        "all lines are busy: the last one is kept for emergencies": _(
            "All lines are busy: the last one is kept for emergencies."
        ),
        "no such account": _("There is no such account."),
        "the telephone service has failed and is being restarted": _(
            "The telephone service has failed and is starting again."
        ),
    }


def reason_words(reason: str) -> str:
    """A reason of the core as a sentence; "" if it is not one of its own."""
    known = reason_table().get(reason)
    if known is not None:
        return known
    answers = _ANSWERS.fullmatch(reason)
    if answers is None:
        return ""
    words = f"{answers['code']} {answers['phrase'] or ''}".strip()
    return _("The server answers: %(words)s", words=words)


def account_sentence(account: AccountRow) -> Sentence:
    """The account's registration in words; `detail` says why, in the server's own words if need be."""
    said, code = plain(account["reason"]), account["sip_code"]
    if not account["enabled"]:
        return Sentence(_("Switched off"))
    if account["registered"]:
        return Sentence(_("Connected"), "", "alive")
    if not code and said in _NOT_YET:
        return Sentence(_("Connecting"))
    if said == "registration is switched off":
        return Sentence(_("Ready"), reason_words(said))
    return Sentence(_trouble(code, said), _why(code, said), "trouble")


def _trouble(code: int, said: str) -> str:
    if said.startswith("no network"):
        return _("The box has no network")
    if said == "the server forbids this account: ask the provider":
        return _("The provider refuses this account")
    if code in {401, 403, 407}:
        return _("The provider refuses the user name or the password")
    if code == 404:  # noqa: PLR2004 - SIP 404 Not Found
        return _("The provider does not know this user name")
    # The stack makes up 408 and 503 for whatever kept it from being answered: the reason knows better.
    silent = said in _SILENT if reason_words(said) else code in {0, 408, 502, 503, 504}
    if silent:
        return _("The provider does not answer")
    return _("Not connected")


def _why(code: int, said: str) -> str:
    known = reason_words(said)
    if known:
        return known
    server = f"{code} {said}".strip() if code else said
    return _("The server says: %(words)s", words=server) if server else ""
