"""The report of a telephone with a slow dial, a weak key, some hum and much echo: measured, not made up."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from firmware.fxs import doctor_echo
from firmware.fxs.doctor import Recording, examine
from tests.fakes.worn_telephone import RATE, WornContacts, hybrid, noise, pcm, press, sine


@cache
def _report() -> dict[str, Any]:
    hand = WornContacts(speed=7.6, dial_bounce=2.0, cradle_bounce=6.0)
    hand.lift()
    hand.dial("01")
    hand.flash(270)
    hand.hang_up()
    keys = [press(key, low_dbm0=-27 if key == "5" else -11, low_error=0.3) for key in "#0*987654321"]
    line = np.concatenate([np.zeros(1600), *keys, np.zeros(1600)])
    probe = np.frombuffer(doctor_echo.probe(), np.int16).astype(np.float64)
    echo = np.convolve(probe, hybrid(4, 200))[:18000]
    echo = np.pad(echo, (0, 18000 - echo.size)) + noise(-62, 18000)
    silence = noise(-62, 2 * RATE) + sine(50, -44, 2 * RATE) + sine(150, -52, 2 * RATE)
    return examine(
        Recording(
            edges=tuple(hand.edges),
            noise=pcm(silence),
            echo=pcm(echo),
            keys=pcm(line + noise(-62, line.size)),
        )
    ).as_json()


def report() -> dict[str, Any]:
    """As `service.DoctorRow` has it."""
    return dict(_report())
