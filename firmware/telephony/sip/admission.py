"""Whose SIP messages are heard: pure. Strangers get no ring, no answer and no call slot.

An INVITE must come from an address of the account's own servers (registrar, proxy, trusted hosts,
as resolved, the last good answer kept) and be meant for that account. Within a call that is
already ours its secret Call-ID is the ticket, because a provider's BYE may come from any of its
machines. Digests leave only for the registrar's realm, only when one of the account's own servers
asks, and never inside a dialog that somebody else opened: neither a caller nor whom we called, whose
Contact our BYE goes to, learns anything by answering it with 407 (SIP digest leak).
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from firmware.telephony.sip.identity import number_of
from firmware.telephony.sip.message import SipMessage, Uri

# A call holds two sockets for half a second after its end and the wheel has 62: some thirty INVITEs in
# half a second would end the process (an assertion). What is dropped here its sender repeats in 0.5 s.
INVITES_A_SECOND = 8
_TAGS = 16  # forks of one call that are worth remembering
# What the stack takes for the end of the whole call (RFC 3261 12.2.1.2), and what some say to a digit they do not know.
_ENDING = frozenset({408, 481})
_NUMBER_TAIL = 9  # digits that tell two subscribers apart, whatever the prefix (+33, 0033, 0)


class Verdict(Enum):
    """What becomes of a received message."""

    PASS = "pass"  # noqa: S105 a verdict
    DROP = "drop"
    LATER = "later"
    BUSY = "busy"
    DENY_CHALLENGE = "deny-challenge"
    SOFTEN = "soften"


@dataclass(frozen=True, slots=True)
class Identity:
    """What of an account a caller may name: users and numbers, and the addresses it trusts. One that is not
    `reachable` calls out only.
    """

    name: str
    users: frozenset[str]
    number: str
    addresses: frozenset[str]
    reachable: bool = True


@dataclass(slots=True)
class Dialog:
    """A call of ours: its account, whether the far end opened it (`theirs`), whether it is or was answered.

    `tags` are those that the far end's answers gave themselves in To (RFC 3261 12.1), "" among them.
    """

    account: str
    theirs: bool
    answered: bool = False
    tags: set[str] = field(default_factory=lambda: {""})


@dataclass(slots=True)
class Admission:
    """The judge. `calls` maps the Call-ID of every call of ours to its dialog. `srv`: the stack itself finds
    the servers (SRV records, RFC 3263), so an account's addresses are known only once it has registered.
    """

    accounts: list[Identity] = field(default_factory=list)
    calls: dict[str, Dialog] = field(default_factory=dict)
    srv: bool = False
    everyone: frozenset[str] = frozenset()
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=INVITES_A_SECOND))

    def set_accounts(self, accounts: Iterable[Identity]) -> None:
        """Replace the accounts."""
        self.accounts = list(accounts)
        self.everyone = frozenset().union(*(a.addresses for a in self.accounts if a.reachable))

    def judge_request(self, source: str, message: SipMessage | None, now: float) -> Verdict:
        """A request from `source` (an IP address as text) at monotonic seconds `now`."""
        if message is None:
            return Verdict.DROP
        to = message.address("to")
        if to is not None and to.tag and message.call_id in self.calls:
            return Verdict.PASS
        if message.method == "ACK" and not (to is not None and to.tag):
            # Whatever we answered had a tag. The wheel ends the process (an assertion) on an ACK outside any dialog.
            return Verdict.DROP
        if canonical(source) not in self.everyone:
            return Verdict.DROP
        if message.method == "INVITE" and not (to is not None and to.tag):
            if self.account_of(source, message) is None:
                return Verdict.DROP
            return self._paced(message, now)
        return Verdict.PASS

    def _paced(self, invite: SipMessage, now: float) -> Verdict:
        if invite.call_id in self.calls:
            return Verdict.PASS  # a retransmission
        if len(self.recent) == INVITES_A_SECOND and now - self.recent[0] < 1.0:
            # Over a stream nothing is repeated (RFC 3261 17.1.1.2): there the caller must hear of it.
            return Verdict.LATER if _over_udp(invite) else Verdict.BUSY
        self.recent.append(now)
        return Verdict.PASS

    def judge_answer(self, source: str, message: SipMessage | None) -> Verdict:
        """An answer, from `source` (an IP address as text), to a request of ours."""
        if message is None:
            return Verdict.DROP
        call, to = self.calls.get(message.call_id), message.address("to")
        if call is not None and to is not None and len(call.tags) < _TAGS:
            call.tags.add(to.tag)
        if message.status in {401, 407} and not self._may_challenge(canonical(source), message):
            return Verdict.DENY_CHALLENGE
        if message.status in _ENDING and message.cseq_method == "INFO":
            return Verdict.SOFTEN
        return Verdict.PASS

    def _may_challenge(self, address: str, answer: SipMessage) -> bool:
        """Whether a digest may go where this 401 or 407 comes from.

        The stack matches answers by branch and method and does not compare the Call-ID, and of two like
        headers it takes the last: one that names no call of ours, or two, gets nothing.
        """
        methods = {value.partition(" ")[2].strip().upper() for value in answer.headers.get("cseq", [])}
        if methods == {"REGISTER"}:  # it went to the registrar and nowhere else
            return self.srv or address in self.everyone
        if methods == {"SUBSCRIBE"}:  # to the account's server, or the Contact that one gave
            return address in self.everyone
        if len(answer.headers.get("call-id", [])) != 1 or len(methods) != 1:
            return False
        call = self.calls.get(answer.call_id)
        if call is None or call.theirs:
            return False
        if self.srv and not call.answered and methods == {"INVITE"}:
            return True  # it went to the server that the stack has found, not to a Contact
        return any(address in a.addresses for a in self.accounts if a.name == call.account)

    def account_of(self, source: str, invite: SipMessage) -> str | None:
        """The account that this INVITE is for: its own servers sent it and it names its user or number."""
        address = canonical(source)
        to = invite.address("to")
        named = [u for u in (invite.uri, to.uri if to else None) if u is not None]
        for account in self.accounts:
            if account.reachable and address in account.addresses and any(_names(account, uri) for uri in named):
                return account.name
        return None


def canonical(address: str) -> str:
    """An address in one spelling; IPv4 mapped into IPv6 is IPv4. Text that is none comes back as it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def _over_udp(request: SipMessage) -> bool:
    return request.first("via").partition(" ")[0].strip().upper().endswith("/UDP")


def _names(account: Identity, uri: Uri) -> bool:
    if uri.user.lower() in account.users:
        return True
    number = number_of(uri)
    if not number or not account.number:
        return False
    theirs, ours = number.lstrip("+"), account.number.lstrip("+")
    if min(len(theirs), len(ours)) < _NUMBER_TAIL:
        return theirs == ours
    return theirs[-_NUMBER_TAIL:] == ours[-_NUMBER_TAIL:]
