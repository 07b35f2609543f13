"""A sound card in user space: PulseAudio's null sink, heard again at its monitor, behind ALSA's `pulse` device.

The ALSA interface is real, its delay (about half a second) is not: never measure delays with it.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system import fetch
from tests.system.peer_process import PeerError, PeerProcess

_ALSA_CONFIGURATION = """
pcm_type.pulse {{
  lib "{plugins}/libasound_module_pcm_pulse.so"
}}
ctl_type.pulse {{
  lib "{plugins}/libasound_module_ctl_pulse.so"
}}
pcm.pulse {{
  type pulse
}}
ctl.pulse {{
  type pulse
}}
"""


def _load_what_needs(plugin: Path) -> None:
    """Load the libraries of `plugin` that the loader of this process would not find by itself."""
    waiting = fetch.libraries(plugin)
    while waiting:
        failed: dict[Path, OSError] = {}
        for path in waiting:
            try:
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:  # its own libraries may come later in the list
                failed[path] = error
        if len(failed) == len(waiting):
            msg = f"ALSA's pulse plugin cannot be loaded: {next(iter(failed.values()))}"
            raise PeerError(msg)
        waiting = list(failed)


class PulseNullSink:
    """`with PulseNullSink() as card:` what is played on ALSA's device `pulse` can be captured from it.

    A program finds the device if it is started with `card.environment`; this process itself does
    after `card.adopt()` (until the context ends).
    """

    def __init__(self, rate: int = 8000) -> None:
        root = fetch.ensure("pulseaudio")
        modules = root / "usr/lib/pulse-16.1+dfsg1/modules"
        self._peer = PeerProcess("pulse", [], environment=fetch.environment())
        folder = self._peer.folder
        self.socket = folder / "native"
        self._peer.environment |= {name: str(folder) for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH")}
        self._peer.command = [
            *(str(root / "usr/bin/pulseaudio"), "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"),
            *("--disable-shm=yes", "--realtime=no", "--high-priority=no", "-p", str(modules)),
            *("-L", f"module-native-protocol-unix socket={self.socket} auth-anonymous=1"),
            *("-L", f"module-null-sink sink_name=line format=s16le rate={rate} channels=1"),
        ]
        alsa = folder / "asound.conf"
        alsa.write_text(_ALSA_CONFIGURATION.format(plugins=fetch.LIB / "alsa-lib"))
        self._settings = {
            "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{alsa}",
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
            "PULSE_CLIENTCONFIG": os.devnull,
        }
        self.environment = {**fetch.environment(), **self._settings}
        self._before: dict[str, str | None] = {}

    @property
    def folder(self) -> Path:
        """Where its socket and log are."""
        return self._peer.folder

    def log(self) -> str:
        """The end of PulseAudio's log."""
        return self._peer.log()

    def adopt(self) -> None:
        """Make ALSA in this very process find the device: environment, and the libraries by hand.

        The loader reads LD_LIBRARY_PATH only when a process starts; libraries already loaded
        satisfy the plugin whatever the path.
        """
        _load_what_needs(fetch.LIB / "alsa-lib/libasound_module_pcm_pulse.so")
        for name, value in self._settings.items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def kill(self) -> None:
        """The card disappears, as if unplugged."""
        self._peer.stop(0)

    def __enter__(self) -> Self:
        self._peer.start(self.socket.exists)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._peer.__exit__(kind, error, trace)
