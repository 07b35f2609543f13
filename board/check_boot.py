"""Checks of the boot: partitions, slots, boot counters, consoles, pins and overlays agree with each other."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

from board.tree import Tree, symbols
from firmware.config import GpioSettings
from firmware.fxs.drivers.slic_hats import HATS

_UNITS = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_DISK = "/dev/mmcblk0"
_SERIAL = re.compile(r"console=(?:ttyAMA|ttyS|serial)\d")


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([kMG]?)", text)
    return int(found[1]) * _UNITS[found[2]] if found else -1


def _partitions(tree: Tree) -> dict[str, dict[str, str]]:
    """The partitions of genimage.cfg.in, in order: name -> settings."""
    text = (tree.rpi / "genimage.cfg.in").read_text()
    blocks = re.findall(r"partition ([\w-]+) \{(.*?)\}", text, re.DOTALL)
    return {name: dict(re.findall(r'([\w-]+) = "?([^"\n]+)"?', body)) for name, body in blocks}


def _slots(tree: Tree) -> dict[str, configparser.SectionProxy]:
    """RAUC's root slots: boot name -> section."""
    parser = configparser.ConfigParser()
    parser.read(tree.rpi / "system.conf")
    sections = (parser[name] for name in parser.sections() if name.startswith("slot.rootfs."))
    return {section.get("bootname", "?"): section for section in sections}


def partitions(tree: Tree) -> Iterator[str]:
    """The card's partitions are those that RAUC, U-Boot and the mounts speak of, and the root fits its slot."""
    parts = _partitions(tree)
    number = {name: place for place, name in enumerate(parts, 1)}
    if list(parts) != ["boot", "rootfs-a", "rootfs-b", "data"]:
        yield f"genimage: the partitions are {', '.join(parts)}; they must be boot, rootfs-a, rootfs-b, data"
        return
    script = (tree.rpi / "boot.cmd").read_text()
    slots = _slots(tree)
    for boot_name, part in (("A", "rootfs-a"), ("B", "rootfs-b")):
        device = f"{_DISK}p{number[part]}"
        if boot_name not in slots or slots[boot_name].get("device") != device:
            yield f"system.conf: slot {boot_name} must be {device}, genimage's {part}"
        chosen = re.search(rf"setenv slot {boot_name}\n\s*setenv part (\d+)", script)
        if chosen is None or int(chosen[1]) != number[part]:
            yield f"boot.cmd: slot {boot_name} must be part {number[part]}"
    for unit, part in (("data.mount", "data"), ("boot-firmware.mount", "boot")):
        device = f"{_DISK}p{number[part]}"
        if unit not in tree.units or device not in tree.units[unit].values("What"):
            yield f"{unit}: must mount {device}, genimage's {part}"
    sizes = {_size(parts[name].get("size", "")) for name in ("rootfs-a", "rootfs-b")}
    for path in tree.defconfigs:
        image = _size(symbols(path.read_text()).get("BR2_TARGET_ROOTFS_EXT2_SIZE", "").strip('"'))
        if sizes != {image}:
            yield f"{path.name}: BR2_TARGET_ROOTFS_EXT2_SIZE is not the size of both root partitions"


def boot_counters(tree: Tree) -> Iterator[str]:
    """U-Boot and fw_setenv look for the boot counters at the same two places, outside every partition."""
    uboot = dict(re.findall(r"^(CONFIG_\w+)=(\S+)$", (tree.rpi / "uboot.config").read_text(), re.MULTILINE))
    text = (tree.overlay / "etc/fw_env.config").read_text()
    rows = re.findall(r"^(/dev/\S+)\s+(0x[0-9a-f]+)\s+(0x[0-9a-f]+)", text, re.MULTILINE)
    wanted = [
        (uboot.get(key, "?"), uboot.get("CONFIG_ENV_SIZE", "?"))
        for key in ("CONFIG_ENV_OFFSET", "CONFIG_ENV_OFFSET_REDUND")
    ]
    if [row[1:] for row in rows] != wanted or any(row[0] != _DISK for row in rows):
        yield f"fw_env.config must name {wanted} on {_DISK}, as uboot.config does"
        return
    if uboot.get("CONFIG_ENV_REDUNDANT") != "y":
        yield "uboot.config: one copy of the boot counters is lost by a power cut (CONFIG_ENV_REDUNDANT)"
    places = sorted((int(offset, 16), int(offset, 16) + int(size, 16)) for offset, size in wanted)
    first = _size(_partitions(tree).get("boot", {}).get("offset", ""))
    if places[0][0] < 512 or places[0][1] > places[1][0] or places[1][1] > first:  # noqa: PLR2004 - the MBR's bytes
        yield "uboot.config: the boot counters overlap each other, the partition table or the first partition"


