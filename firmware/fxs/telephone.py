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

from firmware.fxs.telephone_body import Settings, Telephone
from firmware.fxs.telephone_server import ControlServer

_log = logging.getLogger(__name__)
# At the default 5 ms a busy control thread would make the ticks late.
_SWITCH_SECONDS = 0.0005


def main(
    data: Path,
    line: int = 1,
    *,
    ppm: float = 0.0,
    hybrid_loss: float | None = 20.0,
    noise: float | None = None,
    bounce_ms: float = 5.0,
    country: str = "FR",
    seed: int = 1,
    second_caller: bool = True,
) -> None:
    """Run the telephone of `line` until SIGTERM or SIGINT.

    `ppm`: how fast its clock runs; `hybrid_loss` in dB, None for no echo; `noise` in dBm0, None for
    none; `second_caller`: whether it shows who waits; `seed`: the same seed bounces and hisses alike.
    Raises SystemExit with a sentence when a setting is wrong or the line has its telephone already.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    done = threading.Event()

    def finish(_number: int, _frame: FrameType | None) -> None:
        done.set()

    def die(trouble: threading.ExceptHookArgs) -> None:
        # A telephone without its clock is worse than none: let whoever supervises start another.
        _log.critical("the telephone's thread %s failed", trouble.thread, exc_info=trouble.exc_value)
        os._exit(1)

    try:
        settings = Settings(
            ppm=ppm,
            hybrid_loss_db=hybrid_loss,
            noise_dbm0=noise,
            bounce_ms=bounce_ms,
            country=country,
            seed=seed,
            second_caller=second_caller,
        )
        telephone = Telephone(data, line, settings)
        server = ControlServer(data, line, telephone)
    except (OSError, ValueError) as error:
        msg = f"allobox telephone: {error}"
        raise SystemExit(msg) from error
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
