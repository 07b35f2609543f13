"""A second caller during a conversation, measured in what the simulated telephone records: CAS, answer, voices."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.figure import Figure, Plan, spread
from tests.bench.peer import BenchPeer, Talker, settle
from tests.system.box import RunningBox
from tests.system.speech_score import read

_VOICE_HZ, _CAS_HZ = 500.0, (2130.0, 2750.0)
_LOUD = 400.0  # amplitude: 20 dB below the talker's voice
_REST = 0.02  # share of the energy that is something else
_RECORDED = 2.9


def _alone(x: np.ndarray, *hertz: float, block: int) -> np.ndarray:
    """Which blocks of so many samples are these frequencies, loud, and little else (least squares)."""
    blocks = x[: len(x) // block * block].reshape(-1, block)
    t = np.arange(block) / 8000
    waves = np.vstack([f(2 * np.pi * hz * t) for hz in hertz for f in (np.cos, np.sin)]).T
    rest = blocks.T - waves @ (np.linalg.pinv(waves) @ blocks.T)
    energy = (blocks**2).sum(axis=1)
    return np.asarray((energy > block / 2 * _LOUD**2) & ((rest**2).sum(axis=0) < _REST * energy))


def _longest(on: np.ndarray) -> tuple[int, int]:
    """First frame and length of the longest run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]])))
    runs = [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return max(runs, key=lambda run: run[1], default=(0, 0))


def _measure(path: Path) -> tuple[float, float, float]:
    """Milliseconds: the CAS; from its end to the first voice; from the waiting tone's beginning to that."""
    x = read(path).astype(float)
    first, count = _longest(_alone(x, *_CAS_HZ, block=40))
    cas, ended = 5.0 * count, 5.0 * (first + count)
    clean = _alone(x, _VOICE_HZ, block=80)
    # 50 ms of it: the waiting tone's and FSK's blocks may look like it for one.
    voice = np.flatnonzero([bool(clean[i : i + 5].all()) for i in range(clean.size - 4)])
    back = 10.0 * float(voice[voice * 10 >= ended][0])
    gone = 10.0 * float(voice[voice * 10 < ended][-1] + 5)
    return cas, back - ended, back - gone


def _calls(plan: Plan, *telephone: str) -> tuple[list[tuple[float, float, float]], int]:
    """So many second callers, each shown (or not) and gone again; how many the display understood."""
    peer, measured, shown = BenchPeer(), [], 0
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningBox(peer.account, telephone=telephone) as box,
        Talker() as talker,
    ):
        box.wait_registered("bench")
        settle(box)
        rings = box.phone.begin_wait("ring", 10)
        first = peer.invite(peer.box, body=peer.sdp(talker.port))
        rings.result()
        time.sleep(0.3)
        box.phone.lift()
        accepted = peer.expect(200)
        talker.start(accepted)
        first.remote = accepted.message.first("to")
        peer.ack(peer.box, first)
        time.sleep(1.0)
        for number in range(plan.times(15, 3)):
            ear = Path(folder, "ear.wav")
            recording = box.phone.begin_record(ear, _RECORDED)
            time.sleep(0.3)
            wanted = f"06123456{number:02d}"
            second = peer.invite(peer.box, caller=f'"Zoe" <sip:{wanted}@provider.example>')
            recording.result()
            caller = box.phone.state()["caller_id"]
            shown += caller is not None and caller["number"] == wanted
            measured.append(_measure(ear))
            peer.cancel(peer.box, second)
            peer.expect(487)
            box.state("talking")
            time.sleep(0.3)
        box.phone.hangup()
        peer.reply(peer.expect("BYE"), 200, "OK")
    peer.close()
    return measured, shown


def call_waiting(plan: Plan) -> list[Figure]:
    """With a display: how long both voices are cut, and how many callers it showed. Without: how soon they are back."""
    with_display, shown = _calls(plan)
    without, _ = _calls(plan, "--no-second-caller")
    count = len(with_display)
    return [
        spread(
            "second caller shown off-hook: voices cut",
            [whole for _, _, whole in with_display],
            goal=1500,
            beside=f"CAS {np.median([cas for cas, _, _ in with_display]):.0f} ms (80)",
            note=f"{shown} of {count} callers read from the samples",
        ),
        spread(
            "second caller, no display: CAS to voice",
            [back for _, back, _ in without],
            goal=300,
            beside="an answer may begin within 160 ms (GR-30)",
            note=f"{len(without)} callers",
        ),
    ]
