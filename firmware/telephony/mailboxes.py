"""What waits in the mailboxes of all accounts, for all telephones of the house. Pure."""

from __future__ import annotations

from collections.abc import Collection

from firmware.telephony.agent import MessagesWaiting

_MOST = 99  # what a telephone's display shows


class Mailboxes:
    """The last word of each account's server; `waiting` is None until one has spoken."""

    def __init__(self) -> None:
        self._boxes: dict[str, MessagesWaiting] = {}
        self.waiting: bool | None = None
        self.count: int | None = None
        """How many new voice messages wait, 99 at most; None where a server does not say."""

    def hear(self, news: MessagesWaiting) -> bool:
        """Keep what a server says; whether the telephones must be told."""
        self._boxes[news.account] = news
        return self._changed()

    def keep(self, accounts: Collection[str]) -> bool:
        """Forget the mailboxes of all other accounts; whether the telephones must be told."""
        self._boxes = {name: box for name, box in self._boxes.items() if name in accounts}
        return self._changed()

    def _changed(self) -> bool:
        if not self._boxes and self.waiting is None:
            return False
        # The first "none" is told as well: a lamp may be lit since before the box began.
        before = (self.waiting, self.count)
        full = [box for box in self._boxes.values() if box.waiting]
        counts = [box.new for box in full if box.new]
        self.waiting = bool(full)
        self.count = min(sum(counts), _MOST) if len(counts) == len(full) else None
        return (self.waiting, self.count) != before
