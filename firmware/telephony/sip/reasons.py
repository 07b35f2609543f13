"""Registration and call failures in a person's words: pure.

The sentences are stable keys: the page translates them word for word (catalogue `messages`).
"""

from __future__ import annotations

from typing import Final

NOT_ASKED: Final = "not registered yet"
REGISTERED: Final = "registered"
REGISTERING: Final = "registering"
DISABLED: Final = "registration is switched off"
STOPPED: Final = "unregistered"
NO_NETWORK: Final = "no network: the cable or the Wi-Fi is down, or there is no route to the server"
NO_NAME: Final = "the server's name cannot be found: check its spelling and the DNS"
NO_ANSWER: Final = "the server does not answer: check its address, port and transport"
REFUSED_CONNECTION: Final = "the server refuses the connection: check its port and transport"
BAD_PASSWORD: Final = "the user name or the password is wrong"  # noqa: S105 a sentence
WRONG_REALM: Final = "the server asks for another realm than the one set: leave the realm empty to follow it"
FORBIDDEN: Final = "the server forbids this account: ask the provider"
UNKNOWN_USER: Final = "the server does not know this user"
TRY_LATER: Final = "the server is out of order: trying again"
TLS_UNTRUSTED: Final = "the server's certificate is not trusted: wrong name, expired, or unknown authority"
TLS_FAILED: Final = "the encrypted connection failed: check the port and that the server speaks TLS"
TOO_MANY_ACCOUNTS: Final = "too many accounts for this box: remove one"
BAD_ACCOUNT: Final = "the account's settings are not usable: check server, user and proxy"
NO_SLOT: Final = "all lines are busy: the last one is kept for emergencies"
NO_ACCOUNT: Final = "no such account"
STACK_DOWN: Final = "the telephone service has failed and is being restarted"

# errno as pjlib carries it: 120000 + errno (PJ_STATUS_FROM_OS); PJ_ERESOLVE and kin are its own.
_OS_ERROR_BASE = 120_000
_NETWORK_ERRNO = frozenset({100, 101, 113, 99})  # ENETDOWN, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL
_REFUSED_ERRNO = frozenset({111, 104, 32})  # ECONNREFUSED, ECONNRESET, EPIPE
_TIMEOUTS = frozenset({_OS_ERROR_BASE + 110, 70_009})  # ETIMEDOUT, PJ_ETIMEDOUT
_RESOLVE_ERRORS = frozenset({70_018, 320_047, 320_048, 320_049, 320_050, 320_051})  # PJ_ERESOLVE, PJLIB_UTIL DNS rcodes

_BY_CODE = {
    401: BAD_PASSWORD,
    403: FORBIDDEN,
    404: UNKNOWN_USER,
    407: BAD_PASSWORD,
    408: NO_ANSWER,
    423: TRY_LATER,
    480: TRY_LATER,
    500: TRY_LATER,
    503: TRY_LATER,
    504: TRY_LATER,
}


def of_status(status: int, text: str = "") -> str:
    """The sentence for a stack's status code (pj_status_t) and its English text; "" when it says nothing."""
    number = status - _OS_ERROR_BASE
    if number in _NETWORK_ERRNO:
        return NO_NETWORK
    if number in _REFUSED_ERRNO:
        return REFUSED_CONNECTION
    if status in _TIMEOUTS:
        return NO_ANSWER
    if status in _RESOLVE_ERRORS:
        return NO_NAME
    return of_text(text)


def of_text(text: str) -> str:
    """The sentence for what the stack says in English (it puts error texts into answers of its own)."""
    low = text.lower()
    if "verif" in low or "certificate" in low or "pj_ssl_cert" in low:
        return TLS_UNTRUSTED
    if "ssl" in low or "tls" in low:
        return TLS_FAILED
    if "unreachable" in low or "no route" in low or "network is down" in low or "cannot assign" in low:
        return NO_NETWORK
    if "resol" in low or "name or service" in low or "dns" in low or "gethostbyname" in low or "getaddrinfo" in low:
        return NO_NAME
    if "refused" in low or "connection reset" in low or "broken pipe" in low:
        return REFUSED_CONNECTION
    if "timed out" in low or "timeout" in low:
        return NO_ANSWER
    return ""


def of_registration(code: int, phrase: str, *, local: bool, status: int = 0) -> str:
    """The sentence for a REGISTER's outcome. `local`: no answer came, the stack made up `code` itself."""
    if 200 <= code < 300:  # noqa: PLR2004 success
        return REGISTERED
    if local:
        return of_status(status, phrase) or (NO_ANSWER if code == 408 else TRY_LATER)  # noqa: PLR2004
    known = _BY_CODE.get(code)
    if known:
        return known
    return f"the server answers {code} {phrase}".rstrip()
