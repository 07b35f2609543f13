"""A registrar over TCP or TLS that says 200 to everybody: for what is decided before any SIP is spoken."""

from __future__ import annotations

import socket
import ssl
import threading

from firmware.telephony.sip.message import SipMessage, parse_message


class StreamRegistrar:
    """Listens on 127.0.0.1; with `context` it speaks TLS."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.registrations: list[SipMessage] = []
        self.answers: list[SipMessage] = []
        self.requests: list[SipMessage] = []  # but REGISTER; nobody answers them
        self._stream: socket.socket | None = None  # the last connection
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def send(self, text: str) -> None:
        """Say something on the last connection."""
        assert self._stream is not None
        self._stream.sendall(text.encode())

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            stream = self._context.wrap_socket(connection, server_side=True) if self._context else connection
            with stream:
                data = b""
                self._stream = stream
                while chunk := stream.recv(65_535):
                    data += chunk
                    while b"\r\n\r\n" in data.lstrip(b"\r\n"):
                        head, _, data = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
                        message = parse_message(head.decode() + "\r\n\r\n")
                        if message is not None and message.method == "REGISTER":
                            self.registrations.append(message)
                            stream.sendall(_ok(message))
                        elif message is not None:
                            (self.answers if message.status else self.requests).append(message)
        except OSError:
            return


def _ok(message: SipMessage) -> bytes:
    lines = ["SIP/2.0 200 OK", *(f"Via: {v}" for v in message.headers["via"])]
    lines += [f"{h.title()}: {message.first(h)}" for h in ("from", "call-id", "cseq")]
    lines += [f"To: {message.first('to')};tag=r", f"Contact: {message.first('contact')};expires=300"]
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()