def bundles(tree: Tree) -> Iterator[str]:
    """Updates are signed verity bundles for this board only."""
    parser = configparser.ConfigParser()
    parser.read(tree.rpi / "system.conf")
    manifest = configparser.ConfigParser()
    manifest.read(tree.rpi / "manifest.raucm.in")
    if parser.get("system", "compatible", fallback="") != manifest.get("update", "compatible", fallback="?"):
        yield "manifest.raucm.in: compatible is not system.conf's"
    if parser.get("system", "bundle-formats", fallback="") != "-plain":
        yield "system.conf: bundle-formats must be -plain"
    if not parser.get("keyring", "path", fallback=""):
        yield "system.conf: without a keyring nothing says whose updates are taken"
    if manifest.get("bundle", "format", fallback="") != "verity":
        yield "manifest.raucm.in: the bundle's format must be verity"


def consoles(tree: Tree) -> Iterator[str]:
    """No console on the serial port: the hat's, and nobody logs in over it."""
    for name in ("cmdline.txt", "boot.cmd"):
        text = re.sub(r"(?m)^#.*$", "", (tree.rpi / name).read_text())
        yield from (f"{name}: {found}: the serial port belongs to the hat" for found in _SERIAL.findall(text))
    if len((tree.rpi / "cmdline.txt").read_text().strip().splitlines()) != 1:
        yield "cmdline.txt must be one line"
    if "enable_uart=1" in (tree.rpi / "config.txt").read_text():
        yield "config.txt: enable_uart=1 gives the firmware the hat's serial port"
    for path in tree.defconfigs:
        if symbols(path.read_text()).get("BR2_TARGET_GENERIC_GETTY") != "n":
            yield f"{path.name}: a getty would wait on the console (BR2_TARGET_GENERIC_GETTY)"


def pins(tree: Tree) -> Iterator[str]:
    """config.txt rests RM and F/R, by the settings' own pins, before Linux runs."""
    default = GpioSettings()
    lines = re.findall(r"^gpio=(\d+)=(\S+)$", (tree.rpi / "config.txt").read_text(), re.MULTILINE)
    wanted = {str(default.rm): "op,dl", str(default.fr): "op,dh" if HATS[default.hat].fr_idle == "high" else "op,dl"}
    if dict(lines) != wanted:
        yield f"config.txt: gpio lines must be {wanted}, as line.gpio.rm, fr and fr_idle are by default"


# What a serial hat hangs on: the kernel's driver and the class of its devices.
_SERIAL_DRIVERS = {
    "CONFIG_USB_ACM": "char-ttyACM",
    "CONFIG_USB_SERIAL_CH341": "char-ttyUSB",
    "CONFIG_USB_SERIAL_CP210X": "char-ttyUSB",
    "CONFIG_USB_SERIAL_FTDI_SIO": "char-ttyUSB",
    "CONFIG_SERIAL_AMBA_PL011": "char-ttyAMA",
}


def serial_hats(tree: Tree) -> Iterator[str]:
    """A hat on USB or on the header finds its driver in the kernel, pyserial in the image, and the core may open it."""
    kernel = (tree.rpi / "kernel.config").read_text()
    allowed = {value.split()[0] for value in tree.units["allobox-core.service"].values("DeviceAllow")}
    for symbol, device in _SERIAL_DRIVERS.items():
        if not re.search(rf"^{symbol}=[ym]$", kernel, re.MULTILINE):
            yield f"kernel.config: {symbol} is missing"
        if device not in allowed:
            yield f"allobox-core.service: no DeviceAllow={device} for the devices of {symbol}"
    if not re.search(r"^CONFIG_SND_USB_AUDIO=[ym]$", kernel, re.MULTILINE):
        yield "kernel.config: CONFIG_SND_USB_AUDIO is missing: a hat on USB brings its sound along"
    if "select BR2_PACKAGE_PYTHON_SERIAL" not in tree.packages["allobox"].text("Config.in"):
        yield "allobox: Config.in does not select BR2_PACKAGE_PYTHON_SERIAL"


def sound(tree: Tree) -> Iterator[str]:
    """asound.conf's card is the one that config.txt's overlay makes, and its driver is in the kernel."""
    overlay = re.search(r"^dtoverlay=([\w-]+-soundcard)\b", (tree.rpi / "config.txt").read_text(), re.MULTILINE)
    if overlay is None:
        yield "config.txt: no overlay for the sound card"
        return
    # The simple-audio-card is called after its overlay; ALSA leaves the hyphen out of the identifier.
    card = overlay[1].replace("-", "")
    text = (tree.overlay / "etc/asound.conf").read_text()
    named = set(re.findall(r'hw:CARD=(\w+)"|card (\w+)', re.sub(r"#.*", "", text)))
    for name in {first or second for first, second in named} - {card}:
        yield f"asound.conf: card {name} is not the overlay's {card}"
    if not named:
        yield "asound.conf names no card"
    kernel = (tree.rpi / "kernel.config").read_text()
    codec = overlay[1].split("-")[0].upper()
    if not re.search(rf"^CONFIG_SND_SOC_{codec}=[ym]$", kernel, re.MULTILINE):
        yield f"kernel.config: CONFIG_SND_SOC_{codec} is missing"
