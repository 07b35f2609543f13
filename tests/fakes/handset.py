"""A handset alone on a real port and a real clock: line machine and hook are real, voice and calls are not."""

from __future__ import annotations

import itertools
from typing import Any

from firmware.fxs import country
from firmware.fxs.hook import HookDecoder, HookSettings
from firmware.fxs.port import FxsPort
from firmware.fxs.ringer import Ringer
from firmware.telephony import services
from firmware.telephony.handset import Handset, LineSnapshot
from firmware.telephony.line import LineMachine
from firmware.telephony.scheduling import Scheduler
from tests.fakes.household import FakeVoice


class NoExchange:
    """A switchboard that only remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **_: self.asked.append((name, arguments))


class OneHandset:
    """One French line at `port`, on `scheduler`'s thread."""

    def __init__(self, port: FxsPort, scheduler: Scheduler) -> None:
        home = country.load("FR")
        keys = itertools.count(1)
        self.voice = FakeVoice()
        self.exchange = NoExchange()
        self.snapshots: list[LineSnapshot] = []
        self.handset = Handset(
            1,
            port=port,
            voice=self.voice,
            hook=HookDecoder(HookSettings.for_country(home)),
            ringer=Ringer(home.ring),
            machine=LineMachine(services.analyse, None, lambda: next(keys)),
            scheduler=scheduler,
            caller_id=lambda _caller: None,
            speech=lambda _words, _digits: None,
            changed=self.snapshots.append,
        )
        self.handset.join(self.exchange)

    @property
    def restored(self) -> bool:
        return self.handset.snapshot().fault is None
