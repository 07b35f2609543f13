"""Why a call did not come about, and how that sounds: SIP statuses and Q.850 causes in one table.

Pure. Each row says what a French exchange would let the caller hear (words once, then a tone), how
the call record ends, and whether another account may be tried. docs/causes.md is made from here.

Precedence: the gateway to the telephone network knows more than the proxy in front of it, so a Q.850
cause in a Reason header (RFC 3326, RFC 6432) beats the SIP status, unless the cause is not in the table
(as 16, 31 and 127 are not: "normal", "unspecified" and "interworking" say nothing), and unless the SIP
status is 487, which is our own cancelling come back. A status that has no row of its own goes by its
class. 0 is a failure of ours: no dialog came to be.

Another account is tried only where the fault lies with the account, its provider or the way there,
never where the called number or the called person has answered.

Sources: RFC 3261 section 21, RFC 3398 and Q.850 for the meanings; IANA's registry of SIP response
codes; the choice of sentences is ours, in the manner of French exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware.telephony.events import EndedBy, Tone, Treatment, Words


@dataclass(frozen=True, slots=True)
class Cause:
    """One row. `reroute`: another account may carry the call."""

    meaning: str
    treatment: Treatment
    ended_by: EndedBy = EndedBy.FAILED
    reroute: bool = False


def _said(words: Words, tone: Tone = Tone.CONGESTION) -> Treatment:
    return Treatment(tone, words)


_BUSY = Treatment(Tone.BUSY)
_CHANGED = _said(Words.NUMBER_CHANGED)
_CONGESTED = _said(Words.ALL_LINES_BUSY)
_CREDIT = _said(Words.NO_CREDIT)
_INVALID = _said(Words.INVALID_NUMBER)
_NO_ROUTE = _said(Words.NO_ROUTE)
_REFUSED = _said(Words.REFUSED)
_TECHNICAL = _said(Words.TECHNICAL)
_UNASSIGNED = _said(Words.UNASSIGNED)
_UNAVAILABLE = _said(Words.UNAVAILABLE, Tone.BUSY)
_UNKNOWN_TO_SERVER = _said(Words.NOT_REGISTERED)

SIP: Mapping[int, Cause] = {
    0: Cause("no dialog: a failure of the box or of its way to the server", _TECHNICAL, reroute=True),
    300: Cause("Multiple Choices (redirections are not followed)", _NO_ROUTE),
    301: Cause("Moved Permanently", _CHANGED),
    302: Cause("Moved Temporarily (redirections are not followed)", _NO_ROUTE),
    305: Cause("Use Proxy", _NO_ROUTE, reroute=True),
    380: Cause("Alternative Service", _NO_ROUTE),
    400: Cause("Bad Request", _TECHNICAL),
    401: Cause("Unauthorized", _UNKNOWN_TO_SERVER, reroute=True),
    402: Cause("Payment Required", _CREDIT, EndedBy.REFUSED, reroute=True),
    403: Cause("Forbidden", _REFUSED, EndedBy.REFUSED, reroute=True),
    404: Cause("Not Found", _UNASSIGNED),
    405: Cause("Method Not Allowed", _TECHNICAL),
    406: Cause("Not Acceptable", _TECHNICAL),
    407: Cause("Proxy Authentication Required", _UNKNOWN_TO_SERVER, reroute=True),
    408: Cause("Request Timeout", _UNAVAILABLE, EndedBy.NO_ANSWER, reroute=True),
    410: Cause("Gone", _CHANGED),
    412: Cause("Conditional Request Failed", _TECHNICAL),
    413: Cause("Request Entity Too Large", _TECHNICAL),
    414: Cause("Request-URI Too Long", _INVALID),
    415: Cause("Unsupported Media Type", _TECHNICAL),
    416: Cause("Unsupported URI Scheme", _INVALID),
    417: Cause("Unknown Resource-Priority", _TECHNICAL),
    420: Cause("Bad Extension", _TECHNICAL),
    421: Cause("Extension Required", _TECHNICAL),
    422: Cause("Session Interval Too Small", _TECHNICAL),
    423: Cause("Interval Too Brief", _TECHNICAL),
    424: Cause("Bad Location Information", _TECHNICAL),
    425: Cause("Bad Alert Message", _TECHNICAL),
    428: Cause("Use Identity Header", _REFUSED, EndedBy.REFUSED, reroute=True),
    429: Cause("Provide Referrer Identity", _TECHNICAL),
    430: Cause("Flow Failed", _TECHNICAL, reroute=True),
    433: Cause("Anonymity Disallowed", _said(Words.ANONYMOUS_REFUSED), EndedBy.REFUSED),
    436: Cause("Bad Identity Info", _REFUSED, EndedBy.REFUSED, reroute=True),
    437: Cause("Unsupported Credential", _REFUSED, EndedBy.REFUSED, reroute=True),
    438: Cause("Invalid Identity Header", _REFUSED, EndedBy.REFUSED, reroute=True),
    439: Cause("First Hop Lacks Outbound Support", _TECHNICAL, reroute=True),
    440: Cause("Max-Breadth Exceeded", _NO_ROUTE),
    469: Cause("Bad Info Package", _TECHNICAL),
    470: Cause("Consent Needed", _REFUSED, EndedBy.REFUSED),
    480: Cause("Temporarily Unavailable", _UNAVAILABLE, EndedBy.NO_ANSWER),
    481: Cause("Call/Transaction Does Not Exist", _TECHNICAL),
    482: Cause("Loop Detected", _NO_ROUTE),
    483: Cause("Too Many Hops", _NO_ROUTE),
    484: Cause("Address Incomplete", _INVALID),
    485: Cause("Ambiguous", _INVALID),
    486: Cause("Busy Here", _BUSY, EndedBy.BUSY),
    487: Cause("Request Terminated", _BUSY, EndedBy.CANCELLED),
    488: Cause("Not Acceptable Here (no codec in common)", _TECHNICAL),
    489: Cause("Bad Event", _TECHNICAL),
    491: Cause("Request Pending", _TECHNICAL),
    493: Cause("Undecipherable", _TECHNICAL),
    494: Cause("Security Agreement Required", _TECHNICAL, reroute=True),
    500: Cause("Server Internal Error", _TECHNICAL, reroute=True),
    501: Cause("Not Implemented", _TECHNICAL, reroute=True),
    502: Cause("Bad Gateway", _NO_ROUTE, reroute=True),
    503: Cause("Service Unavailable", _CONGESTED, reroute=True),
    504: Cause("Server Time-out", _NO_ROUTE, reroute=True),
    505: Cause("Version Not Supported", _TECHNICAL, reroute=True),
    513: Cause("Message Too Large", _TECHNICAL, reroute=True),
    555: Cause("Push Notification Service Not Supported", _TECHNICAL, reroute=True),
    580: Cause("Precondition Failure", _TECHNICAL, reroute=True),
    600: Cause("Busy Everywhere", _BUSY, EndedBy.BUSY),
    603: Cause("Decline", _BUSY, EndedBy.REFUSED),
    604: Cause("Does Not Exist Anywhere", _UNASSIGNED),
    606: Cause("Not Acceptable", _TECHNICAL),
    607: Cause("Unwanted", _REFUSED, EndedBy.REFUSED),
    608: Cause("Rejected", _REFUSED, EndedBy.REFUSED),
}

SIP_CLASSES: Mapping[int, Cause] = {
    3: Cause("any other redirection", _NO_ROUTE),
    4: Cause("any other request failure", _TECHNICAL),
    5: Cause("any other server failure", _TECHNICAL, reroute=True),
    6: Cause("any other global failure", _REFUSED, EndedBy.REFUSED),
}

Q850: Mapping[int, Cause] = {
    1: Cause("unallocated number", _UNASSIGNED),
    2: Cause("no route to transit network", _NO_ROUTE, reroute=True),
    3: Cause("no route to destination", _NO_ROUTE, reroute=True),
    4: Cause("send special information tone", Treatment(Tone.SIT)),
    5: Cause("misdialled trunk prefix", _INVALID),
    6: Cause("channel unacceptable", _CONGESTED, reroute=True),
    8: Cause("preemption", _CONGESTED),
    17: Cause("user busy", _BUSY, EndedBy.BUSY),
    18: Cause("no user responding", _UNAVAILABLE, EndedBy.NO_ANSWER),
    19: Cause("no answer from user", _UNAVAILABLE, EndedBy.NO_ANSWER),
    20: Cause("subscriber absent", _UNAVAILABLE, EndedBy.NO_ANSWER),
    21: Cause("call rejected", _BUSY, EndedBy.REFUSED),
    22: Cause("number changed", _CHANGED),
    23: Cause("redirection to new destination", _CHANGED),
    25: Cause("exchange routing error", _NO_ROUTE, reroute=True),
    26: Cause("non-selected user clearing", _UNAVAILABLE, EndedBy.NO_ANSWER),
    27: Cause("destination out of order", _UNAVAILABLE, EndedBy.NO_ANSWER),
    28: Cause("invalid number format", _INVALID),
    29: Cause("facility rejected", _REFUSED, EndedBy.REFUSED),
    34: Cause("no circuit available", _CONGESTED, reroute=True),
    38: Cause("network out of order", _TECHNICAL, reroute=True),
    41: Cause("temporary failure", _CONGESTED, reroute=True),
    42: Cause("switching equipment congestion", _CONGESTED, reroute=True),
    43: Cause("access information discarded", _TECHNICAL),
    44: Cause("requested circuit not available", _CONGESTED, reroute=True),
    46: Cause("precedence call blocked", _CONGESTED),
    47: Cause("resource unavailable", _CONGESTED, reroute=True),
    49: Cause("quality of service not available", _CONGESTED, reroute=True),
    50: Cause("requested facility not subscribed", _REFUSED, EndedBy.REFUSED, reroute=True),
    52: Cause("outgoing calls barred", _REFUSED, EndedBy.REFUSED, reroute=True),
    53: Cause("outgoing calls barred within closed user group", _REFUSED, EndedBy.REFUSED, reroute=True),
    54: Cause("incoming calls barred", _REFUSED, EndedBy.REFUSED),
    55: Cause("incoming calls barred within closed user group", _REFUSED, EndedBy.REFUSED),
    57: Cause("bearer capability not authorised", _REFUSED, EndedBy.REFUSED, reroute=True),
    58: Cause("bearer capability not presently available", _CONGESTED, reroute=True),
    63: Cause("service or option not available", _TECHNICAL, reroute=True),
    65: Cause("bearer capability not implemented", _TECHNICAL, reroute=True),
    69: Cause("requested facility not implemented", _TECHNICAL, reroute=True),
    79: Cause("service or option not implemented", _TECHNICAL, reroute=True),
    81: Cause("invalid call reference value", _TECHNICAL),
    87: Cause("user not member of closed user group", _REFUSED, EndedBy.REFUSED),
    88: Cause("incompatible destination", _TECHNICAL),
    91: Cause("invalid transit network selection", _NO_ROUTE, reroute=True),
    95: Cause("invalid message", _TECHNICAL),
    96: Cause("mandatory information element missing", _TECHNICAL),
    97: Cause("message type non-existent", _TECHNICAL),
    99: Cause("information element non-existent", _TECHNICAL),
    100: Cause("invalid information element contents", _TECHNICAL),
    101: Cause("message not compatible with call state", _TECHNICAL),
    102: Cause("recovery on timer expiry", _UNAVAILABLE, reroute=True),
    103: Cause("parameter non-existent, passed on", _TECHNICAL),
    110: Cause("message with unrecognised parameter discarded", _TECHNICAL),
    111: Cause("protocol error", _TECHNICAL),
}

REFUSALS: Mapping[Words, str] = {
    Words.BARRED: "the household has barred the number or its class",
    Words.PREMIUM_BARRED: "premium numbers are not allowed",
    Words.SATELLITE_BARRED: "satellite numbers are not allowed",
    Words.UNKNOWN_BARRED: "no price is known, and such numbers are not allowed",
    Words.NO_CREDIT: "a budget by the week is used up, or what was spent cannot be read",
    Words.BUDGET_DAY: "the day's budget is used up",
    Words.BUDGET_MONTH: "the month's budget is used up",
    Words.BUDGET_CLASS: "the budget of this class of numbers is used up",
    Words.BUDGET_LINE: "the line's budget is used up",
    Words.BUDGET_PIN: "the budget of the PIN that was given is used up",
    Words.PIN_REFUSED: "no PIN, three wrong ones, or one that does not open this call",
}
"""What the household's own rules refuse before an INVITE leaves: the record ends as refused."""

