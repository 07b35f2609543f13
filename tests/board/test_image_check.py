"""Every check of the image fails on the fault it is there for: a copy of the tree, one thing spoilt."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from board import check
from board.tree import Tree

ROOT = Path(__file__).resolve().parents[2]
RPI = "board/raspberrypi4-64"
PACKAGE = "board/package"
DEFCONFIG = "board/configs/allobox_rpi4_64_defconfig"
OVERLAY = "buildroot-overlay"
UNITS = f"{OVERLAY}/usr/lib/systemd/system"
TMPFILES = f"{OVERLAY}/usr/lib/tmpfiles.d/allobox.conf"
NFT = f"{OVERLAY}/etc/nftables.conf"
DROPBEAR = f"{UNITS}/dropbear.service.d/keys-only.conf"
COPIED = ("board", OVERLAY, "requirements.lock", "pyproject.toml", "firmware/fxs/safe.py", "firmware/fxs/port.py")

Fault = Callable[[Path], object]


def swap(file: str, old: str, new: str) -> Fault:
    """Replace text; the fault must have something to spoil."""

    def spoil(root: Path) -> None:
        path = root / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}: this fault spoils nothing"
        path.write_text(text.replace(old, new))

    return spoil


def drop(file: str) -> Fault:
    return lambda root: (root / file).unlink()


def write(file: str, text: str) -> Fault:
    def spoil(root: Path) -> None:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)

    return spoil


def mode(file: str, bits: int) -> Fault:
    return lambda root: (root / file).chmod(bits)


# The check that must notice -> (what is spoilt, how).
FAULTS: dict[str, dict[str, Fault]] = {
    "external_tree": {
        "another name": swap("board/external.desc", "ALLOBOX", "BOX"),
        "a package not sourced": swap("board/Config.in", "package/python-lgpio/Config.in", "package/gone/Config.in"),
        "packages not read": swap("board/external.mk", "package/*/*.mk", "packages/*/*.mk"),
    },
    "packages": {
        "another symbol": swap(f"{PACKAGE}/python-lgpio/Config.in", "BR2_PACKAGE_PYTHON_LGPIO", "BR2_PACKAGE_LGPIO"),
        "no hash": swap(f"{PACKAGE}/python-imapclient/python-imapclient.hash", "imapclient-4.1.0", "imapclient-4.0.9"),
        "half a hash": swap(f"{PACKAGE}/python-lgpio/python-lgpio.hash", "sha256  11372e", "sha256  "),
        "no hash of the licence": swap(f"{PACKAGE}/python-lgpio/python-lgpio.hash", "  LICENSE", "  COPYING"),
        "no .mk": drop(f"{PACKAGE}/python-phonenumbers/python-phonenumbers.mk"),
        "a borrowed hash of another version": swap(
            f"{PACKAGE}/pjsua2-python/pjsua2-python.mk",
            "PJSUA2_PYTHON_VERSION = $(LIBPJSIP_VERSION)",
            "PJSUA2_PYTHON_VERSION = 2.16",
        ),
    },
    "versions": {
        "not the lock's version": swap("requirements.lock", "phonenumbers==9.0.43", "phonenumbers==9.0.44"),
        "not the lock's archive": swap(f"{PACKAGE}/python-lgpio/python-lgpio.hash", "sha256  11372e", "sha256  000000"),
        "not in the lock": swap("requirements.lock", "imapclient==4.1.0", "imapclientele==4.1.0"),
        "not the project's version": swap("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"'),
    },
    "runtime": {
        "a dependency not selected": swap(
            f"{PACKAGE}/allobox/Config.in", "\tselect BR2_PACKAGE_PYTHON_WAITRESS", "\t#"
        ),
        "a new dependency": swap("pyproject.toml", '"aiohttp",', '"aiohttp", "vobject",'),
    },
    "symbols_exist": {
        "a misspelt symbol": swap(DEFCONFIG, "BR2_PACKAGE_NFTABLES=y", "BR2_PACKAGE_NFTABLE=y"),
        "a symbol set twice": swap(
            DEFCONFIG, "BR2_PACKAGE_RAUC=y", "BR2_PACKAGE_RAUC=y\n# BR2_PACKAGE_RAUC is not set"
        ),
        "an unknown selection": swap(f"{PACKAGE}/allobox/Config.in", "BR2_PACKAGE_SPANDSP", "BR2_PACKAGE_SPAN_DSP"),
        "no firmware": swap(DEFCONFIG, "BR2_PACKAGE_ALLOBOX=y\n", ""),
    },
    "paths_exist": {"a fragment that is gone": drop(f"{RPI}/kernel.config")},
    "partitions": {
        "RAUC's slot is the data": swap(f"{RPI}/system.conf", "mmcblk0p3", "mmcblk0p4"),
        "U-Boot boots the other slot": swap(f"{RPI}/boot.cmd", "setenv part 3", "setenv part 2"),
        "the data is a slot": swap(f"{UNITS}/data.mount", "mmcblk0p4", "mmcblk0p3"),
        "a root too large": swap(DEFCONFIG, 'EXT2_SIZE="512M"', 'EXT2_SIZE="600M"'),
        "another order": swap(f"{RPI}/genimage.cfg.in", "partition data", "partition household"),
    },
    "boot_counters": {
        "other places": swap(f"{OVERLAY}/etc/fw_env.config", "0x440000", "0x450000"),
        "one copy": swap(f"{RPI}/uboot.config", "CONFIG_ENV_REDUNDANT=y", "# CONFIG_ENV_REDUNDANT is not set"),
        "inside the first partition": swap(f"{RPI}/genimage.cfg.in", "offset = 8M", "offset = 4M"),
    },
    "bundles": {
        "for another board": swap(f"{RPI}/manifest.raucm.in", "allobox-rpi4-64", "allobox-rpi5"),
        "plain bundles": swap(f"{RPI}/system.conf", "bundle-formats=-plain", "bundle-formats=plain"),
        "no keyring": swap(f"{RPI}/system.conf", "path=/etc/rauc/keyring.pem", ""),
    },
    "consoles": {
        "on the hat's UART": swap(f"{RPI}/cmdline.txt", "console=tty1", "console=tty1 console=ttyAMA0,115200"),
        "by the boot script": swap(f"{RPI}/boot.cmd", "rootwait ro", "rootwait ro console=ttyS0,115200"),
        "a getty": swap(DEFCONFIG, "# BR2_TARGET_GENERIC_GETTY is not set", "BR2_TARGET_GENERIC_GETTY=y"),
        "the firmware's UART": swap(f"{RPI}/config.txt", "enable_uart=0", "enable_uart=1"),
    },
    "pins": {
        "ringing mode on at boot": swap(f"{RPI}/config.txt", "gpio=17=op,dl", "gpio=17=op,dh"),
        "another pin": swap(f"{RPI}/config.txt", "gpio=12=", "gpio=13="),
    },
    "sound": {
        "another card": swap(f"{OVERLAY}/etc/asound.conf", "wm8960soundcard", "Loopback"),
        "no overlay": swap(f"{RPI}/config.txt", "dtoverlay=wm8960-soundcard", ""),
        "no driver": swap(f"{RPI}/kernel.config", "CONFIG_SND_SOC_WM8960=m", ""),
    },
    "serial_hats": {
        "no driver": swap(f"{RPI}/kernel.config", "CONFIG_USB_ACM=m", "CONFIG_USB_ACM=n"),
        "no UART": swap(f"{RPI}/kernel.config", "CONFIG_SERIAL_AMBA_PL011=y", ""),
        "no sound on USB": swap(f"{RPI}/kernel.config", "CONFIG_SND_USB_AUDIO=m", ""),
        "no right to it": swap(f"{UNITS}/allobox-core.service", "DeviceAllow=char-ttyACM rw\n", ""),
        "no pyserial": swap(f"{PACKAGE}/allobox/Config.in", "\tselect BR2_PACKAGE_PYTHON_SERIAL # runtime\n", ""),
    },
    "commands": {
        "a command that allobox has not": swap(f"{UNITS}/allobox-page.service", "allobox page", "allobox pages"),
        "an option that it has not": swap(f"{UNITS}/allobox-core.service", "core --data", "core --folder"),
        "a module that is gone": drop("firmware/fxs/safe.py"),
        "a script that cannot run": mode(f"{OVERLAY}/usr/libexec/allobox/take-ssh-keys", 0o644),
        "a program that nobody installs": swap(f"{UNITS}/nftables.service", "/usr/sbin/nft", "/usr/sbin/iptables"),
        "a package not chosen": swap(DEFCONFIG, "BR2_PACKAGE_RAUC=y\n", ""),
    },
    "units_verify": {
        "a line that is nothing": swap(f"{UNITS}/allobox-mail.service", "MemoryMax=128M", "MemoryMax 128M"),
    },
    "units_wanted": {
        "a process that does not start": drop(f"{UNITS}/multi-user.target.wants/allobox-mail.service"),
        "a link to nothing": drop(f"{UNITS}/var-lib-allobox.mount"),
        "no core": drop(f"{UNITS}/allobox-core.service"),
    },
    "users": {
        "a user nobody makes": swap(f"{UNITS}/allobox-mail.service", "User=allobox-mail", "User=mailer"),
        "a name the core does not know": swap(f"{PACKAGE}/allobox/allobox.mk", "allobox-page -1", "allobox-web -1"),
        "a password": swap(
            f"{PACKAGE}/allobox/allobox.mk", "allobox -1 allobox -1 * -", "allobox -1 allobox -1 =hello -"
        ),
        "outside the group": swap(
            f"{PACKAGE}/allobox/allobox.mk", "* - - allobox Allobox mail", "* - - - Allobox mail"
        ),
        "no pins for the core": swap(f"{PACKAGE}/allobox/allobox.mk", "gpio,audio,dialout", "audio,dialout"),
        "two processes, one user": swap(f"{UNITS}/allobox-mail.service", "User=allobox-mail", "User=allobox-page"),
    },
    "sockets": {
        "the group shut out": swap(TMPFILES, "3770", "0700"),
        "everybody may write": swap(TMPFILES, "/var/lib/allobox        0751", "/var/lib/allobox        0777"),
        "one user's folder in another's": swap(TMPFILES, "/data/page ", "/var/lib/allobox/pages "),
        "mail without sockets": swap(
            f"{UNITS}/allobox-mail.service", "BindPaths=/var/lib/allobox/run", "BindPaths=/tmp"
        ),
        "mail without a limit": swap(f"{UNITS}/allobox-mail.service", "MemoryMax=128M", ""),
    },
    "core_unit": {
        "the ring stays on": swap(f"{UNITS}/allobox-core.service", "firmware.fxs.safe", "firmware.fxs.port"),
        "the pins of another box": swap(
            f"{UNITS}/allobox-core.service", "firmware.fxs.safe --data /var/lib/allobox", "firmware.fxs.safe --data /x"
        ),
        "the ring goes at the start only": swap(f"{UNITS}/allobox-core.service", "ExecStopPost=", "ExecStartPre="),
        "a hung core stays": swap(f"{UNITS}/allobox-core.service", "WatchdogSec=20", ""),
        "a restart is a hang": swap(f"{UNITS}/allobox-core.service", "WatchdogSec=20", "WatchdogSec=2"),
        "systemd does not listen": swap(f"{UNITS}/allobox-core.service", "Type=notify", "Type=exec"),
        "modules from a folder of others": swap(f"{UNITS}/allobox-core.service", "Environment=PYTHONSAFEPATH=1", ""),
        "no way to systemd": swap(f"{UNITS}/allobox-core.service", "=AF_UNIX AF_INET AF", "=AF_INET AF"),
        "no real time": swap(f"{UNITS}/allobox-core.service", "LimitRTPRIO=60", "LimitRTPRIO=20"),
        "no pins": swap(f"{UNITS}/allobox-core.service", "ProtectHome=yes", "PrivateDevices=yes"),
        "an unfed watchdog": swap(f"{UNITS}/allobox-page.service", "RestartSec=1", "WatchdogSec=10"),
        "nowhere for lgpio": swap(f"{UNITS}/allobox-core.service", "WorkingDirectory=/var/lib/allobox/run", ""),
    },
    "packet_filter": {
        "open by default": swap(
            NFT, "hook input priority filter; policy drop;", "hook input priority filter; policy accept;"
        ),
        "SIP from anywhere": swap(NFT, "udp dport 5353", "udp dport { 5060, 5353 }"),
        "the page for the Internet": swap(
            NFT, "ip saddr $LAN4 tcp dport { 22, 80 } accept", "tcp dport { 22, 80 } accept"
        ),
        "no answers": swap(NFT, "ct state established,related accept", ""),
        "a brace too few": swap(NFT, "{ 22, 80 }", "{ 22, 80"),
    },
    "ssh": {
        "without a key": swap(DROPBEAR, "ConditionFileNotEmpty=/root/.ssh/authorized_keys", ""),
        "with passwords": swap(DROPBEAR, "-R -s -j", "-R -j"),
        "no rule at all": drop(DROPBEAR),
        "root logs in": swap(DEFCONFIG, "# BR2_TARGET_ENABLE_ROOT_LOGIN is not set", "BR2_TARGET_ENABLE_ROOT_LOGIN=y"),
    },
    "no_secrets": {
        "somebody's key": write(f"{OVERLAY}/root/.ssh/authorized_keys", "ssh-ed25519 AAAAC3Nz somebody\n"),
        "a signing key": write(f"{RPI}/notes.txt", "-----BEGIN PRIVATE KEY-----\nMIIE\n"),
        "a password hash": write(f"{OVERLAY}/etc/default/box", "root:$6$salt$abcdefgh:0\n"),
        "a host key": write(f"{OVERLAY}/etc/dropbear/dropbear_ed25519_host_key", "x"),
    },
    "scripts": {
        "a script that does not parse": swap(f"{RPI}/post-build.sh", "fi\n", ""),
        "a script that cannot run": mode(f"{RPI}/post-image.sh", 0o644),
        "a file that anybody may change": mode(f"{OVERLAY}/etc/asound.conf", 0o666),
    },
}
CASES = [(name, fault) for name, faults in FAULTS.items() for fault in faults]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in COPIED:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, symlinks=True)
        else:
            shutil.copy(ROOT / name, target)
    return tmp_path


def named(name: str) -> check.Check:
    return next(one for one in check.CHECKS if one.__name__ == name)


def test_this_tree_passes_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([]) == 0, capsys.readouterr().out
    told = capsys.readouterr().out
    assert f"{len(check.CHECKS)} of {len(check.CHECKS)} checks passed" in told
    assert "nothing was built and nothing booted" in told


def test_every_check_has_a_fault_that_it_must_find() -> None:
    assert set(FAULTS) == {one.__name__ for one in check.CHECKS}


@pytest.mark.parametrize(("name", "fault"), CASES, ids=[f"{name}: {fault}" for name, fault in CASES])
def test_a_planted_fault_is_found(copy: Path, name: str, fault: str) -> None:
    assert check.problems(named(name), Tree(copy)) == []
    FAULTS[name][fault](copy)
    assert check.problems(named(name), Tree(copy)), f"{name} did not notice {fault!r}"


def test_a_failed_check_fails_the_command_and_says_what(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FAULTS["pins"]["ringing mode on at boot"](copy)
    assert check.main([str(copy)]) == 1
    told = capsys.readouterr().out
    assert "FAILED  pins" in told
    assert "1 FAILED" in told


def test_where_systemd_is_not_installed_the_units_are_still_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert check.problems(named("units_verify"), Tree(copy)) == []
    FAULTS["units_verify"]["a line that is nothing"](copy)
    assert "allobox-mail.service, line" in check.problems(named("units_verify"), Tree(copy))[0]


# --- the box's own scripts, run ---------------------------------------------------------------

LIBEXEC = ROOT / OVERLAY / "usr/libexec/allobox"


def take_keys(boot: Path, ssh: Path) -> None:
    subprocess.run(["/bin/sh", str(LIBEXEC / "take-ssh-keys"), str(boot), str(ssh)], check=True, timeout=30)


def test_the_owners_keys_come_from_the_boot_partition_and_go_with_it(tmp_path: Path) -> None:
    boot, ssh = tmp_path / "boot", tmp_path / "ssh"
    boot.mkdir()
    ssh.mkdir()
    take_keys(boot, ssh)
    assert not list(ssh.iterdir())
    (boot / "authorized_keys").write_bytes(b"ssh-ed25519 AAAA owner\r\n")
    take_keys(boot, ssh)
    kept = ssh / "authorized_keys"
    assert kept.read_bytes() == b"ssh-ed25519 AAAA owner\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    (boot / "authorized_keys").unlink()
    take_keys(boot, ssh)
    assert not list(ssh.iterdir())


@pytest.mark.parametrize(
    ("told", "well"),
    [
        ('{"lines": [{"fault": null}], "sip": {"state": "up"}}', True),
        ('{"lines": [{"fault": "no hat"}], "sip": {"state": "up"}}', False),
        ('{"lines": [], "sip": {"state": "up"}}', False),
        ('{"lines": [{"fault": null}], "sip": {"state": "starting"}}', False),
        ("", False),
    ],
)
def test_a_slot_is_kept_only_when_the_box_is_well(tmp_path: Path, told: str, well: bool) -> None:  # noqa: FBT001
    box = tmp_path / "allobox"
    box.write_text(f"#!/bin/sh\necho '{told}'\n")
    box.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", str(LIBEXEC / "wait-until-well"), "2", "0"],
        env=environment,
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode == 0) is well


def test_the_boot_partition_lists_every_file_of_the_firmware(tmp_path: Path) -> None:
    """post-image.sh up to genimage, which is a stand-in that keeps what it was given."""
    images, tools = tmp_path / "images", tmp_path / "bin"
    tools.mkdir()
    stand_in = tools / "genimage"
    stand_in.write_text('#!/bin/sh\nwhile [ "$1" != --config ]; do shift; done\ncp "$2" "$KEEP"\n')
    stand_in.chmod(0o755)
    for name in ("u-boot.bin", "boot.scr", "bcm2711-rpi-4-b.dtb", "rootfs.ext4"):
        write(name, "x")(images)
    for name in ("config.txt", "start4.elf", "overlays/wm8960-soundcard.dtbo"):
        write(f"rpi-firmware/{name}", "x")(images)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "KEEP": str(tmp_path / "kept")}
    script = [str(ROOT / RPI / "post-image.sh"), str(images)]
    done = subprocess.run(script, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "no update bundle" in done.stderr
    config = (tmp_path / "kept").read_text()
    assert 'file "overlays/wm8960-soundcard.dtbo" { image = "rpi-firmware/overlays/wm8960-soundcard.dtbo" }' in config
    assert 'file "u-boot.bin" { image = "u-boot.bin" }' in config
    assert "@BOOT_FILES@" not in config
    (images / "boot.scr").unlink()
    done = subprocess.run(script, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "boot.scr is missing" in done.stderr


def test_a_key_left_in_the_target_stops_the_build(tmp_path: Path) -> None:
    target = tmp_path / "target"
    environment = {name: value for name, value in os.environ.items() if name != "ALLOBOX_RAUC_KEYRING"}

    def build() -> subprocess.CompletedProcess[str]:
        script = [str(ROOT / RPI / "post-build.sh"), str(target)]
        return subprocess.run(script, env=environment, check=False, capture_output=True, text=True, timeout=60)

    target.mkdir()
    done = build()
    assert done.returncode == 0, done.stderr
    assert "cannot be updated" in done.stderr
    assert (target / "etc/rauc/system.conf").is_file()
    assert (target / "root/.ssh").stat().st_mode & 0o777 == 0o700
    (target / "root/.ssh/authorized_keys").write_text("ssh-ed25519 AAAA builder\n")
    done = build()
    assert done.returncode == 1
    assert "must not be in an image" in done.stderr
