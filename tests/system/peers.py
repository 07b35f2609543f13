"""The real test peers in one place: `from tests.system.peers import Baresip, Kamailio ...`.

Each is a context manager on loopback with ports of its own; it is fetched at first use, keeps a
log that is shown with whatever goes wrong, and is gone at the end (ALLOBOX_KEEP_PEERS=1 keeps
its folder under /tmp).
"""

from __future__ import annotations

from tests.system.peer_baresip import Baresip
from tests.system.peer_dovecot import Dovecot
from tests.system.peer_kamailio import Kamailio
from tests.system.peer_probe import SipProbe
from tests.system.peer_process import LOOPBACK, PeerError, PeerProcess, PrivateCa, free_port, wait_until
from tests.system.peer_pulse import PulseNullSink
from tests.system.peer_sipp import Sipp, SippCaller, SippResult

__all__ = [
    "LOOPBACK",
    "Baresip",
    "Dovecot",
    "Kamailio",
    "PeerError",
    "PeerProcess",
    "PrivateCa",
    "PulseNullSink",
    "SipProbe",
    "Sipp",
    "SippCaller",
    "SippResult",
    "free_port",
    "wait_until",
]
