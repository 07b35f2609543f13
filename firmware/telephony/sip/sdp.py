"""What of the session descriptions that the stack writes the account wants otherwise: pure text.

The stack knows one packet length for all calls and says none, always offers telephone events, and never
comfort noise. `adapted` writes them into the audio section (RFC 4566 6, RFC 4733 2.4.1, RFC 3389 4).
"""

from __future__ import annotations

import re

_EVENT = re.compile(r"^a=rtpmap:(\d+) telephone-event/", re.IGNORECASE | re.MULTILINE)
_PACKET_LENGTH = re.compile(rb"^a=(ptime):\s*([0-9]{1,3}(?![0-9]))?", re.MULTILINE)
_SHORTEST_MS, _LONGEST_MS = 10, 100
_COMFORT_NOISE = "13"  # RFC 3551 6


def adapted(sdp: str, *, packet_ms: int, events: bool = True, comfort_noise: bool = False) -> str:
    """`sdp` with the packet length that we like to get, without telephone events, with comfort noise.

    Text without an audio section comes back as it is.
    """
    before, mark, rest = sdp.partition("m=audio ")
    if not mark:
        return sdp
    audio, more, after = rest.partition("\r\nm=")
    lines = audio.rstrip("\r\n").split("\r\n")
    words = lines[0].split(" ")  # PORT, PROFILE, formats
    formats = words[2:]
    if not events:
        gone = set(_EVENT.findall(audio))
        if gone < set(formats):
            formats = [name for name in formats if name not in gone]
            lines = [line for line in lines if _payload(line) not in gone]
    if comfort_noise and _COMFORT_NOISE not in formats:
        formats.append(_COMFORT_NOISE)
        lines.append("a=rtpmap:13 CN/8000")
    lines = [line for line in lines if not line.startswith("a=ptime:")]
    lines[0] = " ".join([*words[:2], *formats])
    lines.append(f"a=ptime:{packet_ms}")
    return f"{before}{mark}" + "\r\n".join(lines) + "\r\n" + (f"m={after}" if more else "")


def misleading(message: bytes) -> list[int]:
    """Where the attributes' names begin by which a far end would make itself deaf.

    Asked for packets longer than 180 ms of G.711 the stack sends none at all, and of nonsense it reads the last bits.
    """
    return [
        found.start(1)
        for found in _PACKET_LENGTH.finditer(message)
        if not found[2] or not _SHORTEST_MS <= int(found[2]) <= _LONGEST_MS
    ]


def _payload(line: str) -> str:
    """The payload type that an attribute is about, or ""."""
    found = re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ", line)
    return found[1] if found else ""
