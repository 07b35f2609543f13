"""The simulated telephone: a process of its own at the far end of the simulated line.

It hears and makes only samples, ring voltage and hook edges that bounce; its own clock paces the
line. The parts are in `telephone_*`: body (all of them together, ticking), set (analog circuit),
hook, bell, ears, playout, dialer, wire; `telephone_server` lets `allobox phone` drive it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from firmware.fxs.telephone_body import Settings, Telephone
from firmware.fxs.telephone_server import ControlServer

_log = logging.getLogger(__name__)
# At the default 5 ms a busy control thread would make the ticks late.
_SWITCH_SECONDS = 0.0005


def main(data: Path, line: int, **settings: Any) -> None:
    """Run the telephone of `line` until SIGTERM or SIGINT; `settings` as `Settings` names them.

    Raises ValueError for a bad setting, OSError when line's telephone runs already.
    """
    done = threading.Event()

    def finish(_number: int, _frame: FrameType | None) -> None:
        done.set()

    def die(trouble: threading.ExceptHookArgs) -> None:
        # A telephone without its clock is worse than none: let whoever supervises start another.
        _log.critical("the telephone's thread %s failed", trouble.thread, exc_info=trouble.exc_value)
        os._exit(1)

    telephone = Telephone(data, line, Settings(**settings))
    server = ControlServer(data, line, telephone)
    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    threading.excepthook = die
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    telephone.start()
    server.start()
    _log.info("telephone of line %d: ready", line)
    done.wait()
    server.stop()
    telephone.stop()
