"""The test exchange of `make run`: somebody to call when there is no provider. A demonstration and a test peer.

A process of its own: `front` is the UDP port that telephones know (registrar and stateless proxy),
`switch` the user agent on pjsua2 behind it, `numbers` the table of what can be called.
"""

from __future__ import annotations

from pathlib import Path

from firmware.exchange.account import PORT, credentials_path

__all__ = ["PORT", "credentials_path", "main"]


def main(data: Path, host: str = "127.0.0.1", port: int = PORT) -> None:
    """Serve until SIGTERM or SIGINT; SystemExit(1), with one line on stderr, if it cannot.

    `data` is the box's data folder. Once it serves, `credentials_path(data)` holds host, port,
    user, password and number, as JSON. `port` 0 takes any free one.
    """
    from firmware.exchange.process import serve  # noqa: PLC0415 - pjsua2 is for this process only

    serve(data, host, port)
