"""The stack's TCP and TLS listeners, made deaf: pure system calls.

The stack opens a listener with every stream transport. The box needs only the connections that it
makes itself (its servers answer and call on those, RFC 5626), and the stack holds so few sockets that
some sixty idle connections from anybody would stop every account on TCP and TLS.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def deafen(port: int) -> bool:
    """Put a socket that nobody can reach in the place of this process's listener on TCP `port`; whether one was found.

    By dup2, so that the stack keeps a live descriptor to select on and to close; shut down or closed, it
    would be readable for ever.
    """
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        if _listens(number, port):
            # Bound to a name that the kernel makes up (unix(7), autobind): no network leads there.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as quiet:
                quiet.bind("")
                quiet.listen(1)
                os.dup2(quiet.fileno(), number, inheritable=False)
            return True
    return False


def _listens(number: int, port: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(number)) as twin:
            return (
                twin.family in {socket.AF_INET, socket.AF_INET6}
                and twin.type == socket.SOCK_STREAM
                and bool(twin.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
                and twin.getsockname()[1] == port
            )
    except OSError:
        return False  # no socket, or gone meanwhile
