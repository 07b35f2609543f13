"""MailService, as the page sees it: status, presets, link, unlink, test.

Refusals are sentences in the household's language, with the server's own words.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from firmware.clock import Clock
from firmware.service import MailLink, MailServer, MailService, MailStatus, ServiceError
from firmware.store import StoreError
from firmware.webmail.account import Account, Credential, LinkRequest, Server, asked_language, parse_address, parse_link
from firmware.webmail.journal import Journal
from firmware.webmail.mailbox import Post
from firmware.webmail.mailstore import Cursor, Linked, MailStore
from firmware.webmail.messages import trial
from firmware.webmail.providers import Provider, by_address, by_exchangers
from firmware.webmail.trouble import MailboxError, Trouble, in_words, oauth_only
from firmware.webmail.vault import VaultError
from firmware.webmail.words import Translator, speak

log = logging.getLogger(__name__)
_REFUSED, _CONFLICT, _STORAGE = 422, 409, 507


class LoginCheck(Protocol):
    """`mailbox.check_imap` and `check_smtp`. Raises MailboxError."""

    def __call__(self, server: Server, credential: Credential, ca_file: str) -> None:
        """Log in and out."""
        ...


class MailDesk(MailService):
    """Used from several threads; one link or test at a time."""

    def __init__(
        self,
        store: MailStore,
        journal: Journal,
        post: Post,
        clock: Clock,
        *,
        check_imap: LoginCheck,
        check_smtp: LoginCheck,
        exchangers: Callable[[str], list[str]],
        ca_file: Callable[[], str],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._journal = journal
        self._post = post
        self._clock = clock
        self._check_imap = check_imap
        self._check_smtp = check_smtp
        self._exchangers = exchangers
        self._ca_file = ca_file
        self._wake = wake
        self._busy = threading.Lock()

    def mail_status(self) -> MailStatus:
        """See MailService."""
        linked, counts = self._store.linked(), self._store.counts()
        if linked is None:
            language = self._journal.household.language
            return {
                "linked": False, "address": None, "imap": None, "smtp": None, "language": language, "phrase": "",
                "queued": 0, "sent": 0, "last_error": None, "last_sent": None,
            }  # fmt: skip
        account = linked.account
        return {
            "linked": True,
            "address": account.address,
            "imap": account.imap.as_json(),
            "smtp": account.smtp.as_json(),
            "language": account.language or self._journal.household.language,
            "phrase": account.phrase,
            "queued": counts.queued,
            "sent": linked.sent,
            "last_error": self._last_error(linked, counts.refusal),
            "last_sent": linked.last_sent,
        }

    def _last_error(self, linked: Linked, refusal: str | None) -> str | None:
        if not linked.account.credential.secret:
            _ = self._words(linked.account.language)
            return _("The stored password cannot be read any more: link the mailbox again.")
        if linked.paused is not None:
            _ = self._words(linked.account.language)
            until = _("No mail is sent until the mailbox is linked again or a test succeeds.")
            return f"{linked.paused} {until}"
        return linked.trouble or refusal

    def mail_presets(self, address: str) -> dict[str, MailServer] | None:
        """See MailService. Raises ServiceError for no address, or a provider that takes no password."""
        _ = self._words()
        address = parse_address(address, _)
        provider = self._provider(address, _)
        if provider is None:
            return None
        imap, smtp = provider.servers(address)
        return {"imap": imap.as_json(), "smtp": smtp.as_json()}

    def _provider(self, address: str, _: Translator) -> Provider | None:
        provider = by_address(address) or by_exchangers(self._exchangers(address.rpartition("@")[2]))
        if provider is not None and not provider.takes_password:
            raise ServiceError(oauth_only(provider.name, _), status=_REFUSED, where="address")
        return provider

    def mail_link(self, link: MailLink) -> MailStatus:
        """See MailService. IMAP first; SMTP is not asked with a password that IMAP refused."""
        self._refresh()
        _ = self._words(asked_language(link))
        request = parse_link(link, _)
        account = self._account(request, _)
        with self._alone(_):
            self._try(lambda: self._check_imap(account.imap, account.credential, self._ca_file()), _)
            self._try(lambda: self._check_smtp(account.smtp, account.credential, self._ca_file()), _)
            try:
                self._store.link(account, self._start())
            except (StoreError, VaultError, OSError) as error:
                told = _("The mailbox cannot be stored: %s") % error
                raise ServiceError(told, status=_STORAGE) from error
        log.info("mailbox linked (%s, %s)", account.imap.host, account.smtp.host)
        self._wake()
        return self.mail_status()

    def _account(self, request: LinkRequest, _: Translator) -> Account:
        imap, smtp = request.imap, request.smtp
        if imap is None or smtp is None:
            provider = self._provider(request.address, _)
            if provider is None:
                told = _("The servers of %s are not known: type them") % request.address.rpartition("@")[2]
                raise ServiceError(told, status=_REFUSED, where="imap")
            imap, smtp = provider.servers(request.address)
        return Account(
            address=request.address,
            imap=imap,
            smtp=smtp,
            credential=request.credential,
            phrase=request.phrase,
            language=request.language,
            notify=request.notify,
        )

    def _start(self) -> Cursor:
        try:
            return self._journal.start()
        except ServiceError:
            return self._journal.start_unseen()

    def mail_unlink(self) -> None:
        """See MailService."""
        self._store.unlink()
        log.info("mailbox unlinked")
        self._wake()

    def mail_test(self) -> MailStatus:
        """See MailService. A success also ends a pause."""
        self._refresh()
        _ = self._words()
        linked = self._store.linked()
        if linked is None:
            raise ServiceError(_("No mailbox is linked"), status=_CONFLICT)
        account = linked.account
        _ = self._words(account.language)
        if not account.credential.secret:
            raise ServiceError(self._last_error(linked, None) or "", status=_CONFLICT)
        mail = trial(account, self._journal.household, secrets.token_hex(12), self._clock.wall())
        with self._alone(_):
            self._try(lambda: self._deliver(account, mail.message), _)
        self._store.well()
        self._wake()
        return self.mail_status()

    def _deliver(self, account: Account, message: bytes) -> None:
        with self._post.open(account) as session:
            session.send(account.address, account.recipient, message)

    def _try(self, attempt: Callable[[], None], _: Translator) -> None:
        try:
            attempt()
        except MailboxError as error:
            log.info("refused: %s", error)
            status = _REFUSED if error.trouble is not Trouble.SLOW else 504
            raise ServiceError(in_words(error, _), status=status, where=error.where) from None

    @contextlib.contextmanager
    def _alone(self, _: Translator) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise ServiceError(_("Another link or test is under way; wait for its end"), status=_CONFLICT)
        try:
            yield
        finally:
            self._busy.release()

    def _refresh(self) -> None:
        with contextlib.suppress(ServiceError):  # the settings as last read will do
            self._journal.refresh()

    def _words(self, language: str = "") -> Translator:
        return speak(language or self._journal.household.language)
