"""The mail process, `allobox mail`: builds the parts, runs until SIGTERM.

It parses bytes of strangers' servers: a process of its own with a memory limit, which can neither
dial nor touch a call. When it dies the telephone notices nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path

from firmware.clock import SystemClock
from firmware.control import box_client
from firmware.control_routes import MAIL, mail_socket
from firmware.store import StoreError
from firmware.webmail.desk import MailDesk
from firmware.webmail.journal import Journal
from firmware.webmail.mailbox import SmtpPost, check_imap, check_smtp
from firmware.webmail.mailstore import MailStore
from firmware.webmail.mx import exchangers
from firmware.webmail.outbox import Outbox
from firmware.webmail.postman import Postman
from firmware.webmail.server import MailSocket, SocketTakenError

log = logging.getLogger(__name__)
CA_FILE_VARIABLE = "ALLOBOX_MAIL_CA_FILE"
MEMORY_BYTES = 256 << 20
_STACK_BYTES = 1 << 20
_STOP_SECONDS = 3.0  # the supervisor gives 5


def limit_memory() -> None:
    """A hostile server or message ends in MemoryError here, not in the telephone's swap."""
    threading.stack_size(_STACK_BYTES)
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        limit = MEMORY_BYTES if kind == resource.RLIMIT_DATA else 4 * MEMORY_BYTES
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > limit:
            resource.setrlimit(kind, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the password


async def serve(data: Path, stop: asyncio.Event) -> None:
    """The worker's parts until `stop` is set. Raises StoreError, SocketTakenError, OSError."""
    clock = SystemClock()
    store = MailStore(data, clock)
    if store.notice is not None:
        log.error("%s", store.notice)
    journal = Journal(box_client(data, MAIL), store, clock)

    def ca_file() -> str:
        return os.environ.get(CA_FILE_VARIABLE) or journal.ca_file

    post = SmtpPost(ca_file)
    dice = random.SystemRandom().random
    outbox = Outbox(store, post, clock, dice, lambda: journal.household.language)
    postman = Postman(journal, outbox, store)
    desk = MailDesk(
        store,
        journal,
        post,
        clock,
        check_imap=check_imap,
        check_smtp=check_smtp,
        exchangers=exchangers,
        ca_file=ca_file,
        wake=lambda: postman.wake(recheck=True),
    )
    socket = MailSocket(mail_socket(data), desk)
    await socket.start()
    rounds = threading.Thread(target=postman.run, name="mail-post", daemon=True)
    listener = threading.Thread(target=postman.listen, args=(box_client(data, MAIL),), name="mail-events", daemon=True)
    rounds.start()
    listener.start()
    log.info("mail worker ready")
    await stop.wait()
    await socket.stop()
    postman.stop()
    # A mail that is being handed over may finish: ended between 250 and commit, it would go twice.
    await asyncio.to_thread(rounds.join, _STOP_SECONDS)
    if not rounds.is_alive():
        store.close()


async def _until_signal(data: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(data, stop)


def main(data: Path) -> None:
    """`allobox mail --data DIR`. Exits 1 with one line when it cannot work."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    limit_memory()
    try:
        asyncio.run(_until_signal(data))
    except (StoreError, SocketTakenError, OSError) as error:
        sys.exit(f"allobox mail: {error}")
