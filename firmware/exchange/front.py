"""The socket of the exchange's front: a thread that feeds `proxy` and sends what it says."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time

from firmware.exchange.message import MAX_BYTES, SipSyntaxError
from firmware.exchange.proxy import Proxy

log = logging.getLogger(__name__)


class Front:
    """The UDP port that telephones know. OSError at once if it is taken."""

    def __init__(self, host: str, port: int) -> None:
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._link.bind((host, port))
        except OSError as error:
            self._link.close()
            msg = (
                f"the test exchange cannot have UDP port {port} of {host}: {error.strerror}; choose another with --port"
            )
            raise OSError(error.errno, msg) from None
        self.address: tuple[str, int] = self._link.getsockname()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.dropped = 0

    def start(self, proxy: Proxy) -> None:
        """Begin to answer."""
        self._thread = threading.Thread(target=self._serve, args=(proxy,), name="exchange-front", daemon=True)
        self._thread.start()

    def _serve(self, proxy: Proxy) -> None:
        while not self._stopping.is_set():
            try:
                data, source = self._link.recvfrom(MAX_BYTES + 1)
            except OSError:
                continue  # an ICMP error of an earlier datagram, or the end
            if self._stopping.is_set():
                return
            try:
                outgoing = proxy.handle(data, source, time.monotonic())
            except SipSyntaxError as error:
                self.dropped += 1
                log.debug("dropped a datagram of %s:%d: %s", *source, error)
                continue
            except Exception:  # a fault of ours must not end the exchange
                log.exception("a datagram of %s:%d could not be handled", *source)
                continue
            for target, message in outgoing:
                with contextlib.suppress(OSError):
                    self._link.sendto(message, target)

    def stop(self) -> None:
        """End the thread and free the port. Idempotent."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._link.sendto(b"\r\n", self.address)  # wakes the thread
        if self._thread is not None:
            self._thread.join(2)
        self._link.close()
