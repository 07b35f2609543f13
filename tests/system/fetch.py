"""Fetch the real test peers as Debian packages and unpack them into a cache: nothing is installed.

An installed server would start with the machine; an unpacked one only when a test starts it. apt
itself downloads, so its signatures are checked as for any package; `dpkg-deb -x` unpacks.

    python tests/system/fetch.py [PEER ...]       all peers, or those named

Works as root and as an ordinary user. Run again, it does nothing. `ensure` is the same for tests.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "peers"
ROOT = CACHE / "root"
MANIFEST = CACHE / "manifest.json"
MULTIARCH = sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu"
LIB = ROOT / "usr" / "lib" / MULTIARCH
SPEECH = ROOT / "usr/share/asterisk/sounds/fr_CA_f_June"

# What each peer is made of, and the files of it that tests run or load.
PEERS: dict[str, tuple[str, ...]] = {
    "dovecot": ("dovecot-core", "dovecot-imapd"),
    "pulseaudio": ("pulseaudio", "pulseaudio-utils", "libasound2-plugins"),
    "kamailio": ("kamailio", "kamailio-tls-modules"),
    "sipp": ("sip-tester",),
    "baresip": ("baresip-core",),
    # No peer, but somebody to listen to: recorded French prompts (CC-BY-SA), 8 kHz.
    "speech": ("asterisk-core-sounds-fr-wav",),
}
USED: dict[str, tuple[Path, ...]] = {
    "dovecot": (
        ROOT / "usr/sbin/dovecot",
        *(
            ROOT / "usr/lib/dovecot" / name
            for name in ("imap", "imap-login", "auth", "anvil", "log", "config", "stats")
        ),
    ),
    "pulseaudio": (
        ROOT / "usr/bin/pulseaudio",
        ROOT / "usr/bin/pactl",
        LIB / "alsa-lib/libasound_module_pcm_pulse.so",
        ROOT / "usr/lib/pulse-16.1+dfsg1/modules/module-null-sink.so",
    ),
    "kamailio": (ROOT / "usr/sbin/kamailio", LIB / "kamailio/modules/tls.so"),
    "sipp": (ROOT / "usr/bin/sipp",),
    "baresip": (
        ROOT / "usr/bin/baresip",
        *(ROOT / "usr/lib/baresip/modules" / f"{name}.so" for name in ("aufile", "sndfile", "ctrl_tcp", "g711")),
    ),
    "speech": (SPEECH / "vm-intro.wav",),
}
# Dependencies of parts that no test uses (video, X11, Bluetooth, ffmpeg): a hundred megabytes
# spared. `_check_loadable` finds out if one of them were needed after all.
LEFT_OUT = re.compile(
    r"adduser|init-system-helpers|lsb-base|sysvinit-utils|python3|libpam-runtime|debconf.*|ssl-cert|ucf|rtkit"
    r"|libav(codec|util)\S*|libswresample\S*|libgstreamer\S*|libdirectfb\S*|libvpx\S*|libcodec2\S*|libjack\S*"
    r"|libportaudio\S*|libsndio\S*|libmosquitto\S*|libopencore\S*|libvo-amrwbenc\S*|libopenaptx\S*|dpkg|perl\S*",
)


class FetchError(RuntimeError):
    """A peer could not be fetched; the message says which, why and what to do."""


def _run(arguments: Sequence[str], *, cwd: Path | None = None) -> str:
    """Output of a command; FetchError with its own words if it fails or is missing."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            arguments, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=900
        )
    except FileNotFoundError:
        msg = f"{arguments[0]} is not on this machine: the test peers are fetched on Debian 12 only"
        raise FetchError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{' '.join(arguments[:4])} took more than 15 minutes: is the package mirror reachable?"
        raise FetchError(msg) from None
    if done.returncode != 0:
        msg = f"{' '.join(arguments[:4])} ...: {done.stderr.strip() or done.stdout.strip()}"
        raise FetchError(msg)
    return done.stdout


def _installed() -> set[str]:
    """Names of the packages this machine has."""
    listed = _run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"])
    return {name for name, status in (line.split() for line in listed.splitlines()) if status == "installed"}


def dependencies(apt_cache_output: str) -> list[list[str]]:
    """`apt-cache depends` of some packages -> their dependencies, each a list of alternatives."""
    groups: list[list[str]] = []
    joined = virtual = False
    for line in apt_cache_output.splitlines():
        found = re.fullmatch(r" ([ |])(?:Pre)?Depends: (\S+)", line)
        if found:
            name = found[2]
            virtual = name.startswith("<")
            if joined:
                groups[-1].append(name)
            else:
                groups.append([name])
            joined = found[1] == "|"
        elif line.startswith("    ") and virtual:
            groups[-1].append(line.strip())  # who provides the virtual package
        else:
            joined = virtual = False  # the next package's own name
    return [[name for name in group if not name.startswith("<")] for group in groups]


