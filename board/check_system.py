"""Checks of what runs on the box: units, users, permissions, the packet filter, SSH, secrets."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from board.tree import Tree, Unit, symbols

# Who puts a program where a unit calls it: the defconfig's symbol.
_PROGRAMS = {
    "/usr/bin/allobox": "BR2_PACKAGE_ALLOBOX",
    "/usr/bin/python3": "BR2_PACKAGE_PYTHON3",
    "/usr/bin/rauc": "BR2_PACKAGE_RAUC",
    "/usr/sbin/nft": "BR2_PACKAGE_NFTABLES",
    "/usr/sbin/dropbear": "BR2_PACKAGE_DROPBEAR",
    "/usr/bin/mkdir": "BR2_INIT_SYSTEMD",  # a merged /usr, which systemd asks for, with BusyBox in it
    "/usr/bin/chmod": "BR2_INIT_SYSTEMD",
}
_SHORTEST_WATCH, _LONGEST_WATCH = 10, 60  # a core that begins anew (execv) says nothing for some seconds
_EXPOSURE = 3.0  # `systemd-analyze security`, of 10
_OPEN_TCP = {"22", "80"}
_OPEN_UDP = {"68", "546", "5353"}
_SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    rb"|^(?:ssh-(?:rsa|ed25519)|ecdsa-sha2-\S+) AAAA"
    rb"|\$(?:1|5|6|y|argon2id)\$[^$\s]+\$",
    re.MULTILINE,
)
_SECRET_NAMES = re.compile(
    r"authorized_keys|id_(?:rsa|dsa|ecdsa|ed25519)|dropbear_.*_host_key|.*\.(?:pem|key|p12)|shadow"
)
_THREE = ("allobox-core.service", "allobox-page.service", "allobox-mail.service")


def _said(command: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of a tool."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, (done.stdout + done.stderr).strip()


def commands(tree: Tree) -> Iterator[str]:
    """Each program that a unit starts is in the image, and `allobox` knows the subcommand and options."""
    from firmware.cli import main  # noqa: PLC0415 - only here is the firmware itself asked

    enabled = set().union(*(symbols(path.read_text()) for path in tree.defconfigs))
    for name, unit in tree.units.items():
        for program, *arguments in unit.commands():
            file = tree.overlay / program.lstrip("/")
            if file.is_file():
                if not os.access(file, os.X_OK):
                    yield f"{name}: {program} is not executable"
            elif program not in _PROGRAMS:
                yield f"{name}: nothing puts {program} into the image"
            elif _PROGRAMS[program] not in enabled:
                yield f"{name}: {program} needs {_PROGRAMS[program]} in the defconfig"
            if program == "/usr/bin/allobox":
                yield from (f"{name}: {problem}" for problem in _unknown_words(main, arguments))
            if program == "/usr/bin/python3" and arguments[:1] == ["-m"]:
                module = tree.root / (arguments[1].replace(".", "/") + ".py")
                if not module.is_file():
                    yield f"{name}: there is no module {arguments[1]}"


def _unknown_words(group: click.Group, arguments: list[str]) -> Iterator[str]:
    command = group.commands.get(arguments[0] if arguments else "")
    if command is None:
        yield f"allobox has no command {' '.join(arguments[:1])!r}"
        return
    known = {option for parameter in command.params for option in parameter.opts}
    yield from (
        f"allobox {arguments[0]} has no option {word}"
        for word in arguments[1:]
        if word[:2] == "--" and word not in known
    )


def units_verify(tree: Tree) -> Iterator[str]:
    """The units: systemd itself finds nothing wrong with the units, and rates the three services closed enough.

    Where there is no systemd: every line of a unit is a section, a setting or a comment.
    """
    tool = shutil.which("systemd-analyze")
    if tool is None:
        for name, unit in tree.units.items():
            lines = enumerate(unit.path.read_text().replace("\\\n", " ").splitlines(), 1)
            bad = [number for number, line in lines if not re.match(r"\s*($|[#;]|\[\w+\]$|\w+=)", line)]
            yield from (f"{name}, line {number}: neither a section nor a setting" for number in bad)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = _stage(tree, Path(folder))
        names = [name for name in tree.units if "/" not in name] + ["dropbear.service"]
        _, said = _said([tool, "verify", "--man=no", f"--root={root}", *names])
        yield from (line.replace(folder, "") for line in said.splitlines())
        for name in _THREE:
            code, said = _said([tool, "security", "--offline=yes", f"--root={root}", "--no-pager", name])
            rated = re.search(r"exposure level for \S+: ([0-9.]+)", said)
            if code != 0 and rated is None:
                return  # a systemd too old to rate files
            if rated and float(rated[1]) > _EXPOSURE:
                yield f"{name}: exposure {rated[1]} (systemd-analyze security), more than {_EXPOSURE}"


def _stage(tree: Tree, root: Path) -> Path:
    """A root file system good enough for `systemd-analyze`: our units, the host's targets, empty programs."""
    shutil.copytree(tree.overlay, root, symlinks=True, dirs_exist_ok=True)
    (root / "lib").symlink_to("usr/lib")
    programs = {command[0] for unit in tree.units.values() for command in unit.commands()}
    for program in programs:
        file = root / program.lstrip("/")
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    units = root / "usr/lib/systemd/system"
    host = Path("/usr/lib/systemd/system")
    for pattern in (
        "*.target",
        "systemd-fsck@.service",
        "systemd-tmpfiles-setup.service",
        "systemd-modules-load.service",
    ):
        for path in host.glob(pattern):
            if path.is_file() and not (units / path.name).exists():
                shutil.copy(path, units / path.name)
    # Buildroot's own, of which the overlay holds only the drop-in.
    (units / "dropbear.service").write_text("[Unit]\nDescription=SSH\n[Service]\nExecStart=/usr/sbin/dropbear -F\n")
    return root


