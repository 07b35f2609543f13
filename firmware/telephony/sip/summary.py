"""What a mailbox holds, as its server tells it (RFC 3842): read, and told only when it changes. Pure but for `deliver`.

Only the two lines that matter here are read: `Messages-Waiting: yes` and `Voice-Message: 2/8 (0/2)`. A body
that says nothing of waiting messages says nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from firmware.telephony.agent import MessagesWaiting

_MAX_BODY = 2048
_MAX_LINES = 40
_COUNTS = re.compile(r"([0-9]{1,5})\s*/\s*([0-9]{1,5})(?:\s|\(|$)")


def parse_summary(account: str, body: str) -> MessagesWaiting | None:
    """`application/simple-message-summary` (RFC 3842 section 5.2); None if it does not say yes or no."""
    waiting: bool | None = None
    new = old = None
    for line in body[:_MAX_BODY].splitlines()[:_MAX_LINES]:
        name, colon, value = line.partition(":")
        value = value.strip()
        match name.strip().lower() if colon else "":
            case "messages-waiting" if waiting is None and value.lower() in {"yes", "no"}:
                waiting = value.lower() == "yes"
            case "voice-message" if new is None and (found := _COUNTS.match(value)):
                new, old = int(found[1]), int(found[2])
            case _:
                pass
    return None if waiting is None else MessagesWaiting(account, waiting, new, old)


class Mailboxes:
    """The last word of each account's server."""

    def __init__(self, deliver: Callable[[MessagesWaiting], None]) -> None:
        self._deliver = deliver
        self._known: dict[str, MessagesWaiting] = {}

    def hear(self, account: str, body: str) -> None:
        """A NOTIFY of the account's own server."""
        news = parse_summary(account, body)
        if news is not None and news != self._known.get(account):
            self._known[account] = news
            self._deliver(news)

    def keep(self, accounts: Iterable[str]) -> None:
        """Only these accounts' mailboxes are watched: nothing waits in the others any more."""
        for account in set(self._known) - set(accounts):
            if self._known.pop(account).waiting:
                self._deliver(MessagesWaiting(account, waiting=False))
