"""What the core refuses, in the reader's words: by the field that it names, or by what it was asked.

The core speaks English, to scripts and logs. The page knows its own forms, so it says what belongs
into a field; only where it knows nothing better does it show the core's words, in small beneath.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware.service import ServiceError
from firmware.webui.formats import plain
from firmware.webui.language import language
from firmware.webui.say import _

_CONFLICT = 409
_NO_ROOM = 507


@dataclass(frozen=True, slots=True)
class Refusal:
    """`words` in the reader's language; `core` what the core said, "" where `words` say as much."""

    words: str
    core: str = ""

    def line(self) -> str:
        """Both, for a place with room for one line."""
        return f"{self.words} ({self.core})" if self.core else self.words


def account_refusal(error: ServiceError) -> Refusal:
    """Why an account was not taken. `where` is `account.0.server` for a value that is wrong in itself;

    `name`, `password` or nothing for an account that does not fit what there is.
    """
    if error.status == _CONFLICT:
        if _field(error) == "name":
            return Refusal(_("An account of this name exists already: choose another name."))
        return Refusal(_("The box carries no more accounts: remove one first."))
    if error.where == "password":
        return Refusal(
            _(
                "Type the password again: the one that is kept was given for the server, "
                "the user name and the encryption as they were."
            )
        )
    return _known(error, _account_fields())


def setting_refusal(error: ServiceError) -> Refusal:
    """Why a setting was not taken. `where` is its dotted key."""
    return _known(error, _setting_fields())


def other_refusal(error: ServiceError) -> Refusal:
    """Any other refusal."""
    return _known(error, {})


def as_said(error: ServiceError) -> Refusal:
    """The mail worker's words: it speaks the household's language, or lets the mail server speak."""
    words = plain(error.message)
    return Refusal(words) if words else other_refusal(error)


def _known(error: ServiceError, fields: dict[str, str]) -> Refusal:
    if error.status == _NO_ROOM:
        return Refusal(_("The box cannot save this: its memory card is full or broken. Nothing was changed."))
    known = fields.get(_field(error))
    if known is not None:
        return Refusal(known)
    core = plain(error.message)
    # An English reader understands the core itself.
    if language() == "en" and core:
        return Refusal(core)
    return Refusal(_("The box refuses this."), core)


def _field(error: ServiceError) -> str:
    return error.where.rsplit(".", 1)[-1]


def _account_fields() -> dict[str, str]:
    server = _("The server is a name or an address, with a port if need be: sip.example.org:5060")
    return {
        "name": _("A name has at most 40 letters, digits, spaces, points and hyphens."),
        "server": server,
        "proxy": server,
        "user": _('A user name has no spaces, quotes, angle brackets, @, ";" or "?", and at most 128 signs.'),
        "auth_user": _("This name is too long, or holds signs that nobody can see."),
        "display_name": _("This name is too long, or holds signs that nobody can see."),
        "password": _("This password is too long, or holds signs that nobody can see."),
        "number": _("Write the number as in 01 42 68 53 00 or +33 1 42 68 53 00."),
        "transport": _("Choose UDP, TCP or TLS."),
        "codecs": _("The box does not have one of these codecs, or one is named twice."),
    }


def _setting_fields() -> dict[str, str]:
    return {
        "country": _("The box does not know this country's telephones. Choose one of the list."),
        "timezone": _("This is not a time zone, such as Europe/Paris. Choose one of the list."),
        "language": _("The telephone speaks French or English."),
        "pulse": _("This is either on or off."),
        "caller_id": _("This is either on or off."),
        "call_waiting": _("This is either on or off."),
        "echo_canceller": _("This is either on or off."),
        "echo_tail_ms": _("The echo lasts 4 to 256 ms. Choose one of the list."),
        "echo_suppression": _("This is either on or off."),
        "automatic_gain": _("This is either on or off."),
    }
