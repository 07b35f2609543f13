"""A core for the bill's figures: a real ledger of N calls behind a real control socket, and a tick of 10 ms beside it.

    python -m tests.bench.bill_core DIR N

Prints `ready`; for each line on standard input the lateness of the ticks since the last one, as JSON in ms.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

from firmware import store
from firmware.clock import SystemClock
from firmware.control_server import ControlServer
from firmware.eventhub import EventHub
from firmware.service import CallQuery, CallRow
from firmware.telephony import record_table
from firmware.telephony.ledger import Ledger
from firmware.telephony.records import CallClosed, CallOpen, Charge
from tests.fakes.box_service import FakeBox

MONTH = datetime(2026, 10, 31, 23, tzinfo=UTC)
PLACES = {
    "33142685": "France fixed",
    "33612345": "France mobile",
    "44207946": "United Kingdom",
    "12025550": "United States",
}
TICK_SECONDS = 0.01


def fill(path: Path, calls: int) -> None:
    """A ledger of so many calls within November 2026, to 400 people."""
    chance = random.Random(2010)  # noqa: S311 - the same month each time
    connection = store.open_writer(path, record_table.LEDGER, SystemClock()).connection
    connection.row_factory = sqlite3.Row
    with store.transaction(connection, path):
        for key in range(calls):
            prefix, place = chance.choice(list(PLACES.items()))
            number, seconds = f"+{prefix}{chance.randrange(100):03}", chance.randrange(5, 900)
            began = MONTH + timedelta(seconds=key * 2_500_000 // calls)
            opened = CallOpen(direction="out", line=1, number=number, account="maison", destination=place)
            progress = record_table.Progress(key, began, 0.0, began + timedelta(seconds=5), 5.0, 5.0 + seconds)
            minutes = -(-seconds // 60)
            closed = CallClosed(end="caller", sip_code=200, codec="PCMA")
            charge = Charge(minutes * 60, Decimal("0.0203") * minutes, "EUR")
            row = record_table.final_row(record_table.running_row("bench", opened, progress), closed, charge)
            record_table.put_final(connection, row)
    connection.close()


class Core(FakeBox):
    """The fake box, but for its calls: those of the ledger."""

    def calls(self, query: CallQuery) -> list[CallRow]:
        """See BoxService."""
        return cast("list[CallRow]", LEDGERS[0].query(**query))


LEDGERS: list[Ledger] = []


def tick(late: list[float]) -> None:
    """Note how late each tick of 10 ms comes: what a voice thread would feel."""
    due = time.perf_counter() + TICK_SECONDS
    while True:
        time.sleep(max(0.0, due - time.perf_counter()))
        late.append((time.perf_counter() - due) * 1000)
        due = max(due + TICK_SECONDS, time.perf_counter())


async def serve(data: Path, credential: str) -> None:
    """Until standard input ends."""
    core = Core(credential=credential, decks_folder=data / "decks")
    core.add_account({"name": "maison", "server": "127.0.0.1", "user": "u"})
    core.add_account({"name": "mobile", "server": "127.0.0.1", "user": "u"})
    server = ControlServer(data / "run" / "box.sock", core, EventHub())
    await server.start()
    late: list[float] = []
    threading.Thread(target=tick, args=(late,), daemon=True).start()
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        told, late[:] = list(late), []
        print(json.dumps(told), flush=True)
    await server.stop()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.setswitchinterval(0.0005)  # as the core has it
    fill(folder / "box.db", int(sys.argv[2]))
    LEDGERS.append(Ledger(folder / "box.db", SystemClock()))
    LEDGERS[0].start()
    LEDGERS[0].flush().result(30)
    asyncio.run(serve(folder, sys.argv[3]))
