"""The SIP agent on pjsua2: one thread that alone touches the library, from its creation to its end.

Commands come in by a queue and a datagram to the box's own SIP port, which ends the library's
wait; events go out through `deliver`. What it does with them lives in `firmware.telephony.sip`:
`stack` (pjsua2), `native` (the bridge's port, the guard), `accounts`, `calls`, `admission`.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
from collections.abc import Callable, Sequence

from firmware.clock import Clock, SystemClock
from firmware.telephony.agent import (
    AgentEvent,
    AgentFailed,
    AgentStarted,
    Bridge,
    CallDisconnected,
    SipAccount,
    SipSettings,
    TraceMessage,
)
from firmware.telephony.media import CORE_PRIORITY, realtime
from firmware.telephony.sip import reasons
from firmware.telephony.sip.native import MasterPort
from firmware.telephony.sip.worker import WAKE, Worker
from firmware.telephony.trace import TraceRing

_log = logging.getLogger(__name__)


class PjsuaAgent:
    """`agent.SipAgent` on pjsua2. One a process, once: the library cannot be started again."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._ring = TraceRing(self._clock)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._waker: socket.socket | None = None
        self._address: tuple[str, int] | None = None
        self._thread: threading.Thread | None = None
        self._running = False
        self._bridge: MasterPort | None = None
        self._worker: Worker | None = None
        self._failed: Callable[[AgentEvent], None] | None = None

    @property
    def errors(self) -> int:
        """Callbacks that failed since the start (each is in the log): 0 in a healthy box."""
        return self._worker.errors if self._worker is not None else 0

    def start(self, settings: SipSettings, deliver: Callable[[AgentEvent], None]) -> None:
        """Start the thread; `AgentStarted` or `AgentFailed` follows."""
        if self._thread is not None:
            raise RuntimeError("the SIP agent can be started once a process")
        self._running = True
        self._thread = threading.Thread(target=self._run, args=(settings, deliver), name="sip", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Hang up, unregister, destroy; returns when done or after `timeout` seconds."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._ask(self._end_loop)
        thread.join(timeout)
        if thread.is_alive():
            _log.warning("the SIP stack did not end within %.1f s", timeout)

    def set_accounts(self, accounts: Sequence[SipAccount]) -> None:
        """Make the accounts these."""
        wanted = tuple(accounts)
        self._ask(lambda: self._desk().accounts.set_accounts(wanted))

    def register_now(self, account: str) -> None:
        """Try the registration again at once."""
        self._ask(lambda: self._desk().accounts.register_now(account))

    def bridge(self) -> Bridge:
        """The bridge, after `AgentStarted`. Raises RuntimeError before."""
        if self._bridge is None:
            raise RuntimeError("the SIP agent has not started: no bridge yet")
        return self._bridge

    def invite(self, call: int, account: str, target: str, *, emergency: bool = False, anonymous: bool = False) -> None:
        """Call `target` by `account`. Without a living stack the call fails at once."""
        if self._failed is not None:
            self._failed(CallDisconnected(call, 503, reasons.STACK_DOWN, None, by_us=True))
            return
        self._ask(lambda: self._desk().invite(call, account, target, emergency=emergency, anonymous=anonymous))

    def ring(self, call: int) -> None:
        """180."""
        self._ask(lambda: self._desk().calls.ring(call))

    def answer(self, call: int) -> None:
        """200."""
        self._ask(lambda: self._desk().calls.answer(call))

    def end(self, call: int, sip_code: int = 0) -> None:
        """CANCEL, BYE, or the final refusal `sip_code`."""
        self._ask(lambda: self._desk().calls.end(call, sip_code))

    def connect(self, call: int, line: int = 1) -> None:
        """Join the call's sound to `line`."""
        self._ask(lambda: self._desk().calls.connect(call, line))

    def disconnect(self, call: int) -> None:
        """Part them."""
        self._ask(lambda: self._desk().calls.disconnect(call))

    def hold(self, call: int) -> None:
        """Put the far end on hold."""
        self._ask(lambda: self._desk().calls.hold(call))

    def resume(self, call: int) -> None:
        """Take it back from hold."""
        self._ask(lambda: self._desk().calls.resume(call))

    def fax(self, call: int) -> None:
        """G.711, a fixed jitter buffer, no concealment."""
        self._ask(lambda: self._desk().calls.fax(call))

    def send_digit(self, call: int, digit: str) -> None:
        """A telephone event, or as the account wants it."""
        self._ask(lambda: self._desk().calls.send_digit(call, digit))

    def trace(self, limit: int) -> list[TraceMessage]:
        """The last messages, oldest first, secrets redacted."""
        return self._ring.last(limit)

    # --- between the threads

    def _ask(self, command: Callable[[], None]) -> None:
        self._commands.put(command)
        waker, address = self._waker, self._address
        if waker is not None and address is not None:
            # A lost wake-up costs a second, no more: the wait is that long.
            with contextlib.suppress(OSError):
                waker.sendto(WAKE, address)

    def _end_loop(self) -> None:
        self._running = False

    def _desk(self) -> Worker:
        if self._worker is None:
            raise RuntimeError("the SIP stack is not running")
        return self._worker

    # --- the SIP thread

    def _run(self, settings: SipSettings, deliver: Callable[[AgentEvent], None]) -> None:
        realtime(CORE_PRIORITY)
        try:
            worker = Worker(settings, deliver, self._ring)
            host, port = worker.open()
        except Exception as error:  # noqa: BLE001 whatever it was, the box must not wait for ever
            _log.exception("the SIP stack does not start")
            self._failed = deliver
            advice = f"; stop what uses UDP port {settings.port}, or set another" if "in use" in str(error) else ""
            deliver(AgentFailed(f"the SIP stack does not start: {str(error) or type(error).__name__}{advice}"))
            return
        self._address, self._waker = worker.own_address, worker.waker
        self._worker, self._bridge = worker, worker.bridge
        _log.info("SIP on %s:%d, %d calls at once, guard %s", host, port, worker.slots, worker.guard.proven)
        deliver(AgentStarted(port, worker.stack.codecs))
        try:
            while self._running:
                worker.turn(self._commands)
            worker.close()
        except Exception as error:  # noqa: BLE001 whatever it was, the box must know that its telephone is dead
            _log.exception("the SIP thread has died")
            worker.bridge.close()
            self._failed = deliver
            deliver(AgentFailed(f"the SIP thread has died: {error}"))
