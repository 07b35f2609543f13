"""Kamailio as a registrar and proxy on loopback, with digest authentication: the reference for our own SIP."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from tests.system import fetch
from tests.system.peer_process import LOOPBACK, PeerError, PeerProcess, PrivateCa, free_port, listens

_CONFIGURATION = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
disable_tcp={disable_tcp}
enable_tls={enable_tls}
tcp_connection_lifetime=3605
auto_aliases=no
{listen}
{alias}
mpath="{modules}"
loadmodule "jsonrpcs.so"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "nathelper.so"
{tls}
modparam("jsonrpcs", "transport", 4)
modparam("jsonrpcs", "dgram_socket", "{folder}/rpc")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", {max_expires})
modparam("registrar", "min_expires", 1)
modparam("nathelper|registrar", "received_avp", "$avp(received)")
modparam("auth", "nonce_expire", {nonce_seconds})

request_route {{
  force_rport();
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ handle_ruri_alias(); route(RELAY); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    sl_send_reply("481", "Call Does Not Exist"); exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
  t_check_trans();
  if (is_method("OPTIONS") && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}

  # The password of the user who claims to send this, or nothing for one from elsewhere.
  $var(password) = "";
  $var(user) = $fU;
  if (is_method("REGISTER")) {{ $var(user) = $tU; }}
{passwords}
  if (is_method("REGISTER")) {{
    if ($var(password) == "") {{ sl_send_reply("404", "Unknown user"); exit; }}
    if (!pv_auth_check("{realm}", "$var(password)", "0", "0") || $au != $var(auth_user)) {{
      auth_challenge("{realm}", "0"); exit;
    }}
    # Whoever registers is reached by the connection it came on (RFC 5626 in spirit).
    fix_nated_register(); save("location"); exit;
  }}
  if ($var(password) != "") {{
    if (!pv_auth_check("{realm}", "$var(password)", "0", "0") || $au != $var(auth_user)) {{
      auth_challenge("{realm}", "0"); exit;
    }}
    consume_credentials();
  }}
{numbers}
  record_route();
  if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
  route(RELAY);
}}

route[RELAY] {{
{trunk_requests}
  set_contact_alias();
  t_on_reply("CONTACT");
  t_relay();
}}

onreply_route[CONTACT] {{
{trunk_answers}
  set_contact_alias();
}}
"""