_OURS = 487


def explain(sip_code: int, q850: int | None = None) -> Cause:
    """The row for a final status (300 to 699, or 0) and the Q.850 cause that came with it, if any."""
    if q850 is not None and q850 in Q850 and sip_code != _OURS:
        return Q850[q850]
    found = SIP.get(sip_code) or SIP_CLASSES.get(sip_code // 100)
    return found if found is not None else SIP[0]


def as_markdown() -> str:
    """docs/causes.md."""
    parts = [
        "# What a caller hears when a call fails",
        "",
        "<!-- Made by docs/state-diagrams.py from firmware/telephony/causes.py: do not edit. -->",
        "",
        *(__doc__ or "").strip().splitlines()[2:],
        "",
        "## SIP status",
        "",
        *_table(SIP),
        *_rows({f"{code}xx": cause for code, cause in SIP_CLASSES.items()}),
        "",
        "## Q.850 cause",
        "",
        *_table(Q850),
        "",
        "## The household's own rules",
        "",
        "No INVITE has left, the record ends as `refused`, and congestion tone follows the words. An emergency call is",
        "never asked any of it. (docs/announcements.md)",
        "",
        "| words | because |",
        "|---|---|",
        *(f"| {words.value} | {why} |" for words, why in REFUSALS.items()),
        "",
        "`budget-cut`, then busy tone, is what is heard when an answered call was cut because its budget is used up;",
        "the record ends as `credit`.",
        "",
    ]
    return "\n".join(parts)


def _table(causes: Mapping[int, Cause]) -> list[str]:
    head = ["| code | meaning | words | then tone | record ends | other account tried |", "|---|---|---|---|---|---|"]
    return head + _rows({str(code): cause for code, cause in causes.items()})


def _rows(causes: Mapping[str, Cause]) -> list[str]:
    rows: list[str] = []
    for code, cause in causes.items():
        words = cause.treatment.words.value if cause.treatment.words is not None else ""
        tried = "yes" if cause.reroute else ""
        cells = (code, cause.meaning, words, cause.treatment.tone.value, cause.ended_by.value, tried)
        rows.append(f"| {' | '.join(cells)} |")
    return rows
