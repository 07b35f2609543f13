"""The core as a process: its lock, its log, its settings, and what follows when it ends."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import fcntl
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from firmware.backoffice import MemoryLog
from firmware.box import PLAIN_SIP, Box, Restart
from firmware.config import ConfigError, SettingsFile, with_setting
from firmware.control_routes import box_socket
from firmware.telephony.media import CORE_PRIORITY, realtime

_log = logging.getLogger("allobox")
_SWITCH_SECONDS = 0.0005  # the voice thread waits at most this long for the interpreter
_MAX_SOCKET_PATH = 100
_M_ARENA_MAX = -8  # malloc.h of glibc
_ARENAS = 2


def _die(message: str) -> NoReturn:
    print(f"allobox core: {message}", file=sys.stderr, flush=True)  # noqa: T201 - the supervisor's log
    sys.exit(1)


def _share_heaps() -> None:
    """Two malloc heaps for the core's some twenty threads, not one each: what one has freed another can use.

    Threads wait for a heap no more than they do for the interpreter, whose lock nearly all of them hold when they
    allocate. To be called before any thread is begun; where libc has no such choice (musl: one heap) nothing is done.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def main(data: Path, *, sip_port: int | None = None, simulate: bool = False, lines: int | None = None) -> None:
    """Run the core on `data` until SIGTERM; exit code 1 with one line if it cannot start."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    _share_heaps()
    faulthandler.enable()  # systemd's watchdog ends a hung core by SIGABRT: the log then says where it hung
    log = MemoryLog()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger().addHandler(log)
    if len(str(box_socket(data.absolute()))) > _MAX_SOCKET_PATH:
        _die(f"{data}: too long a path for Unix sockets; at most {_MAX_SOCKET_PATH} characters with /run/box.sock")
    try:
        (data / "run").mkdir(parents=True, exist_ok=True)
        lock = (data / "run" / "core.lock").open("a")
    except OSError as error:
        _die(f"{data}: cannot be used as the data folder: {error.strerror}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _die(f"another core keeps {data}; stop it first")
    settings_file = SettingsFile(data / "settings.toml")
    loaded = settings_file.load()
    if loaded.notice:
        _log.error("%s", loaded.notice)
    saved = loaded.settings
    wanted = saved.model_copy(update={"line": saved.line.simulated()}) if simulate else saved
    try:
        if lines is not None:
            wanted = with_setting(wanted, "line.count", str(lines))
    except ConfigError as error:
        _die(f"--lines {lines}: {error}")

    async def serve() -> Box:
        box = Box(data, settings_file, saved, wanted.line, log)
        await box.run(saved.sip.port if sip_port is None else sip_port)
        return box

    realtime(CORE_PRIORITY)
    box = asyncio.run(serve())
    if box.restart is not Restart.NO:
        os.environ[PLAIN_SIP] = box.restart.value
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "firmware", *sys.argv[1:]])  # noqa: S606 - ourselves, anew
    if box.failed:
        _die("SIP could not start; its log says why")