def units_wanted(tree: Tree) -> Iterator[str]:
    """The three processes start at boot; every link of a .wants folder leads to a unit."""
    base = tree.overlay / "usr/lib/systemd/system"
    links = [path for path in base.glob("*.wants/*") if path.is_symlink()]
    yield from (f"{path.relative_to(base)} leads nowhere" for path in links if not path.exists())
    wanted = {path.name for path in links}
    needed = [name for name, unit in tree.units.items() if unit.values("WantedBy")]
    yield from (f"{name} is not started by any .wants link" for name in needed if name not in wanted)
    yield from (f"{name} is missing" for name in _THREE if name not in tree.units)


def users(tree: Tree) -> Iterator[str]:
    """Users of units, tmpfiles and the control socket are in the users table, without password or shell."""
    from firmware.control_server import _USERS  # noqa: PLC0415 - the names that the core knows its callers by

    table = tree.users
    for name, unit in tree.units.items():
        yield from (f"{name}: user {user} is not in ALLOBOX_USERS" for user in unit.values("User") if user not in table)
    yield from (f"control_server knows {user}, ALLOBOX_USERS does not" for user in _USERS if user not in table)
    for name, row in table.items():
        if row[0] == "-":
            continue
        if row[4] != "*" or row[6] != "-":
            yield f"ALLOBOX_USERS: {name} must have no password (*) and no shell (-)"
        if name != "allobox" and "allobox" not in row[7].split(","):
            yield f"ALLOBOX_USERS: {name} is not in the group allobox, so cannot reach the sockets"
    needed = {"gpio", "audio", "dialout"}
    if missing := needed - set(table.get("allobox", [""] * 8)[7].split(",")):
        yield f"ALLOBOX_USERS: allobox lacks the groups {', '.join(sorted(missing))}"
    if "gpio" not in table:
        yield "ALLOBOX_USERS: the group gpio is made by nobody"
    run_as = {unit: tree.units[unit].values("User") for unit in _THREE if unit in tree.units}
    if len({tuple(user) for user in run_as.values()}) < len(run_as):
        yield "the three processes must each have a user of their own"
    for line in _tmpfiles(tree):
        yield from (f"tmpfiles: {who} is not in ALLOBOX_USERS" for who in {line[3], line[4]} if who not in table)


