"""Dovecot as an IMAP server on loopback, with TLS under a private authority and users of the test's choice."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system import fetch
from tests.system.peer_process import LOOPBACK, PeerError, PeerProcess, PrivateCa, free_port, listens

_COMPILED_IN = b"/usr/lib/dovecot/modules\0"

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
libexec_dir = {libexec}
mail_plugin_dir = {modules}
log_path = {folder}/dovecot.log
import_environment = TZ LD_LIBRARY_PATH={libraries}
protocols = imap
listen = {host}
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {group}
first_valid_uid = 1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = {failure_delay} secs
mail_location = maildir:~/Maildir
mailbox_list_index = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
}}
"""


class Dovecot:
    """IMAP at `host`: `port` (STARTTLS) or `tls_port` (implicit TLS), trusting `ca_file`.

    `log()` names "TLS" for logins that used it (Dovecot holds a loopback connection for secure
    even without). `users`: login name -> password.
    `failure_delay` is how long a wrong password takes to be refused (Dovecot's own default: 2 s).
    """

    def __init__(self, users: Mapping[str, str], certs: PrivateCa | None = None, *, failure_delay: int = 0) -> None:
        root = fetch.ensure("dovecot")
        self.host = LOOPBACK
        self.port, self.tls_port = free_port(), free_port()
        # Dovecot would run /usr/bin/doveconf to read its settings; doveconf can start Dovecot instead.
        self._peer = PeerProcess("dovecot", [])
        settings = str(self._peer.folder / "dovecot.conf")
        reader = [str(root / "usr/bin/doveconf"), "-f", "service=master", "-c", settings, "-e"]
        self._peer.command = [*reader, str(root / "usr/sbin/dovecot"), "-F", "-c", settings]
        self.folder = self._peer.folder
        self.certs = certs or PrivateCa(self.folder)
        self.ca_file = self.certs.ca_file
        libraries = self._own_module_folder(root)
        self._peer.environment = {**fetch.environment(), "LD_LIBRARY_PATH": libraries}
        for user, password in users.items():
            if set(user + password) & set(":\n/"):
                msg = f"Dovecot's user file cannot hold ':', '/' or a line break: {user}"
                raise ValueError(msg)
        user_file = self.folder / "users"
        user_file.touch(mode=0o600)
        user_file.write_text("".join(f"{user}:{{PLAIN}}{password}\n" for user, password in users.items()))
        me = pwd.getpwuid(os.geteuid())
        owner = me
        if os.geteuid() == 0:  # Dovecot insists that logins and mail belong to somebody else
            owner = pwd.getpwnam("nobody")
            self.folder.chmod(0o711)
        (self.folder / "mail").mkdir()
        os.chown(self.folder / "mail", owner.pw_uid, owner.pw_gid)
        (self.folder / "dovecot.conf").write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                libexec=root / "usr/lib/dovecot",
                modules=root / "usr/lib/dovecot/modules",
                libraries=libraries,
                host=self.host,
                login_user=owner.pw_name,
                internal_user=me.pw_name,
                group=grp.getgrgid(me.pw_gid).gr_name,
                certificate=self.certs.certificate_file,
                key=self.certs.key_file,
                failure_delay=failure_delay,
                uid=owner.pw_uid,
                gid=owner.pw_gid,
                port=self.port,
                tls_port=self.tls_port,
            )
        )

    def _own_module_folder(self, root: Path) -> str:
        """LD_LIBRARY_PATH under which Dovecot finds its modules in the cache.

        The folder of modules (TLS is one) is compiled into libdovecot; a private copy gets a path
        that is no longer than the original and leads to the unpacked one.
        """
        original = (root / "usr/lib/dovecot/libdovecot.so.0").read_bytes()
        link = self.folder / "m"
        own = str(link).encode() + b"\0"
        if original.count(_COMPILED_IN) != 1 or len(own) > len(_COMPILED_IN):
            raise PeerError("this libdovecot is not the one of Debian 12: its module folder is not where expected")
        link.symlink_to(root / "usr/lib/dovecot/modules")
        private = self.folder / "l"
        private.mkdir()
        patched = original.replace(_COMPILED_IN, own.ljust(len(_COMPILED_IN), b"\0"))
        (private / "libdovecot.so.0").write_bytes(patched)
        return f"{private}:{fetch.environment()['LD_LIBRARY_PATH']}"

    def maildir(self, user: str) -> Path:
        """Where the mail of `user` lies (it exists after the first login)."""
        return self.folder / "mail" / user / "Maildir"

    def log(self) -> str:
        """The end of Dovecot's log."""
        return self._peer.log()

    def __enter__(self) -> Self:
        self._peer.start(lambda: listens(self.port) and listens(self.tls_port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._peer.__exit__(kind, error, trace)
