"""The URIs that an account speaks with: pure."""

from __future__ import annotations

from firmware.telephony.agent import SipAccount, Transport
from firmware.telephony.sip.message import split_host_port


def account_uri(account: SipAccount) -> str:
    """The account's From: its name, user and domain."""
    host, _ = split_host_port(account.server)
    name = account.display_name.replace("\\", "").replace('"', "")
    quoted = f'"{name}" ' if name else ""
    return f"{quoted}<sip:{account.user}@{_bracketed(host)}>"


def server_uri(account: SipAccount, server: str, user: str = "") -> str:
    """`server` (HOST or HOST:PORT) as a SIP URI over the account's transport, for `user` if given."""
    host, port = split_host_port(server)
    at = f"{user}@" if user else ""
    suffix = f":{port}" if port else ""
    transport = "" if account.transport is Transport.UDP else f";transport={account.transport.value}"
    return f"sip:{at}{_bracketed(host)}{suffix}{transport}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