def _tmpfiles(tree: Tree) -> list[list[str]]:
    text = (tree.overlay / "usr/lib/tmpfiles.d/allobox.conf").read_text()
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def sockets(tree: Tree) -> Iterator[str]:
    """The sockets' folder lets the group in, keeps the group's name, and protects each process's own."""
    folders = {row[1]: row for row in _tmpfiles(tree)}
    row = folders.get("/var/lib/allobox/run")
    if row is None or row[2:5] != ["3770", "allobox", "allobox"]:
        yield "tmpfiles: /var/lib/allobox/run must be 3770 allobox allobox"
    top = folders.get("/var/lib/allobox")
    if top is None or not int(top[2], 8) & 0o001 or int(top[2], 8) & 0o022:
        yield "tmpfiles: /var/lib/allobox must let others through (x) and nobody else write"
    # tmpfiles stops at a path that leads through one user's folder into another's (root's excepted).
    for path, row in folders.items():
        above = folders.get(path.rpartition("/")[0])
        if above is not None and above[3] != row[3]:
            yield f"tmpfiles: {path} is {row[3]}'s within {above[3]}'s folder: systemd-tmpfiles refuses that"
    mail = tree.units.get("allobox-mail.service")
    if mail is not None and not any(value.startswith("/var/lib/allobox/run:") for value in mail.values("BindPaths")):
        yield "allobox-mail.service does not see the sockets' folder"
    if mail is not None and not mail.values("MemoryMax"):
        yield "allobox-mail.service has no MemoryMax"


def core_unit(tree: Tree) -> Iterator[str]:
    """The core may be real-time, feeds systemd's watchdog, and whatever ends it takes the ringing battery off."""
    unit = tree.units.get("allobox-core.service", Unit(Path(os.devnull)))
    after = [shlex.split(value.lstrip("-@:+!")) for value in unit.values("ExecStopPost")]
    data = [words[words.index("--data") + 1] for words in unit.commands() if "core" in words and "--data" in words[:-1]]
    if not any(words[1:3] == ["-m", "firmware.fxs.safe"] and words[3:] == ["--data", *data] for words in after):
        yield "allobox-core.service: no ExecStopPost with firmware.fxs.safe on the core's own --data"
    if not any(value.isdigit() and int(value) >= 50 for value in unit.values("LimitRTPRIO")):  # noqa: PLR2004 - media.VOICE_PRIORITY
        yield "allobox-core.service: LimitRTPRIO must allow priority 50"
    if "yes" in unit.values("RestrictRealtime", "MemoryDenyWriteExecute", "PrivateDevices"):
        yield "allobox-core.service: RestrictRealtime, MemoryDenyWriteExecute and PrivateDevices break voice or pins"
    yield from _watchdog(tree, unit)
    if "/var/lib/allobox/run" not in unit.values("WorkingDirectory"):
        yield "allobox-core.service: lgpio needs a working directory that the core may write"
    if "PYTHONSAFEPATH=1" not in unit.values("Environment"):
        yield "allobox-core.service: without PYTHONSAFEPATH=1 Python takes modules that others may put into run/"


def _watchdog(tree: Tree, unit: Unit) -> Iterator[str]:
    """A hung core is noticed, a slow start is none; nobody else asks for a watchdog that it cannot feed."""
    name = "allobox-core.service"
    seconds = [int(value) for value in unit.values("WatchdogSec") if value.isdigit()]
    if not any(_SHORTEST_WATCH <= value <= _LONGEST_WATCH for value in seconds):
        yield f"{name}: WatchdogSec must be {_SHORTEST_WATCH} to {_LONGEST_WATCH} s: beyond a restart, within patience"
    if "notify" not in unit.values("Type"):
        yield f"{name}: Type=notify, or systemd does not listen to the core"
    if any(value not in {"main", "all", "exec"} for value in unit.values("NotifyAccess")):
        yield f"{name}: NotifyAccess shuts the core's own word out"
    if "AF_UNIX" not in " ".join(unit.values("RestrictAddressFamilies")).split():
        yield f"{name}: without AF_UNIX the core cannot reach systemd"
    for other, found in tree.units.items():
        if other != name and found.values("WatchdogSec"):
            yield f"{other}: WatchdogSec, but only the core feeds a watchdog"


