"""What can go wrong with a mail server, and the sentence a person gets: what, where, what to do.

The server's own words are always part of it, for only they say what the provider wants.
"""

from __future__ import annotations

from enum import Enum

from firmware.webmail.providers import by_server
from firmware.webmail.words import Translator


class Trouble(Enum):
    """Kinds, by what must be done about them."""

    UNREACHABLE = "no connection"
    SLOW = "too slow"
    NO_TLS = "no encryption"
    UNTRUSTED = "certificate not trusted"
    BUSY = "refuses for now"
    LOGIN = "login refused"
    MAIL_LATER = "mail refused for now"
    MAIL_REFUSED = "mail refused"
    ODD = "does not speak the protocol"
    BAD_CA_FILE = "the authorities' file cannot be read"


class MailboxError(Exception):
    """A server did not do what was asked. `words` are its own, made harmless, never holding a secret."""

    def __init__(self, trouble: Trouble, protocol: str, host: str, port: int, words: str) -> None:
        super().__init__(f"{protocol} {host}:{port}: {trouble.value}: {words}")
        self.trouble = trouble
        self.protocol = protocol
        self.host = host
        self.port = port
        self.words = words

    @property
    def where(self) -> str:
        """The field of the page's form that this is about."""
        match self.trouble:
            case Trouble.LOGIN:
                return "password"
            case Trouble.BAD_CA_FILE:
                return "mail.ca_file"
            case _:
                return self.protocol.lower()


def _sentence(trouble: Trouble, _: Translator) -> str:
    match trouble:
        case Trouble.UNREACHABLE:
            return _("The server %(server)s cannot be reached (%(words)s). Check its name, its port and the network.")
        case Trouble.SLOW:
            return _(
                "The server %(server)s does not answer in time (%(words)s)."
                " Check its name and its port, or try again later."
            )
        case Trouble.NO_TLS:
            return _(
                "The server %(server)s offers no encryption as chosen (%(words)s). Nothing was sent to it;"
                " try the other kind: “tls” (usually port 993 or 465) or “starttls” (143 or 587)."
            )
        case Trouble.UNTRUSTED:
            return _(
                "The server %(server)s cannot prove who it is (%(words)s). Nothing was sent to it; check its name."
            )
        case Trouble.BUSY:
            return _("The server %(server)s refuses for now: “%(words)s”. Try again later.")
        case Trouble.LOGIN:
            return _("The server %(server)s refused the login: “%(words)s”.")
        case Trouble.MAIL_LATER:
            return _("The server %(server)s does not take the mail for now: “%(words)s”.")
        case Trouble.MAIL_REFUSED:
            return _("The server %(server)s refused the mail: “%(words)s”.")
        case Trouble.ODD:
            return _("What answers at %(server)s does not speak as expected (%(words)s). Check the name and the port.")
        case Trouble.BAD_CA_FILE:
            return _("The file of additional authorities (setting mail.ca_file) cannot be read: %(words)s")


def in_words(error: MailboxError, _: Translator) -> str:
    """The sentence for a person, with what the provider is known to want."""
    server = f"{error.host}:{error.port} ({error.protocol})"
    told = _sentence(error.trouble, _) % {"server": server, "words": error.words or "–"}
    if error.trouble is not Trouble.LOGIN:
        return told
    return f"{told} {password_hint(error.host, _)}"


def password_hint(host: str, _: Translator) -> str:
    """What to try when this server refuses a password."""
    provider = by_server(host)
    if provider is not None and not provider.takes_password:
        return oauth_only(provider.name, _)
    if provider is not None and provider.app_passwords:
        told = _("%(provider)s wants a password made for this application, not that of the account: %(link)s")
        return told % {"provider": provider.name, "link": provider.app_passwords}
    return _(
        "Check the user name and the password; some providers ask first to allow IMAP, or to make an application"
        " password, in the settings of the webmail."
    )


def oauth_only(provider: str, _: Translator) -> str:
    """For providers that accept no password at all."""
    told = _(
        "%s accepts no password from mail programs any more, only its own sign-in page (OAuth),"
        " which Allobox cannot do yet."
    )
    return told % provider
