"""The URIs that an account speaks with: pure."""

from __future__ import annotations

from firmware.telephony.agent import SipAccount, Transport
from firmware.telephony.sip.message import split_host_port

_URI_BYTES = 255  # PJSIP_MAX_URL_SIZE less one: of From, and of the Contact that the stack makes of it
_AROUND_URI = 5  # "" <>
_CONTACT_REST = 100  # quotes, scheme, our own address (46) and port, parameters


def account_uri(account: SipAccount) -> str:
    """The account's From: its name, user and domain.

    With `message_waiting` also its port and transport, which the stack leaves out of From and To (RFC 3261 19.1.1)
    and goes by when it subscribes to the mailbox: that request has nothing else to say where.
    """
    host, _ = split_host_port(account.server)
    name = account.display_name.replace("\\", "").replace('"', "")
    uri = f"sip:{account.user}@{_bracketed(host)}"
    if account.message_waiting:
        uri = server_uri(account, account.server, account.user)
    around = len(uri.encode()) + _AROUND_URI
    name = _bytes(name, _URI_BYTES - max(around, len(account.user.encode()) + _CONTACT_REST))
    quoted = f'"{name}" ' if name else ""
    return f"{quoted}<{uri}>"


def _bytes(text: str, most: int) -> str:
    """The beginning of `text` that fits into `most` bytes of UTF-8."""
    return text.encode()[: max(0, most)].decode("utf-8", "ignore").rstrip()


def server_uri(account: SipAccount, server: str, user: str = "") -> str:
    """`server` (HOST or HOST:PORT) as a SIP URI over the account's transport, for `user` if given."""
    host, port = split_host_port(server)
    at = f"{user}@" if user else ""
    suffix = f":{port}" if port else ""
    transport = "" if account.transport is Transport.UDP else f";transport={account.transport.value}"
    return f"sip:{at}{_bracketed(host)}{suffix}{transport}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