def packet_filter(tree: Tree) -> Iterator[str]:
    """The rules: nft takes them (where it is), everything else is dropped, and only the declared ports are open."""
    path = tree.overlay / "etc/nftables.conf"
    text = re.sub(r"#.*", "", path.read_text())
    if "hook input priority filter; policy drop;" not in text:
        yield "nftables.conf: the input chain must drop by default"
    if "ct state established,related accept" not in text:
        yield "nftables.conf: answers to what the box began are not let in"
    for protocol, allowed in (("tcp", _OPEN_TCP), ("udp", _OPEN_UDP)):
        ports = {
            p.strip()
            for group in re.findall(rf"{protocol} dport (\{{[^}}]*\}}|\S+)", text)
            for p in group.strip("{} ").split(",")
        }
        yield from (
            f"nftables.conf: {protocol} port {port} is open and not declared" for port in sorted(ports - allowed)
        )
    opened = [line.strip() for line in text.splitlines() if "dport" in line]
    yield from (f"nftables.conf: open to the whole Internet: {line}" for line in opened if "saddr" not in line)
    tool = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        if text.count("{") != text.count("}"):
            yield "nftables.conf: braces do not match"
    elif os.geteuid() == 0:
        code, said = _said([tool, "-c", "-f", str(path)])
        if code != 0 and "Operation not permitted" not in said and "Protocol not supported" not in said:
            yield f"nftables.conf: nft says: {said}"


def ssh(tree: Tree) -> Iterator[str]:
    """SSH: dropbear starts only with the owner's key and never takes a password."""
    unit = tree.units.get("dropbear.service.d/keys-only.conf")
    if unit is None:
        yield "dropbear.service.d/keys-only.conf is missing: SSH would start without a key"
        return
    if "/root/.ssh/authorized_keys" not in unit.values("ConditionFileNotEmpty"):
        yield "dropbear: ConditionFileNotEmpty=/root/.ssh/authorized_keys is missing"
    started = [words for words in unit.commands() if words[0] == "/usr/sbin/dropbear"]
    if not started or any("-s" not in words for words in started):
        yield "dropbear: -s (no passwords) is missing"
    for path in tree.defconfigs:
        if symbols(path.read_text()).get("BR2_TARGET_ENABLE_ROOT_LOGIN") != "n":
            yield f"{path.name}: root must not log in with a password (BR2_TARGET_ENABLE_ROOT_LOGIN)"


def no_secrets(tree: Tree) -> Iterator[str]:
    """No key, no password hash and no authorised key lies in what becomes an image."""
    for path in tree.files():
        where = path.relative_to(tree.root)
        if _SECRET_NAMES.fullmatch(path.name):
            yield f"{where}: a secret, or a key of somebody's, by its name"
        elif path.suffix != ".py" and _SECRETS.search(path.read_bytes()):
            yield f"{where} holds a key or a password hash"


def scripts(tree: Tree) -> Iterator[str]:
    """Every shell script parses, and can be executed; nothing is writable by everybody."""
    for path in tree.files():
        where = path.relative_to(tree.root)
        mode = path.stat().st_mode
        if mode & stat.S_IWOTH:
            yield f"{where} is writable by everybody"
        with path.open("rb") as file:
            first = file.readline().decode(errors="replace")
        shell = re.match(r"#!/bin/(ba)?sh\b", first)
        if shell is None:
            continue
        if not mode & stat.S_IXUSR:
            yield f"{where} is not executable"
        code, said = _said(["bash" if shell[1] else "sh", "-n", str(path)])
        if code != 0:
            yield f"{where}: {said}"
