"""The line doctor against telephones made at random: how far each figure is from what was planted, and what it costs.

Each telephone has its own dial, contacts, keys, line and hybrid, all faulty within what telephones do.
"""

from __future__ import annotations

import random
import time

import numpy as np

from firmware.fxs import doctor_echo
from firmware.fxs.doctor import Recording, examine
from firmware.fxs.doctor_report import Report
from tests.bench.figure import Figure, Plan, median, p99, spread
from tests.fakes.worn_telephone import RATE, WornContacts, hybrid, noise, pcm, press, sine

KEYS = "#0*987654321"
_GOALS = {
    "pulse speed": ("/s", 0.2),
    "break share": ("%", 2.0),
    "key frequency": ("%", 0.1),
    "key level": ("dB", 0.5),
    "key twist": ("dB", 0.5),
    "noise": ("dB", 1.0),
    "hum": ("dB", 1.0),
    "return loss": ("dB", 1.0),
}


def line_doctor(plan: Plan) -> list[Figure]:
    """The error of each figure, all of them over all telephones; and one examination's time."""
    count = plan.times(200, 10)
    errors: dict[str, list[float]] = {name: [] for name in _GOALS}
    unmeasured = 0
    seconds = []
    for seed in range(count):
        recording, planted = telephone(seed)
        began = time.process_time()
        report = examine(recording)
        seconds.append(1000 * (time.process_time() - began))
        for name, found in compared(report, planted).items():
            errors[name] += found
            unmeasured += not found
    note = f"{count} telephones, {unmeasured} figures not measured"
    return [
        *(
            Figure(f"line doctor: {name}, error", unit, median(errors[name]), p99(errors[name]), goal=goal, note=note)
            for name, (unit, goal) in _GOALS.items()
        ),
        spread("line doctor: an examination, CPU (in a process apart)", seconds),
    ]


def telephone(seed: int) -> tuple[Recording, dict[str, object]]:
    """One telephone's session, and what is wrong with it."""
    chance = random.Random(seed)  # noqa: S311 - the same telephones each time
    planted: dict[str, object] = {
        "speed": chance.uniform(7, 22),
        "share": chance.uniform(50, 72),
        "noise": chance.uniform(-70, -45),
        "hum": chance.uniform(-50, -35),
        "loss": chance.uniform(3, 28),
        "keys": [
            {
                "low_error": chance.uniform(-4, 4),
                "high_error": chance.uniform(-4, 4),
                "low_dbm0": chance.uniform(-24, -6),
                "twist": chance.uniform(-8, 6),
                "on_ms": chance.uniform(40, 150),
                "off_ms": chance.uniform(45, 200),
            }
            for _ in KEYS
        ],
    }
    hand = WornContacts(
        speed=_number(planted, "speed"),
        break_share=_number(planted, "share") / 100,
        dial_bounce=chance.uniform(0, 5),
        cradle_bounce=chance.uniform(0, 30),
        seed=seed,
    )
    hand.lift()
    hand.dial("01")
    hand.hang_up()
    keys = planted["keys"]
    assert isinstance(keys, list)
    line = np.concatenate([np.zeros(2000), *(press(key, **how) for key, how in zip(KEYS, keys, strict=True))])
    line = np.pad(line, (0, 2000)) + noise(-60, line.size + 2000, seed)
    probe = np.frombuffer(doctor_echo.probe(), np.int16).astype(np.float64)
    echo = np.convolve(probe, hybrid(_number(planted, "loss"), chance.randint(0, 960)))[: 2 * RATE + 2000]
    echo = np.pad(echo, (0, 2 * RATE + 2000 - echo.size)) + noise(-58, 2 * RATE + 2000, seed)
    silence = noise(_number(planted, "noise"), 2 * RATE, seed)
    silence = silence + sine(chance.uniform(49.8, 50.2), _number(planted, "hum"), 2 * RATE)
    return Recording(tuple(hand.edges), pcm(silence), pcm(echo), pcm(line)), planted


def compared(report: Report, planted: dict[str, object]) -> dict[str, list[float]]:
    """How far each figure is off; nothing where it was not measured."""
    hook, sound, echo = report.hook, report.sound, report.echo
    keys = planted["keys"]
    assert isinstance(keys, list)
    pairs = list(zip(report.keys, keys, strict=False)) if len(report.keys) == len(keys) else []
    return {
        "pulse speed": [] if hook.pulse_speed is None else [abs(hook.pulse_speed - _number(planted, "speed"))],
        "break share": [] if hook.break_share is None else [abs(hook.break_share - _number(planted, "share"))],
        "key frequency": [
            max(abs(key.low_error - how["low_error"]), abs(key.high_error - how["high_error"])) for key, how in pairs
        ],
        "key level": [abs(key.low_dbm0 - how["low_dbm0"]) for key, how in pairs],
        "key twist": [abs(key.twist_db - how["twist"]) for key, how in pairs],
        "noise": [] if sound is None else [abs(sound.noise_dbm0 - _number(planted, "noise"))],
        "hum": [] if sound is None else [abs(sound.hum_dbm0[0] - _number(planted, "hum"))],
        "return loss": [] if echo is None else [abs(echo.return_loss_db - _number(planted, "loss"))],
    }


def _number(planted: dict[str, object], name: str) -> float:
    value = planted[name]
    assert isinstance(value, float)
    return value
