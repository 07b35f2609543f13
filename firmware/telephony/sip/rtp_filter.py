"""Which hosts may send to our RTP sockets, told to the kernel (Linux, SO_ATTACH_FILTER: socket(7), no privilege).

The development wheel moves a call's voice to whoever sends ten RTP packets in a row. A packet that the
filter drops never reaches it. Not connect(2): what undoes that forgets a port the kernel chose, and
brings ICMP errors into the stream. The sockets are the stack's, found by their local port among our
process's own files.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27  # <asm-generic/socket.h>
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # <linux/bpf_common.h>: LD|W|ABS, JMP|JEQ|K, RET|K
_IP_HEADER = 0xFFF00000  # SKF_NET_OFF of <linux/filter.h>, as 32 bits
_SOURCE_V4, _SOURCE_V6 = 12, 8  # offset of the source address: RFC 791 3.1, RFC 8200 3
_WHOLE, _NOTHING = 0xFFFFFFFF, 0


def admit_only(ports: Collection[int], host: str) -> int:
    """From now on only packets from `host` (an IP address) reach our UDP sockets on `ports`; how many those are.

    Raises ValueError if `host` is no IP address, OSError if the kernel has no such filter.
    """
    address = ipaddress.ip_address(host)
    program = _program(address)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    request = struct.pack("HL", len(program), ctypes.addressof(code))
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 IPv4
    count = 0
    for ours in _ours(ports):
        if ours.family == family:
            ours.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, request)
            count += 1
    return count


def admit_all(ports: Collection[int]) -> None:
    """Undo `admit_only`."""
    for ours in _ours(ports):
        with contextlib.suppress(FileNotFoundError):  # it had none
            ours.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _program(source: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[tuple[int, int, int, int]]:
    """Keep the packet if each 32 bit word of its source address is `source`'s, else drop it."""
    begin = _SOURCE_V4 if isinstance(source, ipaddress.IPv4Address) else _SOURCE_V6
    words = struct.unpack(f"!{len(source.packed) // 4}I", source.packed)
    program: list[tuple[int, int, int, int]] = []
    for index, word in enumerate(words):
        to_the_drop = 2 * (len(words) - index) - 1
        program.append((_LOAD, 0, 0, _IP_HEADER + begin + 4 * index))
        program.append((_JUMP_IF_EQUAL, 0, to_the_drop, word))
    return [*program, (_RETURN, 0, 0, _WHOLE), (_RETURN, 0, 0, _NOTHING)]


def _ours(ports: Collection[int]) -> Iterator[socket.socket]:
    """This process's UDP sockets bound to `ports`, each for as long as it is looked at, by a second name."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            number = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            ours = socket.socket(fileno=os.dup(number))
        except OSError:  # the listing's own file, or one closed meanwhile
            continue
        with ours:
            inet = ours.family in {socket.AF_INET, socket.AF_INET6} and ours.type == socket.SOCK_DGRAM
            if inet and ours.getsockname()[1] in ports:
                yield ours
