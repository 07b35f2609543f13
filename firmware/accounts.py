"""Accounts on their way from the settings to the SIP agent, and the last ones known to work.

When an account has registered, a copy of the enabled accounts is kept beside the settings. An
emergency call may use it whatever became of the settings since (removed, mistyped, unreadable).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import tomlkit

from firmware.config import AccountSettings, ConfigError, LineSettings, LinesSettings, Settings, read, to_tree
from firmware.store import write_atomically
from firmware.telephony.agent import DigitWay, SipAccount, Transport
from firmware.telephony.calls import Registration
from firmware.telephony.events import Outlook
from firmware.telephony.ringing import RingRules, parse_rule

_log = logging.getLogger(__name__)
LAST_GOOD_PREFIX = "last-good "


def sip_account(account: AccountSettings, *, name: str = "") -> SipAccount:
    """Say an account in the agent's words."""
    return SipAccount(
        name=name or account.name,
        server=account.server,
        user=account.user,
        password=account.password.get_secret_value(),
        auth_user=account.auth_user,
        transport=Transport(account.transport),
        number=account.number,
        display_name=account.display_name,
        message_waiting=account.message_waiting,
        register=account.register_,
        codecs=tuple(account.codecs),
        packet_ms=account.ptime,
        digits=DigitWay(account.dtmf),
        suppress_silence=account.vad,
        ca_file=account.ca_file,
        verify_tls=account.verify_tls,
        proxy=account.proxy,
        trusted_hosts=tuple(account.trusted_hosts),
    )


def enabled(settings: Settings) -> list[SipAccount]:
    """The accounts that are switched on, in their order."""
    return [sip_account(account) for account in settings.account if account.enabled]


def ring_rules(settings: Settings, number: int = 1) -> RingRules:
    """Say how calls ring on line `number`, in the switchboard's words."""
    line = settings.line.of(number)
    return RingRules(
        callers=tuple(parse_rule(text) for text in line.ring_callers),
        accounts={account.name: account.ring_pattern for account in settings.account},
        line=line.ring_pattern,
        obey_alert_info=line.alert_info,
    )


def without_rings(lines: LinesSettings) -> tuple[LineSettings, ...]:
    """What of the lines' settings asks for new lines: all but how calls ring, which counts from the next call on."""
    plain = LineSettings()
    kept = {name: getattr(plain, name) for name in ("ring_pattern", "ring_callers", "alert_info")}
    return tuple(lines.of(number).model_copy(update=kept) for number in range(1, lines.count + 1))


class LastGood:
    """The accounts as they were when one last registered, in `accounts.last-good.toml`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: tuple[AccountSettings, ...] = ()
        try:
            self._kept = read(path).account
        except FileNotFoundError:
            pass
        except (ConfigError, OSError) as error:
            _log.warning("the copy of the last good accounts cannot be read: %s", error)

    def differs(self, settings: Settings) -> bool:
        """Whether `keep` would write anything."""
        return self._enabled(settings) != self._kept

    @staticmethod
    def _enabled(settings: Settings) -> tuple[AccountSettings, ...]:
        return tuple(account for account in settings.account if account.enabled)

    def keep(self, settings: Settings) -> None:
        """Write the copy (blocks for the disk). A failure is told and changes nothing."""
        kept = self._enabled(settings)
        tree = to_tree(Settings(account=kept), secrets="clear")
        try:
            write_atomically(self._path, tomlkit.dumps({"account": tree["account"]}).encode())
        except OSError as error:
            _log.warning("the copy of the last good accounts cannot be written: %s", error)
            return
        self._kept = kept

    def beyond(self, settings: Settings, room: int) -> list[SipAccount]:
        """Those that the settings no longer hold as they were, at most `room`, for emergencies only."""
        now = self._enabled(settings)
        gone = [account for account in self._kept if account not in now]
        copies = [sip_account(account, name=LAST_GOOD_PREFIX + account.name) for account in gone[: max(0, room)]]
        # They carry an emergency out, and nothing else: no registration, no calls in.
        return [replace(copy, register=False) for copy in copies]


def _has_network() -> bool:
    """Whether any route leads out: /proc tells at once, without asking a server."""
    for table, is_out in (
        ("/proc/net/route", lambda fields: fields[0] not in {"Iface", "lo"}),
        ("/proc/net/ipv6_route", lambda fields: fields[-1] != "lo"),
    ):
        try:
            rows = Path(table).read_text().splitlines()
        except OSError:
            continue
        if any(row.split() and is_out(row.split()) for row in rows):
            return True
    return False


def outlook_of(registrations: Mapping[str, Registration], expected: Sequence[str]) -> Outlook:
    """What a lifted handset may hope for. An account that was not asked yet counts as hope.

    `expected` are the accounts that are meant to register; one without registration is ready.
    """
    if not registrations:
        return Outlook.NO_ACCOUNT
    for name, entry in registrations.items():
        if entry.registered or name not in expected or entry.sip_code == 0:
            return Outlook.READY
    return Outlook.UNREGISTERED if _has_network() else Outlook.NO_NETWORK
