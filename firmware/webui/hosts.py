"""Which Host headers are ours: addresses as written, localhost, and the box's own names.

A foreign name that resolves to the box is DNS rebinding, so it is refused before anything else is
looked at (SECURITY.md). An address written as an address cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
_SPLIT = re.compile(r"(?P<bare>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_MAX_PORT = 65535


def well_formed(host: str) -> bool:
    """Whether this is a Host header at all: a name or address, perhaps a port."""
    split = _SPLIT.fullmatch(host.lower())
    if split is None or (split["port"] is not None and not 1 <= int(split["port"]) <= _MAX_PORT):
        return False
    return split["bare"].startswith("[") or _NAME.fullmatch(split["bare"].removesuffix(".")) is not None


def is_ours(host: str, names: Iterable[str]) -> bool:
    """Whether a request for this Host may be answered. `names` are lower-case box names."""
    if not well_formed(host):
        return False
    split = _SPLIT.fullmatch(host.lower())
    bare = split["bare"] if split is not None else ""
    if bare.startswith("["):
        return _address_of_a_box(bare[1:-1], 6)
    if re.fullmatch(r"[0-9.]+", bare):
        return _address_of_a_box(bare, 4)
    return bare == "localhost" or bare in names


def _address_of_a_box(text: str, version: int) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version != version or address.is_unspecified or address.is_multicast:
        return False
    # ::ffff:192.168.1.1 and its kin carry an IPv4 address past filters that look at IPv6 only (CVE-2020-26887).
    if isinstance(address, ipaddress.IPv6Address):
        embeds_v4 = address.ipv4_mapped or address.sixtofour or address.teredo
        return not embeds_v4 and not (int(address) >> 32 == 0 and not address.is_loopback)
    return not address.is_reserved


def is_loopback(client: str) -> bool:
    """Whether a peer address is this very machine."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