class Kamailio:
    """`with Kamailio({"alice": "secret"}) as registrar:` SIP at `host`:`port` (UDP and TCP) and `tls_port`.

    Users register with digest and are challenged (407) for calls; a call whose From is none of
    them (SIPp, as the outside world) reaches any registered user unchallenged.
    `aliases`: called number -> user, `responses`: called number -> final SIP status.
    `auth_users`: user -> name in the digest, where that differs. `trunk`: (user, near, far): the sound of this user's
    calls goes by a relay on loopback, to whose port `near` he is told to send, and everybody else to `far`.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        transports: Iterable[str] = ("udp", "tcp", "tls"),
        *,
        realm: str = "allobox.test",
        aliases: Mapping[str, str] | None = None,
        responses: Mapping[str, int] | None = None,
        auth_users: Mapping[str, str] | None = None,
        max_expires: int = 3600,
        nonce_seconds: int = 300,
        certs: PrivateCa | None = None,
        trunk: tuple[str, int, int] | None = None,
    ) -> None:
        root = fetch.ensure("kamailio")
        self.host, self.realm = LOOPBACK, realm
        self.transports = frozenset(transports)
        if not self.transports <= {"udp", "tcp", "tls"}:
            msg = f"Kamailio's transports are udp, tcp and tls, not {', '.join(sorted(self.transports))}"
            raise ValueError(msg)
        self.port, self.tls_port = free_port(), free_port()
        self._peer = PeerProcess("kamailio", [], environment=fetch.environment())
        folder = self.folder = self._peer.folder
        self.certs = certs or PrivateCa(folder)
        self.ca_file = self.certs.ca_file
        for word in (realm, *users, *users.values(), *(aliases or {}), *(aliases or {}).values(), *(responses or {})):
            if not re.fullmatch(r"[\w.+*#@~-]+", word):
                msg = f"{word!r} would need quoting in Kamailio's settings: letters, digits and . + * # @ ~ - only"
                raise ValueError(msg)
        configuration = folder / "kamailio.cfg"
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                modules=fetch.LIB / "kamailio/modules",
                realm=realm,
                max_expires=max_expires,
                nonce_seconds=nonce_seconds,
                disable_tcp="no" if self.transports - {"udp"} else "yes",
                enable_tls="yes" if "tls" in self.transports else "no",
                listen="\n".join(f"listen={kind}:{LOOPBACK}:{self._port_of(kind)}" for kind in sorted(self.transports)),
                alias=f'alias="{realm}"',
                tls=self._tls_parameters(),
                trunk_requests=_trunk(trunk, answer=False),
                trunk_answers=_trunk(trunk, answer=True),
                passwords="\n".join(
                    f'  if ($var(user) == "{user}") {{ $var(password) = "{password}"; '
                    f'$var(auth_user) = "{(auth_users or {}).get(user, user)}"; }}'
                    for user, password in users.items()
                ),
                numbers="\n".join(
                    [f'  if ($rU == "{number}") {{ $rU = "{user}"; }}' for number, user in (aliases or {}).items()]
                    + [
                        f'  if ($rU == "{number}") {{ sl_send_reply("{code}", "{_phrase(code)}"); exit; }}'
                        for number, code in (responses or {}).items()
                    ]
                ),
            )
        )
        self._peer.command = [
            *(str(root / "usr/sbin/kamailio"), "-DD", "-E", "-Y", str(folder), "-m", "16", "-M", "4"),
            *("-w", str(folder), "-f", str(configuration)),
        ]

    def _port_of(self, kind: str) -> int:
        return self.tls_port if kind == "tls" else self.port

    def _tls_parameters(self) -> str:
        if "tls" not in self.transports:
            return ""
        parameters = {"certificate": self.certs.certificate_file, "private_key": self.certs.key_file}
        lines = ['loadmodule "tls.so"', 'modparam("tls", "tls_method", "TLSv1.2+")']
        return "\n".join(lines + [f'modparam("tls", "{name}", "{path}")' for name, path in parameters.items()])

    def rpc(self, method: str) -> Any:
        """The result of one JSON-RPC request to Kamailio; PeerError if it gives none within 5 s."""
        own = self.folder / "rpc-answer"
        own.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.settimeout(5)
            link.bind(str(own))
            try:
                link.sendto(
                    json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode(), str(self.folder / "rpc")
                )
                answer = json.loads(link.recv(1 << 20))
            except (OSError, ValueError) as error:
                self._peer.fail(f"Kamailio did not answer {method}: {error}")
        if "result" not in answer:
            msg = f"Kamailio refused {method}: {answer}"
            raise PeerError(msg)
        return answer["result"]

    def registered(self) -> set[str]:
        """Users with a valid registration."""
        return set(self.contacts())

    def contacts(self) -> dict[str, list[str]]:
        """User -> the Contact URIs registered."""
        found: dict[str, list[str]] = {}
        for domain in self.rpc("ul.dump")["Domains"]:
            for entry in domain["Domain"]["AoRs"]:
                for contact in entry["Info"]["Contacts"]:
                    if isinstance(contact["Contact"]["Expires"], int) and contact["Contact"]["Expires"] > 0:
                        found.setdefault(entry["Info"]["AoR"], []).append(contact["Contact"]["Address"])
        return found

    def log(self) -> str:
        """The end of Kamailio's log."""
        return self._peer.log()

    def start(self) -> None:
        """Start (again, after `stop`) with the same ports and users; registrations are forgotten."""
        (self.folder / "rpc").unlink(missing_ok=True)
        tcp = [self._port_of(kind) for kind in self.transports - {"udp"}]
        self._peer.start(lambda: (self.folder / "rpc").exists() and all(listens(port) for port in tcp))

    def stop(self) -> None:
        """An outage: nobody answers at the ports."""
        self._peer.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._peer.__exit__(kind, error, trace)


def _trunk(trunk: tuple[str, int, int] | None, *, answer: bool) -> str:
    """Puts the relay's port into session descriptions; an answer's From is of whom it goes to."""
    if trunk is None:
        return ""
    user, near, far = trunk
    first, second = (near, far) if answer else (far, near)
    return (
        '  if (has_body("application/sdp")) {\n'
        f'    if ($fU == "{user}") {{ subst_body("/m=audio [0-9]+/m=audio {first}/"); }}\n'
        f'    else {{ subst_body("/m=audio [0-9]+/m=audio {second}/"); }}\n'
        "  }"
    )


def _phrase(code: int) -> str:
    """A reason phrase for a SIP status (HTTP's, where it has one)."""
    own = {480: "Temporarily Unavailable", 484: "Address Incomplete", 486: "Busy Here", 603: "Decline"}
    try:
        return own.get(code) or HTTPStatus(code).phrase
    except ValueError:
        return "Failure"
