"""Processor time that a second of sound costs: each detector and generator alone, and the line's whole audio engine.

Process time in one thread, on sound made before; each value is the time of ten seconds of sound over ten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial

import numpy as np

from firmware.fxs import callerid, country, dtmf, tones
from firmware.fxs.dsp.spandsp import DtmfReceiver
from firmware.fxs.dtmf import Detector
from firmware.fxs.echo import EchoCanceller
from firmware.fxs.voice import LineVoice
from tests.bench.figure import Figure, Plan, median, p99
from tests.fakes import signals

_SECONDS = 10
_LINE_GOAL_MS = 5.0
"""Half a percent of a core."""
_WHEN = datetime(2025, 3, 1, 12, 30)  # noqa: DTZ001 - a display's clock has no zone

Frames = list[bytes]


def line_cpu(plan: Plan) -> list[Figure]:
    """Milliseconds of one core for a second of sound."""
    times = plan.times(15, 3)
    speech, far = (_frames(signals.speechlike(_SECONDS, seed=seed)) for seed in (2, 7))
    digits = _frames(signals.dialled(signals.KEYS * 7, 50, 40)[: _SECONDS * signals.RATE])
    detector, receiver, canceller = Detector(), DtmfReceiver(), EchoCanceller()
    figures = [
        _figure("digit detector, speech", times, lambda: _each(detector.feed, speech)),
        _figure("digit detector, eleven digits a second", times, lambda: _each(detector.feed, digits)),
        _figure("libspandsp's digit receiver alone, speech", times, lambda: _each(receiver.feed, speech)),
        _figure("echo canceller, both talk", times, lambda: _pairs(canceller.cancel, speech, far)),
    ]
    for standard in ("v23", "bell202"):
        decoder = callerid.Decoder(standard)
        message = callerid.encode(standard, "0142685300", "Jeanne Durand", _WHEN)
        heard = _frames(np.tile(signals.samples(message), 40)[: _SECONDS * signals.RATE])
        figures += [
            _figure(f"caller-ID receiver ({standard}), messages on end", times, partial(_each, decoder.feed, heard)),
            _figure(
                f"caller-ID generator ({standard})",
                times,
                partial(callerid.encode, standard, "0142685300", "Jeanne Durand", _WHEN),
                seconds=len(message) / 2 / signals.RATE,
            ),
        ]
    france = country.load("FR")
    for name in ("dial", "sit"):
        rendered = tones.render(france, name)
        seconds = len(rendered.once + rendered.loop) / 2 / signals.RATE
        render = tones.render.__wrapped__  # as when first asked for: later ones come from the cache
        figures.append(
            _figure(f"tone generator (French {name})", times, partial(render, france, name), seconds=seconds)
        )
    figures.append(
        _figure(
            "digit generator",
            times,
            lambda: dtmf.generate("0142685300"),
            seconds=len(dtmf.generate("0142685300")) / 16000,
        )
    )
    for cancel_echo in (False, True):
        figures += _whole_line(france, times, speech, far, cancel_echo=cancel_echo)
    return figures


def _whole_line(of: country.Country, times: int, near: Frames, far: Frames, *, cancel_echo: bool) -> list[Figure]:
    voice = LineVoice(of, on_digit=lambda _: None, on_speech_end=lambda: None, cancel_echo=cancel_echo)
    voice.listen(on=True)
    said = f"echo canceller {'on' if cancel_echo else 'off'}"
    # The hybrid sends a quarter of what is heard back, and a little direct current: both stages have work.
    line = [signals.pcm(signals.samples(a) + signals.samples(b) / 4 + 20) for a, b in zip(near, far, strict=True)]

    def talk() -> None:
        for frame, theirs in zip(line, far, strict=True):
            voice.from_line(frame)
            voice.to_line(voice.from_bridge(theirs))

    def idle() -> None:
        for frame in line:
            voice.from_line(frame)
            voice.to_line(None)

    figures = [_figure(f"whole line listening for digits, both talk, {said}", times, talk, goal=_LINE_GOAL_MS)]
    voice.play_tone("dial")
    figures.append(_figure(f"whole line listening for digits, dial tone, {said}", times, idle, goal=_LINE_GOAL_MS))
    return figures


def _frames(sound: signals.Samples) -> Frames:
    return list(signals.frames(signals.pcm(sound)))


def _each(work: Callable[[bytes], object], frames: Iterable[bytes]) -> None:
    for frame in frames:
        work(frame)


def _pairs(work: Callable[[bytes, bytes], object], near: Iterable[bytes], far: Iterable[bytes]) -> None:
    for frame, theirs in zip(near, far, strict=True):
        work(frame, theirs)


def _figure(
    name: str, times: int, work: Callable[[], object], *, seconds: float = _SECONDS, goal: float | None = None
) -> Figure:
    work()  # caches, tables, branch predictors
    spent = []
    for _ in range(times):
        before = time.process_time()
        work()
        spent.append((time.process_time() - before) * 1000 / seconds)
    return Figure(
        f"CPU a second of sound: {name}",
        "ms",
        median(spent),
        p99(spent),
        goal=goal,
        beside=f"{median(spent) / 10:.3f} % of a core",
        raw={"ms": [round(value, 4) for value in spent]},
    )