def _closure(targets: Iterable[str], installed: set[str]) -> list[str]:
    """The targets and what they need that the machine lacks."""
    wanted: list[str] = []
    level = list(targets)
    options = [f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    while level:
        wanted += level
        groups = dependencies(_run(["apt-cache", "depends", *options, *level]))
        level = []
        for group in groups:
            have = installed.union(wanted, level)
            if have.isdisjoint(group) and group and not any(LEFT_OUT.fullmatch(name) for name in group):
                level.append(group[0])
    return wanted


def _download(packages: Sequence[str], folder: Path) -> None:
    """apt downloads into `folder`, and checks signatures as for any package."""
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    _run(["apt-get", "-q", *sandbox, "download", *packages], cwd=folder)


def _with_fresh_lists(work: Callable[[], list[str]]) -> list[str]:
    """Do what needs apt's lists; if it fails, once more with new ones (root) or words on what to do."""
    try:
        return work()
    except FetchError as error:
        if os.geteuid() != 0:
            msg = f"{error}\nThe package lists may be old or missing: run 'sudo apt-get update', then this again."
            raise FetchError(msg) from None
    _say("package lists are old or missing: apt-get update")
    _run(["apt-get", "-q", "update"])
    return work()


def _fetch(peer: str, installed: set[str]) -> list[str]:
    """Download and unpack one peer; names of the package files."""
    packages = _closure(PEERS[peer], installed)
    _say(f"{peer}: downloading {len(packages)} Debian packages ({', '.join(packages[:4])} ...)")
    folder = CACHE / f"debs-{peer}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _download(packages, folder)
    files = sorted(folder.glob("*.deb"))
    ROOT.mkdir(exist_ok=True)
    for file in files:
        _run(["dpkg-deb", "-x", str(file), str(ROOT)])
    shutil.rmtree(folder)
    return [file.name for file in files]


def environment() -> dict[str, str]:
    """What an unpacked program needs in its environment to find its libraries."""
    pulse = [str(path) for path in (LIB / "pulseaudio", *sorted((ROOT / "usr/lib").glob("pulse-*/modules")))]
    folders = [str(LIB), str(ROOT / "lib" / MULTIARCH), str(ROOT / "usr/lib/dovecot"), *pulse]
    folders.append(str(ROOT / "usr/lib/dovecot/modules/old-stats"))
    folders += [str(path) for path in (LIB / "kamailio", ROOT / "usr/lib/baresip")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders), "LC_ALL": "C.UTF-8"}


def libraries(path: Path) -> list[Path]:
    """The libraries that the loader finds for a program or plugin; FetchError names those it does not."""
    done = subprocess.run(
        ["/usr/bin/ldd", str(path)], env=environment(), check=False, capture_output=True, text=True, timeout=60
    )
    lacking = sorted(set(re.findall(r"(\S+) => not found", done.stdout)))
    if lacking:
        msg = f"{path.name} lacks {', '.join(lacking)}"
        raise FetchError(msg)
    return [Path(found) for found in re.findall(r" => (/\S+)", done.stdout)]


def _check_loadable(peer: str) -> None:
    """Every file that tests use exists, and the loader finds all its libraries."""
    for path in USED[peer]:
        if not path.exists():
            msg = f"{peer}: {path} is not in its Debian package; is this Debian 12?"
            raise FetchError(msg)
        libraries(path)


def _manifest() -> dict[str, list[str]]:
    """Peer -> the package files it was unpacked from; empty if nothing was, or it cannot be read."""
    try:
        held = json.loads(MANIFEST.read_text())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _say(words: str) -> None:
    print(f"test peers: {words}", file=sys.stderr, flush=True)


def _missing(names: Sequence[str]) -> list[str]:
    held = _manifest()
    return [name for name in names if name not in held or not USED[name][0].exists()]


def ensure(*names: str) -> Path:
    """Fetch the named peers (default: all) unless they are there; the folder they are unpacked in."""
    wanted = list(names or PEERS)
    for name in wanted:
        if name not in PEERS:
            msg = f"no test peer is called {name!r}; there are {', '.join(PEERS)}"
            raise FetchError(msg)
    if not _missing(wanted):
        return ROOT
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once: the second waits and finds all done
        installed = _installed()
        for peer in _missing(wanted):
            files = _with_fresh_lists(functools.partial(_fetch, peer, installed))
            _check_loadable(peer)
            MANIFEST.write_text(json.dumps({**_manifest(), peer: files}, indent=1))
            _say(f"{peer}: ready")
    return ROOT


def main() -> int:
    """Fetch what the command line names; 1 with one clear line if it cannot be."""
    parser = argparse.ArgumentParser(description="Fetch the test peers into .cache/peers (nothing is installed).")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"one of {', '.join(PEERS)}; default: all")
    try:
        ensure(*parser.parse_args().peers)
    except FetchError as error:
        _say(f"failed: {error}")
        return 1
    _say(f"all there, in {ROOT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
