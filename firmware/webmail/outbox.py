"""When a mail is tried again, and what each refusal means for the queue.

`backoff` and `is_due` are pure. `Outbox.round` makes one attempt with whatever is due: at least
once, with a stable Message-ID; a duplicate needs a crash between the server's 250 and our commit
(or the loss of that 250 on the way, RFC 1047).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from firmware.clock import Clock
from firmware.webmail.mailbox import Post, Session
from firmware.webmail.mailstore import Linked, MailStore, Queued
from firmware.webmail.trouble import MailboxError, Trouble, in_words
from firmware.webmail.words import speak

log = logging.getLogger(__name__)
FIRST_SECONDS = 30.0
LONGEST_SECONDS = 3600.0
_JITTER = 0.2  # a street of boxes whose provider comes back must not knock all at once
MAILS_A_SESSION = 10


def backoff(attempts: int, dice: float) -> float:
    """Seconds to wait after `attempts` failures: 30 s doubling to 1 h, give or take a fifth (`dice` 0..1)."""
    # 2**20 is past the hour already; a larger power would only overflow.
    base = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(max(attempts, 1) - 1, 20))
    return base * (1 + _JITTER * (2 * dice - 1))


def is_due(next_attempt: float, now: float) -> bool:
    """Whether to try; a moment further off than any wait means that the clock was set back."""
    return next_attempt <= now or next_attempt - now > LONGEST_SECONDS * (1 + _JITTER)


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did. `wait`: seconds until the next is due, None when nothing waits for time."""

    delivered: int
    wait: float | None


class Outbox:
    """Sends what waits. Used by one thread."""

    def __init__(
        self, store: MailStore, post: Post, clock: Clock, dice: Callable[[], float], language: Callable[[], str]
    ) -> None:
        self._store = store
        self._post = post
        self._clock = clock
        self._dice = dice
        self._language = language

    def round(self) -> Round:
        """One session with the server, if anything is due."""
        linked = self._store.linked()
        waiting = self._store.waiting() if linked is not None and linked.paused is None else []
        if linked is None or not waiting:
            return Round(0, None)
        now = self._now()
        if not is_due(linked.next_attempt, now):
            return Round(0, linked.next_attempt - now)
        due = [mail for mail in waiting if is_due(mail.next_attempt, now)][:MAILS_A_SESSION]
        delivered = 0
        if due:
            delivered = self._session(linked, due)
        return Round(delivered, self._wait())

    def _session(self, linked: Linked, due: list[Queued]) -> int:
        delivered = 0
        try:
            with self._post.open(linked.account) as session:
                for queued in due:
                    delivered += self._send(session, linked, queued)
        except MailboxError as error:
            self._server_trouble(linked, error, fresh=delivered > 0)
        return delivered

    def _send(self, session: Session, linked: Linked, queued: Queued) -> int:
        mail = queued.mail
        try:
            session.send(mail.sender, mail.recipient, mail.message)
        except MailboxError as error:
            told = self._told(linked, error)
            if error.trouble is Trouble.MAIL_REFUSED:
                log.warning("mail %s refused for good: %s", mail.message_id, error)
                self._store.refused(queued, told)
                return 0
            if error.trouble is Trouble.MAIL_LATER:
                seconds = backoff(queued.attempts + 1, self._dice())
                log.info("mail %s put off by %.0f s: %s", mail.message_id, seconds, error)
                self._store.put_off(queued, self._now() + seconds, told)
                return 0
            raise
        self._store.delivered(queued)
        log.info("mail %s delivered", mail.message_id)
        return 1

    def _server_trouble(self, linked: Linked, error: MailboxError, *, fresh: bool) -> None:
        told = self._told(linked, error)
        if error.trouble is Trouble.LOGIN:
            log.warning("mail paused: %s", error)
            self._store.pause(linked.generation, told)
            return
        seconds = backoff(1 if fresh else linked.attempts + 1, self._dice())
        log.info("mail server not usable, again in %.0f s: %s", seconds, error)
        self._store.hold(linked.generation, self._now() + seconds, told)

    def _told(self, linked: Linked, error: MailboxError) -> str:
        return in_words(error, speak(linked.account.language or self._language()))

    def _wait(self) -> float | None:
        linked = self._store.linked()
        if linked is None or linked.paused is not None:
            return None
        moments = [mail.next_attempt for mail in self._store.waiting()]
        if not moments:
            return None
        now = self._now()
        return max(0.0, linked.next_attempt - now, min(moments) - now)

    def _now(self) -> float:
        return self._clock.wall().timestamp()
