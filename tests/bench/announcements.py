"""What a handset waits for to hear a price, and how late a call is cut whose budget ends."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path

import numpy as np

from firmware.fxs import country
from firmware.offline import offline
from firmware.rates.deck import import_csv
from firmware.speaker import Speaker
from firmware.telephony import announcements, moneywords
from firmware.telephony.events import Announce
from tests.bench.figure import Figure, Plan, spread
from tests.bench.peer import BenchPeer, Talker, hang_up, settle
from tests.system.box import RunningBox

NUMBER = "0612345678"
# A cent a second. No call may begin that has less than ten seconds.
_DECK = "prefix,destination,rate_per_minute,first_increment,next_increment\n336,France mobile,0.60,1,1\n"
_LIMIT = 10
_PRICE = Announce(Decimal("0.34"), "minute", "EUR", Decimal("0.18"), Decimal("4.20"))


def price_spoken(plan: Plan) -> list[Figure]:
    """From the question to the samples of both sentences, each time of another price; beside espeak-ng alone."""

    async def measure() -> list[float]:
        tasks = set[asyncio.Task[None]]()

        def start(work: Coroutine[object, object, None]) -> None:
            tasks.add(asyncio.get_running_loop().create_task(work))

        speaker = Speaker(country.load("FR"), language=lambda: "fr", start=start)
        took = []
        try:
            await speaker.prepare((60, 10))
            for cents in range(plan.times(50, 8)):
                told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
                began = time.monotonic()
                asked = Announce(
                    Decimal(cents + 16) / 100, "minute", "EUR", Decimal("0.18"), Decimal(400 + cents) / 100
                )
                speaker.price(asked, told.set_result)
                await told
                took.append((time.monotonic() - began) * 1000)
        finally:
            speaker.shut()
        return took

    took = asyncio.run(measure())
    text = f"{moneywords.price(_PRICE, 'fr')} {moneywords.left(_PRICE, 'fr')}".encode()
    alone = []
    for _ in range(plan.times(20, 5)):
        began = time.monotonic()
        command = ["espeak-ng", *announcements.voice_arguments("fr")]
        subprocess.run(command, input=text, stdout=subprocess.DEVNULL, check=True)
        alone.append((time.monotonic() - began) * 1000)
    return [
        spread(
            "price and what is left, asked to samples",
            took,
            goal=2500,
            beside=f"espeak-ng alone {np.median(alone):.0f} ms",
            note=f"{len(took)} prices, none said before; after 2,500 ms there are beeps",
        )
    ]


def _cut(box: RunningBox, peer: BenchPeer, talker: Talker) -> float:
    """One call; ms from its limit, counted from the 200 that answered it, to the BYE at the peer's socket."""
    box.phone.lift()
    box.phone.wait("dial-tone", 10)
    box.phone.dial(NUMBER)
    request = peer.expect("INVITE")
    peer.reply(request, 200, "OK", body=peer.sdp(talker.port))
    answered = time.monotonic()
    peer.expect("ACK")
    bye = peer.expect("BYE", _LIMIT + 5)
    peer.reply(bye, 200, "OK")
    hang_up(box)
    return (peer.came_at(bye) - answered - _LIMIT) * 1000


def call_cut(plan: Plan) -> list[Figure]:
    """A call by the second with a budget of ten of them, against a peer that stamps what comes; beside a bare timer."""

    async def timers(count: int) -> list[float]:
        loop = asyncio.get_running_loop()
        late: list[float] = []
        for _ in range(count):
            due = loop.time() + 0.5
            done: asyncio.Future[None] = loop.create_future()
            loop.call_at(due, done.set_result, None)
            await done
            late.append((loop.time() - due) * 1000)
        return late

    peer = BenchPeer()
    late = []
    try:
        box = RunningBox(peer.account)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "deck.csv")
            file.write_text(_DECK)
            report = import_csv(file, box.data / "decks", "bench", currency="EUR")
        if report.file is None:
            raise ValueError("; ".join(report.lines()))
        with offline(box.data) as office:
            office.activate_deck(report.file.name, report.name, "bench")
            office.change_setting("calls.announce_above", "off")
        with box, Talker() as talker:
            box.wait_registered("bench")
            settle(box)
            for _ in range(plan.times(12, 2)):
                rows = box.client.calls({"limit": 200})
                spent = sum((Decimal(row["cost"] or 0) for row in rows), Decimal(0))
                box.client.change_setting("calls.caps", f"class:mobile day {spent + Decimal(_LIMIT) / 100:.2f}")
                late.append(_cut(box, peer, talker))
    finally:
        peer.close()
    bare = asyncio.run(timers(plan.times(12, 2)))
    return [
        spread(
            "end of the budget to BYE on the wire",
            late,
            goal=1000,
            beside=f"a bare timer {np.median(bare):.1f} ms late",
            note=f"{len(late)} calls of {_LIMIT} s, counted from the peer's 200; the earliest {min(late):+.0f} ms",
        )
    ]
