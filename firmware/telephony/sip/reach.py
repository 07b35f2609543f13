"""The addresses of server names, for the stack: it asks us instead of waiting for the DNS itself.

Left alone it looks a name up inside REGISTER or INVITE, in the SIP thread: a silent DNS would hold up
every other call. Here the last good answer serves at once; a name without one is answered when our
`resolver.Resolver` has looked, or after a while with "unresolved". The name stays in the URI, so TLS
still verifies it (RFC 5922).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from firmware.telephony.sip.agenda import Agenda
from firmware.telephony.sip.native import Native
from firmware.telephony.sip.resolver import literal

_UNRESOLVED: Final = 70_018  # PJ_ERESOLVE: the stack makes it a 502
_UDP, _TCP, _TLS, _IPV6 = 1, 2, 3, 128  # pjsip_transport_type_e
_RELIABLE, _SECURE = 1, 2  # pjsip_transport_flags_e
_AF_INET, _AF_INET6 = 2, 10
_PATIENCE_SECONDS = 8.0
_MOST = 4  # addresses handed to the stack, which tries one after the other


class Reach:
    """The stack's resolver. On the SIP thread only.

    `ask` starts a look-up whose outcome comes by `found`; `failed` is told of a callback that failed.
    """

    def __init__(
        self,
        native: Native,
        agenda: Agenda,
        now: Callable[[], float],
        ask: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        self._native = native
        self._agenda = agenda
        self._now = now
        self._ask = ask
        self._failed = failed
        self._known: Mapping[str, frozenset[str]] = {}
        self._waiting: dict[str, list[Callable[[frozenset[str]], None]]] = {}
        self._callback = native.ffi.callback(
            "void(void *, void *, const host_info *, void *, resolved_callback *)", self._resolve
        )
        self._resolver = native.ffi.new("ext_resolver *", {"resolve": self._callback})

    def install(self) -> None:
        """Take the stack's look-ups over, after libInit. Raises RuntimeError if it refuses."""
        lib = self._native.lib
        status = lib.pjsip_endpt_set_ext_resolver(lib.pjsua_get_pjsip_endpt(), self._resolver)
        if status != 0:
            message = f"the SIP stack refuses our resolver (status {status})"
            raise RuntimeError(message)

    def knows(self, host: str) -> bool:
        """Whether `host` is an address or a name with one."""
        return bool(literal(host) or self._known.get(host.lower()))

    def found(self, asked: Collection[str], table: Mapping[str, frozenset[str]]) -> None:
        """The resolver looked `asked` up; `table` holds the last good answers. Outside any callback."""
        self._known = {host.lower(): addresses for host, addresses in table.items()}
        for host in asked:
            self._serve(host.lower())

    def _serve(self, host: str) -> None:
        self._agenda.cancel(f"resolve {host}")
        for answer in self._waiting.pop(host, []):
            answer(self._known.get(host, frozenset()))

    def _resolve(self, _resolver: Any, _pool: Any, target: Any, token: Any, callback: Any) -> None:
        try:
            address = target.addr
            host = self._native.ffi.buffer(address.host.ptr, address.host.slen)[:].decode("ascii", "replace").lower()
            kind, flags, port = int(target.type), int(target.flag), int(address.port)
        except Exception:  # noqa: BLE001 nothing may escape into C
            self._failed("resolver")
            callback(_UNRESOLVED, token, self._native.ffi.NULL)
            return

        def answer(found: frozenset[str]) -> None:
            self._answer(found, kind or _kind(flags), port, token, callback)

        known = literal(host) or self._known.get(host)
        if known:
            answer(known)
            return
        self._waiting.setdefault(host, []).append(answer)
        if f"resolve {host}" not in self._agenda:
            self._agenda.at(self._now() + _PATIENCE_SECONDS, f"resolve {host}", lambda: self._serve(host))
        self._ask(host)

    def _answer(self, found: frozenset[str], kind: int, port: int, token: Any, callback: Any) -> None:
        """Hand the addresses to the stack: of one family, since an account's transport has one."""
        ffi, lib = self._native.ffi, self._native.lib
        four = sorted(a for a in found if ":" not in a)
        six = sorted(a for a in found if ":" in a)
        chosen = (six if kind & _IPV6 or not four else four)[:_MOST]
        if not chosen:
            callback(_UNRESOLVED, token, ffi.NULL)
            return
        kind = kind & ~_IPV6 | (_IPV6 if ":" in chosen[0] else 0)
        port = port or int(lib.pjsip_transport_get_default_port_for_type(kind))
        # Room for any build's PJSIP_MAX_RESOLVED_ADDRESSES (8 to 32): the stack copies its whole structure.
        answers = ffi.new("server_addresses *", {"count": len(chosen)})
        for record, text in zip(answers.entry, chosen, strict=False):
            record.type, record.addr_len = kind, 28 if kind & _IPV6 else 16
            name, _characters = self._native.text(text)
            lib.pj_sockaddr_init(_AF_INET6 if kind & _IPV6 else _AF_INET, record.addr, name, port)
        callback(0, token, answers)


def _kind(flags: int) -> int:
    """The transport of a URI that names none (RFC 3263 4.1)."""
    return _TLS if flags & _SECURE else _TCP if flags & _RELIABLE else _UDP
